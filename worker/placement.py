"""Posts: which workers a machine has, and what each of them takes and sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mammo.runs.jobs import QUEUES, TRAIN, lists_of
from worker.gpus import NOTHING_VISIBLE, Gpu


@dataclass(frozen=True)
class Post:
    """What one worker is for."""

    name: str
    queues: tuple[str, ...]
    variables: Mapping[str, str]
    """What its environment has besides ours: the one GPU it sees, or none."""


def posts(queues: Iterable[str], gpus: Sequence[Gpu]) -> list[Post]:
    """One worker per GPU for `train`, one on the CPU without any; one for all that is left.

    That one shares the last GPU: predictions want one too, and the other trainings are left alone.

    Raises:
        InvalidSettings: a queue that is not ours, or none.
    """
    wanted = set(queues)
    lists_of(wanted)
    rest = tuple(queue for queue in QUEUES if queue in wanted and queue != TRAIN)
    made = [Post("-".join(rest), rest, gpus[-1].variables if gpus else NOTHING_VISIBLE)] if rest else []
    if TRAIN in wanted:
        made += [Post(f"{TRAIN}-{gpu.label}", (TRAIN,), gpu.variables) for gpu in gpus]
        made += [] if gpus else [Post(f"{TRAIN}-cpu", (TRAIN,), NOTHING_VISIBLE)]
    return made
