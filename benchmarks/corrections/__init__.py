"""Scripted corrections of exams in a real Label Studio: whether a dataset version holds exactly what was meant.

    python -m benchmarks.corrections --number 200 --by-hand 12

The first corrections are made in Chromium, the others over the API, as the browser submits them.
"""

from __future__ import annotations

import importlib

from benchmarks.result import Result


def run() -> Result:
    """Make the corrections as they are published."""
    result: Result = importlib.import_module("benchmarks.corrections.scripted").run()
    return result
