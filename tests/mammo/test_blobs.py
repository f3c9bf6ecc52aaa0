import hashlib

import pytest

from mammo.blobs import Blobs, hash_file
from mammo.errors import InvalidWeights, StorageUnavailable


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def stored(tmp_path, digest):
    return tmp_path / "blobs" / "sha256" / digest[:2] / digest


def test_a_blob_is_named_by_its_content_and_comes_back(blobs, tmp_path):
    (tmp_path / "weights").write_bytes(b"weights" * 300_000)
    digest = blobs.put(tmp_path / "weights")
    assert digest == hashlib.sha256(b"weights" * 300_000).hexdigest()
    blobs.copy(digest, to=tmp_path / "out" / "copy")
    assert hash_file(tmp_path / "out" / "copy") == digest
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["copy"]


def test_twice_the_same_content_is_one_blob_that_is_not_written_again(blobs, tmp_path):
    digest = blobs.put(b"content")
    before = stored(tmp_path, digest).stat().st_mtime_ns
    assert blobs.put(b"content") == digest
    assert stored(tmp_path, digest).stat().st_mtime_ns == before


def test_a_damaged_blob_is_refused_and_no_copy_is_left(blobs, tmp_path):
    digest = blobs.put(b"content")
    stored(tmp_path, digest).write_bytes(b"kontent")
    with pytest.raises(InvalidWeights, match="does not match its name") as caught:
        blobs.copy(digest, to=tmp_path / "out" / "copy")
    assert caught.value.code == "damaged_blob"
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InvalidWeights):
        blobs.read(digest)


def test_a_copy_that_fails_leaves_the_old_file_alone(blobs, tmp_path):
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(InvalidWeights) as caught:
        blobs.copy("0" * 64, to=tmp_path / "copy")
    assert caught.value.code == "missing_blob"
    assert (tmp_path / "copy").read_bytes() == b"old"


def test_putting_a_blob_again_mends_a_torn_one(blobs, tmp_path):
    digest = blobs.put(b"content")
    stored(tmp_path, digest).write_bytes(b"con")
    assert blobs.put(b"content") == digest
    assert blobs.read(digest) == b"content"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_a_hash_names_a_blob(blobs, name):
    with pytest.raises(ValueError, match="SHA-256"):
        blobs.read(name)


def test_a_folder_that_takes_nothing_is_storage_unavailable(blobs, tmp_path):
    (tmp_path / "blobs" / "sha256").write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable):
        blobs.put(b"content")
