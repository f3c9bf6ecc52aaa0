"""Reads and writes a detector as one safetensors file: float16 tensors, with spec and training facts as JSON metadata.

Nothing is unpickled. Names and shapes of the tensors must match the spec exactly.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mammo.atomic_files import replacing
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Normalisation
from mammo.detector.spec import SPEC, DetectorSpec
from mammo.errors import InvalidWeights

FORMAT = "yolo-mlsam-detector/1"


def save_detector(path: Path, network: DetectorNetwork, *, facts: dict[str, Any]) -> None:
    """Write a detector atomically.

    Args:
        path: the file to write.
        network: not fused; its tensors are stored as float16.
        facts: metadata of the training, JSON values; stored without interpretation.

    Raises:
        ValueError: a tensor is not finite in float16.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu()
        if stored.is_floating_point():
            stored = stored.half()
            if not bool(torch.isfinite(stored).all()):
                raise ValueError(f"tensor {name} is not finite in float16: the training diverged")
        tensors[name] = stored.contiguous()
    metadata = {
        "format": FORMAT,
        "spec": SPEC.dump_json(network.spec).decode(),
        "facts": json.dumps(facts, sort_keys=True),
    }
    write_safetensors(path, tensors, metadata)


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file atomically; the same content gives the same bytes, and so the same hash."""
    content = save(tensors, metadata=metadata)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = metadata  # the library writes it in random order
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(content)[8 + size :])


def add_facts(path: Path, facts: dict[str, Any]) -> None:
    """Add facts to a weights file; its tensors stay unchanged bit for bit.

    Raises:
        InvalidWeights: see `load_network`.
    """
    network, stored = load_network(path)
    save_detector(path, network, facts={**stored, **facts})


def set_speck_weight(path: Path, weight: float) -> None:
    """Set `DetectorSpec.speck_weight` of a weights file; its tensors and facts stay unchanged.

    Raises:
        InvalidWeights: see `load_network`.
        ValueError: the weight is out of range.
    """
    network, facts = load_network(path)
    network.spec = SPEC.validate_python({**asdict(network.spec), "speck_weight": weight})
    save_detector(path, network, facts=facts)


def load_network(path: Path) -> tuple[DetectorNetwork, dict[str, Any]]:
    """Load a detector and its facts: on the CPU, float32, in evaluation mode.

    Raises:
        InvalidWeights: the file is missing (`missing_file`) or has another format, its spec is invalid, or its tensors
            do not match the spec.
    """
    if not path.is_file():
        raise InvalidWeights(
            f"{path.name}: the file does not exist; restore it from the registry's blobs, or use another model",
            code="missing_file",
        )
    try:
        with safe_open(path, framework="pt") as file:
            spec, facts = _header(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError) as error:
        raise InvalidWeights(
            f"{path.name}: not a readable safetensors file; restore it. Pickles (.pt) are not supported"
        ) from error
    try:
        network = DetectorNetwork(spec)
    except ValueError as error:
        raise InvalidWeights(f"{path.name}: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
    if wrong:
        raise InvalidWeights(
            f"{path.name}: {len(wrong)} of {len(expected)} tensors do not match the specification, the first is "
            f"{wrong[0]!r}: expected {expected.get(wrong[0])}, got {shapes.get(wrong[0])}; restore the file"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidWeights(f"{path.name}: tensor {name} has NaN or infinite values; restore the file")
    network.load_state_dict(tensors, strict=True)
    return network.eval(), facts


def _header(path: Path, metadata: dict[str, str]) -> tuple[DetectorSpec, dict[str, Any]]:
    """Parse spec and facts from the metadata of a file."""
    if metadata.get("format", "").startswith("yolo-mlsam-yolov8/"):
        raise InvalidWeights(
            f"{path.name}: public weights of the stock network, which cannot detect clusters; use them to start a "
            "training run",
            code="public_weights",
        )
    if metadata.get("format") != FORMAT:
        raise InvalidWeights(
            f"{path.name}: expected format {FORMAT}, got {metadata.get('format')!r}; give a detector of this system"
        )
    try:
        stated = json.loads(metadata.get("spec", ""))
        kind = stated.get("normalisation") if isinstance(stated, dict) else None
        if kind not in get_args(Normalisation):  # no default: other planes give other detections
            raise InvalidWeights(
                f"{path.name}: expected a normalisation of {', '.join(get_args(Normalisation))} in the specification, "
                f"got {kind!r}; update this installation, or use another model"
            )
        spec = SPEC.validate_python(stated)
        facts = json.loads(metadata.get("facts", "{}"))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidWeights(f"{path.name}: the specification is invalid: {error}") from error
    if not isinstance(facts, dict):
        raise InvalidWeights(f"{path.name}: expected a JSON object as facts, got {type(facts).__name__}")
    return spec, facts
