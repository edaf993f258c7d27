"""Invented portraits, drawn from a few dozen curves: nobody's face, but the weight of one."""

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.synth.lettering import Colour, LoadedImage

WIDTH, HEIGHT = 192, 240  # pixels the portrait is drawn at, before it is scaled to the document

_SKINS: list[Colour] = [
    (244, 214, 192), (233, 194, 166), (222, 178, 143), (198, 150, 112), (164, 116, 82),
    (128, 86, 60), (96, 64, 46),
]  # fmt: skip
_HAIRS: list[Colour] = [
    (28, 24, 22), (54, 38, 28), (92, 62, 40), (134, 96, 58), (196, 160, 100), (150, 70, 36),
    (150, 148, 146), (214, 212, 208),
]  # fmt: skip
_CLOTHES: list[Colour] = [
    (34, 40, 60), (70, 74, 80), (236, 236, 238), (120, 40, 46), (44, 84, 70), (150, 170, 200),
    (196, 178, 150), (24, 24, 26), (86, 62, 110),
]  # fmt: skip
_GROUNDS: list[Colour] = [
    (238, 238, 238), (222, 228, 234), (206, 220, 234), (236, 230, 220), (184, 192, 200),
    (214, 226, 214),
]  # fmt: skip

Points = npt.NDArray[np.float64]


def _fill(image: LoadedImage, points: Points, colour: tuple[int, ...]) -> None:
    fixed = np.round(points * np.array([WIDTH, WIDTH]) * 16).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, 4)


def _stroke(image: LoadedImage, points: Points, colour: tuple[int, ...], width: int) -> None:
    fixed = np.round(points * np.array([WIDTH, WIDTH]) * 16).astype(np.int32)
    cv2.polylines(image, [fixed], False, colour, width, cv2.LINE_AA, 4)


def _ellipse(
    cx: float, cy: float, rx: float, ry: float, start: float = 0, stop: float = 360
) -> Points:
    angle = np.radians(np.linspace(start, stop, 40))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue


def _face(cx: float, cy: float, rx: float, ry: float, jaw: float) -> Points:
    """Outline of a head: an ellipse whose lower half narrows by ``jaw`` (0 round .. 0.35)."""
    points = _ellipse(cx, cy, rx, ry)
    below = np.clip((points[:, 1] - cy) / ry, 0, 1)
    points[:, 0] = cx + (points[:, 0] - cx) * (1 - jaw * below**2)
    return points


def draw_portrait(rng: np.random.Generator, sex: str = "<") -> LoadedImage:
    """Draw one passport-style portrait.

    Args:
        rng: source of every choice.
        sex: "M", "F" or "<"; only shifts the odds of beards and long hair.

    Returns:
        uint8 RGB [240, 192, 3].
    """
    skin = _SKINS[rng.integers(len(_SKINS))]
    hair = _HAIRS[rng.integers(len(_HAIRS))]
    cloth = _CLOTHES[rng.integers(len(_CLOTHES))]
    ground = _GROUNDS[rng.integers(len(_GROUNDS))]
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = ground

    cx, cy = 0.5 + rng.uniform(-0.02, 0.02), 0.54 + rng.uniform(-0.04, 0.04)
    rx, ry = rng.uniform(0.185, 0.225), rng.uniform(0.26, 0.30)
    long_hair = rng.random() < {"F": 0.75, "M": 0.08}.get(sex, 0.4)
    scarf = rng.random() < (0.08 if sex == "F" else 0.0)
    bald = not long_hair and rng.random() < 0.12

    if scarf or long_hair:
        colour = cloth if scarf else hair
        drop = rng.uniform(0.25, 0.6)
        wide = rng.uniform(1.2, 1.5)
        _fill(image, _ellipse(cx, cy - 0.04, rx * wide, ry * 1.17), colour)
        _fill(
            image,
            np.array(
                [
                    [cx - rx * wide, cy - 0.05],
                    [cx + rx * wide, cy - 0.05],
                    [cx + rx * (wide + 0.1), cy + drop],
                    [cx - rx * (wide + 0.1), cy + drop],
                ]
            ),
            colour,
        )
    # Body: shoulders, collar, neck.
    shoulder = rng.uniform(0.40, 0.50)
    top = cy + ry + rng.uniform(0.07, 0.11)
    body = _ellipse(cx, top + 0.34, shoulder, 0.34, 180, 360)
    _fill(image, np.vstack([body, [[1.2, 1.4], [-0.2, 1.4]]]), cloth)
    neck = rx * rng.uniform(0.5, 0.68)
    _fill(
        image,
        np.array(
            [
                [cx - neck, cy + ry * 0.6],
                [cx + neck, cy + ry * 0.6],
                [cx + neck * 1.15, top + 0.05],
                [cx, top + 0.13],
                [cx - neck * 1.15, top + 0.05],
            ]
        ),
        _shade(skin, 0.86),
    )
    if rng.random() < 0.5:  # a shirt collar
        for side in (-1, 1):
            _fill(
                image,
                np.array(
                    [
                        [cx + side * neck * 1.2, top],
                        [cx, top + 0.13],
                        [cx + side * neck * 1.1, top + 0.17],
                    ]
                ),
                (240, 240, 242),
            )
    # Head.
    if not (long_hair or scarf):
        for side in (-1, 1):
            _fill(image, _ellipse(cx + side * rx * 1.0, cy + 0.01, 0.028, 0.06), _shade(skin, 0.9))
        if not bald:
            _fill(image, _ellipse(cx, cy - 0.05, rx * 1.07, ry * 1.02, 180, 360), hair)
    jaw = rng.uniform(0.05, 0.3)
    face = _face(cx, cy, rx, ry, jaw)
    _fill(image, face, skin)
    lit = -1 if rng.random() < 0.5 else 1
    # Rolled so that the kept stretch of outline is contiguous on either side.
    edge = np.roll(face[:-1], 20 if lit > 0 else 0, axis=0)
    _fill(image, edge[(edge[:, 0] - cx) * lit > rx * 0.62], _shade(skin, 0.92))

    _features(image, rng, cx, cy, rx, ry, skin, hair)
    if sex != "F" and rng.random() < 0.28:
        beard = _face(cx, cy, rx * 1.01, ry * 1.02, jaw)
        beard = beard[beard[:, 1] > cy + ry * 0.25]
        _fill(image, np.vstack([beard, _ellipse(cx, cy + ry * 0.3, rx * 0.7, ry * 0.12)]), hair)
        _fill(image, _ellipse(cx, cy + ry * 0.57, rx * 0.3, ry * 0.05), _shade(skin, 0.75))
    # Hair over the forehead.
    line = cy - ry * rng.uniform(0.42, 0.62)
    if scarf:
        _fill(image, np.vstack([_ellipse(cx, cy - 0.03, rx * 1.1, ry * 1.08, 190, 350)]), cloth)
    elif not bald:
        part = cx + rx * rng.uniform(-0.7, 0.7)
        cap = _ellipse(cx, cy - 0.03, rx * 1.05, ry * rng.uniform(1.0, 1.14), 184, 356)
        fringe = np.array(
            [[cx + rx * 0.98, cy - ry * 0.15], [cx + rx * 0.8, line], [part, line - ry * 0.2],
             [cx - rx * 0.8, line], [cx - rx * 0.98, cy - ry * 0.15]]
        )  # fmt: skip
        _fill(image, np.vstack([cap, fringe]), hair)
        strand = _shade(hair, 1.25)
        for offset in np.linspace(-0.6, 0.6, 5):
            _stroke(
                image,
                np.array([[part, cy - ry * 0.95], [cx + rx * offset * 1.2, line - ry * 0.15]]),
                strand,
                1,
            )
    return cv2.GaussianBlur(image, (0, 0), 0.9)


def _features(
    image: LoadedImage,
    rng: np.random.Generator,
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    skin: Colour,
    hair: Colour,
) -> None:
    """Eyes, brows, nose, mouth and sometimes glasses."""
    dark = _shade(skin, 0.62)
    eye_y = cy - ry * rng.uniform(0.02, 0.1)
    apart = rx * rng.uniform(0.42, 0.5)
    iris: Colour = [(60, 40, 28), (70, 96, 120), (80, 100, 70)][rng.integers(3)]
    size = rng.uniform(0.034, 0.044)
    for side in (-1, 1):
        x = cx + side * apart
        _fill(image, _ellipse(x, eye_y, size * 1.25, size * 0.75), _shade(skin, 0.84))
        _fill(image, _ellipse(x, eye_y, size, size * 0.5), (240, 238, 236))
        _fill(image, _ellipse(x, eye_y, size * 0.48, size * 0.48), iris)
        _fill(image, _ellipse(x, eye_y, size * 0.22, size * 0.22), (12, 12, 12))
        _stroke(image, _ellipse(x, eye_y + size * 0.15, size * 1.1, size * 0.75, 195, 345), dark, 2)
        brow = _ellipse(x, eye_y - size * 0.55, size * 1.5, size * 0.9, 205, 335)
        _stroke(image, brow, _shade(hair, 0.9), int(rng.integers(2, 5)))
    tip = cy + ry * rng.uniform(0.24, 0.32)
    _stroke(
        image,
        np.array([[cx + rx * 0.1, eye_y], [cx + rx * 0.16, tip - 0.02], [cx + rx * 0.1, tip]]),
        _shade(skin, 0.8),
        2,
    )
    _stroke(image, _ellipse(cx, tip - 0.012, rx * 0.2, 0.02, 20, 160), dark, 2)
    mouth = cy + ry * rng.uniform(0.5, 0.6)
    lip: Colour = (min(255, skin[0] + 4), int(skin[1] * 0.68), int(skin[2] * 0.68))
    wide = rx * rng.uniform(0.32, 0.46)
    _fill(image, _ellipse(cx, mouth, wide, ry * rng.uniform(0.05, 0.08)), lip)
    _stroke(image, _ellipse(cx, mouth - 0.02, wide, 0.02, 20, 160), _shade(lip, 0.6), 1)
    if rng.random() < 0.2:
        frame = _shade(_CLOTHES[rng.integers(len(_CLOTHES))], 0.5)
        for side in (-1, 1):
            _stroke(image, _ellipse(cx + side * apart, eye_y, size * 1.8, size * 1.4), frame, 2)
        _stroke(
            image,
            np.array([[cx - apart + size * 1.8, eye_y], [cx + apart - size * 1.8, eye_y]]),
            frame,
            2,
        )


def draw_signature(rng: np.random.Generator, width: int, height: int) -> LoadedImage:
    """A flourish that passes for a signature: coverage uint8 [height, width]."""
    mask = np.zeros((height, width), np.uint8)
    count = int(rng.integers(9, 16))
    x = np.linspace(0.05, 0.8, count) + rng.normal(0, 0.03, count)
    y = 0.55 + rng.normal(0, 0.2, count) * np.linspace(1.2, 0.5, count)
    knots = np.arange(count)
    fine = np.linspace(0, count - 1, count * 12)
    # Rounding the knots with a short kernel turns the zigzag into loops.
    kernel = np.hanning(17)
    kernel /= kernel.sum()
    xs = np.convolve(np.interp(fine, knots, x), kernel, mode="valid")
    ys = np.convolve(np.interp(fine, knots, y), kernel, mode="valid")
    points = np.stack([xs * width, np.clip(ys, 0.05, 0.95) * height], axis=1)
    thick = max(1, round(height / 22))
    cv2.polylines(mask, [np.round(points * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    return mask
