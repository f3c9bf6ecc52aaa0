"""YOLO labels and the images that they are of: a line of shares of the image for each box or outline.

    classes.txt, or data.yaml with `names`      what the numbers mean
    labels/<path>.txt                           class x y width height, or class x1 y1 x2 y2 x3 y3 ...
    images/<path>.png                           the image of the same path
    images.json                                 of our own export: names images and patients

An image with an empty file of labels comes in as one without clusters, but not out of Label Studio's own export. The
patient is the file's PatientID, else what `images.json` says, else what --patient-pattern finds in the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mammo.errors import InvalidTaskData
from mammo.exchange.datasets.categories import cluster_categories, paired
from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    boxed,
    inside,
    invalid,
    read_text,
    repeated,
)
from mammo.exchange.datasets.folder import IMAGES
from mammo.exchange.datasets.json_files import read_object
from mammo.exchange.datasets.named_files import image_file
from mammo.exchange.datasets.patients import PatientRule
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.identifiers import identifier
from mammo.masks.polygons import polygon_mask
from mammo.printable import printable
from mammo.stated_facts import stated_spacing

LIST, NOTES = "images.json", "notes.json"
NAME = re.compile(r"\s+['\"]?(\d{1,4})['\"]?\s*:\s*(.+)")
MAX_LINES, MAX_WORDS = 10_000, 40_001
POSE = 7
"""Numbers of a box and one key point with its visibility."""

Shape = tuple[str, tuple[float, ...]]


def read_yolo(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image that has a file of labels."""
    rule = PatientRule.of_options(options)
    folder, labels = options.folder, options.folder / "labels"
    if not labels.is_dir():
        raise invalid("expected the folder labels")
    names = _names(folder)
    wanted = cluster_categories(names, options.label)
    notes = read_object(folder / NOTES) if (folder / NOTES).is_file() else {}
    info = notes.get("info")
    by_label_studio = isinstance(info, dict) and info.get("contributor") == "Label Studio"
    listed = _listed(folder)
    files = sorted(path for path in labels.rglob("*") if path.suffix.lower() == ".txt" and path.is_file())
    found: list[DatasetImage] = []
    for file in files:
        relative = file.relative_to(folder)
        where = printable(relative.as_posix(), length=120)
        try:
            inside(folder, relative.as_posix())
            shapes = _shapes(file, names)
            if not shapes and by_label_studio:
                raise ValueError(
                    "Label Studio's YOLO export leaves out what was drawn with a brush and names tasks that nobody "
                    "annotated, so an empty file says nothing; `yolo-mlsam export --format yolo` knows"
                )
            row = listed.get(relative.as_posix(), {})
            image, path = _image(folder, file.relative_to(labels), row)
            patient, spacing = identifier(row.get("patient")), stated_spacing(row.get("spacing_mm"))
            found.append(
                DatasetImage(
                    file=image,
                    where=where,
                    patient=patient or rule.of(path),
                    path=None if patient else path,
                    findings=partial(
                        _findings,
                        [each for name, each in shapes if name in wanted],
                        are_paired=by_label_studio,
                    ),
                    classes=tuple(names[name] for name, _ in shapes),
                    trusts_file=True,
                    spacing_mm=(spacing.row_mm, spacing.column_mm) if spacing else None,
                )
            )
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(where, str(error))
    if not listed:
        yield from _without_labels(folder, files)
    shared = repeated(str(image.file.resolve()) for image in found)
    for item in found:
        if str(item.file.resolve()) in shared:
            yield Refusal(item.where, "another file of labels is of the same image; so both stay out")
        else:
            yield item


def _without_labels(folder: Path, files: list[Path]) -> Iterator[Refusal]:
    """Images of which nobody has said what is in them."""
    images, labels = folder / "images", folder / "labels"
    named = {file.relative_to(labels).with_suffix("") for file in files}
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in IMAGES and path.relative_to(images).with_suffix("") not in named:
            where = printable(path.relative_to(folder).as_posix(), length=120)
            yield Refusal(
                where, "there is no file of labels for it; an empty one says that it holds no cluster"
            )


def _names(folder: Path) -> dict[str, str]:
    """What the numbers mean, by number as text.

    Raises:
        MammoError: neither classes.txt nor a data.yaml with `names`, or one that says one thing twice.
    """
    if (folder / "classes.txt").is_file():
        lines = read_text(folder / "classes.txt").splitlines()
        pairs = [(str(number), line.strip()) for number, line in enumerate(lines) if line.strip()]
    else:
        text = read_text(folder / "data.yaml")
        _, _, below = text.partition("names:")
        first, *more = below.splitlines() or [""]
        if first.strip().startswith("["):
            words = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]'\"]+)", below.partition("]")[0])
            pairs = [(str(number), "".join(word)) for number, word in enumerate(words)]
        else:
            matches = [NAME.fullmatch(line.partition(" #")[0].rstrip()) for line in more]
            pairs = [(str(int(match[1])), match[2].strip().strip("'\"")) for match in matches if match]
    if not pairs or repeated(number for number, _ in pairs):
        raise invalid("classes.txt, or `names` of data.yaml, must give every number one name")
    return dict(pairs)


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of our own list, by the file of labels."""
    if not (folder / LIST).is_file():
        return {}
    rows = read_object(folder / LIST).get("images")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("file"), str) for row in rows
    ):
        raise invalid(f"{LIST} is no list of images")
    if twice := repeated(row["file"] for row in rows):
        raise invalid(f"{LIST} names {printable(min(twice))} twice")
    return {row["file"]: row for row in rows}


def _image(folder: Path, relative: Path, row: dict[str, Any]) -> tuple[Path, str]:
    """The image of a file of labels, and its path."""
    if isinstance(row.get("image"), str):
        return image_file(folder, row["image"])
    root = folder / "images" / relative.parent
    near = sorted(root.iterdir()) if root.is_dir() else []
    files = [path for path in near if path.suffix.lower() in IMAGES and path.stem == relative.stem]
    if len(files) != 1:
        raise ValueError(
            "several images have its name" if files else "there is no image of its name in images"
        )
    return inside(folder, files[0].relative_to(folder).as_posix()), files[0].relative_to(
        folder / "images"
    ).as_posix()


def _shapes(file: Path, names: dict[str, str]) -> list[Shape]:
    """Class and shares of each line.

    Raises:
        ValueError: a line that is neither a box nor an outline.
    """
    lines = read_text(file).splitlines()
    if len(lines) > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES} lines")
    shapes: list[Shape] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if words[0] not in names:
            raise ValueError(f"line {number}: its class is none of the names")
        try:
            shares = tuple(float(word) for word in words[1:MAX_WORDS])
        except ValueError:
            raise ValueError(f"line {number}: a share is no number") from None
        if len(shares) == POSE:  # Label Studio's, of a project with key points: a box and one of them
            shares = shares[:4]
        elif len(shares) > POSE and (len(shares) - 4) % 3 == 0 and set(words[7::3]) <= {"0", "1", "2"}:
            raise ValueError(f"line {number}: key points of a pose, or an outline; it cannot be told which")
        if not (len(shares) == 4 or (len(shares) >= 6 and len(shares) % 2 == 0)) or len(words) > MAX_WORDS:
            raise ValueError(
                f"line {number}: expected class x y width height, or class and pairs x y of an outline"
            )
        if not all(-1 <= share <= 2 for share in shares):
            raise ValueError(f"line {number}: a share of the image lies in [0, 1]")
        shapes.append((words[0], shares))
    return shapes


def _findings(shapes: list[tuple[float, ...]], size: Size, *, are_paired: bool) -> list[Finding]:
    found = [
        replace(_finding(shares, size), id=f"line-{number}") for number, shares in enumerate(shapes, start=1)
    ]
    return paired(found) if are_paired else found


def _finding(shares: tuple[float, ...], size: Size) -> Finding:
    if len(shares) == 4:
        x, width = shares[0] * size.width, shares[2] * size.width
        y, height = shares[1] * size.height, shares[3] * size.height
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        x0, y0, x1, y1 = (_whole(corner) for corner in corners)
        return boxed(x0, y0, x1, y1, size)
    outline = np.array(shares, np.float64).reshape(-1, 2) * (size.width, size.height)
    mask = polygon_mask(outline, size=size)
    if mask is None:
        raise ValueError("an outline lies outside the image or covers no pixel of it")
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask)


def _whole(corner: float) -> float:
    """A corner this near to a whole pixel is that pixel: shares are written with few decimals."""
    return float(round(corner)) if abs(corner - round(corner)) < 0.05 else corner
