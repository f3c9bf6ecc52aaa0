import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box


@pytest.mark.parametrize("score", [-0.1, 1.01, float("nan")])
def test_a_score_is_a_probability(score):
    with pytest.raises(ValueError, match="score lies in"):
        Finding(label=CLUSTER, score=score, box=Box(0, 0, 1, 1))
