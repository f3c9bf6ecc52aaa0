"""CBAM-YOLOv8: the stock network of ultralytics with attention on the output of chosen C2f blocks (section 3.1).

Layer indices and parameter names of the stock network do not change, so its weights load one to one: the only new
names are `model.<layer>.attn.*`. No global of ultralytics is touched.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError
from torch import Tensor, nn
from ultralytics.nn.modules import C2f, Conv
from ultralytics.nn.tasks import DetectionModel, yaml_model_load
from ultralytics.utils.torch_utils import initialize_weights

from mammo.detector.attention import build_attention
from mammo.detector.spec import SPEC, DetectorSpec
from mammo.errors import InvalidWeights
from mammo.findings import CLUSTER

_KEY = "mammo_spec"


def spec_of(config: dict[str, Any]) -> DetectorSpec:
    """The specification in a network's own config (`network.yaml`), where ultralytics carries it along.

    Raises:
        InvalidWeights: there is none, or an impossible one.
    """
    try:
        return SPEC.validate_python(config[_KEY], strict=False)
    except (KeyError, ValidationError) as error:
        raise InvalidWeights(f"this model config holds no specification of a detector: {error}") from error


class C2fAttention(C2f):  # type: ignore[misc]  # ultralytics carries no types
    """A C2f block whose output passes through `attn`."""

    attn: nn.Module

    @classmethod
    def wrap(cls, block: C2f, attention: nn.Module) -> Self:
        """Turn a stock block into one with attention on its output; parameters and place stay."""
        block.__class__ = cls  # in place: C2f does not keep the arguments that its constructor would need
        block.attn = attention
        return block  # type: ignore[no-any-return]

    def forward(self, features: Tensor) -> Tensor:
        return self.attn(super().forward(features))  # type: ignore[no-any-return]

    def forward_split(self, features: Tensor) -> Tensor:
        """What the exporter of ultralytics calls in place of `forward`."""
        return self.attn(super().forward_split(features))  # type: ignore[no-any-return]


def _layers(spec: DetectorSpec) -> dict[str, Any]:
    """The stock layer table of this size, for our one class."""
    table: dict[str, Any] = yaml_model_load(f"yolov8{spec.scale}{'-p2' if spec.p2 else ''}.yaml")
    return {**table, "nc": 1}


class DetectorNetwork(DetectionModel):  # type: ignore[misc]
    """B 3 H W in [0, 1], sides multiples of 32 -> the stock outputs of YOLOv8 for one class."""

    def __init__(self, spec: DetectorSpec, *, gate_bias: float = 0.0) -> None:
        """Build with random weights.

        Args:
            gate_bias: see `build_attention`: 0 from scratch, 4 on top of pretrained layers without attention.

        Raises:
            ValueError: `spec.after` names a layer that is no C2f block.
        """
        super().__init__(_layers(spec), ch=3, nc=1, verbose=False)
        self.spec = spec
        self.yaml[_KEY] = SPEC.dump_python(spec, mode="json")
        self.names = {0: CLUSTER}
        if spec.class_width is not None:
            self._widen_classes(spec.class_width)
        if spec.attention == "none":
            return
        for index in spec.after:
            block: Any = self.model[index] if index < len(self.model) else None
            if type(block) is not C2f:
                raise ValueError(f"attention goes after a C2f block; layer {index} is {type(block).__name__}")
            attention = build_attention(
                spec.attention,
                block.cv2.conv.out_channels,
                reduction=spec.reduction,
                kernel=spec.kernel,
                gate_bias=gate_bias,
            )
            self.model[index] = C2fAttention.wrap(block, attention)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The same architecture from the config of a network, with random weights.

        Raises:
            InvalidWeights: see `spec_of`.
        """
        return cls(spec_of(config))

    def _widen_classes(self, width: int) -> None:
        """Make the class branch of the head `width` channels wide, started like the stock one."""
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
