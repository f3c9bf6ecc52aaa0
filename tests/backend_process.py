"""The backend as it is served, `python -m backend`, in a process that tests may hurt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from cli.demo.processes import free_port
from mammo.labelstudio.client import SECRET_HEADER
from mammo.settings import PREFIX

START_SECONDS = 180.0


class BackendProcess:
    """Started by `start`, gone after `kill`; safe to start again."""

    def __init__(
        self, environment: Mapping[str, str], *, log: Path | None = None, open_files: int | None = None
    ) -> None:
        """
        Args:
            environment: without the `YOLO_MLSAM_` variables of whoever runs the tests, but for those named here.
            log: gets what it prints; None: nobody does.
            open_files: its hard limit of file descriptors; None: that of this process.
        """
        given = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        own = {f"{PREFIX}PORT": str(free_port()), f"{PREFIX}THREADS": "1", f"{PREFIX}PREFETCH_TASKS": "0"}
        self._environment = given | own | dict(environment)
        self.log = Path(os.devnull) if log is None else log
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "backend"]
        if open_files is not None:
            self._command = ["sh", "-c", f'ulimit -n {open_files} && exec "$@"', "sh", *self._command]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._environment[f'{PREFIX}PORT']}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, its decoders too."""
        assert self._process is not None
        with suppress(ProcessLookupError):  # killed before
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def health(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/health", timeout=5, trust_env=False)
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    def wait(self, *, serves: bool = False) -> None:
        """Until it answers, or until its model is loaded."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(serves):
            assert time.monotonic() < deadline
            assert self._process is not None
            assert self._process.poll() is None, f"the backend ended by itself, see {self.log}"
            time.sleep(0.05)

    def send(self, body: bytes) -> httpx.Response:
        """A webhook, as Label Studio sends it."""
        headers = {
            SECRET_HEADER: self._environment[f"{PREFIX}WEBHOOK_SECRET"],
            "Content-Type": "application/json",
        }
        return httpx.post(f"{self.url}/webhook", content=body, headers=headers, timeout=30, trust_env=False)

    def _answers(self, serves: bool) -> bool:
        try:
            return self.health()["model_version"] is not None or not serves
        except httpx.TransportError:
            return False
