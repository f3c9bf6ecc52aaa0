"""Small phantoms as the files of a site: PNG with a COCO file, mini-MIAS's table with PGM, folders of normals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box
from mammo.phantom import PhantomView, phantom_view

WIDTH, HEIGHT = 448, 576
FILM_MM = 0.2


def view(seed: int, *, clusters: int) -> PhantomView:
    return phantom_view(seed, clusters=clusters, width=WIDTH, height=HEIGHT)


def grey(drawn: PhantomView) -> npt.NDArray[np.uint8]:
    return (drawn.stored / (2**drawn.bits - 1) * 255).astype(np.uint8)


def write_normals(folder: Path, *seeds: int) -> Path:
    """Write `normal_SEED.png` without any lesion."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        assert cv2.imwrite(str(folder / f"normal_{seed}.png"), grey(view(seed, clusters=0)))
    return folder


def write_coco_positives(folder: Path, *seeds: int, **image: Any) -> dict[str, list[Box]]:
    """Write `SEED.png` and annotations.json; return the true boxes by name.

    Args:
        image: further fields of every row of `images`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes: dict[str, list[Box]] = {}
    annotations: list[dict[str, Any]] = []
    for seed in seeds:
        drawn = view(seed, clusters=1)
        assert cv2.imwrite(str(folder / f"{seed}.png"), grey(drawn))
        boxes[f"{seed}.png"] = [finding.box for finding in drawn.truth]
        annotations += [
            {
                "id": len(annotations) + number,
                "image_id": seed,
                "category_id": 1,
                "bbox": [box.x0, box.y0, box.width, box.height],
            }
            for number, box in enumerate(boxes[f"{seed}.png"])
        ]
    document = {
        "images": [{"id": seed, "file_name": f"{seed}.png"} | image for seed in seeds],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "Cluster"}],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return boxes


def write_mias_positives(folder: Path, *seeds: int, more: str = "") -> None:
    """Write `mdbSEED.pgm` at 0.2 mm and Info.txt with a circle for every cluster.

    Args:
        more: further lines of the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed in seeds:
        drawn = view(seed, clusters=1)
        factor = drawn.spacing_mm / FILM_MM
        film = cv2.resize(grey(drawn), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        assert cv2.imwrite(str(folder / f"mdb{seed:03d}.pgm"), film)
        for finding in drawn.truth:
            x, y = (each * factor for each in finding.box.centre)
            radius = max(finding.box.width, finding.box.height) / 2 * factor
            lines.append(f"mdb{seed:03d} G CALC B {x:.0f} {len(film) - y:.0f} {radius:.0f}")
    (folder / "Info.txt").write_text("\n".join([*lines, more]))
