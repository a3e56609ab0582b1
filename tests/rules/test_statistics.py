"""Each statistic against a plainer computation, or a value from a textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules import statistics
from monitor.rules.rule import listed, rounded

floats = st.floats(-1e6, 1e6)
NOISE = np.random.default_rng(1).normal(size=4096)


@given(st.lists(floats, min_size=1, max_size=120))
def test_median_is_numpys(values):
    assert statistics.median(np.array(values)) == pytest.approx(np.median(values), abs=1e-9)


def test_median_of_nothing_is_not_a_number():
    assert np.isnan(statistics.median(np.empty(0)))


def test_mad_and_difference_noise_recover_the_deviation_of_gaussian_noise():
    assert statistics.mad(NOISE) == pytest.approx(1.0, rel=0.05)
    assert statistics.difference_noise(NOISE) == pytest.approx(1.0, rel=0.05)


def test_difference_noise_is_blind_to_a_trend():
    trend = np.linspace(0, 100, NOISE.size)
    assert statistics.difference_noise(NOISE + trend) == pytest.approx(1.0, rel=0.05)


def test_curvature_noise_is_blind_to_a_bend():
    bend = np.linspace(0, 30, NOISE.size) ** 2
    assert statistics.curvature_noise(NOISE + bend) == pytest.approx(1.0, rel=0.05)


def test_mann_kendall_of_a_textbook_series():
    # 8 points with S = 14: (14 - 1) / sqrt(8 * 7 * 21 / 18)
    series = np.array([2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0])
    assert statistics.mann_kendall_z(series) == pytest.approx((20 - 1) / np.sqrt(8 * 7 * 21 / 18))


@given(st.lists(floats, min_size=2, max_size=20))
def test_theil_sen_is_the_median_of_all_slopes(values):
    slopes = [(values[j] - values[i]) / (j - i) for i in range(len(values)) for j in range(i + 1, len(values))]
    assert statistics.theil_sen(np.array(values)) == pytest.approx(np.median(slopes), abs=1e-6)


def test_variance_ratio_tells_swings_from_noise():
    assert 0.3 < statistics.variance_ratio(NOISE[:256]) < 2
    assert statistics.variance_ratio(np.sin(np.arange(256) / 8)) > 10


def test_lag1_correlation_of_noise_and_of_a_bounce():
    assert abs(statistics.lag1_correlation(NOISE)) < 0.05
    assert statistics.lag1_correlation(np.tile([1.0, -1.0], 128)) == pytest.approx(-1.0, abs=0.02)


def test_rounded_numbers_are_those_that_a_person_types():
    assert [rounded(x) for x in (0.15, 0.0312, 0.0996, 3.3e-5, 0.0, 512.0)] == [
        "0.15",
        "0.03",
        "0.1",
        "3e-05",
        "0",
        "500",
    ]


def test_long_lists_are_cut():
    assert listed(()) == ""
    assert listed(("a", "b", "c", "d", "e")) == "a, b, c and 2 more"
