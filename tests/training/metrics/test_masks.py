import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice, compute_iou, get_confusion_matrix
from scipy import ndimage
from scipy.stats import mannwhitneyu

from mammo.geometry import Box, Spacing
from mammo.masks import Mask
from training.metrics.masks import (
    Rates,
    auc,
    boundary,
    boundary_iou,
    image_rates,
    mean_interval,
    pixel_rates,
    rate_intervals,
)

SIDE = 40
SQUARE = Spacing(1.0, 1.0, "given")


def blob(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 3)
    return noise > np.quantile(noise, 0.8)


def mask(bitmap: np.ndarray) -> Mask:
    found = Mask.from_full(bitmap)
    assert found is not None
    return found


def one_hot(bitmap: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(bitmap)[None, None].float()


@pytest.mark.parametrize("seed", range(5))
def test_overlap_is_what_monai_says(seed):
    p, t = blob(seed), blob(seed + 50)
    assert mask(p).dice(mask(t)) == pytest.approx(float(compute_dice(one_hot(p), one_hot(t))), abs=1e-6)
    assert mask(p).iou(mask(t)) == pytest.approx(float(compute_iou(one_hot(p), one_hot(t))), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_pixel_rates_are_what_monai_counts(seed):
    p, t = blob(seed), blob(seed + 50)
    tp, fp, tn, fn = get_confusion_matrix(one_hot(p), one_hot(t))[0, 0].int().tolist()
    rates = pixel_rates(mask(p), mask(t), roi=Box(0, 0, SIDE, SIDE))
    assert rates == Rates(tp, fp, fn, tn)
    assert rates.tpr == pytest.approx(tp / (tp + fn))
    assert rates.fpr == pytest.approx(fp / (fp + tn))


def test_pixels_outside_the_region_do_not_count():
    everywhere = mask(np.ones((SIDE, SIDE), np.bool_))
    assert pixel_rates(everywhere, None, roi=Box(10, 10, 20, 15)) == Rates(0, 50, 0, 0)
    assert pixel_rates(None, everywhere, roi=Box(10, 10, 20, 15)) == Rates(0, 0, 50, 0)


def test_images_count_once_each():
    assert image_rates([True, True, False, False], [True, False, True, False]) == Rates(1, 1, 1, 1)
    with pytest.raises(ValueError, match="zip"):
        image_rates([True], [])


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), sides=st.sampled_from([(0.1, 0.05), (0.05, 0.1), (0.07, 0.21)]))
def test_the_boundary_band_is_as_wide_in_mm_along_both_axes(seed, sides):
    bitmap, (row_mm, column_mm) = blob(seed), sides
    fine = 0.01
    factors = round(row_mm / fine), round(column_mm / fine)
    drawn_fine = np.kron(bitmap, np.ones(factors, np.bool_))  # the same shape in square pixels of 0.01 mm
    inwards = ndimage.distance_transform_edt(np.pad(drawn_fine, 1))[1:-1, 1:-1] * fine
    deep = inwards.reshape(SIDE, factors[0], SIDE, factors[1]).min(axis=(1, 3))
    band = boundary(mask(bitmap), width_mm=0.3, spacing=Spacing(row_mm, column_mm, "given"))
    assert band is not None
    found = _full(band)
    assert found[bitmap & (deep + max(sides) <= 0.3)].all()
    assert not found[deep > 0.3].any()


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), width=st.sampled_from([1.0, 1.5, 2.0, 3.3]))
def test_the_boundary_band_is_what_lies_near_the_outside(seed, width):
    bitmap = blob(seed)
    inwards = ndimage.distance_transform_edt(np.pad(bitmap, 1))[1:-1, 1:-1]
    expected = (inwards > 0) & (inwards <= width)
    band = boundary(mask(bitmap), width_mm=width, spacing=SQUARE)
    assert band is not None
    assert np.array_equal(_full(band), expected)


def _full(part: Mask) -> np.ndarray:
    out = np.zeros((SIDE, SIDE), np.uint8)
    part.paste(out)
    return out.astype(bool)


def test_boundary_iou_sees_an_edge_that_iou_overlooks():
    big, bigger = np.zeros((SIDE, SIDE), np.bool_), np.zeros((SIDE, SIDE), np.bool_)
    big[4:36, 4:36], bigger[3:37, 3:37] = True, True
    assert mask(big).iou(mask(bigger)) > 0.85
    assert boundary_iou(mask(big), mask(bigger), width_mm=2, spacing=SQUARE) < 0.5
    assert boundary_iou(mask(big), mask(big), width_mm=2, spacing=SQUARE) == 1.0


def test_two_empty_masks_agree_and_an_empty_one_meets_nothing():
    some = mask(blob(0))
    assert boundary_iou(None, None, width_mm=1, spacing=SQUARE) == 1.0
    assert (
        boundary_iou(some, None, width_mm=1, spacing=SQUARE)
        == boundary_iou(None, some, width_mm=1, spacing=SQUARE)
        == 0.0
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_area_under_the_curve_is_mann_and_whitneys(seed):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(60) < 0.4, np.round(rng.random(60), 1)
    u = mannwhitneyu(scores[truth], scores[~truth]).statistic
    assert auc(scores, truth) == pytest.approx(u / (truth.sum() * (~truth).sum()))


def test_one_kind_alone_has_no_curve():
    assert np.isnan(auc([0.1, 0.2], [True, True]))


def test_an_interval_widens_when_a_patients_values_go_together():
    rng = np.random.default_rng(0)
    level = rng.normal(size=20)
    together = [float(level[i // 8]) for i in range(160)]
    alone = mean_interval(together, [f"p{i}" for i in range(160)])
    grouped = mean_interval(together, [f"p{i // 8}" for i in range(160)])
    assert alone.value == grouped.value == pytest.approx(level.mean())
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.low < grouped.value < grouped.high


def test_rates_are_of_the_pooled_counts():
    counts, patients = [Rates(90, 5, 10, 95), Rates(10, 0, 0, 90)], ["a", "b"]
    found = rate_intervals(counts, patients)
    assert found["tpr"].value == pytest.approx(100 / 110)
    assert found["fpr"].value == pytest.approx(5 / 190)
    assert found["acc"].value == pytest.approx(285 / 300)
    assert found["tpr"].low == pytest.approx(0.9)
    assert found["tpr"].high == pytest.approx(1.0)
