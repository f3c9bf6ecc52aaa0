"""A public SAM, HQ-SAM or MobileSAM checkpoint becomes a weights file of this system, strictly by key and shape.

Such a file is a pickle of a flat dictionary of tensors, and is read as nothing else (`weights_only`). Only the import
command comes here: serving and training read safetensors.
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
from mammo.segmenter.network import Mlsam
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
"""What the catalogue calls an architecture."""

CLASSIFIER: Mapping[str, tuple[int, ...]] = {
    "image_encoder.norm_head.weight": (320,),
    "image_encoder.norm_head.bias": (320,),
    "image_encoder.head.weight": (1000, 320),
    "image_encoder.head.bias": (1000,),
}
"""TinyViT's ImageNet head: in every file of it, used by no segmenter, left out."""


def convert(path: Path, *, name: str, out: Path) -> Path:
    """Turn a verified public checkpoint into a weights file, float32, bit for bit the same numbers.

    Args:
        path: its hash has been checked by the caller (`mammo.models.public_weights.verify`).
        name: entry of the catalogue that says which network it holds.
        out: file to write; appears whole or not at all.

    Returns:
        `out`.

    Raises:
        InvalidWeights: it holds more than tensors (code `unsafe_pickle`), is damaged, or is another network
            (code `other_encoder`).
        ValueError: `name` is no segmenter.
    """
    entry = find(name)
    if entry.network != "segmenter":
        raise ValueError(f"{name} is a {entry.network}, not a segmenter")
    config = CONFIGURATIONS[entry.architecture]
    tensors = read_checkpoint(path)
    with torch.device("meta"):
        network = Mlsam(config)
    left_out = {} if isinstance(config.vit, ViT) else CLASSIFIER
    _check(tensors, expected={**_shapes(network.state_dict()), **left_out}, entry=entry, file=path.name)
    kept = {key: tensor for key, tensor in tensors.items() if key not in left_out}
    network.load_state_dict(kept, strict=True, assign=True)

    digest = hash_file(path)
    facts = {
        "public": entry.name,
        "url": entry.url if digest == entry.sha256 else None,  # else it is a person's own file
        "sha256": digest,
        "pinned": digest == entry.sha256,
        "licence": entry.licence,
        "source": entry.source,
        "tensors": len(kept),
    }
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with replacing(out) as part:
            save_segmenter(part, network, facts=facts, half=False)
    except ValueError as error:  # a value that is not finite
        raise InvalidWeights(f"{path.name}: {error}; fetch the file again") from error
    return out


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint; nothing that it may hold beside them is run.

    Raises:
        InvalidWeights: see `convert`.
    """
    try:
        mapped = zipfile.is_zipfile(path)  # files of torch before 1.6 are not
        content = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidWeights(
            f"{path.name}: holds more than tensors, or is cut; nothing of it was run. Fetch the official file again",
            code="unsafe_pickle",
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, EOFError) as error:
        raise InvalidWeights(
            f"{path.name}: cannot be read as a checkpoint ({type(error).__name__}); fetch it again"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InvalidWeights(f"{path.name}: expected a dictionary of tensors, as SAM's files hold")
    return {str(key): tensor for key, tensor in content.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _check(
    tensors: Mapping[str, Tensor], *, expected: Mapping[str, tuple[int, ...]], entry: PublicWeights, file: str
) -> None:
    found = _shapes(tensors)
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if not wrong:
        return
    first = wrong[0]
    architecture = _architecture(found)
    belongs = [e.name for e in CATALOGUE if e.architecture == architecture and e.name != entry.name]
    remedy = f"add it as {' or '.join(belongs)}" if belongs else f"fetch {entry.url}"
    raise InvalidWeights(
        f"{file}: came {architecture or 'a network we do not know'}, expected {entry.architecture} ({entry.name}); "
        f"{len(wrong)} of {len(expected)} tensors differ, the first is {first!r}: came {found.get(first, 'none')}, "
        f"expected {expected.get(first, 'none')}; {remedy}",
        code="other_encoder",
    )


def _architecture(found: Mapping[str, tuple[int, ...]]) -> str | None:
    """What the tensors look like, in the catalogue's words."""
    hq = "mask_decoder.hf_token.weight" in found
    if "image_encoder.patch_embed.seq.0.c.weight" in found:
        return "hq-sam/vit_tiny" if hq else "mobile-sam/vit_t"
    width = found.get("image_encoder.pos_embed", (0,))[-1]
    for name, vit in ENCODERS.items():
        if isinstance(vit, ViT) and vit.stem == "patch" and vit.width == width:
            return f"{'hq-sam' if hq else 'sam'}/{name}"
    return None
