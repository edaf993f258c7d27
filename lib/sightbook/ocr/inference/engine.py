"""What the ocrs engine does around the models, step by step, with onnxruntime, numpy and OpenCV.

A reference of ocrs 0.12 (its preprocess, detection and recognition modules), so that what the
engine will see and answer can be measured here on the exported files. Constants are the engine's
own; a model has to live with them.

Rectangles are float32 ``[n, 4, 2]``: corners x, y in pixels of the picture, clockwise from the top
left. Grey pictures are float32 ``[H, W]`` from -0.5 (black) to 0.5 (white).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.inference import ctc

if TYPE_CHECKING:
    import onnxruntime

Gray = NDArray[np.float32]
Rects = NDArray[np.float32]

BLACK = -0.5
"""What pads a picture, and what stands outside a line's polygon."""

THRESHOLD = 0.2
"""Probability above which a pixel belongs to a word."""

SIMPLIFY = 2.0
"""Pixels by which a word's outline may be simplified."""

GROW = 3.0
"""Pixels by which a word's rectangle grows on each side."""

MIN_AREA = 100.0
"""Square pixels, after growing, below which a word is dropped."""

LINE_HEIGHT = 64
MIN_LINE_WIDTH, MAX_LINE_WIDTH = 10, 2400
WIDTH_STEP = 50
"""Lines are padded to a multiple of it."""

MAX_BATCH = 20
"""Lines that go through the recogniser together."""

BLANK = 0


# --------------------------------------------------------------------------- detection


def prepare_image(image: NDArray[np.uint8]) -> Gray:
    """Grey, from -0.5 to 0.5 (ITU BT.601 luma).

    Args:
        image: uint8, RGB ``[H, W, 3]``, RGBA (its transparency is ignored) or grey ``[H, W]``.
    """
    scaled = np.multiply(image, np.float32(1 / 255), dtype=np.float32)
    if scaled.ndim == 3:
        scaled = cv2.transform(scaled[..., :3], np.array([[0.299, 0.587, 0.114]], np.float32))
    scaled += np.float32(BLACK)
    return scaled


def detection_input(gray: Gray, height: int, width: int) -> tuple[Gray, tuple[int, int]]:
    """The detector's input: small pictures padded at right and bottom, large ones squeezed.

    Args:
        gray: float32 ``[H, W]``.
        height: of the model's input.
        width: of the model's input.

    Returns:
        float32 ``[1, 1, height, width]``, and how many of its rows and columns show the picture.
    """
    rows, columns = max(0, height - gray.shape[0]), max(0, width - gray.shape[1])
    if rows or columns:
        gray = np.pad(gray, ((0, rows), (0, columns)), constant_values=BLACK)
    return resize(gray, height, width)[None, None], (height - rows, width - columns)


def text_probabilities(session: onnxruntime.InferenceSession, gray: Gray) -> Gray:
    """Run the detector.

    Returns:
        float32 ``[h, w]`` at the model's resolution, cut to the part that shows the picture;
        :func:`find_words` brings it to the picture's size.

    Raises:
        ValueError: the model's input has no fixed height and width.
    """
    entry = session.get_inputs()[0]
    height, width = entry.shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        raise ValueError(f"the detector's input is {entry.shape}; height and width must be fixed")
    pixels, (rows, columns) = detection_input(gray, height, width)
    output = session.run([session.get_outputs()[0].name], {entry.name: pixels})[0]
    return np.asarray(output)[0, 0, :rows, :columns]


def find_words(
    probabilities: Gray, size: tuple[int, int], *, threshold: float = THRESHOLD
) -> Rects:
    """Rectangles of words: of least area around each connected part above the threshold, grown.

    Args:
        probabilities: float32 ``[h, w]``, of a pixel being text.
        size: height and width of the picture.
        threshold: the engine's own is 0.2.

    Returns:
        float32 ``[n, 4, 2]``, in no particular order.
    """
    mask = (resize(probabilities, *size) > threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # "Open", but ending where it began: so the outline is first split at the point furthest from
    # its beginning, as the engine does it.
    shapes = [
        cv2.minAreaRect(cv2.approxPolyDP(np.concatenate([line, line[:1]]), SIMPLIFY, False))
        for line in outlines
    ]
    if not shapes:
        return np.zeros((0, 4, 2), np.float32)
    rows = np.array([(*centre, *sides, angle) for centre, sides, angle in shapes], np.float32)
    rows[:, 2:4] += 2 * GROW
    return corners(rows[rows[:, 2] * rows[:, 3] >= MIN_AREA])


def corners(rows: NDArray[np.float32]) -> Rects:
    """Corners of rectangles given as OpenCV has them, turned so that they lean at most 45 degrees.

    Args:
        rows: float32 ``[n, 5]``: centre x, y, width, height, angle in degrees.

    Returns:
        float32 ``[n, 4, 2]``, clockwise from the top left.
    """
    turns = np.round(rows[:, 4] / 90)
    odd = turns % 2 == 1
    width, height = np.where(odd, rows[:, 3], rows[:, 2]), np.where(odd, rows[:, 2], rows[:, 3])
    angle = np.deg2rad(rows[:, 4] - 90 * turns)
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * (width / 2)[:, None]
    down = np.stack([-np.sin(angle), np.cos(angle)], 1) * (height / 2)[:, None]
    offsets = [-along - down, along - down, along + down, down - along]
    return (rows[:, None, :2] + np.stack(offsets, 1)).astype(np.float32)


def resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Bilinear, pixel centres at half, no smoothing before shrinking."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


# --------------------------------------------------------------------------- lines


def line_polygon(rects: Rects) -> NDArray[np.int64]:
    """Outline of a line: along the upper edges of its words to the right, back along the lower.

    Args:
        rects: float32 ``[k, 4, 2]``, words from left to right.

    Returns:
        int64 ``[4 k, 2]``, cut to whole pixels (towards zero).
    """
    by_x = np.take_along_axis(rects, rects[..., 0].argsort(1, kind="stable")[..., None], 1)
    sides = by_x.reshape(-1, 2, 2, 2)  # word, left or right side, point, x or y
    sides = np.take_along_axis(sides, sides[..., 1].argsort(2, kind="stable")[..., None], 2)
    upper, lower = sides[:, :, 0].reshape(-1, 2), sides[:, :, 1].reshape(-1, 2)
    return np.concatenate([upper, lower[::-1]]).astype(np.int64)


def fill_polygon(polygon: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels inside a polygon by the even-odd rule; those on an upper or left edge are inside.

    Args:
        polygon: int ``[n, 2]``; a vertex lies at the centre of its pixel.

    Returns:
        bool ``[h, w]``, of the bounding box without its last row and column.
    """
    points = polygon - polygon.min(0)
    width, height = points.max(0)
    crossings = np.zeros((height, width + 1), np.uint8)
    for (x0, y0), (x1, y1) in zip(points.tolist(), np.roll(points, -1, 0).tolist(), strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        rows = np.arange(y1 - y0)
        # the first pixel whose centre is not left of the edge, in whole numbers
        crossings[y0 + rows, x0 - (-rows * (x1 - x0)) // (y1 - y0)] ^= 1
    return np.bitwise_xor.accumulate(crossings[:, :width], axis=1).astype(bool)


def cut_polygon(
    image: NDArray[Any], polygon: NDArray[np.int64], background: float = BLACK
) -> NDArray[Any]:
    """The bounding box of a polygon, with what lies outside polygon or picture at the background.

    Args:
        image: ``[H, W]`` of any dtype, which is kept.
        polygon: int ``[n, 2]``, may reach beyond the picture.
        background: in units of the image: -0.5 for prepared ones, 0 for uint8.

    Returns:
        ``[h, w]``; 1 by 1 pixel of background for a polygon without inside.
    """
    left, top = polygon.min(0)
    width, height = polygon.max(0) - (left, top)
    if width < 1 or height < 1:
        return np.full((1, 1), background, image.dtype)
    cut = np.full((height, width), background, image.dtype)
    rows, columns = image.shape
    y0, x0 = max(0, -top), max(0, -left)
    # As in the engine, places in the cut must be places of the picture too, where it begins
    # left of or above the picture.
    y1, x1 = min(height, rows - max(0, top)), min(width, columns - max(0, left))
    if y1 <= y0 or x1 <= x0:
        return cut
    inside = fill_polygon(polygon)[y0:y1, x0:x1]
    seen = image[top + y0 : top + y1, left + x0 : left + x1]
    np.copyto(cut[y0:y1, x0:x1], seen, where=inside)
    return cut


def line_width(rects: Rects, height: int = LINE_HEIGHT) -> int:
    """Width of a line's picture once it is `height` pixels high: its aspect kept, within limits."""
    x0, y0 = np.trunc(rects.min((0, 1)))
    x1, y1 = np.ceil(rects.max((0, 1)))
    aspect = (x1 - x0) / max(y1 - y0, 1.0)
    return int(np.clip(np.float32(height * aspect), MIN_LINE_WIDTH, MAX_LINE_WIDTH))


def line_image(gray: Gray, rects: Rects, height: int = LINE_HEIGHT) -> Gray:
    """A line as the recogniser gets it: cut out along its words, at the recogniser's height.

    Args:
        gray: the page, float32 ``[H, W]``.
        rects: words from left to right, float32 ``[k, 4, 2]``.
        height: of the recogniser's input.

    Returns:
        float32 ``[height, w]``, w from 10 to 2400; -0.5 outside the words.
    """
    return resize(cut_polygon(gray, line_polygon(rects)), height, line_width(rects, height))


# --------------------------------------------------------------------------- recognition


@dataclass(frozen=True)
class LineText:
    """What was read on one line's picture.

    Attributes:
        text: the characters.
        starts: where each begins, pixels of the line's picture.
        ends: where each ends: where the next one begins, or the picture's width.
        confidences: of each character, 0 to 1.
        width: of the line's picture, without padding.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    confidences: NDArray[np.float64]
    width: int

    @property
    def confidence(self) -> float:
        """Geometric mean of the characters' confidences; 0 where there are none."""
        return geometric_mean(self.confidences)

    def words(self) -> Iterator[slice]:
        """Character ranges between blanks, as the engine splits a line into words."""
        start = 0
        for piece in self.text.split(" "):
            if piece:
                yield slice(start, start + len(piece))
            start += len(piece) + 1


def geometric_mean(confidences: NDArray[np.float64]) -> float:
    """Of values from 0 to 1; 0 of none."""
    if not len(confidences):
        return 0.0
    return float(np.exp(np.log(np.maximum(confidences, 1e-12)).mean()))


def recognise(
    session: onnxruntime.InferenceSession,
    lines: Sequence[Gray],
    alphabet: str,
    *,
    beams: int = 1,
) -> list[LineText]:
    """Read lines, those of like width together.

    Args:
        session: the recogniser: ``[batch, 1, height, W]`` to log-probabilities
            ``[frames, batch, classes]``, class 0 being the blank.
        lines: float32 ``[height, w]`` each, see :func:`line_image`.
        alphabet: character i is class i + 1.
        beams: texts kept by the beam search; 1 takes the best path, which is quick.

    Returns:
        One a line, in the order given.

    Raises:
        ValueError: the model has another number of classes than the alphabet wants.
    """
    found: dict[int, LineText] = {}
    entry, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    for width, batch in _batches([line.shape[1] for line in lines]):
        pixels = np.full((len(batch), 1, lines[batch[0]].shape[0], width), BLACK, np.float32)
        for row, index in enumerate(batch):
            pixels[row, 0, :, : lines[index].shape[1]] = lines[index]
        log_probs = np.asarray(session.run([output], {entry: pixels})[0])
        frames, _, classes = log_probs.shape
        if classes != len(alphabet) + 1:
            raise ValueError(
                f"the recogniser has {classes} classes; an alphabet of {len(alphabet)} characters "
                f"wants {len(alphabet) + 1}"
            )
        step = max(1, round(width / frames))
        for row, index in enumerate(batch):
            read = decode(log_probs[:, row], alphabet, lines[index].shape[1], step, beams)
            found[index] = read
    return [found[index] for index in range(len(lines))]


def decode(
    log_probs: NDArray[np.float32], alphabet: str, width: int, step: int = 4, beams: int = 1
) -> LineText:
    """The text of one line and where its characters stand.

    Args:
        log_probs: ``[frames, classes]``.
        alphabet: character i is class i + 1.
        width: of the line's picture; what begins in the padding behind it is dropped.
        step: pixels of the line's picture a frame.
        beams: as :func:`recognise`.
    """
    ids, frames, confidences = best_path(log_probs)
    if beams > 1:
        searched = ctc.ctc_beam(log_probs, BLANK, beams=beams)
        if searched and searched[0].ids != ids.tolist():
            ids = np.array(searched[0].ids, np.int64)
            spans = ctc.ctc_align(log_probs, searched[0].ids, BLANK)
            frames = spans[:, 0]
            confidences = np.array(
                [np.exp(log_probs[a:b, i].max()) for i, (a, b) in zip(ids, spans, strict=True)]
            )
    starts = frames * step
    kept = int((starts < width).sum())
    starts, ids, confidences = starts[:kept], ids[:kept], confidences[:kept]
    ends = np.minimum(np.append(starts[1:], width), width)
    text = "".join(alphabet[i - 1] for i in ids)
    return LineText(text, starts, ends[:kept], confidences.astype(np.float64), width)


def best_path(
    log_probs: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """As `ctc.ctc_greedy`, without loops, and with the first frame of each character.

    Returns:
        ids, first frames and confidences (largest probability among a character's frames).
    """
    path = log_probs.argmax(1)
    begins = np.flatnonzero(np.diff(path, prepend=-1))
    best = np.maximum.reduceat(log_probs[np.arange(len(path)), path], begins)
    kept = path[begins] != BLANK
    return path[begins][kept], begins[kept], np.exp(best[kept])


def _batches(widths: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Padded width and line numbers of each batch."""
    groups: dict[int, list[int]] = {}
    for index, width in enumerate(widths):
        groups.setdefault(-(-width // WIDTH_STEP) * WIDTH_STEP, []).append(index)
    for width, members in sorted(groups.items()):
        for start in range(0, len(members), MAX_BATCH):
            yield width, members[start : start + MAX_BATCH]
