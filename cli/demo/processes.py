"""Processes: child processes that start together, log to files, and never outlive this one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from mammo.errors import MammoError
from mammo.leash import leashed

STOP_SECONDS = 15.0
"""Seconds for a process to stop by itself before it is killed."""


class ProcessFailed(MammoError):
    """A child process ended early, or did not become ready in time."""

    code = "process_failed"


class Processes:
    """Starts child processes in their own groups; leaving the `with` block stops them and all their descendants.

    Unlike `worker.supervisor`, it restarts nothing: in a demo or a test a process that ends early is a failure.
    """

    def __init__(self, logs: Path) -> None:
        """Args:
        logs: folder for one NAME.log per process; made if missing.
        """
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        within: float,
    ) -> None:
        """Start a process and wait until it is ready.

        Args:
            name: of the process in messages, and of its log file.
            environment: the complete environment of the process.
            ready: called several times a second; may raise OSError while the process does not listen yet.
            within: seconds after which `ready` must be true.

        Raises:
            ProcessFailed: it ended or was not ready in time; the message quotes the end of its log.
        """
        self.launch(name, command, environment=environment)
        self.wait_until(name, ready, within=within)

    def launch(self, name: str, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Start a process and return at once."""
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - the command is ours
                leashed(command, parent=os.getpid(), by=signal.SIGTERM),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait_until(self, name: str, ready: Callable[[], bool], *, within: float) -> None:
        """Wait until a launched process is ready; see `start`."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            code = self._processes[name].poll()
            if code is not None:
                raise ProcessFailed(
                    f"{name} ended with exit code {code}; the end of its log:\n{self._tail(name)}"
                )
            try:
                if ready():
                    return
            except OSError:
                pass  # not listening yet
            time.sleep(0.2)
        raise ProcessFailed(
            f"{name} was not ready after {within:.0f} s; the end of its log:\n{self._tail(name)}"
        )

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """Stop all processes, last started first; then kill the descendants that are left."""
        families = [p for child in self._processes.values() for p in _family(child.pid)]
        for name in reversed(list(self._processes)):
            process = self._processes.pop(name)
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    _kill_group(process.pid)
                    process.wait()
        for orphan in families:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(families, timeout=5)

    def _tail(self, name: str, lines: int = 15) -> str:
        text = self.log(name).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def resident_bytes() -> int:
    """Return the resident memory of this process and its descendants, in bytes; shared pages count each time."""
    return sum(_rss(process) for process in _family(os.getpid()))


def free_port() -> int:
    """Return a TCP port of the loopback address on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
