"""Pages of running text: articles, columns, letters, dense small print, lists."""

from __future__ import annotations

from dataclasses import replace

from sightbook.ocr.synth.page_faces import Role
from sightbook.ocr.synth.page_ink import Align, Hand, Sheet, flow, write, write_aligned
from sightbook.ocr.synth.page_marks import (
    box,
    by_hand,
    halftone,
    image,
    rule,
    scribble,
    seal,
    upright,
)

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def draw_hand(sheet: Sheet, px: int, role: Role = "text", *, plain: float = 0.8) -> Hand:
    """Choose how a text is set: a typeface with the small irregularities that make it another."""
    face = sheet.cast.face(role, plain=plain)
    # Sizes are by the height of small letters, so that condensed and wide faces read alike.
    size = max(6, round(px * min(1.25, max(0.85, 0.48 / face.x_height))))
    hand = Hand(face, size, ink=0 if sheet.chance(0.6) else sheet.whole(0, 70))
    if role == "typed":
        hand = replace(hand, jitter=sheet.pick((0.0, 0.0, 0.6, 1.0)), bold=sheet.chance(0.25))
    if sheet.chance(0.3):
        hand = replace(hand, stretch=sheet.between(0.82, 1.15))
    if sheet.chance(0.05):
        hand = replace(hand, slant=0.2)
    return hand


def heading_of(sheet: Sheet, body: Hand) -> Hand:
    """A heading to go with a text: larger, bolder, in capitals or in another typeface."""
    hand = draw_hand(sheet, body.px, plain=0.2) if sheet.chance(0.6) else body
    hand = hand.sized(sheet.between(1.0, 1.9))
    return replace(hand, bold=sheet.chance(0.6), caps=sheet.chance(0.35), ink=body.ink)


def title_words(sheet: Sheet, count: int) -> list[str]:
    """Words of a heading, in capitals at their starts more often than not."""
    words = [sheet.texts.plain() for _ in range(count)]
    return [word.capitalize() for word in words] if sheet.chance(0.7) else words


def long_date(sheet: Sheet) -> str:
    """A date with its month in letters."""
    return f"{sheet.pick(MONTHS)} {sheet.whole(1, 28)}, {sheet.whole(1955, 2024)}"


def column(sheet: Sheet, body: Hand, x0: float, x1: float, y: float, bottom: float) -> float:
    """Fill a column with paragraphs, headings, lists and pictures; returns where it ends."""
    align: Align = sheet.pick(("left", "justify", "justify"))
    heading = heading_of(sheet, body)
    leading = round(body.px * sheet.between(1.1, 1.55))
    indent = sheet.pick((0.0, 0.0, 1.5, 2.5)) * body.px
    space = sheet.between(0.2, 1.1) * body.px
    per_line = max(2.0, (x1 - x0) / (5.5 * max(4.0, body.width("n"))))
    while y < bottom - 2 * leading:
        what = sheet.rng.random()
        if what < 0.13:
            y = flow(sheet, heading, title_words(sheet, sheet.whole(1, 5)), x0, x1,
                     y + space, bottom=bottom)  # fmt: skip
        elif what < 0.22:
            y = bullets(sheet, body, x0, x1, y, bottom, leading)
        elif what < 0.28 and bottom - y > 140 and x1 - x0 > 80:
            deep = sheet.between(60, 140)
            image(sheet, x0, y + 4, x1, y + deep)
            if sheet.chance(0.4):
                box(sheet, x0, y + 4, x1, y + deep)
            caption = sheet.texts.words(sheet.whole(3, 9))
            y = flow(sheet, body.sized(0.85), caption, x0, x1, y + deep + 2, bottom=bottom)
        else:
            words = sheet.texts.words(max(3, round(per_line * sheet.between(1.2, 8))))
            y = flow(sheet, body, words, x0, x1, y, align=align, leading=leading, indent=indent,
                     bottom=bottom)  # fmt: skip
        y += space
    return y


def bullets(
    sheet: Sheet, hand: Hand, x0: float, x1: float, y: float, bottom: float, leading: int
) -> float:
    """A list with bullets, numbers or letters; every item is a paragraph of its own."""
    marks = sheet.pick(("dot", "1.", "a)", "-", "(1)"))
    inside = x0 + sheet.between(1.6, 3.2) * hand.px
    for number in range(sheet.whole(2, 6)):
        if y + leading > bottom:
            break
        baseline = y + 0.5 * (leading + hand.rise)
        words = sheet.texts.words(sheet.whole(2, 14))
        if marks == "dot":
            seal_size = max(3.0, hand.px * 0.3)
            seal_x, seal_y = x0 + hand.px * 0.5, baseline - 0.35 * hand.px
            sheet.pixels[
                round(seal_y - seal_size / 2) : round(seal_y + seal_size / 2),
                round(seal_x - seal_size / 2) : round(seal_x + seal_size / 2),
            ] = hand.ink
        else:
            label = {"1.": f"{number + 1}.", "a)": f"{chr(97 + number)})", "-": "-",
                     "(1)": f"({number + 1})"}[marks]  # fmt: skip
            first = write(sheet, hand, label, x0, baseline)
            before = len(sheet.paragraphs)
            y = flow(sheet, hand, words, inside, x1, y, leading=leading, bottom=bottom)
            if len(sheet.paragraphs) > before:
                sheet.paragraphs[-1][0] = first + sheet.paragraphs[-1][0]
            else:
                sheet.add(first)
            continue
        y = flow(sheet, hand, words, inside, x1, y, leading=leading, bottom=bottom)
    return y


def article(sheet: Sheet) -> None:
    """One column: a title, perhaps a byline, text."""
    px = sheet.whole(12, 23)
    body = draw_hand(sheet, px)
    left, right = sheet.between(0.05, 0.16) * sheet.width, sheet.between(0.84, 0.95) * sheet.width
    y = running_head(sheet, body, left, right)
    if sheet.chance(0.75):
        title = heading_of(sheet, body).sized(sheet.between(1.1, 2.0))
        align: Align = sheet.pick(("left", "centre"))
        y = flow(sheet, title, title_words(sheet, sheet.whole(2, 8)), left, right, y, align=align)
        y += 0.4 * px
        if sheet.chance(0.5):
            y = flow(sheet, body, sheet.texts.name().split(), left, right, y, align=align) + px
    bottom = sheet.height * sheet.between(0.82, 0.97)
    column(sheet, body, left, right, y, bottom)
    folio(sheet, body)


def columns(sheet: Sheet) -> None:
    """Two to four columns, as in papers and journals."""
    count = int(sheet.rng.choice((2, 3, 4), p=(0.6, 0.3, 0.1)))
    px = sheet.whole(10, 18 - count)
    body = draw_hand(sheet, px)
    left, right = sheet.between(0.03, 0.1) * sheet.width, sheet.between(0.9, 0.97) * sheet.width
    y = running_head(sheet, body, left, right)
    if sheet.chance(0.7):
        title = heading_of(sheet, body).sized(sheet.between(1.3, 2.6))
        words = title_words(sheet, sheet.whole(2, 8))
        y = flow(sheet, title, words, left, right, y, align=sheet.pick(("left", "centre"))) + px
    gutter = sheet.between(1.2, 3.0) * px
    wide = (right - left - gutter * (count - 1)) / count
    bottom = sheet.height * sheet.between(0.85, 0.97)
    for number in range(count):
        x0 = left + number * (wide + gutter)
        column(sheet, body, x0, x0 + wide, y, bottom)
        if number and count > 1 and sheet.chance(0.2):
            upright(sheet, x0 - gutter / 2, y, bottom, ink=sheet.whole(0, 120))
    folio(sheet, body)


def dense(sheet: Sheet) -> None:
    """Small print from edge to edge: terms, leaflets, the back of a ticket."""
    px = sheet.whole(9, 12)
    body = draw_hand(sheet, px, plain=0.9)
    left, right = sheet.between(8, 40), sheet.width - sheet.between(8, 40)
    y, bottom = sheet.between(8, 40), sheet.height - sheet.between(8, 40)
    count = sheet.whole(1, 3)
    gutter = 2 * px
    wide = (right - left - gutter * (count - 1)) / count
    for number in range(count):
        x0 = left + number * (wide + gutter)
        column(sheet, body, x0, x0 + wide, y, bottom)


def letter(sheet: Sheet) -> None:
    """A letter or a memorandum, often typewritten."""
    px = sheet.whole(13, 21)
    body = draw_hand(sheet, px, "typed" if sheet.chance(0.65) else "text", plain=0.9)
    left, right = sheet.between(0.08, 0.18) * sheet.width, sheet.between(0.82, 0.93) * sheet.width
    y = letterhead(sheet, left, right, sheet.between(20, 70), px)
    leading = round(body.px * sheet.pick((1.1, 1.15, 1.25, 1.9)))
    step = round(body.px * 1.3)
    if sheet.chance(0.5):  # memorandum
        colon = left + sheet.between(4, 8) * body.px
        for label in sheet.pick((("TO:", "FROM:", "DATE:", "SUBJECT:"), ("To", "From", "Re"))):
            value = sheet.pick((sheet.texts.name(), long_date(sheet), sheet.texts.line(30)))
            sheet.add(write(sheet, body, label, left, y + step))
            row = write(sheet, body, value, colon, y + step)
            sheet.add(row)
            if row and sheet.chance(0.2):
                rule(sheet, colon, colon + body.width(value), y + step + 3)
            y += step * sheet.between(1.0, 1.8)
        if sheet.chance(0.5):
            rule(sheet, left, right, y + step)
        y += 2 * step
    else:
        x = left if sheet.chance(0.5) else (left + right) / 2
        y = flow(sheet, body, long_date(sheet).split(), x, right, y + step) + step
        rows = [sheet.texts.name(), sheet.texts.line(28), sheet.texts.line(24)]
        lines = []
        for text in rows:
            y += step
            lines.append(write(sheet, body, text, left, y))
        sheet.add(*lines)
        y += 2 * step
        y = flow(sheet, body, f"Dear {sheet.texts.name().split()[-1]}:".split(), left, right, y)
        y += step * 0.7
    bottom = sheet.height * sheet.between(0.6, 0.85)
    indent = sheet.pick((0.0, 3.0)) * body.px
    while y < bottom:
        words = sheet.texts.words(sheet.whole(12, 90))
        y = flow(sheet, body, words, left, right, y, leading=leading, indent=indent) + step * 0.8
    x = left if sheet.chance(0.5) else (left + right) / 2
    y = flow(sheet, body, ["Sincerely,"], x, right, y)
    sheet.add(scribble(sheet, x, y + 2.2 * step, 8 * px, 2.2 * px, sheet.whole(0, 60)))
    y = flow(sheet, body, sheet.texts.name().split(), x, right, y + 3 * step)
    if sheet.chance(0.5):
        flow(sheet, body, ["cc:", *sheet.texts.name().split()], left, right, y + step)
    if sheet.chance(0.25):
        note = " ".join(title_words(sheet, sheet.whole(1, 4)))
        size, pen = sheet.between(16, 30), sheet.whole(0, 70)
        x = sheet.between(0.1, 0.7) * sheet.width
        y = sheet.between(0.05, 0.9) * sheet.height
        sheet.add(by_hand(sheet, note, x, y, size, pen))
    folio(sheet, body)


def letterhead(sheet: Sheet, left: float, right: float, y: float, px: int) -> float:
    """A mark, a firm's name, an address in small print; returns where it ends."""
    name = draw_hand(sheet, round(px * sheet.between(1.2, 3.0)), plain=0.3)
    small = draw_hand(sheet, max(8, round(px * sheet.between(0.65, 0.95))))
    align: Align = sheet.pick(("left", "centre", "right"))
    x = left
    if sheet.chance(0.5):
        size = sheet.between(30, 80)
        at = {"left": left + size / 2, "centre": (left + right) / 2, "right": right - size / 2}
        seal(sheet, at[align], y + size / 2, size, sheet.whole(0, 90))
        if align == "left" and sheet.chance(0.5):
            x = left + size + 12
        else:
            y += size + 6
    if sheet.chance(0.8):
        words = [word.upper() if sheet.chance(0.5) else word for word in title_words(sheet, 2)]
        words.append(sheet.pick(("Inc.", "Co.", "&", "Corporation")))
        y = flow(sheet, name, words, x, right, y, align=align)
    if sheet.chance(0.7):
        count = sheet.whole(1, 3)
        for _ in range(count):
            text = sheet.texts.line(sheet.whole(15, 45))
            y = flow(sheet, small, text.split(), x, right, y, align=align)
    if sheet.chance(0.3):
        rule(sheet, left, right, y + 5, thick=sheet.whole(1, 3))
    if sheet.chance(0.1):
        halftone(sheet, left, y + 8, right, y + 18, sheet.between(0.2, 0.5))
    return y + sheet.between(1, 3) * px


def running_head(sheet: Sheet, body: Hand, left: float, right: float) -> float:
    """A line at the very top, now and then, with a rule; returns where the text may start."""
    y = sheet.between(0.02, 0.08) * sheet.height
    if sheet.chance(0.4):
        small = body.sized(0.85)
        sheet.add(write(sheet, small, " ".join(title_words(sheet, sheet.whole(1, 5))), left, y))
        sheet.add(write_aligned(sheet, small, str(sheet.whole(1, 400)), left, right, y, "right"))
        if sheet.chance(0.5):
            rule(sheet, left, right, y + 5)
    return y + sheet.between(0.5, 2) * body.px


def folio(sheet: Sheet, body: Hand) -> None:
    """A page number at the foot, more often than not."""
    if sheet.chance(0.55):
        number = str(sheet.whole(1, 500))
        text = sheet.pick((number, f"- {number} -", f"Page {number} of {number}", number))
        y = sheet.height - sheet.between(8, 26)
        align: Align = sheet.pick(("centre", "right", "left"))
        sheet.add(write_aligned(sheet, body.sized(0.9), text, 30, sheet.width - 30, y, align))
