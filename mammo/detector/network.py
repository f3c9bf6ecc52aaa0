"""CBAM-YOLOv8: the stock network of ultralytics with attention on the output of some C2f blocks.

Chen, Liu and Wang, "Yolo-MLSAM", section 3.1. Layer indices and parameter names of the stock network are unchanged, so
its weights can be loaded one to one; the only new parameters are `model.<layer>.attn.*`. Global objects of ultralytics
stay unmodified.
"""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn
from ultralytics.nn.modules import C2f, Conv
from ultralytics.nn.tasks import DetectionModel, yaml_model_load
from ultralytics.utils.torch_utils import initialize_weights

from mammo.detector.attention import build_attention
from mammo.detector.spec import DetectorSpec
from mammo.findings import CLUSTER


class C2fAttention(C2f):  # type: ignore[misc]  # ultralytics has no type annotations
    """A C2f block with attention on its output: attn(C2f(F)). B C H W -> B C' H W."""

    attn: nn.Module

    @classmethod
    def wrap(cls, block: C2f, attention: nn.Module) -> Self:
        """Add attention to a stock block in place; its parameters and its position stay."""
        block.__class__ = cls  # C2f does not store the arguments for a new instance
        block.attn = attention
        return block  # type: ignore[no-any-return]

    def forward(self, features: Tensor) -> Tensor:
        return self.attn(super().forward(features))  # type: ignore[no-any-return]

    def forward_split(self, features: Tensor) -> Tensor:
        """Replaces `forward` in exports by ultralytics."""
        return self.attn(super().forward_split(features))  # type: ignore[no-any-return]


def _layers(spec: DetectorSpec) -> dict[str, Any]:
    """The stock layer table of this scale, for one class."""
    table: dict[str, Any] = yaml_model_load(f"yolov8{spec.scale}{'-p2' if spec.p2 else ''}.yaml")
    return {**table, "nc": 1}


class DetectorNetwork(DetectionModel):  # type: ignore[misc]
    """B 3 H W in [0, 1], sides multiples of 32 -> the outputs of YOLOv8 for one class."""

    def __init__(self, spec: DetectorSpec, *, gate_bias: float = 0.0) -> None:
        """Build with random weights.

        Args:
            spec: architecture.
            gate_bias: see `build_attention`; 0 for training from scratch, `PRETRAINED_GATE_BIAS` for pretrained layers
                without attention.

        Raises:
            ValueError: `spec.after` names a layer that is not a C2f block.
        """
        super().__init__(_layers(spec), ch=3, nc=1, verbose=False)
        self.spec = spec
        self.names = {0: CLUSTER}
        if spec.class_width is not None:
            self._widen_classes(spec.class_width)
        if spec.attention == "none":
            return
        for index in spec.after:
            block: Any = self.model[index] if index < len(self.model) else None
            if type(block) is not C2f:
                raise ValueError(
                    f"attention needs a C2f block, layer {index} is {type(block).__name__}; change `after`"
                )
            attention = build_attention(
                spec.attention,
                block.cv2.conv.out_channels,
                reduction=spec.reduction,
                kernel=spec.kernel,
                gate_bias=gate_bias,
            )
            self.model[index] = C2fAttention.wrap(block, attention)

    def _widen_classes(self, width: int) -> None:
        """Replace the class branch of the head by one with `width` channels, initialised like the stock branch."""
        head: Any = self.model[-1]
        if head.cv3[0][-1].in_channels == width:
            return
        head.cv3 = nn.ModuleList(
            nn.Sequential(
                Conv(branch[0].conv.in_channels, width, 3),
                Conv(width, width, 3),
                nn.Conv2d(width, head.nc, 1),
            )
            for branch in head.cv3
        )
        initialize_weights(head.cv3)
        head.bias_init()
