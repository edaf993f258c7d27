"""Words of a head put right by the table of makers and calibres: AGUILA for ACUIIA, 12 GA for 12GA.

Only what is hardly anything else is changed: a reading near one stamp and clearly nearer to it than
to all others. Short readings are left alone unless their letters only look alike, and so is what is
near nothing known: texts that are in no table must stay as they were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from sightbook.detection.gazetteer import Gazetteer, plain_stamp, read_gazetteer, similarity
from sightbook.detection.headstamp_words import Word

MIN_ALIKE = 0.75
"""Similarity from which a reading is taken for a stamp."""

MIN_ALIKE_SURE = 0.85
"""The same of readings shorter than `SHORT`, of which one letter may look like another, and of
neighbours that are pieces of one."""

SHORT = 5

MARGIN = 0.08
"""By which the next stamp must be less alike."""

_SHORTEST = 3  # of two letters each one counts
_MOST_JOINED = 3  # words that may be pieces of one


def corrected(words: Sequence[Word], table: Gazetteer | None = None) -> list[Word]:
    """The words as the table writes them, where it leaves no doubt.

    Args:
        words: of one head, in reading order.
        table: None for the shipped one.

    Returns:
        Words in the same order. A word that the table writes as several becomes those, neighbours
        that are pieces of one become that. Confidences fall with what was changed.
    """
    known = _stamps(table or read_gazetteer())
    found: list[Word] = []
    first = 0
    while first < len(words):
        best: tuple[float, int, str] | None = None
        for count in range(1, min(_MOST_JOINED, len(words) - first) + 1):
            match = _stamp(words[first : first + count], known)
            if match is not None and (best is None or match[0] >= best[0]):
                best = match[0], count, match[1]
        if best is None:
            found.append(words[first])
            first += 1
        else:
            alike, count, stamp = best
            found += _written(words[first : first + count], stamp, alike)
            first += count
    return found


@cache
def _stamps(table: Gazetteer) -> tuple[str, ...]:
    """All stamps and the words that they consist of, each spelling once."""
    stamps = [stamp for entry in (*table.makers, *table.calibres) for stamp in entry.stamps]
    words = [word for stamp in stamps for word in stamp.split()]
    spelled: dict[str, str] = {}
    for text in (*stamps, *words):
        spelled.setdefault(plain_stamp(text), text)
    return tuple(spelled.values())


def _stamp(piece: Sequence[Word], stamps: Sequence[str]) -> tuple[float, str] | None:
    """How alike words are to the stamp that they are meant to be; None to leave them."""
    if len({word.direction for word in piece}) > 1:
        return None
    if piece[0].direction == "sideways":  # a straight line of letters, whose pieces are no words
        return None
    read = plain_stamp("".join(word.text for word in piece))
    if len(read) < _SHORTEST:
        return None
    ranked = sorted(((similarity(read, stamp), stamp) for stamp in stamps), reverse=True)
    (best, stamp), (second, _) = (*ranked, (0.0, ""))[:2]
    long = min(len(read), len(plain_stamp(stamp))) >= SHORT
    least = MIN_ALIKE if long and len(piece) == 1 else MIN_ALIKE_SURE
    if best < least or best - second < MARGIN:
        return None
    if [plain_stamp(word.text) for word in piece] == [plain_stamp(p) for p in stamp.split()]:
        return None
    return best, stamp


def _written(piece: Sequence[Word], stamp: str, alike: float) -> list[Word]:
    """The stamp's words, spread over the stretch of the ring that was read."""
    parts = stamp.split()
    sign = -1 if piece[0].direction == "inward" else 1  # of reading, clockwise
    start = piece[0].angle - sign * piece[0].width / 2
    end = piece[-1].angle + sign * piece[-1].width / 2
    whole = (sign * (end - start)) % 360 or 360.0
    confidence = min(word.confidence for word in piece) * alike
    worth = sum(word.worth for word in piece)
    letters = sum(map(len, parts)) + len(parts) - 1
    found, pen = [], 0
    for part in parts:
        middle = start + sign * whole * (pen + len(part) / 2) / letters
        found.append(
            replace(
                piece[0],
                text=part,
                angle=middle % 360,
                width=whole * len(part) / letters,
                confidence=confidence,
                worth=worth * len(part) / letters,
                whole=all(word.whole for word in piece),
            )
        )
        pen += len(part) + 1
    return found
