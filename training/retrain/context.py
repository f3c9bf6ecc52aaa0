"""RetrainContext: where a retrain finds its material, what trains its networks, and where it leaves its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.models import ModelFiles, ModelRegistry
from training.cases import Case, Progress
from training.datasets.building import Fingerprint
from training.datasets.items import OpenImage, Source
from training.datasets.sources import PREFERENCE
from training.evaluation.model_version import Prelabels

if TYPE_CHECKING:
    from training.detector.recipes import DetectorRecipe
    from training.segmenter.recipes import SegmenterRecipe


class FinetunesSegmenter(Protocol):
    """`training.segmenter.finetune.finetune_segmenter`, whose number of processes is settled already."""

    def __call__(
        self,
        train: list[Case],
        validation: list[Case],
        *,
        start: Path | None,
        recipe: SegmenterRecipe,
        folder: Path,
        detector: Path | None,
        progress: Progress,
    ) -> Path: ...


class Loaded(Prelabels, Protocol):
    """A model as it serves."""

    @property
    def runtimes(self) -> dict[str, str]:
        """What computes its networks, by their names."""
        ...


class Networks(Protocol):
    """What trains and loads the networks; `training.retrain.networks.TorchNetworks` in earnest."""

    def finetune_detector(
        self,
        train: list[Case],
        validation: list[Case],
        *,
        start: Path | None,
        recipe: DetectorRecipe,
        folder: Path,
        progress: Progress,
    ) -> Path: ...

    @property
    def finetune_segmenter(self) -> FinetunesSegmenter: ...

    def load(self, files: ModelFiles) -> Loaded: ...

    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide what the networks compute, by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class RetrainContext:
    """Where a run finds its material and leaves its work."""

    engine: Engine
    store: AnnotationStore
    registry: ModelRegistry
    blobs: Blobs
    open_image: OpenImage
    fingerprint: Fingerprint
    secret: bytes
    """Key of the pseudonyms in dataset versions."""

    networks: Networks
    runs: Path
    """Folder of the run folders."""

    models: Path
    """Folder of unpacked model versions."""

    prefer: Sequence[Source] = PREFERENCE
    """Whose word counts for an image that several have read, best first."""
    train_on_automatic: bool = False
    """Train also on annotations that no person has looked at."""
