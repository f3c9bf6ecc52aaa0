"""TransferRate: ends a connection over which too little arrives.

A server that sends a byte now and then would hold a download for its whole time limit. An allowance is used up at the
required rate, and what arrives adds to it, up to twice its first value: the server may pause for 10 s after a good
start, and is ended after 5 s if it drips from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpcore

GRACE_SECONDS = 5.0
"""Time from the first byte until a rate is required."""

LAST_LOOK_SECONDS = 0.01
"""Time to read what has arrived meanwhile: a busy machine may come late, which is not the server's fault."""

STEP_SECONDS = 20.0
"""Maximum time for one step of a download: name resolution, a connection, a write, or the wait for an answer."""


class TooSlow(httpcore.ReadTimeout):
    """A server sent too little."""

    def __init__(self, num_bytes: int, seconds: float) -> None:
        super().__init__(f"{num_bytes} bytes in {seconds:.1f} s")
        self.num_bytes = num_bytes
        """Received in the answer so far."""

        self.seconds = seconds
        """Time for which it was waited."""


class TransferRate:
    """Time that the next step of one connection may take."""

    def __init__(
        self,
        *,
        bytes_per_second: float,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            bytes_per_second: required rate of an answer; 0 requires none.
            deadline: on `clock`; no step goes on after it.
            clock: monotonic time in seconds.
        """
        self._required = bytes_per_second
        self._deadline = deadline
        self._clock = clock
        self._asked_at = clock()
        self._first_at: float | None = None
        """Time of the first byte of the answer; None before it."""

        self._num_bytes = 0
        self._allowance, self._changed_at = 0.0, 0.0

    def step(self) -> float:
        """Return the seconds that a connection, a write, or a TLS handshake may take.

        Raises:
            httpcore.ReadTimeout: the deadline has passed.
        """
        remaining = self._deadline - self._clock()
        if remaining <= 0:
            raise httpcore.ReadTimeout("the deadline of this download has passed")
        return min(remaining, STEP_SECONDS)

    def asked(self) -> None:
        """A request was sent: its answer may take some time to begin."""
        self._asked_at, self._first_at, self._num_bytes = self._clock(), None, 0

    def wait(self) -> float:
        """Return the seconds for which the next bytes of the answer may be waited for.

        Raises:
            httpcore.ReadTimeout: the deadline has passed.
        """
        step = self.step()
        if self._first_at is None or not self._required:
            return step
        left = self._allowance / self._required - (self._clock() - self._changed_at)
        return min(step, max(left, LAST_LOOK_SECONDS))

    def received(self, num_bytes: int) -> None:
        """Bytes of the answer have arrived; none at its end.

        Raises:
            TooSlow: too little has arrived.
        """
        now = self._clock()
        if self._first_at is None:
            self._first_at = self._changed_at = now
            self._allowance = self._required * GRACE_SECONDS
        used = self._required * (now - self._changed_at)
        most = 2 * self._required * GRACE_SECONDS
        self._allowance = min(most, self._allowance - used + num_bytes)
        self._changed_at = now
        self._num_bytes += num_bytes
        if self._allowance < 0 and num_bytes:
            raise self._too_slow()

    def timed_out(self) -> httpcore.ReadTimeout:
        """Return the error of a wait that ended without bytes."""
        if self._clock() >= self._deadline:
            return httpcore.ReadTimeout("the deadline of this download has passed")
        return self._too_slow()

    def _too_slow(self) -> TooSlow:
        """Return the error of an answer of which too little has arrived."""
        since = self._asked_at if self._first_at is None else self._first_at
        return TooSlow(self._num_bytes, self._clock() - since)
