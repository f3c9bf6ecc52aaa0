"""AttentionTrainer: the training loop of ultralytics around our network, our loss and our weights file.

What the stock trainer does and we do not want: rebuild a plain YOLOv8 without attention, unpickle checkpoints,
download fonts, validate when nobody asked, leave pickles behind, and train on one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

import mammo.detector.hardening  # noqa: F401  # before anything of ultralytics

# isort: split

from ultralytics.models.yolo.detect import DetectionTrainer

from mammo.detector import DetectorNetwork, DetectorSpec, save_detector
from mammo.findings import CLUSTER
from training.box_loss import BoxLoss, DetectorLoss
from training.cases import Progress
from training.detector_recipes import DetectorRecipe


class TrainableNetwork(DetectorNetwork):
    """The detector's network with the loss it is trained by."""

    def __init__(self, spec: DetectorSpec, *, gate_bias: float, rule: BoxLoss) -> None:
        super().__init__(spec, gate_bias=gate_bias)
        self.rule = rule

    def init_criterion(self) -> DetectorLoss:
        return DetectorLoss(self, rule=self.rule)


class AttentionTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics carries no types
    """One run in one process; `train()` returns with the best weights at `result`."""

    def __init__(
        self,
        network: TrainableNetwork,
        *,
        recipe: DetectorRecipe,
        validates: bool,
        train: Path,
        validation: Path,
        folder: Path,
        progress: Progress,
    ) -> None:
        """Prepare a run.

        Args:
            validates: measure on the validation tiles after every epoch and keep the best weights, not the last.
            train, validation: folders of tiles with `images` and `labels`.
            folder: for the files of the run.
            progress: told after every batch, in [0, 1]; what it raises leaves `train()`.
        """
        self.network = network
        self.validates = validates
        self.fixed_norms = recipe.fixed_norms
        self.progress = progress
        self.result = folder / "best.safetensors"
        self.num_batches_done = 0
        self.tiles = {"train": str(train / "images"), "val": str(validation / "images")}
        self.num_threads = torch.get_num_threads()  # the stock trainer takes one for itself
        super().__init__(overrides={**_overrides(recipe, folder), "val": validates})
        self.add_callback("on_train_start", lambda trainer: torch.set_num_threads(trainer.num_threads))
        self.add_callback("on_train_batch_end", AttentionTrainer._report)

    def get_dataset(self) -> dict[str, Any]:
        return {**self.tiles, "names": {0: CLUSTER}, "nc": 1, "channels": 3}

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> TrainableNetwork:
        return self.network

    def _model_train(self) -> None:
        super()._model_train()
        if self.fixed_norms:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def validate(self) -> tuple[dict[str, Any], float | None]:
        if self.validates:
            return super().validate()  # type: ignore[no-any-return]
        return {}, None

    def save_model(self) -> bool:
        """Keep the averaged weights when they are the best so far; without validation the latest are."""
        if self.fitness is None or self.fitness == self.best_fitness:
            save_detector(self.result, self.ema.ema, facts={})
        return True

    def final_eval(self) -> None:
        """The stock one reads pickled checkpoints back; ours is done by the evaluation gate."""

    def _report(self) -> None:
        self.num_batches_done += 1
        total = len(self.train_loader) * self.epochs
        losses = ", ".join(f"{name} {float(value):.2f}" for name, value in (self.tloss or {}).items())
        fraction = min(self.num_batches_done / total, 1.0)
        self.progress(fraction, f"detector: epoch {self.epoch + 1} of {self.epochs}, {losses}")


def _overrides(recipe: DetectorRecipe, folder: Path) -> dict[str, Any]:
    """The recipe in the words of ultralytics."""
    cuda = torch.cuda.is_available()
    return {
        "task": "detect",
        "mode": "train",
        "model": "yolov8n.yaml",  # never opened: `get_model` brings the network
        "data": "tiles",  # never opened: `get_dataset` brings the folders
        "project": str(folder.resolve()),
        "name": "run",
        "exist_ok": True,
        "device": "0" if cuda else "cpu",
        "workers": 4 if cuda else 0,
        "imgsz": recipe.tile,
        "epochs": recipe.epochs,
        "patience": recipe.epochs,
        "batch": recipe.batch,
        "nbs": recipe.batch,  # the stock 64 would gather eight batches a step and starve a small set
        "optimizer": recipe.optimizer,  # "auto" ignores the learning rate
        "lr0": recipe.lr0,
        "lrf": recipe.lrf,
        "cos_lr": True,
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "warmup_epochs": recipe.warmup_epochs,
        "warmup_bias_lr": 0.0 if recipe.optimizer == "AdamW" else 0.1,
        "freeze": recipe.freeze or None,
        "mosaic": recipe.mosaic,
        "close_mosaic": recipe.close_mosaic,
        "scale": recipe.zoom,
        "translate": 0.1,
        "fliplr": 0.5,
        "flipud": 0.5,
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        "hsv_v": 0.0,  # the input planes are no colours, and normalised
        "seed": recipe.seed,
        "deterministic": True,
        "amp": False,
        "plots": False,
        "verbose": False,
    }
