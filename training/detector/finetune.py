"""Fine-tune the detector: cases in, a weights file out (step 10 of the walk)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mammo.blobs import hash_file
from mammo.detector import Detector, load_network, save_detector
from mammo.errors import InsufficientData, InvalidWeights, TrainingDiverged
from mammo.geometry import Box, Point, Spacing
from mammo.phantom import vendor_a
from mammo.pixels import Pixels
from training.cases import Case, Progress, check_cases
from training.checkpoints import Checkpoints
from training.detector.recipes import DetectorRecipe, Replay
from training.detector.start import prepare
from training.detector.tiles import TileSet, write_tiles
from training.detector.trainer import AttentionTrainer, TrainableNetwork
from training.phantom_cases import drawn_cases

_TILING = 0.2
"""Part of the work that is cutting tiles, for the progress."""

_STATE = 2
"""Raised when a checkpoint of this code means something else."""


def finetune_detector(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    start: Path | None,
    recipe: DetectorRecipe,
    folder: Path,
    progress: Progress,
) -> Path:
    """Train a detector, from scratch or on top of another one.

    A run that was stopped or killed goes on from its last whole epoch when it is called again with the same arguments;
    on a CPU it ends with the weights that it would have had. A finished one is not made again.

    Args:
        train: at least one of them with a cluster.
        validation: other patients; used when the recipe validates between epochs.
        start: weights to begin with: a detector, whose spec stays, or public weights. None: random weights. See
            `prepare`.
        folder: for the files of the run, of which only the result stays at the end. Tiles, which are patients' pixels,
            go even when the run stops early; only a killed one leaves them behind, for itself.
        progress: told how far the run is, in [0, 1]; may raise `Cancelled`, which comes through.

    Returns:
        `folder/detector.safetensors`, to be read by `Detector.load`.

    Raises:
        InsufficientData, InvalidTrainingData: see `check_cases`; a damaged tile too (code `corrupt_tile`), and clusters
            that all lie beside a place marked by a point only.
        InvalidWeights: `start` is neither, or of another scale.
        TrainingDiverged: the loss became NaN or infinite.
    """
    check_cases(train, validation, what="detector")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(train, validation, start=start, recipe=recipe)
    result = folder / "detector.safetensors"
    if _is_made(result, key):
        progress(1.0, "detector: was trained already")
        return result
    torch.manual_seed(recipe.seed)
    run = _Run(folder, key, recipe, progress)
    begin = prepare(start, recipe)
    num_threads = torch.get_num_threads()  # ultralytics takes one thread and deterministic kernels for itself
    try:
        spacing_mm = begin.network.spec.spacing_mm
        tiles = run.cut_training(train, begin.detector, spacing_mm=spacing_mm)
        if not tiles.count("positive"):
            raise InsufficientData(
                "every cluster of the training cases lies so near a place marked by a point only that no tile shows "
                "the one without the other: outline what the points mark"
            )
        checks = run.cut_validation(validation, spacing_mm=spacing_mm)
        best = run.train(begin.network, tiles, checks)
    finally:
        torch.set_num_threads(num_threads)
        shutil.rmtree(folder / "tiles", ignore_errors=True)
    trained, _ = load_network(best)
    save_detector(result, trained, facts={"run_key": key, **_facts(recipe, tiles, train), **begin.facts})
    best.unlink()
    run.checkpoints.remove()
    progress(1.0, "detector: trained")
    return result


@dataclass(frozen=True)
class _Run:
    """One run and its folder."""

    folder: Path
    key: str
    recipe: DetectorRecipe
    progress: Progress

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder / "state", self.key)

    def cut_training(self, cases: Sequence[Case], start: Path | None, *, spacing_mm: float) -> TileSet:
        recipe = self.recipe
        return write_tiles(
            cases,
            self.folder / "tiles" / "train",
            side=recipe.tile,
            crops=recipe.crops,
            background=recipe.background,
            seed=recipe.seed,
            spacing_mm=spacing_mm,
            progress=self._part(0.0, _TILING * 0.8),
            key=self.key,
            more=_remembered(recipe.replay) if start else None,
            false_alarms=_Miner(start, recipe.mined) if start and recipe.mined else None,
        )

    def cut_validation(self, cases: Sequence[Case], *, spacing_mm: float) -> TileSet | None:
        recipe = self.recipe
        if not recipe.validation_crops or not any(case.truth for case in cases):
            return None
        tiles = write_tiles(
            cases,
            self.folder / "tiles" / "validation",
            side=recipe.tile,
            crops=recipe.validation_crops,
            background=recipe.background,
            seed=recipe.seed,
            spacing_mm=spacing_mm,
            progress=self._part(_TILING * 0.8, _TILING),
            key=self.key,
        )
        return tiles if tiles.count("positive") else None

    def train(self, network: TrainableNetwork, tiles: TileSet, checks: TileSet | None) -> Path:
        """Every epoch that is missing; returns the best weights."""
        trainer = AttentionTrainer(
            network,
            recipe=self.recipe,
            train=tiles,
            validation=checks,
            folder=self.folder,
            checkpoints=self.checkpoints,
            progress=self._part(_TILING, 1.0),
        )
        done = self.checkpoints.latest()
        if done is None:
            (self.folder / "run" / "results.csv").unlink(missing_ok=True)
        if done is None or done.epochs < self.recipe.epochs:
            try:
                trainer.train()
            except ValueError as error:
                if "not finite" not in str(error):
                    raise
                raise TrainingDiverged(
                    f"recipe {self.recipe.name}: {error}; lower its learning rate ({self.recipe.lr0:g}). The champion "
                    "keeps serving"
                ) from error
        return trainer.result

    def _part(self, low: float, high: float) -> Progress:
        """The progress of a part of the run, kept in [0, 1]."""
        return lambda fraction, message: self.progress(
            low + min(max(fraction, 0.0), 1.0) * (high - low), message
        )


@dataclass
class _Miner:
    """False alarms of the start model on training images: the hard negatives it has to unlearn."""

    start: Path
    number: int
    """At most so many an image."""

    _THRESHOLD = 0.1

    def __post_init__(self) -> None:
        self._detector = Detector.load(self.start)

    def __call__(self, pixels: Pixels, truth: Sequence[Box], *, spacing: Spacing | None) -> list[Box]:
        found = self._detector.detect(pixels, threshold=self._THRESHOLD, spacing=spacing)
        centres = [(each.box, Point(*map(int, each.box.centre))) for each in found]
        false = [box for box, centre in centres if not any(each.contains(centre) for each in truth)]
        return false[: self.number]


def _remembered(replay: Replay) -> Iterator[Case]:
    """Phantoms of the look that the starter was trained on, drawn anew: they need no store and no patient."""
    seeds = range(replay.seed, replay.seed + replay.views)
    return drawn_cases(seeds, appearance=vendor_a(), width=replay.width, height=replay.height)


def _key(
    train: Sequence[Case], validation: Sequence[Case], *, start: Path | None, recipe: DetectorRecipe
) -> str:
    """SHA-256 of everything that the result depends on: what belongs together after a restart."""
    content = {
        "state": _STATE,
        "recipe": asdict(recipe),
        "start": hash_file(start) if start else None,
        "cases": [
            [
                [
                    case.image,
                    [finding.box.as_tuple() for finding in case.truth],
                    [box.as_tuple() for box in case.uncertain],
                ]
                for case in cases
            ]
            for cases in (train, validation)
        ],
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_made(result: Path, key: str) -> bool:
    """Whether this very run has ended before."""
    try:
        return bool(load_network(result)[1].get("run_key") == key)
    except InvalidWeights:
        return False


def _facts(recipe: DetectorRecipe, tiles: TileSet, train: Sequence[Case]) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "images": len(train),
        "patients": len({case.patient for case in train}),
        "clusters": sum(len(case.truth) for case in train),
        "positive_tiles": tiles.count("positive"),
        "hard_tiles": tiles.count("hard"),
        "background_tiles": tiles.count("background"),
        "torch": torch.__version__,
    }
