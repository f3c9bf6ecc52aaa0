"""Content items of a structured report (PS3.3 C.17.3), as pydicom data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

HAS_CONCEPT_MOD, CONTAINS, HAS_PROPERTIES = "HAS CONCEPT MOD", "CONTAINS", "HAS PROPERTIES"
INFERRED_FROM, SELECTED_FROM, HAS_ACQ_CONTEXT = "INFERRED FROM", "SELECTED FROM", "HAS ACQ CONTEXT"
"""Relationships of an item with its parent."""


def coded(code: Code) -> Dataset:
    """Return a code as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
    item.CodeMeaning = code.meaning.replace(
        "\u200b", ""
    )  # pydicom's dictionary has line breaks of a web page
    return item


def container(name: Code, children: Iterable[Dataset], *, relationship: str | None = CONTAINS) -> Dataset:
    """Return a container of further items; without a relationship, the root of a document."""
    item = _item("CONTAINER", name, relationship, children)
    item.ContinuityOfContent = "SEPARATE"
    return item


def code(name: Code, value: Code, *, relationship: str, children: Iterable[Dataset] = ()) -> Dataset:
    """Return an item whose value is a code."""
    item = _item("CODE", name, relationship, children)
    item.ConceptCodeSequence = [coded(value)]
    return item


def text(name: Code, value: str, *, relationship: str) -> Dataset:
    """Return an item whose value is text."""
    item = _item("TEXT", name, relationship)
    item.TextValue = value
    return item


def date(name: Code, value: str, *, relationship: str) -> Dataset:
    """Return an item whose value is a date, YYYYMMDD."""
    item = _item("DATE", name, relationship)
    item.Date = value
    return item


def number(name: Code, value: float, unit: Code, *, relationship: str) -> Dataset:
    """Return an item whose value is a number with a unit."""
    item = _item("NUM", name, relationship)
    measured = Dataset()
    measured.NumericValue = format_number_as_ds(float(value))
    measured.MeasurementUnitsCodeSequence = [coded(unit)]
    item.MeasuredValueSequence = [measured]
    return item


def image(referenced: Dataset, *, relationship: str, children: Iterable[Dataset] = ()) -> Dataset:
    """Return an item that refers to an image."""
    item = _item("IMAGE", None, relationship, children)
    item.ReferencedSOPSequence = [reference(referenced)]
    return item


def coordinates(
    name: Code, graphic_type: str, values: Iterable[float], *, relationship: str, children: Iterable[Dataset]
) -> Dataset:
    """Return an item that is a point or a line on an image: x, y, x, y, … in the continuous pixel frame."""
    item = _item("SCOORD", name, relationship, children)
    item.GraphicType, item.GraphicData = graphic_type, list(values)
    return item


def by_reference(path: Sequence[int], *, relationship: str) -> Dataset:
    """Return a relationship with another item of the document, given by its place: the root is 1."""
    item = Dataset()
    item.RelationshipType, item.ReferencedContentItemIdentifier = relationship, list(path)
    return item


def reference(referenced: Dataset) -> Dataset:
    """Return a reference to an object."""
    item = Dataset()
    item.ReferencedSOPClassUID = referenced.SOPClassUID
    item.ReferencedSOPInstanceUID = referenced.SOPInstanceUID
    return item


def series_references(referenced: Iterable[Dataset]) -> list[Dataset]:
    """Return references to objects by study and series (the hierarchical macro of PS3.3 C.17.2.1)."""
    studies: dict[UID, dict[UID, list[Dataset]]] = {}
    for each in referenced:
        studies.setdefault(each.StudyInstanceUID, {}).setdefault(each.SeriesInstanceUID, []).append(each)
    items = []
    for study, by_series in studies.items():
        item = Dataset()
        item.StudyInstanceUID = study
        item.ReferencedSeriesSequence = []
        for series, objects in by_series.items():
            inner = Dataset()
            inner.SeriesInstanceUID = series
            inner.ReferencedSOPSequence = [reference(each) for each in objects]
            item.ReferencedSeriesSequence.append(inner)
        items.append(item)
    return items


def _item(
    kind: str, name: Code | None, relationship: str | None, children: Iterable[Dataset] = ()
) -> Dataset:
    item = Dataset()
    if relationship is not None:
        item.RelationshipType = relationship
    item.ValueType = kind
    if name is not None:
        item.ConceptNameCodeSequence = [coded(name)]
    if content := list(children):
        item.ContentSequence = content
    return item
