"""Parts that several documents share: field blocks, stamps, the SPECIMEN mark, the zone's strip."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.donut.synth import wording
from sightbook.donut.synth.guilloches import iridescent
from sightbook.donut.synth.portraits import draw_portrait, draw_signature
from sightbook.donut.synth.printing import print_lines
from sightbook.synth.lettering import (
    Colour,
    LoadedImage,
    TextLayer,
    font,
    ink,
    ink_at,
)

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in millimetres of the sheet
FieldRow = Sequence[tuple[str, str, float]]  # label key or "", value, relative width


@dataclass
class Sheet:
    """A flat document in the making: its picture and two layers of ordinary print.

    Attributes:
        image: uint8 RGB [H, W, 3].
        scale: pixels per millimetre.
        labels: fixed print (titles, labels).
        values: personalised print.
    """

    image: LoadedImage
    scale: float
    labels: TextLayer
    values: TextLayer


@dataclass(frozen=True)
class Typography:
    """How the fields of one document are set; sizes in millimetres."""

    label_face: str
    value_face: str
    label_size: float
    value_size: float
    languages: tuple[int, ...]
    numbered: bool
    capitals: bool
    beside: bool
    date_style: int
    condense: float
    label_colour: Colour
    value_colour: Colour


def random_typography(rng: np.random.Generator) -> Typography:
    """Draw the setting of one document."""
    label_face = ("sans", "sans-italic", "sans-bold", "serif", "times", "times-italic")[
        rng.integers(6)
    ]
    value_face = ("sans", "sans-bold", "mono", "serif", "times-bold", "mono-bold")[rng.integers(6)]
    count = int(rng.choice([1, 2, 2, 3]))
    first = int(rng.integers(len(wording.LANGUAGES)))
    others = [0, 1, int(rng.integers(len(wording.LANGUAGES)))]
    dark = int(rng.integers(5, 70))
    tint = rng.integers(0, 90, 3)
    return Typography(
        label_face=label_face,
        value_face=value_face,
        label_size=float(rng.uniform(1.4, 2.2)),
        value_size=float(rng.uniform(2.3, 3.5)),
        languages=tuple(dict.fromkeys([first, *others]))[:count],
        numbered=bool(rng.random() < 0.25),
        capitals=bool(rng.random() < 0.3),
        beside=bool(rng.random() < 0.12),
        date_style=int(rng.integers(7)),
        condense=float(rng.uniform(0.68, 0.95)),
        label_colour=(int(tint[0]), int(tint[1]), int(tint[2] + 40)),
        value_colour=(dark, dark, dark + 8),
    )


def label(key: str, style: Typography, number: int = 0) -> str:
    """The label of a field in the document's languages."""
    words = dict.fromkeys(wording.LABELS[key][language] for language in style.languages)
    text = " / ".join(words)
    if style.capitals:
        text = text.upper()
    return f"{number}. {text}" if style.numbered and number else text


def write_fields(
    sheet: Sheet, style: Typography, rows: Sequence[FieldRow], box: Box, first: int = 1
) -> None:
    """Set rows of labelled values into ``box``, top to bottom."""
    x0, y0, x1, y1 = box
    k = sheet.scale
    step = (y1 - y0) / len(rows)
    small, large = min(style.label_size, 0.4 * step), min(style.value_size, 0.56 * step)
    number = first
    for row_number, row in enumerate(rows):
        total = sum(weight for _, _, weight in row)
        x, y = x0, y0 + row_number * step
        for key, value, weight in row:
            wide = (x1 - x0) * weight / total - 1.5
            head = label(key, style, number) if key else ""
            number += 1
            at_value = x
            down = small + large * 1.05
            if style.beside:
                wide, at_value, down = wide * 0.55, x + wide * 0.42, large * 1.05
            if head:
                size = sheet.labels.fit(head, style.label_face, small * k, wide * k)
                base = (y + (large if style.beside else small)) * k
                sheet.labels.write(x * k, base, head, style.label_face, size)
            size = sheet.values.fit(value, style.value_face, large * k, wide * k)
            sheet.values.write(at_value * k, (y + down) * k, value, style.value_face, size)
            x += (x1 - x0) * weight / total


def draw_strip(rng: np.random.Generator, sheet: Sheet, box: Box) -> None:
    """Prepare the ground of the zone: as it is, lightened, or a strip of another tint."""
    k = sheet.scale
    x0, y0, x1, y1 = (round(value * k) for value in box)
    x0, y0 = max(0, x0), max(0, y0)
    region = sheet.image[y0:y1, x0:x1]
    choice = rng.random()
    if region.size == 0 or choice < 0.4:
        return
    base = int(rng.integers(222, 256))
    tint: Colour = tuple(int(v) for v in np.clip(base - rng.integers(0, 18, 3), 0, 255))  # type: ignore[assignment]
    share = 1.0 if choice > 0.75 else float(rng.uniform(0.3, 0.85))
    ground = np.empty_like(region)
    ground[:] = tint
    sheet.image[y0:y1, x0:x1] = cv2.addWeighted(region, 1 - share, ground, share, 0)
    if rng.random() < 0.3:
        shade = int(rng.integers(60, 200))
        cv2.line(sheet.image, (x0, y0), (x1, y0), (shade, shade, shade), max(1, round(0.25 * k)))


def print_zone(
    rng: np.random.Generator,
    sheet: Sheet,
    lines: Sequence[str],
    left: float,
    top: float,
    pitch: float,
    spacing: float,
) -> npt.NDArray[np.float32]:
    """Print the machine-readable lines.

    Args:
        rng: source of every choice.
        sheet: what to print on.
        lines: the text.
        left: where the first character cell begins, in millimetres.
        top: cap top of the first line, in millimetres.
        pitch: of the characters, in millimetres.
        spacing: of the baselines, in units of the pitch.

    Returns:
        float32 [n, 4, 2]: the lines' quads in pixels of the sheet.
    """
    k = sheet.scale
    # Print at a whole scale of its own only if the sheet is coarse: glyphs stay crisp that way.
    printed = print_lines(rng, lines, pitch * k, line_spacing=spacing)
    corner = printed.line_quads[0, 0]
    x, y = round(left * k - 0.5 - corner[0]), round(top * k - 0.5 - corner[1])
    dark = int(rng.integers(0, 62))
    colour: Colour = (dark, dark, dark)
    if rng.random() < 0.2:
        colour = tuple(int(v) for v in dark + rng.integers(0, 45, 3))  # type: ignore[assignment]
    strength = float(rng.uniform(0.86, 1.0)) if rng.random() < 0.8 else float(rng.uniform(0.6, 0.9))
    ink_at(sheet.image, printed.alpha, x, y, colour, strength)
    return (printed.line_quads + np.array([x, y], np.float32)).astype(np.float32)


def place_portrait(rng: np.random.Generator, sheet: Sheet, box: Box, sex: str) -> LoadedImage:
    """Draw the portrait into ``box`` and return it, for ghosts of it elsewhere."""
    portrait = draw_portrait(rng, sex)
    if rng.random() < 0.3:  # engraved: grey
        grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
        portrait = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    x0, y0, x1, y1 = (round(value * sheet.scale) for value in box)
    size = (max(1, x1 - x0), max(1, y1 - y0))
    mode = cv2.INTER_AREA if size[0] < portrait.shape[1] else cv2.INTER_LINEAR
    fitted = cv2.resize(portrait, size, interpolation=mode)
    if rng.random() < 0.4:  # printed into the guilloches rather than glued on them
        mask = np.full(fitted.shape[:2], int(rng.integers(170, 240)), np.uint8)
        ink_at(sheet.image, mask, x0, y0, fitted)
    else:
        ink_at(sheet.image, np.full(fitted.shape[:2], 255, np.uint8), x0, y0, fitted)
        if rng.random() < 0.3:
            cv2.rectangle(sheet.image, (x0, y0), (x1, y1), (90, 90, 90), 1)
    return portrait


def place_ghost(
    rng: np.random.Generator, sheet: Sheet, portrait: LoadedImage, x: float, y: float, width: float
) -> None:
    """A small pale second copy of the portrait."""
    size = (max(2, round(width * sheet.scale)), max(2, round(width * 1.25 * sheet.scale)))
    fitted = cv2.resize(portrait, size, interpolation=cv2.INTER_AREA)
    mask = np.full((size[1], size[0]), int(rng.integers(60, 140)), np.uint8)
    ink_at(sheet.image, mask, round(x * sheet.scale), round(y * sheet.scale), fitted)


def place_hologram(
    rng: np.random.Generator, sheet: Sheet, x: float, y: float, width: float, height: float
) -> None:
    """A patch of iridescent foil with its middle at (x, y)."""
    size = (max(4, round(width * sheet.scale)), max(4, round(height * sheet.scale)))
    foil, mask = iridescent(rng, *size)
    corner = (round((x - width / 2) * sheet.scale), round((y - height / 2) * sheet.scale))
    ink_at(sheet.image, mask, *corner, foil)


def place_signature(rng: np.random.Generator, sheet: Sheet, box: Box) -> None:
    """A signature in ``box``."""
    x0, y0, x1, y1 = (round(value * sheet.scale) for value in box)
    mask = draw_signature(rng, max(8, x1 - x0), max(6, y1 - y0))
    ink_at(sheet.image, mask, x0, y0, (25, 25, int(rng.integers(30, 110))))


def rotated_word(text: str, face: str, size: float, angle: float) -> LoadedImage:
    """Coverage of one word turned by ``angle`` degrees, cut to its bounding box."""
    length = font(face, size).getlength(text)
    layer = TextLayer(round(length + size), round(size * 1.5))
    layer.write(size / 2, size * 1.1, text, face, size)
    mask = layer.mask()
    height, width = mask.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    new_w, new_h = int(width * cos + height * sin) + 1, int(width * sin + height * cos) + 1
    turn[:, 2] += (new_w / 2 - width / 2, new_h / 2 - height / 2)
    return cv2.warpAffine(mask, turn, (new_w, new_h))


def mark_specimen(rng: np.random.Generator, sheet: Sheet, box: Box) -> None:
    """Write SPECIMEN into ``box``, which must not touch the zone."""
    x0, y0, x1, y1 = box
    k = sheet.scale
    word = ("SPECIMEN", "SPECIMEN", "SPECIMEN", "SPECIMEN / MUSTER", "SPECIMEN VOID")[
        rng.integers(5)
    ]
    colours: list[Colour] = [(200, 30, 30), (30, 60, 160), (60, 60, 60), (20, 20, 20)]
    colour = colours[rng.integers(len(colours))]
    face = ("sans-bold", "serif-bold", "sans")[rng.integers(3)]
    style = rng.random()
    wide, high = (x1 - x0) * k, (y1 - y0) * k
    if style < 0.55:  # large and pale, aslant
        angle = float(rng.uniform(-8, 32))
        size = min(wide / (0.75 * len(word)), high * 0.45)
        mask = rotated_word(word, face, size, angle)
        strength = float(rng.uniform(0.25, 0.6))
    else:  # small and plain, or stamped
        angle = float(rng.choice([0.0, 0.0, 90.0, rng.uniform(-15, 15)]))
        size = min(rng.uniform(3, 6) * k, (wide if angle < 45 else high) / (0.8 * len(word)))
        mask = rotated_word(word, face, size, angle)
        strength = float(rng.uniform(0.6, 1.0))
        if style > 0.85:
            cv2.rectangle(
                mask, (0, 0), (mask.shape[1] - 1, mask.shape[0] - 1), 255, max(1, round(k / 3))
            )
    shrink = min(1.0, wide / mask.shape[1], high / mask.shape[0])
    if shrink < 1.0:
        mask = cv2.resize(mask, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    free_x, free_y = max(0.0, wide - mask.shape[1]), max(0.0, high - mask.shape[0])
    x, y = round(x0 * k + rng.uniform(0, 1) * free_x), round(y0 * k + rng.uniform(0, 1) * free_y)
    ink_at(sheet.image, mask, x, y, colour, strength)


def place_stamp(rng: np.random.Generator, sheet: Sheet, x: float, y: float) -> None:
    """An entry stamp with its middle at (x, y)."""
    k = sheet.scale
    wide, high = rng.uniform(26, 40) * k, rng.uniform(16, 30) * k
    layer = TextLayer(max(8, round(wide)), max(8, round(high)), condense=0.8)
    middle = wide / 2
    for row, text in enumerate(
        (
            wording.place_name(rng).upper(),
            wording.written_date(
                2000 + int(rng.integers(0, 30)),
                int(rng.integers(1, 13)),
                int(rng.integers(1, 29)),
                0,
            ),
            wording.digits(rng, 4),
        )
    ):
        size = layer.fit(text, "sans-bold", high * 0.2, wide * 0.6)
        layer.write(middle, high * (0.36 + 0.22 * row), text, "sans-bold", size, "ms")
    mask = np.ascontiguousarray(layer.mask())
    thick = max(1, round(0.4 * k))
    height, width = mask.shape
    if rng.random() < 0.5:
        cv2.rectangle(mask, (1, 1), (width - 2, height - 2), 255, thick)
    else:
        axes = (width // 2 - 2, height // 2 - 2)
        cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 255, thick, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-40, 40)), 0.85)
    mask = cv2.warpAffine(mask, turn, (width, height))
    colours: list[Colour] = [(60, 40, 130), (150, 30, 50), (20, 90, 80), (40, 40, 40)]
    corner = (round(x * k - width / 2), round(y * k - height / 2))
    ink_at(sheet.image, mask, *corner, colours[rng.integers(4)], float(rng.uniform(0.4, 0.85)))


def finish_text(sheet: Sheet, style: Typography) -> None:
    """Lay the two text layers on the sheet."""
    ink(sheet.image, sheet.labels.mask(), style.label_colour)
    ink(sheet.image, sheet.values.mask(), style.value_colour)
