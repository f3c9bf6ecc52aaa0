"""`project convert --descriptors`: a project that exists asks for words, or no longer does."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from sqlalchemy.engine import Engine

from cli.__main__ import main
from cli.project.switching import switch_descriptors
from mammo.errors import InvalidRegion, LabelStudioError
from mammo.labelstudio.exam_config import exam_config
from mammo.readings import ReadingRecords, ReadingRules
from mammo.settings import Settings
from tests.fakes.label_studio import FakeLabelStudio
from tests.sites import site_of

BARE = exam_config(descriptors=False)


@pytest.fixture
def server() -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.projects[1] = {"id": 1, "title": "exams", "label_config": BARE}
    return server


def switch(server: FakeLabelStudio, *, on: bool, apply: bool, used: Any = ()) -> str:
    created = {f"{name}|RCC|choices": 2 for name in used}
    server.routes.append(
        ("GET", r"/api/projects/1/summary/", lambda body, params: {"created_annotations": created})
    )
    console = Console(record=True, width=300)
    switch_descriptors(1, on=on, apply=apply, site=site_of(label_studio=server.client()), console=console)
    return console.export_text()


def test_a_dry_run_names_the_controls_and_changes_nothing(server: FakeLabelStudio) -> None:
    output = switch(server, on=True, apply=False)
    assert "added: assessment, comment-LCC" in output
    assert "dry run" in output
    assert server.projects[1]["label_config"] == BARE


def test_applied_the_project_asks_and_asks_no_more(server: FakeLabelStudio) -> None:
    assert "its annotations are as they were" in switch(server, on=True, apply=True)
    assert server.projects[1]["label_config"] == exam_config()
    assert "nothing to change" in switch(server, on=True, apply=True)
    assert "taken away: assessment" in switch(server, on=False, apply=True, used=["outline-RCC"])
    assert server.projects[1]["label_config"] == BARE


def test_what_annotations_say_is_not_taken_away(server: FakeLabelStudio) -> None:
    switch(server, on=True, apply=True)
    server.routes.pop()
    with pytest.raises(InvalidRegion, match="say something with morphology-RCC") as error:
        switch(server, on=False, apply=True, used=["morphology-RCC"])
    assert error.value.code == "descriptors_used"
    assert server.projects[1]["label_config"] == exam_config()


def test_what_readers_of_a_double_reading_say_is_not_taken_away_either(
    server: FakeLabelStudio, engine: Engine
) -> None:
    switch(server, on=True, apply=True)
    records = ReadingRecords(engine)
    records.create(1, rules=ReadingRules(), users={})
    records.record_project(1, "reader-1", 1, 5)
    used = {"comment-LMLO|LMLO|textarea": 1}
    server.routes.append(
        ("GET", r"/api/projects/5/summary/", lambda body, params: {"created_annotations": used})
    )
    settings = Settings(database_url="sqlite:////nowhere/unused.db")
    site = site_of(settings, label_studio=server.client(), engine=engine)
    with pytest.raises(InvalidRegion, match="project 5 say something with comment-LMLO"):
        switch_descriptors(1, on=False, apply=True, site=site, console=Console())
    assert server.projects[1]["label_config"] == exam_config()


def test_without_knowing_what_annotations_say_nothing_is_taken_away(server: FakeLabelStudio) -> None:
    switch(server, on=True, apply=True)
    server.routes[-1] = ("GET", r"/api/projects/1/summary/", lambda body, params: {})
    site = site_of(label_studio=server.client())
    with pytest.raises(LabelStudioError, match="does not say which controls"):
        switch_descriptors(1, on=False, apply=True, site=site, console=Console())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "expected --exam, --descriptors"),
        (("--descriptors", "--show-year"), "without --exam only"),
        (("--exam", "--no-descriptors", "--config", __file__), "the file says"),
    ],
)
def test_a_call_without_a_meaning_is_refused(
    words: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["project", "convert", "1", *words])
    assert caught.value.code == 2
    assert reason in " ".join(capsys.readouterr().err.split())
