"""Plans of documents in millimetres: what is how large, and where its zone stands.

Sizes and the zone's place follow ICAO Doc 9303 parts 4 to 7 loosely, as real documents do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightbook.donut.synth.details import Box
from sightbook.donut.synth.papers import KINDS as PAPER_KINDS
from sightbook.donut.synth.papers import paper_size

_PAGES: dict[str, tuple[float, float]] = {  # millimetres, width and height
    "TD1": (85.6, 54.0), "TD2": (105.0, 74.0), "TD3": (125.0, 88.0),
    "MRVA": (120.0, 80.0), "MRVB": (105.0, 74.0),
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a document will be, in millimetres of the whole sheet.

    Attributes:
        kind: "passport", "id_front", "id_back", "visa" or "other".
        type: zone type or None.
        width, height: of the sheet, which may be more than the page (an open passport).
        page: the page that bears the data.
        zone: from the left of the first character to the right of the last, cap top of the
            first line to the baseline of the last; None where there is none.
        pitch: of the zone's characters.
        spacing: of the zone's baselines in units of the pitch.
        corner: radius of the rounded corners.
        paper: for "other", one of the kinds of ``papers``.
        twin: where the card's other side lies on the same sheet, if it does.
    """

    kind: str
    type: str | None
    width: float
    height: float
    page: Box
    zone: Box | None
    pitch: float
    spacing: float
    corner: float
    paper: str = ""
    twin: Box | None = None


def plan_design(
    rng: np.random.Generator, kind: str, zone_type: str | None, lines: Sequence[str]
) -> Plan:
    """Plan a document of ``kind`` that will bear ``lines``."""
    if kind == "other":
        paper = PAPER_KINDS[rng.integers(len(PAPER_KINDS))]
        width, height = paper_size(paper)
        corner = 3.2 if paper == "bank-card" else 0.0
        return Plan(kind, None, width, height, (0, 0, width, height), None, 0, 0, corner, paper)
    width, height = _PAGES[zone_type or "TD1"]
    # The tallest page above is nearly a whole page; often the picture cuts some of it off.
    above = below = sides = 0.0
    if kind == "passport" and rng.random() < 0.6:
        sides = float(rng.choice([0.0, rng.uniform(0.8, 3.0)]))
        reach = height * float(rng.uniform(0.1, 1.0))
        above, below = (reach, sides) if rng.random() < 0.85 else (sides, reach)
    elif kind == "visa" and rng.random() < 0.5:  # stuck on a page of a passport
        sides, above, below = rng.uniform(2, 8), rng.uniform(2, 70), rng.uniform(1.5, 12)
    twin: Box | None = None
    corner = 3.2 if kind.startswith("id") else float(rng.choice([0.0, 3.0]))
    sheet = (width + 2 * sides, above + height + below)
    if kind == "id_back" and rng.random() < 0.14:  # both sides on one sheet
        gap, corner = float(rng.uniform(0.5, 8)), 0.0
        if rng.random() < 0.5:
            twin, above = (0.0, 0.0, width, height), height + gap
            sheet = (width, 2 * height + gap)
        else:
            twin, sides = (0.0, 0.0, width, height), width + gap
            sheet = (2 * width + gap, height)
    page = (sides, above, sides + width, above + height)
    if not lines:
        return Plan(kind, None, *sheet, page, None, 0, 0, corner)
    columns = max(map(len, lines))
    pitch = 2.54 * float(rng.uniform(0.99, 1.01))
    if rng.random() < 0.25:
        pitch = float(rng.uniform(0.78, 1.0)) * (width - 5) / columns
    pitch = min(pitch, (width - 5) / columns)
    spacing = 2.5 * float(rng.uniform(0.97, 1.03) if rng.random() < 0.7 else rng.uniform(0.8, 1.2))
    free = width - columns * pitch
    left = page[0] + min(free - 2, max(2.0, rng.normal(0.45 * free, 0.12 * free)))
    foot = {"TD1": 5.5, "TD2": 8.5, "TD3": 9.5, "MRVA": 9.0, "MRVB": 8.5}[zone_type or "TD1"]
    bottom = page[3] - foot * float(rng.uniform(0.6, 1.35))
    top = bottom - (len(lines) - 1) * spacing * pitch - 1.1 * pitch
    zone = (left, top, left + columns * pitch, bottom)
    return Plan(kind, zone_type, *sheet, page, zone, pitch, spacing, corner, twin=twin)
