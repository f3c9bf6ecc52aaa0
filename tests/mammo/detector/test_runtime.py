from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mammo
from mammo.detector import Detection, Detector, DetectorNetwork, DetectorSpec, load_network, save_detector
from mammo.detector import runtime_openvino as ov
from mammo.detector.normalise import Planes
from mammo.detector.runtime import Runtime, RuntimeName, TorchRuntime, open_runtime
from mammo.errors import UnusableRuntime
from mammo.models import exported_networks
from mammo.phantom import phantom_view
from mammo.pixels import Pixels
from mammo.processor import has_bfloat16
from tests.mammo.detector.networks import lively_network

STARTER = Path(mammo.__file__).parent / "starter" / "detector.safetensors"

Open = Callable[[RuntimeName], Runtime]


@pytest.fixture(scope="module", autouse=True)
def _each_network_is_converted_once() -> Iterator[None]:
    """A conversion takes seconds, and what becomes of its result is what these tests are about."""
    exported: dict[str, Any] = {}
    export = ov.export

    def remembered(network: DetectorNetwork) -> Any:
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        name = digest.hexdigest()
        if name not in exported:
            exported[name] = export(network)
        return exported[name].clone()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ov, "export", remembered)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "exported"


@pytest.fixture(scope="module")
def detectors(cache: Path) -> dict[str, Detector]:
    names: tuple[RuntimeName, ...] = ("torch", "openvino", "openvino-bf16")
    return {name: Detector.load(STARTER, threads=1, runtime=name, cache=cache) for name in names}


@pytest.fixture(scope="module")
def view() -> Pixels:
    phantom = phantom_view(9005, clusters=2, width=1024, height=1408)
    return phantom.stored.astype(np.float32) / np.float32(2**phantom.bits - 1)


def noise(height: int, width: int, *, seed: int = 0) -> Planes:
    return np.random.default_rng(seed).random((3, height, width), np.float32)


def differences(ours: list[Detection], theirs: list[Detection]) -> tuple[float, int]:
    """Largest difference of scores, and of corners in whole pixels, between two lists in the same order."""
    assert len(ours) == len(theirs)
    pairs = list(zip(ours, theirs, strict=True))
    scores = max(abs(a.score - b.score) for a, b in pairs)
    corners = max(
        abs(p - q) for a, b in pairs for p, q in zip(a.box.as_tuple(), b.box.as_tuple(), strict=True)
    )
    return scores, corners


def test_openvino_scores_the_starters_findings_within_1e_4_of_torch_and_a_pixel(
    detectors: dict[str, Detector], view: Pixels
) -> None:
    expected = detectors["torch"].detect(view, threshold=0.02, spacing=None)
    assert len(expected) >= 2
    scores, corners = differences(detectors["openvino"].detect(view, threshold=0.02, spacing=None), expected)
    assert scores < 1e-4
    assert corners <= 1


def test_bfloat16_stays_within_its_own_bound(detectors: dict[str, Detector], view: Pixels) -> None:
    expected = detectors["torch"].detect(view, threshold=0.3, spacing=None)
    assert expected
    detections = detectors["openvino-bf16"].detect(view, threshold=0.02, spacing=None)
    for detection in expected:
        nearest = max(detections, key=lambda other: other.box.iou(detection.box))
        assert nearest.box.iou(detection.box) > 0.95
        assert nearest.score == pytest.approx(detection.score, abs=0.02)


def test_a_processor_without_bfloat16_computes_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What OpenVINO does there, on whatever processor this runs."""

    def without(
        model: Any, *, precision: str, threads: int, compile_network: Any = ov.compile_network
    ) -> Any:
        return compile_network(model, precision="f32", threads=threads)

    monkeypatch.setattr(ov, "compile_network", without)
    network, _ = load_network(STARTER)
    network.fuse(verbose=False)
    with caplog.at_level(logging.WARNING):
        runtime = open_runtime(network, name="openvino-bf16", key="", cache=None, threads=1)
        assert "this processor does not support bfloat16" in caplog.text
        assert runtime.name == "openvino"
        caplog.clear()
        open_runtime(network, name="openvino", key="", cache=None, threads=1)
        assert caplog.text == ""


@pytest.mark.parametrize(
    "spec", [DetectorSpec(p2=True), DetectorSpec(attention="eca"), DetectorSpec(attention="none")]
)
def test_a_lively_network_of_any_kind_gives_the_same_boxes_on_tiles_of_any_size(spec: DetectorSpec) -> None:
    """Many anchors, all maps, at every border: the box branch run at chosen anchors equals the whole maps."""
    network = lively_network(spec, spread=0.5).fuse(verbose=False)
    ours = open_runtime(network, name="openvino", key="", cache=None, threads=1)
    reference = open_runtime(network, name="torch", key="", cache=None, threads=1)
    for height, width in ((32, 32), (96, 256), (224, 160)):
        tile = noise(height, width, seed=width)
        expected = reference.detect(tile, threshold=0.05)
        assert len(expected) > 3
        boxes = ours.detect(tile, threshold=0.05)
        apart, nearest = torch.cdist(expected[:80, :4], boxes[:, :4], p=torch.inf).min(1)
        assert float(apart.max()) < 0.05
        torch.testing.assert_close(boxes[nearest, 4], expected[:80, 4], atol=1e-4, rtol=0)


def test_threads_share_one_runtime_without_disturbing_each_other() -> None:
    network = lively_network(DetectorSpec(), spread=0.5).fuse(verbose=False)
    runtime = open_runtime(network, name="openvino", key="", cache=None, threads=1)
    jobs = [(noise(64 + 32 * (n % 3), 96 + 32 * (n % 4), seed=n), 0.05 if n % 2 else 0.3) for n in range(24)]
    alone = [runtime.detect(tile, threshold=threshold) for tile, threshold in jobs]
    assert sum(map(len, alone)) > 20
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: runtime.detect(job[0], threshold=job[1]), jobs))
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours, theirs)


def test_a_network_is_exported_once_and_then_read_from_the_cache(
    detectors: dict[str, Detector], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(cache.iterdir())) == 1
    assert not list(cache.glob(".part-*"))
    assert cache.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(ov, "export", lambda _: pytest.fail("exported again"))
    assert Detector.load(STARTER, threads=1, cache=cache).runtime.name == "openvino"


def weights(folder: Path, *, seed: int) -> Path:
    path = folder / f"{seed}.safetensors"
    save_detector(path, lively_network(DetectorSpec(attention="none"), seed=seed, spread=0.5), facts={})
    return path


def test_auto_computes_in_bfloat16_only_where_it_may(cache: Path) -> None:
    may = "openvino-bf16" if has_bfloat16() else "openvino"
    assert Detector.load(STARTER, threads=1, cache=cache, bfloat16=True).runtime.name == may
    assert (
        Detector.load(STARTER, threads=1, runtime="openvino", cache=cache, bfloat16=True).computes
        == "openvino"
    )
    assert Detector.load(STARTER, threads=1, runtime="torch", cache=cache, bfloat16=True).computes == "torch"


def test_auto_falls_back_to_float32_where_bfloat16_differs_from_torch(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ov.SCORE_BOUND, "bf16", -1.0)
    assert Detector.load(STARTER, threads=1, cache=cache, bfloat16=True).runtime.name == "openvino"


def test_other_weights_never_get_the_exported_network_of_these(tmp_path: Path) -> None:
    cache, tile = tmp_path / "cache", noise(64, 64)
    results = [
        Detector.load(weights(tmp_path, seed=seed), threads=1, cache=cache).runtime.detect(
            tile, threshold=0.01
        )
        for seed in (1, 2)
    ]
    assert len(list(cache.iterdir())) == 2
    assert not torch.equal(*results)


def test_a_damaged_export_is_made_again(tmp_path: Path) -> None:
    path, cache = weights(tmp_path, seed=1), tmp_path / "cache"
    expected = Detector.load(path, threads=1, cache=cache).runtime.detect(noise(64, 64), threshold=0.01)
    (folder,) = cache.iterdir()
    tensors = folder / "model.bin"
    damages: list[Callable[[], object]] = [
        lambda: tensors.write_bytes(tensors.read_bytes()[:1000]),
        lambda: tensors.write_bytes(bytes(reversed(tensors.read_bytes()))),
        lambda: (folder / "model.xml").write_text("<net/>"),
    ]
    for damage in damages:
        damage()
        again = Detector.load(path, threads=1, runtime="openvino", cache=cache).runtime
        assert torch.equal(again.detect(noise(64, 64), threshold=0.01), expected)


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file-and-no-folder"
    blocked.write_text("")
    assert Detector.load(weights(tmp_path, seed=1), threads=1, cache=blocked).runtime.name == "openvino"


def test_old_exports_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported_networks, "MAX_STORED", 2)
    cache = tmp_path / "cache"
    for number in range(3):
        (cache / f"old-{number}").mkdir(parents=True)
        os.utime(cache / f"old-{number}", (number, number))
    Detector.load(weights(tmp_path, seed=1), threads=1, cache=cache)
    assert len(list(cache.iterdir())) == 2
    assert (cache / "old-2").is_dir()


@pytest.mark.parametrize("fault", ["differs", "fails"])
def test_auto_falls_back_to_torch_and_says_why_where_openvino_is_wrong(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, _ = load_network(STARTER)
    network.fuse(verbose=False)
    if fault == "differs":
        wrong = lively_network(DetectorSpec(), spread=0.5).fuse(verbose=False)
        monkeypatch.setattr(ov, "export", lambda _, export=ov.export: export(wrong))
    else:
        monkeypatch.setattr(ov, "export", lambda _: (_ for _ in ()).throw(RuntimeError("no such operation")))
    with pytest.raises(UnusableRuntime, match="YOLO_MLSAM_RUNTIME=torch"):
        open_runtime(network, name="openvino", key="", cache=None, threads=1)
    with caplog.at_level(logging.WARNING):
        runtime = open_runtime(network, name="auto", key="", cache=None, threads=1)
    assert isinstance(runtime, TorchRuntime)
    assert "detector runs on torch" in caplog.text


@pytest.mark.slow
def test_openvino_is_imported_by_who_asks_for_it_and_reports_nothing(tmp_path: Path) -> None:
    code = f"""
import socket, sys
def refuse(*args, **kwargs): raise SystemExit("reached for the network")
socket.getaddrinfo = socket.socket.connect = refuse
from pathlib import Path
from mammo.detector import Detector
Detector.load(Path({str(STARTER)!r}), runtime="torch")
assert "openvino" not in sys.modules
print(Detector.load(Path({str(STARTER)!r}), threads=1).runtime.name, sys.modules["openvino_telemetry"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(mammo.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-2:] == ["openvino", "None"], done.stderr
    assert not list(tmp_path.rglob("*telemetry*"))
