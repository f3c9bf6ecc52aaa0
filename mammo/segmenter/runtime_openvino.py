"""OpenVinoRuntime: encoder with fusion, and decoder, exported once and run by OpenVINO on a CPU.

What crosses from one to the other are the float16 features that are cached, so the two halves are proven apart:

    half       precision              bound, against torch on the same input
    encoder    float32                features within 2e-3 of their largest value: one step of float16 at that size
    encoder    bfloat16 (asked for)   within 5e-2
    decoder    float32, always        logits within 1e-3

The decoder stays in float32: logits near zero decide single pixels, and it is cheap.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from mammo.errors import UnusableRuntime
from mammo.models.exported_networks import CompiledNetwork, Precision, load_exported, release, store_exported
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.embedding import code_hash
from mammo.segmenter.network import BOTTOM_RIGHT, POSITIVE, TOP_LEFT, Mlsam
from mammo.segmenter.runtime import LARGEST_HALF, Answer, Features, Logits, Planes, TorchRuntime

FEATURE_BOUND: Mapping[Precision, float] = {"f32": 2e-3, "bf16": 5e-2}
"""Largest difference of a feature from torch's, as a part of the largest feature."""

LOGIT_BOUND = 1e-3
"""Largest difference of a logit from torch's, given the same features."""

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
        return tuple(part.clamp(-LARGEST_HALF, LARGEST_HALF).half() for part in both)


class _Decoder(nn.Module):
    """Prompt, previous logits and whether they count, features -> logits, presence."""

    def __init__(self, network: Mlsam) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        coordinates: Tensor,
        labels: Tensor,
        previous: Tensor,
        known: Tensor,
        neck: Tensor,
        fused: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        decoded = self.network.decode(
            neck.float(),
            None if fused is None else fused.float(),
            coordinates,
            labels,
            previous=previous,
            known=known,
        )
        if decoded.presence is None:
            return (decoded.logits,)
        return decoded.logits, torch.sigmoid(decoded.presence)


class OpenVinoRuntime:
    """Safe to share between threads; holds no torch network."""

    def __init__(
        self, models: Mapping[str, openvino.Model], config: MlsamConfig, *, precision: Precision, threads: int
    ) -> None:
        self._config = config
        self._encoder = CompiledNetwork(models["encoder"], precision=precision, threads=threads)
        self._decoder = CompiledNetwork(models["decoder"], precision="f32", threads=threads)
        side = 4 * config.grid
        self._nothing = np.zeros((1, 1, side, side), np.float32)

    @classmethod
    def open(
        cls, network: Mlsam, *, precision: Precision, weights: str, exported: Path | None, threads: int
    ) -> Self:
        """Read the exported network back, or export it, and prove it against torch.

        Args:
            network: on the CPU, in evaluation mode; not kept.
            weights: SHA-256 of its weights.
            exported: folder of exported networks; None exports every time.
            threads: CPU threads; 0 lets OpenVINO choose.

        Raises:
            UnusableRuntime: OpenVINO cannot express the network, or computes something else than torch.
        """
        folder = None if exported is None else exported / _name(weights)
        models = None if folder is None else load_exported(folder, HALVES)
        try:
            if models is not None:
                try:
                    return cls._proven(models, network, precision=precision, threads=threads)
                except (RuntimeError, UnusableRuntime):
                    pass  # torn or tampered with: export again
            models = export(network)
            if folder is not None:
                store_exported(models, folder)
            return cls._proven(models, network, precision=precision, threads=threads)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UnusableRuntime(
                f"OpenVINO cannot run this segmenter ({type(error).__name__}); choose the runtime torch"
            ) from error

    @classmethod
    def _proven(
        cls, models: Mapping[str, openvino.Model], network: Mlsam, *, precision: Precision, threads: int
    ) -> Self:
        runtime = cls(models, network.config, precision=precision, threads=threads)
        prove(runtime, TorchRuntime(network), bound=FEATURE_BOUND[runtime.encoder_precision])
        return runtime

    @property
    def config(self) -> MlsamConfig:
        return self._config

    @property
    def encoder_precision(self) -> Precision:
        """What the encoder computes in: float32 where bfloat16 was asked for and the processor has none."""
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
            self._nothing if previous is None else np.ascontiguousarray(previous[None, None], np.float32),
            np.array([previous is not None]),
            *(part for part in features if part is not None),
        )
        return Answer(logits[0, 0], presence[0].item() if presence else None)


def prove(runtime: OpenVinoRuntime, reference: TorchRuntime, *, bound: float) -> None:
    """Compare both halves with torch on noise, with and without an earlier answer.

    Raises:
        UnusableRuntime: a feature or a logit differs by more than its bound.
    """
    config = reference.config
    size = config.input_size
    rng = np.random.default_rng(0)
    planes = rng.standard_normal((3, size, size)).astype(np.float32)
    expected, found = reference.encode(planes), runtime.encode(planes)
    apart = max(
        float(np.abs(a.astype(np.float32) - b).max() / max(1e-6, np.abs(a).max()))
        for a, b in zip(expected, found, strict=True)
        if a is not None and b is not None
    )
    if not apart <= bound:  # also when it is no number
        raise UnusableRuntime(
            f"{runtime.precision} differs from torch by {apart:.2g} of the largest feature, more than {bound:.2g}; "
            "choose the runtime torch"
        )
    previous = rng.standard_normal((4 * config.grid, 4 * config.grid)).astype(np.float32)
    prompt: dict[str, Any] = {
        "coordinates": [(size / 2, size / 3), (size / 4, size / 4), (size / 1.5, size / 1.5)],
        "labels": [POSITIVE, TOP_LEFT, BOTTOM_RIGHT],
    }
    for earlier in (None, previous):
        ours = runtime.decode(expected, **prompt, previous=earlier)
        theirs = reference.decode(expected, **prompt, previous=earlier)
        apart = float(np.abs(ours.logits - theirs.logits).max())
        apart = max(apart, abs((ours.presence or 0.0) - (theirs.presence or 0.0)))
        if not apart <= LOGIT_BOUND * max(1.0, float(np.abs(theirs.logits).max()) / 16):
            raise UnusableRuntime(
                f"{runtime.precision} differs from torch by {apart:.2g} in logits, more than {LOGIT_BOUND}; choose the "
                "runtime torch"
            )


@torch.inference_mode()
def export(network: Mlsam) -> dict[str, openvino.Model]:
    """Both halves in OpenVINO's form, for one region and any number of points.

    Raises:
        RuntimeError: it cannot be expressed.
    """
    S, g, C = network.config.input_size, network.config.grid, network.config.decoder_width
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it sees as a number
        encoder = openvino.convert_model(_Encoder(network).eval(), example_input=torch.zeros(1, 3, S, S))
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
        decoder = openvino.convert_model(_Decoder(network).eval(), example_input=example)
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
    """Changes with the weights, with OpenVINO and torch, and with the code that builds and exports the network."""
    code = hashlib.sha256(f"{code_hash()} {torch.__version__}".encode()).hexdigest()
    return f"{weights[:32]}-{release()}-{code[:16]}"
