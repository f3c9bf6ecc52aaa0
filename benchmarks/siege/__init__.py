"""The backend under attack: what Label Studio and the annotators notice of it, and what is lost.

`python -m benchmarks.siege` runs one part, with other numbers; `make bench ARGS=siege` runs all as published.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.result import Result

PARTS = ("connections", "kills")
"""Modules of this package; each has a `run`, which returns a `Result`."""


def run() -> Iterator[Result]:
    for part in PARTS:
        yield importlib.import_module(f"benchmarks.siege.{part}").run()
