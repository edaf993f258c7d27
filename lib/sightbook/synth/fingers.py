"""Fingers that hold what is photographed or hide a part of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.synth.lettering import Colour, LoadedImage, ink

Point = NDArray[np.floating]

_SKINS: list[Colour] = [
    (236, 198, 172), (222, 176, 142), (190, 140, 104), (150, 102, 72), (104, 70, 50),
]  # fmt: skip


def draw_finger(
    rng: np.random.Generator, image: LoadedImage, tip: Point, root: Point, thick: int
) -> None:
    """A straight finger seen from above, darker to its sides, with a nail at times; into `image`.

    Args:
        rng: for the skin and the nail.
        image: uint8 RGB ``[H, W, 3]``.
        tip: pixels (x, y).
        root: pixels (x, y).
        thick: pixels.
    """
    low = np.maximum(np.floor(np.minimum(tip, root)).astype(int) - thick, 0)
    high = np.minimum(np.ceil(np.maximum(tip, root)).astype(int) + thick, image.shape[1::-1])
    if np.any(low >= high):
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    a = tuple(int(v) for v in np.round(tip - low))
    b = tuple(int(v) for v in np.round(root - low))
    cv2.line(mask, a, b, 255, thick, cv2.LINE_AA)
    round_off = cv2.blur(mask, (thick // 2 | 1, thick // 2 | 1))
    # Blurred, the outline is a height: its sides turn away from the light.
    skin = np.array(_SKINS[rng.integers(len(_SKINS))], np.float64)
    ramp = np.linspace(0.55, 1.0, 256)[:, None, None]
    flesh = cv2.LUT(cv2.merge([round_off] * 3), np.clip(skin * ramp, 0, 255).astype(np.uint8))
    unit = (tip - root) / max(float(np.linalg.norm(tip - root)), 1.0)
    middle = tip - low + unit * thick * 0.12
    nail = tuple(int(v) for v in np.clip(skin * 1.08 + 6, 0, 255))
    if rng.random() < 0.6:
        cv2.ellipse(
            flesh, (round(float(middle[0])), round(float(middle[1]))),
            (max(1, round(thick * 0.3)), max(1, round(thick * 0.24))),
            float(np.degrees(np.arctan2(unit[1], unit[0]))), 0, 360, nail, -1, cv2.LINE_AA,
        )  # fmt: skip
    ink(image[low[1] : high[1], low[0] : high[0]], mask, flesh)


def draw_bent_finger(
    rng: np.random.Generator,
    image: LoadedImage,
    tip: Point,
    bent: Point,
    end: Point,
    wide: float,
    skin: NDArray[np.float32],
) -> None:
    """A finger along a bent line: round across, with a nail at times; into `image`.

    Args:
        rng: for the light and the nail.
        image: uint8 RGB ``[H, W, 3]``.
        tip: pixels (x, y).
        bent: where the line bends to, as a quadratic Bezier curve has it.
        end: pixels (x, y).
        wide: pixels.
        skin: RGB ``[3]``, 0 to 255.
    """
    t = np.linspace(0, 1, 40)[:, None]
    line = (1 - t) ** 2 * tip + 2 * t * (1 - t) * bent + t**2 * end
    light = rng.uniform(-0.45, 0.45)
    layers = int(np.clip(wide / 3, 8, 28))
    for layer in range(layers):
        share = 1 - layer / layers
        # From the shaded outline to the lit middle, which lies off the axis.
        shade = 0.5 + 0.5 * math.sqrt(1 - share**2 * 0.98)
        tone = np.clip(skin * shade, 0, 255)
        step = (line[1] - line[0]) / max(float(np.linalg.norm(line[1] - line[0])), 1e-6)
        off = np.array([-step[1], step[0]]) * wide * light * (1 - share)
        fixed = np.round((line + off) * 16).astype(np.int32)
        thick = max(1, round(wide * share))
        cv2.polylines(image, [fixed], False, tone.tolist(), thick, cv2.LINE_AA, 4)
    if rng.random() < 0.5:
        along = line[2] - line[0]
        turn = math.degrees(math.atan2(along[1], along[0]))
        middle = tuple(np.round(line[0] + 0.1 * along).astype(int).tolist())
        axes = (max(1, round(0.42 * wide)), max(1, round(0.3 * wide)))
        nail = np.clip(skin * np.array([1.05, 1.02, 1.05]) + 12, 0, 255).tolist()
        cv2.ellipse(image, middle, axes, turn, 0, 360, (skin * 0.72).tolist(), -1, cv2.LINE_AA)
        smaller = (max(1, axes[0] - 1), max(1, axes[1] - 1))
        cv2.ellipse(image, middle, smaller, turn, 0, 360, nail, -1, cv2.LINE_AA)


def draw_flat_finger(
    image: LoadedImage,
    tip: tuple[int, int],
    root: tuple[int, int],
    thick: int,
    skin: Sequence[float],
) -> None:
    """A finger of one tone with a darker rim, for small images; into `image`.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        tip: pixels (x, y).
        root: pixels (x, y).
        thick: pixels.
        skin: RGB, 0 to 255.
    """
    cv2.line(image, root, tip, tuple(0.7 * v for v in skin), thick + 2, cv2.LINE_AA)
    cv2.line(image, root, tip, tuple(skin), thick, cv2.LINE_AA)
