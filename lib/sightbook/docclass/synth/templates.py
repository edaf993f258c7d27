"""Templates of invented document types: every (seed, index) is a type of its own.

Some look alike at first sight, as real ones do: black cards with the same chip and mark, forms of
the same columns. What tells them apart is artwork, lettering and layout.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.draw_parallel import draw_parallel
from sightbook.data.images import save_image
from sightbook.docclass.synth import parts
from sightbook.docclass.synth.grounds import ground
from sightbook.docclass.synth.lettering import digits, face, title, words, write
from sightbook.docclass.synth.motifs import motif
from sightbook.docclass.synth.palettes import Palette, card_palette, mix, paper_palette

Canvas = NDArray[np.uint8]

_STREAM = 0x7E3


@dataclass(frozen=True)
class TemplateSample:
    """One drawn type.

    Attributes:
        image: uint8 RGB ``[H, W, 3]``.
        kind: one of `KINDS`.
    """

    image: Canvas
    kind: str


def render_template(
    seed: int, index: int, long_side: int = 480, kind: str | None = None
) -> TemplateSample:
    """Draw type `index` of a seed.

    Args:
        seed: of the whole series.
        index: 0 and up.
        long_side: of the picture, pixels. The design is the same at every size, the details of its
            print are not.
        kind: one of `KINDS`; drawn by chance if None.

    Raises:
        ValueError: an unknown kind, or a long side below 64 pixels.
    """
    if long_side < 64:
        raise ValueError(f"long_side is {long_side}, expected 64 pixels or more")
    if kind is not None and kind not in _MAKERS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, index, _STREAM])
    weights = np.array([weight for _, weight in _MAKERS.values()])
    drawn = KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))]
    chosen = kind or drawn
    image = _MAKERS[chosen][0](rng, long_side)
    if rng.random() < 0.35:
        image = _rounded(image, rng)
    return TemplateSample(image, chosen)


def write_templates(
    folder: str | Path, count: int, seed: int, long_side: int = 480, workers: int = 0
) -> Path:
    """Draw `count` types as files of a template folder; those already there are left alone.

    Args:
        folder: is made if need be.
        count: number of types.
        seed: of the series.
        long_side: pixels.
        workers: processes that draw; 0 draws in this one. The pictures do not depend on it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not (folder / f"{i:06d}.png").exists()]
    task = partial(_write_one, folder, seed, long_side)
    for _ in draw_parallel(task, missing, min(workers, os.cpu_count() or 1)):
        pass
    return folder


def _write_one(folder: Path, seed: int, long_side: int, index: int) -> None:
    save_image(folder / f"{index:06d}.png", render_template(seed, index, long_side).image)


def _size(long_side: int, aspect: float) -> tuple[int, int]:
    """Width and height for a shape."""
    if aspect >= 1:
        return long_side, max(32, round(long_side / aspect))
    return max(32, round(long_side * aspect)), long_side


def _decorate(
    rng: np.random.Generator, canvas: Canvas, palette: Palette, count: int, veil: float = 0.0
) -> None:
    """Lay pieces of artwork on a canvas; `veil` is how far they fade into it."""
    for _ in range(count):
        before = canvas.copy() if veil else canvas
        motif(rng, canvas, palette)
        if veil:
            canvas[...] = cv2.addWeighted(canvas, 1 - veil, before, veil, 0)


def _card(rng: np.random.Generator, long_side: int) -> Canvas:
    upright = rng.random() < 0.12
    width, height = _size(long_side, 1 / 1.585 if upright else 1.585)
    p = card_palette(rng)
    canvas = ground(rng, (width, height), p)
    veil = float(rng.choice([0.0, 0.0, 0.5, 0.8]))
    _decorate(rng, canvas, p, int(rng.choice([0, 1, 1, 2, 3])), veil)
    unit = min(width, height)
    if rng.random() < 0.15:
        parts.frame(rng, canvas, mix(p.ground, p.ink, 0.5))
    top = rng.uniform(0.05, 0.1) * unit
    tall = rng.uniform(0.06, 0.13) * unit
    x = rng.uniform(0.05, 0.1) * width if rng.random() < 0.7 else rng.uniform(0.4, 0.6) * width
    if rng.random() < 0.6:
        x += parts.logo(rng, canvas, x, top, tall * 1.2, p)
    title(rng, canvas, x, top, tall, p.ink)
    if upright:
        parts.chip(rng, canvas, rng.uniform(0.35, 0.5) * width, 0.12 * height, 0.09 * height)
    elif rng.random() < 0.85:
        level = rng.uniform(0.32, 0.42) * height
        parts.chip(rng, canvas, rng.uniform(0.07, 0.12) * width, level, 0.15 * height)
        if rng.random() < 0.5:
            right = 0.25 if rng.random() < 0.5 else 0.85
            at = right * width, level + 0.07 * height
            parts.waves(canvas, *at, 0.11 * height, p.ink)
    if rng.random() < 0.75 and not upright:
        number = " ".join(digits(rng, 4) for _ in range(4))
        colour = p.ink if rng.random() < 0.5 else (200, 200, 205)
        emboss, font = rng.random() < 0.6, int(rng.choice([6, 0, 7]))
        left = rng.uniform(0.07, 0.12) * width
        write(canvas, number, left, rng.uniform(0.54, 0.62) * height, 0.1 * height, colour, font,
              width=0.72 * width, emboss=emboss)  # fmt: skip
        if rng.random() < 0.7:
            valid = f"{digits(rng, 2)}/{digits(rng, 2)}"
            at = rng.uniform(0.3, 0.5) * width, 0.72 * height
            write(canvas, valid, *at, 0.06 * height, colour, font, emboss=emboss)
        if rng.random() < 0.7:
            write(canvas, "CARDHOLDER NAME", left, 0.85 * height, 0.065 * height, colour, font,
                  emboss=emboss)  # fmt: skip
    if rng.random() < 0.35:
        write(canvas, words(rng, 1), rng.uniform(0.3, 0.7) * width, rng.uniform(0.1, 0.5) * height,
              rng.uniform(0.06, 0.14) * height, p.ink, face(rng))  # fmt: skip
    if rng.random() < 0.9:
        size = rng.uniform(0.14, 0.2) * unit
        parts.network_mark(rng, canvas, width - 2.0 * size, height - 1.4 * size, size, p.ink)
    return canvas


def _identity(rng: np.random.Generator, long_side: int) -> Canvas:
    """Identity cards, licences, passport data pages."""
    width, height = _size(long_side, rng.choice([1.42, 1.585, 1.5]))
    p = paper_palette(rng, rng.uniform(0.05, 0.3))
    canvas = ground(rng, (width, height), p)
    canvas[...] = cv2.addWeighted(canvas, 0.6, np.full_like(canvas, p.ground), 0.4, 0)
    _decorate(rng, canvas, p, int(rng.integers(0, 3)), rng.uniform(0.5, 0.85))
    if rng.random() < 0.5:
        bar = rng.uniform(0.1, 0.18) * height
        cv2.rectangle(canvas, (0, 0), (width, int(bar)), p.accents[0], -1)
    head = p.ink if rng.random() < 0.6 else p.accents[-1]
    title(rng, canvas, rng.uniform(0.05, 0.35) * width, 0.03 * height, 0.08 * height, head)
    if rng.random() < 0.5:
        parts.logo(rng, canvas, 0.86 * width, 0.03 * height, 0.1 * height, p)
    right = rng.random() < 0.2
    wide, tall = rng.uniform(0.22, 0.32) * width, rng.uniform(0.42, 0.6) * height
    x = (0.95 * width - wide) if right else rng.uniform(0.03, 0.08) * width
    y = rng.uniform(0.18, 0.28) * height
    parts.portrait(rng, canvas, (x, y, x + wide, y + tall))
    left = 0.05 * width if right else x + wide + 0.04 * width
    end = x - 0.03 * width if right else 0.96 * width
    zone = rng.random() < 0.5
    parts.fields(rng, canvas, (left, y, end, (0.78 if zone else 0.93) * height), p, 0.055 * height)
    if zone:
        letters = "ABCDEFGHIKLMNOPRSTUVWZ0123456789<<<<<<<<"
        for row in range(2):
            line = "".join(letters[i] for i in rng.integers(0, len(letters), 40))
            write(canvas, line, 0.03 * width, (0.82 + 0.08 * row) * height, 0.06 * height,
                  (25, 25, 30), 6, width=0.94 * width)  # fmt: skip
    if rng.random() < 0.4:
        x, y = (rng.uniform(0.3, 0.9, 2) * (width, height)).tolist()
        parts.seal(rng, canvas, x, y, 0.35 * height)
    if rng.random() < 0.5:
        box = (0.5 * width, 0.7 * height, 0.8 * width, 0.85 * height)
        parts.signature(rng, canvas, box, (30, 30, 60))
    if rng.random() < 0.25:
        small = 0.16 * width
        parts.portrait(rng, canvas, (0.8 * width, 0.5 * height, 0.8 * width + small,
                                     0.5 * height + 1.25 * small))  # fmt: skip
    return canvas


def _form(rng: np.random.Generator, long_side: int) -> Canvas:
    """Forms, tables, invoices."""
    width, height = _size(long_side, rng.choice([0.707, 0.707, 0.77, 1.414]))
    p = paper_palette(rng, 0.03 if rng.random() < 0.6 else 0.35)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[...] = p.ground
    ink = (30, 30, 35) if rng.random() < 0.6 else p.accents[0]
    line, y = rng.uniform(0.016, 0.028) * max(width, height), 0.04 * height
    margin = rng.uniform(0.04, 0.1) * width
    x = margin if rng.random() < 0.5 else rng.uniform(0.2, 0.4) * width
    if rng.random() < 0.4:
        x += parts.logo(rng, canvas, margin, y, 0.06 * height, p)
    title(rng, canvas, x, y, rng.uniform(0.025, 0.05) * height, ink)
    y += 0.08 * height
    while y < 0.93 * height:
        tall = rng.uniform(0.06, 0.35) * height
        box = (margin, y, width - margin, min(y + tall, 0.96 * height))
        kind = rng.random()
        if kind < 0.5:
            parts.table(rng, canvas, box, ink, line)
        elif kind < 0.75:
            parts.print_block(rng, canvas, box, ink)
        elif kind < 0.9:
            parts.fields(rng, canvas, box, p, line * 1.2)
        else:
            half = (box[0] + box[2]) / 2
            parts.print_block(rng, canvas, (box[0], box[1], half - 4, box[3]), ink)
            parts.table(rng, canvas, (half + 4, box[1], box[2], box[3]), ink, line)
        y += tall + 0.02 * height
    if rng.random() < 0.3:
        parts.seal(rng, canvas, 0.75 * width, 0.8 * height, 0.2 * width)
    if rng.random() < 0.3:
        box = (0.7 * width, 0.03 * height, 0.95 * width, 0.09 * height)
        parts.barcode(rng, canvas, box, (20, 20, 20))
    return canvas


def _certificate(rng: np.random.Generator, long_side: int) -> Canvas:
    width, height = _size(long_side, rng.choice([1.414, 0.707, 1.3]))
    p = paper_palette(rng, rng.uniform(0.03, 0.25))
    canvas = ground(rng, (width, height), p)
    canvas[...] = cv2.addWeighted(canvas, 0.35, np.full_like(canvas, p.ground), 0.65, 0)
    _decorate(rng, canvas, p, int(rng.integers(0, 2)), rng.uniform(0.6, 0.9))
    parts.frame(rng, canvas, p.accents[0])
    tall = rng.uniform(0.07, 0.12) * height
    title(rng, canvas, rng.uniform(0.15, 0.35) * width, 0.12 * height, tall, p.accents[-1])
    write(canvas, words(rng, 2), 0.3 * width, 0.3 * height, 0.06 * height, p.ink, face(rng))
    box = (0.15 * width, 0.42 * height, 0.85 * width, 0.7 * height)
    parts.print_block(rng, canvas, box, p.ink)
    parts.signature(rng, canvas, (0.15 * width, 0.74 * height, 0.4 * width, 0.86 * height), p.ink)
    parts.seal(rng, canvas, rng.uniform(0.5, 0.85) * width, 0.8 * height, 0.2 * height)
    return canvas


def _banknote(rng: np.random.Generator, long_side: int) -> Canvas:
    width, height = _size(long_side, rng.uniform(1.8, 2.5))
    p = paper_palette(rng, rng.uniform(0.15, 0.4))
    canvas = ground(rng, (width, height), p)
    for _ in range(int(rng.integers(1, 4))):
        motif(rng, canvas, p)
        canvas[...] = cv2.addWeighted(canvas, 0.75, np.full_like(canvas, p.ground), 0.25, 0)
    value = str(rng.choice([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]))
    for x, y, tall in ((0.04, 0.06, 0.3), (0.78, 0.62, 0.28)):
        write(canvas, value, x * width, y * height, tall * height, p.ink, face(rng))
    box = (rng.uniform(0.3, 0.65) * width, 0.12 * height, 0, 0.9 * height)
    parts.portrait(rng, canvas, (box[0], box[1], box[0] + 0.22 * width, box[3]))
    title(rng, canvas, 0.25 * width, 0.04 * height, 0.12 * height, p.accents[0])
    write(canvas, digits(rng, 8), 0.05 * width, 0.86 * height, 0.09 * height, (140, 30, 40), 6)
    if rng.random() < 0.5:
        parts.seal(rng, canvas, 0.2 * width, 0.6 * height, 0.35 * height)
    return canvas


def _ticket(rng: np.random.Generator, long_side: int) -> Canvas:
    """Tickets, vouchers, business cards, receipts, labels."""
    width, height = _size(long_side, rng.choice([0.4, 0.5, 1.7, 2.2, 2.8]))
    p = paper_palette(rng, 0.05) if rng.random() < 0.5 else card_palette(rng)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[...] = p.ground
    if rng.random() < 0.6:
        canvas = ground(rng, (width, height), p)
        _decorate(rng, canvas, p, int(rng.integers(0, 3)))
    unit = min(width, height)
    x = 0.06 * width + parts.logo(rng, canvas, 0.06 * width, 0.05 * height, 0.14 * unit, p)
    title(rng, canvas, x, 0.05 * height, 0.11 * unit, p.ink)
    middle = 0.55 * width if width > height else 0.94 * width
    box = (0.06 * width, 0.3 * height, middle, 0.75 * height)
    if rng.random() < 0.5:
        parts.fields(rng, canvas, box, p, 0.07 * unit)
    else:
        parts.print_block(rng, canvas, box, p.ink)
    if rng.random() < 0.7:
        room = (middle, 0.35 * height) if width > height else (0.1 * width, 0.78 * height)
        box = (*room, 0.94 * width, 0.93 * height)
        parts.barcode(rng, canvas, box, p.ink)
    return canvas


def _rounded(image: Canvas, rng: np.random.Generator) -> Canvas:
    """The same with round corners on the white or black of a picture from a shop's page."""
    height, width = image.shape[:2]
    r = max(2, round(rng.uniform(0.03, 0.08) * min(height, width)))
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (r, 0), (width - 1 - r, height - 1), 255, -1)
    cv2.rectangle(mask, (0, r), (width - 1, height - 1 - r), 255, -1)
    for x in (r, width - 1 - r):
        for y in (r, height - 1 - r):
            cv2.circle(mask, (x, y), r, 255, -1)
    behind = np.full_like(image, 255 if rng.random() < 0.8 else 0)
    return np.asarray(cv2.copyTo(image, mask, behind), np.uint8)


_MAKERS: dict[str, tuple[Callable[[np.random.Generator, int], Canvas], float]] = {
    "card": (_card, 0.58),
    "id": (_identity, 0.13),
    "form": (_form, 0.1),
    "certificate": (_certificate, 0.05),
    "banknote": (_banknote, 0.06),
    "ticket": (_ticket, 0.08),
}

KINDS = tuple(_MAKERS)
"""Kinds of documents, cards being the most frequent."""
