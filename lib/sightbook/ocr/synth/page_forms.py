"""Forms as offices fill them: labels, rules to write on, boxes, typed and handwritten entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sightbook.ocr.synth import page_blocks as blocks
from sightbook.ocr.synth.page_fields import Form, underline
from sightbook.ocr.synth.page_ink import Align, Row, Sheet, write_aligned
from sightbook.ocr.synth.page_marks import upright
from sightbook.ocr.synth.page_office import office
from sightbook.ocr.synth.page_prose import draw_hand, heading_of, letterhead, title_words

Block = Callable[[Sheet, Form, float, float, float, float], float]
_BLOCKS: dict[Block, float] = {
    blocks.fields: 0.26, blocks.boxes: 0.1, blocks.choices: 0.07, blocks.statement: 0.14,
    blocks.blanks: 0.05, blocks.frame: 0.04, blocks.banner: 0.08, blocks.signatures: 0.05,
    blocks.table: 0.1, blocks.listing: 0.08, blocks.struck: 0.03,
}  # fmt: skip


def form(sheet: Sheet) -> None:
    """A form: head, title and a pile of blocks, in one column or two, then what an office adds."""
    px = sheet.whole(12, 22)
    label = draw_hand(sheet, px, "typed" if sheet.chance(0.4) else "text", plain=0.75)
    if sheet.chance(0.25):
        label = replace(label, caps=True)
    entry = label if sheet.chance(0.35) else draw_hand(sheet, px, "typed", plain=0.9)
    look = Form(
        label,
        entry,
        pen=sheet.whole(0, 80),
        step=round(px * sheet.between(1.35, 2.5)),
        colon=sheet.chance(0.7),
        underlined=sheet.chance(0.2),
        by_pen=sheet.pick((0.0, 0.0, 0.1, 0.4, 0.9)),
    )
    left, right = sheet.between(0.03, 0.13) * sheet.width, sheet.between(0.87, 0.97) * sheet.width
    y = sheet.between(12, 90)
    if sheet.chance(0.5):
        y = letterhead(sheet, left, right, y, px)
    y = form_title(sheet, look, left, right, y)
    bottom = sheet.height * (sheet.between(0.85, 0.97) if sheet.chance(0.8) else 0.6)
    while y < bottom - 2 * look.step:
        if sheet.chance(0.25) and right - left > 420:
            y = _side_by_side(sheet, look, left, right, y, bottom)
        else:
            block = _next_block(sheet)
            y = block(sheet, look, left, right, y, bottom)
        y += sheet.between(0.1, 1.3) * look.step
    office(sheet, px)


def form_title(sheet: Sheet, look: Form, left: float, right: float, y: float) -> float:
    """One to three lines of title, underlined or not, and perhaps the form's number."""
    title = heading_of(sheet, look.label) if sheet.chance(0.7) else look.label
    align: Align = sheet.pick(("centre", "centre", "left"))
    rows: list[Row] = []
    ruled = sheet.chance(0.35)
    for _ in range(sheet.whole(1, 3)):
        text = " ".join(title_words(sheet, sheet.whole(1, 5)))
        text = text.upper() if sheet.chance(0.6) else text
        y += title.leading
        row = write_aligned(sheet, title, text, left, right, y, align)
        if row and ruled:
            underline(sheet, row, title, y)
        rows.append(row)
    sheet.add(*rows)
    if sheet.chance(0.3):
        number = f"{sheet.pick(('Form', 'No.', 'Page', 'Rev.'))} {sheet.texts.code()}"
        sheet.add(write_aligned(sheet, look.label.sized(0.85), number, left, right, y, "right"))
    return y + sheet.between(0.5, 2.0) * look.step


def _next_block(sheet: Sheet) -> Block:
    return list(_BLOCKS)[int(sheet.rng.choice(len(_BLOCKS), p=list(_BLOCKS.values())))]


def _side_by_side(
    sheet: Sheet, look: Form, left: float, right: float, y: float, bottom: float
) -> float:
    """Two piles of blocks next to each other, with a rule between them or none."""
    middle = left + (right - left) * sheet.between(0.4, 0.6)
    limit = min(bottom, y + sheet.between(0.1, 0.4) * sheet.height)
    ends = []
    for x0, x1 in ((left, middle - 12), (middle + 12, right)):
        at = y
        while at < limit - 2 * look.step:
            block = _next_block(sheet)
            at = block(sheet, look, x0, x1, at, limit) + sheet.between(0.1, 1) * look.step
        ends.append(at)
    if sheet.chance(0.25):
        upright(sheet, middle, y, max(ends))
    return max(ends)
