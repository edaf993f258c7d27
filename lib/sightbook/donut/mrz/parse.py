"""Reading a machine-readable zone: its fields, its check digits, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sightbook.donut.mrz.formats import (
    ALPHABET,
    DIGITS,
    FILLER,
    FORMATS,
    LETTERS,
    STATES,
    CheckSpec,
    FieldSpec,
    MrzFormat,
    days_in_month,
    get_format,
)
from sightbook.donut.mrz.names import decode_names

VALUES = {character: value for value, character in enumerate(ALPHABET)} | {FILLER: 0}
_WEIGHTS = (7, 3, 1)
DATE = re.compile(r"([0-9]{2}|<<)([0-9]{2}|<<)([0-9]{2}|<<)")


@dataclass(frozen=True)
class Problem:
    """What is wrong in one field; row and column count from 0."""

    field: str
    row: int
    column: int
    message: str


@dataclass(frozen=True)
class Check:
    """One check digit: where it stands (row, column from 0), what it should be, what is there.

    ``expected`` is None where a character that has no value stands among those it covers.
    """

    position: tuple[int, int]
    expected: str | None
    found: str
    ok: bool


class MrzError(ValueError):
    """Lines that are no zone, or values that cannot stand in one; ``problems`` lists the latter."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Mrz:
    """A zone as it was read.

    Attributes:
        type: one of ``TYPES``.
        lines: the lines as given.
        fields: values without fillers, None where empty or unspecified. Names have spaces, dates
            stay YYMMDD with ``<`` for unknown parts (see ``complete_date``).
        names_truncated: the name field ends with a letter, so the name must be taken as truncated.
        checks: check digits by ``document_number``, ``birth_date``, ``expiry_date``,
            ``optional_data`` (TD3) and ``composite`` (not on visas).
        problems: everything the standard does not allow, failed check digits among it.
    """

    type: str
    lines: list[str]
    fields: dict[str, str | None]
    names_truncated: bool
    checks: dict[str, Check]
    problems: list[Problem] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """No problems, and so all check digits right."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready values, ``valid`` included."""
        return {**asdict(self), "valid": self.valid}


def check_digit(text: str) -> str:
    """Check digit of Doc 9303-3, 4.9: weights 7, 3, 1, sum modulo 10.

    Raises:
        ValueError: a character outside ``ALPHABET``, named with its place.
    """
    total = 0
    for index, character in enumerate(text):
        if character not in VALUES:
            raise ValueError(
                f"character {character!r} at position {index + 1} of {text!r} has no value: "
                "expected 0-9, A-Z or <"
            )
        total += VALUES[character] * _WEIGHTS[index % 3]
    return str(total % 10)


def parse(lines: Sequence[str] | str, type: str | None = None) -> Mrz:
    """Takes a zone apart and reports what is wrong with it.

    Args:
        lines: the lines, or one string with line breaks. Characters are taken as they are.
        type: one of ``TYPES``; None tells it by the shape and the first letter (V is a visa).

    Raises:
        MrzError: the lines have the shape of no format, or not of the one asked for.
        ValueError: unknown type.
    """
    lines = lines.split() if isinstance(lines, str) else list(lines)
    form = _recognise(lines, type)
    texts = {spec.name: lines[spec.row][spec.start : spec.stop] for spec in form.fields}
    problems: list[Problem] = []
    for spec in form.fields:
        # A wrong character in place of a check digit is reported as that, below.
        if not spec.name.endswith("_check"):
            problems += _examine(spec, texts[spec.name])

    continued = _continued_number(form, texts)
    checks: dict[str, Check] = {}
    for check in form.checks:
        row, column, covered = check.row, check.column, covered_text(lines, check)
        if continued and check.name == "document_number":
            optional = form.spec("optional_data")
            row, column = optional.row, optional.start + len(continued) - 1
            covered = texts["document_number"] + continued[:-1]
        found = lines[row][column]
        expected = check_digit(covered) if set(covered) <= set(ALPHABET) else None
        optional_empty = check.name == "optional_data" and not covered.strip(FILLER)
        ok = found == expected or (optional_empty and found == FILLER)
        checks[check.name] = Check((row, column), expected, found, ok)
        if not ok:
            wanted = repr(expected) if expected else "none, for what it covers is not readable"
            message = f"check digit of {check.name}: expected {wanted}, found {found!r}"
            problems.append(Problem(f"{check.name}_check", row, column, message))

    names = decode_names(texts["names"])
    if continued:
        texts["document_number"] += continued[:-1]
        texts["optional_data"] = texts["optional_data"][len(continued) :].lstrip(FILLER)
    fields: dict[str, str | None] = {}
    for spec in form.fields:
        if spec.name == "names":
            fields["surname"] = names.surname or None
            fields["given_names"] = names.given_names or None
        elif spec.name.endswith("_date"):
            fields[spec.name] = texts[spec.name] if texts[spec.name].strip(FILLER) else None
        elif not spec.name.endswith("_check"):
            fields[spec.name] = texts[spec.name].rstrip(FILLER) or None
    return Mrz(form.name, lines, fields, names.truncated, checks, problems)


def _recognise(lines: list[str], type: str | None) -> MrzFormat:
    shape = (len(lines), {len(line) for line in lines})
    fitting = {n: f for n, f in FORMATS.items() if shape == (f.rows, {f.columns})}
    if type is not None:
        wanted = get_format(type)
        if type in fitting:
            return wanted
        expected = f"{wanted.rows} of {wanted.columns} for {type}"
    elif fitting:
        visa = lines[0][0] == "V"
        return next((f for n, f in fitting.items() if n.startswith("MRV") == visa), FORMATS["TD1"])
    else:
        expected = "3 of 30 (TD1), 2 of 36 (TD2, MRVB) or 2 of 44 (TD3, MRVA)"
    lengths = ", ".join(str(len(line)) for line in lines) or "none"
    raise MrzError(
        f"no machine-readable zone: {len(lines)} lines (characters: {lengths}), expected {expected}"
    )


def _examine(spec: FieldSpec, text: str) -> list[Problem]:
    """What is wrong in one field other than its check digit."""

    def problem(offset: int, message: str) -> Problem:
        return Problem(spec.name, spec.row, spec.start + offset, message)

    odd = [(i, c) for i, c in enumerate(text) if c not in spec.charset]
    if odd:
        expected = _describe(spec.charset)
        return [problem(i, f"character {c!r} in {text!r}: expected {expected}") for i, c in odd]
    content = text.rstrip(FILLER)
    if spec.name == "document_code":
        if text[0] not in spec.characters(spec.start):
            expected = " or ".join(spec.characters(spec.start))
            return [problem(0, f"{text!r} begins with {text[0]!r}: expected {expected}")]
        if text[0] in "ACI" and text[1] == "V":
            return [problem(1, f"{text!r}: a card's code has no V in second place")]
    elif spec.name in ("issuing_state", "nationality"):
        if content not in STATES:
            hint = " (Germany is 'D<<')" if content == "DEU" else ""
            return [problem(0, f"{text!r} is no code of Doc 9303-3, section 5{hint}")]
    elif spec.name.endswith("_date"):
        message = date_problem(text)
        return [problem(0, message)] if message else []
    elif spec.name == "names":
        return [problem(offset, message) for offset, message in _name_problems(text)]
    elif spec.name == "document_number":
        if not content:
            return [problem(0, "the document number is empty")]
        if text[0] == FILLER:
            return [problem(0, f"{text!r} begins with a filler")]
    return []


def _name_problems(text: str) -> list[tuple[int, str]]:
    content = text.rstrip(FILLER)
    if not content:
        return [(0, "the name is empty")]
    if content[0] == FILLER:
        return [(0, "the name begins with a filler: the primary identifier is missing")]
    runs = list(re.finditer("<<+", content))
    if len(runs) > 1:
        return [(runs[1].start(), "fillers part the name in two a second time")]
    if runs and len(runs[0].group()) > 2:
        return [(runs[0].start(), "more than two fillers between the identifiers")]
    return []


def date_problem(text: str) -> str | None:
    """Why six characters are no date, or None. Expiry dates get here without fillers."""
    match = DATE.fullmatch(text)
    if match is None:
        return f"{text!r}: year, month and day are two digits each, or '<<' where unknown"
    year, month, day = match.groups()
    if month != "<<" and not 1 <= int(month) <= 12:
        return f"{text!r} has month {month}: expected 01 to 12"
    longest = days_in_month(year, int(month)) if month != "<<" else 31
    if day != "<<" and not 1 <= int(day) <= longest:
        return f"{text!r} has day {day}: expected 01 to {longest}"
    return None


def _continued_number(form: MrzFormat, texts: dict[str, str]) -> str:
    """Rest and digit of a document number that runs on into the optional data, or nothing."""
    if not form.long_numbers or texts["document_number_check"] != FILLER:
        return ""
    run = texts["optional_data"].split(FILLER)[0]
    return run if len(run) > 1 and not texts["document_number"].endswith(FILLER) else ""


def covered_text(lines: Sequence[str], check: CheckSpec) -> str:
    """The characters that a check digit covers, in order."""
    return "".join(lines[row][start:stop] for row, start, stop in check.parts)


def _describe(charset: str) -> str:
    parts = [text for text, part in (("digits", DIGITS), ("letters", LETTERS)) if part in charset]
    rest = [repr(c) for c in charset if not any(c in p for p in (DIGITS, LETTERS) if p in charset)]
    return ", ".join(parts + rest)
