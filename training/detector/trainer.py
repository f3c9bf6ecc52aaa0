"""AttentionTrainer: the training loop of ultralytics with our network, tiles, loss, checkpoints and weights.

Behaviour of the stock trainer that is replaced: it builds a plain YOLOv8 without attention, pickles and unpickles
checkpoints, converts pixels to 8 bits, downloads fonts, always validates, continues after a NaN loss, draws different
random numbers after a restart, and trains on one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

import mammo.detector.hardening  # noqa: F401  # must precede the import of ultralytics

# isort: split

from ultralytics.models.yolo.detect import DetectionTrainer

from mammo.detector import DetectorNetwork, DetectorSpec, save_detector
from mammo.errors import TrainingDiverged
from mammo.findings import CLUSTER
from training.cases import Measure, Progress
from training.checkpoints import Checkpoints
from training.detector.batches import Tiles, make_loader
from training.detector.box_loss import BoxLoss, DetectorLoss
from training.detector.recipes import DetectorRecipe
from training.detector.tiles import TileSet
from training.precision import Precision

AP50 = "metrics/mAP50(B)"
"""Name that ultralytics gives to AP50."""


class TrainableNetwork(DetectorNetwork):
    """The detector's network with its training loss."""

    precision: Precision = "float32"
    """Of the forward and backward pass; weights and loss are float32."""

    def __init__(self, spec: DetectorSpec, *, gate_bias: float, rule: BoxLoss) -> None:
        super().__init__(spec, gate_bias=gate_bias)
        self.rule = rule

    def loss(self, batch: dict[str, Any], preds: Any = None) -> Any:
        """The training loss of a batch. Images are in channels-last order, which is a fifth faster on a CPU."""
        if preds is None:
            images = batch["img"].contiguous(memory_format=torch.channels_last)
            reduced = self.precision == "bfloat16"
            with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=reduced):
                preds = self.forward(images)
            # Box corners of up to 80 cells need more digits than bfloat16 has.
            preds = tree_map(lambda each: each.float() if isinstance(each, torch.Tensor) else each, preds)
        return super().loss(batch, preds)

    def init_criterion(self) -> DetectorLoss:
        return DetectorLoss(self, rule=self.rule)


class AttentionTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics has no types
    """One run in one process; when `train()` returns, the best weights are at `result`.

    A checkpoint is written after every epoch. A trainer with a checkpoint resumes from it; on a CPU the weights are bit
    for bit the same as without the interruption.
    """

    def __init__(
        self,
        network: TrainableNetwork,
        *,
        recipe: DetectorRecipe,
        train: TileSet,
        validation: TileSet | None,
        folder: Path,
        checkpoints: Checkpoints,
        progress: Progress,
        measure: Measure,
    ) -> None:
        """Prepare a run.

        Args:
            validation: tiles that select the best epoch; None: the last epoch is the result.
            folder: for the files of the run.
            progress: called after every batch. An exception that it raises leaves `train()`; the run can be resumed.
            measure: called after every epoch with its losses, and with AP50 on the validation tiles.
        """
        self.network = network
        network.precision = recipe.precision
        self.recipe = recipe
        self.validates = validation is not None
        self.tiles = {"train": train, "val": validation or train}
        self.checkpoints = checkpoints
        self.progress = progress
        self.measure = measure
        self.result = folder / "best.safetensors"
        self.num_batches_done = 0
        self.num_threads = torch.get_num_threads()  # the stock trainer sets it to 1
        super().__init__(overrides={**_overrides(recipe, folder), "val": self.validates})
        self.add_callback("on_train_start", lambda trainer: torch.set_num_threads(trainer.num_threads))
        self.add_callback("on_train_epoch_start", AttentionTrainer._start_epoch)
        self.add_callback("on_train_batch_end", AttentionTrainer._report)

    def get_dataset(self) -> dict[str, Any]:
        return {"train": "train", "val": "val", "names": {0: CLUSTER}, "nc": 1, "channels": 3}

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> DataLoader[dict[str, Any]]:
        data = Tiles(self.tiles[mode], recipe=self.recipe, augmented=mode == "train")
        return make_loader(data, batch=batch_size, workers=self.args.workers)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> TrainableNetwork:
        return self.network

    def resume_training(self, ckpt: Any) -> None:
        """Load the latest checkpoint; called by the stock trainer before the first epoch."""
        checkpoint = self.checkpoints.latest()
        if checkpoint is None:
            return
        state = checkpoint.state
        self.model.load_state_dict(state["model"], strict=True)
        self.ema.ema.load_state_dict(state["average"], strict=True)
        self.ema.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_fitness = state["best_fitness"]
        self.start_epoch = checkpoint.epochs
        self.num_batches_done = checkpoint.epochs * len(self.train_loader)

    def _start_epoch(self) -> None:
        self.train_loader.dataset.start_epoch(self.epoch)

    def _model_train(self) -> None:
        super()._model_train()
        if self.recipe.fixed_norms:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def validate(self) -> tuple[dict[str, Any], float | None]:
        if self.validates:
            return super().validate()  # type: ignore[no-any-return]
        return {}, None

    def save_model(self) -> bool:
        """Write the averaged weights if they are the best so far (always without validation), and a checkpoint.

        The weights are written first: after a kill in between, the epoch is repeated and writes the same weights.
        """
        self._measure_epoch()
        if self.fitness is None or self.fitness == self.best_fitness:
            save_detector(self.result, self.ema.ema, facts={})
        self.checkpoints.save(
            self.epoch + 1,
            {
                "model": self.model.state_dict(),
                "average": self.ema.ema.state_dict(),
                "updates": self.ema.updates,
                "optimizer": self.optimizer.state_dict(),
                "best_fitness": None if self.best_fitness is None else float(self.best_fitness),
            },
        )
        return True

    def final_eval(self) -> None:
        """Do nothing: the stock method unpickles checkpoints, and the gate evaluates the weights anyway."""

    def _measure_epoch(self) -> None:
        epoch = self.epoch + 1
        for name, value in (self.tloss or {}).items():
            self.measure(f"{name.removesuffix('_loss')} loss", epoch, float(value))
        if self.validates and AP50 in self.metrics:
            self.measure("validation AP50", epoch, float(self.metrics[AP50]))

    def _report(self) -> None:
        if not bool(torch.isfinite(self.loss)):
            raise TrainingDiverged(
                f"the detector's loss became {float(self.loss.detach())} in epoch {self.epoch + 1} of {self.epochs} of "
                f"recipe {self.recipe.name}; lower its learning rate ({self.recipe.lr0:g}) and check the images. The "
                "champion keeps serving"
            )
        self.num_batches_done += 1
        total = len(self.train_loader) * self.epochs
        losses = ", ".join(f"{name} {float(value):.2f}" for name, value in (self.tloss or {}).items())
        fraction = min(self.num_batches_done / total, 1.0)
        self.progress(fraction, f"detector: epoch {self.epoch + 1} of {self.epochs}, {losses}")


def _overrides(recipe: DetectorRecipe, folder: Path) -> dict[str, Any]:
    """The recipe as settings of ultralytics; augmentation is done by `training.detector.batches` instead."""
    cuda = torch.cuda.is_available()
    return {
        "task": "detect",
        "mode": "train",
        "model": "yolov8n.yaml",  # never opened: `get_model` returns the network
        "data": "tiles",  # never opened: `get_dataset` and `get_dataloader` return the tiles
        "project": str(folder.resolve()),
        "name": "run",
        "exist_ok": True,
        "device": "0" if cuda else "cpu",
        "workers": 4 if cuda else 0,
        "imgsz": recipe.tile,
        "epochs": recipe.epochs,
        "patience": recipe.epochs,
        "batch": recipe.batch,
        "nbs": recipe.batch,  # the stock 64 would accumulate eight batches per step: too few steps for a small set
        "optimizer": recipe.optimizer,  # "auto" ignores the learning rate
        "lr0": recipe.lr0,
        "lrf": recipe.lrf,
        "cos_lr": True,
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "warmup_epochs": recipe.warmup_epochs,
        "warmup_bias_lr": 0.0 if recipe.optimizer == "AdamW" else 0.1,
        "freeze": recipe.freeze or None,
        "close_mosaic": 0,  # done by `Tiles`
        "seed": recipe.seed,
        "deterministic": True,
        "amp": False,
        "plots": False,
        "verbose": False,
    }
