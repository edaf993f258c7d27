"""Names of people by region, for drawing identities: surnames, given names and places.

They stand in ``names.txt`` and ``specimens.txt``. Cyrillic and Greek names are brought into Latin
letters by ``mrz.transliterate`` like those of a real applicant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightbook.data.text_tables import read_table

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Region:
    """Names that go together.

    Attributes:
        states: codes of states in which these names are common.
        surnames: family names, ``man/woman`` where the forms differ.
        men: given names of men.
        women: given names of women.
        places: places of birth.
        double: share of people with two surnames.
    """

    states: tuple[str, ...]
    surnames: tuple[str, ...]
    men: tuple[str, ...]
    women: tuple[str, ...]
    places: tuple[str, ...]
    double: float = 0.03


def _region(states: str, rows: list[str]) -> Region:
    found: dict[str, list[str]] = {}
    for row in rows:
        key, *words = row.split()
        found.setdefault(key, []).extend(word.replace("_", " ") for word in words)
    double = found.pop("double", ["0.03"])[0]
    names = {key: tuple(words) for key, words in found.items()}
    return Region(tuple(states.split()), **names, double=float(double))


REGIONS: tuple[Region, ...] = tuple(
    _region(states, rows) for states, rows in read_table(_FOLDER / "names.txt").items() if states
)

SPECIMENS: tuple[tuple[str, str], ...] = tuple(
    (surname.strip(), given.strip())
    for surname, _, given in (
        row.partition("|") for row in read_table(_FOLDER / "specimens.txt")[""]
    )
)
"""Surname and given names as printed on specimens."""
