"""The machine-readable zone of travel documents: build, parse, check (ICAO Doc 9303, 8th edition).

``build`` refuses what the standard does not allow and says all that is wrong. ``parse`` takes any
lines of a known shape, as they were read, and reports: nothing is repaired, nothing is accepted in
silence. A zone without problems can still be misread: names, states and fillers bear no digit.

This is the door of the room; ``mrz_formats`` holds the grammar, ``mrz_names`` the names,
``mrz_parse`` the reading.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

from sightbook.donut.mrz.formats import (
    ALPHABET,
    FILLER,
    FORMATS,
    SPECIAL_STATES,
    STATES,
    TYPES,
    CheckSpec,
    FieldSpec,
    MrzFormat,
    allowed,
    get_format,
)
from sightbook.donut.mrz.names import TruncationMethod, decode_names, encode_names, transliterate
from sightbook.donut.mrz.parse import (
    DATE,
    VALUES,
    Check,
    Mrz,
    MrzError,
    Problem,
    check_digit,
    covered_text,
    date_problem,
    parse,
)

__all__ = [
    "ALPHABET",
    "FORMATS",
    "SPECIAL_STATES",
    "STATES",
    "TYPES",
    "Check",
    "CheckSpec",
    "FieldSpec",
    "Mrz",
    "MrzError",
    "MrzFormat",
    "Problem",
    "allowed",
    "build",
    "check_digit",
    "complete_date",
    "decode_names",
    "encode_names",
    "parse",
    "transliterate",
]

_PLAIN_NUMBER = 9  # characters of the document number field, in every format


def build(
    type: str,
    *,
    document_code: str,
    issuing_state: str,
    surname: str,
    given_names: str,
    document_number: str,
    nationality: str,
    birth_date: str,
    sex: str,
    expiry_date: str,
    optional_data: str = "",
    optional_data_2: str = "",
    language: str | None = None,
    truncation: TruncationMethod | int = "initials",
    empty_optional_check: str = "0",
) -> list[str]:
    """Lines of a zone with all check digits.

    Args:
        type: one of ``TYPES``.
        document_code: one or two characters; the first A, C or I on cards, P on passports, V on
            visas.
        issuing_state: a code of ``STATES`` (``D`` or ``D<<``).
        surname: primary identifier in any script that ``transliterate`` knows.
        given_names: secondary identifier, may be empty.
        document_number: letters and digits; spaces and hyphens become fillers. More than 9
            characters on TD1 (up to 22) and TD2 (up to 14) only, where the number runs on into the
            optional data.
        nationality: a code of ``STATES``.
        birth_date: YYMMDD, unknown parts ``<<``; ``<`` alone for an unknown date.
        sex: ``M``, ``F`` or ``<``.
        expiry_date: YYMMDD.
        optional_data: as much as the format has room for.
        optional_data_2: TD1 only.
        language: passed to ``transliterate`` for the names.
        truncation: passed to ``encode_names``.
        empty_optional_check: ``0`` or ``<``, the digit of TD3's optional data where that is empty.

    Raises:
        MrzError: lists every problem, in its text and in ``problems``.
        ValueError: unknown type.
    """
    form = get_format(type)
    problems: list[Problem] = []
    names = {}
    for name, text in (("surname", surname), ("given_names", given_names)):
        try:
            names[name] = transliterate(text, language)
        except ValueError as error:
            problems.append(_problem(form, name, str(error)))
            names[name] = "X"  # stands in so that the other fields are still examined
    values = {
        "document_code": document_code,
        "issuing_state": issuing_state,
        "names": encode_names(
            names["surname"], names["given_names"], form.width("names"), truncation
        ),
        "document_number": document_number,
        "nationality": nationality,
        "birth_date": FILLER * 6 if birth_date == FILLER else birth_date,
        "sex": sex,
        "expiry_date": expiry_date,
        "optional_data": optional_data,
    }
    if form.field("optional_data_2"):
        values["optional_data_2"] = optional_data_2
    elif optional_data_2:
        problems.append(_problem(form, "optional_data_2", f"{type} has no such field"))
    for name, text in values.items():
        values[name], messages = _clean(text)
        problems += [_problem(form, name, message) for message in messages]
    for name in ("birth_date", "expiry_date"):
        if len(values[name]) != 6:
            message = f"{values[name]!r} has {len(values[name])} characters: expected YYMMDD"
            problems.append(_problem(form, name, message))
    if empty_optional_check not in ("0", FILLER):
        message = f"empty_optional_check is {empty_optional_check!r}: expected '0' or '<'"
        problems.append(_problem(form, "optional_data_check", message))

    number = values["document_number"].rstrip(FILLER)
    long_number = form.long_numbers and len(number) > _PLAIN_NUMBER
    if long_number:
        problems += _split_number(form, number, values)
    for name, text in values.items():
        length, width = len(text.rstrip(FILLER)), form.width(name)
        if length > width:
            message = f"{text!r} has {length} characters: expected at most {width}"
            problems.append(_problem(form, name, message))

    rows = [[FILLER] * form.columns for _ in range(form.rows)]
    for name, text in values.items():
        spec = form.field(name)
        if spec is not None:
            width = spec.stop - spec.start
            rows[spec.row][spec.start : spec.stop] = text[:width].ljust(width, FILLER)
    for check in form.checks:
        digit = check_digit(covered_text(["".join(row) for row in rows], check))
        if check.name == "document_number" and long_number:
            continue
        if check.name == "optional_data" and not values["optional_data"].strip(FILLER):
            digit = empty_optional_check
        rows[check.row][check.column] = digit
    lines = ["".join(row) for row in rows]
    # The rest of what can be wrong with a value is what ``parse`` would say of it.
    known = {problem.field for problem in problems}
    problems += [problem for problem in parse(lines, type).problems if problem.field not in known]
    if problems:
        told = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise MrzError(f"no {type} zone can be built: {told}", problems)
    return lines


def complete_date(
    yymmdd: str, reference: date, kind: Literal["birth", "expiry"] = "birth"
) -> str | None:
    """Date of a zone with its century, as ISO 8601.

    Doc 9303 gives two digits of the year and leaves the century to the reader. A birth lies on or
    before ``reference``, in the latest century that allows it, so nobody is taken for a hundred or
    older. An expiry lies in the hundred years from 50 before to 49 after the reference's year.

    Args:
        yymmdd: six characters, unknown parts ``<<``.
        reference: the day of reading, or of issue where it is known.
        kind: ``birth`` or ``expiry``.

    Returns:
        ``YYYY-MM-DD``, with ``X`` for unknown digits as in ISO 8601-2 (``1974-XX-XX``). None where
        everything is unknown.

    Raises:
        ValueError: not a date, or 29 February of a year that has none.
    """
    match = DATE.fullmatch(yymmdd)
    if match is None or date_problem(yymmdd):
        raise ValueError(f"{yymmdd!r} is no date of a machine-readable zone: expected YYMMDD")
    if kind not in ("birth", "expiry"):
        raise ValueError(f"kind is {kind!r}: expected 'birth' or 'expiry'")
    year, month, day = match.groups()
    if yymmdd == FILLER * 6:
        return None
    if year != "<<":
        earliest = (
            int(month) if month != "<<" else 1,
            int(day) if day != "<<" else 1,
        )
        if kind == "birth":
            full = reference.year - (reference.year - int(year)) % 100
            if (full, *earliest) > (reference.year, reference.month, reference.day):
                full -= 100
        else:
            first = reference.year - 50
            full = first + (int(year) - first) % 100
        year = f"{full:04d}"
        if month + day == "0229" and not (full % 4 == 0 and (full % 100 or full % 400 == 0)):
            raise ValueError(f"{yymmdd!r}: there is no 29 February in {full}")
    return "-".join((year if year != "<<" else "XXXX", month, day)).replace("<", "X")


def _split_number(form: MrzFormat, number: str, values: dict[str, str]) -> list[Problem]:
    """Moves the end of a long number and its digit to the optional data (Doc 9303-5, 4.2.2)."""
    rest = number[_PLAIN_NUMBER:]
    longest = _PLAIN_NUMBER + form.width("optional_data") - 2
    values["document_number"] = number[:_PLAIN_NUMBER]
    values["optional_data"] = rest + check_digit(number) + FILLER + values["optional_data"]
    if len(number) > longest:
        message = f"{number!r} has {len(number)} characters: expected at most {longest}"
    elif FILLER in number[_PLAIN_NUMBER - 1 :]:
        message = f"{number!r}: a space or hyphen there would end the number"
    else:
        return []
    return [_problem(form, "document_number", message)]


def _clean(text: str) -> tuple[str, list[str]]:
    """Upper case, fillers for spaces, hyphens and foreign characters; the last are told."""
    text = re.sub(r"[\s-]", FILLER, text.upper())
    foreign = [c for c in dict.fromkeys(text) if c not in VALUES]
    messages = [f"character {c!r} in {text!r}: expected 0-9, A-Z or <" for c in foreign]
    return "".join(c if c in VALUES else FILLER for c in text), messages


def _problem(form: MrzFormat, name: str, message: str) -> Problem:
    spec = form.field(name) or form.spec("names")
    return Problem(name, spec.row, spec.start, message)
