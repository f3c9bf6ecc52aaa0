import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors import safe_open

from mammo.segmenter.embedding_cache import EmbeddingCache
from mammo.segmenter.runtime import Features

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def features(value: float = 1.0, *, fused: bool = True) -> Features:
    neck = np.full((1, 4, 8, 8), value, np.float16)
    return Features(neck, neck[:, :1] if fused else None)


BYTES = features().num_bytes


def never() -> Features:
    raise AssertionError("computed again")


def same(a: Features, b: Features) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True) if x is not None)


def test_what_is_held_is_not_computed_again():
    cache = EmbeddingCache(memory_bytes=10 * BYTES)
    first = cache.get(A, features)
    assert cache.get(A, never) is first
    assert cache._memory.currsize == BYTES == 640


def test_the_least_recently_used_goes_when_the_budget_is_full():
    cache = EmbeddingCache(memory_bytes=2 * BYTES)
    for key in (A, B, A, C):
        cache.get(key, features)
    assert cache._memory.currsize == 2 * BYTES
    cache.get(A, never)
    cache.get(C, never)
    with pytest.raises(AssertionError):
        cache.get(B, never)


def test_without_a_budget_nothing_is_held():
    cache = EmbeddingCache(memory_bytes=0)
    cache.get(A, features)
    assert cache._memory.currsize == 0


@pytest.mark.parametrize("fused", [True, False])
def test_the_disk_tier_outlives_the_process(tmp_path, fused):
    EmbeddingCache(memory_bytes=0, folder=tmp_path / "cache", disk_bytes=10**6).get(
        A, lambda: features(3, fused=fused)
    )
    again = EmbeddingCache(memory_bytes=0, folder=tmp_path / "cache", disk_bytes=10**6).get(A, never)
    assert same(again, features(3, fused=fused))
    assert again.neck.dtype == np.float16
    assert (again.fused is None) is not fused
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_the_folder_stays_within_its_budget_and_drops_the_least_recently_used(tmp_path):
    cache = EmbeddingCache(memory_bytes=0, folder=tmp_path, disk_bytes=10_000)
    keys = [f"{n:064x}" for n in range(40)]
    for key in keys:
        cache.get(key, features)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    stored = {path.stem for path in tmp_path.iterdir()}
    assert keys[-1] in stored
    assert keys[0] not in stored
    assert len(stored) > 5


@pytest.mark.parametrize("damage", [b"", b"not a tensor file", None], ids=["empty", "text", "half"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    def cache() -> EmbeddingCache:
        return EmbeddingCache(memory_bytes=0, folder=tmp_path, disk_bytes=10**6)

    cache().get(A, features)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert same(cache().get(A, lambda: features(2)), features(2))
    assert same(cache().get(A, never), features(2))


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(memory_bytes=10**6, folder=tmp_path / "file" / "cache", disk_bytes=10**6)
    assert same(cache.get(A, features), features())


def test_files_tell_nothing_about_the_image(tmp_path):
    EmbeddingCache(memory_bytes=0, folder=tmp_path, disk_bytes=10**6).get(A, features)
    (path,) = tmp_path.iterdir()
    assert path.name == f"{A}.safetensors"
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {"neck", "fused"}
        assert file.metadata() is None


def test_who_asks_for_what_is_underway_waits_for_it():
    cache = EmbeddingCache(memory_bytes=10**6)
    gate, computed = threading.Event(), []

    def slow() -> Features:
        computed.append(1)
        assert gate.wait(10)
        return features()

    with ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(cache.get, A, slow) for _ in range(8)]
        other = pool.submit(EmbeddingCache(memory_bytes=10**6).get, B, features)
        other.result(10)
        gate.set()
        results = [answer.result(10) for answer in answers]
    assert len(computed) == 1
    assert all(one is results[0] for one in results)


def test_a_failure_reaches_everybody_and_the_next_may_try_again():
    cache = EmbeddingCache(memory_bytes=10**6)
    gate = threading.Event()

    def fail() -> Features:
        assert gate.wait(10)
        raise RuntimeError("no memory")

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(cache.get, A, fail) for _ in range(2)]
        gate.set()
        for answer in answers:
            with pytest.raises(RuntimeError, match="no memory"):
                answer.result(10)
    assert same(cache.get(A, features), features())
