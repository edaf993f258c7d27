"""Security print: guilloches, rosettes, relief lines, microtext, emblems and iridescent patches.

A sheet is a function of a small integer key alone, so it may be kept for the life of the
process without making any sample depend on which samples were rendered before.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.synth.lettering import LoadedImage, TextLayer, ink, smooth_colours

_SHEETS = 36  # different guilloche sheets
_EMBLEMS = 18  # different emblems
_WIDTH, _HEIGHT = 960, 680  # pixels a sheet is drawn at

Points = npt.NDArray[np.float64]


def _curve(mask: LoadedImage, x: Points, y: Points, thick: int = 1, value: int = 255) -> None:
    points = np.round(np.stack([x, y], axis=1) * 16).astype(np.int32)
    cv2.polylines(mask, [points], False, value, thick, cv2.LINE_AA, 4)


def _waves(rng: np.random.Generator, mask: LoadedImage) -> None:
    """Families of sine lines whose amplitude swells and shrinks along the sheet."""
    x = np.linspace(0, _WIDTH, 260)
    for _ in range(int(rng.integers(1, 3))):
        pitch = rng.uniform(6, 16)
        wave = 2 * np.pi / rng.uniform(90, 420)
        amplitude = rng.uniform(5, 40)
        swell = 1 + 0.7 * np.sin(x * 2 * np.pi / rng.uniform(300, 900) + rng.uniform(0, 6))
        shear = rng.uniform(-0.02, 0.02)
        for y0 in np.arange(-60, _HEIGHT + 60, pitch):
            y = y0 + amplitude * swell * np.sin(wave * x + shear * y0 + rng.normal(0, 0.02))
            _curve(mask, x, y)


def _rosette(
    rng: np.random.Generator, mask: LoadedImage, cx: float, cy: float, radius: float
) -> None:
    """Phase-shifted lobed rings, as a geometric lathe turns them."""
    angle = np.linspace(0, 2 * np.pi, 400)
    for ring in range(int(rng.integers(1, 4))):
        lobes = int(rng.integers(5, 22))
        depth = rng.uniform(0.08, 0.3)
        base = radius * (1 - 0.3 * ring)
        for phase in np.linspace(0, 2 * np.pi, int(rng.integers(7, 16)), endpoint=False):
            r = base * (1 + depth * np.cos(lobes * angle + phase)) / (1 + depth)
            _curve(mask, cx + r * np.cos(angle), cy + r * np.sin(angle))


def _rosettes(rng: np.random.Generator, mask: LoadedImage) -> None:
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT)
        _rosette(rng, mask, x, y, rng.uniform(60, 300))


def _fields(rng: np.random.Generator) -> tuple[Points, Points, Points]:
    x, y = np.meshgrid(np.arange(_WIDTH, dtype=np.float64), np.arange(_HEIGHT, dtype=np.float64))
    bumps = rng.normal(0, 1, (7, 9)).astype(np.float32)
    relief = cv2.resize(bumps, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    return x, y, relief.astype(np.float64)


def _relief(rng: np.random.Generator, mask: LoadedImage) -> None:
    """Parallel lines that bend over an invisible relief."""
    x, y, relief = _fields(rng)
    turn = rng.uniform(0, np.pi)
    pitch = rng.uniform(6, 12)
    phase = (x * np.cos(turn) + y * np.sin(turn) + rng.uniform(4, 18) * relief) / pitch
    lines = np.clip(np.cos(2 * np.pi * phase) * 2 - rng.uniform(0.2, 1.0), 0, 1)
    np.maximum(mask, (lines * 255).astype(np.uint8), out=mask)


def _rings(rng: np.random.Generator, mask: LoadedImage) -> None:
    """Concentric lines round two centres, which beat against each other."""
    x, y, relief = _fields(rng)
    for _ in range(2):
        cx, cy = rng.uniform(-200, _WIDTH + 200), rng.uniform(-200, _HEIGHT + 200)
        distance = np.hypot(x - cx, (y - cy) * rng.uniform(0.7, 1.3)) + 4 * relief
        lines = np.clip(np.cos(distance * 2 * np.pi / rng.uniform(7, 13)) * 2 - 1.1, 0, 1)
        np.maximum(mask, (lines * 255).astype(np.uint8), out=mask)


def _microtext(rng: np.random.Generator, mask: LoadedImage) -> None:
    """Rows of small repeated words."""
    words = ["SPECIMEN", "UNION", "REPUBLIC", "SECURITY", "DOCUMENT", "IDENTITY", "SAMPLE"]
    row = " ".join(words[i] for i in rng.integers(0, len(words), 3)) + " "
    layer = TextLayer(_WIDTH, _HEIGHT)
    size = rng.uniform(7, 22)
    for number, y in enumerate(np.arange(size, _HEIGHT + size, size * rng.uniform(1.2, 2.2))):
        layer.write(-20 - (number % 5) * size * 2, float(y), row * 20, "sans-bold", size)
    np.maximum(mask, layer.mask() // 2, out=mask)


def _net(rng: np.random.Generator, mask: LoadedImage) -> None:
    """Two crossing families of bent diagonals."""
    x = np.linspace(-50, _WIDTH + 50, 120)
    bend = rng.uniform(5, 30)
    for slope in (rng.uniform(0.3, 1.2), -rng.uniform(0.3, 1.2)):
        for offset in np.arange(-_WIDTH * 1.3, _HEIGHT + _WIDTH * 1.3, rng.uniform(9, 22)):
            _curve(mask, x, offset + slope * x + bend * np.sin(x / 60))


_KINDS = (_waves, _relief, _rosettes, _net, _rings, _microtext)


@lru_cache(maxsize=_SHEETS)
def _sheet(key: int) -> LoadedImage:
    """Guilloche sheet number ``key`` (0.._SHEETS-1): coverage uint8 [680, 960]."""
    rng = np.random.default_rng([key, 0x6011])
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    _KINDS[key % len(_KINDS)](rng, mask)
    if rng.random() < 0.3:
        _rosette(rng, mask, rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT), 220)
    return mask


def random_emblem(rng: np.random.Generator, side: int) -> LoadedImage:
    """One of the emblems: coverage uint8 [side, side]."""
    mask = _emblem(int(rng.integers(_EMBLEMS)))
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=_EMBLEMS)
def _emblem(key: int) -> LoadedImage:
    """Emblem number ``key`` (0.._EMBLEMS-1): coverage uint8 [160, 160]."""
    rng = np.random.default_rng([key, 0xE3B])
    mask = np.zeros((160, 160), np.uint8)
    angle = np.linspace(0, 2 * np.pi, 200)
    style = key % 3
    if style == 0:  # a lobed wheel
        lobes = int(rng.integers(4, 13))
        depth = rng.uniform(0.03, 0.25)
        for radius in rng.uniform(22, 72, 3):
            r = radius * (1 + depth * np.cos(lobes * angle))
            _curve(mask, 80 + r * np.cos(angle) * 0.9, 80 + r * np.sin(angle) * 0.9, 3)
        cv2.circle(mask, (80, 80), 14, 255, -1, cv2.LINE_AA)
    elif style == 1:  # a shield
        shield = np.array([[24, 18], [136, 18], [132, 90], [80, 150], [28, 90]], np.int32)
        cv2.polylines(mask, [shield], True, 255, 5, cv2.LINE_AA)
        for _ in range(3):
            a, b = rng.integers(34, 120, 2), rng.integers(34, 120, 2)
            cv2.line(mask, tuple(map(int, a)), tuple(map(int, b)), 255, 6, cv2.LINE_AA)
        cv2.circle(mask, (80, 66), int(rng.integers(12, 26)), 255, -1, cv2.LINE_AA)
    else:  # a star in a wreath
        points = int(rng.integers(5, 9))
        turn = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) - np.pi / 2
        r = np.where(np.arange(2 * points) % 2 == 0, 46, 20)
        star = np.stack([80 + r * np.cos(turn), 80 + r * np.sin(turn)], axis=1)
        cv2.fillPoly(mask, [np.round(star).astype(np.int32)], 255, cv2.LINE_AA)
        for a in np.linspace(0.6, 5.7, 22):
            x, y = 80 + 66 * np.sin(a + np.pi), 80 + 66 * np.cos(a)
            cv2.ellipse(mask, (int(x), int(y)), (9, 4), float(np.degrees(a)), 0, 360, 255, -1)
    return mask


def security_paper(
    rng: np.random.Generator, width: int, height: int, strength: float
) -> LoadedImage:
    """Tinted paper with one to three guilloche layers.

    Args:
        rng: source of every choice.
        width: of the paper in pixels.
        height: of the paper in pixels.
        strength: 0..1, how strongly the lines stand out.

    Returns:
        uint8 RGB [height, width, 3].
    """
    hue = rng.uniform(0, 180)
    hues = (hue + rng.normal(0, 22, 4)) % 180
    hsv = np.stack([hues, rng.uniform(2, 42, 4), rng.uniform(216, 254, 4)], axis=1)
    tints = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0].astype(np.float64)
    paper = smooth_colours(rng, width, height, tints)
    for _ in range(int(rng.integers(1, 4))):
        sheet = _sheet(int(rng.integers(_SHEETS)))
        if rng.random() < 0.5:
            sheet = cv2.flip(sheet, int(rng.integers(-1, 2)))
        zoom = rng.uniform(0.6, 1.0)
        cut_w, cut_h = int(_WIDTH * zoom), int(_HEIGHT * zoom)
        x, y = int(rng.integers(_WIDTH - cut_w + 1)), int(rng.integers(_HEIGHT - cut_h + 1))
        cut = sheet[y : y + cut_h, x : x + cut_w]
        mask = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
        inks = np.stack(
            [(hue + rng.normal(0, 40, 3)) % 180, rng.uniform(50, 170, 3), rng.uniform(110, 200, 3)],
            axis=1,
        )
        colours = cv2.cvtColor(inks.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]
        ink(
            paper,
            mask,
            smooth_colours(rng, width, height, colours.astype(np.float64)),
            strength * rng.uniform(0.25, 0.8),
        )
    return paper


def iridescent(
    rng: np.random.Generator, width: int, height: int
) -> tuple[LoadedImage, LoadedImage]:
    """A patch of hologram foil: its colours uint8 RGB [H, W, 3] and its coverage uint8 [H, W]."""
    hues = np.linspace(0, 180, 9) + rng.uniform(0, 180)
    hsv = np.stack([hues % 180, rng.uniform(30, 130, 9), rng.uniform(190, 255, 9)], axis=1)
    colours = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0].astype(np.float64)
    foil = smooth_colours(rng, width, height, colours)
    if rng.random() < 0.5:
        shape = _emblem(int(rng.integers(_EMBLEMS)))
    else:
        sheet = _sheet(int(rng.integers(_SHEETS)))
        x, y = int(rng.integers(_WIDTH - 200)), int(rng.integers(_HEIGHT - 200))
        shape = sheet[y : y + 200, x : x + 200]
    mask = cv2.resize(shape, (width, height), interpolation=cv2.INTER_AREA)
    return foil, cv2.convertScaleAbs(mask, alpha=float(rng.uniform(0.2, 0.7)))
