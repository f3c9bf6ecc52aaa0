"""Supervisor: starts the workers of this machine, restarts those that die, and stops them in good order.

It runs no job and imports no torch, so that no job can take it down.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.placement import WorkerSpec

MIN_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds before a dead worker is restarted; doubled with each death in a row."""

SETTLED_SECONDS = 60.0
"""The death of a worker that lived longer than this counts as the first in a row."""

MANY_DEATHS = 5
"""Deaths in a row after which the log asks for a person."""

STOP_SECONDS = 100.0
"""Seconds for workers to stop by themselves: a few, more while Redis is away. Service managers give two minutes."""

POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass
class WorkerProcess:
    """The process of one worker, restarted when it dies."""

    spec: WorkerSpec
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    """By the monotonic clock."""

    deaths: int = 0
    """In a row."""

    restart_at: float = 0.0
    """By the monotonic clock."""

    @property
    def command(self) -> list[str]:
        options = ["--queues", ",".join(self.spec.queues), "--name", self.spec.name]
        return [sys.executable, "-m", "worker", *options, "--parent", str(os.getpid())]

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            self.command,
            env={**self.environment, **self.spec.variables},
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches the supervisor only, which stops the workers itself
        )
        self.started_at = time.monotonic()
        log.info("worker %s starts (pid %d)", self.spec.name, self.process.pid)

    def poll(self) -> None:
        """Log a death, and restart the worker when its pause is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.restart_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        lifetime, pid = now - self.started_at, self.process.pid
        self.deaths = 1 if lifetime >= SETTLED_SECONDS else self.deaths + 1
        pause = min(MAX_PAUSE, MIN_PAUSE * 2 ** min(self.deaths - 1, 10))
        self.process, self.restart_at = None, now + pause
        log.warning(
            "worker %s (pid %d) %s after %.0f s; it restarts in %.0f s%s",
            self.spec.name,
            pid,
            _describe_exit(code),
            lifetime,
            pause,
            f" (death {self.deaths} in a row)" if self.deaths > 1 else "",
        )
        if self.deaths >= MANY_DEATHS:
            log.error(
                "worker %s does not stay up; its log lines above say why. Restarts go on every %.0f s",
                self.spec.name,
                MAX_PAUSE,
            )

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """Kill the worker; the kernel then kills its job."""
        if self.process is not None and self.is_alive:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Supervisor:
    """Runs workers until SIGTERM or SIGINT."""

    specs: Sequence[WorkerSpec]
    environment: Mapping[str, str]
    """Environment of every worker; each `WorkerSpec` adds its own variables."""

    signals: list[int] = field(default_factory=list)
    """Received SIGTERM and SIGINT, in order."""

    def run(self) -> int:
        """Return the exit status: 0 if every worker stopped by itself, 1 if one had to be killed."""
        workers = [WorkerProcess(spec, self.environment) for spec in self.specs]
        with _collecting(self.signals):
            while not self.signals:
                for worker in workers:
                    worker.poll()
                time.sleep(POLL_SECONDS)
            return self._stop(workers)

    def _stop(self, workers: Sequence[WorkerProcess]) -> int:
        alive = [worker for worker in workers if worker.is_alive]
        name = signal.Signals(self.signals[0]).name
        log.info("%s: stopping %d worker(s); running jobs go back to their queue", name, len(alive))
        for worker in alive:
            worker.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while (alive := [worker for worker in alive if worker.is_alive]) and len(self.signals) < 2:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS / 4)
        if not alive:
            log.info("all workers have stopped")
            return 0
        reason = "second signal" if len(self.signals) > 1 else f"still running after {STOP_SECONDS:.0f} s"
        names = ", ".join(worker.spec.name for worker in alive)
        log.warning("%s: killed %s; their jobs are requeued within two minutes", reason, names)
        for worker in alive:
            worker.kill()
        return 1


@contextmanager
def _collecting(signals: list[int]) -> Iterator[None]:
    """Append SIGTERM and SIGINT to `signals` during the block."""
    numbers = signal.SIGTERM, signal.SIGINT
    previous = [signal.signal(number, lambda received, _: signals.append(received)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


def _describe_exit(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
