"""OpenVinoRuntime: encoder with fusion, and decoder, exported once and executed by OpenVINO on a CPU.

The encoder passes float16 features to the decoder, which are cached. The two halves are checked separately against
torch on the same input:

    half       precision                bound
    encoder    float32                  features within 2e-3 of the largest: one step of float16 at that size
    encoder    bfloat16 (on request)    features within 5e-2 of the largest
    decoder    float32                  logits within 1e-3

The decoder is always in float32: it is cheap, and logits near zero decide about single pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from mammo.errors import UnusableRuntime
from mammo.models.exported_networks import (
    CompiledNetwork,
    Precision,
    convert_network,
    load_exported,
    release,
    store_exported,
)
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.embedding import code_hash
from mammo.segmenter.network import BOTTOM_RIGHT, POSITIVE, TOP_LEFT, Mlsam
from mammo.segmenter.runtime import MAX_HALF, Answer, Features, Logits, Planes, TorchRuntime

FEATURE_BOUND: Mapping[Precision, float] = {"f32": 2e-3, "bf16": 5e-2}
"""Maximum difference of a feature from torch's, relative to the largest feature."""

LOGIT_BOUND = 1e-3
"""Maximum difference of a logit from torch's, for the same features."""

HALVES = ("encoder", "decoder")


class _Encoder(nn.Module):
    """1 x 3 x S x S float32 -> the features, float16."""

    def __init__(self, network: Mlsam) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        levels = self.network.encode(planes)
        fused = self.network.fuse(levels)
        both = (levels.neck,) if fused is None else (levels.neck, fused)
        return tuple(part.clamp(-MAX_HALF, MAX_HALF).half() for part in both)


class _Decoder(nn.Module):
    """Prompt, previous logits and whether they are used, features -> logits, presence."""

    def __init__(self, network: Mlsam) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        coordinates: Tensor,
        labels: Tensor,
        previous: Tensor,
        has_previous: Tensor,
        neck: Tensor,
        fused: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        decoded = self.network.decode(
            neck.float(),
            None if fused is None else fused.float(),
            coordinates,
            labels,
            previous=previous,
            has_previous=has_previous,
        )
        if decoded.presence is None:
            return (decoded.logits,)
        return decoded.logits, torch.sigmoid(decoded.presence)


class OpenVinoRuntime:
    """The exported network. Threads may share one; it holds no torch network."""

    def __init__(
        self, models: Mapping[str, openvino.Model], config: MlsamConfig, *, precision: Precision, threads: int
    ) -> None:
        self._config = config
        self._encoder = CompiledNetwork(models["encoder"], precision=precision, threads=threads)
        self._decoder = CompiledNetwork(models["decoder"], precision="f32", threads=threads)
        side = 4 * config.grid
        self._no_previous = np.zeros((1, 1, side, side), np.float32)

    @classmethod
    def open(
        cls, network: Mlsam, *, precision: Precision, weights: str, exported: Path | None, threads: int
    ) -> Self:
        """Load the exported network from the folder, or export it, and check it against torch.

        Args:
            network: on the CPU, in evaluation mode; not referenced afterwards.
            precision: of the encoder; float32, or bfloat16 if the processor supports it.
            weights: SHA-256 of its weights.
            exported: folder of exported networks; None exports every time.
            threads: CPU threads; 0 lets OpenVINO choose.

        Raises:
            UnusableRuntime: OpenVINO does not support the network, or its results differ from torch's.
        """
        folder = None if exported is None else exported / _name(weights)
        models = None if folder is None else load_exported(folder, HALVES)
        try:
            if models is not None:
                try:
                    return cls._verified(models, network, precision=precision, threads=threads)
                except (RuntimeError, UnusableRuntime):
                    pass  # damaged or modified: export again
            models = export(network)
            if folder is not None:
                store_exported(models, folder)
            return cls._verified(models, network, precision=precision, threads=threads)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UnusableRuntime(
                f"OpenVINO cannot run this segmenter ({type(error).__name__}); use the runtime torch"
            ) from error

    @classmethod
    def _verified(
        cls, models: Mapping[str, openvino.Model], network: Mlsam, *, precision: Precision, threads: int
    ) -> Self:
        runtime = cls(models, network.config, precision=precision, threads=threads)
        verify(runtime, TorchRuntime(network), bound=FEATURE_BOUND[runtime.encoder_precision])
        return runtime

    @property
    def config(self) -> MlsamConfig:
        return self._config

    @property
    def encoder_precision(self) -> Precision:
        """Precision in use: float32 if bfloat16 was requested and the processor does not support it."""
        return self._encoder.precision

    @property
    def precision(self) -> str:
        return f"openvino {release()} {self.encoder_precision}"

    def encode(self, planes: Planes) -> Features:
        neck, *fused = self._encoder(planes[None])
        return Features(neck, fused[0] if fused else None)

    def decode(
        self,
        features: Features,
        coordinates: Sequence[tuple[float, float]],
        labels: Sequence[int],
        *,
        previous: Logits | None,
    ) -> Answer:
        logits, *presence = self._decoder(
            np.array([coordinates], np.float32),
            np.array([labels], np.int64),
            self._no_previous if previous is None else np.ascontiguousarray(previous[None, None], np.float32),
            np.array([previous is not None]),
            *(part for part in features if part is not None),
        )
        return Answer(logits[0, 0], presence[0].item() if presence else None)


def verify(runtime: OpenVinoRuntime, reference: TorchRuntime, *, bound: float) -> None:
    """Compare both halves with torch on noise, with and without previous logits.

    Args:
        runtime: the runtime to check.
        reference: torch with the same network.
        bound: maximum difference of a feature, relative to the largest.

    Raises:
        UnusableRuntime: a feature or a logit differs by more than its bound.
    """
    config = reference.config
    size = config.input_size
    rng = np.random.default_rng(0)
    planes = rng.standard_normal((3, size, size)).astype(np.float32)
    expected, features = reference.encode(planes), runtime.encode(planes)
    error = max(
        float(np.abs(a.astype(np.float32) - b).max() / max(1e-6, np.abs(a).max()))
        for a, b in zip(expected, features, strict=True)
        if a is not None and b is not None
    )
    if not error <= bound:  # also when NaN
        raise UnusableRuntime(
            f"{runtime.precision} differs from torch by {error:.2g} of the largest feature, more than {bound:.2g}; use "
            "the runtime torch"
        )
    previous = rng.standard_normal((4 * config.grid, 4 * config.grid)).astype(np.float32)
    prompt: dict[str, Any] = {
        "coordinates": [(size / 2, size / 3), (size / 4, size / 4), (size / 1.5, size / 1.5)],
        "labels": [POSITIVE, TOP_LEFT, BOTTOM_RIGHT],
    }
    for earlier in (None, previous):
        ours = runtime.decode(expected, **prompt, previous=earlier)
        theirs = reference.decode(expected, **prompt, previous=earlier)
        error = float(np.abs(ours.logits - theirs.logits).max())
        error = max(error, abs((ours.presence or 0.0) - (theirs.presence or 0.0)))
        if not error <= LOGIT_BOUND * max(1.0, float(np.abs(theirs.logits).max()) / 16):
            raise UnusableRuntime(
                f"{runtime.precision} differs from torch by {error:.2g} in logits, more than {LOGIT_BOUND}; use the "
                "runtime torch"
            )


@torch.inference_mode()
def export(network: Mlsam) -> dict[str, openvino.Model]:
    """Convert both halves to OpenVINO, for one region and any number of points.

    Raises:
        RuntimeError: OpenVINO does not support the network.
    """
    S, g, C = network.config.input_size, network.config.grid, network.config.decoder_width
    encoder = convert_network(_Encoder(network).eval(), torch.zeros(1, 3, S, S))
    encoder.reshape([1, 3, S, S])
    side = 4 * g
    features = [torch.zeros(1, C, g, g).half()]
    if len(encoder.outputs) > 1:
        features.append(torch.zeros(1, C // 8, side, side).half())
    example = (
        torch.zeros(1, 3, 2),
        torch.tensor([[POSITIVE, TOP_LEFT, BOTTOM_RIGHT]]),
        torch.zeros(1, 1, side, side),
        torch.tensor([False]),
        *features,
    )
    decoder = convert_network(_Decoder(network).eval(), example)
    shapes: list[list[int]] = [
        [1, -1, 2],
        [1, -1],
        [1, 1, side, side],
        [1],
        *([*f.shape] for f in features),
    ]
    decoder.reshape(dict(enumerate(shapes)))
    return {"encoder": encoder, "decoder": decoder}


def _name(weights: str) -> str:
    """Name of the exported network; changes with the weights, OpenVINO, torch, and the code of this package."""
    code = hashlib.sha256(f"{code_hash()} {torch.__version__}".encode()).hexdigest()
    return f"{weights[:32]}-{release()}-{code[:16]}"
