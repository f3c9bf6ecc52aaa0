"""One safetensors file holds a segmenter: its tensors, and as JSON its configuration and how it came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mammo.atomic_files import replacing
from mammo.errors import InvalidWeights
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam

KEY = "yolo-mlsam"
KIND = "segmenter"
FORMAT = 1

Facts = Mapping[str, Any]
"""How the weights came about: recipe, seed, data, scores; JSON values only."""


def save_segmenter(path: Path, network: Mlsam, *, facts: Facts, half: bool = True) -> None:
    """Write weights, configuration and facts into one file.

    Args:
        half: round to float16, half the size; False keeps float32.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    tensors = {name: _stored(tensor, half=half) for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds a value that {tensor.dtype} cannot: the run has diverged")
    spec = {"kind": KIND, "format": FORMAT, "config": asdict(network.config), "facts": dict(facts)}
    save_file(tensors, path, metadata={KEY: json.dumps(spec, sort_keys=True, allow_nan=False)})


def add_facts(path: Path, facts: Facts) -> None:
    """Write more facts into a file of `save_segmenter`'s default form; its tensors stay what they are.

    Raises:
        InvalidWeights: see `load_segmenter`.
    """
    network, known = load_segmenter(path)
    with replacing(path) as part:
        save_segmenter(part, network, facts={**known, **facts})


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    """Counters stay whole numbers."""
    kept = tensor.detach().cpu().contiguous()
    return kept if not kept.is_floating_point() else kept.half() if half else kept.float()


def load_segmenter(path: Path) -> tuple[Mlsam, Facts]:
    """Rebuild a network strictly: every tensor present, of the right shape, finite, and none beside.

    The network is in evaluation mode, float32, on the CPU. Nothing is unpickled, and no tensor is allocated before
    the file's own header agrees with its configuration.

    Raises:
        InvalidWeights: the file is missing, damaged, of another kind, or disagrees with its own configuration.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config, facts = _parse(path.name, file.metadata())
            with torch.device("meta"):
                network = Mlsam(config)
            blank = network.state_dict()
            expected = {name: tuple(tensor.shape) for name, tensor in blank.items()}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            wrong = sorted(
                name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
            )
            if wrong:
                raise InvalidWeights(
                    f"{path.name}: {len(wrong)} tensors are missing, unknown or misshapen for {config.encoder}, "
                    f"the first is {wrong[0]!r}"
                )
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError) as error:
        # The library's own message holds the whole path; the chained error keeps it for a debugger.
        raise InvalidWeights(
            f"{path.name} is not a readable safetensors file ({type(error).__name__})"
        ) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != blank[name].is_floating_point() or not torch.isfinite(tensor).all():
            raise InvalidWeights(f"{path.name}: {name!r} does not hold finite numbers of its kind")
        tensors[name] = tensor.to(blank[name].dtype)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), facts


def _parse(name: str, metadata: Mapping[str, str] | None) -> tuple[MlsamConfig, Facts]:
    text = (metadata or {}).get(KEY)
    if text is None:
        raise InvalidWeights(f"{name}: the metadata has no {KEY!r} entry; this is not a file of this system")
    try:
        spec = json.loads(text, parse_constant=_no_constant)
        if spec["kind"] != KIND or spec["format"] != FORMAT:
            raise ValueError(
                f"expected kind {KIND!r} format {FORMAT}, got {spec['kind']!r} {spec['format']!r}"
            )
        facts = spec["facts"]
        if not isinstance(facts, dict):
            raise ValueError("facts is not an object")
        return MlsamConfig.from_dict(spec["config"]), facts
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidWeights(f"{name}: the specification cannot be used: {error}") from error


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
