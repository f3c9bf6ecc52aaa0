"""INbreast (Moreira et al. 2012): full-field DICOM, and outlines drawn in OsiriX as XML property lists.

    [INbreast Release 1.0/]AllDICOMs/<image>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm
    [INbreast Release 1.0/]AllXML/<image>.xml           none for a normal image

Outlines named `Cluster` come in; single `Calcification` points and masses are counted only, as they are no clusters.
`ML` in a file name is their short form of MLO.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np

from cli.datasets.contents import DatasetImage, DatasetOptions, first_folder, invalid, number
from cli.export.labelled import Refusal
from cli.shown import shown
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.polygons import polygon_mask

FILE = re.compile(r"(\d{1,20})_([0-9a-fA-F]{1,64})_MG_([LR])_(CC|MLO?)_ANON\.dcm")
POINT = re.compile(r"\(\s*([-+.\deE]{1,40})\s*,\s*([-+.\deE]{1,40})\s*\)")
CLUSTER_NAMES = ("cluster",)
MAX_XML = 64 * 2**20
MAX_POINTS = 20_000
Outline = tuple[tuple[float, float], ...]


def read_inbreast(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every DICOM file, with its clusters."""
    images = first_folder(options.folder, "AllDICOMs")
    outlines = first_folder(options.folder, "AllXML")
    if images is None or outlines is None:
        raise invalid("expected the folders AllDICOMs and AllXML")
    for file in sorted(images.iterdir()):
        match = FILE.fullmatch(file.name)
        if match is None:
            if file.suffix.lower() == ".dcm":
                yield Refusal(shown(file.name), "its name is not <image>_<patient>_MG_<side>_<view>_ANON.dcm")
            continue
        try:
            rois = _rois(outlines / f"{match[1]}.xml")
        except ValueError as error:
            yield Refusal(f"{match[1]}.xml", str(error))
            continue
        clusters = tuple(points for name, points in rois if name.lower() in CLUSTER_NAMES)
        yield DatasetImage(
            file=file,
            where=f"{match[1]}.xml",
            patient=match[2],
            findings=partial(_findings, clusters),
            classes=tuple(name for name, _ in rois) or ("normal",),
            laterality="L" if match[3] == "L" else "R",
            view="CC" if match[4] == "CC" else "MLO",
        )


def _findings(clusters: tuple[Outline, ...], size: Size) -> list[Finding]:
    findings = []
    for index, points in enumerate(clusters, start=1):
        if len(points) < 3:
            raise ValueError("a cluster has an outline of fewer than three points")
        mask = polygon_mask(np.array(points, np.float64), size=size)
        if mask is None:
            raise ValueError("a cluster lies outside the image")
        findings.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"roi-{index}"))
    return findings


def _rois(path: Path) -> list[tuple[str, Outline]]:
    """Names and points of the regions of one image; none without a file.

    Raises:
        ValueError: no such property list; one that declares entities.
    """
    if not path.is_file():
        return []
    if path.stat().st_size > MAX_XML:
        raise ValueError(f"more than {MAX_XML} bytes of XML")
    data = path.read_bytes()
    if b"<!ENTITY" in data or data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        raise ValueError("XML with entities or in UTF-16 is not read")
    try:
        document: Any = plistlib.loads(data, fmt=plistlib.FMT_XML)  # refuses entities by itself, too
        images = document["Images"]
        return [(_name(roi), _points(roi)) for image in images for roi in image["ROIs"]]
    except (ExpatError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        reason = shown(error) if known and "coordinate" in str(error) else "not a property list of regions"
        raise ValueError(reason) from None


def _name(roi: dict[str, Any]) -> str:
    return shown(str(roi["Name"]).strip() or "unnamed", length=40)


def _points(roi: dict[str, Any]) -> Outline:
    stated = roi["Point_px"]
    if not isinstance(stated, list) or len(stated) > MAX_POINTS:
        raise ValueError("an outline is a list of coordinates")
    points = []
    for point in stated:
        match = POINT.fullmatch(str(point).strip()[:100])
        if match is None:
            raise ValueError("a coordinate is no pair of numbers")
        points.append((number(match[1]), number(match[2])))
    return tuple(points)
