"""Finding and straightening machine-readable zones: the geometry around the finder network.

The finder (`sightbook.donut.zone.finder`) turns a grey picture into four maps at a quarter of its
resolution: how much of a cell is covered by a printed MRZ line, by the zone as a whole, and the
cosine and sine of the reading direction. This module prepares the network's views and turns its
maps into line quadrilaterals. It needs numpy and OpenCV only, so the predictor uses it as it is.

The same network looks twice: at the whole picture, where a zone is a small textured patch
(`coarse_view`, `decode_zones`), and at the zone turned upright and enlarged, where its lines stand
apart (`fine_view`, `decode_lines`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDE = 4
"""Side of one cell of the finder's maps in pixels of its input."""

BAND, ZONE, COS, SIN = range(4)
"""Channels of the finder's output: two logits and the reading direction."""

COARSE_SIDE = 640
FINE_WIDTH = 400
FINE_MARGIN = 40

LINE_HEIGHT = 32
LINE_MARGIN = 16
LINE_CAP = 20
LINE_WIDTH = 704 + 2 * LINE_MARGIN
TEXT_WIDTHS = {2: 704, 3: 480}
"""Pixels over which a line's text is spread in the reader's input, by the number of lines in the
zone: 16 px a character for TD3 and TD1 (19.6 for the 36 characters of TD2 and MRV-B). What stands
to the right of a TD1 line fills the rest, so every crop has one size and the reader needs no mask.
"""

Array = NDArray[np.float32]
Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Zone:
    """A zone found in a picture.

    Attributes:
        quads: float32 [n_lines, 4, 2], corners of each line in pixels of the picture: top left,
            top right, bottom right, bottom left as the text is read; tight to the capitals.
        score: mean probability of the lines' cells, 0 to 1.
    """

    quads: Array
    score: float

    @property
    def outline(self) -> Array:
        """Corners of the whole zone, float32 [4, 2], in reading order."""
        return hull_of_lines(self.quads)

    @property
    def width(self) -> float:
        """Mean length of the lines in pixels."""
        return float(np.linalg.norm(self.quads[:, 1] - self.quads[:, 0], axis=1).mean())

    @property
    def angle(self) -> float:
        """Reading direction in degrees, clockwise on the screen, 0 = upright, in (-180, 180]."""
        x, y = (self.quads[:, 1] - self.quads[:, 0]).mean(0)
        return float(np.degrees(np.arctan2(y, x)))


def to_gray(image: NDArray[np.uint8]) -> Gray:
    """Luminance of an RGB [H,W,3] picture, uint8 [H,W]; a grey picture is returned as it is."""
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def normalise(view: Gray) -> Array:
    """A uint8 view as the networks read it: float32 [1, H, W] in [-1, 1]."""
    return (view.astype(np.float32) / 127.5 - 1.0)[None]


def hull_of_lines(quads: Array) -> Array:
    """Corners of the zone that lines [n,4,2] form, float32 [4,2], in reading order."""
    corners = [quads[0, 0], quads[0, 1], quads[-1, 2], quads[-1, 3]]
    return np.asarray(corners, np.float32)


def apply(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> Array:
    """Points [..., 2] through a 3x3 homography, float32 of the same shape."""
    flat = np.asarray(points, np.float64).reshape(-1, 1, 2)
    return cv2.perspectiveTransform(flat, matrix).reshape(np.shape(points)).astype(np.float32)


def sample(
    image: Gray, matrix: NDArray[np.floating], size: tuple[int, int], border: int | None = 128
) -> Gray:
    """Draw the picture through `matrix` (picture to view) into a view of `size` (width, height).

    A view smaller than its source is first reduced by area averaging: bilinear sampling alone
    would alias, and thin strokes of a 12-megapixel photo would flicker away.

    Args:
        image: uint8 [H, W].
        matrix: 3x3, from pixels of the picture to pixels of the view.
        size: (width, height) of the view in pixels.
        border: grey value outside the picture; None repeats its edge.
    """
    corners = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float64)
    source = apply(np.linalg.inv(matrix), corners)
    reach = max(
        np.linalg.norm(source[1] - source[0]) / size[0],
        np.linalg.norm(source[3] - source[0]) / size[1],
    )
    if reach > 1.5:
        factor = 1.0 / reach
        height, width = image.shape[:2]
        small = (max(1, round(width * factor)), max(1, round(height * factor)))
        scale = np.diag([width / small[0], height / small[1], 1.0])
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
        # Pixel centres lie at whole numbers, so the half-pixel shift belongs to the scaling.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        matrix = matrix @ np.linalg.inv(half) @ scale @ half
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    interpolation = cv2.INTER_CUBIC if reach < 0.7 else cv2.INTER_LINEAR
    view = cv2.warpPerspective(
        image, matrix, size, flags=interpolation, borderMode=mode, borderValue=border or 0
    )
    return view.astype(np.uint8, copy=False)


def _round_up(value: float, multiple: int = 32) -> int:
    return max(multiple, int(np.ceil(value / multiple)) * multiple)


def coarse_view(image: Gray, side: int = COARSE_SIDE) -> tuple[Gray, NDArray[np.float64]]:
    """The whole picture with its long side at `side` pixels, padded to multiples of 32.

    Returns:
        The view, uint8 [H, W], and the 3x3 matrix from picture to view.
    """
    height, width = image.shape
    scale = side / max(height, width)
    size = _round_up(width * scale), _round_up(height * scale)
    matrix = np.diag([scale, scale, 1.0])
    return sample(image, matrix, size), matrix


def fine_view(image: Gray, outline: Array) -> tuple[Gray, NDArray[np.float64]]:
    """The zone turned upright, `FINE_WIDTH` pixels wide, with a margin around it.

    Args:
        image: uint8 [H, W].
        outline: the zone's corners in the picture, float32 [4, 2], in reading order.

    Returns:
        The view, uint8 [H', W'], and the 3x3 matrix from picture to view.
    """
    across = (outline[1] - outline[0] + outline[2] - outline[3]) / 2
    down = (outline[3] - outline[0] + outline[2] - outline[1]) / 2
    width = max(float(np.linalg.norm(across)), 1.0)
    scale = FINE_WIDTH / width
    height = float(np.linalg.norm(down)) * scale
    cosine, sine = across / width
    size = _round_up(FINE_WIDTH + 2 * FINE_MARGIN), _round_up(height + 2 * FINE_MARGIN)
    centre = outline.mean(0)
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array(size) / 2 - turn @ centre
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, shift
    return sample(image, matrix, size), matrix


def _sigmoid(x: Array) -> Array:
    return (1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))).astype(np.float32)


def decode_zones(maps: Array, threshold: float = 0.5, min_cells: int = 12) -> list[Zone]:
    """Zones in a coarse view, best first.

    Args:
        maps: the finder's output, float32 [4, H/4, W/4].
        threshold: probability above which a cell belongs to a zone.
        min_cells: patches with fewer cells are dropped.

    Returns:
        Zones with one quadrilateral each (the outline), in pixels of the view.
    """
    probability = _sigmoid(maps[ZONE])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (probability > threshold).astype(np.uint8), connectivity=8
    )
    zones = []
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < min_cells:
            continue
        ys, xs = np.nonzero(labels == label)
        weight = probability[ys, xs]
        direction = np.array(
            [(maps[COS, ys, xs] * weight).sum(), (maps[SIN, ys, xs] * weight).sum()]
        )
        if not np.any(direction):
            continue
        centre, (width, height), angle = cv2.minAreaRect(np.stack([xs, ys], 1).astype(np.float32))
        # The rectangle's angle is only known up to quarter turns: the learned direction decides.
        turned = [np.radians(angle + 90 * quarter) for quarter in range(4)]
        axes = np.array([[np.cos(a), np.sin(a)] for a in turned])
        best = int(np.argmax(axes @ direction))
        if best % 2:
            width, height = height, width
        # A component's outermost cells reach half a cell past their centres.
        half = np.array([width + 1, height + 1]) / 2 * STRIDE
        across, down = axes[best], np.array([-axes[best][1], axes[best][0]])
        middle = _cells_to_pixels(np.array(centre) + 0.5)
        quad = np.array(
            [middle + sx * half[0] * across + sy * half[1] * down for sx, sy in _CORNERS],
            np.float32,
        )
        zones.append(Zone(quad[None], float(weight.mean())))
    return sorted(zones, key=lambda zone: -zone.score * np.sqrt(zone.width))


def _cells_to_pixels(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """From cells (edges at whole numbers) to pixels (centres at whole numbers)."""
    return points * STRIDE - 0.5


_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


@dataclass
class _Band:
    """Cells of one printed line in a fine view, in cells."""

    weight: Array  # [W] coverage summed down each column
    middle: Array  # [W] centre of that coverage
    score: float

    @property
    def columns(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.weight > 0.3)

    @property
    def length(self) -> float:
        columns = self.columns
        return float(columns[-1] - columns[0] + 1) if len(columns) else 0.0


def _bands(probability: Array, threshold: float, shape: tuple[int, int]) -> list[_Band]:
    mask = (probability > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    pieces = []
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < 6:
            continue
        # Soft coverage just outside the thresholded core belongs to the line as well.
        reach = cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3), np.uint8))
        soft = probability * reach
        weight = soft.sum(0)
        middle = (soft * rows).sum(0) / np.maximum(weight, 1e-6)
        pieces.append(_Band(weight, middle, float(probability[labels == label].mean())))
    pieces.sort(key=lambda piece: -piece.length)
    bands: list[_Band] = []
    for piece in pieces:
        for band in bands:
            slope, offset = np.polyfit(band.columns, band.middle[band.columns], 1)
            columns = piece.columns
            if not len(columns):
                break
            gap = np.abs(piece.middle[columns] - (slope * columns + offset)).mean()
            if gap < 0.8 * float(np.median(band.weight[band.columns])):
                total = band.weight + piece.weight
                band.middle = (
                    band.middle * band.weight + piece.middle * piece.weight
                ) / np.maximum(total, 1e-6)
                band.weight = total
                break
        else:
            if piece.length >= 8:
                bands.append(piece)
    return bands


def decode_lines(maps: Array, threshold: float = 0.5) -> list[Zone]:
    """The lines of the zone in a fine view, as one zone of 2 or 3 lines, or nothing.

    Args:
        maps: the finder's output, float32 [4, H/4, W/4].
        threshold: probability above which a cell belongs to a line.

    Returns:
        A list with one zone in pixels of the view, or an empty list where no two lines of about
        equal length stand above one another.
    """
    probability = _sigmoid(maps[BAND])
    bands = _bands(probability, threshold, probability.shape)
    if not bands:
        return []
    longest = max(band.length for band in bands)
    bands = [band for band in bands if band.length >= 0.6 * longest]
    bands.sort(key=lambda band: float(np.average(band.middle, weights=band.weight)))
    if len(bands) > 3:
        bands = max(
            (bands[i : i + 3] for i in range(len(bands) - 2)), key=lambda b: sum(x.score for x in b)
        )
    if len(bands) < 2:
        return []
    quads = np.stack([_band_quad(band) for band in bands])
    return [Zone(quads, float(np.mean([band.score for band in bands])))]


def _band_quad(band: _Band) -> Array:
    columns = band.columns
    weight = band.weight[columns]
    thickness = float(np.median(weight))
    slope, offset = np.polyfit(columns, band.middle[columns], 1, w=np.sqrt(weight))
    # Coverage of the end cells tells where inside the cell the line ends.
    left = columns[0] + 1 - min(1.0, weight[0] / thickness)
    right = columns[-1] + min(1.0, weight[-1] / thickness)
    # Coverage is summed straight down a column; across the tilted line it is a little thinner.
    norm = float(np.hypot(1.0, slope))
    half = thickness / norm / 2 * np.array([-slope, 1.0]) / norm
    ends = [np.array([x, slope * (x - 0.5) + offset + 0.5]) for x in (left, right)]
    corners = np.array([ends[0] - half, ends[1] - half, ends[1] + half, ends[0] + half])
    return _cells_to_pixels(corners).astype(np.float32)


Maps = Callable[[Array], Array]

COARSE_SIDES = (COARSE_SIDE, 960, 416)
"""Long sides at which the whole picture is looked at, one after another until a zone stands."""


def find_zones(
    image: Gray,
    network: Maps,
    *,
    max_zones: int = 1,
    threshold: float = 0.5,
    sure: float = 0.85,
) -> list[Zone]:
    """Find zones in a picture: look at the whole, then at each candidate upright and enlarged.

    Args:
        image: uint8 [H, W].
        network: the finder as a function from views float32 [1, 1, H, W] in [-1, 1] to maps
            float32 [1, 4, H/4, W/4].
        max_zones: how many zones to return at most.
        threshold: probability above which a cell counts.
        sure: score with which a zone ends the search; below it the picture is looked at in other
            sizes too, and the best of all is taken.

    Returns:
        Zones in pixels of the picture, best first; empty where there is none.
    """
    found: list[Zone] = []
    for side in COARSE_SIDES:
        view, matrix = coarse_view(image, side)
        candidates = decode_zones(network(normalise(view)[None])[0], threshold)
        inverse = np.linalg.inv(matrix)
        for candidate in [*joined(candidates), *candidates][: max_zones + 3]:
            zone = refine(image, network, apply(inverse, candidate.quads[0]), threshold)
            if zone is not None and not any(_same_place(zone, other) for other in found):
                found.append(zone)
            if sum(other.score >= sure for other in found) >= max_zones:
                break
        if sum(other.score >= sure for other in found) >= max_zones:
            break
    return sorted(found, key=lambda zone: -zone.score)[:max_zones]


def _same_place(zone: Zone, other: Zone) -> bool:
    distance = float(np.linalg.norm(zone.outline.mean(0) - other.outline.mean(0)))
    return distance < 0.1 * max(zone.width, other.width)


def joined(candidates: list[Zone]) -> list[Zone]:
    """Candidates that several pieces of one zone make together.

    Where the middle of a zone is hard to see (no fillers, glare), a coarse view shows its ends as
    patches of their own. Patches that read the same way and stand in one row are taken together.
    """
    if len(candidates) < 2:
        return []
    first = candidates[0]
    across, down = first.outline[1] - first.outline[0], first.outline[3] - first.outline[0]
    height = max(float(np.linalg.norm(down)), 1e-6)
    across, down = across / max(float(np.linalg.norm(across)), 1e-6), down / height
    pieces = [first.outline]
    for other in candidates[1:]:
        turn = (other.angle - first.angle + 180) % 360 - 180
        offset = abs(float((other.outline.mean(0) - first.outline.mean(0)) @ down))
        if abs(turn) < 15 and offset < height:
            pieces.append(other.outline)
    if len(pieces) == 1:
        return []
    points = np.concatenate(pieces)
    xs, ys = points @ across, points @ down
    corners = [(xs.min(), ys.min()), (xs.max(), ys.min()), (xs.max(), ys.max())]
    corners.append((xs.min(), ys.max()))
    outline = np.array([x * across + y * down for x, y in corners], np.float32)
    return [Zone(outline[None], first.score)]


def refine(
    image: Gray, network: Maps, outline: Array, threshold: float = 0.5, passes: int = 4
) -> Zone | None:
    """Look at a candidate upright and enlarged until its lines stand; None if there are none.

    A line that runs out of the view was only partly seen before: the next look takes in more. So
    does a look that shows no line at all, once.
    """
    best = None
    missed = False
    for turn in range(passes):
        view, matrix = fine_view(image, outline)
        maps = network(normalise(view)[None])[0]
        lines = decode_lines(maps, threshold)
        if not lines:
            if missed or best is not None:
                break
            missed, outline = True, _stretched(outline, 0.5, 0.5)
            continue
        inverse = np.linalg.inv(matrix)
        inside = _sigmoid(maps[BAND]) > threshold
        # An undecided direction leaves the candidate's own; the reader notices a wrong one.
        upright = float(maps[COS][inside].mean()) > -0.3
        left = float(lines[0].quads[:, [0, 3], 0].min()) < 2 * STRIDE
        right = float(lines[0].quads[:, [1, 2], 0].max()) > view.shape[1] - 2 * STRIDE
        quads = apply(inverse, lines[0].quads)
        if not upright:
            # The zone stands on its head: the last line's end is the first line's beginning.
            quads = quads[::-1][:, [2, 3, 0, 1]]
            left, right = right, left
        best = Zone(np.ascontiguousarray(quads), lines[0].score)
        outline = _stretched(best.outline, 0.6 * left, 0.6 * right)
        if turn and not (left or right):
            break
    return best


def _stretched(outline: Array, left: float, right: float) -> Array:
    """An outline [4, 2] made longer by shares of its length at its left and right end."""
    across = (outline[1] - outline[0] + outline[2] - outline[3]) / 2
    steps = np.array([-left, right, right, -left], np.float32)
    return outline + steps[:, None] * across


def cut_line(image: Gray, quad: Array, text_width: int) -> Gray:
    """One line straightened for the reader, uint8 [32, 736].

    Args:
        image: uint8 [H, W].
        quad: the line's corners in the picture, float32 [4, 2], in reading order, tight to the
            capitals.
        text_width: pixels over which the line is spread, one of `TEXT_WIDTHS`; it begins one
            margin from the left.
    """
    left, right = LINE_MARGIN, LINE_MARGIN + text_width
    top = (LINE_HEIGHT - LINE_CAP) / 2
    bottom = top + LINE_CAP
    target = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32), target).astype(np.float64)
    return sample(image, matrix, (LINE_WIDTH, LINE_HEIGHT), border=None)


def cut_lines(image: Gray, quads: Array) -> Gray:
    """All lines of a zone straightened for the reader, uint8 [n_lines, 32, 736]."""
    text_width = TEXT_WIDTHS[3 if len(quads) == 3 else 2]
    return np.stack([cut_line(image, quad, text_width) for quad in quads])


def reader_pixels(lines: Gray) -> Array:
    """Crops uint8 [n, 32, W] as the reader takes them: float32 [n, 1, 32, W] in [-1, 1].

    Each line is stretched to its own darkest and brightest percent, so that faint print on tinted
    paper and a photocopy look alike to the network.
    """
    values = lines.astype(np.float32)
    flat = values.reshape(len(values), -1)
    low, high = np.percentile(flat, [1, 99], axis=1)
    low, high = low[:, None, None], high[:, None, None]
    scaled = (values - low) / np.maximum(high - low, 16.0)
    return (np.clip(scaled, 0, 1) * 2 - 1)[:, None].astype(np.float32)
