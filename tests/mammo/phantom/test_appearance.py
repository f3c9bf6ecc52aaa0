from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammo.phantom import Appearance, vendor_a, vendor_b, vendor_c
from mammo.phantom.appearance import grey_levels, quantum_noise


@pytest.mark.parametrize("vendor", [vendor_a(), vendor_b(), vendor_c()], ids=lambda vendor: vendor.name)
def test_noise_has_the_stated_strength_and_grows_with_the_signal(vendor: Appearance) -> None:
    thin, thick = (
        quantum_noise(np.random.default_rng(0), np.full((300, 300), level, np.float32), vendor).std()
        for level in (0.0, 2.0)
    )
    assert thin == pytest.approx(vendor.noise, rel=0.05)
    assert thick == pytest.approx(1.6 * vendor.noise, rel=0.05)


def test_coarser_grain_is_correlated_noise() -> None:
    def correlation(grain: float) -> float:
        vendor = replace(vendor_a(), grain=grain)
        noise = quantum_noise(np.random.default_rng(0), np.zeros((300, 300), np.float32), vendor)
        return float(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1])

    assert correlation(0.0) == pytest.approx(0, abs=0.02)
    assert correlation(0.9) > correlation(0.4) > 0.3


@pytest.mark.parametrize("vendor", [vendor_a(), vendor_b(), vendor_c()], ids=lambda vendor: vendor.name)
def test_more_attenuation_is_brighter_and_air_is_black(vendor: Appearance) -> None:
    attenuation = np.tile(np.linspace(vendor.black, vendor.white, 200, dtype=np.float32), (50, 1))
    air = np.zeros(attenuation.shape, np.bool_)
    air[:, 150:] = True
    flat = replace(vendor, sharpening=0)
    grey = grey_levels(attenuation.copy(), air, flat, spacing_mm=0.07)
    assert (np.diff(grey[0, :150].astype(int)) >= 0).all()
    assert grey[0, 0] == 0
    assert grey[0, 149] > 0.6 * 2**vendor.bits
    assert (grey[:, 150:] == 0).all()


def test_sharpening_raises_an_edge() -> None:
    edge = np.ones((60, 60), np.float32)
    edge[:, 30:] = 1.5
    nowhere = np.zeros(edge.shape, np.bool_)
    plain = grey_levels(edge.copy(), nowhere, vendor_a(), spacing_mm=0.07)
    sharp = grey_levels(edge.copy(), nowhere, replace(vendor_a(), sharpening=0.8), spacing_mm=0.07)
    assert int(sharp[30, 31]) > int(plain[30, 31])
    assert int(sharp[30, 28]) < int(plain[30, 28])
