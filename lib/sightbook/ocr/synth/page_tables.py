"""Tables and receipts."""

from __future__ import annotations

from dataclasses import replace

from sightbook.ocr.synth.page_ink import Align, Hand, Row, Sheet, fitted, flow, write, write_aligned
from sightbook.ocr.synth.page_marks import Style, box, fill, halftone, rule, seal, upright
from sightbook.ocr.synth.page_prose import (
    column,
    draw_hand,
    folio,
    heading_of,
    running_head,
    title_words,
)


def table(sheet: Sheet) -> None:
    """A page of tables with a title, and perhaps some text between them."""
    px = sheet.whole(11, 20)
    body = draw_hand(sheet, px, "typed" if sheet.chance(0.3) else "text", plain=0.9)
    head = replace(body, bold=True) if sheet.chance(0.5) else body
    left, right = sheet.between(0.03, 0.12) * sheet.width, sheet.between(0.88, 0.97) * sheet.width
    y = running_head(sheet, body, left, right)
    title = heading_of(sheet, body)
    align: Align = sheet.pick(("left", "centre"))
    y = flow(sheet, title, title_words(sheet, sheet.whole(2, 9)), left, right, y, align=align) + px
    bottom = sheet.height * sheet.between(0.8, 0.97)
    while y < bottom - 6 * px:
        limit = bottom if sheet.chance(0.4) else min(bottom, y + sheet.between(100, 500))
        y = grid(sheet, head, body, left, right, y, limit) + sheet.between(1, 3) * px
        if sheet.chance(0.4) and y < bottom - 4 * px:
            y = column(sheet, body, left, right, y, min(bottom, y + sheet.between(3, 9) * px)) + px
    folio(sheet, body)


def grid(
    sheet: Sheet, head: Hand, body: Hand, left: float, right: float, y: float, bottom: float
) -> float:
    """A table between two margins; every cell is a paragraph. Returns where it ends."""
    wide = right - left
    count = sheet.whole(2, max(2, min(8, int(wide / (5.5 * body.px)))))
    shares = sheet.rng.uniform(0.6, 1.6, count)
    shares[0] *= sheet.between(1.0, 2.0)
    edges = [left]
    for share in shares / shares.sum():
        edges.append(edges[-1] + float(share) * wide)
    step = round(body.px * sheet.between(1.25, 2.3))
    style = sheet.pick(("full", "full", "rows", "outer", "none", "columns"))
    ink, thick = sheet.whole(0, 110), 2 if sheet.chance(0.2) else 1
    numeric = [index > 0 and sheet.chance(0.6) for index in range(count)]
    aligns: list[Align] = [
        sheet.pick(("right", "right", "centre")) if n else sheet.pick(("left", "left", "centre"))
        for n in numeric
    ]
    top, shaded = y, sheet.chance(0.2)
    filled = sheet.between(0.55, 1.0)
    heading = sheet.chance(0.85)
    rows = 0
    while y + step <= bottom and rows < 40:
        first = heading and rows == 0
        hand = head if first else body
        deep = step
        if first:
            hand = _heading_ground(sheet, head, left, right, y, step)
        elif shaded and rows % 2:
            fill(sheet, left, y, right, y + step, 225)
        for index in range(count):
            x0, x1 = edges[index] + 4, edges[index + 1] - 4
            if not first and not sheet.chance(filled if index else 0.95):
                continue
            words = _cell(sheet, first, numeric[index], index == 0)
            baseline = y + 0.5 * (deep + hand.rise)
            text = " ".join(fitted(hand, words, x1 - x0))
            row = write_aligned(sheet, hand, text, x0, x1, baseline, aligns[index])
            sheet.add(row)
            if row and style == "none" and sheet.chance(0.12):
                rule(sheet, x0, x1, baseline + 2, ink=ink)
        y += deep
        rows += 1
        if style in ("full", "rows") or (first and style != "none"):
            rule(sheet, left, right, y, thick=thick, ink=ink)
        if sheet.chance(0.04) and not first:
            break
    if style in ("full", "outer", "columns"):
        box(sheet, left, top, right, y, thick=thick, ink=ink)
    if style in ("full", "columns"):
        for edge in edges[1:-1]:
            upright(sheet, edge, top, y, thick=thick, ink=ink)
    return y


def _heading_ground(
    sheet: Sheet, head: Hand, left: float, right: float, y: float, step: int
) -> Hand:
    """Ground of a table's heading; returns how to write on it."""
    ground = sheet.whole(0, 7)
    if ground == 0:
        fill(sheet, left, y, right, y + step, sheet.whole(0, 70))
        return replace(head, ink=sheet.whole(235, 255))
    if ground == 1:
        fill(sheet, left, y, right, y + step, sheet.whole(190, 235))
    elif ground == 2:
        halftone(sheet, left, y, right, y + step, sheet.between(0.1, 0.4))
    return head


def _cell(sheet: Sheet, heading: bool, numeric: bool, first: bool) -> list[str]:
    if heading:
        return title_words(sheet, sheet.whole(1, 2))
    if numeric:
        return [sheet.texts.number()]
    if first:
        return title_words(sheet, sheet.whole(1, 4))
    return sheet.texts.line(sheet.whole(3, 22)).split()


def receipt(sheet: Sheet) -> None:
    """A strip from a till on some ground: shop, items, sums, thanks, bars."""
    ground = sheet.whole(0, 255)
    sheet.pixels[:] = ground
    wide = sheet.width * sheet.between(0.45, 0.95)
    x0 = (sheet.width - wide) * sheet.between(0.1, 0.9)
    x1 = x0 + wide
    fill(sheet, x0, 0, x1, sheet.height, sheet.whole(225, 255) if abs(ground - 240) > 15 else 255)
    px = round(min(24.0, max(10.0, wide / sheet.between(26, 42) * 1.7)))
    hand = draw_hand(sheet, px, "typed" if sheet.chance(0.75) else "text", plain=0.9)
    hand = replace(hand, ink=sheet.whole(0, 110), stretch=sheet.between(0.75, 1.0))
    left, right = x0 + 1.2 * px, x1 - 1.2 * px
    step = round(hand.px * sheet.between(1.1, 1.45))
    y = sheet.between(10, 60)
    if sheet.chance(0.3):
        seal(sheet, (left + right) / 2, y + 25, 50, hand.ink)
        y += 60
    shop = hand.sized(sheet.between(1.2, 2.0))
    y = flow(sheet, shop, title_words(sheet, sheet.whole(1, 3)), left, right, y, align="centre")
    for _ in range(sheet.whole(2, 5)):
        words = sheet.texts.line(sheet.whole(10, 28)).split()
        y = flow(sheet, hand, words, left, right, y, align="centre", leading=step)
    y = _cut(sheet, hand, left, right, y, step)
    for _ in range(sheet.whole(3, 22)):
        if y > sheet.height - 9 * step:
            break
        y += step
        _item(sheet, hand, left, right, y, " ".join(title_words(sheet, sheet.whole(1, 3))))
        if sheet.chance(0.2):
            y += step
            detail = f"{sheet.whole(1, 12)} x {sheet.between(0.2, 40):.2f}"
            sheet.add(write(sheet, hand, detail, left + 2 * px, y))
    y = _cut(sheet, hand, left, right, y, step)
    for label in ("SUBTOTAL", "TAX", "TOTAL", "CASH", "CHANGE")[sheet.whole(0, 2) :]:
        big = hand.sized(1.3) if label == "TOTAL" and sheet.chance(0.5) else hand
        y += round(big.px * 1.3)
        _item(sheet, big, left, right, y, label)
    y = _cut(sheet, hand, left, right, y, step)
    for words in (["THANK", "YOU"], sheet.texts.line(30).split(), [sheet.texts.date(), "12:07"]):
        y = flow(sheet, hand, words, left, right, y, align="centre", leading=step)
    if sheet.chance(0.5) and y < sheet.height - 60:
        _bars(sheet, left, right, y + 8, y + sheet.between(30, 50), hand.ink)


def _item(sheet: Sheet, hand: Hand, left: float, right: float, y: float, text: str) -> None:
    """A row of a receipt: what it was and what it cost, two paragraphs apart or one line."""
    price = f"{sheet.between(0.1, 150):.2f}" + sheet.pick(("", "", " A", " T"))
    words = fitted(hand, text.split(), (right - left) * 0.65)
    name: Row = write(sheet, hand, words, left, y)
    cost = write_aligned(sheet, hand, price, left, right, y, "right")
    gap = cost[0].polygon[:, 0].min() - name[-1].polygon[:, 0].max() if name and cost else 0.0
    if gap > 3 * hand.px:
        sheet.add(name)
        sheet.add(cost)
    else:
        sheet.add(name + cost)


def _cut(sheet: Sheet, hand: Hand, left: float, right: float, y: float, step: int) -> float:
    if sheet.chance(0.7):
        style: Style = sheet.pick(("solid", "dashed", "dashed", "dotted"))
        rule(sheet, left, right, y + step * 0.6, ink=hand.ink, style=style)
    return y + step * 0.7


def _bars(sheet: Sheet, left: float, right: float, y0: float, y1: float, ink: int) -> None:
    x = left + sheet.between(0, 20)
    while x < right - 20:
        thick = sheet.whole(1, 4)
        fill(sheet, x, y0, x + thick, y1, ink)
        x += thick + sheet.whole(1, 4)
