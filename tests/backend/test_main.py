"""`python -m backend` says what is missing before it serves anything."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import weakref

import pytest

from backend import __main__ as entry
from mammo.database import open_database
from mammo.errors import InvalidSettings, InvalidWeights
from mammo.models import ModelRegistry
from mammo.models.self_test import self_test_phantom
from tests.backend.fakes import FakePrelabeller, settings
from tests.mammo.models.versions import register


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"auth_password": ""}, ["YOLO_MLSAM_AUTH_PASSWORD"]),
        ({"webhook_secret": ""}, ["YOLO_MLSAM_WEBHOOK_SECRET"]),
        (
            {"auth_password": "", "webhook_secret": ""},
            ["YOLO_MLSAM_AUTH_PASSWORD", "YOLO_MLSAM_WEBHOOK_SECRET"],
        ),
    ],
)
def test_a_missing_secret_is_named_with_how_to_make_one(changes: dict[str, str], named: list[str]) -> None:
    with pytest.raises(InvalidSettings, match="token_urlsafe") as error:
        entry.require_secrets(settings(**changes))
    assert [
        name for name in ("YOLO_MLSAM_AUTH_PASSWORD", "YOLO_MLSAM_WEBHOOK_SECRET") if name in str(error.value)
    ] == named


def test_with_both_secrets_nothing_is_missing() -> None:
    entry.require_secrets(settings())


def test_without_secrets_the_command_ends_with_2_and_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AUTH_PASSWORD", "WEBHOOK_SECRET"):
        monkeypatch.delenv(f"YOLO_MLSAM_{name}", raising=False)
    assert entry.main() == 2
    assert "YOLO_MLSAM_AUTH_PASSWORD and YOLO_MLSAM_WEBHOOK_SECRET" in capsys.readouterr().err


def test_a_failed_self_test_is_noted_in_the_registry_with_the_machine(tmp_path) -> None:
    registry = ModelRegistry(open_database(f"sqlite:///{tmp_path / 'site.db'}"), tmp_path / "blobs")
    expected = {
        "image": self_test_phantom().sha256,
        "findings": [{"score": 0.9, "box": [1, 1, 90, 90], "area": 50}],
    }
    version = register(registry, tmp_path, "a", self_test=expected)
    with pytest.raises(InvalidWeights, match="does not find"):
        entry.self_test(registry, version, FakePrelabeller(version))
    (note,) = registry.notes(version)
    assert note.kind == "self_test_failed"
    assert note.detail["host"] == socket.gethostname()
    entry.self_test(
        registry, register(registry, tmp_path, "b"), FakePrelabeller("b")
    )  # made before there was one


def test_the_garbage_collector_passes_over_what_is_loaded_and_still_collects_the_model_before() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    gone = weakref.ref(Cycle())
    try:
        entry.freeze_garbage_collection()
        held = gc.get_freeze_count()
        assert gone() is None
        assert held > 10_000
        first = Cycle()
        entry.freeze_garbage_collection()
        later = weakref.ref(first)
        del first
        assert gc.collect() >= 0
        assert later() is not None  # set aside: not looked at
        entry.freeze_garbage_collection()
        assert later() is None
    finally:
        gc.unfreeze()


def test_the_backend_is_imported_without_scipy_and_the_networks() -> None:
    script = "import backend.__main__, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"torch", "ultralytics", "scipy"} & set(done.stdout.split()) == set()
