"""What metal looks like: a room reflected by slopes, and the colours that brass and others give it.

A head is a mirror of poor quality. What a place shows depends on where its slope sends the line of
sight: into a lamp, a window, the dark of the photographer. The room is one small table over slopes,
drawn once per photograph; letters shine or vanish as their edges' slopes meet its bright spots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SIDE = 97
_REACH = 2.2  # slopes the table covers, either way
_COLOURS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "brass": ((0.95, 0.80, 0.42), (0.88, 0.70, 0.36), (0.97, 0.85, 0.52), (0.80, 0.66, 0.42)),
    "nickel": ((0.90, 0.90, 0.88), (0.84, 0.84, 0.85), (0.94, 0.91, 0.86)),
    "steel": ((0.52, 0.54, 0.50), (0.46, 0.50, 0.42), (0.60, 0.58, 0.54), (0.40, 0.36, 0.30)),
    "copper": ((0.90, 0.56, 0.40), (0.82, 0.48, 0.34)),
    "aluminium": ((0.86, 0.87, 0.89), (0.78, 0.79, 0.80)),
}


@dataclass(frozen=True)
class Room:
    """Where the light is.

    Attributes:
        table: brightness by slope, float32 ``[side, side, 3]``; about 1 for a well lit wall.
        towards: the main lamp, as a slope ``(x, y)``.
        warmth: colour of the light, float32 ``[3]`` around 1.
        soft: True for an overcast sky or a lamp shade, False for the sun or a bare lamp.
    """

    table: Floats
    towards: tuple[float, float]
    warmth: Floats
    soft: bool


def draw_room(rng: np.random.Generator) -> Room:
    """Lamps, windows and dark corners."""
    axis = np.linspace(-_REACH, _REACH, _SIDE, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    soft = rng.random() < 0.6
    angle = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0.05, 0.5)
    field = rng.uniform(0.25, 0.5) + slope * (x * math.cos(angle) + y * math.sin(angle))
    # Steep slopes look past the room's lights, into the table and the hand.
    field *= np.exp(-((x**2 + y**2) / rng.uniform(1.5, 5.0)))
    room = np.repeat(field[..., None], 3, axis=2)
    first = (0.0, 0.0)
    for number in range(int(rng.integers(2, 6))):
        far = abs(rng.normal(0, 0.55))
        at = rng.uniform(0, 2 * math.pi)
        cx, cy = far * math.cos(at), far * math.sin(at)
        if number == 0:
            first = (cx, cy)
        sigma = rng.uniform(0.25, 0.6) if soft else rng.uniform(0.07, 0.3)
        power = rng.uniform(0.3, 1.0) if soft else rng.uniform(0.5, 2.0)
        stretch = rng.uniform(0.5, 2.0)  # windows are not round
        turn = rng.uniform(0, math.pi)
        u = (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn)
        v = (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn)
        spot = np.exp(-((u / sigma) ** 2 + (v / (sigma * stretch)) ** 2) / 2)
        tint = 1 + rng.uniform(-0.12, 0.12) * np.array([1, 0.1, -1], np.float32)
        room += (power * spot)[..., None] * tint.astype(np.float32)
    warm = rng.normal(0.05, 0.1)
    warmth = np.array([1 + warm, 1 + 0.15 * warm, 1 - warm], np.float32)
    floor = np.float32(rng.uniform(0.06, 0.2))
    return Room((np.maximum(room, 0) + floor).astype(np.float32), first, warmth, soft)


def metal_colour(rng: np.random.Generator, metal: str) -> Floats:
    """A colour of that metal, float32 ``[3]`` in 0..1."""
    known = _COLOURS[metal]
    colour = np.array(known[int(rng.integers(len(known)))]) + rng.normal(0, 0.025, 3)
    return np.clip(colour, 0.1, 1.0).astype(np.float32)


def reflect(room: Room, slope_x: Floats, slope_y: Floats, roughness: float) -> Floats:
    """What a relief mirrors, float32 ``[H, W, 3]``.

    Args:
        room: the lights.
        slope_x: of the surface along x, rise over run, the way of seeing included.
        slope_y: along y.
        roughness: by how much the reflection is blurred, in slopes.
    """
    scale = (_SIDE - 1) / (2 * _REACH)
    table = room.table
    if roughness * scale > 0.5:
        table = np.asarray(cv2.GaussianBlur(table, (0, 0), roughness * scale), np.float32)
    x = (slope_x + np.float32(_REACH)) * np.float32(scale)
    y = (slope_y + np.float32(_REACH)) * np.float32(scale)
    seen = cv2.remap(table, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def slopes(height: Floats) -> tuple[Floats, Floats]:
    """Rise over run of a relief in pixels, along x and y."""
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    along = cv2.filter2D(height, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    down = cv2.filter2D(height, cv2.CV_32F, kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(along, np.float32), np.asarray(down, np.float32)
