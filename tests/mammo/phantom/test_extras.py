from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mammo.geometry import Box
from mammo.phantom import Extras, PhantomView, phantom_patient, phantom_view, sample_cluster, vendor_a
from mammo.phantom.calcifications import Distribution

SIDE = {"width": 640, "height": 768}
ALL = Extras(marker=True, clip=True, distributions=True)


def changed(one: PhantomView, other: PhantomView, *allowed: Box | None) -> int:
    """How many pixels differ outside the allowed boxes."""
    differ = one.stored != other.stored
    for box in allowed:
        if box:
            differ[box.slices] = False
    return int(differ.sum())


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_extras_change_nothing_but_the_places_they_name(laterality: Literal["L", "R"]) -> None:
    plain = phantom_view(4, laterality=laterality, **SIDE)
    none = phantom_view(4, laterality=laterality, extras=Extras(), for_processing=True, **SIDE)
    rich = phantom_view(4, laterality=laterality, extras=ALL, **SIDE)
    assert changed(plain, none) == 0
    assert rich.marker is not None
    clip = rich.clip.dilated(4).within(rich.size) if rich.clip else None
    assert changed(plain, rich, rich.marker, clip) == 0
    assert changed(plain, rich) > 20
    assert [finding.box for finding in plain.truth] == [finding.box for finding in rich.truth]


@pytest.mark.parametrize(("laterality", "view"), [("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")])
def test_a_marker_lies_in_the_air_away_from_the_chest_wall(
    laterality: Literal["L", "R"], view: Literal["CC", "MLO"]
) -> None:
    plain = phantom_view(1, laterality=laterality, view=view, **SIDE)
    marked = phantom_view(1, laterality=laterality, view=view, extras=Extras(marker=True), **SIDE)
    assert marked.marker is not None
    assert not plain.stored[marked.marker.slices].any()
    assert (marked.stored[marked.marker.slices] == 2**marked.bits - 1).mean() > 0.03
    assert (marked.marker.x0 == 0) == (laterality == "R")


def test_every_second_breast_has_a_clip_and_then_in_both_views() -> None:
    has_clip = []
    for seed in range(10):
        pair = [
            phantom_view(seed, view=view, clusters=0, extras=Extras(clip=True), width=384, height=512).clip
            for view in ("CC", "MLO")
        ]
        assert (pair[0] is None) == (pair[1] is None)
        has_clip.append(pair[0] is not None)
    assert 2 <= sum(has_clip) <= 8


def test_a_clip_is_white_and_belongs_to_no_truth() -> None:
    views = [phantom_view(seed, extras=Extras(clip=True), **SIDE) for seed in range(6)]
    clips = [(view, view.clip) for view in views if view.clip]
    assert clips
    for view, clip in clips:
        assert view.stored[clip.slices].max() == 2**view.bits - 1
        assert all(finding.box.intersection(clip) is None for finding in view.truth)


@pytest.mark.parametrize("distribution", ["grouped", "linear", "segmental"])
def test_a_distribution_has_its_form(distribution: Distribution) -> None:
    widths, slopes = [], []
    for seed in range(40):
        offsets = sample_cluster(np.random.default_rng(seed), distribution=distribution).offsets
        widths.append(np.abs(offsets[:, 1]).max() / np.abs(offsets[:, 0]).max())
        slopes.append(np.corrcoef(offsets[:, 0], np.abs(offsets[:, 1]))[0, 1])
    width, slope = np.median(widths), np.median(slopes)
    if distribution == "linear":
        assert width < 0.2
    if distribution == "grouped":
        assert width > 0.5
    if distribution == "segmental":
        assert 0.2 < width < 0.8
        assert slope < -0.15  # narrow towards the nipple


def test_descriptors_name_what_was_drawn() -> None:
    small = Extras(distributions=True)
    patients = [
        phantom_patient(
            seed,
            appearance=vendor_a().__class__(name="small", width=512, height=640),
            positive=1,
            extras=small,
        )
        for seed in range(4)
    ]
    words = [word for patient in patients for view in patient for word in view.descriptors]
    assert all(len(view.descriptors) == len(view.truth) for patient in patients for view in patient)
    assert {word.distribution for word in words} == {"grouped", "linear", "segmental"}
    assert len({word.morphology for word in words}) >= 2
    assert all(word.distribution == "grouped" for word in phantom_view(3, **SIDE).descriptors)
