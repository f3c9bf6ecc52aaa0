"""Stages: the progress of each stage of a retrain as that of the whole, and the time each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from training.cases import Progress

Report = Callable[[str, float, str], None]
"""Told the stage, how far the whole run is in [0, 1], and a short message; may raise `Cancelled` to stop it."""

SHARES = {
    "dataset": 0.05,
    "detector": 0.40,
    "segmenter": 0.30,
    "operating point": 0.05,
    "champion": 0.10,
    "challenger": 0.10,
}
"""The stages in order, and the part of a run's time that each takes, for the progress."""


@dataclass
class Stages:
    """Turns the progress of one stage into that of the run, and keeps the time."""

    report: Report
    seconds: dict[str, float] = field(default_factory=dict)
    _done: float = 0.0

    @contextmanager
    def enter(self, stage: str) -> Iterator[Progress]:
        share, began = SHARES[stage], time.monotonic()

        def progress(fraction: float, message: str) -> None:
            self.report(stage, self._done + share * min(max(fraction, 0.0), 1.0), message)

        progress(0.0, "")
        yield progress
        self._done += share
        self.seconds[stage] = round(time.monotonic() - began, 1)
