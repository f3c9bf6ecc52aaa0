"""A progress bar on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

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
