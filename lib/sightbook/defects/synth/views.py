"""Where on a surface each pixel looks: a camera over a road, or one that faces a slab squarely."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.defects.synth.fields import Field


@dataclass(frozen=True)
class View:
    """A camera's view of a plane.

    Attributes:
        size: (width, height) of the picture, pixels.
        top: first row that shows the plane.
        u: float32 ``[H - top, W]``, metres across, 0 where the camera stands; on a bend, measured
            from the bent line.
        z: float32 ``[H - top, 1]``, metres ahead.
        across: float32 ``[H - top, 1]``, pixels per metre across.
        along: float32 ``[H - top, 1]``, pixels per metre ahead.
        bend: metres to the right per metre² ahead.
        horizon: row of the horizon; minus infinity if the plane is seen squarely.
        middle: column of the camera's own direction.
    """

    size: tuple[int, int]
    top: int
    u: Field
    z: Field
    across: Field
    along: Field
    bend: float
    horizon: float
    middle: float

    def pixels(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Where points ``[n, 2]`` (u, z) of the plane lie in the picture, float32 ``[n, 2]``."""
        u, z = np.asarray(points, np.float64).T
        if math.isinf(self.horizon):
            scale = float(self.across[0, 0])
            return np.stack([self.middle + u * scale, self.size[1] - z * scale], 1).astype(
                np.float32
            )
        # the last row fixes how fast rows approach the horizon
        rows = self.size[1] - 1 - self.horizon
        y = self.horizon + rows * float(self.z[-1, 0]) / np.maximum(z, 0.1)
        scale = float(self.across[-1, 0]) * (y - self.horizon) / rows
        return np.stack([self.middle + (u + self.bend * z**2) * scale, y], 1).astype(np.float32)

    def scales(self, y: float) -> tuple[float, float]:
        """Pixels per metre (across, along) at a row of the picture."""
        row = int(np.clip(y - self.top, 0, len(self.across) - 1))
        return float(self.across[row, 0]), float(self.along[row, 0])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The point (u, z) of the plane that a pixel shows."""
        row = int(np.clip(y - self.top, 0, len(self.across) - 1))
        column = int(np.clip(x, 0, self.size[0] - 1))
        return float(self.u[row, column]), float(self.z[row, 0])


def road_view(rng: np.random.Generator, size: tuple[int, int]) -> View:
    """A survey car's camera: about 2 m high, the horizon near or above the picture's top."""
    width, height = size
    focal = width * rng.uniform(0.75, 1.15)
    high = rng.uniform(1.5, 2.4)
    horizon = height * (rng.uniform(-0.16, 0.0) if rng.random() < 0.85 else rng.uniform(0, 0.3))
    # so close to the horizon that a row spans many metres nothing is to be seen
    top = max(0, math.ceil(horizon + 0.025 * height))
    below = np.arange(top, height, dtype=np.float32)[:, None] - np.float32(horizon)
    z = np.float32(focal * high) / below
    middle = width * rng.uniform(0.42, 0.58)
    bend = rng.normal(0, 0.0012) if rng.random() < 0.5 else 0.0
    columns = np.arange(width, dtype=np.float32)[None] - np.float32(middle)
    u = columns * (z / np.float32(focal)) - np.float32(bend) * z**2
    along = below**2 / np.float32(focal * high)
    return View(size, top, u, z, below / np.float32(high), along, bend, horizon, middle)


def flat_view(rng: np.random.Generator, size: tuple[int, int], metres: tuple[float, float]) -> View:
    """A surface seen squarely; between so many metres fill the picture's width."""
    width, height = size
    scale = np.float32(width / math.exp(rng.uniform(math.log(metres[0]), math.log(metres[1]))))
    middle = width / 2
    u = (np.arange(width, dtype=np.float32)[None] - np.float32(middle)) / scale
    z = (height - np.arange(height, dtype=np.float32)[:, None]) / scale
    scales = np.full((height, 1), scale, np.float32)
    u = np.ascontiguousarray(np.broadcast_to(u, (height, width)))
    return View(size, 0, u, z, scales, scales, 0.0, -math.inf, middle)
