from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mammo.dicom.reports.reading import MAX_ITEMS, read_report
from mammo.errors import InvalidRegion, MammoError, UnreadableImage
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.dicom.reports.documents import SIZE, finding, instance, read, write

IMAGE = instance(mammogram_file())


def edited(path: Path, edit: Callable[[Any], None], keyword: str) -> Path:
    """Change the items that have a keyword."""

    def walk(item: Dataset) -> None:
        if keyword in item:
            edit(item)
        for child in item.get("ContentSequence") or ():
            walk(child)

    dataset = pydicom.dcmread(path)
    walk(dataset)
    dataset.save_as(path)
    return path


def _ellipse(item: Dataset) -> None:
    item.GraphicType = "ELLIPSE"


def _open(item: Dataset) -> None:
    item.GraphicData = item.GraphicData[:-2]


def _unknown_code(item: Dataset) -> None:
    if item.ConceptNameCodeSequence[0].CodeValue == "111009":
        item.ConceptCodeSequence[0].CodeValue = "44771000"


@pytest.mark.parametrize("kind", ["measurements", "cad"])
@pytest.mark.parametrize(
    ("edit", "keyword", "reason"),
    [
        (_ellipse, "GraphicType", "POLYLINE"),
        (_open, "GraphicData", "closed|POINT"),
        (_unknown_code, "ConceptCodeSequence", "no word of BI-RADS"),
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, kind: str, edit: Callable[[Any], None], keyword: str, reason: str
) -> None:
    path = write(tmp_path / "a.dcm", kind, finding(morphology="amorphous"))
    with pytest.raises(InvalidRegion, match=reason):
        read(edited(path, edit, keyword))


def test_findings_on_another_image_are_none_of_this_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "measurements", finding())
    assert read_report(path, image="1.2.3", size=SIZE).findings == ()


def test_a_benign_kind_by_another_program_is_that_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "cad", finding(morphology="amorphous"))

    def vascular(item: Dataset) -> None:
        if item.ConceptCodeSequence[0].CodeValue == "129760005":
            item.ConceptCodeSequence[0].CodeValue = "129759000"

    (back,) = read(edited(path, vascular, "ConceptCodeSequence")).findings
    assert back.finding.morphology == "vascular"


def test_a_category_without_its_subdivision_is_no_word_here(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "measurements", finding(suspicion="4A"))

    def nothing(item: Dataset) -> None:
        item.TextValue = "seen by two"

    (back,) = read(edited(path, nothing, "TextValue")).findings
    assert (back.finding.suspicion, back.finding.comment) == (None, "seen by two")


@pytest.mark.parametrize(
    "options",
    [
        {"comment": "round"},
        {"suspicion": "3", "comment": "BI-RADS 4C"},
        {"morphology": "amorphous", "suspicion": "4A", "comment": "BI-RADS 4B"},
        {"morphology": "rim", "comment": "typically benign"},
        {"morphology": "typically benign", "suspicion": "4C", "comment": "as in 2019"},
    ],
)
def test_a_comment_that_reads_like_a_word_is_a_comment(tmp_path: Path, options: dict[str, str]) -> None:
    written = finding(**options)
    (back,) = read(write(tmp_path / "a.dcm", "measurements", written)).findings
    assert (back.finding.descriptors, back.finding.comment) == (written.descriptors, written.comment)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_report_is_refused_or_read_and_never_raises_anything_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    sound = tmp_path / "sound.dcm"
    if not sound.exists():
        write(sound, "measurements", finding(morphology="amorphous"))
    content = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(132, len(content) - 1)) :]
    with contextlib.suppress(MammoError):
        read_report(bytes(content), image=IMAGE, size=SIZE)


@example(b"\xfe\xff\x00\xe0\0\0\0\0" * (MAX_ITEMS + 1))
@settings(max_examples=15)
@given(st.binary(max_size=64))
def test_bytes_that_are_no_report_are_refused(tail: bytes) -> None:
    for data in (tail, mammogram_file() + tail):
        with pytest.raises(UnreadableImage):
            read_report(data, image=IMAGE, size=SIZE)
