"""Invented designs of travel documents, drawn flat: passports, identity cards, visas.

A design is planned in millimetres first (``plans.py``), so that the scene can decide how large it
will stand in the picture, and drawn here at just the resolution that needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.donut.synth import wording
from sightbook.donut.synth.booklets import draw_background
from sightbook.donut.synth.details import (
    Box,
    FieldRow,
    Sheet,
    Typography,
    draw_strip,
    finish_text,
    mark_specimen,
    place_ghost,
    place_hologram,
    place_portrait,
    place_signature,
    place_stamp,
    print_zone,
    random_typography,
    write_fields,
)
from sightbook.donut.synth.guilloches import random_emblem, security_paper
from sightbook.donut.synth.papers import barcode, chip, draw_paper
from sightbook.donut.synth.plans import Plan
from sightbook.synth.lettering import LoadedImage, TextLayer, ink, ink_at


def draw_design(
    rng: np.random.Generator,
    plan: Plan,
    lines: Sequence[str],
    fields: Mapping[str, str],
    scale: float,
) -> tuple[LoadedImage, npt.NDArray[np.float32]]:
    """Draw a planned document.

    Args:
        rng: source of every choice.
        plan: from ``plans.plan_design``.
        lines: of the zone, empty for none.
        fields: printed values by label key (see ``wording.LABELS``), and "sex_code".
        scale: pixels per millimetre.

    Returns:
        The sheet uint8 RGB, and the quads of the lines float32 [n, 4, 2] in its pixels.
    """
    if plan.kind == "other":
        return draw_paper(rng, plan.paper, scale), np.zeros((0, 4, 2), np.float32)
    style = random_typography(rng)
    width, height = round(plan.width * scale), round(plan.height * scale)
    strength = float(rng.uniform(0.25, 1.0)) if rng.random() < 0.88 else 0.05
    image = security_paper(rng, width, height, strength)
    if rng.random() < 0.1:  # white paper, as specimens are often published
        image[:] = 255 - int(rng.integers(0, 6))
    sheet = Sheet(
        image, scale, TextLayer(width, height, style.condense),
        TextLayer(width, height, style.condense),
    )  # fmt: skip
    draw_background(rng, sheet, plan)
    if plan.twin:
        _both_sides(rng, sheet, style, plan, plan.twin, fields)
    draw = {
        "passport": _data_page, "id_front": _card_front, "id_back": _card_back, "visa": _visa,
    }[plan.kind]  # fmt: skip
    if plan.type == "TD2" and rng.random() < 0.6:
        draw = _data_page  # these cards often bear everything on one side
    clear = plan.zone[1] - 3.0 if plan.zone else plan.page[3] - 3.0
    if plan.zone:
        x0, _, x1, y1 = plan.page
        draw_strip(rng, sheet, (x0, clear, x1, y1))
    draw(rng, sheet, style, plan, fields, clear)
    finish_text(sheet, style)
    quads = np.zeros((0, 4, 2), np.float32)
    if plan.zone:
        quads = print_zone(rng, sheet, lines, plan.zone[0], plan.zone[1], plan.pitch, plan.spacing)
    x0, y0, x1, y1 = plan.page
    mark_specimen(rng, sheet, (x0 + 3, y0 + 3, x1 - 3, clear - 1))
    if plan.zone and y1 - plan.zone[3] > 4 and rng.random() < 0.15:
        note = wording.digits(rng, 6) + " " + wording.prose(rng, 3)
        layer = TextLayer(width, height)
        layer.write(
            (x0 + rng.uniform(4, 60)) * scale, (y1 - 1.6) * scale, note, "sans", 1.7 * scale
        )
        ink(image, layer.mask(), (70, 70, 90))
    if rng.random() < 0.12:
        corners = [
            (round((x + d) * scale), round((y + d) * scale))
            for x, y, d in ((x0, y0, 1), (x1, y1, -1))
        ]
        cv2.rectangle(image, corners[0], corners[1], (40, 40, 44), max(1, round(0.3 * scale)))
    if rng.random() < 0.2 and plan.zone:  # lamination emblems run into the zone
        place_hologram(
            rng, sheet, rng.uniform(x0, x1), rng.uniform(clear - 8, plan.page[3]), 30, 24
        )
    return sheet.image, quads


def _both_sides(
    rng: np.random.Generator,
    sheet: Sheet,
    style: Typography,
    plan: Plan,
    twin: Box,
    fields: Mapping[str, str],
) -> None:
    """The card's two sides on one sheet, as offices copy them."""
    k = sheet.scale
    ground = int(rng.choice([255, 245, 128, 0]))
    sides = []
    for box in (plan.page, twin):
        x0, y0, x1, y1 = (round(value * k) for value in box)
        sides.append((x0, y0, x1, y1, sheet.image[y0:y1, x0:x1].copy()))
    sheet.image[:] = ground
    for x0, y0, x1, y1, paper in sides:
        sheet.image[y0:y1, x0:x1] = paper
    front = replace(plan, page=twin, zone=None, twin=None)
    _card_front(rng, sheet, style, front, fields, twin[3] - 3)
    mark_specimen(rng, sheet, (twin[0] + 3, twin[1] + 3, twin[2] - 3, twin[3] - 3))


def _heading(
    rng: np.random.Generator, sheet: Sheet, style: Typography, title: str, box: Box
) -> None:
    """State and title of the document in one or two lines at the top of the page."""
    k = sheet.scale
    x0, y0, x1, y1 = box
    words = dict.fromkeys(wording.TITLES[title][language] for language in style.languages)
    state = wording.state_title(rng)
    face = ("sans-bold", "serif-bold", "times-bold", "sans")[rng.integers(4)]
    high = (y1 - y0) * 0.42
    size = sheet.labels.fit(state, face, high * k, (x1 - x0) * 0.8 * k)
    x = x0 + float(rng.choice([0.0, (x1 - x0) * 0.2]))
    sheet.labels.write(x * k, (y0 + high) * k, state, face, size)
    text = (" / " if rng.random() < 0.6 else "   ").join(words)
    size = sheet.labels.fit(text, face, high * 0.85 * k, (x1 - x0) * 0.8 * k)
    sheet.labels.write(x * k, (y0 + 2.05 * high) * k, text, face, size)


def _decorate(rng: np.random.Generator, sheet: Sheet, area: Box) -> None:
    """Watermark emblem and holograms somewhere in ``area``."""
    k = sheet.scale
    x0, y0, x1, y1 = area
    if rng.random() < 0.6:
        side = round(rng.uniform(14, 40) * k)
        mask = random_emblem(rng, side)
        x = round(rng.uniform(x0, x1) * k - side / 2)
        y = round(rng.uniform(y0, y1) * k - side / 2)
        tint = tuple(map(int, rng.integers(60, 200, 3)))
        ink_at(sheet.image, mask, x, y, (tint[0], tint[1], tint[2]), float(rng.uniform(0.1, 0.45)))
    for _ in range(int(rng.integers(0, 3))):
        wide = float(rng.uniform(9, 34))
        place_hologram(rng, sheet, rng.uniform(x0, x1), rng.uniform(y0, y1), wide, wide * 0.9)


def _data_page(
    rng: np.random.Generator,
    sheet: Sheet,
    style: Typography,
    plan: Plan,
    fields: Mapping[str, str],
    clear: float,
) -> None:
    """Portrait at one side, fields beside it: passports and TD2 cards."""
    x0, y0, x1, _ = plan.page
    wide = (x1 - x0) * float(rng.uniform(0.22, 0.29))
    head = float(rng.uniform(8, 16))
    _decorate(rng, sheet, (x0 + wide, y0 + head, x1, clear))
    at_left = rng.random() < 0.88
    left = x0 + float(rng.uniform(3, 7)) if at_left else x1 - wide - float(rng.uniform(3, 7))
    high = min(wide * float(rng.uniform(1.2, 1.4)), clear - y0 - head - 2)
    top = y0 + head + float(rng.uniform(0, 1)) * max(0.0, clear - y0 - head - high - 1)
    portrait = place_portrait(
        rng, sheet, (left, top, left + wide, top + high), fields.get("sex_code", "<")
    )
    a, b = (left + wide + 4, x1 - 4) if at_left else (x0 + 5, left - 4)
    if rng.random() < 0.35:
        place_ghost(rng, sheet, portrait, b - 16, clear - 24, float(rng.uniform(9, 15)))
    title = "passport" if plan.kind == "passport" else "card"
    _heading(
        rng, sheet, style, title, (x0 + 4 if rng.random() < 0.5 else a, y0 + 2, x1 - 4, y0 + head)
    )
    f = fields
    rows: list[FieldRow] = [
        [
            ("type", f["type"], 1),
            ("state", f["state"], 2),
            ("document_number", f["document_number"], 3),
        ],
        [("surname", f["surname"], 1)],
        [("given_names", f["given_names"], 1)],
    ]
    if rng.random() < 0.5:
        rows.append(
            [("nationality", f["nationality"], 2), ("personal_number", f["personal_number"], 2)]
        )
        rows.append(
            [
                ("birth_date", f["birth_date"], 2),
                ("sex", f["sex"], 1),
                ("birth_place", f["birth_place"], 2),
            ]
        )
    else:
        rows.append([("nationality", f["nationality"], 1)])
        rows.append(
            [("birth_date", f["birth_date"], 2), ("personal_number", f["personal_number"], 2)]
        )
        rows.append([("sex", f["sex"], 1), ("birth_place", f["birth_place"], 3)])
    rows.append([("issue_date", f["issue_date"], 1), ("authority", f["authority"], 1)])
    rows.append([("expiry_date", f["expiry_date"], 1), ("signature", "", 1)])
    if rng.random() < 0.2:
        del rows[3]
    write_fields(sheet, style, rows, (a, y0 + head + 1, b, clear - 1))
    place_signature(rng, sheet, (a + (b - a) / 2, clear - 8, b - 3, clear - 0.5))


def _card_front(
    rng: np.random.Generator,
    sheet: Sheet,
    style: Typography,
    plan: Plan,
    fields: Mapping[str, str],
    clear: float,
) -> None:
    """The side of a TD1 card without the zone."""
    x0, y0, x1, y1 = plan.page
    wide = float(rng.uniform(20, 27))
    head = float(rng.uniform(7, 12))
    _decorate(rng, sheet, (x0, y0, x1, y1))
    left = x0 + 3 if rng.random() < 0.75 else x1 - 3 - wide
    high = min(wide * 1.28, y1 - y0 - head - 4)
    portrait = place_portrait(
        rng,
        sheet,
        (left, y0 + head + 1, left + wide, y0 + head + 1 + high),
        fields.get("sex_code", "<"),
    )
    a, b = (left + wide + 3, x1 - 3) if left < (x0 + x1) / 2 else (x0 + 4, left - 3)
    title = "card" if rng.random() < 0.6 else "permit"
    _heading(rng, sheet, style, title, (x0 + 4, y0 + 1, x1 - 4, y0 + head))
    f = fields
    rows: list[FieldRow] = [
        [("surname", f["surname"], 1)],
        [("given_names", f["given_names"], 1)],
        [
            ("sex", f["sex"], 1),
            ("nationality", f["nationality"], 2),
            ("birth_date", f["birth_date"], 2),
        ],
        [("document_number", f["document_number"], 2), ("expiry_date", f["expiry_date"], 2)],
        [("birth_place", f["birth_place"], 1), ("signature", "", 1)],
    ]
    write_fields(sheet, style, rows, (a, y0 + head + 1, b, y1 - 2))
    place_signature(rng, sheet, (a + (b - a) / 2, y1 - 9, b, y1 - 2))
    if rng.random() < 0.4:
        chip(
            sheet.image,
            (b - 14) * sheet.scale,
            (y0 + head + 3) * sheet.scale,
            11 * sheet.scale,
            9 * sheet.scale,
        )
    if rng.random() < 0.4:
        place_ghost(rng, sheet, portrait, b - 10, y1 - 20, 8)


def _card_back(
    rng: np.random.Generator,
    sheet: Sheet,
    style: Typography,
    plan: Plan,
    fields: Mapping[str, str],
    clear: float,
) -> None:
    """The back of a card: a few fields, stripes, codes and legal words above the zone."""
    x0, y0, x1, _ = plan.page
    k = sheet.scale
    _decorate(rng, sheet, (x0, y0, x1, clear))
    top = y0 + 1.5
    if rng.random() < 0.25:  # magnetic stripe
        stripe = float(rng.uniform(5, 11))
        high = min(stripe, clear - top - 12)
        cv2.rectangle(
            sheet.image, (round(x0 * k), round(top * k)), (round(x1 * k), round((top + high) * k)),
            (22, 20, 24), -1,
        )  # fmt: skip
        top += high + 1
    right = x1 - 3
    if rng.random() < 0.4:
        wide = float(rng.uniform(14, 32))
        high = float(rng.uniform(5, 12))
        barcode(rng, sheet.image, (right - wide) * k, (top + 1) * k, wide * k, high * k)
        right -= wide + 2
    elif rng.random() < 0.3:
        chip(sheet.image, (right - 13) * k, (top + 2) * k, 12 * k, 10 * k)
        right -= 15
    f = fields
    choice = rng.random()
    rows: list[FieldRow] = [
        [("eyes", f["eyes"], 1), ("height", f["height"], 1), ("issue_date", f["issue_date"], 1)],
        [("address", f["address"], 1)],
        [("authority", f["authority"], 1), ("birth_place", f["birth_place"], 1)],
    ]
    if choice < 0.55 and clear - top > 12:
        write_fields(sheet, style, rows, (x0 + 4, top + 1, right, clear - 1))
    elif choice < 0.8:
        write_fields(sheet, style, rows[:1], (x0 + 4, top + 1, right, top + 7))
        place_signature(rng, sheet, (x0 + 8, top + 7, x0 + 45, clear - 1))
    else:
        for y in np.arange(top + 3, clear - 1, 2.4):
            text = wording.prose(rng, 11)
            size = sheet.labels.fit(text, "sans", 1.9 * k, (right - x0 - 5) * k)
            sheet.labels.write((x0 + 4) * k, float(y) * k, text, "sans", size)
    if rng.random() < 0.2:
        text = wording.digits(rng, 9)
        sheet.values.write((x0 + 4) * k, (clear - 0.5) * k, text, "mono", 2.2 * k)


def _visa(
    rng: np.random.Generator,
    sheet: Sheet,
    style: Typography,
    plan: Plan,
    fields: Mapping[str, str],
    clear: float,
) -> None:
    """A visa sticker: a large word, fields, mostly a portrait."""
    x0, y0, x1, _ = plan.page
    k = sheet.scale
    _decorate(rng, sheet, (x0, y0, x1, clear))
    head = float(rng.uniform(9, 15))
    a = x0 + 4.0
    if rng.random() < 0.75:
        wide = (x1 - x0) * float(rng.uniform(0.2, 0.27))
        high = min(wide * 1.28, clear - y0 - head - 2)
        top = clear - high - float(rng.uniform(0.5, 3))
        place_portrait(rng, sheet, (a, top, a + wide, top + high), fields.get("sex_code", "<"))
        a += wide + 3
    word = wording.TITLES["visa"][style.languages[0]]
    sheet.labels.write(
        (x0 + rng.uniform(4, 40)) * k, (y0 + head * 0.8) * k, word, "serif-bold", head * 0.7 * k
    )
    f = fields
    sheet.values.write(
        (x1 - 4) * k, (y0 + head * 0.7) * k, f["document_number"], style.value_face, 4 * k, "rs"
    )
    rows: list[FieldRow] = [
        [("state", f["state"], 1)],
        [("valid_from", f["issue_date"], 1), ("expiry_date", f["expiry_date"], 1)],
        [
            ("type", f["type"], 1),
            ("entries", ("1", "2", "MULT")[rng.integers(3)], 1),
            ("stay", wording.digits(rng, 2), 1),
        ],
        [("authority", f["authority"], 1), ("issue_date", f["issue_date"], 1)],
        [("surname", f"{f['surname']}, {f['given_names']}", 1)],
        [
            ("sex", f["sex"], 1),
            ("birth_date", f["birth_date"], 2),
            ("nationality", f["nationality"], 2),
        ],
        [("remarks", wording.prose(rng, 3).upper(), 1)],
    ]
    write_fields(sheet, style, rows, (a, y0 + head, x1 - 4, clear - 1))
    if rng.random() < 0.25:
        place_stamp(rng, sheet, rng.uniform(a, x1), rng.uniform(y0 + 10, clear - 10))
