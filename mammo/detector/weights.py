"""One safetensors file holds a detector: half-precision tensors, and its spec and training facts as JSON metadata.

Nothing is unpickled, and nothing is loaded approximately: names, shapes and values must be exactly right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mammo.atomic_files import replacing
from mammo.detector.network import DetectorNetwork
from mammo.detector.spec import SPEC, DetectorSpec
from mammo.errors import InvalidWeights

FORMAT = "yolo-mlsam-detector/1"


def save_detector(path: Path, network: DetectorNetwork, *, facts: dict[str, Any]) -> None:
    """Write a detector; the file appears whole or not at all.

    Args:
        network: not fused; its tensors are stored as float16.
        facts: what is known about its training, JSON-able; travels with it and is never interpreted.

    Raises:
        ValueError: a tensor is not finite in half precision.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu()
        if stored.is_floating_point():
            stored = stored.half()
            if not bool(torch.isfinite(stored).all()):
                raise ValueError(f"tensor {name} is not finite in half precision: the training diverged")
        tensors[name] = stored.contiguous()
    metadata = {
        "format": FORMAT,
        "spec": SPEC.dump_json(network.spec).decode(),
        "facts": json.dumps(facts, sort_keys=True),
    }
    write_safetensors(path, tensors, metadata)


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file that appears whole or not at all; the same content gives the same bytes, and so the same hash."""
    content = save(tensors, metadata=metadata)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = metadata  # the library puts it down in another order each time
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(content)[8 + size :])


def add_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write more facts into a weights file; its tensors stay what they are, bit for bit.

    Raises:
        InvalidWeights: see `load_network`.
    """
    network, known = load_network(path)
    save_detector(path, network, facts={**known, **facts})


def load_network(path: Path) -> tuple[DetectorNetwork, dict[str, Any]]:
    """Rebuild a detector on the CPU, float32, in evaluation mode, with its facts.

    Raises:
        InvalidWeights: no safetensors file of this format (code `missing_file` where there is none at all), an
            impossible spec, or tensors that do not fit it.
    """
    if not path.is_file():
        raise InvalidWeights(
            f"{path.name}: there is no such file; restore it from the registry's blobs, or name another model",
            code="missing_file",
        )
    try:
        with safe_open(path, framework="pt") as file:
            spec, facts = _header(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError) as error:
        raise InvalidWeights(
            f"{path.name}: not a readable safetensors file, or a torn one; restore it. Pickles (.pt) are not read here"
        ) from error
    try:
        network = DetectorNetwork(spec)
    except ValueError as error:
        raise InvalidWeights(f"{path.name}: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise InvalidWeights(
            f"{path.name}: {len(wrong)} of {len(expected)} tensors do not fit the specification, the first is "
            f"{wrong[0]!r}: expected {expected.get(wrong[0])}, found {found.get(wrong[0])}; take the file as it was "
            "written"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidWeights(
                f"{path.name}: tensor {name} holds values that are not finite; restore the file"
            )
    network.load_state_dict(tensors, strict=True)
    return network.eval(), facts


def _header(path: Path, metadata: dict[str, str]) -> tuple[DetectorSpec, dict[str, Any]]:
    if metadata.get("format", "").startswith("yolo-mlsam-yolov8/"):
        raise InvalidWeights(
            f"{path.name}: holds public weights of the stock network, which know no cluster; start a training run with "
            "them",
            code="public_weights",
        )
    if metadata.get("format") != FORMAT:
        raise InvalidWeights(
            f"{path.name}: expected format {FORMAT}, got {metadata.get('format')!r}; it is no detector of ours"
        )
    try:
        spec = SPEC.validate_json(metadata.get("spec", ""))
        facts = json.loads(metadata.get("facts", "{}"))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidWeights(f"{path.name}: the specification cannot be read: {error}") from error
    if not isinstance(facts, dict):
        raise InvalidWeights(f"{path.name}: facts must be a JSON object")
    return spec, facts
