"""Words as the layout network sees them: features of their boxes, targets, and a detector's faults.

numpy only: training and prediction compute the features here, so they cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.pages.page import Page, from_top_left, smallest_rectangle

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

FEATURES = 6
"""Centre x and y, cosine and sine of the direction of writing, width along it, height across it."""

SMOOTHING = 4.0
"""Words within about so many heights have a say in the direction of a short one."""

NOISE = -1
"""Paragraph and line of a box that is no word at all."""


@dataclass(frozen=True)
class PageWords:
    """The word boxes of a page with the truth about them.

    Attributes:
        quads: float32 ``[n, 4, 2]`` in pixels, clockwise from the top left.
        lines: int64 ``[n]``, number of each word's line; words of a line follow one another in
            reading order. `NOISE` for boxes that belong nowhere.
        paragraphs: int64 ``[n]``, number of each word's paragraph, or `NOISE`.
    """

    quads: Floats
    lines: Ints
    paragraphs: Ints

    def __len__(self) -> int:
        return len(self.quads)

    def take(self, places: Ints) -> PageWords:
        """The words at these places, in the order given."""
        return PageWords(self.quads[places], self.lines[places], self.paragraphs[places])


def page_words(page: Page) -> PageWords:
    """The words of a page in its reading order; polygons become their smallest rectangles."""
    quads, lines, paragraphs, line_number = [], [], [], 0
    for number, paragraph in enumerate(page.paragraphs):
        for line in paragraph.lines:
            for word in line.words:
                four = len(word.vertices) == 4
                shape = from_top_left if four else smallest_rectangle
                quads.append(shape(np.asarray(word.vertices, np.float32)))
                lines.append(line_number)
                paragraphs.append(number)
            line_number += 1
    return PageWords(
        np.array(quads, np.float32).reshape(-1, 4, 2),
        np.array(lines, np.int64),
        np.array(paragraphs, np.int64),
    )


# --------------------------------------------------------------------------- features


def word_features(quads: Floats) -> Floats:
    """Geometry of words, free of the page's size and place.

    Lengths are in median word heights, positions from the median centre.

    Args:
        quads: ``[n, 4, 2]`` in pixels, corners in order round the box.

    Returns:
        ``[n, 6]``, see `FEATURES`.
    """
    quads = np.asarray(quads, np.float32).reshape(-1, 4, 2)
    if not len(quads):
        return np.zeros((0, FEATURES), np.float32)
    angles = writing_angles(quads)
    along = np.stack([np.cos(angles), np.sin(angles)], 1)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    widths = np.ptp(np.einsum("nkc,nc->nk", quads, along), axis=1)
    heights = np.ptp(np.einsum("nkc,nc->nk", quads, across), axis=1)
    unit = max(float(np.median(heights)), 1e-3)
    centres = quads.mean(1)
    centres = (centres - np.median(centres, 0)) / unit
    # A box of no extent would have no logarithm.
    sizes = np.maximum(np.stack([widths, heights], 1) / unit, 0.02)
    return np.concatenate([centres, along, sizes], 1).astype(np.float32)


def writing_angles(quads: Floats) -> NDArray[np.float64]:
    """Direction of writing at every word, radians, by the word's own box and its neighbours'.

    The rectangle of a full stop or of an "o" lies at any angle. So each box counts by how long it
    is, and the page's main direction decides which of its sides runs along the line.

    Args:
        quads: ``[n, 4, 2]``, n > 0.
    """
    first = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    second = (quads[:, 3] - quads[:, 0] + quads[:, 2] - quads[:, 1]) / 2
    lengths = np.stack([np.hypot(*first.T), np.hypot(*second.T)], 1).astype(np.float64) + 1e-6
    long = np.where((lengths[:, 0] >= lengths[:, 1])[:, None], first, second)
    angles = np.arctan2(long[:, 1], long[:, 0]).astype(np.float64)
    votes = lengths.max(1) * np.log(lengths.max(1) / lengths.min(1)) + 1e-3
    # Doubled angles: a side has no front end.
    main = np.angle(np.sum(votes * np.exp(2j * angles))) / 2
    # The rest is the angle between the page and the nearest side of a box, at most 45 degrees.
    rest = (angles - main + np.pi / 4) % (np.pi / 2) - np.pi / 4
    centres = quads.mean(1).astype(np.float64)
    reach = SMOOTHING * max(float(np.median(lengths.min(1))), 1e-3)
    smooth = np.empty(len(quads))
    for start in range(0, len(quads), 512):  # rows at a time: thousands of words fit in memory
        part = centres[start : start + 512, None] - centres[None]
        weights = np.exp(-np.square(part / reach).sum(2) / 2) * votes
        smooth[start : start + 512] = (weights * rest).sum(1) / weights.sum(1)
    return main + smooth


# --------------------------------------------------------------------------- targets


def successors(lines: Ints) -> Ints:
    """Which word follows each one in its line, -1 at the end; words stand in reading order."""
    follows = (lines[:-1] == lines[1:]) & (lines[:-1] != NOISE)
    found = np.full(len(lines), -1, np.int64)
    found[:-1][follows] = np.flatnonzero(follows) + 1
    return found


def together(numbers: Ints) -> NDArray[np.bool_]:
    """``[n, n]``, whether two words have the same line or paragraph; noise is with itself only."""
    same = (numbers[:, None] == numbers[None]) & (numbers != NOISE)[:, None]
    np.fill_diagonal(same, True)
    return same


# --------------------------------------------------------------------------- a detector's faults


def augment(words: PageWords, rng: np.random.Generator, strength: float = 1.0) -> PageWords:
    """The words as a detector might find them on a page that lies otherwise.

    Args:
        words: truth.
        rng: what is drawn follows from it alone.
        strength: 0 leaves everything as it is, 1 is usual.

    Returns:
        Moved, joined, torn, lost and invented boxes; never empty if `words` is not.
    """
    if not len(words) or strength <= 0:
        return words
    rates = rng.random(4) * np.array([0.05, 0.05, 0.06, 0.04]) * strength
    words = _torn(words, rng, rates[0])
    words = _joined(words, rng, rates[1])
    kept = np.flatnonzero(rng.random(len(words)) >= rates[2])
    words = words.take(kept if len(kept) else np.array([0]))
    quads = _jittered(words.quads, rng, strength)
    words = _with_noise(PageWords(quads, words.lines, words.paragraphs), rng, rates[3])
    turned = _placed(words.quads, rng, strength)
    return PageWords(turned, words.lines, words.paragraphs)


def crop(words: PageWords, rng: np.random.Generator, count: int) -> PageWords:
    """At most `count` words nearest to one drawn at random, still in reading order."""
    if len(words) <= count:
        return words
    centres = words.quads.mean(1)
    distance = np.square(centres - centres[int(rng.integers(len(words)))])
    # A window as wide or as tall as it happens: columns of words, and single lines.
    wide = np.exp(rng.uniform(-0.7, 0.7))
    nearest = np.argsort(distance[:, 0] / wide + distance[:, 1] * wide, kind="stable")[:count]
    return words.take(np.sort(nearest))


def _joined(words: PageWords, rng: np.random.Generator, rate: float) -> PageWords:
    """Some neighbours of a line become one box."""
    follows = successors(words.lines)
    first = np.flatnonzero((follows >= 0) & (rng.random(len(words)) < rate))
    quads, gone = words.quads.copy(), np.zeros(len(words), bool)
    for place in first.tolist():
        if not gone[place]:
            quads[place] = smallest_rectangle(quads[place : place + 2].reshape(-1, 2))
            gone[place + 1] = True
    return PageWords(quads, words.lines, words.paragraphs).take(np.flatnonzero(~gone))


def _torn(words: PageWords, rng: np.random.Generator, rate: float) -> PageWords:
    """Some wide boxes become two with a small gap."""
    across = np.linalg.norm(words.quads[:, 3] - words.quads[:, 0], axis=1)
    along = np.linalg.norm(words.quads[:, 1] - words.quads[:, 0], axis=1)
    torn = (along > 1.5 * across) & (rng.random(len(words)) < rate)
    places = np.repeat(np.arange(len(words)), 1 + torn)
    quads = words.quads[places]
    left = np.flatnonzero(torn) + np.arange(torn.sum())
    cut = rng.uniform(0.25, 0.75, len(left)).astype(np.float32)[:, None]
    gap = rng.uniform(0.0, 0.1, len(left)).astype(np.float32)[:, None]
    whole = words.quads[torn]
    for near, far in ((0, 1), (3, 2)):
        side = whole[:, far] - whole[:, near]
        quads[left, far] = whole[:, near] + cut * (1 - gap) * side
        quads[left + 1, near] = whole[:, near] + cut * (1 + gap) * side
    return PageWords(quads, words.lines[places], words.paragraphs[places])


def _jittered(quads: Floats, rng: np.random.Generator, strength: float) -> Floats:
    """Boxes grown or shrunk alike over the page, and each one's sides a little by themselves."""
    along, across = quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0]
    width = np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    height = np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    short = np.minimum(width, height)
    common = rng.uniform(-0.08, 0.2, 2) * strength
    spread = rng.uniform(0.0, 0.08) * strength
    moves = (common.repeat(2) + spread * rng.standard_normal((len(quads), 4))) * short
    moves = np.clip(moves, -0.3 * np.concatenate([width, width, height, height], 1), None)
    left, right, top, bottom = moves.T[..., None].astype(np.float32)
    u, v = along / width, across / height
    grown = quads.copy()
    grown[:, 0] += -left * u - top * v
    grown[:, 1] += right * u - top * v
    grown[:, 2] += right * u + bottom * v
    grown[:, 3] += -left * u + bottom * v
    # The rectangle of a short word or of a few dots lies askew.
    aspect = np.maximum(width, height) / short
    askew = rng.standard_normal((len(quads), 1)) * (0.25 * strength / np.square(aspect))
    return _turned(grown, askew[:, 0], grown.mean(1))


def _with_noise(words: PageWords, rng: np.random.Generator, rate: float) -> PageWords:
    """Boxes on stains and rules, somewhere among the words."""
    count = int(rng.binomial(len(words), rate))
    if not count:
        return words
    sources = words.quads[rng.integers(len(words), size=count)]
    low, high = words.quads.min((0, 1)), words.quads.max((0, 1))
    centres = rng.uniform(low, high, (count, 2))[:, None]
    scale = np.exp(rng.normal(0, 0.6, (count, 1, 2)))
    noise = (sources - sources.mean(1, keepdims=True)) * scale + centres
    nowhere = np.full(count, NOISE)
    return PageWords(
        np.concatenate([words.quads, noise.astype(np.float32)]),
        np.concatenate([words.lines, nowhere]),
        np.concatenate([words.paragraphs, nowhere]),
    )


def _placed(quads: Floats, rng: np.random.Generator, strength: float) -> Floats:
    """The page turned, stretched and sheared a little; one in ten lies quite askew."""
    degrees = rng.normal(0, 2.0 if rng.random() < 0.9 else 12.0) * strength
    stretch = np.exp(rng.normal(0, 0.06 * strength))
    shear = rng.normal(0, 0.02 * strength)
    matrix = np.array([[stretch, shear], [0, 1 / stretch]], np.float32)
    middle = quads.mean((0, 1))
    return _turned((quads - middle) @ matrix.T + middle, np.deg2rad(degrees), middle)


def _turned(quads: Floats, angles: NDArray[np.float64] | float, centres: Floats) -> Floats:
    """Boxes turned by `angles` about `centres`, ``[n, 2]`` or one for all."""
    angles = np.broadcast_to(np.asarray(angles), len(quads))
    cosine, sine = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)
    centres = np.broadcast_to(centres, (len(quads), 2))[:, None]
    return ((quads - centres) @ turns + centres).astype(np.float32)
