from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mammo.findings import CLUSTER
from mammo.masks import union
from mammo.phantom import (
    Appearance,
    PhantomView,
    phantom_patient,
    phantom_view,
    sample_cluster,
    vendor_a,
    vendor_b,
    vendor_c,
)

SIDE = {"width": 512, "height": 640}
VENDORS = [vendor_a(), vendor_b(), vendor_c()]


def views(appearance: Appearance | None = None) -> list[PhantomView]:
    """A few small views with one or two clusters, from both sides and both projections."""
    kinds: list[tuple[int, Literal["L", "R"], Literal["CC", "MLO"]]] = [
        (1, "L", "CC"), (2, "R", "CC"), (3, "L", "MLO"), (4, "R", "MLO"),
    ]  # fmt: skip
    return [
        phantom_view(seed, laterality=side, view=view, clusters=1 + seed % 2, appearance=appearance, **SIDE)
        for seed, side, view in kinds
    ]


@pytest.mark.parametrize("appearance", VENDORS, ids=lambda vendor: vendor.name)
def test_the_same_seed_gives_the_same_view(appearance: Appearance) -> None:
    one, again = (phantom_view(5, appearance=appearance, **SIDE) for _ in range(2))
    np.testing.assert_array_equal(one.stored, again.stored)
    assert [finding.box for finding in one.truth] == [finding.box for finding in again.truth]
    assert len(one.truth) == 1


@pytest.mark.parametrize(
    ("vendor", "laterality", "view", "mean", "boxes"),
    [
        (vendor_a(), "L", "CC", 942.21, [(159, 215, 309, 408), (61, 438, 165, 535)]),
        (vendor_a(), "R", "MLO", 909.26, [(262, 292, 440, 400), (93, 346, 234, 453)]),
        (vendor_b(), "L", "CC", 4893.2, [(202, 202, 314, 346), (94, 375, 180, 456)]),
        (vendor_b(), "R", "MLO", 5062.6, [(290, 232, 423, 314), (277, 380, 459, 512)]),
    ],
)
def test_a_seed_draws_what_it_drew_when_the_starter_weights_were_trained(
    vendor: Appearance,
    laterality: Literal["L", "R"],
    view: Literal["CC", "MLO"],
    mean: float,
    boxes: list[tuple[int, int, int, int]],
) -> None:
    """Who changes this raises `GENERATION` in training/phantom_cases.py and trains the starter again."""
    drawn = phantom_view(5, laterality=laterality, view=view, clusters=2, appearance=vendor, **SIDE)
    assert [finding.box.as_tuple() for finding in drawn.truth] == boxes
    assert drawn.stored.mean() == pytest.approx(mean, rel=1e-3)


def test_another_seed_side_or_projection_gives_another_view() -> None:
    base = phantom_view(5, **SIDE).stored
    for other in (
        phantom_view(6, **SIDE),
        phantom_view(5, laterality="R", **SIDE),
        phantom_view(5, view="MLO", **SIDE),
    ):
        assert (other.stored != base).mean() > 0.1


def test_every_finding_has_the_tight_box_of_its_mask() -> None:
    findings = [(view, finding) for view in views() for finding in view.truth]
    assert len(findings) >= 5
    for view, finding in findings:
        assert finding.label == CLUSTER
        assert finding.score == 1
        assert finding.mask is not None
        assert finding.mask.box == finding.box
        assert finding.box.within(view.size) == finding.box
        assert len(finding.mask.components()) == 1


def test_an_outline_holds_its_calcifications_with_a_millimetre_around() -> None:
    for view in views():
        outlines = union(finding.mask for finding in view.truth if finding.mask is not None)
        assert outlines is not None
        assert len(view.calcifications) >= 5 * len(view.truth)
        for calcification in view.calcifications:
            assert outlines.intersection_area(calcification) == calcification.area
        for finding in view.truth:
            inside = union(mask for mask in view.calcifications if mask.frame.intersection(finding.box))
            assert inside is not None
            assert inside.box is not None
            margin = round(1 / view.spacing_mm)
            # The margin is smaller only at the border of the image.
            assert inside.box.x0 - finding.box.x0 in (margin, inside.box.x0)


def test_clusters_do_not_overlap() -> None:
    pairs = [view.truth for view in views() if len(view.truth) == 2]
    assert pairs
    for one, other in pairs:
        assert one.box.intersection(other.box) is None


@pytest.mark.parametrize("appearance", VENDORS, ids=lambda vendor: vendor.name)
def test_most_calcifications_stand_out_of_their_surroundings(appearance: Appearance) -> None:
    seen, contrasts = 0, []
    for view in views(appearance):
        grey = view.stored.astype(np.float64) / (2**view.bits - 1)
        for mask in view.calcifications:
            around = mask.frame.dilated(6)
            if around.intersection(view.size.box) != around:
                continue
            inside = grey[mask.frame.slices][mask.bitmap].max()
            surrounding = grey[around.slices]
            contrasts.append((inside - np.median(surrounding)) / surrounding.std())
            seen += 1
    assert seen > 40
    assert np.median(contrasts) > 2


def test_a_right_breast_lies_on_the_right() -> None:
    for side, expected in (("L", True), ("R", False)):
        stored = phantom_view(9, laterality="L" if side == "L" else "R", **SIDE).stored
        half = stored.shape[1] // 2
        assert ((stored[:, :half] > 0).sum() > (stored[:, half:] > 0).sum()) == expected


def test_a_mirrored_truth_stays_on_its_calcifications() -> None:
    view = phantom_view(2, laterality="R", clusters=1, num_distractors=0, **SIDE)
    grey = view.stored.astype(np.float64)
    cluster = view.truth[0].box
    peaks = [grey[mask.frame.slices][mask.bitmap].max() for mask in view.calcifications]
    assert np.mean(np.array(peaks) > np.quantile(grey[cluster.slices], 0.9)) > 0.7


def test_a_woman_without_clusters_has_no_truth() -> None:
    small = Appearance(name="small", width=256, height=320)
    for view in phantom_patient(3, appearance=small, positive=0):
        assert view.truth == ()
        assert view.calcifications == ()
        assert view.stored.max() > 0


def test_a_patient_has_four_views_with_the_same_clusters_in_both_projections() -> None:
    small = Appearance(name="small", width=512, height=640)
    patient = phantom_patient(1, appearance=small, positive=1)
    assert [view.laterality + view.view for view in patient] == ["LCC", "LMLO", "RCC", "RMLO"]
    for view in patient:
        assert view.size.width == 512
        assert len(view.truth) >= 1
    assert len(patient[0].calcifications) == len(patient[1].calcifications)


def test_a_full_size_view_has_the_vendors_format() -> None:
    for vendor in VENDORS:
        view = phantom_view(1, appearance=vendor)
        assert (view.size.width, view.size.height) == (vendor.width, vendor.height)
        assert view.stored.dtype == np.uint16
        assert view.stored.max() <= 2**vendor.bits - 1
        assert view.spacing_mm == vendor.spacing_mm
        breast = view.stored[view.stored > 0]
        assert 0.2 < breast.size / view.stored.size < 0.9
        assert (breast == 2**vendor.bits - 1).mean() < 0.01


def test_vendors_differ_in_more_than_brightness() -> None:
    def texture(vendor: Appearance) -> float:
        """Share of the grey scale's variance inside the breast that lies between neighbouring pixels."""
        view = phantom_view(4, appearance=vendor, clusters=0, width=512, height=640, spacing_mm=0.07)
        grey = view.stored[200:440, 40:240].astype(np.float64)
        return float(np.diff(grey, axis=1).var() / grey.var())

    one, other = texture(vendor_a()), texture(vendor_b())
    assert max(one, other) / min(one, other) > 1.3


def test_given_clusters_are_drawn_and_not_others() -> None:
    cluster = sample_cluster(np.random.default_rng(0))
    view = phantom_view(1, clusters=[cluster], **SIDE)
    assert len(view.truth) == 1
    assert len(view.calcifications) == len(cluster.diameters)


def test_too_small_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="128"):
        phantom_view(1, width=64, height=640)
