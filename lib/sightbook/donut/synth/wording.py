"""Words that stand on the drawn documents: labels in several languages, invented states, prose.

The words are in ``wording.txt``.
"""

from pathlib import Path

import numpy as np

from sightbook.data.text_tables import read_table

_SECTIONS = read_table(Path(__file__).parent / "wording.txt")


def _list(section: str) -> tuple[str, ...]:
    return tuple(" ".join(_SECTIONS[section]).split())


def _by_key(section: str) -> dict[str, tuple[str, ...]]:
    rows = ([cell.strip() for cell in row.split("|")] for row in _SECTIONS[section])
    return {key: tuple(wordings) for key, *wordings in rows}


LANGUAGES = _list("languages")
LABELS = _by_key("labels")
"""Wordings of a label by key, in the order of :data:`LANGUAGES`."""

TITLES = _by_key("titles")
"""Wordings of a title by kind of document, in the order of :data:`LANGUAGES`."""

MONTHS = _list("months")
_MONTHS_FR = _list("months in French")
_HEADS = _list("beginnings of places")
_MIDDLES = _list("middles of places")
_TAILS = _list("ends of places")
_WORDS = _list("office words")
_GOODS = tuple(_SECTIONS["goods"])


def place_name(rng: np.random.Generator) -> str:
    """An invented place or state, such as "Velarnia"."""
    parts = (
        _HEADS[rng.integers(len(_HEADS))],
        _MIDDLES[rng.integers(len(_MIDDLES))] if rng.random() < 0.6 else "",
        _TAILS[rng.integers(len(_TAILS))],
    )
    return "".join(parts)


def state_title(rng: np.random.Generator) -> str:
    """The name of an invented state as it heads a document."""
    forms = ("REPUBLIC OF {}", "KINGDOM OF {}", "{}", "FEDERATION OF {}", "STATE OF {}",
             "REPUBLIK {}", "RÉPUBLIQUE DE {}", "UNION OF {}")  # fmt: skip
    return forms[rng.integers(len(forms))].format(place_name(rng).upper())


def prose(rng: np.random.Generator, words: int) -> str:
    """A run of everyday office words without meaning."""
    return " ".join(_WORDS[i] for i in rng.integers(0, len(_WORDS), words))


def goods(rng: np.random.Generator) -> str:
    """An article as a till prints it."""
    return _GOODS[rng.integers(len(_GOODS))]


def digits(rng: np.random.Generator, count: int) -> str:
    """``count`` random decimal digits."""
    return "".join(map(str, rng.integers(0, 10, count)))


def written_date(year: int, month: int, day: int, style: int) -> str:
    """A date in one of seven common printed forms (``style`` 0..6)."""
    name = MONTHS[month - 1]
    return (
        f"{day:02d} {name} {year}",
        f"{day:02d}.{month:02d}.{year}",
        f"{day:02d}/{month:02d}/{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day:02d} {name}/{_MONTHS_FR[month - 1]} {year % 100:02d}",
        f"{day:02d} {month:02d} {year}",
        f"{day} {name.title()} {year}",
    )[style]
