"""Webhook events stored durably: by the store alone, and by the backend over HTTP, with sixteen senders."""

from __future__ import annotations

import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import orjson
import psutil

from benchmarks.result import Result, milliseconds
from benchmarks.senders import SENDERS, send_at_once
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.labelstudio.client import SECRET_HEADER
from tests.postgres_server import PostgresServer

ROUNDS = 5
ACTION = "ANNOTATION_CREATED"
NUMBERS = count(1)
Keep = Callable[[bytes], object]
Spent = Callable[[], float]
"""Processor seconds of the process that stores events; comparable on a busy machine too."""


def run() -> Result:
    rows: list[tuple[str, ...]] = []
    postgres = PostgresServer().start()
    try:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # /tmp may be a memory file system
            rows += _stores(Path(folder), postgres.new_database())
            rows += _over_http("SQLite", Path(folder) / "sqlite", database="")
            rows += _over_http("PostgreSQL", Path(folder) / "postgres", database=postgres.new_database())
    finally:
        postgres.stop()
    return Result(
        title="Webhook events to the disk",
        method=(
            f"{len(event_body())} bytes an event, {SENDERS} at once, each sends its next when the one before is "
            f"answered; every event flushed before its answer. Medians of {ROUNDS} rounds, the candidates of one kind "
            "in turns; largest: of all rounds. HTTP: `python -m backend` in a process of its own with its model "
            "loaded, a new connection for each event as Label Studio makes one, senders in another process on the same "
            "cores. Processor time: of the process that keeps the events (store: its senders too), without "
            "PostgreSQL's own."
        ),
        columns=("what", "events a second", "p50", "p99", "largest", "processor time an event"),
        rows=rows,
    )


def _stores(folder: Path, postgres: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(folder / "naive.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, received_at TEXT, body BLOB)")
    engines = [open_database(f"sqlite:///{folder}/ours/b.db"), open_database(postgres)]
    ours, theirs = (AnnotationStore(engine) for engine in engines)
    here = time.process_time
    kinds: dict[str, tuple[Keep, int, Spent]] = {
        "store, one SQLite connection per event (baseline)": (partial(_naive, folder / "naive.db"), 10, here),
        "store, SQLite, ours": (partial(_append, ours), 200, here),
        "store, PostgreSQL, ours": (partial(_append, theirs), 60, here),
    }
    try:
        return _measured(kinds)
    finally:
        for store, engine in zip((ours, theirs), engines, strict=True):
            store.close()
            engine.dispose()


def _naive(path: Path, body: bytes) -> None:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        now = datetime.now(UTC).isoformat()
        connection.execute("INSERT INTO event (received_at, body) VALUES (?, ?)", (now, body))
        connection.execute("COMMIT")


def _append(store: AnnotationStore, body: bytes) -> None:
    store.append(body, action=ACTION, received_at=datetime.now(UTC))


def _over_http(name: str, data: Path, *, database: str) -> list[tuple[str, ...]]:
    with _backend(data, database) as (port, process):
        rows = _measured({f"HTTP, {name}, ours": (partial(post, port), 80, partial(_spent, process))})
        big = event_body(num_rle=1_400_000)
        seconds = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            post(port, big)
            seconds.append(time.perf_counter() - began)
    size = f"HTTP, {name}, one body of {len(big) / 2**20:.1f} MiB"
    return [*rows, (size, "", milliseconds(statistics.median(seconds)), "", milliseconds(max(seconds)), "")]


def post(port: int, body: bytes) -> None:
    """Send an event with little processor time, which is shared with the measured process.

    Raises:
        OSError: the backend does not answer.
        RuntimeError: it answers, but does not store the event.
    """
    head = (
        f"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: python-requests/2.34.2\r\nAccept: */*\r\n"
        f"{SECRET_HEADER}: s\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    if b" 201 " not in answer[:20]:
        raise RuntimeError(answer[:300])


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _measured(kinds: dict[str, tuple[Keep, int, Spent]]) -> list[tuple[str, ...]]:
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    costs: dict[str, list[float]] = {name: [] for name in kinds}
    seconds: dict[str, list[list[float]]] = {name: [] for name in kinds}
    for turn in range(ROUNDS + 1):
        for name, (keep, each, spent) in kinds.items():
            before = spent()
            rate, taken = _round(keep, each)
            if turn:  # the first round is a warm-up
                costs[name].append((spent() - before) / len(taken))
                rates[name].append(rate)
                seconds[name].append(taken)
    return [
        (
            name,
            f"{statistics.median(rates[name]):.0f}",
            *(
                milliseconds(statistics.median(float(np.percentile(taken, q)) for taken in seconds[name]))
                for q in (50, 99)
            ),
            milliseconds(max(max(taken) for taken in seconds[name])),
            milliseconds(statistics.median(costs[name])),
        )
        for name in kinds
    ]


def _round(keep: Keep, each: int) -> tuple[float, list[float]]:
    """Events per second, and the duration of each in seconds."""
    taken: list[float] = []

    def timed(body: bytes) -> None:
        began = time.perf_counter()
        keep(body)
        taken.append(time.perf_counter() - began)

    shares = [[event_body() for _ in range(each)] for _ in range(SENDERS)]
    began = time.perf_counter()
    send_at_once(timed, shares)
    return len(taken) / (time.perf_counter() - began), taken


def event_body(*, num_rle: int = 0) -> bytes:
    """An event as Label Studio sends it; every call gives another one.

    Args:
        num_rle: length of the RLE of an additional brush region; 0: no brush region.
    """
    number = next(NUMBERS)
    box = {"x": 10.5, "y": 20.5, "width": 4.25, "height": 3.5, "rotation": 0, "rectanglelabels": ["Cluster"]}
    region = {"id": "r1", "type": "rectanglelabels", "from_name": "box", "to_name": "image", "value": box}
    numbers = np.random.default_rng(number).integers(0, 256, num_rle).tolist()
    brush = {"id": "r2", "type": "brushlabels", "value": {"format": "rle", "rle": numbers}}
    annotation = {
        "id": number, "task": 1, "result": [region, brush] if num_rle else [region], "was_cancelled": False,
        "updated_at": datetime.now(UTC).isoformat(), "completed_by": 7, "lead_time": 3.25, "prediction": {},
    }  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/local-files/?d=mammograms/one.dcm", "patient": "0f" * 16}}
    project = {"id": 1, "title": "Benchmark", "label_config": "<View>" + " " * 1000 + "</View>"}
    return orjson.dumps({"action": ACTION, "annotation": annotation, "task": task, "project": project})


@contextmanager
def _backend(data: Path, database: str) -> Iterator[tuple[int, psutil.Process]]:
    """Start a backend process; yields its port and process when its model is loaded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {"DATA_DIR": str(data), "AUTH_PASSWORD": "p", "WEBHOOK_SECRET": "s", "PORT": str(port)}
    settings |= {"DATABASE_URL": database} if database else {}
    environment = {**os.environ, **{f"YOLO_MLSAM_{name}": value for name, value in settings.items()}}
    data.mkdir()
    with (data / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "backend"], env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/health")
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait(health: str) -> None:
    for _ in range(1200):
        try:
            if httpx.get(health, trust_env=False).json()["model_version"]:
                time.sleep(3)  # until the memory of loading is released
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the backend did not load its model")
