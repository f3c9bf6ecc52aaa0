"""Labelled images to files: DICOM Segmentation, COCO, YOLO, PNG. Each returns what could not be written, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cli.export.labelled import LabelledImage, Refusal
from mammo.dicom.segmentation import write_segmentation
from mammo.errors import MammoError
from mammo.findings import CLUSTER, Finding
from mammo.pixel_edges import edge_polygons

CATEGORY = {"id": 1, "name": CLUSTER, "supercategory": "calcification"}
Writer = Callable[[Iterable[LabelledImage], Path], list[Refusal]]


def write_seg(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`NAME.seg.dcm` for each image with masks; a DICOM Segmentation cannot be empty, nor hold a box."""
    refusals = []
    for image in images:
        masked = [finding for finding in image.findings if finding.mask]
        if len(masked) < len(image.findings):
            boxes = len(image.findings) - len(masked)
            refusals.append(
                Refusal(image.name, f"{boxes} findings have only a box, and a segmentation needs masks")
            )
        if not masked:
            continue
        if image.source is None:
            refusals.append(
                Refusal(image.name, "the DICOM file that a segmentation must refer to is not there")
            )
            continue
        try:
            write_segmentation(
                out / f"{image.name}.seg.dcm",
                masked,
                source=image.source,
                origin=image.origin,
                calcifications=image.calcifications,
            )
        except (MammoError, ValueError) as error:
            refusals.append(Refusal(image.name, str(error)))
    return refusals


def write_coco(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`coco.json` with masks as compressed run lengths, `coco-polygons.json` with outlines (holes filled)."""
    rows, findings = [], []
    for number, image in enumerate(images, start=1):
        row = {"id": number, "file_name": image.file_name}
        row |= {"width": image.size.width, "height": image.size.height}
        rows.append(row | {key: value for key, value in image.facts.items() if key not in row})
        attributes = image.attributes or ({},) * len(image.findings)
        for finding, more in zip(image.findings, attributes, strict=True):
            findings.append((number, image, finding, more))
    for name, outline in (("coco.json", False), ("coco-polygons.json", True)):
        annotations = [
            _annotation(index, number, image, finding, outline=outline)
            | ({"attributes": dict(more)} if more else {})
            for index, (number, image, finding, more) in enumerate(findings, start=1)
        ]
        document = {"info": {"description": "Microcalcification clusters"}, "images": rows}
        _write_json(out / name, document | {"annotations": annotations, "categories": [CATEGORY]})
    return []


def write_yolo(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`labels/NAME.txt` with a line `0 x y width height` per cluster (centre and size as shares of the image)."""
    folder = out / "labels"
    folder.mkdir(exist_ok=True)
    for image in images:
        lines = []
        for finding in image.findings:
            (x, y), box, size = finding.box.centre, finding.box, image.size
            shares = x / size.width, y / size.height, box.width / size.width, box.height / size.height
            lines.append("0 " + " ".join(f"{share:.7f}" for share in shares) + "\n")
        (folder / f"{image.name}.txt").write_text("".join(lines), encoding="utf-8")
    (out / "data.yaml").write_text(f"names:\n  0: {CLUSTER}\n", encoding="utf-8")
    return []


def write_png(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`NAME.png` with 255 where a cluster is and 0 elsewhere, as large as the image."""
    refusals = []
    for image in images:
        picture = np.zeros((image.size.height, image.size.width), np.uint8)
        for finding in image.findings:
            if finding.mask:
                finding.mask.paste(picture, 255)
            else:
                refusals.append(
                    Refusal(image.name, "a finding has only a box, and a mask picture needs masks")
                )
        done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        assert done, "a grey picture can be encoded"
        (out / f"{image.name}.png").write_bytes(encoded.tobytes())
    return refusals


FORMATS: dict[str, Writer] = {"seg": write_seg, "coco": write_coco, "yolo": write_yolo, "png": write_png}


def _annotation(
    index: int, number: int, image: LabelledImage, finding: Finding, *, outline: bool
) -> dict[str, Any]:
    box, mask = finding.box, finding.mask
    segmentation: Any = []
    if mask:
        segmentation = edge_polygons(mask) if outline else mask.to_coco(image.size)
    return {
        "id": index,
        "image_id": number,
        "category_id": CATEGORY["id"],
        "bbox": [box.x0, box.y0, box.width, box.height],
        "area": mask.area if mask else box.area,
        "segmentation": segmentation,
        "iscrowd": 0,
        "score": round(finding.score, 4),
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
