"""`python -m worker` says what it waits for."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import pytest
import redis

from worker import __main__ as entry


def test_a_broker_that_is_away_is_said_before_the_wait_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    tmp_path,
) -> None:
    said: list[str] = []

    def give_up(connection: redis.Redis, **options: Any) -> NoReturn:
        said.extend(record.getMessage() for record in caplog.records)
        raise redis.ConnectionError

    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # else `main` leaves it behind
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(entry, "make_worker", give_up)
    installed: list[Any] = []
    monkeypatch.setattr(entry, "install", installed.append)
    with caplog.at_level(logging.WARNING):
        assert entry.main([]) == 1
    assert len(said) == 1
    assert "waiting for it" in said[0]
    assert "YOLO_MLSAM_REDIS_URL does not answer (ConnectionError)" in capsys.readouterr().err
