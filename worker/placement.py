"""Placement: the workers that a machine runs, with the queues and the GPU of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mammo.runs.jobs import LIGHT, PREDICT, TRAIN, lists_of
from worker.gpus import NO_GPU, Gpu


@dataclass(frozen=True)
class WorkerSpec:
    """One worker to run."""

    name: str
    queues: tuple[str, ...]
    variables: Mapping[str, str]
    """Environment variables added to the supervisor's own: they show the worker one GPU, or none."""


def place_workers(queues: Iterable[str], gpus: Sequence[Gpu]) -> list[WorkerSpec]:
    """Return one `train` worker per GPU (one on the CPU if there is none), and one for each other queue.

    That of `predict` shares the last GPU, so that predictions are fast and at most one training is slowed down. They
    do not wait for an import from a PACS, which may take hours and is of the queue `light`.

    Raises:
        InvalidSettings: a queue name is unknown, or there is none.
    """
    names = set(queues)
    lists_of(names)
    specs = []
    if LIGHT in names:
        specs.append(WorkerSpec(LIGHT, (LIGHT,), NO_GPU))
    if PREDICT in names:
        specs.append(WorkerSpec(PREDICT, (PREDICT,), gpus[-1].variables if gpus else NO_GPU))
    if TRAIN in names:
        specs += [WorkerSpec(f"{TRAIN}-{gpu.label}", (TRAIN,), gpu.variables) for gpu in gpus]
        if not gpus:
            specs.append(WorkerSpec(f"{TRAIN}-cpu", (TRAIN,), NO_GPU))
    return specs
