"""Networks exported to OpenVINO: store, load, and compile them for this processor. Torch is not imported."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # `import openvino` sends usage reports

import openvino  # type: ignore[import-untyped]  # noqa: E402

Precision = Literal["f32", "bf16"]
"""`bf16` needs a processor with bfloat16: OpenVINO silently computes in float32 on others, see `compile_network`."""

MAX_STORED = 8
"""Exported networks that are stored side by side; the oldest are deleted."""


def convert_network(network: Any, example: Any) -> openvino.Model:
    """Convert a network of torch by tracing it.

    Torch's own check of a trace would run it twice more and import `torch.distributed`, 2 s of CPU time. Who converts a
    network compares its outputs with torch's.

    Args:
        network: a module, in evaluation mode.
        example: its input, or a tuple of its inputs.

    Raises:
        RuntimeError: OpenVINO does not support the network.
    """
    from openvino.frontend.pytorch.ts_decoder import (  # type: ignore[import-untyped]  # imports torch
        TorchScriptPythonDecoder,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every shape that becomes a constant
        trace = TorchScriptPythonDecoder(network, example_input=example, trace_kwargs={"check_trace": False})
        return openvino.convert_model(trace, example_input=example)


def compile_network(
    model: openvino.Model, *, precision: Precision, threads: int
) -> tuple[openvino.InferRequest, Precision]:
    """Compile a network for this processor; returns it with the precision that it computes in.

    OpenVINO silently falls back to float32 on a processor without bfloat16 (with AVX2 only); the compiled network
    states which one it uses.

    Args:
        threads: CPU threads; 0 lets OpenVINO choose.

    Raises:
        RuntimeError: OpenVINO cannot compile the network for this processor.
    """
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # torch and other processes share the processor
    }
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    network = openvino.Core().compile_model(model, "CPU", settings)
    is_bf16 = network.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    return network.create_infer_request(), "bf16" if is_bf16 else "f32"


class CompiledNetwork:
    """A compiled network. Concurrent calls are serialised: in parallel they are no faster and need more memory."""

    precision: Precision
    """Precision that it computes in; may differ from the requested one."""

    def __init__(self, model: openvino.Model, *, precision: Precision, threads: int) -> None:
        """See `compile_network`."""
        self._request, self.precision = compile_network(model, precision=precision, threads=threads)
        self._lock = threading.Lock()

    def __call__(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return copies of the outputs, in the model's order."""
        with self._lock:
            self._request.infer(list(inputs), share_inputs=True)
            return [np.array(tensor.data) for tensor in self._request.output_tensors]


def load_exported(folder: Path, names: tuple[str, ...]) -> dict[str, openvino.Model] | None:
    """Load the exported networks of a folder by name; None if one is missing or cannot be read."""
    if not all((folder / f"{name}.xml").is_file() for name in names):
        return None
    try:
        return {name: openvino.Core().read_model(folder / f"{name}.xml") for name in names}
    except RuntimeError:
        return None


def store_exported(models: Mapping[str, openvino.Model], folder: Path) -> None:
    """Store exported networks atomically, and delete the oldest sibling folders; on a full disk, store nothing.

    Args:
        folder: Its name contains everything that the networks depend on; an existing, damaged one is replaced.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=".part-", ignore_cleanup_errors=True
        ) as part:
            complete = Path(part) / "complete"
            complete.mkdir()
            for name, model in models.items():
                openvino.save_model(model, complete / f"{name}.xml", compress_to_fp16=False)
            if folder.exists():
                folder.rename(Path(part) / "damaged")
            os.rename(complete, folder)
        siblings = [path for path in folder.parent.iterdir() if not path.name.startswith(".")]
        for old in sorted(siblings, key=lambda path: -path.stat().st_mtime)[MAX_STORED:]:
            shutil.rmtree(old, ignore_errors=True)


def save_network(model: openvino.Model, path: Path) -> None:
    """Write an exported network in float32 to `path`, an .xml file, and the .bin file beside it.

    Network, operations and tensors are renamed: OpenVINO counts their names through the process, and the same network
    would give other bytes.

    Raises:
        OSError: a file cannot be written.
    """
    model.set_friendly_name(path.stem)
    for number, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(f"n{number}")
        for index, output in enumerate(operation.outputs()):
            output.get_tensor().set_names({f"n{number}.{index}"})
    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"{path.name} cannot be written") from error


def release() -> str:
    """Return OpenVINO's version without its build number."""
    return str(openvino.get_version().split("-")[0])
