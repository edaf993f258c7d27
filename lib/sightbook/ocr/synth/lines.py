"""Lines of text as the engine cuts them out of pages: drawn small, worn, cut along shaky boxes.

A line is drawn at the size it would have on a page (often ten pixels high), worn there, and then
cut and enlarged just as the engine does it: whatever a recogniser will meet after a detector that
is a pixel off. Line i of seed s is the same picture everywhere, as long as the faces are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.recognition.alphabet import PRESETS, Encoder
from sightbook.ocr.synth.texts import Texts
from sightbook.synth import degrade
from sightbook.synth.fonts import Face, faces
from sightbook.synth.lettering import text_advance, text_ink

LINE_HEIGHT = 64
MIN_WIDTH, MAX_WIDTH = 10, 2400

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class LineSettings:
    """What lines are made of.

    Attributes:
        alphabet: only texts in it are drawn.
        faces: to choose from.
        words: the user's own, most frequent first; empty for the built-in ones alone.
        random_share: share of lines that are random strings over the whole alphabet.
        max_chars: of a line.
        wear: from 0 (as printed) to 1 (everything that happens to pages).
    """

    alphabet: str = PRESETS["ocrs"]
    faces: Sequence[Face] = field(default_factory=faces)
    words: Sequence[str] = ()
    random_share: float = 0.15
    max_chars: int = 64
    wear: float = 1.0


@dataclass(frozen=True)
class LineSample:
    """A line's picture, uint8 grey ``[64, W]``, and what it says."""

    image: Gray
    text: str


@dataclass(frozen=True)
class _Plan:
    """What will be set, and how: a text, in a face and size, with blanks and spacing in pixels."""

    text: str
    face: Face
    size: int
    blank: float
    spacing: float


def line_width(seed: int, index: int, settings: LineSettings) -> float:
    """About how many columns line `index` has, without drawing it: so batches are made by width."""
    plan = _plan(np.random.default_rng([seed, index, 1]), seed, index, settings)
    words = plan.text.split(" ")
    wide = sum(text_advance(word, plan.face.path, plan.size) for word in words)
    wide += plan.blank * (len(words) - 1) + plan.spacing * len(plan.text)
    below = 0.22 if set(plan.text) & set("gjpqy(),;[]{}|") else 0.0
    # Boxes are a quarter larger than letters: they grow on both sides.
    tall = 1.25 * plan.size * (plan.face.cap_height + below)
    return min(max(LINE_HEIGHT * wide / tall, MIN_WIDTH), MAX_WIDTH)


def line_length(seed: int, index: int, max_chars: int = 64) -> int:
    """About how many characters line `index` has."""
    rng = np.random.default_rng([seed, index, 0])
    draw = rng.random()
    if draw < 0.3:
        return min(int(rng.integers(1, 11)), max_chars)
    top = max_chars if draw > 0.75 else (max_chars + 8) // 2
    return int(rng.integers(min(6, top), top + 1))


def render_line(seed: int, index: int, settings: LineSettings) -> LineSample:
    """Draw one line.

    Args:
        seed: of the series.
        index: within the series.
        settings: what lines are made of.
    """
    rng = np.random.default_rng([seed, index, 1])
    plan = _plan(rng, seed, index, settings)
    text, face, size = plan.text, plan.face, plan.size
    mask, boxes = _set(plan)
    wear = settings.wear * rng.random() ** 0.7
    if rng.random() < 0.5 * settings.wear:
        mask = _clutter(rng, mask, boxes, face, size)
    image = _printed(rng, mask, size, wear)
    image, quads = _tilted(rng, image, boxes, wear)
    image = _worn(rng, image, size, wear)
    return LineSample(_cut(rng, image, quads, wear), text)


def _plan(rng: np.random.Generator, seed: int, index: int, settings: LineSettings) -> _Plan:
    text = _text(rng, line_length(seed, index, settings.max_chars), settings)
    face = _face(rng, text, settings.faces)
    size = _size(rng)
    blank = size * rng.uniform(0.22, 0.5)
    if rng.random() < 0.08:
        blank *= rng.uniform(1.5, 4)
    spacing = rng.uniform(0.5, 3) * size / 14 if rng.random() < 0.06 else 0.0
    return _Plan(text, face, size, blank, spacing)


def _text(rng: np.random.Generator, length: int, settings: LineSettings) -> str:
    """A text of about that many characters within the alphabet."""
    texts = Texts(rng, settings.alphabet, settings.words)
    blanks = " " in settings.alphabet
    if rng.random() >= settings.random_share:
        encoder = Encoder(settings.alphabet, "drop")
        for _ in range(3):
            text = encoder.normalise(texts.line(length)) or ""
            if text and len(text) >= length // 2:
                return text
    text = texts.random_string(length)
    if blanks:
        marks = rng.random(length) < 0.15
        text = "".join(" " if mark else c for c, mark in zip(text, marks, strict=True))
    return " ".join(text.split()) or texts.random_string(1)


def _face(rng: np.random.Generator, text: str, known: Sequence[Face]) -> Face:
    """A face that has all characters; the one that has most of them if there is none."""
    for _ in range(8):
        face = known[int(rng.integers(len(known)))]
        if face.covers(text):
            return face
    return max(known, key=lambda face: len(face.characters.intersection(text)))


def _size(rng: np.random.Generator) -> int:
    """Size in pixels: mostly that of print on a page of about a thousand rows, some large."""
    draw = rng.random()
    if draw < 0.65:
        return int(rng.integers(10, 21))
    return int(rng.integers(20, 29)) if draw < 0.9 else int(rng.integers(28, 49))


def _set(plan: _Plan) -> tuple[Gray, NDArray[np.float32]]:
    """Set a line: coverage with margins all round, and the boxes x0, y0, x1, y1 of its words."""
    face, size, spaced = plan.face, plan.size, plan.spacing
    margin = int(size * 1.1) + 2
    pieces: list[tuple[Gray, int, int]] = []
    boxes = []
    pen = float(margin)
    for word in plan.text.split(" "):
        start = len(pieces)
        for letters in word if spaced else (word,):
            drawn = text_ink(letters, face.path, size)
            if drawn.mask.size:
                pieces.append((drawn.mask, round(pen) + drawn.left, drawn.top))
            pen += drawn.advance + spaced
        own = pieces[start:]
        if own:
            boxes.append(
                (
                    min(x for _, x, _ in own),
                    min(y for _, _, y in own),
                    max(x + mask.shape[1] for mask, x, _ in own),
                    max(y + mask.shape[0] for mask, _, y in own),
                )
            )
        pen += plan.blank
    if not boxes:  # a face without these characters: an empty line is honest enough
        boxes = [(margin, -size, int(pen) + 1, 0)]
    top = min(box[1] for box in boxes) - margin
    width = max(int(pen), max(box[2] for box in boxes)) + margin
    canvas = np.zeros((max(box[3] for box in boxes) - top + margin, width), np.uint8)
    for mask, left, y in pieces:
        x = max(left, 0)
        part = canvas[y - top : y - top + mask.shape[0], x : x + mask.shape[1]]
        np.maximum(part, mask[:, : part.shape[1]], out=part)
    placed = np.array(boxes, np.float32)
    placed[:, 1::2] -= top
    return canvas, placed


def _clutter(
    rng: np.random.Generator, mask: Gray, boxes: NDArray[np.float32], face: Face, size: int
) -> Gray:
    """What stands near text on pages: rules, dots, boxes, the lines above and below."""
    height, width = mask.shape
    base, top = int(np.median(boxes[:, 3])), int(boxes[:, 1].min())
    left, right = int(boxes[0, 0]), int(boxes[-1, 2])
    thick = max(1, round(size / rng.uniform(9, 20)))
    strength = int(rng.integers(120, 256))
    draw = rng.random()
    if draw < 0.35:  # underline, ruled or dotted
        y = min(base + int(rng.integers(1, 3 + size // 5)), height - thick)
        x0, x1 = (0, width) if rng.random() < 0.5 else (left, right)
        rule = mask[y : y + thick, x0:x1]
        if rng.random() < 0.4:
            step = int(rng.integers(3, 8))
            rule[:, ::step] = strength
            rule[:, 1::step] = strength
        else:
            np.maximum(rule, strength, out=rule)
    elif draw < 0.55:  # a box of a form or the cell of a table
        gap = int(rng.integers(2, 3 + size // 2))
        y0, y1 = max(top - gap, 0), min(int(boxes[:, 3].max()) + gap, height - 1)
        x0 = max(left - int(rng.integers(1, size + 2)), 0)
        x1 = width - 1 if rng.random() < 0.5 else min(right + gap, width - 1)
        cv2.rectangle(mask, (x0, y0), (x1, y1), strength, thick)
    elif draw < 0.65:  # a vertical rule close to an end
        x = max(left - int(rng.integers(2, size)), 0) if rng.random() < 0.5 else right + 2
        mask[:, min(x, width - thick) : min(x, width - thick) + thick] = strength
    else:  # neighbours
        for sign in rng.permutation([-1, 1])[: int(rng.integers(1, 3))]:
            word = Texts(rng).line(max(3, int(width / (0.55 * size))))
            drawn = text_ink(word, face.path, size)
            if not drawn.mask.size:
                continue
            pitch = round(size * rng.uniform(1.05, 1.5)) * int(sign)
            y = base + pitch + drawn.top
            x = int(rng.integers(0, max(width - drawn.mask.shape[1], 1)))
            rows = slice(max(-y, 0), max(min(drawn.mask.shape[0], height - y), 0))
            cut = drawn.mask[rows, : width - x]
            if cut.size:
                part = mask[max(y, 0) : max(y, 0) + cut.shape[0], x : x + cut.shape[1]]
                np.maximum(part, cut, out=part)
    return mask


def _printed(rng: np.random.Generator, mask: Gray, size: int, wear: float) -> Gray:
    """Ink on paper, or light letters on a dark screen; strokes thinner or fatter."""
    draw = rng.random()
    if draw < 0.14 * (0.4 + wear):
        fat = cv2.dilate(mask, np.ones((2, 2) if size > 17 else (1, 2), np.uint8))
        if size < 14:
            fat = cv2.addWeighted(mask, 0.4, fat, 0.6, 0)
        mask = np.asarray(fat, np.uint8)
    elif draw < 0.22 * (0.4 + wear):
        thin = cv2.erode(mask, np.ones((2, 1) if rng.random() < 0.5 else (1, 2), np.uint8))
        # Hairlines would vanish altogether.
        mask = np.asarray(cv2.addWeighted(mask, 0.45, thin, 0.55, 0), np.uint8)
    paper = 255 - 110 * wear * rng.random()
    dark = paper * rng.random() * (0.1 + 0.55 * wear)
    if rng.random() < 0.1:
        paper, dark = dark, max(paper, dark + 60)
    span = np.arange(256, dtype=np.float32) / 255
    levels = np.clip(paper + (dark - paper) * span, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(mask, levels), np.uint8)


def _tilted(
    rng: np.random.Generator, image: Gray, boxes: NDArray[np.float32], wear: float
) -> tuple[Gray, NDArray[np.float32]]:
    """Turn, shear and bend a little; words become quadrilaterals ``[k, 4, 2]``."""
    quads = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    if rng.random() > 0.25 + 0.4 * wear:
        return image, quads
    height, width = image.shape
    angle = rng.normal(0, 0.9) if rng.random() < 0.85 else rng.uniform(-4, 4)
    # A long line must stay within its canvas, whose margins are about its height.
    limit = float(np.degrees(np.arctan(0.7 * height / width)))
    angle = float(np.clip(angle, -limit, limit))
    scale = rng.uniform(0.94, 1.06)
    matrix = np.array(cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale), np.float64)
    shear = rng.normal(0, 0.04) if rng.random() < 0.8 else rng.uniform(-0.25, 0.25)
    matrix[:, 1] += shear * matrix[:, 0]
    matrix[:, 2] -= shear * matrix[:, 0] * height / 2
    edge = int(np.median(image[:, 0]))
    turned = cv2.warpAffine(image, matrix, (width, height), borderValue=edge)
    points = cv2.transform(quads.reshape(1, -1, 2), matrix).reshape(-1, 4, 2)
    return np.asarray(turned, np.uint8), np.asarray(points, np.float32)


def _worn(rng: np.random.Generator, image: Gray, size: int, wear: float) -> Gray:
    """Scanning, copying, faxing, filming, compressing."""
    unit = size / 16
    if rng.random() < 0.55 * wear:
        image = degrade.gaussian_blur(image, rng.uniform(0.25, 0.95) * unit**0.7)
    if rng.random() < 0.25 * wear:
        image = degrade.uneven_light(image, rng, rng.uniform(0.1, 0.5))
    if rng.random() < 0.3 * wear and size > 11:
        factor = rng.uniform(1.1, min(2.0, size / 9))
        small = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        back = cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        image = np.asarray(back, np.uint8)
    if rng.random() < 0.5 * wear:
        image = degrade.noise(image, rng, rng.uniform(2, 24), rng.choice([1.0, 1.6]))
    if rng.random() < 0.3 * wear:
        image = _faxed(rng, image)
    elif rng.random() < 0.25 * wear:
        image = degrade.jpeg(image, int(rng.integers(18, 85)))
    return image


def _faxed(rng: np.random.Generator, image: Gray) -> Gray:
    """Black and white by a threshold that misses; then specks, then grey again by a scanner."""
    low, high = np.percentile(image, (1, 99))
    level = low + (high - low) * rng.uniform(0.35, 0.75)
    faxed = np.where(image > level, np.uint8(255), np.uint8(0))
    if not 0.25 < (faxed == faxed[0, 0]).mean() < 0.97:
        return image  # nobody could read what is left
    if rng.random() < 0.5:
        speck = rng.random(image.shape, np.float32) < rng.uniform(0.0005, 0.02)
        faxed = np.where(speck, 255 - faxed, faxed)
    if rng.random() < 0.6:
        faxed = degrade.gaussian_blur(faxed, rng.uniform(0.3, 0.7))
    return faxed


def _cut(rng: np.random.Generator, image: Gray, quads: NDArray[np.float32], wear: float) -> Gray:
    """Cut a line out along the boxes a detector would have found, and bring it to 64 rows."""
    tall = float(np.median(np.ptp(quads[..., 1], 1))) + 1
    grow = rng.uniform(-0.04, 0.26, 2) * tall
    shake = 0.05 * wear * tall
    found = []
    rest = list(quads)
    while rest:
        own = [rest.pop(0)]
        while rest and rng.random() < 0.12:  # the detector took two words for one
            own.append(rest.pop(0))
        points = np.concatenate(own)
        x0, y0 = points.min(0) - grow + rng.normal(0, shake, 2)
        x1, y1 = points.max(0) + grow + rng.normal(0, shake, 2)
        slope = 0.0
        if len(quads) > 1 or x1 - x0 > 3 * tall:
            along = points[1] - points[0]
            slope = float(along[1] / max(along[0], 1.0))
        lean = slope * (x1 - x0) / 2
        inner = abs(lean)
        found.append(
            [
                [(x0, y0 + inner - lean), (x1, y0 + inner + lean)],
                [(x0, y1 - inner - lean), (x1, y1 - inner + lean)],
            ]
        )
    sides = np.array(found, np.float32)
    outline = np.concatenate([sides[:, 0].reshape(-1, 2), sides[:, 1].reshape(-1, 2)[::-1]])
    return cut_line(image, outline.astype(np.int32))


def cut_line(image: Gray, outline: NDArray[np.int32]) -> Gray:
    """The inside of an outline, black around it, at 64 rows with its aspect kept.

    Args:
        image: uint8 grey ``[H, W]``.
        outline: int32 ``[n, 2]``; may reach beyond the picture.
    """
    height, width = image.shape
    x0, y0 = np.maximum(outline.min(0), 0)
    x1, y1 = np.minimum(outline.max(0), (width, height))
    if x1 <= x0 or y1 <= y0:
        return np.zeros((LINE_HEIGHT, MIN_WIDTH), np.uint8)
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(inside, [outline - (x0, y0)], 255)
    cut = cv2.bitwise_and(image[y0:y1, x0:x1], inside)
    wide = int(np.clip(LINE_HEIGHT * (x1 - x0) / (y1 - y0), MIN_WIDTH, MAX_WIDTH))
    large = cv2.resize(cut, (wide, LINE_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)
