"""OpenVinoRuntime: the network, exported once and executed by OpenVINO.

The box branch of the head is not exported: it runs in torch, at the few anchors whose score reaches the threshold.
"""

from __future__ import annotations

import hashlib
import threading
from copy import deepcopy
from pathlib import Path
from typing import Self

import numpy as np
import openvino  # type: ignore[import-untyped]
import torch
import ultralytics
from torch import Tensor, nn

from mammo.detector import attention
from mammo.detector import network as network_module
from mammo.detector.decode import BoxBranch, RawMaps, decode_anchors
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Planes
from mammo.errors import UnusableRuntime
from mammo.models.exported_networks import (
    Precision,
    compile_network,
    convert_network,
    load_exported,
    release,
    store_exported,
)

SCORE_BOUND: dict[Precision, float] = {"f32": 1e-4, "bf16": 0.02}
"""Maximum difference of a score from torch's."""

LOGIT_BOUND: dict[Precision, float] = {"f32": 1e-3, "bf16": 0.1}
"""Maximum difference of a logit from torch's, relative to the logit or to 1, whichever is larger. Scores near 0 or 1
alone would not distinguish networks."""


class _Exported(nn.Module):
    """B 3 H W -> logits B x A, then the feature maps B x C x H x W."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        output = self.network(pixels)
        raw: RawMaps = output[1] if isinstance(output, tuple) else output
        return raw["scores"][:, 0], *raw["feats"]


class OpenVinoRuntime:
    """One exported network, compiled for this processor; `precision` and `name` are those in use, not those requested.

    Calls from several threads run one after another: in parallel they would compete for caches, need the memory of
    several tiles, and not be faster.
    """

    def __init__(
        self, model: openvino.Model, network: DetectorNetwork, *, precision: Precision, threads: int
    ) -> None:
        head = network.model[-1]
        self._request, self.precision = compile_network(model, precision=precision, threads=threads)
        self.name = "openvino" if self.precision == "f32" else "openvino-bf16"
        self._strides = [float(stride) for stride in head.stride]
        self._boxes = BoxBranch(deepcopy(head).requires_grad_(False))
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, network: DetectorNetwork, *, precision: Precision, key: str, cache: Path | None, threads: int
    ) -> Self:
        """Load the exported network from the cache, or export it, and check it against torch.

        Args:
            network: fused, in evaluation mode; not modified.
            precision: float32, or bfloat16 if the processor supports it.
            key: SHA-256 of its weights.
            cache: folder of exported networks, or None.
            threads: CPU threads; 0 lets OpenVINO choose.

        Raises:
            UnusableRuntime: OpenVINO does not support the network, or its results differ from torch's.
        """
        expected = _logits_of_torch(network)
        try:
            folder = None if cache is None else cache / _name(key)
            if folder is not None and (exported := load_exported(folder, ("model",))):
                try:
                    runtime = cls(exported["model"], network, precision=precision, threads=threads)
                    runtime.check(expected)
                    return runtime
                except (RuntimeError, UnusableRuntime):
                    pass  # damaged or modified: export again
            model = export(network)
            if folder is not None:
                store_exported({"model": model}, folder)
            runtime = cls(model, network, precision=precision, threads=threads)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UnusableRuntime(
                f"OpenVINO cannot run this detector ({type(error).__name__}); set YOLO_MLSAM_RUNTIME=torch"
            ) from error
        runtime.check(expected)
        return runtime

    def detect(self, tile: Planes, *, threshold: float) -> Tensor:
        with self._lock, torch.inference_mode():
            logits, *features = self._run(tile)
            grid = [
                (*feature.shape[1:], stride) for feature, stride in zip(features, self._strides, strict=True)
            ]
            return decode_anchors(
                logits,
                lambda anchors: self._boxes.distributions(features, anchors),
                grid=grid,
                threshold=threshold,
            )

    def check(self, expected: Tensor) -> None:
        """Compare the logits of the tile of `_probe` with torch's.

        Args:
            expected: A, the logits of torch.

        Raises:
            UnusableRuntime: they differ by more than the bounds of the precision.
        """
        with self._lock:
            logits = self._run(_probe())[0].clone()
        score_error = float((logits.sigmoid() - expected.sigmoid()).abs().max())
        logit_error = float(((logits - expected).abs() / expected.abs().clamp(min=1)).max())
        score_bound, logit_bound = SCORE_BOUND[self.precision], LOGIT_BOUND[self.precision]
        if not (score_error <= score_bound and logit_error <= logit_bound):  # also when NaN
            raise UnusableRuntime(
                f"{self.name} differs from torch by {score_error:.2g} in scores and {logit_error:.2g} in logits, more "
                f"than {score_bound:g} and {logit_bound:g}; set YOLO_MLSAM_RUNTIME=torch"
            )

    def _run(self, tile: Planes) -> list[Tensor]:
        """Logits (A) and feature maps (C x H x W); they are valid until the next run."""
        self._request.infer([tile[None]], share_inputs=True)
        return [torch.from_numpy(tensor.data)[0] for tensor in self._request.output_tensors]


def export(network: DetectorNetwork) -> openvino.Model:
    """Convert a network to OpenVINO, for tiles of any size.

    Raises:
        RuntimeError: OpenVINO does not support the network.
    """
    module = _Exported(deepcopy(network)).eval()  # a copy: the conversion changes the mode of the module
    model = convert_network(module, torch.zeros(1, 3, 64, 96))
    model.reshape([1, 3, -1, -1])
    return model


def _name(key: str) -> str:
    """Name of the exported network; changes with the weights, OpenVINO, and the code that builds and exports it."""
    code = hashlib.sha256(f"{ultralytics.__version__} {torch.__version__}".encode())
    for module in (attention.__file__, network_module.__file__, __file__):
        code.update(Path(module).read_bytes())
    return f"{key[:32]}-{release()}-{code.hexdigest()[:16]}"


def _probe() -> Planes:
    """A tile of noise on which runtimes are compared; its sides are no multiples of 64, so that padding matters."""
    return np.random.default_rng(0).random((3, 224, 160), np.float32)


@torch.inference_mode()
def _logits_of_torch(network: DetectorNetwork) -> Tensor:
    """A logits of torch for the tile of `_probe`."""
    device = next(network.parameters()).device
    output = network(torch.from_numpy(_probe())[None].to(device))
    raw: RawMaps = output[1] if isinstance(output, tuple) else output
    return raw["scores"][0, 0].float().cpu()
