"""Anchors that suit the objects of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.metrics.polygons import box_overlaps

Sides = NDArray[np.float64]
"""Widths and heights, ``[n, 2]``, in the network's pixels."""

SMALLEST = 6.0
"""Root of the smallest anchor's area: no map has places close enough for less."""


@dataclass(frozen=True)
class Anchors:
    """Sizes (roots of areas) by level, and shapes (heights by widths), the same at each level."""

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]


def anchors_from(
    sides: Sides, usual: Sequence[Sequence[float]], scales: Sequence[float]
) -> Anchors:
    """Spread the anchors evenly, by ratio, over the sizes and shapes that there are.

    Args:
        sides: of the boxes to train on.
        usual: the model's own sizes; there will be as many, on as many levels. Levels that have
            the same sizes get the same ones again. None becomes smaller than half its usual size:
            there would be gaps between the places of a coarse map.
        scales: by which boxes are scaled in training.

    Raises:
        ValueError: there are no boxes.
    """
    if not len(sides):
        raise ValueError("no boxes to derive anchors from")
    roots = np.log(np.sqrt(sides.prod(1)))
    low, high = np.quantile(roots, [0.02, 0.98])
    low, high = low + np.log(min(scales)), high + np.log(max(scales))
    repeated = len(set(map(tuple, usual))) == 1 and len(usual) > 1
    count = len(usual[0]) if repeated else sum(map(len, usual))
    # in the middle of equal parts of the range, so that none lies at its very end
    steps = low + (high - low) * (np.arange(count) + 0.5) / count
    sizes = np.maximum(np.round(np.exp(steps), 1), SMALLEST).tolist()
    if repeated:
        levels = (tuple(sizes),) * len(usual)
    else:
        ends = np.cumsum([len(level) for level in usual]).tolist()
        levels = tuple(
            tuple(
                max(own, size / 2) for own, size in zip(sizes[end - len(u) : end], u, strict=True)
            )
            for end, u in zip(ends, usual, strict=True)
        )
    shapes = np.exp(np.quantile(np.log(sides[:, 1] / sides[:, 0]), [0.1, 0.5, 0.9]))
    return Anchors(levels, tuple(np.round(np.clip(shapes, 0.2, 5.0), 2).tolist()))


def best_overlap(sides: Sides, anchors: Anchors) -> NDArray[np.float64]:
    """IoU of each box with the anchor that suits it best, if both had one middle, ``[n]``."""
    sizes = np.array(sorted({size for level in anchors.sizes for size in level}))
    stretch = np.sqrt(np.array(anchors.ratios))
    widths = (sizes[:, None] / stretch).ravel()
    heights = (sizes[:, None] * stretch).ravel()
    shapes = np.stack([widths, heights], 1)
    centred = [np.concatenate([-half, half], 1) for half in (sides / 2, shapes / 2)]
    return box_overlaps(*centred).iou.max(1)
