"""Cartridges before the camera: how heads are seen, hands, shadows, the cases below the heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.headstamps.synth.metal import Floats
from sightbook.synth.fingers import draw_bent_finger

LoadedImage = NDArray[np.uint8]

_SKINS = ((232, 178, 152), (214, 150, 122), (190, 124, 92), (142, 92, 66), (92, 58, 42))
_HULLS = (
    (214, 62, 26), (176, 24, 22), (24, 96, 50), (28, 52, 120), (30, 30, 32), (212, 172, 40),
    (120, 26, 60), (222, 218, 206),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """How a head is seen.

    Attributes:
        homography: ``[3, 3]``, from the head's circle (radius 1, x right, y down) to pixels.
        lean: how far the case's other end lies from the head in the picture, in radii per radius of
            its length: ``(x, y)``.
        distance: of the camera, in radii.
        radius: of the head in pixels, before it is foreshortened.
        tilt: between the line of sight and the case, radians.
    """

    homography: NDArray[np.float64]
    lean: tuple[float, float]
    distance: float
    radius: float
    tilt: float

    def points(self, unit: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels ``[..., 2]`` of points on the head."""
        flat = np.asarray(unit, np.float64).reshape(-1, 2)
        mapped = np.c_[flat, np.ones(len(flat))] @ self.homography.T
        return (mapped[:, :2] / mapped[:, 2:]).reshape(np.shape(unit))

    def circle(self, radius: float = 1.0, corners: int = 72) -> NDArray[np.float64]:
        """Outline ``[corners, 2]`` of a circle on the head, in pixels."""
        turns = np.arange(corners) * (2 * math.pi / corners)
        return self.points(radius * np.stack([np.cos(turns), np.sin(turns)], 1))


def draw_view(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    tilt: float,
    towards: float,
) -> View:
    """Look at a head that leans away.

    Args:
        rng: for the camera's distance.
        centre: pixels of the head's middle.
        radius: pixels.
        tilt: radians between the line of sight and the case.
        towards: radians: where in the picture the head's further side is.
    """
    distance = 5 + rng.exponential(15)
    sin, cos = math.sin(tilt), math.cos(tilt)
    c, s = math.cos(towards - math.pi / 2), math.sin(towards - math.pi / 2)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    lean = np.array([[1, 0, 0], [0, cos, 0], [0, sin / distance, 1]])
    to_pixels = np.array([[radius, 0, centre[0]], [0, radius, centre[1]], [0, 0, 1.0]])
    # Foreshortening acts along the turned axis, and the head itself is not turned by it.
    homography = to_pixels @ turn @ lean @ turn.T
    back = turn[:2, :2] @ np.array([0.0, -sin])
    return View(homography, (float(back[0]), float(back[1])), distance, radius, tilt)


def draw_hand(rng: np.random.Generator, canvas: LoadedImage, view: View, centre: Floats) -> None:
    """Fingers that hold a case from behind and beside; into `canvas`."""
    reach = max(canvas.shape[:2])
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))], np.float32) * rng.uniform(0.8, 1.1)
    wide = view.radius * rng.uniform(0.8, 2.2)
    side = rng.uniform(0, 2 * math.pi)
    along = np.array([math.cos(side), math.sin(side)])
    across = np.array([-along[1], along[0]])
    count = int(rng.integers(2, 5))
    for number in range(count):
        # Fingers lie side by side, each a little shorter or longer than the last.
        start = centre + along * view.radius * rng.uniform(-0.5, 0.7)
        tip = start + across * wide * (0.82 * (number - (count - 1) / 2) + rng.normal(0, 0.08))
        end = tip + reach * (along + across * rng.normal(0, 0.25))
        bent = (tip + end) / 2 + across * rng.normal(0, 0.25) * wide
        draw_bent_finger(rng, canvas, tip, bent, end, wide * rng.uniform(0.85, 1.1), skin)
    turn = side + rng.choice([-1, 1]) * rng.uniform(0.7, 1.5)  # the thumb
    away = np.array([math.cos(turn), math.sin(turn)])
    tip = centre + away * view.radius * rng.uniform(0.2, 0.9)
    end = centre + reach * (0.7 * away + 0.5 * along)
    bent = tip + away * wide * rng.uniform(1.5, 3)
    draw_bent_finger(rng, canvas, tip, bent, end, wide * rng.uniform(0.95, 1.3), skin)


def draw_case(
    rng: np.random.Generator, canvas: LoadedImage, view: View, metal: Floats, shotshell: bool
) -> None:
    """The case behind a head, as far as the head's lean shows it; into `canvas`."""
    length = rng.uniform(2.0, 6.0)
    waist = 1.0 if rng.random() < 0.3 else rng.uniform(0.86, 0.97)
    hull = np.array(_HULLS[int(rng.integers(len(_HULLS)))], np.float32)
    light = rng.uniform(0.35, 0.9)
    skirt = rng.uniform(0.3, 1.2) if shotshell else length
    stops = np.r_[np.linspace(length, 0.12, 14), 0.1, 0.05, 0.0]
    deep = math.cos(view.tilt) / view.distance
    head = view.circle()
    middle = head.mean(0)
    lean = np.array(view.lean) * view.radius
    covered = np.zeros(canvas.shape[:2], np.uint8)
    before = None
    for stop in stops:
        shrink = 1 / (1 + stop * deep)
        radius = 1.0 if stop < 0.1 else waist * (0.97 if stop > skirt else 1.0)
        ring = middle + (lean * stop + (head - middle) * radius) * shrink
        if before is not None:
            outline = cv2.convexHull(np.concatenate([before, ring]).astype(np.float32))
            base = hull if stop >= skirt else metal * 230
            # Darker further back, and in the groove before the rim.
            groove = 0.45 if waist < 0.97 and 0.05 < stop < 0.3 else 1.0
            shade = light * groove * (1 - 0.4 * stop / length) * rng.uniform(0.93, 1.07)
            colour = np.clip(base * shade, 0, 255).tolist()
            fixed = np.round(outline * 16).astype(np.int32)
            cv2.fillConvexPoly(canvas, fixed, colour, cv2.LINE_AA, 4)
            cv2.fillConvexPoly(covered, fixed, 255, cv2.LINE_AA, 4)
        before = ring
    _round_off(rng, canvas, view, middle, covered)


def drop_shadow(rng: np.random.Generator, canvas: LoadedImage, view: View) -> LoadedImage:
    """The soft shadow of a case on what it stands on."""
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    shift = rng.normal(0, 0.35, 2) * view.radius
    outline = view.circle(1.08) + shift + np.array(view.lean) * view.radius
    cv2.fillConvexPoly(mask, np.round(outline).astype(np.int32), 255)
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, view.radius * rng.uniform(0.08, 0.35)))
    keep = 255 - (soft * rng.uniform(0.3, 0.85)).astype(np.uint8)
    return np.asarray(
        cv2.multiply(canvas, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), scale=1 / 255), np.uint8
    )


def draw_things(rng: np.random.Generator, canvas: LoadedImage) -> None:
    """Round things that are no cartridges: buttons, washers, coins, pills; into `canvas`."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, 1, 2) * (width, height)
        radius = rng.uniform(0.02, 0.12) * min(width, height)
        turn, squeeze = rng.uniform(0, 180), rng.uniform(0.75, 1.0)
        colour = np.clip(rng.uniform(30, 235) + rng.normal(0, 25, 3), 0, 255)
        # Share of the radius, brightness, and thickness of each ring; -1 fills.
        rings = [(1.0, 0.6, -1), (0.95, 1.0, -1)]
        if rng.random() < 0.6:
            ring = (rng.uniform(0.6, 0.9), rng.uniform(0.7, 1.2), max(1, round(radius * 0.06)))
            rings.append(ring)
        if rng.random() < 0.3:  # a washer's hole, or a button's middle
            rings.append((rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.6), -1))
        for share, shade, thick in rings:
            axes = (max(1, round(radius * share)), max(1, round(radius * share * squeeze)))
            tone = np.clip(colour * shade, 0, 255).tolist()
            cv2.ellipse(canvas, (int(x), int(y)), axes, turn, 0, 360, tone, thick, cv2.LINE_AA)


def _round_off(
    rng: np.random.Generator,
    canvas: LoadedImage,
    view: View,
    middle: NDArray[np.floating],
    covered: LoadedImage,
) -> None:
    """Light and shade across the case, so that it looks round; only where it leans enough."""
    lean = math.hypot(*view.lean)
    if lean < 0.12:
        return
    across = np.array([-view.lean[1], view.lean[0]]) / lean
    height, width = canvas.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    at = ((columns - middle[0]) * across[0] + (rows - middle[1]) * across[1]) / view.radius
    lit = rng.uniform(-0.6, 0.6)
    gain = 0.45 + 0.75 * np.exp(-(((at - lit) / rng.uniform(0.3, 0.6)) ** 2))
    gain += rng.uniform(0.0, 0.7) * np.exp(-(((at - lit) / rng.uniform(0.06, 0.15)) ** 2))
    gain = 1 + (gain - 1) * (covered / 255.0)
    np.copyto(canvas, np.clip(canvas * gain[..., None], 0, 255).astype(np.uint8))
