from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.__main__ import main
from cli.project.converting import ConvertOptions, convert_project
from mammo.errors import InvalidRegion, InvalidSettings
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.importing import import_mammogram
from mammo.labelstudio import labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.settings import Settings
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.exchange.conversion.test_merging import annotation, regions
from tests.mammo.exchange.exam_files import exam_files
from tests.mammo.exchange.import_files import SECRET
from tests.sites import site_of


class Store:
    """A store in which some annotations are automatic."""

    def __init__(self, *automatic: int) -> None:
        self.automatic = automatic

    def close(self) -> None:
        pass

    def corrections(self, project: int) -> list[Any]:
        class Row:
            automatic = True

            def __init__(self, number: int) -> None:
                self.annotation_id = number

        return [Row(number) for number in self.automatic]


@pytest.fixture
def server(tmp_path: Path) -> FakeLabelStudio:
    """Project 1 with the four one-image tasks of a patient."""
    server, root = FakeLabelStudio(), tmp_path / "root"
    server.projects[1] = {"id": 1, "title": "images", "label_config": labeling_config()}
    server.add_tasks(
        1,
        *(
            import_mammogram(each, root=root, files=tmp_path, patient_secret=SECRET)
            for each in exam_files(root)
        ),
    )
    return server


def convert(server: FakeLabelStudio, root: Path, *, automatic: Any = (), **options: Any) -> tuple[int, str]:
    console = Console(record=True, width=300)
    settings = Settings.load(mammogram_root=root, patient_secret=SECRET.decode())
    reconciled: list[int] = []
    site = site_of(settings, label_studio=server.client(), store=Store(*automatic))
    site.__dict__["reconcile"] = lambda project, complete: reconciled.append(project)
    code = convert_project(ConvertOptions(project=1, **options), site=site, console=console)
    assert len(reconciled) == (2 if options.get("apply") else 0), "the old project, then the new one"
    return code, console.export_text()


def test_a_dry_run_says_what_would_be_made_and_changes_nothing(
    server: FakeLabelStudio, tmp_path: Path
) -> None:
    for number, task in enumerate(server.tasks):
        task["annotations"] = [annotation(1, regions()) | {"id": number}]
    code, output = convert(server, tmp_path / "root")
    assert code == 0
    assert "1 exams of 1 patients, with 4 images, 1 annotations and 0 predictions" in output
    assert "dry run: nothing was changed. --apply makes the project 'images (exams)'" in output
    assert {request.method for request in server.log} == {"GET"}


def test_applied_it_makes_a_project_of_exams_once(server: FakeLabelStudio, tmp_path: Path) -> None:
    server.storages.append({"id": 1, "path": "/served", "project": 1})
    for _ in range(2):
        assert convert(server, tmp_path / "root", apply=True)[0] == 0
    assert [row["title"] for row in server.projects.values()] == ["images", "images (exams)"]
    assert server.projects[2]["label_config"] == exam_config()
    assert "Four views" in server.projects[2]["expert_instruction"]
    (task,) = [row for row in server.tasks if row["project"] == 2]
    assert all(task["data"][view.key] for view in EXAM_VIEWS)


def test_what_stays_behind_is_told_with_its_task(server: FakeLabelStudio, tmp_path: Path) -> None:
    server.tasks[2]["annotations"] = [annotation(1)]
    code, output = convert(server, tmp_path / "root")
    assert code == 2
    assert "not moved: the exam of the tasks 1, 2, 3, 4: " in output
    assert "task 1 has 0, task 2 has 0, task 3 has 1, task 4 has 0" in output


def test_what_no_person_has_looked_at_does_not_become_a_persons_annotation(
    server: FakeLabelStudio, tmp_path: Path
) -> None:
    for number, task in enumerate(server.tasks):
        task["annotations"] = [annotation(1, regions()) | {"id": number}]
    code, output = convert(server, tmp_path / "root", automatic=range(4))
    assert code == 0
    assert "with 4 images, 0 annotations" in output
    assert "4 annotations of the automatic stage stay behind" in output


def test_the_old_project_is_never_the_new_one(server: FakeLabelStudio, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="--title"):
        convert(server, tmp_path / "root", title="images")
    server.projects[2] = {"id": 2, "title": "other", "label_config": labeling_config()}
    with pytest.raises(InvalidRegion, match="views of an exam"):
        convert(server, tmp_path / "root", title="other")
    with pytest.raises(InvalidSettings, match="leave out --config"):
        convert(server, tmp_path / "root", title="other", config=tmp_path / "config.xml")


def test_the_command_needs_to_be_told_into_what(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["project", "convert", "1"])
    assert "--exam" in capsys.readouterr().err
