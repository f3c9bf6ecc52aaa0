"""ModelCard: what is known of a model version, for people: its descent, its verdicts, its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo.errors import ModelNotFound
from mammo.models import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    PROVISIONAL,
    UNUSABLE,
    ModelRegistry,
    Note,
    Promotion,
)
from mammo.models.precision_notes import newest_check


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """One model version."""

    version: str
    manifest: Mapping[str, Any]
    aliases: tuple[str, ...]
    verdict: Mapping[str, Any]
    """Detail of the newest note `verdict`; empty without one."""

    problems: tuple[str, ...]
    """Why it cannot be used, or should not."""

    moves: tuple[Promotion, ...] = field(default=())

    precision: str = ""
    """Sentence of the newest check that bfloat16 finds the same here; empty without one that holds."""

    @property
    def provisional_for(self) -> int | None:
        """The only project that it may serve, for a provisional version; None for any other."""
        project: int | None = self.manifest.get(PROVISIONAL)
        return project

    @property
    def decision(self) -> str:
        """The gate's decision, in its words; empty without one."""
        judged = self.verdict.get("verdict") or {}
        return str(self.verdict.get("reason") or judged.get("reason") or "")

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON object."""
        return {
            "version": self.version,
            "aliases": list(self.aliases),
            "provisional_for": self.provisional_for,
            "manifest": dict(self.manifest),
            "verdict": dict(self.verdict) or None,
            "problems": list(self.problems),
            "precision": self.precision or None,
            "moves": [
                {"at": move.at.isoformat(), "move": move.kind, "actor": move.actor, "reason": move.reason}
                for move in self.moves
            ],
        }


MAX_CARDS = 100


def all_cards(registry: ModelRegistry) -> list[ModelCard]:
    """Return the cards of the newest versions, at most `MAX_CARDS`, and of those that an alias names; newest first."""
    notes: dict[str, list[Note]] = {}
    for note in registry.notes():
        notes.setdefault(note.version, []).append(note)
    aliases, history = _aliases(registry), registry.history()
    return [
        _card(registry, version, aliases, notes.get(version, []), history)
        for number, version in enumerate(reversed(registry.versions()))
        if number < MAX_CARDS or version in aliases
    ]


def card(registry: ModelRegistry, name: str) -> ModelCard:
    """Return the card of a version, or of the one that an alias names.

    Raises:
        ModelNotFound: there is none.
    """
    version = registry.find(name)
    if version is None:
        raise ModelNotFound(f"the registry has no model version {name!r}")
    return _card(registry, version, _aliases(registry), registry.notes(version), registry.history())


def _aliases(registry: ModelRegistry) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name in (CHAMPION, CHALLENGER, PREVIOUS):
        if alias := registry.alias(name):
            named.setdefault(alias.version, []).append(name)
    return named


def _card(
    registry: ModelRegistry,
    version: str,
    aliases: Mapping[str, list[str]],
    notes: list[Note],
    history: list[Promotion],
) -> ModelCard:
    manifest = registry.manifest(version)
    problems = [f"it cannot be used: {manifest[UNUSABLE]}"] if UNUSABLE in manifest else []
    for note in notes:
        if note.kind == "files_removed":
            problems.append("its files were removed by `models gc`; import its bundle to restore them")
        if note.kind == "self_test_failed":
            host, reason = (
                note.detail.get("host", "a backend"),
                note.detail.get("reason", "no reason recorded"),
            )
            problems.append(f"it failed its self-test on {host}: {reason}")
    verdicts = [note.detail for note in notes if note.kind == "verdict"]
    return ModelCard(
        version=version,
        manifest=manifest,
        aliases=tuple(aliases.get(version, ())),
        verdict=verdicts[-1] if verdicts else {},
        problems=tuple(problems),
        moves=tuple(move for move in history if move.version == version),
        precision=str((newest_check(notes) or {}).get("sentence", "")),
    )
