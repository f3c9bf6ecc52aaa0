"""Reads the findings on one mammogram from a report: TID 1500 or Mammography CAD SR, ours or another program's.

What a report states about a finding and we do not know (a code outside the words of BI-RADS, an ellipse) refuses the
report; further content is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.bi_rads import DISTRIBUTIONS, MORPHOLOGIES
from mammo.dicom.dataset import is_dicom, numbers, open_dataset, text
from mammo.dicom.limits import read_bytes
from mammo.dicom.reports import codes as words
from mammo.dicom.reports.mammography_cad import ALGORITHMS
from mammo.dicom.reports.report import MAX_FINDINGS, FindingsReport, ReportedFinding, Vertices
from mammo.dicom.results import NAME, Origin, Tracking
from mammo.dicom.source import uid_of
from mammo.errors import InvalidRegion, UnreadableImage, UnsupportedImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask, PixelBudget
from mammo.masks.polygons import polygon_mask

MAX_BYTES = 8 * 2**20
"""Maximum size of a report, in bytes."""

MAX_ITEMS = 50_000
"""Maximum number of sequence items; each becomes an object with its attributes."""

MAX_DEPTH = 16
"""Maximum depth of a content tree."""

ITEM = b"\xfe\xff\x00\xe0"
TAGS = ("SOPClassUID", "SOPInstanceUID", "ContentSequence", "PredecessorDocumentsSequence")
MEASUREMENTS = {uid.ComprehensiveSRStorage, uid.EnhancedSRStorage, uid.Comprehensive3DSRStorage}


class _Node:
    """A content item; its values are read tolerantly, because other programs wrote them."""

    def __init__(self, item: Dataset, *, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise UnreadableImage("the report nests its content too deeply", code="nesting")
        self.item = item
        self.depth = depth

    @property
    def children(self) -> Iterator[_Node]:
        for item in _sequence(self.item, "ContentSequence"):
            yield _Node(item, depth=self.depth + 1)

    def named(self, name: Code) -> Iterator[_Node]:
        """Yield the children with a concept name."""
        return (child for child in self.children if child.is_named(name))

    def first(self, name: Code) -> _Node | None:
        return next(self.named(name), None)

    def is_named(self, name: Code) -> bool:
        return any(_is(each, name) for each in _sequence(self.item, "ConceptNameCodeSequence"))

    @property
    def code(self) -> str:
        """The code value of a CODE item; empty for others."""
        return next((text(each, "CodeValue") for each in _sequence(self.item, "ConceptCodeSequence")), "")

    @property
    def number(self) -> float | None:
        for each in _sequence(self.item, "MeasuredValueSequence"):
            values = numbers(each, "NumericValue")
            return values[0] if len(values) == 1 else None
        return None

    def image(self, library: Sequence[str]) -> str | None:
        """The image of an IMAGE item, or of a reference to an item of the image library."""
        for each in _sequence(self.item, "ReferencedSOPSequence"):
            return uid_of(each, "ReferencedSOPInstanceUID")
        place = [int(each) for each in numbers(self.item, "ReferencedContentItemIdentifier")]
        index = place[2] - 1 if len(place) == 3 else -1
        return library[index] if 0 <= index < len(library) else None


def read_report(source: Path | bytes, *, image: str, size: Size) -> FindingsReport:
    """Read the findings on one mammogram from a structured report.

    Args:
        source: the report.
        image: SOPInstanceUID of the mammogram; findings on other images are skipped.
        size: of the mammogram, in pixels; outlines are clipped to it.

    Raises:
        UnreadableImage: the file is damaged or exceeds a limit.
        UnsupportedImage: the file is no measurement or Mammography CAD report (`wrong_sop_class`).
        InvalidRegion: a finding has no region, or says something that is not understood.
    """
    data = read_bytes(source, max_bytes=MAX_BYTES)
    if not is_dicom(data):
        raise UnsupportedImage("expected a DICOM structured report", code="not_dicom")
    if data.count(ITEM) > MAX_ITEMS:
        raise UnreadableImage(f"the report has more than {MAX_ITEMS} items", code="too_many_elements")
    dataset = open_dataset(data, max_bytes=MAX_BYTES, tags=TAGS)
    sop_class = text(dataset, "SOPClassUID")
    root = _Node(dataset)
    budget = PixelBudget()
    if sop_class == uid.MammographyCADSRStorage:
        kind = "cad"
        findings, origin = _cad(root, image, size, budget)
    elif sop_class in MEASUREMENTS:
        kind = "measurements"
        findings, origin = _measurements(root, image, size, budget)
    else:
        raise UnsupportedImage(
            "expected a measurement report (TID 1500) or a Mammography CAD SR", code="wrong_sop_class"
        )
    return FindingsReport(
        kind="cad" if kind == "cad" else "measurements",
        sop_instance_uid=uid_of(dataset, "SOPInstanceUID") or "",
        findings=tuple(findings),
        origin=origin,
        predecessors=tuple(_predecessors(dataset)),
    )


def _measurements(
    root: _Node, image: str, size: Size, budget: PixelBudget
) -> tuple[list[ReportedFinding], Origin]:
    """TID 1500: a measurement group per finding."""
    findings = []
    origin = _observer(root)
    for container in root.named(codes.DCM.ImagingMeasurements):
        for group in container.named(codes.DCM.MeasurementGroup):
            kind = group.first(codes.DCM.Finding)
            region = group.first(codes.DCM.ImageRegion)
            if kind is None or kind.code != words.CLUSTER.value:
                continue
            if region is None:
                raise InvalidRegion("a finding of the report has no image region on an image")
            if image not in [each.image(()) for each in region.children]:
                continue
            purpose = group.first(codes.DCM.GeometricPurposeOfRegion)
            is_box = purpose is not None and purpose.code == words.BOUNDED_BY.value
            site = group.first(codes.SCT.FindingSite)
            side = site.first(codes.SCT.Laterality) if site else None
            origin = _with_algorithm(origin, group)
            findings.append(
                _finding(
                    group,
                    _vertices(region),
                    size,
                    budget,
                    is_box=is_box,
                    tracked=_tracking(group),
                    laterality=_word(side, {code.value: key for key, code in words.LATERALITIES.items()}),
                    score=1.0,
                )
            )
            _check_number(findings)
    return findings, origin


def _cad(root: _Node, image: str, size: Size, budget: PixelBudget) -> tuple[list[ReportedFinding], Origin]:
    """TID 4000: Single Image Findings that are calcification clusters."""
    library: list[str] = []
    sides: list[str | None] = []
    for container in root.named(codes.DCM.ImageLibrary):
        for entry in container.children:
            library.append(entry.image(()) or "")
            sides.append(
                _word(
                    entry.first(codes.DCM.ImageLaterality),
                    {code.value: key for key, code in words.SIDES.items()},
                )
            )
    findings = []
    origin = Origin(made_by="automatic")
    for summary in root.named(codes.DCM.SummaryOfDetections):
        for detections in summary.named(codes.DCM.SuccessfulDetections):
            for detection in detections.children:
                if image in [child.image(library) for child in detection.children]:
                    origin = _with_algorithm(origin, detection)
    for node in _single_image_findings(root):
        centre, line = node.first(codes.DCM.Center), node.first(codes.DCM.Outline)
        shape = line or centre
        if shape is None or centre is None:
            raise InvalidRegion("a finding of the report has no centre")
        if image not in [each.image(library) for each in shape.children]:
            continue
        stated = node.first(codes.DCM.CertaintyOfFinding)
        score = stated.number if stated else None
        tracked = uid_of(node.item, "ObservationUID")
        findings.append(
            _finding(
                node,
                _vertices(shape),
                size,
                budget,
                is_box=False,
                tracked=Tracking(uid=tracked, identifier="") if tracked else None,
                laterality=sides[library.index(image)] if image in library else None,
                score=1.0 if score is None else min(max(score / 100, 0.0), 1.0),
            )
        )
        _check_number(findings)
    return findings, origin


def _single_image_findings(node: _Node) -> Iterator[_Node]:
    """Yield the clusters of a tree, wherever its impressions and composite features hold them."""
    for child in node.children:
        if child.is_named(codes.DCM.SingleImageFinding):
            if child.code == words.CLUSTER.value:
                yield child
        else:
            yield from _single_image_findings(child)


def _finding(
    node: _Node,
    vertices: Vertices,
    size: Size,
    budget: PixelBudget,
    *,
    is_box: bool,
    tracked: Tracking | None,
    laterality: str | None,
    score: float,
) -> ReportedFinding:
    box, mask = _extent(vertices, size, budget, is_box=is_box)
    comments = [text(each.item, "TextValue") for each in node.named(codes.DCM.Comment)]
    finding = Finding(
        label=CLUSTER,
        score=score,
        box=box,
        mask=mask,
        is_point=len(vertices) == 1,
        morphology=_morphology(node, comments),
        distribution=_descriptor(
            node.first(words.CALCIFICATION_DISTRIBUTION), words.READ_DISTRIBUTIONS, DISTRIBUTIONS
        ),
        suspicion=_suspicion(node, comments),
        comment="\n".join(comments),  # what the two above have left
        id=tracked.identifier if tracked else "",
    )
    count = _number(node, words.NUM_CALCIFICATIONS)
    return ReportedFinding(
        finding=finding,
        tracking=tracked,
        laterality=laterality,
        num_calcifications=None if count is None else round(count),
        longest_mm=_number(node, words.LONG_AXIS),
        width_mm=_number(node, words.WIDTH),
        height_mm=_number(node, words.HEIGHT),
    )


def _extent(vertices: Vertices, size: Size, budget: PixelBudget, *, is_box: bool) -> tuple[Box, Mask | None]:
    """Box and mask of a finding's region; a point is one pixel, and a bounding box has no mask."""
    if len(vertices) > 1 and not is_box:
        mask = polygon_mask(vertices, size=size, budget=budget)
        if mask is None:
            raise InvalidRegion("the outline of a finding of the report contains no pixel of its image")
        return mask.frame, mask
    (x0, y0), (x1, y1) = vertices.min(axis=0), vertices.max(axis=0)
    if len(vertices) == 1:
        x0, y0 = math.floor(x0), math.floor(y0)
        x1, y1 = x0 + 1, y0 + 1
    box = Box.around(float(x0), float(y0), float(x1), float(y1)).intersection(size.box)
    if box is None:
        raise InvalidRegion("a finding of the report lies outside its image")
    return box, None


def _vertices(region: _Node) -> Vertices:
    """N x 2 (x, y) of a polygon, or 1 x 2 of a point."""
    kind = text(region.item, "GraphicType")
    values = region.item.get("GraphicData") or ()
    points = np.array(values, np.float64).ravel()
    expected = {"POINT": len(points) == 2, "POLYLINE": len(points) >= 8 and len(points) % 2 == 0}
    if not expected.get(kind) or not np.isfinite(points).all() or np.abs(points).max() > 2**20:
        raise InvalidRegion("expected a finding's region as a POINT or a closed POLYLINE on the image")
    vertices = points.reshape(-1, 2)
    if kind == "POLYLINE" and not (vertices[0] == vertices[-1]).all():
        raise InvalidRegion("the outline of a finding of the report is not closed")
    return vertices


def _morphology(node: _Node, comments: list[str]) -> str | None:
    """Return the morphology of a finding, and take it from the comments where it has no code."""
    if (coded := node.first(words.CALCIFICATION_TYPE)) is not None:
        return _descriptor(coded, words.READ_MORPHOLOGIES, MORPHOLOGIES)
    return words.taken(comments, words.UNCODED)


def _suspicion(node: _Node, comments: list[str]) -> str | None:
    """Return the category of a finding, and take its subdivision from the comments; None for one that is no word."""
    if (category := node.first(words.ASSESSMENT_CATEGORY)) and category.code == words.CATEGORY_4.value:
        return words.taken(comments, words.SUSPICION_TEXTS)
    return _word(category, words.READ_SUSPICIONS)


def _descriptor(node: _Node | None, known: dict[str, str], allowed: Sequence[str]) -> str | None:
    if node is None:
        return None
    word = known.get(node.code)
    if word not in allowed:
        raise InvalidRegion(
            f"the report describes calcifications by the code {node.code[:16]!r}, which is no word of BI-RADS here",
            code="unknown_descriptor",
        )
    return word


def _word(node: _Node | None, known: dict[str, str]) -> str | None:
    return known.get(node.code) if node else None


def _number(node: _Node, name: Code) -> float | None:
    child = node.first(name)
    return child.number if child else None


def _tracking(node: _Node) -> Tracking | None:
    by_uid, by_name = (
        node.first(codes.DCM.TrackingUniqueIdentifier),
        node.first(codes.DCM.TrackingIdentifier),
    )
    value = uid_of(by_uid.item, "UID") if by_uid else None
    return (
        value and Tracking(uid=value, identifier=text(by_name.item, "TextValue") if by_name else "")
    ) or None


def _observer(root: _Node) -> Origin:
    person = root.first(codes.DCM.PersonObserverName)
    device = root.first(codes.DCM.DeviceObserverUID)
    name = text(person.item, "PersonName").rstrip("^") if person else ""
    if person is None:
        return Origin(made_by="automatic")
    return Origin(made_by="semiautomatic" if device else "manual", person=name)


def _with_algorithm(origin: Origin, node: _Node) -> Origin:
    """The origin with the algorithm that an item names."""
    name, version = node.first(codes.DCM.AlgorithmName), node.first(codes.DCM.AlgorithmVersion)
    if name is None:
        return origin
    said = text(name.item, "TextValue")
    made_by = origin.made_by
    for kind, form in ALGORITHMS.items():
        stem = form.removeprefix("{name}")
        if stem and said.endswith(stem):
            made_by, said = kind, said.removesuffix(stem)
    parameters = [text(each.item, "TextValue") for each in node.named(codes.DCM.AlgorithmParameters)]
    prefix = "weights SHA-256: "
    return Origin(
        made_by=made_by,
        name=said or NAME,
        version=text(version.item, "TextValue") if version else "none",
        weights=tuple(each.removeprefix(prefix) for each in parameters if each.startswith(prefix)),
        person=origin.person,
    )


def _predecessors(dataset: Dataset) -> Iterator[str]:
    for study in _sequence(dataset, "PredecessorDocumentsSequence"):
        for series in _sequence(study, "ReferencedSeriesSequence"):
            for each in _sequence(series, "ReferencedSOPSequence"):
                if (value := uid_of(each, "ReferencedSOPInstanceUID")) is not None:
                    yield value


def _check_number(findings: Sequence[ReportedFinding]) -> None:
    if len(findings) > MAX_FINDINGS:
        raise UnreadableImage(
            f"the report has more than {MAX_FINDINGS} findings on an image", code="too_large"
        )


def _is(item: Dataset, code: Code) -> bool:
    return (text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) == (
        code.value,
        code.scheme_designator,
    )


def _sequence(item: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none when it is missing."""
    try:
        return list(item.get(keyword) or ())
    except Exception:  # see the docstring of mammo.dicom.dataset
        raise UnreadableImage("the report is damaged and cannot be parsed", code="parse") from None
