"""The loop on real parts: Label Studio, Redis, DICOM, both networks. The tests build on each other, in order."""

import re
import shutil
from pathlib import Path

import httpx
import pytest

from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from mammo.runs.payloads import PrelabelProject
from mammo.second_looks import LabelDoubt
from tests.backend.console.access import PASSWORD, token_in
from tests.e2e.edits import update_annotation
from tests.waiting import until
from training.cases import silent

SEARCH = {"folds": 0, "images": 28, "compared": 28, "skipped": {}, "serving": "", "learned": []}
"""How the doubts of a test were found."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def run(walk: Walk) -> dict:
    """One retrain from corrections that travelled through Label Studio's webhooks."""
    walk.read(sorted(walk.cases), walk.version(), silent)
    return walk.train(silent)


def registry_of(walk: Walk) -> ModelRegistry:
    settings = walk.stack.settings
    return ModelRegistry(open_database(settings.database), settings.blobs)


def unreadable_tasks(walk: Walk) -> float:
    """What the backend has counted so far: other modules' tests ask the same one."""
    url = f"{walk.stack.backend_url}/metrics"
    metrics = httpx.get(url, auth=walk.stack.auth, timeout=10, trust_env=False).text
    counted = re.search(
        r'^yolo_mlsam_predictions_total\{outcome="unreadable"\} (\S+)$', metrics, re.MULTILINE
    )
    return float(counted[1]) if counted else 0.0


def test_every_task_shows_one_prelabel_of_the_served_version(walk):
    walk.expect_predictions(walk.version())


def test_the_prelabels_find_clusters_that_are_there(walk):
    hits = truths = 0
    for task, case in walk.cases.items():
        (prediction,) = walk.client.predictions(task)
        found = from_regions(prediction["result"], tags=ControlTags())
        truths += len(case.truth)
        hits += sum(any(t.box.iou(f.box) > 0.1 for f in found) for t in case.truth)
    assert truths >= 5
    assert hits > 0, f"none of {truths} clusters was found"


def test_the_backend_serves_the_same_prelabel_that_was_pushed(walk):
    task = next(task for task in walk.cases if walk.client.predictions(task)[0]["result"])
    (pushed,) = walk.client.predictions(task)
    served = walk.ask_backend(task)
    assert served["model_version"] == pushed["model_version"]
    assert served["score"] == pytest.approx(pushed["score"])
    assert from_regions(served["result"], tags=ControlTags()) == pytest.approx(
        from_regions(pushed["result"], tags=ControlTags())
    ) or [f.box for f in from_regions(served["result"], tags=ControlTags())] == [
        f.box for f in from_regions(pushed["result"], tags=ControlTags())
    ]


def test_a_task_that_cannot_be_read_gives_a_note_without_findings_and_a_metric_not_a_500(walk):
    body = {"tasks": [{"id": 10**6, "data": {"mammogram": "nowhere.dcm"}}, {"id": 10**6 + 1, "data": {}}]}
    url = walk.stack.backend_url
    before = unreadable_tasks(walk)
    answer = httpx.post(f"{url}/predict", json=body, auth=walk.stack.auth, timeout=60, trust_env=False)
    assert answer.status_code == 200
    for result in answer.json()["results"]:
        (note,) = result["result"]
        assert (note["type"], from_regions(result["result"], tags=ControlTags())) == ("textarea", [])
        assert note["meta"]["reason"] == "image_not_found"
    assert unreadable_tasks(walk) == before + 2
    assert "image_not_found" in walk.stack.processes.log("backend").read_text()


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_strangers_are_turned_away(walk, path):
    answer = httpx.post(f"{walk.stack.backend_url}{path}", json={}, timeout=10, trust_env=False)
    assert answer.status_code == 401
    assert "Traceback" not in answer.text


def test_a_second_reader_of_the_log_finds_no_patient(walk):
    for name in ("backend", "worker"):
        log = walk.stack.processes.log(name).read_text()
        assert log, f"{name} logs nothing"
        for tag in ("PHANTOM", "SYN0", "PatientName", walk.stack.settings.auth_password.get_secret_value()):
            assert tag not in log


def test_corrections_became_a_judged_challenger(walk, run):
    verdict = run["verdict"]
    assert isinstance(verdict["promote"], bool)
    assert verdict["reason"]
    versions = registry_of(walk).versions()
    assert run["challenger"] in versions
    assert run["champion"] in versions
    assert run["challenger"] != run["champion"]


def test_a_promotion_is_loaded_predicts_again_beside_the_old_and_is_rolled_back(walk, run):
    registry = registry_of(walk)
    before = registry.champion()
    if before.version != run["challenger"]:  # a smoke run rarely wins; promote it by hand
        registry.promote(run["challenger"], expected_epoch=before.epoch, reason="end-to-end test")
        walk.site.queue.enqueue_prelabel(PrelabelProject(walk.project, run["challenger"]))
    walk.expect_reload(run["challenger"])
    walk.expect_refresh(run["challenger"], silent)
    walk.expect_predictions(run["champion"])
    registry.roll_back("end-to-end test")
    walk.expect_reload(run["champion"])


def test_a_correction_is_stored_once_however_often_its_webhook_arrives(walk, run):
    store = AnnotationStore(open_database(walk.stack.settings.database))
    before = len(store.corrections(walk.project))
    assert before == walk.annotations
    event = {"action": "ANNOTATION_CREATED", "annotation": {}, "project": {"id": walk.project}, "task": {}}
    secret = walk.stack.settings.webhook_secret.get_secret_value()
    for _ in range(3):
        answer = httpx.post(
            f"{walk.stack.backend_url}/webhook",
            json=event,
            headers={"X-Yolo-Mlsam-Secret": secret},
            timeout=10,
            trust_env=False,
        )
        assert answer.status_code in (200, 201)
    assert len(store.corrections(walk.project)) == before
    store.close()


def test_a_label_that_is_sent_back_is_in_its_readers_tab_until_the_answer_is_recorded_with_its_cause(
    walk, run
):
    site, project = walk.site, walk.project
    header = next(each for each in site.store.correction_headers(project) if walk.cases[each.task_id].truth)
    raised = LabelDoubt(
        task=header.task_id,
        annotation=header.annotation_id,
        image="",
        revision=header.revision,
        cause="missed",
        score=0.9,
    )
    site.second_looks.records.replace(project, [raised], search=SEARCH)
    site.access.users.add("lena", "lead", password=PASSWORD, actor="a test")
    with httpx.Client(base_url=walk.stack.backend_url, trust_env=False, timeout=30) as browser:
        browser.post("/console/login", data={"name": "lena", "password": PASSWORD})
        token = token_in(browser.get(f"/console/look-again?project={project}").text)
        form = {"csrf": token, "project": str(project), "limit": "1"}
        sent = browser.post("/console/look-again/send", data=form)
    assert sent.headers["Location"].endswith("&sent=1"), sent.text
    tabs = walk.client.call("GET", "/api/dm/views/", params={"project": project})
    (tab,) = [each for each in tabs if each["data"]["title"].startswith("Second look: ")]

    def in_tab() -> list[dict]:
        return walk.client.call("GET", "/api/tasks", params={"view": tab["id"], "fields": "all"})["tasks"]

    (task,) = in_tab()
    assert task["id"] == header.task_id
    assert "a lesion may have been missed" in task["data"]["second_look"]
    update_annotation(walk.client, header.annotation_id, [])
    until(lambda: not in_tab())
    (settled,) = site.second_looks.records.ranked(project, limit=9, is_open=False)
    assert (settled.cause, settled.answer) == ("missed", "changed")
    (recorded,) = site.trace(header.annotation_id).second_looks
    assert (recorded["cause"], recorded["state"]) == ("missed", "changed")


def test_the_command_line_prelabels_the_same_files_without_a_server(walk, tmp_path: Path):
    from cli.__main__ import main

    root = walk.stack.settings.mammogram_root
    file = sorted(root.rglob("*.dcm"))[0]
    shutil.copy(file, tmp_path / "view.dcm")
    (tmp_path / "broken.dcm").write_bytes(b"not a mammogram")
    with pytest.raises(SystemExit) as end:
        main(
            [
                "prelabel",
                str(tmp_path / "broken.dcm"),
                str(tmp_path / "view.dcm"),
                "--out",
                str(tmp_path / "out"),
                "--model",
                "starter",
            ]
        )
    assert end.value.code == 2
    assert (tmp_path / "out/view.json").is_file()
    assert (tmp_path / "out/view.overlay.png").is_file()
