"""OpenVinoRuntime: the network exported once and run by OpenVINO.

Exported is all but the box branch of the head: it runs in torch, at the few anchors whose score reaches the threshold.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
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
from mammo.models.exported_networks import Precision, compile_network, load_exported, release, store_exported

SCORE_BOUND: dict[Precision, float] = {"f32": 1e-4, "bf16": 0.02}
"""Largest difference of a score from torch's."""

LOGIT_BOUND: dict[Precision, float] = {"f32": 1e-3, "bf16": 0.1}
"""Largest difference of a logit from torch's, as a part of the logit or of 1: where scores are near 0 or 1 they alone
would not tell one network from another."""


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
    """One exported network, compiled for this processor. `precision` and `name` say what it computes in, not what was
    asked for.

    Calls of several threads take turns at the processor: together they would need each other's caches and the memory
    of several tiles, and be no faster.
    """

    def __init__(
        self, model: openvino.Model, network: DetectorNetwork, *, precision: Precision, threads: int
    ) -> None:
        head = network.model[-1]
        self._request, self.precision = compile_network(model, precision=precision, threads=threads)
        self.name = "openvino" if self.precision == "f32" else "openvino-bf16"
        self._strides = [float(stride) for stride in head.stride]
        self._boxes = BoxBranch(deepcopy(head).requires_grad_(False))
        self._turn = threading.Lock()

    @classmethod
    def open(
        cls, network: DetectorNetwork, *, precision: Precision, key: str, cache: Path | None, threads: int
    ) -> Self:
        """Load the exported network from the cache, or export it, and check it against torch.

        Args:
            network: fused, in evaluation mode; left as it is.
            key: names its weights.
            cache: folder of exported networks, or None.

        Raises:
            UnusableRuntime: OpenVINO cannot express the network, or computes something else than torch.
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
                    pass  # torn or tampered with: export again
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

    def look(self, tile: Planes, *, threshold: float) -> Tensor:
        with self._turn, torch.inference_mode():
            logits, *features = self._run(tile)
            grid = [
                (*feature.shape[1:], stride) for feature, stride in zip(features, self._strides, strict=True)
            ]
            return decode_anchors(
                logits,
                lambda chosen: self._boxes.distributions(features, chosen),
                grid=grid,
                threshold=threshold,
            )

    def check(self, expected: Tensor) -> None:
        """Compare with the logits that torch gives for the tile of `_probe`.

        Raises:
            UnusableRuntime: they differ by more than the bounds of its precision.
        """
        with self._turn:
            logits = self._run(_probe())[0].clone()
        scores = float((logits.sigmoid() - expected.sigmoid()).abs().max())
        apart = float(((logits - expected).abs() / expected.abs().clamp(min=1)).max())
        bounds = SCORE_BOUND[self.precision], LOGIT_BOUND[self.precision]
        if not (scores <= bounds[0] and apart <= bounds[1]):  # also when no numbers
            raise UnusableRuntime(
                f"{self.name} differs from torch by {scores:.2g} in scores and {apart:.2g} in logits, more than "
                f"{bounds[0]:g} and {bounds[1]:g}; set YOLO_MLSAM_RUNTIME=torch"
            )

    def _run(self, tile: Planes) -> list[Tensor]:
        """Logits (A) and feature maps (C x H x W); they live in the request until its next run."""
        self._request.infer([tile[None]], share_inputs=True)
        return [torch.from_numpy(tensor.data)[0] for tensor in self._request.output_tensors]


def export(network: DetectorNetwork) -> openvino.Model:
    """Turn a network into OpenVINO's form, for tiles of any size.

    Raises:
        RuntimeError: it cannot be expressed.
    """
    module = _Exported(deepcopy(network)).eval()  # a copy: the conversion switches modes on what it is given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it sees as a number
        model = openvino.convert_model(module, example_input=torch.zeros(1, 3, 64, 96))
    model.reshape([1, 3, -1, -1])
    return model


def _name(key: str) -> str:
    """Changes with the weights, with OpenVINO and with the code that builds and exports the network."""
    code = hashlib.sha256(f"{ultralytics.__version__} {torch.__version__}".encode())
    for module in (attention.__file__, network_module.__file__, __file__):
        code.update(Path(module).read_bytes())
    return f"{key[:32]}-{release()}-{code.hexdigest()[:16]}"


def _probe() -> Planes:
    """A tile of noise on which runtimes are compared; no multiple of 64, so that padding shows."""
    return np.random.default_rng(0).random((3, 224, 160), np.float32)


@torch.inference_mode()
def _logits_of_torch(network: DetectorNetwork) -> Tensor:
    device = next(network.parameters()).device
    output = network(torch.from_numpy(_probe())[None].to(device))
    raw: RawMaps = output[1] if isinstance(output, tuple) else output
    return raw["scores"][0, 0].float().cpu()
