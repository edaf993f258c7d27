"""What is stamped on a head, and where: makers and calibres around the ring, as in life."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sightbook.headstamps.gazetteer import LAYOUTS, Entry, read_gazetteer
from sightbook.headstamps.synth.letters import Die, Stamp, draw_die, text_length

Kind = Literal["pistol", "rifle", "military", "shotshell", "rimfire"]

_KINDS: tuple[Kind, ...] = ("pistol", "rifle", "military", "shotshell", "rimfire")
_SHARES = (0.34, 0.18, 0.13, 0.3, 0.05)
_INVENTED = 0.45  # share of heads whose texts are in no table: reading must not become guessing
_LETTERS = string.ascii_uppercase * 2 + string.digits * 4 + "&.-xx"
_MARKS = ("star", "cross", "dot", "blob")  # no bars: nobody could tell them from an I


@dataclass(frozen=True)
class Mark:
    """A sign that is no letter: which, its angle in degrees, radius and size."""

    kind: str
    angle: float
    radius: float
    size: float


@dataclass(frozen=True)
class Plan:
    """What stands on a head.

    Attributes:
        kind: of cartridge.
        primer: radius of the primer over the rim's; 0 for none.
        stamps: texts in reading order: the maker's, then the rest.
        marks: signs.
        die: how the letters are cut.
        maker: stamp of the maker, for the object's name.
    """

    kind: Kind
    primer: float
    stamps: tuple[Stamp, ...]
    marks: tuple[Mark, ...]
    die: Die
    maker: str


def draw_plan(rng: np.random.Generator, *, invented: float = _INVENTED) -> Plan:
    """What stands on some head.

    Args:
        rng: the only source of chance.
        invented: share of heads with texts that are in no table.
    """
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
    primer = {
        "pistol": rng.uniform(0.37, 0.5),
        "rifle": rng.uniform(0.34, 0.48),
        "military": rng.uniform(0.36, 0.48),
        "shotshell": rng.uniform(0.32, 0.44),
        "rimfire": 0.0,
    }[kind]
    die = draw_die(rng)
    makers = [entry for entry in read_gazetteer().makers if kind in entry.kinds]
    maker = makers[int(rng.integers(len(makers)))]
    layout = str(_one(rng, maker.layouts if rng.random() < 0.8 else LAYOUTS))
    texts = _texts(rng, kind, maker, layout)
    if rng.random() < invented:
        texts = [_invented(rng, len(text)) for text in texts]
    stamps = _set(rng, texts, layout, die, primer or rng.uniform(0.25, 0.4))
    marks = _draw_marks(rng, stamps, die)
    return Plan(kind, primer, tuple(stamps), tuple(marks), die, texts[0])


def _texts(rng: np.random.Generator, kind: Kind, maker: Entry, layout: str) -> list[str]:
    """The parts of a stamp, the maker's first."""
    first = _stamp_of(rng, maker)
    calibres = [entry for entry in read_gazetteer().calibres if kind in entry.kinds]
    calibre = _stamp_of(rng, calibres[int(rng.integers(len(calibres)))])
    year = int(rng.integers(40, 126))
    years = [f"{year % 100:02d}", str(1900 + year)]
    if layout == "year":
        second = years[int(rng.random() < 0.25)] if rng.random() < 0.75 else calibre
        return [first, second]
    if layout == "thirds":
        return [first, calibre, years[0]]
    if layout == "sides":
        number = calibre.split()[0] if len(calibre.split()[0]) <= 4 else years[0]
        return [first, number, number]
    if rng.random() < 0.08:
        return [first]
    return [first, calibre]


def _stamp_of(rng: np.random.Generator, entry: Entry) -> str:
    """One of an entry's stamps, the usual one most often."""
    number = min(int(rng.exponential(1.0)), len(entry.stamps) - 1)
    return entry.stamps[number]


def _invented(rng: np.random.Generator, length: int) -> str:
    count = max(1, min(length + int(rng.integers(-1, 2)), 11))
    text = "".join(str(_one(rng, _LETTERS)) for _ in range(count))
    if count > 5 and rng.random() < 0.4:
        cut = int(rng.integers(2, count - 2))
        text = f"{text[:cut]} {text[cut:]}"
    # A dot alone could not be told from a dent.
    return text.strip(".-") or "A"


def _set(
    rng: np.random.Generator, texts: list[str], layout: str, die: Die, primer: float
) -> list[Stamp]:
    """Where each part goes; the whole turned at random, as cartridges lie."""
    outer = rng.uniform(0.88, 0.94)
    room = outer - (primer + 0.06)
    height = min(rng.uniform(0.36, 0.72) * room, 0.3)
    low, high = primer + 0.06 + height / 2, outer - height / 2
    radius = rng.uniform(low, high) if rng.random() < 0.5 else (low + high) / 2
    top = rng.normal(-90, 25) if rng.random() < 0.35 else rng.uniform(0, 360)
    # Facing: mostly the upper part outward and the lower inward, as one reads both without turning.
    lower = 180 if rng.random() < 0.75 else 0
    if layout == "ring":
        places = _around(rng, texts, die, height, radius, 0)
    elif layout == "thirds" and len(texts) == 3:
        step = rng.uniform(110, 130)
        places = [(0.0, 0), (step, lower), (-step, lower)]
    elif layout == "sides" and len(texts) == 3:
        # Upright together with the maker: tops towards it from both sides.
        places = [(0.0, 0), (-90.0, 90), (90.0, -90)]
    else:
        places = [(0.0, 0), (180.0, lower)][: len(texts)]
    stamps = []
    for text, (angle, turn) in zip(texts, places, strict=True):
        own = height
        if turn in (90, -90):
            # Within the ring's width, and no taller than the others.
            own = min(height, 0.92 * room / max(text_length(text, die), 0.6))
        else:
            span = _span(layout, len(texts))
            length = text_length(text, die)
            own = min(height, math.radians(span) * radius / max(length, 0.3))
        middle = (primer + 0.06 + outer) / 2 if turn in (90, -90) else radius
        stamps.append(Stamp(text, (top + angle) % 360, turn, own, middle))
    return stamps


def _span(layout: str, parts: int) -> float:
    """Degrees that a part may take."""
    if layout == "ring":
        return 320.0 / parts
    return {"sides": 130.0, "thirds": 105.0}.get(layout, 165.0) if parts > 1 else 300.0


def _around(
    rng: np.random.Generator, texts: list[str], die: Die, height: float, radius: float, turn: int
) -> list[tuple[float, int]]:
    """Parts one after the other, with even gaps between them."""
    limit = _span("ring", len(texts))
    spans = [min(math.degrees(text_length(text, die) * height / radius), limit) for text in texts]
    gap = max((360 - sum(spans)) / len(texts), 0.0) * rng.uniform(0.5, 1.0)
    places, at = [], 0.0
    for span in spans:
        places.append((at + span / 2, turn))
        at += span + gap
    return places


def _draw_marks(rng: np.random.Generator, stamps: list[Stamp], die: Die) -> list[Mark]:
    """Stars, dots and pictures in the gaps between texts."""
    if rng.random() < 0.55:
        return []
    taken = []
    for stamp in stamps:
        half = math.degrees(text_length(stamp.text, die) * stamp.height / stamp.radius) / 2
        if stamp.turn in (90, -90):
            half = math.degrees(0.6 * stamp.height / stamp.radius)
        taken.append((stamp.angle, half))
    size = rng.uniform(0.4, 1.1) * stamps[0].height
    margin = math.degrees(size / stamps[0].radius) * 0.7 + 4
    kind = str(_one(rng, _MARKS))
    marks: list[Mark] = []
    for angle in (stamps[0].angle + np.array([180.0, 90.0, -90.0, 60.0, -60.0])) % 360:
        free = all(abs((angle - at + 180) % 360 - 180) > half + margin for at, half in taken)
        if free and rng.random() < 0.7:
            marks.append(Mark(kind, float(angle), stamps[0].radius, size))
    return marks


def _one(rng: np.random.Generator, of: str | tuple[str, ...]) -> str:
    return of[int(rng.integers(len(of)))]
