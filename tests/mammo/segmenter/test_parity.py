"""Our networks against the originals: the same tensors, and the same numbers for the same weights."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from mammo.segmenter import config as module
from mammo.segmenter.config import ViT, hq_sam, sam
from mammo.segmenter.encoder import Levels
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, POSITIVE, TOP_LEFT, Mlsam
from tests.mammo.segmenter.golden import golden_outputs, golden_shapes
from tests.mammo.segmenter.networks import drawn, filled, sampled

CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")


def shapes(network) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("encoder", ["vit_b", "vit_l", "vit_h"])
def test_plain_sam_has_the_tensors_of_segment_anything(encoder):
    with torch.device("meta"):
        assert shapes(Mlsam(sam(encoder))) == shapes(sam_model_registry[encoder]())


@pytest.mark.parametrize("encoder", ["vit_b", "vit_l", "vit_h"])
def test_hq_sam_has_the_tensors_of_its_authors(encoder):
    with torch.device("meta"):
        assert shapes(Mlsam(hq_sam(encoder))) == golden_shapes(f"hq_sam_{encoder}")


@pytest.mark.parametrize(("make", "golden"), [(sam, "mobile_sam"), (hq_sam, "hq_sam_vit_tiny")])
def test_tiny_vit_has_the_tensors_of_mobile_sam_but_its_unused_classifier(make, golden):
    with torch.device("meta"):
        ours = shapes(Mlsam(make("vit_t")))
    theirs = golden_shapes(golden)
    assert ours == {name: shape for name, shape in theirs.items() if not name.startswith(CLASSIFIER)}
    assert len(theirs) == len(ours) + 4


def small_sam(vit: ViT, *, side: int) -> Sam:
    """segment_anything's own classes, put together as its registry does, with a smaller encoder."""
    encoder = ImageEncoderViT(
        img_size=side,
        embed_dim=vit.width,
        depth=vit.depth,
        num_heads=vit.heads,
        out_chans=256,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=vit.window,
        global_attn_indexes=tuple(block - 1 for block in vit.global_blocks),
    )
    prompts = PromptEncoder(256, (side // 16, side // 16), (side, side), 16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    return Sam(encoder, prompts, MaskDecoder(transformer_dim=256, transformer=transformer))


def test_sam_computes_what_segment_anything_computes(monkeypatch):
    """ViT-B's width and window, four blocks of twelve, 512 pixels: windows are padded as in the full network."""
    vit = ViT(width=768, depth=4, heads=12, global_blocks=(2, 4))
    monkeypatch.setitem(module.ENCODERS, "vit_b", vit)
    theirs = filled(small_sam(vit, side=512))
    ours = Mlsam(sam("vit_b", input_size=512))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()

    pixels = drawn(1, 3, 512, 512, seed=1) * 50 + 120
    points, labels = torch.tensor([[[100.0, 200.0], [30.0, 400.0]]]), torch.tensor([[1, 0]])
    box = torch.tensor([[40.0, 60.0, 300.0, 420.0]])
    prompt = {"image": pixels[0], "original_size": (512, 512), "boxes": box}
    prompt |= {"point_coords": points, "point_labels": labels}
    # segment_anything counts from pixel centres; our frame is continuous.
    coordinates = torch.cat([points, box.reshape(1, 2, 2)], 1) + 0.5
    kinds = torch.tensor([[POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT]])
    with torch.inference_mode():
        expected = theirs([prompt], multimask_output=False)[0]
        levels = ours.encode(theirs.preprocess(pixels))
        decoded = ours.decode(levels.neck, ours.fuse(levels), coordinates, kinds)
    assert expected["low_res_logits"].std() > 0.5
    torch.testing.assert_close(decoded.logits, expected["low_res_logits"], atol=2e-5, rtol=0)
    torch.testing.assert_close(decoded.iou, expected["iou_predictions"][:, 0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("combine", ["sum", "hq"])
def test_the_decoder_computes_what_hq_sams_own_computes(combine):
    config = replace(hq_sam("vit_b"), combine=combine)
    with torch.device("meta"):
        network = Mlsam(config)
    decoder = filled(network.to_empty(device="cpu")).mask_decoder
    neck, early = drawn(1, 256, 16, 16, seed=1), drawn(1, 16, 16, 768, seed=5).permute(0, 3, 1, 2)
    levels = Levels(neck=neck, early=early, middle=None, final=None)
    decoded = decoder(
        levels.neck,
        drawn(1, 256, 16, 16, seed=2),
        drawn(2, 3, 256, seed=3),
        drawn(2, 256, 16, 16, seed=4),
        fused=decoder.fuse(levels),
    )
    expected = golden_outputs("hq_decoder")
    assert sampled(decoded.logits) == pytest.approx(expected[combine], abs=2e-4)
    assert sampled(decoded.iou) == pytest.approx(expected["iou"], abs=1e-4)


def test_tiny_vit_computes_what_the_authors_of_hq_sam_compute():
    network = filled(Mlsam(hq_sam("vit_t")))
    with torch.inference_mode():
        levels = network.encode(drawn(1, 3, 1024, 1024, seed=6))
    expected = golden_outputs("tiny_vit")
    assert sampled(levels.neck) == pytest.approx(expected["neck"], abs=2e-4)
    assert sampled(levels.early) == pytest.approx(expected["early"], abs=2e-4)
