from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mammo.blobs import hash_file
from mammo.detector import (
    DetectorNetwork,
    DetectorSpec,
    add_facts,
    load_network,
    save_detector,
    set_speck_weight,
)
from mammo.detector.weights import FORMAT
from mammo.errors import InvalidWeights


@pytest.fixture(scope="module")
def network() -> DetectorNetwork:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return DetectorNetwork(DetectorSpec(tile=256, overlap=64)).eval()


@pytest.fixture(scope="module")
def weights(network: DetectorNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_detector(path, network, facts={"recipe": "test", "seed": 3})
    return path


def rewritten(weights: Path, target: Path, change: Any) -> Path:
    """A copy of a weights file after `change(tensors, metadata)`."""
    with safe_open(weights, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, target, metadata=metadata)
    return target


def test_a_detector_comes_back_with_its_spec_facts_and_outputs(
    network: DetectorNetwork, weights: Path
) -> None:
    again, facts = load_network(weights)
    assert again.spec == network.spec
    assert facts == {"recipe": "test", "seed": 3}
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again(pixels)[0], network(pixels)[0], atol=0.1, rtol=1e-2)
    assert all(value.dtype != torch.float16 for value in again.state_dict().values())


def test_weights_are_stored_in_half_precision_and_nothing_is_left_beside_them(weights: Path) -> None:
    assert weights.stat().st_size < 6.5 * 2**20
    assert [path.name for path in weights.parent.iterdir()] == ["detector.safetensors"]


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    broken = DetectorNetwork(DetectorSpec())
    with torch.no_grad():
        broken.model[0].conv.weight[0] = 1e6  # infinite in half precision
    with pytest.raises(ValueError, match=r"model\.0\.conv\.weight is not finite"):
        save_detector(tmp_path / "detector.safetensors", broken, facts={})
    assert not list(tmp_path.iterdir())


def _spec(metadata: dict[str, str], **changes: Any) -> None:
    metadata["spec"] = json.dumps({**json.loads(metadata["spec"]), **changes})


def _without(metadata: dict[str, str], key: str) -> None:
    metadata["spec"] = json.dumps({k: v for k, v in json.loads(metadata["spec"]).items() if k != key})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.update(format="pickle"), "expected format"),
        (lambda t, m: m.update(spec="{"), "specification is invalid"),
        (lambda t, m: m.update(facts="[]"), "JSON object"),
        (lambda t, m: _spec(m, scale="../../x"), "scale"),
        (lambda t, m: _spec(m, tile=10**9), "tile"),
        (lambda t, m: _spec(m, overlap=200), "overlap"),
        (lambda t, m: _spec(m, surprise=1), "surprise"),
        (lambda t, m: _spec(m, normalisation="newer"), "grey-and-p99-contrast in .* got 'newer'; update"),
        (lambda t, m: _without(m, "normalisation"), "normalisation of grey-and-contrast, .* got None"),
        (lambda t, m: m.update(spec="[]"), "got None"),
        (lambda t, m: _spec(m, after=[3]), "layer 3 is Conv"),
        (lambda t, m: _spec(m, attention="se"), "do not match"),
        (lambda t, m: t.pop("model.0.conv.weight"), r"1 of \d+ tensors do not match .*'model.0.conv.weight'"),
        (lambda t, m: t.update(extra=torch.zeros(1)), "do not match"),
        (lambda t, m: t.update({"model.0.conv.weight": torch.zeros(3)}), "do not match"),
        (lambda t, m: t["model.0.conv.weight"].fill_(float("nan")), "NaN or infinite"),
    ],
)
def test_a_file_that_is_not_exactly_right_is_refused(
    weights: Path, tmp_path: Path, change: Any, message: str
) -> None:
    with pytest.raises(InvalidWeights, match=message):
        load_network(rewritten(weights, tmp_path / "other.safetensors", change))


def test_a_pickle_and_a_missing_file_are_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    pickle = tmp_path / "detector.pt"
    torch.save({"model": torch.zeros(3)}, pickle)
    with pytest.raises(InvalidWeights, match="not a readable safetensors file"):
        load_network(pickle)
    for nothing in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(InvalidWeights, match="the file does not exist; restore it") as missing:
            load_network(nothing)
        assert missing.value.code == "missing_file"


def test_a_torn_file_is_refused(weights: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.safetensors"
    for size in (0, 7, 1000, weights.stat().st_size - 1):
        torn.write_bytes(weights.read_bytes()[:size])
        with pytest.raises(InvalidWeights, match="not a readable safetensors file; restore it"):
            load_network(torn)


def test_the_format_is_named_in_the_file(weights: Path) -> None:
    with safe_open(weights, framework="pt") as file:
        assert file.metadata()["format"] == FORMAT == "yolo-mlsam-detector/1"


def test_facts_are_added_and_no_tensor_changes(weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "detector.safetensors"
    target.write_bytes(weights.read_bytes())
    add_facts(target, {"froc": {"1": 0.9}})
    assert load_network(target)[1] == {"recipe": "test", "seed": 3, "froc": {"1": 0.9}}
    before, after = load_file(weights), load_file(target)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_same_detector_is_always_the_same_file(network: DetectorNetwork, tmp_path: Path) -> None:
    facts = {"b": "ü", "a": [1, 2]}
    hashes = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        save_detector(path, network, facts=facts)
        hashes.add(hash_file(path))
    assert len(hashes) == 1
    assert load_network(path)[1] == facts


def test_the_weight_of_specks_changes_no_tensor_and_no_fact(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "weighed.safetensors"
    path.write_bytes(weights.read_bytes())
    set_speck_weight(path, 0.75)
    network, facts = load_network(path)
    assert (network.spec.speck_weight, facts) == (0.75, load_network(weights)[1])
    before, after = load_file(weights), load_file(path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("weight", [-0.1, 4.1, float("nan")])
def test_a_weight_of_specks_out_of_range_is_refused(weights: Path, tmp_path: Path, weight: float) -> None:
    path = tmp_path / "weighed.safetensors"
    path.write_bytes(weights.read_bytes())
    with pytest.raises(ValueError, match="speck_weight"):
        set_speck_weight(path, weight)
    assert path.read_bytes() == weights.read_bytes()


def test_weights_that_state_no_weight_of_specks_have_none(weights: Path, tmp_path: Path) -> None:
    older = rewritten(weights, tmp_path / "older.safetensors", lambda t, m: _without(m, "speck_weight"))
    assert load_network(older)[0].spec.speck_weight == 0
