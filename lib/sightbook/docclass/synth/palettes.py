"""Colours that go together, as designers of cards and forms put them together."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Colours of one design, RGB 0..255.

    Attributes:
        ground: the main colour.
        second: what the ground fades or changes to.
        accents: of the artwork.
        ink: of text, readable on the ground.
    """

    ground: Colour
    second: Colour
    accents: tuple[Colour, ...]
    ink: Colour


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB of a hue (turns, any number), saturation and value (clipped to 0..1)."""
    s, v = min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value))
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, s, v)
    return round(255 * red), round(255 * green), round(255 * blue)


def luminance(colour: Colour) -> float:
    """Perceived brightness, 0..255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of `b` in `a`."""
    red, green, blue = (round(x * (1 - share) + y * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def card_palette(rng: np.random.Generator) -> Palette:
    """Black, metal, deep, bright, pastel or white."""
    hue = rng.random()
    mood = rng.choice(
        ["black", "metal", "gold", "deep", "bright", "pastel", "white"],
        p=[0.16, 0.09, 0.08, 0.24, 0.2, 0.1, 0.13],
    )
    u = rng.random
    if mood == "black":
        tint = rng.uniform(0, 0.35)
        return _palette(rng, hue, (tint, 0.03 + 0.17 * u()), (tint, 0.06 + 0.3 * u()))
    if mood == "metal":
        return _palette(rng, hue, (0.02 + 0.1 * u(), 0.45 + 0.3 * u()), (0.05, 0.75 + 0.2 * u()))
    if mood == "gold":
        hue = rng.uniform(0.07, 0.14)
        return _palette(rng, hue, (0.3 + 0.3 * u(), 0.5 + 0.3 * u()), (0.3, 0.8 + 0.15 * u()))
    if mood == "deep":
        return _palette(rng, hue, (0.6 + 0.4 * u(), 0.2 + 0.35 * u()), (0.6, 0.4 + 0.4 * u()))
    if mood == "bright":
        return _palette(rng, hue, (0.6 + 0.4 * u(), 0.7 + 0.3 * u()), (0.5 + 0.4 * u(), 0.9))
    if mood == "pastel":
        return _palette(rng, hue, (0.1 + 0.2 * u(), 0.85 + 0.13 * u()), (0.2, 0.9))
    return _palette(rng, hue, (0.04 * u(), 0.92 + 0.08 * u()), (0.1 * u(), 0.85 + 0.12 * u()))


def paper_palette(rng: np.random.Generator, tint: float = 0.08) -> Palette:
    """Paper with a faint tint, dark print."""
    hue = rng.random()
    ground = hsv(hue, rng.uniform(0, tint), rng.uniform(0.88, 1.0))
    second = hsv(hue + rng.uniform(-0.15, 0.15), rng.uniform(tint / 2, 2.5 * tint), 0.9)
    accents = tuple(hsv(hue + shift, rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.8)) for shift in
                    (0.0, rng.uniform(-0.2, 0.2), rng.uniform(0.3, 0.7)))  # fmt: skip
    ink = hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.05, 0.3))
    return Palette(ground, second, accents, ink)


def _palette(
    rng: np.random.Generator,
    hue: float,
    ground: tuple[float, float],
    second: tuple[float, float],
) -> Palette:
    shift = rng.choice([0.0, 0.06, -0.06, 0.12, 0.5], p=[0.4, 0.2, 0.2, 0.1, 0.1])
    first, other = hsv(hue, *ground), hsv(hue + float(shift), *second)
    dark = luminance(first) < 130
    count = int(rng.integers(2, 6))
    spread = rng.choice([0.05, 0.2, 1.0])
    value = (0.65, 1.0) if dark else (0.25, 0.95)
    accents = tuple(
        hsv(hue + rng.uniform(-spread, spread), rng.uniform(0.0, 1.0), rng.uniform(*value))
        for _ in range(count)
    )
    grey = rng.uniform(0.85, 1.0) if dark else rng.uniform(0.0, 0.25)
    ink = hsv(hue, rng.uniform(0, 0.2), grey)
    if rng.random() < 0.15:
        ink = (214, 180, 110) if dark else hsv(hue, 0.8, 0.3)
    return Palette(first, other, accents, ink)
