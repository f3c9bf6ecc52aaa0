"""The container's health check: a worker of this machine, heard of lately."""

from datetime import UTC, datetime, timedelta

import pytest
from rq import Worker

from mammo.broker import redis_connection
from worker.health import MAX_SILENCE, main


@pytest.fixture
def connection(redis_url, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", redis_url)
    return redis_connection(redis_url)


def test_without_a_worker_of_this_machine_it_is_ill(connection, capsys):
    assert main() == 1
    assert "registered" in capsys.readouterr().err


def test_a_worker_that_was_heard_of_is_well_and_one_that_fell_silent_is_not(connection, capsys):
    worker = Worker(["predict"], connection=connection)
    worker.register_birth()
    assert main() == 0
    before = datetime.now(UTC) - MAX_SILENCE - timedelta(seconds=5)
    connection.hset(worker.key, "last_heartbeat", before.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert main() == 1
    assert "heartbeat" in capsys.readouterr().err
    worker.register_death()


def test_another_machines_worker_says_nothing_of_this_one(connection):
    worker = Worker(["predict"], connection=connection)
    worker.hostname = "another"
    worker.register_birth()
    assert main() == 1
    worker.register_death()


def test_a_broker_that_is_away_is_said_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", f"unix://{tmp_path}/none.sock")
    assert main() == 1
    assert "does not answer" in capsys.readouterr().err
