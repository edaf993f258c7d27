"""Blocks of forms: each fills a strip between two margins and returns where it ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from sightbook.ocr.synth.page_fields import Form, caption, content, enter, underline
from sightbook.ocr.synth.page_ink import Align, Sheet, fitted, flow, write, write_aligned
from sightbook.ocr.synth.page_marks import (
    Style,
    box,
    by_hand,
    fill,
    halftone,
    pen_stroke,
    rule,
    scribble,
    tick,
)
from sightbook.ocr.synth.page_prose import title_words
from sightbook.ocr.synth.page_tables import grid


def fields(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """Rows of labels, each with a rule, dots or nothing to write on."""
    per_row = int(sheet.rng.choice((1, 2, 3), p=(0.55, 0.33, 0.12)))
    if right - left < 330:
        per_row = 1
    styles: tuple[Style | None, ...] = ("solid", "solid", "solid", "dotted", "dashed", None)
    leader = sheet.pick(styles)
    aligned = sheet.chance(0.5)  # all entries start at the same place
    tab = sheet.between(0.25, 0.45)
    ink, thick = sheet.whole(0, 90), 2 if sheet.chance(0.1) else 1
    drop = sheet.whole(1, 4)
    for _ in range(sheet.whole(1, 8)):
        if y + look.step > bottom:
            break
        y += look.step
        wide = (right - left) / per_row
        for cell in range(per_row):
            x0 = left + cell * wide
            x1 = x0 + wide - 10
            text = caption(sheet, look, x1 - x0)
            row = write(sheet, look.label, text, x0, y)
            if row and look.underlined:
                underline(sheet, row, look.label, y)
            end = x0 + look.label.width(text) + sheet.between(0.2, 0.9) * look.label.px
            start = max(end, x0 + tab * wide) if aligned else end
            stop = x1 if sheet.chance(0.7) else start + (x1 - start) * sheet.between(0.3, 1)
            if stop - start < 2 * look.label.px:
                sheet.add(row)
                continue
            if leader is not None:
                rule(sheet, start, stop, y + drop, thick=thick, ink=ink, style=leader)
            inset = sheet.between(0, max(0.0, min(40.0, 0.3 * (stop - start))))
            entry = enter(sheet, look, start + inset, y, stop - start - inset)
            joined = entry and row and entry[0].polygon[:, 0].min() - end < look.label.px
            if joined:
                sheet.add(row + entry)
            else:
                sheet.add(row)
                sheet.add(entry)
    return y


def boxes(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A frame of cells, each with a small label in its corner and an entry below."""
    thick = sheet.whole(1, 2)
    small = look.label.sized(sheet.between(0.65, 0.9))
    tall = look.label.px * sheet.between(2.1, 3.4)
    for _ in range(sheet.whole(1, 5)):
        if y + tall > bottom:
            break
        cuts = sorted(
            {0.0, 1.0, *(round(sheet.between(0.2, 0.8), 2) for _ in range(sheet.whole(0, 3)))}
        )
        for first, last in pairwise(cuts):
            x0, x1 = left + first * (right - left), left + last * (right - left)
            box(sheet, x0, y, x1, y + tall, thick=thick)
            if x1 - x0 < 5 * small.px:
                continue
            if sheet.chance(0.08):
                halftone(sheet, x0 + 1, y + 1, x1, y + tall, sheet.between(0.1, 0.3))
            line = y + small.rise + thick + 3
            text = caption(sheet, look, (x1 - x0 - 8) * look.label.px / small.px)
            sheet.add(write(sheet, small, text, x0 + 4, line))
            inset = sheet.between(4, 18)
            sheet.add(enter(sheet, look, x0 + inset, y + tall - 5, x1 - x0 - inset - 6))
        y += tall
    return y


def choices(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A question and its boxes to tick, or blanks to put a cross on."""
    size = round(look.label.px * sheet.between(0.7, 1.0))
    style = sheet.pick(("box", "box", "blank", "bracket"))
    for _ in range(sheet.whole(1, 4)):
        if y + look.step > bottom:
            break
        y += look.step
        question = sheet.texts.words(sheet.whole(1, 9)) if sheet.chance(0.8) else []
        question = fitted(look.label, question, right - left)
        row = write(sheet, look.label, question, left, y)
        sheet.add(row)
        x = left + look.label.width(" ".join(question)) + 2 * look.label.px
        answers = sheet.pick((("Yes", "No"), ("YES", "NO", "N/A"), ("Male", "Female"), ()))
        for answer in answers or title_words(sheet, sheet.whole(2, 5)):
            wide = look.label.width(answer)
            if x + wide + 3 * size > right:
                break
            if style == "box":
                box(sheet, x, y - size, x + size, y)
                if sheet.chance(0.35):
                    tick(sheet, x, y - size, size, look.pen)
            elif style == "blank":
                rule(sheet, x - size * 0.5, x + size * 1.5, y + 2)
                if sheet.chance(0.35):
                    mark = write(sheet, look.entry, "X", x, y)
                    sheet.add(mark)
            else:
                write(sheet, look.label, "[", x, y)
                write(sheet, look.label, "]", x + size, y)
            x += size * 2
            sheet.add(write(sheet, look.label, answer, x, y))
            x += wide + look.label.px * sheet.between(1, 3)
    return y


def statement(
    sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float
) -> float:
    """A label and a paragraph beside or below it, typed or printed small."""
    body = look.entry if sheet.chance(0.5) else look.label.sized(sheet.between(0.8, 1.0))
    words = sheet.texts.words(sheet.whole(6, 70))
    if sheet.chance(0.1):
        words = [word.upper() for word in words]
    leading = round(body.px * sheet.pick((1.1, 1.15, 1.25, 1.5)))
    if sheet.chance(0.5):
        text = caption(sheet, look, right - left)
        top = y + 0.5 * (leading + body.rise)
        row = write(sheet, look.label, text, left, top)
        if row and look.underlined:
            underline(sheet, row, look.label, top)
        sheet.add(row)
        if sheet.chance(0.5):
            left = min(left + look.label.width(text) + 2 * look.label.px, (left + right) / 2)
            left = max(left, row[-1].polygon[:, 0].max() + 4 if row else left)
        else:
            y += leading
    ruled = sheet.chance(0.15)
    start = y
    y = flow(sheet, body, words, left, right, y, leading=leading, bottom=bottom)
    if ruled:
        line = start
        while line < y:
            rule(sheet, left, right, line + 0.5 * (leading + body.rise) + 3, ink=40)
            line += leading
    return y


def blanks(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """Empty rules to write on, with a label above and now and then something written."""
    text = caption(sheet, look, right - left)
    sheet.add(write(sheet, look.label, text, left, y + look.step * 0.7))
    y += look.step * 0.8
    for _ in range(sheet.whole(1, 5)):
        if y + look.step > bottom:
            break
        y += look.step
        rule(sheet, left, right, y + 2, thick=sheet.whole(1, 2), ink=sheet.whole(0, 90))
        if sheet.chance(0.35):
            sheet.add(enter(sheet, look, left + sheet.between(2, 30), y, (right - left) * 0.8))
    return y


def frame(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A large box with a heading, mostly empty or with a centred notice."""
    tall = min(bottom - y, sheet.between(3, 9) * look.label.px)
    box(sheet, left, y, right, y + tall, thick=sheet.whole(1, 2))
    if sheet.chance(0.5):
        text = caption(sheet, look, right - left - 12)
        sheet.add(write(sheet, look.label, text, left + 6, y + look.label.px + 3))
        if sheet.chance(0.4):
            rule(sheet, left, right, y + look.label.px * 1.6)
        if sheet.chance(0.3) and tall > 4 * look.label.px:
            size = look.label.px * 1.6
            text = content(sheet, (right - left) * 0.5, look.label)
            sheet.add(by_hand(sheet, text, left + 30, y + tall * 0.7, size, look.pen))
    else:
        words = sheet.texts.words(sheet.whole(5, 30))
        flow(sheet, look.label, words, left + 8, right - 8, y + 4, align="centre",
             bottom=y + tall)  # fmt: skip
    return y + tall


def banner(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A heading of a section: plain, underlined, on grey, or white on black."""
    hand = replace(look.label, bold=True).sized(sheet.between(0.9, 1.3))
    text = " ".join(fitted(hand, title_words(sheet, sheet.whole(1, 5)), right - left - 8))
    deep = round(hand.px * 1.5)
    if y + deep > bottom:
        return bottom
    style = sheet.whole(0, 4)
    if style == 0:
        fill(sheet, left, y, right, y + deep, sheet.whole(0, 60))
        hand = replace(hand, ink=255)
    elif style == 1:
        halftone(sheet, left, y, right, y + deep, sheet.between(0.1, 0.4))
    align: Align = sheet.pick(("left", "left", "centre"))
    baseline = y + 0.5 * (deep + hand.rise)
    row = write_aligned(sheet, hand, text, left + 4, right - 4, baseline, align)
    sheet.add(row)
    if row and style == 2:
        underline(sheet, row, hand, baseline)
    if style == 3:
        rule(sheet, left, right, y + deep, thick=sheet.whole(1, 3),
             style=sheet.pick(("solid", "solid", "dashed")))  # fmt: skip
    return y + deep


def signatures(
    sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float
) -> float:
    """Lines to sign on, signed or not, with a name below and a date beside."""
    deep = look.label.px * sheet.between(2.4, 3.6)
    for _ in range(sheet.whole(1, 3)):
        if y + deep + look.label.px * 2 > bottom:
            break
        y += deep
        text = caption(sheet, look, 0.5 * (right - left))
        sheet.add(write(sheet, look.label, text, left, y))
        start = left + look.label.width(text) + 8
        stop = start + (right - start) * sheet.between(0.4, 0.65)
        rule(sheet, start, stop, y + 2)
        if sheet.chance(0.7):
            high = look.label.px * sheet.between(1.3, 2.4)
            x = start + sheet.between(0, 20)
            if sheet.chance(0.6):
                sheet.add(scribble(sheet, x, y, (stop - x) * sheet.between(0.5, 1), high, look.pen))
            else:
                sheet.add(by_hand(sheet, sheet.texts.name(), x, y, high, look.pen))
        if sheet.chance(0.5):
            sheet.add(
                write(sheet, look.entry, sheet.texts.name(), start + 10, y + look.label.px * 1.3)
            )
        if right - stop > 130:
            sheet.add(write(sheet, look.label, "Date", stop + 10, y))
            first = stop + 14 + look.label.width("Date")
            rule(sheet, first, right, y + 2)
            if sheet.chance(0.6):
                size = look.label.px * sheet.between(1.2, 1.8)
                sheet.add(by_hand(sheet, sheet.texts.date(), first + 4, y, size, look.pen))
        y += look.label.px * 1.3
    return y


def table(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A table among the blocks of a form."""
    if right - left < 180:
        return blanks(sheet, look, left, right, y, bottom)
    hand = look.entry if sheet.chance(0.5) else look.label
    return grid(sheet, look.label, hand, left, right, y, min(bottom, y + sheet.between(80, 420)))


def listing(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """Rows of typed figures without any rules: a label and short entries in columns."""
    places = sorted(sheet.between(0.3, 0.95) for _ in range(sheet.whole(1, 4)))
    step = round(look.entry.px * sheet.pick((1.15, 1.3, 1.6)))
    blank = sheet.chance(0.4)
    for _ in range(sheet.whole(2, 12)):
        if y + step > bottom:
            break
        y += step
        text = caption(sheet, look, right - left)
        sheet.add(write(sheet, look.entry, text, left, y))
        end = left + look.entry.width(text) + look.entry.px
        for number, place in enumerate(places):
            x = left + place * (right - left)
            room = (
                left
                + (places[number + 1] if number + 1 < len(places) else 1.05) * (right - left)
                - x
            )
            unit = sheet.pick(("", "", "", " mm", " %", " mg"))
            value = sheet.texts.number() + unit
            if x < end or room < look.entry.width(value) + 8:
                continue
            if sheet.chance(0.8):
                sheet.add(write(sheet, look.entry, value, x, y))
            if blank:
                rule(sheet, x - 8, x + look.entry.width(value) + 8, y + 2, ink=30)
    return y


def struck(sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float) -> float:
    """A separator, or a line of type that was crossed out."""
    if sheet.chance(0.7):
        style: Style = sheet.pick(("solid", "dashed", "dotted"))
        rule(sheet, left, right, y + 3, thick=sheet.whole(1, 3), style=style)
        return y + 6
    y += look.step
    row = write(sheet, look.entry, content(sheet, right - left, look.entry), left, y)
    for mark in row:
        (x0, y0), (x1, y1) = mark.polygon.min(0), mark.polygon.max(0)
        if sheet.chance(0.5):
            middle = (y0 + y1) / 2
            points = [[x0 - 2, middle + 2], [(x0 + x1) / 2, middle - 1], [x1 + 2, middle - 2]]
            pen_stroke(sheet, np.array(points), ink=look.pen, thick=1)
    sheet.add(row)
    return y
