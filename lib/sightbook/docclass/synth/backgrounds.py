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

Image = NDArray[np.uint8]

_SEED = 0xD0C
_BACKGROUNDS = 192
_FIELDS = 96


@cache
def background_bank(size: int) -> Image:
    """Tables, cloth, paper, floors, desks with things on them; uint8 ``[192, size, size, 3]``."""
    rng = np.random.default_rng([_SEED, 1])
    return np.stack([_background(rng, size) for _ in range(_BACKGROUNDS)])


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
        dark = tuple(0.7 * v for v in color)
        cv2.line(view, start, end, dark, thickness + 2, cv2.LINE_AA)
        cv2.line(view, start, end, color, thickness, cv2.LINE_AA)


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


# --- backgrounds --------------------------------------------------------------------------------


def _background(rng: np.random.Generator, size: int) -> Image:
    kind = rng.random()
    base = _surface_colour(rng)
    if kind < 0.2:
        ground = np.full((size, size, 3), base, np.float32)
    elif kind < 0.45:
        ground = _grain(rng, size, base)
    elif kind < 0.65:
        ground = _cloudy(rng, size, base)
    elif kind < 0.8:
        ground = _woven(rng, size, base)
    else:
        ground = _tiles(rng, size, base)
    picture = np.clip(ground, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.5 else 0):
        _litter(picture, rng)
    picture = degrade.uneven_light(picture, rng, rng.uniform(0, 0.6))
    if rng.random() < 0.5:
        picture = degrade.gaussian_blur(picture, rng.uniform(0, 2.5))
    return degrade.noise(picture, rng, rng.uniform(0, 8))


def _surface_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    kind = rng.random()
    if kind < 0.3:  # wood and skin-like browns
        return np.array([165, 120, 80]) * rng.uniform(0.4, 1.4) + rng.uniform(-12, 12, 3)
    if kind < 0.7:  # greys from black to white
        return rng.uniform(10, 250) + rng.uniform(-8, 8, 3)
    return rng.uniform(10, 245, 3)


def _grain(rng: np.random.Generator, size: int, base: NDArray[np.float64]) -> NDArray[np.float32]:
    """Wood: long fibres, gently bent."""
    rows = rng.standard_normal((size, 3)).astype(np.float32)
    fibres = cv2.resize(rows, (size, size), interpolation=cv2.INTER_CUBIC)
    fibres = cv2.GaussianBlur(fibres, (0, 0), rng.uniform(0.5, 3))
    fibres = fibres / (fibres.std() + 1e-6)
    if rng.random() < 0.5:
        fibres = np.ascontiguousarray(fibres.T)
    return base.astype(np.float32) * (1 + rng.uniform(0.03, 0.16) * fibres[..., None])


def _cloudy(rng: np.random.Generator, size: int, base: NDArray[np.float64]) -> NDArray[np.float32]:
    """Stone, leather, carpet: noise at two scales."""
    coarse = rng.standard_normal((rng.integers(3, 14),) * 2).astype(np.float32)
    fine = rng.standard_normal((size // 2, size // 2)).astype(np.float32)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    field = field + rng.uniform(0.1, 0.8) * cv2.resize(fine, (size, size))
    return base.astype(np.float32) * (1 + rng.uniform(0.05, 0.3) * field[..., None])


def _woven(rng: np.random.Generator, size: int, base: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cloth and patterns: waves in two directions."""
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, period = rng.uniform(0, math.pi), rng.uniform(3, 30)
    u = xs * math.cos(angle) + ys * math.sin(angle)
    v = ys * math.cos(angle) - xs * math.sin(angle)
    wave = np.sin(2 * math.pi * u / period) * np.sin(
        2 * math.pi * v / (period * rng.uniform(0.5, 2))
    )
    if rng.random() < 0.4:
        wave = np.sign(wave)
    other = _surface_colour(rng)
    share = (0.5 + 0.5 * wave[..., None]) * rng.uniform(0.1, 1.0)
    return (base * (1 - share) + other * share).astype(np.float32)


def _tiles(rng: np.random.Generator, size: int, base: NDArray[np.float64]) -> NDArray[np.float32]:
    """Edges of tables, keyboards, books: large areas of other colours with straight borders."""
    picture = np.full((size, size, 3), base, np.float32)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0, size, 2)
        w, h = rng.uniform(0.2, 1.2, 2) * size
        box = cv2.boxPoints(((float(x), float(y)), (float(w), float(h)), float(rng.uniform(0, 90))))
        color = tuple(float(v) for v in _surface_colour(rng))
        cv2.fillConvexPoly(picture, box.astype(np.int32), color, cv2.LINE_AA)
    return picture


def _litter(picture: Image, rng: np.random.Generator) -> None:
    """Print, keys and pens on the table."""
    size = picture.shape[0]
    color = tuple(float(v) for v in rng.uniform(0, 255, 3))
    x, y = (int(v) for v in rng.integers(0, size, 2))
    kind = rng.random()
    if kind < 0.4:
        text = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ0123456789 "), 9))
        scale = rng.uniform(0.3, 1.2)
        cv2.putText(
            picture, text, (x - 30, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA
        )
    elif kind < 0.7:
        cv2.circle(picture, (x, y), int(rng.integers(3, size // 4)), color, -1, cv2.LINE_AA)
    else:
        end = (int(x + rng.integers(-size, size)), int(y + rng.integers(-size, size)))
        cv2.line(picture, (x, y), end, color, int(rng.integers(1, 9)), cv2.LINE_AA)
