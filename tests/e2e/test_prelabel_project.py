"""Prelabelling a project in the real Label Studio is killed and begun again: one prediction a task, none lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.stack import Stack
from mammo.database import open_database
from mammo.findings import ImageFindings
from mammo.geometry import Size
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.settings import Settings
from tests.sites import site_of
from tests.training.detections import square
from worker.prelabelling import prelabel_tasks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NUM_TASKS = 12


class Model:
    def __init__(self, version: str) -> None:
        self.version = version

    def prelabel(self, mammogram: object, **_: object) -> ImageFindings:
        return ImageFindings(findings=(square(5, 5, score=0.75, name="c1"),), num_cut=0)


@pytest.fixture
def client(stack: Stack) -> Iterator[LabelStudioClient]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    with closing(LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)) as made:
        yield made


@pytest.fixture
def project(client: LabelStudioClient) -> Iterator[int]:
    made = client.create_project("killed", labeling_config())
    client.import_tasks(made, [{"image": f"/data/local-files/?d={n}.png"} for n in range(NUM_TASKS)])
    yield made
    client.call("DELETE", f"/api/projects/{made}/")


def prelabel(stack: Stack, database: str, project: int, version: str) -> dict:
    settings = Settings(
        database_url=database,
        label_studio_url=stack.label_studio.url,
        label_studio_api_key=stack.label_studio.api_key,
    )
    images = SimpleNamespace(open=lambda data: SimpleNamespace(size=Size(64, 48), sha256="a" * 64))
    with site_of(settings, images=images) as site:
        return prelabel_tasks(
            project, Model(version), site=site, report=lambda *_: None, withheld=lambda *_: None
        )


def versions(client: LabelStudioClient, project: int) -> list[list[str]]:
    return [
        sorted(each["model_version"] for each in client.predictions(task["id"]))
        for task in client.tasks(project)
    ]


def test_a_killed_job_goes_on_where_it_was_and_a_refresh_adds_and_never_deletes(
    stack: Stack, client: LabelStudioClient, project: int, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/own.db"
    open_database(database).dispose()
    for kill_after in (2, 6):
        process = multiprocessing.get_context("fork").Process(
            target=prelabel, args=(stack, database, project, "m0001-aa")
        )
        process.start()
        deadline = time.monotonic() + 120
        while client.prediction_versions(project).get("m0001-aa", 0) < kill_after:
            assert time.monotonic() < deadline
            assert process.is_alive()
            time.sleep(0.02)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert client.project(project)["model_version"] != "m0001-aa", "shown only when it is complete"
    done = prelabel(stack, database, project, "m0001-aa")
    assert done["predicted"] + done["already"] == NUM_TASKS
    assert done["already"] >= 6
    assert versions(client, project) == [["m0001-aa"]] * NUM_TASKS
    assert client.project(project)["model_version"] == "m0001-aa"

    refreshed = prelabel(stack, database, project, "m0002-bb")
    assert refreshed["predicted"] == NUM_TASKS
    assert versions(client, project) == [["m0001-aa", "m0002-bb"]] * NUM_TASKS
    assert client.project(project)["model_version"] == "m0002-bb"
    assert prelabel(stack, database, project, "m0002-bb")["already"] == NUM_TASKS


def test_label_studio_tells_which_tasks_come_next_by_number_and_by_score(
    client: LabelStudioClient, project: int
) -> None:
    tasks = [task["id"] for task in client.tasks(project)]
    client.annotate(tasks[2], [])
    for task, score in zip(tasks[:4], (0.9, 0.2, 0.1, 0.4), strict=True):
        client.push_prediction(task, {"result": [], "score": score, "model_version": "m1"})
    following = client.next_tasks(project, tasks[0], 2)
    assert [task["id"] for task in following] == [tasks[1], tasks[3]]
    assert following[0]["data"] == {"image": "/data/local-files/?d=1.png"}
    assert following[0]["project"] == project
    by_score = [task["id"] for task in client.next_tasks(project, tasks[0], 12, by_score=True)]
    scored = [task for task in by_score if task in tasks[:4]]
    assert scored == [tasks[1], tasks[3]], "annotated ones are done, and the one at hand is not next"
    assert client.next_tasks(project, tasks[-1], 2) == []
