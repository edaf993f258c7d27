"""Intervals of figures: how far a share counted on a sample may be from the truth."""

from __future__ import annotations

import math

Interval = tuple[float, float]


def wilson(hits: int, n: int, z: float = 1.96) -> Interval:
    """Wilson's score interval of a share (Wilson 1927).

    It holds where the samples are independent of each other.

    Args:
        hits: samples that count.
        n: all samples.
        z: quantile of the normal distribution; the default gives 95 %.

    Returns:
        Lower and upper bound; (0, 1) for no samples.
    """
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the bounds are exactly those, but for rounding
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == n else centre + half
    return low, high
