"""The order of work in the real Label Studio: who labels the tab gets the tasks as they were planned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.stack import Stack, environment_of
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.efforts.effort_records import effort_records, grouped
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import STARTER, ModelRegistry
from mammo.worklist.order import places
from mammo.worklist.service import TITLE
from tests.e2e.test_faults import box

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NUM_TASKS = 8


@pytest.fixture
def client(stack: Stack) -> Iterator[LabelStudioClient]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    with closing(LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)) as made:
        yield made


@pytest.fixture
def project(client: LabelStudioClient) -> Iterator[int]:
    made = client.create_project("order", labeling_config())
    yield made
    client.call("DELETE", f"/api/projects/{made}/")


def next_task(client: LabelStudioClient, project: int, tab: int) -> int:
    """What *Label Tasks As Displayed* asks for, with the tab's own filters and order."""
    (view,) = [v for v in client.call("GET", "/api/dm/views/", params={"project": project}) if v["id"] == tab]
    shown = {key: view["data"][key] for key in ("filters", "ordering")}
    body = {**shown, "selectedItems": {"all": True, "excluded": []}}
    params = {"id": "next_task", "project": project, "tabID": tab}
    return int(client.call("POST", "/api/dm/actions/", params=params, json=body)["id"])


def test_annotators_get_the_tasks_as_planned_and_the_two_strategies_can_be_compared(
    stack: Stack, client: LabelStudioClient, project: int, tmp_path: Path
) -> None:
    settings = stack.settings.model_copy(update={"data_dir": tmp_path / "data"})
    engine = open_database(settings.database)
    registry = ModelRegistry(engine, settings.blobs)
    registry.ensure_starter(STARTER)
    version = registry.champion().version
    tasks = client.import_tasks(
        project, [{"image": f"/data/local-files/?d={n}.png"} for n in range(NUM_TASKS)]
    )
    with closing(AnnotationStore(engine)) as store:
        for index, task in enumerate(tasks):
            store.record_prelabel(
                project=project,
                task=task,
                model_version=version,
                regions=[box(task)] if index % 2 else [],
                score=(NUM_TASKS - index) / 10,
                images={"": "ab" * 32},
                num_cut=0,
                shown=True,
            )

        def order(*arguments: str) -> str:
            result = CliRunner(env=environment_of(settings)).invoke(app, ["order", *arguments])
            assert result.exit_code == 0, (result.output, result.exception)
            return result.output

        def read(count: int) -> list[int]:
            got = []
            for _ in range(count):
                got.append(next_task(client, project, tab))
                annotation = client.annotate(got[-1], [box(got[-1])], lead_time=30.0)
                told = {
                    "action": "ANNOTATION_CREATED",
                    "project": {"id": project},
                    "task": {"id": got[-1], "data": {}},
                    "annotation": client.call("GET", f"/api/annotations/{annotation}/"),
                }
                keep(store, told)
            return got

        assert "8 of 8 unread tasks" in order("plan", str(project))
        (view,) = [
            v
            for v in client.call("GET", "/api/dm/views/", params={"project": project})
            if v["data"]["title"] == TITLE
        ]
        tab = view["id"]
        by_rank = sorted(places(engine, project), key=lambda place: place.rank)
        assert {place.stratum for place in by_rank[:2]} == {"positive", "negative"}
        assert read(3) == [place.task for place in by_rank[:3]] != tasks[:3]

        order("plan", str(project), "--strategy", "score")
        left = [task for task in reversed(tasks) if task not in {place.task for place in by_rank[:3]}]
        assert read(2) == left[:2], "the lowest score first"
        shown = order("show", str(project))
        assert "random" in shown
        assert "score" in shown

        records = effort_records(
            project, store=store, engine=engine, secret=b"the tests", tags=ControlTags()
        ).records
        images = {name: summary.images for (name,), summary in grouped(records, ["order"]).items()}
        assert images == {"random": 3, "score": 2}
    engine.dispose()


def keep(store: AnnotationStore, told: dict) -> None:
    """As the webhook tells it."""
    store.append(json.dumps(told).encode(), action=told["action"], received_at=datetime.now(UTC))
