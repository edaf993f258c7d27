"""The head of a cartridge seen straight on: relief, metal, dirt and the light on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.headstamps.synth.layouts import Mark, Plan
from sightbook.headstamps.synth.letters import Letter, place, strike
from sightbook.headstamps.synth.metal import Floats, Room, metal_colour, reflect, slopes
from sightbook.synth.backgrounds import clouds

LoadedImage = NDArray[np.uint8]

_SHALLOW = 0.5  # share of heads whose letters are struck so lightly that only edges show

MARGIN = 1.06
"""Half the picture's side over the head's radius."""

_METALS = {
    "pistol": (("brass", 0.68), ("nickel", 0.16), ("steel", 0.1), ("aluminium", 0.06)),
    "rifle": (("brass", 0.78), ("nickel", 0.08), ("steel", 0.14)),
    "military": (("brass", 0.68), ("steel", 0.32)),
    "shotshell": (("brass", 0.55), ("nickel", 0.25), ("steel", 0.1), ("aluminium", 0.1)),
    "rimfire": (("brass", 0.75), ("nickel", 0.2), ("copper", 0.05)),
}


@dataclass(frozen=True)
class SyntheticHead:
    """A head as it is drawn.

    Attributes:
        image: uint8 RGB ``[size, size, 3]``; the head's centre is the picture's.
        radius: of the head, pixels.
        letters: places of each stamp's letters, as `plan.stamps`.
        metal: colour of the case, float32 ``[3]``.
    """

    image: LoadedImage
    radius: float
    letters: tuple[tuple[Letter, ...], ...]
    metal: Floats


@dataclass(frozen=True)
class _Polar:
    x: Floats
    y: Floats
    r: Floats


def draw_head(
    rng: np.random.Generator, plan: Plan, radius: float, room: Room, tilt: tuple[float, float]
) -> SyntheticHead:
    """Draw a head.

    Args:
        rng: the only source of chance.
        plan: what stands on it.
        radius: in pixels; about as large as it will be seen, or it is drawn for nothing.
        room: the light.
        tilt: slope by which the head leans against the line of sight: which part of the room its
            flat shows.
    """
    size = 2 * math.ceil(radius * MARGIN) + 1
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / np.float32(radius)
    x, y = np.meshgrid(axis, axis)
    polar = _Polar(x, y, np.sqrt(x**2 + y**2))
    metal = metal_colour(rng, _metal(rng, plan))
    letters = tuple(tuple(place(stamp, plan.die, rng)) for stamp in plan.stamps)
    wear = float(rng.random() ** 1.3)

    struck = strike(size, radius, [one for each in letters for one in each], plan.die)
    for mark in plan.marks:
        np.maximum(struck, _mark(rng, size, radius, mark), out=struck)
    shallow = rng.random() < _SHALLOW
    groove, cut = _grooves(rng, struck, radius, plan, shallow)
    relief = groove + _body_relief(rng, polar, plan) * np.float32(radius)
    relief += _scratches(rng, size, radius, wear)
    for _ in range(int(rng.integers(0, 5) * wear)):  # dents
        dx, dy = rng.normal(0, 0.5, 2)
        wide = rng.uniform(0.02, 0.08)
        spot = np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * wide**2))
        relief -= (rng.uniform(0.005, 0.02) * radius * spot).astype(np.float32)

    slope_x, slope_y = slopes(relief)
    # what shows by its edges alone shows on fine metal only
    grain = rng.uniform(0.003, 0.016 if shallow else 0.07)
    rough = rng.standard_normal((2, size, size)).astype(np.float32)
    turned = np.cos(polar.r * np.float32(rng.uniform(60, 200)) + 3 * clouds(rng, x.shape, 6, 1))
    turned *= np.float32(rng.uniform(0, 0.09) if rng.random() < 0.5 else 0.0)
    safe = np.maximum(polar.r, 0.02)
    slope_x += grain * rough[0] + turned * x / safe + np.float32(tilt[0])
    slope_y += grain * rough[1] + turned * y / safe + np.float32(tilt[1])
    wide = float(rng.uniform(0.06, 0.18 if shallow else 0.3))
    light = reflect(room, slope_x, slope_y, wide)
    # What does not mirror is lit by the main lamp alone.
    lamp = np.clip(0.55 - 0.4 * (slope_x * room.towards[0] + slope_y * room.towards[1]), 0, 1)
    matt = np.float32(rng.uniform(0.05, 0.35))
    light = (1 - matt) * light + matt * lamp[..., None].astype(np.float32)
    colour = _colours(rng, polar, plan, metal)
    shade = _dirt(rng, polar, plan, cut, wear, 0.35 if shallow else 1.0)
    lit = light * colour * shade * room.warmth
    exposure = rng.uniform(0.65, 1.2)
    # Film's shoulder: reflections of lamps burn out softly.
    toned = 255 * (1 - np.exp(-1.5 * exposure * np.maximum(lit, 0)))
    return SyntheticHead(np.clip(toned, 0, 255).astype(np.uint8), radius, letters, metal)


def _metal(rng: np.random.Generator, plan: Plan) -> str:
    names, shares = zip(*_METALS[plan.kind], strict=True)
    return str(names[int(rng.choice(len(names), p=shares))])


def _grooves(
    rng: np.random.Generator, struck: LoadedImage, radius: float, plan: Plan, shallow: bool
) -> tuple[Floats, Floats]:
    """Relief of the letters in pixels, and how deep each place lies, 0..1.

    Shallow letters have the ground's tone and show by their edges alone, bright towards the light
    and dark across from it.
    """
    thick = plan.die.weight * (plan.stamps[0].height if plan.stamps else 0.2) * radius
    cover = struck.astype(np.float32) / 255
    edge = max(0.45, thick * rng.uniform(0.12, 0.4))
    cut = np.asarray(cv2.GaussianBlur(cover, (0, 0), edge), np.float32)
    # Some places were struck less deep, and worn heads lost all of a side.
    uneven = 1.0 + rng.uniform(0, 0.35) * clouds(rng, cut.shape, 2, 1)
    depth = (rng.uniform(0.3, 0.85) if shallow else rng.uniform(0.35, 1.7)) * edge * 2.5
    relief = -np.float32(depth) * cut * np.clip(uneven, 0.25, 1.4)
    if rng.random() < 0.6:  # the metal that gave way stands up beside the letter
        wide = np.asarray(cv2.GaussianBlur(cover, (0, 0), 2.2 * edge), np.float32)
        relief += np.float32(rng.uniform(0.2, 0.6) * depth) * np.maximum(wide - 0.6 * cut, 0)
    return relief.astype(np.float32), cut


def _body_relief(rng: np.random.Generator, polar: _Polar, plan: Plan) -> Floats:
    """Rim, face, primer: heights over the radius."""
    r = polar.r
    bevel = rng.uniform(0.02, 0.07)
    height = -np.float32(rng.uniform(0.3, 0.9)) * np.maximum(r - (1 - bevel), 0) ** 2 / bevel
    bow = rng.uniform(-0.16, 0.16)  # faces are never quite flat
    height += np.float32(bow) * r**2
    height += np.float32(rng.uniform(0, 0.004)) * clouds(rng, r.shape, 4, 2)
    if rng.random() < 0.3:  # a raised or sunk ring of the maker's tool
        at, wide = rng.uniform(0.5, 0.95), rng.uniform(0.008, 0.03)
        height += np.float32(rng.uniform(-0.01, 0.01)) * np.exp(-(((r - at) / wide) ** 2))
    if not plan.primer:
        if rng.random() < 0.5:
            height -= np.float32(0.02) * _step(0.6 - r, 0.1)
        return height.astype(np.float32)
    p = plan.primer
    # The pocket's bevel, the crevice, the primer's rounded edge.
    height -= np.float32(rng.uniform(0.01, 0.04)) * np.exp(-(((r - p) / 0.018) ** 2))
    sunk = rng.uniform(0.0, 0.02)
    height -= np.float32(sunk) * _step(p - r, 0.02)
    if plan.kind == "shotshell":
        cup, cap = p * rng.uniform(0.72, 0.85), p * rng.uniform(0.42, 0.6)
        height -= np.float32(rng.uniform(0.005, 0.02)) * np.exp(-(((r - cup) / 0.016) ** 2))
        height -= np.float32(rng.uniform(0.01, 0.035)) * np.exp(-(((r - cap) / 0.02) ** 2))
        inner = np.maximum(cap - r, 0)
        height += np.float32(rng.uniform(-0.35, 0.5)) * inner**2 / cap
    else:
        edge = rng.uniform(0.04, 0.12)
        height -= (
            np.float32(rng.uniform(0.1, 0.6))
            * np.maximum(edge - np.abs(p - r), 0) ** 2
            / edge
            * (r < p)
        )
        height += np.float32(rng.uniform(-0.06, 0.06)) * np.maximum(p - r, 0) ** 2 / p
    if rng.random() < 0.55:  # fired: the pin's dent, rarely in the middle exactly
        dx, dy = rng.normal(0, 0.025, 2)
        wide = rng.uniform(0.05, 0.11)
        away = np.sqrt((polar.x - dx) ** 2 + (polar.y - dy) ** 2)
        dent = _step(wide - away, 0.05)
        height -= np.float32(rng.uniform(0.03, 0.1)) * dent
        height += np.float32(rng.uniform(0, 0.02)) * np.exp(-(((away - wide * 1.4) / 0.03) ** 2))
    return height.astype(np.float32)


def _step(distance: Floats, soft: float) -> Floats:
    """From 0 to 1 where a distance crosses zero."""
    t = np.clip(distance / np.float32(soft) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _scratches(rng: np.random.Generator, size: int, radius: float, wear: float) -> Floats:
    """Fine lines across the face, in pixels of height."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.poisson(14 * wear))):
        at = rng.uniform(0, size, 2)
        turn, long = rng.uniform(0, 2 * math.pi), rng.exponential(0.25) * radius
        bend = rng.normal(0, 0.15)
        points = [
            at + t * long * np.array([math.cos(turn + bend * t), math.sin(turn + bend * t)])
            for t in np.linspace(0, 1, 5)
        ]
        fixed = np.round(np.array(points) * 16).astype(np.int32)
        shade = int(rng.integers(60, 255))
        cv2.polylines(canvas, [fixed], False, shade, 1, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) * np.float32(-rng.uniform(0.2, 0.7) / 255)


def _colours(rng: np.random.Generator, polar: _Polar, plan: Plan, metal: Floats) -> Floats:
    """Colour of each place's metal: the case, the primer, and the cups of shotshells."""
    colour = np.broadcast_to(metal, (*polar.r.shape, 3)).copy()
    if not plan.primer:
        return colour
    same = rng.random() < (0.45 if plan.kind != "shotshell" else 0.15)
    other = str(rng.choice(["brass", "nickel", "copper"], p=[0.35, 0.4, 0.25]))
    primer = metal if same else metal_colour(rng, other)
    soft = 0.012
    inside = _step(np.float32(plan.primer) - polar.r, soft)[..., None]
    colour += inside * (primer - colour)
    if plan.kind == "shotshell":
        cap = metal_colour(rng, str(rng.choice(["brass", "nickel", "copper"], p=[0.35, 0.4, 0.25])))
        inside = _step(np.float32(plan.primer * rng.uniform(0.5, 0.75)) - polar.r, soft)[..., None]
        colour += inside * (cap - colour)
    elif rng.random() < 0.25:  # sealing lacquer around the primer
        lacquer = np.array(
            [(0.7, 0.1, 0.1), (0.15, 0.45, 0.2), (0.5, 0.2, 0.5), (0.1, 0.1, 0.12)][
                int(rng.integers(4))
            ],
            np.float32,
        )
        ring = np.exp(-(((polar.r - plan.primer) / np.float32(rng.uniform(0.015, 0.04))) ** 2))
        colour += 0.8 * ring[..., None] * (lacquer - colour)
    return colour


def _dirt(
    rng: np.random.Generator, polar: _Polar, plan: Plan, cut: Floats, wear: float, share: float
) -> Floats:
    """By what the light of each place is multiplied: tarnish, grime, spots, shade in hollows.

    `share` of the usual is in the letters and in fine spots.
    """
    shape = polar.r.shape
    brown = np.array([0.62, 0.5, 0.4], np.float32)
    shade = np.ones((*shape, 3), np.float32)
    tarnish = np.clip(rng.uniform(0.0, 1.0) * wear * (0.4 + 0.6 * clouds(rng, shape, 3, 5)), 0, 0.9)
    shade += tarnish[..., None] * (brown - 1)
    # Grime stays in letters and along the crevice; in bright new ones it is only the shade.
    filled = rng.uniform(0.0, 0.25) if rng.random() < 0.5 else rng.uniform(0.2, 0.75)
    shade *= (1 - np.float32(share * filled) * cut)[..., None]
    if plan.primer:
        crevice = np.exp(-(((polar.r - plan.primer) / np.float32(rng.uniform(0.012, 0.03))) ** 2))
        shade *= (1 - np.float32(rng.uniform(0.4, 0.85)) * crevice)[..., None]
    rim = np.clip((polar.r - 0.93) / 0.07, 0, 1)
    shade *= (1 - np.float32(rng.uniform(0, 0.45)) * rim)[..., None]
    # Specks of corrosion keep to some places.
    fine = clouds(rng, shape, max(shape) / 7, 3) + clouds(rng, shape, 3, 1)
    spots = np.clip(fine - np.float32(rng.uniform(2.0, 4.5)), 0, 1)
    shade *= (1 - np.float32(rng.uniform(0.3, 0.8)) * spots)[..., None]
    mottle = np.float32(rng.uniform(0.02, 0.12)) * clouds(rng, shape, max(shape) / 4, 2)
    mottle += np.float32(rng.uniform(0.0, 0.1)) * clouds(rng, shape, 10, 2)
    shade *= np.maximum(1 + np.float32(share) * mottle, 0.3)[..., None]
    return shade


def _mark(rng: np.random.Generator, size: int, radius: float, mark: Mark) -> LoadedImage:
    """A sign's coverage: star, cross in a circle, dot, or some picture."""
    canvas = np.zeros((size, size), np.uint8)
    at = math.radians(mark.angle)
    centre = np.array([math.cos(at), math.sin(at)]) * mark.radius * radius + (size - 1) / 2
    reach = mark.size * radius / 2
    thick = max(1, round(0.2 * reach))
    if mark.kind == "dot":
        point = tuple(np.round(centre * 16).astype(int).tolist())
        cv2.circle(canvas, point, round(0.3 * reach * 16), 255, -1, cv2.LINE_AA, 4)
        return canvas
    angles = np.arange(10) * math.pi / 5 + at
    if mark.kind == "star":
        far = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        lines = [np.c_[np.cos(angles), np.sin(angles)] * far[:, None]]
        lines[0] = np.concatenate([lines[0], lines[0][:1]])
    elif mark.kind == "cross":
        round_ = np.linspace(0, 2 * math.pi, 25)
        along = np.array([math.cos(at), math.sin(at)])
        across = np.array([-along[1], along[0]])
        lines = [
            np.c_[np.cos(round_), np.sin(round_)],
            np.stack([-along, along]),
            np.stack([-across, across]),
        ]
    else:  # a beast, a crown, a monogram: a few bent lines
        lines = []
        for _ in range(int(rng.integers(1, 4))):
            steps = rng.normal(0, 0.45, (int(rng.integers(4, 9)), 2)).cumsum(0)
            steps -= steps.mean(0)
            lines.append(steps / max(float(np.abs(steps).max()), 0.3))
    fixed = [np.round((line * reach + centre) * 16).astype(np.int32) for line in lines]
    cv2.polylines(canvas, fixed, False, 255, thick, cv2.LINE_AA, 4)
    return canvas
