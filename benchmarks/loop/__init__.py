"""The loop, simulated: whether it saves annotators time, and what each part of it contributes.

python -m benchmarks.loop --out FOLDER [--arms main] [--seeds 0-2]

gestures.py, seconds.json   what an annotator does on the page, and how many seconds it takes, with sources
annotator.py                corrects an image against the truth, with errors at stated rates
patients.py                 the patients of a project, and frozen ones
arms.py                     what is compared
project.py, recipes.py      the installation of one arm: the product's own code
pieces.py                   trainings and predictions, made once and shared by all arms
simulation.py               one arm, round by round
figures.py, report.py       seconds, scores, paired differences; the tables
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from benchmarks.result import Result


def run() -> Iterable[Result]:
    """Simulate the main arms of one seed, unless an earlier call has, and return the tables."""
    command = importlib.import_module("benchmarks.loop.__main__")
    tables: Iterable[Result] = command.run(progress=command.Lines())
    return tables
