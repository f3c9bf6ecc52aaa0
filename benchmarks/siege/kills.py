"""Events while the backend is killed again and again: none that was acknowledged may be missing."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import sqlalchemy as sa

from benchmarks.ingest import event_body, post
from benchmarks.result import Result
from benchmarks.senders import SENDERS
from mammo.database import event, open_database, reading, revision
from tests.backend_process import BackendProcess

KILLS = 50
AGAIN_SECONDS = 0.2
"""Pause of a sender whose event was not acknowledged."""

MAX_LIFE = 3.0
"""Longest life of a backend after its first answer, in seconds."""


@dataclass
class Sent:
    """Numbers of the events that were sent."""

    acknowledged: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    """Those without an answer, or with another one than 201; they may be stored all the same."""


def run(*, kills: int = KILLS, senders: int = SENDERS, seed: int = 0) -> Result:
    """
    Args:
        kills: how often the backend is killed.
        senders: threads that send events, each its next one when the last is answered or has failed.
        seed: of the moments.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # /tmp may be a memory file system
        data, sent, dice = Path(name) / "data", Sent(), random.Random(seed)
        backend = BackendProcess(
            {
                "YOLO_MLSAM_DATA_DIR": str(data),
                "YOLO_MLSAM_AUTH_PASSWORD": "p",
                "YOLO_MLSAM_WEBHOOK_SECRET": "s",
            },
            log=Path(name) / "log",
        )
        backend.start()
        ending = threading.Event()
        port = int(backend.url.rpartition(":")[2])
        threads = [threading.Thread(target=_send, args=(port, sent, ending)) for _ in range(senders)]
        try:
            backend.wait()
            for thread in threads:
                thread.start()
            for _ in range(kills):
                time.sleep(dice.uniform(0, MAX_LIFE))
                backend.kill()
                backend.start()
                backend.wait()
            time.sleep(1)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
            backend.kill()
        stored, revised, verdict = _stored(data)
    return Result(
        title=f"Siege: {kills} kills under {senders} senders",
        method=(
            f"`python -m backend` on SQLite gets SIGKILL at a random moment of the first {MAX_LIFE:.0f} s after it "
            "answers, and is started again; the senders go on meanwhile. Stored: read from the database afterwards."
        ),
        columns=("what", "events", "goal"),
        rows=[
            ("acknowledged (201)", f"{len(sent.acknowledged):,}", ""),
            ("acknowledged and missing", str(len(sent.acknowledged - stored)), "0"),
            ("acknowledged, and its revision missing", str(len(sent.acknowledged - revised)), "0"),
            ("not acknowledged", f"{len(sent.refused):,}", ""),
            ("not acknowledged, and stored all the same", f"{len(sent.refused & stored):,}", ""),
            ("integrity check of the database", verdict, "ok"),
        ],
    )


def _send(port: int, sent: Sent, ending: threading.Event) -> None:
    while not ending.is_set():
        body = event_body()
        number = orjson.loads(body)["annotation"]["id"]
        try:
            post(port, body)
            sent.acknowledged.add(number)
        except (OSError, RuntimeError):
            sent.refused.add(number)
            time.sleep(AGAIN_SECONDS)


def _stored(data: Path) -> tuple[set[int], set[int], str]:
    """Numbers of the stored events and of their revisions, and SQLite's own verdict."""
    engine = open_database(f"sqlite:///{data}/yolo-mlsam.db")
    with reading(engine) as connection:
        verdict = str(connection.exec_driver_sql("PRAGMA integrity_check").scalar_one())
        bodies = connection.scalars(sa.select(event.c.body)).all()
        revised = set(connection.scalars(sa.select(revision.c.annotation)).all())
    engine.dispose()
    return {orjson.loads(each)["annotation"]["id"] for each in bodies}, revised, verdict
