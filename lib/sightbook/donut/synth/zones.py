"""Pictures of machine-readable zones as a finder hands them to the reader: nearly straight crops.

Sample ``index`` of seed ``seed`` is the same picture everywhere. Lengths are in units of the
character pitch wherever they can be, so that what is drawn does not depend on the resolution:
a zone is drawn at a working pitch, bent, tilted and blurred, reduced to its target pitch, and then
goes through sensor, scanner or copier, and the codecs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.donut.synth.backgrounds import lay_on_desk, paper, write_neighbours
from sightbook.donut.synth.people import random_lines
from sightbook.donut.synth.printing import print_lines
from sightbook.donut.synth.zone_fonts import random_font
from sightbook.synth import degrade

ZONE_STREAM = 0x20E5
"""Third word of the seed, so that zones and documents of one seed are unrelated."""

MAX_TILT = 4.0
"""Degrees by which a straightened zone may still be turned."""

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ZoneSample:
    """A picture of a zone and the truth about it.

    Attributes:
        image: uint8 ``[H, W]``, grey.
        lines: the text.
        type: one of ``mrz.TYPES``.
        line_quads: float32 ``[n_lines, 4, 2]``, pixels (x, y): top left, top right, bottom right,
            bottom left of each line, from the left edge of the first character cell to the right
            edge of the last, from capital height to baseline.
    """

    image: Gray
    lines: list[str]
    type: str
    line_quads: Floats


def render_zone(seed: int, index: int, difficulty: float = 1.0) -> ZoneSample:
    """Draw sample ``index`` of the endless set ``seed``.

    Args:
        seed: names the set.
        index: the sample, 0 and up.
        difficulty: 0 is clean OCR-B at 12 px and more a character, 1 the full range of fonts, wear,
            backgrounds, distortion, blur, noise and resolution (down to 5.5 px a character).
    """
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty is {difficulty}: expected 0 (easy) to 1 (full range)")
    rng = np.random.default_rng([seed, index, ZONE_STREAM])
    text = random_lines(rng)
    # Even a hard set has easy samples: what a picture suffers is drawn per picture.
    hardness = difficulty * math.sqrt(rng.uniform(0, 1))
    # TD3 documents are the larger ones: the same width in pixels leaves them less per character.
    smallest = 12 - 6.5 * difficulty
    target = math.exp(rng.uniform(math.log(smallest), math.log(26)))
    working = target if target > 14 else max(12.0, target * rng.uniform(1.3, 2.2))
    # Most crops are straight within a degree; scans and web pictures have no tilt at all.
    tilt = 0.0 if rng.random() < 0.25 else rng.normal(0, 1.3) * (0.3 + 0.7 * hardness)
    tilt = float(np.clip(tilt, -MAX_TILT, MAX_TILT))
    image, quads = _draw(rng, text.lines, text.type, working, hardness, tilt)
    image, quads = _view(rng, image, quads, working, hardness, tilt)
    image = _optics(rng, image, working, target, hardness)
    scale = target / working
    if scale < 1:
        image, quads = _resize(rng, image, quads, scale)
    image = _sensor(rng, image, target, hardness)
    image, quads = _publish(rng, image, quads, target, hardness)
    return ZoneSample(np.ascontiguousarray(image), text.lines, text.type, quads)


# --- the document --------------------------------------------------------------------------------


def _draw(
    rng: np.random.Generator,
    lines: list[str],
    type: str,
    pitch: float,
    hardness: float,
    tilt: float,
) -> tuple[Gray, Floats]:
    """Print the zone on its paper, with room around it for tilting by ``tilt`` degrees."""
    font = random_font(rng, variety=min(1.0, 0.3 + hardness))
    # TD3 has 1/4 inch and more between lines, cards mostly 1/6 inch (1.67 pitches).
    usual = 2.2 if type == "TD3" else 1.95 if type == "MRVA" else 1.75
    spacing = float(np.clip(usual * math.exp(rng.normal(0, 0.13)), 1.4, 2.9))
    zone = print_lines(rng, lines, pitch, font, line_spacing=spacing, wear=hardness)
    alpha, quads = zone.alpha, zone.line_quads
    rows, columns = alpha.shape
    slack = columns * math.tan(math.radians(abs(tilt))) / 2
    across, down = round(5 * pitch), round(5 * pitch + slack)
    width, height = columns + 2 * across, rows + 2 * down
    origin = np.array([across, down], dtype=np.float32)
    if rng.random() < 0.3:  # crooked on the page, whatever the page's own tilt
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), rng.normal(0, 0.5), 1.0)
        alpha = np.asarray(cv2.warpAffine(alpha, turn, (columns, rows)), dtype=np.uint8)
        quads = degrade.transform_points(quads, np.vstack([turn, (0, 0, 1)]))
    quads = quads + origin
    x0, y0 = (float(v) for v in quads.reshape(-1, 2).min(axis=0))
    x1, y1 = (float(v) for v in quads.reshape(-1, 2).max(axis=0))
    box = (x0, y0, x1, y1)

    level = rng.uniform(215, 255) if rng.random() < 0.6 else rng.uniform(130, 225)
    contrast = rng.uniform(0.75, 0.98) if rng.random() < 0.7 else rng.uniform(0.45, 0.8)
    contrast += (0.95 - contrast) * max(0.0, 0.5 - hardness)
    busy = rng.random() < 0.35 + 0.45 * hardness
    strength = (0.25 + 0.75 * hardness) * rng.uniform(10, 110) if busy else 0.0
    page = paper(rng, width, height, pitch, level, min(strength, 0.5 * contrast * level))
    if rng.random() < 0.2:  # a lighter strip is kept free for the zone
        top, bottom = round(box[1] - pitch * rng.uniform(0.5, 2)), round(box[3] + 2 * pitch)
        strip = page[max(0, top) : bottom]
        cv2.addWeighted(strip, rng.uniform(0, 0.6), np.full_like(strip, 250), 0.5, 20, strip)
    if rng.random() < 0.75:
        write_neighbours(rng, page, box, pitch)
    page = _ink(rng, page, alpha, (across, down), contrast)
    if rng.random() < 0.5:
        lay_on_desk(rng, page, box, pitch)
    if rng.random() < 0.15 * hardness:
        page = _overprint(rng, page, pitch, contrast)
    return page, quads.astype(np.float32)


def _ink(
    rng: np.random.Generator, page: Gray, alpha: Gray, corner: tuple[int, int], contrast: float
) -> Gray:
    """Lay the ink on the page: opaque, or letting the security print show through."""
    x, y = corner
    rows, columns = alpha.shape
    area = page[y : y + rows, x : x + columns]
    opaque = rng.random() < 0.6
    if opaque:
        level = float(np.median(area[::4, ::4])) * (1 - contrast)
        inked = np.full_like(area, round(level))
    else:
        inked = np.asarray(cv2.convertScaleAbs(area, alpha=1 - contrast), dtype=np.uint8)
    under = cv2.multiply(area, cv2.bitwise_not(alpha), scale=1 / 255)
    out = page.copy()
    out[y : y + rows, x : x + columns] = cv2.add(under, cv2.multiply(inked, alpha, scale=1 / 255))
    return out


def _overprint(rng: np.random.Generator, page: Gray, pitch: float, contrast: float) -> Gray:
    """Put something over the print: laminate pattern, a crease, dirt, scratches of light."""
    height, width = page.shape
    kind = rng.random()
    if kind < 0.4:
        pattern = paper(rng, width, height, pitch, 128, rng.uniform(10, 45) * contrast)
        return np.asarray(cv2.addWeighted(page, 1.0, pattern, 0.8, -102), dtype=np.uint8)
    out = page.copy()
    for _ in range(int(rng.integers(1, 5))):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, math.pi)
        reach = pitch * rng.uniform(2, 30)
        start = (round(x), round(y))
        end = (round(x + reach * math.cos(angle)), round(y + reach * math.sin(angle)))
        thick = max(1, round(pitch * rng.uniform(0.02, 0.12)))
        cv2.line(out, start, end, int(rng.integers(0, 256)), thick, cv2.LINE_AA)
    share = rng.uniform(0.2, 0.7)
    return np.asarray(cv2.addWeighted(page, 1 - share, out, share, 0), dtype=np.uint8)


# --- the view ------------------------------------------------------------------------------------


def _view(
    rng: np.random.Generator,
    page: Gray,
    quads: Floats,
    pitch: float,
    hardness: float,
    tilt: float,
) -> tuple[Gray, Floats]:
    """Curl, light, tilt and perspective, and the cut around the zone."""
    height, width = page.shape
    if rng.random() < 0.25 * hardness:
        page, quads = _curl(rng, page, quads, pitch, hardness)
    if rng.random() < 0.35:
        page = degrade.uneven_light(page, rng, rng.uniform(0.05, 0.6) * hardness)
    if rng.random() < 0.12 * hardness:
        page = degrade.cast_shadow(page, rng, rng.uniform(0.2, 0.7))
    # Seen squarely, as by a scanner, or by a camera held by hand.
    strength = rng.uniform(0, 0.12) * hardness if tilt else 0.0
    view = degrade.random_perspective(rng, (width, height), strength, 0.0)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1.0)
    view = np.vstack([turn, (0, 0, 1)]) @ view
    seen = degrade.transform_points(quads, view)
    low, high = seen.reshape(-1, 2).min(axis=0), seen.reshape(-1, 2).max(axis=0)
    # The finder leaves some margin, often uneven.
    margins = pitch * np.clip(rng.exponential(1.2, 4) + 0.6, 0.6, 4.8)
    low, high = np.floor(low - margins[:2]), np.ceil(high + margins[2:])
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    cut = degrade.warp(page, shift @ view, size, "reflect")
    return cut, degrade.transform_points(quads, shift @ view)


def _curl(
    rng: np.random.Generator, page: Gray, quads: Floats, pitch: float, hardness: float
) -> tuple[Gray, Floats]:
    """Bend the lines as a page does that is not flat: every column moves up or down."""
    height, width = page.shape
    xs = np.arange(width, dtype=np.float32)
    wave = rng.uniform(0.3, 1.2) * math.pi / width
    phase = rng.uniform(0, 2 * math.pi)
    amplitude = hardness * pitch * rng.uniform(0.1, 0.7)

    def rise(x: Floats) -> Floats:
        return (amplitude * np.sin(wave * x + phase)).astype(np.float32)

    map_x = np.repeat(xs[None], height, axis=0)
    map_y = np.arange(height, dtype=np.float32)[:, None] + rise(xs)[None]
    bent = cv2.remap(page, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    moved = quads.copy()
    moved[..., 1] -= rise(quads[..., 0])
    return np.asarray(bent, dtype=np.uint8), moved


def _optics(
    rng: np.random.Generator, image: Gray, pitch: float, target: float, hardness: float
) -> Gray:
    """Blur by lens and hand, and reflections. ``pitch`` is the picture's, ``target`` the final."""
    # A character is legible while the blur stays below about 0.13 pitch, that of pixels included.
    pixel = 0.35 / target
    room = math.sqrt(max(0.0, 0.13**2 - pixel**2)) * hardness
    kind = rng.random()
    amount = room * rng.uniform(0, 1) * pitch
    if kind < 0.35:
        image = degrade.gaussian_blur(image, amount)
    elif kind < 0.5:
        image = degrade.defocus_blur(image, 2 * amount)
    elif kind < 0.65:
        angle = rng.uniform(0, 180)
        # Blur along the line merges neighbours, across it only thickens strokes.
        image = degrade.motion_blur(image, (3.0 if abs(angle - 90) < 45 else 2.4) * amount, angle)
    if rng.random() < 0.14 * hardness:
        image = degrade.glare(image, rng, rng.uniform(0.2, 0.7))
    return image


def _resize(
    rng: np.random.Generator, image: Gray, quads: Floats, scale: float
) -> tuple[Gray, Floats]:
    """Scale by about ``scale`` (whole pixels) with one of the filters that programs use."""
    height, width = image.shape
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    linear, cubic = cv2.INTER_LINEAR, cv2.INTER_CUBIC
    if scale < 0.6:  # without a prefilter the others would drop strokes
        filters = {cv2.INTER_AREA: 1.0}
    elif scale < 1:
        filters = {cv2.INTER_AREA: 0.7, linear: 0.15, cubic: 0.15}
    else:
        filters = {linear: 0.4, cubic: 0.35, cv2.INTER_LANCZOS4: 0.1, cv2.INTER_NEAREST: 0.15}
    chosen = int(rng.choice(list(filters), p=list(filters.values())))
    out = np.asarray(cv2.resize(image, size, interpolation=chosen), dtype=np.uint8)
    ratio = np.array([size[0] / width, size[1] / height], dtype=np.float32)
    half = np.float32(0.5)
    return out, (quads + half) * ratio - half


# --- the picture ---------------------------------------------------------------------------------


def _sensor(rng: np.random.Generator, image: Gray, pitch: float, hardness: float) -> Gray:
    """Tones and noise of a camera or scanner; some pictures are copies or black and white."""
    kind = rng.random()
    if kind < 0.1 * hardness:
        image = degrade.photocopy(image, rng, rng.uniform(0.2, 1.0))
    elif kind < 0.16 * hardness and pitch > 8:
        window = pitch * rng.uniform(1.5, 4) if rng.random() < 0.7 else 0
        image = degrade.binarize(image, window, rng.uniform(6, 25))
        image = degrade.gaussian_blur(image, rng.uniform(0, 0.06) * pitch)
    if rng.random() < 0.4:
        image = degrade.gamma(image, math.exp(rng.uniform(-0.5, 0.5) * hardness))
    if rng.random() < 0.4:
        bias = rng.uniform(-40, 40) * hardness
        image = degrade.contrast(image, 1 - rng.uniform(-0.3, 0.5) * hardness, bias)
    if rng.random() < 0.5:
        # Noise that drowns the print teaches nothing; small print drowns sooner.
        spread = float(image[::2, ::2].std())
        sigma = rng.uniform(0, min(18.0, spread * 0.04 * pitch)) * hardness
        grain = 1.0 if rng.random() < 0.6 else rng.uniform(1.2, 2.5)
        image = degrade.noise(image, rng, sigma, grain)
    return image


def _publish(
    rng: np.random.Generator, image: Gray, quads: Floats, pitch: float, hardness: float
) -> tuple[Gray, Floats]:
    """Sharpening, codecs and a change of size on the way to the reader."""
    if rng.random() < 0.25:
        image = degrade.sharpen(image, rng.uniform(0.3, 1.5), rng.uniform(0.6, 1.5))
    if rng.random() < 0.6:
        image = degrade.jpeg(image, round(95 - 70 * hardness * rng.uniform(0, 1) ** 1.5))
    chance = rng.random()
    if pitch < 13 and chance < 0.35:
        image, quads = _resize(rng, image, quads, rng.uniform(1.2, 2.5))
    elif pitch > 11 and chance < 0.2:
        image, quads = _resize(rng, image, quads, rng.uniform(0.6, 1.0))
    if rng.random() < 0.35:
        image = degrade.jpeg(image, round(95 - 55 * hardness * rng.uniform(0, 1)))
    return image, quads.astype(np.float32)
