"""What documents lie on: wood, cloth, stone, carpet and plain tops, as seen from above.

As with guilloches, a sheet depends on its small integer key alone and is kept per process.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.synth.lettering import Colour, Picture

DESKS = 30  # different textures
_WIDTH, _HEIGHT = 640, 480

Field = npt.NDArray[np.float32]

_WOODS: list[tuple[Colour, Colour]] = [
    ((70, 44, 26), (150, 104, 66)), ((120, 84, 50), (206, 166, 118)), ((40, 28, 22), (92, 66, 50)),
    ((168, 134, 94), (232, 206, 168)), ((96, 52, 34), (166, 98, 66)),
]  # fmt: skip


def _clouds(rng: np.random.Generator, rows: int, columns: int) -> Field:
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(grid, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _fractal(rng: np.random.Generator, octaves: int, first: int = 3) -> Field:
    total = np.zeros((_HEIGHT, _WIDTH), np.float32)
    for octave in range(octaves):
        total += _clouds(rng, first * 2**octave, first * 2**octave * 4 // 3) * 0.6**octave
    return total


def _wood(rng: np.random.Generator) -> Field:
    y = np.arange(_HEIGHT, dtype=np.float32)[:, None]
    bend = _clouds(rng, 3, 3) * rng.uniform(4, 26)
    rings = np.sin((y + bend) / rng.uniform(5, 22) + 0.6 * _clouds(rng, 20, 2))
    fibre = cv2.GaussianBlur(
        rng.standard_normal((_HEIGHT, _WIDTH)).astype(np.float32), (0, 0), 14, sigmaY=0.6
    )
    field = 0.5 * rings + 4 * fibre + 0.4 * _clouds(rng, 6, 2)
    if rng.random() < 0.4:  # boards
        seam = (y % int(rng.integers(90, 200))) < 2
        field = np.where(seam, field.min(), field).astype(np.float32)
    return field.astype(np.float32)


def _cloth(rng: np.random.Generator) -> Field:
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float32)
    pitch = rng.uniform(3.5, 9)
    weave = np.sin(2 * np.pi * x / pitch) * np.sin(2 * np.pi * y / pitch)
    folds = np.sin((x * rng.uniform(-1, 1) + y) / rng.uniform(40, 120) + _clouds(rng, 3, 3))
    field = 0.6 * weave + rng.uniform(0.2, 1.2) * folds + 0.3 * _fractal(rng, 3)
    woven: Field = field.astype(np.float32)
    if rng.random() < 0.5:  # checks or stripes
        wide = rng.uniform(20, 90)
        woven += np.float32(rng.uniform(0.5, 2)) * (np.sin(2 * np.pi * x / wide) > 0)
        if rng.random() < 0.5:
            woven += np.float32(rng.uniform(0.5, 2)) * (np.sin(2 * np.pi * y / wide) > 0)
    return woven


def _stone(rng: np.random.Generator) -> Field:
    field = _fractal(rng, 6)
    if rng.random() < 0.5:  # veins of marble
        field = -np.sqrt(np.abs(field))
    grain = rng.standard_normal((_HEIGHT, _WIDTH)).astype(np.float32)
    return (field + rng.uniform(0, 0.8) * cv2.GaussianBlur(grain, (0, 0), 1.0)).astype(np.float32)


def _carpet(rng: np.random.Generator) -> Field:
    grain = rng.standard_normal((_HEIGHT, _WIDTH)).astype(np.float32)
    return (cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.8, 3)) * 6 + _clouds(rng, 4, 5)).astype(
        np.float32
    )


def _plain(rng: np.random.Generator) -> Field:
    grain = rng.standard_normal((_HEIGHT, _WIDTH)).astype(np.float32)
    return (_clouds(rng, 2, 2) + 0.05 * grain).astype(np.float32)


_KINDS = (_wood, _plain, _stone, _cloth, _carpet, _wood)


@lru_cache(maxsize=DESKS)
def _sheet(key: int) -> Picture:
    rng = np.random.default_rng([key, 0xDE5C])
    field = _KINDS[key % len(_KINDS)](rng)
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)


def desk(rng: np.random.Generator, width: int, height: int) -> Picture:
    """An empty table top.

    Returns:
        uint8 RGB [height, width, 3].
    """
    key = int(rng.integers(DESKS))
    sheet = _sheet(key)
    zoom = rng.uniform(0.5, 1.0)
    cut_w, cut_h = int(_WIDTH * zoom), int(_HEIGHT * zoom)
    x, y = int(rng.integers(_WIDTH - cut_w + 1)), int(rng.integers(_HEIGHT - cut_h + 1))
    cut = sheet[y : y + cut_h, x : x + cut_w]
    if rng.random() < 0.4:
        cut = cv2.rotate(cut, cv2.ROTATE_90_CLOCKWISE)
    if _KINDS[key % len(_KINDS)] is _wood and rng.random() < 0.8:
        dark, light = _WOODS[rng.integers(len(_WOODS))]
        low, high = np.array(dark, np.float64), np.array(light, np.float64)
    else:
        hsv = np.array(
            [[[rng.uniform(0, 180), 150 * rng.uniform(0, 1) ** 2, rng.uniform(25, 245)]]]
        )
        high = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
        low = high * rng.uniform(0.45, 0.95)
    ramp = np.linspace(0, 1, 256)[:, None, None]
    table = np.clip(low + (high - low) * ramp, 0, 255).astype(np.uint8)
    grey = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.LUT(cv2.merge([grey, grey, grey]), table)
