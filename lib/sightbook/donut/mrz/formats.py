"""Shapes, fields and check digits of the five machine-readable zones (ICAO Doc 9303, 8th edition).

Parts 4 (TD3), 5 (TD1), 6 (TD2) and 7 (MRV-A, MRV-B). Rows and columns count from zero here; the
standard counts character positions from one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sightbook.data.text_tables import read_table

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FILLER = "<"
ALPHABET = DIGITS + LETTERS + FILLER
TYPES = ("TD1", "TD2", "TD3", "MRVA", "MRVB")

TABLES = Path(str(files("sightbook.donut"))) / "mrz"
"""Folder of the grammar's tables, text files that say their source and how they are written."""


def _names_by_code(file: str) -> dict[str, str]:
    rows = (row.partition(" ") for row in read_table(TABLES / file)[""])
    return {code: name for code, _, name in rows}


SPECIAL_STATES: dict[str, str] = _names_by_code("special_states.txt")
"""Names by code of what ISO 3166-1 has otherwise or not at all (Doc 9303-3 section 5)."""

STATES: dict[str, str] = {**_names_by_code("states.txt"), **SPECIAL_STATES}
"""Names by code of all issuing states, organisations and nationalities."""


@dataclass(frozen=True)
class FieldSpec:
    """Where one field stands: ``lines[row][start:stop]``.

    ``charset`` holds the characters the standard allows in the field; ``heads`` narrows single
    columns further (the first letter of a document code, the first digit of a month).
    """

    name: str
    row: int
    start: int
    stop: int
    charset: str
    heads: tuple[tuple[int, str], ...] = ()

    def characters(self, column: int) -> str:
        """Characters allowed at one column of the line."""
        return dict(self.heads).get(column - self.start, self.charset)


@dataclass(frozen=True)
class CheckSpec:
    """One check digit at ``lines[row][column]`` over the pieces ``(row, start, stop)`` in order."""

    name: str
    row: int
    column: int
    parts: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class MrzFormat:
    """One of the five zones: ``rows`` lines of ``columns`` characters."""

    name: str
    rows: int
    columns: int
    fields: tuple[FieldSpec, ...]
    checks: tuple[CheckSpec, ...]

    def field(self, name: str) -> FieldSpec | None:
        """The field of that name, or None where this format has none (``optional_data_2``)."""
        return next((field for field in self.fields if field.name == name), None)

    def spec(self, name: str) -> FieldSpec:
        """The field of that name, which every format has."""
        return next(field for field in self.fields if field.name == name)

    def width(self, name: str) -> int:
        """Characters of that field."""
        return self.spec(name).stop - self.spec(name).start

    @property
    def long_numbers(self) -> bool:
        """Whether a document number may run on into the optional data (Doc 9303-5 and -6)."""
        return self.name in ("TD1", "TD2")


_NAME = LETTERS + FILLER
_ANY = ALPHABET
# Months start with 0 or 1, days with 0 to 3. Parts of a birth date may be unknown, and Doc 9303
# leaves an expiry date no such freedom.
_BIRTH = ((2, "01<"), (4, "0123<"))
_EXPIRY = ((2, "01"), (4, "0123"))


def _code(row: int, first: str, other: str) -> FieldSpec:
    return FieldSpec("document_code", row, 0, 2, other, ((0, first), (1, other)))


def _state(name: str, row: int, start: int) -> FieldSpec:
    # No code is empty, and only Germany's is shorter than three letters.
    return FieldSpec(name, row, start, start + 3, _NAME, ((0, LETTERS),))


def _lower_line(optional_stop: int, number_digit: str) -> tuple[FieldSpec, ...]:
    """Second line up to the optional data, the same in TD2, TD3 and both visas."""
    return (
        FieldSpec("document_number", 1, 0, 9, _ANY),
        FieldSpec("document_number_check", 1, 9, 10, number_digit),
        _state("nationality", 1, 10),
        FieldSpec("birth_date", 1, 13, 19, DIGITS + FILLER, _BIRTH),
        FieldSpec("birth_date_check", 1, 19, 20, DIGITS),
        FieldSpec("sex", 1, 20, 21, "MF<"),
        FieldSpec("expiry_date", 1, 21, 27, DIGITS, _EXPIRY),
        FieldSpec("expiry_date_check", 1, 27, 28, DIGITS),
        FieldSpec("optional_data", 1, 28, optional_stop, _ANY),
    )


_LOWER_CHECKS = (
    CheckSpec("document_number", 1, 9, ((1, 0, 9),)),
    CheckSpec("birth_date", 1, 19, ((1, 13, 19),)),
    CheckSpec("expiry_date", 1, 27, ((1, 21, 27),)),
)


def _two_lines(
    name: str,
    columns: int,
    code: FieldSpec,
    optional_stop: int,
    number_digit: str,
    more_fields: tuple[FieldSpec, ...] = (),
    more_checks: tuple[CheckSpec, ...] = (),
) -> MrzFormat:
    upper = (code, _state("issuing_state", 0, 2), FieldSpec("names", 0, 5, columns, _NAME))
    fields = upper + _lower_line(optional_stop, number_digit) + more_fields
    return MrzFormat(name, 2, columns, fields, _LOWER_CHECKS + more_checks)


# The second character of a card's code is the issuing state's own choice; digits do occur there.
_CARD = _code(0, "ACI", _ANY)

FORMATS: dict[str, MrzFormat] = {
    "TD1": MrzFormat(
        "TD1",
        3,
        30,
        (
            _CARD,
            _state("issuing_state", 0, 2),
            FieldSpec("document_number", 0, 5, 14, _ANY),
            FieldSpec("document_number_check", 0, 14, 15, DIGITS + FILLER),
            FieldSpec("optional_data", 0, 15, 30, _ANY),
            FieldSpec("birth_date", 1, 0, 6, DIGITS + FILLER, _BIRTH),
            FieldSpec("birth_date_check", 1, 6, 7, DIGITS),
            FieldSpec("sex", 1, 7, 8, "MF<"),
            FieldSpec("expiry_date", 1, 8, 14, DIGITS, _EXPIRY),
            FieldSpec("expiry_date_check", 1, 14, 15, DIGITS),
            _state("nationality", 1, 15),
            FieldSpec("optional_data_2", 1, 18, 29, _ANY),
            FieldSpec("composite_check", 1, 29, 30, DIGITS),
            FieldSpec("names", 2, 0, 30, _NAME),
        ),
        (
            CheckSpec("document_number", 0, 14, ((0, 5, 14),)),
            CheckSpec("birth_date", 1, 6, ((1, 0, 6),)),
            CheckSpec("expiry_date", 1, 14, ((1, 8, 14),)),
            CheckSpec("composite", 1, 29, ((0, 5, 30), (1, 0, 7), (1, 8, 15), (1, 18, 29))),
        ),
    ),
    "TD2": _two_lines(
        "TD2",
        36,
        _CARD,
        35,
        DIGITS + FILLER,
        (FieldSpec("composite_check", 1, 35, 36, DIGITS),),
        (CheckSpec("composite", 1, 35, ((1, 0, 10), (1, 13, 20), (1, 21, 35))),),
    ),
    "TD3": _two_lines(
        "TD3",
        44,
        _code(0, "P", _NAME),
        42,
        DIGITS,
        (
            FieldSpec("optional_data_check", 1, 42, 43, DIGITS + FILLER),
            FieldSpec("composite_check", 1, 43, 44, DIGITS),
        ),
        (
            CheckSpec("optional_data", 1, 42, ((1, 28, 42),)),
            CheckSpec("composite", 1, 43, ((1, 0, 10), (1, 13, 20), (1, 21, 43))),
        ),
    ),
    "MRVA": _two_lines("MRVA", 44, _code(0, "V", _NAME), 44, DIGITS),
    "MRVB": _two_lines("MRVB", 36, _code(0, "V", _NAME), 36, DIGITS),
}

_PADDED_STATES = tuple(code.ljust(3, FILLER) for code in STATES)


def get_format(type: str) -> MrzFormat:
    """The format of that name; ValueError lists the names there are."""
    try:
        return FORMATS[type]
    except KeyError:
        raise ValueError(
            f"unknown zone type {type!r}: expected one of {', '.join(TYPES)}"
        ) from None


def allowed(type: str, row: int, column: int, prefix: str | None = None) -> str:
    """Characters that may stand at one position, for grammar-constrained decoding.

    Without ``prefix`` the answer is the union over all zones of the type. With the characters
    already read of the same line it narrows to what keeps states listed, dates possible and
    fillers where a name or number has ended.

    Args:
        type: one of ``TYPES``.
        row: line, from 0.
        column: character position in the line, from 0.
        prefix: the ``column`` characters before this one, or None.

    Returns:
        A non-empty string of distinct characters, ordered as in ``ALPHABET``.

    Raises:
        ValueError: unknown type, position outside the zone, or a prefix of another length.
    """
    form = get_format(type)
    if not (0 <= row < form.rows and 0 <= column < form.columns):
        raise ValueError(
            f"{type} has {form.rows} lines of {form.columns} characters; "
            f"there is no row {row}, column {column}"
        )
    spec = next(f for f in form.fields if f.row == row and f.start <= column < f.stop)
    characters = "".join(c for c in ALPHABET if c in spec.characters(column))
    if prefix is None:
        return characters
    if len(prefix) != column:
        raise ValueError(f"prefix has {len(prefix)} characters, expected {column}")
    done = prefix[spec.start :]
    narrowed = "".join(c for c in characters if _continues(spec.name, done, c))
    # A prefix that already broke the grammar (a misread state, say) must not leave a dead end.
    return narrowed or characters


def _continues(field: str, done: str, character: str) -> bool:
    text = done + character
    if field in ("issuing_state", "nationality"):
        return any(code.startswith(text) for code in _PADDED_STATES)
    if field in ("birth_date", "expiry_date"):
        return _date_possible(text)
    if field == "names":
        # Two fillers end the primary identifier, three end the name.
        return not (done.endswith("<<<") and character != FILLER) and text[0] != FILLER
    return True


def _date_possible(text: str) -> bool:
    """Whether the beginning of YYMMDD, each part of it known or filled, can still become a date."""
    year, month, day = text[:2], text[2:4], text[4:6]
    longest = days_in_month(year, int(month)) if len(month) == 2 and month.isdigit() else 31
    for part, low, high in ((year, 0, 99), (month, 1, 12), (day, 1, longest)):
        if FILLER in part and part.strip(FILLER):
            return False
        if part.isdigit() and not (
            int(part.ljust(2, "9")) >= low and int(part.ljust(2, "0")) <= high
        ):
            return False
    return True


def days_in_month(year: str, month: int) -> int:
    """Days of a month where only the last two digits of the year are known, or none.

    29 February passes in every fourth year and in an unknown one: 1900 was no leap year, but two
    digits cannot tell it from 2000.
    """
    if month == 2:
        return 29 if not year.isdigit() or int(year) % 4 == 0 else 28
    return 30 if month in (4, 6, 9, 11) else 31
