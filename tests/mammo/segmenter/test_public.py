import os
from dataclasses import asdict

import pytest
import torch

from mammo.blobs import hash_file
from mammo.errors import InvalidWeights, WrongFile
from mammo.models.public_weights import CATALOGUE, find
from mammo.pinned_files import verify
from mammo.segmenter import config as module
from mammo.segmenter.config import ViT, hq_sam, sam
from mammo.segmenter.network import Mlsam
from mammo.segmenter.public import CLASSIFIER, CONFIGURATIONS, convert
from mammo.segmenter.weights import load_segmenter
from tests.mammo.segmenter.golden import golden_shapes


@pytest.fixture(scope="module")
def mobile_sam(tmp_path_factory):
    """A file with MobileSAM's keys and shapes, of numbers that compress to nothing on disk."""
    path = tmp_path_factory.mktemp("public") / "mobile_sam.pt"
    tensors = {
        key: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float32)
        for key, shape in golden_shapes("mobile_sam").items()
    }
    tensors["mask_decoder.iou_token.weight"] += 0.1234567  # not a float16
    torch.save(tensors, path)
    return path


@pytest.fixture
def small_vit_b(monkeypatch):
    """A ViT-B of four narrow blocks: the conversion is the same, the file a hundredth."""
    monkeypatch.setitem(module.ENCODERS, "vit_b", ViT(width=48, depth=4, heads=2, global_blocks=(2, 4)))


def test_every_segmenter_of_the_catalogue_has_a_configuration():
    assert {e.architecture for e in CATALOGUE if e.network == "segmenter"} == set(CONFIGURATIONS)


def test_mobile_sam_is_converted_bit_for_bit_with_its_origin(mobile_sam, tmp_path):
    out = convert(mobile_sam, name="mobile-sam", out=tmp_path / "new" / "mobile-sam.safetensors")
    network, facts = load_segmenter(out)
    assert network.config == sam("vit_t")
    theirs = torch.load(mobile_sam, weights_only=True)
    ours = network.state_dict()
    assert ours.keys() == theirs.keys() - CLASSIFIER.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert facts["sha256"] == hash_file(mobile_sam)
    assert facts["licence"] == "Apache-2.0"
    assert not facts["pinned"]
    assert facts["url"] is None
    assert os.listdir(out.parent) == [out.name]


@pytest.mark.parametrize(("name", "make"), [("sam-b", sam), ("hq-sam-b", hq_sam)])
def test_a_vit_is_converted(name, make, small_vit_b, tmp_path):
    torch.save(Mlsam(make("vit_b")).state_dict(), tmp_path / "x.pth")
    network, facts = load_segmenter(convert(tmp_path / "x.pth", name=name, out=tmp_path / "x.safetensors"))
    assert asdict(network.config) == asdict(make("vit_b"))
    assert facts["public"] == name


def test_a_checkpoint_of_another_encoder_is_named_and_so_is_the_expected_one(mobile_sam, tmp_path):
    with pytest.raises(
        InvalidWeights, match=r"expected sam/vit_b \(sam-b\), got mobile-sam/vit_t.*add it as mobile-sam"
    ) as caught:
        convert(mobile_sam, name="sam-b", out=tmp_path / "x.safetensors")
    assert caught.value.code == "other_encoder"
    assert not list(tmp_path.iterdir())


def test_sam_is_not_taken_for_hq_sam(small_vit_b, tmp_path):
    torch.save(Mlsam(sam("vit_b")).state_dict(), tmp_path / "x.pth")
    with pytest.raises(InvalidWeights, match=r"expected hq-sam/vit_b.*, got sam/vit_b.*, got none"):
        convert(tmp_path / "x.pth", name="hq-sam-b", out=tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t | {"surplus": torch.zeros(1)},
        lambda t: {k: v for k, v in t.items() if k != "prompt_encoder.no_mask_embed.weight"},
        lambda t: t | {"mask_decoder.iou_token.weight": torch.zeros(2, 256)},
        lambda t: t | {"mask_decoder.iou_token.weight": torch.full((1, 256), float("nan"))},
        lambda t: {"model": t},
        lambda t: list(t.values()),
    ],
    ids=["surplus", "missing", "shape", "not finite", "nested", "a list"],
)
def test_anything_but_exactly_its_tensors_is_refused(damage, small_vit_b, tmp_path):
    torch.save(damage(Mlsam(sam("vit_b")).state_dict()), tmp_path / "x.pth")
    with pytest.raises(InvalidWeights, match=r"x\.pth") as caught:
        convert(tmp_path / "x.pth", name="sam-b", out=tmp_path / "x.safetensors")
    assert str(tmp_path) not in str(caught.value)
    assert os.listdir(tmp_path) == ["x.pth"]


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"image_encoder.pos_embed": Harmful()}, "x.pth")
    with pytest.raises(InvalidWeights, match="no code was run") as caught:
        convert(tmp_path / "x.pth", name="sam-b", out=tmp_path / "x.safetensors")
    assert caught.value.code == "unsafe_pickle"
    assert os.listdir(tmp_path) == ["x.pth"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(200), b"\x80\x02", b"<html>404</html>"])
def test_a_file_that_is_no_checkpoint_is_refused(content, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InvalidWeights, match=r"x\.pth"):
        convert(tmp_path / "x.pth", name="sam-b", out=tmp_path / "x.safetensors")


def test_a_cut_file_is_refused(mobile_sam, tmp_path):
    (tmp_path / "x.pt").write_bytes(mobile_sam.read_bytes()[:100_000])
    with pytest.raises(InvalidWeights, match=r"x\.pt"):
        convert(tmp_path / "x.pt", name="mobile-sam", out=tmp_path / "x.safetensors")


def test_a_file_with_another_hash_than_the_pinned_one_is_refused(mobile_sam):
    entry = find("mobile-sam")
    with pytest.raises(WrongFile):
        verify(mobile_sam, sha256=entry.sha256)


def test_a_detector_is_no_segmenter(mobile_sam, tmp_path):
    with pytest.raises(ValueError, match="expected a segmenter"):
        convert(mobile_sam, name="yolov8n", out=tmp_path / "x.safetensors")
