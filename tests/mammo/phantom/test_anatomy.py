from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mammo.phantom import Body, sample_body
from mammo.phantom.anatomy import Anatomy, distance_mm, draw_anatomy


def breast(view: Literal["CC", "MLO"] = "CC", *, glandularity: float = 0.2) -> Anatomy:
    body = Body(depth_mm=100, half_height_mm=90, glandularity=glandularity)
    return draw_anatomy(np.random.default_rng(1), body, view, width=640, height=832, spacing_mm=0.28)


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_breast_hangs_on_the_chest_wall_and_ends_in_air(view: Literal["CC", "MLO"]) -> None:
    anatomy = breast(view)
    assert anatomy.attenuation.dtype == np.float32
    rows, columns = anatomy.clearance_mm.shape
    assert anatomy.attenuation.shape == (4 * rows, 4 * columns)
    assert (anatomy.attenuation[300:500, 2] > 0.12).all()
    assert (anatomy.attenuation[:, -4:] == 0).all()
    row, column = (round(mm / 0.28) for mm in anatomy.nipple)
    assert anatomy.attenuation[row, column - 8] > 0


def test_more_glandular_bodies_have_denser_breasts() -> None:
    fatty, dense = (breast(glandularity=share).attenuation for share in (0.08, 0.6))
    assert dense[dense > 0].mean() > fatty[fatty > 0].mean() + 0.2


def test_the_oblique_view_shows_the_pectoral_muscle() -> None:
    craniocaudal, oblique = (breast(view).attenuation[40:120, 10:60] for view in ("CC", "MLO"))  # type: ignore[arg-type]
    assert oblique.mean() > craniocaudal.mean() + 0.3


def test_clearance_is_zero_outside_and_grows_inside() -> None:
    anatomy = breast()
    assert anatomy.clearance_mm.max() > 15
    outside = anatomy.attenuation[2::4, 2::4] == 0
    assert outside.any()
    assert anatomy.clearance_mm[outside].max() <= 2.5


def test_distance_is_in_millimetres() -> None:
    free = np.ones((21, 21), np.bool_)
    free[10, 10] = False
    assert distance_mm(free, 0.5)[10, 14] == pytest.approx(2.0)


def test_bodies_differ() -> None:
    bodies = [sample_body(np.random.default_rng(seed)) for seed in range(40)]
    assert len({body.glandularity for body in bodies}) == 4
    assert all(80 <= body.depth_mm <= 135 for body in bodies)
