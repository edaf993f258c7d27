"""What `03_evaluate_ocr` shows: pages as read, worst words, confusions, and what height does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from sightbook.figures.plots import bars, confusion
from sightbook.figures.style import (
    MUTED,
    PALETTE,
    WRONG,
    Plot,
    empty_plot,
    rgb,
    show_image,
    style_axes,
)
from sightbook.figures.text_diff import Case, case_grid
from sightbook.metrics.bootstrap import intervals_of, values_of
from sightbook.metrics.intervals import wilson
from sightbook.ocr.evaluation.compare import OUTCOMES, WordMatch
from sightbook.ocr.evaluation.evaluate import Evaluation, LabelledPage, WordCase
from sightbook.ocr.pages.page import Page, Points, bounding_box

RIGHT, MISREAD, FALSE = PALETTE[2], PALETTE[1], PALETTE[3]

STATES = {
    "read right": RIGHT,
    "found, misread": MISREAD,
    "not found": WRONG,
    "no word": FALSE,
}

OUTCOME_NAMES = {
    "matched": "found",
    "merged": "merged with others",
    "split": "split",
    "loose": "found, fits badly",
    "missed": "missed",
}

CROP_HEIGHT, CROP_SHAPE = 110, 3.0
"""Height in pixels and width to height of a word's picture, at least."""

FEWEST = 5
"""Words that a group of heights needs to be shown."""


def pages(result: Evaluation, count: int = 2) -> Plot:
    """The best and the worst page with each word's fate, and so many more between them."""
    samples = list(zip(result.samples, result.reading.results, strict=True))
    if not samples:
        return empty_plot("no pages")
    ranks = {row["page"]: place for place, row in enumerate(result.page_table())}
    samples.sort(key=lambda pair: -ranks[pair[0].page.image_id])
    count = min(count, len(samples))
    places = np.linspace(0, len(samples) - 1, count).round().astype(int).tolist()
    plot, axes = _page_axes([samples[place][0] for place in places])
    for ax, place in zip(axes, places, strict=True):
        sample, page = samples[place]
        groups: dict[str, list[Points]] = {name: [] for name in STATES}
        for match in page.words:
            groups[_state(match)].append(match.truth.vertices)
        groups["no word"] = [word.vertices for word in page.false]
        right = len(groups["read right"])
        title = f"{sample.page.image_id}: {right} of {len(page.words)} words right"
        show_image(ax, sample.load(), title, characters=64)
        for name, polygons in groups.items():
            _outline(ax, polygons, STATES[name])
    handles = [Line2D([], [], color=color, lw=3, label=name) for name, color in STATES.items()]
    plot.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return plot


def structure(result: Evaluation, count: int = 2) -> Plot:
    """Lines and paragraphs as predicted; paragraphs are numbered in reading order."""
    if not result.samples:
        return empty_plot("no pages")
    shown = result.samples[:count]
    plot, axes = _page_axes(shown)
    for ax, sample, page in zip(axes, shown, result.reading.pages, strict=False):
        lines, paragraphs = sum(1 for _ in page.lines()), len(page.paragraphs)
        title = f"{sample.page.image_id}: {lines} lines in {paragraphs} paragraphs"
        show_image(ax, sample.load(), title, characters=64)
        _draw_structure(ax, page)
    return plot


def outcomes(result: Evaluation) -> Plot:
    """What became of the true words."""
    figures = {OUTCOME_NAMES[name]: result.reading.figures[f"outcome/{name}"] for name in OUTCOMES}
    known = {name: figure for name, figure in figures.items() if figure["value"] is not None}
    if not known:
        return empty_plot("no words")
    return bars(
        values_of(known),
        intervals=intervals_of(known),
        title=f"what became of {next(iter(known.values()))['n']:,} words",
    )


def misread(result: Evaluation, count: int = 12) -> Plot:
    """Words that were found and read wrong, the worst first."""
    return _word_grid(result.misread(count), "no word was misread")


def lost(result: Evaluation, count: int = 12) -> Plot:
    """Words that were not found, the largest first, with what lies there instead."""
    return _word_grid(result.lost(count), "every word was found")


def confusions(result: Evaluation) -> Plot:
    """Which characters are taken for which, in the words that were found."""
    return confusion(result.reading.confusions(), title="characters confused")


def against_height(result: Evaluation) -> Plot:
    """Share of words found (left) and read exactly (right) by their height, for every reader."""
    plot = Plot(11, 3.8)
    for place, (key, title) in enumerate(
        {"found": "found", "right": "found and read right"}.items()
    ):
        ax = plot.add_subplot(1, 2, place + 1)
        style_axes(ax, f"words {title}", grid="y")
        for number, reading in enumerate(result.readings.values()):
            rows = [row for row in reading.by_height() if row["n"] >= FEWEST]
            shares = [row[key] / row["n"] for row in rows]
            bounds = np.array([wilson(row[key], row["n"]) for row in rows]).reshape(-1, 2)
            steps = np.arange(len(rows))
            color = PALETTE[number]
            ax.fill_between(steps, bounds[:, 0], bounds[:, 1], color=color, alpha=0.15, lw=0)
            ax.plot(steps, shares, "o-", color=color, lw=1.8, ms=4, label=reading.name)
        labels = [f"{_height(row)}\nn={row['n']:,}" for row in rows]
        ax.set_xticks(range(len(labels)), labels, fontsize=8)
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlabel("height of the word, px", color=MUTED, fontsize=9)
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return plot


def _height(row: dict[str, float]) -> str:
    return f"{row['from']}+" if row["to"] is None else f"{row['from']}–{row['to']}"


def _page_axes(samples: Sequence[LabelledPage]) -> tuple[Plot, list[Axes]]:
    cell = 6.6
    ratio = max(min(1.5, s.page.height / max(1, s.page.width)) for s in samples)
    plot = Plot(cell * len(samples), cell * ratio + 0.7)
    return plot, [plot.add_subplot(1, len(samples), k + 1) for k in range(len(samples))]


def _state(match: WordMatch) -> str:
    if match.outcome != "matched":
        return "not found"
    return "read right" if match.right or not match.truth.text else "found, misread"


def _outline(ax: Axes, polygons: Iterable[Points], color: str, width: float = 1.1) -> None:
    fill = (*rgb(color), 0.13)
    ax.add_collection(
        PolyCollection(list(polygons), facecolors=[fill], edgecolors=[color], linewidths=width)
    )


def _draw_structure(ax: Axes, page: Page) -> None:
    for number, paragraph in enumerate(page.paragraphs):
        color = PALETTE[number % len(PALETTE)]
        _outline(ax, [line.vertices for line in paragraph.lines], color, 0.8)
        outline = bounding_box(paragraph.vertices)
        ax.add_collection(
            PolyCollection([outline], facecolors="none", edgecolors=[color], linewidths=1.6)
        )
        ax.annotate(
            str(number + 1),
            outline[0],
            fontsize=8,
            color="white",
            annotation_clip=True,
            bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5},
        )


def _word_grid(cases: Sequence[WordCase], nothing: str) -> Plot:
    if not cases:
        return empty_plot(nothing)
    loaded: dict[str, NDArray[np.uint8]] = {}  # a page often holds several of the cases
    shown = []
    for case in cases:
        name = case.sample.page.image_id
        if name not in loaded:
            loaded[name] = case.sample.load()
        note = "" if case.match.outcome == "matched" else OUTCOME_NAMES[case.match.outcome]
        if case.match.found is not None and case.match.found.confidence is not None:
            note += f" confidence {case.match.found.confidence:.2f}"
        crop = _crop(loaded[name], case.match)
        read = [case.match.read] if case.match.found is not None else []
        shown.append(Case(name, crop, [case.match.truth.text], read, case.errors, note.strip()))
    return case_grid(shown, columns=4)


def _crop(image: NDArray[np.uint8], match: WordMatch) -> NDArray[np.uint8]:
    """The word, outlined, with what was found for it and some of its surroundings."""
    import cv2

    corners = [match.truth.vertices]
    if match.found is not None:
        corners.append(match.found.vertices)
    (x0, y0), _, (x1, y1), _ = bounding_box(np.concatenate(corners))
    around = 0.6 * (y1 - y0) + 4
    across = max(around, ((y1 - y0 + 2 * around) * CROP_SHAPE - (x1 - x0)) / 2)
    height, width = image.shape[:2]
    left, right = int(np.clip(x0 - across, 0, width - 1)), int(np.clip(x1 + across, 1, width))
    top, bottom = int(np.clip(y0 - around, 0, height - 1)), int(np.clip(y1 + around, 1, height))
    crop = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = max(1.0, CROP_HEIGHT / crop.shape[0])
    # Enlarged first, so that the outline is thin beside the letters.
    large = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    drawn = np.ascontiguousarray(large if large.ndim == 3 else np.stack([large] * 3, 2))
    outline = np.round((match.truth.vertices - (left, top)) * scale).astype(np.int32)
    color = tuple(round(255 * part) for part in rgb(PALETTE[0]))
    cv2.polylines(drawn, [outline], True, color, 1, cv2.LINE_AA)
    return drawn.astype(np.uint8)
