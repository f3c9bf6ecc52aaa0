"""INbreast (Moreira et al. 2012): full-field DICOM, and outlines drawn in OsiriX as XML property lists.

    [INbreast Release 1.0/]AllDICOMs/<image>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm
    [INbreast Release 1.0/]AllXML/<image>.xml           none for a normal image

Outlines named `Cluster` come in; masses and the like are counted only, and so are the single calcifications beside
clusters. Calcifications that nobody outlined as a cluster are neither an example of one nor of none: such an image is
left out. So is one with a region of another name, or whose list of regions is empty or has another name than its image.
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

from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    first_folder,
    invalid,
    number,
    repeated,
)
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks.polygons import polygon_mask
from mammo.printable import printable

FILE = re.compile(r"(\d{1,20})_([0-9a-fA-F]{1,64})_MG_([LR])_(CC|MLO?)_ANON\.dcm")
POINT = re.compile(r"\(\s*([-+.\deE]{1,40})\s*,\s*([-+.\deE]{1,40})\s*\)")
CLUSTER_NAMES = ("cluster",)
SINGLE_NAMES = ("calcification", "calcifications")
OTHER_NAMES = frozenset(
    {
        "mass", "asymmetry", "assymetry", "asymetry", "distortion", "architectural distortion",
        "spiculated region", "espiculated region", "spiculated", "axillary adenopathy",
    }
)  # fmt: skip
"""No calcifications, in the spellings of the release."""
MAX_XML = 64 * 2**20
MAX_POINTS = 20_000
Outline = tuple[tuple[float, float], ...]


def read_inbreast(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every DICOM file, with its clusters."""
    images = first_folder(options.folder, "AllDICOMs")
    outlines = first_folder(options.folder, "AllXML")
    if images is None or outlines is None:
        raise invalid("expected the folders AllDICOMs and AllXML")
    files = sorted(images.iterdir())
    twice = repeated(match[1] for file in files if (match := FILE.fullmatch(file.name)))
    lists = {path.name for path in outlines.iterdir() if path.is_file()}
    if not any(name.lower().endswith(".xml") for name in lists):
        raise invalid(
            "the folder AllXML holds no list of regions: without them every image would pass for a normal one"
        )
    for file in files:
        match = FILE.fullmatch(file.name)
        if match is None:
            if file.suffix.lower() == ".dcm":
                yield Refusal(
                    printable(file.name), "its name is not <image>_<patient>_MG_<side>_<view>_ANON.dcm"
                )
            continue
        try:
            if match[1] in twice:
                raise ValueError(f"several files are image {match[1]}")
            rois = _rois(outlines / f"{match[1]}.xml", lists)
            _require_unambiguous([name for name, _ in rois])
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


def _require_unambiguous(names: list[str]) -> None:
    """
    Raises:
        ValueError: the regions say neither that there is a cluster nor that there is none.
    """
    known = {name.lower() for name in names}
    odd = known - OTHER_NAMES - {*CLUSTER_NAMES, *SINGLE_NAMES}
    if odd:
        raise ValueError(f"a region is called {min(odd)!r}, which may or may not be a cluster")
    if known & set(SINGLE_NAMES) and not known & set(CLUSTER_NAMES):
        raise ValueError(
            "calcifications, and nobody outlined a cluster: neither an example of one nor of none"
        )


def _rois(path: Path, lists: set[str]) -> list[tuple[str, Outline]]:
    """Names and points of the regions of one image; none without a file.

    Args:
        lists: names of all files of the folder.

    Raises:
        ValueError: no such property list; one that declares entities, or is empty, or is there under another name.
    """
    if path.name not in lists:
        near = sorted(name for name in lists if name.lower().partition(".")[0].split(" ")[0] == path.stem)
        if near:
            raise ValueError(f"its list of regions is called {printable(near[0])}, expected {path.name}")
        return []
    if path.stat().st_size > MAX_XML:
        raise ValueError(f"more than {MAX_XML} bytes of XML")
    data = path.read_bytes()
    if b"<!ENTITY" in data or data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        raise ValueError("XML with entities or in UTF-16 is not read")
    try:
        document: Any = plistlib.loads(data, fmt=plistlib.FMT_XML)  # refuses entities by itself, too
        images = document["Images"]
        rois = [(_name(roi), _points(roi)) for image in images for roi in image["ROIs"]]
    except (ExpatError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        reason = (
            printable(error) if known and "coordinate" in str(error) else "not a property list of regions"
        )
        raise ValueError(reason) from None
    if not rois:
        raise ValueError("its list of regions is empty: a normal image has none")
    return rois


def _name(roi: dict[str, Any]) -> str:
    return printable(str(roi["Name"]).strip() or "unnamed", length=40)


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
