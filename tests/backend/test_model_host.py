"""ModelHost: a new champion is swapped in whole; whatever goes wrong, what serves goes on serving."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from backend.model_host import MAX_PAUSE, ModelHost, ProjectVersions
from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights, ModelNotFound, StorageUnavailable
from mammo.findings import ImageFindings
from tests.backend.fakes import FakePrelabeller, FakeRegistry


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def host_of(registry: FakeRegistry, clock: Clock | None = None) -> ModelHost:
    return ModelHost(registry, load=registry.load, every=2.0, clock=clock or Clock())


def test_before_the_first_model_there_is_none_and_asking_says_to_try_again() -> None:
    with pytest.raises(ModelNotFound, match="try again") as error:
        host_of(FakeRegistry()).current()
    assert error.value.code == "model_not_loaded"


def test_a_new_champion_is_loaded_once_warmed_and_serves() -> None:
    registry = FakeRegistry()
    host = host_of(registry)
    host.look()
    host.look()
    loaded = host.current()
    assert (loaded.version, registry.loads) == ("m1", ["m1"])
    assert isinstance(loaded.prelabeller, FakePrelabeller)
    assert len(loaded.prelabeller.prelabelled) == len(loaded.prelabeller.clicks) == 1
    registry.version = "m2"
    host.look()
    assert host.current().version == "m2"
    assert loaded.version == loaded.prelabeller.version == "m1"  # whoever held the old one still does


def test_a_roll_back_loads_the_earlier_version_again() -> None:
    registry = FakeRegistry()
    host = host_of(registry)
    for version in ("m1", "m2", "m1"):
        registry.version = version
        host.look()
    assert registry.loads == ["m1", "m2", "m1"]
    assert host.current().version == "m1"


def test_while_the_new_model_loads_and_warms_the_old_one_serves() -> None:
    registry = FakeRegistry()
    seen: list[str | None] = []

    def load(version: str) -> FakePrelabeller:
        seen.append(host.status().serving)
        return registry.load(version)

    host = ModelHost(registry, load=load, every=2.0)
    host.look()
    registry.version = "m2"
    host.look()
    assert seen == [None, "m1"]


def test_a_model_that_does_not_load_leaves_the_old_one_and_shows_in_the_status() -> None:
    registry = FakeRegistry()
    host = host_of(registry)
    host.look()
    registry.version, registry.broken = "m2", {"m2"}
    host.look()
    status = host.status()
    assert (status.serving, status.champion, status.problem) == ("m1", "m2", "invalid_weights")
    assert host.current().version == "m1"


def test_a_model_that_does_not_load_is_tried_again_with_longer_and_longer_pauses() -> None:
    registry, clock = FakeRegistry("m2"), Clock()
    registry.broken = {"m2"}
    host = host_of(registry, clock)
    attempts = []
    for second in range(300):
        clock.now = float(second)
        before = len(registry.loads)
        host.look()
        if len(registry.loads) > before:
            attempts.append(second)
    pauses = [b - a for a, b in pairwise(attempts)]
    assert pauses[0] == 4
    assert pauses == sorted(pauses)
    assert max(pauses) == MAX_PAUSE
    registry.broken = set()
    clock.now += 1000
    host.look()
    assert host.status().problem is None
    assert host.current().version == "m2"


def test_another_champion_after_a_failed_one_is_tried_at_once() -> None:
    registry = FakeRegistry("m2")
    registry.broken = {"m2"}
    host = host_of(registry)
    host.look()
    registry.version = "m3"
    host.look()
    assert host.current().version == "m3"


def test_files_that_say_another_version_than_the_registry_never_serve() -> None:
    registry = FakeRegistry("m1")
    host = ModelHost(registry, load=lambda _: FakePrelabeller("m9"), every=2.0)
    host.look()
    assert host.status().serving is None
    assert host.status().problem == "invalid_weights"


def test_a_model_that_fails_its_first_prediction_never_serves() -> None:
    class Broken(FakePrelabeller):
        def prelabel(self, mammogram: Mammogram, /, *, threshold: float | None) -> ImageFindings:
            raise RuntimeError("out of memory")

    registry = FakeRegistry()
    host = ModelHost(registry, load=Broken, every=2.0)
    host.look()
    assert (host.status().serving, host.status().problem) == (None, "RuntimeError")


def test_a_registry_outage_does_not_stop_serving_and_is_over_when_it_is_over() -> None:
    registry = FakeRegistry()
    host = host_of(registry)
    host.look()
    registry.down = True
    host.look()
    assert host.current().version == "m1"
    assert host.status().problem == "storage_unavailable"
    registry.down = False
    host.look()
    assert host.status().problem is None


def test_the_thread_looks_by_itself_and_stops_when_told() -> None:
    registry = FakeRegistry()
    host = ModelHost(registry, load=registry.load, every=0.001)
    host.start()
    while host.status().serving is None:
        pass
    host.stop()
    assert host.current().version == "m1"


def test_a_version_that_fails_its_self_test_never_serves_and_is_not_tried_again() -> None:
    registry, clock = FakeRegistry(), Clock()
    tested: list[str] = []

    def check(version: str, _: object) -> None:
        tested.append(version)
        if version == "m2":
            raise InvalidWeights("m2 finds nothing", code="self_test_failed")

    host = ModelHost(registry, load=registry.load, check=check, every=2.0, clock=clock)
    host.look()
    registry.version = "m2"
    for _ in range(5):
        host.look()
        clock.now += 2 * MAX_PAUSE
    assert host.current().version == "m1"
    assert host.status().problem == "self_test_failed"
    registry.version = "m3"
    host.look()
    assert (host.current().version, host.status().problem) == ("m3", None)
    registry.version = "m2"
    host.look()
    assert tested == ["m1", "m2", "m3"]
    assert host.current().version == "m3"


def test_each_new_champion_is_told_of_once_it_serves() -> None:
    registry, told = FakeRegistry(), []
    host: ModelHost = ModelHost(
        registry, load=registry.load, every=2.0, swapped=lambda: told.append(host.current().version)
    )
    host.look()
    host.look()
    registry.version = "m2"
    host.look()
    assert told == ["m1", "m2"]


def test_a_host_that_is_woken_looks_at_once() -> None:
    registry, looked = FakeRegistry(), threading.Event()
    host = ModelHost(registry, load=registry.load, every=3600.0, swapped=looked.set)
    host.start()
    assert looked.wait(20)
    looked.clear()
    registry.version = "m2"
    host.wake()
    assert looked.wait(20)
    assert host.current().version == "m2"
    host.stop()


def test_a_provisional_model_serves_its_project_as_soon_as_it_is_loaded_and_until_it_is_withdrawn() -> None:
    registry, provisional = FakeRegistry(), dict[int, str]()
    host = ModelHost(
        registry,
        load=registry.load,
        every=2.0,
        clock=Clock(),
        projects=ProjectVersions(provisional=lambda: provisional),
    )
    host.look()
    provisional[3] = "p1"
    assert host.current(3).version == "m1"
    host.look()
    assert (host.current(3).version, host.current(4).version) == ("p1", "m1")
    assert host.status().pinned == ("p1",)
    assert host.own_models == {3}
    host.look()
    assert registry.loads == ["m1", "p1"]
    provisional.clear()
    host.look()
    assert host.current(3).version == "m1"
    assert host.status().pinned == ()


def test_a_provisional_model_that_does_not_load_leaves_its_project_with_the_champion() -> None:
    registry = FakeRegistry()
    registry.broken = {"p1"}
    host = ModelHost(
        registry,
        load=registry.load,
        every=2.0,
        clock=Clock(),
        projects=ProjectVersions(provisional=lambda: {3: "p1"}),
    )
    host.look()
    assert host.current(3).version == "m1"
    assert host.status().problem is not None


def test_while_the_database_is_away_a_loaded_provisional_model_keeps_serving() -> None:
    registry, is_away = FakeRegistry(), False

    def provisional() -> dict[int, str]:
        if is_away:
            raise ConnectionError
        return {3: "p1"}

    host = ModelHost(
        registry,
        load=registry.load,
        every=2.0,
        clock=Clock(),
        projects=ProjectVersions(provisional=provisional),
    )
    host.look()
    is_away = True
    host.look()
    assert host.current(3).version == "p1"


def test_a_project_that_is_pinned_meanwhile_is_served_by_its_version_until_it_is_unpinned() -> None:
    registry, pins, freed = FakeRegistry(), dict[int, str](), []
    host: ModelHost = ModelHost(
        registry,
        load=registry.load,
        every=2.0,
        clock=Clock(),
        projects=ProjectVersions(before_first_look={9: "m0"}, pinned=lambda: {**pins, 9: "m0"}),
        swapped=lambda: freed.append(host.status().pinned),
    )
    host.look()
    pins[3] = "m5"
    assert (host.current(3).version, host.current(9).version) == ("m1", "m0")  # until the next look
    host.look()
    assert (host.current(3).version, host.own_models) == ("m5", {3, 9})
    pins[3] = "m6"
    host.look()
    assert (host.current(3).version, host.status().pinned) == ("m6", ("m0", "m6"))
    del pins[3]
    host.look()
    assert (host.current(3).version, host.status().pinned) == ("m1", ("m0",))
    assert freed[-2:] == [("m0", "m6"), ("m0",)]


def test_a_pinned_champion_is_loaded_once() -> None:
    registry = FakeRegistry()
    host = ModelHost(
        registry, load=registry.load, every=2.0, projects=ProjectVersions(pinned=lambda: {3: "m1"})
    )
    host.look()
    assert (host.current(3).version, host.current().version, registry.loads) == ("m1", "m1", ["m1"])


def test_a_version_that_is_pinned_meanwhile_and_does_not_load_is_not_replaced_by_another() -> None:
    registry, pins = FakeRegistry(), dict[int, str]()
    registry.broken = {"m5"}
    host = ModelHost(
        registry, load=registry.load, every=2.0, clock=Clock(), projects=ProjectVersions(pinned=lambda: pins)
    )
    host.look()
    pins[3] = "m5"
    host.look()
    with pytest.raises(ModelNotFound, match="pinned to model m5"):
        host.current(3)
    assert host.current(4).version == "m1"


def test_before_the_pins_are_known_nothing_serves_and_afterwards_an_outage_changes_nothing() -> None:
    registry, away = FakeRegistry(), [True]

    def find() -> dict[int, str]:
        if away:
            raise StorageUnavailable("the database is gone")
        return {3: "m5"}

    host = ModelHost(
        registry, load=registry.load, every=2.0, clock=Clock(), projects=ProjectVersions(pinned=find)
    )
    host.look()
    assert (host.status().serving, host.status().problem) == (None, "storage_unavailable")
    away.clear()
    host.look()
    away.append(True)
    registry.version = "m2"
    host.look()
    assert (host.current(3).version, host.current().version) == ("m5", "m1")
