"""Newcomers get in, and whoever opens many connections displaces his own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from backend.connections.limits import ConnectionLimits
from backend.connections.table import MAX_CLOSED_AT_ONCE, REPORT_SECONDS, ConnectionTable
from backend.metrics import Metrics


@dataclass(eq=False)
class FakeConnection:
    """A connection that does what the test says."""

    address: str
    waits_for_client: bool = True
    reason: str | None = None
    ended: list[str] = field(default_factory=list)

    def late(self, now: float) -> str | None:
        return self.reason

    def end(self, reason: str) -> None:
        self.ended.append(reason)

    def abort(self) -> None:
        self.ended.append("aborted")


@dataclass
class World:
    """A table for six connections, four of them of one address, and its clock."""

    now: float = 0.0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        limits = ConnectionLimits(max_connections=6, max_per_address=4)
        self.table = ConnectionTable(limits, self.metrics, clock=lambda: self.now)

    def add(self, address: str, count: int = 1, **facts: bool) -> list[FakeConnection]:
        made = [FakeConnection(address, **facts) for _ in range(count)]
        for each in made:
            self.table.add(each)
        return made


@pytest.fixture
def world() -> Iterator[World]:
    return World()


def aborted(connections: list[FakeConnection]) -> list[bool]:
    return [each.ended == ["aborted"] for each in connections]


def test_the_oldest_stranger_of_the_address_with_most_makes_room(world: World) -> None:
    (first,) = world.add("10.0.0.1")
    many = world.add("10.0.0.2", 3)
    assert not world.table.is_full
    assert world.table.displace()
    assert aborted([first, *many]) == [False, True, False, False]
    assert len(world.table) == 3


def test_an_address_at_its_limit_displaces_its_own(world: World) -> None:
    (other,) = world.add("10.0.0.1")
    many = world.add("10.0.0.2", 4)
    assert not any(aborted([other, *many]))
    many += world.add("10.0.0.2")
    assert aborted([other, *many]) == [False, True, False, False, False, False]


def test_addresses_of_one_ipv6_network_are_one_client(world: World) -> None:
    many = [world.add(f"2001:db8:0:1::{n}")[0] for n in range(4)]
    many += world.add("2001:db8:0:1::ffff")
    assert aborted(many) == [True, False, False, False, False]


def test_who_has_sent_a_right_secret_makes_room_only_when_there_are_no_strangers(world: World) -> None:
    known = []
    for _ in range(5):
        known += world.add("10.0.0.1")
        world.table.trust(known[-1])
    (stranger,) = world.add("10.0.0.1")
    assert world.table.is_full
    assert world.table.displace()
    assert aborted([stranger, *known]) == [True, False, False, False, False, False]
    known[0].waits_for_client = False
    assert world.table.displace()
    assert aborted(known) == [False, True, False, False, False]


def test_a_request_that_is_answered_is_not_displaced(world: World) -> None:
    busy, (waiting,) = world.add("10.0.0.1", 3, waits_for_client=False), world.add("10.0.0.2")
    assert world.table.displace(), "the next address is asked"
    assert aborted([*busy, waiting]) == [False, False, False, True]
    assert not world.table.displace()


def test_a_connection_may_go_twice(world: World) -> None:
    (gone,) = world.add("10.0.0.1")
    world.table.displace()
    world.table.remove(gone)
    world.table.trust(gone)
    assert len(world.table) == 0
    assert "yolo_mlsam_connections 0.0" in world.metrics.text(serving=None).decode()


def test_the_late_are_ended_counted_and_reported_at_most_once_a_minute(world: World) -> None:
    world.now = 1000.0
    late, _ = world.add("10.0.0.1", 2)
    late.reason = "head"
    with capture_logs() as logs:
        for _ in range(3):
            world.table.close_late()
        assert late.ended == ["head"] * 3
        assert [each["num_head"] for each in logs] == [1]
        world.now += REPORT_SECONDS
        world.table.close_late()
        assert [each["num_head"] for each in logs] == [1, 3]
    assert (
        'yolo_mlsam_connections_closed_total{reason="head"} 4.0' in world.metrics.text(serving=None).decode()
    )


def test_many_that_are_late_at_once_are_closed_in_turns() -> None:
    limits = ConnectionLimits(max_connections=1000, max_per_address=1000)
    table = ConnectionTable(limits, Metrics())
    late = [FakeConnection("10.0.0.1", reason="idle") for _ in range(MAX_CLOSED_AT_ONCE + 5)]
    for each in late:
        table.add(each)
    table.close_late()
    assert [bool(each.ended) for each in late] == [True] * MAX_CLOSED_AT_ONCE + [False] * 5
    for each in late[:MAX_CLOSED_AT_ONCE]:
        table.remove(each)
    table.close_late()
    assert all(each.ended for each in late)
