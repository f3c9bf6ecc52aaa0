"""Jobs of the PACS: an import continues where it was, and results say what the annotations say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from sqlalchemy.engine import Engine

from mammo.errors import PacsError, UnknownImport
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, labeling_config, truth_regions
from mammo.masks import Mask
from mammo.pacs import Query
from mammo.pacs.import_order import ImportOrder
from mammo.settings import Settings
from mammo.site import Site
from tests.mammo.exchange.import_files import SECRET, FakeTasks
from tests.mammo.pacs.fake_pacs import FakePacs
from tests.mammo.pacs.patients import NAME, PLANTED
from tests.sites import site_of
from worker.pacs import import_from_pacs, send_results

SIZE = Size(256, 320)
"""Of the phantoms."""


@pytest.fixture
def pacs(two_patients: list[Path]) -> FakePacs:
    return FakePacs(*two_patients)


@pytest.fixture
def site(engine: Engine, tmp_path: Path, pacs: FakePacs) -> Iterator[Site]:
    for folder in ("mammograms", "twins"):
        (tmp_path / folder).mkdir()
    settings = Settings(
        data_dir=tmp_path / "data",
        mammogram_root=tmp_path / "mammograms",
        twin_root=tmp_path / "twins",
        patient_secret=SECRET.decode(),
        pacs_connections=1,
    )
    with site_of(settings, creates=True, engine=engine, label_studio=FakeTasks(), pacs=pacs) as made:
        yield made


def asked(site: Site, *patients: str) -> int:
    query = Query(patient="".join(patients), first_day="20000101")
    return site.pacs_imports.add(ImportOrder(query=query, priors=False, limit=100), project=7, actor="ann")


def work(site: Site, number: int, report: Any = lambda *_: None) -> dict[str, Any]:
    return import_from_pacs(7, number, site=site, report=report)


def test_an_import_makes_tasks_tells_how_far_it_is_and_takes_only_what_is_new(
    site: Site, pacs: FakePacs
) -> None:
    told: list[tuple[str, float, str]] = []
    number = asked(site, "PID-0")
    outcome = work(site, number, lambda *each: told.append(each))
    assert (outcome["images_new"], outcome["tasks_new"], outcome["num_refused"]) == (4, 4, 0)
    assert [stage for stage, _, _ in told] == ["searching", *["retrieving"] * 4, *["importing"] * 4]
    assert [progress for _, progress, _ in told] == sorted(progress for _, progress, _ in told)
    assert told[-1][1:] == (1.0, "4 of 4 images")
    recorded = site.pacs_imports.get(number)
    assert (recorded.state, recorded.outcome) == ("finished", outcome)
    again = work(site, number)
    assert (again["images_new"], again["images_present"], again["tasks_new"]) == (0, 4, 0)
    assert pacs.num_retrieved == 4
    shown = repr([recorded.to_json(), told, site.client.tasks(7)]).lower()  # type: ignore[attr-defined]
    assert [planted for planted in PLANTED if planted in shown] == []
    (entry,) = site.access.trail.newest(limit=9)
    assert (entry.action, entry.actor) == ("images retrieved", "ann")


def test_an_import_that_the_pacs_ends_says_why_and_is_continued(site: Site, pacs: FakePacs) -> None:
    number = asked(site)
    retrieve = pacs.retrieve

    def dying(*arguments: Any, **options: Any) -> int:
        pacs.down = pacs.num_retrieved == 5
        return retrieve(*arguments, **options)

    pacs.retrieve = dying  # type: ignore[method-assign]
    with pytest.raises(PacsError):
        work(site, number)
    failed = site.pacs_imports.get(number)
    assert failed.state == "failed"
    assert "cannot be reached" in (failed.problem or "")
    assert (failed.outcome or {})["tasks_new"] == 4, "of the study that is complete"
    assert (failed.outcome or {})["incomplete_studies"] == 1
    pacs.retrieve, pacs.down = retrieve, False  # type: ignore[method-assign]
    assert work(site, number)["tasks_new"] == 4
    assert site.pacs_imports.get(number).state == "finished"


def test_a_stop_leaves_an_import_to_be_continued(site: Site, pacs: FakePacs) -> None:
    number = asked(site)

    def stop(stage: str, progress: float, message: str) -> None:
        if stage == "retrieving":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(site, number, stop)
    assert site.pacs_imports.get(number).state == "failed"


def test_a_person_ends_an_import_between_two_images_and_it_is_continued(site: Site, pacs: FakePacs) -> None:
    number = asked(site, "PID-0")

    def stop(stage: str, progress: float, message: str) -> None:
        if message.startswith("2 of"):
            site.pacs_imports.stop(number, actor="lena")

    outcome = work(site, number, stop)
    stopped = site.pacs_imports.get(number)
    assert (stopped.state, stopped.problem, stopped.outcome) == ("stopped", None, outcome)
    assert (outcome["tasks_new"], pacs.num_retrieved < 5) == (0, True)
    assert work(site, number) == {**outcome, "images_new": 0}, "a job that waited does nothing"
    site.pacs_imports.reopen(number)
    assert work(site, number)["tasks_new"] == 4
    assert pacs.num_retrieved == 4, "what had come is not retrieved again"
    actions = [(entry.action, entry.actor) for entry in site.access.trail.newest(limit=9)]
    assert ("import stopped", "lena") in actions


def test_a_job_takes_no_import_into_another_project(site: Site, pacs: FakePacs) -> None:
    number = asked(site, "PID-0")
    with pytest.raises(UnknownImport, match="not one into project 8"):
        import_from_pacs(8, number, site=site, report=lambda *_: None)
    assert (pacs.num_retrieved, site.pacs_imports.get(number).state) == (0, "waiting")


def test_results_go_to_the_study_of_their_image_once(
    site: Site, pacs: FakePacs, two_patients: list[Path]
) -> None:
    work(site, asked(site, "PID-0"))
    mask = Mask(np.tri(30, dtype=np.bool_), 100, 120)
    found = Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id="drawn")
    tags = ControlTags.read(labeling_config())
    tasks = [int(each["id"]) for each in site.client.tasks(7)]
    for task in tasks[:2]:
        site.client.annotate(task, truth_regions([found], size=SIZE, tags=tags, source="m1"))
    told: list[str] = []
    sent = send_results(7, "sr", actor="ann", site=site, report=lambda stage, *_: told.append(stage))
    assert (sent["new"], sent["delivered"], sent["wait"], sent["refused"]) == (2, 2, 0, 0)
    assert told[-1] == "sending"
    original = pydicom.dcmread(two_patients[0], stop_before_pixels=True)
    assert {(str(each.PatientName), each.StudyInstanceUID) for each in pacs.stored} == {
        (NAME, original.StudyInstanceUID)
    }
    again = send_results(7, "sr", actor="ann", site=site, report=lambda *_: None)
    assert (again["new"], again["unchanged"], again["delivered"]) == (0, 2, 0)
    pacs.down = True
    waiting = send_results(7, "seg", actor="ann", site=site, report=lambda *_: None)
    assert (waiting["new"], waiting["delivered"], waiting["wait"]) == (2, 0, 2)
    assert "cannot be reached" in waiting["reasons"][0]
