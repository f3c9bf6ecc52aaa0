"""Starts of processes: `runs list`, the backend until `/health` answers, and the first result of `prelabel`.

python -m benchmarks.starts --against FOLDER     another checkout of this repository, run with the same interpreter
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.result import Result

HERE = Path(__file__).parents[1]
DEADLINE = 120.0


def run(against: Path | None = None, *, rounds: int = 3) -> Result:
    """Measure this checkout, and another one in turns."""
    trees = {"before (baseline)": against, "now": HERE} if against else {"now": HERE}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "phantoms"
        _python(HERE, Path(folder), "-m", "cli", "phantom", "--out", str(image), "--patients", "1")
        dicom = next(path for path in sorted(image.rglob("*.dcm")))
        measures: dict[str, Callable[[Path, Path], float]] = {
            "backend until `/health` answers": _health,
            "`yolo-mlsam runs list`": lambda tree, data: _python(tree, data, "-m", "cli", "runs", "list"),
            "`yolo-mlsam prelabel`, one image, exported networks there": lambda tree, data: _python(
                tree, data, "-m", "cli", "prelabel", str(dicom), "--out", str(data / "out")
            ),
        }
        rows = []
        for what, measure in measures.items():
            seconds: dict[str, list[float]] = {name: [] for name in trees}
            for number in range(rounds + 1):  # the first makes bytecode, database and exported networks
                for name, tree in trees.items():
                    data = Path(folder) / name.split()[0]
                    data.mkdir(exist_ok=True)
                    took = measure(tree, data)
                    if number:
                        seconds[name].append(took)
            rows += [_row(what, name, seconds) for name in trees]
    return Result(
        title="Starts of processes",
        method=(
            f"Processor seconds (user and system) of the process, median of {rounds} interleaved rounds after one that "
            "makes bytecode, database and exported networks."
        ),
        columns=("what", "which", "processor time", "against the baseline"),
        rows=rows,
    )


def _row(what: str, name: str, seconds: dict[str, list[float]]) -> tuple[str, ...]:
    own, before = seconds[name], next(iter(seconds.values()))
    ratio = statistics.median(old / new for old, new in zip(before, own, strict=True))
    return what, name, f"{statistics.median(own):.2f} s", f"{ratio:.2f} x"


def _environment(tree: Path, data: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(tree),
        "YOLO_MLSAM_DATA_DIR": str(data / "data"),
        "YOLO_MLSAM_REDIS_URL": "redis://127.0.0.1:1",
        "OMP_NUM_THREADS": "1",
    }


def _python(tree: Path, data: Path, *arguments: str) -> float:
    """Processor seconds of a process that ends by itself; its exit code must be 0."""
    before = os.times()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=_environment(tree, data),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def _health(tree: Path, data: Path) -> float:
    """Processor seconds of the backend until its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = _environment(tree, data) | {"YOLO_MLSAM_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "backend", "--insecure"],
        cwd=tree,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10):
                    times = psutil.Process(process.pid).cpu_times()
                    return times.user + times.system
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.005)
        raise TimeoutError("the backend did not answer")
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(run(chosen.against, rounds=chosen.rounds).markdown())
