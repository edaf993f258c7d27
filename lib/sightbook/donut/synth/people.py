"""Drawing identities and the machine-readable text of their documents.

Names come from many regions, but the reader must copy what it sees instead of guessing what is
likely: one name in six is letters at random, numbers and optional data are arbitrary, and a few
zones in a hundred break the standard on purpose (wrong digits, no filler in a line, random text).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from sightbook.donut.mrz import build as mrz
from sightbook.donut.synth.names import REGIONS, SPECIMENS

TYPE_WEIGHTS: dict[str, float] = {"TD3": 0.45, "TD1": 0.25, "TD2": 0.12, "MRVA": 0.09, "MRVB": 0.09}
"""How often each format is drawn."""

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_STATES = tuple(mrz.STATES)
_FIRST_CODES = {"TD1": "ACI", "TD2": "ACI", "TD3": "P", "MRVA": "V", "MRVB": "V"}


@dataclass(frozen=True)
class Identity:
    """A person and a document; what the document prints agrees with its zone.

    Attributes:
        surname: in Latin letters with diacritics, as printed (``Müller``).
        given_names: as ``surname``; may be empty.
        surname_native: in the national script where that is not Latin, else equal to ``surname``.
        given_names_native: as ``surname_native``.
        sex: ``M``, ``F`` or ``X``.
        birth_date: the date; parts of it may be unknown to the zone, see ``birth_date_mrz``.
        birth_date_mrz: YYMMDD with ``<<`` for what is unknown.
        issue_date: day of issue.
        expiry_date: last day of validity.
        issuing_state: code of ``mrz.STATES``.
        nationality: code of ``mrz.STATES``.
        document_code: first one or two characters of the zone.
        document_number: letters and digits.
        optional_data: personal number or whatever the state put there; may be empty.
        optional_data_2: the second such field of TD1.
        birth_place: a town.
    """

    surname: str
    given_names: str
    surname_native: str
    given_names_native: str
    sex: str
    birth_date: date
    birth_date_mrz: str
    issue_date: date
    expiry_date: date
    issuing_state: str
    nationality: str
    document_code: str
    document_number: str
    optional_data: str
    optional_data_2: str
    birth_place: str

    @property
    def surname_plain(self) -> str:
        """The surname in the zone's letters, words apart: ``MUELLER``."""
        return mrz.transliterate(self.surname).replace("<", " ")

    @property
    def given_names_plain(self) -> str:
        """The given names in the zone's letters, words apart."""
        return mrz.transliterate(self.given_names).replace("<", " ")


@dataclass(frozen=True)
class MrzText:
    """The text of a zone.

    Attributes:
        type: one of ``mrz.TYPES``.
        lines: the zone's lines.
        identity: whom it describes (for ``note`` ``"random text"`` the lines do not).
        note: what is unusual: ``""``, ``"wrong check digit"``, ``"no filler"``,
            ``"long number"``, ``"long names"``, ``"national layout"`` or ``"random text"``.
    """

    type: str
    lines: list[str]
    identity: Identity
    note: str


# --- identities ----------------------------------------------------------------------------------


def random_identity(rng: np.random.Generator, type: str = "TD3") -> Identity:
    """Draw a person and a document of the given zone type."""
    region = REGIONS[int(rng.integers(len(REGIONS)))]
    home = _pick(rng, region.states)
    if rng.random() < 0.35:  # states are not to be told from names
        home = _pick(rng, _STATES)
    sex = _pick(rng, "MF")
    surname, given_names = _names(rng, region.surnames, region.men, region.women, sex)
    if rng.random() < region.double:
        second, _ = _names(rng, region.surnames, region.men, region.women, sex)
        surname += _pick(rng, " -") + second
    chance = rng.random()
    if chance < 0.15:
        surname, given_names = _random_name(rng), " ".join(_random_names(rng))
    elif chance < 0.2:
        surname, given_names = SPECIMENS[int(rng.integers(len(SPECIMENS)))]
    elif chance < 0.23:
        given_names = ""
    native = surname, given_names
    foreign_script = any(0x36F < ord(letter) < 0x1E00 for letter in surname + given_names)
    if foreign_script or rng.random() < 0.1:  # some states print names without accents
        surname, given_names = _latin(surname), _latin(given_names)
    issue = date(1995, 1, 1) + timedelta(days=int(rng.integers(0, 365 * 33)))
    years = int(rng.choice((1, 2, 3, 5, 10, 15), p=(0.05, 0.05, 0.05, 0.3, 0.5, 0.05)))
    expiry = issue + timedelta(days=365 * years + int(rng.integers(-2, 3)))
    birth = issue - timedelta(days=int(rng.integers(30, 365 * 95)))
    birth_mrz = birth.strftime("%y%m%d")
    unknown = rng.random()
    if unknown < 0.01:
        birth_mrz = birth_mrz[:4] + "<<"
    elif unknown < 0.02:
        birth_mrz = birth_mrz[:2] + "<<<<"
    state = home if rng.random() < 0.9 else _pick(rng, _STATES)
    nationality = state if rng.random() < 0.8 or type == "TD3" else _pick(rng, _STATES)
    if rng.random() < 0.04:
        state = nationality = "D"
    elif rng.random() < 0.04:
        state = nationality = "UTO"
    return Identity(
        surname=surname,
        given_names=given_names,
        surname_native=native[0],
        given_names_native=native[1],
        sex=sex if rng.random() < 0.95 else "X",
        birth_date=birth,
        birth_date_mrz=birth_mrz,
        issue_date=issue,
        expiry_date=expiry,
        issuing_state=state,
        nationality=nationality,
        document_code=_document_code(rng, type),
        document_number=_document_number(rng),
        optional_data=_optional_data(rng, _room(type, "optional_data")),
        optional_data_2=_optional_data(rng, _room(type, "optional_data_2")),
        birth_place=_pick(rng, region.places),
    )


def _names(
    rng: np.random.Generator,
    surnames: tuple[str, ...],
    men: tuple[str, ...],
    women: tuple[str, ...],
    sex: str,
) -> tuple[str, str]:
    forms = _pick(rng, surnames).split("/")
    given = men if sex == "M" else women
    count = int(rng.choice((1, 2, 3, 4), p=(0.5, 0.38, 0.09, 0.03)))
    chosen = rng.choice(len(given), size=min(count, len(given)), replace=False)
    return forms[-1] if sex == "F" else forms[0], " ".join(given[i] for i in chosen)


def _random_name(rng: np.random.Generator) -> str:
    length = int(rng.integers(1, 13))
    letters = list(rng.choice(list(LETTERS), length))
    if rng.random() < 0.3:  # doubled letters are what sequence readers drop first
        letters = [letter for letter in letters for _ in range(int(rng.integers(1, 4)))][:12]
    return "".join(letters).capitalize()


def _random_names(rng: np.random.Generator) -> list[str]:
    return [_random_name(rng) for _ in range(int(rng.integers(1, 4)))]


def _latin(name: str) -> str:
    """Bring a name into plain Latin letters, capitalised word by word."""
    return mrz.transliterate(name).replace("<", " ").title()


def _document_code(rng: np.random.Generator, type: str) -> str:
    first = _pick(rng, _FIRST_CODES[type])
    if rng.random() < 0.55:
        return first
    if type in ("TD1", "TD2") and rng.random() < 0.3:
        return "ID"
    # Doc 9303-5, 4.2.2: cards must not have V there, which would make them look like visas.
    return first + _pick(rng, LETTERS.replace("V", ""))


def _document_number(rng: np.random.Generator) -> str:
    """Draw 5 to 9 characters as states like them, or anything."""
    length = 9 if rng.random() < 0.75 else int(rng.integers(5, 9))
    kind = rng.random()
    if kind < 0.35:
        prefix = int(rng.integers(0, 4))
        text = _characters(rng, LETTERS, prefix) + _characters(rng, DIGITS, length - prefix)
    elif kind < 0.6:
        text = _characters(rng, DIGITS, length)
    elif kind < 0.85:
        text = _characters(rng, DIGITS + LETTERS, length)
    else:
        text = _repetitive(rng, length)
    return text


def _optional_data(rng: np.random.Generator, room: int) -> str:
    """Draw personal numbers, codes with fillers inside, or (half the time) nothing."""
    if room == 0 or rng.random() < 0.45:
        return ""
    length = room if rng.random() < 0.3 else int(rng.integers(1, room + 1))
    kind = rng.random()
    if kind < 0.4:
        text = _characters(rng, DIGITS, length)
    elif kind < 0.7:
        text = _characters(rng, DIGITS + LETTERS, length)
    elif kind < 0.85:
        text = _repetitive(rng, length)
    else:
        text = _characters(rng, DIGITS + LETTERS + "<<<<", length)
    return text.rstrip("<")


def _repetitive(rng: np.random.Generator, length: int) -> str:
    """Draw runs of the same character: ``000000012``, ``C0011X00T``."""
    text = ""
    while len(text) < length:
        character = _pick(rng, DIGITS if rng.random() < 0.8 else LETTERS)
        text += ("0" if rng.random() < 0.4 else character) * int(rng.integers(1, 7))
    return text[:length]


def _characters(rng: np.random.Generator, alphabet: str, count: int) -> str:
    return "".join(alphabet[i] for i in rng.integers(0, len(alphabet), max(0, count)))


def _room(type: str, field: str) -> int:
    spec = mrz.FORMATS[type].field(field)
    return spec.stop - spec.start if spec else 0


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


# --- zones ---------------------------------------------------------------------------------------


def random_type(rng: np.random.Generator) -> str:
    """Draw a zone type by :data:`TYPE_WEIGHTS`."""
    return str(rng.choice(list(TYPE_WEIGHTS), p=list(TYPE_WEIGHTS.values())))


def zone_lines(rng: np.random.Generator, type: str, identity: Identity) -> list[str]:
    """Build the zone of an identity, valid by the standard.

    The generator only decides what the standard leaves open: how long names are cut, and what
    stands for the check digit of an empty field.
    """
    return mrz.build(
        type,
        document_code=identity.document_code,
        issuing_state=identity.issuing_state,
        surname=identity.surname,
        given_names=identity.given_names,
        document_number=identity.document_number,
        nationality=identity.nationality,
        birth_date=identity.birth_date_mrz,
        sex=identity.sex if identity.sex in "MF" else "<",
        expiry_date=identity.expiry_date.strftime("%y%m%d"),
        optional_data=identity.optional_data,
        optional_data_2=identity.optional_data_2,
        truncation="initials" if rng.random() < 0.6 else "components",
        empty_optional_check="0" if rng.random() < 0.5 else "<",
    )


def random_lines(rng: np.random.Generator, type: str | None = None) -> MrzText:
    """Draw the text of a zone.

    About nine in ten are valid; the rest is what makes a reader copy instead of repair.

    Args:
        rng: the only source of chance.
        type: one of ``mrz.TYPES``; drawn by :data:`TYPE_WEIGHTS` if not given.
    """
    type = type or random_type(rng)
    identity = random_identity(rng, type)
    note = str(rng.choice(list(_ODDITIES), p=list(_ODDITIES.values())))
    if note == "long number" and type not in ("TD1", "TD2"):
        note = ""
    if note == "national layout" and type != "TD2":
        note = ""
    if note == "long number":
        # TD1 takes 22 characters, TD2 14; what is left of the optional data stays empty.
        longest = {"TD1": 22, "TD2": 14}[type]
        number = _characters(rng, DIGITS + LETTERS, int(rng.integers(10, longest + 1)))
        identity = replace(identity, document_number=number, optional_data="")
    elif note == "no filler":
        room, room_2 = _room(type, "optional_data"), _room(type, "optional_data_2")
        identity = replace(
            identity,
            document_number=_characters(rng, DIGITS + LETTERS, 9),
            optional_data=_characters(rng, DIGITS + LETTERS, room),
            optional_data_2=_characters(rng, DIGITS + LETTERS, room_2),
            birth_date_mrz=identity.birth_date.strftime("%y%m%d"),
            sex=_pick(rng, "MF"),
            issuing_state=_pick(rng, _THREE_LETTERS),
            nationality=_pick(rng, _THREE_LETTERS),
            document_code=identity.document_code[0] + _pick(rng, LETTERS.replace("V", "")),
        )
    elif note == "long names":
        parts = [_random_name(rng) + _random_name(rng).lower() for _ in range(3)]
        identity = replace(
            identity,
            surname=identity.surname + " " + parts[0],
            surname_native=identity.surname_native + " " + parts[0],
            given_names=" ".join((identity.given_names, *parts[1:])).strip(),
            given_names_native=" ".join((identity.given_names_native, *parts[1:])).strip(),
        )
    lines = zone_lines(rng, type, identity)
    if note == "wrong check digit":
        lines = _spoil_digits(rng, type, lines)
    elif note == "national layout":
        lines = _names_first_layout(rng, identity)
    elif note == "random text":
        lines = [_random_line(rng, len(line)) for line in lines]
    return MrzText(type, lines, identity, note)


_THREE_LETTERS = tuple(code for code in _STATES if len(code) == 3)

_ODDITIES = {
    "": 0.815,
    "wrong check digit": 0.035,
    "no filler": 0.025,
    "long number": 0.03,
    "long names": 0.04,
    "national layout": 0.035,
    "random text": 0.02,
}


def _spoil_digits(rng: np.random.Generator, type: str, lines: list[str]) -> list[str]:
    """Replace one check digit, or each of them, by a wrong one."""
    checks = mrz.FORMATS[type].checks
    every = rng.random() < 0.2
    chosen = checks if every else (checks[int(rng.integers(len(checks)))],)
    rows = [list(line) for line in lines]
    for check in chosen:
        right = rows[check.row][check.column]
        rows[check.row][check.column] = _pick(rng, DIGITS.replace(right, ""))
    return ["".join(row) for row in rows]


def _names_first_layout(rng: np.random.Generator, identity: Identity) -> list[str]:
    """Build two lines of 36 as some states printed before they took up TD2.

    Surname and an office code above; number, given names, birth and sex below. The shape is TD2's,
    the fields are not, and a reader has to copy them all the same.
    """
    surname = mrz.transliterate(identity.surname)[:25].ljust(25, "<")
    given = mrz.transliterate(identity.given_names).replace("<", "<<")[:14].ljust(14, "<")
    upper = f"ID{identity.issuing_state.ljust(3, '<')}{surname}{_characters(rng, DIGITS, 6)}"
    number = _characters(rng, DIGITS, 12)
    birth = identity.birth_date.strftime("%y%m%d")
    sex = identity.sex if identity.sex in "MF" else "<"
    lower = number + mrz.check_digit(number) + given + birth + mrz.check_digit(birth) + sex
    return [upper, lower + mrz.check_digit(upper + lower)]


def _random_line(rng: np.random.Generator, length: int) -> str:
    """Draw characters at random, with runs of fillers as in real lines."""
    text = ""
    while len(text) < length:
        if rng.random() < 0.4:
            text += "<" * int(rng.integers(1, 9))
        else:
            alphabet = DIGITS + LETTERS if rng.random() < 0.5 else LETTERS
            text += _characters(rng, alphabet, int(rng.integers(1, 10)))
    return text[:length]
