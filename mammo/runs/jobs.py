"""The job queue, the contract between backend and worker: job names and JSON payloads; nothing is pickled.

The backend enqueues by name and imports no job. One retrain per project is active at a time: a key in Redis, the slot,
holds its job id, and setting the slot and enqueueing the job are one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import redis
import structlog
from rq import Queue, Retry
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from mammo.broker import operation
from mammo.errors import InvalidSettings
from mammo.runs.payloads import (
    Adapt,
    ImportFromPacs,
    LookAgain,
    PrelabelProject,
    Retrain,
    SendResults,
)
from mammo.runs.states import is_provisional

RETRAIN = "worker.jobs.retrain"
ADAPT = "worker.jobs.adapt"
PRELABEL = "worker.jobs.prelabel_project"
LOOK_AGAIN = "worker.jobs.look_again"
IMPORT_FROM_PACS = "worker.jobs.import_from_pacs"
SEND_RESULTS = "worker.jobs.send_results"

LIGHT, PREDICT, TRAIN = "light", "predict", "train"
QUEUES = (LIGHT, PREDICT, TRAIN)
"""Queues in the order in which a worker of several serves them: short jobs first, and predictions before training,
because annotators wait for them. `light` is for jobs that need neither a neural network nor torch."""

FORMER_NAMES = {PREDICT: "prelabel", TRAIN: "retrain"}
"""Names of the queues in earlier versions. Workers serve them too, because a job enqueued before an upgrade, and one
requeued after its worker's death, keeps the queue name it was enqueued with."""

ACTIVE = frozenset({"created", "queued", "scheduled", "deferred", "rate_limited", "started"})

RESULT_SECONDS = 30 * 86400
NO_TIMEOUT = -1
"""A training has no time limit; a dead worker is detected by its heartbeat."""

RESTARTS = 3
"""How often a job is restarted after its worker was stopped or killed; a failed job is not restarted."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Enqueued:
    """Result of enqueueing a job."""

    job_id: str
    created: bool
    """Whether a job was created; if not, an active job serves the same purpose and has this id."""


@dataclass(frozen=True, kw_only=True)
class QueueCondition:
    """State of all queues together."""

    waiting: int
    """Jobs that a worker could start now."""

    failed: int
    """Failed jobs of the last 30 days."""

    workers: int
    """Workers with a recent heartbeat."""

    unserved: Mapping[str, int]
    """Waiting jobs by queue, of queues that no worker serves."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """State and progress of a job, for a person."""

    id: str
    state: str
    """RQ's state, such as `queued`, `started`, `finished`, `failed` or `stopped`; `unknown` for a job that RQ has
    deleted."""

    stage: str
    progress: float
    """Progress of the whole job, in [0, 1]."""

    message: str
    result: Any
    """JSON value that the job returned; None until it has finished."""

    error: str | None
    """Why the job failed, in one line; None unless it failed."""


def lists_of(queues: Iterable[str]) -> list[str]:
    """Return the names of the Redis lists that a worker of these queues serves, in order; former names come first.

    Raises:
        InvalidSettings: A name is no queue, or no name is given.
    """
    names = set(queues)
    if not names or names - set(QUEUES):
        raise InvalidSettings(
            f"queues must be one or more of {', '.join(QUEUES)}, got {', '.join(sorted(names)) or 'none'}"
        )
    return [name for queue in QUEUES if queue in names for name in (FORMER_NAMES.get(queue), queue) if name]


class JobQueue:
    """Enqueues jobs and reports their status."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._queues = {
            name: Queue(name, connection=connection, serializer=JSONSerializer) for name in lists_of(QUEUES)
        }

    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        """Enqueue a retrain, or a run for a provisional model, unless the project has one that is queued or running.

        Args:
            run: Id of the run, used as the job id; an ended job with that id is replaced.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        slot = _retrain_slot(payload.project)
        if is_provisional(payload.recipe):
            slot = f"yolo-mlsam:provisional:{payload.project}"
        return self._enqueue_once(slot, self._queues[TRAIN], RETRAIN, asdict(payload), job_id=run)

    def enqueue_adapt(self, payload: Adapt, *, run: str) -> Enqueued:
        """Enqueue an adaptation, unless one is queued or running.

        Args:
            run: Id of the run, used as the job id; an ended job with that id is replaced.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        queue = self._queues[TRAIN]
        return self._enqueue_once("yolo-mlsam:adapt", queue, ADAPT, asdict(payload), job_id=run)

    def drop(self, job_id: str) -> bool:
        """Delete a job that no worker has started; returns whether it was deleted.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            job = self._fetch(job_id)
            if job is None or job.get_status() not in ACTIVE - {"started"}:
                return False
            job.delete()
            return True

    def enqueue_prelabel(self, payload: PrelabelProject) -> Enqueued:
        """Enqueue the prelabelling of a project, unless one with the same model version is active.

        The parts of a refresh are jobs of their own.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        slot = f"yolo-mlsam:prelabel:{payload.project}:{payload.model_version or 'champion'}"
        if payload.refresh:
            slot = f"{slot}:after-{payload.after}"
        return self._enqueue_once(slot, self._queues[PREDICT], PRELABEL, asdict(payload))

    def enqueue_look_again(self, payload: LookAgain) -> Enqueued:
        """Enqueue a search for doubtful labels, unless one of the project is active. Raises as `enqueue_prelabel`.

        One with folds trains, so it waits where trainings wait.
        """
        queue = self._queues[TRAIN if payload.folds else PREDICT]
        return self._enqueue_once(_look_again_slot(payload.project), queue, LOOK_AGAIN, asdict(payload))

    def looking_again(self, project: int) -> JobStatus | None:
        """Return the newest search of a project for doubtful labels, as far as the queue knows it.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            job_id = self._connection.get(_look_again_slot(project))
            job = self._fetch(job_id.decode("ascii", "replace")) if isinstance(job_id, bytes) else None
            return None if job is None else _describe(job)

    def cancel_looking_again(self, project: int, *, actor: str) -> str | None:
        """Cancel the active search of a project; returns its job id, or None without one.

        One that a worker has begun ends at its next report of progress; the folds that are done are kept.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            job = self._holder(_look_again_slot(project), self._connection)
            if job is None:
                return None
            self._connection.set(_cancel_key(job.id), actor.encode(), ex=RESULT_SECONDS)
            self.drop(job.id)
            return str(job.id)

    def cancelled_by(self, job_id: str) -> str | None:
        """Return who has cancelled a job that has begun; None if nobody has. Raises redis.RedisError."""
        actor = self._connection.get(_cancel_key(job_id))
        return actor.decode(errors="replace") if isinstance(actor, bytes) else None

    def enqueue_pacs_import(self, payload: ImportFromPacs) -> Enqueued:
        """Enqueue an import, unless one into the project is active. Raises as `enqueue_prelabel`.

        The job has the id `import_job(payload.number)`; an ended one with that id is replaced.
        """
        slot, job = f"yolo-mlsam:pacs-import:{payload.project}", import_job(payload.number)
        return self._enqueue_once(slot, self._queues[LIGHT], IMPORT_FROM_PACS, asdict(payload), job_id=job)

    def enqueue_results(self, payload: SendResults) -> Enqueued:
        """Enqueue the sending of a project's results, unless the same is active. Raises as `enqueue_prelabel`."""
        slot = f"yolo-mlsam:results:{payload.project}:{payload.kind}"
        return self._enqueue_once(slot, self._queues[LIGHT], SEND_RESULTS, asdict(payload))

    def status(self, job_id: str) -> JobStatus:
        """Return the status of a job; its state is `unknown` if RQ does not have it.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            job = self._fetch(job_id)
            return _unknown(job_id) if job is None else _describe(job)

    def active(self, project: int) -> str | None:
        """Return the job id of the project's active retrain; None without one.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            job = self._holder(_retrain_slot(project), self._connection)
            return None if job is None else str(job.id)

    def check_writable(self) -> None:
        """Check that Redis accepts writes, without changing anything.

        Raises:
            StorageUnavailable: Redis is away, or refuses writes because it is full, a replica, or still loading.
        """
        with operation():
            # Redis refuses the command before it looks at its condition, which a missing key never meets.
            self._connection.set("yolo-mlsam:probe", b"", xx=True)

    def condition(self) -> QueueCondition:
        """Return the state of all queues.

        Raises:
            StorageUnavailable: Redis is away, refuses, or is unreadable; see `mammo.broker.operation`.
        """
        with operation():
            # Two round trips, and no write: RQ's own counts clean up as they go, which a full Redis refuses.
            with self._connection.pipeline(transaction=False) as asked:
                for name, queue in self._queues.items():
                    asked.llen(queue.key)
                    asked.zcard(queue.failed_job_registry.key)
                    asked.smembers(WORKERS_BY_QUEUE_KEY % name)
                answers = asked.execute()
            counts, failed, registered = (
                dict(zip(self._queues, answers[i::3], strict=True)) for i in range(3)
            )
            alive = self._alive({key.decode() for keys in registered.values() for key in keys})
        waiting = {name: sum(counts[each] for each in lists_of([name])) for name in QUEUES}
        workers = {name: {key.decode() for key in keys} & alive for name, keys in registered.items()}
        return QueueCondition(
            waiting=sum(waiting.values()),
            failed=sum(failed.values()),
            workers=len(set().union(*workers.values())),
            unserved={name: count for name, count in waiting.items() if count and not workers[name]},
        )

    def _alive(self, workers: set[str]) -> set[str]:
        """Return the keys of those workers that have sent a heartbeat lately; the others have expired."""
        with self._connection.pipeline(transaction=False) as asked:
            for key in sorted(workers):
                asked.exists(key)
            return {key for key, alive in zip(sorted(workers), asked.execute(), strict=True) if alive}

    def _enqueue_once(
        self, slot: str, queue: Any, function: str, payload: Mapping[str, Any], *, job_id: str | None = None
    ) -> Enqueued:
        with operation():
            while True:
                with self._connection.pipeline() as transaction:
                    # If another process sets the slot before execute(), the transaction fails and is retried.
                    transaction.watch(slot)  # type: ignore[no-untyped-call]
                    holder = self._holder(slot, transaction)
                    if holder is not None:
                        return Enqueued(holder.id, created=False)
                    ended = self._fetch(job_id) if job_id else None
                    if ended is not None:  # the run has recorded its end
                        ended.delete()
                    new_id = job_id or f"{queue.name}-{payload['project']}-{uuid.uuid4().hex[:12]}"
                    transaction.multi()
                    transaction.set(slot, new_id)
                    queue.enqueue_call(
                        function,
                        kwargs={"payload": dict(payload)},
                        job_id=new_id,
                        timeout=NO_TIMEOUT,
                        result_ttl=RESULT_SECONDS,
                        failure_ttl=RESULT_SECONDS,
                        retry=Retry(max=RESTARTS),
                        description=f"{function} project={payload['project']}",
                        pipeline=transaction,
                    )
                    try:
                        transaction.execute()
                    except redis.WatchError:
                        continue
                    return Enqueued(new_id, created=True)

    def _holder(self, slot: str, connection: redis.Redis) -> Any:
        """Return the active job in a slot; None if the slot is free or its job has ended."""
        job_id = connection.get(slot)
        if not isinstance(job_id, bytes):
            return None
        try:
            job = self._fetch(job_id.decode())
        except ValueError:  # neither ours nor any other job has such an id
            log.warning("the job queue does not know who holds a slot, and takes it as free", slot=slot)
            return None
        if job is None:
            return None
        try:
            return job if job.get_status() in ACTIVE else None
        except InvalidJobOperation:  # deleted in the meantime
            return None

    def _fetch(self, job_id: str) -> Any:
        try:
            return Job.fetch(job_id, connection=self._connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return None


def import_job(number: int) -> str:
    """Return the id of the job of an import from the PACS."""
    return f"pacs-import-{number}"


def _retrain_slot(project: int) -> str:
    return f"yolo-mlsam:retrain:{project}"


def _look_again_slot(project: int) -> str:
    return f"yolo-mlsam:look-again:{project}"


def _cancel_key(job_id: str) -> str:
    return f"yolo-mlsam:cancel:{job_id}"


def _unknown(job_id: str) -> JobStatus:
    error = "this job is unknown; jobs and results are deleted after 30 days"
    return JobStatus(id=job_id, state="unknown", stage="", progress=0.0, message="", result=None, error=error)


def _describe(job: Any) -> JobStatus:
    meta, result = job.meta, job.latest_result()
    state = str(getattr(status := job.get_status(refresh=False), "value", status))
    failed = state == "failed"
    return JobStatus(
        id=job.id,
        state=state,
        stage=str(meta.get("stage", "")),
        progress=1.0 if state == "finished" else float(meta.get("progress", 0.0)),
        message=str(meta.get("message", "")),
        result=result.return_value if result is not None and state == "finished" else None,
        error=_reason(meta, result) if failed else None,
    )


def _reason(meta: Mapping[str, Any], result: Any) -> str:
    """Return the message that the job left, or the last line of its traceback."""
    message = meta.get("error")
    lines = (result.exc_string or "").strip().splitlines() if result is not None else []
    return str(message) if message else (lines[-1] if lines else "the job ended without giving a reason")
