"""Converts official YOLOv8 checkpoints (`.pt`) to safetensors without executing code from the file.

Such a file is a pickle of ultralytics objects. Unpickling these under an allow-list would still let the file set the
state of live objects, and would depend on the module layout of one release. Instead, every class of ultralytics and
`torch.nn` that the pickle names is replaced by `_Placeholder`, which only stores its state; the classes themselves are
not imported. A pickle that names anything else is refused before it is loaded. The tensors are then collected from the
placeholders.

Only the import command uses this module, as a test checks; serving and training read safetensors.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mammo.blobs import hash_file
from mammo.detector import hardening  # noqa: F401  # before anything of ultralytics
from mammo.detector.attention import PRETRAINED_GATE_BIAS
from mammo.detector.network import DetectorNetwork
from mammo.detector.spec import DetectorSpec
from mammo.detector.transfer import StockWeights, TransferReport, check_stock, save_stock, transfer
from mammo.errors import InvalidWeights
from mammo.models.public_weights import find

_REPLACED = re.compile(
    r"(ultralytics(\.\w+)+|torch\.nn\.modules(\.\w+)+|pathlib\.(Pure)?(Posix|Windows)Path)"
)
"""Globals that a checkpoint may name in addition to those that torch allows for tensors."""

_MAX_DEPTH = 64
"""Maximum nesting of modules."""

_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions of torch's reader for invalid bytes, collected by fuzzing."""


class _Placeholder:
    """Replaces an object of the checkpoint: stores its state and has no behaviour."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __new__(cls, *_: Any) -> _Placeholder:
        placeholder = super().__new__(cls)
        placeholder.state = {}
        return placeholder

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state


def convert(path: Path, *, name: str, out: Path) -> Path:
    """Convert a verified official checkpoint to a file of stock tensors, from which training can start.

    Args:
        path: the `.pt` file; the caller has checked its hash.
        name: name of the catalogue entry of the network.
        out: the file to write, atomically.

    Returns:
        `out`.

    Raises:
        InvalidWeights: the file names a class or function that is not allowed (`unsafe_pickle`), or is not a YOLOv8 of
            the stated scale.
    """
    entry = find(name)
    tensors = read_checkpoint(path)
    stock = StockWeights(architecture=entry.architecture, tensors=tensors, facts={})
    check_stock(stock, name=path.name)
    digest = hash_file(path)
    facts = {
        "name": entry.name,
        "url": entry.url if digest == entry.sha256 else None,
        "sha256": digest,
        "licence": entry.licence,
        "source": entry.source,
        "tensors": len(tensors),
        "transfer": dry_run_transfer(stock).summary(),
    }
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_stock(out, StockWeights(architecture=stock.architecture, tensors=tensors, facts=facts))
    return out


def dry_run_transfer(stock: StockWeights) -> TransferReport:
    """Transfer stock tensors into a new default network of their scale, and report the result."""
    scale: Any = stock.architecture.removeprefix("yolov8")
    return transfer(
        stock, DetectorNetwork(stock.spec(DetectorSpec(scale=scale)), gate_bias=PRETRAINED_GATE_BIAS)
    )


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, float32, named as in the state dict of its network.

    Raises:
        InvalidWeights: see `convert`.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise InvalidWeights(
                f"{path.name}: not a checkpoint of torch 1.6 or newer; download it again from its catalogue address"
            )
        global_names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        unsafe = sorted(name for name in global_names if not _REPLACED.fullmatch(name))
        if unsafe:
            raise InvalidWeights(
                f"{path.name}: the pickle names {', '.join(unsafe[:5])}, which weights do not need; no code was run. "
                "Do not use this file; download the official one",
                code="unsafe_pickle",
            )
        with torch.serialization.safe_globals([(_Placeholder, name) for name in global_names]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise InvalidWeights(
            f"{path.name}: not a readable checkpoint ({type(error).__name__}); download it again"
        ) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InvalidWeights(f"{path.name}: not a readable checkpoint: {error}") from error
    network = content.get("ema") or content.get("model") if isinstance(content, dict) else None
    if not isinstance(network, _Placeholder):
        raise InvalidWeights(
            f"{path.name}: no network under `ema` or `model`; give a checkpoint of ultralytics"
        )
    tensors: dict[str, Tensor] = {}
    _collect(network, "", tensors, path.name, depth=0)
    return tensors


def _collect(module: _Placeholder, prefix: str, tensors: dict[str, Tensor], name: str, *, depth: int) -> None:
    """Add the entries that `state_dict` of the real module would have."""
    if depth > _MAX_DEPTH:
        raise InvalidWeights(f"{name}: modules are nested more than {_MAX_DEPTH} levels deep")
    transient = module.state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for key, tensor in _items(module.state.get(kind)):
            if isinstance(tensor, Tensor) and key not in transient:
                plain = tensor.detach()
                tensors[f"{prefix}{key}"] = plain.float() if plain.is_floating_point() else plain
    for key, child in _items(module.state.get("_modules")):
        if isinstance(child, _Placeholder):
            _collect(child, f"{prefix}{key}.", tensors, name, depth=depth + 1)


def _items(mapping: Any) -> list[tuple[str, Any]]:
    """The items of a dictionary with text as keys; none of another object."""
    return (
        [(key, value) for key, value in mapping.items() if isinstance(key, str)]
        if isinstance(mapping, dict)
        else []
    )
