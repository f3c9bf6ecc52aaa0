import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from mammo.segmenter import attention as module
from mammo.segmenter.attention import LowMemoryAttention


@pytest.mark.parametrize("max_bias", [2**22, 600], ids=["at once", "by rows"])
def test_the_result_is_that_of_segment_anything(monkeypatch, max_bias):
    monkeypatch.setattr(module, "MAX_BIAS", max_bias)
    torch.manual_seed(0)
    theirs = Attention(24, num_heads=3, use_rel_pos=True, input_size=(7, 7))
    torch.nn.init.normal_(theirs.rel_pos_h)
    torch.nn.init.normal_(theirs.rel_pos_w)
    ours = LowMemoryAttention.like(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 7, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_traced_graph_takes_all_heads_at_once_and_gives_the_same_result():
    torch.manual_seed(0)
    ours = LowMemoryAttention(24, num_heads=3, use_rel_pos=True, input_size=(7, 7)).eval()
    torch.nn.init.normal_(ours.rel_pos_h)
    torch.nn.init.normal_(ours.rel_pos_w)
    x = torch.randn(1, 7, 7, 24)
    traced = torch.jit.trace(ours, x)
    assert str(traced.inlined_graph).count("scaled_dot_product_attention") == 1
    torch.testing.assert_close(traced(x), ours(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 32, 32), (9, 14, 14)], ids=["global, 512 pixels", "windows"])
def test_vit_b_at_its_real_width_agrees_within_1e_minus_5(shape):
    torch.manual_seed(0)
    theirs = Attention(768, num_heads=12, use_rel_pos=True, input_size=shape[1:]).eval()
    torch.nn.init.normal_(theirs.rel_pos_h, std=0.1)
    torch.nn.init.normal_(theirs.rel_pos_w, std=0.1)
    ours = LowMemoryAttention.like(theirs).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(*shape, 768)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=0)
