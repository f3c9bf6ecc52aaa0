"""A power law is fitted with its doubt: exact points are found again, few or noisy ones widen the forecast."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.learning_curve.power_law import CurvePoint, fit

SIZES = (10, 20, 30, 40)


def points(asymptote, slope, exponent, *, error=0.005, sizes=SIZES):
    return [CurvePoint(n, asymptote - slope * n**-exponent, error) for n in sizes]


def test_the_forecast_follows_the_law_of_the_points():
    law = fit(points(0.9, 1.2, 0.6))
    forecast = law.forecast(80)
    assert forecast.low <= 0.9 - 1.2 * 80**-0.6 <= forecast.high
    assert law.asymptote.low <= 0.9 <= law.asymptote.high
    assert law.exponent.low <= 0.6 <= law.exponent.high


def test_points_that_are_measured_badly_widen_the_forecast():
    good, bad = (fit(points(0.9, 1.2, 0.6, error=error)).forecast(80) for error in (0.005, 0.05))
    assert bad.high - bad.low > good.high - good.low


def test_two_sizes_are_too_few():
    assert fit(points(0.9, 1.2, 0.6, sizes=(10, 20, 20))) is None


@settings(max_examples=8, deadline=None)
@given(
    asymptote=st.floats(0.5, 0.99),
    slope=st.floats(0.0, 1.0),
    exponent=st.floats(0.2, 2.0),
    ahead=st.integers(41, 400),
)
def test_a_forecast_is_ordered_and_a_score(asymptote, slope, exponent, ahead):
    forecast = fit(points(asymptote, slope, exponent)).forecast(ahead)
    assert forecast.low <= forecast.value <= forecast.high <= 1.0


def test_a_flat_curve_forecasts_little_gain():
    law = fit([CurvePoint(n, 0.7, 0.005) for n in SIZES])
    assert law.forecast(80).value == pytest.approx(0.7, abs=0.04)
