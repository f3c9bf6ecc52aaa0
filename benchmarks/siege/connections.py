"""Webhooks and clicks while an attacker without a secret holds silent and dripping connections."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.http import click
from benchmarks.ingest import event_body, post
from benchmarks.result import Result, milliseconds
from benchmarks.siege.attack import AGAIN_SECONDS
from mammo.dicom import Mammogram, read_mammogram
from mammo.phantom import vendor_a
from tests.backend_process import BackendProcess
from training.cases import silent as without_progress
from training.phantom_cases import write_phantom_patients

SECONDS = 60.0
SILENT = 1000
DRIPPING = 200

EVENTS_A_SECOND = 10
"""The need of 100 hospitals is 3 (docs/scaling.md)."""

CLICK_PAUSE = 0.25
"""Seconds between an annotator's clicks."""

FEW = 256
"""Cap of the second attack, which is larger: every connection of the attacker displaces another."""

AUTH = ("label-studio", "a-password-for-the-siege")


@dataclass
class Load:
    """What was asked of the backend in one phase, and what it cost."""

    webhooks: list[float] = field(default_factory=list)
    """Seconds of each that was answered 201."""

    clicks: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Why each of the others was not answered."""

    opened: int = 0
    """Connections that the attacker opened."""

    memory: int = 0
    descriptors: int = 0
    """Bytes and open files of the backend at the end."""

    log: int = 0
    """Bytes that the backend logged."""


def run(*, seconds: float = SECONDS, silent: int = SILENT, dripping: int = DRIPPING) -> Result:
    """
    Args:
        seconds: length of each phase.
        silent: connections that send nothing.
        dripping: connections that send a header, one byte a second.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # /tmp may be a memory file system
        folder = Path(name)
        mammogram, image = _phantom(folder / "mammograms")
        attack = (str(silent), str(dripping))
        with _backend(folder, "wide") as backend:
            asking = _Asking(backend, mammogram, image)
            quiet = asking.load(seconds)
            with _attackers(backend, *attack) as opened:
                wide = asking.load(seconds)
            wide.opened = opened[0]
        with _backend(folder, "narrow", YOLO_MLSAM_MAX_CONNECTIONS=str(FEW)) as backend:
            asking = _Asking(backend, mammogram, image)
            with _attackers(backend, *attack) as opened:
                narrow = asking.load(seconds)
            narrow.opened = opened[0]
    return Result(
        title=f"Siege: {silent:,} silent and {dripping:,} dripping connections",
        method=(
            f"`python -m backend` on SQLite, its model loaded, one thread; {EVENTS_A_SECOND} webhooks a second, each "
            f"over a connection of its own, and an annotator who clicks at a new place {CLICK_PAUSE} s after each "
            f"answer, for {seconds:.0f} s a phase. The attacker, a process on the same cores, has no secret, and opens "
            f"a connection again {AGAIN_SECONDS * 1000:.0f} ms after it was closed. Everybody comes from the same "
            f"address. Narrow: the same with {FEW} connections allowed, fewer than the attacker opens."
        ),
        columns=("what", "quiet", "attack", "attack, narrow", "goal"),
        rows=_rows(quiet, wide, narrow),
    )


def _rows(quiet: Load, *attacks: Load) -> list[tuple[str, ...]]:
    phases = (quiet, *attacks)

    def row(name: str, of: Callable[[Load], str], goal: str = "") -> tuple[str, ...]:
        return (name, *(of(each) for each in phases), goal)

    def percentile(seconds: Callable[[Load], list[float]], q: int) -> Callable[[Load], str]:
        return lambda load: milliseconds(float(np.percentile(seconds(load), q)))

    normal = float(np.percentile(quiet.clicks, 95))
    return [
        row("webhooks and clicks answered", lambda each: str(len(each.webhooks) + len(each.clicks))),
        row("not answered", lambda each: str(len(each.lost)), "0"),
        row("webhook, p50", percentile(lambda each: each.webhooks, 50)),
        row("webhook, p99", percentile(lambda each: each.webhooks, 99), "250 ms"),
        row("webhook, longest", percentile(lambda each: each.webhooks, 100)),
        row("click, p50", percentile(lambda each: each.clicks, 50)),
        row("click, p95", percentile(lambda each: each.clicks, 95)),
        row(
            "click, p95 against quiet", lambda each: f"{np.percentile(each.clicks, 95) / normal:.2f} x", "2 x"
        ),
        row("connections the attacker opened", lambda each: f"{each.opened:,}"),
        row("open files of the backend at the end", lambda each: str(each.descriptors)),
        row("memory of the backend at the end", lambda each: f"{each.memory / 2**20:.0f} MiB"),
        row("logged", lambda each: f"{each.log / 1024:.0f} KiB"),
    ]


class _Asking:
    """Asks a backend what Label Studio and an annotator ask of it."""

    def __init__(self, backend: BackendProcess, mammogram: Mammogram, image: str) -> None:
        self._backend = backend
        self._mammogram = mammogram
        self._data = {"image": "/mammogram.png", "mammogram": image}
        self._num_clicks = 0
        self._port = int(backend.url.rpartition(":")[2])
        for _ in range(5):  # the image is opened, its region encoded
            self._click(Load())

    def load(self, seconds: float) -> Load:
        """Send webhooks and clicks for some time."""
        load, process = Load(), psutil.Process(self._backend.pid)
        log, until = self._backend.log.stat().st_size, time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._send, args=(load, until, number / EVENTS_A_SECOND))
            for number in range(EVENTS_A_SECOND)
        ]
        threads.append(threading.Thread(target=self._annotate, args=(load, until)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.descriptors, load.memory = process.num_fds(), process.memory_info().rss
        load.log = self._backend.log.stat().st_size - log
        return load

    def _send(self, load: Load, until: float, delay: float) -> None:
        """Send an event every second, whatever became of the last one."""
        due = time.monotonic() + delay
        while due < until:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            try:
                post(self._port, event_body())
                load.webhooks.append(time.perf_counter() - began)
            except (OSError, RuntimeError) as error:
                load.lost.append(f"webhook: {error!r}")
            due += 1.0

    def _annotate(self, load: Load, until: float) -> None:
        while time.monotonic() < until:
            self._click(load)
            time.sleep(CLICK_PAUSE)

    def _click(self, load: Load) -> None:
        self._num_clicks += 1
        body = click(self._mammogram, self._num_clicks % 200, self._data)
        began = time.perf_counter()
        try:
            with httpx.Client(auth=AUTH, timeout=60, trust_env=False) as client:
                answer = client.post(f"{self._backend.url}/predict", json=body)
            assert answer.json()["results"][0]["result"], answer.text
            load.clicks.append(time.perf_counter() - began)
        except httpx.TransportError as error:
            load.lost.append(f"click: {error!r}")


@contextmanager
def _backend(folder: Path, name: str, **settings: str) -> Iterator[BackendProcess]:
    environment = {
        "YOLO_MLSAM_DATA_DIR": str(folder / name),
        "YOLO_MLSAM_MAMMOGRAM_ROOT": str(folder / "mammograms"),
        "YOLO_MLSAM_AUTH_PASSWORD": AUTH[1],
        "YOLO_MLSAM_WEBHOOK_SECRET": "s",
        **settings,
    }
    backend = BackendProcess(environment, log=folder / f"{name}.log")
    backend.start()
    try:
        backend.wait(serves=True)
        yield backend
    finally:
        backend.kill()


@contextmanager
def _attackers(backend: BackendProcess, silent: str, dripping: str) -> Iterator[list[int]]:
    """Attack a backend; the list gets the number of connections that were opened, at the end."""
    opened: list[int] = []
    command = [
        sys.executable,
        "-m",
        "benchmarks.siege.attack",
        backend.url.rpartition(":")[2],
        silent,
        dripping,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield opened
        process.stdin.close()
        opened.append(int(process.stdout.readline()))


def _phantom(folder: Path) -> tuple[Mammogram, str]:
    """A mammogram, and its path below the folder."""
    write_phantom_patients(
        folder,
        seeds=[77],
        appearance=vendor_a(),
        positive=1.0,
        patient_secret=b"k",
        progress=without_progress,
    )
    path = sorted(folder.rglob("*.dcm"))[0]
    return read_mammogram(path), str(path.relative_to(folder))
