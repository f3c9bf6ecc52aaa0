"""Two readers and an arbiter in the real Label Studio, each with an account and a token, up to the dataset version."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy.engine import Engine

from cli.demo.label_studio_server import LabelStudioServer, wait_for_label_studio
from cli.demo.stack import Stack
from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.findings import Finding
from mammo.labelstudio import ControlTags, LabelStudioClient, labeling_config
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.rendering import truth_regions
from mammo.readings import ReadingRules, ReadingService, summarise
from mammo.settings import Settings
from tests.mammo.readings.clinic import SIZE
from tests.mammo.readings.drawing import lesion
from tests.sites import site_of
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HERE, NEAR, ELSEWHERE = lesion(10, 10, 30, 30), lesion(12, 10, 32, 30), lesion(50, 50, 70, 70)
ROLES = ("reader-1", "reader-2", "arbiter")


def signed_up(server: LabelStudioServer, email: str) -> str:
    """Make an account as a person does, by the invitation's form; its own token."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60, follow_redirects=True) as browser:
        browser.get("/user/signup/")
        form = {
            "email": email,
            "password": "a-long-Password-1",
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        browser.post("/user/signup/", data=form, headers={"Referer": server.url}).raise_for_status()
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": server.url}
        return str(browser.post("/api/token/", headers=headers).raise_for_status().json()["token"])


def opened(data: dict) -> Mammogram:
    return Mammogram(
        pixels=np.zeros((SIZE.height, SIZE.width), np.float32),
        spacing=None,
        laterality=None,
        view=None,
        patient=None,
        sha256=hashlib.sha256(data["image"].encode()).hexdigest(),
        depth=12,
    )


@pytest.fixture
def people(stack: Stack) -> Iterator[dict[str, tuple[str, LabelStudioClient]]]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    made = {}
    for role in ROLES:
        email = f"{role}-{time.time_ns()}@example.com"
        token = signed_up(stack.label_studio, email)
        made[role] = email, LabelStudioClient(stack.label_studio.url, token)
    yield made
    for _, client in made.values():
        client.close()


@pytest.fixture
def room(stack: Stack, engine: Engine, tmp_path: Path) -> Iterator[ReadingService]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    settings = Settings.load(data_dir=tmp_path / "own", webhook_secret="s", patient_secret="p")
    client = LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)
    with site_of(settings, label_studio=client, engine=engine) as site:
        yield site.readings()


def test_two_readers_and_an_arbiter_from_the_first_task_to_the_dataset_version(
    room: ReadingService,
    people: dict[str, tuple[str, LabelStudioClient]],
    engine: Engine,
    tmp_path: Path,
) -> None:
    admin = room.client
    assert isinstance(admin, LabelStudioClient)
    source = admin.create_project("Read twice", labeling_config())
    agreed, disputed = admin.import_tasks(
        source,
        [{"image": f"/data/local-files/?d={n}.png", "patient": n, "spacing_mm": 0.1} for n in ("a", "b")],
    )
    emails = {role: email for role, (email, _) in people.items()}
    room.create(source, rules=ReadingRules(), emails=emails)  # type: ignore[arg-type]

    def read(role: str, case: int, findings: list[Finding], number: int = 1) -> int:
        desk = room.records.find(source).project(role, number)  # type: ignore[arg-type]
        assert desk is not None
        regions = truth_regions(findings, size=SIZE, tags=ControlTags(), source="hand")
        return people[role][1].annotate(desk.tasks[case], regions)

    for number in (1, 2):
        if number == 1:
            read("reader-1", agreed, [HERE])
            read("reader-2", agreed, [NEAR])
        read("reader-1", disputed, [HERE], number)
        read("reader-2", disputed, [ELSEWHERE], number)
        if number == 1:
            done = room.second_look(source)
            assert done.repaired == 4
            assert done.added == {"reader-1 round 2": 1, "reader-2 round 2": 1}
    for role in ("reader-1", "reader-2"):
        desk = room.records.find(source).project(role)  # type: ignore[arg-type]
        assert desk is not None
        for task in desk.tasks.values():  # a reader's own task holds no mark of the other
            (annotation,) = people[role][1].annotations(task)
            whoami = people[role][1].call("GET", "/api/current-user/whoami")
            assert annotation["completed_by"] == whoami["id"]
            assert people[role][1].predictions(task) == []

    assert room.arbitrate(source).added == {"arbiter": 1}
    again = room.arbitrate(source)
    assert (again.added, again.removed) == ({}, 0)
    desk = room.records.find(source).project("arbiter")
    assert desk is not None
    assert list(desk.tasks) == [disputed]
    stream = people["arbiter"][1].call("GET", f"/api/projects/{desk.id}/next")
    shown = [from_regions(prediction["result"], tags=ControlTags()) for prediction in stream["predictions"]]
    assert sorted(findings[0].box.as_tuple() for findings in shown) == [
        HERE.box.as_tuple(),
        ELSEWHERE.box.as_tuple(),
    ], "the label stream shows both readings"
    assert not any(email in str(stream) for email in emails.values())

    answer = read("arbiter", disputed, [ELSEWHERE])
    room.sync(source)
    found = summarise(room.records.find(source), room.cases(source))
    assert found.outcomes == {"agreed": 1, "arbitrated": 1}
    dataset = build_dataset_version(
        room.store,
        engine,
        Blobs(tmp_path / "blobs"),
        project=source,
        open_image=opened,
        options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False, secret=b"s"),
    )
    items = {item.source: item for item in dataset.items}
    assert set(items) == {"arbiter", "consensus"}
    assert items["arbiter"].annotation_id == answer
    assert [finding.box for finding in items["arbiter"].truth] == [ELSEWHERE.box]
    assert len(items["consensus"].origins) == 2
    for project in (*room.records.find(source).project_ids, source):
        admin.call("DELETE", f"/api/projects/{project}/")
