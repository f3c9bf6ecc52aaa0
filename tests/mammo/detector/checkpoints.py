"""Checkpoints as ultralytics publishes them: whole pickled objects in half precision."""

from __future__ import annotations

import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

import mammo.detector.hardening  # noqa: F401  # before anything of ultralytics

# isort: split

from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG_DICT


def stock_network(scale: str = "n", *, seed: int = 0) -> Any:
    """A stock YOLOv8 for the 80 classes of COCO, with random weights."""
    torch.manual_seed(seed)
    network = DetectionModel(f"yolov8{scale}.yaml", ch=3, nc=80, verbose=False)
    network.args = dict(DEFAULT_CFG_DICT)
    network.task = "detect"
    return network


def save_official(network: Any, path: Path, **more: Any) -> Path:
    """Write a checkpoint with the keys of an official one."""
    content = {
        "epoch": -1,
        "best_fitness": None,
        "model": deepcopy(network).half(),
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": dict(DEFAULT_CFG_DICT),
        "date": "2024-01-01T00:00:00",
        "version": "8.2.0",
        "license": "AGPL-3.0",
    }
    torch.save({**content, **more}, path)
    return path


def renamed_globals(path: Path, target: Path, names: dict[str, str]) -> Path:
    """A copy whose pickle names other globals, `module\\nname` each: the layout of older releases."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("/data.pkl"):
                for before, after in names.items():
                    assert f"c{before}\n".encode() in data
                    data = data.replace(f"c{before}\n".encode(), f"c{after}\n".encode())
            new.writestr(item, data)
    return target
