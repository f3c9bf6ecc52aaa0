"""Converts public SAM, HQ-SAM and MobileSAM checkpoints to weights files; names and shapes must match exactly.

Such a file is a pickle of a flat dictionary of tensors, and only tensors are loaded (`weights_only`). Only the import
command uses this module; serving and training read safetensors.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mammo.atomic_files import replacing
from mammo.blobs import hash_file
from mammo.errors import InvalidWeights
from mammo.models.public_weights import CATALOGUE, PublicWeights, find
from mammo.segmenter.config import ENCODERS, MlsamConfig, ViT, hq_sam, sam
from mammo.segmenter.network import network_without_values
from mammo.segmenter.weights import save_segmenter

CONFIGURATIONS: Mapping[str, MlsamConfig] = {
    "sam/vit_b": sam("vit_b"),
    "sam/vit_l": sam("vit_l"),
    "sam/vit_h": sam("vit_h"),
    "hq-sam/vit_b": hq_sam("vit_b"),
    "hq-sam/vit_l": hq_sam("vit_l"),
    "hq-sam/vit_h": hq_sam("vit_h"),
    "hq-sam/vit_tiny": hq_sam("vit_t"),
    "mobile-sam/vit_t": sam("vit_t"),
}
"""Configurations by the catalogue's name of the architecture."""

CLASSIFIER: Mapping[str, tuple[int, ...]] = {
    "image_encoder.norm_head.weight": (320,),
    "image_encoder.norm_head.bias": (320,),
    "image_encoder.head.weight": (1000, 320),
    "image_encoder.head.bias": (1000,),
}
"""TinyViT's ImageNet classifier: part of every TinyViT file, not used by a segmenter and dropped."""


def convert(path: Path, *, name: str, out: Path) -> Path:
    """Convert a verified public checkpoint to a weights file, in float32 and bit-equal.

    Args:
        path: the checkpoint; the caller has checked its hash (`mammo.pinned_files.verify`).
        name: name of the catalogue entry of the network.
        out: the file to write, atomically.

    Returns:
        `out`.

    Raises:
        InvalidWeights: the file holds more than tensors (`unsafe_pickle`), is damaged, or is another network
            (`other_encoder`).
        ValueError: the catalogue entry is not a segmenter.
    """
    entry = find(name)
    if entry.network != "segmenter":
        raise ValueError(f"expected a segmenter, got {name}, which is a {entry.network}")
    config = CONFIGURATIONS[entry.architecture]
    tensors = read_checkpoint(path)
    network = network_without_values(config)
    dropped = {} if isinstance(config.vit, ViT) else CLASSIFIER
    _check(tensors, expected={**_shapes(network.state_dict()), **dropped}, entry=entry, file=path.name)
    tensors = {key: tensor for key, tensor in tensors.items() if key not in dropped}
    network.load_state_dict(tensors, strict=True, assign=True)

    digest = hash_file(path)
    facts = {
        "public": entry.name,
        "url": entry.url if digest == entry.sha256 else None,  # otherwise it is not the catalogue's file
        "sha256": digest,
        "pinned": digest == entry.sha256,
        "licence": entry.licence,
        "source": entry.source,
        "tensors": len(tensors),
    }
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with replacing(out) as part:
            save_segmenter(part, network, facts=facts, half=False)
    except ValueError as error:  # NaN or infinite values
        raise InvalidWeights(f"{path.name}: {error}; download the file again") from error
    return out


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint without executing code from the file.

    Raises:
        InvalidWeights: see `convert`.
    """
    try:
        mapped = zipfile.is_zipfile(path)  # not so before torch 1.6
        content = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidWeights(
            f"{path.name}: holds more than tensors, or is truncated; no code was run. Download the official file again",
            code="unsafe_pickle",
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, EOFError) as error:
        raise InvalidWeights(
            f"{path.name}: not a readable checkpoint ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InvalidWeights(
            f"{path.name}: expected a dictionary of tensors, as in SAM's files; download the official file"
        )
    return {str(key): tensor for key, tensor in content.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _check(
    tensors: Mapping[str, Tensor], *, expected: Mapping[str, tuple[int, ...]], entry: PublicWeights, file: str
) -> None:
    """Check that names and shapes of the tensors are exactly the expected ones."""
    shapes = _shapes(tensors)
    wrong = sorted(key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key))
    if not wrong:
        return
    first = wrong[0]
    architecture = _architecture(shapes)
    matching = [e.name for e in CATALOGUE if e.architecture == architecture and e.name != entry.name]
    remedy = f"add it as {' or '.join(matching)}" if matching else f"download {entry.url}"
    raise InvalidWeights(
        f"{file}: expected {entry.architecture} ({entry.name}), got {architecture or 'an unknown network'}; "
        f"{len(wrong)} of {len(expected)} tensors differ, the first is {first!r}: expected "
        f"{expected.get(first, 'none')}, got {shapes.get(first, 'none')}; {remedy}",
        code="other_encoder",
    )


def _architecture(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Recognise the catalogue's architecture by the tensors; None when unknown."""
    hq = "mask_decoder.hf_token.weight" in shapes
    if "image_encoder.patch_embed.seq.0.c.weight" in shapes:
        return "hq-sam/vit_tiny" if hq else "mobile-sam/vit_t"
    width = shapes.get("image_encoder.pos_embed", (0,))[-1]
    for name, vit in ENCODERS.items():
        if isinstance(vit, ViT) and vit.stem == "patch" and vit.width == width:
            return f"{'hq-sam' if hq else 'sam'}/{name}"
    return None
