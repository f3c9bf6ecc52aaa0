import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mammo.errors import TrainingDiverged
from training.cases import silent
from training.segmenter.features import KEY, SHARD, FeatureCache, fill_cache

CPU = torch.device("cpu")
COUNT = SHARD + 5


class Encoder:
    """Twice the planes' mean as one feature; counts the planes it encodes."""

    def __init__(self, factor=2.0):
        self.factor = factor
        self.calls = 0

    def __call__(self, planes):
        self.calls += len(planes)
        return {"neck": planes.mean(1, keepdim=True) * self.factor, "early": planes[:, :1]}


def planes(number):
    return torch.full((3, 4, 4), float(number)).numpy()


def filled(folder, encoder, *, key="a", planes=planes):
    cache = FeatureCache(folder, key, COUNT)
    fill_cache(cache, planes=planes, encode=encoder, device=CPU, progress=silent)
    return cache


def test_cached_features_are_those_of_a_fresh_encode_in_the_order_asked(tmp_path):
    cache = filled(tmp_path, Encoder())
    read = cache.read([66, 0, 3], device=CPU)
    assert read["neck"].shape == (3, 1, 4, 4)
    assert read["neck"].dtype == torch.float32
    assert read["neck"][:, 0, 0, 0].tolist() == [132.0, 0.0, 6.0]
    with safe_open(tmp_path / "shard-00000.safetensors", framework="pt") as file:
        assert file.get_tensor("neck").dtype == torch.float16


def test_a_second_run_encodes_one_view_of_each_shard_and_nothing_else(tmp_path):
    filled(tmp_path, Encoder())
    again = Encoder()
    filled(tmp_path, again)
    assert again.calls == 2


def test_features_of_another_key_are_replaced(tmp_path):
    filled(tmp_path, Encoder(), key="a")
    assert filled(tmp_path, Encoder(3.0), key="b").read([10], device=CPU)["neck"].max() == 30


def test_features_that_differ_from_the_encoders_are_replaced(tmp_path):
    filled(tmp_path, Encoder(2.0))
    cache = filled(tmp_path, Encoder(2.5))
    assert cache.read([66], device=CPU)["neck"].max() == 165


@pytest.mark.parametrize("damage", ["torn", "other values"])
def test_a_damaged_shard_is_replaced(tmp_path, damage):
    filled(tmp_path, Encoder())
    path = tmp_path / "shard-00001.safetensors"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-50])
    else:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        assert metadata[KEY] == "a/1"
        save_file({name: tensor + 9 for name, tensor in load_file(path).items()}, path, metadata=metadata)
    assert filled(tmp_path, Encoder()).read([66], device=CPU)["neck"].max() == 132


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_features_that_float16_cannot_hold_are_refused(tmp_path, value):
    with pytest.raises(TrainingDiverged, match="float16"):
        filled(tmp_path, Encoder(), planes=lambda number: planes(number) + value)
