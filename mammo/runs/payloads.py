"""Payloads of jobs, as JSON: strict, because anybody who can write into Redis may have made one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from mammo.errors import InvalidSettings
from mammo.result_kinds import ResultKind

STRICT = ConfigDict(extra="forbid", strict=True)
"""Validation of payloads: no number as text, no unknown field."""

MAX_FOLDS = 20
"""Most folds of out-of-fold predictions; each costs a training."""

Project = Annotated[int, Field(ge=0, lt=2**63)]

Payload = TypeVar(
    "Payload", "Retrain", "Adapt", "PrelabelProject", "LookAgain", "ImportFromPacs", "SendResults"
)


@with_config(STRICT)
@dataclass(frozen=True)
class Retrain:
    """Train a challenger on a project's corrections, judge it, and promote it if it wins."""

    project: Project
    recipe: str
    """A key of `training.retrain.recipes.RECIPES`, or of `training.provisional.recipes.PROVISIONAL_RECIPES`."""

    reason: str
    """What requested it, such as `START_TRAINING` or `schedule`."""


@with_config(STRICT)
@dataclass(frozen=True)
class Adapt:
    """Adapt the champion to background images: train a challenger on clusters inserted into them, and judge it."""

    project: Project
    """Whose frozen test patients it is judged on too; `NO_PROJECT`: nobody's."""

    recipe: str
    """A key of `training.adapt.recipes.ADAPT_RECIPES`."""

    reason: str
    backgrounds: tuple[str, ...]
    """Names of background sets."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "backgrounds", tuple(self.backgrounds))  # JSON has lists only


@with_config(STRICT)
@dataclass(frozen=True)
class PrelabelProject:
    """Prelabel the tasks of a project that a model version has not prelabelled yet."""

    project: Project
    model_version: str | None = None
    """None: the version that serves the project at the time the job runs."""

    refresh: bool = False
    """Only tasks that nobody has annotated, some at a time: after a promotion, in the background."""

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of a refresh: the task that the part before ended with."""


@with_config(STRICT)
@dataclass(frozen=True)
class LookAgain:
    """Find the labels of a project's newest dataset version that are probably wrong."""

    project: Project
    predictions: int
    """Most tasks that are predicted for it, because no stored prediction of them may be used."""

    folds: Annotated[int, Field(ge=0, le=MAX_FOLDS)] = 0
    """Folds of out-of-fold predictions; 0: stored predictions are used, and `predictions` more are made."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the split into folds."""

    def __post_init__(self) -> None:
        if self.folds == 1:
            raise ValueError("one fold leaves nobody to learn from: 0, or at least 2 folds")


@with_config(STRICT)
@dataclass(frozen=True)
class ImportFromPacs:
    """Import what a row of the database names: it may name patients, and Redis shall not."""

    project: Project
    number: Annotated[int, Field(gt=0, lt=2**63)]
    """Of `mammo.pacs.import_log`."""


@with_config(STRICT)
@dataclass(frozen=True)
class SendResults:
    """Send the results of a project's annotations to the PACS."""

    project: Project
    kind: ResultKind
    actor: str
    """Who asked for it."""


def read_payload(kind: type[Payload], payload: object) -> Payload:
    """Return the payload of a job, which anybody who can write into Redis may have made.

    Raises:
        InvalidSettings: it is not what our queue writes.
    """
    try:
        return TypeAdapter(kind).validate_json(orjson.dumps(payload))
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) or "payload" for each in error.errors())
        raise InvalidSettings(
            f"refused: the job's payload is not what this release queues: {wrong}"
        ) from None
