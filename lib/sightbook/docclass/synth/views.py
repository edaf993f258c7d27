"""Views: what a phone's photo makes of a template, rendered on the fly for training and tests.

A view is a square picture of 128 pixels, as the network gets it: a frame is laid around the
document as a hand, a detector or a camera would lay it, and squeezed to a square. Document, camera
and light are drawn from one ``numpy`` generator, so a view is a function of its seed.

Thousands of views are rendered a second: everything stays in bytes inside OpenCV, and what is
costly to draw (backgrounds, fields of light, reflections) comes from banks that are drawn once in a
process from a fixed seed. Grey-scale, inversion and exchanged channels are left out on purpose:
where two types differ in colour alone, these would erase what tells them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.synth.backgrounds import (
    background_bank,
    corner_masks,
    glare_bank,
    light_bank,
    occlude,
)
from sightbook.synth import degrade

if TYPE_CHECKING:
    from sightbook.docclass.store import Store

Image = NDArray[np.uint8]

VIEW_SIDE = 128
"""Side of a view in pixels: the network's input."""


@dataclass(frozen=True)
class ViewSettings:
    """How far a view may be from its template; every amount is a maximum, 0 switches it off.

    Attributes:
        turn: turn in the picture's plane, degrees either way; a few views turn twice as far.
        tilt: of the document against the camera, degrees about both axes.
        margin: background around the document, as a share of its extent.
        crop: share of the document's extent that may be lost at each of two sides.
        light: change of brightness: gains within ``2 ** -light .. 2 ** light``.
        contrast: tone curve: contrast within ``1 +- contrast``, gamma likewise.
        cast: white balance, channel gains within ``1 +- cast``.
        saturation: within ``1 - saturation .. 1 + saturation / 2``.
        shade: chance of a shadow or uneven light.
        glare: chance of a reflection.
        blur: standard deviation in pixels; defocus and camera shake in proportion.
        noise: standard deviation in grey levels.
        shrink: low resolution: how many times fewer pixels a side.
        jpeg: chance of a visible JPEG compression.
        occlusion: chance of a hand or clutter over the document's border.
    """

    turn: float = 0.0
    tilt: float = 0.0
    margin: float = 0.0
    crop: float = 0.0
    light: float = 0.0
    contrast: float = 0.0
    cast: float = 0.0
    saturation: float = 0.0
    shade: float = 0.0
    glare: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    shrink: float = 1.0
    jpeg: float = 0.0
    occlusion: float = 0.0


LEVELS: Mapping[str, ViewSettings] = MappingProxyType(
    {
        "easy": ViewSettings(
            turn=2, tilt=8, margin=0.03, crop=0.01, light=0.2, contrast=0.1, cast=0.05,
            saturation=0.15, shade=0.3, glare=0.05, blur=0.6, noise=4, shrink=1.4, jpeg=0.3,
        ),
        "medium": ViewSettings(
            turn=4, tilt=14, margin=0.06, crop=0.03, light=0.4, contrast=0.2, cast=0.1,
            saturation=0.25, shade=0.5, glare=0.12, blur=1.0, noise=8, shrink=1.9, jpeg=0.4,
            occlusion=0.1,
        ),
        "hard": ViewSettings(
            turn=8, tilt=22, margin=0.12, crop=0.07, light=0.7, contrast=0.3, cast=0.18,
            saturation=0.4, shade=0.65, glare=0.25, blur=1.7, noise=14, shrink=2.5, jpeg=0.5,
            occlusion=0.3,
        ),
        "wild": ViewSettings(
            turn=24, tilt=40, margin=0.4, crop=0.25, light=1.0, contrast=0.35, cast=0.22,
            saturation=0.5, shade=0.75, glare=0.35, blur=3.0, noise=24, shrink=4.0, jpeg=0.5,
            occlusion=0.4,
        ),
    }
)  # fmt: skip
"""Levels of difficulty: up to `hard` somebody has cut the document out roughly, in `wild` views it
may lie anywhere in a careless photo."""

MIXTURE: Mapping[str, float] = MappingProxyType(
    {"easy": 0.1, "medium": 0.25, "hard": 0.4, "wild": 0.25}
)
"""Level `mixed`, which training renders: how often each of the others is drawn."""

BEGINNING: Mapping[str, float] = MappingProxyType(
    {"easy": 0.4, "medium": 0.6, "hard": 0.0, "wild": 0.0}
)
"""Where training's curriculum starts: thrown in at `mixed`, a network learns nothing for long."""

FACTORS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "turn": (0, 10, 20, 30, 45, 60),
        "tilt": (0, 15, 30, 40, 50, 60),
        "crop": (0, 0.1, 0.2, 0.3, 0.4, 0.5),
        "margin": (0, 0.2, 0.4, 0.7, 1.0, 1.5),
        "light": (0.15, 0.3, 0.6, 1.0, 1.6, 2.4),
        "blur": (0, 1, 2, 3, 4, 6),
        "noise": (0, 10, 20, 35, 55, 80),
        "low resolution": (1, 2, 3, 4, 6, 8),
        "occlusion": (0, 0.1, 0.2, 0.3, 0.4, 0.5),
        "moire": (0, 0.1, 0.2, 0.35, 0.5, 0.8),
    }
)
"""Amounts of one factor alone, for robustness curves: `turn` and `tilt` in degrees, `crop` the
share of the width and height that is lost, `margin` the background's share of the extent on each
side, `light` a gain, `blur` the standard deviation in pixels, `noise` in grey levels, `low
resolution` how many times fewer pixels a side, `occlusion` the share of the area that is covered,
`moire` the contrast of a pattern that no view of training has."""


def render_view(
    template: Image,
    aspect: float,
    rng: np.random.Generator,
    settings: ViewSettings | str = "hard",
    size: int = VIEW_SIDE,
) -> Image:
    """Render one view of a template.

    Args:
        template: uint8 RGB ``[S, S, 3]``, the template stretched to a square.
        aspect: its true width over height.
        rng: the only source of chance.
        settings: how far from the template, or the name of a level, or ``mixed``.
        size: side of the view in pixels.

    Returns:
        uint8 RGB ``[size, size, 3]``.
    """
    if settings == "mixed":
        settings = mixed_level(rng)
    s = LEVELS[settings] if isinstance(settings, str) else settings
    quad = _pose(aspect, rng, s)
    quad = _framed(quad, rng, s)
    view = _on_background(template, quad * size, rng, size)
    if s.occlusion and rng.random() < s.occlusion:
        occlude(view, rng, rng.uniform(0.03, 0.22))
    view = _lit(view, rng, s)
    return _through_a_camera(view, rng, s)


def mixed_level(rng: np.random.Generator, progress: float = 1.0) -> str:
    """Draw a level: from `BEGINNING` at progress 0, from `MIXTURE` at 1, in proportion between."""
    chances = [(1 - progress) * BEGINNING[name] + progress * MIXTURE[name] for name in MIXTURE]
    return str(rng.choice(list(MIXTURE), p=chances))


def render_factor(
    template: Image,
    aspect: float,
    rng: np.random.Generator,
    factor: str,
    amount: float,
    size: int = VIEW_SIDE,
) -> Image:
    """Render a view that differs from its template in one factor of `FACTORS` by a given amount.

    Raises:
        KeyError: no such factor.
    """
    quad = np.array([[0, 0], [aspect, 0], [aspect, 1], [0, 1]], np.float64)
    sign = 1 if rng.random() < 0.5 else -1
    if factor == "turn":
        quad = _projected(aspect, sign * amount, 0, 0)
    elif factor == "tilt":
        direction = rng.uniform(0, 2 * math.pi)
        quad = _projected(aspect, 0, amount * math.cos(direction), amount * math.sin(direction))
    quad = _to_unit(quad)
    if factor == "crop":
        corner = rng.integers(0, 2, 2)
        quad = (quad - corner * amount) / (1 - amount)
    elif factor == "margin":
        quad = (quad + amount) / (1 + 2 * amount)
    view = _on_background(template, quad * size, rng, size)
    if factor == "light":
        view = _bytes(cv2.convertScaleAbs(view, alpha=amount))
    elif factor == "blur":
        view = degrade.gaussian_blur(view, amount)
    elif factor == "noise":
        view = degrade.noise(view, rng, amount)
    elif factor == "low resolution":
        view = degrade.downscale(view, amount)
    elif factor == "occlusion":
        occlude(view, rng, amount)
    elif factor == "moire":
        view = _moire(view, rng, amount)
    elif factor not in FACTORS:
        raise KeyError(f"factor {factor!r}: there are {', '.join(FACTORS)}")
    return view


def views_of(
    store: Store, per_class: int, level: str | ViewSettings, seed: int, size: int = VIEW_SIDE
) -> tuple[Image, NDArray[np.int64]]:
    """Render the same number of views of every class.

    View j of class c depends on the seed, the class's name and j alone, so a class looks the same
    whatever other classes stand beside it.

    Returns:
        Views uint8 ``[n, size, size, 3]``, and labels int64 ``[n]``: indices into `store.names`.
    """
    views = np.empty((len(store.names) * per_class, size, size, 3), np.uint8)
    labels = np.repeat(np.arange(len(store.names)), per_class)
    members = store.members()
    for row, label in enumerate(labels):
        rng = np.random.default_rng([seed, *store.names[label].encode(), row % per_class])
        image = members[label][row % per_class % len(members[label])]
        views[row] = render_view(store.pixels[image], float(store.aspects[image]), rng, level, size)
    return views, labels


def plain_pixels(images: Image) -> NDArray[np.float32]:
    """The floor that a trained network must beat: 16x16 pixels, centred, L2-normalised.

    Args:
        images: uint8 ``[n, H, W, 3]``.

    Returns:
        float32 ``[n, 768]``.
    """
    rows = np.stack([cv2.resize(i, (16, 16), interpolation=cv2.INTER_AREA) for i in images])
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(norms, 1e-6), np.float32)


# --- where the document lies --------------------------------------------------------------------


def _pose(aspect: float, rng: np.random.Generator, s: ViewSettings) -> NDArray[np.float64]:
    """Corners of the document as a camera sees them, in any unit."""
    turn = rng.uniform(-s.turn, s.turn) * (2 if rng.random() < 0.1 else 1)
    # A cone rather than a square of tilts: both axes at their limit would be twice as oblique.
    amount, direction = s.tilt * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    return _projected(
        aspect,
        turn,
        amount * math.cos(direction),
        amount * math.sin(direction),
        rng.uniform(1.4, 3),
    )


def _projected(
    aspect: float, turn: float, tilt_x: float, tilt_y: float, distance: float = 2.0
) -> NDArray[np.float64]:
    """Corners TL, TR, BR, BL of a tilted and turned document through a pinhole, ``[4, 2]``.

    Args:
        aspect: width over height of the document.
        turn: about the optical axis, degrees.
        tilt_x: about the horizontal axis, degrees.
        tilt_y: about the vertical axis, degrees.
        distance: of the camera, in diagonals of the document.
    """
    half = np.array([aspect, 1.0]) / math.hypot(aspect, 1.0) / 2
    corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    a, b, c = (math.radians(v) for v in (turn, tilt_x, tilt_y))
    turned = corners @ np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    xs, ys = turned[:, 0] * math.cos(c), turned[:, 1] * math.cos(b)
    depth = distance + turned[:, 0] * math.sin(c) + turned[:, 1] * math.sin(b)
    return np.stack([xs, ys], axis=1) / depth[:, None]


def _to_unit(quad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a quadrilateral so that its extent is the unit square."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    return (quad - low) / (high - low)


def _framed(
    quad: NDArray[np.float64], rng: np.random.Generator, s: ViewSettings
) -> NDArray[np.float64]:
    """Corners in a frame of unit size: with margins, cut off, or in a photo of usual shape."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    extent = high - low
    # Left, top, right, bottom: positive is background, negative is lost.
    sides = rng.uniform(0, 1, 4) ** 1.5 * s.margin
    if s.crop and rng.random() < 0.4:
        cut = rng.permutation(4)[: int(rng.integers(1, 3))]
        sides[cut] = -rng.uniform(0, s.crop, len(cut))
    start, stop = low - sides[:2] * extent, high + sides[2:] * extent
    if s.margin >= 0.1 and rng.random() < 0.3:
        # An uncropped photo: 4:3 or 3:4, so the shorter way gets more background.
        shape = 4 / 3 if rng.random() < 0.6 else 3 / 4
        width, height = stop - start
        wanted = np.array([max(width, height * shape), max(height, width / shape)])
        limit = np.minimum(wanted, (stop - start) * (1 + 2 * s.margin))
        middle = (start + stop) / 2 + (limit - (stop - start)) * rng.uniform(-0.4, 0.4, 2)
        start, stop = middle - limit / 2, middle + limit / 2
    return (quad - start) / (stop - start)


def _on_background(
    template: Image, quad: NDArray[np.float64], rng: np.random.Generator, size: int
) -> Image:
    """Lay a template with its corners at `quad` (pixels) on some background."""
    side = template.shape[0]
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad.astype(np.float32))
    left, right = quad[[0, 3], 0].max(), quad[[1, 2], 0].min()
    top, bottom = quad[[0, 1], 1].max(), quad[[2, 3], 1].min()
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    document = cv2.warpPerspective(template, matrix, (size, size), None, flags, border)
    if left <= 0 and top <= 0 and right >= size and bottom >= size:
        return _bytes(document)
    masks = corner_masks(side)
    mask = masks[int(rng.integers(len(masks)))]
    inside = cv2.warpPerspective(mask, matrix, (size, size), flags=cv2.INTER_NEAREST)
    bank = background_bank(size)
    view = bank[int(rng.integers(len(bank)))]
    view = view[:: 1 if rng.random() < 0.5 else -1, :: 1 if rng.random() < 0.5 else -1]
    return _bytes(cv2.copyTo(document, inside, view.copy()))


# --- light and camera ---------------------------------------------------------------------------


def _lit(view: Image, rng: np.random.Generator, s: ViewSettings) -> Image:
    """Shadow, reflections, brightness, tones and colour."""
    if s.shade and rng.random() < s.shade:
        bank = light_bank(view.shape[0])
        view = _bytes(cv2.multiply(view, bank[int(rng.integers(len(bank)))], scale=1 / 128))
    if s.glare and rng.random() < s.glare:
        bank = glare_bank(view.shape[0])
        view = _bytes(cv2.add(view, bank[int(rng.integers(len(bank)))]))
    if s.saturation:
        amount = rng.uniform(1 - s.saturation, 1 + s.saturation / 2)
        grey = (1 - amount) * np.array([0.299, 0.587, 0.114])
        view = _bytes(cv2.transform(view, amount * np.eye(3) + grey[None, :]))
    if s.light or s.contrast or s.cast:
        view = _bytes(cv2.LUT(view, _tones(rng, s)))
    return view


def _tones(rng: np.random.Generator, s: ViewSettings) -> Image:
    """Brightness, contrast, gamma and white balance in one table, uint8 ``[1, 256, 3]``."""
    gain = 2 ** rng.uniform(-s.light, s.light * 0.6)  # rather too dark than burnt out
    slope = 1 + rng.uniform(-s.contrast, s.contrast * 0.7)
    exponent = 2 ** rng.uniform(-s.contrast, s.contrast)
    # Lamps differ along blue-orange much more than along green-magenta.
    warmth, green = rng.uniform(-s.cast, s.cast), rng.uniform(-s.cast, s.cast) / 3
    levels = (np.arange(256) / 255) ** exponent * 255
    levels = (slope * (levels - 128) + 128) * gain
    table = levels[:, None] * np.array([1 + warmth, 1 + green, 1 - warmth])
    return np.clip(table, 0, 255).astype(np.uint8)[None]


def _through_a_camera(view: Image, rng: np.random.Generator, s: ViewSettings) -> Image:
    """Blur, low resolution, noise and compression, in the order in which a camera does them."""
    size = view.shape[0]
    if s.blur and rng.random() < 0.6:
        amount = s.blur * rng.random()
        kind = rng.random()
        if kind < 0.5:
            view = degrade.gaussian_blur(view, amount)
        elif amount > 0.3:
            kernel = _shake(round(2.4 * amount * 2) / 2, int(rng.integers(12)))
            view = _bytes(cv2.filter2D(view, -1, kernel, borderType=cv2.BORDER_REFLECT_101))
    small = size
    if s.shrink > 1 and rng.random() < 0.5:
        small = max(8, round(size / s.shrink ** rng.random()))
        view = _bytes(cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA))
    if s.noise and rng.random() < 0.6:
        view = degrade.noise(view, rng, s.noise * rng.random() ** 1.5)
    if s.jpeg and rng.random() < s.jpeg:
        view = degrade.jpeg(view, int(rng.integers(20, 85)))
    if small != size:
        view = _bytes(cv2.resize(view, (size, size), interpolation=cv2.INTER_LINEAR))
    return view


@cache
def _shake(length: float, direction: int) -> NDArray[np.float32]:
    """Kernel of a straight movement of `length` pixels in one of 12 directions."""
    half = math.ceil(length / 2)
    image = np.zeros((2 * half + 1, 2 * half + 1, 3), np.uint8)
    image[half, half] = 255
    spread = degrade.motion_blur(image, max(length, 1.01), direction * 15.0)[..., 0]
    kernel = spread.astype(np.float32)
    return kernel / kernel.sum()


def _moire(view: Image, rng: np.random.Generator, amount: float) -> Image:
    """Interference of a screen's and a camera's grid, in colour, of the given contrast."""
    size = view.shape[0]
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    gains = []
    for _ in range(3):
        angle, period = rng.uniform(0, math.pi), rng.uniform(3, 9)
        bend = 6 * np.sin(2 * math.pi * (xs + ys) / rng.uniform(60, 160))
        wave = np.sin(2 * math.pi * (xs * math.cos(angle) + ys * math.sin(angle) + bend) / period)
        gains.append(1 + amount * wave)
    return np.clip(view * np.stack(gains, axis=-1), 0, 255).astype(np.uint8)


def _bytes(array: object) -> Image:
    """Say to the type checker what OpenCV's stubs leave open."""
    return np.asarray(array, np.uint8)
