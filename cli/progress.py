"""Progress on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, track

from mammo.errors import Cancelled


@contextmanager
def progress_bar(title: str, *, transient: bool = False) -> Iterator[Callable[[float, str], None]]:
    """Show a bar; yield its progress callback, which takes a fraction in [0, 1] and a message.

    Raises:
        Cancelled: on Ctrl-C; its message says how to continue.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    message = TextColumn("{task.fields[message]}")
    with Progress(*columns, message, console=Console(stderr=True), transient=transient) as bars:
        bar = bars.add_task(title, total=1.0, message="")
        try:
            yield lambda fraction, message: bars.update(bar, completed=fraction, message=message)
        except KeyboardInterrupt:
            raise Cancelled("interrupted; the same command continues where this one stopped") from None


T = TypeVar("T")

LINE_SECONDS = 5.0
"""Time between two lines of progress where there is no terminal."""


def followed(items: Sequence[T], title: str) -> Iterator[T]:
    """Yield items, with a bar on a terminal, else with a line at the beginning and every few seconds."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if console.is_terminal:
        yield from track(items, title, console=console, transient=True)
        return
    said_at = -LINE_SECONDS
    for number, item in enumerate(items):
        if time.monotonic() - said_at >= LINE_SECONDS:
            console.print(f"{title}: {number} of {len(items)}")
            said_at = time.monotonic()
        yield item
