"""Official YOLOv8 tensors as a safetensors file, and how they move into a network of ours.

The file holds the stock tensors as they were published (80 classes of COCO), so that one file starts every attention,
with and without a P2 head; it is no detector of clusters and cannot serve.
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

FORMAT = "yolo-mlsam-yolov8/1"

_HEAD = 22
"""Layer of the head in the stock table."""

_P2_LAYERS = {16: 22, 18: 24, 19: 25, 21: 27, _HEAD: 28}
"""Where the stock layers behind the P3 map stand in the table with a P2 head; those before it stay."""


@dataclass(frozen=True, kw_only=True)
class StockWeights:
    """Tensors of a stock YOLOv8 under their stock names."""

    architecture: str
    """`yolov8` and its scale."""

    tensors: dict[str, Tensor]

    facts: dict[str, Any]
    """Where they came from."""

    @property
    def class_width(self) -> int:
        """Hidden channels of the head's class branch."""
        return int(self.tensors[f"model.{_HEAD}.cv3.0.2.weight"].shape[1])

    def spec(self, wanted: DetectorSpec) -> DetectorSpec:
        """The wanted network, with a class branch as wide as these tensors where that lets them move in.

        Raises:
            InvalidWeights: they belong to another scale.
        """
        if self.architecture != f"yolov8{wanted.scale}":
            raise InvalidWeights(
                f"the start weights are {self.architecture}, the recipe wants yolov8{wanted.scale}; take yolov8"
                f"{wanted.scale} weights or a recipe of scale {self.architecture.removeprefix('yolov8')}"
            )
        return wanted if wanted.p2 else replace(wanted, class_width=self.class_width)


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Which tensors moved from stock weights into a network."""

    copied: tuple[str, ...]
    """Names in the network."""

    fresh: tuple[str, ...]
    """Names in the network that had no counterpart and keep their start: attention and class scores, at least."""

    unused: tuple[str, ...]
    """Names in the stock weights that found no place."""

    def summary(self) -> dict[str, Any]:
        """Counts, and the names that did not move; JSON-able."""
        return {
            "copied": len(self.copied),
            "of": len(self.copied) + len(self.unused),
            "fresh": list(self.fresh),
            "unused": list(self.unused),
        }


def transfer(stock: StockWeights, network: DetectorNetwork) -> TransferReport:
    """Copy every stock tensor whose layer and shape the network has; nothing is cut or stretched."""
    target = network.state_dict()
    copied: list[str] = []
    unused: list[str] = []
    with torch.no_grad():
        for name, tensor in stock.tensors.items():
            place = _p2_name(name) if network.spec.p2 else name
            if not _fits(name, place, stock.tensors, target):
                unused.append(name)
                continue
            target[place].copy_(tensor)
            copied.append(place)
    fresh = sorted(set(target) - set(copied))
    return TransferReport(copied=tuple(copied), fresh=tuple(fresh), unused=tuple(unused))


def _fits(name: str, place: str, source: dict[str, Tensor], target: dict[str, Tensor]) -> bool:
    if place not in target or target[place].shape != source[name].shape:
        return False
    counter = "num_batches_tracked"  # a scalar fits anywhere: it belongs to the mean beside it
    if not name.endswith(counter):
        return True
    mean, other = (key.removesuffix(counter) + "running_mean" for key in (name, place))
    return mean in source and target[other].shape == source[mean].shape


def _p2_name(name: str) -> str:
    """The same tensor in the table with a P2 head, whose head has one level more, before the others."""
    layer, rest = name.removeprefix("model.").split(".", 1)
    place = _P2_LAYERS.get(int(layer), int(layer))
    if int(layer) == _HEAD:
        rest = re.sub(r"^(cv[23])\.(\d+)", lambda found: f"{found[1]}.{int(found[2]) + 1}", rest)
    return f"model.{place}.{rest}"


def save_stock(path: Path, stock: StockWeights) -> None:
    """Write stock tensors in half precision, as they are published; the file appears whole or not at all."""
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
    """Whether a file holds stock tensors, not a detector."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, SafetensorError):
        return False


def load_stock(path: Path) -> StockWeights:
    """Read what `save_stock` wrote, as float32.

    Raises:
        InvalidWeights: another file, or one whose tensors cannot be those of its architecture.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError) as error:
        raise InvalidWeights(f"{path.name}: not a readable safetensors file") from error
    if metadata.get("format") != FORMAT:
        raise InvalidWeights(
            f"{path.name}: expected format {FORMAT}, got {metadata.get('format')!r}; make one with "
            "`yolo-mlsam weights add`"
        )
    try:
        facts = json.loads(metadata.get("facts", "{}"))
    except (ValueError, RecursionError) as error:
        raise InvalidWeights(f"{path.name}: its facts cannot be read: {error}") from error
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
    """Refuse tensors that are not, name by name and shape by shape, those of the stock network.

    Raises:
        InvalidWeights: names what does not fit first.
    """
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    if not re.fullmatch("yolov8[nsmlx]", stock.architecture):
        raise InvalidWeights(f"{name}: expected yolov8n, s, m, l or x, got {stock.architecture!r}")
    try:
        num_classes = int(stock.tensors[f"model.{_HEAD}.cv3.0.2.weight"].shape[0])
    except (KeyError, IndexError):
        raise InvalidWeights(
            f"{name}: holds no detection head of YOLOv8; a classification, pose or segmentation file has another"
        ) from None
    if not 0 < num_classes <= 10_000:
        raise InvalidWeights(f"{name}: {num_classes} classes cannot be")
    reference = DetectionModel(
        yaml_model_load(f"{stock.architecture}.yaml"), ch=3, nc=num_classes, verbose=False
    )
    expected = {key: tuple(tensor.shape) for key, tensor in reference.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in stock.tensors.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise InvalidWeights(
            f"{name}: {len(wrong)} of {len(expected)} tensors are missing, unknown or misshapen for "
            f"{stock.architecture}, the first is {wrong[0]!r}; is it the file of another scale?"
        )
    for key, tensor in stock.tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidWeights(f"{name}: tensor {key} holds values that are not finite")
