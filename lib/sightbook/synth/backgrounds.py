"""What things lie on in generated photographs: wood, cloth, soil, stone, carpet, plain tops.

Three painters, each fit for its use: :func:`desk` cuts and colours sheets that are kept per process
(large pictures, many of them), :func:`small_background` draws squares of about a hundred pixels,
and :func:`draw_background` draws a ground anew for every photograph. They share what their textures
are made of: smooth noise, weaves, tones.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.synth import degrade
from sightbook.synth.lettering import Colour

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Tone = NDArray[np.float64]

# --- what textures are made of ------------------------------------------------------------------


def grain(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Noise of unit deviation, independent from pixel to pixel, float32 ``[rows, columns]``."""
    return rng.standard_normal(shape).astype(np.float32)


def smooth_noise(rng: np.random.Generator, grid: tuple[int, int], shape: tuple[int, int]) -> Field:
    """A small grid of noise enlarged: float32 ``[rows, columns]``.

    Args:
        rng: the only source of chance.
        grid: rows and columns of blobs; few columns and many rows make streaks.
        shape: rows and columns in pixels.
    """
    enlarged = cv2.resize(grain(rng, grid), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.float32)


def clouds(
    rng: np.random.Generator, shape: tuple[int, int], cells: float, octaves: int = 3
) -> Field:
    """Smooth noise of about unit deviation, its coarsest blobs `cells` to the longer side."""
    rows, columns = shape
    longest = max(shape)
    total = np.zeros(shape, np.float32)
    norm = 0.0
    for octave in range(octaves):
        count = cells * 2**octave
        if count > longest / 1.5:
            break
        grid = (math.ceil(count * rows / longest) + 2, math.ceil(count * columns / longest) + 2)
        weight = 0.6**octave
        total += weight * smooth_noise(rng, grid, shape)
        norm += weight**2
    return total / np.float32(math.sqrt(norm) * 0.75 if norm else 1.0)


def weave(x: Field, y: Field, pitch_x: float, pitch_y: float) -> Field:
    """Threads that cross: waves of -1 to 1 along coordinates, of these pitches in pixels."""
    woven: Field = np.sin(2 * np.pi * x / pitch_x) * np.sin(2 * np.pi * y / pitch_y)
    return woven


def random_tone(rng: np.random.Generator, darkest: float) -> Tone:
    """A colour, mostly a faint one, float64 RGB ``[3]``, whose value is `darkest` to 245."""
    hue = [rng.uniform(0, 180), 150 * rng.random() ** 2, rng.uniform(darkest, 245)]
    hsv = np.array([[hue]]).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def between(share: NDArray[np.floating], low: Tone, high: Tone) -> Image:
    """Colours between two, uint8 ``[..., 3]``, by shares of the second, ``[...]``, 0 to 1."""
    return np.clip(low + (high - low) * share[..., None], 0, 255).astype(np.uint8)


# --- desks: kept sheets, coloured anew ----------------------------------------------------------

DESKS = 30
"""Different sheets."""

_ROWS, _COLUMNS = 480, 640
_SHEET = (_ROWS, _COLUMNS)

_DESK_WOODS: list[tuple[Colour, Colour]] = [
    ((70, 44, 26), (150, 104, 66)), ((120, 84, 50), (206, 166, 118)), ((40, 28, 22), (92, 66, 50)),
    ((168, 134, 94), (232, 206, 168)), ((96, 52, 34), (166, 98, 66)),
]  # fmt: skip


def _fractal(rng: np.random.Generator, octaves: int, first: int = 3) -> Field:
    total = np.zeros(_SHEET, np.float32)
    for octave in range(octaves):
        cells = first * 2**octave
        total += smooth_noise(rng, (cells, cells * 4 // 3), _SHEET) * 0.6**octave
    return total


def _desk_wood(rng: np.random.Generator) -> Field:
    y = np.arange(_ROWS, dtype=np.float32)[:, None]
    bend = smooth_noise(rng, (3, 3), _SHEET) * rng.uniform(4, 26)
    rings = np.sin((y + bend) / rng.uniform(5, 22) + 0.6 * smooth_noise(rng, (20, 2), _SHEET))
    fibre = cv2.GaussianBlur(grain(rng, _SHEET), (0, 0), 14, sigmaY=0.6)
    field = 0.5 * rings + 4 * fibre + 0.4 * smooth_noise(rng, (6, 2), _SHEET)
    if rng.random() < 0.4:  # boards
        seam = (y % int(rng.integers(90, 200))) < 2
        field = np.where(seam, field.min(), field).astype(np.float32)
    return field.astype(np.float32)


def _desk_cloth(rng: np.random.Generator) -> Field:
    y, x = np.mgrid[0:_ROWS, 0:_COLUMNS].astype(np.float32)
    pitch = rng.uniform(3.5, 9)
    threads = weave(x, y, pitch, pitch)
    slope = (x * rng.uniform(-1, 1) + y) / rng.uniform(40, 120)
    folds = np.sin(slope + smooth_noise(rng, (3, 3), _SHEET))
    field = 0.6 * threads + rng.uniform(0.2, 1.2) * folds + 0.3 * _fractal(rng, 3)
    woven: Field = field.astype(np.float32)
    if rng.random() < 0.5:  # checks or stripes
        wide = rng.uniform(20, 90)
        woven += np.float32(rng.uniform(0.5, 2)) * (np.sin(2 * np.pi * x / wide) > 0)
        if rng.random() < 0.5:
            woven += np.float32(rng.uniform(0.5, 2)) * (np.sin(2 * np.pi * y / wide) > 0)
    return woven


def _desk_stone(rng: np.random.Generator) -> Field:
    field = _fractal(rng, 6)
    if rng.random() < 0.5:  # veins of marble
        field = -np.sqrt(np.abs(field))
    specks = grain(rng, _SHEET)
    return (field + rng.uniform(0, 0.8) * cv2.GaussianBlur(specks, (0, 0), 1.0)).astype(np.float32)


def _desk_carpet(rng: np.random.Generator) -> Field:
    specks = grain(rng, _SHEET)
    pile = cv2.GaussianBlur(specks, (0, 0), rng.uniform(0.8, 3))
    return (pile * 6 + smooth_noise(rng, (4, 5), _SHEET)).astype(np.float32)


def _desk_plain(rng: np.random.Generator) -> Field:
    specks = grain(rng, _SHEET)
    return (smooth_noise(rng, (2, 2), _SHEET) + 0.05 * specks).astype(np.float32)


_DESK_KINDS = (_desk_wood, _desk_plain, _desk_stone, _desk_cloth, _desk_carpet, _desk_wood)


@lru_cache(maxsize=DESKS)
def _sheet(key: int) -> Image:
    rng = np.random.default_rng([key, 0xDE5C])
    field = _DESK_KINDS[key % len(_DESK_KINDS)](rng)
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)


def desk(rng: np.random.Generator, width: int, height: int) -> Image:
    """An empty table top, as documents lie on; a sheet depends on its small integer key alone.

    Returns:
        uint8 RGB [height, width, 3].
    """
    key = int(rng.integers(DESKS))
    sheet = _sheet(key)
    zoom = rng.uniform(0.5, 1.0)
    cut_w, cut_h = int(_COLUMNS * zoom), int(_ROWS * zoom)
    x, y = int(rng.integers(_COLUMNS - cut_w + 1)), int(rng.integers(_ROWS - cut_h + 1))
    cut = sheet[y : y + cut_h, x : x + cut_w]
    if rng.random() < 0.4:
        cut = np.asarray(cv2.rotate(cut, cv2.ROTATE_90_CLOCKWISE), np.uint8)
    if _DESK_KINDS[key % len(_DESK_KINDS)] is _desk_wood and rng.random() < 0.8:
        dark, light = _DESK_WOODS[rng.integers(len(_DESK_WOODS))]
        low, high = np.array(dark, np.float64), np.array(light, np.float64)
    else:
        high = random_tone(rng, 25)
        low = high * rng.uniform(0.45, 0.95)
    table = between(np.linspace(0, 1, 256)[:, None], low, high)
    grey = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.LUT(cv2.merge([grey, grey, grey]), table), np.uint8)


# --- squares of about a hundred pixels ----------------------------------------------------------


def small_background(rng: np.random.Generator, size: int) -> Image:
    """Tables, cloth, paper, floors, desks with things on them.

    Args:
        rng: the only source of chance.
        size: side in pixels; lengths are meant for about a hundred.

    Returns:
        uint8 RGB ``[size, size, 3]``.
    """
    kind = rng.random()
    base = _surface_colour(rng)
    if kind < 0.2:
        ground = np.full((size, size, 3), base, np.float32)
    elif kind < 0.45:
        ground = _small_wood(rng, size, base)
    elif kind < 0.65:
        ground = _small_stone(rng, size, base)
    elif kind < 0.8:
        ground = _small_cloth(rng, size, base)
    else:
        ground = _tiles(rng, size, base)
    image = np.clip(ground, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.5 else 0):
        _litter(image, rng)
    image = degrade.uneven_light(image, rng, rng.uniform(0, 0.6))
    if rng.random() < 0.5:
        image = degrade.gaussian_blur(image, rng.uniform(0, 2.5))
    return degrade.noise(image, rng, rng.uniform(0, 8))


def _surface_colour(rng: np.random.Generator) -> Tone:
    kind = rng.random()
    if kind < 0.3:  # wood and skin-like browns
        return np.array([165, 120, 80]) * rng.uniform(0.4, 1.4) + rng.uniform(-12, 12, 3)
    if kind < 0.7:  # greys from black to white
        return rng.uniform(10, 250) + rng.uniform(-8, 8, 3)
    return rng.uniform(10, 245, 3)


def _small_wood(rng: np.random.Generator, size: int, base: Tone) -> Field:
    """Wood: long fibres, gently bent."""
    streaks = smooth_noise(rng, (size, 3), (size, size))
    fibres = cv2.GaussianBlur(streaks, (0, 0), rng.uniform(0.5, 3))
    fibres = fibres / (fibres.std() + 1e-6)
    if rng.random() < 0.5:
        fibres = np.ascontiguousarray(fibres.T)
    return base.astype(np.float32) * (1 + rng.uniform(0.03, 0.16) * fibres[..., None])


def _small_stone(rng: np.random.Generator, size: int, base: Tone) -> Field:
    """Stone, leather, carpet: noise at two scales."""
    cells = int(rng.integers(3, 14))
    coarse = smooth_noise(rng, (cells, cells), (size, size))
    fine = grain(rng, (size // 2, size // 2))
    field: Field = coarse + rng.uniform(0.1, 0.8) * cv2.resize(fine, (size, size))
    return base.astype(np.float32) * (1 + rng.uniform(0.05, 0.3) * field[..., None])


def _small_cloth(rng: np.random.Generator, size: int, base: Tone) -> Field:
    """Cloth and patterns: waves in two directions."""
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, period = rng.uniform(0, math.pi), rng.uniform(3, 30)
    u = xs * math.cos(angle) + ys * math.sin(angle)
    v = ys * math.cos(angle) - xs * math.sin(angle)
    wave = weave(u, v, period, period * rng.uniform(0.5, 2))
    if rng.random() < 0.4:
        wave = np.sign(wave)
    other = _surface_colour(rng)
    share = (0.5 + 0.5 * wave[..., None]) * rng.uniform(0.1, 1.0)
    return (base * (1 - share) + other * share).astype(np.float32)


def _tiles(rng: np.random.Generator, size: int, base: Tone) -> Field:
    """Edges of tables, keyboards, books: large areas of other colours with straight borders."""
    image = np.full((size, size, 3), base, np.float32)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0, size, 2)
        w, h = rng.uniform(0.2, 1.2, 2) * size
        box = cv2.boxPoints(((float(x), float(y)), (float(w), float(h)), float(rng.uniform(0, 90))))
        color = tuple(float(v) for v in _surface_colour(rng))
        cv2.fillConvexPoly(image, box.astype(np.int32), color, cv2.LINE_AA)
    return image


def _litter(image: Image, rng: np.random.Generator) -> None:
    """Print, keys and pens on the table."""
    size = image.shape[0]
    color = tuple(float(v) for v in rng.uniform(0, 255, 3))
    x, y = (int(v) for v in rng.integers(0, size, 2))
    kind = rng.random()
    if kind < 0.4:
        text = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ0123456789 "), 9))
        scale = rng.uniform(0.3, 1.2)
        cv2.putText(
            image, text, (x - 30, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA
        )
    elif kind < 0.7:
        cv2.circle(image, (x, y), int(rng.integers(3, size // 4)), color, -1, cv2.LINE_AA)
    else:
        end = (int(x + rng.integers(-size, size)), int(y + rng.integers(-size, size)))
        cv2.line(image, (x, y), end, color, int(rng.integers(1, 9)), cv2.LINE_AA)


# --- grounds drawn anew -------------------------------------------------------------------------

_GROUND_WOODS = (
    ((150, 88, 38), (226, 150, 78)), ((84, 52, 32), (158, 108, 70)), ((46, 30, 24), (98, 68, 52)),
    ((168, 132, 92), (230, 204, 166)), ((100, 52, 34), (170, 98, 64)),
)  # fmt: skip


def draw_background(rng: np.random.Generator, width: int, height: int) -> Image:
    """Something to lie on, uint8 RGB ``[height, width, 3]``."""
    small = (max(8, height // 2), max(8, width // 2))
    draw = rng.random()
    if draw < 0.3:
        image = _ground_wood(rng, small)
    elif draw < 0.5:
        image = _ground_cloth(rng, small)
    elif draw < 0.65:
        image = _ground_soil(rng, small)
    elif draw < 0.75:
        image = _ground_blocks(rng, small)
    elif draw < 0.85:
        image = _ground_mottled(rng, small, rng.uniform(60, 200), 0.14)
    else:
        image = _ground_mottled(rng, small, rng.uniform(10, 250), 0.03)
    if rng.random() < 0.25:  # the edge of the table, and what lies beyond
        other = (_ground_cloth if rng.random() < 0.5 else _ground_blocks)(rng, small)
        line = rng.uniform(0.1, 0.4) * small[0]
        slope = rng.normal(0, 0.15)
        rows, columns = np.mgrid[0 : small[0], 0 : small[1]]
        beyond = rows < line + slope * columns
        image = np.where(beyond[..., None], other, image)
    enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    lit = degrade.uneven_light(np.asarray(enlarged, np.uint8), rng, rng.uniform(0, 0.6))
    return degrade.cast_shadow(lit, rng, rng.uniform(0.2, 0.8)) if rng.random() < 0.3 else lit


def _ramp(field: Field, low: Tone, high: Tone) -> Image:
    """A field of about unit deviation as colours between two."""
    return between(np.clip(0.5 + field / 4, 0, 1), low, high)


def _two_tones(rng: np.random.Generator, contrast: float) -> tuple[Tone, Tone]:
    """A dark and a light tone of one colour."""
    high = random_tone(rng, 40)
    return high * (1 - contrast), high


def _ground_wood(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    rows, columns = shape
    y = np.arange(rows, dtype=np.float32)[:, None]
    rings = np.sin((y + rng.uniform(3, 20) * clouds(rng, shape, 3, 1)) / rng.uniform(3, 14))
    fibre = smooth_noise(rng, (rows, columns // 12 + 2), shape)
    field = rng.uniform(0.2, 0.9) * rings + 0.5 * fibre + 0.7 * clouds(rng, shape, 4, 3)
    low, high = _GROUND_WOODS[int(rng.integers(len(_GROUND_WOODS)))]
    image = _ramp(field.astype(np.float32), np.array(low, float), np.array(high, float))
    return np.rot90(image) if rng.random() < 0.4 and rows == columns else image


def _ground_cloth(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    pitch = rng.uniform(2.5, 7)
    field = 0.5 * weave(columns, rows, pitch, pitch) + rng.uniform(0.3, 1.0) * clouds(
        rng, shape, 3, 3
    )
    image = _ramp(field, *_two_tones(rng, rng.uniform(0.2, 0.7)))
    if rng.random() < 0.4:  # checks
        wide = rng.uniform(20, 90)
        checks = (np.sin(2 * np.pi * columns / wide) > 0).astype(np.float32)
        checks += np.sin(2 * np.pi * rows / wide) > 0
        other = _two_tones(rng, 0.5)[1]
        image = np.clip(image + (other - image) * checks[..., None] * 0.4, 0, 255).astype(np.uint8)
    return image


def _ground_soil(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    brown = np.array([rng.uniform(80, 170), rng.uniform(65, 130), rng.uniform(45, 100)])
    field = clouds(rng, shape, 6, 5) + 0.8 * grain(rng, shape)
    image = _ramp(field.astype(np.float32), brown * 0.35, brown * 1.35)
    for _ in range(int(rng.integers(10, 60))):  # gravel and leaves
        at = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        axes = (int(rng.integers(1, 12)), int(rng.integers(1, 7)))
        tone = np.clip(brown * rng.uniform(0.4, 1.6) + rng.normal(0, 12, 3), 0, 255).tolist()
        cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
    return image


def _ground_blocks(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Rows of dark or light blocks: keyboards, tiles, bricks."""
    low, high = _two_tones(rng, 0.4)
    if rng.random() < 0.6:
        low, high = low * 0.15 + 8, high * 0.2 + 18
    image = _ramp(clouds(rng, shape, 5, 3), low * 0.6, low)
    side = rng.uniform(0.06, 0.16) * max(shape)
    wide = side * rng.uniform(1.0, 2.2)
    gap = side * rng.uniform(0.06, 0.2)
    for row in range(int(shape[0] / side) + 1):
        shift = rng.uniform(-1, 0) * wide
        for column in range(int(shape[1] / wide) + 2):
            x0, y0 = shift + column * wide + gap, row * side + gap
            tone = np.clip(high * rng.uniform(0.85, 1.15), 0, 255).tolist()
            corner = (int(x0 + wide - 2 * gap), int(y0 + side - 2 * gap))
            cv2.rectangle(image, (int(x0), int(y0)), corner, tone, -1)
    angle = rng.normal(0, 12)
    centre = (shape[1] / 2, shape[0] / 2)
    matrix = np.array(cv2.getRotationMatrix2D(centre, angle, 1.35))
    turned = cv2.warpAffine(image, matrix, (shape[1], shape[0]), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _ground_mottled(
    rng: np.random.Generator, shape: tuple[int, int], level: float, depth: float
) -> Image:
    """Concrete, paper, paint: one tone with grain."""
    tone = np.clip(level + rng.normal(0, 0.06, 3) * level, 5, 250)
    field = clouds(rng, shape, 4, 4) + grain(rng, shape)
    return _ramp(field.astype(np.float32), tone * (1 - 2 * depth), tone * (1 + 2 * depth))
