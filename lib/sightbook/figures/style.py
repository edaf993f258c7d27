"""The one style of all figures: colours, axes, and a figure that shows itself."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, MUTED, GRID = "#1f2a37", "#6b7785", "#e3e8ee"
PALETTE = ("#2463a6", "#e08a1e", "#2e9d78", "#8a5fb0", "#c23b4b", "#4fa9c9", "#8c8f3a", "#7d6a5b")
"""Colours of series, in this order; tells apart under the common colour blindnesses."""
WRONG, SHADE = "#c8242f", "#f9d3d5"
HEAT = LinearSegmentedColormap.from_list("sightbook", ["#f6f9fc", "#9cc3e4", "#2463a6", "#12315a"])


class Plot(Figure):
    """A matplotlib figure that shows itself in a notebook, with or without pyplot loaded."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
        FigureCanvasAgg(self)

    def png(self, dpi: int | None = None) -> bytes:
        """The figure as a PNG file's bytes."""
        buffer = io.BytesIO()
        # Photographs hardly get smaller by the default's thrice longer search.
        options = {"compress_level": 3}
        self.savefig(buffer, format="png", dpi=dpi or self.dpi, pil_kwargs=options)
        return buffer.getvalue()

    def svg(self, name: str) -> str:
        """The figure as an SVG element to be put into a page.

        Text is drawn as paths, so that the reader needs no font, and equal figures give equal text.

        Args:
            name: keeps the ids of its parts apart from those of the page's other figures.
        """
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
            self.savefig(buffer, format="svg", metadata={"Date": None})
        text = buffer.getvalue()
        prefix = re.sub(r"\W", "_", name)
        text = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", text)
        return text[text.index("<svg") :]

    def _repr_png_(self) -> bytes:
        return self.png()


def show_image(ax: Axes, image: NDArray[np.uint8], title: str = "", characters: int = 60) -> None:
    """A picture in axes without ticks, its title shortened to so many characters."""
    ax.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255, aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(GRID)
    ax.set_anchor("N")  # neighbours of another shape begin at the same height
    if title:
        short = title if len(title) <= characters else title[: characters - 1] + "…"
        ax.set_title(short, fontsize=9, color=INK, loc="left", pad=4)


def style_axes(ax: Axes, title: str, grid: str = "both") -> None:
    """Axes without a box, with a light grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#b8c0ca")
    ax.set_axisbelow(True)
    ax.grid(True, axis=grid, color=GRID, lw=0.9)  # type: ignore[arg-type]
    ax.tick_params(colors=MUTED, labelsize=9, length=3)
    title_axes(ax, title)


def title_axes(ax: Axes, title: str) -> None:
    """Heading above the left end of the axes."""
    if title:
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=8)


def empty_plot(message: str) -> Plot:
    """A figure that only says why there is nothing to see."""
    plot = Plot(5.0, 1.2)
    plot.text(0.5, 0.5, message, ha="center", va="center", color=MUTED)
    return plot


def rgb(color: str) -> tuple[float, float, float]:
    """Red, green, blue from 0 to 1 of ``#rrggbb``."""
    return tuple(int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))  # type: ignore[return-value]
