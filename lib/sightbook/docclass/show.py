"""What `03_evaluate_docclass` shows: curves, scores, a map, confusions and what breaks it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from sightbook.docclass.evaluate import MODEL, PIXELS, Evaluation
from sightbook.docclass.evaluation_sets import registered
from sightbook.docclass.hard_cases import FACTOR_FPR, FactorPoint
from sightbook.docclass.metrics import OperatingPoint
from sightbook.docclass.predict import Predictor
from sightbook.docclass.store import synthetic_store
from sightbook.docclass.synth.views import FACTORS, render_view
from sightbook.figures.style import (
    INK,
    MUTED,
    PALETTE,
    WRONG,
    Plot,
    empty_plot,
    rgb,
    show_image,
    style_axes,
)

COLORS = {MODEL: PALETTE[0], PIXELS: PALETTE[1]}

UNITS = {
    "turn": "degrees",
    "tilt": "degrees",
    "crop": "share of the sides lost",
    "margin": "background, share of the extent",
    "light": "gain",
    "blur": "standard deviation, px",
    "noise": "grey levels",
    "low resolution": "times fewer pixels a side",
    "occlusion": "share of the area",
    "moire": "contrast; never trained on",
}


def roc(result: Evaluation) -> Plot:
    """TPR against FPR over all pairs, and DIR against FAR of the open-set search; log axes."""
    plot = Plot(11, 4.2)
    ax = plot.add_subplot(1, 2, 1)
    style_axes(ax, "Are two views of one type? (all pairs)")
    for name, figures in result.figures.items():
        pairs = figures.verification
        label = f"{name}, AUROC {pairs.auroc:.4f}"
        ax.plot(pairs.roc_fpr, pairs.roc_tpr, color=COLORS[name], lw=1.8, label=label)
        _whiskers(ax, pairs.points, COLORS[name])
    _shares_over_rates(ax, "false positive rate", "true positive rate")
    ax = plot.add_subplot(1, 2, 2)
    style_axes(ax, "Which type, or none? (half of the types unknown)")
    for name, figures in result.figures.items():
        found = figures.open_set
        ax.plot(found.far, found.dir, color=COLORS[name], lw=1.8, label=name)
        _whiskers(ax, found.points, COLORS[name])
    _shares_over_rates(ax, "unknown views accepted (FAR)", "known views accepted and right (DIR)")
    return plot


def scores(result: Evaluation) -> Plot:
    """Similarities of pairs of one type and of two types, and the threshold at a FPR of 1e-4."""
    plot = Plot(11, 3.6)
    for place, (name, figures) in enumerate(result.figures.items(), start=1):
        ax = plot.add_subplot(1, 2, place)
        pairs = figures.verification
        style_axes(ax, name, grid="y")
        middles = (pairs.edges[1:] + pairs.edges[:-1]) / 2
        for number, (label, counts) in enumerate(
            {"two types": pairs.impostor, "one type": pairs.genuine}.items()
        ):
            color = PALETTE[1 - number]
            density = counts / counts.sum()
            ax.fill_between(middles, density, step="mid", color=(*rgb(color), 0.35))
            label = f"{label} ({counts.sum():,} pairs)"
            ax.step(middles, density, where="mid", color=color, label=label)
        point = pairs.at(1e-4)
        ax.axvline(point.threshold, color=INK, lw=1.2, ls="--")
        ax.annotate(
            f"FPR 1e-4: {point.threshold:.2f}\naccepts {point.tpr:.0%} of one type",
            (point.threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=INK,
        )
        ax.set_yticks([])
        ax.set_ylim(top=1.35 * ax.get_ylim()[1])  # room for the legend above the curves
        ax.set_xlabel("cosine similarity", color=MUTED, fontsize=9)
        ax.legend(frameon=False, fontsize=8, loc="upper left")
    return plot


def threshold(result: Evaluation) -> Plot:
    """What the default threshold lets through, by how many types are registered."""
    chosen = result.threshold
    plot = Plot(7.5, 3.6)
    ax = plot.add_subplot()
    style_axes(ax, f"threshold {chosen.value:.3f}: unknown views accepted", grid="both")
    for name, figures in result.figures.items():
        sizes, rates = list(figures.by_size), list(figures.by_size.values())
        ax.plot(sizes, rates, "o-", color=COLORS[name], lw=1.8, ms=4, label=f"{name}, test types")
    ours = result.figures[MODEL]
    kept = ours.realised.false_identification
    bounds = np.array([kept["low"], kept["high"]], float)
    ax.plot([max(ours.by_size)] * 2, bounds, color=COLORS[MODEL], lw=6, alpha=0.3)
    sizes, rates = list(ours.promised), list(ours.promised.values())
    label = f"{MODEL}, calibration types ({chosen.views:,} views)"
    ax.plot(sizes, rates, "--", color=INK, lw=1.2, label=label)
    ax.plot(sizes[-1], rates[-1], "D", color=INK, ms=5)
    ax.axhline(chosen.target, color=MUTED, lw=1, ls=":")
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("registered types", color=MUTED, fontsize=9)
    ax.legend(frameon=False, fontsize=8)
    return plot


def embedding_map(result: Evaluation, types: int = 12) -> Plot:
    """Views of some types in the plane that spreads these types most; templates at their middles.

    It is the plane of the first two principal components of the types' mean embeddings (a PCA, by
    SVD). The embedding's other dimensions do not show: types that overlap here may lie apart there.
    """
    present = np.unique(result.labels)
    chosen = present[np.linspace(0, len(present) - 1, min(types, len(present))).round().astype(int)]
    templates, _ = registered(result.sets.test)
    plot = Plot(12, 5.6)
    for place, (name, embeddings) in enumerate(result.embeddings.items(), start=1):
        ax = plot.add_subplot(1, 2, place)
        rows = [embeddings[result.labels == label] for label in chosen]
        points, kept = plane(rows)
        style_axes(ax, f"{name} ({kept:.0%} of the spread between types)")
        for number, mine in enumerate(points):
            color = PALETTE[number % len(PALETTE)]
            marker = "o^sD"[number // len(PALETTE) % 4]
            ax.scatter(mine[:, 0], mine[:, 1], color=color, marker=marker, s=26, alpha=0.8, lw=0)
            spokes = _spokes(mine)
            ax.plot(spokes[:, 0], spokes[:, 1], color=color, lw=0.6, alpha=0.5)
            image = OffsetImage(templates[chosen[number]], zoom=0.19)
            frame = {"edgecolor": color, "lw": 1.5}
            ax.add_artist(AnnotationBbox(image, mine.mean(axis=0), pad=0.1, bboxprops=frame))
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_aspect("equal", adjustable="datalim")
    return plot


def plane(rows: list[NDArray[np.float32]]) -> tuple[list[NDArray[np.float32]], float]:
    """Project groups of vectors onto the plane in which their means spread most.

    Args:
        rows: groups, each ``[n, d]``.

    Returns:
        The groups as ``[n, 2]``, and the share of the means' spread that the plane holds.
    """
    means = np.stack([group.mean(axis=0) for group in rows])
    centre = means.mean(axis=0)
    _, lengths, axes = np.linalg.svd(means - centre, full_matrices=False)
    held = float((lengths[:2] ** 2).sum() / max((lengths**2).sum(), 1e-12))
    return [(group - centre) @ axes[:2].T for group in rows], held


def confusions(result: Evaluation) -> Plot:
    """The hardest views (left), the right template (middle) and the nearest wrong one (right)."""
    cases = result.confusions
    if not cases:
        return empty_plot("no confusions")
    columns = min(2, len(cases))
    rows = -(-len(cases) // columns)
    plot = Plot(6.2 * columns, 2.3 * rows)
    grid = plot.add_gridspec(rows, columns * 3)
    for place, case in enumerate(cases):
        verdict = "WRONG" if case.wrong else "right"
        images = (
            (case.probe, f"{verdict} by {abs(case.own_score - case.other_score):.2f}"),
            (case.own, f"{case.own_score:.2f} {case.type}"),
            (case.candidate, f"{case.other_score:.2f} {case.other}"),
        )
        for step, (image, title) in enumerate(images):
            ax = plot.add_subplot(grid[place // columns, place % columns * 3 + step])
            show_image(ax, image, title, characters=23)
            if step == 0 and case.wrong:
                ax.set_title(title, fontsize=9, color=WRONG, loc="left", pad=4)
    return plot


def identified(predictor: Predictor, seed: int, types: int = 12, photos: int = 5) -> Plot:
    """Generated types registered with one template each, and what is said of some photos.

    The last photo is of a type that is not registered. Photos stand above, the template that each
    is nearest to below.
    """
    store = synthetic_store(types + 1, seed)
    templates, _ = registered(store)
    for index in range(types):
        predictor.register(f"type {index + 1}", store.pixels[index])
    shown = [*np.linspace(0, types - 1, photos - 1).round().astype(int).tolist(), types]
    plot = Plot(12, 5.4)
    for place, index in enumerate(shown):
        rng = np.random.default_rng([seed, index])
        view = render_view(store.pixels[index], float(store.aspects[index]), rng, "medium")
        found = predictor.predict(view)
        nearest = int(found.candidate.removeprefix("type ")) - 1
        truth = f"type {index + 1}" if index < types else "not registered"
        answer = found.type or "none of them"
        right = answer == (truth if index < types else "none of them")
        show_image(plot.add_subplot(2, photos, place + 1), view, f"{truth}: read as {answer}")
        ax = plot.add_subplot(2, photos, photos + place + 1)
        show_image(ax, templates[nearest], f"{found.candidate}, similarity {found.score:.2f}")
        if not right:
            ax.title.set_color(WRONG)
    return plot


def robustness(result: Evaluation) -> Plot:
    """Top-1 (lines) and TPR at a FPR of 1e-3 (dashes) against each factor alone."""
    columns = 5
    rows = -(-len(FACTORS) // columns)
    plot = Plot(13, 2.7 * rows + 0.4)
    axes: list[Axes] = []
    for place, (factor, amounts) in enumerate(FACTORS.items()):
        ax = plot.add_subplot(rows, columns, place + 1)
        style_axes(ax, factor)
        for name, color in COLORS.items():
            mine = [p for p in result.robustness if (p.factor, p.embedding) == (factor, name)]
            _factor_curve(ax, mine, name, color)
        # Even steps: the amounts grow faster than what they do to a picture.
        ax.set_xticks(range(len(amounts)), [f"{amount:g}" for amount in amounts])
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlabel(UNITS.get(factor, ""), color=MUTED, fontsize=8)
        if place % columns:
            ax.tick_params(labelleft=False)
        axes.append(ax)
    plot.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return plot


def _factor_curve(ax: Axes, points: list[FactorPoint], name: str, color: str) -> None:
    steps = list(range(len(points)))
    shares, low, high = (
        np.array([p.top1[key] for p in points], float) for key in ("value", "low", "high")
    )
    ax.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)
    ax.plot(steps, shares, "o-", color=color, lw=1.6, ms=3, label=f"{name}: top-1")
    rates = [p.tpr for p in points]
    label = f"{name}: TPR at FPR {FACTOR_FPR:.0e}".replace("e-0", "e-")
    ax.plot(steps, rates, "--", color=color, lw=1.3, label=label)


def _whiskers(ax: Axes, points: list[OperatingPoint], color: str) -> None:
    """Points at the targets with their intervals; hollow where the set is too small for one."""
    for point in points:
        ax.plot([point.target] * 2, [point.low, point.high], color=color, lw=6, alpha=0.25)
        fill = color if point.reachable else "white"
        ax.plot(point.target, point.tpr, "o", ms=5, color=color, mfc=fill)


def _shares_over_rates(ax: Axes, x: str, y: str) -> None:
    ax.set_xscale("log")
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel(x, color=MUTED, fontsize=9)
    ax.set_ylabel(y, color=MUTED, fontsize=9)
    ax.legend(frameon=False, fontsize=8, loc="best")


def _spokes(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """A line from the middle to each point and back, ``[2 n, 2]``."""
    middle = np.broadcast_to(points.mean(axis=0), points.shape)
    return np.stack([middle, points], axis=1).reshape(-1, 2)
