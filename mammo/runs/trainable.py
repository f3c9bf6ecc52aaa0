"""Which projects a model may learn from: one rule for every door.

The button, HTTP, the command line, the threshold and the schedule start a run through `RunService`. `dataset build` and
every worker read corrections through `training.datasets.versions`, and `train` on a dataset version goes through
`training.case_sets`. All of them ask here.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.database import reading, reading_project
from mammo.errors import NeverTrainedFrom


def why_never_trained_from(project: int, *, engine: Engine) -> str | None:
    """Why no model may learn from a project's own annotations; None where one may.

    Raises:
        StorageUnavailable: the database is away, and it cannot be told.
    """
    made_for = sa.select(reading_project.c.source).where(reading_project.c.project == project).limit(1)
    with reading(engine) as connection:
        source = connection.scalar(made_for)
    if source is None:
        return None
    return (
        f"project {project} was made for the double reading of project {source}: one reader's word is no truth until "
        f"both are compared; train from project {source}, which takes the consensus of its readings"
    )


def require_trainable(project: int, *, engine: Engine) -> None:
    """Let through only a project that a model may learn from.

    Raises:
        NeverTrainedFrom: it is none; says why and which to take.
        StorageUnavailable: the database is away.
    """
    reason = why_never_trained_from(project, engine=engine)
    if reason is not None:
        raise NeverTrainedFrom(reason)
