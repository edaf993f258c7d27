"""The six faults of bare boards, drawn into the copper as DeepPCB's were: with a rough pen.

Kinds and their names follow DeepPCB (Tang et al. 2019, "Online PCB Defect Detector On A New PCB
Defect Dataset"): a trace that is cut, two conductors that are joined, a bite out of an edge, a
spur on an edge, copper where none belongs, and a hole in copper.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.defects.synth.fields import Field, Mask, as_field, as_mask
from sightbook.detection.labels.annotations import XYXY, Box

LABELS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""Names of the faults, in DeepPCB's order."""

LONGEST = 70
"""Longest cut or bridge, pixels of a picture of 640."""

Vector = NDArray[np.float64]


class Layout:
    """What a fault needs to know about the sound board, computed once.

    Attributes:
        copper: the sound board, uint8 ``[H, W]``, 255 where copper is.
        edges: int ``[n, 2]``, (x, y) of the pixels along the edges of copper.
        inside: float32 ``[H, W]``, distance from copper's pixels to the nearest bare one.
        outside: float32 ``[H, W]``, distance from bare pixels to the nearest copper.
        parts: int32 ``[H, W]``, the number of the conductor, 0 on the bare board.
    """

    def __init__(self, copper: Mask) -> None:
        self.copper = copper
        contours, _ = cv2.findContours(copper, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        height, width = copper.shape
        points = np.concatenate([c[:, 0] for c in contours]) if contours else np.zeros((0, 2), int)
        clear = (points > 12).all(1) & (points < (width - 13, height - 13)).all(1)
        self.edges = points[clear]
        self.inside = as_field(cv2.distanceTransform(copper, cv2.DIST_L2, 3))
        bare = as_mask(cv2.bitwise_not(copper))
        self.outside = as_field(cv2.distanceTransform(bare, cv2.DIST_L2, 3))
        self.parts = cv2.connectedComponents(copper)[1]
        self._soft = cv2.GaussianBlur(copper, (0, 0), 2.5).astype(np.float32)

    def inward(self, x: int, y: int) -> Vector:
        """Unit vector from an edge into the copper."""
        soft = self._soft
        across = np.array(
            [soft[y, x + 2] - soft[y, x - 2], soft[y + 2, x] - soft[y - 2, x]], np.float64
        )
        return across / max(float(np.linalg.norm(across)), 1e-6)

    def run(self, start: Vector, direction: Vector, copper: bool) -> tuple[int, int]:
        """Pixels from an edge until copper ends (or begins), and the conductor there.

        Returns:
            The length, or 0 if it is longer than :data:`LONGEST` or leaves the picture, and the
            number of the conductor that was met.
        """
        steps = np.arange(2, LONGEST + 4)[:, None]
        xs, ys = np.rint(start + steps * direction).astype(int).T
        height, width = self.copper.shape
        seen = (xs >= 0) & (ys >= 0) & (xs < width) & (ys < height)
        xs, ys = xs[seen], ys[seen]
        other = (self.copper[ys, xs] > 0) != copper
        if not other.any():
            return 0, 0
        first = int(other.argmax())
        return first + 2, int(self.parts[ys[first], xs[first]])


def break_board(rng: np.random.Generator, copper: Mask, count: int) -> tuple[Mask, tuple[Box, ...]]:
    """Draw faults into a board.

    Args:
        rng: the only source of chance.
        copper: uint8 ``[H, W]``, 255 where copper is; not written to.
        count: how many faults are wanted; there are fewer where no room is found.

    Returns:
        The broken board and its faults. Boxes have a margin of about 10 pixels round what was
        changed, as DeepPCB's have, so that the surroundings that make it a fault are inside.
    """
    layout = Layout(copper)
    broken = copper.copy()
    boxes: list[Box] = []
    wanted = [LABELS[k] for k in rng.integers(0, len(LABELS), count)]
    for label in wanted:
        for _ in range(8):
            stroke = _FAULTS[label](rng, layout)
            if stroke is None:
                continue
            paint, adds = stroke
            after = as_mask(layout.copper | paint if adds else layout.copper & ~paint)
            changed = as_mask(cv2.bitwise_xor(after, layout.copper))
            x, y, width, height = cv2.boundingRect(changed)
            if cv2.countNonZero(changed) < 12:
                continue
            near = np.s_[max(0, y - 6) : y + height + 6, max(0, x - 6) : x + width + 6]
            if not _fits(label, layout.copper[near], after[near]):
                continue
            xyxy = _around(rng, (x, y, x + width, y + height), copper.shape)
            if any(_near(xyxy, box.xyxy) for box in boxes):
                continue
            broken = as_mask(broken | paint if adds else broken & ~paint)
            boxes.append(Box(label, xyxy))
            break
    return broken, tuple(boxes)


def _around(rng: np.random.Generator, tight: XYXY, shape: tuple[int, ...]) -> XYXY:
    margins = rng.uniform(8, 14, 4) * np.array([-1, -1, 1, 1])
    x0, y0, x1, y1 = (float(round(v)) for v in (np.array(tight) + margins).tolist())
    return max(0.0, x0), max(0.0, y0), min(float(shape[1]), x1), min(float(shape[0]), y1)


def _near(a: XYXY, b: XYXY) -> bool:
    """Whether two boxes overlap: one fault more would change what the other one is."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _fits(label: str, before: Mask, after: Mask) -> bool:
    """Whether a stroke did what its name says, which at corners and in crowds it may not.

    Told by how many pieces of copper, and of bare board, there are close by.
    """
    copper = _pieces(after) - _pieces(before)
    if label == "open":
        return copper > 0
    if label == "short":
        return copper < 0
    if label == "copper":
        return copper == 1
    bare = _pieces(as_mask(~after)) - _pieces(as_mask(~before))
    return copper == 0 and (bare > 0 if label == "pin-hole" else bare == 0)


def _pieces(mask: Mask) -> int:
    """How many connected pieces there are, crumbs of a ragged stroke left out."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask))
    return int((stats[1:, cv2.CC_STAT_AREA] >= 10).sum())


# --- strokes ------------------------------------------------------------------------------------


def _pen(
    rng: np.random.Generator, layout: Layout, points: Vector, width: float, ragged: float
) -> Mask:
    """A stroke of a round pen along a path, with an uneven width and frayed edges.

    Args:
        rng: the only source of chance.
        layout: gives the size.
        points: ``[n, 2]`` of the path.
        width: of the pen, pixels.
        ragged: 0 for a clean stroke to 1 for one of specks.
    """
    paint = np.zeros_like(layout.copper)
    lengths = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    count = max(2, math.ceil(lengths[-1] / max(1.0, width / 3)))
    places = np.linspace(0, lengths[-1], count)
    radii = width / 2 * rng.uniform(0.75, 1.25, count)
    xs, ys = (np.interp(places, lengths, points[:, k]) for k in (0, 1))
    for x, y, radius in zip(xs, ys, radii, strict=True):
        at = round(float(x) * 8), round(float(y) * 8)
        cv2.circle(paint, at, max(6, round(float(radius) * 8)), 255, -1, cv2.LINE_8, 3)
    if ragged > 0:
        x, y, w, h = cv2.boundingRect(paint)
        part = paint[y : y + h, x : x + w]
        depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)
        bite = rng.random(part.shape, dtype=np.float32)
        part[depth < 1 + 2.2 * ragged * bite * (rng.random(part.shape) < 0.3 + 0.5 * ragged)] = 0
    return paint


def _bent(rng: np.random.Generator, start: Vector, end: Vector) -> Vector:
    """A path from `start` to `end` by a free hand."""
    way = end - start
    across = np.array([-way[1], way[0]])
    shares = np.linspace(0, 1, int(rng.integers(2, 5)))[:, None]
    bow = rng.normal(0, 0.1) * np.sin(shares * math.pi) + rng.normal(0, 0.03, shares.shape)
    return start + shares * way + bow * across


def _edge(rng: np.random.Generator, layout: Layout, turn: float) -> tuple[Vector, Vector] | None:
    """A place on an edge and a direction into the copper, up to `turn` radians off the normal."""
    if not len(layout.edges):
        return None
    x, y = (int(v) for v in layout.edges[int(rng.integers(len(layout.edges)))])
    normal = layout.inward(x, y)
    angle = math.atan2(normal[1], normal[0]) + rng.uniform(-turn, turn)
    return np.array([x, y], float), np.array([math.cos(angle), math.sin(angle)])


def _blot(
    rng: np.random.Generator, layout: Layout, centre: Vector, room: float, ragged: float
) -> Mask:
    """A dot, or a short bent stroke, within `room` pixels of a place."""
    width = min(rng.uniform(4, 11), 1.3 * room)
    angle = rng.uniform(0, 2 * math.pi)
    reach = max(0.5, (room - width / 2) * rng.uniform(0.05, 0.95)) * min(1.0, 11 / room)
    away = reach * np.array([math.cos(angle), math.sin(angle)])
    path = _bent(rng, centre - away, centre + away)
    if rng.random() < 0.4:
        path = np.vstack([path, path[-1] + rng.uniform(-0.7, 0.7, 2) * reach])
    return _pen(rng, layout, path, width, ragged)


def _clear_spot(rng: np.random.Generator, distance: Field, room: float) -> Vector | None:
    """A place at least `room` pixels away from everything, by rejection."""
    height, width = distance.shape
    xs, ys = rng.integers(14, width - 14, 60), rng.integers(14, height - 14, 60)
    good = np.flatnonzero(distance[ys, xs] >= room)
    return np.array([xs[good[0]], ys[good[0]]], float) if len(good) else None


# --- the six faults: a mask to add to the copper (True) or to take from it (False) --------------

Stroke = tuple[Mask, bool]


def _open(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    found = _edge(rng, layout, 0.7)
    if found is None:
        return None
    start, direction = found
    length, _ = layout.run(start, direction, copper=True)
    # a cut through a wide piece is rare: traces are what breaks
    if length < 3 or (length > 30 and rng.random() < 0.7):
        return None
    path = _bent(rng, start - 3 * direction, start + (length + 3) * direction)
    width = rng.uniform(4, 10) if length < 24 else rng.uniform(4, 7)
    return _pen(rng, layout, path, width, rng.choice((0.0, 0.4, 0.9)) * (width > 5)), False


def _short(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    found = _edge(rng, layout, 0.5)
    if found is None:
        return None
    start, direction = found[0], -found[1]
    length, other = layout.run(start, direction, copper=False)
    x, y = start.astype(int)
    same = other == layout.parts[y, x]
    if length < 5 or (length > 30 and rng.random() < 0.65) or (same and rng.random() < 0.8):
        return None
    path = _bent(rng, start - 3 * direction, start + (length + 3) * direction)
    return _pen(rng, layout, path, rng.uniform(3, 8), rng.choice((0.0, 0.2))), True


def _mousebite(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    found = _edge(rng, layout, 0.9)
    if found is None:
        return None
    start, direction = found
    length, _ = layout.run(start, direction, copper=True)
    thick = length or LONGEST
    if thick < 6:
        return None
    depth = min(rng.uniform(0.3, 0.7) * thick, rng.uniform(4, 15))
    width = min(rng.uniform(4, 8), 1.6 * depth)
    path = _bent(rng, start - 1 * direction, start + max(1.0, depth - width / 2) * direction)
    if rng.random() < 0.25:  # along the edge
        along = np.array([-direction[1], direction[0]]) * rng.uniform(4, 9)
        path = _bent(
            rng, start + depth / 3 * direction - along, start + depth / 3 * direction + along
        )
    return _pen(rng, layout, path, width, rng.choice((0.0, 0.4, 0.8))), False


def _spur(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    found = _edge(rng, layout, 0.8)
    if found is None:
        return None
    start, direction = found[0], -found[1]
    length, _ = layout.run(start, direction, copper=False)
    room = length or LONGEST
    if room < 8:
        return None
    reach = min(rng.uniform(0.35, 0.65) * room, rng.uniform(6, 18))
    width = min(rng.uniform(3, 7), reach)
    path = _bent(rng, start - 2 * direction, start + max(1.0, reach - width / 2) * direction)
    return _pen(rng, layout, path, width, rng.choice((0.0, 0.0, 0.3))), True


def _copper(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    spot = _clear_spot(rng, layout.outside, 9)
    if spot is None:
        return None
    room = float(layout.outside[int(spot[1]), int(spot[0])]) - 3
    return _blot(rng, layout, spot, room, rng.choice((0.0, 0.0, 0.3))), True


def _pin_hole(rng: np.random.Generator, layout: Layout) -> Stroke | None:
    spot = _clear_spot(rng, layout.inside, rng.choice((5, 9)))
    if spot is None:
        return None
    room = float(layout.inside[int(spot[1]), int(spot[0])]) - 2
    return _blot(rng, layout, spot, room, rng.choice((0.0, 0.4, 0.7))), False


_FAULTS: dict[str, Callable[[np.random.Generator, Layout], Stroke | None]] = {
    "open": _open, "short": _short, "mousebite": _mousebite, "spur": _spur, "copper": _copper,
    "pin-hole": _pin_hole,
}  # fmt: skip


def render_board(rng: np.random.Generator, copper: Mask) -> NDArray[np.uint8]:
    """The picture of a board: RGB ``[H, W, 3]``, copper black, with the traces of JPEG."""
    grey = as_mask(cv2.bitwise_not(copper))
    _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 99))])
    return as_mask(
        cv2.cvtColor(as_mask(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)), cv2.COLOR_GRAY2RGB)
    )
