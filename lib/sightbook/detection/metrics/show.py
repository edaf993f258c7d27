"""What an evaluation of boxes shows: curves, errors, and the images behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from sightbook.data.images import ImageError, open_image
from sightbook.detection.labels.annotations import Box, ImageRecord
from sightbook.detection.metrics.coco import ALL, CONFIDENCES, RECALLS, BoxEvaluation
from sightbook.detection.metrics.errors import (
    ERRORS,
    ImageErrors,
    MatchOutcome,
    confusion_matrix,
    count_errors,
)
from sightbook.figures.plots import bars
from sightbook.figures.style import (
    HEAT,
    INK,
    MUTED,
    PALETTE,
    WRONG,
    Plot,
    empty_plot,
    rgb,
    show_image,
    style_axes,
    title_axes,
)
from sightbook.metrics.intervals import wilson

Image = NDArray[np.uint8]
Load = Callable[[ImageRecord], Image]

OUTCOMES = {
    "correct": PALETTE[2],
    "missed": WRONG,
    "false": PALETTE[3],
    "mislocated": PALETTE[1],
    "misclassed": PALETTE[5],
    "duplicate": PALETTE[6],
}
"""Colours of what became of boxes."""

CLASSES_SHOWN = 8
"""Classes whose curves fit into one figure; those with most true boxes are taken."""

NAMED = 10
"""Detections of a picture that are named, the surest; a crowd of names would hide the picture."""

SIDES = (0, 8, 16, 32, 64, 96, float("inf"))
"""Borders of the groups of box sizes: the root of the box's area, pixels."""


def load_image(record: ImageRecord) -> Image:
    """The record's picture, or a grey one where there is none to be read."""
    try:
        if record.image is not None:
            return open_image(record.image)
    except ImageError:
        pass
    return np.full((record.height, record.width, 3), 200, np.uint8)


def draw_boxes(
    ax: Axes, boxes: Iterable[Box], color: str, *, named: bool = True, dashed: bool = False
) -> None:
    """Boxes with their outlines, class names and scores, over a picture's axes."""
    style = (0, (3, 2)) if dashed else "-"
    for box in boxes:
        corner = (box.xyxy[0], box.xyxy[1])
        ax.add_patch(
            Rectangle(corner, box.width, box.height, fill=False, ec=color, lw=1.4, ls=style)
        )
        for outline in box.polygons:
            ax.add_patch(Polygon(outline, fc=(*rgb(color), 0.18), ec="none"))
        if named:
            _name_box(ax, box, color)


# ------------------------------------------------------------------ boxes


def precision_recall(result: BoxEvaluation) -> Plot:
    """Precision over recall at IoU 0.5; the area under each curve is its AP50."""
    plot = Plot(6.4, 4.2)
    ax = plot.add_subplot()
    style_axes(ax, "precision over recall, IoU 0.5")
    for label, color in _colors(result):
        curve = result.curves[label]
        if np.isfinite(curve.pr).any():
            name = f"{label}, AP50 {curve.pr.mean():.3f} (n={curve.n:,})"
            wide = 2.4 if label == ALL else 1.3
            ax.plot(RECALLS, curve.pr, color=color, lw=wide, label=name)
    share_axes(ax, "recall", "precision")
    inner_legend(ax)
    return plot


def f1_against_confidence(result: BoxEvaluation) -> Plot:
    """F1 over the confidence from which detections count, with its best; and P and R of all."""
    plot = Plot(11, 4.0)
    left, right = plot.add_subplot(1, 2, 1), plot.add_subplot(1, 2, 2)
    style_axes(left, "F1 over confidence, IoU 0.5")
    for label, color in _colors(result):
        curve = result.curves[label]
        confidence, best = curve.best
        if np.isfinite(best):
            name = f"{label}, {best:.3f} at {confidence:.2f}"
            wide = 2.4 if label == ALL else 1.3
            left.plot(CONFIDENCES, curve.f1, color=color, lw=wide, label=name)
            left.plot(confidence, best, "o", color=color, ms=5)
    style_axes(right, "precision and recall over confidence, all classes")
    for number, name in enumerate(("precision", "recall")):
        values = getattr(result.curves[ALL], name)
        right.plot(CONFIDENCES, values, color=PALETTE[number + 1], lw=1.8, label=name)
    for ax, what in ((left, "F1"), (right, "share")):
        share_axes(ax, "confidence", what)
        inner_legend(ax)
    return plot


def confusion(errors: Sequence[ImageErrors], labels: Sequence[str]) -> Plot:
    """Classes as they are (rows) and as found (columns); colours are shares of the row."""
    matrix = confusion_matrix(errors, labels)
    if not matrix.sum():
        return empty_plot("neither true boxes nor detections")
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    size = max(3.4, 0.55 * len(matrix) + 1.8)
    plot = Plot(size + 0.8, size)
    ax = plot.add_subplot()
    ax.imshow(shares, cmap=HEAT, vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        color = "white" if shares[row, column] > 0.45 else INK
        text = f"{matrix[row, column]:,}"
        ax.text(column, row, text, ha="center", va="center", fontsize=9, color=color)
    ticks = range(len(matrix))
    ax.set_xticks(ticks, [*labels, "nothing found"], rotation=45, ha="right", fontsize=9)
    ax.set_yticks(ticks, [*labels, "background"], fontsize=9)
    ax.set_xlabel("found as", color=MUTED)
    ax.set_ylabel("is", color=MUTED)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    title_axes(ax, "confusions")
    return plot


def error_kinds(errors: Sequence[ImageErrors]) -> Plot:
    """How many errors of each kind."""
    counts = count_errors(errors)
    true = sum(len(image.truths) for image in errors)
    made = sum(len(image.detections) for image in errors)
    title = f"errors among {true:,} true boxes and {made:,} detections"
    return bars({name: float(n) for name, n in counts.items()}, title=title, percent=False)


def recall_by_size(errors: Sequence[ImageErrors]) -> Plot:
    """Share of the true boxes found, by their size, with 95 % intervals (Wilson)."""
    outcomes = [outcome for image in errors for outcome in image.truths]
    if not outcomes:
        return empty_plot("no true boxes")
    groups = np.digitize([outcome.box.area**0.5 for outcome in outcomes], SIDES) - 1
    shares, intervals, counts = {}, {}, {}
    for group in np.unique(groups).tolist():
        mine = [f for f, place in zip(outcomes, groups, strict=True) if place == group]
        low, high = SIDES[group], SIDES[group + 1]
        name = f"{low:g}–{high:g} px" if np.isfinite(high) else f"{low:g} px and more"
        hits = sum(outcome.outcome == "correct" for outcome in mine)
        shares[name], counts[name] = hits / len(mine), len(mine)
        intervals[name] = wilson(hits, len(mine))
    title = "true boxes found, by the root of their area"
    return bars(shares, intervals=intervals, counts=counts, title=title)


def worst_images(
    errors: Sequence[ImageErrors],
    count: int = 6,
    *,
    columns: int = 3,
    load: Load = load_image,
) -> Plot:
    """The images with most errors, each box in the colour of its fate; see `fates`."""
    worst = sorted(errors, key=lambda image: -image.wrong)[:count]
    return outcomes([image for image in worst if image.wrong], columns=columns, load=load)


def outcomes(errors: Sequence[ImageErrors], *, columns: int = 3, load: Load = load_image) -> Plot:
    """Images with what became of their boxes: detections drawn through, missed boxes dashed."""
    if not errors:
        return empty_plot("no image with an error")
    plot, axes = image_axes([image.record for image in errors], columns)
    for ax, image in zip(axes, errors, strict=True):
        right = sum(outcome.outcome == "correct" for outcome in image.truths)
        wrong = f"{image.wrong} error{'' if image.wrong == 1 else 's'}"
        # what counts comes first: long names are cut
        title = f"{right} of {len(image.truths)} found, {wrong}: {image.record.name}"
        show_record(ax, image.record, title, load, columns)
        known = [outcome for outcome in image.detections if outcome.outcome in OUTCOMES]
        known.sort(key=lambda outcome: -(outcome.box.score or 0.0))
        for place, outcome in enumerate(known):
            draw_boxes(ax, [_told(outcome)], OUTCOMES[outcome.outcome], named=place < NAMED)
        missed = [f.box for f in image.truths if f.outcome == "missed"]
        draw_boxes(ax, missed, OUTCOMES["missed"], dashed=True)
    handles = [
        Line2D([], [], color=color, lw=2, ls="--" if name == "missed" else "-", label=name)
        for name, color in OUTCOMES.items()
        if name == "correct" or name in ERRORS
    ]
    plot.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return plot


# ------------------------------------------------------------------ parts


def _name_box(ax: Axes, box: Box, color: str) -> None:
    """Class and score above a box; within it, or to its left, where the picture ends."""
    left, right = sorted(ax.get_xlim())
    top, bottom = sorted(ax.get_ylim())
    x0, y0, x1, _ = box.xyxy
    far, high = x0 > left + 0.75 * (right - left), y0 < top + 0.06 * (bottom - top)
    ax.annotate(
        box.label if box.score is None else f"{box.label} {box.score:.2f}",
        (min(x1, right) if far else max(x0, left), max(y0, top)),
        xytext=(0, -1.5 if high else 1.5),
        textcoords="offset points",
        ha="right" if far else "left",
        va="top" if high else "bottom",
        fontsize=7,
        color="white",
        bbox={"facecolor": color, "edgecolor": "none", "pad": 1, "alpha": 0.85},
    )


def _told(outcome: MatchOutcome) -> Box:
    """A detection's box that says of which class the true one is, where that is another."""
    if outcome.outcome != "misclassed" or outcome.other is None:
        return outcome.box
    return replace(outcome.box, label=f"{outcome.box.label} (is {outcome.other.label})")


def _colors(result: BoxEvaluation) -> list[tuple[str, str]]:
    """Curves to draw and their colours: all classes, then those with most true boxes."""
    classes = [label for label in result.curves if label != ALL and result.curves[label].n]
    classes.sort(key=lambda label: -result.curves[label].n)
    if len(classes) == 1:
        return [(classes[0], PALETTE[0])]  # the mean of one class is that class
    shown = zip(classes[:CLASSES_SHOWN], PALETTE, strict=False)
    return [*shown, (ALL, INK)]


def image_axes(records: Sequence[ImageRecord], columns: int) -> tuple[Plot, list[Axes]]:
    """A plot with a place for each picture, rows as high as their pictures ask for."""
    columns = max(1, min(columns, len(records)))
    cell = 13 / max(columns, 2)
    rows = [records[start : start + columns] for start in range(0, len(records), columns)]
    heights = [max(cell * min(1.4, r.height / max(1, r.width)) for r in row) for row in rows]
    plot = Plot(cell * columns, sum(heights) + 0.35 * len(rows) + 0.4)
    grid = plot.add_gridspec(len(rows), columns, height_ratios=heights)
    return plot, [plot.add_subplot(grid[k // columns, k % columns]) for k in range(len(records))]


def show_record(ax: Axes, record: ImageRecord, title: str, load: Load, columns: int) -> None:
    """A record's picture in one of so many columns, under a title that is cut to fit."""
    show_image(ax, load(record), title, characters=int(13 / max(columns, 2) * 12))


def share_axes(ax: Axes, across: str, up: str) -> None:
    """Axes from 0 to 100 %, with these names."""
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.04)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel(across, color=MUTED, fontsize=9)
    ax.set_ylabel(up, color=MUTED, fontsize=9)


def inner_legend(ax: Axes) -> None:
    """A legend within the axes, if anything in them has a name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
