"""RetrainContext, TrainingRun and RetrainRun: the services of every run that trains, and the state of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from mammo.runs import RunLedger
from mammo.runs.payloads import Adapt, Retrain
from training.datasets.building import Fingerprint
from training.datasets.items import OpenImage, Source
from training.datasets.sources import PREFERENCE, ReadOptions
from training.evaluation.cache import EvaluationCache
from training.retrain.step_progress import StepProgress

if TYPE_CHECKING:  # these bring torch in
    from training.retrain.networks import Networks
    from training.retrain.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class RetrainContext:
    """The services and folders that all runs of a worker share."""

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
    """Parent of the run folders."""

    models: Path
    """Folder of unpacked model versions."""

    prefer: Sequence[Source] = PREFERENCE
    """Sources of truth for an image that several people have read, best first."""

    evaluations: EvaluationCache | None = None
    """What model versions found on images in earlier runs; None: every run computes everything."""

    train_on_automatic: bool = False
    """Whether annotations that no person has reviewed are training material."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One run that trains a challenger, as each of its steps needs it: a retrain or an adaptation."""

    name: str
    """Name of the run and of its folder."""

    request: Retrain | Adapt
    recipe: Recipe
    context: RetrainContext
    ledger: RunLedger
    """Results of the steps that this run, or an earlier attempt at it, has completed."""

    progress: StepProgress

    @property
    def folder(self) -> Path:
        return self.context.runs / self.name


@dataclass(frozen=True, kw_only=True)
class RetrainRun(TrainingRun):
    """One retrain."""

    tags: ControlTags
    """Labels and prompt controls of the project."""

    @property
    def read_options(self) -> ReadOptions:
        return ReadOptions(
            tags=self.tags,
            prefer=self.context.prefer,
            with_automatic=self.context.train_on_automatic,
            secret=self.context.secret,
        )
