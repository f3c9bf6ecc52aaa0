"""Each claim needs an interpreter that has seen nothing yet."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mammo.detector import DetectorSpec, load_network, save_detector
from tests.mammo.detector.networks import lively_network

REPOSITORY = Path(__file__).parents[3]


def run(code: str, *arguments: str | Path) -> Any:
    """What a fresh interpreter prints last, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


REBUILD = """
import hashlib, json, sys
from pathlib import Path
import pytest
import torch
from mammo.detector import load_network
torch.set_num_threads(1)
network, facts = load_network(Path(sys.argv[1]))
with torch.inference_mode():
    output = network(torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(8)))[0]
print(json.dumps([hashlib.sha256(output.numpy().tobytes()).hexdigest(), facts, network.spec.attention]))
"""


def test_a_detector_from_its_file_computes_the_same_bits_in_a_fresh_process(tmp_path: Path) -> None:
    spec = DetectorSpec(p2=True, after=(2, 4, 6), class_width=80)
    path = tmp_path / "detector.safetensors"
    save_detector(path, lively_network(spec), facts={"seed": 1})
    network, _ = load_network(path)
    with torch.inference_mode():
        output = network(torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(8)))[0]
    assert float(output[:, 4].max() - output[:, 4].min()) > 0.1  # not all alike
    digest = hashlib.sha256(output.numpy().tobytes()).hexdigest()
    assert run(REBUILD, path) == [digest, {"seed": 1}, spec.attention]
    again = tmp_path / "again.safetensors"
    save_detector(again, network, facts={"seed": 1})
    assert again.read_bytes() == path.read_bytes()


FINGERPRINT = """
import hashlib, importlib, json, sys, types
if sys.argv[1] == "ours":
    import mammo.detector.public, training.detector.finetune, training.detector.start
    from mammo.detector import DetectorNetwork, DetectorSpec
    from training.detector.box_loss import BoxLoss, DetectorLoss
    from training.detector.trainer import TrainableNetwork
    for kind in ("cbam", "se", "eca", "none"):
        network = TrainableNetwork(DetectorSpec(attention=kind, p2=kind == "se", class_width=80), gate_bias=4.0,
                                   rule=BoxLoss(kind="siou"))
        network.args = types.SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
        network.init_criterion()
    network.eval().fuse(verbose=False)
else:
    import os
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_CONFIG_DIR=sys.argv[2])
    from ultralytics.nn.tasks import DetectionModel
    DetectionModel("yolov8n.yaml", verbose=False)  # sets a class attribute of its head

def describe(value):
    if isinstance(value, (types.FunctionType,)):
        return [value.__module__, value.__qualname__, hashlib.sha256(value.__code__.co_code).hexdigest()]
    if isinstance(value, type):
        return [value.__module__, value.__qualname__]
    if isinstance(value, (staticmethod, classmethod)):
        return describe(value.__func__)
    if isinstance(value, (bool, int, float, str, type(None))):
        return [repr(value)]
    return [type(value).__qualname__]

names = ["nn.tasks", "nn.modules", "nn.modules.block", "nn.modules.conv", "nn.modules.head", "utils.loss", "utils.tal",
         "utils.torch_utils", "engine.trainer", "engine.exporter", "models.yolo.detect.train", "data.dataset"]
seen = {}
for name in names:
    module = importlib.import_module(f"ultralytics.{name}")
    for key, value in vars(module).items():
        if key == "__builtins__":
            continue
        seen[f"{name}.{key}"] = describe(value)
        if isinstance(value, type) and value.__module__.startswith("ultralytics"):
            for inner, member in vars(value).items():
                seen[f"{name}.{key}.{inner}"] = describe(member)
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_no_global_and_no_class_of_ultralytics_is_touched(tmp_path: Path) -> None:
    ours = run(FINGERPRINT, "ours")
    stock = run(FINGERPRINT, "stock", tmp_path)
    assert len(stock) > 1000
    assert {key: ours.get(key) for key, value in stock.items() if ours.get(key) != value} == {}
    assert set(ours) - set(stock) == set()
