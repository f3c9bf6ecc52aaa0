"""Model cards as documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backend.card_document import card_document, never_tested
from backend.model_cards import ModelCard
from mammo.models.learned_from import FoldCounts, LearnedFrom
from mammo.verdicts.record import Model
from tests.mammo.verdicts.records import found, image, lesion, record


def card(version: str = "m0002-a", *, verdict: Any = None, **manifest: Any) -> ModelCard:
    return ModelCard(version=version, manifest=manifest, aliases=(), verdict=verdict or {}, problems=())


def rows(document: Any, title: str) -> dict[str, str]:
    (section,) = [each for each in document.sections if each.title == title]
    return dict(section.rows)


def judged() -> Any:
    hit = (found(10, 10, lesion=0, dice=0.8),)
    images = (
        image(sha256="1" * 64, lesions=(lesion(10, 10),), champion=hit, challenger=hit),
        image(sha256="2" * 64, patient="p2", view="RCC", champion=hit[:0]),
    )
    challenger = Model(version="m0002-a", threshold=0.4, curve=None)
    return record(*images, challenger=challenger)


def test_a_card_says_what_its_own_operating_point_finds_with_an_interval() -> None:
    kept = judged()
    own = card(verdict={"verdict": kept.verdict, "champion": "old"}, parent="starter", licence="AGPL-3.0")
    document = card_document(own, root=card("starter", licence="Apache-2.0"), learned=None, record=kept)
    figures = rows(document, "Figures")
    assert figures["found at its operating point"] == "1.000 (1.000 to 1.000)"
    assert figures["gate: score against old"] == "+0.100 (-0.100 to +0.300)"
    assert rows(document, "Licence") == {
        "this version": "AGPL-3.0",
        "base weights, starter": "Apache-2.0",
    }


def test_a_card_names_what_its_held_out_images_do_not_have() -> None:
    untested = " ".join(never_tested(None, judged()))
    assert "below 5 mm" in untested
    assert "from 20 mm" in untested
    assert "without a cluster" not in untested, "one held-out image has none"
    assert never_tested(None, None)[0].startswith("patients of this site")


def test_readers_have_pseudonyms_unless_names_are_given() -> None:
    counts = FoldCounts(
        fold="train",
        patients=2,
        images=5,
        findings=3,
        readers=(("r-1", 3), ("r-2", 2)),
        views=(),
        density=(),
        spacing_mm=(),
    )
    folds = tuple(replace(counts, fold=fold) for fold in ("train", "validation", "test"))
    learned = LearnedFrom(dataset_version="d1", project=3, folds=folds, excluded=0)
    document = card_document(card(), root=card(), learned=learned, record=None)
    assert rows(document, "Data")["corrected by"] == "r-1 (3 images), r-2 (2 images)"
    named = document.with_names({"r-1": "Ada Reader"})
    assert rows(named, "Data")["corrected by"] == "Ada Reader (3 images), r-2 (2 images)"
    assert "Ada" not in document.to_markdown()


def test_a_version_that_no_gate_has_judged_says_so() -> None:
    document = card_document(card(), root=card(), learned=None, record=None)
    (figures,) = [each for each in document.sections if each.title == "Figures"]
    assert "No gate has judged it" in figures.sentences[0]


def test_what_others_wrote_is_no_markdown() -> None:
    own = card(recipe="finetune", reason="a|b <script> [x](javascript:1)\n# Title")
    text = card_document(own, root=own, learned=None, record=None).to_markdown()
    line = next(each for each in text.splitlines() if "asked for because" in each)
    assert line.count("|") - line.count("\\|") == 3, "two cells"
    assert "\\<script\\>" in line
    assert "\n# Title" not in text
