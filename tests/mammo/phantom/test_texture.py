from __future__ import annotations

import numpy as np
import pytest

from mammo.phantom.texture import difference_of_gaussians, power_law, ridges, sample_periodic, upsampled


@pytest.mark.parametrize("beta", [2.0, 3.0])
def test_a_power_law_field_has_its_exponent(beta: float) -> None:
    field = power_law(np.random.default_rng(0), (256, 256), beta=beta, spacing=1.0, lowest=0.001)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
    band = (frequency > 0.02) & (frequency < 0.4)
    slope, _ = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)
    assert -slope == pytest.approx(beta, abs=0.2)


def test_doubling_keeps_the_mean_and_doubles_the_sides() -> None:
    field = np.random.default_rng(0).random((9, 7)).astype(np.float32)
    twice = upsampled(field)
    assert twice.shape == (18, 14)
    assert twice.mean() == pytest.approx(field.mean(), abs=1e-3)


def test_a_field_is_sampled_periodically() -> None:
    field = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows, columns = np.array([[0.0, 3.0]], np.float32), np.array([[1.0, 5.0]], np.float32)
    np.testing.assert_allclose(sample_periodic(field, rows, columns), [[1, 1]])


def test_ridges_follow_the_zero_crossings() -> None:
    across = np.tile(np.linspace(-1, 1, 41, dtype=np.float32), (10, 1))
    bright = ridges(across, width=1.0)
    assert bright[5].argmax() == 20
    assert bright[5, 20] == pytest.approx(1, abs=1e-3)
    assert bright[5, 0] < 1e-3


def test_a_band_pass_finds_the_speck_and_not_the_slope() -> None:
    field = np.tile(np.linspace(0, 10, 80, dtype=np.float32), (80, 1))
    field[40, 30] += 5
    response = difference_of_gaussians(field, fine=1.2, coarse=4.0)
    assert np.unravel_index(response[10:-10, 20:-20].argmax(), (60, 40)) == (30, 10)
