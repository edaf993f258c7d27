"""Roads from a survey car: asphalt, lane paint, verges, traffic, and potholes among other marks."""

from __future__ import annotations

import math

import numpy as np

from sightbook.defects.synth import marks, traffic
from sightbook.defects.synth.fields import Field, Mask, as_field, as_mask, at, cut, smooth_step
from sightbook.defects.synth.potholes import around, dig, light_from, pothole_size, road_hole
from sightbook.defects.synth.views import View, flat_view, road_view
from sightbook.detection.labels.annotations import Box
from sightbook.synth import degrade

COUNTS = ((1, 0.55), (2, 0.2), (3, 0.12), (4, 0.05), (6, 0.06), (8, 0.02))
"""How many potholes a damaged stretch has, and how often."""


def draw_road(
    rng: np.random.Generator, size: tuple[int, int], damaged: bool
) -> tuple[Mask, tuple[Box, ...]]:
    """A frame of a survey car's camera.

    Args:
        rng: the only source of chance.
        size: (width, height) in pixels.
        damaged: whether there are potholes.

    Returns:
        uint8 RGB ``[H, W, 3]`` and its potholes; none if none is wanted.
    """
    view = road_view(rng, size)
    lane = rng.uniform(3.2, 3.8)
    left = -lane * rng.uniform(0.4, 0.6)
    canvas = traffic.distance(rng, size)
    ground = canvas[view.top :]
    ground[:] = asphalt(view, rng)
    outer = left + lane + rng.uniform(0.2, 2.8)
    traffic.verges(ground, view, rng, (left, left + lane), outer)
    _wear(ground, view, rng, (left, left + lane))
    traffic.paint(ground, view, rng, (left, left + lane))
    boxes = _potholes(canvas, view, rng, (left - 0.6, outer), damaged)
    if rng.random() < 0.3:
        marks.shadows(canvas, rng)
    kept = [box.xyxy for box in boxes]
    traffic.vehicles(canvas, view, rng, (left, left + lane), kept)
    if rng.random() < 0.2:
        traffic.caption(canvas, rng, kept)
    return expose(canvas, rng), boxes


def draw_asphalt(
    rng: np.random.Generator, size: tuple[int, int], damaged: bool
) -> tuple[Mask, tuple[Box, ...]]:
    """Asphalt seen squarely from above, with potholes if it is damaged."""
    view = flat_view(rng, size, (1.5, 6.0))
    canvas = asphalt(view, rng)
    half = float(view.u[0, -1])
    _wear(canvas, view, rng, (-half, half))
    if rng.random() < 0.35:
        traffic.stripe(canvas, view, rng, rng.uniform(-half, half), rng.uniform(0.08, 0.2), False)
    boxes = _potholes(canvas, view, rng, (-half, half), damaged)
    if rng.random() < 0.3:
        marks.shadows(canvas, rng)
    return expose(canvas, rng), boxes


def asphalt(view: View, rng: np.random.Generator) -> Field:
    """Bare asphalt, float32 RGB of the view's part of the picture.

    Streaks run along the road, where wheels polish it, and bands across it, as it was laid.
    """
    grey = rng.uniform(75, 165)
    warm, green = rng.normal(0, 5), rng.normal(0, 2.5)
    colour = np.array([grey + warm, grey + green, grey - warm * 0.7], np.float32)
    xs = view.u
    ys = np.ascontiguousarray(np.broadcast_to(view.z, xs.shape))
    shift = rng.uniform(0, 1000, 8).astype(np.float32)
    along = at(
        "cloud",
        xs * np.float32(rng.uniform(40, 90)) + shift[0],
        ys * np.float32(rng.uniform(0.6, 3)) + shift[1],
    )
    spots = at("cloud", xs * np.float32(45) + shift[2], ys * np.float32(14) + shift[3])
    bands = at("rough", xs * np.float32(9) + shift[4], ys * np.float32(40) + shift[5])
    stones = at("rough", xs * np.float32(110) + shift[6], ys * np.float32(110) + shift[7])
    near = np.clip(view.across / 260, 0.25, 1.0)
    tone = 1 + rng.uniform(0.01, 0.075) * along + rng.uniform(0.005, 0.04) * spots
    tone += rng.uniform(0.0, 0.02) * bands + rng.uniform(0.02, 0.065) * near * stones
    tone += rng.uniform(0.005, 0.03) * cut("grain", rng, (xs.shape[1], xs.shape[0]))
    ground = tone[..., None] * colour
    # dust and tyres: the streaks differ in colour, too
    tint = np.array([1.0, 0.35, -0.6], np.float32) * rng.normal(0, 2.5)
    cold = np.array([-0.5, 0.1, 0.8], np.float32) * rng.normal(0, 1.2)
    ground += (along + 0.5 * bands)[..., None] * tint + spots[..., None] * cold
    return as_field(ground)


def _wear(ground: Field, view: View, rng: np.random.Generator, road: tuple[float, float]) -> None:
    """What a sound road has: seams, repairs, cracks, stains, tar, scuffs."""
    left, right = road
    height, width = ground.shape[:2]

    def spot() -> tuple[float, float]:
        # evenly over the picture, not over the road: there it is seen
        return view.place(
            rng.uniform(0.1, 0.95) * width, view.top + rng.uniform(0.03, 1.0) * height
        )

    if rng.random() < 0.35:  # a lane laid in another year
        seam = rng.uniform(left, right)
        edge = smooth_step((view.u - seam) * view.across, -1.0, 1.0)
        ground *= (1 + rng.choice((-1, 1)) * rng.uniform(0.03, 0.16) * edge)[..., None]
        if rng.random() < 0.6:
            path = np.stack(
                [np.full(60, seam), np.linspace(float(view.z.min()), float(view.z.min()) + 30, 60)],
                1,
            )
            path[:, 0] += np.cumsum(rng.normal(0, 0.006, 60))
            marks.crack(ground, view, rng, path, rng.uniform(0.005, 0.03), rng.uniform(0.15, 0.6))
    for _ in range(int(rng.poisson(0.7))):
        marks.repair(ground, view, rng, *spot())
    for _ in range(int(rng.poisson(2.5))):
        marks.stain(ground, view, rng, *spot())
    for _ in range(int(rng.poisson(0.9))):
        marks.scuffs(ground, view, rng, *spot())
    for _ in range(int(rng.poisson(0.9))):
        dark = rng.uniform(0.1, 0.5) if rng.random() < 0.6 else -rng.uniform(0.05, 0.2)
        marks.crazing(ground, view, rng, *spot(), dark)
    for _ in range(int(rng.poisson(1.6))):
        angle = rng.choice((0.0, math.pi / 2, math.pi / 2)) + rng.normal(0, 0.25)
        length = math.exp(rng.normal(0.4, 0.8))
        path = marks.crack_path(rng, spot(), angle, length)
        tar = rng.random() < 0.15
        width_m = rng.uniform(0.03, 0.06) if tar else rng.uniform(0.003, 0.016)
        dark = rng.uniform(0.2, 0.6) if tar or rng.random() < 0.8 else -rng.uniform(0.1, 0.3)
        marks.crack(ground, view, rng, path, width_m, dark)
    marks.debris(ground, view, rng, int(rng.poisson(12)))


def _potholes(
    canvas: Field, view: View, rng: np.random.Generator, road: tuple[float, float], damaged: bool
) -> tuple[Box, ...]:
    if not damaged:
        return ()
    numbers = np.array([n for n, _ in COUNTS])
    odds = np.array([share for _, share in COUNTS])
    count = int(rng.choice(numbers, p=odds / odds.sum()))
    width, height = view.size
    light = light_from(rng)
    look = road_hole(rng)
    boxes: list[Box] = []
    for _ in range(count * 4):
        if len(boxes) == count:
            break
        if boxes and rng.random() < 0.5:  # the next hole of a row in the same track
            x0, y0, x1, y1 = boxes[-1].xyxy
            x, y = (
                (x0 + x1) / 2 + rng.normal(0, 25),
                (y0 + y1) / 2 + rng.choice((-1, 1)) * rng.uniform(12, 70),
            )
        else:
            x, y = (
                rng.uniform(0, 1) * width,
                view.top + (0.05 + 0.95 * rng.random() ** 1.4) * (height - view.top),
            )
        y = float(np.clip(y, view.top + 4, height - 3))
        u, _z = view.place(x, y)
        if not road[0] < u < road[1] or not 0 <= x < width:
            continue
        wide, high = pothole_size(rng, view, y)
        area = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
        if any(_touch(area, box.xyxy) for box in boxes):
            continue
        ground = canvas[view.top :]
        place = view.place(x, y)
        if rng.random() < 0.35:  # the surface round it goes, too
            chosen = rng.choice(("scuffs", "crazing", "stain"))
            if chosen == "scuffs":
                marks.scuffs(ground, view, rng, *place)
            elif chosen == "crazing":
                marks.crazing(ground, view, rng, *place, rng.uniform(0.1, 0.5))
            else:
                marks.stain(ground, view, rng, *place)
        if rng.random() < 0.4:
            look = road_hole(rng)
        outlines = dig(canvas, view, rng, (x, y), wide, high, light, look)
        if outlines:
            boxes.append(Box("pothole", around(outlines, rng, view.size), outlines))
    return tuple(boxes)


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def expose(canvas: Field, rng: np.random.Generator) -> Mask:
    """Photograph a scene, float32 RGB ``[H, W, 3]``: light, haze, lens, noise, sharpening, JPEG."""
    image = as_mask(np.clip(canvas, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        image = degrade.uneven_light(image, rng, rng.uniform(0.03, 0.2))
    if rng.random() < 0.4:  # haze and stray light
        image = degrade.contrast(image, rng.uniform(0.6, 0.95), rng.uniform(0, 14))
    else:
        image = degrade.contrast(image, rng.uniform(0.9, 1.25), rng.uniform(-12, 12))
    image = degrade.color_cast(image, rng, rng.uniform(0, 0.05))
    if rng.random() < 0.3:
        image = degrade.downscale(image, rng.uniform(1.1, 1.8))
    image = degrade.gaussian_blur(image, rng.uniform(0.2, 0.75))
    if rng.random() < 0.15:
        image = degrade.motion_blur(image, rng.uniform(2, 5), 90 + rng.normal(0, 15))
    image = degrade.noise(image, rng, rng.uniform(0.5, 3.5), grain=rng.uniform(1.0, 2.2))
    if rng.random() < 0.75:
        image = degrade.sharpen(image, rng.uniform(0.3, 1.6), rng.uniform(0.6, 1.4))
    return degrade.jpeg(image, int(rng.integers(45, 96)))
