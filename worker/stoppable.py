"""StoppableWorker: RQ's forking worker, which on SIGTERM puts its job back into the queue and goes at once.

RQ's own would first wait for the job to end; a training run takes longer than any service manager waits, and is
then killed in a worse moment. Jobs are safe to repeat, so a stopped one starts over on the next worker.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import redis
from rq import Worker
from rq.serializers import JSONSerializer

from mammo.jobs import QUEUES

HEARTBEAT_SECONDS = 10
WORKER_SECONDS = 30
MAINTENANCE_SECONDS = 30
"""An abandoned job is found when its heartbeat is 70 s old, at the next maintenance: within two minutes."""


class StoppableWorker(Worker):  # type: ignore[misc]
    """One job at a time, each in a process of its own."""

    def handle_warm_shutdown_request(self) -> None:
        """On the first SIGTERM or SIGINT."""
        self.log.info("Worker %s: stopping; a running job goes back into the queue", self.name)
        self._stop_requested = True
        self._kill_job()

    def monitor_work_horse(self, job: Any, queue: Any, execution: Any) -> None:
        if self._stop_requested:  # the signal came between taking the job and starting its process
            self._kill_job()
        super().monitor_work_horse(job, queue, execution)

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


def make_worker(connection: redis.Redis) -> StoppableWorker:
    """A worker for our queues that notices a dead colleague's job within two minutes."""
    return StoppableWorker(
        list(QUEUES),
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=WORKER_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
        job_monitoring_interval=HEARTBEAT_SECONDS,
    )
