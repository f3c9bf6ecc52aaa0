"""`yolo-mlsam words`: what was measured is shown, on is refused without it, and off is the default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.site import Site
from tests.mammo.words.heads import content
from tests.training.words.test_rule import examples, fitted


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["words", *arguments], env={"COLUMNS": "200"})


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    with Site.load(creates=True) as site:
        assert site.word_head(3) is None


def keep(head: dict[str, Any]) -> None:
    with Site.load() as site:
        site.word_heads.keep(head)


def test_a_project_without_a_head_is_told_how_to_get_one() -> None:
    assert "words fit --project 3" in call("show", "--project", "3").output


def test_the_figures_the_confusion_matrix_and_a_sentence_per_word_are_shown() -> None:
    measured = fitted(examples(patients=100))
    keep(content() | {"descriptors": {"distribution": measured}, "left_out": {"it is odd": 2}})
    shown = call("show", "--project", "3").output
    for text in (
        "80 held-out findings of 40 patients, accuracy 1.000 (1.000-1.000)",
        "the bar is 0.90",
        "distribution: is \\ said",
        "grouped: may be proposed",
        "left out: 2 described findings, it is odd",
        "off: the model proposes no words",
    ):
        assert text in shown
    listed = json.loads(call("show", "--project", "3", "--json").output)
    assert listed["descriptors"]["distribution"] == measured
    assert listed["on"] is None


def test_on_and_off_say_what_changes_and_on_is_refused_without_a_word() -> None:
    keep(content(proposed=False))
    refused = call("on", "--project", "3", "--reason", "please")
    assert refused.exit_code != 0
    assert "may propose no word yet" in str(refused.exception)
    keep(content())
    on = call("on", "--project", "3", "--reason", "measured")
    assert "project 3: the model proposes grouped, linear" in on.output, on.exception
    assert "this head proposes" in call("show", "--project", "3").output
    off = call("off", "--project", "3", "--reason", "enough")
    assert "proposes no words any more" in off.output, off.exception
