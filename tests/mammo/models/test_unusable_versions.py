"""A registry that holds what this release would not register still lists and serves; the row is named."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mammo.database import alias, model_version, promotion, writing
from mammo.errors import InvalidWeights
from mammo.models import UNUSABLE
from mammo.models.garbage import referenced_blobs
from tests.mammo.models.versions import POINT, register

FILES = {part: {"sha256": "0" * 64, "bytes": 1} for part in ("detector", "segmenter")}
GOOD = {**POINT, **FILES}

ROWS = {
    "champion": GOOD,
    "previous": GOOD,
    "latest": GOOD,
    "../../evil": GOOD,
    "odd\x1b[31m\n": GOOD,
    "[/red]": GOOD,
    "null-threshold": {**GOOD, "threshold": None},
    "threshold-7": {**GOOD, "threshold": 7},
    "no-files": POINT,
    "odd-self-test": {**GOOD, "self_test": 5},
    "odd-stay": {**GOOD, "stays_at_site": 5},
    "nan": b'{"threshold": NaN}',
    "empty": b"",
    "list": b"[]",
    "binary": b"\xff\xfe",
    "deep": b'{"a":' * 900 + b"1" + b"}" * 900,
}
"""Manifests of rows that cannot be used, by version."""


def insert_rows(engine):
    """Write all of them past the registry, as an earlier release or a person may have."""
    with writing(engine) as connection:
        for number, (version, manifest) in enumerate(ROWS.items()):
            content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
            row = {
                "version": version,
                "number": 1000 + number,
                "content_hash": f"{number:064d}",
                "manifest": content,
            }
            connection.execute(sa.insert(model_version).values(**row, created_at=datetime.now(UTC)))


def make_champion(engine, version, *, epoch):
    """Move the champion past the registry."""
    move = {"alias": "champion", "epoch": epoch, "kind": "promote", "version": version, "reason": "[/b]"}
    with writing(engine) as connection:
        connection.execute(
            sa.update(alias).where(alias.c.name == "champion").values(version=version, epoch=epoch)
        )
        connection.execute(sa.insert(promotion).values(**move, at=datetime.now(UTC), actor="\x1b[31mx"))


@pytest.fixture
def good(registry, any_engine, tmp_path):
    """A version that serves, beside all the others."""
    version = register(registry, tmp_path, "a")
    registry.promote(version, expected_epoch=0, reason="first")
    insert_rows(any_engine)
    return version


def test_every_row_is_listed_and_says_what_is_wrong(registry, good):
    manifests = {version: registry.manifest(version) for version in registry.versions()}
    assert set(manifests) == {good, *ROWS}
    assert {version for version, manifest in manifests.items() if UNUSABLE not in manifest} == {good}
    for version in ROWS:
        assert manifests[version]["version"] == version
        assert manifests[version][UNUSABLE].isprintable()
        assert registry.notes(version) == []


def test_none_of_them_serves_or_becomes_the_champion(registry, good, tmp_path):
    for version in ROWS:
        with pytest.raises(InvalidWeights, match="cannot be used") as refused:
            registry.files(version, into=tmp_path / "models")
        assert refused.value.code == "unusable_version"
        assert str(refused.value).isprintable()
        with pytest.raises(InvalidWeights, match="cannot be used"):
            registry.promote(version, expected_epoch=1, reason="try")
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "evil").exists()
    assert registry.champion().version == good
    assert registry.files(good, into=tmp_path / "models").version == good


def test_a_name_that_is_an_alias_stays_the_alias(registry, good):
    assert registry.find("champion") == good
    assert registry.find("previous") is None


def test_a_champion_that_cannot_be_used_is_rolled_back_and_never_rolled_back_to(
    registry, any_engine, good, tmp_path
):
    make_champion(any_engine, "null-threshold", epoch=2)
    assert registry.champion().version == "null-threshold"
    assert registry.roll_back("it cannot be used").version == good
    make_champion(any_engine, "nan", epoch=4)
    registry.promote(register(registry, tmp_path, "b"), expected_epoch=4, reason="better")
    with pytest.raises(InvalidWeights, match="nan cannot be used"):
        registry.roll_back("try")


def test_nothing_is_called_garbage_while_the_files_of_a_version_are_unknown(registry, good):
    with pytest.raises(InvalidWeights, match="are unknown"):
        referenced_blobs(registry)
