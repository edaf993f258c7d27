"""The ring of a cartridge base, unrolled: ellipse to circle, annulus to a straight strip, and back.

A photograph shows the round head of a case as an ellipse. The symmetric affine map that makes it a
circle again turns nothing, so angles stay those one sees: in degrees, 0 to the right, growing
clockwise. Between the primer and the rim lies the lettering; polar sampling lays it out as a strip
whose top row is the rim and whose columns run clockwise. There lettering that faces outward stands
upright, lettering that faces inward on its head, and sideways lettering lies on its side.

Pixel coordinates are those of `annotations`: the first pixel reaches from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

ROWS = 64
"""Rows of a strip: the height that recognisers of lines take."""

WRAP = 0.15
"""Share of a turn that a strip goes on beyond its seam, so that a word across it is whole once."""

PRIMER_RATIO = 0.4
"""Radius of a primer over that of its case, taken where no primer is seen."""

# The rim's bevel and the primer's crevice are the strongest edges of a head and no letters.
_RIM_MARGIN, _PRIMER_MARGIN = 0.97, 1.04
_QUIET = 0.12  # share of a turn over which a seam must be quiet


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in pixels.

    Attributes:
        x: of the centre.
        y: of the centre.
        a: longer semi-axis.
        b: shorter semi-axis.
        angle: of the longer axis, degrees clockwise from the right, in [-90, 90).
    """

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0

    def to_pixels(self) -> Floats:
        """The symmetric matrix ``[2, 2]`` that makes this ellipse of the unit circle."""
        turn = math.radians(self.angle)
        axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        return axes @ np.diag([self.a, self.b]) @ axes.T

    def points(self, unit: NDArray[np.floating]) -> Floats:
        """Pixels of points ``[..., 2]`` given where this ellipse is the unit circle."""
        return np.asarray(unit, np.float64) @ self.to_pixels().T + (self.x, self.y)

    def unit(self, points: NDArray[np.floating]) -> Floats:
        """Points ``[..., 2]`` in pixels, where this ellipse is the unit circle."""
        return (np.asarray(points, np.float64) - (self.x, self.y)) @ np.linalg.inv(
            self.to_pixels()
        ).T

    def polygon(self, corners: int = 64) -> NDArray[np.float32]:
        """The outline as float32 ``[corners, 2]``, clockwise from the right."""
        return self.points(directions(np.arange(corners) * 360 / corners)).astype(np.float32)

    def angle_of(self, point: tuple[float, float]) -> float:
        """Degrees at which a pixel lies, once the ellipse is made a circle; in [0, 360)."""
        x, y = self.unit(np.asarray(point, np.float64))
        return direction_of(float(x), float(y))


@dataclass(frozen=True)
class Strip:
    """An unrolled ring.

    Attributes:
        image: uint8 ``[rows, W]`` grey or ``[rows, W, 3]`` RGB; rim on top, clockwise to the right.
        start: angle of the first column, degrees.
        turn: columns of a full turn; `image` has more of them, by the wrap.
        casing: outline of the case.
        primer: outline of the primer, or the circle taken in its stead.
    """

    image: Image
    start: float
    turn: int
    casing: Ellipse
    primer: Ellipse

    def angle(self, x: float) -> float:
        """Angle of a column, degrees in [0, 360)."""
        return (self.start + x * 360 / self.turn) % 360

    def columns(self, angle: float) -> tuple[float, ...]:
        """Columns at which an angle lies: one, or two within the wrap."""
        first = ((angle - self.start) % 360) / 360 * self.turn
        width = self.image.shape[1]
        return tuple(x for x in (first, first + self.turn) if x <= width - 1) or (first,)

    def points(self, columns: NDArray[np.floating], rows: NDArray[np.floating]) -> Floats:
        """Pixels ``[..., 2]`` of the photograph at columns and rows of the strip (broadcast)."""
        height = self.image.shape[0]
        return _ring(
            self.casing,
            self.primer,
            self.start + np.asarray(columns, np.float64) * 360 / self.turn,
            (np.asarray(rows, np.float64) + 0.5) / height,
        )

    def locate(self, points: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Columns within the first turn, and rows, of pixels ``[..., 2]``: `points` undone."""
        unit = self.casing.unit(points)
        centre = self.casing.unit(np.array([self.primer.x, self.primer.y]))
        width = _RIM_MARGIN - _inner_radius(self.casing, self.primer)
        # The rays' origin moves towards the primer's centre with the depth: a few rounds settle it.
        away, depth = unit, np.zeros(unit.shape[:-1])
        for _ in range(8):
            depth = (_RIM_MARGIN - np.linalg.norm(away, axis=-1)) / width
            away = unit - depth[..., None] * centre
        angles = np.degrees(np.arctan2(away[..., 1], away[..., 0]))
        columns = ((angles - self.start) % 360) / 360 * self.turn
        return columns, depth * self.image.shape[0] - 0.5


def directions(degrees: NDArray[np.floating]) -> Floats:
    """Unit vectors ``[..., 2]`` at angles in degrees, clockwise from the right as seen."""
    radians = np.deg2rad(np.asarray(degrees, np.float64))
    return np.stack([np.cos(radians), np.sin(radians)], -1)


def direction_of(x: float, y: float) -> float:
    """The angle of a vector in degrees, clockwise from the right as seen, in [0, 360)."""
    angle = math.degrees(math.atan2(y, x)) % 360
    return 0.0 if angle == 360 else angle  # what rounding makes of the smallest negative ones


def fit_ellipse(
    points: NDArray[np.floating], size: tuple[int, int] | None = None, *, margin: float = 2.0
) -> Ellipse:
    """The ellipse of an outline.

    Args:
        points: ``[n, 2]`` pixels of a convex thing's outline, at least five.
        size: ``(width, height)`` of the picture: what lies on its edge is the picture's edge and
            not the thing's, and counts only where too little else is left.
        margin: pixels from the edge that count as on it.

    Raises:
        ValueError: fewer than five points, or all of them on a line.
    """
    outline = np.asarray(points, np.float32).reshape(-1, 2)
    hull = outline
    if len(outline) >= 3:
        hull = np.asarray(cv2.convexHull(outline), np.float32).reshape(-1, 2)
    if len(outline) < 5 or cv2.contourArea(hull) < 1:
        raise ValueError(
            f"an ellipse needs the outline of an area, of five points or more; got {len(outline)}"
        )
    even = _resampled(hull)
    if size is not None:
        width, height = size
        inner = (
            (even[:, 0] > margin)
            & (even[:, 1] > margin)
            & (even[:, 0] < width - margin)
            & (even[:, 1] < height - margin)
        )
        # A short arc says little about the ellipse it belongs to.
        if inner.sum() >= 0.4 * len(even):
            even = even[inner]
    (x, y), (first, second), angle = cv2.fitEllipse(even)
    if not (min(first, second) > 0 and math.isfinite(first + second + x + y)):
        x, y, first, second, angle = _by_moments(hull)
    if first < second:
        first, second, angle = second, first, angle + 90
    return Ellipse(float(x), float(y), first / 2, second / 2, (angle + 90) % 180 - 90)


def ellipse_of_mask(mask: Image | NDArray[np.bool_]) -> Ellipse:
    """The ellipse of a mask's largest part.

    Args:
        mask: ``[H, W]``, true or above zero where the thing is.

    Raises:
        ValueError: the mask is (nearly) empty.
    """
    binary = np.asarray(mask).astype(bool).astype(np.uint8)
    outlines, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        raise ValueError("the mask is empty: nothing to put an ellipse around")
    largest = max(outlines, key=cv2.contourArea).reshape(-1, 2).astype(np.float32)
    found = fit_ellipse(largest, binary.shape[::-1])
    # The outline runs through the centres of the outermost pixels, half a pixel inside, and counts
    # from the first pixel's centre.
    return Ellipse(found.x + 0.5, found.y + 0.5, found.a + 0.5, found.b + 0.5, found.angle)


def ellipse_of_box(xyxy: tuple[float, float, float, float]) -> Ellipse:
    """The upright ellipse within a box, where there is no mask."""
    x0, y0, x1, y1 = xyxy
    wide, tall = (x1 - x0) / 2, (y1 - y0) / 2
    long, short = max(wide, tall), min(wide, tall)
    return Ellipse((x0 + x1) / 2, (y0 + y1) / 2, long, short, 0.0 if wide >= tall else -90.0)


def unroll(
    image: Image,
    casing: Ellipse,
    primer: Ellipse | None = None,
    *,
    rows: int = ROWS,
    wrap: float = WRAP,
    start: float | None = None,
    normalise: bool = True,
) -> Strip:
    """Lay the ring between primer and rim out as a straight strip.

    Under perspective the two ellipses are not concentric: each ray goes from the primer's outline
    to the rim's.

    Args:
        image: uint8 RGB ``[H, W, 3]`` or grey ``[H, W]``.
        casing: outline of the case.
        primer: outline of the primer; None for one of usual size in the middle.
        rows: of the strip.
        wrap: share of a turn to go on beyond the seam.
        start: angle of the seam, degrees; None for the quietest place, where it cuts no letters.
        normalise: grey with even contrast, for recognisers; False keeps the picture's colours.
    """
    inner = primer if primer is not None else _usual_primer(casing)
    if start is None:
        start = _quietest(image, casing, inner)
    low, high = _inner_radius(casing, inner), _RIM_MARGIN
    # Letters keep their proportions halfway between primer and rim.
    turn = round(rows * math.pi * (high + low) / (high - low))
    columns = round(turn * (1 + wrap))
    # Sampled finer than asked for, and averaged, where the photograph is finer.
    fine = math.ceil(max(1.0, casing.a * (high - low) / rows))
    x = (np.arange(columns * fine) + 0.5) / fine - 0.5
    y = (np.arange(rows * fine) + 0.5) / fine - 0.5
    strip = Strip(np.zeros((rows, columns), np.uint8), start, turn, casing, inner)
    where = (strip.points(x[None, :], y[:, None]) - 0.5).astype(np.float32)
    cut = cv2.remap(
        image, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if fine > 1:
        cut = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA)
    pixels = np.asarray(cut, np.uint8)
    if normalise:
        pixels = even_contrast(pixels)
    return Strip(pixels, start, turn, casing, inner)


def even_contrast(image: Image) -> Image:
    """Grey with the same mean and the same contrast everywhere.

    A lamp's reflection makes one side of a head ten times as bright as the other, and letters show
    by a few grey levels there: each place is taken against the mean and deviation around it.

    Args:
        image: uint8 grey ``[H, W]`` or RGB ``[H, W, 3]``.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    values = grey.astype(np.float32)
    sigma = grey.shape[0] / 4
    # Along the columns only as far as a letter goes; the border is reflected.
    mean = cv2.GaussianBlur(values, (0, 0), sigma)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur((values - mean) ** 2, (0, 0), 1.5 * sigma), 0))
    # The floor keeps the noise of an empty place from being taken for letters.
    even = (values - mean) / (spread + 3.0)
    return np.asarray(np.clip(np.rint(128 + 52 * even), 0, 255), np.uint8)


def upside_down(strip: Strip) -> Image:
    """The strip's picture turned by 180 degrees: upright for what faces inward.

    Column `x` of it is column ``W - 1 - x`` of the strip.
    """
    return np.ascontiguousarray(strip.image[::-1, ::-1])


def side_window(strip: Strip, angle: float, *, clockwise: bool, share: float = 0.8) -> Image:
    """A piece of the strip turned by 90 degrees, for lettering that lies on its side.

    Args:
        strip: an unrolled ring.
        angle: where the piece's centre lies, degrees.
        clockwise: the letters' tops point clockwise; False: anti-clockwise.
        share: width of the piece over the strip's rows, that is, room for the letters' height.

    Returns:
        uint8 ``[rows, w]`` (or with three channels), read from left to right.
    """
    rows, width = strip.image.shape[:2]
    half = max(2, round(rows * share / 2))
    # Of two places the one that is further from the strip's ends.
    middle = round(max(strip.columns(angle), key=lambda x: min(x, width - 1 - x)))
    columns = np.arange(middle - half, middle + half)
    inside = np.where(columns < 0, columns + strip.turn, columns)
    inside = np.where(inside >= width, inside - strip.turn, inside)
    piece = np.rot90(strip.image[:, inside], 1 if clockwise else -1)
    wide = round(rows * rows / (2 * half))
    large = cv2.resize(np.ascontiguousarray(piece), (wide, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def _ring(casing: Ellipse, primer: Ellipse, degrees: Floats, depth: Floats) -> Floats:
    """Pixels at angles and depths: 0 at the strip's upper edge near the rim, 1 at its lower."""
    around = directions(degrees)
    outer = casing.points(around * _RIM_MARGIN)
    # The primer's outline in the case's own circle, so that both are reached at the same angle.
    inner = casing.points(
        casing.unit(np.array([primer.x, primer.y])) + around * _inner_radius(casing, primer)
    )
    share = np.asarray(depth, np.float64)[..., None]
    return outer * (1 - share) + inner * share


def _inner_radius(casing: Ellipse, primer: Ellipse) -> float:
    """Where the strip ends towards the primer, over the case's radius."""
    ratio = _PRIMER_MARGIN * math.sqrt(primer.a * primer.b / (casing.a * casing.b))
    # A detector's worst guess must still leave a ring.
    return min(max(ratio, 0.15), 0.8)


def _usual_primer(casing: Ellipse) -> Ellipse:
    return Ellipse(
        casing.x, casing.y, casing.a * PRIMER_RATIO, casing.b * PRIMER_RATIO, casing.angle
    )


def _quietest(image: Image, casing: Ellipse, primer: Ellipse) -> float:
    """Angle in the middle of the stretch in which least happens along the ring."""
    strip = unroll(image, casing, primer, rows=32, wrap=0.0, start=0.0)
    inner = strip.image[4:-4].astype(np.float32)
    change = np.abs(np.diff(inner, axis=1, append=inner[:, :1])).mean(0)
    window = max(1, round(_QUIET * strip.turn))
    around = np.concatenate([change, change[:window]])
    sums = np.convolve(around, np.ones(window), "valid")[: strip.turn]
    return strip.angle(int(np.argmin(sums)) + window / 2)


def _resampled(hull: NDArray[np.float32], count: int = 180) -> NDArray[np.float32]:
    """Points at even steps along a closed outline: corners must not weigh by how many they are."""
    closed = np.concatenate([hull, hull[:1]])
    lengths = np.r_[0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))]
    at = np.linspace(0, lengths[-1], count, endpoint=False)
    return np.stack([np.interp(at, lengths, closed[:, i]) for i in (0, 1)], 1).astype(np.float32)


def _by_moments(hull: NDArray[np.float32]) -> tuple[float, float, float, float, float]:
    """Centre, full axes and angle of the ellipse with an outline's second moments."""
    m = cv2.moments(hull)
    area = m["m00"]
    spread = np.array([[m["mu20"], m["mu11"]], [m["mu11"], m["mu02"]]]) / area
    values, vectors = np.linalg.eigh(spread)
    short, long = 4 * np.sqrt(np.maximum(values, 1e-6))
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    return m["m10"] / area, m["m01"] / area, float(long), float(short), angle
