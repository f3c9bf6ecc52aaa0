"""`models promote` and `models rollback`: choose who serves, with a reason."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from cli.models.names import find_version, who
from mammo.errors import InvalidSettings
from mammo.models.champion_announcements import announce_champion
from mammo.settings import Settings
from mammo.site import Site


def promote(name: str, reason: str) -> None:
    """Move the champion alias to a version whose files are whole."""
    _require(reason)
    site = Site.load()
    settings, registry = site.settings, site.registry
    version = find_version(registry, name)
    before = registry.champion()
    if version == before.version:
        Console().print(f"{version} is the champion already; nothing is changed")
        return
    with tempfile.TemporaryDirectory() as folder:
        registry.files(version, into=Path(folder))
    registry.promote(version, expected_epoch=before.epoch, reason=reason, actor=who())
    _tell(settings, before.version, version)
    console = Console(soft_wrap=True, highlight=False)
    for note in registry.notes(version):
        if note.kind == "self_test_failed":
            console.print(
                f"careful: it failed its self-test on {note.detail.get('host', 'a backend')} "
                f"({note.detail.get('reason', 'no reason kept')}); "
                f"a backend that sees the same goes on with {before.version}"
            )
    console.print('`yolo-mlsam models rollback --reason "..."` undoes it')


def roll_back(reason: str) -> None:
    """Move the champion alias back to the one before."""
    _require(reason)
    site = Site.load()
    settings, registry = site.settings, site.registry
    before = registry.champion().version
    after = registry.roll_back(reason, actor=who())
    _tell(settings, before, after.version)


def _tell(settings: Settings, before: str, after: str) -> None:
    told = announce_champion(settings.redis_url.get_secret_value(), after)
    when = "now" if told else f"within {settings.reload_seconds:g} s, for the broker does not answer"
    Console(soft_wrap=True, highlight=False).print(
        f"champion: {before} -> {after}\nrunning backends look for it {when} (see /health)"
    )


def _require(reason: str) -> None:
    if not reason.strip():
        raise InvalidSettings("--reason is empty; say why, whoever reads the history will ask")
