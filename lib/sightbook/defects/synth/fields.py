"""Noise that surfaces are made of: banks computed once, from which pieces are cut."""

from __future__ import annotations

from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Field = NDArray[np.float32]

SIDE = 1024
"""Pixels of a bank's side; it repeats beyond."""

_SLOPES = {"grain": 0.0, "rough": 0.6, "cloud": 1.5}


def as_mask(array: object) -> Mask:
    """Say to the type checker what OpenCV's stubs leave open."""
    return array  # type: ignore[return-value]


def as_field(array: object) -> Field:
    """Say to the type checker what OpenCV's stubs leave open."""
    return array  # type: ignore[return-value]


@cache
def bank(kind: Literal["grain", "rough", "cloud"]) -> Field:
    """Noise of mean 0 and deviation 1 that tiles: float32 ``[SIDE, SIDE]``.

    Its amplitude falls with frequency f as f ** -slope: "grain" is nearly white as stones and
    sensors are, "rough" like broken ground, "cloud" like damp and dirt.
    """
    rng = np.random.default_rng(list(_SLOPES).index(kind) + 41)
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    weight = np.maximum(frequency, 3 / SIDE) ** -_SLOPES[kind] * np.exp(-((frequency / 0.38) ** 2))
    weight[0, 0] = 0
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * weight
    noise = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.ascontiguousarray(noise / noise.std(), np.float32)


def at(kind: Literal["grain", "rough", "cloud"], xs: Field, ys: Field) -> Field:
    """A bank's values at float32 coordinates ``[H, W]``, which may lie anywhere in +-32000."""
    noise = cv2.remap(bank(kind), xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return as_field(noise)


def cut(
    kind: Literal["grain", "rough", "cloud"],
    rng: np.random.Generator,
    size: tuple[int, int],
    scale: tuple[float, float] = (1.0, 1.0),
) -> Field:
    """A piece of a bank, float32 ``[height, width]``.

    Args:
        kind: of the bank.
        rng: says where it is cut from.
        size: (width, height).
        scale: how much the noise is stretched along x and y.
    """
    width, height = size
    x, y = rng.integers(0, SIDE, 2)
    rows = (np.arange(int(height / scale[1]) + 2) + y) % SIDE
    columns = (np.arange(int(width / scale[0]) + 2) + x) % SIDE
    piece = bank(kind)[np.ix_(rows, columns)]
    if scale == (1.0, 1.0):
        return piece[:height, :width].copy()
    # the size asked for, not the piece's own, or the scale would be rounded
    matrix = np.array([[scale[0], 0, 0], [0, scale[1], 0]], np.float64)
    return as_field(cv2.warpAffine(piece, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def smooth_step(field: NDArray[np.floating], low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a straight ramp between."""
    return np.clip((field - low) * (1.0 / (high - low)), 0.0, 1.0, dtype=np.float32)
