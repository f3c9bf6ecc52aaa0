"""CATALOGUE: every public weights file this system knows, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mammo.errors import WeightsUnavailable
from mammo.pinned_files import PinnedFile


@dataclass(frozen=True, kw_only=True)
class PublicWeights(PinnedFile):
    """One weights file that somebody published; `name` is what a person calls it on the command line."""

    network: Literal["detector", "segmenter"]

    architecture: str
    """The network that its tensors belong to, in the words of the module that converts them."""

    licence: str
    source: str
    """Who published it."""

    by_hand: str = "give the file with --file"


def find(name: str) -> PublicWeights:
    """The entry of that name.

    Raises:
        WeightsUnavailable: there is none (code `unknown_weights`).
    """
    for weights in CATALOGUE:
        if weights.name == name:
            return weights
    raise WeightsUnavailable(
        f"no public weights are called {name!r}; there are: {', '.join(entry.name for entry in CATALOGUE)}",
        code="unknown_weights",
    )


def identify(sha256: str) -> PublicWeights | None:
    """The entry whose file has that hash."""
    return next((weights for weights in CATALOGUE if weights.sha256 == sha256), None)


def _yolov8(scale: str, size: int, sha256: str) -> PublicWeights:
    return PublicWeights(
        name=f"yolov8{scale}",
        network="detector",
        architecture=f"yolov8{scale}",
        url=f"https://github.com/ultralytics/assets/releases/download/v8.4.0/yolov8{scale}.pt",
        size=size,
        sha256=sha256,
        licence="AGPL-3.0",
        source="Ultralytics, trained on COCO (80 classes)",
    )


def _sam(name: str, file: str, size: int, sha256: str) -> PublicWeights:
    return PublicWeights(
        name=f"sam-{name}",
        network="segmenter",
        architecture=f"sam/vit_{name}",
        url=f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
        size=size,
        sha256=sha256,
        licence="Apache-2.0",
        source="Meta, trained on SA-1B",
    )


def _hq_sam(name: str, size: int | None, sha256: str | None, note: str) -> PublicWeights:
    return PublicWeights(
        name=f"hq-sam-{name}",
        network="segmenter",
        architecture=f"hq-sam/vit_{name}",
        url=f"https://huggingface.co/lkeab/hq-sam/resolve/main/sam_hq_vit_{name}.pth",
        size=size,
        sha256=sha256,
        licence="Apache-2.0",
        source="SysCV, trained on HQSeg-44K, whose member sets have terms of their own",
        note=note,
    )


_MD5 = "Public files agree on its MD5 {}, which is no proof against forgery."

CATALOGUE: tuple[PublicWeights, ...] = (
    _yolov8("n", 6_549_796, "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36"),
    _yolov8("s", 22_588_772, "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a"),
    _yolov8("m", 52_136_884, "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5"),
    _yolov8("l", 87_792_836, "64c9115303f6a25575f82200d1b22ec409fa6bd7d08d0313884fc20d919478cd"),
    _yolov8("x", 136_890_692, "3df4ada6b4dad6d657868f2fdf7faecfb34dcfccf3a25c4b82079064718524c8"),
    _sam(
        "b",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    _sam(
        "l",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    _sam(
        "h",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    _hq_sam("b", None, None, _MD5.format("c6b8953247bcfdc8bb8ef91e36a6cacc")),
    _hq_sam("l", None, None, _MD5.format("08947267966e4264fb39523eccc33f86")),
    _hq_sam("h", 2_570_940_653, "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35", ""),
    _hq_sam("tiny", None, "0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196", ""),
    PublicWeights(
        name="mobile-sam",
        network="segmenter",
        architecture="mobile-sam/vit_t",
        url="https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
        size=40_728_226,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        licence="Apache-2.0",
        source="Zhang et al., distilled from SAM ViT-H",
    ),
)
"""Sizes and hashes as several independent public repositories state them; none was downloaded by us."""
