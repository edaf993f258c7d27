"""Pages that never were paper: screenshots, and words strewn over pictures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sightbook.ocr.synth.page_ink import (
    Hand,
    Sheet,
    fitted,
    flow,
    write,
    write_aligned,
    write_turned,
)
from sightbook.ocr.synth.page_marks import box, fill, image, rule, seal
from sightbook.ocr.synth.page_prose import column, draw_hand, title_words
from sightbook.ocr.synth.page_tables import grid


def screenshot(sheet: Sheet) -> None:
    """A window: bars, a menu, a side list, text or a table or code, buttons; light or dark."""
    dark = sheet.chance(0.5)
    paper = sheet.whole(8, 60) if dark else sheet.whole(225, 255)
    ink = sheet.whole(170, 255) if dark else sheet.whole(0, 90)
    soft = paper + sheet.whole(10, 40) * (1 if dark else -1)
    sheet.pixels[:] = paper
    px = sheet.whole(10, 17)
    ui = replace(draw_hand(sheet, px, plain=0.9), ink=ink, stretch=1.0, slant=0.0)
    bar = round(px * sheet.between(1.8, 2.8))
    fill(sheet, 0, 0, sheet.width, bar, soft)
    base = 0.5 * (bar + ui.rise)
    x = 12.0
    for _ in range(sheet.whole(2, 8)):
        words = title_words(sheet, sheet.whole(1, 2))
        if x + ui.width(" ".join(words)) > sheet.width - 90:
            break
        sheet.add(write(sheet, ui, words, x, base))
        x += ui.width(" ".join(words)) + sheet.between(0.9, 2.0) * px
    for number in range(3):
        seal(sheet, sheet.width - 20 - 24 * number, bar / 2, 11, ink)
    top = float(bar + sheet.whole(4, 20))
    left, right = 14.0, sheet.width - 14.0
    if sheet.chance(0.6):
        edge = sheet.between(0.16, 0.3) * sheet.width
        fill(sheet, 0, bar, edge, sheet.height, soft)
        y = top
        step = px * sheet.between(1.4, 2.4)
        while y < sheet.height - 3 * px:
            y += step
            words = title_words(sheet, sheet.whole(1, 3))
            words = fitted(ui, words, edge - 36)
            hand = replace(ui, ink=paper + (ink - paper) * 6 // 10) if sheet.chance(0.3) else ui
            if sheet.chance(0.25):
                seal(sheet, 12, y - px * 0.35, 9, hand.ink)
            sheet.add(write(sheet, hand, words, 22, y))
            if sheet.chance(0.06):
                break
        left = edge + 16
    content = sheet.rng.random()
    bottom = sheet.height - 3.0 * px
    if content < 0.35:
        title = ui.sized(sheet.between(1.3, 2.2))
        y = flow(sheet, title, title_words(sheet, sheet.whole(2, 6)), left, right, top) + px
        column(sheet, ui, left, right, y, bottom)
    elif content < 0.55:
        grid(sheet, ui, ui, left, right, top, bottom)
    elif content < 0.75:
        code(sheet, px, ink, left, right, top, bottom)
    else:
        cards(sheet, ui, soft, left, right, top, bottom)
    if sheet.chance(0.5):
        fill(sheet, 0, sheet.height - 1.7 * px, sheet.width, sheet.height, soft)
        small = ui.sized(0.9)
        sheet.add(write(sheet, small, sheet.texts.line(40), 10, sheet.height - 0.6 * px))
        clock = f"{sheet.whole(0, 23)}:{sheet.whole(10, 59)}"
        sheet.add(write_aligned(sheet, small, clock, 0, right, sheet.height - 0.6 * px, "right"))


def code(
    sheet: Sheet, px: int, ink: int, left: float, right: float, top: float, bottom: float
) -> None:
    """A program or a terminal: fixed pitch, indented lines, numbers at the edge."""
    hand = replace(draw_hand(sheet, px, "typed", plain=0.9), ink=ink, jitter=0.0, bold=False)
    step, y = round(px * sheet.between(1.2, 1.5)), top
    numbered, deep, line = sheet.chance(0.5), 0, sheet.whole(1, 400)
    paper = int(sheet.pixels[round(top), round(right) - 2])
    while y < bottom - step:
        y += step
        line += 1
        if numbered:
            faint = replace(hand, ink=paper + (ink - paper) // 2)
            sheet.add(write_aligned(sheet, faint, str(line), left, left + 2.4 * px, y, "right"))
        if sheet.chance(0.15):
            continue
        deep = max(0, min(5, deep + sheet.whole(-1, 1)))
        parts = []
        for _ in range(sheet.whole(1, 6)):
            name = sheet.texts.plain()
            other = sheet.texts.plain()
            parts.append(
                sheet.pick(
                    (name, f"{name}_{other}", f"{name}(", "=", "=>", f'"{name}"', "{", "}", "if",
                     f"{name}.{other}()", "return", str(sheet.whole(0, 999)), f"--{name}",
                     f"/{name}/{other}")
                )
            )  # fmt: skip
        x = left + (3.2 if numbered else 0.3) * px + deep * 1.8 * px
        sheet.add(write(sheet, hand, fitted(hand, parts, right - x), x, y))


def cards(
    sheet: Sheet, ui: Hand, soft: int, left: float, right: float, top: float, bottom: float
) -> None:
    """Boxes with a picture, a title, some words and a button; messages of a chat look the same."""
    y = top
    while y < bottom - 7 * ui.px:
        count = sheet.whole(1, 3)
        wide = (right - left - 12 * (count - 1)) / count
        deep = min(bottom - y, sheet.between(6, 14) * ui.px)
        for number in range(count):
            x0 = left + number * (wide + 12)
            fill(sheet, x0, y, x0 + wide, y + deep, soft)
            if sheet.chance(0.5):
                box(sheet, x0, y, x0 + wide, y + deep, ink=min(ui.ink, 130))
            at = y + 5
            if sheet.chance(0.3) and deep > 9 * ui.px:
                image(sheet, x0 + 6, at, x0 + wide - 6, at + deep * 0.4)
                at += deep * 0.4 + 4
            title = title_words(sheet, sheet.whole(1, 4))
            at = flow(sheet, replace(ui, bold=True), title, x0 + 8, x0 + wide - 8, at,
                      bottom=y + deep)  # fmt: skip
            words = sheet.texts.words(sheet.whole(3, 30))
            at = flow(sheet, ui, words, x0 + 8, x0 + wide - 8, at + 3, bottom=y + deep - 2 * ui.px)
            if sheet.chance(0.4) and y + deep - at > 1.8 * ui.px:
                text = " ".join(title_words(sheet, sheet.whole(1, 2)))
                far = x0 + 8 + ui.width(text) + 20
                if far < x0 + wide - 4:
                    fill(sheet, x0 + 8, y + deep - 1.8 * ui.px, far, y + deep - 4, ui.ink)
                    inverse = replace(ui, ink=255 - ui.ink)
                    sheet.add(write(sheet, inverse, text, x0 + 18, y + deep - 0.7 * ui.px))
        y += deep + 12


def noise_words(sheet: Sheet) -> None:
    """Words and random strings strewn at all sizes and angles over grounds and pictures."""
    ground = sheet.whole(0, 255)
    sheet.pixels[:] = ground
    if sheet.chance(0.6):
        image(sheet, 0, 0, sheet.width, sheet.height)
    for _ in range(sheet.whole(0, 12)):
        x, y = sheet.between(0, sheet.width), sheet.between(0, sheet.height)
        w, h = sheet.between(30, 400), sheet.between(20, 300)
        fill(sheet, x, y, x + w, y + h, sheet.whole(0, 255))
    for _ in range(sheet.whole(0, 25)):
        ends = sheet.rng.integers(0, max(sheet.width, sheet.height), 4)
        cv2.line(sheet.pixels, tuple(map(int, ends[:2])), tuple(map(int, ends[2:])),
                 sheet.whole(0, 255), sheet.whole(1, 3), cv2.LINE_AA)  # fmt: skip
    taken = np.zeros((sheet.height // 4 + 1, sheet.width // 4 + 1), bool)
    for _ in range(sheet.whole(30, 160)):
        size = round(10 * 2 ** sheet.between(0, 2.6))
        hand = draw_hand(sheet, size, sheet.pick(("text", "text", "typed", "hand")), plain=0.3)
        strung = sheet.chance(0.35)
        text = (
            sheet.texts.random_string(sheet.whole(1, 12))
            if strung
            else " ".join(sheet.texts.word() for _ in range(sheet.whole(1, 4)))
        )
        text = " ".join(hand.spelled(word) for word in text.split()).strip()
        if not text:
            continue
        angle = sheet.pick((0.0, 0.0, 0.0, float(sheet.rng.normal(0, 12)), 90.0, -90.0))
        wide, high = hand.width(text), 1.3 * hand.px
        if abs(angle) == 90:
            wide, high = high, wide
        if wide > sheet.width - 8 or high > sheet.height - 8:
            continue
        x, y = sheet.between(0, sheet.width - wide), sheet.between(0, sheet.height - high)
        tilt = abs(angle) if abs(angle) < 90 else 0.0
        spare = 0.0175 * tilt * wide / 2
        place = np.s_[
            max(0, int((y - spare) / 4)) : int((y + high + spare) / 4) + 1,
            max(0, int(x / 4)) : int((x + wide) / 4) + 1,
        ]
        if x < 4 or y < 4 or taken[place].any():
            continue
        taken[place] = True
        below = sheet.pixels[int(y) : int(y + high) + 1, int(x) : int(x + wide) + 1]
        level = float(below.mean())
        # Ink must differ from what it stands on, or nobody could read it.
        away = sheet.between(70, 200)
        ink = level - away if level > 127 else level + away
        hand = replace(hand, ink=int(np.clip(ink, 0, 255)))
        if angle == 0.0:
            sheet.add(write(sheet, hand, text, x, y + 0.5 * (high + hand.rise)))
        else:
            row = write_turned(sheet, hand, text, x + wide / 2, y + high / 2, angle)
            sheet.add(row)
        if sheet.chance(0.1):
            rule(sheet, x, x + wide, y + high, ink=hand.ink)
