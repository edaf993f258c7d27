"""What surrounds a document in a view: backgrounds, light, reflections, hands and clutter.

Everything that is slow to draw is drawn once in a process, from a fixed seed, and reused: views
differ in what they combine.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.synth import degrade
from sightbook.synth.backgrounds import small_background
from sightbook.synth.fingers import draw_flat_finger

Image = NDArray[np.uint8]

_SEED = 0xD0C
_BACKGROUNDS = 192
_FIELDS = 96


@cache
def background_bank(size: int) -> Image:
    """Tables, cloth, paper, floors, desks with things on them; uint8 ``[192, size, size, 3]``."""
    rng = np.random.default_rng([_SEED, 1])
    return np.stack([small_background(rng, size) for _ in range(_BACKGROUNDS)])


@cache
def light_bank(size: int) -> Image:
    """Gains of shadow and uneven light, 128 stands for 1; uint8 ``[96, size, size, 3]``."""
    rng = np.random.default_rng([_SEED, 2])
    flat = np.full((size, size, 3), 128, np.uint8)
    fields = []
    for index in range(_FIELDS):
        field = flat
        if index % 3 != 0:
            field = degrade.uneven_light(field, rng, rng.uniform(0.2, 0.9))
        if index % 3 != 1:
            field = degrade.cast_shadow(field, rng, rng.uniform(0.3, 0.75))
        fields.append(field)
    return np.stack(fields)


@cache
def glare_bank(size: int) -> Image:
    """Light added by reflections; uint8 ``[96, size, size, 3]``."""
    rng = np.random.default_rng([_SEED, 3])
    black = np.zeros((size, size, 3), np.uint8)
    return np.stack([degrade.glare(black, rng, rng.uniform(0.25, 1.0)) for _ in range(_FIELDS)])


@cache
def corner_masks(side: int) -> Image:
    """Sheets with sharp and with rounded corners; uint8 ``[4, side, side]``, 255 inside."""
    masks = []
    for radius in (0.0, 0.0, 0.04, 0.08):
        mask = np.zeros((side, side), np.uint8)
        r = round(radius * side)
        cv2.rectangle(mask, (r, 0), (side - 1 - r, side - 1), 255, -1)
        cv2.rectangle(mask, (0, r), (side - 1, side - 1 - r), 255, -1)
        for x in (r, side - 1 - r):
            for y in (r, side - 1 - r):
                cv2.circle(mask, (x, y), r, 255, -1)
        masks.append(mask)
    return np.stack(masks)


def occlude(view: Image, rng: np.random.Generator, share: float) -> None:
    """Cover about `share` of the area from the border inwards, in place: fingers or clutter."""
    if share <= 0:
        return
    size = view.shape[0]
    kind = rng.random()
    if kind < 0.5:
        _fingers(view, rng, share * size * size)
    elif kind < 0.8:
        _sheet(view, rng, share, size)
    else:
        _thing(view, rng, share * size * size)


def _fingers(view: Image, rng: np.random.Generator, area: float) -> None:
    size = view.shape[0]
    skin = np.array([235, 195, 165]) * rng.uniform(0.3, 1.05) * rng.uniform(0.93, 1.07, 3)
    count = int(rng.integers(1, 4))
    thickness = max(4, int(size * rng.uniform(0.1, 0.2)))
    length = area / count / thickness
    side, along = int(rng.integers(4)), rng.uniform(0.1, 0.7)
    for index in range(count):
        at = (along + index * 1.15 * thickness / size) * size
        reach = length * rng.uniform(0.8, 1.2)
        lean = rng.uniform(-0.25, 0.25) * reach
        a, b = (at, -thickness), (at + lean, reach - thickness / 2)
        start, end = _on_side(a, side, size), _on_side(b, side, size)
        shade = rng.uniform(0.88, 1.0)
        color = tuple(float(v) for v in np.clip(skin * shade, 0, 255))
        draw_flat_finger(view, end, start, thickness, color)


def _on_side(point: tuple[float, float], side: int, size: int) -> tuple[int, int]:
    along, inwards = point
    x, y = [(along, inwards), (size - inwards, along), (along, size - inwards), (inwards, along)][
        side
    ]
    return round(x), round(y)


def _sheet(view: Image, rng: np.random.Generator, share: float, size: int) -> None:
    """Another piece of paper or card that lies over one side."""
    side, slope = int(rng.integers(4)), rng.uniform(-0.25, 0.25) * size
    depth = share * size
    corners = [(-1, -1), (size + 1, -1), (size + 1, depth - slope), (-1, depth + slope)]
    points = np.array([_on_side(p, side, size) for p in corners], np.int32)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, points, 255)
    bank = background_bank(size)
    cv2.copyTo(bank[int(rng.integers(len(bank)))], mask, view)


def _thing(view: Image, rng: np.random.Generator, area: float) -> None:
    """A coin, a pen, a cup at the border."""
    size = view.shape[0]
    longer = rng.uniform(1.0, 4.0)
    radius = math.sqrt(area / math.pi / longer) * 1.2
    center = _on_side(
        (rng.uniform(0, size), radius * rng.uniform(-0.3, 0.6)), int(rng.integers(4)), size
    )
    axes = (max(1, round(radius * longer)), max(1, round(radius)))
    color = tuple(float(v) for v in rng.uniform(10, 245, 3))
    angle = rng.uniform(0, 180)
    cv2.ellipse(view, center, axes, angle, 0, 360, color, -1, cv2.LINE_AA)
    edge = tuple(0.6 * v for v in color)
    cv2.ellipse(view, center, axes, angle, 0, 360, edge, 1, cv2.LINE_AA)
