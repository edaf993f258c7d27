"""Makers and calibres by what is stamped on heads, and which of them a reading may mean.

The table is a text file that users edit (`makers.txt` beside this module is the shipped one, whose
first lines say how it is written). Stamps are matched by an edit distance in which letters that
look alike when stamped, worn or turned cost less than others.

Words of a head are put right by it: AGUILA for ACUIIA, 12 GA for 12GA. Only what is hardly anything
else is changed: a reading near one stamp and clearly nearer to it than to all others. Short
readings are left alone unless their letters only look alike, and so is what is near nothing known:
texts that are in no table must stay as they were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from sightbook.headstamps.words import Word

TABLE = Path(__file__).parent / "makers.txt"

KINDS = ("pistol", "rifle", "military", "shotshell", "rimfire")

LAYOUTS = ("opposed", "ring", "thirds", "sides", "year")

_ALIKE = (
    "0OQDC", "1IL7T", "2Z", "5S", "6CG", "8B&", "69", "UV", "PR", "EF", "4A", "MN", "HN", "VY",
    "38", "3B", "XK",
)  # fmt: skip
_ALIKE_COST = 0.4
# How unlike a stamp a reading may be, over its length: a wrong letter in three is too much.
_TOLERANCE = 0.34
_MOST_JOINED = 4  # tokens that may be one stamp, such as "30", "-", "06", "SPRG"
_NOT_ITS_KIND = 0.75  # a maker of pistol cartridges on a shotshell is less likely, not impossible


class GazetteerError(ValueError):
    """A table that cannot be used; says which file and line."""


@dataclass(frozen=True)
class Entry:
    """A maker or a calibre.

    Attributes:
        name: as people say it.
        stamps: as it is stamped, most usual first.
        kinds: of cartridge, out of `KINDS`.
        layouts: of a maker, out of `LAYOUTS`; empty for calibres.
    """

    name: str
    stamps: tuple[str, ...]
    kinds: tuple[str, ...]
    layouts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gazetteer:
    """The table, in its order."""

    makers: tuple[Entry, ...]
    calibres: tuple[Entry, ...]


@dataclass(frozen=True)
class Match:
    """What a stamp was found in: an entry, its stamp, the tokens' numbers, 0..1."""

    entry: Entry
    stamp: str
    tokens: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class Candidate:
    """What a head may be.

    Attributes:
        maker: its name; None where nothing read is like one.
        calibre: its name; None likewise.
        score: from 0 to 1; comparable between the candidates of one head only.
        stamps: the stamps that were recognised, the maker's first.
    """

    maker: str | None
    calibre: str | None
    score: float
    stamps: tuple[str, ...]


@cache
def read_gazetteer(file: Path = TABLE) -> Gazetteer:
    """Read a table of makers and calibres.

    Raises:
        GazetteerError: a line that is no entry, an unknown kind or layout, or no entry at all.
        FileNotFoundError: no such file.
    """
    found: dict[str, list[Entry]] = {"calibres": [], "makers": []}
    section = ""
    for number, raw in enumerate(file.read_text("utf-8-sig").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if "|" not in line:
            if line not in found:
                raise GazetteerError(
                    f"{file}, line {number}: {line!r} is neither an entry (stamps | name | kinds) "
                    "nor one of the sections calibres and makers"
                )
            section = line
            continue
        if not section:
            raise GazetteerError(
                f"{file}, line {number}: an entry before any section; write calibres or makers "
                "on a line above it"
            )
        found[section].append(_entry(line, section, f"{file}, line {number}"))
    if not (found["makers"] or found["calibres"]):
        raise GazetteerError(f"{file} holds no maker and no calibre")
    return Gazetteer(tuple(found["makers"]), tuple(found["calibres"]))


def identify(
    tokens: Sequence[str], table: Gazetteer | None = None, *, limit: int = 5
) -> list[Candidate]:
    """Rank what a head may be from what was read on it.

    Every token, and every few neighbours put together, is held against every stamp. A maker and a
    calibre go together when they claim different tokens, and better when the maker makes that kind.

    Args:
        tokens: as read, in order around the ring; case does not matter.
        table: None for the shipped one.
        limit: how many candidates at most.

    Returns:
        Best first; empty if nothing read is like anything known.
    """
    known = table or read_gazetteer()
    makers = _matches(tokens, known.makers)
    calibres = _matches(tokens, known.calibres)
    found: dict[tuple[str | None, str | None], Candidate] = {}

    def keep(maker: Match | None, calibre: Match | None, score: float) -> None:
        parts = [match for match in (maker, calibre) if match is not None]
        candidate = Candidate(
            maker.entry.name if maker else None,
            calibre.entry.name if calibre else None,
            round(score, 4),
            tuple(match.stamp for match in parts),
        )
        key = (candidate.maker, candidate.calibre)
        if key not in found or found[key].score < candidate.score:
            found[key] = candidate

    for maker in makers:
        keep(maker, None, 0.5 * maker.score)
        for calibre in calibres:
            if set(maker.tokens) & set(calibre.tokens):
                continue
            fits = bool(set(maker.entry.kinds) & set(calibre.entry.kinds))
            keep(maker, calibre, (maker.score + calibre.score) / 2 * (1 if fits else _NOT_ITS_KIND))
    for calibre in calibres:
        keep(None, calibre, 0.45 * calibre.score)
    # At equal scores the table's order decides: sorting keeps it.
    return sorted(found.values(), key=lambda candidate: -candidate.score)[:limit]


def similarity(read: str, stamp: str) -> float:
    """How alike two texts are, from 0 to 1; blanks, dots and case do not count.

    One minus the edit distance over the longer one's length; letters that are easily mistaken for
    one another on metal cost 0.4 of a letter.
    """
    one, two = plain_stamp(read), plain_stamp(stamp)
    if not one or not two:
        return 0.0
    return 1 - _distance(one, two) / max(len(one), len(two))


def _entry(line: str, section: str, where: str) -> Entry:
    parts = [part.strip() for part in line.split("|")]
    wanted = 4 if section == "makers" else 3
    if len(parts) != wanted or not all(parts):
        form = "stamps | name | kinds | layouts" if wanted == 4 else "stamps | name | kind"
        raise GazetteerError(f"{where}: {line!r} is no entry of {section}; write {form}")
    stamps = tuple(stamp.strip() for stamp in parts[0].split(",") if stamp.strip())
    kinds, layouts = tuple(parts[2].split()), tuple(" ".join(parts[3:]).split())
    for name, given, known in (("kind", kinds, KINDS), ("layout", layouts, LAYOUTS)):
        for value in given:
            if value not in known:
                raise GazetteerError(
                    f"{where}: unknown {name} {value!r}; known are {', '.join(known)}"
                )
    return Entry(parts[1], stamps, kinds, layouts)


def _matches(tokens: Sequence[str], entries: Sequence[Entry]) -> list[Match]:
    """For each entry its best match, where there is a tolerable one."""
    pieces = [
        (tuple(range(start, start + count)), plain_stamp("".join(tokens[start : start + count])))
        for count in range(1, _MOST_JOINED + 1)
        for start in range(len(tokens) - count + 1)
    ]
    found = []
    for entry in entries:
        best: Match | None = None
        for rank, stamp in enumerate(entry.stamps):
            plain = plain_stamp(stamp)
            for numbers, piece in pieces:
                longer = max(len(piece), len(plain))
                if not piece or abs(len(piece) - len(plain)) > _TOLERANCE * longer:
                    continue
                unlike = _distance(piece, plain) / longer
                if unlike > _TOLERANCE:
                    continue
                # Long stamps say more than short ones, and usual ones more than odd ones.
                score = (1 - unlike) * (1 - 0.5 / (longer + 1)) * (1 - 0.01 * rank)
                if best is None or score > best.score:
                    best = Match(entry, stamp, numbers, score)
        if best is not None:
            found.append(best)
    return found


def plain_stamp(text: str) -> str:
    """A stamp or a reading without what does not count: case, blanks and dots."""
    return "".join(c for c in text.upper().replace("×", "X") if c.isalnum() or c in "&-/+")


def _distance(one: str, two: str) -> float:
    """Edit distance in which look-alikes cost less; rapidfuzz knows no costs by letter."""
    before = [float(i) for i in range(len(two) + 1)]
    for i, a in enumerate(one, 1):
        row = [float(i)]
        for j, b in enumerate(two, 1):
            change = 0.0 if a == b else _ALIKE_COST if _alike(a, b) else 1.0
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + change))
        before = row
    return before[-1]


@cache
def _alike(a: str, b: str) -> bool:
    return any(a in group and b in group for group in _ALIKE)


MIN_ALIKE = 0.75
"""Similarity from which a reading is taken for a stamp."""

MIN_ALIKE_SURE = 0.85
"""The same of readings shorter than `SHORT`, of which one letter may look like another, and of
neighbours that are pieces of one."""

SHORT = 5

MARGIN = 0.08
"""By which the next stamp must be less alike."""

_SHORTEST = 3  # of two letters each one counts
_MOST_PIECES = 3  # words that may be pieces of one


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
        for count in range(1, min(_MOST_PIECES, len(words) - first) + 1):
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
    score = sum(word.score for word in piece)
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
                score=score * len(part) / letters,
                whole=all(word.whole for word in piece),
            )
        )
        pen += len(part) + 1
    return found
