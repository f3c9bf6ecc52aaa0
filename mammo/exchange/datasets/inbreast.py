"""INbreast (Moreira et al. 2012): full-field DICOM, and outlines by OsiriX as XML property lists.

    [INbreast Release 1.0/]AllDICOMs/<image>_<patient>_MG_<L|R>_<CC|ML>_ANON.dcm
    [INbreast Release 1.0/]AllXML/<image>.xml           none for a normal image

Outlines named `Cluster` are findings. Masses and single calcifications beside clusters are only counted. An image is
refused if it has calcifications but no outlined cluster, because it shows neither a cluster nor a breast without
calcifications; if a region has another name; and if its list of regions is empty or named differently from the image.
`ML` in a file name is the data set's abbreviation of MLO.
"""

from __future__ import annotations

import os
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
    listing,
    number,
    repeated,
)
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.input_files import read_input
from mammo.masks import PixelBudget
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
"""Names of regions that are not calcifications, as the release spells them."""

MAX_XML = 64 * 2**20
"""Maximum size of an XML file, in bytes."""

MAX_POINTS = 20_000
"""Maximum number of vertices of an outline."""

Outline = tuple[tuple[float, float], ...]


def read_inbreast(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every DICOM file with its clusters."""
    images = first_folder(options.folder, "AllDICOMs")
    outlines = first_folder(options.folder, "AllXML")
    if images is None or outlines is None:
        raise invalid("expected the folders AllDICOMs and AllXML")
    try:
        files, lists_of_regions = listing(images), listing(outlines)
    except ValueError as error:
        raise invalid(str(error)) from None
    duplicates = repeated(match[1] for file in files if (match := FILE.fullmatch(file.name)))
    lists = {path.name for path in lists_of_regions if not os.path.isdir(path)}
    if not any(name.lower().endswith(".xml") for name in lists):
        raise invalid(
            "the folder AllXML contains no XML file, so every image would be read as normal; add the files"
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
            if match[1] in duplicates:
                raise ValueError(f"several files have the image number {match[1]}")
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
    budget = PixelBudget()
    for index, points in enumerate(clusters, start=1):
        if len(points) < 3:
            raise ValueError("a cluster has an outline of fewer than three points")
        mask = polygon_mask(np.array(points, np.float64), size=size, budget=budget)
        if mask is None:
            raise ValueError("a cluster lies outside the image")
        findings.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"roi-{index}"))
    return findings


def _require_unambiguous(names: list[str]) -> None:
    """Refuse names of regions from which it is unclear whether there is a cluster.

    Raises:
        ValueError: a name is unknown, or there are calcifications without a cluster.
    """
    names_present = {name.lower() for name in names}
    unknown = names_present - OTHER_NAMES - {*CLUSTER_NAMES, *SINGLE_NAMES}
    if unknown:
        raise ValueError(f"a region is named {min(unknown)!r}, which may or may not mean a cluster")
    if names_present & set(SINGLE_NAMES) and not names_present & set(CLUSTER_NAMES):
        raise ValueError("it has calcifications, but no outlined cluster")


def _rois(path: Path, lists: set[str]) -> list[tuple[str, Outline]]:
    """Return the names and outlines of the regions of one image; empty without a file.

    Args:
        path: the list of regions.
        lists: names of all files in the folder.

    Raises:
        ValueError: the file cannot be opened, is not a property list of regions, declares entities, is empty, or exists
            under another name.
    """
    if path.name not in lists:
        similar = sorted(name for name in lists if name.lower().partition(".")[0].split(" ")[0] == path.stem)
        if similar:
            raise ValueError(
                f"expected its list of regions to be named {path.name}, got {printable(similar[0])}"
            )
        return []
    try:
        data = read_input(path, max_bytes=MAX_XML)
    except OSError as error:
        raise ValueError(f"its list of regions cannot be opened: {error.strerror}") from None
    if b"<!ENTITY" in data or data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        raise ValueError(
            "XML with entities or in UTF-16 is not supported; store it as UTF-8 without entities"
        )
    try:
        document: Any = plistlib.loads(data, fmt=plistlib.FMT_XML)  # Refuses entities as well.
        images = document["Images"]
        rois = [(_name(roi), _points(roi)) for image in images for roi in image["ROIs"]]
    except (ExpatError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        is_ours = isinstance(error, ValueError) and "coordinate" in str(error)
        raise ValueError(printable(error) if is_ours else "it is not a property list of regions") from None
    if not rois:
        raise ValueError("its list of regions is empty: a normal image has none")
    return rois


def _name(roi: dict[str, Any]) -> str:
    return printable(str(roi["Name"]).strip() or "unnamed", length=40)


def _points(roi: dict[str, Any]) -> Outline:
    stated = roi["Point_px"]
    if not isinstance(stated, list) or len(stated) > MAX_POINTS:
        raise ValueError(f"expected an outline to be a list of at most {MAX_POINTS} coordinates")
    points = []
    for point in stated:
        match = POINT.fullmatch(str(point).strip()[:100])
        if match is None:
            raise ValueError("expected every coordinate of an outline to be a pair of numbers")
        points.append((number(match[1]), number(match[2])))
    return tuple(points)
