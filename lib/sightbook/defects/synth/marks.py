"""What lies on surfaces beside holes: cracks, repairs, stains, tar, crazing, scuffs, shadows.

Every function changes the view's part of the picture, float32 RGB ``[H - top, W, 3]``, in place.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.defects.synth.fields import Field, Mask, as_field, as_mask, at, cut, smooth_step
from sightbook.defects.synth.views import View
from sightbook.detection.labels.annotations import Points

Path = NDArray[np.float64]


def crack_path(
    rng: np.random.Generator, start: tuple[float, float], angle: float, length: float
) -> Path:
    """A crack's path ``[n, 2]`` (u, z) in metres: a walk that wavers and keeps its direction."""
    steps = int(np.clip(length / 0.04, 28, 80))
    headings = angle + np.cumsum(rng.normal(0, 0.05, steps)) + rng.normal(0, 0.5, steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * (length / steps)
    return np.asarray(start) + np.vstack([[0, 0], np.cumsum(moves, axis=0)])


def crack(
    ground: Field, view: View, rng: np.random.Generator, path: Path, width: float, depth: float
) -> tuple[Points, ...]:
    """Draw a crack with its branches.

    Args:
        ground: the view's part of the picture.
        view: what it shows.
        rng: the only source of chance.
        path: ``[n, 2]`` in metres.
        width: metres; lines finer than a pixel are drawn paler.
        depth: 0 to 1, how dark it is; negative for one filled with light dust.

    Returns:
        Outlines in the picture, float32 ``[n, 2]`` each.
    """
    mask = np.zeros(ground.shape[:2], np.uint8)
    paths = [path]
    for _ in range(int(rng.integers(0, 3))):
        k = int(rng.integers(len(path)))
        ahead = path[-1] - path[0]
        turn = math.atan2(ahead[1], ahead[0]) + rng.choice((-1, 1)) * rng.uniform(0.4, 1.3)
        long = float(np.linalg.norm(ahead)) * rng.uniform(0.1, 0.35)
        paths.append(crack_path(rng, (path[k, 0], path[k, 1]), turn, long))
    for number, one in enumerate(paths):
        _stroke(mask, view, one, width * (1.0 if number == 0 else 0.6), rng)
    return _sink(ground, view, mask, depth)


def _stroke(mask: Mask, view: View, path: Path, width: float, rng: np.random.Generator) -> None:
    """Draw a line of uneven width, in pieces."""
    points = view.pixels(path) - (0, view.top)
    pieces = max(1, len(points) // 5)
    for piece in np.array_split(np.arange(len(points)), pieces):
        part = points[piece[0] : piece[-1] + 2]
        if len(part) < 2 or part[:, 1].max() < 0 or part[:, 1].min() > len(mask):
            continue
        if np.abs(part).max() > 8000:
            continue
        across, along = view.scales(float(part[0, 1]) + view.top)
        thick = width * math.sqrt(across * along) * rng.uniform(0.5, 1.4)
        strength = int(255 * min(1.0, max(0.35, thick)))
        line = np.rint(part * 8).astype(np.int32)
        cv2.polylines(mask, [line], False, strength, max(1, round(thick)), cv2.LINE_AA, 3)


def _sink(ground: Field, view: View, mask: Mask, depth: float) -> tuple[Points, ...]:
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return ()
    part = np.s_[y : y + h, x : x + w]
    ground[part] *= 1 - depth * (mask[part].astype(np.float32) / 255)[..., None]
    joined = cv2.dilate(mask[part], np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array([x, y + view.top], np.float32)
    return tuple(
        c[:, 0].astype(np.float32) + corner
        for c in contours
        if len(c) >= 3 and cv2.arcLength(c, True) > 16
    )


def _polygon(view: View, points: NDArray[np.floating], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape[:2], np.uint8)
    corners = np.clip(view.pixels(points) - (0, view.top), -4000, 4000)
    cv2.fillPoly(mask, [np.rint(corners * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return mask


def repair(ground: Field, view: View, rng: np.random.Generator, u: float, z: float) -> None:
    """A patch of newer asphalt: darker as a rule, with crisp or with irregular edges."""
    half = np.exp(rng.normal((-0.5, 0.0), 0.5))
    if rng.random() < 0.6:
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        corners = corners * rng.uniform(0.85, 1.1, (4, 1))
    else:
        angles = np.linspace(0, 2 * math.pi, 22, endpoint=False)
        walk = np.cumsum(rng.normal(0, 0.16, 22))
        walk += (walk[0] - walk[-1]) * np.linspace(0, 1, 22)  # comes back to where it began
        radii = np.clip(1 + walk - walk.mean(), 0.35, 1.8)
        corners = np.stack([np.cos(angles), np.sin(angles)], 1) * half * radii[:, None]
    mask = _polygon(view, corners + np.array((u, z)), ground.shape)
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return
    part = np.s_[y : y + h, x : x + w]
    cover = mask[part].astype(np.float32) / 255
    if rng.random() < 0.4:  # worn off in places
        xs, ys = view.u[part] * 90, np.broadcast_to(view.z[y : y + h] * 90, (h, w))
        cover *= smooth_step(at("cloud", xs, np.ascontiguousarray(ys)), -1.5, 0.5)
    ground[part] *= 1 - (cover * rng.uniform(-0.1, 0.42))[..., None]
    if rng.random() < 0.4:  # sealed along its edge
        edge = cv2.morphologyEx(mask[part], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        ground[part] *= 1 - (edge.astype(np.float32) / 255 * rng.uniform(0.1, 0.4))[..., None]


def stain(ground: Field, view: View, rng: np.random.Generator, u: float, z: float) -> None:
    """A spot of oil, damp or dust: soft, without relief."""
    radius = rng.uniform(0.06, 0.5) * np.array([1.0, rng.uniform(0.7, 4.0)])
    window = _window(view, u, z, 2.2 * radius)
    if window is None:
        return
    xs, ys = (
        view.u[window],
        np.ascontiguousarray(np.broadcast_to(view.z[window[0]], view.u[window].shape)),
    )
    away = ((xs - u) / radius[0]) ** 2 + ((ys - z) / radius[1]) ** 2
    shift = rng.uniform(0, 900, 2).astype(np.float32)
    wavy = at("cloud", xs * np.float32(60) + shift[0], ys * np.float32(60) + shift[1])
    cover = smooth_step(1.2 - np.sqrt(away) + 0.35 * wavy, 0.0, rng.uniform(0.25, 1.2))
    if rng.random() < 0.7:
        ground[window] *= 1 - (cover * rng.uniform(0.08, 0.4))[..., None]
    else:
        dust = np.array([22, 16, 8], np.float32) * rng.uniform(0.3, 1.6)
        ground[window] += cover[..., None] * dust


def _window(
    view: View, u: float, z: float, reach: NDArray[np.floating]
) -> tuple[slice, slice] | None:
    # what lies behind the camera has no place in the picture
    nearest = -math.inf if math.isinf(view.horizon) else 0.2
    corners = np.array(
        [(u + i * reach[0], max(nearest, z + j * reach[1])) for i in (-1, 1) for j in (-1, 1)]
    )
    points = view.pixels(corners) - (0, view.top)
    height, width = view.u.shape
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    left, right = max(0, int(x0)), min(width, int(x1) + 1)
    top, bottom = max(0, int(y0)), min(height, int(y1) + 1)
    if right - left < 3 or bottom - top < 3:
        return None
    return slice(top, bottom), slice(left, right)


def crazing(
    ground: Field, view: View, rng: np.random.Generator, u: float, z: float, depth: float
) -> None:
    """A net of fine cracks, as of worn-out asphalt, in a patch with soft borders.

    Args:
        ground: the view's part of the picture.
        view: what it shows.
        rng: the only source of chance.
        u: of its middle, metres.
        z: of its middle, metres.
        depth: how dark the cracks are, 0 to 1; negative for cracks filled with light dust.
    """
    radius = np.array([rng.uniform(0.25, 0.9), rng.uniform(0.4, 2.5)])
    window = _window(view, u, z, 1.6 * radius)
    if window is None:
        return
    xs = view.u[window]
    ys = np.ascontiguousarray(np.broadcast_to(view.z[window[0]], xs.shape))
    cells = np.float32(rng.uniform(130, 260))
    shift = rng.uniform(0, 900, 4).astype(np.float32)
    stretch = np.float32(rng.choice((1.0, 1.0, 2.5)))
    one = at("cloud", xs * cells + shift[0], ys * cells * stretch + shift[1])
    other = at("cloud", xs * cells + shift[2], ys * cells * stretch + shift[3])
    lines = np.maximum(1 - np.abs(one) / 0.09, 1 - np.abs(other) / 0.06)
    away = ((xs - u) / radius[0]) ** 2 + ((ys - z) / radius[1]) ** 2
    fading = np.clip(1.2 - away, 0, 1) * np.clip(0.7 + 0.5 * other, 0, 1)
    ground[window] *= 1 - (depth * np.clip(lines, 0, 1) * fading)[..., None]


def scuffs(ground: Field, view: View, rng: np.random.Generator, u: float, z: float) -> None:
    """Where the topmost layer has come off in streaks across the road: pale, flat, earthy."""
    radius = np.array([rng.uniform(0.3, 1.1), rng.uniform(0.3, 1.4)])
    window = _window(view, u, z, 1.6 * radius)
    if window is None:
        return
    xs = view.u[window]
    ys = np.ascontiguousarray(np.broadcast_to(view.z[window[0]], xs.shape))
    shift = rng.uniform(0, 900, 2).astype(np.float32)
    fine = np.float32(rng.uniform(50, 110))
    streaks = at(
        "cloud", xs * fine * np.float32(0.35) + shift[0], ys * fine * np.float32(1.6) + shift[1]
    )
    away = ((xs - u) / radius[0]) ** 2 + ((ys - z) / radius[1]) ** 2
    cover = smooth_step(streaks - 0.9 * away, -0.2, 0.9)
    dust = np.array([34, 27, 20], np.float32) + rng.uniform(-1, 1) * np.array(
        [10, 0, -10], np.float32
    )
    ground[window] += (cover * rng.uniform(0.15, 0.8))[..., None] * dust.astype(np.float32)


def debris(ground: Field, view: View, rng: np.random.Generator, count: int) -> None:
    """Stones, leaves and cat's eyes: small flat spots, light or dark."""
    height, width = ground.shape[:2]
    for _ in range(count):
        x, y = int(rng.integers(width)), int(height * rng.uniform(0, 1) ** 0.7)
        across, _along = view.scales(y + view.top)
        size = int(np.clip(rng.uniform(0.01, 0.05) * across, 1, 5))
        gain = np.float32(rng.choice((rng.uniform(0.5, 0.85), rng.uniform(1.1, 1.5))))
        ground[y : y + max(1, size // 2), x : x + size] *= gain


def shadows(image: Field, rng: np.random.Generator) -> None:
    """Shadows of a pole, of trees at the roadside or of what drives beside; float32 RGB."""
    height, width = image.shape[:2]
    kind = rng.choice(("pole", "trees", "edge"))
    small = 4
    mask = np.zeros((height // small + 1, width // small + 1), np.uint8)
    rows, columns = mask.shape
    if kind == "pole":
        y = rng.uniform(0.2, 1.0) * rows
        slope = rng.normal(0, 0.15) * rows
        thick = max(1, round(rows * rng.uniform(0.01, 0.06)))
        cv2.line(mask, (0, int(y)), (columns, int(y + slope)), 255, thick, cv2.LINE_AA)
    elif kind == "edge":
        edge = rng.uniform(0.1, 0.9) * columns
        lean = rng.normal(0, 0.5) * columns
        side = columns if rng.random() < 0.5 else 0
        dark = np.array([(edge, 0), (edge + lean, rows), (side, rows), (side, 0)])
        cv2.fillPoly(mask, [dark.astype(np.int32)], 255)
    else:
        # dappled, thinning out from one side
        leaves = cut("cloud", rng, (columns, rows), (rng.uniform(0.6, 1.5), rng.uniform(0.3, 0.8)))
        side = np.linspace(1.6, -1.6, columns, dtype=np.float32) * rng.choice((-1, 1))
        mask[:] = smooth_step(leaves + side + np.float32(rng.uniform(-1, 0.5)), 0.0, 0.5) * 255
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 2.0))
    cover = as_mask(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))
    strength = rng.uniform(0.2, 0.6) / 255
    # shade is lit by the sky: it loses red more than blue
    for channel, share in enumerate((1.0, 0.95, 0.85)):
        image[..., channel] *= 1 - as_field(cover.astype(np.float32)) * np.float32(strength * share)
