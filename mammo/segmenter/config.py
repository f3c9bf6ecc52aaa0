"""MlsamConfig: the configuration of SAM, HQ-SAM, MLSAM and every row of the paper's Table 3.

"The paper" is Chen, Liu and Wang, "Yolo-MLSAM".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

Stem = Literal["patch", "convolutions"]
FinalSource = Literal["neck", "block"]
Combine = Literal["sum", "hq", "sam"]
Channels = Literal["grey", "contrast"]

STRIDE = 16
"""Input pixels per token, along each axis."""

ADDED_LATER: Mapping[str, Any] = {"presence": False, "box_prior": False}
"""Fields that weights files of format 1 may lack, and their values in these files."""


@dataclass(frozen=True, kw_only=True)
class ViT:
    """Shape of a plain vision transformer."""

    width: int
    """Channels of a token."""

    depth: int
    """Number of blocks; a multiple of 4."""

    heads: int
    """Attention heads."""

    global_blocks: tuple[int, ...]
    """Numbers of the blocks (from 1) with global attention; the others attend within windows."""

    window: int = 14
    """Side of an attention window, in tokens."""

    stem: Stem = "patch"
    """`patch`: SAM's 16 x 16 projection. `convolutions`: four stride-2 convolutions (Xiao et al. 2021), which learn
    from few images and resolve specks of three pixels that a 16 x 16 average would hide."""


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """Shape of a TinyViT: four stages of increasing width; entry i belongs to stage i + 1."""

    widths: tuple[int, ...] = (64, 128, 160, 320)
    """Channels of each stage."""

    depths: tuple[int, ...] = (2, 2, 6, 2)
    """Number of blocks of each stage."""

    heads: tuple[int, ...] = (2, 4, 5, 10)
    """Attention heads of each stage."""

    windows: tuple[int, ...] = (0, 7, 14, 7)
    """Side of an attention window, in tokens; 0 means convolutions instead of attention."""

    strides: tuple[int, ...] = (2, 2, 1)
    """Stride of the downsampling to the next stage; the first stage has stride 4, MobileSAM's last two have 16."""

    expansion: int = 4
    """Hidden channels of a block, as a multiple of its width."""


ENCODERS: Mapping[str, ViT | Pyramid] = {
    "vit_b": ViT(width=768, depth=12, heads=12, global_blocks=(3, 6, 9, 12)),
    "vit_l": ViT(width=1024, depth=24, heads=16, global_blocks=(6, 12, 18, 24)),
    "vit_h": ViT(width=1280, depth=32, heads=16, global_blocks=(8, 16, 24, 32)),
    "vit_t": Pyramid(),
    "starter": ViT(width=192, depth=8, heads=3, global_blocks=(1, 2, 3, 4, 5, 6, 7, 8), stem="convolutions"),
    "smoke": ViT(width=32, depth=4, heads=1, global_blocks=(2, 4), window=2, stem="convolutions"),
}
"""Encoders by name: three of SAM, one of MobileSAM, one for the starter weights and one for unit tests."""


@dataclass(frozen=True, kw_only=True)
class MlsamConfig:
    """Configuration that determines the shapes and the meaning of a segmenter's tensors."""

    encoder: str = "vit_l"
    """A name in `ENCODERS`."""

    input_size: int = 1024
    """Side of the square network input, in pixels; a multiple of 16, at most 2048."""

    decoder_width: int = 256
    """Channels of the neck and of the mask decoder; a multiple of 32."""

    hq_token: bool = True
    """HQ-SAM's extra output token with its MLP; False is the plain SAM decoder."""

    decoder_feature: bool = True
    """Table 3, "Decoder mask features": the decoder's upscaled feature is part of the fusion."""

    early: bool = True
    """Table 3, early ViT layer: block depth/4 (6 of ViT-L's 24)."""

    middle: bool = True
    """Table 3, middle ViT layer: block depth/2 (12 of 24); the branch that MLSAM adds to HQ-SAM."""

    final: bool = True
    """Table 3, final ViT layer: block depth (24 of 24)."""

    global_fusion: bool = True
    """Table 3, "Global fusion": learned 3 x 3 convolutions on the decoder feature before the sum."""

    final_source: FinalSource = "neck"
    """`neck`: the last block after the neck, as in HQ-SAM; `block`: its raw tokens, as the paper's text says."""

    combine: Combine = "sum"
    """Logits of the mask: SAM + HQ (`sum`, for zero-shot use), HQ only (`hq`, for fine-tuned weights), or SAM only."""

    channels: Channels = "grey"
    """`grey`: three equal channels, as SAM's weights expect. `contrast`: grey, local contrast, top-hat."""

    presence: bool = False
    """Add a head that estimates whether a prompt marks a lesion (`mammo.segmenter.presence`)."""

    box_prior: bool = False
    """Add the logits of an ellipse in the prompt's box (`mammo.segmenter.box_prior`)."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise ValueError(f"expected an encoder of {', '.join(ENCODERS)}, got {self.encoder!r}")
        if self.input_size % STRIDE or not STRIDE <= self.input_size <= 2048:
            raise ValueError(
                f"expected an input_size that is a multiple of {STRIDE} up to 2048, got {self.input_size}"
            )
        if self.decoder_width % 32 or not 32 <= self.decoder_width <= 512:
            raise ValueError(
                f"expected a decoder_width that is a multiple of 32 up to 512, got {self.decoder_width}"
            )
        fused = self.decoder_feature or self.early or self.middle or self.final
        if self.hq_token and not fused:
            raise ValueError("an HQ token needs at least one feature source to multiply")
        if not self.hq_token and self.combine == "hq":
            raise ValueError("combine='hq' needs hq_token=True")

    @property
    def vit(self) -> ViT | Pyramid:
        """The encoder's shape."""
        return ENCODERS[self.encoder]

    @property
    def taps(self) -> tuple[int, int, int]:
        """Numbers (from 1) of the early, middle and final block: 3, 6, 12 for ViT-B; 6, 12, 24 for ViT-L.

        For TinyViT these are the numbers of the three stages whose output has stride 16.
        """
        vit = self.vit
        return (vit.depth // 4, vit.depth // 2, vit.depth) if isinstance(vit, ViT) else (2, 3, 4)

    @property
    def level_widths(self) -> tuple[int, int, int]:
        """Channels of the early, middle and final level."""
        vit = self.vit
        if isinstance(vit, ViT):
            return vit.width, vit.width, vit.width
        # A stage ends with the downsampling to the next width.
        return vit.widths[2], vit.widths[3], vit.widths[3]

    @property
    def used_levels(self) -> tuple[bool, bool, bool]:
        """Whether the decoder uses the early, middle and final level of the encoder; it always uses the neck."""
        raw_final = self.final and self.final_source == "block"
        return self.hq_token and self.early, self.hq_token and self.middle, self.hq_token and raw_final

    @property
    def grid(self) -> int:
        """Tokens along one side of the input."""
        return self.input_size // STRIDE

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> MlsamConfig:
        """Strict inverse of `dataclasses.asdict`; fields of `ADDED_LATER` may be missing.

        Raises:
            ValueError: a field is missing, unknown, of another type, or out of range.
        """
        hints = get_type_hints(cls)
        fields = {**ADDED_LATER, **fields}
        if set(fields) != set(hints):
            raise ValueError(f"the fields {sorted(set(fields) ^ set(hints))} are missing or unknown")
        for name, hint in hints.items():
            choices = get_args(hint)
            is_valid = fields[name] in choices if choices else type(fields[name]) is hint
            if not is_valid:
                expected = f"one of {', '.join(choices)}" if choices else f"type {hint.__name__}"
                raise ValueError(f"{name}: expected {expected}, got {fields[name]!r}")
        return cls(**fields)


def sam(encoder: str = "vit_l", *, input_size: int = 1024) -> MlsamConfig:
    """Plain SAM (Kirillov et al. 2023)."""
    return MlsamConfig(encoder=encoder, input_size=input_size, hq_token=False, combine="sam")


def hq_sam(encoder: str = "vit_l", *, input_size: int = 1024) -> MlsamConfig:
    """HQ-SAM (Ke et al. 2023): decoder feature, early and final layer, without the middle layer."""
    return MlsamConfig(encoder=encoder, input_size=input_size, middle=False)


def mlsam(encoder: str = "vit_l", *, input_size: int = 1024) -> MlsamConfig:
    """The paper's segmenter: all three levels, fused."""
    return MlsamConfig(encoder=encoder, input_size=input_size)


TABLE3: Mapping[str, MlsamConfig] = {
    "HQ-SAM": hq_sam(),
    "M1": MlsamConfig(early=False, middle=False, final=False, global_fusion=False),
    "M2": MlsamConfig(early=False, middle=False, final=False),
    "M3": MlsamConfig(early=False, middle=False),
    "M4": MlsamConfig(global_fusion=False),
    "MLSAM": mlsam(),
}
"""The six rows of the paper's Table 3, in its order."""
