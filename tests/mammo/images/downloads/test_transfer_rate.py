"""What drips is ended soon; what pauses after a good start, or begins late, is not."""

from __future__ import annotations

import httpcore
import pytest

from mammo.images.downloads.transfer_rate import GRACE_SECONDS, STEP_SECONDS, TooSlow, TransferRate

RATE = 1000.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rate_of(clock: Clock, *, deadline: float = 1e9, bytes_per_second: float = RATE) -> TransferRate:
    rate = TransferRate(bytes_per_second=bytes_per_second, deadline=deadline, clock=clock)
    rate.asked()
    return rate


def seconds_until_ended(rate: TransferRate, clock: Clock, *, chunk: int, every: float) -> float:
    """Send a chunk again and again; return when this is ended."""
    begun = clock.now
    for _ in range(10_000):
        try:
            wait = rate.wait()
            if wait < every:
                clock.now += wait
                raise rate.timed_out()
            clock.now += every
            rate.received(chunk)
        except httpcore.ReadTimeout:
            return clock.now - begun
    return float("inf")


def test_a_drip_is_ended_after_the_grace_period(clock: Clock) -> None:
    assert seconds_until_ended(rate_of(clock), clock, chunk=1, every=0.5) == pytest.approx(5.5, abs=0.5)


@pytest.mark.parametrize(("chunk", "every"), [(1000, 0.9), (9000, 8.9), (3, 0.002)])
def test_the_required_rate_is_enough(clock: Clock, chunk: int, every: float) -> None:
    rate = rate_of(clock)
    assert seconds_until_ended(rate, clock, chunk=chunk, every=every) == float("inf")


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_less_than_the_required_rate_is_ended_at_some_time(clock: Clock, share: float) -> None:
    rate = rate_of(clock)
    assert (
        seconds_until_ended(rate, clock, chunk=int(RATE * share), every=1.0) < GRACE_SECONDS / (1 - share) + 2
    )


def test_a_good_start_allows_one_pause_and_no_drip(clock: Clock) -> None:
    rate = rate_of(clock)
    rate.received(10**7)
    clock.now += 1.9 * GRACE_SECONDS
    rate.received(10**7)
    assert seconds_until_ended(rate, clock, chunk=1, every=1.0) <= 2 * GRACE_SECONDS + 1


def test_the_answer_may_begin_late_but_not_too_late(clock: Clock) -> None:
    rate = rate_of(clock)
    assert rate.wait() == STEP_SECONDS
    clock.now += STEP_SECONDS
    silence = rate.timed_out()
    assert isinstance(silence, TooSlow)
    assert (silence.num_bytes, silence.seconds) == (0, STEP_SECONDS)


def test_each_request_may_wait_for_its_answer(clock: Clock) -> None:
    """As after the handshake of TLS, whose bytes are not those of the answer."""
    rate = rate_of(clock)
    rate.received(3000)
    clock.now += 2.0
    rate.asked()
    clock.now += 15.0
    assert rate.wait() == STEP_SECONDS
    rate.received(1)


def test_a_machine_that_comes_late_still_reads_what_has_arrived(clock: Clock) -> None:
    rate = rate_of(clock)
    rate.received(1)
    clock.now += GRACE_SECONDS + 3.0
    assert 0 < rate.wait() < 1
    rate.received(65_536)


def test_nothing_goes_on_after_the_deadline(clock: Clock) -> None:
    rate = rate_of(clock, deadline=7.0)
    clock.now = 6.0
    assert rate.step() == rate.wait() == 1.0
    clock.now = 7.0
    for step in (rate.step, rate.wait):
        with pytest.raises(httpcore.ReadTimeout):
            step()
    assert not isinstance(rate.timed_out(), TooSlow)


def test_without_a_required_rate_only_silence_is_too_slow(clock: Clock) -> None:
    rate = rate_of(clock, deadline=1000.0, bytes_per_second=0)
    assert seconds_until_ended(rate, clock, chunk=1, every=19.0) == pytest.approx(1000.0, abs=20)
