"""Browsers for a notebook: leaf through samples and readings, or see their static twin.

What a browser puts into the notebook holds both: the live widget for who looks on, and a rendered
figure for everything that has no kernel behind it (papermill, nbconvert, GitHub, the report).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sightbook.data.images import ImageError, open_image
from sightbook.figures.plots import draw_quads
from sightbook.figures.style import MUTED, Plot, empty_plot, show_image
from sightbook.figures.text_diff import Case, reading_comparison, worst_cases
from sightbook.training.display import is_interactive


class Browser:
    """One item at a time with next, previous, a slider, a filter and sorting.

    Shown as the last value of a cell. In a run that nobody watches, only the static twin is made.

    Attributes:
        items: what is browsed, in the order given.
        selected: indices of the items that pass the filter, in the order shown.
        position: of the item shown, in ``selected``.
    """

    def __init__(
        self,
        items: Sequence[Any],
        *,
        draw: Callable[[Any], Plot],
        static: Callable[[], Plot],
        describe: Callable[[Any], str],
        error: Callable[[Any], float] | None = None,
    ) -> None:
        self.items = list(items)
        self.selected = list(range(len(self.items)))
        self.position = 0
        self._draw, self._static, self._describe, self._error = draw, static, describe, error
        self._widget: Any = None
        self._controls: dict[str, Any] = {}

    @property
    def current(self) -> Any:
        """The item shown; None if nothing passes the filter."""
        return self.items[self.selected[self.position]] if self.selected else None

    def select(
        self, text: str = "", *, worst_first: bool = False, only_wrong: bool = False
    ) -> None:
        """Filter by words in an item's description, and sort; shows the first item that is left."""
        words = text.casefold().split()
        found = [
            index
            for index, item in enumerate(self.items)
            if all(word in self._describe(item).casefold() for word in words)
            and not (only_wrong and self._error is not None and self._error(item) <= 0)
        ]
        if worst_first and self._error is not None:
            found.sort(key=lambda index: -self._error(self.items[index]))  # type: ignore[misc]
        self.selected = found
        self.go(0)

    def go(self, position: int) -> None:
        """Show an item by its place among the selected ones; stops at both ends."""
        self.position = max(0, min(position, len(self.selected) - 1))
        self._refresh()

    def figure(self) -> Plot:
        """The static twin."""
        return self._static()

    def current_figure(self) -> Plot:
        """The item shown, drawn."""
        return (
            empty_plot("nothing passes the filter")
            if not self.selected
            else self._draw(self.current)
        )

    @property
    def widget(self) -> Any:
        """The live widget (an ipywidgets box), made when first asked for."""
        if self._widget is None:
            self._build()
        return self._widget

    def _build(self) -> None:
        import ipywidgets as widgets

        wide = widgets.Layout(width="auto")
        controls = {
            "previous": widgets.Button(icon="arrow-left", tooltip="previous", layout=wide),
            "slider": widgets.IntSlider(1, 1, max(1, len(self.items)), continuous_update=False),
            "next": widgets.Button(icon="arrow-right", tooltip="next", layout=wide),
            "filter": widgets.Text(placeholder="filter by words", continuous_update=False),
            "sort": widgets.Checkbox(description="worst first", indent=False, layout=wide),
            "wrong": widgets.Checkbox(description="only wrong", indent=False, layout=wide),
            "text": widgets.HTML(),
            "image": widgets.Image(format="png", layout=widgets.Layout(max_width="100%")),
        }
        self._controls = controls
        controls["previous"].on_click(lambda _: self.go(self.position - 1))
        controls["next"].on_click(lambda _: self.go(self.position + 1))

        def slide(change: Any) -> None:
            if change["new"] - 1 != self.position:  # not when the slider only follows
                self.go(change["new"] - 1)

        def reselect(_: Any) -> None:
            self.select(
                controls["filter"].value,
                worst_first=controls["sort"].value,
                only_wrong=controls["wrong"].value,
            )

        controls["slider"].observe(slide, "value")
        for name in ("filter", "sort", "wrong"):
            controls[name].observe(reselect, "value")
        bar = [controls[name] for name in ("previous", "slider", "next", "filter")]
        if self._error is not None:
            bar += [controls["sort"], controls["wrong"]]
        row = widgets.HBox(bar, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self._widget = widgets.VBox([row, controls["text"], controls["image"]])
        self._refresh()

    def _refresh(self) -> None:
        if not self._controls:
            return
        slider = self._controls["slider"]
        with slider.hold_trait_notifications():
            slider.max = max(1, len(self.selected))
            slider.value = self.position + 1
        place = f"{self.position + 1 if self.selected else 0} of {len(self.selected)}"
        self._controls["text"].value = f"<span style='color:{MUTED}'>{place}</span>"
        self._controls["image"].value = self.current_figure().png()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # Both in one output: front ends with a kernel take the widget, all others the picture.
        bundle = self.widget._repr_mimebundle_() if is_interactive() else {}
        bundle["image/png"] = base64.b64encode(self.figure().png()).decode()
        bundle["text/plain"] = f"<browser of {len(self.items)} items>"
        return bundle


def sample_browser(
    samples: Sequence[Any],
    draw: Callable[[Any, Axes], None] | None = None,
    *,
    describe: Callable[[Any], str] | None = None,
    count: int = 6,
    columns: int = 3,
) -> Browser:
    """Browse labelled pictures; the static twin is a grid of some, spread over the whole.

    Args:
        samples: records or samples of any line.
        draw: draws one into axes. By default the picture (``image`` or ``path``) with its
            ``quads`` (or ``line_quads``) and its description as title.
        describe: one line about a sample, for titles and the filter; by default its `caption`, or
            its name, kind, type and lines, whichever of them it has.
        count: pictures in the static twin.
        columns: of the static twin.
    """
    tell = describe or _describe
    paint = draw or (lambda sample, ax: _draw_sample(sample, ax, tell(sample)))

    def single(sample: Any) -> Plot:
        plot = Plot(9.0, 6.6)
        paint(sample, plot.add_subplot())
        return plot

    def grid() -> Plot:
        if not len(samples):
            return empty_plot("no samples")
        chosen = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int))
        width = max(1, min(columns, len(chosen)))
        rows = -(-len(chosen) // width)
        plot = Plot(4.3 * width, 3.5 * rows)
        for place, index in enumerate(chosen, start=1):
            paint(samples[index], plot.add_subplot(rows, width, place))
        return plot

    return Browser(samples, draw=single, static=grid, describe=tell)


def prediction_browser(cases: Sequence[Case], *, count: int = 6) -> Browser:
    """Browse readings, wrong characters in red; the static twin shows the worst ones."""

    def single(case: Case) -> Plot:
        heading = "   ".join(text for text in (case.name, case.note) if text)
        return reading_comparison(case.pixels(), case.truth, case.prediction, title=heading)

    def describe(case: Case) -> str:
        return " ".join([case.name, case.note, *(case.truth or ()), *case.prediction])

    return Browser(
        cases,
        draw=single,
        static=lambda: worst_cases(cases, count=count),
        describe=describe,
        error=lambda case: case.error,
    )


def _draw_sample(sample: Any, ax: Axes, title: str) -> None:
    try:
        image = getattr(sample, "image", None)
        if not isinstance(image, np.ndarray):
            image = open_image(image if isinstance(image, bytes | Path) else sample.path)
    except ImageError as error:
        show_image(ax, np.full((60, 80), 235, np.uint8), f"cannot be read: {error.reason}", 58)
        return
    quads = getattr(sample, "quads", None)
    quads = getattr(sample, "line_quads", None) if quads is None else quads
    cell = ax.get_figure(root=True).get_figwidth() / ax.get_gridspec().ncols  # type: ignore[union-attr]
    if quads is None or not len(quads):
        show_image(ax, image, title, characters=int(cell * 10.5))
    else:
        draw_quads(image, quads, title=title, ax=ax, width=cell)


def _describe(sample: Any) -> str:
    if (caption := getattr(sample, "caption", None)) is not None:
        return str(caption)
    name = getattr(sample, "file_name", "") or getattr(sample, "name", "")
    parts = [name, *(getattr(sample, what, "") for what in ("kind", "type"))]
    return "  ".join(str(part) for part in [*parts, *getattr(sample, "lines", [])] if part)
