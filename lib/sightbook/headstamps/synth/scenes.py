"""Where cartridges are photographed: tables, cloth, soil, hands; and the cases below the heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook import degrade
from sightbook.headstamps.synth.metal import Floats, clouds

Picture = NDArray[np.uint8]

_WOODS = (
    ((150, 88, 38), (226, 150, 78)), ((84, 52, 32), (158, 108, 70)), ((46, 30, 24), (98, 68, 52)),
    ((168, 132, 92), (230, 204, 166)), ((100, 52, 34), (170, 98, 64)),
)  # fmt: skip
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


def draw_background(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Something to lie on, uint8 RGB ``[height, width, 3]``."""
    small = (max(8, height // 2), max(8, width // 2))
    draw = rng.random()
    if draw < 0.3:
        picture = _wood(rng, small)
    elif draw < 0.5:
        picture = _cloth(rng, small)
    elif draw < 0.65:
        picture = _soil(rng, small)
    elif draw < 0.75:
        picture = _blocks(rng, small)
    elif draw < 0.85:
        picture = _mottled(rng, small, rng.uniform(60, 200), 0.14)
    else:
        picture = _mottled(rng, small, rng.uniform(10, 250), 0.03)
    if rng.random() < 0.25:  # the edge of the table, and what lies beyond
        other = (_cloth if rng.random() < 0.5 else _blocks)(rng, small)
        line = rng.uniform(0.1, 0.4) * small[0]
        slope = rng.normal(0, 0.15)
        rows, columns = np.mgrid[0 : small[0], 0 : small[1]]
        beyond = rows < line + slope * columns
        picture = np.where(beyond[..., None], other, picture)
    enlarged = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    lit = degrade.uneven_light(np.asarray(enlarged, np.uint8), rng, rng.uniform(0, 0.6))
    return degrade.cast_shadow(lit, rng, rng.uniform(0.2, 0.8)) if rng.random() < 0.3 else lit


def draw_hand(rng: np.random.Generator, canvas: Picture, view: View, centre: Floats) -> None:
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
        _finger(rng, canvas, tip, bent, end, wide * rng.uniform(0.85, 1.1), skin)
    turn = side + rng.choice([-1, 1]) * rng.uniform(0.7, 1.5)  # the thumb
    away = np.array([math.cos(turn), math.sin(turn)])
    tip = centre + away * view.radius * rng.uniform(0.2, 0.9)
    end = centre + reach * (0.7 * away + 0.5 * along)
    bent = tip + away * wide * rng.uniform(1.5, 3)
    _finger(rng, canvas, tip, bent, end, wide * rng.uniform(0.95, 1.3), skin)


def draw_case(
    rng: np.random.Generator, canvas: Picture, view: View, metal: Floats, shotshell: bool
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


def drop_shadow(rng: np.random.Generator, canvas: Picture, view: View) -> Picture:
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


def draw_things(rng: np.random.Generator, canvas: Picture) -> None:
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


def _ramp(field: Floats, low: NDArray[np.floating], high: NDArray[np.floating]) -> Picture:
    """A field of about unit deviation as colours between two."""
    share = np.clip(0.5 + field / 4, 0, 1)[..., None]
    return np.clip(low + (high - low) * share, 0, 255).astype(np.uint8)


def _wood(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    rows, columns = shape
    y = np.arange(rows, dtype=np.float32)[:, None]
    rings = np.sin((y + rng.uniform(3, 20) * clouds(rng, shape, 3, 1)) / rng.uniform(3, 14))
    fine = rng.standard_normal((rows, columns // 12 + 2)).astype(np.float32)
    fibre = cv2.resize(fine, (columns, rows), interpolation=cv2.INTER_CUBIC)
    field = rng.uniform(0.2, 0.9) * rings + 0.5 * fibre + 0.7 * clouds(rng, shape, 4, 3)
    low, high = _WOODS[int(rng.integers(len(_WOODS)))]
    picture = _ramp(field.astype(np.float32), np.array(low, float), np.array(high, float))
    return np.rot90(picture) if rng.random() < 0.4 and rows == columns else picture


def _cloth(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    pitch = rng.uniform(2.5, 7)
    weave = np.sin(2 * np.pi * columns / pitch) * np.sin(2 * np.pi * rows / pitch)
    field = 0.5 * weave + rng.uniform(0.3, 1.0) * clouds(rng, shape, 3, 3)
    picture = _ramp(field, *_two(rng, rng.uniform(0.2, 0.7)))
    if rng.random() < 0.4:  # checks
        wide = rng.uniform(20, 90)
        checks = (np.sin(2 * np.pi * columns / wide) > 0).astype(np.float32)
        checks += np.sin(2 * np.pi * rows / wide) > 0
        other = _two(rng, 0.5)[1]
        picture = np.clip(picture + (other - picture) * checks[..., None] * 0.4, 0, 255).astype(
            np.uint8
        )
    return picture


def _soil(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    brown = np.array([rng.uniform(80, 170), rng.uniform(65, 130), rng.uniform(45, 100)])
    field = clouds(rng, shape, 6, 5) + 0.8 * rng.standard_normal(shape).astype(np.float32)
    picture = _ramp(field.astype(np.float32), brown * 0.35, brown * 1.35)
    for _ in range(int(rng.integers(10, 60))):  # gravel and leaves
        at = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        axes = (int(rng.integers(1, 12)), int(rng.integers(1, 7)))
        tone = np.clip(brown * rng.uniform(0.4, 1.6) + rng.normal(0, 12, 3), 0, 255).tolist()
        cv2.ellipse(picture, at, axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
    return picture


def _blocks(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Rows of dark or light blocks: keyboards, tiles, bricks."""
    low, high = _two(rng, 0.4)
    if rng.random() < 0.6:
        low, high = low * 0.15 + 8, high * 0.2 + 18
    picture = _ramp(clouds(rng, shape, 5, 3), low * 0.6, low)
    side = rng.uniform(0.06, 0.16) * max(shape)
    wide = side * rng.uniform(1.0, 2.2)
    gap = side * rng.uniform(0.06, 0.2)
    for row in range(int(shape[0] / side) + 1):
        shift = rng.uniform(-1, 0) * wide
        for column in range(int(shape[1] / wide) + 2):
            x0, y0 = shift + column * wide + gap, row * side + gap
            tone = np.clip(high * rng.uniform(0.85, 1.15), 0, 255).tolist()
            corner = (int(x0 + wide - 2 * gap), int(y0 + side - 2 * gap))
            cv2.rectangle(picture, (int(x0), int(y0)), corner, tone, -1)
    angle = rng.normal(0, 12)
    centre = (shape[1] / 2, shape[0] / 2)
    matrix = np.array(cv2.getRotationMatrix2D(centre, angle, 1.35))
    turned = cv2.warpAffine(
        picture, matrix, (shape[1], shape[0]), borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(turned, np.uint8)


def _mottled(
    rng: np.random.Generator, shape: tuple[int, int], level: float, depth: float
) -> Picture:
    """Concrete, paper, paint: one tone with grain."""
    tone = np.clip(level + rng.normal(0, 0.06, 3) * level, 5, 250)
    field = clouds(rng, shape, 4, 4) + rng.standard_normal(shape).astype(np.float32)
    return _ramp(field.astype(np.float32), tone * (1 - 2 * depth), tone * (1 + 2 * depth))


def _two(
    rng: np.random.Generator, contrast: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A dark and a light tone of one colour."""
    hue = [rng.uniform(0, 180), 150 * rng.random() ** 2, rng.uniform(40, 245)]
    hsv = np.array([[hue]]).astype(np.uint8)
    high = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
    return high * (1 - contrast), high


def _finger(
    rng: np.random.Generator,
    canvas: Picture,
    tip: NDArray[np.floating],
    bent: NDArray[np.floating],
    end: NDArray[np.floating],
    wide: float,
    skin: Floats,
) -> None:
    """One finger along a bent line: round across, redder at the tip, with a nail at times."""
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
        cv2.polylines(canvas, [fixed], False, tone.tolist(), thick, cv2.LINE_AA, 4)
    if rng.random() < 0.5:
        along = line[2] - line[0]
        turn = math.degrees(math.atan2(along[1], along[0]))
        middle = tuple(np.round(line[0] + 0.1 * along).astype(int).tolist())
        axes = (max(1, round(0.42 * wide)), max(1, round(0.3 * wide)))
        nail = np.clip(skin * np.array([1.05, 1.02, 1.05]) + 12, 0, 255).tolist()
        cv2.ellipse(canvas, middle, axes, turn, 0, 360, (skin * 0.72).tolist(), -1, cv2.LINE_AA)
        smaller = (max(1, axes[0] - 1), max(1, axes[1] - 1))
        cv2.ellipse(canvas, middle, smaller, turn, 0, 360, nail, -1, cv2.LINE_AA)


def _round_off(
    rng: np.random.Generator,
    canvas: Picture,
    view: View,
    middle: NDArray[np.floating],
    covered: Picture,
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
