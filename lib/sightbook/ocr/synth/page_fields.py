"""Fields of forms: what labels say, what people enter, and how a form looks throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightbook.data.text_tables import read_table
from sightbook.ocr.synth.page_ink import Hand, Row, Sheet, fitted, write
from sightbook.ocr.synth.page_marks import by_hand, rule
from sightbook.ocr.synth.page_prose import long_date, title_words

LABELS = tuple(read_table(Path(__file__).parent / "words" / "form_labels.txt")[""])


@dataclass(frozen=True)
class Form:
    """How a form looks: its printed labels, what fills it, the pen, the distance of rows."""

    label: Hand
    entry: Hand
    pen: int
    step: int
    colon: bool
    underlined: bool
    by_pen: float


def underline(sheet: Sheet, row: Row, hand: Hand, baseline: float) -> None:
    """A rule below written words, as close as a typewriter sets it."""
    x0 = min(mark.polygon[:, 0].min() for mark in row)
    x1 = max(mark.polygon[:, 0].max() for mark in row)
    rule(sheet, x0, x1, baseline + sheet.between(1, 0.22 * hand.px + 1), ink=hand.ink)


def caption(sheet: Sheet, look: Form, longest: float) -> str:
    """A label's text, of forms or of ordinary words, no wider than `longest` pixels."""
    draw = sheet.rng.random()
    if draw < 0.55:
        text = sheet.pick(LABELS)
    elif draw < 0.9:
        text = " ".join(title_words(sheet, sheet.whole(1, 4)))
        if sheet.chance(0.2):
            text += f" ({sheet.texts.plain()})"
    else:
        text = sheet.texts.label().rstrip(":")
    text = text + (":" if look.colon or sheet.chance(0.15) else "")
    return " ".join(fitted(look.label, text.split(), longest))


def content(sheet: Sheet, longest: float, hand: Hand) -> str:
    """What somebody enters in a field, no wider than `longest` pixels."""
    texts = sheet.texts
    makers: tuple[Callable[[], str], ...] = (
        texts.name, texts.date, lambda: long_date(sheet), texts.number, texts.code,
        lambda: texts.line(sheet.whole(4, 50)), lambda: " ".join(title_words(sheet, 2)),
        lambda: texts.word(), lambda: " ".join(texts.words(sheet.whole(2, 9))),
    )  # fmt: skip
    words = sheet.pick(makers)().split()
    if sheet.chance(0.15):
        words = [word.upper() for word in words]
    return " ".join(fitted(hand, words, longest))


def enter(sheet: Sheet, look: Form, x: float, y: float, longest: float) -> Row:
    """Fill a field whose line is at y: typed, by hand, or left blank; returns its words."""
    if sheet.chance(0.22):
        return []
    if sheet.chance(look.by_pen):
        size = look.entry.px * sheet.between(1.1, 1.9)
        text = content(sheet, longest * 0.8, look.entry)
        return by_hand(sheet, text, x, y + sheet.between(-4, 3), size, look.pen)
    text = content(sheet, longest, look.entry)
    return write(sheet, look.entry, text, x, y + round(sheet.rng.normal(-1, 1.6)))
