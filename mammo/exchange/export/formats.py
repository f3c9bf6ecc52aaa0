"""Labelled images to files: DICOM Segmentation, COCO, YOLO, PNG. Each returns what could not be written, and why.

Files are named after the image's path, with its folders, so that they lead back to it; what YOLO and PNG cannot hold
stands in `images.json` beside them. One export says one thing of an image: the second time it comes it is refused. So
is an image with a finding that only a point marks: no format can say that there is one of unknown extent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammo.dicom.segmentation import write_segmentation
from mammo.errors import MammoError
from mammo.exchange.export.file_names import FileNames
from mammo.exchange.export.labelled_image import POINT_ONLY, LabelledImage, Refusal
from mammo.findings import CLUSTER, Finding
from mammo.masks.pixel_edges import edge_polygons
from mammo.printable import printable

CATEGORY = {"id": 1, "name": CLUSTER, "supercategory": "calcification"}
LIST = "images.json"
"""Which file is of which image."""

Writer = Callable[[Iterable[LabelledImage], Path], list[Refusal]]


def write_seg(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`NAME.seg.dcm` for each image with masks; a DICOM Segmentation cannot be empty, nor hold a box."""
    refusals: list[Refusal] = []
    for image in _outlined(images, refusals):
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
    refusals: list[Refusal] = []
    for number, image in enumerate(_once(images, refusals), start=1):
        row = {"id": number, "file_name": image.file_name}
        row |= {"width": image.size.width, "height": image.size.height}
        facts = _known(image) | dict(image.facts)
        rows.append(row | {key: value for key, value in facts.items() if key not in row})
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
    return refusals


def write_yolo(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`labels/PATH.txt` with a line `0 x y width height` per cluster (centre and size as shares of the image)."""
    refusals: list[Refusal] = []
    names, rows = FileNames(), []
    for image in _once(images, refusals):
        lines = []
        for finding in image.findings:
            (x, y), box, size = finding.box.centre, finding.box, image.size
            shares = x / size.width, y / size.height, box.width / size.width, box.height / size.height
            lines.append("0 " + " ".join(f"{share:.7f}" for share in shares) + "\n")
        file = out / "labels" / f"{names(image.file_name)}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8")
        rows.append(_row(image, file.relative_to(out)))
    (out / "labels").mkdir(exist_ok=True)
    (out / "data.yaml").write_text(f"names:\n  0: {CLUSTER}\n", encoding="utf-8")
    _write_json(out / LIST, {"images": rows})
    return refusals


def write_png(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """`PATH.png` with 255 where a cluster is and 0 elsewhere, as large as the image.

    An image with a finding that has only a box gets none: its mask would say that there is nothing.
    """
    refusals: list[Refusal] = []
    names, rows, earlier = FileNames(), [], _files_listed(out)
    for image in _once(images, refusals):
        picture = np.zeros((image.size.height, image.size.width), np.uint8)
        for finding in image.findings:
            if finding.mask:
                finding.mask.paste(picture, 255)
            else:
                refusals.append(
                    Refusal(image.name, "a finding has only a box, and a mask picture needs masks")
                )
        if not picture.any() and image.findings:
            continue
        done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        assert done, "a grey picture can be encoded"
        file = out / f"{names(image.file_name)}.png"
        if file.exists() and file.relative_to(out).as_posix() not in earlier:
            refusals.append(
                Refusal(
                    image.name, f"{printable(file.name)} is there and no earlier export: take another --out"
                )
            )
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded.tobytes())
        rows.append(_row(image, file.relative_to(out)))
    _write_json(out / LIST, {"images": rows})
    return refusals


FORMATS: dict[str, Writer] = {"seg": write_seg, "coco": write_coco, "yolo": write_yolo, "png": write_png}


def _files_listed(out: Path) -> set[str]:
    """Files of an earlier export into the same folder, which this one may replace."""
    try:
        rows = json.loads((out / LIST).read_bytes())["images"]
        return {str(row["file"]) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _once(images: Iterable[LabelledImage], refusals: list[Refusal]) -> Iterator[LabelledImage]:
    """Every image the first time it comes, without those that have a point."""
    seen: dict[str, str] = {}
    for image in _outlined(images, refusals):
        first = seen.setdefault(image.file_name, image.name)
        if first == image.name:
            yield image
        else:
            refusals.append(
                Refusal(image.name, f"the same image as {first}, {printable(image.file_name, length=80)}")
            )


def _outlined(images: Iterable[LabelledImage], refusals: list[Refusal]) -> Iterator[LabelledImage]:
    """Those without a finding that only a point marks."""
    for image in images:
        if image.has_point:
            refusals.append(Refusal(image.name, POINT_ONLY))
        else:
            yield image


def _known(image: LabelledImage) -> dict[str, Any]:
    """How to find the image again."""
    known = {"reference": image.reference, "sha256": image.sha256}
    return {key: value for key, value in known.items() if value is not None}


def _row(image: LabelledImage, file: Path) -> dict[str, Any]:
    """What `images.json` says of a file."""
    row = {
        "file": file.as_posix(),
        "image": image.file_name,
        "width": image.size.width,
        "height": image.size.height,
    }
    return row | {key: value for key, value in (_known(image) | dict(image.facts)).items() if key not in row}


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
