"""Results go to the PACS once, in the study of their image, and what was said before is replaced; on a real Orthanc."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from sqlalchemy.engine import Engine

from mammo.dicom.reports.reading import read_report
from mammo.errors import PacsError
from mammo.pacs import PacsClient
from mammo.pacs.outbox import LEASE, PAUSES, ResultOutbox
from mammo.pacs.results import PacsResults
from mammo.settings import Settings
from tests.mammo.dicom.validator import assert_valid
from tests.mammo.pacs.phantoms import NAME, NUMBER, SIZE, Phantom, cluster, labelled, originals, phantom
from tests.orthanc_server import OrthancServer

KINDS = {"seg": "Segmentation", "sr": "ComprehensiveSR", "cad-sr": "MammographyCADSR"}
ACTOR = "ann (console)"


class Clock:
    """A clock that is set forward, so that no test waits."""

    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, time: timedelta) -> None:
        self.now += time + timedelta(seconds=1)


def results(
    engine: Engine, server: OrthancServer, *phantoms: Phantom, clock: Clock | None = None
) -> PacsResults:
    return PacsResults(
        outbox=ResultOutbox(engine),
        pacs=lambda: PacsClient.of(Settings.load(**server.settings)),
        originals=originals(*phantoms),
        clock=clock or Clock(),
    )


def held(server: OrthancServer) -> list[pydicom.Dataset]:
    """What the PACS holds beside the images, oldest instance UID first."""
    found = [pydicom.dcmread(io.BytesIO(server.file(each))) for each in server.rest("GET", "/instances")]
    return sorted((each for each in found if each.Modality != "MG"), key=lambda each: str(each.SOPClassUID))


def test_results_stand_in_the_study_and_patient_of_the_original_image(
    orthanc: OrthancServer, any_engine: Engine, tmp_path: Path
) -> None:
    views = [phantom(tmp_path, "CC"), phantom(tmp_path, "MLO")]
    orthanc.push(*(each.original for each in views))
    service = results(any_engine, orthanc, *views)
    images = [labelled(views[0], cluster(), cluster(15)), labelled(views[1], cluster(9))]
    for kind in KINDS:
        queued = service.queue(images, kind, actor=ACTOR)
        assert (queued.refusals, queued.num_new) == ([], 1 if kind == "cad-sr" else 2)
    sent = service.send()
    assert (sent.problems, sent.num_delivered) == ([], 5)
    assert len(orthanc.rest("GET", "/studies")) == 1
    for number, found in enumerate(held(orthanc)):
        assert (str(found.PatientName), found.PatientID, found.PatientBirthDate) == (NAME, NUMBER, "19600102")
        assert (found.StudyInstanceUID, found.AccessionNumber, found.StudyDate) == (
            views[0].study,
            "A1",
            "20200304",
        )
        assert "PatientIdentityRemoved" not in found
        path = tmp_path / f"{number}.result"
        found.save_as(path)
        for copy in (uid for each in views for uid in each.uids):
            assert copy.encode() not in path.read_bytes()
        kind = next(
            each for each in KINDS.values() if each.lower()[:6] in _name(found).lower().replace(" ", "")
        )
        assert_valid(path, kind)
        if kind == "MammographyCADSR":
            counts = [len(read_report(path, image=each.instance, size=SIZE).findings) for each in views]
            assert counts == [2, 1]
            assert b"20200101" not in path.read_bytes()


def _name(dataset: pydicom.Dataset) -> str:
    return str(pydicom.uid.UID(dataset.SOPClassUID).name)


def test_what_was_sent_is_not_sent_again_and_what_changed_replaces_it(
    orthanc: OrthancServer, engine: Engine, tmp_path: Path
) -> None:
    view = phantom(tmp_path)
    orthanc.push(view.original)
    service = results(engine, orthanc, view)
    said = [cluster(), cluster(15)], [cluster(size=7), cluster(15)], [cluster(), cluster(15)], []
    for number, found in enumerate(said, 1):
        image = labelled(view, *found)
        for kind in ("sr", "seg"):
            first = service.queue([image], kind, actor=ACTOR)
            again = service.queue([image], kind, actor=ACTOR)
            if kind == "seg" and not found:
                assert ["stays in the PACS" in str(each) for each in first.refusals] == [True]
            else:
                assert (first.num_new, again.num_new, again.num_unchanged) == (1, 0, 1)
        service.send()
        assert service.send().num_delivered == 0
        reports = [each for each in held(orthanc) if each.Modality == "SR"]
        assert len(reports) == number
    newest = _newest(reports)
    _newest([each for each in held(orthanc) if each.Modality == "SEG"])
    last = next(each for each in reports if each.SOPInstanceUID == newest)
    path = tmp_path / "last"
    last.save_as(path)
    assert read_report(path, image=view.instance, size=SIZE).findings == ()
    tracked = [_tracking(each, view, tmp_path) for each in reports]
    assert sorted(map(len, tracked)) == [0, 2, 2, 2]
    assert len(set().union(*tracked)) == 2


def _newest(versions: list[pydicom.Dataset]) -> str:
    """The one that none replaces; each other is replaced by one, and one replaces none."""
    names = {str(each.SOPInstanceUID) for each in versions}
    replaced = [_predecessor(each) for each in versions]
    assert len(set(replaced)) == len(versions)
    assert set(replaced) - names == {""}
    (newest,) = names - set(replaced)
    return newest


def _predecessor(report: pydicom.Dataset) -> str:
    for image in report.get("ReferencedImageSequence", []):
        return str(image.ReferencedSOPInstanceUID)
    for study in report.get("PredecessorDocumentsSequence", []):
        assert study.StudyInstanceUID == report.StudyInstanceUID
        return str(study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    return ""


def _tracking(report: pydicom.Dataset, view: Phantom, folder: Path) -> set[str]:
    path = folder / "report"
    report.save_as(path)
    back = read_report(path, image=view.instance, size=SIZE).findings
    return {each.tracking.uid for each in back if each.tracking}


def test_an_outage_loses_and_doubles_nothing(engine: Engine, tmp_path: Path) -> None:
    """Killed between two results, and between storing a result and recording that."""
    views = [phantom(tmp_path, view) for view in ("CC", "MLO", "ML")]
    server, clock = OrthancServer().start(), Clock()
    try:
        server.push(*(each.original for each in views))
        service = results(engine, server, *views, clock=clock)
        assert service.queue([labelled(each, cluster()) for each in views], "sr", actor=ACTOR).num_new == 3
        delivered = service.outbox.delivered

        def killed(*arguments: Any, **options: Any) -> None:
            server.kill()
            raise SystemExit

        service.outbox.delivered = killed  # type: ignore[method-assign]
        with pytest.raises(SystemExit):
            service.send()
        service.outbox.delivered = delivered  # type: ignore[method-assign]
        sent = service.send()
        assert sent.num_delivered == 0
        assert len(sent.problems) == 1
        assert "cannot be reached" in sent.problems[0]
        server.start()
        assert service.send().num_delivered == 1  # the third: the others wait
        clock.passes(PAUSES[0])
        assert service.send().num_delivered == 1
        clock.passes(LEASE)
        assert service.send().num_delivered == 1
        assert service.outbox.counts() == {"delivered": 3}
        assert len(held(server)) == 3
    finally:
        server.remove()


class Answering:
    """A PACS that has the image, and answers a result as it is told."""

    host = "pacs.example"

    def __init__(self, view: Phantom, answer: Callable[[str], dict[str, Any]]) -> None:
        self._image = pydicom.dcmread(view.original, stop_before_pixels=True)
        self._answer = answer

    def metadata(self, study: str, series: str) -> list[dict[str, Any]]:
        assert study == self._image.StudyInstanceUID
        return [self._image.to_json_dict()]

    def store(self, data_sets: Any, *, study: str) -> dict[str, Any]:
        return self._answer(str(data_sets[0].SOPInstanceUID))


def _failed(reason: int) -> Callable[[str], dict[str, Any]]:
    def answer(instance: str) -> dict[str, Any]:
        item = {"00081155": {"vr": "UI", "Value": [instance]}, "00081197": {"vr": "US", "Value": [reason]}}
        return {"00081198": {"vr": "SQ", "Value": [item]}}

    return answer


def _raises(code: str, message: str) -> Callable[[str], dict[str, Any]]:
    def answer(instance: str) -> dict[str, Any]:
        raise PacsError(message, code=code)

    return answer


@pytest.mark.parametrize(
    ("answer", "problem", "state"),
    [
        (_failed(0xA700), "out of space", "waiting"),
        (_failed(0x0122), "does not store objects of this kind", "refused"),
        (_failed(0x0111), "", "delivered"),
        (_failed(0x1234), "reason 0x1234", "waiting"),
        (lambda instance: {}, "did not say that it stored", "waiting"),
        (lambda instance: {"00081199": {"Value": 3}}, "did not say that it stored", "waiting"),
        (_raises("pacs_unauthorized", "the PACS answered 401"), "answered 401", "waiting"),
        (_raises("pacs_http_409", "the PACS answered 409"), "answered 409", "waiting"),
    ],
)
def test_a_refusal_is_one_sentence(
    engine: Engine, tmp_path: Path, answer: Callable[[str], dict[str, Any]], problem: str, state: str
) -> None:
    view = phantom(tmp_path)
    pacs = Answering(view, answer)
    service = PacsResults(
        outbox=ResultOutbox(engine), pacs=lambda: pacs, originals=originals(view), clock=Clock()
    )
    service.queue([labelled(view, cluster())], "sr", actor=ACTOR)
    sent = service.send()
    assert len(sent.problems) == bool(problem)
    assert all(problem in each and NAME not in each and view.study not in each for each in sent.problems)
    (row,) = service.outbox.newest(limit=9)
    assert (row.state, row.attempts) == (state, 1)
    assert service.outbox.hasten(now=Clock.now, actor="anna") == (state == "waiting")


@pytest.mark.parametrize(
    "change", [{"SOPInstanceUID": "1.2.3"}, {"Rows": 99}, {"PatientID": "4712"}, {"PatientName": None}]
)
def test_an_image_of_another_patient_gets_no_result(
    engine: Engine, tmp_path: Path, change: dict[str, Any]
) -> None:
    other, view = phantom(tmp_path, "MLO"), phantom(tmp_path)
    stored: list[str] = []
    pacs = Answering(view, lambda instance: stored.append(instance) or {})
    for keyword, value in change.items():
        setattr(pacs._image, keyword, value)
    service = PacsResults(
        outbox=ResultOutbox(engine), pacs=lambda: pacs, originals=originals(other, view), clock=Clock()
    )
    service.queue([labelled(view, cluster())], "sr", actor=ACTOR)
    (problem,) = service.send().problems
    is_same = "PatientName" in change
    assert bool(stored) == is_same
    assert ("no image of this patient and size" in problem) != is_same
    assert service.outbox.counts() == {"waiting" if is_same else "refused": 1}
    assert service.queue([labelled(view, cluster())], "sr", actor=ACTOR).num_new == (not is_same)
    assert service.outbox.counts() == {"waiting": 1}


def test_a_wrong_password_is_said_and_what_waits_is_sent_later(
    orthanc: OrthancServer, engine: Engine, tmp_path: Path
) -> None:
    view = phantom(tmp_path)
    orthanc.push(view.original)
    clock = Clock()
    service = results(engine, orthanc, view, clock=clock)
    service.queue([labelled(view, cluster())], "sr", actor=ACTOR)
    right = service.pacs
    service.pacs = lambda: PacsClient.of(Settings.load(**orthanc.settings | {"pacs_password": "wrong"}))
    (problem,) = service.send().problems
    assert "answered 401" in problem
    service.pacs = right
    clock.passes(PAUSES[0])
    assert service.send().num_delivered == 1
