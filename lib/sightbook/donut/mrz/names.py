"""Names in the machine-readable zone: transliteration, the name field, and its truncation.

ICAO Doc 9303-3 sections 4.6 and 6, Doc 9303-4 section 4.2.3 (parts 5 to 7 say the same for their
lengths).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from sightbook.data.text_tables import read_table
from sightbook.donut.mrz.formats import FILLER, TABLES

_SECTIONS = read_table(TABLES / "transliteration.txt")


def _written(section: str) -> dict[str, str]:
    """What is written for each letter of a section of the table; empty for nothing."""
    rows = (row.split() for row in _SECTIONS[section])
    return {letter: "" if way == "-" else way for letter, way in rows}


def _by_language(kind: str) -> dict[str, dict[str, str]]:
    return {name[len(kind) :]: _written(name) for name in _SECTIONS if name[:-2] == kind}


LATIN: dict[str, tuple[str, ...]] = {
    letter: tuple(ways) for letter, *ways in map(str.split, _SECTIONS["latin"])
}
CYRILLIC = _written("cyrillic")
CYRILLIC_LANGUAGES = _by_language("cyrillic ")
CYRILLIC_INITIALS = _by_language("cyrillic initials ")
ARABIC = {chr(int(point, 16)): way for point, way in _written("arabic").items()}
GREEK = _written("greek")

TEH_MARBUTA = "\u0629"
SHADDA = "\u0651"
_PLAIN = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Apostrophes as people type them; NFKC would turn the acute accent into a space.
_APOSTROPHES = dict.fromkeys(map(ord, "'`´ʹʻʼʽʾʿˈ‘’‛′＇"))
_GREEK_VOWELS = frozenset("ΑΕΗΙΟΥΩ")
_GREEK_VOICED = _GREEK_VOWELS | frozenset("ΒΓΔΖΛΜΝΡ")
_DIAERESIS, _TONOS = "\u0308", "\u0301"

TruncationMethod = Literal["initials", "components"]


def transliterate(text: str, language: str | None = None, variant: int = 0) -> str:
    """Writes one identifier (a surname, all given names, a number) in the zone's alphabet.

    Latin letters with diacritics, Cyrillic and Arabic follow Doc 9303-3 section 6, Greek ISO 843;
    Latin letters that the table leaves out lose their marks. Apostrophes and other punctuation are
    dropped, spaces, hyphens and commas become single fillers (section 4.6).

    Args:
        text: in any mixture of those scripts, upper or lower case.
        language: ISO 639-1 code of the Cyrillic tables' exceptions: ``be``, ``bg``, ``mk``, ``sr``
            or ``uk``. Any other, or None, takes the general column.
        variant: which recommendation where the Latin table gives several, counted from 0; the last
            where there are fewer (Ü: UE, UXX, U; Ñ: N, NXX).

    Returns:
        Letters, digits and fillers, without fillers at either end or two in a row.

    Raises:
        ValueError: characters of another script, or symbols; all of them are named.
    """
    upper = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).upper()
    words: list[str] = []
    foreign: dict[str, None] = {}
    word = ""
    for character in unicodedata.normalize("NFC", upper) + " ":
        if character.isspace() or character in ",،<" or unicodedata.category(character) == "Pd":
            if word:
                words.append(_transliterate_word(word, language, variant, foreign))
            word = ""
        elif unicodedata.category(character)[0] != "P" and unicodedata.category(character) != "Cf":
            word += character
    if foreign:
        named = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in foreign)
        raise ValueError(
            f"no transliteration for {named}: expected Latin, Cyrillic, Greek or Arabic letters"
        )
    return FILLER.join(word for word in words if word)


def _transliterate_word(
    word: str, language: str | None, variant: int, foreign: dict[str, None]
) -> str:
    exceptions = CYRILLIC_LANGUAGES.get(language or "", {})
    initials = CYRILLIC_INITIALS.get(language or "", {})
    word = _transliterate_greek(word)
    pieces: list[str] = []
    for position, character in enumerate(word):
        if character in _PLAIN:
            pieces.append(character)
        elif character in LATIN:
            ways = LATIN[character]
            pieces.append(ways[min(variant, len(ways) - 1)])
        elif position == 0 and character in initials:
            pieces.append(initials[character])
        elif character in CYRILLIC:
            pieces.append(exceptions.get(character, CYRILLIC[character]))
        elif character == TEH_MARBUTA:
            last = all(unicodedata.combining(c) for c in word[position + 1 :])
            pieces.append("XAH" if last else ARABIC[character])
        elif character == SHADDA:
            # It doubles the letter, not the X that escapes it: XDZ becomes XDZDZ.
            if pieces:
                pieces[-1] += pieces[-1].lstrip("X")
        elif character in ARABIC:
            if ARABIC[character]:
                pieces.append(ARABIC[character])
        elif not unicodedata.combining(character):
            base = unicodedata.normalize("NFD", character)[0]
            if base in _PLAIN:
                pieces.append(base)
            elif base in CYRILLIC:
                pieces.append(exceptions.get(base, CYRILLIC[base]))
            else:
                foreign[character] = None
    return "".join(pieces)


def _transliterate_greek(word: str) -> str:
    """Greek letters of a word by ISO 843 (ELOT 743), everything else untouched.

    Pairs need their neighbours: ου, αυ/ευ/ηυ (v or f by the next letter), γγ/γκ/γξ/γχ, and μπ at
    the edges of a word. A diaeresis on the second vowel or an accent on the first parts a pair.
    """
    if not any(unicodedata.normalize("NFD", c)[0] in GREEK for c in word):
        return word
    letters: list[tuple[str, str]] = []
    for character in unicodedata.normalize("NFD", word):
        if unicodedata.combining(character) and letters:
            letters[-1] = (letters[-1][0], letters[-1][1] + character)
        else:
            letters.append((character, ""))
    written = ""
    position = 0
    while position < len(letters):
        letter, marks = letters[position]
        following, following_marks = (
            letters[position + 1] if position + 1 < len(letters) else ("", "")
        )
        after = letters[position + 2][0] if position + 2 < len(letters) else ""
        parted = _DIAERESIS in following_marks or _TONOS in marks
        step = 2
        if following == "Υ" and letter in "ΑΕΗ" and not parted:
            written += GREEK[letter] + ("V" if after in _GREEK_VOICED else "F")
        elif following == "Υ" and letter == "Ο" and not parted:
            written += "OU"
        elif letter == "Γ" and following and following in "ΓΞΧ":
            written += "N" + GREEK[following]
        elif letter == "Μ" and following == "Π" and (position == 0 or not after):
            written += "B"
        else:
            step = 1
            written += GREEK.get(letter) or unicodedata.normalize("NFC", letter + marks)
        position += step
    return written


@dataclass(frozen=True)
class NameField:
    """A name field taken apart; ``truncated`` means that it must be taken as truncated."""

    surname: str
    given_names: str
    truncated: bool


def encode_names(
    surname: str, given_names: str, width: int, truncation: TruncationMethod | int = "initials"
) -> str:
    """The name field: primary identifier, two fillers, secondary identifier, fillers.

    A name that fits is never shortened. One that does not fit is truncated so that the field's last
    character is a letter (Doc 9303-4, 4.2.3).

    Args:
        surname: transliterated primary identifier, components separated by fillers.
        given_names: transliterated secondary identifier, may be empty.
        width: characters in the field (39 in TD3 and MRV-A, 31 in TD2 and MRV-B, 30 in TD1).
        truncation: which of the standard's ways to shorten a long primary identifier: to
            ``"initials"`` from its last component on (4.2.3.3 a), its later ``"components"`` to
            about equal lengths (b), or every component to that many characters (c).
    """
    primary = [part for part in surname.split(FILLER) if part]
    secondary = [part for part in given_names.split(FILLER) if part]
    field = FILLER.join(primary)
    if secondary:
        field += FILLER * 2 + FILLER.join(secondary)
    if len(field) > width:
        field = _truncate(primary, secondary, width, truncation)
    return field.ljust(width, FILLER)


def decode_names(field: str) -> NameField:
    """Takes a name field apart; fillers inside an identifier become spaces."""
    primary, _, secondary = field.rstrip(FILLER).partition(FILLER * 2)
    return NameField(
        " ".join(part for part in primary.split(FILLER) if part),
        " ".join(part for part in secondary.split(FILLER) if part),
        not field.endswith(FILLER),
    )


def _truncate(
    primary: list[str], secondary: list[str], width: int, method: TruncationMethod | int
) -> str:
    if not secondary:
        return _fill(primary, width)
    head = FILLER.join(primary)
    if len(head) > width - 3:
        head = FILLER.join(_shorten(primary, secondary, width, method))
        if method == "components" and len(head) + 2 + len(secondary[0]) == width:
            secondary = secondary[:1]
    if len(head) > width - 3:
        head = _fill(primary, width - 3)
    tail = FILLER.join(secondary)
    if len(head) + 2 + len(tail) < width:
        # The method shortened more than the given names can use: give the room back.
        head = _fill(primary, width - 2 - len(tail))
    elif len(head) + 2 + len(tail) > width:
        tail = _fill(secondary, width - 2 - len(head))
    return head + FILLER * 2 + tail


def _shorten(
    primary: list[str], secondary: list[str], width: int, method: TruncationMethod | int
) -> list[str]:
    """Primary components shortened by one of the three ways; may still be too long."""
    if method == "initials":
        parts = list(primary)
        for index in range(len(parts) - 1, 0, -1):
            if len(FILLER.join(parts)) <= width - 3:
                break
            parts[index] = parts[index][0]
        return parts
    if method == "components":
        room = width - 2 - len(secondary[0]) - (len(primary) - 1)
        rest = primary[1:]
        if not rest or room - len(primary[0]) < len(rest):
            return primary
        lengths = [0] * len(rest)
        for _ in range(room - len(primary[0])):
            grown = [i for i, part in enumerate(rest) if lengths[i] < len(part)]
            if not grown:
                break
            lengths[min(grown, key=lambda i: (lengths[i], i))] += 1
        return [primary[0], *(part[:n] for part, n in zip(rest, lengths, strict=True))]
    return [part[: int(method)] for part in primary]


def _fill(parts: list[str], width: int) -> str:
    """Components cut to exactly ``width`` characters, the last of them a letter.

    As many components as can stand with an initial each, the room given from the left. The whole
    must be longer than ``width``.
    """
    count = min(len(parts), (width + 1) // 2)
    letters = width - (count - 1)
    if sum(map(len, parts[:count])) < letters:
        # Single letters only: where the cut falls on a filler, take the next letter in its place.
        text = FILLER.join(parts)
        return text[:width] if text[width - 1] != FILLER else text[: width - 1] + text[width]
    spare = letters - count
    cut = []
    for part in parts[:count]:
        taken = min(len(part) - 1, spare)
        spare -= taken
        cut.append(part[: 1 + taken])
    return FILLER.join(cut)
