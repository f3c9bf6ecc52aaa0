"""The contract between backend and worker: job names, payloads, the queue. Payloads are JSON; nothing is pickled.

The backend enqueues by name and imports no job. One retrain per project is active at a time: a slot in Redis
names it, and taking the slot and enqueueing are one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry as ConnectionRetry
from rq import Queue, Retry, Worker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from mammo.errors import InvalidSettings, StorageUnavailable

RETRAIN = "worker.jobs.retrain"
PRELABEL = "worker.jobs.prelabel_project"

LIGHT, PREDICT, TRAIN = "light", "predict", "train"
QUEUES = (LIGHT, PREDICT, TRAIN)
"""A worker of several takes from the first that has a job: what is short before what is long, and annotators wait for
predictions. `light` is for short jobs that need no network and no torch."""

FORMER = {PREDICT: "prelabel", TRAIN: "retrain"}
"""What queues were called in earlier versions. Their workers empty those lists too: a job that was asked for before an
upgrade, and one that its worker's death sends back, is done under the name by which it was asked for."""

ACTIVE = frozenset({"created", "queued", "scheduled", "deferred", "rate_limited", "started"})

RESULT_SECONDS = 30 * 86400
NO_TIMEOUT = -1
"""Training takes as long as it takes; a dead worker is noticed by its heartbeat, not by a clock."""

RESTARTS = 3
"""How often a job is started again after its worker was stopped or killed. A job that fails is not."""


@dataclass(frozen=True)
class Retrain:
    """Train a challenger from a project's corrections, judge it, promote it if it wins."""

    project: int
    recipe: str
    """A key of `training.retrain.recipes.RECIPES`."""

    reason: str
    """Who asked: `START_TRAINING`, `schedule` ..."""


@dataclass(frozen=True)
class PrelabelProject:
    """Prelabel every task of a project that a model version has not prelabelled yet."""

    project: int
    model_version: str | None = None
    """None: the champion of the moment the job runs."""


@dataclass(frozen=True)
class Enqueued:
    job_id: str
    created: bool
    """False: one for the same purpose is active, and this is its id."""


@dataclass(frozen=True, kw_only=True)
class QueueCondition:
    """How the queues are, all of ours together."""

    waiting: int
    """Jobs that a worker could take now."""

    failed: int
    workers: int
    """Workers that have shown themselves in the last minutes."""

    unserved: Mapping[str, int]
    """Waiting jobs by queue, of the queues that no worker takes from; empty when each has one."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """What a person wants to know of a job."""

    id: str
    state: str
    """`queued`, `started`, `finished`, `failed`, `stopped`, as RQ calls it; `unknown` for a job that is forgotten."""

    stage: str
    progress: float
    """Of the whole job, in [0, 1]."""

    message: str
    result: Any
    """What the job returned (JSON); None before the end."""

    error: str | None
    """Why it failed, in one line; None unless it did."""


def redis_connection(url: str, *, patience: int = 90) -> redis.Redis:
    """A connection that survives a broker restart.

    Args:
        url: `redis://`, `rediss://` or `unix://`, password included.
        patience: seconds to go on trying while the broker is away. A worker waits long (without patience it dies
            with the broker and its job stands still); a web request must not.
    """
    return redis.Redis.from_url(
        url,
        retry=ConnectionRetry(ConstantBackoff(1), patience),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError],
        socket_connect_timeout=5,
        socket_timeout=30,
        health_check_interval=30,
    )


def lists_of(queues: Iterable[str]) -> list[str]:
    """The lists in Redis that a worker of these queues takes from, first one first; older jobs before newer.

    Raises:
        InvalidSettings: one of the names is no queue of ours, or there is none.
    """
    wanted = set(queues)
    if not wanted or wanted - set(QUEUES):
        raise InvalidSettings(
            f"queues {', '.join(sorted(wanted)) or '(none)'}: give one or more of {', '.join(QUEUES)}"
        )
    return [name for queue in QUEUES if queue in wanted for name in (FORMER.get(queue), queue) if name]


class JobQueue:
    """Enqueues jobs and tells how they are."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._queues = {
            name: Queue(name, connection=connection, serializer=JSONSerializer) for name in lists_of(QUEUES)
        }

    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        """Ask for a retrain; one that is queued or running already stands for this one too.

        Args:
            run: id of the run's row, which its job then has too. One of that id that has ended makes room.

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        slot = _retrain_slot(payload.project)
        return self._enqueue_once(slot, self._queues[TRAIN], RETRAIN, asdict(payload), job_id=run)

    def drop(self, job_id: str) -> bool:
        """Take back a job that no worker has taken; True if it is gone.

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        with _reporting():
            job = self._fetch(job_id)
            if job is None or job.get_status() not in ACTIVE - {"started"}:
                return False
            job.delete()
            return True

    def enqueue_prelabel(self, payload: PrelabelProject) -> Enqueued:
        """Ask for prelabels; one per project and model version is active at a time.

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        slot = f"yolo-mlsam:prelabel:{payload.project}:{payload.model_version or 'champion'}"
        return self._enqueue_once(slot, self._queues[PREDICT], PRELABEL, asdict(payload))

    def status(self, job_id: str) -> JobStatus:
        """How a job is; state `unknown` when the broker does not know it (any more).

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        with _reporting():
            job = self._fetch(job_id)
            return _unknown(job_id) if job is None else _describe(job)

    def active(self, project: int) -> str | None:
        """Id of the project's retrain that is queued or running; None without one.

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        with _reporting():
            job = self._holder(_retrain_slot(project), self._connection)
            return None if job is None else str(job.id)

    def condition(self) -> QueueCondition:
        """How the queues are.

        Raises:
            StorageUnavailable: the broker does not answer (code `queue_unavailable`).
        """
        with _reporting():
            queues = self._queues.values()
            waiting = {name: sum(self._queues[each].count for each in lists_of([name])) for name in QUEUES}
            workers = {
                name: {each.name for each in Worker.all(queue=queue)} for name, queue in self._queues.items()
            }
            return QueueCondition(
                waiting=sum(waiting.values()),
                failed=sum(queue.failed_job_registry.count for queue in queues),
                workers=len(set().union(*workers.values())),
                unserved={name: count for name, count in waiting.items() if count and not workers[name]},
            )

    def _enqueue_once(
        self, slot: str, queue: Any, function: str, payload: Mapping[str, Any], *, job_id: str | None = None
    ) -> Enqueued:
        with _reporting():
            while True:
                with self._connection.pipeline() as transaction:
                    transaction.watch(slot)  # type: ignore[no-untyped-call]  # whoever takes the slot between here and execute() makes it fail
                    holder = self._holder(slot, transaction)
                    if holder is not None:
                        return Enqueued(holder.id, created=False)
                    ended = self._fetch(job_id) if job_id else None
                    if ended is not None:  # its end was written down in the run; the queue forgets it
                        ended.delete()
                    made = job_id or f"{queue.name}-{payload['project']}-{uuid.uuid4().hex[:12]}"
                    transaction.multi()
                    transaction.set(slot, made)
                    queue.enqueue_call(
                        function,
                        kwargs={"payload": dict(payload)},
                        job_id=made,
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
                    return Enqueued(made, created=True)

    def _holder(self, slot: str, connection: redis.Redis) -> Any:
        """The active job that holds a slot; None when it is free or its job has ended."""
        held = connection.get(slot)
        job = self._fetch(held.decode()) if isinstance(held, bytes) else None
        if job is None:
            return None
        try:
            return job if job.get_status() in ACTIVE else None
        except InvalidJobOperation:  # it vanished in between
            return None

    def _fetch(self, job_id: str) -> Any:
        try:
            return Job.fetch(job_id, connection=self._connection, serializer=JSONSerializer)
        except NoSuchJobError:
            return None


def _retrain_slot(project: int) -> str:
    return f"yolo-mlsam:retrain:{project}"


def _unknown(job_id: str) -> JobStatus:
    error = "the queue does not know this job; results are kept for 30 days"
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
    """The sentence that the job left, else the last line of its traceback."""
    told = meta.get("error")
    lines = (result.exc_string or "").strip().splitlines() if result is not None else []
    return str(told) if told else (lines[-1] if lines else "the job ended without a reason")


@contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StorageUnavailable(
            f"the job queue does not answer: {type(error).__name__}; is Redis running, "
            "and is YOLO_MLSAM_REDIS_URL right from here?",
            code="queue_unavailable",
        ) from error
