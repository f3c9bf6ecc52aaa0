"""`models list|show|diff|history`: print the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from rich.table import Column, Table

from cli.models.names import ALIASES, find_version
from cli.models.verdict import own_numbers, verdict_sentences, verdict_table
from cli.text_console import text_console
from mammo.models import PROVISIONAL, UNUSABLE, ModelRegistry, Promotion
from mammo.models.removal import removed_versions
from mammo.printable import printable
from mammo.site import Site

MAX_TEXT = 2000
"""Longest value that is shown, in characters."""


def list_versions() -> None:
    """Print every model version, newest last."""
    site = Site.load()
    registry = site.registry
    aliases: dict[str, list[str]] = {}
    for name, alias in ALIASES.items():
        if target := registry.alias(alias):
            aliases.setdefault(target.version, []).append(name)
    pins = site.pins.versions()
    for project, version in pins.items():
        aliases.setdefault(version, []).append(f"pinned in project {project}")
    for project, version in site.provisional.versions().items():
        if project not in pins:
            aliases.setdefault(version, []).append(f"serves project {project}")
    table = Table("alias", _wrapped("version"), "parent", "recipe", "dataset", "verdict", "made (UTC)")
    for version in registry.versions():
        manifest = registry.manifest(version)
        table.add_row(
            " ".join(aliases.get(version, [])),
            printable(version),
            printable(manifest.get("parent") or "-"),
            printable(manifest.get("recipe") or "-"),
            printable(manifest.get("dataset_version") or "-")[:12],
            _shown(f"unusable: {manifest[UNUSABLE]}")
            if UNUSABLE in manifest
            else _verdict(registry, version, provisional=PROVISIONAL in manifest),
            _minute(manifest["created_at"]),
        )
    text_console().print(table)


def show_version(name: str, *, as_json: bool) -> None:
    """Print manifest, notes, verdicts and moves of a model version."""
    registry = Site.load().registry
    version = find_version(registry, name)
    notes = [
        {"kind": note.kind, "at": note.at.isoformat(timespec="seconds"), **note.detail}
        for note in registry.notes(version)
    ]
    moves = [move for move in registry.history(None) if move.version == version]
    if as_json:
        content = {
            "manifest": registry.manifest(version),
            "notes": notes,
            "moves": [_row(move) for move in moves],
        }
        text_console().print_json(orjson.dumps(content).decode())
        return
    console = text_console()
    table = Table(_wrapped("what"), "value", title=printable(version), title_justify="left")
    for key, value in _flat(registry.manifest(version)):
        table.add_row(printable(key), _shown(value))
    for note in notes:
        if note["kind"] != "verdict":
            for key, value in _flat({k: v for k, v in note.items() if k != "kind"}):
                table.add_row(printable(f"{note['kind'].replace('_', ' ')}: {key}"), _shown(value))
    console.print(table)
    for note in notes:
        if note["kind"] == "verdict":
            console.print(f"verdict of run {note.get('run', '-')}, {_minute(note['at'])}", highlight=False)
            for sentence in verdict_sentences(note):
                console.print(sentence, highlight=False)
            if (numbers := verdict_table(note)) is not None:
                console.print(numbers)
    if moves:
        console.print(_moves(moves))


def diff_versions(one: str, other: str) -> None:
    """Print the manifest and verdict entries in which two model versions differ."""
    registry = Site.load().registry
    versions = [find_version(registry, name) for name in (one, other)]
    left, right = (dict(_flat(_facts(registry, version))) for version in versions)
    table = Table(_wrapped("what"), *map(printable, versions))
    for key in sorted(left.keys() | right.keys()):
        before, after = left.get(key), right.get(key)
        if before != after:
            table.add_row(printable(key), _shown(before), _shown(after))
    text_console().print(table)


def list_moves() -> None:
    """Print every move of every alias, oldest first."""
    text_console().print(_moves(Site.load().registry.history(None)))


def _facts(registry: ModelRegistry, version: str) -> dict[str, Any]:
    notes = {note.kind: note.detail for note in registry.notes(version)}
    verdict = own_numbers(notes.pop("verdict", {}))
    manifest = {key: value for key, value in registry.manifest(version).items() if key != "version"}
    return {**manifest, **notes, **verdict}


def _verdict(registry: ModelRegistry, version: str, *, provisional: bool) -> str:
    kept = registry.notes(version)
    kinds = {note.kind: note.detail for note in kept}
    if removed_versions(kept):
        return "files removed"
    if "self_test_failed" in kinds:
        return "self-test failed"
    if "verdict" not in kinds:
        return "-"
    if provisional:
        return "provisional"
    return "promoted" if kinds["verdict"].get("promoted") else "kept the champion"


def _moves(moves: list[Promotion]) -> Table:
    table = Table("when (UTC)", "alias", "move", _wrapped("version"), "who", "why")
    for move in moves:
        row = _row(move)
        table.add_row(
            _minute(row["at"]),
            move.alias,
            move.kind.replace("_", " "),
            printable(move.version),
            printable(move.actor or "-"),
            printable(move.reason, length=MAX_TEXT),
        )
    return table


def _row(move: Promotion) -> dict[str, Any]:
    return {
        "alias": move.alias,
        "epoch": move.epoch,
        "move": move.kind,
        "version": move.version,
        "actor": move.actor,
        "reason": move.reason,
        "at": move.at.isoformat(timespec="seconds"),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list) and all(isinstance(each, int | float) for each in value):
        return " ".join(_shown(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else printable(value, length=MAX_TEXT)


def _minute(at: object) -> str:
    """Return day, hour and minute of an ISO 8601 time."""
    return str(at)[:16].replace("T", " ")


def _wrapped(header: str) -> Column:
    """Return a column that wraps long words instead of cutting them off."""
    return Column(header, overflow="fold")
