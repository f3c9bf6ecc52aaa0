"""`python -m backend` says what is missing before it serves anything."""

from __future__ import annotations

import pytest

from backend import __main__ as entry
from mammo.errors import InvalidSettings
from tests.backend.fakes import settings


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
