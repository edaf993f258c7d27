"""What the headstamp notebooks show: labels, each step from photograph to text, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.detection.labels.show import crop_around, spread
from sightbook.detection.metrics.show import Load, load_image
from sightbook.figures.plots import image_grid
from sightbook.figures.style import MUTED, PALETTE, Plot, empty_plot, show_image
from sightbook.figures.tables import Table
from sightbook.figures.text_diff import Case, worst_cases
from sightbook.headstamps.metrics import HeadResult, head_direction
from sightbook.headstamps.overlay import COLORS, draw_heads
from sightbook.headstamps.read import CASING, Head, Outline, find_outlines
from sightbook.headstamps.unroll import Strip, directions, unroll, upside_down
from sightbook.headstamps.words import Direction, Word

Image = NDArray[np.uint8]

_ROUND = 1.2  # how far beyond the rim heads are shown


def reading_steps(image: Image, head: Head) -> Plot:
    """How one head was read: detected, made round, unrolled, evened, read both ways round.

    Words stand over their places in the reading in which they are upright; sideways ones are drawn
    in the strip.

    Args:
        image: uint8 RGB ``[H, W, 3]``, the photograph.
        head: read on it.
    """
    strip = head.strip
    colored = unroll(
        image, strip.casing, head.outline.primer_ellipse, start=strip.start, normalise=False
    )
    width = 13.0
    rows, columns = strip.image.shape[:2]
    tall = width * rows / columns
    plot = Plot(width, 4.3 + 3 * (tall + 0.45))
    grid = plot.add_gridspec(4, 1, height_ratios=[4.3, tall, tall, tall])
    upper = grid[0].subgridspec(1, 2)
    _draw_crop(plot.add_subplot(upper[0]), image, head.outline)
    _draw_round(plot.add_subplot(upper[1]), image, head)
    show_image(plot.add_subplot(grid[1]), colored.image, "unrolled: rim on top, clockwise")
    even = plot.add_subplot(grid[2])
    show_image(even, strip.image, "contrast evened, read upright", characters=120)
    _draw_words(even, strip, [w for w in head.words if w.direction != "inward"], turned=False)
    turned = plot.add_subplot(grid[3])
    read = f"turned by 180°, read again    →    {head.text or 'nothing'}"
    show_image(turned, upside_down(strip), read, characters=120)
    _draw_words(turned, strip, [w for w in head.words if w.direction == "inward"], turned=True)
    return plot


def read_photos(
    records: Sequence[ImageRecord],
    read: Mapping[str, Sequence[Head]],
    *,
    columns: int = 3,
    load: Load = load_image,
) -> Plot:
    """Photographs with what was read on them.

    Args:
        records: to be shown.
        read: heads by the name of the record; nothing is drawn where there is no entry.
        columns: pictures in a row.
        load: makes a record's picture.
    """
    if not records:
        return empty_plot("no photographs")
    images = [draw_heads(load(record), read.get(record.name, ())) for record in records]
    return image_grid(images, [record.name for record in records], columns=columns, width=13)


def worst_readings(results: Sequence[HeadResult], *, count: int = 8) -> Plot:
    """Strips of the heads that were read worst, with what stands there and what was read."""
    cases = []
    for result in results:
        if result.head is None:
            image, note = np.full((64, 560), 200, np.uint8), "not found"
        else:
            image, note = result.head.strip.image, f"{result.hits} of {len(result.tokens)} right"
        letters = max(sum(map(len, result.tokens)), 1)
        truth, read = _side_by_side(result)
        error = result.errors / letters
        cases.append(Case(result.object_id or result.name, image, truth, read, error, note))
    return worst_cases(cases, count=count, columns=2)


def tokens_table(heads: Sequence[Head]) -> Table:
    """Words of heads with their places, directions and confidences."""
    return Table(
        [
            {
                "head": number,
                "text": word.text,
                "angle": f"{word.angle:.0f}°",
                "direction": word.direction,
                "confidence": round(word.confidence, 3),
            }
            for number, head in enumerate(heads, start=1)
            for word in head.words
        ]
    )


def candidates_table(heads: Sequence[Head]) -> Table:
    """What heads may be, best first, and by which stamps."""
    rows: list[dict[str, Any]] = [
        {
            "head": number,
            "read": head.text,
            "maker": candidate.maker or "",
            "calibre": candidate.calibre or "",
            "score": round(candidate.score, 3),
            "by": ", ".join(candidate.stamps),
        }
        for number, head in enumerate(heads, start=1)
        for candidate in head.candidates
    ]
    return Table(rows or [{"candidates": f"none for {len(heads)} heads"}])


def rings(annotations: Annotations, count: int = 8) -> Plot:
    """Heads beside their rings, unrolled along the true outlines: what a reader will get.

    The largest first, down to the smallest.
    """
    heads = [
        (record, outline)
        for record in annotations.records
        for outline in find_outlines(record.boxes, (record.width, record.height))
    ]
    if not heads:
        return empty_plot("no casings")
    heads = spread(sorted(heads, key=lambda head: -head[1].ellipse.a), count)
    plot = Plot(13, 1.55 * len(heads))
    grid = plot.add_gridspec(len(heads), 2, width_ratios=[1, 8])
    for row, (record, outline) in enumerate(heads):
        image = load_image(record)
        head, _ = crop_around(record, outline.casing, room=1.1)
        strip = unroll(image, outline.ellipse, outline.primer_ellipse)
        show_image(plot.add_subplot(grid[row, 0]), head)
        show_image(plot.add_subplot(grid[row, 1]), strip.image, _lettering(outline), 120)
    return plot


def lettering(annotations: Annotations) -> Table:
    """How text stands on the casings: parts of each direction, and casings without any."""
    casings = [b for record in annotations.records for b in record.boxes if b.label == CASING]
    directions: dict[str, list[str]] = {}
    for box in casings:
        for segment in box.attributes.get("segments", ()):
            name = head_direction(str(segment["direction"]))
            directions.setdefault(name, []).append(str(segment["text"]))
    rows: list[dict[str, Any]] = [
        {
            "lettering": name,
            "segments": len(texts),
            "for example": ", ".join(list(dict.fromkeys(texts))[:8]),
        }
        for name, texts in sorted(directions.items(), key=lambda item: -len(item[1]))
    ]
    bare = sum(not box.attributes.get("tokens") for box in casings)
    return Table([*rows, {"lettering": "(casings without text)", "segments": bare}])


def _lettering(outline: Outline) -> str:
    segments = outline.casing.attributes.get("segments", ())
    return "   ".join(f"{s['text']} ({head_direction(s['direction'])})" for s in segments)


def _side_by_side(result: HeadResult) -> tuple[list[str], list[str]]:
    """True and read tokens as lines: those read right first, as order does not count."""
    truth, read = sorted(result.tokens), sorted(result.read)
    right = []
    for token in list(truth):
        if token in read:
            read.remove(token)
            truth.remove(token)
            right.append(token)
    return [" ".join(right + truth)], [" ".join(right + read)]


def _draw_crop(ax: Axes, image: Image, outline: Outline) -> None:
    """The head within its surroundings, with both outlines."""
    height, width = image.shape[:2]
    side = 1.5 * outline.ellipse.a
    x0, y0 = max(0, round(outline.ellipse.x - side)), max(0, round(outline.ellipse.y - side))
    x1 = min(width, round(outline.ellipse.x + side))
    y1 = min(height, round(outline.ellipse.y + side))
    score = outline.casing.score
    show_image(ax, image[y0:y1, x0:x1], "detected" if score is None else f"detected, {score:.2f}")
    for ellipse in (outline.ellipse, outline.primer_ellipse):
        if ellipse is not None:
            corners = ellipse.polygon() - (x0 + 0.5, y0 + 0.5)
            ax.add_patch(Polygon(corners, fill=False, ec=PALETTE[2], lw=1.8))


def _draw_round(ax: Axes, image: Image, head: Head) -> None:
    """The head as a circle, the ring that is unrolled, its seam, and the words around it."""
    side = 420
    at = ((np.arange(side) + 0.5) / side * 2 - 1) * _ROUND
    unit = np.stack(np.meshgrid(at, at), -1)
    where = (head.outline.ellipse.points(unit) - 0.5).astype(np.float32)
    seen = cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    show_image(ax, np.asarray(seen, np.uint8), "made round; the ring and its seam")
    strip, rows = head.strip, head.strip.image.shape[0]
    columns = np.linspace(0, strip.turn, 180)

    def shown(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
        return (head.outline.ellipse.unit(strip.points(x, y)) / _ROUND + 1) / 2 * side - 0.5

    for row in (-0.5, rows - 0.5):
        ax.plot(*shown(columns, np.full(180, row)).T, color=PALETTE[2], lw=1.4)
    seam = np.array([-0.5, rows - 0.5])
    ax.plot(*shown(np.zeros(2), seam).T, color="white", lw=1.4, ls=(0, (3, 2)))
    for word in head.words:
        x, y = side / 2 * (1 + 1.08 / _ROUND * directions(np.array(word.angle)))
        ax.text(
            float(x),
            float(y),
            word.text,
            color="white",
            fontsize=9,
            ha="center",
            va="center",
            bbox={"facecolor": _color(word.direction), "edgecolor": "none", "pad": 2},
        )
    ax.set_xlim(-0.5, side - 0.5)
    ax.set_ylim(side - 0.5, -0.5)


def _draw_words(ax: Axes, strip: Strip, words: Sequence[Word], *, turned: bool) -> None:
    rows, columns = strip.image.shape[:2]
    if not words:
        ax.set_xlabel("nothing stands this way", color=MUTED, fontsize=8, loc="left")
    for word in words:
        half = word.width / 360 * strip.turn / 2
        # Of two places, within the wrap, the one at which the word is whole.
        x = max(strip.columns(word.angle), key=lambda x: min(x - half, columns - 1 - x - half))
        middle = columns - 1 - x if turned else x
        box = Rectangle(
            (middle - half, 0), 2 * half, rows - 1, fill=False, ec=_color(word.direction), lw=1.8
        )
        ax.add_patch(box)
        ax.annotate(
            f"{word.text}  {word.confidence:.2f}",
            (middle, rows - 1),
            xytext=(0, -9),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color=_color(word.direction),
            annotation_clip=False,
        )


def _color(direction: Direction) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLORS[direction])
