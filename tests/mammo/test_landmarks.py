"""The nipple and the chest wall are found on phantoms, whose nipple is known, and refused where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammo.detector import find_breast
from mammo.errors import UnreadableImage
from mammo.geometry import Size, Spacing
from mammo.landmarks import Landmarks
from mammo.phantom import PhantomView, phantom_patient, vendor_a

COARSE = replace(vendor_a(), width=640, height=832, spacing_mm=0.28)


def landmarks(view: PhantomView) -> Landmarks:
    pixels = view.stored.astype(np.float32) / (2**view.bits - 1)
    spacing = Spacing(view.spacing_mm, view.spacing_mm, "imager")
    return Landmarks.of(find_breast(pixels).cells, size=view.size, spacing=spacing)


@pytest.fixture(scope="module")
def views() -> list[PhantomView]:
    return [view for seed in (1, 2, 3) for view in phantom_patient(seed, appearance=COARSE, positive=1.0)]


def test_the_chest_wall_lies_where_the_laterality_says(views: list[PhantomView]) -> None:
    assert [landmarks(each).wall for each in views] == ["left", "left", "right", "right"] * 3


def test_a_lesion_lies_as_far_behind_the_nipple_in_cc_as_in_mlo(views: list[PhantomView]) -> None:
    apart = []
    for cc, mlo in zip(views[::2], views[1::2], strict=True):
        if len(cc.truth) != len(mlo.truth):
            continue  # one of them did not fit into the breast
        for one, other in zip(cc.truth, mlo.truth, strict=True):
            behind = [landmarks(view).strip_mm(*each.box.centre) for view, each in ((cc, one), (mlo, other))]
            apart.append(abs(behind[0] - behind[1]))
    assert len(apart) >= 6
    assert np.median(apart) < 6
    assert max(apart) < 20


def test_a_mirrored_breast_has_mirrored_landmarks(views: list[PhantomView]) -> None:
    view = views[0]
    mirrored = landmarks(replace(view, stored=view.stored[:, ::-1]))
    found = landmarks(view)
    assert mirrored.wall == "right"
    assert mirrored.nipple == pytest.approx((view.size.width - found.nipple[0], found.nipple[1]), abs=40)
    assert found.arc_mm(*found.nipple) == found.strip_mm(*found.nipple) == 0


@pytest.mark.parametrize(
    "cells", [np.ones((40, 40), np.bool_), np.zeros((40, 40), np.bool_), np.eye(3, dtype=np.bool_)]
)
def test_without_a_chest_wall_at_one_edge_the_nipple_is_not_guessed(cells: np.ndarray) -> None:
    with pytest.raises(UnreadableImage) as refused:
        Landmarks.of(cells, size=Size(640, 640), spacing=Spacing(0.1, 0.1, "imager"))
    assert refused.value.code == "no_chest_wall"
