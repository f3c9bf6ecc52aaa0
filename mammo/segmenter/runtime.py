"""Runtime: executes the two halves of the segmenter, in torch (here) or OpenVINO (`runtime_openvino.py`)."""

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

MAX_HALF = 65504.0
"""The largest finite float16."""


class Features(NamedTuple):
    """Prompt-independent input of the decoder for one region."""

    neck: Half
    """1 x C x g x g, the encoder's last level."""

    fused: Half | None
    """1 x C/8 x 4g x 4g, the fused levels; None for a plain SAM."""

    @property
    def num_bytes(self) -> int:
        """Size in memory."""
        return sum(array.nbytes for array in self if array is not None)


class Answer(NamedTuple):
    """Output of the decoder for one prompt."""

    logits: Logits
    """s x s, positive = lesion."""

    presence: float | None
    """Probability of a lesion, in [0, 1]; None without a presence head."""


class Runtime(Protocol):
    """Executes the network. Threads may share one."""

    @property
    def config(self) -> MlsamConfig: ...

    @property
    def precision(self) -> str:
        """Runtime, version and number format; features of different ones are not interchangeable."""
        ...

    def encode(self, planes: Planes) -> Features:
        """Encode and fuse 3 x S x S normalised planes."""
        ...

    def decode(
        self,
        features: Features,
        coordinates: Sequence[tuple[float, float]],
        labels: Sequence[int],
        *,
        previous: Logits | None,
    ) -> Answer:
        """Decode one prompt.

        Args:
            features: of the region.
            coordinates: K points (x, y), continuous, in the frame of the input.
            labels: K labels of `mammo.segmenter.network`.
            previous: s x s, the logits of the previous prompt, if there is one.
        """
        ...


class TorchRuntime:
    """The reference: float32, on the device of the network."""

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
    half: Half = tensor.clamp(-MAX_HALF, MAX_HALF).half().cpu().numpy()
    return half
