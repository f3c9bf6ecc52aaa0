"""The exported segmenter answers as torch does, within bounds that are stated; the starter's too."""

from pathlib import Path

import numpy as np
import pytest
import structlog
import torch

import mammo
from mammo.errors import UnusableRuntime
from mammo.geometry import Point, Spacing
from mammo.models import exported_networks
from mammo.phantom import phantom_view
from mammo.segmenter import Segmenter
from mammo.segmenter.runtime import TorchRuntime
from mammo.segmenter.runtime_choice import open_runtime
from mammo.segmenter.runtime_openvino import (
    FEATURE_BOUND,
    LOGIT_BOUND,
    OpenVinoRuntime,
    export,
    verify,
)
from tests.mammo.segmenter.networks import small

STARTER = Path(mammo.__file__).parent / "starter" / "segmenter.safetensors"
WEIGHTS = "5" * 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "exported"


def opened(network, folder: Path | None, *, precision="f32") -> OpenVinoRuntime:
    return OpenVinoRuntime.open(network, precision=precision, weights=WEIGHTS, exported=folder, threads=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"combine": "hq", "presence": True},
        {"combine": "hq", "box_prior": True},
        {"hq_token": False, "combine": "sam"},
    ],
    ids=["MLSAM with presence", "MLSAM with a box prior", "SAM"],
)
def test_every_kind_of_decoder_answers_as_torch_does(changes):
    network = small(**changes)
    ours, theirs = opened(network, None), TorchRuntime(network)
    verify(ours, theirs, bound=FEATURE_BOUND["f32"])
    planes = np.random.default_rng(1).standard_normal((3, 64, 64)).astype(np.float32)
    features = theirs.encode(planes)
    previous = theirs.decode(features, [(3, 4), (9, 9)], [2, 3], previous=None).logits
    for points in range(4):
        coordinates = [*[(20.0, 30.0)] * points, (3, 4), (9, 9)]
        labels = [*[1, 0, 1][:points], 2, 3]
        for earlier in (None, previous):
            a = ours.decode(features, coordinates, labels, previous=earlier)
            b = theirs.decode(features, coordinates, labels, previous=earlier)
            np.testing.assert_allclose(a.logits, b.logits, atol=LOGIT_BOUND)
            assert a.presence == (None if b.presence is None else pytest.approx(b.presence, abs=1e-4))


@pytest.mark.parametrize(("name", "least"), [("openvino", 0.995), ("openvino-bf16", 0.95)])
def test_the_starter_outlines_the_same_clusters(exported, name, least):
    view = phantom_view(9005, clusters=2, width=1024, height=1408)
    pixels = view.stored.astype(np.float32) / np.float32(2**view.bits - 1)
    spacing = Spacing(0.07, 0.07, "imager")
    torch_one = Segmenter.load(STARTER, threads=1)
    other = Segmenter.load(STARTER, threads=1, runtime=name, exported=exported)
    done = other._runtime.encoder_precision  # bfloat16 where this processor has it
    assert other._runtime.precision.endswith(done)
    assert done == "f32" or name == "openvino-bf16"
    boxes = [finding.box for finding in view.truth]
    assert boxes
    for box in boxes:
        points = [Point(*(round(c) for c in box.centre))]
        answers = [
            one.segment(one.embed(pixels, box, spacing=spacing), box=box, points=points)
            for one in (torch_one, other)
        ]
        masks = [answer.mask for answer in answers]
        assert masks[0] is not None
        assert masks[1] is not None
        assert masks[0].iou(masks[1]) >= least


def test_a_processor_without_bfloat16_computes_in_float32_and_names_its_features_so(monkeypatch):
    """Simulated on any processor; cached features of one precision are not used for another."""

    def without(model, *, precision, threads, compile_network=exported_networks.compile_network):
        return compile_network(model, precision="f32", threads=threads)

    monkeypatch.setattr(exported_networks, "compile_network", without)
    with structlog.testing.capture_logs() as logs:
        runtime = open_runtime(small(), name="openvino-bf16", weights=WEIGHTS, exported=None, threads=1)
    assert [log["reason"] for log in logs] == ["this processor does not support bfloat16"]
    plain = open_runtime(small(), name="openvino", weights=WEIGHTS, exported=None, threads=1)
    assert runtime.precision == plain.precision


@pytest.mark.slow
def test_a_kept_network_is_proven_again_and_replaced_where_it_is_another(tmp_path, monkeypatch):
    network, other = small(combine="hq"), small(combine="hq")
    with torch.no_grad():
        other.mask_decoder.hf_mlp.layers[-1].weight.add_(0.1)
    first = opened(network, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(WEIGHTS[:32])

    fresh = export(other)
    calls = []

    def exporting(asked) -> dict:
        calls.append(asked)
        return fresh

    monkeypatch.setattr("mammo.segmenter.runtime_openvino.export", exporting)
    again = opened(network, tmp_path)
    assert not calls
    planes = np.random.default_rng(1).standard_normal((3, 64, 64)).astype(np.float32)
    assert all(np.array_equal(a, b) for a, b in zip(first.encode(planes), again.encode(planes), strict=True))

    verify(opened(other, tmp_path), TorchRuntime(other), bound=FEATURE_BOUND["f32"])
    assert calls == [other]
    with pytest.raises(UnusableRuntime, match="in logits"):
        opened(network, None)  # what is "exported" is the other network
    monkeypatch.setattr("mammo.segmenter.runtime_choice.MIN_OPENVINO_PARAMETERS", 0)
    chosen = open_runtime(network, name="auto", weights=WEIGHTS, exported=tmp_path / "none", threads=1)
    assert isinstance(chosen, TorchRuntime)
    with pytest.raises(UnusableRuntime):
        open_runtime(network, name="openvino", weights=WEIGHTS, exported=None, threads=1)


def test_auto_without_a_folder_is_torch(monkeypatch):
    monkeypatch.setattr("mammo.segmenter.runtime_choice.MIN_OPENVINO_PARAMETERS", 0)
    chosen = open_runtime(small(), name="auto", weights=WEIGHTS, exported=None, threads=1)
    assert isinstance(chosen, TorchRuntime)


def test_auto_does_not_export_a_small_network(tmp_path):
    chosen = open_runtime(small(), name="auto", weights=WEIGHTS, exported=tmp_path, threads=1)
    assert isinstance(chosen, TorchRuntime)
    assert not list(tmp_path.iterdir())
