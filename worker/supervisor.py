"""Supervisor: starts the workers of this machine, starts dead ones again, and stops all of them in good order.

It takes no job and imports no torch: whatever a job does to its process, this one goes on.
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

from worker.placement import Post

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a dead worker's successor starts; doubled with each death in a row."""

SETTLED_SECONDS = 60.0
"""A worker that lived so long had come up: its death is the first in a row."""

HOPELESS = 5
"""After so many deaths in a row the log says that somebody must look."""

STOP_SECONDS = 100.0
"""For workers to stop by themselves, which takes seconds unless Redis is away. Service managers give two minutes."""

POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass
class Worker:
    """One post, and the process that fills it now."""

    post: Post
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    deaths: int = 0
    """In a row."""

    due: float = 0.0
    """When the next process starts, by the monotonic clock."""

    @property
    def command(self) -> list[str]:
        """Each may keep the schedule; the lock of `worker.scheduler` lets one."""
        options = ["--queues", ",".join(self.post.queues), "--name", self.post.name, "--with-scheduler"]
        return [sys.executable, "-m", "worker", *options, "--parent", str(os.getpid())]

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            self.command,
            env={**self.environment, **self.post.variables},
            stdin=subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C is ours to pass on
        )
        self.born = time.monotonic()
        log.info("worker %s starts (pid %d)", self.post.name, self.process.pid)

    def look_after(self) -> None:
        """Notice a death, and start the successor when it is time."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        lived, pid = now - self.born, self.process.pid
        self.deaths = 1 if lived >= SETTLED_SECONDS else self.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.deaths - 1, 10))
        self.process, self.due = None, now + pause
        log.warning(
            "worker %s (pid %d) %s after %.0f s; the next one starts in %.0f s%s",
            self.post.name,
            pid,
            _how(code),
            lived,
            pause,
            f" (death {self.deaths} in a row)" if self.deaths > 1 else "",
        )
        if self.deaths >= HOPELESS:
            log.error(
                "worker %s does not stay up: its own lines above say why. I go on trying every %.0f s",
                self.post.name,
                LONGEST_PAUSE,
            )

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ask for it."""
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """With the scheduler in its group; the kernel does the same to its job."""
        if self.process is not None and self.lives:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Supervisor:
    """Works until it is told to stop."""

    posts: Sequence[Post]
    environment: Mapping[str, str]
    """Of the workers; each gets what its post adds."""

    signals: list[int] = field(default_factory=list)
    """SIGTERM and SIGINT, as they came."""

    def run(self) -> int:
        """Returns the exit status: 0 when every worker stopped by itself."""
        workers = [Worker(post, self.environment) for post in self.posts]
        with _heard(self.signals):
            while not self.signals:
                for worker in workers:
                    worker.look_after()
                time.sleep(POLL_SECONDS)
            return self._stop(workers)

    def _stop(self, workers: Sequence[Worker]) -> int:
        living = [worker for worker in workers if worker.lives]
        name = signal.Signals(self.signals[0]).name
        log.info(
            "%s: %d worker(s) are told to stop; running jobs go back into their queue", name, len(living)
        )
        for worker in living:
            worker.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while (left := [each for each in living if each.lives]) and len(self.signals) < 2:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS / 4)
        if not left:
            log.info("all workers have stopped")
            return 0
        reason = "a second signal" if len(self.signals) > 1 else f"still there after {STOP_SECONDS:.0f} s"
        names = ", ".join(worker.post.name for worker in left)
        log.warning("%s: killed %s; what they did is found and done again within two minutes", reason, names)
        for worker in left:
            worker.kill()
        return 1


@contextmanager
def _heard(signals: list[int]) -> Iterator[None]:
    """SIGTERM and SIGINT are written down while the block runs."""
    wanted = signal.SIGTERM, signal.SIGINT
    before = [signal.signal(each, lambda number, _: signals.append(number)) for each in wanted]
    try:
        yield
    finally:
        for each, handler in zip(wanted, before, strict=True):
            signal.signal(each, handler)


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
