"""Numbers as the screen writes them."""

import math

import pytest

from monitor.app import format as fmt


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"), (950, "950"), (999.6, "1.00k"), (9020, "9.02k"), (88_200, "88.2k"), (902_000, "902k"),
        (1_284_310, "1.28M"), (4e6, "4.00M"), (3e12, "3.00T"), (-1500, "−1.50k"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_short_counts(value, expected):
    assert fmt.short(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.86712, "1.867"), (0.43121, "0.4312"), (0.0033, "0.0033"), (2.38e-4, "2.38e-4"), (8059.2, "8,059"),
        (460.27, "460.3"), (0, "0"), (-1.5, "−1.500"), (1.23e9, "1.23e9"), (math.nan, "NaN"), (math.inf, "inf"),
        (-math.inf, "−inf"), (None, "–"),
    ],
)  # fmt: skip
def test_real_numbers(value, expected):
    assert fmt.real(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (59.9, "59s"), (61, "1m01s"), (720, "12m"), (7500, "2h05m"), (187_200, "2d04h"), (math.nan, "–")],
)
def test_durations(seconds, expected):
    assert fmt.duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(9.9, "9s"), (190, "3m"), (18_000, "5h"), (172_800, "2d"), (-1, "0s")]
)
def test_ages(seconds, expected):
    assert fmt.ago(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.243, "243 ms"), (1.2, "1.20 s"), (85e-6, "85.0 µs"), (0.0123, "12.3 ms"), (250, "4m10s"), (0, "0.00 µs")],
)
def test_the_length_of_a_step(seconds, expected):
    assert fmt.span_s(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(512, "512B"), (200 * 1024, "200K"), (118.4 * 2**30, "118.4G"), (3e15, "2728T")]
)
def test_memory_sizes(count, expected):
    assert fmt.size(count) == expected


@pytest.mark.parametrize(("share", "expected"), [(-0.045, "−4.5%"), (0.0, "0.0%"), (1.92, "+192%"), (40.0, "×41")])
def test_changes_in_percent(share, expected):
    assert fmt.signed_percent(share) == expected


@pytest.mark.parametrize(("share", "expected"), [(-0.0312, "−3.1"), (0.0, "·"), (0.0004, "·"), (math.nan, "–")])
def test_changes_in_points(share, expected):
    assert fmt.points(share) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.2253, "+0.225"), (-3.14159, "−3.14"), (0, "·"), (math.inf, "–")])
def test_differences(value, expected):
    assert fmt.signed(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(1.86712, "1.8671"), (0.43121, "0.4312"), (math.nan, "NaN")])
def test_losses(value, expected):
    assert fmt.loss(value) == expected
