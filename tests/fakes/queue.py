"""FakeQueue: runs nothing; the test plays the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo.errors import StorageUnavailable
from mammo.runs.jobs import Enqueued, JobStatus, QueueCondition, import_job
from mammo.runs.payloads import ImportFromPacs, LookAgain, PrelabelProject, Retrain, SendResults

CONDITION = QueueCondition(waiting=2, failed=1, workers=3, unserved={"train": 1})


@dataclass
class FakeQueue:
    """One active retrain per project, as the real one; a prelabelling has ended when it is looked at again."""

    ends: str = "finished"
    """State of a prelabelling that has ended."""

    result: Mapping[str, Any] = field(default_factory=dict)
    """What it returns."""

    state: QueueCondition = CONDITION
    down: bool = False
    """Whether the broker is away."""

    asked: list[Retrain] = field(default_factory=list)
    active: dict[int, str] = field(default_factory=dict)
    """Job by project."""

    prelabels: list[PrelabelProject] = field(default_factory=list)
    searches: list[LookAgain] = field(default_factory=list)
    imports: list[ImportFromPacs] = field(default_factory=list)
    """That are active, one per project."""

    sendings: list[SendResults] = field(default_factory=list)
    num_looks: int = 0

    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        self._reach()
        holder = self.active.get(payload.project)
        if holder is not None:
            return Enqueued(holder, created=False)
        self.asked.append(payload)
        self.active[payload.project] = job = run or f"retrain-{payload.project}"
        return Enqueued(job, created=True)

    def enqueue_prelabel(self, payload: PrelabelProject) -> Enqueued:
        self._reach()
        self.prelabels.append(payload)
        return Enqueued("job-1", created=True)

    def enqueue_look_again(self, payload: LookAgain) -> Enqueued:
        self._reach()
        self.searches.append(payload)
        return Enqueued("predict-1-0123456789ab", created=True)

    def looking_again(self, project: int) -> JobStatus | None:
        self._reach()
        active = any(each.project == project for each in self.searches)
        return self.status("predict-1-0123456789ab") if active else None

    def cancel_looking_again(self, project: int, *, actor: str) -> str | None:
        self._reach()
        active = [each for each in self.searches if each.project == project]
        self.searches = [each for each in self.searches if each.project != project]
        return "predict-1-0123456789ab" if active else None

    def enqueue_pacs_import(self, payload: ImportFromPacs) -> Enqueued:
        self._reach()
        holders = [each for each in self.imports if each.project == payload.project]
        if not holders:
            self.imports.append(payload)
        return Enqueued(import_job((holders or [payload])[0].number), created=not holders)

    def enqueue_results(self, payload: SendResults) -> Enqueued:
        self._reach()
        self.sendings.append(payload)
        return Enqueued("light-7-0123456789ab", created=True)

    def status(self, job_id: str) -> JobStatus:
        self._reach()
        self.num_looks += 1
        state = self.ends if self.num_looks > 1 else "started"
        result, error = dict(self.result), "no model"
        return JobStatus(
            id=job_id, state=state, stage="", progress=0.5, message="", result=result, error=error
        )

    def check_writable(self) -> None:
        self._reach()

    def drop(self, job_id: str) -> bool:
        self._reach()
        held = [project for project, job in self.active.items() if job == job_id]
        for project in held:
            del self.active[project]
        imports = [each for each in self.imports if import_job(each.number) == job_id]
        self.imports = [each for each in self.imports if each not in imports]
        return bool(held or imports)

    def condition(self) -> QueueCondition:
        self._reach()
        return self.state

    def _reach(self) -> None:
        if self.down:
            raise StorageUnavailable("the job queue does not answer", code="queue_unavailable")
