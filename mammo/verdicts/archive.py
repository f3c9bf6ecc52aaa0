"""VerdictArchive: the verdict records of runs, and their pictures. They are blobs, named in the run's outcome."""

from __future__ import annotations

from threading import Lock
from typing import Any

import orjson
import sqlalchemy as sa
from cachetools import LRUCache
from sqlalchemy.engine import Engine

from mammo.blobs import Blobs
from mammo.database import reading, run_stage
from mammo.errors import UnknownRun
from mammo.runs import Run, Runs
from mammo.runs.records import PICTURES
from mammo.verdicts.record import Picture, VerdictRecord, read_record

MAX_RECORDS = 8
"""Records that are kept in memory: a page of one reads it again and again."""


class VerdictArchive:
    """Reads what the gate kept. Safe to share between threads."""

    def __init__(self, runs: Runs, blobs: Blobs) -> None:
        self.runs = runs
        self._blobs = blobs
        self._records: LRUCache[str, VerdictRecord] = LRUCache(MAX_RECORDS)
        self._lock = Lock()

    def has(self, run: Run) -> bool:
        """Return whether a run has a record."""
        return PICTURES in self.runs.result(run.id, "outcome")

    def read(self, run: Run) -> VerdictRecord:
        """Return the record of a run.

        Raises:
            UnknownRun: the run has none (code `no_verdict_record`).
            InvalidWeights: its blob is missing or damaged.
            StorageUnavailable: the store does not respond, or the record is of another release or damaged.
        """
        digest = str(self._kept(run)["record"])
        with self._lock:
            if (known := self._records.get(digest)) is not None:
                return known
        record = read_record(self._blobs.read(digest))
        with self._lock:
            self._records[digest] = record
        return record

    def picture(self, picture: Picture) -> bytes:
        """Return the WebP of a picture of a record.

        Raises:
            InvalidWeights: its blob is missing or damaged.
            StorageUnavailable: the store does not respond.
        """
        return self._blobs.read(picture.sha256)

    def picture_of(self, run: Run, digest: str) -> bytes:
        """Return the WebP with this SHA-256, if the record of the run names it.

        Raises:
            UnknownRun: the run has no record (code `no_verdict_record`), or no such picture (code `no_picture`).
            InvalidWeights, StorageUnavailable: see `picture`.
        """
        if digest not in self._kept(run)["pictures"]:
            raise UnknownRun(f"the verdict of run {run.id} has no such picture", code="no_picture")
        return self._blobs.read(digest)

    def _kept(self, run: Run) -> dict[str, Any]:
        kept: dict[str, Any] | None = self.runs.result(run.id, "outcome").get(PICTURES)
        if kept is None:
            raise UnknownRun(
                f"run {run.id} ({run.state}) has no verdict with pictures: a run has one once it is judged, since the "
                "release that keeps them",
                code="no_verdict_record",
            )
        return kept


def verdict_blobs(engine: Engine) -> set[str]:
    """Return the SHA-256 of all verdict records and their pictures: they are kept as long as their runs."""
    statement = sa.select(run_stage.c.result).where(run_stage.c.stage == "outcome")
    with reading(engine) as connection:
        kept = [orjson.loads(result).get(PICTURES) for result in connection.scalars(statement)]
    return {digest for each in kept if each for digest in (each["record"], *each["pictures"])}
