"""From a file to pixels and to the annotator's picture: ours against plain pydicom; and drawing a phantom."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from pydicom.pixels import apply_voi_lut

from benchmarks.result import Result, interleaved, milliseconds
from mammo.dicom import display_twin, encode_png, read_mammogram, write_mammogram
from mammo.phantom import phantom_view, vendor_a, vendor_b

SYNTAXES: tuple[Literal["explicit", "rle", "jpeg-ls"], ...] = ("explicit", "rle", "jpeg-ls")


def run() -> Result:
    view = phantom_view(1, clusters=1)
    with tempfile.TemporaryDirectory() as folder:
        candidates: dict[str, Callable[[], object]] = {}
        files = {syntax: Path(folder) / f"{syntax}.dcm" for syntax in SYNTAXES}
        for syntax, path in files.items():
            write_mammogram(
                path, view.stored, laterality="L", view="CC", spacing_mm=view.spacing_mm, bits=view.bits,
                patient_id="BENCH", entropy="bench", syntax=syntax,
            )  # fmt: skip
            candidates[f"read, {syntax}, plain pydicom"] = lambda path=path: by_pydicom(path)
            candidates[f"read, {syntax}, read_mammogram"] = lambda path=path: read_mammogram(path)
        candidates["display, plain pydicom"] = lambda: twin_by_pydicom(files["explicit"])
        candidates["display, display_twin"] = lambda: display_twin(files["explicit"])
        twin = display_twin(files["explicit"])
        candidates["display twin to PNG"] = lambda: encode_png(twin)
        candidates["draw a phantom view, vendor_a"] = lambda: phantom_view(1, appearance=vendor_a())
        candidates["draw a phantom view, vendor_b"] = lambda: phantom_view(1, appearance=vendor_b())
        sizes = {syntax: path.stat().st_size / 1e6 for syntax, path in files.items()}
        seconds = interleaved(candidates, rounds=5)
    megabytes = ", ".join(f"{syntax} {size:.1f} MB" for syntax, size in sizes.items())
    return Result(
        title=f"Imaging, {view.size.width} x {view.size.height}, {view.bits} bit phantom",
        method=f"Median of 5 interleaved rounds; files: {megabytes}.",
        columns=("what", "time"),
        rows=[(name, milliseconds(value)) for name, value in seconds.items()],
    )


def by_pydicom(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Stored values in [0, 1], without any check."""
    dataset = pydicom.dcmread(path)
    return dataset.pixel_array.astype(np.float32) / np.float32(2**dataset.BitsStored - 1)


def twin_by_pydicom(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Windowed to 8 bits, pixel by pixel."""
    dataset = pydicom.dcmread(path)
    grey = apply_voi_lut(dataset.pixel_array, dataset)
    return np.round(grey / (2**dataset.BitsStored - 1) * 255).astype(np.uint8)
