"""A host has its places, each purpose its own; what was slow is remembered, and a hiccup costs one image."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from structlog.testing import capture_logs

from mammo.errors import ImageUnavailable
from mammo.images.downloads.hosts import (
    PATIENCE,
    PLACES,
    PLACES_IF_SLOW,
    QUEUE_IF_SLOW,
    REMEMBERED,
    SLOW_AFTER,
    Hosts,
    Purpose,
)
from mammo.images.downloads.transfer_rate import TooSlow

HOST = "images.test"
SLOW = TooSlow(12, 5.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hosts(clock: Clock) -> Hosts:
    return Hosts(clock=clock)


@contextmanager
def occupied(hosts: Hosts, count: int, *, purpose: Purpose = "task", host: str = HOST) -> Iterator[None]:
    with ExitStack() as places:
        for _ in range(count):
            places.enter_context(hosts.place(host, purpose=purpose, deadline=0.0))
        yield


def refusal(hosts: Hosts, *, purpose: Purpose = "task", host: str = HOST) -> ImageUnavailable:
    with pytest.raises(ImageUnavailable) as failure, hosts.place(host, purpose=purpose, deadline=0.0):
        pass
    return failure.value


def make_slow(hosts: Hosts, count: int = SLOW_AFTER) -> None:
    for number in range(count):
        hosts.note_slow(HOST, f"https://{HOST}/{number}.png", SLOW)


def test_a_host_has_its_places_and_each_purpose_its_own(hosts: Hosts) -> None:
    with occupied(hosts, PLACES):
        assert refusal(hosts).code == "busy_host"
        for purpose in ("click", "background"):
            with occupied(hosts, PLACES, purpose=purpose):
                assert refusal(hosts, purpose=purpose).code == "busy_host"
        with occupied(hosts, 1, host="other.test"):
            pass
    with occupied(hosts, PLACES):
        pass


def test_a_download_waits_for_a_place_until_its_deadline(hosts: Hosts, clock: Clock) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        with hosts.place(HOST, purpose="task", deadline=clock.now + 60):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=wait, daemon=True)
    with occupied(hosts, PLACES):
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    leave.set()
    thread.join(10)


def test_a_slow_host_gets_few_places_and_the_refusal_says_how_slow_and_until_when(
    hosts: Hosts, clock: Clock
) -> None:
    with capture_logs() as logged:
        make_slow(hosts)
    assert [(line["host"], line["sent"]) for line in logged] == [(HOST, "12 bytes in 5 s")]
    with occupied(hosts, PLACES_IF_SLOW):
        refused = refusal(hosts)
    assert refused.code == "slow_host"
    for part in (HOST, "12 bytes in 5 s", "UTC", str(PLACES_IF_SLOW)):
        assert part in str(refused)
    clock.now += REMEMBERED
    with occupied(hosts, PLACES):
        pass


def test_a_hiccup_of_a_healthy_host_leaves_it_its_places(hosts: Hosts) -> None:
    make_slow(hosts, SLOW_AFTER - 1)
    with occupied(hosts, PLACES):
        pass
    hosts.note_sound(HOST)
    make_slow(hosts, SLOW_AFTER - 1)
    with occupied(hosts, PLACES):
        pass


def test_one_sound_image_ends_a_hosts_slowness(hosts: Hosts) -> None:
    make_slow(hosts)
    hosts.note_sound(HOST)
    with occupied(hosts, PLACES):
        pass


def test_only_so_many_wait_for_a_slow_host_and_not_for_long(hosts: Hosts, clock: Clock) -> None:
    make_slow(hosts)
    outcomes: list[str] = []

    def wait() -> None:
        try:
            with hosts.place(HOST, purpose="task", deadline=clock.now + 1000):
                outcomes.append("place")
        except ImageUnavailable as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(QUEUE_IF_SLOW + 3)]
    with occupied(hosts, PLACES_IF_SLOW):
        for thread in threads:
            thread.start()
        while len(outcomes) < 3:
            time.sleep(0.01)
    for thread in threads:
        thread.join(10)
    assert outcomes == ["slow_host"] * 3 + ["place"] * QUEUE_IF_SLOW
    assert PATIENCE < REMEMBERED


def test_an_image_that_was_too_slow_is_not_asked_for_again_for_a_while(hosts: Hosts, clock: Clock) -> None:
    image = f"https://{HOST}/0.png"
    hosts.note_slow("storage.test", image, SLOW)
    with pytest.raises(ImageUnavailable, match=r"12 bytes in 5 s") as failure:
        hosts.require_not_slow(image, host=HOST)
    assert failure.value.code == "slow_image"
    hosts.require_not_slow(f"https://{HOST}/1.png", host=HOST)
    clock.now += REMEMBERED
    hosts.require_not_slow(image, host=HOST)
