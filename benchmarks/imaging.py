"""DICOM files to pixels and to the annotator's image, ours against plain pydicom; hostile files; an import of 100."""

from __future__ import annotations

import io
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import cv2
import numpy as np
import pydicom
from pydicom import uid
from pydicom.pixels import apply_voi_lut

from benchmarks.result import Result, interleaved, milliseconds
from mammo.deidentification.burned_in import clean
from mammo.deidentification.deidentify import Deidentifier
from mammo.dicom import display_twin, encode_png, read_mammogram, write_mammogram
from mammo.dicom.limits import MAX_BYTES
from mammo.dicom.reading import read_stored
from mammo.errors import MammoError
from mammo.exchange import importing
from mammo.labelstudio import ControlTags
from mammo.phantom import phantom_view, vendor_a, vendor_b

SYNTAXES: tuple[Literal["explicit", "rle", "jpeg-ls"], ...] = ("explicit", "rle", "jpeg-ls")
SIZE = (3328, 4096)
"""Width and height: 13.6 million pixels, the largest common detector."""

NUM_FILES = 100
SMALL = (1664, 2048)


def run() -> Result:
    stored = cv2.resize(phantom_view(1, clusters=1).stored, SIZE)
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), stored)
        seconds = interleaved(candidates(files, stored), rounds=9)
        seconds |= windows(files["explicit"], stored)
        seconds |= hostile()
        seconds |= imports(Path(folder))
        sizes = ", ".join(f"{name} {path.stat().st_size / 1e6:.1f} MB" for name, path in files.items())
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Result(
        title=f"Imaging, {SIZE[0]} x {SIZE[1]}, 12 bit phantom",
        method=f"Median of 9 interleaved rounds (windows: best of 9); {sizes}; largest process {peak / 1e3:.0f} MB.",
        columns=("what", "time", "baseline / ours"),
        rows=[(name, milliseconds(value), ratio(name, seconds)) for name, value in seconds.items()],
    )


def write_files(folder: Path, stored: np.ndarray) -> dict[str, Path]:  # type: ignore[type-arg]
    files = {}
    for syntax in SYNTAXES:
        files[syntax] = folder / f"{syntax}.dcm"
        write(files[syntax], stored, syntax=syntax)
    files["jpeg-2000"] = folder / "jpeg-2000.dcm"
    dataset = pydicom.dcmread(files["explicit"])
    dataset.compress(uid.JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    dataset.save_as(files["jpeg-2000"])
    return files


def write(path: Path, stored: np.ndarray, *, syntax: Any = "explicit", number: int = 1) -> None:  # type: ignore[type-arg]
    write_mammogram(
        path, stored, laterality="L", view="CC", spacing_mm=0.065, bits=12, patient_id="BENCH",
        entropy="bench", syntax=syntax, number=number,
    )  # fmt: skip


def candidates(files: Mapping[str, Path], stored: np.ndarray) -> dict[str, Callable[[], object]]:  # type: ignore[type-arg]
    calls: dict[str, Callable[[], object]] = {}
    for syntax, path in files.items():
        calls[f"read {syntax}, plain pydicom (baseline)"] = lambda path=path: by_pydicom(path)
        calls[f"read {syntax}, ours"] = lambda path=path: read_mammogram(path)
    dataset = pydicom.dcmread(files["explicit"])
    calls["file to twin, plain pydicom (baseline)"] = lambda: windowed(
        pydicom.dcmread(files["explicit"]).pixel_array, dataset
    )
    calls["file to twin, ours"] = lambda: display_twin(files["explicit"])
    twin = display_twin(files["explicit"])
    calls["twin to PNG"] = lambda: encode_png(twin)
    calls["find the breast, look for text"] = lambda: clean(stored, dense_is_high=True)
    deidentify, data = Deidentifier(b"a key of a benchmark"), files["explicit"].read_bytes()
    calls["de-identify a file"] = lambda: deidentify(data)
    calls["draw a phantom view, vendor_a"] = lambda: phantom_view(1, appearance=vendor_a())
    calls["draw a phantom view, vendor_b"] = lambda: phantom_view(1, appearance=vendor_b())
    return calls


def windows(file: Path, stored: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    """The window alone, best of several rounds: pydicom allocates 100 MB, which can be slow on a virtual machine."""
    dataset = pydicom.dcmread(file)
    opened = read_stored(file.read_bytes(), spacing=None, max_bytes=MAX_BYTES)
    return {
        "window to 8 bit, apply_voi_lut (baseline)": best(lambda: windowed(stored, dataset)),
        "window to 8 bit, ours": best(opened.display),
    }


def best(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(9):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def hostile() -> dict[str, float]:
    """The slowest of the tests' decompression bombs; the decoder processes are already running, as in a service."""
    from tests.mammo.dicom.bombs import BOMBS

    slowest = 0.0
    for make, _ in BOMBS.values():
        data = make()
        began = time.perf_counter()
        try:
            read_mammogram(data)
        except MammoError:
            slowest = max(slowest, time.perf_counter() - began)
    return {f"refuse the slowest of {len(BOMBS)} bombs": slowest}


class Project:
    """A fake of Label Studio's client."""

    def __init__(self) -> None:
        self.data: list[Mapping[str, Any]] = []

    def tasks(self, project: int) -> list[Mapping[str, Any]]:
        return [{"data": data} for data in self.data]

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        self.data += tasks
        return list(range(len(tasks)))


def imports(folder: Path) -> dict[str, float]:
    root = folder / "root"
    root.mkdir()
    stored = cv2.resize(phantom_view(2, clusters=1).stored, SMALL)
    for number in range(NUM_FILES):
        write(root / f"{number:03d}.dcm", stored, syntax="jpeg-ls", number=number)
    files = sorted(root.glob("*.dcm"))
    what = f"import {NUM_FILES} JPEG-LS files of {SMALL[0]} x {SMALL[1]}"
    rounds = itertools.count()

    def run_import(threads: int, project: Project) -> None:
        twins = folder / f"twins-{next(rounds)}"
        with patch.object(importing, "NUM_THREADS", threads):
            importing.import_files(
                files,
                project=1,
                client=project,
                tags=ControlTags(),
                options=importing.ImportOptions(root=root, twins=twins, patient_secret=b"k"),
            )
        assert len(project.data) == NUM_FILES

    done = Project()
    run_import(2, done)
    return interleaved(
        {
            f"{what}, one at a time (baseline)": lambda: run_import(1, Project()),
            f"{what}, ours": lambda: run_import(importing.NUM_THREADS, Project()),
            f"{what} again: nothing new": lambda: run_import(importing.NUM_THREADS, done),
            "two busy loops, one at a time (baseline)": lambda: busy(at_once=1),
            "two busy loops, at once": lambda: busy(at_once=2),
        },
        rounds=3,
    )


def busy(*, at_once: int) -> None:
    """Run two processes that only compute, which shows whether the cores are idle."""
    command = [sys.executable, "-c", "sum(range(60_000_000))"]
    for _ in range(2 // at_once):
        for process in [subprocess.Popen(command) for _ in range(at_once)]:
            process.wait()


def ratio(name: str, seconds: Mapping[str, float]) -> str:
    """Duration of the baseline of a row, divided by that of the row."""
    what = name.rpartition(", ours")[0] or name.rpartition(", at once")[0]
    baseline = next(
        (other for other in seconds if what and other.startswith(what) and "(baseline)" in other), None
    )
    return f"{seconds[baseline] / seconds[name]:.1f} x" if baseline else ""


def by_pydicom(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Pixel values in [0, 1], without any checks."""
    dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()))
    return dataset.pixel_array.astype(np.float32) / np.float32(2**dataset.BitsStored - 1)


def windowed(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:  # type: ignore[type-arg]
    """8-bit pixels by pydicom's `apply_voi_lut`."""
    grey = apply_voi_lut(stored, dataset)
    return np.round(grey / (2**dataset.BitsStored - 1) * 255).astype(np.uint8)
