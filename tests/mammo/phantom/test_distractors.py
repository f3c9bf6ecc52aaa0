from __future__ import annotations

import numpy as np

from mammo.phantom import sample_body
from mammo.phantom.anatomy import draw_anatomy
from mammo.phantom.distractors import distractors


def test_distractors_lie_only_where_there_is_clearance() -> None:
    rng = np.random.default_rng(0)
    anatomy = draw_anatomy(rng, sample_body(rng), "CC", width=1024, height=1280, spacing_mm=0.07)
    free = np.full(anatomy.clearance_mm.shape, -1, np.float32)
    free[100:200, 60:120] = 1
    specks = distractors(rng, anatomy, free, number=12)
    assert len(specks) >= 6
    for speck in specks:
        x, y = speck.frame.centre
        assert 60 * 4 - 12 <= x <= 120 * 4 + 12
        assert 100 * 4 - 12 <= y <= 200 * 4 + 12
        assert speck.patch.max() > 0.2
    assert distractors(rng, anatomy, np.full_like(free, -1), number=12) == []
