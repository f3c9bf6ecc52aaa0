import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from mammo.segmenter import attention as module
from mammo.segmenter.attention import LowMemoryAttention


@pytest.mark.parametrize("largest", [2**22, 600], ids=["at once", "by rows"])
def test_the_result_is_that_of_segment_anything(monkeypatch, largest):
    monkeypatch.setattr(module, "LARGEST", largest)
    torch.manual_seed(0)
    theirs = Attention(24, num_heads=3, use_rel_pos=True, input_size=(7, 7))
    torch.nn.init.normal_(theirs.rel_pos_h)
    torch.nn.init.normal_(theirs.rel_pos_w)
    ours = LowMemoryAttention.like(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 7, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)
