"""From readings of an unrolled ring to words on a head: what stands which way, and in which order.

A strip is read upright and turned by 180 degrees, and each reading sees the letters of the other on
their heads and takes them for something. Letters with their places and confidences decide between
the two; windows turned by 90 degrees are looked at where neither reads anything surely.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightbook.headstamps.unroll import Strip
from sightbook.ocr import LineText, geometric_mean

Direction = Literal["outward", "inward", "sideways"]

DOUBT = 0.5
"""Confidence of a letter that speaks neither for nor against its being there."""

MIN_WORTH = 0.35
"""What a word's letters must exceed `DOUBT` by, summed up: one letter has to be surer than two."""

MIN_SIDE_WORTH = 0.6
"""The same of sideways words: of many windows tried some show letters by chance."""

SIDE_LETTERS = 2
"""Fewest letters of a sideways word."""

SURE = 0.75
"""Confidence of a word beneath which no sideways lettering is looked for."""

_AWAY = 0.3  # worth lost by a sideways word whose tops point away from the maker's name
_SWITCH = 0.3  # what it costs to go over from one reading to another along the ring
_STEP = 4  # columns that are decided together: as fine as the recogniser's frames
_COMMON = 0.35  # share of the shorter of two words from which they stand in each other's place
_APART = 1.6  # rows between letters from which they are not of one word, without a blank too
_NEAR = 0.8  # rows from which they are not where letters beside them stand much closer:
_WIDE = 2.2  # so many times
_NEIGHBOURS = 1.0  # rows between words from which they are not of one segment
_ROOM = 2.0  # distances of letters from a strip's end in which a letter may have been cut off
_PITCH = 0.45  # rows: distance of letters where a single one does not tell


@dataclass(frozen=True)
class Word:
    """A word on a head.

    Attributes:
        text: without blanks.
        angle: of its middle, degrees in [0, 360), 0 to the right, clockwise as seen.
        width: that it takes of the ring, degrees.
        direction: where its letters' tops point: outward, inward, or sideways.
        confidence: geometric mean of its letters', from 0 to 1.
        score: by which words that claim one place are compared: what their letters' confidences
            exceed `DOUBT` by, summed up.
        whole: False where it reaches an end of the strip, which may have cut it.
    """

    text: str
    angle: float
    width: float
    direction: Direction
    confidence: float
    score: float
    whole: bool = True


@dataclass(frozen=True)
class _Letter:
    """A letter in a reading: its middle and width in columns of the strip as it was unrolled."""

    char: str
    x: float
    width: float
    confidence: float
    breaks: bool  # whether a word begins with it


def ring_words(strip: Strip, upright: LineText, turned: LineText) -> list[Word]:
    """Words of the two readings of a strip, each place given to the one that is surer there.

    Args:
        strip: as it was unrolled.
        upright: what was read on `strip.image`.
        turned: what was read on `unroll.upside_down(strip)`.
    """
    letters = [_letters(strip, upright, turned=False), _letters(strip, turned, turned=True)]
    winners = _contest(letters, strip.image.shape[1])
    found: list[Word] = []
    directions: tuple[Direction, ...] = ("outward", "inward")
    for number, direction in enumerate(directions):
        kept = [_holds(letter, winners == number) for letter in letters[number]]
        for group in _groups(letters[number], kept):
            found.append(_word(strip, group, direction))
    return found


def side_word(
    strip: Strip, angle: float, read: LineText, *, clockwise: bool, main: Word | None = None
) -> Word | None:
    """The word of a window turned by 90 degrees; None where there is none worth the name.

    Args:
        strip: as it was unrolled.
        angle: of the window's middle.
        read: what was read in it.
        clockwise: whether the letters' tops point clockwise.
        main: the maker's name, as far as known: what stands sideways is mostly upright together
            with it, and 16 is as good as 91 without that.
    """
    kept = [place for place, char in enumerate(read.text) if char != " "]
    confidences = read.confidences[kept]
    score = float((confidences - DOUBT).sum())
    if main is not None and ((main.angle - angle) % 360 < 180) != clockwise:
        score -= _AWAY
    if len(kept) < SIDE_LETTERS or score < MIN_SIDE_WORTH:
        return None
    # Letters are about half as high as the ring is wide.
    width = 0.5 * strip.image.shape[0] / strip.turn * 360
    text = "".join(read.text[place] for place in kept)
    return Word(text, angle % 360, width, "sideways", geometric_mean(confidences), score)


def main_word(words: Sequence[Word]) -> Word | None:
    """The strongest outward word of several letters, mostly the maker's name; None if none is."""
    outward = [word for word in words if word.direction == "outward" and len(word.text) > 1]
    return max(outward, key=lambda word: word.score, default=None)


def best_words(words: Iterable[Word], min_confidence: float) -> list[Word]:
    """Words that no better one stands in the place of: at a seam the whole one of two copies.

    Args:
        words: of all readings.
        min_confidence: words below it are left out, and those of less than `MIN_WORTH`.

    Returns:
        The best first.
    """
    kept: list[Word] = []
    for word in sorted(words, key=lambda word: (not word.whole, -word.score)):
        if word.confidence < min_confidence or word.score < MIN_WORTH:
            continue
        if all(shared_angle(word, other) < _COMMON for other in kept):
            kept.append(word)
    return kept


def free_angles(strip: Strip, words: Sequence[Word], step: float) -> list[float]:
    """Angles around the ring where sideways words could stand: beside all words that are sure.

    Args:
        strip: as it was unrolled.
        words: that were found upright and turned.
        step: between angles, rows of the strip.
    """
    rows = strip.image.shape[0]
    count = max(1, round(strip.turn / (step * rows)))
    width = 0.5 * rows / strip.turn * 360
    sure = [word for word in words if word.confidence >= SURE and len(word.text) > 1]
    angles = [360 * number / count for number in range(count)]
    places = [Word("", angle, width, "sideways", 0.0, 0.0) for angle in angles]
    return [place.angle for place in places if all(shared_angle(place, w) < _COMMON for w in sure)]


def better_seam(words: Sequence[Word], found: Sequence[Word]) -> float | None:
    """Where to begin the strip instead, if one of its words is cut off; None if none is.

    Args:
        words: the best ones found in a strip.
        found: all of them: of a word that was cut both parts are in the way.

    Returns:
        The middle of the widest stretch without words, degrees in [0, 360); None if there is none.
    """
    if all(word.whole for word in words):
        return None
    free = np.ones(360, bool)
    for word in found:
        reach = np.arange(round(word.angle - word.width / 2), round(word.angle + word.width / 2))
        free[reach % 360] = False
    # Begun behind a taken degree, no stretch goes on over the end.
    first = int(free.argmin()) if not free.all() else 0
    best, run = (0, 0), 0
    for degree in range(first, first + 360):
        run = run + 1 if free[degree % 360] else 0
        best = max(best, (run, degree))
    length, end = best
    return (end + 1 - length / 2) % 360 if length else None


def in_order(words: Sequence[Word], strip: Strip) -> list[Word]:
    """Words clockwise around the ring, from the strongest outward part on.

    Words of one direction with no more than a gap between them are a part, and a part is read as
    one reads it: inward lettering runs against the clock.
    """
    if not words:
        return []
    parts = _parts(sorted(words, key=lambda word: word.angle), strip)
    outward = [part for part in parts if part[0].direction == "outward"] or parts
    first = parts.index(max(outward, key=lambda part: sum(word.score for word in part)))
    return list(itertools.chain(*parts[first:], *parts[:first]))


def shared_angle(one: Word, two: Word) -> float:
    """Degrees that two words share over what the narrower one takes, from 0 to 1."""
    apart = abs((one.angle - two.angle + 180) % 360 - 180)
    common = min((one.width + two.width) / 2 - apart, one.width, two.width)
    return max(common, 0.0) / max(min(one.width, two.width), 1e-9)


def _letters(strip: Strip, read: LineText, *, turned: bool) -> list[_Letter]:
    """Letters of a reading, in its order, with their places in the strip as it was unrolled."""
    rows, columns = strip.image.shape[:2]
    scale = columns / read.width
    kept = [place for place, char in enumerate(read.text) if char != " "]
    at = read.starts[kept] * scale
    steps = np.diff(at)
    blanks = [" " in read.text[a:b] for a, b in itertools.pairwise(kept)]
    breaks = [True, *_breaks(steps, blanks, rows)]
    near = steps[steps < rows]
    pitch = min(float(np.median(near)) if len(near) else _PITCH * rows, 0.8 * rows)
    return [
        _Letter(
            read.text[place],
            columns - 1 - x if turned else x,
            pitch,
            float(read.confidences[place]),
            begins,
        )
        for place, x, begins in zip(kept, at.tolist(), breaks, strict=False)
    ]


def _breaks(steps: NDArray[np.float64], blanks: Sequence[bool], rows: int) -> list[bool]:
    """After which letters a word ends: at blanks, and at gaps that are none of its own."""
    ends = [blank or step > _APART * rows for blank, step in zip(blanks, steps, strict=True)]
    found = list(ends)
    for place, step in enumerate(steps):
        beside = [k for k in (place - 1, place + 1) if 0 <= k < len(steps) and not ends[k]]
        if step > _NEAR * rows and beside and step > _WIDE * steps[beside].max():
            found[place] = True
    return found


def _contest(letters: Sequence[Sequence[_Letter]], columns: int) -> NDArray[np.int64]:
    """Which reading holds each stretch of `_STEP` columns; the number after the last: none.

    The way through the readings along which the letters' confidences over `DOUBT` add up to most,
    less `_SWITCH` at each change (Viterbi 1967): a lone letter that looks the same on its head
    takes nothing away from a word.
    """
    stretches = -(-columns // _STEP)
    gains = np.zeros((stretches, len(letters) + 1))
    for number, reading in enumerate(letters):
        for letter in reading:
            part = _stretch(letter, stretches)
            gains[part, number] += (letter.confidence - DOUBT) / max(part.stop - part.start, 1)
    change = _SWITCH * (1 - np.eye(gains.shape[1]))
    best = gains[0]
    came = np.zeros(gains.shape, np.int64)
    for row in range(1, stretches):
        ways = best[:, None] - change
        came[row] = ways.argmax(0)
        best = ways.max(0) + gains[row]
    path = np.zeros(stretches, np.int64)
    path[-1] = int(best.argmax())
    for row in range(stretches - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return path


def _stretch(letter: _Letter, stretches: int) -> slice:
    low = int(max((letter.x - letter.width / 2) // _STEP, 0))
    high = int(min((letter.x + letter.width / 2) // _STEP + 1, stretches))
    return slice(min(low, stretches - 1), max(high, low + 1))


def _holds(letter: _Letter, own: NDArray[np.bool_]) -> bool:
    """Whether most of a letter's place was given to its reading."""
    return bool(own[_stretch(letter, len(own))].mean() >= 0.5)


def _groups(letters: Sequence[_Letter], kept: Sequence[bool]) -> Iterator[list[_Letter]]:
    """Runs of letters that were kept and belong to one word."""
    group: list[_Letter] = []
    for letter, keep in zip(letters, kept, strict=True):
        if group and (letter.breaks or not keep):
            yield group
            group = []
        if keep:
            group.append(letter)
    if group:
        yield group


def _word(strip: Strip, letters: Sequence[_Letter], direction: Direction) -> Word:
    places = [letter.x for letter in letters]
    columns = strip.image.shape[1]
    pitch = max(letters[0].width, (max(places) - min(places)) / max(len(places) - 1, 1))
    wide = max(places) - min(places) + pitch
    inside = min(min(places), columns - 1 - max(places)) >= _ROOM * pitch
    confidences = np.array([letter.confidence for letter in letters])
    return Word(
        "".join(letter.char for letter in letters),
        strip.angle((max(places) + min(places)) / 2),
        min(wide * 360 / strip.turn, 360.0),
        direction,
        geometric_mean(confidences),
        float((confidences - DOUBT).sum()),
        inside,
    )


def _neighbours(words: Sequence[Word]) -> Iterator[tuple[Word, Word]]:
    """Each word and the next one around the ring."""
    return zip(words, [*words[1:], *words[:1]], strict=True)


def _parts(words: Sequence[Word], strip: Strip) -> list[list[Word]]:
    """Neighbours of one direction, clockwise; words within a part in reading order."""
    limit = _NEIGHBOURS * strip.image.shape[0] / strip.turn * 360
    gaps = [(b.angle - a.angle) % 360 - (a.width + b.width) / 2 for a, b in _neighbours(words)]
    last = len(words) - 1
    ends = [
        gap > limit or word.direction != after.direction or word.direction == "sideways"
        for gap, (word, after) in zip(gaps, _neighbours(words), strict=True)
    ]
    if not any(ends):  # a ring without a beginning: its widest gap
        ends[gaps.index(max(gaps))] = True
    # Turned so that the last word ends a part.
    first = next(number for number in range(last, -1, -1) if ends[number]) + 1
    parts: list[list[Word]] = [[]]
    for number in [*range(first, last + 1), *range(first)]:
        parts[-1].append(words[number])
        if ends[number]:
            parts.append([])
    kept = [part for part in parts if part]
    return [part[::-1] if part[0].direction == "inward" else part for part in kept]
