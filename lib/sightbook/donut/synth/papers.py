"""Papers and cards without a machine-readable zone: what the zone finder must leave alone.

Among them are the hard cases: tables of monospaced text, program listings with angle brackets,
receipts, embossed card numbers, single code lines on payment slips.
"""

from functools import lru_cache

import cv2
import numpy as np

from sightbook.donut.synth import wording
from sightbook.donut.synth.guilloches import random_emblem, security_paper
from sightbook.donut.synth.printing import print_lines
from sightbook.synth.lettering import (
    Colour,
    LoadedImage,
    TextLayer,
    ink,
    ink_at,
    smooth_colours,
)

CLUTTER = 28  # different ready-made papers that may lie around a document

_SIZES: dict[str, tuple[float, float]] = {  # millimetres
    "letter": (210.0, 297.0), "listing": (210.0, 297.0), "table": (210.0, 148.0),
    "receipt": (74.0, 160.0), "form": (210.0, 200.0), "bank-card": (85.6, 54.0),
    "slip": (148.0, 105.0), "note": (90.0, 55.0),
}  # fmt: skip
KINDS = tuple(_SIZES)


def paper_size(kind: str) -> tuple[float, float]:
    """Width and height in millimetres of a paper of ``kind`` (one of ``KINDS``)."""
    return _SIZES[kind]


def draw_paper(rng: np.random.Generator, kind: str, scale: float) -> LoadedImage:
    """Draw one paper.

    Args:
        rng: source of every choice.
        kind: one of ``KINDS``.
        scale: pixels per millimetre.

    Returns:
        uint8 RGB of ``paper_size(kind) * scale`` pixels.
    """
    width, height = (round(side * scale) for side in _SIZES[kind])
    if kind == "bank-card":
        return _bank_card(rng, width, height, scale)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.clip(252 - rng.integers(0, 30) - rng.integers(0, 9, 3), 0, 255)
    layer = TextLayer(width, height, condense=float(rng.uniform(0.75, 1.0)))
    draw = {
        "letter": _letter, "listing": _listing, "table": _table, "receipt": _receipt,
        "form": _form, "slip": _slip, "note": _note,
    }[kind]  # fmt: skip
    draw(rng, layer, image, scale)
    dark = int(rng.integers(10, 80))
    colour: Colour = (dark, dark, dark + int(rng.integers(0, 40)))
    ink(image, layer.mask(), colour)
    return image


@lru_cache(maxsize=CLUTTER)
def clutter_paper(key: int) -> tuple[LoadedImage, float]:
    """Ready-made paper number ``key`` (0..CLUTTER-1): picture, and its width in millimetres."""
    rng = np.random.default_rng([key, 0xC1A7])
    kind = KINDS[key % len(KINDS)]
    width, height = _SIZES[kind]
    return draw_paper(rng, kind, 760 / max(width, height)), width


def _rows(top: float, bottom: float, step: float) -> list[float]:
    return [float(y) for y in np.arange(top, bottom, step)]


def _letter(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    face = ("times", "sans", "serif", "mono")[rng.integers(4)]
    size = rng.uniform(3.2, 4.6) * scale
    left, right = 22 * scale, layer.size[0] - 18 * scale
    layer.write(
        left,
        24 * scale,
        wording.place_name(rng) + " " + wording.prose(rng, 2),
        "sans-bold",
        size * 1.7,
    )
    for number in range(4):
        layer.write(left, (48 + 5 * number) * scale, wording.prose(rng, 3).title(), face, size)
    line = wording.prose(rng, 400)
    per_row = max(8, int((right - left) / max(1.0, layer.length(line[:100], face, size)) * 100))
    gap = 0
    for number, y in enumerate(_rows(80 * scale, layer.size[1] - 25 * scale, size * 1.35)):
        gap = int(rng.integers(4, 9)) if gap == 0 else gap - 1
        if gap == 0:
            continue
        start = (number * per_row) % max(1, len(line) - per_row)
        text = line[start : start + (per_row if gap > 1 else per_row // 2)]
        layer.write(left, y, text, face, size)
    if rng.random() < 0.5:
        mask = random_emblem(rng, round(24 * scale))
        ink_at(image, mask, round(layer.size[0] - 45 * scale), round(12 * scale), (60, 80, 130))


def _listing(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    """A program listing or a dump: monospaced, with brackets, of ragged length."""
    size = rng.uniform(2.6, 4.2) * scale
    face = ("mono", "mono-bold")[rng.integers(2)]
    dump = rng.random() < 0.35
    for number, y in enumerate(_rows(18 * scale, layer.size[1] - 15 * scale, size * 1.4)):
        if dump:
            text = f"{number * 16:06X}  " + " ".join(f"{b:02X}" for b in rng.integers(0, 256, 16))
        else:
            words = wording.prose(rng, int(rng.integers(1, 8))).split()
            joints = ("<", " << ", ">", "();", " = ", "::", "[0] ", " < ", ", ", "->")
            text = " " * (4 * int(rng.integers(0, 5)))
            for word in words:
                text += word + joints[rng.integers(len(joints))]
            if rng.random() < 0.2:
                text = text.upper()
        layer.write(14 * scale, y, text[:90], face, size)


def _table(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    """Rows of equally long monospaced codes, the nearest thing to a zone that is none."""
    face = ("mono", "mono", "mono-bold", "sans")[rng.integers(4)]
    size = rng.uniform(2.8, 5.0) * scale
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
    blocks = int(rng.integers(2, 7))
    layer.write(12 * scale, 16 * scale, wording.prose(rng, 4).upper(), "sans-bold", size * 1.2)
    for number, y in enumerate(
        _rows(28 * scale, layer.size[1] - 8 * scale, size * rng.uniform(1.4, 2.4))
    ):
        codes = ["".join(letters[rng.integers(0, 36, 7)]) for _ in range(blocks)]
        text = f"{number:03d}  " + "  ".join(codes) + f"  {rng.uniform(0, 9999):9.2f}"
        layer.write(12 * scale, y, text, face, size)
    if rng.random() < 0.6:
        for y in _rows(20 * scale, layer.size[1], size * 3):
            cv2.line(image, (0, round(y)), (layer.size[0], round(y)), (150, 150, 160), 1)


def _receipt(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    size = rng.uniform(2.6, 3.4) * scale
    middle = layer.size[0] / 2
    layer.write(middle, 12 * scale, wording.place_name(rng).upper(), "mono-bold", size * 1.5, "ms")
    for y in _rows(24 * scale, layer.size[1] - 40 * scale, size * 1.45):
        layer.write(5 * scale, y, wording.goods(rng), "mono", size)
        layer.write(layer.size[0] - 5 * scale, y, f"{rng.uniform(0.3, 90):.2f}", "mono", size, "rs")
    y = layer.size[1] - 30 * scale
    layer.write(5 * scale, y, "-" * 30, "mono", size)
    layer.write(
        5 * scale, y + 6 * scale, f"TOTAL {rng.uniform(5, 300):.2f}", "mono-bold", size * 1.4
    )
    barcode(rng, image, 8 * scale, y + 10 * scale, layer.size[0] - 16 * scale, 12 * scale)


def _form(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    size = 3.4 * scale
    layer.write(15 * scale, 18 * scale, wording.prose(rng, 3).upper(), "sans-bold", size * 1.6)
    for y in _rows(30 * scale, layer.size[1] - 20 * scale, rng.uniform(9, 15) * scale):
        columns = int(rng.integers(1, 4))
        wide = (layer.size[0] - 30 * scale) / columns
        for column in range(columns):
            x = 15 * scale + column * wide
            cv2.rectangle(
                image, (round(x), round(y)), (round(x + wide), round(y + 8 * scale)),
                (120, 120, 130), 1,
            )  # fmt: skip
            layer.write(x + scale, y + 2.6 * scale, wording.prose(rng, 2), "sans", size * 0.6)
            if rng.random() < 0.7:
                value = (
                    wording.prose(rng, 2).upper() if rng.random() < 0.6 else wording.digits(rng, 8)
                )
                layer.write(x + 2 * scale, y + 6.8 * scale, value, "mono", size)


def _slip(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    """A payment slip with one code line near its foot."""
    _form(rng, layer, image, scale)
    foot = layer.size[1] - 18 * scale
    cv2.rectangle(image, (0, round(foot)), layer.size, (246, 244, 240), -1)
    if rng.random() < 0.6:  # in the zone's own type: one line alone is no zone
        text = f"{wording.digits(rng, 13)}<{wording.digits(rng, 22)}<<{wording.digits(rng, 8)}<"
        printed = print_lines(rng, [text], 2.54 * scale).alpha
        ink_at(image, printed, round(8 * scale), round(foot + 4 * scale), (30, 30, 34))
        return
    code = f"{wording.digits(rng, 13)}>{wording.digits(rng, 16)}+ {wording.digits(rng, 9)}>"
    layer.write(16 * scale, foot + 10 * scale, code, "mono", 3.6 * scale)


def _note(rng: np.random.Generator, layer: TextLayer, image: LoadedImage, scale: float) -> None:
    """A business card."""
    accent: Colour = tuple(map(int, rng.integers(0, 200, 3)))  # type: ignore[assignment]
    cv2.rectangle(image, (0, 0), (round(rng.uniform(2, 20) * scale), layer.size[1]), accent, -1)
    left, face = rng.uniform(6, 34) * scale, ("sans", "serif", "times", "mono")[rng.integers(4)]
    name = wording.prose(rng, 2).title()
    layer.write(left, 18 * scale, name, "sans-bold", rng.uniform(3, 6) * scale)
    for number in range(int(rng.integers(2, 5))):
        text = wording.prose(rng, 3) if number % 2 else "+" + wording.digits(rng, 11)
        layer.write(left, (28 + 5 * number) * scale, text, face, 2.6 * scale)


def _bank_card(rng: np.random.Generator, width: int, height: int, scale: float) -> LoadedImage:
    """The front of a payment or member card: strong colours, a chip, an embossed number."""
    if rng.random() < 0.3:
        image = security_paper(rng, width, height, 0.6)
    else:
        image = smooth_colours(rng, width, height, rng.uniform(0, 255, (4, 3)))
    for _ in range(int(rng.integers(0, 5))):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = tuple(map(int, rng.integers(0, 256, 3)))
        cv2.circle(image, centre, int(rng.uniform(3, 30) * scale), colour, -1, cv2.LINE_AA)
    layer = TextLayer(width, height, condense=float(rng.uniform(0.75, 1.0)))
    layer.write(5 * scale, 9 * scale, wording.place_name(rng) + " BANK", "sans-bold", 4.5 * scale)
    number = " ".join(wording.digits(rng, 4) for _ in range(4))
    face = ("mono", "mono-bold", "sans")[rng.integers(3)]
    layer.write(8 * scale, 34 * scale, number, face, layer.fit(number, face, 6 * scale, 70 * scale))
    layer.write(
        30 * scale,
        41 * scale,
        f"VALID THRU {wording.digits(rng, 2)}/{wording.digits(rng, 2)}",
        "sans",
        2.4 * scale,
    )
    layer.write(8 * scale, 48 * scale, wording.prose(rng, 2).upper(), "mono", 3.6 * scale)
    mask = layer.mask()
    shift = max(1, round(0.2 * scale))
    light = rng.random() < 0.5
    ink(
        image,
        np.roll(mask, (shift, shift), (0, 1)),
        (20, 20, 20) if light else (250, 250, 250),
        0.7,
    )
    ink(image, mask, (244, 240, 226) if light else (20, 20, 30))
    chip(image, 9 * scale, 16 * scale, 11 * scale, 9 * scale)
    return image


def chip(image: LoadedImage, x: float, y: float, width: float, height: float) -> None:
    """Draw the contacts of a chip with the given corner and size in pixels."""
    x0, y0, x1, y1 = round(x), round(y), round(x + width), round(y + height)
    cv2.rectangle(image, (x0, y0), (x1, y1), (212, 184, 112), -1)
    dark = (120, 96, 50)
    cv2.rectangle(image, (x0, y0), (x1, y1), dark, 1)
    for share in (0.33, 0.66):
        row, column = round(y + height * share), round(x + width * share)
        cv2.line(image, (x0, row), (x1, row), dark, 1)
        cv2.line(image, (column, y0), (column, y1), dark, 1)


def barcode(
    rng: np.random.Generator, image: LoadedImage, x: float, y: float, width: float, height: float
) -> None:
    """Draw a bar code, plain or stacked, with the given corner and size in pixels."""
    columns, rows = int(rng.integers(50, 110)), 1
    if rng.random() < 0.4:
        rows = int(rng.integers(8, 24))
    bars = (rng.random((rows, columns)) < 0.5).astype(np.uint8) * 255
    size = (max(1, round(width)), max(1, round(height)))
    mask = cv2.resize(bars, size, interpolation=cv2.INTER_NEAREST)
    ink_at(image, mask, round(x), round(y), (25, 25, 28))
