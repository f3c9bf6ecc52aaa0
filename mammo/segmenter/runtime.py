"""Runtime: what computes the two halves of the segmenter; torch here, an exported form in `runtime_openvino.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam

Half = npt.NDArray[np.float16]
Planes = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]

LARGEST_HALF = 65504.0
"""The largest finite float16."""


class Features(NamedTuple):
    """What the decoder needs of a region, whatever the prompt."""

    neck: Half
    """1 x C x g x g, the encoder's last level."""

    fused: Half | None
    """1 x C/8 x 4g x 4g: the levels fused, the costly part of MLSAM; None for a plain SAM."""

    @property
    def num_bytes(self) -> int:
        """Memory that they hold."""
        return sum(array.nbytes for array in self if array is not None)


class Answer(NamedTuple):
    """What the decoder says to one prompt."""

    logits: Logits
    """s x s, positive = lesion."""

    presence: float | None
    """Probability of a lesion, in [0, 1]; None without a presence head."""


class Runtime(Protocol):
    """Safe to share between threads."""

    @property
    def config(self) -> MlsamConfig: ...

    @property
    def precision(self) -> str:
        """What computes, and in which number format: features of one are not those of another."""
        ...

    def encode(self, planes: Planes) -> Features:
        """Encoder and fusion: 3 x S x S normalised planes -> what every prompt shares."""
        ...

    def decode(
        self,
        features: Features,
        coordinates: Sequence[tuple[float, float]],
        labels: Sequence[int],
        *,
        previous: Logits | None,
    ) -> Answer:
        """Prompt encoder and decoder: K coordinates (input frame) and labels, and the logits of the prompt before."""
        ...


class TorchRuntime:
    """The reference: float32, on the device where the network is."""

    def __init__(self, network: Mlsam) -> None:
        self._network = network.eval()

    @property
    def config(self) -> MlsamConfig:
        return self._network.config

    @property
    def precision(self) -> str:
        return f"torch {torch.__version__} float32 {self._device.type}"

    @torch.inference_mode()
    def encode(self, planes: Planes) -> Features:
        levels = self._network.encode(torch.from_numpy(planes)[None].to(self._device))
        fused = self._network.fuse(levels)
        return Features(_half(levels.neck), None if fused is None else _half(fused))

    @torch.inference_mode()
    def decode(
        self,
        features: Features,
        coordinates: Sequence[tuple[float, float]],
        labels: Sequence[int],
        *,
        previous: Logits | None,
    ) -> Answer:
        neck, fused = (None if a is None else torch.from_numpy(a).to(self._device).float() for a in features)
        assert neck is not None
        decoded = self._network.decode(
            neck,
            fused,
            torch.tensor([list(coordinates)], dtype=torch.float32, device=self._device),
            torch.tensor([list(labels)], dtype=torch.int64, device=self._device),
            previous=None if previous is None else torch.from_numpy(previous)[None, None].to(self._device),
        )
        presence = None if decoded.presence is None else torch.sigmoid(decoded.presence.float()).item()
        return Answer(decoded.logits[0, 0].float().cpu().numpy(), presence)

    @property
    def _device(self) -> torch.device:
        return next(self._network.parameters()).device


def _half(tensor: Tensor) -> Half:
    half: Half = tensor.clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu().numpy()
    return half
