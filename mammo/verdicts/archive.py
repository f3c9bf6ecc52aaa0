"""VerdictArchive: the verdict records of runs, and their pictures. They are blobs, named in the run's outcome."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.blobs import Blobs
from mammo.database import reading, run_stage
from mammo.errors import UnknownRun
from mammo.runs import Run, Runs
from mammo.runs.records import PICTURES
from mammo.verdicts.record import Picture, VerdictRecord, read_record


@dataclass(frozen=True)
class VerdictArchive:
    """Reads what the gate kept. Safe to share between threads."""

    runs: Runs
    blobs: Blobs

    def read(self, run: Run) -> VerdictRecord:
        """Return the record of a run.

        Raises:
            UnknownRun: the run has none (code `no_verdict_record`).
            InvalidWeights: its blob is missing or damaged.
            StorageUnavailable: the store does not respond, or the record is of another release or damaged.
        """
        kept = self.runs.results(run.id).get("outcome", {}).get(PICTURES)
        if kept is None:
            raise UnknownRun(
                f"run {run.id} ({run.state}) has no verdict with pictures: a retrain has one once it is judged, since "
                "the release that keeps them; an adaptation has none",
                code="no_verdict_record",
            )
        return read_record(self.blobs.read(kept["record"]))

    def picture(self, picture: Picture) -> bytes:
        """Return the WebP of a picture of a record.

        Raises:
            InvalidWeights: its blob is missing or damaged.
            StorageUnavailable: the store does not respond.
        """
        return self.blobs.read(picture.sha256)


def verdict_blobs(engine: Engine) -> set[str]:
    """Return the SHA-256 of all verdict records and their pictures: they are kept as long as their runs."""
    statement = sa.select(run_stage.c.result).where(run_stage.c.stage == "outcome")
    with reading(engine) as connection:
        kept = [orjson.loads(result).get(PICTURES) for result in connection.scalars(statement)]
    return {digest for each in kept if each for digest in (each["record"], *each["pictures"])}
