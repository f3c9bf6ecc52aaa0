"""An official YOLOv8 checkpoint (`.pt`) becomes safetensors, without running any code it may hold.

Such a file is a pickle of whole ultralytics objects. Loading those under an allow-list would still let the file choose
the state of live objects, and would tie us to the module layout of one release. So every class of ultralytics and
`torch.nn` that the pickle names is replaced by `_Inert`, which only keeps what it is given; nothing of the kind is
imported. A pickle that names anything else is refused before it is read, with the name. What is left is walked for
tensors.

Only the import command comes here (a test holds that): serving and training read safetensors.
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

_INERT = re.compile(r"(ultralytics(\.\w+)+|torch\.nn\.modules(\.\w+)+|pathlib\.(Pure)?(Posix|Windows)Path)")
"""Globals that a checkpoint may name beside those torch itself allows for tensors."""

_MAX_DEPTH = 64

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
"""What torch's reader raises for bytes that make no sense, as a fuzzer found."""


class _Inert:
    """Stands for an object of the checkpoint: keeps its state, does nothing."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __new__(cls, *_: Any) -> _Inert:
        made = super().__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state


def convert(path: Path, *, name: str, out: Path) -> Path:
    """Turn a verified official checkpoint into a file of stock tensors that training can start from.

    Args:
        path: the `.pt` file; its hash has been checked by the caller.
        name: entry of the catalogue that says which network it holds.
        out: file to write; appears whole or not at all.

    Returns:
        `out`.

    Raises:
        InvalidWeights: it names a class or function that tensors do not need (code `unsafe_pickle`), or holds no
            YOLOv8 of that scale.
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
        "transfer": rehearse(stock).summary(),
    }
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_stock(out, StockWeights(architecture=stock.architecture, tensors=tensors, facts=facts))
    return out


def rehearse(stock: StockWeights) -> TransferReport:
    """What would move into the default network of that scale."""
    scale: Any = stock.architecture.removeprefix("yolov8")
    return transfer(
        stock, DetectorNetwork(stock.spec(DetectorSpec(scale=scale)), gate_bias=PRETRAINED_GATE_BIAS)
    )


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names of its network's state dict, float32.

    Raises:
        InvalidWeights: see `convert`.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise InvalidWeights(
                f"{path.name}: no checkpoint of torch 1.6 or newer; fetch the file again from its catalogue address"
            )
        named = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        unknown = sorted(place for place in named if not _INERT.fullmatch(place))
        if unknown:
            raise InvalidWeights(
                f"{path.name}: the pickle names {', '.join(unknown[:5])}, which no weights need; nothing was run. "
                "Do not use this file: fetch the official one",
                code="unsafe_pickle",
            )
        with torch.serialization.safe_globals([(_Inert, place) for place in named]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise InvalidWeights(
            f"{path.name}: cannot be read as a checkpoint ({type(error).__name__})"
        ) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InvalidWeights(f"{path.name}: cannot be read as a checkpoint: {error}") from error
    network = content.get("ema") or content.get("model") if isinstance(content, dict) else None
    if not isinstance(network, _Inert):
        raise InvalidWeights(
            f"{path.name}: holds no network under `ema` or `model`; an ultralytics checkpoint does"
        )
    tensors: dict[str, Tensor] = {}
    _collect(network, "", tensors, path.name, depth=0)
    return tensors


def _collect(module: _Inert, prefix: str, found: dict[str, Tensor], name: str, *, depth: int) -> None:
    """What `state_dict` of the real module would give."""
    if depth > _MAX_DEPTH:
        raise InvalidWeights(f"{name}: its modules are nested more than {_MAX_DEPTH} deep")
    transient = module.state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for key, tensor in _items(module.state.get(kind)):
            if isinstance(tensor, Tensor) and key not in transient:
                plain = tensor.detach()
                found[f"{prefix}{key}"] = plain.float() if plain.is_floating_point() else plain
    for key, child in _items(module.state.get("_modules")):
        if isinstance(child, _Inert):
            _collect(child, f"{prefix}{key}.", found, name, depth=depth + 1)


def _items(mapping: Any) -> list[tuple[str, Any]]:
    return (
        [(key, value) for key, value in mapping.items() if isinstance(key, str)]
        if isinstance(mapping, dict)
        else []
    )
