"""ModelEvidence: the cards of model versions, and how versions compare on the same held-out patients."""

from __future__ import annotations

from typing import Any

from backend.card_document import CardDocument, card_document
from backend.model_cards import ModelCard, all_cards, card
from backend.refreshed import Figure, Refreshed
from mammo.errors import InvalidWeights, StorageUnavailable, UnknownRun
from mammo.models import ModelRegistry
from mammo.models.learned_from import LearnedFrom, learned_from
from mammo.site import Site
from mammo.verdicts.record import VerdictRecord
from mammo.verdicts.versions import CommonFigures, on_common_images

MAX_RECORDS = 10
"""Newest verdicts of a project whose versions are compared."""

PATIENCE = 0.15
"""Seconds for which a first look at a card waits: the manifest of a large dataset version takes longer."""


class ModelEvidence:
    """Reads manifests and verdicts in the background: they may be large. Safe to share between threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cards: Refreshed[str, CardDocument] = Refreshed(self._describe, patience=PATIENCE)
        self._shadows: Refreshed[tuple[int, str, str], dict[str, Any]] = Refreshed(
            self._shadow, patience=PATIENCE
        )
        self._common: Refreshed[int, CommonFigures | None] = Refreshed(self._compare, patience=PATIENCE)

    def card(self, version: str) -> Figure[CardDocument]:
        """Return the card of a version."""
        return self._cards.get(version)

    def on_common_images(self, project: int) -> Figure[CommonFigures | None]:
        """Return the versions that were judged in a project, on the held-out images that all of them have seen."""
        return self._common.get(project)

    def shadow(self, project: int, first: str, second: str) -> Figure[dict[str, Any]]:
        """Return how two versions predicted the same tasks; see `mammo.efforts.shadow_comparison`."""
        return self._shadows.get((project, first, second))

    def close(self) -> None:
        """Start no computation any more."""
        self._cards.close()
        self._common.close()
        self._shadows.close()

    def _describe(self, version: str) -> CardDocument:
        return describe(self._site, version)

    def _shadow(self, key: tuple[int, str, str]) -> dict[str, Any]:
        project, first, second = key
        return self._site.comparison(project, (first, second))

    def _compare(self, project: int) -> CommonFigures | None:
        return figures_of(self._site, project)


def figures_of(site: Site, project: int) -> CommonFigures | None:
    """Compare the versions of a project's newest verdicts on the images that all of them have; None without any."""
    records: list[VerdictRecord] = []
    for each in all_cards(site.registry):
        record = verdict_record(site, each) if len(records) < MAX_RECORDS else None
        if record is not None and record.project == project:
            records.insert(0, record)
    return on_common_images(records)


def describe(site: Site, name: str) -> CardDocument:
    """Return the card of a version, or of the one that an alias names.

    Raises:
        ModelNotFound: there is none.
    """
    found = card(site.registry, name)
    root = card(site.registry, descent(site.registry, found.version)[0])
    return card_document(
        found, root=root, learned=_read_learned(site, found), record=verdict_record(site, found)
    )


def _read_learned(site: Site, found: ModelCard) -> LearnedFrom | None:
    dataset = found.manifest.get("dataset_version")
    if not isinstance(dataset, str):
        return None
    try:
        return learned_from(dataset, blobs=site.blobs)
    except InvalidWeights:
        return None


def verdict_record(site: Site, card: ModelCard) -> VerdictRecord | None:
    """Return the verdict record of the run that made a version; None if there is none that can be read."""
    name = card.verdict.get("run")
    if not isinstance(name, str):
        return None
    try:
        return site.verdicts.read(site.verdicts.runs.get(name))
    except (UnknownRun, InvalidWeights, StorageUnavailable):
        return None


def descent(registry: ModelRegistry, version: str) -> list[str]:
    """Return the line of descent of a version, oldest first, as far as this registry knows it."""
    known = set(registry.versions())
    line = [version]
    while True:
        parent = registry.manifest(line[0]).get("parent")
        if not isinstance(parent, str) or parent not in known or parent in line:
            return line
        line.insert(0, parent)
