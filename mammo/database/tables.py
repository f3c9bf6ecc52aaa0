"""The schema on one page. Each table has one module that writes it:

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
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class Moment(sa.types.TypeDecorator[datetime]):
    """A point in time as fixed-width ISO text in UTC, which sorts like time on every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a moment with a time zone, got {value!r}")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], datetime | None]:
        return _moment  # by no detour: a project has hundreds of thousands


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


metadata = sa.MetaData()

# SQLite numbers rows by itself only in a column of exactly the type INTEGER, which there holds 64 bits.
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ImageKey = sa.String(255)
"""Names an image within its task: `mammo.labelstudio.labeling_config.ControlTags.image_key`."""


def _table(name: str, *parts: sa.Column[Any] | sa.UniqueConstraint | sa.Index) -> sa.Table:
    return sa.Table(name, metadata, *parts)


event = _table(
    "event",  # what arrived, word for word; never changed, never deleted
    sa.Column("id", RowId, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("project", sa.BigInteger, index=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.LargeBinary),
)

revision = _table(
    "revision",  # what an event says about one annotation (or, for kind task_deleted, about a task)
    sa.Column("id", RowId, primary_key=True),
    sa.Column("event", sa.ForeignKey("event.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("project", sa.BigInteger),
    sa.Column("annotation", sa.BigInteger, index=True),
    sa.Column("task", sa.BigInteger, index=True),
    sa.Column("updated_at", Moment),
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("content_hash", sa.String(64), nullable=False, default=""),
    sa.Column("result", sa.LargeBinary),
    sa.Column("task_data", sa.LargeBinary),
    sa.Column("completed_by", sa.BigInteger),
    sa.Column("lead_time", sa.Float),
    sa.Column("prelabel_version", sa.Text),
    # All that the current view is made of: contents are heavy, and lie before what else a row tells.
    sa.Index(
        "ix_revision_view",
        *("project", "kind", "annotation", "updated_at", "content_hash", "prelabel_version", "id", "task"),
        *("cancelled", "completed_by", "lead_time"),
    ),
)

reconciliation = _table(
    "reconciliation",  # every comparison with Label Studio, oldest first
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("watermark", Moment),
    sa.Column("report", sa.LargeBinary, nullable=False),
)

prelabel = _table(
    "prelabel",  # our own copy of what was proposed, shown to annotators or not
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("task", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.String(64), nullable=False),
    sa.Column("regions", sa.LargeBinary, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("image_sha256", sa.String(64), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("shown_at", Moment),  # NULL: silent, nobody saw it
    sa.UniqueConstraint("project", "task", "model_version"),
    # All but what was proposed, for the same reason.
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
    sa.Column("created_at", Moment, nullable=False),
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
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.Text),
    sa.UniqueConstraint("alias", "epoch"),
)

model_note = _table(
    "model_note",  # what was learnt of a model version after it was registered; never changed
    sa.Column("id", RowId, primary_key=True),
    sa.Column("version", sa.ForeignKey("model_version.version"), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("detail", sa.LargeBinary, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

patient_fold = _table(
    "patient_fold",
    sa.Column("patient", sa.String(64), primary_key=True),
    sa.Column("fold", sa.String(16), nullable=False),
    sa.Column("positive", sa.Boolean, nullable=False),
    sa.Column("assigned_at", Moment, nullable=False),
)

dataset_version = _table(
    "dataset_version",
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("num_items", sa.Integer, nullable=False),
    sa.Column("num_excluded", sa.Integer, nullable=False),
    sa.Column("last_event", sa.BigInteger, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

image_pin = _table(
    "image_pin",  # an image of a task as it was when we first saw it; never changed
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("image", ImageKey, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
)

dataset_item = _table(
    "dataset_item",  # of which images a dataset version holds which annotation, in which revision
    sa.Column("dataset", sa.ForeignKey("dataset_version.name"), primary_key=True),
    sa.Column("annotation", sa.BigInteger, primary_key=True),
    sa.Column("image", ImageKey, primary_key=True),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Index("ix_dataset_item_annotation", "annotation"),
)

edit_effort = _table(
    "edit_effort",  # computed once for a revision and its prelabel; may be dropped and is computed again
    sa.Column("revision", sa.ForeignKey("revision.id"), primary_key=True),
    sa.Column("prelabel", sa.BigInteger, primary_key=True, index=True),
    sa.Column("tags", sa.String(64), nullable=False),
    sa.Column("efforts", sa.LargeBinary, nullable=False),
)

double_reading = _table(
    "double_reading",  # a project whose images two readers read, and by which rules
    sa.Column("source", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("definition", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

reading_project = _table(
    "reading_project",  # the project that we made for one reader and one round, or for the arbiter
    sa.Column("source", sa.ForeignKey("double_reading.source"), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, unique=True),
)


reading_task = _table(
    "reading_task",  # the task in it that shows the image of a task of the source project
    sa.Column("project", sa.ForeignKey("reading_project.project"), primary_key=True),
    sa.Column("case", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, nullable=False),
)

reading_agreement = _table(
    "reading_agreement",  # computed once for two readings and the rules; may be dropped and is computed again
    sa.Column("first", sa.String(64), primary_key=True),
    sa.Column("second", sa.String(64), primary_key=True),
    sa.Column("rules", sa.String(64), primary_key=True),
    sa.Column("detail", sa.LargeBinary, nullable=False),
)

task_arm = _table(
    "task_arm",  # whether a task is read without a prelabel, decided once for ever
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
)

stage_change = _table(
    "stage_change",  # every change of a project's stage, oldest first, with what was known then; never changed
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("before", sa.String(16), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("overruled", sa.Boolean, nullable=False),
    sa.Column("model_version", sa.String(64)),
    sa.Column("threshold", sa.Float),
    sa.Column("audit_share", sa.Float),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)

automatic_annotation = _table(
    "automatic_annotation",  # predictions that became annotations without a person; written before Label Studio is told
    sa.Column("project", sa.BigInteger, primary_key=True),
    sa.Column("task", sa.BigInteger, primary_key=True),
    sa.Column("model_version", sa.String(64), primary_key=True),
    sa.Column("account", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("annotation", sa.BigInteger),
    sa.Column("decided_at", Moment, nullable=False),
)

task_order = _table(
    "task_order",  # in which order tasks were offered, oldest plan first; never changed
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("task", sa.BigInteger, nullable=False),
    sa.Column("strategy", sa.String(16), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("stratum", sa.String(16), nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("model_version", sa.String(64)),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_task_order_project_task", "project", "task"),
)

run = _table(
    "run",  # a retrain; moves from state to state by compare-and-set on `attempt`
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("active_project", sa.BigInteger, unique=True),
    sa.Column("recipe", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("stalled", sa.Integer, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("claimed_at", Moment),
    sa.Column("claimed_progress", sa.Float, nullable=False),
    sa.Column("heartbeat_at", Moment),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("failure", sa.String(16)),
    sa.Column("error", sa.Text),
    sa.Column("job", sa.String(100)),
    sa.Column("not_before", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
)

run_stage = _table(
    "run_stage",  # what a stage of a run came to; written once
    sa.Column("run", sa.ForeignKey("run.id"), primary_key=True),
    sa.Column("stage", sa.String(32), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("result", sa.LargeBinary, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

run_event = _table(
    "run_event",  # everything that happened to a run, oldest first
    sa.Column("id", RowId, primary_key=True),
    sa.Column("run", sa.ForeignKey("run.id"), nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16)),
    sa.Column("text", sa.Text, nullable=False),
)

run_trigger = _table(
    "run_trigger",  # everything that asked for a run, those that found one active included
    sa.Column("id", RowId, primary_key=True),
    sa.Column("key", sa.String(120), unique=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("run", sa.ForeignKey("run.id"), nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("started", sa.Boolean, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
