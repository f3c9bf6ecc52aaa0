"""Reads and writes a segmenter as one safetensors file: tensors, with configuration and facts as JSON metadata."""

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
from mammo.input_files import open_input
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam, network_without_values

KEY = "yolo-mlsam"
KIND = "segmenter"
FORMAT = 1

Facts = Mapping[str, Any]
"""Metadata of the weights: recipe, seed, data, scores; JSON values only."""


def save_segmenter(path: Path, network: Mlsam, *, facts: Facts, half: bool = True) -> None:
    """Write weights, configuration and facts into one file.

    Args:
        path: the file to write.
        network: the network.
        facts: metadata, stored without interpretation.
        half: round to float16, half the size; False keeps float32.

    Raises:
        ValueError: a weight is NaN, infinite, or too large for float16.
    """
    tensors = {name: _stored(tensor, half=half) for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"tensor {name} is not finite in {tensor.dtype}: the training diverged")
    spec = {"kind": KIND, "format": FORMAT, "config": asdict(network.config), "facts": dict(facts)}
    save_file(tensors, path, metadata={KEY: json.dumps(spec, sort_keys=True, allow_nan=False)})


def add_facts(path: Path, facts: Facts) -> None:
    """Add facts to a weights file in float16; its tensors stay unchanged bit for bit.

    Raises:
        InvalidWeights: see `load_segmenter`.
    """
    network, stored = load_segmenter(path)
    with replacing(path) as part:
        save_segmenter(part, network, facts={**stored, **facts})


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    """The tensor as it is stored; integer tensors keep their type."""
    stored = tensor.detach().cpu().contiguous()
    return stored if not stored.is_floating_point() else stored.half() if half else stored.float()


def load_segmenter(path: Path) -> tuple[Mlsam, Facts]:
    """Load a network and its facts: on the CPU, float32, in evaluation mode.

    Names and shapes of the tensors must match the configuration exactly. Nothing is unpickled, and no tensor is
    allocated before the header of the file is checked.

    Raises:
        InvalidWeights: the file is missing, damaged or of another kind, or does not match its configuration.
    """
    try:
        with open_input(path), safe_open(path, framework="pt") as file:
            config, facts = _parse(path.name, file.metadata())
            network = network_without_values(config)
            parameters = network.state_dict()
            expected = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            wrong = sorted(
                name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name)
            )
            if wrong:
                raise InvalidWeights(
                    f"{path.name}: {len(wrong)} tensors are missing, unknown or misshapen for {config.encoder}, "
                    f"the first is {wrong[0]!r}; restore the file"
                )
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError) as error:
        # The message of the library contains the whole path, so only its type is reported.
        raise InvalidWeights(
            f"{path.name}: not a readable safetensors file ({type(error).__name__}); restore it"
        ) from error
    for name, tensor in tensors.items():
        if (
            tensor.is_floating_point() != parameters[name].is_floating_point()
            or not torch.isfinite(tensor).all()
        ):
            raise InvalidWeights(
                f"{path.name}: tensor {name} has another type, or NaN or infinite values; restore the file"
            )
        tensors[name] = tensor.to(parameters[name].dtype)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), facts


def _parse(name: str, metadata: Mapping[str, str] | None) -> tuple[MlsamConfig, Facts]:
    """Parse configuration and facts from the metadata of a file."""
    text = (metadata or {}).get(KEY)
    if text is None:
        raise InvalidWeights(f"{name}: the metadata has no {KEY!r} entry; give a segmenter of this system")
    try:
        spec = json.loads(text, parse_constant=_no_constant)
        if spec["kind"] != KIND or spec["format"] != FORMAT:
            raise ValueError(
                f"expected kind {KIND!r} format {FORMAT}, got {spec['kind']!r} {spec['format']!r}"
            )
        facts = spec["facts"]
        if not isinstance(facts, dict):
            raise ValueError(f"expected a JSON object as facts, got {type(facts).__name__}")
        return MlsamConfig.from_dict(spec["config"]), facts
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidWeights(f"{name}: the specification is invalid: {error}") from error


def _no_constant(text: str) -> float:
    """Refuse NaN and infinity, which Python's parser accepts by default."""
    raise ValueError(f"{text} is not JSON")
