"""Round a road: lane paint, verges, the distance, vehicles, a survey's caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from sightbook.defects.synth.fields import Field, as_field, at, cut, smooth_step
from sightbook.defects.synth.views import View
from sightbook.detection.labels.annotations import XYXY


def distance(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    """What is seen above the road, float32 RGB ``[H, W, 3]``: trees, sometimes sky over them."""
    width, height = size
    green = _foliage(rng, rng.uniform(45, 95))
    leaves = 1 + 0.3 * cut("rough", rng, size, (1.5, 1.5)) + 0.2 * cut("cloud", rng, size, (2, 2))
    canvas = as_field(np.clip(leaves, 0.2, 2.2)[..., None] * green)
    if rng.random() < 0.7:
        light = rng.uniform(195, 245)
        sky = (
            np.array([1 - rng.uniform(0, 0.25), 1 - rng.uniform(0, 0.08), 1.0], np.float32) * light
        )
        edge = height * rng.uniform(0.0, 0.25) + 0.02 * height * cut("cloud", rng, (width, 1))[0]
        above = smooth_step(edge - np.arange(height, dtype=np.float32)[:, None], -1.0, 2.0)[
            ..., None
        ]
        canvas = canvas * (1 - above) + sky * above
    return as_field(canvas)


def _foliage(rng: np.random.Generator, grey: float) -> Field:
    """A green between olive and straw, RGB; plants in photographs are duller than one thinks."""
    dry = rng.uniform(0, 1) ** 2
    return as_field(grey * np.array([0.82 + 0.22 * dry, 1.04, rng.uniform(0.55, 0.8)], np.float32))


def verges(
    ground: Field, view: View, rng: np.random.Generator, lane: tuple[float, float], outer: float
) -> None:
    """Shoulders, soil and grass beside the road.

    Args:
        ground: the view's part of the picture, float32 RGB; changed in place.
        view: what it shows.
        rng: the only source of chance.
        lane: left and right edge of the own lane, metres.
        outer: where the paved shoulder ends on the right, metres.
    """
    xs = view.u
    ys = np.ascontiguousarray(np.broadcast_to(view.z, xs.shape))
    shift = rng.uniform(0, 900, 2).astype(np.float32)
    waves = at("cloud", xs * np.float32(12) + shift[0], ys * np.float32(12) + shift[1])
    wide = lane[1] - lane[0]
    if rng.random() < 0.6:  # the paved shoulder is of another make
        gain = 1 + rng.choice((-1, 1)) * rng.uniform(0.02, 0.2)
        tint = np.array([1.0, 0.2, -0.5], np.float32) * rng.uniform(-4, 18)
        cover = smooth_step((xs - lane[1] - rng.uniform(0.05, 0.4)) * view.across, -1.0, 1.5)[
            ..., None
        ]
        ground += cover * (ground * np.float32(gain - 1) + tint)
    left = lane[0] - wide * rng.uniform(0.9, 1.1) - rng.uniform(0, 2.5)
    if rng.random() < 0.3:
        left -= wide
    red = rng.uniform(0, 1)  # from grey gravel to laterite
    soil = rng.uniform(105, 175) * np.array(
        [1 + 0.2 * red, 1 - 0.03 * red, 0.95 - 0.22 * red], np.float32
    )
    grass = _foliage(rng, rng.uniform(75, 130))
    texture = cut("rough", rng, (xs.shape[1], xs.shape[0]), (1.6, 1.6))
    stripe = rng.uniform(0.0, 2.5) * (rng.random() < 0.7)
    for away in (xs - outer, left - xs):
        if float(away.max()) <= 0:
            continue
        edge = away + 0.12 * waves
        for begin, colour, contrast in ((0.0, soil, 0.08), (stripe, grass, 0.2)):
            cover = smooth_step((edge - begin) * view.across, -2.0, 3.0)[..., None]
            tone = 1 + contrast * texture + 0.08 * waves
            ground += cover * (tone[..., None] * colour - ground)


def paint(ground: Field, view: View, rng: np.random.Generator, lane: tuple[float, float]) -> None:
    """Lane lines; few roads have none."""
    if rng.random() < 0.08:
        return
    left, right = lane
    yellow = rng.random() < 0.55
    wide = rng.uniform(0.09, 0.17)
    centre = rng.choice(("dashed", "solid", "double", "mixed"), p=(0.5, 0.1, 0.22, 0.18))
    if centre in ("double", "mixed"):
        stripe(ground, view, rng, left - wide, wide, yellow)
        stripe(ground, view, rng, left + wide, wide, yellow, dashed=centre == "mixed")
    else:
        stripe(ground, view, rng, left, wide, yellow, dashed=centre == "dashed")
    if rng.random() < 0.9:
        stripe(ground, view, rng, right, wide, False, dashed=rng.random() < 0.15)
    if rng.random() < 0.6:
        stripe(ground, view, rng, left - (right - left), wide, False, dashed=rng.random() < 0.3)


def stripe(
    ground: Field,
    view: View,
    rng: np.random.Generator,
    u: float,
    width: float,
    yellow: bool,
    dashed: bool = False,
) -> None:
    """A painted line along the road, new or worn.

    Args:
        ground: the view's part of the picture, float32 RGB; changed in place.
        view: what it shows.
        rng: the only source of chance.
        u: of its middle, metres.
        width: metres.
        yellow: yellow instead of white.
        dashed: with gaps.
    """
    cover = np.clip((width / 2 - np.abs(view.u - np.float32(u))) * view.across + 0.5, 0, 1)
    columns = np.flatnonzero(cover.any(0))
    if not len(columns):
        return
    part = np.s_[:, columns[0] : columns[-1] + 1]
    cover, xs = cover[part], view.u[part]
    if dashed:
        on = rng.uniform(2.0, 4.5)
        period = on * rng.uniform(2.0, 3.6)
        phase = np.mod(view.z + rng.uniform(0, period), period)
        cover = cover * np.clip(np.minimum(phase, on - phase) * view.along + 0.5, 0, 1)
    wear = rng.uniform(-3.5, 0.2)
    ys = np.ascontiguousarray(np.broadcast_to(view.z, xs.shape))
    shift = rng.uniform(0, 900, 2).astype(np.float32)
    worn = at("rough", xs * np.float32(70) + shift[0], ys * np.float32(70) + shift[1])
    cover = cover * smooth_step(worn, wear - 0.8, wear + 0.8) * rng.uniform(0.35, 1.0)
    white = rng.uniform(185, 245)
    colour = np.array(
        [white, white * 0.72, white * rng.uniform(0.2, 0.42)] if yellow else [white] * 3
    )
    target = ground[part]
    target += cover.astype(np.float32)[..., None] * (colour.astype(np.float32) - target)


def vehicles(
    canvas: Field,
    view: View,
    rng: np.random.Generator,
    lane: tuple[float, float],
    kept: Sequence[XYXY],
) -> None:
    """Cars ahead and lorries beside, but none that would hide one of the boxes `kept`."""
    wide = lane[1] - lane[0]
    if rng.random() < 0.28:
        z = rng.uniform(9, 30)
        u = (lane[0] + lane[1]) / 2 - (wide if rng.random() < 0.6 else 0) + rng.normal(0, 0.2)
        _car(canvas, view, rng, u, z, kept)
    if rng.random() < 0.08:
        _lorry(canvas, rng, kept)


def _hides(area: XYXY, kept: Sequence[XYXY]) -> bool:
    return any(
        area[0] < box[2] and box[0] < area[2] and area[1] < box[3] and box[1] < area[3]
        for box in kept
    )


def _car(
    canvas: Field,
    view: View,
    rng: np.random.Generator,
    u: float,
    z: float,
    kept: Sequence[XYXY],
) -> None:
    """A car from behind (or in front, at this size the same)."""
    x, y = (float(v) for v in view.pixels(np.array([[u, z]]))[0])
    across, _along = view.scales(y)
    w, h = 1.8 * across, 1.5 * across * rng.uniform(0.9, 1.2)
    if _hides((x - 0.6 * w, y - 1.02 * h, x + 0.6 * w, y + 0.12 * h), kept):
        return
    paint_ = rng.choice((20, 60, 120, 190, 235)) + rng.normal(0, 8, 3)

    def poly(points: list[tuple[float, float]], colour: ArrayLike) -> None:
        corners = np.array([(x + a * w / 2, y - b * h) for a, b in points])
        corners = np.clip(np.rint(corners * 8), -30000, 30000).astype(np.int32)
        shade = np.broadcast_to(np.asarray(colour, float), 3).tolist()
        cv2.fillPoly(canvas, [corners], shade, cv2.LINE_AA, 3)

    poly([(-1.1, -0.04), (1.15, -0.04), (1.05, 0.1), (-1.0, 0.1)], 28)
    for side in (-1, 1):
        poly([(side * 0.92, 0), (side * 0.62, 0), (side * 0.62, 0.25), (side * 0.92, 0.25)], 18)
    poly([(-1, 0.13), (1, 0.13), (1, 0.5), (0.93, 0.62), (0.72, 0.98), (0.5, 1.0), (-0.5, 1.0),
          (-0.72, 0.98), (-0.93, 0.62), (-1, 0.5)], paint_)  # fmt: skip
    poly([(-0.78, 0.64), (0.78, 0.64), (0.62, 0.93), (-0.62, 0.93)], (38, 44, 50))
    for side in (-1, 1):
        poly(
            [(side * 0.97, 0.42), (side * 0.74, 0.42), (side * 0.74, 0.57), (side * 0.95, 0.57)],
            (150, 30, 28),
        )
    poly([(-0.24, 0.3), (0.24, 0.3), (0.24, 0.39), (-0.24, 0.39)], 190)
    poly([(-0.98, 0.14), (0.98, 0.14), (0.98, 0.24), (-0.98, 0.24)], np.clip(paint_ * 0.5, 10, 120))


def _lorry(canvas: Field, rng: np.random.Generator, kept: Sequence[XYXY]) -> None:
    """The side of a lorry that comes along on the left, cut by the picture's edge."""
    height, width = canvas.shape[:2]
    reach, foot = width * rng.uniform(0.1, 0.35), height * rng.uniform(0.15, 0.5)
    lean = height * 0.5
    if _hides((0.0, 0.0, reach * 1.2, foot + lean * reach / width), kept):
        return
    colour = tuple(float(v) for v in rng.uniform(30, 210, 3))
    body = np.array(
        [(0, -9), (reach, -9), (reach, foot * 0.6), (0, foot * 0.6 + lean * reach / width)]
    )
    cv2.fillPoly(canvas, [body.astype(np.int32)], colour, cv2.LINE_AA)
    below = body + np.array((0, foot * 0.18))
    below[:2] = body[[3, 2]]
    cv2.fillPoly(canvas, [below.astype(np.int32)], (24.0, 24.0, 26.0), cv2.LINE_AA)
    for x in np.linspace(0, reach * 0.9, int(rng.integers(2, 5))):
        y = foot * 0.75 + lean * (reach - x) / width
        radius = max(4, int(foot * 0.22))
        for share, shade in ((1.0, 16.0), (0.6, 120.0), (0.35, 40.0)):
            axes = max(1, int(radius * share * 0.7)), max(1, int(radius * share))
            cv2.ellipse(canvas, (int(x), int(y)), axes, 0, 0, 360, (shade,) * 3, -1, cv2.LINE_AA)


def caption(canvas: Field, rng: np.random.Generator, kept: Sequence[XYXY]) -> None:
    """Letters in a corner, as survey programs put them there, but not over the boxes `kept`."""
    height, width = canvas.shape[:2]
    text = "".join(rng.choice(list("ABCDEFGHKLMNRSTUVX0123456789"), int(rng.integers(3, 7))))
    scale = height / 400 * rng.uniform(0.5, 1.0)
    font = int(rng.choice((cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SIMPLEX)))
    thick = max(1, round(2 * scale))
    (w, h), _ = cv2.getTextSize(text, font, scale, thick)
    x = 6 if rng.random() < 0.3 else width - w - 6
    y = h + 5 if rng.random() < 0.7 else height - 7
    colour = tuple(float(v) for v in rng.choice(((60, 120, 180), (250, 250, 250), (240, 220, 60))))
    if _hides((x - 3.0, y - h - 5.0, x + w + 3.0, y + 5.0), kept):
        return
    letters = np.zeros((height, width), np.uint8)
    cv2.putText(letters, text, (x, y), font, scale, 255, thick, cv2.LINE_AA)
    part = np.s_[max(0, y - h - 5) : y + 5, max(0, x - 3) : x + w + 3]
    cover = letters[part].astype(np.float32)[..., None] * np.float32(rng.uniform(0.5, 1.0) / 255)
    canvas[part] += cover * (np.array(colour, np.float32) - canvas[part])
