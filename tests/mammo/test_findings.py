import numpy as np
import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask


@pytest.mark.parametrize("score", [-0.1, 1.01, float("nan")])
def test_a_score_is_a_probability(score):
    with pytest.raises(ValueError, match=r"score in \[0, 1\]"):
        Finding(label=CLUSTER, score=score, box=Box(0, 0, 1, 1))


def test_a_point_is_one_pixel_of_which_nothing_more_is_known():
    pixel = Box(3, 4, 4, 5)
    assert Finding(label=CLUSTER, score=1.0, box=pixel, is_point=True).mask is None
    with pytest.raises(ValueError, match="one pixel"):
        Finding(label=CLUSTER, score=1.0, box=Box(3, 4, 5, 5), is_point=True)
    with pytest.raises(ValueError, match="and no mask"):
        Finding(label=CLUSTER, score=1.0, box=pixel, mask=Mask(np.ones((1, 1), bool), 3, 4), is_point=True)
