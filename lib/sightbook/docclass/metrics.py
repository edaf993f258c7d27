"""What an embedding is judged by: pairs of views here, searches in `search_metrics`.

Scores are cosine similarities, a pair is accepted when its score is at least the threshold. Views
of one class are genuine pairs, views of classes of different artwork families are impostor pairs;
two classes of one family (the same card with another number) are neither: left among the impostors
they would be counted as mistakes that nobody could avoid.

Intervals come from a bootstrap over families, since views of a class, and all pairs that one class
takes part in, stand or fall together: intervals over pairs would be far too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightbook.metrics.bootstrap import percentile_interval, resample

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

FPRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""False positive rates at which the true positive rate is reported."""

BOOTSTRAP_STEPS = 160
"""Thresholds that the bootstrap knows, even steps of the FPR's logarithm."""

HISTOGRAM_BINS = 80


@dataclass(frozen=True)
class OperatingPoint:
    """What is accepted at a false positive rate.

    Attributes:
        target: the rate that must not be exceeded.
        threshold: the smallest one at which it is not.
        fpr: the rate there, at most the target.
        tpr: share of genuine pairs accepted there.
        low: lower bound of the TPR's 95 % interval; NaN without a bootstrap.
        high: upper bound.
        reachable: whether there are enough impostors to see the target at all; if not, the
            threshold merely lies above every impostor.
    """

    target: float
    threshold: float
    fpr: float
    tpr: float
    low: float = float("nan")
    high: float = float("nan")
    reachable: bool = True


@dataclass(frozen=True)
class Verification:
    """Are two views of the same type? Over all pairs of a set.

    Attributes:
        points: one for each target, in their order.
        auroc: area under the ROC curve, ties counted half.
        roc_fpr: float64 ``[m]``, even steps on a logarithmic axis from one impostor to all.
        roc_tpr: float64 ``[m]``.
        edges: of the histograms, float64 ``[bins + 1]``, cosines.
        genuine: histogram of genuine scores, counts ``[bins]``.
        impostor: the same of impostors.
        n_genuine: number of pairs.
        n_impostor: number of pairs.
        families: resampled units.
    """

    points: list[OperatingPoint]
    auroc: float
    roc_fpr: NDArray[np.float64]
    roc_tpr: NDArray[np.float64]
    edges: NDArray[np.float64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]
    n_genuine: int
    n_impostor: int
    families: int

    def at(self, target: float) -> OperatingPoint:
        """The point of a target.

        Raises:
            KeyError: this target was not asked for.
        """
        for point in self.points:
            if point.target == target:
                return point
        raise KeyError(f"FPR {target}: there are {[point.target for point in self.points]}")


def verification(
    embeddings: Floats,
    labels: Labels,
    families: Sequence[str],
    fprs: Sequence[float] = FPRS,
    bootstrap: int = 200,
    seed: int = 0,
) -> Verification:
    """Score all pairs of a set: some 50 million for 10,000 views, in 400 MB.

    The bootstrap draws families with replacement: an impostor pair counts as often as the product
    of how often its two families were drawn, a genuine pair as often as its own (two draws of one
    family are not paired with each other). Each resample chooses its own thresholds.

    Args:
        embeddings: ``[n, d]``, of any length but 0.
        labels: int64 ``[n]``, indices into `families`.
        families: of each class; classes of one family are never impostors of each other.
        fprs: targets, each above 0 and below 1.
        bootstrap: number of resamples; 0 leaves the intervals out.
        seed: of the resamples.

    Raises:
        ValueError: no genuine or no impostor pair can be made of these views, or an embedding is
            not finite.
    """
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings that are not finite numbers: the training has diverged")
    group_of_class = np.unique(np.asarray(families, str), return_inverse=True)[1]
    order = np.lexsort((labels, group_of_class[labels]))
    rows = normalised(embeddings)[order]
    labels = np.asarray(labels)[order]
    groups = np.unique(group_of_class[labels], return_inverse=True)[1]
    starts = np.searchsorted(groups, np.arange(groups.max(initial=-1) + 2))

    genuine, owners = _genuine(rows, labels, starts)
    sizes = np.diff(starts)
    impostor = np.empty((len(rows) ** 2 - int((sizes**2).sum())) // 2, np.float32)
    if not len(genuine) or not len(impostor):
        raise ValueError(
            f"{len(rows)} views of {len(np.unique(labels))} classes in {len(sizes)} families make "
            f"{len(genuine)} genuine and {len(impostor)} impostor pairs: two views of a class and "
            "two families are needed"
        )
    filled = 0
    for _, scores in _impostors(rows, starts):
        impostor[filled : filled + scores.size] = scores.ravel()
        filled += scores.size
    impostor.sort()
    points = operating_points(genuine, impostor, fprs)
    if bootstrap:
        draws = resample(len(sizes), bootstrap, seed).T.astype(np.float32)
        edges = _bootstrap_edges(impostor, max(fprs))
        fpr = _bootstrap_fpr(rows, starts, edges, draws)
        tpr = _bootstrap_tpr(genuine, owners, edges, draws)
        points = [_with_interval(point, fpr, tpr) for point in points]
    roc_fpr, roc_tpr = roc(genuine, impostor)
    lowest = min(-0.2, float(impostor[0]), float(genuine.min()))
    # Rounding takes the cosine of two equal views past 1.
    bins = np.linspace(lowest, 1 + 1e-5, HISTOGRAM_BINS + 1)
    return Verification(
        points,
        auroc(genuine, impostor),
        roc_fpr,
        roc_tpr,
        bins,
        np.histogram(genuine, bins)[0],
        np.diff(np.searchsorted(impostor, bins)),
        len(genuine),
        len(impostor),
        len(sizes),
    )


def operating_points(
    genuine: Floats, impostor: Floats, fprs: Sequence[float] = FPRS
) -> list[OperatingPoint]:
    """TPR and threshold at each false positive rate, of scores that need no order."""
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    points = []
    for target in fprs:
        threshold = threshold_at(impostor, target)
        points.append(
            OperatingPoint(
                target,
                threshold,
                float(share_accepted(impostor, threshold)),
                float(share_accepted(genuine, threshold)),
                reachable=_allowed(len(impostor), target) > 0,
            )
        )
    return points


def threshold_at(impostor: Floats, target: float) -> float:
    """The smallest threshold at which the share of accepted impostors does not exceed the target.

    Equal scores are accepted or rejected together, so that share may stay below the target. The
    threshold is the next number above the highest score that must be rejected.

    Args:
        impostor: scores in ascending order, at least one.
        target: from 0 to 1.
    """
    allowed = _allowed(len(impostor), target)
    if allowed >= len(impostor):
        return float(impostor[0])
    rejected = impostor[len(impostor) - 1 - allowed]
    return float(np.nextafter(rejected, rejected.dtype.type(np.inf)))


def roc(
    genuine: Floats, impostor: Floats, steps: int = 200
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FPR and TPR at even steps of the FPR's logarithm, from one impostor accepted to all.

    Args:
        genuine: scores in any order.
        impostor: scores in ascending order.
        steps: points of the curve at most.
    """
    ordered = np.sort(genuine)
    counts = np.unique(np.round(np.geomspace(1, len(impostor), steps)).astype(np.int64))
    thresholds = np.unique(impostor[len(impostor) - counts])[::-1]
    return share_accepted(impostor, thresholds), share_accepted(ordered, thresholds)


def auroc(genuine: Floats, impostor: Floats) -> float:
    """Chance that a genuine pair scores above an impostor pair, ties half.

    Args:
        genuine: scores in any order.
        impostor: scores in ascending order.
    """
    below = np.searchsorted(impostor, genuine, "left").mean()
    not_above = np.searchsorted(impostor, genuine, "right").mean()
    return float((below + not_above) / 2 / len(impostor))


def share_accepted(ordered: Floats, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Share of ascending scores at or above each threshold."""
    # Counted from the top: one minus a share would exceed the target by a rounding error.
    return (len(ordered) - np.searchsorted(ordered, thresholds, "left")) / len(ordered)


def normalised(embeddings: Floats) -> NDArray[np.float32]:
    """Embeddings of length 1, float32, so that a product is a cosine; a zero stays zero."""
    rows = np.asarray(embeddings, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _allowed(n: int, target: float) -> int:
    """Impostors that may pass; the product of a decimal and a count is not left to rounding."""
    return int(np.floor(target * n * (1 + 1e-12)))


def _genuine(
    rows: NDArray[np.float32], labels: Labels, starts: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores of pairs of one class, and the number of the family each is from."""
    scores, owners = [], []
    for family in range(len(starts) - 1):
        block = rows[starts[family] : starts[family + 1]]
        own = labels[starts[family] : starts[family + 1]]
        first, second = np.nonzero(np.triu(own[:, None] == own[None, :], 1))
        scores.append(np.einsum("pd,pd->p", block[first], block[second]))
        owners.append(np.full(len(first), family))
    return np.concatenate([*scores, np.zeros(0, np.float32)]), np.concatenate(
        [*owners, np.zeros(0, np.int64)]
    )


def _impostors(
    rows: NDArray[np.float32], starts: NDArray[np.intp]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Scores of each family's views (rows) against all views of the families after it."""
    for family in range(len(starts) - 2):
        begin, end = starts[family], starts[family + 1]
        yield family, rows[begin:end] @ rows[end:].T


def _bootstrap_edges(impostor: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
    """Thresholds in ascending order, from one that accepts far too many to one that accepts none.

    Resamples differ in how many impostors pass a threshold, so the range begins well below the one
    of the highest FPR.
    """
    most = max(1, int(len(impostor) * min(1.0, 3 * highest)))
    counts = np.round(np.geomspace(1, most, BOOTSTRAP_STEPS)).astype(np.int64)
    return np.append(np.unique(impostor[len(impostor) - counts]), np.float32(np.inf))


def _bootstrap_fpr(
    rows: NDArray[np.float32],
    starts: NDArray[np.intp],
    edges: NDArray[np.float32],
    draws: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Share of impostors at or above each edge in each resample, ``[edges, resamples]``."""
    bins, families = len(edges) - 1, len(starts) - 1
    groups = np.repeat(np.arange(families), np.diff(starts))
    counted = np.zeros((bins, draws.shape[1]))
    for family, scores in _impostors(rows, starts):
        high = np.nonzero(scores >= edges[0])
        place = np.searchsorted(edges, scores[high], "right") - 1
        later = families - family - 1
        column = groups[starts[family + 1] :][high[1]] - family - 1
        counts = np.bincount(place * later + column, minlength=bins * later)
        weighted = counts.reshape(bins, later).astype(np.float32) @ draws[family + 1 :]
        counted += draws[family] * weighted
    sizes = np.diff(starts)[:, None] * draws.astype(np.float64)
    total = (sizes.sum(axis=0) ** 2 - (sizes**2).sum(axis=0)) / 2
    above = np.cumsum(counted[::-1], axis=0)[::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.vstack([above, np.zeros(draws.shape[1])]) / total


def _bootstrap_tpr(
    genuine: NDArray[np.float32],
    owners: NDArray[np.int64],
    edges: NDArray[np.float32],
    draws: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Share of genuine pairs at or above each edge in each resample, ``[edges, resamples]``."""
    bins, families = len(edges), len(draws)
    place = np.searchsorted(edges, genuine, "right")  # 0: below every edge
    counts = np.bincount(place * families + owners, minlength=(bins + 1) * families)
    weighted = counts.reshape(bins + 1, families) @ draws.astype(np.float64)
    above = np.cumsum(weighted[::-1], axis=0)[::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return above[1:] / above[0]


def _with_interval(
    point: OperatingPoint, fpr: NDArray[np.float64], tpr: NDArray[np.float64]
) -> OperatingPoint:
    """Add the interval of the TPR where each resample's own FPR meets the target."""
    found = []
    for rates, shares in zip(fpr.T, tpr.T, strict=True):
        if np.isfinite(rates).all() and np.isfinite(shares).all():
            # Ascending for `interp`; between two edges the target lies on the line.
            found.append(np.interp(point.target, rates[::-1], shares[::-1]))
    low, high = percentile_interval(found)
    return OperatingPoint(
        point.target, point.threshold, point.fpr, point.tpr, low, high, point.reachable
    )
