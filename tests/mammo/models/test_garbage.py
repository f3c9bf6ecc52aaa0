"""What is referred to stays; what nobody will serve again goes, and says so."""

from datetime import UTC, datetime, timedelta

import pytest

from mammo.blobs import Blobs
from mammo.errors import InvalidWeights
from mammo.models.garbage import GRACE, collect, referenced_blobs, spent_versions, unreferenced
from tests.mammo.models.versions import register

LATER = datetime.now(UTC) + timedelta(days=100)
AGE = timedelta(days=90)


@pytest.fixture
def blobs(registry, tmp_path):
    return Blobs(tmp_path / "blobs")


def digests(registry, *versions):
    return {
        registry.manifest(version)[part]["sha256"]
        for version in versions
        for part in ("detector", "segmenter")
    }


def test_only_old_versions_that_never_served_and_have_no_alias_are_spent(registry, tmp_path):
    first, second, lost, last, pinned = (register(registry, tmp_path, name) for name in "abcde")
    registry.promote(first, expected_epoch=0, reason="first")
    registry.promote(second, expected_epoch=1, reason="better")
    registry.name_challenger(last, reason="run 4")
    assert spent_versions(registry, older_than=AGE, keep=[pinned], now=LATER) == [lost]
    assert spent_versions(registry, older_than=AGE, keep=[pinned]) == []


def test_the_files_of_a_spent_version_go_and_asking_for_it_says_why(registry, blobs, tmp_path):
    champion, lost = (register(registry, tmp_path, name) for name in "ab")
    registry.promote(champion, expected_epoch=0, reason="first")
    spent = spent_versions(registry, older_than=AGE, keep=[], now=LATER)
    gone = collect(blobs, registry, spent=spent, referenced=lambda: referenced_blobs(registry), now=LATER)
    assert spent == [lost]
    assert {blob.digest for blob in gone} == digests(registry, lost)
    assert registry.files(champion, into=tmp_path / "models").detector.read_bytes() == b"detector a"
    with pytest.raises(InvalidWeights, match="import its bundle") as caught:
        registry.files(lost, into=tmp_path / "models")
    assert caught.value.code == "files_removed"
    assert registry.versions() == [champion, lost]
    assert spent_versions(registry, older_than=AGE, keep=[], now=LATER) == []


def test_a_file_that_two_versions_share_stays_for_the_one_that_stays(registry, blobs, tmp_path):
    champion = register(registry, tmp_path, "a")
    registry.promote(champion, expected_epoch=0, reason="first")
    lost = registry.register(
        detector=tmp_path / "a-detector",
        segmenter=tmp_path / "a-segmenter",
        manifest={"threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3},
    )
    gone = collect(blobs, registry, spent=[lost], referenced=lambda: referenced_blobs(registry), now=LATER)
    assert gone == []
    assert registry.files(champion, into=tmp_path / "models").version == champion


def test_what_others_refer_to_and_what_is_young_stays(registry, blobs):
    mask, orphan = blobs.put(b"mask"), blobs.put(b"orphan")
    assert [blob.digest for blob in unreferenced(blobs, {mask}, now=LATER)] == [orphan]
    assert unreferenced(blobs, {mask}) == []
    soon = datetime.now(UTC) + GRACE + timedelta(minutes=1)
    assert [blob.bytes for blob in unreferenced(blobs, {mask}, now=soon)] == [6]


def test_a_version_that_is_registered_again_has_its_files_back_and_keeps_them_if_it_is_used(
    registry, blobs, tmp_path
):
    lost = register(registry, tmp_path, "a")

    def gc():
        spent = spent_versions(registry, older_than=AGE, keep=[], now=LATER)
        return collect(blobs, registry, spent=spent, referenced=lambda: referenced_blobs(registry), now=LATER)

    assert gc()
    assert register(registry, tmp_path, "a") == lost
    registry.verify(lost)
    registry.promote(lost, expected_epoch=0, reason="it is needed after all")
    assert gc() == []
    registry.verify(lost)
