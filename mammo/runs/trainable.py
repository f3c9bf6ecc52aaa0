"""Which projects may be trained on: one rule for every entry point.

The button, HTTP, the command line, the threshold and the schedule start a run through `RunService`. `dataset build` and
every worker read corrections through `training.datasets.versions`, and `train` on a dataset version goes through
`training.case_sets`. All of them use this module.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.database import reading, reading_project
from mammo.errors import NeverTrainedFrom


def why_not_trainable(project: int, *, engine: Engine) -> str | None:
    """Return why a project's own annotations must not be trained on; None if they may.

    Raises:
        StorageUnavailable: The database cannot be reached.
    """
    parent = sa.select(reading_project.c.source).where(reading_project.c.project == project).limit(1)
    with reading(engine) as connection:
        source = connection.scalar(parent)
    if source is None:
        return None
    return (
        f"project {project} is a reader project of the double reading of project {source}: a single reading "
        f"is no ground truth; train on project {source}, which uses the consensus of its readings"
    )


def require_trainable(project: int, *, engine: Engine) -> None:
    """Raise an error unless a project may be trained on.

    Raises:
        NeverTrainedFrom: The project must not be trained on; the message says why and which project to use.
        StorageUnavailable: The database cannot be reached.
    """
    reason = why_not_trainable(project, engine=engine)
    if reason is not None:
        raise NeverTrainedFrom(reason)
