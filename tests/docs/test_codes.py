"""The page of DICOM results states the codes that are written."""

from __future__ import annotations

from pathlib import Path

from mammo.dicom.reports import codes

PAGE = Path(__file__).parents[2] / "docs/dicom-results.md"


def test_the_page_names_the_code_of_every_word() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    for word, code in (codes.MORPHOLOGIES | codes.DISTRIBUTIONS).items():
        (row,) = (each for each in rows if each.startswith(f"| {word} |"))
        assert f"| {code.value}, {code.scheme_designator}" in row
    for code in (
        codes.CLUSTER,
        codes.LONG_AXIS,
        codes.WIDTH,
        codes.HEIGHT,
        codes.NUM_CALCIFICATIONS,
        codes.BOUNDED_BY,
    ):
        assert code.value in PAGE.read_text()
