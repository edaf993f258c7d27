"""What an embedding is judged by in use: a probe is compared with every registered type.

A type's score is the highest cosine similarity of its templates, the answer is the type with the
highest score. It is right when it is the probe's own type; an answer within its artwork family
(another type with the same artwork) is counted apart, as neither right nor a stranger. Whoever is
meant to be unknown has no member of its family registered.

Intervals come from a bootstrap over families: of the probes, while the registered types stay. They
say how far a figure depends on which types were photographed, not on which were registered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.metrics import (
    Floats,
    Labels,
    OperatingPoint,
    normalised,
    share_accepted,
    threshold_at,
)
from sightbook.metrics.bootstrap import Figure, figure, percentile_interval, resample
from sightbook.metrics.intervals import wilson

FARS = (1e-1, 1e-2, 1e-3)
"""False alarm rates at which open-set identification is reported."""

CURVE_STEPS = 60


class Share(Figure):
    """A share of probes, with an interval by a bootstrap over families.

    Attributes:
        hits: probes that count, of all `n`.
    """

    hits: int


@dataclass(frozen=True)
class Search:
    """Similarity of each probe to each registered type.

    Attributes:
        scores: float32 ``[n, types]``.
        types: class of each column, int64 ``[types]``, ascending.
        labels: true class of each probe, int64 ``[n]``.
        families: number of the family of each class, int64 ``[classes]``.
    """

    scores: NDArray[np.float32]
    types: Labels
    labels: Labels
    families: Labels

    @property
    def same_family(self) -> NDArray[np.bool_]:
        """Which columns are of the probe's family, its own type among them, ``[n, types]``."""
        return self.families[self.labels][:, None] == self.families[self.types][None, :]

    @property
    def answers(self) -> Labels:
        """Class with the highest score, ``[n]``."""
        return self.types[self.scores.argmax(axis=1)]

    @property
    def best(self) -> NDArray[np.float32]:
        """The highest score, ``[n]``."""
        return self.scores.max(axis=1)

    @property
    def own(self) -> NDArray[np.float32]:
        """Score of the probe's own type, -inf where it is not registered, ``[n]``."""
        mine = self.labels[:, None] == self.types[None, :]
        return np.where(mine, self.scores, np.float32(-np.inf)).max(axis=1)

    @property
    def impostors(self) -> NDArray[np.float32]:
        """The highest score among types of other families, ``[n]``: the probe as an unknown."""
        return np.where(self.same_family, np.float32(-np.inf), self.scores).max(axis=1)


@dataclass(frozen=True)
class ClosedSet:
    """Top-1 identification, every probe's type being registered.

    Attributes:
        top1: share with the right answer.
        wilson: its interval if probes were independent, narrower than the bootstrap's.
        family: share with an answer within the right family, the right one included.
        types: registered.
    """

    top1: Share
    wilson: tuple[float, float]
    family: Share
    types: int


@dataclass(frozen=True)
class OpenSet:
    """Open-set identification: half of the types registered, the other half unknown.

    Attributes:
        points: `target` and `fpr` are false alarm rates (unknown probes that are accepted as
            whatever type), `tpr` is the detection and identification rate (known probes that are
            accepted and right). Means over the draws, as are the thresholds.
        far: of the curve, even steps of its logarithm.
        dir: of the curve.
        types: registered at a time.
        unknown: unknown probes at a time.
        draws: ways of halving the types, times two.
    """

    points: list[OperatingPoint]
    far: NDArray[np.float64]
    dir: NDArray[np.float64]
    types: int
    unknown: int
    draws: int


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it was chosen on.

    Attributes:
        value: a probe is accepted when its best score is at least this.
        target: share of unknown types' views that may be accepted.
        low: lower bound of the 95 % interval of `value`, by a bootstrap over families.
        high: upper bound.
        classes: types that were registered, less the probe's own family.
        views: probes.
        reachable: whether there are enough probes to see the target at all.
    """

    value: float
    target: float
    low: float
    high: float
    classes: int
    views: int
    reachable: bool = True

    def to_dict(self) -> dict[str, float]:
        """As plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Realised:
    """What a threshold does to types it was not chosen on.

    Attributes:
        right: known probes that are accepted and right.
        same_family: known probes that are accepted as another type of their family.
        wrong: known probes that are accepted as another type.
        rejected: known probes that are rejected.
        false_identification: probes that are accepted with their family not registered.
    """

    right: Share
    same_family: Share
    wrong: Share
    rejected: Share
    false_identification: Share


def search(
    queries: Floats,
    labels: Labels,
    gallery: Floats,
    gallery_labels: Labels,
    families: Sequence[str],
) -> Search:
    """Compare probes with registered templates.

    Args:
        queries: ``[n, d]``.
        labels: true classes, int64 ``[n]``, indices into `families`.
        gallery: ``[templates, d]``; a type may have several.
        gallery_labels: int64 ``[templates]``.
        families: of each class, by name.

    Raises:
        ValueError: nothing is registered.
    """
    if not len(gallery):
        raise ValueError("nothing is registered: the gallery is empty")
    order = np.argsort(gallery_labels, kind="stable")
    types, first = np.unique(np.asarray(gallery_labels)[order], return_index=True)
    scores = normalised(queries) @ normalised(gallery)[order].T
    if len(types) < len(order):
        scores = np.maximum.reduceat(scores, first, axis=1)
    numbers = np.unique(np.asarray(families, str), return_inverse=True)[1]
    return Search(scores, types, np.asarray(labels), numbers)


def identification(found: Search, bootstrap: int = 200, seed: int = 0) -> ClosedSet:
    """Top-1 identification among all registered types."""
    answers, probes = found.answers, found.families[found.labels]
    right = answers == found.labels
    return ClosedSet(
        share(right, probes, bootstrap, seed),
        wilson(int(right.sum()), len(right)),
        share(found.families[answers] == probes, probes, bootstrap, seed),
        len(found.types),
    )


def open_set(
    found: Search,
    fars: Sequence[float] = FARS,
    halvings: int = 5,
    bootstrap: int = 200,
    seed: int = 0,
) -> OpenSet:
    """Detection and identification rate at false alarm rates.

    The families are halved at random several times; each half is registered once, with the other
    half's views as unknown probes. As in watch-list tests (Phillips, Grother, Micheals: Evaluation
    methods in face recognition, 2011), a known probe counts only if it is accepted and right.

    Raises:
        ValueError: fewer than two families are registered.
    """
    column_family, probe_family = found.families[found.types], found.families[found.labels]
    names = np.unique(column_family)
    if len(names) < 2:
        raise ValueError("open-set identification needs types of two families")
    rng = np.random.default_rng(seed)
    ways = []
    for _ in range(halvings):
        half = rng.permutation(names)[: len(names) // 2]
        ways += [np.isin(names, half), ~np.isin(names, half)]
    weights = _weights(probe_family, bootstrap, seed)
    unknown_least = min(int((~np.isin(probe_family, names[way])).sum()) for way in ways)
    grid = np.geomspace(1 / max(1, unknown_least), 1, CURVE_STEPS)
    rates, curves = np.zeros((len(ways), len(fars), 3)), np.zeros((len(ways), CURVE_STEPS))
    resampled = np.zeros((len(ways), len(fars), weights.shape[1]))
    for number, way in enumerate(ways):
        columns, known = np.isin(column_family, names[way]), np.isin(probe_family, names[way])
        scores = found.scores[:, columns]
        best = scores.max(axis=1)
        right = known & (found.types[columns][scores.argmax(axis=1)] == found.labels)
        alarms, detected = np.sort(best[~known]), np.sort(best[right])
        among_right = len(detected) / known.sum()
        for place, far in enumerate(fars):
            value = threshold_at(alarms, far)
            hits = float(share_accepted(detected, value)) * among_right if len(detected) else 0.0
            rates[number, place] = value, float(share_accepted(alarms, value)), hits
            resampled[number, place] = _resampled_dir(best, known, right, weights, far)
        limits = np.array([threshold_at(alarms, far) for far in grid])
        curves[number] = share_accepted(detected, limits) * among_right if len(detected) else 0.0
    points = []
    for place, far in enumerate(fars):
        value, realised, hits = rates[:, place].mean(axis=0).tolist()
        low, high = percentile_interval(resampled[:, place].mean(axis=0))
        reachable = far * unknown_least >= 1
        points.append(OperatingPoint(far, value, realised, hits, low, high, reachable))
    types = round(sum(int(np.isin(column_family, names[way]).sum()) for way in ways) / len(ways))
    return OpenSet(points, grid, curves.mean(axis=0), types, unknown_least, len(ways))


def calibrate(found: Search, target: float, bootstrap: int = 200, seed: int = 0) -> Threshold:
    """Choose the threshold that lets a given share of unknown types' views through.

    Every probe is taken as unknown: its own family's templates are left out of the search. The
    threshold is the smallest at which the share of accepted probes does not exceed the target.

    Args:
        found: probes against the registered types, of classes that were never trained on.
        target: share, above 0 and below 1.
        bootstrap: resamples of the probes' families; 0 leaves the interval out.
        seed: of the resamples.

    Raises:
        ValueError: all types are of one family, so no probe can be unknown.
    """
    scores = found.impostors
    if not np.isfinite(scores).all():
        raise ValueError("a threshold needs registered types of two families")
    weights = _weights(found.families[found.labels], bootstrap, seed)
    low, high = percentile_interval(_weighted_thresholds(scores, weights, target))
    return Threshold(
        threshold_at(np.sort(scores), target),
        target,
        low,
        high,
        len(found.types),
        len(scores),
        target * len(scores) >= 1,
    )


def realised(found: Search, threshold: float, bootstrap: int = 200, seed: int = 0) -> Realised:
    """What becomes of known and of unknown probes at a threshold."""
    probes, answers = found.families[found.labels], found.answers
    accepted, right = found.best >= threshold, answers == found.labels
    same_family = ~right & (found.families[answers] == probes)
    return Realised(
        right=share(accepted & right, probes, bootstrap, seed),
        same_family=share(accepted & same_family, probes, bootstrap, seed),
        wrong=share(accepted & ~right & ~same_family, probes, bootstrap, seed),
        rejected=share(~accepted, probes, bootstrap, seed),
        false_identification=share(found.impostors >= threshold, probes, bootstrap, seed),
    )


def false_identifications(found: Search, threshold: float, sizes: Sequence[int]) -> list[float]:
    """Expected share of unknown probes that are accepted when so many types are registered.

    The more types are registered, the likelier one of them resembles a stranger. The expectation is
    over all choices of that many types of other families: with ``m`` such types, ``a`` of which
    reach the threshold, a choice of ``k`` misses them all with chance ``C(m - a, k) / C(m, k)``.

    Args:
        found: probes against the registered types.
        threshold: as in use.
        sizes: numbers of registered types; more than there are count as all.
    """
    other = ~found.same_family
    there = other.sum(axis=1)
    above = (other & (found.scores >= threshold)).sum(axis=1)
    pairs, counts = np.unique(np.stack([there, above], axis=1), axis=0, return_counts=True)
    expected = []
    for size in sizes:
        missed = [
            math.comb(m - a, min(size, m)) / math.comb(m, min(size, m)) for m, a in pairs.tolist()
        ]
        expected.append(1 - float(np.dot(missed, counts) / counts.sum()))
    return expected


def share(hits: NDArray[np.bool_], probes: Labels, bootstrap: int = 200, seed: int = 0) -> Share:
    """The share of probes that count, with an interval by a bootstrap over families.

    Args:
        hits: ``[n]``.
        probes: number of each probe's family, ``[n]``.
        bootstrap: resamples; 0 leaves the interval out.
        seed: of the resamples.
    """
    weights = _weights(probes, bootstrap, seed)
    with np.errstate(invalid="ignore"):
        resampled = (hits @ weights) / weights.sum(axis=0)
    value = float(hits.mean()) if len(hits) else float("nan")
    return {**figure(value, len(hits), resampled), "hits": int(hits.sum())}


def _weights(probes: Labels, bootstrap: int, seed: int) -> NDArray[np.float32]:
    """How often each probe counts in each resample of the families, ``[n, resamples]``."""
    return resample(probes, bootstrap, seed).T.astype(np.float32)


def _weighted_thresholds(
    scores: NDArray[np.float32], weights: NDArray[np.float32], target: float
) -> NDArray[np.float64]:
    """Threshold of each resample, of probes ``[n]`` that count ``[n, resamples]`` times."""
    order = np.argsort(-scores, kind="stable")
    ordered, counted = scores[order], np.cumsum(weights[order], axis=0, dtype=np.float64)
    allowed = target * counted[-1] * (1 + 1e-12)
    # The first probe, from the top, that takes the count past what is allowed must be rejected.
    rejected = np.minimum((counted <= allowed).sum(axis=0), len(ordered) - 1)
    return np.nextafter(ordered[rejected], np.float32(np.inf)).astype(np.float64)


def _resampled_dir(
    best: NDArray[np.float32],
    known: NDArray[np.bool_],
    right: NDArray[np.bool_],
    weights: NDArray[np.float32],
    far: float,
) -> NDArray[np.float64]:
    """Detection and identification rate of each resample, at its own threshold."""
    limits = _weighted_thresholds(best[~known], weights[~known], far)
    order = np.argsort(best[right], kind="stable")
    counted = np.cumsum(weights[right][order][::-1], axis=0)[::-1]
    above = np.vstack([counted, np.zeros(len(limits))])
    place = np.searchsorted(best[right][order], limits, "left")
    with np.errstate(invalid="ignore", divide="ignore"):
        return above[place, np.arange(len(limits))] / weights[known].sum(axis=0)
