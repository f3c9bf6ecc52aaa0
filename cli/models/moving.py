"""`models promote` and `models rollback`: choose who serves, with a reason."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from cli.models.site import find_version, open_registry, who
from mammo.errors import InvalidSettings
from mammo.settings import Settings


def promote(name: str, reason: str) -> None:
    """Move the champion alias to a version whose files are whole."""
    _require(reason)
    registry = open_registry(Settings.load())
    version = find_version(registry, name)
    before = registry.champion()
    if version == before.version:
        Console().print(f"{version} is the champion already; nothing is changed")
        return
    with tempfile.TemporaryDirectory() as folder:
        registry.files(version, into=Path(folder))
    registry.promote(version, expected_epoch=before.epoch, reason=reason, actor=who())
    Console().print(
        f"champion: {before.version} -> {version}\n"
        "running backends load it within seconds (see /health); `yolo-mlsam models rollback` undoes it"
    )


def roll_back(reason: str) -> None:
    """Move the champion alias back to the one before."""
    _require(reason)
    registry = open_registry(Settings.load())
    before = registry.champion().version
    after = registry.roll_back(reason, actor=who())
    Console().print(f"champion: {before} -> {after.version}")


def _require(reason: str) -> None:
    if not reason.strip():
        raise InvalidSettings("--reason is empty; say why, whoever reads the history will ask")
