"""What is written on pages: words by their frequency, the marks of forms, random strings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from sightbook.data.text_tables import read_table
from sightbook.params import ParameterError, resolve_path


def _list(name: str) -> tuple[str, ...]:
    rows = read_table(Path(__file__).parent / "words" / f"{name}.txt")[""]
    return tuple(" ".join(rows).split())


# Ordinary English, most frequent first; what stands before the fields of forms; people.
_COMMON, _LABELS = _list("common"), _list("labels")
_GIVEN_NAMES, _FAMILY_NAMES = _list("given_names"), _list("family_names")
# Beginnings, middles and ends of syllables.
_STARTS, _MIDDLES, _ENDS = _list("starts"), _list("middles"), _list("ends")


class Texts:
    """Draws texts; all randomness comes from one generator.

    Args:
        rng: source of randomness.
        alphabet: characters that random strings are made of.
        words: words to use beside the built-in ones, most frequent first; empty for none.
    """

    def __init__(
        self, rng: np.random.Generator, alphabet: str = "", words: Sequence[str] = ()
    ) -> None:
        self.rng = rng
        self.alphabet = alphabet.replace(" ", "")
        self.own = words

    def word(self) -> str:
        """One token as it stands on a page: a word, a number, a label, with its punctuation."""
        draw = self.rng.random()
        if draw < 0.56:
            return self._punctuated(self._cased(self.plain()))
        if draw < 0.70:
            return self.number()
        if draw < 0.78:
            return self._one(_LABELS)
        if draw < 0.85:
            return self._punctuated(
                self._one(_GIVEN_NAMES if self.rng.random() < 0.5 else _FAMILY_NAMES)
            )
        if draw < 0.90:
            return self.code()
        if draw < 0.97 or not self.alphabet:
            return self._punctuated(self._cased(self.invented()))
        return self.random_string(int(self.rng.integers(1, 10)))

    def words(self, count: int) -> list[str]:
        """Tokens of running text: mostly words, a capital after a full stop."""
        found = []
        start = self.rng.random() < 0.7
        for _ in range(count):
            draw = self.rng.random()
            if draw < 0.86:
                word = self.plain()
                word = word.capitalize() if start or self.rng.random() < 0.08 else word
            elif draw < 0.93:
                word = self.number()
            else:
                word = self.word()
            ending = self.rng.random()
            start = ending < 0.08
            found.append(word + ("." if start else "," if ending < 0.15 else ""))
        return found

    def line(self, max_chars: int) -> str:
        """Tokens joined by blanks, at most so many characters (but at least one token)."""
        running = self.rng.random() < 0.45
        style = self.rng.random()
        line = ""
        while True:
            word = self.words(1)[0] if running else self.word()
            if style > 0.88:
                word = word.upper()
            if line and len(line) + 1 + len(word) > max_chars:
                return line
            line = f"{line} {word}" if line else word[:max_chars]
            if len(line) >= max_chars - 1:
                return line

    def plain(self) -> str:
        """A word in lower case as the lists have it, frequent ones more often."""
        if self.own and self.rng.random() < 0.6:
            return self._zipf(self.own)
        return self._zipf(_COMMON)

    def invented(self) -> str:
        """A word that nobody has heard but everybody can say."""
        syllables = int(self.rng.integers(1, 4))
        parts = [self._one(_STARTS) + self._one(_MIDDLES) for _ in range(syllables)]
        return "".join(parts) + (self._one(_ENDS) if self.rng.random() < 0.8 else "")

    def name(self) -> str:
        """A person: two or three tokens."""
        middle = f" {self._letters(1)}." if self.rng.random() < 0.3 else ""
        return f"{self._one(_GIVEN_NAMES)}{middle} {self._one(_FAMILY_NAMES)}"

    def label(self) -> str:
        """What stands before a field of a form."""
        if self.rng.random() < 0.5:
            return self._one(_LABELS)
        text = " ".join(self.plain() for _ in range(int(self.rng.integers(1, 4))))
        case = self.rng.random()
        text = text.upper() if case < 0.4 else text.title() if case < 0.7 else text.capitalize()
        return text + (":" if self.rng.random() < 0.7 else "")

    def number(self) -> str:
        """A number, an amount, a date, a share: whatever has digits."""
        rng = self.rng
        match int(rng.integers(12)):
            case 0 | 1 | 2:
                return self._digits(int(rng.integers(1, 5)))
            case 3:
                return f"{int(rng.integers(0, 10**6)):,}"
            case 4:
                return f"${rng.random() * 10 ** rng.integers(1, 6):,.2f}"
            case 5:
                return f"{rng.random() * 100:.{int(rng.integers(1, 4))}f}"
            case 6:
                return f"{int(rng.integers(0, 101))}%"
            case 7:
                return self.date()
            case 8:
                return f"({self._digits(3)})" if rng.random() < 0.4 else self._phone()
            case 9:
                return f"{int(rng.integers(0, 24))}:{int(rng.integers(0, 60)):02d}"
            case 10:
                return self._digits(int(rng.integers(6, 11)))
            case _:
                return f"{int(rng.integers(1900, 2030))}"

    def date(self) -> str:
        """A date in one of the ways people write it."""
        rng = self.rng
        day, month = int(rng.integers(1, 29)), int(rng.integers(1, 13))
        year = int(rng.integers(1950, 2030))
        match int(rng.integers(5)):
            case 0:
                return f"{month}/{day}/{year % 100:02d}"
            case 1:
                return f"{day:02d}.{month:02d}.{year}"
            case 2:
                return f"{year}-{month:02d}-{day:02d}"
            case 3:
                return f"{month:02d}/{day:02d}/{year}"
            case _:
                return f"{month}-{day}-{year % 100:02d}"

    def code(self) -> str:
        """An order number, a part, an address of the net: letters and digits mixed."""
        rng = self.rng
        match int(rng.integers(7)):
            case 0:
                letters, digits = rng.integers(1, 4), rng.integers(2, 6)
                return f"{self._letters(letters)}-{self._digits(digits)}"
            case 1:
                letters, digits = rng.integers(1, 3), rng.integers(1, 6)
                return f"{self._letters(letters)}{self._digits(digits)}"
            case 2:
                return f"#{self._digits(int(rng.integers(1, 6)))}"
            case 3:
                return f"{self.plain()}@{self.invented()}.{self._one(('com', 'org', 'net'))}"
            case 4:
                return f"www.{self.invented()}.{self._one(('com', 'org', 'net', 'de'))}"
            case 5:
                return f"{self.plain()}/{self.plain()}"
            case _:
                return f"{self.plain()}-{self.plain()}"

    def random_string(self, length: int) -> str:
        """Characters of the alphabet, all equally likely."""
        if not self.alphabet:
            return self.invented()
        picked = self.rng.integers(0, len(self.alphabet), length)
        return "".join(self.alphabet[i] for i in picked)

    def _punctuated(self, word: str) -> str:
        draw = self.rng.random()
        if draw < 0.74:
            return word
        if draw < 0.80:
            return word + ","
        if draw < 0.86:
            return word + "."
        if draw < 0.90:
            return word + ":"
        marks = self._one(("()", '""', "''", "[]", "*", "-", "?", "!", ";", "(", ")"))
        if len(marks) == 2:
            return marks[0] + word + marks[1]
        return marks + word if marks in "*-(" else word + marks

    def _cased(self, word: str) -> str:
        draw = self.rng.random()
        return word.upper() if draw < 0.25 else word.capitalize() if draw < 0.5 else word

    def _phone(self) -> str:
        return f"{self._digits(3)}-{self._digits(3)}-{self._digits(4)}"

    def _digits(self, count: int | np.integer) -> str:
        return "".join(map(str, self.rng.integers(0, 10, count)))

    def _letters(self, count: int | np.integer) -> str:
        return "".join(chr(65 + i) for i in self.rng.integers(0, 26, count))

    def _one(self, values: Sequence[str]) -> str:
        return values[int(self.rng.integers(len(values)))]

    def _zipf(self, words: Sequence[str]) -> str:
        # As often as people use it, by Zipf's law (rank = n ** u, u uniform); but a reader that
        # only ever saw "the" would not learn letters: half the time all words are equal.
        if self.rng.random() < 0.5:
            return self._one(words)
        return words[int((len(words) + 1) ** self.rng.random()) - 1]


@cache
def read_words(path: str) -> tuple[str, ...]:
    """Words of a text file or word list, most frequent first.

    A list with one word a line is taken in its order; running text is counted.

    Raises:
        ParameterError: the file cannot be read as UTF-8 text or holds no word.
    """
    if not path:
        return ()
    file = resolve_path(path)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"words: {file} cannot be read as UTF-8 text: {error}") from error
    tokens = text.split()
    if not tokens:
        raise ParameterError(f"words: {file} holds no word")
    counts: dict[str, int] = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    return tuple(sorted(counts, key=lambda word: -counts[word]))
