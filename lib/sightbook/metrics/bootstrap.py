"""Figures with their 95 % intervals, and the resampling behind them.

A figure is a plain dict, ready for metrics.json: ``{"value", "n", "low", "high"}``. A share of
samples that are independent of each other gets Wilson's interval (:func:`share`); whatever else is
made of sums over units (documents, pages, images, objects) gets the interval of a percentile
bootstrap (Efron 1979), in three steps: :func:`resample` says how often each sample is drawn, the
figure is computed once for each resample from sums weighted so (``draws @ table``), and
:func:`figure` takes the middle 95 % of them. Drawing units, and not what is counted within them,
is what keeps an interval honest: the characters of a blurred page are wrong together.

Equal numbers of units and an equal seed give the same draws in every line, so that intervals
repeat exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightbook.metrics.intervals import Interval, wilson

Floats = NDArray[np.float64]


class Figure(TypedDict):
    """A figure, what it rests on, and the bounds of its 95 % interval.

    Attributes:
        value: None where there is nothing to count.
        n: what it is counted on: characters of an error rate, images of a share.
        low: lower bound; None where no interval can be told, as with a single unit.
        high: upper bound, None together with `low`.
    """

    value: float | None
    n: int
    low: float | None
    high: float | None


def resample(
    units: int | Sequence[str] | NDArray[np.integer[Any]], resamples: int = 1000, seed: int = 0
) -> NDArray[np.int64]:
    """How often each sample is drawn in each resample of a bootstrap.

    As many units as there are get drawn with replacement, and each sample is drawn as often as its
    unit. The k-th draw goes to the k-th unit in ascending order: numbers by value, names by
    spelling. Nameless samples stand before all names, in the order of their indices' spelling
    (0, 1, 10, 11 ... 2); :func:`resample` of a number keeps the samples' own order. So
    ``resample(n)`` and ``resample([""] * n)`` draw alike but assign the draws differently from
    eleven samples on: the detectors' intervals use the second, the others the first, and both stay
    what they are in the records that are shipped.

    Args:
        units: number of samples, each of them a unit; or of each sample the unit that is drawn as a
            whole, because samples of one unit resemble each other (the board or highway of an
            image, the family of a document type). An empty name is a unit of its own.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        Counts int64 ``[resamples, samples]``; no rows where there are fewer than two units, as
        these say nothing about how units differ.
    """
    if isinstance(units, int):
        place = np.arange(units)
    elif isinstance(units, np.ndarray):
        place = np.unique(units, return_inverse=True)[1]
    else:
        names = [unit or f"\0{k}" for k, unit in enumerate(units)]
        place = np.unique(np.asarray(names, str), return_inverse=True)[1]
    count = int(place.max(initial=-1)) + 1
    if count < 2:
        return np.zeros((0, len(place)), np.int64)
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, place]


def percentile_interval(values: ArrayLike) -> Interval:
    """The middle 95 % of a figure's resamples.

    Args:
        values: the figure of each resample, ``[k]``; what is not finite (a resample in which there
            was nothing to count) is left out.

    Returns:
        Lower and upper bound; both NaN where no resample had a value.
    """
    values = np.asarray(values)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan, math.nan
    low, high = np.percentile(finite, [2.5, 97.5]).tolist()
    return low, high


def figure(value: float, n: int, resampled: ArrayLike = ()) -> Figure:
    """A figure with the 95 % interval of its resamples.

    Args:
        value: NaN stands for "nothing to count".
        n: what it is counted on.
        resampled: the figure of each resample, ``[k]``; none leaves the interval out.
    """
    if not math.isfinite(value):
        return {"value": None, "n": n, "low": None, "high": None}
    low, high = percentile_interval(resampled)
    if math.isnan(low):
        return {"value": float(value), "n": n, "low": None, "high": None}
    return {"value": float(value), "n": n, "low": low, "high": high}


def share(hits: int, n: int) -> Figure:
    """The share of samples that count, with Wilson's interval: for independent samples.

    Args:
        hits: samples that count.
        n: all samples; of none the value is None and the interval says nothing (0 to 1).
    """
    low, high = wilson(hits, n)
    return {"value": hits / n if n else None, "n": n, "low": low, "high": high}


def ratio_of_sums(
    numerators: Sequence[float],
    denominators: Sequence[float],
    units: Sequence[str] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Figure:
    """Ratio of two sums over samples, with a bootstrap over the samples or their units.

    Errors over characters give an error rate, values over ones a mean.

    Args:
        numerators: of each sample.
        denominators: of each sample, none negative; their sum is the figure's `n`.
        units: of each sample, see :func:`resample`; None draws samples.
        resamples: number of resamples.
        seed: of the draws.

    Raises:
        ValueError: the sequences differ in length.
    """
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if len(top) != len(bottom) or (units is not None and len(units) != len(top)):
        raise ValueError(
            f"{len(top)} numerators, {len(bottom)} denominators and "
            f"{'no' if units is None else len(units)} units: expected one of each for a sample"
        )
    draws = resample(len(top) if units is None else units, resamples, seed)
    total = divide(top.sum(keepdims=True), bottom.sum(keepdims=True))
    return figure(float(total[0]), int(bottom.sum()), divide(draws @ top, draws @ bottom))


def divide(top: Floats, bottom: Floats, otherwise: float = math.nan) -> Floats:
    """Quotients of two arrays of one shape.

    Args:
        top: numerators.
        bottom: denominators.
        otherwise: what stands where the denominator is not above 0.
    """
    return np.divide(top, bottom, out=np.full(np.shape(top), otherwise), where=bottom > 0)


def values_of(figures: Mapping[str, Figure]) -> dict[str, float]:
    """The bare values, for curves and tables; figures of nothing are left out."""
    return {name: f["value"] for name, f in figures.items() if f["value"] is not None}


def intervals_of(figures: Mapping[str, Figure]) -> dict[str, Interval]:
    """The bare intervals, for bars and whiskers; figures without one are left out."""
    found = {name: (f["low"], f["high"]) for name, f in figures.items()}
    return {
        name: (low, high)
        for name, (low, high) in found.items()
        if low is not None and high is not None
    }


def format_figure(figure: Figure) -> str:
    """A figure for a table: ``0.500 (0.250 to 0.750)``; a dash where there is nothing to count."""
    if figure["value"] is None:
        return "–"
    interval = f" ({format_interval(figure)})" if figure["low"] is not None else ""
    return f"{figure['value']:.3f}{interval}"


def format_interval(figure: Figure) -> str:
    """A figure's interval for a table: ``0.250 to 0.750``; a dash where there is none."""
    if figure["low"] is None:
        return "–"
    return f"{figure['low']:.3f} to {figure['high']:.3f}"
