"""Stock YOLOv8 weights as a safetensors file, and their transfer into a detector network.

The file holds the published tensors (80 classes of COCO), so that one file initialises every kind of attention, with
and without a P2 head. It is not a detector of clusters and cannot be served.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mammo.detector.network import DetectorNetwork
from mammo.detector.spec import DetectorSpec
from mammo.detector.weights import write_safetensors
from mammo.errors import InvalidWeights
from mammo.input_files import open_input

FORMAT = "yolo-mlsam-yolov8/1"

_HEAD = 22
"""Index of the head in the stock layer table."""

_P2_LAYERS = {16: 22, 18: 24, 19: 25, 21: 27, _HEAD: 28}
"""Stock layers after the P3 map -> their indices in the table with a P2 head; the layers before keep theirs."""


@dataclass(frozen=True, kw_only=True)
class StockWeights:
    """Tensors of a stock YOLOv8, by their stock names."""

    architecture: str
    """`yolov8` and the scale, such as `yolov8n`."""

    tensors: dict[str, Tensor]

    facts: dict[str, Any]
    """Origin of the tensors; JSON values."""

    @property
    def class_width(self) -> int:
        """Hidden channels of the head's class branch."""
        return int(self.tensors[f"model.{_HEAD}.cv3.0.2.weight"].shape[1])

    def spec(self, recipe: DetectorSpec) -> DetectorSpec:
        """Return the spec of a recipe with the class width of these tensors, if that allows their transfer.

        Raises:
            InvalidWeights: the tensors have another scale.
        """
        if self.architecture != f"yolov8{recipe.scale}":
            raise InvalidWeights(
                f"the start weights are {self.architecture}, the recipe needs yolov8{recipe.scale}; use yolov8"
                f"{recipe.scale} weights, or a recipe of scale {self.architecture.removeprefix('yolov8')}"
            )
        return recipe if recipe.p2 else replace(recipe, class_width=self.class_width)


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Result of a transfer of stock weights into a network."""

    copied: tuple[str, ...]
    """Names of the initialised tensors of the network."""

    fresh: tuple[str, ...]
    """Names of the network's tensors without a counterpart: at least those of attention and class scores."""

    unused: tuple[str, ...]
    """Names of the stock tensors without a counterpart."""

    def summary(self) -> dict[str, Any]:
        """Counts, and the names without a counterpart; JSON values."""
        return {
            "copied": len(self.copied),
            "of": len(self.copied) + len(self.unused),
            "fresh": list(self.fresh),
            "unused": list(self.unused),
        }


def transfer(stock: StockWeights, network: DetectorNetwork) -> TransferReport:
    """Copy every stock tensor that has a counterpart of equal layer and shape in the network."""
    target = network.state_dict()
    copied: list[str] = []
    unused: list[str] = []
    with torch.no_grad():
        for name, tensor in stock.tensors.items():
            target_name = _p2_name(name) if network.spec.p2 else name
            if not _fits(name, target_name, stock.tensors, target):
                unused.append(name)
                continue
            target[target_name].copy_(tensor)
            copied.append(target_name)
    fresh = sorted(set(target) - set(copied))
    return TransferReport(copied=tuple(copied), fresh=tuple(fresh), unused=tuple(unused))


def _fits(name: str, target_name: str, source: dict[str, Tensor], target: dict[str, Tensor]) -> bool:
    """Whether a tensor has a counterpart of equal shape; a batch counter also needs one for its running mean."""
    if target_name not in target or target[target_name].shape != source[name].shape:
        return False
    counter = "num_batches_tracked"
    if not name.endswith(counter):
        return True
    mean, target_mean = (key.removesuffix(counter) + "running_mean" for key in (name, target_name))
    return mean in source and target[target_mean].shape == source[mean].shape


def _p2_name(name: str) -> str:
    """The name of a stock tensor in the table with a P2 head, which has an additional first level."""
    layer, rest = name.removeprefix("model.").split(".", 1)
    p2_layer = _P2_LAYERS.get(int(layer), int(layer))
    if int(layer) == _HEAD:
        rest = re.sub(r"^(cv[23])\.(\d+)", lambda match: f"{match[1]}.{int(match[2]) + 1}", rest)
    return f"model.{p2_layer}.{rest}"


def save_stock(path: Path, stock: StockWeights) -> None:
    """Write stock tensors atomically, in half precision as they are published."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in stock.tensors.items()
    }
    metadata = {
        "format": FORMAT,
        "architecture": stock.architecture,
        "facts": json.dumps(stock.facts, sort_keys=True),
    }
    write_safetensors(path, tensors, metadata)


def is_stock(path: Path) -> bool:
    """Whether a file holds stock tensors, not a detector; False for unreadable files."""
    try:
        with open_input(path), safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, SafetensorError):
        return False


def load_stock(path: Path) -> StockWeights:
    """Read a file of `save_stock`, as float32.

    Raises:
        InvalidWeights: the file has another format, or its tensors do not match its architecture.
    """
    try:
        with open_input(path), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError) as error:
        raise InvalidWeights(f"{path.name}: not a readable safetensors file; restore it") from error
    if metadata.get("format") != FORMAT:
        raise InvalidWeights(
            f"{path.name}: expected format {FORMAT}, got {metadata.get('format')!r}; create such a file with "
            "`yolo-mlsam weights add`"
        )
    try:
        facts = json.loads(metadata.get("facts", "{}"))
    except (ValueError, RecursionError) as error:
        raise InvalidWeights(f"{path.name}: the facts in its metadata are not valid JSON: {error}") from error
    stock = StockWeights(
        architecture=metadata.get("architecture", ""),
        tensors={
            name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
        },
        facts=facts if isinstance(facts, dict) else {},
    )
    check_stock(stock, name=path.name)
    return stock


def check_stock(stock: StockWeights, *, name: str) -> None:
    """Check that names and shapes of the tensors are exactly those of the stock network.

    Args:
        stock: the tensors.
        name: file name, for messages.

    Raises:
        InvalidWeights: a tensor is missing, unknown, misshapen or not finite; the message names the first.
    """
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    if not re.fullmatch("yolov8[nsmlx]", stock.architecture):
        raise InvalidWeights(
            f"{name}: expected yolov8n, yolov8s, yolov8m, yolov8l or yolov8x, got {stock.architecture!r}"
        )
    try:
        num_classes = int(stock.tensors[f"model.{_HEAD}.cv3.0.2.weight"].shape[0])
    except (KeyError, IndexError):
        raise InvalidWeights(
            f"{name}: no detection head of YOLOv8; do not use classification, pose or segmentation weights"
        ) from None
    if not 0 < num_classes <= 10_000:
        raise InvalidWeights(f"{name}: expected 1 to 10 000 classes, got {num_classes}")
    reference = DetectionModel(
        yaml_model_load(f"{stock.architecture}.yaml"), ch=3, nc=num_classes, verbose=False
    )
    expected = {key: tuple(tensor.shape) for key, tensor in reference.state_dict().items()}
    shapes = {key: tuple(tensor.shape) for key, tensor in stock.tensors.items()}
    wrong = sorted(key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key))
    if wrong:
        raise InvalidWeights(
            f"{name}: {len(wrong)} of {len(expected)} tensors are missing, unknown or misshapen for "
            f"{stock.architecture}, the first is {wrong[0]!r}; check that the file has this scale"
        )
    for key, tensor in stock.tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidWeights(f"{name}: tensor {key} has NaN or infinite values; download the file again")
