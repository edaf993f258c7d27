"""What boxes are judged by: COCO's average precision and recall, counted by pycocotools.

`AP` is COCO's own: the mean over the IoU thresholds 0.50, 0.55 ... 0.95 and over the classes (Lin
et al. 2014, and the evaluation that comes with the data set). What others call mAP50 is `AP50` here
and nothing else. Sizes are those of the truth's files: of the outline where there is one, else of
the box, in pixels of the picture as given: small below 32², large above 96².

Intervals come from drawing images (or whole highways, boards, sessions) again; each resample is
counted by the same rule from pycocotools' own matches.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.scoring import Found, check_found, resample_images
from sightbook.metrics.bootstrap import Figure, Floats, divide, figure, format_figure
from sightbook.metrics.polygons import polygon_areas

SIZES = ("all", "small", "medium", "large")
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = (1, 10, 100)
"""Detections an image and class that count, the most confident first."""

# name -> (precision or recall, IoU threshold's place or None for all, size, most detections)
_NUMBERS: dict[str, tuple[str, int | None, int, int]] = {
    "AP": ("precision", None, 0, 100),
    "AP50": ("precision", 0, 0, 100),
    "AP75": ("precision", 5, 0, 100),
    "AP_small": ("precision", None, 1, 100),
    "AP_medium": ("precision", None, 2, 100),
    "AP_large": ("precision", None, 3, 100),
    "AR_1": ("recall", None, 0, 1),
    "AR_10": ("recall", None, 0, 10),
    "AR_100": ("recall", None, 0, 100),
    "AR_small": ("recall", None, 1, 100),
    "AR_medium": ("recall", None, 2, 100),
    "AR_large": ("recall", None, 3, 100),
}
NUMBERS = tuple(_NUMBERS)
"""COCO's twelve figures, in the order in which its tools print them."""

CLASS_NUMBERS = ("AP", "AP50", "AP75", "AR_100")
ALL = "all classes"
CONFIDENCES = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Curve:
    """One class, or all, at IoU 0.5.

    Attributes:
        label: of the class, or :data:`ALL`.
        n: true boxes.
        pr: precision at the recalls of :data:`RECALLS`, interpolated as COCO does; its mean is
            AP50. For all classes the mean of theirs. NaN without true boxes.
        precision: of the detections that reach each confidence of :data:`CONFIDENCES`, classes
            pooled; NaN where there are none.
        recall: the same; NaN without true boxes.
        f1: harmonic mean of the two, 2 TP / (2 TP + FP + FN); NaN with neither truth nor
            detections.
    """

    label: str
    n: int
    pr: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def best(self) -> tuple[float, float]:
        """The lowest confidence with the highest F1, and that F1; NaN where there is none."""
        if not np.isfinite(self.f1).any():
            return float("nan"), float("nan")
        place = int(np.nanargmax(self.f1))
        return float(CONFIDENCES[place]), float(self.f1[place])


@dataclass(frozen=True, eq=False)
class BoxEvaluation:
    """COCO's figures of a set of detections.

    Attributes:
        figures: of each of :data:`NUMBERS`; the value is None where no true box is of that size.
        by_class: class -> figures of :data:`CLASS_NUMBERS`.
        curves: class -> curve; :data:`ALL` first.
        images: number of images, clean ones among them.
        clean: images without a true box.
        detections: number of detections.
        iou_type: whether boxes or outlines were compared.
    """

    figures: dict[str, Figure]
    by_class: dict[str, dict[str, Figure]]
    curves: dict[str, Curve]
    images: int
    clean: int
    detections: int
    iou_type: IouType

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json under ``boxes``."""
        confidence, f1 = self.curves[ALL].best
        return {
            **self.figures,
            "by_class": self.by_class,
            "best_F1": {"value": f1, "confidence": confidence},
            "images": self.images,
            "clean_images": self.clean,
            "detections": self.detections,
            "iou_type": self.iou_type,
        }

    def table(self) -> list[dict[str, Any]]:
        """Rows for display: the twelve figures with 95 % intervals, and n true boxes."""
        return [
            {"figure": name, "value": format_figure(f), "n": f"{f['n']:,}"}
            for name, f in self.figures.items()
        ]

    def class_table(self) -> list[dict[str, Any]]:
        """Rows for display: one for each class."""
        return [
            {
                "class": label,
                "true boxes": f"{mine['AP']['n']:,}",
                **{name: format_figure(mine[name]) for name in CLASS_NUMBERS},
                "best F1": "{1:.3f} at {0:.2f}".format(*self.curves[label].best),
            }
            for label, mine in self.by_class.items()
        ]


def coco_numbers(
    truth: Annotations,
    found: Found,
    *,
    iou_type: IouType = "bbox",
    backend: Backend = "pycocotools",
) -> dict[str, float | None]:
    """COCO's twelve figures alone, as a validation during training needs them.

    Args:
        truth: all images that were predicted, clean ones among them.
        found: detections of each, with scores.
        iou_type: compare boxes, or outlines (truth without outlines is refused).
        backend: ``faster-coco-eval`` counts the same in C++, and has to be installed.

    Returns:
        Figures of :data:`NUMBERS`; None where no true box is of that size.

    Raises:
        ValueError: see `check_found`; truth without outlines; or no such backend.
        ModuleNotFoundError: the backend is not installed.
    """
    check_found(truth, found)
    tables = evaluated(truth, found, iou_type, backend).eval
    counts = (len(IOUS), len(RECALLS), len(truth.labels), len(SIZES), len(MOST))
    precision = np.asarray(tables["precision"]).reshape(counts)
    recall = np.asarray(tables["recall"]).reshape(counts[0], *counts[2:])
    numbers: dict[str, float | None] = {}
    for name, (kind, place, size, most) in _NUMBERS.items():
        values = (precision if kind == "precision" else recall)[..., size, MOST.index(most)]
        values = values if place is None else values[place]
        told = values[values > -1]  # -1: no true box of that class and size
        numbers[name] = float(told.mean()) if len(told) else None
    return numbers


def evaluate_boxes(
    truth: Annotations,
    found: Found,
    *,
    iou_type: IouType = "bbox",
    resamples: int = 200,
    units: Sequence[str] | None = None,
) -> BoxEvaluation:
    """COCO's figures with intervals, of every class too, and the curves behind them.

    Args:
        truth: all images that were predicted, clean ones among them.
        found: detections of each, with scores; as many as the model gives, not only those above
            some confidence, or the curves end early.
        iou_type: compare boxes, or outlines.
        resamples: of the bootstrap; 0 leaves the intervals out.
        units: what is drawn again as a whole, one for each image; see `scoring.resample_images`.

    Raises:
        ValueError: see `check_found`; or truth without outlines where these are compared.
    """
    check_found(truth, found)
    images = len(truth.records)
    rows = evaluated(truth, found, iou_type).evalImgs
    matches = _matches(rows, len(truth.labels), images)
    draws = resample_images(images, units, resamples)
    once = _numbers(matches, np.ones(images, np.int64))
    again = [_numbers(matches, weights) for weights in draws]
    # [resamples, classes] of each figure
    drawn = {
        name: np.array([one[name] for one in again]).reshape(len(draws), len(truth.labels))
        for name in NUMBERS
    }
    true = np.array([[m.true for m in sizes] for sizes in matches]).reshape(-1, len(SIZES))
    return BoxEvaluation(
        {
            name: figure(
                _mean(once[name]), int(true[:, _NUMBERS[name][2]].sum()), _mean(drawn[name])
            )
            for name in NUMBERS
        },
        {
            label: {
                name: figure(once[name][k], int(true[k, 0]), drawn[name][:, k])
                for name in CLASS_NUMBERS
            }
            for k, label in enumerate(truth.labels)
        },
        _curves(truth.labels, [sizes[0] for sizes in matches], images),
        images,
        len(truth.clean()),
        sum(map(len, found.values())),
        iou_type,
    )


# ------------------------------------------------------------------ counting


@dataclass(frozen=True, eq=False)
class _Matches:
    """Detections of one class, the most confident first, against truth of one size.

    Attributes:
        scores: ``[n]``.
        image: whose each is, ``[n]``.
        rank: place among its image's detections, ``[n]``.
        hit: whether it found a true box that counts, ``[10, n]``, by IoU threshold.
        false: whether it counts and found none.
        positives: true boxes that count, of each image.
    """

    scores: Floats
    image: NDArray[np.int64]
    rank: NDArray[np.int64]
    hit: NDArray[np.bool_]
    false: NDArray[np.bool_]
    positives: NDArray[np.int64]

    @property
    def true(self) -> int:
        """True boxes that count, of all images."""
        return int(self.positives.sum())


def _matches(
    results: Sequence[dict[str, Any] | None], classes: int, images: int
) -> list[list[_Matches]]:
    """pycocotools' results, that lie by class, then size, then image, as ``[class][size]``."""
    found = []
    for block in range(classes * len(SIZES)):
        rows = enumerate(results[block * images : (block + 1) * images])
        some = [(image, row) for image, row in rows if row is not None]
        numbers = [len(row["dtIds"]) for _, row in some]
        scores = np.array([score for _, row in some for score in row["dtScores"]], float)
        image = np.repeat([image for image, _ in some], numbers).astype(np.int64)
        rank = np.concatenate([np.zeros(0, np.int64), *map(np.arange, numbers)])
        nothing = np.zeros((len(IOUS), 0))
        hit = np.concatenate([nothing, *(row["dtMatches"] for _, row in some)], 1) > 0
        ignored = np.concatenate([nothing, *(row["dtIgnore"] for _, row in some)], 1) > 0
        positives = np.zeros(images, np.int64)
        for place, row in some:
            positives[place] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
        order = np.argsort(-scores, kind="stable")  # as pycocotools has it among equal scores
        counts = ~ignored[:, order]
        hit = hit[:, order]
        found.append(
            _Matches(
                scores[order], image[order], rank[order], hit & counts, ~hit & counts, positives
            )
        )
    return [found[k : k + len(SIZES)] for k in range(0, len(found), len(SIZES))]


def _numbers(matches: list[list[_Matches]], weights: NDArray[np.int64]) -> dict[str, Floats]:
    """COCO's figures of each class, where each image counts so many times; NaN for "no truth"."""
    numbers = {name: np.full(len(matches), np.nan) for name in NUMBERS}
    for k, sizes in enumerate(matches):
        precisions: dict[int, Floats] = {}
        for name, (kind, place, size, most) in _NUMBERS.items():
            true = float(weights @ sizes[size].positives)
            if not true:
                continue
            if kind == "precision":
                if size not in precisions:
                    precisions[size] = _interpolated(sizes[size], weights, true).mean(1)
                by_iou = precisions[size]
            else:
                counted = weights[sizes[size].image] * (sizes[size].rank < most)
                by_iou = sizes[size].hit @ counted / true
            numbers[name][k] = by_iou.mean() if place is None else by_iou[place]
    return numbers


def _interpolated(matches: _Matches, weights: NDArray[np.int64], true: float) -> Floats:
    """Precision at each of :data:`RECALLS`, ``[10, 101]``: the best one at that recall or more."""
    weight = weights[matches.image]
    curve = np.zeros((len(IOUS), len(RECALLS)))
    for row, hit, false in zip(curve, matches.hit, matches.false, strict=True):
        # Recall only rises at hits, so that nothing is lost by looking at these alone.
        hits = np.flatnonzero(hit)
        tp = np.cumsum(weight[hits])
        fp = np.cumsum(weight * false)[hits]
        precision = tp / (tp + fp + np.spacing(1))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(tp / true, RECALLS, side="left")
        reached = place < len(hits)
        row[reached] = best[place[reached]]
    return curve


def _curves(labels: Sequence[str], matches: list[_Matches], images: int) -> dict[str, Curve]:
    weights = np.ones(images, np.int64)
    nothing = np.full(len(RECALLS), np.nan)
    pr = [_interpolated(m, weights, m.true)[0] if m.true else nothing for m in matches]
    tp = [_reaching(m.scores[m.hit[0]]) for m in matches]
    fp = [_reaching(m.scores[m.false[0]]) for m in matches]
    all_tp, all_fp = (np.array(side).reshape(-1, len(CONFIDENCES)).sum(0) for side in (tp, fp))
    mean = _mean(np.array(pr).reshape(-1, len(RECALLS)).T)
    curves = {ALL: _curve(ALL, mean, all_tp, all_fp, sum(m.true for m in matches))}
    for k, label in enumerate(labels):
        curves[label] = _curve(label, pr[k], tp[k], fp[k], matches[k].true)
    return curves


def _curve(label: str, pr: Floats, tp: Floats, fp: Floats, true: int) -> Curve:
    return Curve(
        label,
        true,
        pr,
        divide(tp, tp + fp),
        divide(tp, np.full(len(tp), float(true))),
        divide(2 * tp, tp + fp + true),
    )


def _reaching(scores: Floats) -> Floats:
    """How many scores reach each of :data:`CONFIDENCES`."""
    # In float32, as models give them, 0.7 lies below 0.7.
    reached = np.searchsorted(np.sort(scores), CONFIDENCES - 1e-6, side="left")
    return (len(scores) - reached).astype(np.float64)


def _mean(values: Floats) -> Any:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    return divide(np.where(known, values, 0).sum(-1), known.sum(-1).astype(np.float64))


IouType = Literal["bbox", "segm"]
Backend = Literal["pycocotools", "faster-coco-eval"]

BoxesOf = Callable[[ImageRecord], Sequence[Box]]


def evaluated(
    truth: Annotations,
    found: Found,
    iou_type: IouType,
    backend: Backend = "pycocotools",
) -> Any:
    """The backend's evaluation object, done.

    Args:
        truth: the images and their true boxes.
        found: detections of each.
        iou_type: compare boxes, or outlines.
        backend: what counts; ``.eval`` is the same of both, ``.evalImgs`` is pycocotools' own.

    Raises:
        ValueError: truth without outlines where these are compared; or no such backend.
        ModuleNotFoundError: the backend is not installed.
    """
    if backend == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    elif backend == "faster-coco-eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    else:
        raise ValueError(f"backend {backend!r}, expected 'pycocotools' or 'faster-coco-eval'")
    sides = []
    both: tuple[BoxesOf, BoxesOf] = (lambda record: record.boxes, lambda record: found[record.name])
    for boxes_of in both:
        coco = COCO()
        coco.dataset = _dataset(truth, boxes_of, iou_type)
        sides.append(coco)
    with contextlib.redirect_stdout(io.StringIO()):
        for coco in sides:
            coco.createIndex()
        evaluation = COCOeval(*sides, iouType=iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _dataset(truth: Annotations, boxes_of: BoxesOf, iou_type: IouType) -> dict[str, Any]:
    """COCO's tables. Ids begin at 1: a match with number 0 counts as none in pycocotools."""
    numbers = {label: k for k, label in enumerate(truth.labels, 1)}
    objects: list[dict[str, Any]] = []
    for image, record in enumerate(truth.records, 1):
        for box in boxes_of(record):
            row = _object(record, box, iou_type)
            objects.append(
                row | {"id": len(objects) + 1, "image_id": image, "category_id": numbers[box.label]}
            )
    return {
        "images": [
            {"id": k, "file_name": r.name, "width": r.width, "height": r.height}
            for k, r in enumerate(truth.records, 1)
        ],
        "categories": [{"id": k, "name": label} for label, k in numbers.items()],
        "annotations": objects,
        "info": {},
    }


def _object(record: ImageRecord, box: Box, iou_type: IouType) -> dict[str, Any]:
    # Two points would be taken for a box, one for nothing at all.
    outlines = [outline for outline in box.polygons if len(outline) > 2]
    row: dict[str, Any] = {
        "bbox": [box.xyxy[0], box.xyxy[1], box.width, box.height],
        "area": box.area,
        "iscrowd": int(box.crowd),
    }
    if box.score is not None:
        row["score"] = box.score
    # Detections are as large as what was compared, truth is as large as its outline.
    if outlines and (box.score is None or iou_type == "segm"):
        row["area"] = float(polygon_areas(outlines).sum())
    if iou_type == "segm":
        from pycocotools import mask

        if outlines:
            row["segmentation"] = [np.asarray(p, float).ravel().tolist() for p in outlines]
        elif box.score is None:
            raise ValueError(
                f"{record.name}: true box {box.xyxy} has no outline: compare boxes, iou_type='bbox'"
            )
        else:  # the model saw no pixel of it
            row["segmentation"] = mask.encode(
                np.zeros((record.height, record.width), np.uint8, order="F")
            )
            row["area"] = 0.0
    return row
