"""`/api/v1/pacs` and its page: administrators search, import and send; who may not see patients sees none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

from mammo.labelstudio.exam_config import exam_config
from mammo.pacs.outbox import ResultOutbox
from mammo.pacs.results import PacsResults
from tests.backend.api.test_api import program
from tests.backend.console.access import browser, submit, token_in
from tests.backend.fakes import Backend
from tests.mammo.exchange.import_files import SECRET, FakeTasks
from tests.mammo.pacs.fake_pacs import FakePacs
from tests.mammo.pacs.patients import PLANTED
from tests.mammo.pacs.phantoms import cluster, labelled, originals, phantom

PAGE = "/console/pacs"
SINCE = {"since": "2000-01-01"}


@pytest.fixture
def pacs(two_patients: list[Path]) -> FakePacs:
    return FakePacs(*two_patients)


@pytest.fixture
def backend(pacs: FakePacs, tmp_path: Path) -> Backend:
    changes = {
        "pacs_url": "https://pacs.example/dicom-web",
        "patient_secret": SECRET.decode(),
        "mammogram_root": tmp_path,
        "twin_root": tmp_path,
        "data_dir": tmp_path / "data",
    }
    (tmp_path / "data").mkdir(mode=0o700)
    parts = {"label_studio": FakeTasks(), "pacs": pacs, "pacs_for_people": pacs, "make_room": lambda: None}
    return Backend(changes=changes, parts=parts)


def trail(backend: Backend) -> list[tuple[str, str, str]]:
    entries = backend.services.site.access.trail.newest(limit=99)
    return [
        (each.action, each.actor, each.reason)
        for each in reversed(entries)
        if each.action not in ("key added", "user added")
    ]


def names_nobody(*shown: object) -> bool:
    text = repr(shown).lower()
    return not [planted for planted in PLANTED if planted in text]


def test_a_program_searches_imports_and_sends_and_the_trail_says_who_and_not_whom(backend: Backend) -> None:
    client = program(backend)
    found = client.post("/api/v1/pacs/search", json=SINCE).json()["studies"]
    assert [each["patient"] for each in found] == ["PID-0", "PID-1"]
    assert sorted(found[0]["views"]) == ["LCC", "LMLO", "RCC", "RMLO"]
    order = {"studies": [found[1]["study"]], "priors": True}
    started = client.post("/api/v1/projects/7/pacs-imports", json=order)
    assert (started.status_code, started.json()) == (202, {"import": 1})
    (job,) = backend.queue.imports
    assert names_nobody(job)
    (listed,) = client.get("/api/v1/pacs/imports?project=7").json()["imports"]
    assert (listed["state"], listed["what"]) == ("started", "1 chosen studies, with priors")
    asked = backend.services.site.pacs_imports.order(1)
    assert (asked.query.studies, asked.priors) == ((found[1]["study"],), True)
    sent = client.post("/api/v1/projects/7/pacs-results", json={"format": "seg"})
    assert (sent.status_code, sent.json()["created"]) == (202, True)
    assert (backend.queue.sendings[0].kind, backend.queue.sendings[0].actor) == (
        "seg",
        "key of-administrator",
    )
    assert trail(backend) == [
        ("PACS searched", "key of-administrator", "2 studies shown"),
        ("import started", "key of-administrator", "import 1 from the PACS: 1 chosen studies, with priors"),
        ("results sent", "key of-administrator", "to the PACS as seg"),
    ]
    assert names_nobody(listed, trail(backend))


def test_one_import_at_a_time_goes_into_a_project_and_one_that_ended_is_continued(backend: Backend) -> None:
    client, imports = program(backend), backend.services.site.pacs_imports
    assert client.post("/api/v1/projects/7/pacs-imports", json=SINCE).status_code == 202
    refused = client.post("/api/v1/projects/7/pacs-imports", json=SINCE)
    assert (refused.status_code, refused.json()["error"]) == (409, "import_conflict")
    assert client.post("/api/v1/pacs/imports/1/continue").status_code == 409
    assert imports.get(1).state == "waiting"
    backend.queue.imports.clear()
    imports.ended(1, outcome={"tasks_new": 3}, problem="the PACS is away")
    assert client.get("/api/v1/pacs/imports/1").json()["problem"] == "the PACS is away"
    assert client.post("/api/v1/pacs/imports/1/continue").status_code == 202
    assert (imports.get(1).state, len(backend.queue.imports)) == ("waiting", 1)
    assert [each[0] for each in trail(backend)] == ["import started", "import continued"]
    backend.queue.imports.clear()
    backend.queue.down = True
    imports.ended(1, outcome={}, problem="again")
    before = imports.get(1)
    assert client.post("/api/v1/pacs/imports/1/continue").status_code == 503
    assert imports.get(1) == before
    assert client.post("/api/v1/projects/7/pacs-imports", json=SINCE).status_code == 503
    assert len(imports.newest(limit=9)) == 1, "what could not be queued is not kept"


def test_an_import_is_stopped_and_may_be_continued(backend: Backend) -> None:
    client, imports = program(backend), backend.services.site.pacs_imports
    client.post("/api/v1/projects/7/pacs-imports", json=SINCE)
    assert client.post("/api/v1/pacs/imports/1/stop").json() == {"import": 1}
    assert imports.get(1).state == "stopped"
    assert backend.queue.imports == [], "its job is gone"
    again = client.post("/api/v1/pacs/imports/1/stop")
    assert (again.status_code, again.json()["error"]) == (409, "import_conflict")
    assert client.post("/api/v1/pacs/imports/1/continue").status_code == 202
    assert [each[0] for each in trail(backend)] == ["import started", "import stopped", "import continued"]
    viewer = program(backend, "lead")
    assert viewer.post("/api/v1/pacs/imports/1/stop").status_code == 403


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/pacs/search", {}, 422),
        ("/pacs/search", {"since": "soon"}, 422),
        ("/pacs/search", {"patient": "PID*"}, 422),
        ("/pacs/search", {"since": "2026-02-01", "until": "2026-01-01"}, 422),
        ("/projects/7/pacs-imports", {"studies": ["1.2/../3"]}, 422),
        ("/projects/7/pacs-imports", {"studies": [f"1.2.{each}" for each in range(101)]}, 422),
        ("/projects/77/pacs-imports", SINCE, 404),
        ("/projects/77/pacs-results", {"format": "sr"}, 404),
        ("/projects/7/pacs-results", {"format": "coco"}, 422),
        ("/pacs/imports/9/continue", None, 404),
        ("/pacs/imports/9/stop", None, 404),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_name(
    backend: Backend, path: str, body: Any, status: int
) -> None:
    refused = program(backend).post(f"/api/v1{path}", json=body)
    assert (refused.status_code, set(refused.json())) == (status, {"error", "message"})
    assert names_nobody(refused.text)


@pytest.mark.parametrize("part", [{"view": "CC"}, {"laterality": "L"}, {"body_part": "BREAST"}])
def test_no_part_of_an_exam_is_imported_where_it_would_look_like_all_of_it(
    backend: Backend, part: dict[str, str]
) -> None:
    server = backend.services.site.client.server  # type: ignore[attr-defined]
    server.projects[7]["label_config"] = exam_config()
    client = program(backend)
    refused = client.post("/api/v1/projects/7/pacs-imports", json=SINCE | part)
    assert refused.status_code == 409
    assert "exams, which are imported as a whole" in refused.json()["message"]
    assert client.get("/api/v1/pacs/imports").json()["imports"] == []
    assert client.post("/api/v1/projects/7/pacs-imports", json=SINCE).status_code == 202


def test_without_a_pacs_everything_says_what_to_set() -> None:
    backend = Backend(parts={"label_studio": FakeTasks(), "make_room": lambda: None})
    client = program(backend)
    for path, body in (
        ("/pacs/search", SINCE),
        ("/projects/7/pacs-results", {"format": "sr"}),
        ("/pacs/results/retry", None),
    ):
        refused = client.post(f"/api/v1{path}", json=body)
        assert refused.status_code == 409
        assert "set YOLO_MLSAM_PACS_URL" in refused.json()["message"]
    refused = client.post("/api/v1/projects/7/pacs-imports", json=SINCE)
    assert (refused.status_code, "set YOLO_MLSAM_" in refused.json()["message"]) == (409, True)
    page = browser(backend, "administrator").get(PAGE).text
    assert "set YOLO_MLSAM_PACS_URL" in page
    assert "/console/pacs/search" not in page


def test_a_pacs_that_is_away_is_one_sentence(backend: Backend, pacs: FakePacs) -> None:
    pacs.down = True
    answer = program(backend).post("/api/v1/pacs/search", json=SINCE)
    assert (answer.status_code, answer.json()["error"]) == (502, "pacs_unreachable")


@pytest.mark.parametrize("more", [{}, {"view": "XCCL"}], ids=["with images", "without any"])
def test_a_search_that_takes_too_long_ends(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    monkeypatch.setattr("backend.requested_pacs.SEARCH_SECONDS", -1.0)
    answer = program(backend).post("/api/v1/pacs/search", json=SINCE | more)
    assert (answer.status_code, answer.json()["error"]) == (502, "pacs_long_search")


def test_a_page_whose_studies_have_no_such_image_does_not_say_that_there_is_none(
    backend: Backend, pacs: FakePacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PACS knows no view, so a study is found whose images are all of another one."""
    for instance, file in list(pacs.files.items()):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        if header.PatientID == "PID-0" and header.ViewPosition == "CC":
            del pacs.files[instance]
    monkeypatch.setattr("backend.console.routes.pacs.PAGE", 1)
    client = browser(backend, "administrator")
    first = submit(client, f"{PAGE}/search", on=PAGE, view="CC", **SINCE).text
    assert "No mammogram of these studies meets all conditions." in first
    assert "Studies 1 to 1 of 2" in first
    assert "Later studies" in first
    second = submit(client, f"{PAGE}/search", on=PAGE, view="CC", offset="1", **SINCE).text
    assert "PID-1" in second
    assert "Later studies" not in second
    beyond = submit(client, f"{PAGE}/search", on=PAGE, view="CC", offset="2", **SINCE).text
    assert "no study that meets all conditions beyond these" in beyond
    answer = program(backend).post("/api/v1/pacs/search", json={**SINCE, "view": "CC", "limit": 1}).json()
    assert answer == {"studies": [], "num_all": 2}


def test_a_lead_sees_imports_and_results_and_no_patient(backend: Backend) -> None:
    client = program(backend)
    client.post("/api/v1/projects/7/pacs-imports", json={"patient": "PID-0"})
    lead = browser(backend, "lead")
    page = lead.get(PAGE)
    assert page.status_code == 200
    assert "all studies that are found" in page.text
    assert "<form" not in page.text.replace('action="/console/logout"', "").split("<main")[1]
    assert names_nobody(page.text)
    token = token_in(lead.get("/console").text)
    for path in ("search", "imports", "imports/1/continue", "results", "results/retry"):
        assert lead.post(f"{PAGE}/{path}", data={"csrf": token}).status_code == 403
    viewer = browser(backend, "viewer", name="vera")
    assert viewer.get(PAGE).status_code == 403
    assert PAGE not in viewer.get("/console").text


def test_the_page_searches_and_imports_what_was_chosen(backend: Backend) -> None:
    client = browser(backend, "administrator")
    found = submit(client, f"{PAGE}/search", on=PAGE, since="2000-01-01", view="CC", priors="on")
    assert found.status_code == 200
    assert "PID-0" in found.text
    assert "LCC, RCC" in found.text or "RCC, LCC" in found.text
    assert 'name="priors" value="on"' in found.text
    studies = [part.split('"')[0] for part in found.text.split('name="study-')[1:]]
    assert studies == ["0", "1"]
    chosen = found.text.split('name="study-1" value="')[1].split('"')[0]
    form = {"since": "2000-01-01", "view": "CC", "project": "7", "what": "chosen"}
    assert submit(client, f"{PAGE}/imports", on=PAGE, **form).status_code == 422, "none is chosen"
    started = submit(client, f"{PAGE}/imports", on=PAGE, **form, **{"study-1": chosen})
    assert (started.status_code, started.headers["location"]) == (303, f"{PAGE}#imports")
    order = backend.services.site.pacs_imports.order(1)
    assert (order.query.studies, order.query.view) == ((chosen,), "CC")
    backend.queue.imports.clear()
    assert submit(client, f"{PAGE}/imports", on=PAGE, **form | {"what": "all"}).status_code == 303
    assert backend.services.site.pacs_imports.order(2).query.studies == ()
    for wrong in ({"project": "none"}, {"since": "soon"}, {"laterality": "B"}):
        assert submit(client, f"{PAGE}/imports", on=PAGE, **form | {"what": "all"} | wrong).status_code == 422
    assert client.post(f"{PAGE}/search", data=SINCE).status_code == 403, "without the page's token"
    page = client.get(PAGE).text
    assert "all studies that are found" in page
    assert names_nobody(page)


def test_the_page_shows_an_import_to_its_end_and_continues_it(backend: Backend) -> None:
    client, imports = browser(backend, "administrator"), backend.services.site.pacs_imports
    submit(client, f"{PAGE}/imports", on=PAGE, project="7", what="all", **SINCE)
    assert 'aria-label="Progress of import 1"' in client.get(PAGE).text
    assert submit(client, f"{PAGE}/imports/1/stop", on=PAGE).status_code == 303
    assert imports.get(1).state == "stopped"
    assert submit(client, f"{PAGE}/imports/1/continue", on=PAGE).status_code == 303
    outcome = {
        "images_new": 5, "images_present": 0, "left_out": {"of several frames": 2}, "to_be_looked_at": 1,
        "incomplete_studies": 1, "tasks_new": 4, "tasks_known": 0, "num_refused": 1,
        "refused": ["image 5: <b>odd</b>"],
    }  # fmt: skip
    backend.queue.imports.clear()
    imports.ended(1, outcome=outcome, problem="the PACS answered 503")
    page = client.get(PAGE).text
    for words in ("the PACS answered 503", "4 new tasks", "2 left out: of several frames", "needs-a-human"):
        assert words in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert submit(client, f"{PAGE}/imports/1/continue", on=PAGE).status_code == 303
    assert imports.get(1).state == "waiting"


def test_the_page_sends_results_and_shows_what_waits_and_why(
    backend: Backend, pacs: FakePacs, tmp_path: Path
) -> None:
    view, site = phantom(tmp_path), backend.services.site
    outbox = ResultOutbox(backend.engine)
    service = PacsResults(outbox=outbox, pacs=lambda: pacs, originals=originals(view))
    site.__dict__["pacs_results"] = service
    client = browser(backend, "administrator")
    sent = submit(client, f"{PAGE}/results", on=PAGE, project="7", format="cad-sr")
    assert sent.status_code == 303
    assert "The job that sends is" in client.get(sent.headers["location"]).text
    assert submit(client, f"{PAGE}/results", on=PAGE, project="7", format="coco").status_code == 422
    service.queue([labelled(view, cluster())], "sr", actor="ann <b>")
    pacs.down = True
    service.send()
    page = client.get(PAGE).text
    assert "<strong>1</strong> wait" in page
    assert "cannot be reached" in page
    assert "ann &lt;b&gt;" in page
    assert view.study not in page
    retried = submit(client, f"{PAGE}/results/retry", on=PAGE)
    assert retried.headers["location"] == f"{PAGE}?due=1#results"
    newest = backend.services.site.access.trail.newest()[0]
    assert (newest.action, newest.subject, newest.reason) == (
        "results retried",
        "PACS",
        "1 results are due now",
    )
    assert program(backend).get("/api/v1/pacs/results").json()["counts"] == {"waiting": 1}
