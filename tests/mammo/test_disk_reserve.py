"""On a full disk a decision is recorded from the space that was set aside, and nothing else uses it up."""

from __future__ import annotations

import pytest

from mammo.disk_reserve import PORTION, SIZE, DiskReserve
from mammo.errors import StorageUnavailable
from mammo.site import Site
from tests.mammo.models.versions import register


def size(reserve: DiskReserve) -> int:
    return reserve._path.stat().st_size if reserve._path.exists() else 0


@pytest.fixture
def reserve(small_disk) -> DiskReserve:
    return DiskReserve(small_disk.folder / "a.db")


def test_it_takes_real_space_once_and_is_its_owners_only(small_disk, reserve):
    before = small_disk.free
    for _ in range(2):
        reserve.fill()
    assert before - small_disk.free >= SIZE
    assert size(reserve) == SIZE
    assert reserve._path.stat().st_mode & 0o777 == 0o600


def test_it_does_not_itself_fill_a_disk_with_little_room(small_disk, reserve):
    (small_disk.folder / "much").write_bytes(bytes(small_disk.free - 2 * SIZE))
    reserve.fill()
    assert size(reserve) == 0


def test_a_portion_is_given_back_on_a_full_disk_only(small_disk, reserve):
    reserve.fill()
    assert not reserve.release()
    for left in range(SIZE - PORTION, -1, -PORTION):
        small_disk.fill()
        assert reserve.release()
        assert size(reserve) == left
        assert small_disk.free >= PORTION - 4096
    small_disk.fill()
    assert not reserve.release(), "nothing is left"
    small_disk.make_room()
    reserve.fill()
    assert size(reserve) == SIZE


def test_without_a_reserve_or_a_folder_nothing_fails(tmp_path):
    for reserve in (DiskReserve(tmp_path / "a.db"), DiskReserve(tmp_path / "none" / "a.db")):
        assert not reserve.release()
    DiskReserve(tmp_path / "none" / "a.db").fill()


def test_a_rollback_is_recorded_on_a_full_disk_and_events_are_not(small_disk):
    folder = small_disk.folder / "data"
    with Site.load(creates=True, data_dir=folder) as site:
        before = site.registry.champion()
        version = register(site.registry, small_disk.folder, "one")
        site.registry.promote(version, expected_epoch=before.epoch, reason="t")
    small_disk.fill()
    with Site.load(creates=True, data_dir=folder) as site:  # a service that starts
        assert site.registry.champion().version == version
        site.store.check()
        assert site.store.problem == "storage_unavailable"
    with Site.load(data_dir=folder) as site:  # the command of a person
        site.make_room()
        assert site.registry.roll_back("it finds nothing").version == before.version
    small_disk.fill()
    with Site.load(data_dir=folder) as site:
        assert site.registry.history()[-1].reason == "it finds nothing"
        with pytest.raises(StorageUnavailable, match="is full"):
            site.registry.roll_back("events have used up the rest")
