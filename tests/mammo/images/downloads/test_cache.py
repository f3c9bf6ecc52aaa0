"""The cache keeps one copy a content within its budget, and never hands out anything else than what came."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mammo.images.downloads.cache import FRESH_SECONDS, CachedDownload, DownloadCache


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def find(cache: DownloadCache, name: str) -> tuple[CachedDownload, bytes] | None:
    found = cache.find(name)
    if found is None:
        return None
    with found[1] as content:
        return found[0], content.read()


def contents(folder: Path) -> list[str]:
    return sorted(path.read_bytes().decode() for path in (folder / "content").iterdir())


def test_what_was_put_is_found_with_its_validators(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=100)
    cache.put("a", io.BytesIO(b"one"), etag='"1"', last_modified="Mon")
    cached = find(cache, "a")
    assert cached is not None
    assert (cached[0].etag, cached[0].last_modified, cached[1]) == ('"1"', "Mon", b"one")
    assert find(cache, "b") is None


def test_equal_contents_are_kept_once(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=100)
    for name in "abc":
        cache.put(name, io.BytesIO(b"same"))
    assert contents(tmp_path) == ["same"]


def test_what_was_not_used_for_longest_goes_first_and_its_names_with_it(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=10)
    for age, name in enumerate(("old", "mid", "new")):
        cache.put(name, io.BytesIO(name.encode()))
        for path in (tmp_path / "content").iterdir():
            if path.read_bytes() == name.encode():
                os.utime(path, (age, age))
    assert find(cache, "old")  # used: now it is the newest
    cache.put("more", io.BytesIO(b"more"))
    assert contents(tmp_path) == ["more", "new", "old"]
    assert find(cache, "mid") is None
    assert len(list((tmp_path / "names").iterdir())) == 3


def test_addresses_that_change_each_time_fill_no_folder(tmp_path: Path) -> None:
    """A signed address of the same picture is another one for every task and day."""
    cache = DownloadCache(tmp_path, max_bytes=1000, max_names=20)
    for number in range(100):
        cache.put(f"https://bucket/1.png?Signature={number}", io.BytesIO(b"the same picture"))
        entry = cache._entry(f"https://bucket/1.png?Signature={number}")
        os.utime(entry, (number, number))
        assert len(list((tmp_path / "names").iterdir())) <= 20
    assert contents(tmp_path) == ["the same picture"]
    assert find(cache, "https://bucket/1.png?Signature=99") is not None
    assert find(cache, "https://bucket/1.png?Signature=82") is not None, "what was asked for last stays"
    assert find(cache, "https://bucket/1.png?Signature=0") is None


def test_what_a_killed_process_left_half_written_goes_as_well(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=1000, max_names=10)
    cache.put("first", io.BytesIO(b"x"))
    for number in range(30):
        left = tmp_path / "names" / f"tmp{number}"
        left.touch()
        os.utime(left, (number, number))
    cache.put("second", io.BytesIO(b"x"))
    assert len(list((tmp_path / "names").iterdir())) == 9
    assert find(cache, "first") is not None
    assert find(cache, "second") is not None


@given(st.text(st.characters(exclude_categories=()), max_size=50), st.sampled_from([1, 100, 2000]))
def test_an_address_of_any_length_and_letters_has_a_short_file_of_its_own(text: str, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = DownloadCache(Path(folder), max_bytes=1000)
        cache.put(text * times, io.BytesIO(b"one"))
        cache.put(text * times + "?", io.BytesIO(b"other"))
        assert all(len(path.name) < 80 for path in Path(folder).rglob("*"))
        contents = [found[1] for name in ("", "?") if (found := find(cache, text * times + name))]
        assert contents == [b"one", b"other"]


def test_what_is_larger_than_the_budget_and_everything_without_one_is_not_kept(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=3)
    cache.put("a", io.BytesIO(b"long"))
    assert find(cache, "a") is None
    DownloadCache(tmp_path / "none", max_bytes=0).put("a", io.BytesIO(b"x"))
    assert not (tmp_path / "none").exists()


def test_a_damaged_content_is_not_handed_out(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=100)
    cache.put("a", io.BytesIO(b"one"))
    (path,) = (tmp_path / "content").iterdir()
    path.write_bytes(b"two")
    assert find(cache, "a") is None
    cache.put("a", io.BytesIO(b"one"))
    assert find(cache, "a") is not None


def test_a_damaged_or_missing_entry_is_a_miss(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path, max_bytes=100)
    cache.put("a", io.BytesIO(b"one"))
    (entry,) = (tmp_path / "names").iterdir()
    for text in (b"", b"{}", b"[1]", b'{"sha256": "x"}'):
        entry.write_bytes(text)
        assert find(cache, "a") is None


def test_an_answer_is_fresh_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    cache = DownloadCache(tmp_path, max_bytes=100, clock=clock)
    cache.put("a", io.BytesIO(b"one"))
    cached = find(cache, "a")
    assert cached is not None
    assert cache.fresh(cached[0])
    clock.now += FRESH_SECONDS
    assert not cache.fresh(cached[0])
    clock.now = 0.0  # the clock was set back
    assert not cache.fresh(cached[0])


def test_nobody_else_reads_the_cache(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "c", max_bytes=100)
    cache.put("a", io.BytesIO(b"one"))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "c").rglob("*")]
    assert all(mode & 0o077 == 0 for mode in modes)


def test_a_disk_that_cannot_be_written_costs_only_the_cache(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file where the folder should be")
    cache = DownloadCache(tmp_path / "c", max_bytes=100)
    cache.put("a", io.BytesIO(b"one"))
    assert find(cache, "a") is None
