"""Wilson's interval against cases worked out by hand and the equation that defines it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightbook.metrics.intervals import wilson


def test_by_hand():
    # 9 of 10, z = 1.96: (0.9 + 0.19208) / 1.38416 -+ 1.96 * sqrt(0.009 + 0.0096040) / 1.38416
    low, high = wilson(9, 10)
    assert low == pytest.approx(0.5958, abs=2e-4)
    assert high == pytest.approx(0.9821, abs=2e-4)
    low, high = wilson(8, 10)  # textbook case: 0.490 to 0.943
    assert low == pytest.approx(0.4902, abs=1e-4) and high == pytest.approx(0.9433, abs=1e-4)


def test_ends():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
    assert wilson(0, 5)[1] > 0.3, "no hit in five says little"


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.5, 4))
def test_bounds_are_where_the_share_is_z_deviations_away(n, part, z):
    hits = round(part * n)
    for bound in wilson(hits, n, z):
        if 0 < bound < 1:
            deviation = math.sqrt(bound * (1 - bound) / n)
            assert abs(hits / n - bound) == pytest.approx(z * deviation, rel=1e-6, abs=1e-9)


@given(st.integers(1, 400), st.data())
def test_holds_the_share_and_mirrors(n, data):
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n + 1e-12 and hits / n - 1e-12 <= high <= 1
    mirrored = wilson(n - hits, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high))
