"""StepProgress: converts the progress of one step into that of the whole run, and times the steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from training.cases import Progress

ReportStep = Callable[[str, float, str], None]
"""Receives the step, the progress of the whole run in [0, 1], and a short message; raises `Cancelled` to stop it."""

SHARES = {
    "dataset": 0.05,
    "detector": 0.40,
    "segmenter": 0.30,
    "operating point": 0.05,
    "precision": 0.02,
    "champion": 0.08,
    "challenger": 0.08,
    "pictures": 0.02,
}
"""The steps of a retrain in order, each with its share of the progress bar: roughly its share of a run's time."""


@dataclass
class StepProgress:
    """Progress of a run through its steps."""

    report: ReportStep
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    """The steps in order, each with its share of the progress bar; together 1."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of every completed step, in seconds."""

    _completed: float = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Run a step: the block receives the step's own progress callback."""
        share, began = self.shares[name], time.monotonic()

        def progress(fraction: float, message: str) -> None:
            self.report(name, self._completed + share * min(max(fraction, 0.0), 1.0), message)

        progress(0.0, "")
        yield progress
        self._completed += share
        self.seconds[name] = round(time.monotonic() - began, 1)
