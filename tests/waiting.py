"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable

from mammo.errors import StorageUnavailable


def until(condition: Callable[[], object], *, seconds: float = 60, says: Callable[[], object] = str) -> None:
    """Ask again until the condition holds.

    A queue or a database that does not answer in time on a busy machine is asked again, as a person would.

    Raises:
        AssertionError: it does not hold within `seconds`; the text is what `says` returns then.
    """
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        assert time.monotonic() < deadline, says()
        time.sleep(0.02)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except StorageUnavailable:
        return False
