"""Each claim in a fresh interpreter: what an import does can be seen only once per process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]

PROBE = """
import json, os, socket, subprocess, sys
calls = []
def record(name):
    def refuse(*args, **kwargs):
        calls.append(name)
        raise OSError("no network in this test")
    return refuse
socket.getaddrinfo = record("getaddrinfo")
socket.socket.connect = record("connect")
import torch
threads = torch.get_num_threads()
import mammo.detector
slow = sorted({"torchvision", "torch._dynamo", "openvino"} & set(sys.modules))
from ultralytics import settings
from ultralytics.utils.checks import check_font
print(json.dumps({
    "calls": calls,
    "slow": slow,
    "config": os.environ["YOLO_CONFIG_DIR"],
    "font": str(check_font("Arial.ttf")),
    "threads_kept": torch.get_num_threads() == threads,
    "omp": os.environ.get("OMP_NUM_THREADS"),
    "trackers": [k for k in ("sync", "mlflow", "clearml", "comet", "dvc", "raytune", "wandb") if settings[k]],
    "runs": settings["runs_dir"],
}))
"""


def probe(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "OMP_", "MPLCONFIGDIR"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "PYTHONPATH": str(REPOSITORY), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_the_detector_reaches_no_network_writes_nowhere_else_and_cleans_up(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    done = probe(PROBE, here, HOME=str(home))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["calls"] == []
    assert seen["trackers"] == []
    assert seen["slow"] == []  # torchvision alone takes four seconds, for the compiler that it imports
    assert seen["threads_kept"]
    assert seen["omp"] is None
    assert seen["font"].endswith("Arial.ttf")
    assert seen["runs"].startswith(seen["config"])
    assert not Path(seen["config"]).exists()
    assert not list(home.rglob("*ltralytics*"))
    assert not list(here.iterdir())


def test_a_config_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file-and-no-folder"
    blocked.write_text("")
    code = "import mammo.detector, os; print(os.environ['YOLO_CONFIG_DIR'])"
    done = probe(code, tmp_path, HOME="/proc", YOLO_CONFIG_DIR=str(blocked))
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip().endswith("a-file-and-no-folder")


def test_ultralytics_imported_first_is_an_error_not_a_silent_leak(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ultralytics'] = sys; import mammo.detector"
    done = probe(code, tmp_path, HOME=str(tmp_path))
    assert done.returncode != 0
    assert "imported before mammo.detector" in done.stderr
