"""What all figures of detections share: what goes in, what is refused, and how intervals are drawn.

An image that nobody looked at must not count as one on which nothing was found, so every record
needs its entry among the detections, empty where the model found nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, Box

Found = Mapping[str, Sequence[Box]]
"""Detections by the name of their record."""

Figure = dict[str, Any]
"""``{"value", "n", "low", "high"}``: None where there is nothing to count; a 95 % interval."""

Floats = NDArray[np.float64]


def check_found(truth: Annotations, found: Found) -> None:
    """Refuse what cannot be counted honestly.

    Raises:
        ValueError: records of one name; a record without an entry in `found` or an entry without
            a record; a class that `truth.labels` does not hold; a box with a corner that is no
            number or lies above or left of the first; a true box without area; a detection without
            a score from 0 to 1.
    """
    names = [record.name for record in truth.records]
    known = set(names)
    _refuse((name for name, n in Counter(names).items() if n > 1), "records bear the same name")
    _refuse(
        (name for name in names if name not in found),
        "records have no entry among the detections: give an empty list where nothing was found, "
        "and leave records out of the truth that were not predicted",
    )
    _refuse((name for name in found if name not in known), "entries of detections have no record")
    for record in truth.records:
        for box in record.boxes:
            _check_box(record.name, "true box", box, truth.labels)
            if box.width <= 0 or box.height <= 0:
                raise ValueError(f"{record.name}: true box {box.xyxy} has no area")
        for box in found[record.name]:
            _check_box(record.name, "detection", box, truth.labels)
            if box.score is None or not 0 <= box.score <= 1:
                raise ValueError(
                    f"{record.name}: detection {box.xyxy} has the score {box.score}, expected a "
                    "number from 0 to 1"
                )


def draw_again(
    images: int, units: Sequence[str] | None, resamples: int, seed: int = 0
) -> NDArray[np.int64]:
    """How often each image is drawn in each resample of a bootstrap (Efron 1979).

    Args:
        images: number of images.
        units: of each image the unit that is drawn as a whole (its highway or board, where images
            of one resemble each other; an empty text is a unit of its own); None draws images.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        Counts ``[resamples, images]``; no rows if there are fewer than two units.

    Raises:
        ValueError: `units` is not as long as there are images.
    """
    if units is not None and len(units) != images:
        raise ValueError(f"{len(units)} units for {images} images, expected one for each")
    marks = [unit or f"\0{k}" for k, unit in enumerate(units or [""] * images)]
    place = np.unique(np.asarray(marks, str), return_inverse=True)[1]
    count = int(place.max(initial=-1)) + 1
    if count < 2 or not resamples:
        return np.zeros((0, images), np.int64)
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, place]


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Shares; NaN where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def figure(value: float, n: int, drawn: Floats) -> Figure:
    """A figure with the 95 % interval of its resamples; NaN stands for "cannot be said"."""
    made: Figure = {"value": float(value) if math.isfinite(value) else None, "n": n}
    kept = drawn[np.isfinite(drawn)]
    if made["value"] is None or not len(kept):
        return made | {"low": None, "high": None}
    low, high = np.percentile(kept, [2.5, 97.5]).tolist()
    return made | {"low": low, "high": high}


def shown(figure: Figure) -> str:
    """A figure for a table: value and interval."""
    if figure["value"] is None:
        return "–"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def _check_box(name: str, what: str, box: Box, labels: Sequence[str]) -> None:
    if box.label not in labels:
        raise ValueError(
            f"{name}: {what} of class {box.label!r}; the classes are {', '.join(labels) or 'none'}"
        )
    x0, y0, x1, y1 = box.xyxy
    if not all(map(math.isfinite, box.xyxy)) or x1 < x0 or y1 < y0:
        raise ValueError(
            f"{name}: {what} {box.xyxy} is no box, expected left, top, right, bottom in pixels"
        )


def _refuse(names: Iterable[str], reason: str) -> None:
    bad = list(names)
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(f"{len(bad)} {reason} ({', '.join(bad[:5])}{more})")
