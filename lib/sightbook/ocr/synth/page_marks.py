"""What stands on paper beside print: rules, boxes, pens, stamps, seals, punch holes, dirt."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from sightbook.ocr.pages.page import rectangle
from sightbook.ocr.synth.page_ink import Hand, Image, Mark, Row, Sheet, blend, write, write_turned
from sightbook.synth import fonts

Style = Literal["solid", "dashed", "dotted"]


def rule(
    sheet: Sheet,
    x0: float,
    x1: float,
    y: float,
    *,
    thick: int = 1,
    ink: int = 0,
    style: Style = "solid",
) -> None:
    """A horizontal rule; dashes and dots keep a rhythm of their own on every call."""
    left, right, top = max(0, round(x0)), round(x1), round(y)
    if right <= left or not 0 <= top < sheet.height:
        return
    band = sheet.pixels[top : top + thick, left:right]
    if style == "solid":
        np.minimum(band, ink, out=band)
        return
    on = sheet.whole(1, 2) if style == "dotted" else sheet.whole(4, 9)
    period = on + (sheet.whole(2, 5) if style == "dotted" else sheet.whole(2, 6))
    drawn = np.arange(band.shape[1]) % period < on
    band[:, drawn] = np.minimum(band[:, drawn], ink)


def upright(sheet: Sheet, x: float, y0: float, y1: float, *, thick: int = 1, ink: int = 0) -> None:
    """A vertical rule."""
    left = round(x)
    band = sheet.pixels[max(0, round(y0)) : round(y1), max(0, left) : left + thick]
    np.minimum(band, ink, out=band)


def box(
    sheet: Sheet,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    *,
    thick: int = 1,
    ink: int = 0,
) -> None:
    """The outline of a rectangle."""
    rule(sheet, x0, x1 + thick, y0, thick=thick, ink=ink)
    rule(sheet, x0, x1 + thick, y1, thick=thick, ink=ink)
    upright(sheet, x0, y0, y1, thick=thick, ink=ink)
    upright(sheet, x1, y0, y1, thick=thick, ink=ink)


def fill(sheet: Sheet, x0: float, y0: float, x1: float, y1: float, ink: int) -> None:
    """A rectangle of one grey."""
    sheet.pixels[max(0, round(y0)) : max(0, round(y1)), max(0, round(x0)) : max(0, round(x1))] = ink


def halftone(sheet: Sheet, x0: float, y0: float, x1: float, y1: float, density: float) -> None:
    """A grey made of dots, as copiers and fax machines leave it."""
    part = sheet.pixels[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)]
    if not part.size:
        return
    if sheet.chance(0.5):
        ys, xs = np.ogrid[: part.shape[0], : part.shape[1]]
        pitch = sheet.between(2.0, 4.5)
        wave = np.sin(xs * (2 * math.pi / pitch)) * np.sin(ys * (2 * math.pi / pitch) + xs * 0.3)
        dots = wave > 1 - 2 * density
    else:
        dots = sheet.rng.random(part.shape, np.float32) < density
    part[dots] = np.minimum(part[dots], sheet.whole(0, 110))


def pen_stroke(
    sheet: Sheet, points: np.ndarray, *, ink: int, thick: float, closed: bool = False
) -> None:
    """A smooth stroke through points ``[n, 2]``, thinner where the pen is quick."""
    curve = _smooth(points, closed)
    fixed = np.round(curve * 16).astype(np.int32)
    whole = max(1, round(thick))
    cv2.polylines(sheet.pixels, [fixed.reshape(-1, 1, 2)], closed, ink, whole, cv2.LINE_AA, 4)


def _smooth(points: np.ndarray, closed: bool) -> np.ndarray:
    """Catmull-Rom curve through points, eight steps between neighbours."""
    p = np.asarray(points, np.float32)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    q = np.concatenate([ends[0], p, ends[1]])
    t = np.linspace(0, 1, 8, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (q[i : len(q) - 3 + i, None, :] for i in range(4))
    cubic = (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return (0.5 * cubic).reshape(-1, 2)


def scribble(sheet: Sheet, x: float, y: float, width: float, height: float, ink: int) -> Row:
    """A signature or a note that nobody can read: one or two illegible words."""
    words: Row = []
    count = sheet.whole(1, 2)
    step = width / count
    for index in range(count):
        start = x + index * step
        loops = max(4, int(step * 0.85 / max(4.0, height * 0.32)))
        t = np.arange(2 * loops + 1) / (2 * loops)
        xs = start + t * step * 0.85 + sheet.rng.normal(0, height * 0.12, len(t))
        tall = np.abs(sheet.rng.normal(0.25, 0.3, len(t))) + 0.1
        ys = y + height * (0.15 + tall * np.where(np.arange(len(t)) % 2, -1.0, 0.45))
        points = np.stack([xs, np.clip(ys, y - height * 1.1, y + height * 0.5)], 1)
        pen_stroke(sheet, points, ink=ink, thick=sheet.whole(1, 2))
        (x0, y0), (x1, y1) = points.min(0) - 2, points.max(0) + 2
        words.append(Mark(rectangle(x0, y0, x1, y1), "", legible=False, handwritten=True))
    if sheet.chance(0.3):  # the line that ends a signature
        sweep = [[x + width * 0.4, y + 3], [x + width * 0.8, y - 4], [x + width * 1.15, y + 2]]
        pen_stroke(sheet, np.array(sweep), ink=ink, thick=1)
    return words


_PENS = (cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)


def by_hand(sheet: Sheet, text: str, x: float, baseline: float, px: float, ink: int) -> Row:
    """Write legible words by hand, bent and leaning, of about `px` pixels.

    The pen draws strokes of single lines, or follows a typeface that imitates handwriting.
    """
    face = sheet.cast.face("hand") if sheet.cast.has("hand") and sheet.chance(0.5) else None
    pen = _PENS[int(sheet.rng.choice(3, p=(0.5, 0.35, 0.15)))]
    lean, rise = sheet.between(-0.15, 0.5), sheet.between(-0.06, 0.04)
    lean = lean if face is None else 0.3 * lean
    squeeze, start, row = sheet.between(0.75, 1.15), x, []
    for word in text.split():
        drawn = _by_pen(word, pen, px) if face is None else _by_face(word, face, px)
        if drawn is None:
            continue
        patch, above = drawn
        patch = _bent(sheet, patch, lean, squeeze, px)
        rows, columns = patch.max(1).nonzero()[0], patch.max(0).nonzero()[0]
        if not len(rows):
            continue
        top = round(baseline + rise * (x - start)) - above
        left = round(x) - int(columns[0])
        blend(sheet.pixels, patch, left, top, ink)
        ends = (columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2)
        polygon = rectangle(*map(float, ends)) + np.array([left, top], np.float32)
        row.append(Mark(polygon, word, handwritten=True))
        x += float(columns[-1] - columns[0]) + px * sheet.between(0.25, 0.6)
    return row


def _by_pen(word: str, pen: int, px: float) -> tuple[Image, int] | None:
    """A word in strokes, with room to bend it; rows from the patch's top to the baseline."""
    if not word.isascii():
        return None
    thick = 1 if px < 22 else 2
    (width, height), depth = cv2.getTextSize(word, pen, px / 30, thick)
    pad = round(px * 0.6)
    patch = np.zeros((height + depth + 2 * pad, width + 2 * pad), np.uint8)
    cv2.putText(patch, word, (pad, pad + height), pen, px / 30, 255, thick, cv2.LINE_AA)
    return patch, pad + height


def _by_face(word: str, face: fonts.Face, px: float) -> tuple[Image, int] | None:
    shape = Hand(face, round(px * min(1.8, 0.5 / face.x_height))).shape(word)
    if not face.covers(word) or not shape.mask.size:
        return None
    pad = round(px * 0.6)
    return np.pad(shape.mask, pad), pad - shape.top


def _bent(sheet: Sheet, patch: Image, lean: float, squeeze: float, px: float) -> Image:
    """Slant and squeeze a patch of ink and make its strokes unsteady."""
    height, width = patch.shape
    wide = max(1, round(width * squeeze + abs(lean) * height))
    ys, xs = np.indices((height, wide), dtype=np.float32)
    source = (xs - max(0.0, lean) * (height - ys) - max(0.0, -lean) * ys) / squeeze
    phase, wave = sheet.between(0, 6.3), sheet.between(1.0, 3.0) * px
    source += 0.06 * px * np.sin(ys * (6.3 / px) + phase)
    lifted = ys + 0.07 * px * np.sin(xs * (6.3 / wave) + phase)
    return np.asarray(cv2.remap(patch, source, lifted, cv2.INTER_LINEAR), np.uint8)


def circled(sheet: Sheet, x0: float, y0: float, x1: float, y1: float, ink: int) -> None:
    """A pen's ring round something."""
    t = np.linspace(0, 2 * math.pi, 12)[:-1] + sheet.between(0, 6)
    radius = 1 + sheet.rng.normal(0, 0.06, len(t))
    xs = (x0 + x1) / 2 + (x1 - x0) * 0.62 * np.cos(t) * radius
    ys = (y0 + y1) / 2 + (y1 - y0) * 0.85 * np.sin(t) * radius
    pen_stroke(sheet, np.stack([xs, ys], 1), ink=ink, thick=1, closed=True)


def tick(sheet: Sheet, x: float, y: float, size: float, ink: int) -> None:
    """A tick or a cross in a box of `size` pixels."""
    if sheet.chance(0.5):
        for ends in (((0, 0), (1, 1)), ((0, 1), (1, 0))):
            points = np.array(ends) * size + sheet.rng.normal(0, size * 0.1, (2, 2)) + (x, y)
            pen_stroke(sheet, points, ink=ink, thick=1)
    else:
        points = np.array([[0.05, 0.5], [0.35, 0.95], [1.1, -0.2]]) * size + (x, y)
        pen_stroke(sheet, points, ink=ink, thick=1)


def stamp(sheet: Sheet, hand: Hand, x: float, y: float) -> None:
    """RECEIVED, a date and initials, a little turned, in a frame or without."""
    angle = sheet.between(-8, 8)
    words = ("RECEIVED", "APPROVED", "COPY", "FILED", "CONFIDENTIAL", "PAID", "DRAFT", "ENTERED")
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    lines = [sheet.pick(words)]
    if sheet.chance(0.7):
        lines.append(f"{sheet.pick(months)} {sheet.whole(1, 28)} {sheet.whole(1960, 2020)}")
    if sheet.chance(0.3):
        lines.append(sheet.texts.name().upper())
    step = hand.px * 1.35
    rows = []
    for number, line in enumerate(lines):
        shift = number * step
        rows.append(write_turned(sheet, hand, line, x - shift * math.sin(math.radians(angle)),
                                 y + shift * math.cos(math.radians(angle)), angle))  # fmt: skip
    if sheet.chance(0.4):
        corners = np.concatenate([mark.polygon for row in rows for mark in row])
        frame = cv2.boxPoints(cv2.minAreaRect(corners.astype(np.float32)))
        frame = (frame - frame.mean(0)) * 1.25 + frame.mean(0)
        cv2.polylines(sheet.pixels, [frame.astype(np.int32)], True, hand.ink, 2, cv2.LINE_AA)
    sheet.add(*rows)


def seal(sheet: Sheet, x: float, y: float, size: float, ink: int) -> None:
    """A company's mark: discs, rings, bars and leaves that are no letters."""
    centre = (round(x), round(y))
    radius = max(4, round(size / 2))
    kind = sheet.whole(0, 4)
    if kind == 0:
        cv2.circle(sheet.pixels, centre, radius, ink, max(2, radius // 6), cv2.LINE_AA)
        cv2.circle(sheet.pixels, centre, radius // 2, ink, -1, cv2.LINE_AA)
    elif kind == 1:
        points = []
        for spike in range(2 * sheet.whole(4, 8)):
            reach = radius * (1.0 if spike % 2 else 0.45)
            points.append((x + reach * math.cos(spike * 0.5), y + reach * math.sin(spike * 0.5)))
        cv2.fillPoly(sheet.pixels, [np.array(points, np.int32)], ink, cv2.LINE_AA)
    elif kind == 2:
        fill(sheet, x - radius, y - radius, x + radius, y + radius, ink)
        for gap in range(sheet.whole(1, 4)):
            at = y - radius + (gap + 1) * radius * 0.4
            fill(sheet, x - radius, at, x + radius, at + max(1, radius // 10), 255)
    elif kind == 3:
        for turn in range(0, 360, sheet.pick((45, 60, 72))):
            tip = (round(x + 0.5 * radius * math.cos(math.radians(turn))),
                   round(y + 0.5 * radius * math.sin(math.radians(turn))))  # fmt: skip
            axes = (radius // 2, max(1, radius // 6))
            cv2.ellipse(sheet.pixels, tip, axes, turn, 0, 360, ink, -1, cv2.LINE_AA)
    else:
        cv2.ellipse(sheet.pixels, centre, (radius, radius // 2), 0, 0, 360, ink, 2, cv2.LINE_AA)
        cv2.ellipse(sheet.pixels, centre, (radius, radius // 4), 60, 0, 360, ink, -1, cv2.LINE_AA)


def image(sheet: Sheet, x0: float, y0: float, x1: float, y1: float) -> None:
    """Something that is no text: a soft random field, sometimes in hard tones."""
    left, top, right, bottom = (max(0, round(v)) for v in (x0, y0, x1, y1))
    part = sheet.pixels[top:bottom, left:right]
    if part.shape[0] < 4 or part.shape[1] < 4:
        return
    out = np.zeros(part.shape, np.float32)
    for cells in (3, 9, 27):
        coarse = sheet.rng.normal(0, 60 / cells**0.6, (cells, cells + 1)).astype(np.float32)
        out += cv2.resize(coarse, part.shape[::-1], interpolation=cv2.INTER_CUBIC)
    out += sheet.between(90, 190)
    part[...] = np.clip(out, 0, 255)


def punch_holes(sheet: Sheet) -> None:
    """Two or three holes along an edge: black discs, grey ones or rings."""
    along_top = sheet.chance(0.3)
    at, radius = sheet.between(8, 40), sheet.whole(5, 10)
    count = sheet.whole(2, 3)
    length = sheet.width if along_top else sheet.height
    for number in range(count):
        along = length * ((number + 0.5) / count + sheet.between(-0.03, 0.03))
        centre = (round(along), round(at)) if along_top else (round(at), round(along))
        thick = -1 if sheet.chance(0.6) else 2
        cv2.circle(sheet.pixels, centre, radius, sheet.whole(0, 60), thick, cv2.LINE_AA)


def dark_edges(sheet: Sheet) -> None:
    """Where the sheet ended on the scanner: black strips or a thin line along one or two sides."""
    for _ in range(sheet.whole(1, 2)):
        side, deep = sheet.whole(0, 3), round(sheet.between(1, 14) ** 1.3)
        length = sheet.width if side < 2 else sheet.height
        start = 0 if sheet.chance(0.6) else round(length * sheet.between(0, 0.5))
        view = sheet.pixels if side < 2 else sheet.pixels.T
        if sheet.chance(0.6):
            band = view[:deep] if side % 2 else view[-deep:]
        else:  # a shadow line a little inside
            at = sheet.whole(2, 25)
            band = view[at : at + 2] if side % 2 else view[-at - 2 : -at]
        band[:, start:] = sheet.whole(0, 40)


def specks(sheet: Sheet, density: float) -> None:
    """Dirt: dark dots all over and, now and then, in clusters; `density` per 10,000 pixels."""
    count = int(sheet.rng.poisson(density * sheet.width * sheet.height / 1e4))
    xs, ys = sheet.rng.integers(0, sheet.width, count), sheet.rng.integers(0, sheet.height, count)
    if sheet.chance(0.4):
        extra = sheet.whole(20, 150)
        cx, cy = sheet.between(0, sheet.width), sheet.between(0, sheet.height)
        far = sheet.between(5, 40)
        xs = np.r_[xs, np.clip(sheet.rng.normal(cx, far, extra), 0, sheet.width - 1).astype(int)]
        ys = np.r_[ys, np.clip(sheet.rng.normal(cy, far, extra), 0, sheet.height - 1).astype(int)]
    shades = sheet.rng.integers(0, 120, len(xs)).astype(np.uint8)
    for dx, dy, share in ((0, 0, 1.0), (1, 0, 0.5), (0, 1, 0.4), (1, 1, 0.25)):
        some = sheet.rng.random(len(xs)) < share
        rows = np.minimum(ys[some] + dy, sheet.height - 1)
        columns = np.minimum(xs[some] + dx, sheet.width - 1)
        sheet.pixels[rows, columns] = shades[some]


def page_number(sheet: Sheet, hand: Hand) -> None:
    """The number an archive stamps on a page: in a corner, or up and down an edge."""
    number = "".join(str(sheet.whole(0, 9)) for _ in range(sheet.whole(6, 10)))
    if sheet.chance(0.2):
        number = f"{sheet.pick(('TI', 'A', 'PM', 'B', 'EX'))}{number}"
    width = hand.width(number)
    if sheet.chance(0.35):
        x = sheet.pick((sheet.between(14, 50), sheet.width - sheet.between(14, 50)))
        y = sheet.between(0.15, 0.85) * sheet.height
        sheet.add(write_turned(sheet, hand, number, x, y, sheet.pick((90, 90, -90))))
        return
    x = sheet.width - width - sheet.between(10, 130) if sheet.chance(0.8) else sheet.between(20, 90)
    sheet.add(write(sheet, hand, number, x, sheet.height - sheet.between(15, 80)))
