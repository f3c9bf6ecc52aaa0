import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mammo.errors import InvalidWeights
from mammo.segmenter.weights import KEY, load_segmenter, save_segmenter
from tests.mammo.segmenter.networks import SMALL, small


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "segmenter.safetensors"
    save_segmenter(path, small(), facts={"recipe": "none", "dice": 0.5})
    return path


def spec_of(path) -> dict:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[KEY])


def rewritten(path, *, tensors=None, spec=None, text=None):
    current = load_file(path)
    metadata = {KEY: text if text is not None else json.dumps(spec or spec_of(path))}
    save_file(current if tensors is None else tensors, path, metadata=metadata)
    return path


def test_a_network_comes_back_up_to_half_precision_with_its_facts(weights):
    network, facts = load_segmenter(weights)
    original = small()
    assert network.config == SMALL
    assert facts == {"recipe": "none", "dice": 0.5}
    assert not network.training
    state = network.state_dict()
    for name, tensor in original.state_dict().items():
        assert torch.equal(state[name], tensor.half().float()), name


def test_loaded_weights_can_be_trained(weights):
    network, _ = load_segmenter(weights)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in network.parameters())


def test_the_same_network_gives_the_same_bytes(weights, tmp_path):
    again = tmp_path / "again.safetensors"
    save_segmenter(again, small(), facts={"dice": 0.5, "recipe": "none"})
    assert again.read_bytes() == weights.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: {name: tensor for name, tensor in t.items() if name != "mask_decoder.hf_token.weight"},
        lambda t: t | {"surplus": torch.zeros(1)},
        lambda t: t | {"mask_decoder.hf_token.weight": torch.zeros(2, 32)},
        lambda t: t | {"mask_decoder.hf_token.weight": torch.full((1, 32), float("nan"))},
        lambda t: t | {"mask_decoder.hf_token.weight": torch.zeros(1, 32, dtype=torch.int32)},
    ],
    ids=["missing", "surplus", "shape", "not finite", "integers"],
)
def test_tensors_that_do_not_fit_are_refused(weights, damage):
    with pytest.raises(InvalidWeights):
        load_segmenter(rewritten(weights, tensors=damage(load_file(weights))))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "detector"},
        {"format": 2},
        {"facts": []},
        {"config": None},
        {"config": {}},
        {"config": asdict(SMALL) | {"encoder": "vit_h", "input_size": 2048}},
        {"config": asdict(SMALL) | {"input_size": 2**40}},
    ],
)
def test_a_specification_that_does_not_fit_is_refused(weights, change):
    with pytest.raises(InvalidWeights):
        load_segmenter(rewritten(weights, spec=spec_of(weights) | change))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "NaN", "[" * 100_000])
def test_metadata_that_is_no_specification_is_refused(weights, text):
    with pytest.raises(InvalidWeights):
        load_segmenter(rewritten(weights, text=text))


def test_a_file_without_metadata_is_refused(weights):
    save_file(load_file(weights), weights)
    with pytest.raises(InvalidWeights, match="metadata"):
        load_segmenter(weights)


@pytest.mark.parametrize("length", [0, 7, 100, 5000])
def test_a_cut_file_is_refused(weights, length):
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(InvalidWeights):
        load_segmenter(weights)


def test_a_missing_file_is_refused_without_its_folder_in_the_message(tmp_path):
    with pytest.raises(InvalidWeights, match=r"absent\.safetensors") as caught:
        load_segmenter(tmp_path / "absent.safetensors")
    assert str(tmp_path) not in str(caught.value)


def test_weights_that_float16_cannot_hold_are_not_written(tmp_path):
    network = small()
    with torch.no_grad():
        network.mask_decoder.hf_token.weight.fill_(1e6)
    with pytest.raises(ValueError, match="hf_token"):
        save_segmenter(tmp_path / "x.safetensors", network, facts={})
    assert not list(tmp_path.iterdir())


def test_loading_does_not_import_the_compiler_of_torch(weights):
    code = (
        "import sys; from pathlib import Path; from mammo.segmenter.weights import load_segmenter\n"
        "load_segmenter(Path(sys.argv[1])); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(weights)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
