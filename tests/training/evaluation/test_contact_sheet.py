from __future__ import annotations

from pathlib import Path

from tests.training.evaluation.scored_images import ALL, at, evaluated, scored
from training.evaluation.contact_sheet import COLUMNS, examples, write_contact_sheet
from training.evaluation.detector import ScoredImage


def test_a_contact_sheet_has_rows_of_hits_misses_and_false_positives(tmp_path: Path) -> None:
    images = evaluated(*ALL, on_normals=True)
    rows = examples(scored(*ALL), images, threshold=0.5)
    captions = {label.partition("\n")[0]: [each.caption for each in row] for label, row in rows.items()}
    assert captions == {
        "hits": ["2.0 mm, best score 0.90", "12.0 mm, best score 0.60"],
        "misses": ["5.0 mm, best score 0.30"],
        "false positives": ["score 0.70"],  # the one on a positive image is not shown
    }
    write_contact_sheet(rows, images, tmp_path / "sheet.png", title="m0001", threshold=0.5)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_shows_the_worst_false_positives_and_hits_of_every_score() -> None:
    many = ScoredImage(
        image="clean",
        patient="p",
        truth=(),
        uncertain=(),
        detections=tuple(at(5 * number, 0, 0.5 + number / 100) for number in range(20)),
        seconds=1.0,
    )
    rows = examples([many], evaluated("clean", on_normals=True), threshold=0.5)
    hits, misses, false = rows.values()
    assert not hits
    assert not misses
    assert [each.caption for each in false] == [f"score 0.{69 - number}" for number in range(COLUMNS)]
