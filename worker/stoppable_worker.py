"""StoppableWorker: RQ's forking worker, which on SIGTERM puts its job back into the queue and goes at once.

RQ's own would first wait for the job to end; a training run takes longer than any service manager waits, and is
then killed in a worse moment. Jobs are safe to repeat, so a stopped one starts over on the next worker.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus

from mammo.leash import die_with
from mammo.runs.jobs import QUEUES, lists_of
from worker.registered_job import Function, RegisteredJob, registered
from worker.scheduler import OneScheduler

HEARTBEAT_SECONDS = 10
WORKER_SECONDS = 30
MAINTENANCE_SECONDS = 15
"""An abandoned job is found when its heartbeat is 70 s old, at the next maintenance: within two minutes."""

CLEANING_SECONDS = 30
"""Longest time that a worker which was killed in the middle of its maintenance keeps others from theirs."""


class WatchedQueue(Queue):  # type: ignore[misc]
    """RQ's, but for a lock: a worker that was killed holding it would leave abandoned jobs alone for 15 minutes."""

    def acquire_maintenance_lock(self) -> bool:
        return bool(self.connection.set(self.registry_cleaning_key, 1, nx=True, ex=CLEANING_SECONDS))


class StoppableWorker(Worker):  # type: ignore[misc]
    """One job at a time, each in a process of its own."""

    def handle_warm_shutdown_request(self) -> None:
        """On the first SIGTERM or SIGINT."""
        self.log.info("Worker %s: stopping; a running job goes back into the queue", self.name)
        self._stop_requested = True
        self._kill_job()

    def execute_job(self, job: RegisteredJob, queue: Any) -> None:
        """In this process what is none of ours is refused; what is gets a process of its own."""
        reason = job.refusal
        if reason is None:
            super().execute_job(job, queue)
        else:
            self._refuse(job, queue, reason)

    def _refuse(self, job: RegisteredJob, queue: Any, reason: str) -> None:
        sentence = f"refused: {reason}"
        self.log.warning("Worker %s: %s: job %s %s", self.name, queue.name, job.id, sentence)
        job.origin = queue.name  # where somebody looks for it
        job.retries_left = None
        job.started_at = job.ended_at = now()
        job.meta = {"error": sentence}
        job.save_meta()
        self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
        self.handle_job_failure(job, queue, exc_string=sentence)
        self.set_state(WorkerStatus.IDLE)

    def monitor_work_horse(self, job: Any, queue: Any, execution: Any) -> None:
        if self._stop_requested:  # the signal came between taking the job and starting its process
            self._kill_job()
        super().monitor_work_horse(job, queue, execution)

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """In the job's process. A job whose worker was killed does not go on beside the next one on the same GPU."""
        die_with(self.pid)
        super().main_work_horse(job, queue)

    def _start_scheduler(self, burst: bool = False, logging_level: str | None = "INFO", *_: Any) -> None:
        """RQ's own would watch the queues of this worker only."""
        self.scheduler = OneScheduler(
            self.connection, serializer=self.serializer, logging_level=logging_level or self.log.level
        )
        if not self.scheduler.acquire_locks():
            return
        if not burst:
            self.scheduler.start()
            return
        try:
            self.scheduler.enqueue_scheduled_jobs()
        finally:
            self.scheduler.release_locks()

    def _kill_job(self) -> None:
        process = self.horse_pid
        if not process:
            return
        try:
            # Its group too, once it has one of its own: data loaders must not outlive it.
            if os.getpgid(process) == process:
                os.killpg(process, signal.SIGKILL)
            else:
                os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            return


def make_worker(
    connection: redis.Redis,
    *,
    jobs: Mapping[str, Function],
    queues: Iterable[str] = QUEUES,
    name: str = "worker",
) -> StoppableWorker:
    """A worker that notices a dead colleague's job within two minutes.

    Args:
        jobs: all that it ever runs, by the names under which they are asked for; see `worker.registered_job`.
        queues: which of `mammo.runs.jobs.QUEUES` it takes from.
        name: begins the name under which Redis and the log know it.

    Raises:
        InvalidSettings: a queue that is not ours, or none.
    """
    return StoppableWorker(
        lists_of(queues),
        name=f"{name}-{secrets.token_hex(4)}",
        connection=connection,
        queue_class=WatchedQueue,
        job_class=registered(jobs),
        serializer=JSONSerializer,
        worker_ttl=WORKER_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
        job_monitoring_interval=HEARTBEAT_SECONDS,
    )
