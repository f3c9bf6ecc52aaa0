"""`prelabel-project` says that nobody works, that the broker is away, and what became of the tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cli.__main__ import main
from cli.project import prelabelling
from mammo.errors import StorageUnavailable
from mammo.runs.jobs import JobStatus
from mammo.runs.payloads import PrelabelProject
from tests.fakes.queue import CONDITION, FakeQueue

DONE = {"version": "m2", "predicted": 3, "already": 1, "withheld": 0, "failed": {}}


def queue_of(workers: int = 1, **more: Any) -> FakeQueue:
    state = replace(CONDITION, workers=workers, unserved={} if workers else {"predict": 1})
    return FakeQueue(state=state, **{"result": DONE} | more)


def run(monkeypatch: pytest.MonkeyPatch, queue: FakeQueue, *more: str) -> int:
    monkeypatch.setattr("mammo.runs.jobs.JobQueue", lambda connection: queue)
    monkeypatch.setattr(prelabelling, "POLL_SECONDS", 0.0)
    with pytest.raises(SystemExit) as end:
        main(["prelabel-project", "--project", "3", *more])
    return int(end.value.code or 0)


def test_the_end_of_a_job_says_what_became_of_the_tasks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = queue_of()
    assert run(monkeypatch, queue) == 0
    assert queue.prelabels == [PrelabelProject(3, None)]
    out = capsys.readouterr().out
    assert "m2: 3 predicted, 1 predicted before" in out
    assert "no worker" not in out
    assert "not shown" not in out


def test_findings_that_are_not_shown_are_said_at_the_end_of_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, queue_of(result=DONE | {"cut": {"tasks": 2, "findings": 31}})) == 0
    assert "1 predicted before; 31 findings of 2 tasks are not shown: an image shows its best 20" in (
        capsys.readouterr().out
    )


def test_tasks_that_failed_are_counted_by_reason_and_the_exit_code_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"not_an_image": 1, "image_not_found": 2}
    assert run(monkeypatch, queue_of(result=DONE | {"failed": failed, "withheld": 4})) == 2
    assert "4 withheld, 3 failed (2 image_not_found, 1 not_an_image)" in capsys.readouterr().out


def test_without_a_worker_it_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, queue_of(workers=0), "--no-wait") == 0
    assert "yolo-mlsam work" in capsys.readouterr().out


def test_a_failed_job_ends_with_1_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, queue_of(ends="failed")) == 1
    assert "job-1 is failed: no model" in capsys.readouterr().err


def test_a_broker_that_is_away_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", "redis://127.0.0.1:9/0")
    with pytest.raises(SystemExit) as end:
        main(["prelabel-project", "--project", "3"])
    assert end.value.code == 1
    assert "Traceback" not in capsys.readouterr().err


class Interrupted(FakeQueue):
    """A queue that does not answer when it is first looked at."""

    def status(self, job_id: str) -> JobStatus:
        if self.num_looks == 0:
            self.num_looks = 1
            raise StorageUnavailable("Redis does not answer", code="queue_unavailable")
        return super().status(job_id)


def test_an_outage_of_the_broker_does_not_end_the_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, Interrupted(result=DONE)) == 0
    out = capsys.readouterr().out
    assert "Redis does not answer; the job goes on" in out
    assert "m2: 3 predicted" in out
