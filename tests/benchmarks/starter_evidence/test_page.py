from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.starter_evidence.images import Images
from benchmarks.starter_evidence.page import BEGIN, END, MAX_COLUMNS, MeasuredImages, write_page
from tests.training.evaluation.scored_images import ALL, evaluated, measured, scored
from training.evaluation.image_report import MeasuredDetector


def images(*names: str, few: bool = False) -> MeasuredImages:
    """The made-up images as a set of the evidence, with one detector."""
    about = "Images that were made up for a test, so that every figure can be counted by hand, which is long enough."
    known = evaluated(*names, on_normals=not few)
    figures = measured(*names, on_normals=not few)
    detector = MeasuredDetector(name="model", sha256="ab", scored=scored(*names), figures=figures)
    files = {f"{name}.png": "cd" for name in names}
    return MeasuredImages(
        Images(title="Made up", about=about, evaluated=known, files=files, few=few), [detector]
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(f"# Evidence\n\n{BEGIN}\nold figures\n{END}\n\nAfter them.\n")
    return path


def test_new_figures_replace_the_old_ones_and_nothing_else(page: Path) -> None:
    write_page(page, [images(*ALL)], facts={"measured": "today"})
    first = page.read_text()
    write_page(page, [images(*ALL)], facts={"measured": "today"})
    assert page.read_text() == first
    assert first.startswith(f"# Evidence\n\n{BEGIN}\n\n* measured: today\n\n### Made up\n")
    assert first.endswith(f"\n\n{END}\n\nAfter them.\n")
    assert "old figures" not in first
    assert "| model | 0.5 | 0.667 (" in first
    assert "seconds per image" not in first
    assert [line for line in first.splitlines() if len(line) > MAX_COLUMNS and line[0] != "|"] == []


def test_figures_are_written_for_programs_too_with_the_files_they_are_of(page: Path) -> None:
    assert write_page(page, [images(*ALL)], facts={}) == [page, page.with_suffix(".json")]
    (made_up,) = json.loads(page.with_suffix(".json").read_text())["sets"].values()
    assert made_up["files"] == {f"{name}.png": "cd" for name in ALL}
    assert made_up["figures"]["model"]["false_positives"]["value"] == 0.5


def test_of_few_lesions_each_has_its_score(page: Path) -> None:
    write_page(page, [images("large", "marked", few=True)], facts={})
    text = page.read_text()
    # 12 and 5 mm: a box on each; beside them .7 on the marked image, the others are below the operating point.
    assert "| model | 0.5 | 0.60 | 0.30 | 0.50 |" in text
    assert "(FROC)" not in text
