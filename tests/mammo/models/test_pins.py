"""Pins: a person keeps a project on one version; refused if nothing could serve it, and recorded with its reason."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mammo.audit import AuditTrail
from mammo.blobs import Blobs
from mammo.errors import ModelNotFound, PinRefused
from mammo.models import PROVISIONAL, ModelRegistry, ProjectPins
from mammo.models.garbage import collect, referenced_blobs, spent_versions
from tests.mammo.models.versions import register, starter

WHO = {"reason": "the trial ends with it", "actor": "anna"}


@pytest.fixture
def registry(any_engine, tmp_path):
    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    registry.ensure_starter(starter(tmp_path / "starter"))
    return registry


@pytest.fixture
def pins(any_engine, registry):
    return ProjectPins(any_engine, registry, settings={9: "starter-1"})


def test_a_pin_holds_until_it_is_replaced_or_removed_and_all_are_in_the_audit_trail(
    pins, registry, tmp_path, any_engine
):
    first, second = register(registry, tmp_path, "a"), register(registry, tmp_path, "b")
    pins.pin(3, first, **WHO)
    made = pins.pin(3, second, reason="it is better", actor="ben")
    assert pins.all()[3] == made
    assert (made.version, made.actor, made.is_setting) == (second, "ben", False)
    assert pins.unpin(3, reason="the trial has ended", actor="anna") == second
    assert 3 not in pins.versions()
    removed, replaced, began = AuditTrail(any_engine).newest(limit=3)
    assert (began.action, began.subject, began.actor) == ("project pinned", "project 3", "anna")
    assert replaced.reason == f"{first} -> {second}: it is better"
    assert (removed.action, removed.reason) == ("project unpinned", f"{second}: the trial has ended")
    with pytest.raises(ModelNotFound, match="project 3") as missing:
        pins.unpin(3, **WHO)
    assert missing.value.code == "not_pinned"


def test_a_pin_of_the_settings_goes_first_and_cannot_be_changed_elsewhere(
    pins, registry, tmp_path, any_engine
):
    version = register(registry, tmp_path, "a")
    without = ProjectPins(any_engine, registry, settings={})
    without.pin(9, version, **WHO)
    assert pins.versions() == {9: "starter-1"}
    assert pins.all()[9].to_json()["by"] == "settings"
    with pytest.raises(PinRefused, match="YOLO_MLSAM_PROJECT_MODELS") as refused:
        pins.pin(9, version, **WHO)
    assert refused.value.code == "pinned_by_settings"
    assert pins.unpin(9, **WHO) == version  # what would come back once the setting is gone
    with pytest.raises(PinRefused, match="remove it from"):
        pins.unpin(9, **WHO)


def test_a_version_that_could_not_serve_the_project_is_refused_and_nothing_is_recorded(
    pins, registry, tmp_path, any_engine
):
    failed, gone = register(registry, tmp_path, "a"), register(registry, tmp_path, "b")
    own = register(registry, tmp_path, "c", **{PROVISIONAL: 4})
    registry.note(failed, "self_test_failed", {"host": "gpu-1"})
    digest = registry.manifest(gone)["detector"]["sha256"]
    registry._blobs.delete(digest)
    entries = len(AuditTrail(any_engine).newest())
    with pytest.raises(ModelNotFound, match="m9999"):
        pins.pin(3, "m9999-00000000", **WHO)
    refusals = {failed: "self_test_failed", gone: "missing_blob", own: "provisional_version"}
    for version, code in refusals.items():
        with pytest.raises(PinRefused, match=r"pin another|not pinned") as refused:
            pins.pin(3, version, **WHO)
        assert refused.value.code == code
    assert pins.versions() == {9: "starter-1"}
    assert len(AuditTrail(any_engine).newest()) == entries


def test_a_version_whose_files_were_collected_is_refused_with_the_remedy(pins, registry, tmp_path):
    version = register(registry, tmp_path, "a")
    registry._blobs.delete(registry.manifest(version)["detector"]["sha256"])
    registry.note(version, "files_removed", {"reason": "it never served"})
    with pytest.raises(PinRefused, match="import its bundle") as refused:
        pins.pin(3, version, **WHO)
    assert refused.value.code == "files_removed"


def test_a_pin_and_the_removal_of_files_in_the_same_moment_never_leave_a_pin_without_files(
    pins, registry, tmp_path
):
    for number in range(12):
        version = register(registry, tmp_path, f"race-{number}")
        begin = threading.Barrier(2)

        def pin(version=version, number=number, begin=begin):
            begin.wait()
            try:
                pins.pin(100 + number, version, **WHO)
            except PinRefused as refused:
                return refused.code
            return "pinned"

        def remove(version=version, begin=begin):
            begin.wait()
            return registry.remove_files(version)

        with ThreadPoolExecutor(2) as threads:
            pinned, removed = threads.submit(pin), threads.submit(remove)
            outcome = pinned.result(), removed.result()
        assert outcome in {("pinned", False), ("files_removed", True)}, outcome
        if outcome[1]:  # the files are still there, and about to be deleted
            with pytest.raises(PinRefused, match="import its"):
                pins.pin(100 + number, version, **WHO)


def test_a_version_that_is_pinned_after_gc_has_listed_it_keeps_its_files(pins, registry, tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    version = register(registry, tmp_path, "a")
    later = datetime.now(UTC) + timedelta(days=100)
    spent = spent_versions(registry, older_than=timedelta(days=90), keep=[], now=later)
    assert spent == [version]
    pins.pin(3, version, **WHO)
    collect(blobs, registry, spent=spent, referenced=lambda: referenced_blobs(registry), now=later)
    registry.verify(version)
    assert pins.unpin(3, **WHO) == version
    assert collect(blobs, registry, spent=spent, referenced=lambda: referenced_blobs(registry), now=later)
    with pytest.raises(PinRefused) as refused:
        pins.pin(3, version, **WHO)
    assert refused.value.code == "files_removed"
