"""Alphabets: which characters a recogniser can write, and what becomes of others.

Class 0 of a recogniser is the blank of CTC; character i of the alphabet is class i + 1.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightbook.params import ParameterError, resolve_path

Unknown = Literal["replace", "drop", "skip"]
Surgery = Literal["keep", "union", "replace"]

_ASCII = string.digits + string.punctuation + string.ascii_uppercase + string.ascii_lowercase
PRESETS = {
    # The engine's default: its order decides which class is which character.
    "ocrs": " " + string.digits + string.punctuation + "€" + string.ascii_uppercase
    + string.ascii_lowercase,
    # Western, Northern and Central European languages, with their quotation marks and signs.
    "latin": " " + _ASCII
    + "€£¥¢§©®°±²³µ·¹º¼½¾¿¡«»÷×–—‘’‚“”„†•…‰™"
    + "".join(map(chr, [*range(0xC0, 0xD7), *range(0xD8, 0xF7), *range(0xF8, 0x180)])),
    # ICAO 9303
    "mrz": string.digits + string.ascii_uppercase + "<",
    "digits": string.digits,
}  # fmt: skip

# What stands in for characters that many alphabets lack, but that look or mean the same.
_ALIKE = {
    "‘": "'", "’": "'", "‚": ",", "“": '"', "”": '"', "„": '"',
    "–": "-", "—": "-", "‐": "-", "‑": "-",
    "−": "-", "…": "...", "•": "*", "·": ".", "′": "'", "″": '"', "⁄": "/", "∕": "/", "×": "x",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\t": " ", "ﬁ": "fi", "ﬂ": "fl",
}  # fmt: skip


def read_alphabet(name: str) -> str:
    """The alphabet of a preset, of a text file, or given as the characters themselves.

    Args:
        name: a preset (``ocrs``, ``latin``, ``mrz``, ``digits``), a file (its characters, line
            ends aside) or ``chars:`` followed by the characters.

    Raises:
        ParameterError: no such preset or file, or a character comes twice.
    """
    if name in PRESETS:
        return PRESETS[name]
    if name.startswith("chars:"):
        return checked(name.removeprefix("chars:"), name)
    file = resolve_path(name)
    if not file.is_file():
        raise ParameterError(
            f"alphabet: {name!r} is neither a preset ({', '.join(PRESETS)}) nor a text file; "
            "write chars:ABC to give the characters themselves"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"alphabet: {file} is not UTF-8 text: {error}") from error
    return checked(text.replace("\r", "").replace("\n", ""), str(file))


def checked(characters: str, source: str = "alphabet") -> str:
    """The characters in composed form (NFC).

    Raises:
        ParameterError: there are none, or one comes twice.
    """
    alphabet = unicodedata.normalize("NFC", characters)
    twice = [c for c, count in Counter(alphabet).items() if count > 1]
    if not alphabet or twice:
        what = f"{twice[0]!r} comes twice" if twice else "it holds no characters"
        raise ParameterError(f"alphabet: {source}: {what}")
    return alphabet


@dataclass
class Encoder:
    """Texts to classes and back; counts what the alphabet lacks.

    Attributes:
        alphabet: the characters.
        unknown: what becomes of characters outside it after normalisation: ``replace`` (by
            `replacement`), ``drop`` (the character) or ``skip`` (the whole text).
        replacement: what replaces them; must be in the alphabet.
        missing: how often each such character was met.
    """

    alphabet: str
    unknown: Unknown = "skip"
    replacement: str = "?"
    missing: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._classes = {c: i for i, c in enumerate(self.alphabet, start=1)}
        if self.unknown == "replace" and self.replacement not in self._classes:
            raise ParameterError(
                f"replacement: {self.replacement!r} is not in the alphabet; choose one that is"
            )

    def normalise(self, text: str) -> str | None:
        """The text as the alphabet can write it; None if it is to be skipped.

        Composed form (NFC); look-alikes such as curly quotation marks become what the alphabet
        has; runs of blanks become one.
        """
        found: list[str] = []
        for c in unicodedata.normalize("NFC", text):
            if c in self._classes:
                found.append(c)
            elif all(part in self._classes for part in _ALIKE.get(c, "\0")):
                found.append(_ALIKE[c])
            else:
                self.missing[c] += 1
                if self.unknown == "skip":
                    return None
                if self.unknown == "replace":
                    found.append(self.replacement)
        return " ".join("".join(found).split())

    def encode(self, text: str) -> NDArray[np.int64] | None:
        """Classes ``[n]`` of a text, from 1; None if it is to be skipped."""
        written = self.normalise(text)
        if written is None:
            return None
        return np.array([self._classes[c] for c in written], np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of classes, blanks left out."""
        return "".join(self.alphabet[i - 1] for i in ids if i > 0)


def after_surgery(known: str, asked: str, surgery: Surgery) -> str:
    """The alphabet of a model that is trained further.

    Args:
        known: what the model writes.
        asked: what the new data is to be written in.
        surgery: ``keep`` the model's, the ``union`` (new characters at the end, so that known
            classes keep their numbers) or ``replace`` by the new one.
    """
    if surgery == "keep":
        return known
    if surgery == "replace":
        return asked
    return known + "".join(c for c in asked if c not in known)


def carried_classes(known: str, new: str) -> list[tuple[int, int]]:
    """Pairs (class before, class after) of what both alphabets have, the blank among them."""
    return [(0, 0)] + [
        (known.index(c) + 1, place) for place, c in enumerate(new, start=1) if c in known
    ]
