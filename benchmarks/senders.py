"""Many who send at once, each the next when the one before is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

SENDERS = 16
"""Annotators of a large site who save in the same moment."""

T = TypeVar("T")


def send_at_once(send: Callable[[T], object], shares: Sequence[Sequence[T]]) -> None:
    """Send the things of each share one after the other, and the shares at once, a thread each.

    Raises:
        Exception: what `send` raised first; the sender of it stops there.
    """

    def one(share: Sequence[T]) -> None:
        for thing in share:
            send(thing)

    with ThreadPoolExecutor(len(shares)) as threads:
        for ended in [threads.submit(one, share) for share in shares]:
            ended.result()
