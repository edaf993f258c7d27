"""Copper of printed circuit boards, as an inspection camera's black-and-white picture shows it.

Only the sound board is drawn here: :mod:`sightbook.defects.synth.board_defects` breaks
it. Copper is 255 and the bare board 0 in the masks of both; the picture shows copper black.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.defects.synth.fields import Mask, as_mask
from sightbook.synth import degrade

Path = NDArray[np.float32]


@dataclass
class Board:
    """A board that is being laid out.

    Attributes:
        rng: the only source of chance.
        copper: uint8 ``[H, W]``, 255 where copper is.
        unit: width of a usual trace, pixels; everything else is a multiple of it.
    """

    rng: np.random.Generator
    copper: Mask
    unit: float
    gap: float = field(init=False)

    def __post_init__(self) -> None:
        self.gap = self.unit * float(self.rng.uniform(0.9, 1.8))

    @property
    def size(self) -> int:
        """The longer side, pixels."""
        return max(self.copper.shape)

    def blank(self) -> Mask:
        """An empty mask to draw an element on."""
        return np.zeros_like(self.copper)

    def place(self, element: Mask) -> bool:
        """Add an element if it keeps clear of what is there already."""
        reach = max(3, round(self.gap)) | 1
        x, y, width, height = cv2.boundingRect(element)
        if width == 0:
            return False
        top, left = max(0, y - reach), max(0, x - reach)
        part = np.s_[top : y + height + reach, left : x + width + reach]
        # as an odd square, twice the gap wide: the gap on either side
        kernel = np.ones((2 * (reach // 2) + 1,) * 2, np.uint8)
        if cv2.countNonZero(cv2.bitwise_and(cv2.dilate(element[part], kernel), self.copper[part])):
            return False
        self.copper[part] |= element[part]
        return True

    def disc(
        self, element: Mask, centre: NDArray[np.floating], radius: float, hole: float = 0
    ) -> None:
        """Draw a round pad with a drilled hole."""
        cv2.circle(element, _at(centre), max(1, round(radius)), 255, -1)
        if hole >= 1:
            cv2.circle(element, _at(centre), round(hole), 0, -1)


def draw_board(rng: np.random.Generator, size: tuple[int, int]) -> Mask:
    """Lay out a board.

    Args:
        rng: the only source of chance.
        size: (width, height) in pixels.

    Returns:
        uint8 ``[H, W]``, 255 where copper is, with the ragged edges of a thresholded picture.
    """
    side = max(size)
    fine = rng.random() < 0.6
    unit = rng.uniform(5, 11) if fine else math.exp(rng.uniform(math.log(11), math.log(34)))
    board = Board(rng, np.zeros((side, side), np.uint8), unit * side / 640)
    plan = _FINE if fine else _COARSE
    odds = np.array([share for _, share in plan])
    # a board is of one style: some elements come again and again, others not at all
    odds = odds * rng.gamma(0.8, 1.0, len(plan)) + 1e-9
    # as many as a dense board holds; those that find no room are left out
    for _ in range(int(rng.integers(8, 60) if fine else rng.integers(4, 24))):
        plan[int(rng.choice(len(plan), p=odds / odds.sum()))][0](board)
    copper = board.copper
    if not fine and rng.random() < 0.2:
        # a ground plane, in which the other parts are islands' clearances
        copper = as_mask(cv2.bitwise_not(copper))
    copper = as_mask(np.rot90(copper, int(rng.integers(4))))
    if rng.random() < 0.5:
        copper = as_mask(copper[:, ::-1])
    return _scan(rng, np.ascontiguousarray(copper[: size[1], : size[0]]))


def _scan(rng: np.random.Generator, copper: Mask) -> Mask:
    """Lie slightly askew, and be thresholded: straight edges get steps and dents."""
    height, width = copper.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 0.35), 1.0)
    lying = cv2.warpAffine(copper, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    soft = degrade.gaussian_blur(as_mask(lying), rng.uniform(0.6, 1.3))
    # too weak to turn a pixel far from an edge, where specks would be faults
    grainy = degrade.noise(soft, rng, rng.uniform(2, 26), grain=rng.uniform(1.0, 2.2))
    return as_mask(cv2.threshold(grainy, 127, 255, cv2.THRESH_BINARY)[1])


# --- elements: each draws itself somewhere, or nowhere if there is no room ----------------------


def _octilinear(
    board: Board, start: NDArray[np.float64], turn: int, steps: int, reach: float
) -> Path:
    """A path of straight pieces that turns by 45 degrees, as routers make them."""
    rng = board.rng
    points, heading = [start], turn
    for number in range(steps):
        if number:
            # away from the first direction and back to it, so that the path goes somewhere
            heading = turn if heading != turn else turn + int(rng.choice((-1, 1)))
        length = reach * rng.uniform(0.25, 1.0)
        angle = heading * math.pi / 4
        points.append(points[-1] + length * np.array([math.cos(angle), math.sin(angle)]))
    return np.array(points, np.float32)


def _beside(path: Path, distance: float) -> Path:
    """The path parallel to another one, at a distance to its right."""
    ahead = np.diff(path, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
    right = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
    before, after = np.vstack([right[:1], right]), np.vstack([right, right[-1:]])
    corner = before + after
    corner /= np.maximum((corner * before).sum(1, keepdims=True), 0.2)
    return path + corner * distance


def _line(element: Mask, path: Path, width: float) -> None:
    points = np.rint(path * 8).astype(np.int32)
    cv2.polylines(element, [points], False, 255, max(2, round(width)), cv2.LINE_8, 3)


def _start(board: Board) -> tuple[NDArray[np.float64], int]:
    """A place to begin at and a heading into the picture: from outside, or somewhere inside."""
    rng, side = board.rng, board.size
    if rng.random() < 0.55:
        along = rng.uniform(-0.1, 1.1) * side
        return np.array([along, -0.05 * side]), int(rng.choice((2, 2, 1, 3)))
    return rng.uniform(0, 1, 2) * side, int(rng.integers(8))


def _bus(board: Board) -> None:
    """Traces side by side, which end in vias or leave the picture."""
    rng, unit = board.rng, board.unit
    start, turn = _start(board)
    if rng.random() < 0.5:  # the same from the left
        start, turn = start[::-1].copy(), 2 - turn
    count = int(rng.integers(2, 15))
    width = unit * rng.choice((1.0, 1.0, 1.0, 0.75, 1.6))
    pitch = width + board.gap * rng.uniform(0.8, 1.6)
    path = _octilinear(
        board, start, turn, int(rng.integers(1, 6)), board.size * rng.uniform(0.2, 0.8)
    )
    ends = rng.random() < 0.6
    radius = min(unit * rng.uniform(1.1, 1.9), 3 * pitch)
    for number in range(count):
        lane = _beside(path, (number - (count - 1) / 2) * pitch)
        if len(lane) > 1 and ends:
            # neighbours end at different lengths, or their vias would touch
            ahead = lane[-1] - lane[-2]
            back = (number % 3) * 2.6 * radius / max(float(np.linalg.norm(ahead)), 1e-6)
            lane[-1] -= ahead * min(back, 0.9)
        hole = radius * 0.4 if rng.random() < 0.15 else 0
        while len(lane) > 1:  # what stands in the way makes it end at an earlier bend
            element = board.blank()
            _line(element, lane, width)
            if ends:
                board.disc(element, lane[-1], radius, hole)
            if board.place(element):
                break
            lane = lane[:-1]


def _single(board: Board) -> None:
    """One trace between two pads."""
    rng, unit = board.rng, board.unit
    start, turn = rng.uniform(0, 1, 2) * board.size, int(rng.integers(8))
    path = _octilinear(
        board, start, turn, int(rng.integers(1, 5)), board.size * rng.uniform(0.05, 0.4)
    )
    element = board.blank()
    _line(element, path, unit * rng.choice((1.0, 1.0, 2.0)))
    for end in (path[0], path[-1]):
        kind = rng.random()
        radius = unit * rng.uniform(1.2, 3.0)
        if kind < 0.6:
            board.disc(element, end, radius, radius * 0.45 if rng.random() < 0.25 else 0)
        elif kind < 0.85:
            half = radius * rng.uniform(0.7, 1.3, 2)
            cv2.rectangle(element, _at(end - half), _at(end + half), 255, -1)
    board.place(element)


def _pads(board: Board) -> None:
    """A row or a block of equal pads, round, square or long, some with a stub of a trace."""
    rng, unit = board.rng, board.unit
    kind = rng.choice(("round", "square", "long", "annular"))
    half = unit * rng.uniform(1.0, 2.6, 2)
    if kind in ("round", "annular"):
        half[1] = half[0]
    elif kind == "long":
        half[1] *= rng.uniform(1.6, 3.0)
    pitch = 2 * half + board.gap * rng.uniform(1.1, 3.0, 2)
    rows, columns = int(rng.choice((1, 1, 2, 2, 4))), int(rng.integers(2, 9))
    corner = rng.uniform(-0.1, 0.95, 2) * board.size
    stub = rng.random() < 0.5
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.08:
                continue
            centre = corner + pitch * (column, row)
            element = board.blank()
            if kind == "round" or kind == "annular":
                hole = half[0] * rng.uniform(0.45, 0.6) if kind == "annular" else 0
                board.disc(element, centre, half[0], hole)
            else:
                cv2.rectangle(element, _at(centre - half), _at(centre + half), 255, -1)
            if stub and rows <= 2 and rng.random() < 0.8:
                away = -1 if row == 0 else 1
                begin = centre + np.array((0, away * half[1] * 0.8))
                long = _octilinear(board, begin, 2 * away, int(rng.integers(1, 3)), 9 * unit)
                _line(element, long, unit)
            board.place(element)


def _vias(board: Board) -> None:
    """A field of vias on a grid, some joined to their neighbour as dumb-bells."""
    rng, unit = board.rng, board.unit
    radius = unit * rng.uniform(0.9, 1.5)
    pitch = 2 * radius + board.gap * rng.uniform(1.2, 3.0)
    corner = rng.uniform(-0.1, 0.8, 2) * board.size
    rows, columns = int(rng.integers(2, 7)), int(rng.integers(2, 7))
    joined = rng.uniform(0, 0.5)
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.15:
                continue
            centre = corner + pitch * np.array((column, row), float)
            element = board.blank()
            board.disc(element, centre, radius)
            if rng.random() < joined:
                other = centre + pitch * rng.choice((-0.5, 0.5), 2)
                _line(element, np.array([centre, other], np.float32), unit * 1.2)
                board.disc(element, other, radius * rng.uniform(0.8, 1.2))
            board.place(element)


def _area(board: Board) -> None:
    """A large area of copper with cut corners, perhaps drilled, perhaps parted by a channel."""
    rng, side = board.rng, board.size
    half = rng.uniform(0.05, 0.3, 2) * side
    if rng.random() < 0.35:  # a bar right across
        half[int(rng.integers(2))] = side
        half[int(rng.integers(2))] *= 0.4
    centre = rng.uniform(-0.05, 1.05, 2) * side
    cut = rng.uniform(0, 0.7) * half.min() * (rng.random(4) < 0.55)
    (x, y), (w, h) = centre, half
    points = [
        (x - w + cut[0], y - h), (x + w - cut[1], y - h), (x + w, y - h + cut[1]),
        (x + w, y + h - cut[2]), (x + w - cut[2], y + h), (x - w + cut[3], y + h),
        (x - w, y + h - cut[3]), (x - w, y - h + cut[0]),
    ]  # fmt: skip
    element = board.blank()
    cv2.fillPoly(element, [np.array(points).astype(np.int32)], 255)
    if rng.random() < 0.3:  # a bay in one side
        bay = rng.uniform(0.15, 0.5, 2) * half
        at = centre + half * rng.choice((-1, 1), 2) * (1, rng.uniform(0, 1))
        cv2.rectangle(element, _at(at - bay), _at(at + bay), 0, -1)
    _holes(board, element, centre, half)
    if rng.random() < 0.3:
        start = centre - half * (1.2, rng.uniform(-0.8, 0.8))
        channel = _octilinear(board, start, int(rng.choice((0, 0, 1, 7))), 4, 1.2 * half.max())
        points8 = np.rint(channel * 8).astype(np.int32)
        wide = max(4, round(board.gap * rng.uniform(0.8, 1.5)))
        cv2.polylines(element, [points8], False, 0, wide, cv2.LINE_8, 3)
    board.place(element)


def _holes(
    board: Board, element: Mask, centre: NDArray[np.float64], half: NDArray[np.float64]
) -> None:
    """Drill an area: a row of equal holes, or a few anywhere. Holes are round, flaws are not."""
    rng = board.rng
    if rng.random() < 0.45:
        return
    radius = max(3.0, min(board.unit * rng.uniform(0.5, 1.2), 0.4 * half.min()))
    if rng.random() < 0.5:
        axis = int(half[1] > half[0])
        for along in np.arange(-half[axis], half[axis], radius * rng.uniform(4, 9))[1:]:
            at = centre.copy()
            at[axis] += along
            cv2.circle(element, _at(at), round(radius), 0, -1)
        return
    for _ in range(int(rng.integers(1, 4))):
        at = centre + half * rng.uniform(-0.75, 0.75, 2)
        cv2.circle(element, _at(at), round(radius), 0, -1)


def _round(board: Board) -> None:
    """A large disc, ring or arc."""
    rng, side = board.rng, board.size
    radius = side * math.exp(rng.uniform(math.log(0.04), math.log(0.6)))
    reach = 0.2 if radius < 0.15 * side else 0.6
    centre = rng.uniform(-reach, 1 + reach, 2) * side
    element = board.blank()
    board.disc(element, centre, radius)
    kind = rng.random()
    if kind < 0.5 and radius > 3 * board.unit:
        inner = radius - max(board.unit * rng.uniform(1, 5), 4)
        cv2.circle(element, _at(centre), max(1, round(inner)), 0, -1)
    elif kind < 0.75:
        cv2.circle(element, _at(centre), round(radius * rng.uniform(0.2, 0.5)), 0, -1)
    if rng.random() < 0.4:  # parted
        angle = rng.uniform(0, math.pi)
        away = 1.5 * radius * np.array([math.cos(angle), math.sin(angle)])
        wide = max(4, round(board.gap))
        cv2.line(element, _at(centre - away), _at(centre + away), 0, wide)
    board.place(element)


def _meander(board: Board) -> None:
    """A trace that winds to and fro."""
    rng, unit = board.rng, board.unit
    pitch = (unit + board.gap) * rng.uniform(1.0, 1.6)
    height, count = rng.uniform(3, 14) * unit, int(rng.integers(3, 9))
    x, y = rng.uniform(0, 0.9, 2) * board.size
    points = [
        (x + (number // 2) * pitch, y + (((number + 1) // 2) % 2) * height)
        for number in range(2 * count)
    ]
    element = board.blank()
    _line(element, np.array(points, np.float32), unit)
    board.place(element)


def _at(point: NDArray[np.floating]) -> tuple[int, int]:
    return int(point[0]), int(point[1])


_FINE: tuple[tuple[Callable[[Board], None], float], ...] = (
    (_bus, 8.0), (_single, 4.0), (_pads, 3.0), (_vias, 2.0), (_area, 1.0), (_round, 0.4),
    (_meander, 0.5),
)  # fmt: skip
_COARSE: tuple[tuple[Callable[[Board], None], float], ...] = (
    (_bus, 4.0), (_single, 2.0), (_pads, 1.5), (_area, 4.0), (_round, 1.5), (_meander, 0.3),
)  # fmt: skip
