"""What a person sees of a training run: a line per epoch, or a live bar and curve.

Live only where someone looks on: in a notebook kernel that a Jupyter server or VS Code started.
Kernels started by papermill, nbconvert or nbval carry no such mark and print lines, and
``SIGHTBOOK_HEADLESS=1`` (0) in the environment settles it either way.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Display(Protocol):
    """What `training.fit` tells; one process of a run has one display."""

    def start(self, epochs: int, batches: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Training begins, or goes on after `history`."""

    def batch(self, epoch: int, done: int, loss: float) -> None:
        """`done` batches of `epoch` (from 1) are through."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch has ended; `row` is its line of the history."""

    def close(self) -> None:
        """Training has ended, well or not."""


def make_display(monitor: str) -> Display:
    """Return the live display in a notebook that someone looks at, else the plain one."""
    return LiveDisplay(monitor) if is_interactive() else LineDisplay(monitor)


def is_interactive() -> bool:
    """Whether a person watches this process through a notebook front end."""
    headless = os.environ.get("SIGHTBOOK_HEADLESS", "")
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if headless == "1" or shell is None or not hasattr(shell, "kernel"):
        return False
    # The Jupyter server names the notebook to the kernels it starts; VS Code does it so:
    watched = "JPY_SESSION_NAME" in os.environ or "__vsc_ipynb_file__" in shell.user_ns
    return headless == "0" or watched


class LineDisplay:
    """One printed line per epoch."""

    def __init__(self, monitor: str):
        self._monitor = monitor
        self._durations: list[float] = []
        self._epochs = 0

    def start(self, epochs: int, batches: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Note the number of epochs."""
        self._epochs = epochs

    def batch(self, epoch: int, done: int, loss: float) -> None:
        """Say nothing."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print the line."""
        self._durations.append(row["seconds"])
        print(epoch_line(row, self._monitor, self._epochs, self._durations), flush=True)

    def close(self) -> None:
        """Say nothing."""


class LiveDisplay:
    """A progress bar within the epoch and a curve that grows by epochs, in a notebook."""

    def __init__(self, monitor: str):
        import ipywidgets
        from IPython.display import DisplayHandle, display

        self._monitor = monitor
        self._bar = ipywidgets.IntProgress(layout={"width": "40%"})
        self._text = ipywidgets.Label()
        self._box = ipywidgets.HBox([self._bar, self._text])
        display(self._box)
        self._curve = DisplayHandle()
        self._history: list[Mapping[str, Any]] = []
        self._durations: list[float] = []
        self._epochs = self._batches = 0
        self._drawn = 0.0

    def start(self, epochs: int, batches: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Set up the bar, and the curve of what went before."""
        self._epochs, self._batches = epochs, batches
        self._bar.max = batches
        self._history = list(history)
        self._curve.display({}, raw=True)
        self._draw()

    def batch(self, epoch: int, done: int, loss: float) -> None:
        """Move the bar, a few times a second."""
        if time.monotonic() - self._drawn > 0.3:
            self._drawn = time.monotonic()
            self._bar.value = done
            self._text.value = (
                f"epoch {epoch}/{self._epochs}, batch {done}/{self._batches}, loss {loss:.4g}"
            )

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Extend the curve."""
        self._durations.append(row["seconds"])
        self._history.append(row)
        self._bar.value = self._batches
        self._text.value = epoch_line(row, self._monitor, self._epochs, self._durations)
        self._draw()

    def close(self) -> None:
        """Leave the curve and the last line."""
        self._bar.close()

    def _draw(self) -> None:
        from sightbook.figures.plots import curves

        if self._history:
            names = ["loss", self._monitor.rpartition("/")[2]]
            self._curve.update(curves(self._history, names=names))


def epoch_line(
    row: Mapping[str, Any], monitor: str, epochs: int, durations: Sequence[float]
) -> str:
    """Return an epoch's line: losses, metrics, speed, share of waiting for data, time to go."""
    shown = ["train/loss", monitor, *(name for name in row if name.startswith("validation/"))]
    values = [f"{name} {row[name]:.4g}" for name in dict.fromkeys(shown) if name in row]
    left = (epochs - row["epoch"]) * sum(durations) / len(durations)
    return "  ".join(
        [
            f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}",
            *values,
            f"{row['samples_per_second']:.0f} samples/s",
            f"data wait {row['data_wait']:.0%}",
            f"{clock(row['seconds'])} an epoch",
            f"ETA {clock(left)}",
        ]
    )


def clock(seconds: float) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
