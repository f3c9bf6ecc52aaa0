"""Writers of labelled images: DICOM results, COCO, YOLO, PNG. Each returns the images that it refused.

Files are named after the path of their image; `images.json` contains further data that YOLO and PNG cannot represent.
COCO, YOLO and PNG have one entry per image, so a second one of the same image is refused. An image with a point finding
is refused, because no format can represent a finding of unknown extent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammo.atomic_files import replacing
from mammo.exchange.export.dicom_results import result, subjects
from mammo.exchange.export.file_names import FileNames
from mammo.exchange.export.labelled_image import POINT_ONLY, LabelledImage, Refusal
from mammo.findings import CLUSTER, Finding
from mammo.masks.pixel_edges import edge_polygons
from mammo.printable import printable
from mammo.result_kinds import ResultKind

CATEGORY = {"id": 1, "name": CLUSTER, "supercategory": "calcification"}
LIST = "images.json"
"""Name of the list of exported files and their images."""

Writer = Callable[[Iterable[LabelledImage], Path], list[Refusal]]
"""Writes images into a folder; returns the refused ones."""


def write_seg(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `NAME.seg.dcm` for each image with masks; a DICOM Segmentation can neither be empty nor contain a box."""
    return _write_results(images, out, "seg")


def write_sr(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `NAME.sr.dcm`, a measurement report (TID 1500), for each image, also for one without findings."""
    return _write_results(images, out, "sr")


def write_cad_sr(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `NAME.cad-sr.dcm`, a Mammography CAD report, for each study, named after its first image."""
    return _write_results(images, out, "cad-sr")


def _write_results(images: Iterable[LabelledImage], out: Path, kind: ResultKind) -> list[Refusal]:
    refusals: list[Refusal] = []
    for subject in subjects(images, kind, refusals):
        data, refused = result(subject, kind)
        refusals += refused
        if data is not None:
            with replacing(out / f"{subject.name}.{kind}.dcm") as part:
                part.write_bytes(data)
    return refusals


def write_coco(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `coco.json` with masks as compressed RLE, and `coco-polygons.json` with outlines (holes filled)."""
    rows, findings = [], []
    refusals: list[Refusal] = []
    for number, image in enumerate(_once(images, refusals), start=1):
        row = {"id": number, "file_name": image.file_name}
        row |= {"width": image.size.width, "height": image.size.height}
        facts = _identity(image) | dict(image.facts)
        rows.append(row | {key: value for key, value in facts.items() if key not in row})
        attributes = image.attributes or ({},) * len(image.findings)
        for finding, each in zip(image.findings, attributes, strict=True):
            findings.append((number, image, finding, each))
    for name, outline in (("coco.json", False), ("coco-polygons.json", True)):
        annotations = [
            _annotation(index, number, image, finding, outline=outline)
            | ({"attributes": dict(each)} if each else {})
            for index, (number, image, finding, each) in enumerate(findings, start=1)
        ]
        document = {"info": {"description": "Microcalcification clusters"}, "images": rows}
        _write_json(out / name, document | {"annotations": annotations, "categories": [CATEGORY]})
    return refusals


def write_yolo(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `labels/PATH.txt` with a line `0 x y width height` per cluster, relative to the size of the image."""
    refusals: list[Refusal] = []
    names, rows = FileNames(), []
    for image in _once(images, refusals):
        lines = []
        for finding in image.findings:
            (x, y), box, size = finding.box.centre, finding.box, image.size
            relative = x / size.width, y / size.height, box.width / size.width, box.height / size.height
            lines.append("0 " + " ".join(f"{each:.7f}" for each in relative) + "\n")
        file = out / "labels" / f"{names(image.file_name)}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8")
        rows.append(_row(image, file.relative_to(out)))
    (out / "labels").mkdir(exist_ok=True)
    (out / "data.yaml").write_text(f"names:\n  0: {CLUSTER}\n", encoding="utf-8")
    _write_json(out / LIST, {"images": rows})
    return refusals


def write_png(images: Iterable[LabelledImage], out: Path) -> list[Refusal]:
    """Write `PATH.png` of the image's size, with 255 in clusters and 0 elsewhere.

    An image is refused if no finding has a mask, because its PNG would mean that there is no cluster.
    """
    refusals: list[Refusal] = []
    names, rows, earlier = FileNames(), [], _files_listed(out)
    for image in _once(images, refusals):
        picture = np.zeros((image.size.height, image.size.width), np.uint8)
        for finding in image.findings:
            if finding.mask:
                finding.mask.paste(picture, 255)
            else:
                refusals.append(Refusal(image.name, "a finding has a box only, and a PNG requires masks"))
        if not picture.any() and image.findings:
            continue
        done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        assert done, "a grey image can be encoded"
        file = out / f"{names(image.file_name)}.png"
        if file.exists() and file.relative_to(out).as_posix() not in earlier:
            reason = f"{printable(file.name)} exists and is not from an earlier export; choose another --out"
            refusals.append(Refusal(image.name, reason))
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded.tobytes())
        rows.append(_row(image, file.relative_to(out)))
    _write_json(out / LIST, {"images": rows})
    return refusals


FORMATS: dict[str, Writer] = {
    "seg": write_seg,
    "sr": write_sr,
    "cad-sr": write_cad_sr,
    "coco": write_coco,
    "yolo": write_yolo,
    "png": write_png,
}


def _files_listed(out: Path) -> set[str]:
    """Return the files of an earlier export into the same folder, which may be replaced."""
    try:
        rows = json.loads((out / LIST).read_bytes())["images"]
        return {str(row["file"]) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _once(images: Iterable[LabelledImage], refusals: list[Refusal]) -> Iterator[LabelledImage]:
    """Yield every image once, without those that have a point finding."""
    seen: dict[str, str] = {}
    for image in _outlined(images, refusals):
        first = seen.setdefault(image.file_name, image.name)
        if first == image.name:
            yield image
        else:
            refusals.append(
                Refusal(
                    image.name, f"it is the same image as {first}, {printable(image.file_name, length=80)}"
                )
            )


def _outlined(images: Iterable[LabelledImage], refusals: list[Refusal]) -> Iterator[LabelledImage]:
    """Yield the images without a point finding."""
    for image in images:
        if image.has_point:
            refusals.append(Refusal(image.name, POINT_ONLY))
        else:
            yield image


def _identity(image: LabelledImage) -> dict[str, Any]:
    """Return the fields that identify the image."""
    identity = {"reference": image.reference, "sha256": image.sha256}
    return {key: value for key, value in identity.items() if value is not None}


def _row(image: LabelledImage, file: Path) -> dict[str, Any]:
    """Return the row of a file in `images.json`."""
    row = {
        "file": file.as_posix(),
        "image": image.file_name,
        "width": image.size.width,
        "height": image.size.height,
    }
    facts = _identity(image) | dict(image.facts)
    return row | {key: value for key, value in facts.items() if key not in row}


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
