"""The schema. Each table is written by one module:

event, revision, prelabel, image_pin   mammo.annotations.store
reconciliation                     mammo.annotations.reconciling
model_version, alias, promotion, model_note    mammo.models
patient_fold                       training.datasets.folds
dataset_version, dataset_item      training.datasets.building
edit_effort                        mammo.efforts.measured_efforts
double_reading, reading_project, reading_task, reading_agreement    mammo.readings.records
task_arm                           mammo.blinding
stage_change                       mammo.stages.log
automatic_annotation               mammo.annotations.automatic
task_order                         mammo.worklist.order
run, run_stage, run_event, run_trigger    mammo.runs
console_user, console_session, api_key    mammo.access (in `access_tables`)
audit_entry                        mammo.audit (in `access_tables`)
known_case                         mammo.readers.known_cases (in `reader_tables`)
label_doubt, label_search          mammo.second_looks.records (in `reader_tables`)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A time in UTC as fixed-width ISO text, which sorts chronologically on every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a time with a time zone, got {value!r}")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], datetime | None]:
        return _parse  # called directly, because a project has hundreds of thousands of times


class AnyText(sa.types.TypeDecorator[str]):
    """Text from outside. What one database takes and another refuses, NUL and lone surrogates, is stored escaped.

    An escape is `ESCAPE` and four hexadecimal digits.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _REFUSED.sub(_escaped, value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None or ESCAPE not in value else _ESCAPES.sub(_unescaped, value)


ESCAPE = "\ufdd0"
"""A code point that Unicode reserves for such internal use, and that no text contains."""

_REFUSED = re.compile(f"[\0\ud800-\udfff{ESCAPE}]")
_ESCAPES = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")


def _escaped(match: re.Match[str]) -> str:
    return f"{ESCAPE}{ord(match[0]):04x}"


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _parse(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


metadata = sa.MetaData()

# SQLite assigns row ids only in a column of exactly the type INTEGER, which has 64 bits there.
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ImageKey = sa.String(255)
"""Key of an image within its task; `mammo.labelstudio.labeling_config.ControlTags.image_key`."""


def _table(name: str, *parts: sa.Column[Any] | sa.UniqueConstraint | sa.Index) -> sa.Table:
    return sa.Table(name, metadata, *parts)


event = _table(
    "event",  # events as received, byte for byte; append-only
    sa.Column("id", RowId, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("action", AnyText, nullable=False),
    sa.Column("project", sa.BigInteger, index=True),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary),
)

revision = _table(
    "revision",  # one annotation as an event reports it, or (kind task_deleted) the deletion of a task
    sa.Column("id", RowId, primary_key=True),
    sa.Column("event", sa.ForeignKey("event.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("project", sa.BigInteger),
    sa.Column("annotation", sa.BigInteger, index=True),
    sa.Column("task", sa.BigInteger, index=True),
    sa.Column("updated_at", UtcTime),
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("content_hash", sa.String(64), nullable=False, default=""),
    sa.Column("result", sa.LargeBinary),
    sa.Column("task_data", sa.LargeBinary),
    sa.Column("completed_by", sa.BigInteger),
    sa.Column("lead_time", sa.Float),
    sa.Column("prelabel_version", AnyText),
    sa.Column("problem", sa.String(32)),
    # All columns of the current view, because content is large and stored before the other columns of a row.
    sa.Index(
        "ix_revision_view",
        *("project", "kind", "annotation", "updated_at", "content_hash", "prelabel_version", "id", "task"),
        *("cancelled", "completed_by", "lead_time"),
    ),
)

reconciliation = _table(
    "reconciliation",  # reconciliations with Label Studio, oldest first
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("watermark", UtcTime),
    sa.Column("report", sa.LargeBinary, nullable=False),
)

prelabel = _table(
    "prelabel",  # copies of predictions, shown to annotators or silent
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("task", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.String(64), nullable=False),
    sa.Column("regions", sa.LargeBinary, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("image_sha256", sa.String(64), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("shown_at", UtcTime),  # NULL: silent, never shown
    sa.Column("num_cut", sa.Integer),  # NULL: stored before findings that are not shown were counted
    sa.UniqueConstraint("project", "task", "model_version"),
    # The columns that are read without the regions, for the same reason.
    sa.Index(
        "ix_prelabel_outline",
        *("project", "task", "id", "model_version", "score", "created_at", "shown_at"),
    ),
)

model_version = _table(
    "model_version",
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("content_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

alias = _table(
    "alias",
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("version", sa.ForeignKey("model_version.version"), nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

promotion = _table(
    "promotion",  # every move of an alias, oldest first
    sa.Column("id", RowId, primary_key=True),
    sa.Column("alias", sa.String(32), nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("version", sa.ForeignKey("model_version.version"), nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", AnyText),
    sa.UniqueConstraint("alias", "epoch"),
)

model_note = _table(
    "model_note",  # facts about a model version, recorded after its registration; append-only
    sa.Column("id", RowId, primary_key=True),
    sa.Column("version", sa.ForeignKey("model_version.version"), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("detail", sa.LargeBinary, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

patient_fold = _table(
    "patient_fold",
    sa.Column("patient", sa.String(64), primary_key=True),
    sa.Column("fold", sa.String(16), nullable=False),
    sa.Column("positive", sa.Boolean, nullable=False),
    sa.Column("assigned_at", UtcTime, nullable=False),
)

dataset_version = _table(
    "dataset_version",
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("num_items", sa.Integer, nullable=False),
    sa.Column("num_excluded", sa.Integer, nullable=False),
    sa.Column("last_event", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("num_held_out", sa.Integer),  # patients of the test fold; NULL: built by an earlier release
)

image_pin = _table(
    "image_pin",  # an image of a task as first shown; never changed
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("image", ImageKey, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
)

dataset_item = _table(
    "dataset_item",  # annotations of a dataset version by image, each in one revision
    sa.Column("dataset", sa.ForeignKey("dataset_version.name"), primary_key=True),
    sa.Column("annotation", sa.BigInteger, primary_key=True),
    sa.Column("image", ImageKey, primary_key=True),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Index("ix_dataset_item_annotation", "annotation"),
)

edit_effort = _table(
    "edit_effort",  # cache: effort of a revision against its prelabel; may be deleted and is computed again
    sa.Column("revision", sa.ForeignKey("revision.id"), primary_key=True),
    sa.Column("prelabel", sa.BigInteger, primary_key=True, index=True),
    sa.Column("tags", sa.String(64), nullable=False),
    sa.Column("efforts", sa.LargeBinary, nullable=False),
)

double_reading = _table(
    "double_reading",  # source projects that are read twice, and their rules
    sa.Column("source", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("definition", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

reading_project = _table(
    "reading_project",  # the reader project of a role and round
    sa.Column("source", sa.ForeignKey("double_reading.source"), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, unique=True),
)

reading_task = _table(
    "reading_task",  # the task of a reader project that shows the image of a source task
    sa.Column("project", sa.ForeignKey("reading_project.project"), primary_key=True),
    sa.Column("case", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, nullable=False),
)

reading_agreement = _table(
    "reading_agreement",  # cache: agreement of two readings under rules; may be deleted and is computed again
    sa.Column("first", sa.String(64), primary_key=True),
    sa.Column("second", sa.String(64), primary_key=True),
    sa.Column("rules", sa.String(64), primary_key=True),
    sa.Column("detail", sa.LargeBinary, nullable=False),
)

task_arm = _table(
    "task_arm",  # whether a task is blind; decided once, never changed
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("decided_at", UtcTime, nullable=False),
)

stage_change = _table(
    "stage_change",  # changes of a project's stage with their evidence, oldest first; append-only
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("before", sa.String(16), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("overruled", sa.Boolean, nullable=False),
    sa.Column("model_version", sa.String(64)),
    sa.Column("threshold", sa.Float),
    sa.Column("audit_share", sa.Float),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)

automatic_annotation = _table(
    "automatic_annotation",  # predictions submitted as annotations; recorded before they are sent to Label Studio
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("model_version", sa.String(64), primary_key=True),
    sa.Column("account", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("annotation", sa.BigInteger),
    sa.Column("decided_at", UtcTime, nullable=False),
)

task_order = _table(
    "task_order",  # places of tasks in the reading order, oldest plan first; append-only
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("task", sa.BigInteger, nullable=False),
    sa.Column("strategy", sa.String(16), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("stratum", sa.String(16), nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("model_version", sa.String(64)),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_task_order_project_task", "project", "task"),
)

run = _table(
    "run",  # retrains; they change state by compare-and-set on `attempt`
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("active_project", sa.BigInteger, unique=True),
    sa.Column("recipe", AnyText, nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("stalled", sa.Integer, nullable=False),
    sa.Column("owner", AnyText),
    sa.Column("claimed_at", UtcTime),
    sa.Column("claimed_progress", sa.Float, nullable=False),
    sa.Column("heartbeat_at", UtcTime),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("message", AnyText, nullable=False),
    sa.Column("failure", sa.String(16)),
    sa.Column("error", AnyText),
    sa.Column("job", sa.String(100)),
    sa.Column("not_before", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

run_stage = _table(
    "run_stage",  # results of the stages of a run; written once
    sa.Column("run", sa.ForeignKey("run.id"), primary_key=True),
    sa.Column("stage", sa.String(32), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("result", sa.LargeBinary, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

run_event = _table(
    "run_event",  # events of runs, oldest first; append-only
    sa.Column("id", RowId, primary_key=True),
    sa.Column("run", sa.ForeignKey("run.id"), nullable=False, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16)),
    sa.Column("text", AnyText, nullable=False),
)

run_curve = _table(
    "run_curve",  # losses and validation scores of the trainings of a run, while they run
    sa.Column("run", sa.ForeignKey("run.id"), primary_key=True),
    sa.Column("network", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, nullable=False),
)

run_trigger = _table(
    "run_trigger",  # requests for runs, including those covered by an active run
    sa.Column("id", RowId, primary_key=True),
    sa.Column("key", sa.String(120), unique=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("run", sa.ForeignKey("run.id"), nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("started", sa.Boolean, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
