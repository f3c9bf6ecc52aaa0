"""StoppableWorker: RQ's forking worker, which on SIGTERM requeues its job and stops at once.

RQ's own worker first waits for the job to end. Training takes longer than any service manager waits, and would then be
killed at a worse moment. Jobs are safe to repeat, so the next worker starts a stopped one again.
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

from mammo.broker import explain
from mammo.leash import die_with
from mammo.runs.jobs import QUEUES, lists_of
from worker.foreign_entries import remove_foreign_entries
from worker.registered_job import Function, RegisteredJob, registered

HEARTBEAT_SECONDS = 10
WORKER_SECONDS = 30
MAINTENANCE_SECONDS = 15
"""Maintenance finds an abandoned job once its last heartbeat is 70 s old, that is within two minutes."""

CLEANING_SECONDS = 30
"""Seconds until the maintenance lock of a killed worker expires."""


class WatchedQueue(Queue):  # type: ignore[misc]
    """RQ's queue with a shorter maintenance lock: RQ's own would hide abandoned jobs for 15 minutes after a kill."""

    def acquire_maintenance_lock(self) -> bool:
        return bool(self.connection.set(self.registry_cleaning_key, 1, nx=True, ex=CLEANING_SECONDS))


class StoppableWorker(Worker):  # type: ignore[misc]
    """Runs one job at a time, each in its own process."""

    def handle_warm_shutdown_request(self) -> None:
        """Handle the first SIGTERM or SIGINT."""
        self.log.info("Worker %s: stopping; a running job goes back into the queue", self.name)
        self._stop_requested = True
        self._kill_job()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[RegisteredJob, Any] | None:
        """Wait for a job; an entry that is no job's id is dropped, because an exception would end the worker."""
        while True:
            try:
                job: tuple[RegisteredJob, Any] | None = super().dequeue_job_and_maintain_ttl(
                    timeout, max_idle_time
                )
                return job
            except ValueError as error:  # RQ has taken the entry out of its queue before it decoded it
                self.log.warning(
                    "Worker %s: dropped an entry that is no job's id (%s)", self.name, type(error).__name__
                )
                self._remove_foreign_entries()

    def run_maintenance_tasks(self) -> None:
        """Look for abandoned jobs; what cannot be read is removed, because an exception would end the worker."""
        try:
            super().run_maintenance_tasks()
        except redis.RedisError:
            raise
        except Exception as error:  # RQ parses ids, dates and numbers of any kind here
            self.log.warning(
                "Worker %s: maintenance met an entry it cannot read (%s)", self.name, type(error).__name__
            )
            self._remove_foreign_entries()
            self.last_cleaned_at = now()

    def maintain_heartbeats(self, job: Any, execution: Any) -> None:
        """Tell that a job is being run. A Redis that refuses, because it is full for example, must not end the job."""
        try:
            super().maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            self.log.warning("Worker %s: heartbeat not sent: %s", self.name, explain(error))

    def handle_payload(self, message: Any) -> None:
        """Handle a command that somebody published; one that cannot be read must not end the thread."""
        try:
            super().handle_payload(message)
        except redis.RedisError:
            raise
        except Exception as error:  # whatever was published
            self.log.warning("Worker %s: ignored a command (%s)", self.name, type(error).__name__)

    def _remove_foreign_entries(self) -> None:
        for entry in remove_foreign_entries(self.connection, self.queues):
            self.log.warning("Worker %s: removed %s, which is no job's id", self.name, entry)

    def execute_job(self, job: RegisteredJob, queue: Any) -> None:
        """Run a registered job in its own process; refuse any other in this one."""
        reason = job.refusal
        if reason is None:
            super().execute_job(job, queue)
        else:
            self._refuse(job, queue, reason)

    def _refuse(self, job: RegisteredJob, queue: Any, reason: str) -> None:
        sentence = f"refused: {reason}"
        self.log.warning("Worker %s: %s: job %s %s", self.name, queue.name, job.id, sentence)
        job.origin = queue.name  # the record may name another; operators look for failed jobs by queue
        job.retries_left = None
        job.started_at = job.ended_at = now()
        job.meta = {"error": sentence}
        job.save_meta()
        self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
        self.handle_job_failure(job, queue, exc_string=sentence)
        self.set_state(WorkerStatus.IDLE)

    def monitor_work_horse(self, job: Any, queue: Any, execution: Any) -> None:
        if (
            self._stop_requested
        ):  # the signal arrived after the job was dequeued and before its process started
            self._kill_job()
        super().monitor_work_horse(job, queue, execution)

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """Run in the job's process, which dies with its worker: it must not share the GPU with the next attempt."""
        die_with(self.pid)
        super().main_work_horse(job, queue)

    def _kill_job(self) -> None:
        process = self.horse_pid
        if not process:
            return
        try:
            # Once the job has its own process group, kill that: data loaders must not outlive it.
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
    """Return a worker that also requeues the jobs of dead workers, within two minutes.

    Args:
        jobs: every function that it may run, by job name; see `worker.registered_job`.
        queues: names from `mammo.runs.jobs.QUEUES`.
        name: prefix of its name in Redis and in the log.

    Raises:
        InvalidSettings: a queue name is unknown, or there is none.
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
