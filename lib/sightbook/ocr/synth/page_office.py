"""What happens to a paper in an office: numbers, stamps, notes, holes, edges, dirt."""

from __future__ import annotations

from dataclasses import replace

from sightbook.ocr.synth.page_ink import Hand, Sheet, write
from sightbook.ocr.synth.page_marks import (
    by_hand,
    circled,
    dark_edges,
    page_number,
    punch_holes,
    scribble,
    specks,
    stamp,
)
from sightbook.ocr.synth.page_prose import draw_hand, long_date


def office(sheet: Sheet, px: int) -> None:
    """What happens to a paper in an office: numbers, stamps, notes, holes, edges, dirt."""
    if sheet.chance(0.5):
        page_number(sheet, _numbering(sheet))
    if sheet.chance(0.15):
        hand = replace(draw_hand(sheet, sheet.whole(13, 22), plain=0.3), ink=sheet.whole(0, 90))
        x, y = free_place(sheet, 9 * hand.px, 4 * hand.px)
        stamp(sheet, hand, x + 4.5 * hand.px, y - 2 * hand.px)
    if sheet.chance(0.12):
        fax_line(sheet)
    if sheet.chance(0.25):
        for _ in range(sheet.whole(1, 3)):
            pen, size = sheet.whole(0, 90), sheet.between(14, 34)
            x, y = free_place(sheet, 5 * size, size)
            if sheet.chance(0.55):
                text = " ".join(sheet.texts.word() for _ in range(sheet.whole(1, 4)))
                sheet.add(by_hand(sheet, text, x, y, size, pen))
            else:
                sheet.add(scribble(sheet, x, y, size * sheet.between(2, 6), size, pen))
    if sheet.paragraphs and sheet.chance(0.12):
        mark = sheet.pick(sheet.pick(sheet.pick(sheet.paragraphs)))
        (x0, y0), (x1, y1) = mark.polygon.min(0), mark.polygon.max(0)
        circled(sheet, x0, y0, x1, y1, sheet.whole(0, 90))
    if sheet.chance(0.3):
        punch_holes(sheet)
    if sheet.chance(0.3):
        dark_edges(sheet)
    if sheet.chance(0.7):
        specks(sheet, sheet.between(0.05, 1.6) ** 2)


def free_place(sheet: Sheet, wide: float, tall: float) -> tuple[float, float]:
    """Where there is room: bottom left corner of the emptiest of a few random places."""
    places = [
        (sheet.between(0.02, 0.9) * (sheet.width - wide), sheet.between(0.02, 1) * sheet.height)
        for _ in range(8)
    ]

    def print_at(place: tuple[float, float]) -> float:
        x, y = place
        part = sheet.pixels[max(0, int(y - tall)) : int(y) + 4, max(0, int(x)) : int(x + wide)]
        return float((part < 128).mean()) if part.size else 1.0

    return min(places, key=print_at)


def _numbering(sheet: Sheet) -> Hand:
    return replace(draw_hand(sheet, sheet.whole(15, 24), plain=0.2), bold=True, ink=0)


def fax_line(sheet: Sheet) -> None:
    """The line that a fax machine prints at the top: date, time, sender, page."""
    hand = draw_hand(sheet, sheet.whole(9, 12), "typed")
    y = sheet.between(10, 22)
    texts = (
        f"{long_date(sheet).upper()} {sheet.whole(0, 23)}:{sheet.whole(10, 59)}",
        f"FROM {sheet.texts.name().upper()}",
        f"TO {sheet.whole(10**9, 9 * 10**9)}",
        f"P.{sheet.whole(1, 9)}/{sheet.whole(1, 9)}",
    )
    for place, text in zip((0.03, 0.35, 0.6, 0.9), texts, strict=True):
        if sheet.chance(0.75):
            sheet.add(write(sheet, hand, text, place * sheet.width, y))
