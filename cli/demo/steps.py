"""The steps of the demo on the console: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from training.cases import Progress as Report

LINE_SECONDS = 15.0
"""Least time between two lines about the progress of one step."""

Step = Callable[[str], AbstractContextManager[Report]]
"""Shows a step under a title, and yields its progress callback."""


@contextmanager
def steps(console: Console) -> Iterator[Step]:
    """Yield `step(title)`, a context manager that shows a step and yields its progress callback."""
    if not console.is_terminal:
        yield lambda title: _lines(console, title)
        return
    columns = (
        TextColumn("{task.description:<58}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[message]}"),
    )
    with Progress(*columns, console=console) as bars:

        @contextmanager
        def step(title: str) -> Iterator[Report]:
            bar = bars.add_task(title, total=1.0, message="")
            yield lambda fraction, message: bars.update(bar, completed=fraction, message=message)
            bars.update(bar, completed=1.0, message="")
            bars.stop_task(bar)

        yield step


@contextmanager
def _lines(console: Console, title: str) -> Iterator[Report]:
    began = said_at = time.monotonic()

    def report(fraction: float, message: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= LINE_SECONDS:
            said_at = time.monotonic()
            console.print(f"{title}: {fraction:.0%} {message}".rstrip(), markup=False, soft_wrap=True)

    console.print(f"{title} ...", markup=False, soft_wrap=True)
    yield report
    console.print(f"{title}: done in {time.monotonic() - began:.0f} s", markup=False, soft_wrap=True)
