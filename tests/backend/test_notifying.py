"""The thread of the backend that notices and tells."""

import threading
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from backend import __main__ as entry
from backend.app import create_app
from backend.notifying import Notifier
from mammo.database import writing
from mammo.errors import StorageUnavailable
from mammo.models.provisional import PROVISIONAL_NOTE, serve
from mammo.notifications import NewChannel
from mammo.stages import StageLog
from mammo.stages.service import AUDIT
from tests.backend.fakes import Backend, settings
from tests.sites import site_of

TASK = {"id": 5, "data": {"image": "/x.png", "sha256": "a" * 64}}


@pytest.mark.parametrize("error", [StorageUnavailable("the disk is full"), KeyError("https://h/token")])
def test_a_round_that_fails_ends_neither_the_thread_nor_says_what_it_held(error, capsys):
    rounds, enough = [], threading.Event()

    def round_():
        rounds.append(1)
        if len(rounds) == 3:
            enough.set()
        raise error

    notifier = Notifier(round_, every=0.01)
    notifier.start()
    assert enough.wait(10)
    notifier.stop()
    count = len(rounds)
    assert not enough.wait(0) or len(rounds) == count
    assert "token" not in capsys.readouterr().out


def test_it_stops_soon_also_while_a_receiver_hangs(monkeypatch):
    monkeypatch.setattr("backend.notifying.STOP_SECONDS", 0.05)
    begun, hanging = threading.Event(), threading.Event()

    def round_():
        begun.set()
        hanging.wait(60)

    notifier = Notifier(round_)
    notifier.start()
    assert begun.wait(10)
    notifier.stop()
    hanging.set()


def test_one_that_was_never_started_can_be_stopped():
    Notifier(lambda: None).stop()


def test_the_backend_starts_and_stops_the_thread_with_itself():
    rounds = threading.Event()
    backend = Backend()
    notifier = Notifier(rounds.set, every=0.01)
    with TestClient(create_app(replace(backend.services, notifier=notifier))):
        assert rounds.wait(10)
    rounds.clear()
    assert not rounds.wait(0.1)


def test_the_real_wiring_has_the_thread(tmp_path):
    with site_of(settings(data_dir=tmp_path / "data"), creates=True) as site:
        assert entry.wire(site).notifier is not None


def test_predictions_carry_the_news_of_their_project_and_others_do_not(engine):
    backend = Backend(engine=engine)
    told = backend.services.site.notifications
    told.add(NewChannel(kind="note", target="", project=3, topics=("sent-back",)), actor="me@here")
    StageLog(engine).add(3, "semi-automatic", since=None, actor=AUDIT, reason="r", evidence={})
    told.round()

    def notes(project):
        (result,) = backend.predict(TASK, project=project).json()["results"]
        return [each["value"]["text"] for each in result["result"] if each["type"] == "textarea"]

    ((news,),) = notes("3.1")
    assert "The audit sent project 3 back" in news
    assert notes("4.1") == []


def test_annotators_are_told_that_a_provisional_model_made_a_prelabel(engine):
    backend = Backend(engine=engine)
    with writing(engine) as connection:
        serve(connection, 3, "m1", reason="better", actor="a test")

    def notes(project):
        (result,) = backend.predict(TASK, project=project).json()["results"]
        return [each["value"]["text"] for each in result["result"] if each["type"] == "textarea"]

    assert notes("3.1") == [[PROVISIONAL_NOTE]]
    assert notes("4.1") == []


def test_predictions_go_on_without_news_while_the_database_is_away():
    backend = Backend()
    away = StorageUnavailable("the database does not answer")

    class Away:
        def notes(self, project):
            raise away

    backend.services.site.__dict__["notifications"] = Away()
    (result,) = backend.predict(TASK).json()["results"]
    assert result["score"] > 0


def test_results_for_the_pacs_are_sent_by_a_thread_of_their_own_if_there_is_a_pacs(tmp_path):
    where = {"pacs_url": "https://pacs.example/dicom-web", "data_dir": tmp_path / "data"}
    with site_of(settings(**where), creates=True) as site:
        sender = entry.wire(site).result_sender
        assert sender is not None
    rounds = threading.Event()
    backend = Backend()
    with TestClient(create_app(replace(backend.services, result_sender=Notifier(rounds.set, every=0.01)))):
        assert rounds.wait(10)
    with site_of(settings(data_dir=tmp_path / "data"), creates=True) as site:
        assert entry.wire(site).result_sender is None
