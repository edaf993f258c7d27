"""What the prepare notebooks show: boxes on images, objects close by, annotators at odds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.consensus import Consensus
from sightbook.detection.labels.statistics import box_sides, copies
from sightbook.detection.metrics.show import draw_boxes, load_image
from sightbook.figures import plots
from sightbook.figures.browser import Browser
from sightbook.figures.style import MUTED, PALETTE, WRONG, Plot, empty_plot, style_axes
from sightbook.figures.tables import Table

Image = NDArray[np.uint8]
Item = TypeVar("Item")

_SHOWN = 900
"""Longer side, in pixels, in which pictures are drawn: whole photographs make figures megabytes."""

_CROP = 160
"""Side of an object's picture."""


def images(annotations: Annotations, count: int = 8) -> Browser:
    """Leaf through pictures with their boxes; the static twin shows some, clean ones among them."""
    colors = _colors(annotations)
    chosen = _mixed(annotations, count)

    def single(record: ImageRecord) -> Plot:
        return drawn([record], colors, columns=1)

    return Browser(
        annotations.records,
        draw=single,
        static=lambda: drawn(chosen, colors, columns=4),
        describe=lambda record: f"{_title(record)} {record.group}",
    )


def drawn(records: Sequence[ImageRecord], colors: dict[str, str], *, columns: int = 3) -> Plot:
    """Pictures with their boxes, a colour a class, crowds dashed.

    Args:
        records: the pictures.
        colors: of each class.
        columns: pictures in a row.
    """
    if not records:
        return empty_plot("no pictures")
    small = [_small(record) for record in records]
    plot = plots.image_grid(
        [image for image, _ in small],
        [_title(record) for record in records],
        columns=columns,
        width=13 if columns > 1 else 9,
    )
    for ax, (_, record) in zip(plot.axes, small, strict=True):
        for box in record.boxes:
            color = colors.get(box.label, WRONG)
            draw_boxes(ax, [box], color, named=len(colors) > 1, dashed=box.crowd)
    return plot


def objects(annotations: Annotations, count: int = 24) -> Plot:
    """Objects close by with what is around them, the same number of every class.

    Boxes that sit badly show here, and objects that nobody could tell from the background.
    """
    per_class = max(1, count // max(1, len(annotations.labels)))
    picked: list[tuple[ImageRecord, Box]] = []
    for label in annotations.labels:
        own = [
            (record, box)
            for record in annotations.records
            for box in record.boxes
            if box.label == label and not box.crowd
        ]
        picked += spread(own, per_class)
    if not picked:
        return empty_plot("no objects")
    crops = [crop_around(record, box) for record, box in picked]
    titles = [f"{box.label} {box.width:.0f}x{box.height:.0f}" for _, box in picked]
    plot = plots.image_grid([image for image, _ in crops], titles, columns=8, width=13)
    colors = _colors(annotations)
    for ax, (_, box) in zip(plot.axes, crops, strict=True):
        draw_boxes(ax, [box], colors[box.label], named=False)
    return plot


def sizes(annotations: Annotations) -> Plot:
    """Square root of the boxes' areas in the pictures' pixels, by class."""
    name = "square root of the box's area (px)"
    sides = {label: values for label, values in box_sides(annotations).items() if values}
    if len(sides) <= 2:
        return plots.histogram(sides, name=name)
    # more than two over each other cannot be told apart
    edges = np.histogram_bin_edges(np.concatenate(list(sides.values())), 30).tolist()
    rows = -(-len(sides) // 3)
    plot = Plot(13, 0.5 + 1.7 * rows)
    colors = _colors(annotations)
    first = None
    for number, (label, values) in enumerate(sides.items(), start=1):
        ax = plot.add_subplot(rows, 3, number, sharex=first, sharey=first)
        first = first or ax
        style_axes(ax, f"{label} (n={len(values):,}, median {np.median(values):.3g})", grid="y")
        ax.hist(values, edges, color=colors[label])
        if number > len(sides) - 3:
            ax.set_xlabel(name, color=MUTED, fontsize=9)
    return plot


def duplicates(annotations: Annotations) -> Table:
    """Pictures that lie there several times under other names, and how many boxes each has."""
    rows = [
        {
            "image": group[0].name,
            "is also": ", ".join(record.name for record in group[1:]),
            "boxes": ", ".join(str(len(record.boxes)) for record in group),
        }
        for group in copies(annotations)
    ]
    return Table(rows or [{"copies": f"none among {len(annotations.records):,} pictures"}])


def fallen_out(agreed: Consensus, count: int = 9) -> Plot:
    """Pictures on which annotators differ: what was kept in green, what fell out in red, dashed."""
    names = list(dict.fromkeys(gone.name for gone in agreed.fallen_out))
    records = [record for record in agreed.annotations.records if record.name in set(names)]
    records = spread(records, count)
    if not records:
        return empty_plot("the annotators agree on every object")
    small = [_small(record) for record in records]
    plot = plots.image_grid(
        [image for image, _ in small], [record.name for record in records], columns=3, width=13
    )
    for ax, record, (image, kept) in zip(plot.axes, records, small, strict=True):
        draw_boxes(ax, kept.boxes, PALETTE[2], named=False)
        scale = image.shape[1] / record.width
        for gone in agreed.fallen_out:
            if gone.name == record.name:
                named = replace(gone.box, label=f"{gone.box.label}: {', '.join(gone.annotators)}")
                draw_boxes(ax, [_scaled(named, scale)], WRONG, dashed=True)
    return plot


# ------------------------------------------------------------------ parts


def _colors(annotations: Annotations) -> dict[str, str]:
    return {
        label: PALETTE[number % len(PALETTE)] for number, label in enumerate(annotations.labels)
    }


def _mixed(annotations: Annotations, count: int) -> list[ImageRecord]:
    """Records evenly over all, a third of them clean where there are so many."""
    clean = annotations.clean()
    others = [record for record in annotations.records if record.boxes]
    few = min(len(clean), max(count // 3, count - len(others)))
    return [*spread(others, count - few), *spread(clean, few)]


def _title(record: ImageRecord) -> str:
    counts = [box.label for box in record.boxes]
    kinds = list(dict.fromkeys(counts))
    found = ", ".join(f"{counts.count(label)} {label}" for label in kinds)
    if len(kinds) > 2:
        found = f"{len(counts)} boxes"
    split = f" ({record.split})" if record.split else ""
    return f"{found or 'clean'}{split}: {record.name}"


def _small(record: ImageRecord) -> tuple[Image, ImageRecord]:
    """The picture at no more than `_SHOWN` pixels, and its boxes in these pixels."""
    image = load_image(record)
    scale = min(1.0, _SHOWN / max(image.shape[:2]))
    if scale == 1:
        return image, record
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, record.with_boxes(_scaled(box, scale) for box in record.boxes)


def _scaled(box: Box, scale: float) -> Box:
    x0, y0, x1, y1 = (value * scale for value in box.xyxy)
    return replace(
        box,
        xyxy=(x0, y0, x1, y1),
        polygons=tuple((polygon * scale).astype(np.float32) for polygon in box.polygons),
    )


def crop_around(record: ImageRecord, box: Box, room: float = 2.2) -> tuple[Image, Box]:
    """A square around a box, `room` times as large, and the box within it."""
    image = load_image(record)
    side = max(room * max(box.width, box.height), 24.0)
    scale = _CROP / side
    x, y = (box.xyxy[0] + box.xyxy[2]) / 2, (box.xyxy[1] + box.xyxy[3]) / 2
    left, top = x - side / 2, y - side / 2
    shift = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    crop = cv2.warpAffine(
        image,
        shift,
        (_CROP, _CROP),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(128, 128, 128),
    )
    x0, y0, x1, y1 = box.xyxy
    moved = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
    return np.asarray(crop, np.uint8), replace(box, xyxy=moved, polygons=())


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly over all."""
    picked = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[index] for index in picked]
