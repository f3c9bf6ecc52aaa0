"""Lineage: the patients from whom a model version and its ancestors learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammo.blobs import Blobs
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.models import ModelRegistry
from training.datasets.versions import open_dataset_version


class Lineage:
    """What model versions learned from. The validation fold counts too: it chose their weights."""

    def __init__(self, registry: ModelRegistry, blobs: Blobs) -> None:
        self._registry = registry
        self._blobs = blobs
        self._patients: dict[str, frozenset[str] | None] = {}

    @property
    def versions(self) -> Sequence[str]:
        """All model versions of the registry, newest last."""
        return self._registry.versions()

    def patients(self, version: str) -> frozenset[str] | None:
        """Return the patients from whom a version or an ancestor of it learned; None if that is not known here."""
        if version not in self._patients:
            self._patients[version] = None  # ends a circle, which no honest manifest has
            self._patients[version] = self._learned(version)
        return self._patients[version]

    def _learned(self, version: str) -> frozenset[str] | None:
        try:
            manifest: Mapping[str, Any] = self._registry.manifest(version)
        except ModelNotFound:
            return None
        inherited = self.patients(manifest["parent"]) if manifest.get("parent") else frozenset[str]()
        dataset = manifest.get("dataset_version")
        if inherited is None or not dataset:
            return inherited
        try:
            items = open_dataset_version(dataset, blobs=self._blobs).items
        except InvalidWeights:  # it was trained at another site
            return None
        return inherited | {item.patient for item in items if item.fold != "test"}
