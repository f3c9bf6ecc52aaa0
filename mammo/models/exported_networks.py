"""Networks exported to OpenVINO: kept by name, read back, compiled for this processor. Torch is not imported here."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # `import openvino` reports usage without asking

import openvino  # type: ignore[import-untyped]  # noqa: E402

Precision = Literal["f32", "bf16"]
"""`bf16` where the processor has it: OpenVINO computes in float32 elsewhere, see `compiled`."""

KEPT = 8
"""Exported networks that stay in a folder; the oldest go."""


def compiled(
    model: openvino.Model, *, precision: Precision, threads: int
) -> tuple[openvino.InferRequest, Precision]:
    """Compile a network for this processor; also the precision that it computes in.

    OpenVINO takes float32 without a word where the processor knows no bfloat16 (one with AVX2 alone): only the compiled
    network tells.

    Args:
        threads: CPU threads; 0 lets OpenVINO choose.

    Raises:
        RuntimeError: OpenVINO cannot compile it for this processor.
    """
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the processor is shared with torch and with other processes
    }
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    network = openvino.Core().compile_model(model, "CPU", settings)
    reduced = network.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    return network.create_infer_request(), "bf16" if reduced else "f32"


class CompiledNetwork:
    """Calls of several threads take turns: together they would be no faster, and need the memory of several."""

    precision: Precision
    """What it computes in, which need not be what was asked for."""

    def __init__(self, model: openvino.Model, *, precision: Precision, threads: int) -> None:
        """See `compiled`."""
        self._request, self.precision = compiled(model, precision=precision, threads=threads)
        self._turn = threading.Lock()

    def __call__(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs, in the model's order, copied."""
        with self._turn:
            self._request.infer(list(inputs), share_inputs=True)
            return [np.array(tensor.data) for tensor in self._request.output_tensors]


def kept(folder: Path, names: tuple[str, ...]) -> dict[str, openvino.Model] | None:
    """The exported networks of a folder; None where one is missing or cannot be read."""
    if not all((folder / f"{name}.xml").is_file() for name in names):
        return None
    try:
        return {name: openvino.Core().read_model(folder / f"{name}.xml") for name in names}
    except RuntimeError:
        return None


def keep(models: Mapping[str, openvino.Model], folder: Path) -> None:
    """Store exported networks in one step and drop the oldest folders beside; a full disk keeps nothing.

    Args:
        folder: named after all that decides the networks; replaced where it is there already and torn.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=".part-", ignore_cleanup_errors=True
        ) as part:
            whole = Path(part) / "whole"
            whole.mkdir()
            for name, model in models.items():
                openvino.save_model(model, whole / f"{name}.xml", compress_to_fp16=False)
            if folder.exists():
                folder.rename(Path(part) / "torn")
            os.rename(whole, folder)
        beside = [path for path in folder.parent.iterdir() if not path.name.startswith(".")]
        for old in sorted(beside, key=lambda path: -path.stat().st_mtime)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def release() -> str:
    """OpenVINO's version, without its build."""
    return str(openvino.get_version().split("-")[0])
