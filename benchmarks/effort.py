"""Edit effort of a project with years of corrections: read again, and with a few new corrections."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.result import Result, milliseconds
from mammo.annotations import AnnotationStore
from mammo.database import edit_effort, event, open_database, prelabel, revision
from mammo.efforts.effort_records import effort_records
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from tests.postgres_server import PostgresServer

CORRECTIONS, NEW = 25_000, 50
VERSIONS = ("m0001-a", "m0002-b")
BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
TAGS = ControlTags()
SECRET = b"the benchmark"


def run() -> Result:
    rows: list[tuple[str, ...]] = []
    postgres = PostgresServer().start()
    try:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            for name, url in (
                ("SQLite", f"sqlite:///{folder}/b.db"),
                ("PostgreSQL", postgres.new_database()),
            ):
                rows.append((name, *_measured(url)))
    finally:
        postgres.stop()
    return Result(
        title="Edit effort of a project",
        method=(
            f"{CORRECTIONS} corrections of three clusters as masks, two revisions each, {len(VERSIONS)} prelabels a "
            "task; `effort_records` in this process, their efforts computed before. Again: median of five, nothing "
            f"new. New: {NEW} corrections more since the last time, the median of three times. "
            "Baseline: `outline`, the current view alone, from every revision and its event, as the answer read it "
            "before; processor time of both. Statements: those sent to the database when nothing is new."
        ),
        columns=(
            "database",
            "again",
            "processor",
            f"with {NEW} new",
            "view alone (baseline)",
            "baseline against it",
            "statements",
        ),
        rows=rows,
    )


def _measured(url: str) -> tuple[str, ...]:
    engine = open_database(url)
    with closing(AnnotationStore(engine)) as store:

        def seconds() -> tuple[float, float]:
            began, busy = time.perf_counter(), time.process_time()
            records = effort_records(1, store=store, engine=engine, secret=SECRET, tags=TAGS).records
            spent = time.perf_counter() - began, time.process_time() - busy
            assert all(record.effort == records[0].effort for record in records), "all corrections are alike"
            return spent

        annotate(engine, range(1, 2))
        seconds()
        annotate(engine, range(2, CORRECTIONS + 1))
        copy_efforts(engine, range(2, CORRECTIONS + 1))
        alone, processor = (sorted(each)[2] for each in zip(*(seconds() for _ in range(5)), strict=True))
        whole = sorted(_by_the_whole_rule(store) for _ in range(5))[2]
        with _counted(engine) as statements:
            seconds()
        new = []
        for turn in range(3):
            begin = CORRECTIONS + 1 + turn * NEW
            annotate(engine, range(begin, begin + NEW))
            new.append(seconds()[0])
        return (
            milliseconds(alone),
            milliseconds(processor),
            milliseconds(sorted(new)[1]),
            milliseconds(whole),
            f"{whole / processor:.2g} x",
            str(len(statements)),
        )


def _by_the_whole_rule(store: AnnotationStore) -> float:
    """Processor seconds of the baseline: read every revision with its event."""
    busy = time.process_time()
    assert len(store.revision_headers(1)) == CORRECTIONS
    return time.process_time() - busy


def copy_efforts(engine: Engine, tasks: range) -> None:
    """Store the effort of the first task for all tasks, which have the same correction."""
    with engine.begin() as connection:
        first = connection.execute(sa.select(edit_effort)).one()
        rows = [
            {"revision": 2 * task, "prelabel": 2 * task - 1, "tags": first.tags, "efforts": first.efforts}
            for task in tasks
        ]
        connection.execute(sa.insert(edit_effort), rows)


@contextmanager
def _counted(engine: Engine) -> Iterator[list[str]]:
    """The SQL statements that the block executes."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def annotate(engine: Engine, tasks: range) -> None:
    """Insert one annotation per task, corrected a day later."""
    size = Size(1200, 1500)
    proposed, drawn = (
        orjson.dumps(to_regions(_findings(shift), size=size, tags=TAGS, model_version=VERSIONS[0]))
        for shift in (0, 9)
    )
    numbers = {task: 2 * task - 1 for task in tasks}
    moments = {task: BEGIN + timedelta(minutes=task) for task in tasks}
    with engine.begin() as connection:
        connection.execute(
            sa.insert(event),
            [
                {"id": numbers[task] + turn, "key": f"{task}-{turn}", "action": "ANNOTATION_UPDATED", "project": 1,
                 "received_at": moments[task] + turn * timedelta(days=1), "body": b"{}"}
                for task in tasks for turn in (0, 1)
            ],
        )  # fmt: skip
        connection.execute(
            sa.insert(revision),
            [
                {"id": numbers[task] + turn, "event": numbers[task] + turn, "kind": "annotation", "project": 1,
                 "annotation": task, "task": task, "updated_at": moments[task] + turn * timedelta(days=1),
                 "cancelled": False, "content_hash": f"{task}-{turn}", "result": drawn if turn else proposed,
                 "task_data": b'{"image": "/data/1.png"}', "completed_by": task % 5, "lead_time": 40.0}
                for task in tasks for turn in (0, 1)
            ],
        )  # fmt: skip
        connection.execute(
            sa.insert(prelabel),
            [
                {"id": numbers[task] + turn, "project": 1, "task": task, "model_version": version,
                 "regions": proposed, "score": 0.7, "image_sha256": "ab" * 32,
                 "created_at": moments[task] - timedelta(days=2 - turn),
                 "shown_at": None if turn else moments[task] - timedelta(days=1)}
                for task in tasks for turn, version in enumerate(VERSIONS)
            ],
        )  # fmt: skip


def _findings(shift: int) -> list[Finding]:
    boxes = [Box(x + shift, y, x + shift + 60, y + 50) for x, y in ((100, 200), (500, 700), (900, 1200))]
    return [
        Finding(
            label=CLUSTER,
            score=0.8,
            box=box,
            mask=Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0),
            id=f"c{index}",
        )
        for index, box in enumerate(boxes)
    ]
