"""No connection is opened by import, training, detection or export.

What this covers: every socket call and name look-up of Python code, in the process and in every Python process that it
starts (the guard is a `sitecustomize`), and the start of any program that could go out by itself: pip, uv, curl, wget.
What it cannot see: native code with a resolver of its own; none of our libraries brings one (`strace` once, see
docs/models.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

GUARD = """
import json, os, socket, subprocess, traceback

def note(what, details):
    with open(os.environ["NETWORK_LOG"], "a") as log:
        log.write(json.dumps([what, repr(details), traceback.format_stack(limit=8)]) + "\\n")

def refuse(name, function):
    def guarded(*arguments, **options):
        unix = name.startswith("socket.") and getattr(arguments[0], "family", None) == socket.AF_UNIX
        if unix:
            return function(*arguments, **options)
        note(name, arguments[-1:])
        raise OSError("no network in this test")
    return guarded

for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    setattr(socket.socket, name, refuse(f"socket.{name}", getattr(socket.socket, name)))
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "create_connection"):
    setattr(socket, name, refuse(name, getattr(socket, name)))

start = subprocess.Popen.__init__

def guarded_start(self, arguments, *more, **options):
    words = arguments.split() if isinstance(arguments, str) else [os.fspath(word) for word in arguments]
    words = [word.decode() if isinstance(word, bytes) else word for word in words]
    if any(os.path.basename(word) in ("pip", "pip3", "uv", "curl", "wget", "git", "yolo") for word in words):
        note("subprocess", words)
        raise OSError("no network in this test")
    start(self, arguments, *more, **options)

subprocess.Popen.__init__ = guarded_start
"""

EVERYTHING = """
import sys
from dataclasses import replace
from pathlib import Path

folder = Path(sys.argv[1])
import mammo.detector
import torch
from mammo.detector import Detector, load_network
from mammo.geometry import Box
from tests.training.detector_cases import case
from training.cases import silent
from training.detector.finetune import finetune_detector
from training.detector.recipes import detector_smoke

torch.set_num_threads(1)
box = Box(60, 200, 110, 250)
cases = [case(1, box), case(2)]
recipe = replace(detector_smoke(), tile=96, validation_crops=1)
weights = finetune_detector(cases, [case(3, box)], start=None, recipe=recipe, folder=folder / "run", progress=silent)
print("trained")
Detector.load(weights).detect(cases[0].read().pixels, threshold=0.5, spacing=None)
print("detected")
import openvino
from ultralytics.engine.exporter import Exporter
from ultralytics.utils import DEFAULT_CFG_DICT
network, _ = load_network(weights)
network.args, network.task, network.pt_path = dict(DEFAULT_CFG_DICT), "detect", str(folder / "exported.pt")
traced = Exporter(overrides={"format": "torchscript", "imgsz": 64, "batch": 1, "device": "cpu"})(model=network)
openvino.convert_model(torch.jit.load(traced), example_input=torch.zeros(1, 3, 64, 64))
print("exported", "mlflow" in sys.modules)
"""


def run(code: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[list[object]]]:
    """Run under the guard; also what it noted."""
    guard, home, here = folder / "guard", folder / "home", folder / "here"
    for created in (guard, home, here):
        created.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    log = folder / "network.log"
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "MPLCONFIG"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={
            **inherited,
            "PYTHONPATH": f"{guard}{os.pathsep}{REPOSITORY}",
            "NETWORK_LOG": str(log),
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
        },
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    noted = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return done, noted


@pytest.mark.slow
def test_import_training_detection_and_export_open_no_connection(tmp_path: Path) -> None:
    done, noted = run(EVERYTHING, tmp_path)
    assert done.returncode == 0, done.stderr
    # `False`: ultralytics does not log to MLflow.
    assert done.stdout.split() == ["trained", "detected", "exported", "False"]
    assert noted == []
    assert list((tmp_path / "home").rglob("*")) == []


def test_the_guard_notices_a_connection_a_look_up_a_program_and_a_child(tmp_path: Path) -> None:
    code = """
import socket, subprocess, sys, threading, urllib.request
attempts = [
    lambda: urllib.request.urlopen("http://192.0.2.1/"),
    lambda: socket.gethostbyname("example.org"),
    lambda: subprocess.run([sys.executable, "-m", "pip", "--version"]),
    lambda: subprocess.run([sys.executable, "-c", "import socket; socket.socket().connect(('192.0.2.1', 80))"]),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
]
for attempt in attempts:
    try:
        attempt()
    except OSError:
        pass
"""
    _, noted = run(code, tmp_path)
    assert [entry[0] for entry in noted] == [
        "create_connection",
        "gethostbyname",
        "subprocess",
        "socket.connect",
        "socket.sendto",
    ]
