"""Figures for every line, in one style. Each function returns a :class:`Plot`, ready to be shown
in a notebook or saved with ``run.figure``; pyplot and its global state are not used. What was read
beside what is written is drawn in :mod:`sightbook.figures.text_diff`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from sightbook.figures.style import (
    GRID,
    HEAT,
    INK,
    MUTED,
    PALETTE,
    Plot,
    empty_plot,
    rgb,
    show_image,
    style_axes,
    title_axes,
)
from sightbook.figures.text_diff import Case, align, case_grid, reading_comparison, worst_cases
from sightbook.metrics.intervals import Interval, wilson

__all__ = [
    "PALETTE",
    "Case",
    "Plot",
    "accuracy_against",
    "align",
    "bars",
    "case_grid",
    "confusion",
    "curve_names",
    "curves",
    "draw_quads",
    "empty_plot",
    "histogram",
    "image_grid",
    "reading_comparison",
    "show_image",
    "with_quads",
    "worst_cases",
]


def image_grid(
    images: Sequence[NDArray[np.uint8]],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 4,
    width: float = 12.0,
) -> Plot:
    """Pictures in rows, each as large as its row allows.

    Args:
        images: uint8, grey ``[H, W]`` or RGB ``[H, W, 3]``.
        titles: one under each other's picture; long ones are shortened.
        columns: pictures in a row.
        width: of the figure in inches.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    cell = width / columns
    ratios = [
        max(
            (image.shape[0] / image.shape[1] for image in images[row * columns :][:columns]),
            default=1,
        )
        for row in range(rows)
    ]
    ratios = [min(ratio, 1.5) for ratio in ratios]
    plot = Plot(width, sum(cell * ratio + (0.3 if titles else 0.05) for ratio in ratios))
    grid = plot.add_gridspec(rows, columns, height_ratios=ratios)
    for number, image in enumerate(images):
        ax = plot.add_subplot(grid[number // columns, number % columns])
        show_image(ax, image, titles[number] if titles else "", characters=int(cell * 10.5))
    return plot


def draw_quads(
    image: NDArray[np.uint8],
    quads: ArrayLike,
    labels: Sequence[str] | None = None,
    *,
    title: str = "",
    ax: Axes | None = None,
    width: float = 9.0,
) -> Plot:
    """A picture with quadrilaterals; a dot marks the first corner, where reading begins.

    Args:
        image: uint8 ``[H, W]`` or ``[H, W, 3]``.
        quads: ``[n, 4, 2]`` (x, y) in pixels.
        labels: text at each first corner.
        title: of the figure.
        ax: axes to draw into instead of a new figure.
        width: of a new figure in inches.
    """
    if ax is None:
        height = width * min(1.5, image.shape[0] / image.shape[1])
        plot = Plot(width, height + (0.35 if title else 0))
        ax = plot.add_subplot()
    show_image(ax, image, title, characters=int(width * 10.5))
    points = np.asarray(quads, np.float64).reshape(-1, 4, 2)
    for number, quad in enumerate(points):
        color = PALETTE[number % len(PALETTE)]
        ax.add_patch(
            Polygon(quad, fill=True, facecolor=(*rgb(color), 0.1), edgecolor=color, lw=1.3)
        )
        ax.plot(*quad[0], "o", color=color, ms=4.5, mec="white", mew=0.7)
        if labels is not None:
            ax.annotate(
                labels[number],
                quad[0],
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=8,
                color="white",
                annotation_clip=True,
                bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5, "alpha": 0.9},
            )
    return _plot_of(ax)


def with_quads(image: NDArray[np.uint8], quads: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture with outlines drawn into its pixels; a dot marks where reading begins.

    Args:
        image: uint8 ``[H, W]`` or RGB ``[H, W, 3]``; left as it is.
        quads: ``[n, 4, 2]`` (x, y) in pixels.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    import cv2

    drawn = np.ascontiguousarray(image if image.ndim == 3 else np.stack([image] * 3, 2)).copy()
    thick = max(1, round(max(image.shape[:2]) / 400))
    for quad in quads:
        corners = [np.round(quad * 8).astype(np.int32)]
        cv2.polylines(drawn, corners, True, (214, 39, 40), thick, cv2.LINE_AA, 3)
    if len(quads):
        x, y = np.round(quads[0, 0]).astype(int).tolist()
        cv2.circle(drawn, (x, y), 3 * thick, (31, 119, 180), -1, cv2.LINE_AA)
    return drawn


def curves(
    history: Sequence[Mapping[str, Any]] | str | Path, *, names: Sequence[str] | None = None
) -> Plot:
    """Metrics over steps: a panel for each metric, a colour for each side (train, validation).

    The same curves stand in notebooks, in a run's figures and in its report. A loss that falls
    twentyfold gets a logarithmic axis; a side keeps its colour whichever metrics are shown.

    Args:
        history: rows with ``step`` and metrics named ``side/metric``; or a ``metrics.jsonl``, or
            a run folder that holds one.
        names: metrics to show (the part after the slash), be it one point; see
            :func:`curve_names` for what is shown by default.
    """
    series = _series(_rows(history))
    wanted = _worth_a_curve(series) if names is None else [n for n in series if n in names]
    if not wanted:
        return empty_plot("no metrics logged yet")
    sides = dict.fromkeys(side for own in series.values() for side in own if side)
    colors = {side: PALETTE[k % len(PALETTE)] for k, side in enumerate(sides)} | {"": PALETTE[0]}
    columns = min(3, len(wanted))
    panels = math.ceil(len(wanted) / columns)
    plot = Plot(4.4 * columns + 0.4, 3.0 * panels + 0.2)
    for number, name in enumerate(sorted(wanted, key=_panel_order), start=1):
        ax = plot.add_subplot(panels, columns, number)
        style_axes(ax, name.replace("_", " "))
        for side, points in series[name].items():
            _line(ax, np.array(sorted(points)), colors[side], side or name)
        values = np.array([value for points in series[name].values() for _, value in points])
        if name.endswith("loss") and values.min() > 0 and values.max() > 20 * values.min():
            ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_xlabel("step", color=MUTED, fontsize=9)
        if any(series[name]):
            ax.legend(frameon=False, fontsize=8)
    return plot


def curve_names(history: Sequence[Mapping[str, Any]] | str | Path) -> list[str]:
    """Metrics worth a curve, the loss first: all numbers but clocks and counters that were logged
    more than once.

    Args:
        history: as of :func:`curves`.
    """
    return sorted(_worth_a_curve(_series(_rows(history))), key=_panel_order)


def bars(
    values: Mapping[str, float],
    *,
    intervals: Mapping[str, Interval] | None = None,
    counts: Mapping[str, int] | None = None,
    title: str = "",
    percent: bool = True,
) -> Plot:
    """Horizontal bars with their values, whiskers for intervals, and n.

    Args:
        values: name -> value; shares from 0 to 1 if ``percent``.
        intervals: name -> (low, high), say of 95 %.
        counts: name -> number of samples.
        title: what is shown.
        percent: show shares as percentages on a scale from 0 to 100 %.
    """
    names = list(values)
    plot = Plot(8.0, 0.9 + 0.42 * max(1, len(names)))
    ax = plot.add_subplot()
    style_axes(ax, title, grid="x")
    numbers = np.array([values[name] for name in names], float)
    ax.barh(names, numbers, color=PALETTE[0], height=0.62, alpha=0.9)
    ends = numbers.copy()
    for row, name in enumerate(names):
        if intervals and name in intervals:
            low, high = intervals[name]
            ax.plot([low, high], [row, row], color=INK, lw=1.4, solid_capstyle="butt")
            ax.plot([low, high], [row, row], "|", color=INK, ms=7)
            ends[row] = max(ends[row], high)
        text = f"{numbers[row]:.1%}" if percent else f"{numbers[row]:,.4g}"
        if counts and name in counts:
            text += f"  (n={counts[name]:,})"
        ax.annotate(
            text,
            (ends[row], row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    ax.invert_yaxis()
    # Room for the numbers behind the longest bar.
    ax.set_xlim(0, 1.22 if percent else 1.3 * max(ends.max(initial=0), 1e-9))
    if percent:
        ax.set_xticks(np.linspace(0, 1, 6))
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.tick_params(axis="y", labelcolor=INK)
    return plot


def accuracy_against(
    values: ArrayLike,
    hits: ArrayLike,
    *,
    name: str,
    what: str = "share right",
    bins: int | Sequence[float] = 5,
) -> Plot:
    """Share of hits in bins of something measured, with 95 % intervals (Wilson) and n.

    Args:
        values: covariate of each sample (zone width, tilt, blur).
        hits: whether each sample was right.
        name: of the covariate, with its unit.
        what: the share's name.
        bins: number of bins with about as many samples each, or their edges.
    """
    x, y = np.asarray(values, float), np.asarray(hits, bool)
    kept = np.isfinite(x)
    x, y = x[kept], y[kept]
    if not len(x):
        return empty_plot(f"no samples with {name}")
    if isinstance(bins, int):
        edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)))
    else:
        edges = np.asarray(sorted(bins), float)
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
    # The last bin holds its upper edge too; what lies outside given edges is not shown.
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    inside = (x >= edges[0]) & (x <= edges[-1])
    plot = Plot(max(5.0, 1.25 * (len(edges) - 1) + 1.5), 3.6)
    ax = plot.add_subplot()
    style_axes(ax, f"{what} against {name}", grid="y")
    ticks, centres, shares = [], [], []
    for number in range(len(edges) - 1):
        mine = y[inside & (place == number)]
        ticks.append(f"{_short(edges[number])}–{_short(edges[number + 1])}\nn={len(mine):,}")
        if len(mine):
            share, (low, high) = mine.mean(), wilson(int(mine.sum()), len(mine))
            ax.plot([number, number], [low, high], color=PALETTE[0], lw=7, alpha=0.22)
            centres.append(number)
            shares.append(share)
            ax.annotate(
                f"{share:.0%}",
                (number, share),
                xytext=(8, -11),
                textcoords="offset points",
                fontsize=9,
                color=INK,
            )
    ax.plot(centres, shares, "o-", color=PALETTE[0], lw=1.5, ms=6)
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set_xlim(-0.5, len(ticks) - 0.4)
    ax.set_ylim(-0.03, 1.05)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel(name, color=MUTED, fontsize=9)
    return plot


def confusion(counts: Mapping[tuple[str, str], int], *, title: str = "", top: int = 18) -> Plot:
    """Heat map of what was taken for what; the right answers are left out, or they hide the rest.

    Args:
        counts: (truth, prediction) -> how often; an empty text stands for "nothing" (characters
            missed or added).
        title: of the figure.
        top: so many classes with the most errors are shown.
    """
    wrong = {pair: n for pair, n in counts.items() if pair[0] != pair[1] and n > 0}
    if not wrong:
        return empty_plot(f"{title}: nothing confused" if title else "nothing confused")
    totals: dict[str, int] = {}
    for (truth, predicted), n in wrong.items():
        totals[truth] = totals.get(truth, 0) + n
        totals[predicted] = totals.get(predicted, 0) + n
    names = sorted(sorted(totals, key=lambda key: -totals[key])[:top])
    index = {name: number for number, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for (truth, predicted), n in wrong.items():
        if truth in index and predicted in index:
            matrix[index[truth], index[predicted]] = n
    size = max(3.6, 0.42 * len(names) + 1.6)
    plot = Plot(size + 0.4, size)
    ax = plot.add_subplot()
    ax.imshow(matrix, cmap=HEAT, vmin=0, vmax=max(1.0, matrix.max()))
    for row, column in zip(*np.nonzero(matrix), strict=True):
        color = "white" if matrix[row, column] > 0.45 * matrix.max() else INK
        text = f"{matrix[row, column]:.0f}"
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    for number in range(len(names)):
        ax.add_patch(
            Polygon(
                [(number - 0.5, number - 0.5), (number + 0.5, number - 0.5),
                 (number + 0.5, number + 0.5), (number - 0.5, number + 0.5)],
                facecolor=GRID, edgecolor="none",
            )
        )  # fmt: skip
    shown = [name if name.strip() else ("nothing" if not name else "space") for name in names]
    longest = max(map(len, shown))
    ax.set_xticks(range(len(names)), shown, rotation=0 if longest < 3 else 60, fontsize=9)
    ax.set_yticks(range(len(names)), shown, fontsize=9)
    if longest >= 3:
        for tick in ax.get_xticklabels():
            tick.set_horizontalalignment("right" if len(tick.get_text()) > 2 else "center")
            tick.set_rotation(60 if len(tick.get_text()) > 2 else 0)
    ax.set_xlabel("read as", color=MUTED)
    ax.set_ylabel("is", color=MUTED)
    ax.set_xticks(np.arange(-0.5, len(names)), minor=True)
    ax.set_yticks(np.arange(-0.5, len(names)), minor=True)
    ax.grid(which="minor", color="white", lw=1)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    hidden = sum(wrong.values()) - int(matrix.sum())
    heading = title or "confusions"
    title_axes(ax, f"{heading} ({hidden:,} rarer ones not shown)" if hidden else heading)
    return plot


def histogram(
    values: ArrayLike | Mapping[str, ArrayLike], *, name: str, bins: int = 30, title: str = ""
) -> Plot:
    """How often which value occurs; several groups as outlines over each other.

    Args:
        values: numbers, or group name -> numbers.
        name: of the quantity, with its unit.
        bins: number of equal bins over the range of all.
        title: of the figure; the name by default.
    """
    groups = dict(values) if isinstance(values, Mapping) else {"": values}
    arrays = {key: np.asarray(group, float).ravel() for key, group in groups.items()}
    arrays = {key: group[np.isfinite(group)] for key, group in arrays.items()}
    every = np.concatenate([*arrays.values(), np.zeros(0)])
    if not len(every):
        return empty_plot(f"no values of {name}")
    edges = np.histogram_bin_edges(every, bins).tolist()
    plot = Plot(6.4, 3.4)
    ax = plot.add_subplot()
    style_axes(ax, title or name, grid="y")
    for number, (key, group) in enumerate(arrays.items()):
        color = PALETTE[number % len(PALETTE)]
        label = f"{key} (n={len(group):,}, median {np.median(group):.3g})" if len(group) else key
        ax.hist(
            group, edges, color=(*rgb(color), 0.35), ec=color, histtype="stepfilled", label=label
        )
    ax.set_xlabel(name, color=MUTED, fontsize=9)
    ax.set_ylabel("samples", color=MUTED, fontsize=9)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if "" not in arrays:
        ax.legend(frameon=False, fontsize=8)
    return plot


_NO_METRICS = frozenset(
    [
        "step",
        "time",
        "epoch",
        "seconds",
        "eta",
        "epoch_seconds",
        "samples",
        "samples_per_second",
        "data_wait",
        "memory",
    ]
)

_Series = dict[str, dict[str, list[tuple[float, float]]]]
"""Metric -> side -> points (step, value)."""


def _rows(history: Sequence[Mapping[str, Any]] | str | Path) -> Sequence[Mapping[str, Any]]:
    if isinstance(history, str | Path):
        from sightbook.runs.run import read_metrics

        path = Path(history)
        return read_metrics(path.parent if path.suffix == ".jsonl" else path)
    return history


def _series(rows: Sequence[Mapping[str, Any]]) -> _Series:
    series: _Series = {}
    for row in rows:
        for key, value in row.items():
            side, _, name = key.rpartition("/")
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            if numeric and math.isfinite(value):
                sides = series.setdefault(name, {})
                sides.setdefault(side, []).append((float(row.get("step", 0)), float(value)))
    return series


def _worth_a_curve(series: _Series) -> list[str]:
    return [
        name
        for name, sides in series.items()
        if name not in _NO_METRICS and any(len(points) > 1 for points in sides.values())
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _panel_order(name: str) -> tuple[bool, str]:
    return (name != "loss", name)


def _line(ax: Axes, points: NDArray[np.float64], color: str, label: str) -> None:
    if len(points) <= 60:
        marker = "o" if len(points) <= 25 else ""
        ax.plot(points[:, 0], points[:, 1], color=color, lw=1.8, marker=marker, ms=4, label=label)
        return
    # Single steps are noisy: they stay faint behind their running mean.
    ax.plot(points[:, 0], points[:, 1], color=color, lw=0.7, alpha=0.25)
    half = max(2, len(points) // 60)
    sums = np.concatenate([[0.0], np.cumsum(points[:, 1])])
    index = np.arange(len(points))
    # Centred, so that the mean does not lag behind a falling loss.
    reach = np.minimum(half, np.minimum(index, index[::-1]))
    smooth = (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)
    ax.plot(points[:, 0], smooth, color=color, lw=1.8, label=label)


def _plot_of(ax: Axes) -> Plot:
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Plot), "axes of a Plot are expected (sightbook.figures.plots.Plot)"
    return figure
