"""From a sheet to a picture of it: how it lies, how it was copied, scanned or photographed.

The way from the picture back to the sheet is ``sheet = H(picture) + d(picture)``: a homography and
a smooth displacement. Pixels follow it as it stands; words go the other way round by fixed-point
iteration, which converges because the displacement changes slowly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.synth.page_ink import Image
from sightbook.synth import degrade

Look = Literal["fax", "scan", "copy", "photo", "digital"]
Floats = NDArray[np.float32]

_GRID = 16  # pixels between the nodes on which the way back is computed


@dataclass(frozen=True)
class Lie:
    """How a sheet lies under the camera.

    Attributes:
        back: homography ``[3, 3]`` from picture to sheet.
        waves: ``[n, 5]``: of each ripple the wave vector (x, y; radians per pixel), the phase and
            how far it moves things (x, y; pixels).
    """

    back: NDArray[np.float64]
    waves: Floats

    def to_sheet(self, points: Floats) -> Floats:
        """Where on the sheet points ``[n, 2]`` of the picture come from."""
        return degrade.transform_points(points, self.back) + self._moved(points)

    def to_image(self, points: Floats) -> Floats:
        """Where points ``[n, 2]`` of the sheet appear in the picture."""
        forth = np.linalg.inv(self.back)
        found = degrade.transform_points(points, forth)
        for _ in range(4 if len(self.waves) else 0):
            found = degrade.transform_points(points - self._moved(found), forth)
        return found

    def _moved(self, points: Floats) -> Floats:
        if not len(self.waves):
            return np.zeros_like(points)
        angle = points @ self.waves[:, :2].T + self.waves[:, 2]
        return np.asarray(np.sin(angle) @ self.waves[:, 3:], np.float32)

    def image(self, sheet: Image, ground: int) -> Image:
        """The sheet as it lies, in a picture of the same size, on a ground of one grey."""
        height, width = sheet.shape[:2]
        rows, columns = -(-height // _GRID) + 1, -(-width // _GRID) + 1
        ys, xs = np.mgrid[:rows, :columns].astype(np.float32) * _GRID
        nodes = self.to_sheet(np.stack([xs.ravel(), ys.ravel()], 1)).reshape(rows, columns, 2)
        # A node per cell corner: enlarge so that node k falls on pixel k * _GRID exactly.
        enlarge = np.array([[_GRID, 0, 0], [0, _GRID, 0]], np.float64)
        maps = cv2.warpAffine(nodes, enlarge, (width, height), flags=cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        map_x, map_y = cv2.split(maps)
        border = (ground, ground, ground, ground)
        return np.asarray(
            cv2.remap(sheet, map_x, map_y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, border),
            np.uint8,
        )


def draw_lie(rng: np.random.Generator, size: tuple[int, int], look: Look) -> Lie | None:
    """Draw how a sheet of (width, height) lies for a look; None for perfectly straight."""
    if look == "digital":
        return None
    width, height = size
    waves: list[list[float]] = []
    if look == "photo":
        forth = degrade.random_perspective(rng, size, rng.uniform(0, 0.07), rng.uniform(0.2, 7))
        if rng.random() < 0.6:  # a page that curls: low waves across, moving along the other way
            for _ in range(int(rng.integers(1, 3))):
                long = rng.uniform(0.8, 2.5) * max(size)
                reach = rng.uniform(0.003, 0.018) * max(size)
                turn = rng.choice((0.0, math.pi / 2)) + rng.normal(0, 0.3)
                k = 2 * math.pi / long
                waves.append([k * math.cos(turn), k * math.sin(turn), rng.uniform(0, 6.3),
                              reach * 0.4 * math.sin(turn), reach * math.cos(turn)])  # fmt: skip
    else:
        skew = rng.normal(0, 0.7) if rng.random() < 0.8 else rng.uniform(-3, 3)
        forth = np.eye(3)
        scale = rng.uniform(0.97, 1.03)
        forth[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), skew, scale)
        forth[1, 1] *= rng.uniform(0.985, 1.015)  # paper feeds faster or slower than it should
    for _ in range(2 if look in ("fax", "copy") else 0):  # the feed's tremble
        long = rng.uniform(25, 200)
        waves.append([0.02 / long, 2 * math.pi / long, rng.uniform(0, 6.3),
                      rng.uniform(0, 0.5), rng.uniform(0, 0.35)])  # fmt: skip
    if abs(forth - np.eye(3)).max() < 1e-9 and not waves:
        return None
    return Lie(np.linalg.inv(forth).astype(np.float64), np.array(waves, np.float32).reshape(-1, 5))


def expose(img: Image, rng: np.random.Generator, look: Look) -> Image:
    """What copying, scanning or photographing does to tones and edges."""
    if look == "fax":
        return _fax(img, rng)
    if look == "copy":
        img = degrade.photocopy(img, rng, rng.uniform(0.2, 0.9))
        return degrade.gaussian_blur(img, rng.uniform(0.2, 0.7))
    if look == "scan":
        return _scan(img, rng)
    if look == "photo":
        return _photo(img, rng)
    if rng.random() < 0.4:
        img = degrade.jpeg(img, int(rng.integers(30, 95)))
    return img


def _fax(img: Image, rng: np.random.Generator) -> Image:
    """Black and white at a finer raster, then reduced: crisp, ragged edges, broken thin strokes.

    The raster, the noise at the threshold and where the threshold lies decide between thin,
    broken letters and fat ones that run together.
    """
    height, width = img.shape
    fine = rng.uniform(1.5, 2.1)
    img = degrade.gaussian_blur(img, rng.uniform(0.0, 0.7))
    size = round(width * fine), round(height * fine)
    raster = np.asarray(cv2.resize(img, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    # Thin strokes are grey by now: a threshold near the paper keeps them, one near black breaks
    # them. Noise must not reach the threshold from the paper often, or the page turns to sand.
    level = 224 - 98 * rng.beta(1.2, 2.2)
    sandy = 2.6 if rng.random() < 0.06 else 3.6
    sigma = rng.uniform(0.15, 1.0) * (255 - level) / sandy
    noisy = degrade.noise(raster, rng, sigma, rng.uniform(1.0, 1.8))
    _, black = cv2.threshold(noisy, level, 255, cv2.THRESH_BINARY)
    small = cv2.resize(black, (width, height), interpolation=cv2.INTER_AREA)
    out = np.asarray(small, np.uint8)
    if rng.random() < 0.5:
        out = degrade.sharpen(out, rng.uniform(0.2, 1.0), rng.uniform(0.6, 1.2))
    if rng.random() < 0.3:
        out = degrade.gaussian_blur(out, rng.uniform(0.3, 0.7))
    return out


def _scan(img: Image, rng: np.random.Generator) -> Image:
    paper, black = rng.integers(205, 256), rng.integers(0, 80)
    levels = black + (paper - black) * (np.arange(256) / 255) ** rng.uniform(0.7, 1.5)
    img = np.asarray(cv2.LUT(img, levels.astype(np.uint8)), np.uint8)
    if rng.random() < 0.25:
        img = bleed_through(img, rng, rng.uniform(0.05, 0.25))
    if rng.random() < 0.3:
        img = degrade.uneven_light(img, rng, rng.uniform(0, 0.15))
    img = degrade.gaussian_blur(img, rng.uniform(0.2, 0.9))
    if rng.random() < 0.3:
        img = degrade.downscale(img, rng.uniform(1.0, 1.5))
    img = degrade.noise(img, rng, rng.uniform(0, 9), rng.uniform(1, 1.5))
    if rng.random() < 0.4:
        img = degrade.sharpen(img, rng.uniform(0.2, 1.2), rng.uniform(0.5, 1.5))
    if rng.random() < 0.5:
        img = degrade.jpeg(img, int(rng.integers(25, 92)))
    return img


def _photo(img: Image, rng: np.random.Generator) -> Image:
    paper, black = rng.integers(150, 246), rng.integers(10, 75)
    levels = black + (paper - black) * (np.arange(256) / 255)
    img = np.asarray(cv2.LUT(img, levels.astype(np.uint8)), np.uint8)
    img = degrade.uneven_light(img, rng, rng.uniform(0.05, 0.5))
    if rng.random() < 0.4:
        img = degrade.cast_shadow(img, rng, rng.uniform(0.1, 0.55))
    if rng.random() < 0.15:
        img = degrade.glare(img, rng, rng.uniform(0.1, 0.5))
    if rng.random() < 0.2:
        img = bleed_through(img, rng, rng.uniform(0.05, 0.2))
    blur = rng.random()
    if blur < 0.6:
        img = degrade.gaussian_blur(img, rng.uniform(0.3, 1.1))
    elif blur < 0.8:
        img = degrade.defocus_blur(img, rng.uniform(0.5, 1.6))
    else:
        img = degrade.motion_blur(img, rng.uniform(1, 3.5), rng.uniform(0, 180))
    img = degrade.noise(img, rng, rng.uniform(1, 12), rng.uniform(1, 2))
    if rng.random() < 0.7:
        img = degrade.jpeg(img, int(rng.integers(25, 92)))
    return img


def bleed_through(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Show the print of the other side faintly, as thin paper does: mirrored, blurred, shifted."""
    behind = np.roll(cv2.flip(img, 1), rng.integers(-60, 60, 2), (0, 1))
    behind = degrade.gaussian_blur(np.ascontiguousarray(behind), rng.uniform(0.8, 2.0))
    paper = float(np.percentile(img[::8, ::8], 80))
    loss = cv2.convertScaleAbs(
        cv2.subtract(np.full_like(behind, int(paper)), behind), alpha=strength
    )
    return np.asarray(cv2.subtract(img, loss), np.uint8)
