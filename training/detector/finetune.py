"""Training of the detector: cases in, a weights file out (step 10 of the walk)."""

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
from mammo.detector import DetectorSpec, load_network, save_detector
from mammo.errors import InsufficientData, InvalidWeights, TrainingDiverged
from mammo.phantom import vendor_a
from training.cases import Case, Measure, Progress, check_cases, portion, unmeasured
from training.checkpoints import Checkpoints
from training.detector.false_alarms import FalseAlarmMiner
from training.detector.recipes import DetectorRecipe, Replay
from training.detector.start import prepare
from training.detector.tiles import TileRules, TileSet, write_tiles
from training.detector.trainer import AttentionTrainer, TrainableNetwork
from training.phantom_cases import drawn_cases

_TILING = 0.2
"""Share of the progress bar for cutting tiles."""

_STATE = 2
"""Version of the checkpoints' contents."""


def finetune_detector(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    start: Path | None,
    recipe: DetectorRecipe,
    folder: Path,
    progress: Progress,
    measure: Measure = unmeasured,
) -> Path:
    """Train a detector, from scratch or from start weights.

    Called again with the same arguments, it resumes a stopped or killed run after its last complete epoch; on a CPU the
    result is the same as without the interruption. The weights of a finished run are reused.

    Args:
        train: at least one of them with a cluster.
        validation: of other patients; used if the recipe validates between epochs.
        start: a detector, whose spec is kept, or public weights; None: random weights. See `prepare`.
        folder: for the files of the run; only the result remains. Tiles contain pixels of patients and are removed even
            if the run stops early; a killed run leaves them for its continuation.
        progress: may raise `Cancelled`, which is passed on.
        measure: receives the losses of every epoch, and AP50 where the recipe validates.

    Returns:
        `folder/detector.safetensors`, which `Detector.load` reads.

    Raises:
        InsufficientData: no training case has a cluster, or every cluster lies beside a place marked by a point only.
        InvalidTrainingData: see `check_cases`; a damaged tile (code `corrupt_tile`).
        InvalidWeights: `start` is not readable, or of another scale than the recipe.
        TrainingDiverged: the loss became NaN or infinite.
    """
    check_cases(train, validation, network="detector")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(train, validation, start=start, recipe=recipe)
    result = folder / "detector.safetensors"
    if _has_ended(result, key):
        progress(1.0, "detector: already trained")
        return result
    torch.manual_seed(recipe.seed)
    run = _Run(folder, key, recipe, progress, measure)
    first = prepare(start, recipe)
    num_threads = torch.get_num_threads()  # ultralytics sets it to 1
    try:
        spec = first.network.spec
        tiles = run.cut_training(train, first.detector, spec)
        if not tiles.count("positive"):
            raise InsufficientData(
                "every cluster of the training cases lies so close to a place marked by a point only that no tile "
                "shows one without the other: outline the clusters that the points mark"
            )
        validation_tiles = run.cut_validation(validation, spec)
        best = run.train(first.network, tiles, validation_tiles)
    finally:
        torch.set_num_threads(num_threads)
        shutil.rmtree(folder / "tiles", ignore_errors=True)
    trained, _ = load_network(best)
    save_detector(result, trained, facts={"run_key": key, **_facts(recipe, tiles, train), **first.facts})
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
    measure: Measure

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder / "state", self.key)

    def cut_training(self, cases: Sequence[Case], start: Path | None, spec: DetectorSpec) -> TileSet:
        """Cut the training tiles; with a start detector, also at its false alarms and from replayed phantoms."""
        recipe = self.recipe
        miner = FalseAlarmMiner(start, max_per_image=recipe.mined) if start and recipe.mined else None
        return write_tiles(
            cases,
            self.folder / "tiles" / "train",
            self._rules(recipe.crops, spec),
            progress=portion(self.progress, 0.0, _TILING * 0.8),
            key=self.key,
            replay=_replayed(recipe.replay) if start else None,
            false_alarms=miner,
        )

    def cut_validation(self, cases: Sequence[Case], spec: DetectorSpec) -> TileSet | None:
        """Cut the validation tiles; None if the recipe does not validate, or no case has a cluster."""
        crops = self.recipe.validation_crops
        if not crops or not any(case.truth for case in cases):
            return None
        tiles = write_tiles(
            cases,
            self.folder / "tiles" / "validation",
            self._rules(crops, spec),
            progress=portion(self.progress, _TILING * 0.8, _TILING),
            key=self.key,
        )
        return tiles if tiles.count("positive") else None

    def train(self, network: TrainableNetwork, tiles: TileSet, validation: TileSet | None) -> Path:
        """Train the remaining epochs; returns the best weights."""
        trainer = AttentionTrainer(
            network,
            recipe=self.recipe,
            train=tiles,
            validation=validation,
            folder=self.folder,
            checkpoints=self.checkpoints,
            progress=portion(self.progress, _TILING, 1.0),
            measure=self.measure,
        )
        checkpoint = self.checkpoints.latest()
        if checkpoint is None:
            (self.folder / "run" / "results.csv").unlink(missing_ok=True)
        if checkpoint is None or checkpoint.epochs < self.recipe.epochs:
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

    def _rules(self, crops: int, spec: DetectorSpec) -> TileRules:
        return TileRules(
            side=self.recipe.tile,
            crops=crops,
            background=self.recipe.background,
            spacing_mm=spec.spacing_mm,
            normalisation=spec.normalisation,
            seed=self.recipe.seed,
        )


def _replayed(replay: Replay) -> Iterator[Case]:
    """Phantoms with the appearance that the starter was trained on, drawn when needed."""
    seeds = range(replay.seed, replay.seed + replay.views)
    return drawn_cases(seeds, appearance=vendor_a(), width=replay.width, height=replay.height)


def _key(
    train: Sequence[Case], validation: Sequence[Case], *, start: Path | None, recipe: DetectorRecipe
) -> str:
    """SHA-256 of all that the result depends on; identifies the files of this run after a restart."""
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


def _has_ended(result: Path, key: str) -> bool:
    """Whether the result is that of an earlier call with the same key."""
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
