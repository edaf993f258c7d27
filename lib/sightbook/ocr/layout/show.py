"""What `02_train_layout` shows: samples before training, pages laid out after it."""

from __future__ import annotations

from functools import partial

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from sightbook.figures import plots
from sightbook.figures.style import MUTED, PALETTE, rgb, title_axes
from sightbook.ocr.layout.arrange import Judge, Layout, rule_scores
from sightbook.ocr.layout.data import Floats, PageWords, word_features
from sightbook.ocr.layout.metrics import LayoutFigures, grouped
from sightbook.ocr.layout.model import LayoutModel
from sightbook.ocr.layout.train import TrainingPages, ValidationPages, judge


def samples(data: TrainingPages, count: int = 4) -> plots.Plot:
    """Training samples: boxes in their paragraph's colour, a line's words joined; noise is grey."""
    plot = plots.Plot(13, 4.2)
    for place in range(min(count, len(data))):
        words = data[place]
        ax = plot.add_subplot(1, count, place + 1)
        draw_layout(ax, words.quads, true_layout(words), f"{len(words)} boxes")
    return plot


class Unseen:
    """Validation pages laid out by rules and by the trained network."""

    def __init__(self, validation: ValidationPages, model: LayoutModel) -> None:
        """Lay out every page both ways."""
        self.pages = validation.pages
        self.totals: dict[str, LayoutFigures] = {}
        self.found: dict[str, list[Layout]] = {}
        self.each: list[float] = []
        ways: dict[str, Judge] = {"rules": rule_scores, "network": partial(judge, model)}
        for way, scores in ways.items():
            total = LayoutFigures()
            self.found[way] = []
            for words in self.pages:
                alone = LayoutFigures()
                features = word_features(words.quads)
                found = alone.update(features, words.lines, words.paragraphs, scores)
                self.found[way].append(found)
                total.extend(alone)
                if way == "network":
                    self.each.append(alone.summary()["layout_f1"])
            self.totals[way] = total

    def table(self) -> list[dict[str, str]]:
        """A row for the rules and one for the network."""
        return [
            {
                "lines and paragraphs by": way,
                "pages": str(len(self.pages)),
                "words": f"{sum(map(len, self.pages)):,}",
                **{name: f"{value:.3f}" for name, value in figures.summary().items()},
            }
            for way, figures in self.totals.items()
        ]

    def worst(self, count: int = 3) -> plots.Plot:
        """The pages on which the network does worst: truth above, what it found below."""
        picked = sorted(range(len(self.pages)), key=lambda place: self.each[place])[:count]
        plot = plots.Plot(13, 10)
        for column, place in enumerate(picked):
            words = self.pages[place]
            shown = {
                "truth": true_layout(words),
                f"found, F1 {self.each[place]:.2f}": self.found["network"][place],
            }
            for row, (title, layout) in enumerate(shown.items()):
                ax = plot.add_subplot(2, count, row * count + column + 1)
                draw_layout(ax, words.quads, layout, title)
        return plot


def true_layout(words: PageWords) -> Layout:
    """The truth in the form that `layout_engine.arrange` returns."""
    return [
        [[group[place] for place in line] for line in grouped(words.lines[group])]
        for group in grouped(words.paragraphs)
    ]


def draw_layout(ax: Axes, quads: Floats, layout: Layout, title: str) -> None:
    """Boxes in their paragraph's colour, its number in reading order, words of a line joined."""
    left = set(range(len(quads)))
    for number, paragraph in enumerate(layout):
        color = PALETTE[number % len(PALETTE)]
        members = [word for line in paragraph for word in line]
        left -= set(members)
        boxes = PolyCollection(list(quads[members]), fc=[(*rgb(color), 0.25)], ec=[color], lw=0.7)
        ax.add_collection(boxes)
        paths = [quads[line].mean(1) for line in paragraph]
        ax.add_collection(LineCollection(paths, colors=[color], linewidths=1.2))
        x, y = quads[members].reshape(-1, 2).min(0)
        ax.annotate(
            str(number + 1),
            (x, y),
            fontsize=6,
            color="white",
            ha="right",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 1},
        )
    if left:
        stray = PolyCollection(list(quads[sorted(left)]), fc="none", ec=[MUTED], lw=0.7)
        ax.add_collection(stray)
    low, high = quads.min((0, 1)), quads.max((0, 1))
    margin = 0.03 * float((high - low).max()) + 1
    ax.set_xlim(low[0] - margin, high[0] + margin)
    ax.set_ylim(high[1] + margin, low[1] - margin)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    title_axes(ax, title)
