"""Concurrent senders, each of which sends its next item when the previous one is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

SENDERS = 16
"""Annotators of a large site who save at the same moment."""

T = TypeVar("T")


def send_at_once(send: Callable[[T], object], shares: Sequence[Sequence[T]]) -> None:
    """Send the items of each share in order, and all shares at once, with one thread each.

    Raises:
        Exception: the first error of `send`, which stops its share.
    """

    def one(share: Sequence[T]) -> None:
        for item in share:
            send(item)

    with ThreadPoolExecutor(len(shares)) as threads:
        for future in [threads.submit(one, share) for share in shares]:
            future.result()
