"""Defect or clean? One answer for each image, and how far it can be trusted.

An image is called defective when at least one detection reaches the confidence `eval_conf`; it is
defective when it bears at least one true box. Nothing here looks at where the boxes lie: a picture
called defective for the wrong spot counts as found, which is why the figures of boxes stand beside.
A share of nothing is None, never 0 and never an error: precision where no image was called
defective, recall without a defective image, specificity without a clean one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.metrics.scoring import Found, check_found, resample_images
from sightbook.metrics.bootstrap import Figure, Floats, divide, figure, format_figure
from sightbook.metrics.intervals import wilson

OUTCOMES = ("TP", "FP", "FN", "TN")
SHARES = ("precision", "recall", "accuracy", "specificity", "F1")

MARGIN = 0.005
"""How far below the last score needed an operating point lies at most: exports differ by 0.001."""


@dataclass(frozen=True, eq=False)
class ImageScores:
    """What each image is and how sure the detector was.

    Attributes:
        names: of the records.
        defective: whether each bears a true box, bool ``[n]``.
        scores: of the most confident detection, float64 ``[n]``; 0 without any.
    """

    names: tuple[str, ...]
    defective: NDArray[np.bool_]
    scores: Floats

    def outcomes(self, eval_conf: float) -> list[str]:
        """One of :data:`OUTCOMES` for each image.

        Raises:
            ValueError: `eval_conf` is not above 0 and at most 1.
        """
        called = self.scores >= _checked(eval_conf)
        return [
            ("TP" if is_so else "FP") if said else ("FN" if is_so else "TN")
            for said, is_so in zip(called.tolist(), self.defective.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Counts:
    """Images by what they are and what they were called.

    Attributes:
        TP: defective and called so.
        FP: clean, called defective.
        FN: defective, called clean.
        TN: clean and called so.
    """

    TP: int
    FP: int
    FN: int
    TN: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.TP + self.FP + self.FN + self.TN

    def shares(self) -> dict[str, float | None]:
        """Precision, recall, accuracy, specificity and F1 = 2 TP / (2 TP + FP + FN)."""
        values = _shares(np.array([[self.TP, self.FP, self.FN, self.TN]], np.float64))
        return {
            name: float(value[0]) if np.isfinite(value[0]) else None
            for name, value in values.items()
        }


@dataclass(frozen=True)
class OperatingPoint:
    """The confidence from which an image is called defective, and what it gives.

    Attributes:
        eval_conf: the confidence.
        required_recall: share of the defective images that had to be found.
        recall: share found on the images that it was chosen on; None without a defective image.
        recall_low: lower bound of its 95 % interval (Wilson).
        recall_high: upper bound.
        specificity: share of the clean images called so; None without a clean image.
        precision: share of the images called defective that are; None where none was called.
        reachable: whether the required recall was met; if not, this is as near as it gets.
        images: number of images that it was chosen on.
        defective: how many of them are defective.
    """

    eval_conf: float
    required_recall: float
    recall: float | None
    recall_low: float
    recall_high: float
    specificity: float | None
    precision: float | None
    reachable: bool
    images: int
    defective: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, for run records and the model file's metadata."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Roc:
    """What every `eval_conf` gives.

    Attributes:
        eval_conf: infinity first, where no image is called defective, then each score that an image
            has, falling; images without any detection are never called defective.
        recall: share of the defective images called so, ``[k]``; NaN without any.
        false_alarms: share of the clean images called defective, ``[k]``; NaN without any.
        precision: ``[k]``; NaN where no image is called defective.
        area: under recall over false alarms, with ties counted half; n is the images of the rarer
            kind.
    """

    eval_conf: Floats
    recall: Floats
    false_alarms: Floats
    precision: Floats
    area: Figure


@dataclass(frozen=True, eq=False)
class Decision:
    """The image-level decision on a set of images.

    Attributes:
        scores: of the images.
        eval_conf: where they are called defective.
        counts: TP, FP, FN, TN.
        figures: of each of :data:`SHARES`, with 95 % intervals.
        roc: over all values of `eval_conf`.
    """

    scores: ImageScores
    eval_conf: float
    counts: Counts
    figures: dict[str, Figure]
    roc: Roc

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json under ``images``."""
        return {
            "eval_conf": self.eval_conf,
            "images": self.counts.images,
            **asdict(self.counts),
            **self.figures,
            "AUROC": self.roc.area,
        }

    def table(self) -> list[dict[str, Any]]:
        """Rows for display: each share with its 95 % interval and what it is counted on."""
        figures = {**self.figures, "AUROC": self.roc.area}
        return [
            {"figure": name, "value": format_figure(f), "n images": f"{f['n']:,}"}
            for name, f in figures.items()
        ]

    def image_table(self) -> list[dict[str, Any]]:
        """Rows for display: each image, the clearest mistakes first."""
        outcomes = self.scores.outcomes(self.eval_conf)
        rows = [
            {"image": name, "outcome": outcome, "score": score}
            for name, outcome, score in zip(
                self.scores.names, outcomes, self.scores.scores.tolist(), strict=True
            )
        ]

        def off(row: Mapping[str, Any]) -> tuple[bool, float]:
            return row["outcome"] in ("TP", "TN"), -abs(row["score"] - self.eval_conf)

        return sorted(rows, key=off)


def image_scores(truth: Annotations, found: Found) -> ImageScores:
    """What each image is, and the score of its most confident detection.

    Raises:
        ValueError: see `scoring.check_found`.
    """
    check_found(truth, found)
    return ImageScores(
        tuple(record.name for record in truth.records),
        np.array([bool(record.boxes) for record in truth.records], bool),
        np.array(
            [
                max((box.score or 0.0 for box in found[record.name]), default=0.0)
                for record in truth.records
            ],
            np.float64,
        ),
    )


def decide(
    truth: Annotations,
    found: Found,
    eval_conf: float,
    *,
    resamples: int = 1000,
    units: Sequence[str] | None = None,
) -> Decision:
    """Call each image defective or clean, and count.

    Where all resamples agree (every image right, say) the bootstrap's interval has no width, which
    is no certainty: such a share gets Wilson's interval.

    Args:
        truth: all images that were predicted, clean ones among them.
        found: detections of each, with scores.
        eval_conf: above 0, at most 1.
        resamples: of the bootstrap; 0 leaves the intervals out.
        units: what is drawn again as a whole, one for each image; see `scoring.resample_images`.

    Raises:
        ValueError: see `scoring.check_found`; or `eval_conf` out of range.
    """
    scores = image_scores(truth, found)
    outcomes = scores.outcomes(eval_conf)
    table = np.array([[o == name for name in OUTCOMES] for o in outcomes]).reshape(-1, 4)
    total = table.sum(0)
    draws = resample_images(len(outcomes), units, resamples)
    drawn = _shares((draws @ table).astype(np.float64))
    tp, fp, fn, tn = total.tolist()
    rests = {"precision": tp + fp, "recall": tp + fn, "specificity": fp + tn, "F1": tp + fp + fn}
    hits = {"specificity": tn, "accuracy": tp + tn}
    figures = {}
    for name, value in _shares(total[None].astype(np.float64)).items():
        n = rests.get(name, len(outcomes))
        made = figure(float(value[0]), n, drawn[name])
        if made["low"] is not None and made["low"] == made["high"] and name != "F1":
            made["low"], made["high"] = wilson(hits.get(name, tp), n)
        figures[name] = made
    return Decision(scores, eval_conf, Counts(tp, fp, fn, tn), figures, roc(scores, draws))


def roc(scores: ImageScores, draws: NDArray[np.int64] | None = None) -> Roc:
    """Recall and false alarms over every `eval_conf`.

    Args:
        scores: of the images.
        draws: resamples for the interval of the area, ``[k, n]``; see `scoring.resample_images`.
    """
    values = np.unique(scores.scores)[::-1]
    place = np.searchsorted(-values, -scores.scores)
    is_so = scores.defective
    by_score = np.zeros((2, len(values)))
    np.add.at(by_score, (is_so.astype(int), place), 1)
    clean, defective = np.concatenate([np.zeros((2, 1)), by_score.cumsum(1)], 1)
    reachable = np.concatenate([[True], values > 0])
    once = np.ones((1, len(is_so)), np.int64)
    area = _area(scores, once)[0]
    drawn = _area(scores, draws) if draws is not None else np.zeros(0)
    rarer = int(min(is_so.sum(), (~is_so).sum()))
    return Roc(
        np.concatenate([[np.inf], values])[reachable],
        divide(defective, np.full_like(defective, is_so.sum()))[reachable],
        divide(clean, np.full_like(clean, (~is_so).sum()))[reachable],
        divide(defective, defective + clean)[reachable],
        figure(area, rarer, drawn),
    )


def operating_point(scores: ImageScores, required_recall: float) -> OperatingPoint:
    """The highest `eval_conf` at which enough of the defective images are found.

    Choose it on images that the figures are not reported on: on its own images it looks better
    than it is. It lies just below the last score needed (half-way to the next, at most
    :data:`MARGIN`), so that the exported model's rounding loses no image.

    Args:
        scores: of validation images.
        required_recall: above 0, at most 1.

    Raises:
        ValueError: `required_recall` is out of range; or no image is defective, so that there is
            nothing to choose by.
    """
    if not 0 < required_recall <= 1:
        raise ValueError(f"required_recall is {required_recall}, expected above 0 and at most 1")
    true = np.sort(scores.scores[scores.defective])[::-1]
    if not len(true):
        raise ValueError(
            f"none of the {len(scores.names)} images is defective: an operating point for a recall "
            "needs defective images"
        )
    # The product of a share and a number may end a hair above the whole number meant.
    needed = int(np.ceil(required_recall * len(true) - 1e-9))
    seen = int(np.count_nonzero(true > 0))
    reachable = seen >= needed
    last = float(true[min(needed, seen) - 1]) if seen else 1.0
    below = float(scores.scores[scores.scores < last].max(initial=0.0))
    eval_conf = max((last + below) / 2, last - MARGIN) if seen else 1.0
    outcomes = scores.outcomes(eval_conf)
    counts = Counts(*(outcomes.count(name) for name in OUTCOMES))
    shares = counts.shares()
    low, high = wilson(counts.TP, len(true))
    return OperatingPoint(
        eval_conf,
        required_recall,
        shares["recall"],
        low,
        high,
        shares["specificity"],
        shares["precision"],
        reachable,
        len(outcomes),
        len(true),
    )


def _checked(eval_conf: float) -> float:
    if not 0 < eval_conf <= 1:
        raise ValueError(
            f"eval_conf is {eval_conf}, expected above 0 and at most 1 (at 0 images without any "
            "detection would be called defective)"
        )
    return eval_conf


def _shares(counts: Floats) -> dict[str, Floats]:
    """Shares of counts TP, FP, FN, TN ``[k, 4]``; NaN where there is nothing to divide by."""
    tp, fp, fn, tn = counts.T
    return {
        "precision": divide(tp, tp + fp),
        "recall": divide(tp, tp + fn),
        "accuracy": divide(tp + tn, tp + fp + fn + tn),
        "specificity": divide(tn, fp + tn),
        "F1": divide(2 * tp, 2 * tp + fp + fn),
    }


def _area(scores: ImageScores, weights: NDArray[np.int64]) -> Floats:
    """Share of pairs of a defective and a clean image where the first scores higher.

    Ties count half (Hanley & McNeil 1982); images count as often as drawn, ``[k, n]`` -> ``[k]``.
    """
    if not len(scores.scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores.scores)
    starts = np.unique(scores.scores[order], return_index=True)[1]
    is_so, drawn = scores.defective[order], weights[:, order]
    true = np.add.reduceat(drawn * is_so, starts, axis=1)
    clean = np.add.reduceat(drawn * ~is_so, starts, axis=1)
    below = np.cumsum(clean, axis=1) - clean
    pairs = true.sum(1) * clean.sum(1)
    return divide((true * (below + clean / 2)).sum(1), pairs.astype(np.float64))
