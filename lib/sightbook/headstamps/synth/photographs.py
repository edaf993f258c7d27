"""Photographs of cartridge bases with everything that stands on them, and unrolled rings to read.

Sample `i` of seed `s` is the same picture everywhere. Pictures are made for learning: the texts of
nearly half of the heads are in no table of makers, so that a reader learns letters and not names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.draw_parallel import JOURNAL, draw_resumable
from sightbook.data.images import save_image
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord, polygons_box
from sightbook.headstamps.synth import scenes
from sightbook.headstamps.synth.heads import MARGIN, SyntheticHead, draw_head
from sightbook.headstamps.synth.layouts import Plan, draw_plan
from sightbook.headstamps.synth.letters import Letter, Stamp
from sightbook.headstamps.synth.metal import draw_room
from sightbook.headstamps.unroll import (
    Ellipse,
    Strip,
    direction_of,
    fit_ellipse,
    side_window,
    unroll,
    upside_down,
)
from sightbook.synth import degrade
from sightbook.synth.backgrounds import draw_background

LoadedImage = NDArray[np.uint8]

LABELS = ("casing", "primer")

_CLEAN = 0.06  # share of pictures without any cartridge
_SMALLEST = 24.0  # pixels across below which nobody would label a head
_READABLE = 9.0  # pixels of letter height below which reading becomes guessing


@dataclass(frozen=True)
class HeadstampSample:
    """A photograph, uint8 RGB ``[H, W, 3]``, and its casings and primers."""

    image: LoadedImage
    record: ImageRecord


@dataclass(frozen=True)
class StripSample:
    """A strip for a recogniser.

    Attributes:
        image: uint8 grey ``[64, W]`` with even contrast, upright for `text`.
        text: the letters that stand upright and whole, left to right, parts set apart by blanks;
            empty where none do.
        turn: how the ring's strip was turned: 0, 180, or 90 and -90 for pieces of it.
    """

    image: LoadedImage
    text: str
    turn: int


@dataclass(frozen=True)
class _Shot:
    """A head in a photograph: its plan, its letters, and where both are."""

    plan: Plan
    letters: tuple[tuple[Letter, ...], ...]
    view: scenes.View


def render_headstamps(seed: int, index: int, *, size: int = 640) -> HeadstampSample:
    """Draw a photograph of some cartridge bases, or of none.

    Args:
        seed: of the series.
        index: within the series.
        size: longer side in pixels.
    """
    rng = np.random.default_rng([seed, index, 0x4EAD])
    width, height = _shape(rng, size)
    canvas = draw_background(rng, width, height)
    clean = rng.random() < _CLEAN
    if clean or rng.random() < 0.15:
        scenes.draw_things(rng, canvas)
    canvas = degrade.gaussian_blur(canvas, rng.uniform(0.0, 0.008) * size)
    room = draw_room(rng)
    shots: list[_Shot] = []
    views = [] if clean else _views(rng, width, height)
    held = len(views) == 1 and rng.random() < 0.5
    for view in views:
        plan = draw_plan(rng)
        if shots and rng.random() < 0.3:
            plan = shots[-1].plan  # cartridges of one box
        if held:
            scenes.draw_hand(rng, canvas, view, view.circle().mean(0).astype(np.float32))
            canvas = degrade.gaussian_blur(canvas, rng.uniform(0, 0.004) * size)
        elif rng.random() < 0.85:
            canvas = scenes.drop_shadow(rng, canvas, view)
        head = draw_head(rng, plan, view.radius * 1.1, room, _lean(rng, view))
        scenes.draw_case(rng, canvas, view, head.metal, plan.kind == "shotshell")
        _paste(canvas, head, view)
        shots.append(_Shot(plan, head.letters, view))
    image = _photographed(rng, canvas, size)
    boxes = [
        box
        for number, shot in enumerate(shots)
        for box in _boxes(shot, number, width, height, f"{seed}_{index}")
    ]
    record = ImageRecord(f"headstamps_{seed}_{index:06d}.jpg", width, height, tuple(boxes))
    return HeadstampSample(image, record)


def render_strip(seed: int, index: int) -> StripSample:
    """Draw a head, photograph it, and unroll it as a reader would, mistakes of detection included.

    Most samples are whole rings, upright or turned by 180 degrees; some are pieces turned by 90,
    for letters that stand sideways.
    """
    rng = np.random.default_rng([seed, index, 0x57A1])
    plan = draw_plan(rng)
    radius = math.exp(rng.uniform(math.log(55), math.log(230)))
    side = math.ceil(2.3 * radius)
    tilt = abs(rng.normal(0, 0.22))
    centre = tuple(side / 2 + rng.uniform(-2, 2, 2))
    view = scenes.draw_view(rng, centre, radius, min(tilt, 0.75), rng.uniform(0, 2 * math.pi))
    room = draw_room(rng)
    canvas = np.full((side, side, 3), rng.uniform(10, 220), np.uint8)
    head = draw_head(rng, plan, radius * 1.1, room, _lean(rng, view))
    _paste(canvas, head, view)
    image = _photographed(rng, canvas, max(side, 220))
    casing = _shaken(rng, fit_ellipse(view.circle()), 0.012)
    seen = plan.primer and rng.random() < 0.93
    primer = _shaken(rng, fit_ellipse(view.circle(plan.primer)), 0.03) if seen else None
    strip = unroll(image, casing, primer, start=None if rng.random() < 0.6 else rng.uniform(0, 360))
    sideways = [number for number, stamp in enumerate(plan.stamps) if stamp.turn in (90, -90)]
    shot = _Shot(plan, head.letters, view)
    if sideways and rng.random() < 0.5:
        number = sideways[int(rng.integers(len(sideways)))]
        stamp = plan.stamps[number]
        angle = casing.angle_of(_middle(shot, number)) + rng.normal(0, 3)
        piece = side_window(strip, angle, clockwise=stamp.turn == 90, share=rng.uniform(0.65, 1.0))
        return StripSample(piece, stamp.text, stamp.turn)
    texts = {turn: _upright_text(shot, strip, turn) for turn in (0, 180)}
    turn = 180 * int(rng.random() < 0.5)
    if not texts[turn] and rng.random() < 0.8:  # to see nothing is soon learned
        turn = 180 - turn
    return StripSample(upside_down(strip) if turn else strip.image, texts[turn], turn)


def segment_angles(letters: Sequence[Sequence[Letter]], view: scenes.View) -> list[float]:
    """Angles of texts' middles once the head's ellipse is made a circle, degrees in [0, 360)."""
    casing = fit_ellipse(view.circle())
    found = []
    for text in letters:
        points = casing.unit(view.points(np.array([(one.x, one.y) for one in text])))
        x, y = points.mean(0)
        found.append(direction_of(float(x), float(y)))
    return found


def _shape(rng: np.random.Generator, size: int) -> tuple[int, int]:
    """Width and height: telephones' 3:4 and 4:3, squares."""
    draw = rng.random()
    short = round(size * 0.75)
    return (short, size) if draw < 0.5 else (size, short) if draw < 0.8 else (size, size)


def _views(rng: np.random.Generator, width: int, height: int) -> list[scenes.View]:
    """Heads that do not cover one another, from one large to many small."""
    short = min(width, height)
    count = 1 + min(int(rng.exponential(1.2)), 7)
    largest = 0.46 if count == 1 else 0.3 if count < 4 else 0.2
    usual = short * math.exp(rng.uniform(math.log(0.06), math.log(largest)))
    tilt = min(abs(rng.normal(0, 0.3)), 0.9)
    towards = rng.uniform(0, 2 * math.pi) if rng.random() < 0.4 else rng.normal(-math.pi / 2, 0.4)
    found: list[scenes.View] = []
    places: list[tuple[float, float, float]] = []
    for _ in range(count * 6):
        if len(found) == count:
            break
        radius = float(np.clip(usual * math.exp(rng.normal(0, 0.15)), 0.5 * _SMALLEST, None))
        # Some reach over the picture's edge.
        inset = radius * (1.02 if rng.random() < 0.88 else rng.uniform(0.3, 1.0))
        if 2 * inset >= short:
            inset = short / 2 - 1
        x, y = rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)
        if any(math.hypot(x - a, y - b) < 1.04 * (radius + r) for a, b, r in places):
            continue
        places.append((x, y, radius))
        own = float(np.clip(tilt + rng.normal(0, 0.06), 0, 0.95))
        found.append(scenes.draw_view(rng, (x, y), radius, own, towards + rng.normal(0, 0.15)))
    # From the back: the case of what stands further up may be covered by nearer heads.
    return sorted(found, key=lambda view: view.homography[1, 2])


def _lean(rng: np.random.Generator, view: scenes.View) -> tuple[float, float]:
    """Slope of the head against the line of sight."""
    x, y = rng.normal(0, 0.12, 2)
    return float(x - view.lean[0] * 0.6), float(y - view.lean[1] * 0.6)


def _paste(canvas: LoadedImage, head: SyntheticHead, view: scenes.View) -> None:
    """Put a head where it is seen; into `canvas`."""
    side = head.image.shape[0]
    unit = np.diag([head.radius, head.radius, 1.0])
    unit[:2, 2] = (side - 1) / 2
    # Positions count from the first pixel's edge, OpenCV's from its centre.
    to_pixels = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]]) @ view.homography
    outline = view.circle(MARGIN)
    height, width = canvas.shape[:2]
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]])
    matrix = shift @ to_pixels @ np.linalg.inv(unit)
    seen = cv2.warpPerspective(
        head.image, matrix, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR
    )
    cover = np.zeros(seen.shape[:2], np.uint8)
    fixed = np.round((view.circle() - 0.5 - (x0, y0)) * 16).astype(np.int32)
    cv2.fillConvexPoly(cover, fixed, 255, cv2.LINE_AA, 4)
    share = cv2.GaussianBlur(cover, (0, 0), 0.6)[..., None].astype(np.float32) / 255
    part = canvas[y0:y1, x0:x1]
    np.copyto(
        part, np.clip(part + (seen - part.astype(np.float32)) * share, 0, 255).astype(np.uint8)
    )


def _photographed(rng: np.random.Generator, image: LoadedImage, size: int) -> LoadedImage:
    """What lens, sensor and file do."""
    unit = size / 640
    if rng.random() < 0.35:
        image = degrade.glare(image, rng, rng.uniform(0.05, 0.35))
    blur = rng.random()
    if blur < 0.3:
        image = degrade.gaussian_blur(image, rng.uniform(0.3, 1.4) * unit)
    elif blur < 0.4:
        image = degrade.motion_blur(image, rng.uniform(1.5, 5) * unit, rng.uniform(0, 180))
    image = degrade.color_cast(image, rng, rng.uniform(0, 0.2))
    if rng.random() < 0.5:
        image = degrade.contrast(image, rng.uniform(0.75, 1.25), rng.normal(0, 12))
    if rng.random() < 0.4:
        image = degrade.gamma(image, rng.uniform(0.7, 1.5))
    image = degrade.noise(image, rng, rng.uniform(0, 7), rng.choice([1.0, 1.7]))
    if rng.random() < 0.5:
        image = degrade.sharpen(image, rng.uniform(0.2, 1.0), rng.uniform(0.6, 1.5))
    return degrade.jpeg(image, int(rng.integers(55, 97)))


def _boxes(shot: _Shot, number: int, width: int, height: int, photo: str) -> list[Box]:
    """A casing and its primer, cut off at the picture's edges; nothing where too little is seen."""
    parts = [("casing", shot.view.circle())]
    if shot.plan.primer:
        parts.append(("primer", shot.view.circle(shot.plan.primer)))
    found = []
    for label, outline in parts:
        seen = _clipped(outline, width, height)
        whole = cv2.contourArea(outline.astype(np.float32))
        share = 0.0 if seen is None else cv2.contourArea(seen) / whole
        if seen is None or share < 0.25:
            continue
        attributes = {"object_id": f"{photo}_{number}", "truncated": share < 0.995}
        if label == "casing":
            attributes |= _lettering(shot)
        found.append(Box(label, polygons_box([seen]), (seen,), attributes=attributes))
    return found if found and found[0].label == "casing" else []


def _clipped(outline: NDArray[np.float64], width: int, height: int) -> NDArray[np.float32] | None:
    """The part of a convex outline within the picture."""
    points = outline.astype(np.float32)
    if (points >= 0).all() and (points <= (width, height)).all():
        return points
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    area, seen = cv2.intersectConvexConvex(points, frame)
    return np.asarray(seen, np.float32).reshape(-1, 2) if area > 0 else None


def _lettering(shot: _Shot) -> dict[str, object]:
    texts = [stamp.text for stamp in shot.plan.stamps]
    angles = segment_angles(shot.letters, shot.view)
    tall = min(stamp.height for stamp in shot.plan.stamps) * shot.view.radius
    return {
        "text": " ".join(texts),
        "tokens": [token for text in texts for token in text.split()],
        "segments": [
            {"text": stamp.text, "angle": round(angle, 1), "direction": stamp.direction}
            for stamp, angle in zip(shot.plan.stamps, angles, strict=True)
        ],
        "legibility": "full" if tall >= _READABLE else "poor",
    }


def _shaken(rng: np.random.Generator, ellipse: Ellipse, share: float) -> Ellipse:
    """As a detector would have it: a little off in place and size."""
    dx, dy, da, db = rng.normal(0, share, 4)
    return Ellipse(
        ellipse.x + dx * ellipse.a,
        ellipse.y + dy * ellipse.a,
        ellipse.a * (1 + da),
        ellipse.b * (1 + db),
        ellipse.angle + rng.normal(0, 100 * share),
    )


def _middle(shot: _Shot, number: int) -> tuple[float, float]:
    letters = np.array([(one.x, one.y) for one in shot.letters[number]])
    x, y = shot.view.points(letters).mean(0)
    return float(x), float(y)


def _upright_text(shot: _Shot, strip: Strip, turn: int) -> str:
    """What stands upright in a strip, or in one turned by 180 degrees, left to right.

    Within the wrap letters stand twice; a letter counts where its middle is in by half its width.
    """
    width = strip.image.shape[1]
    pieces: list[tuple[float, str]] = []
    for stamp, letters in zip(shot.plan.stamps, shot.letters, strict=True):
        if stamp.turn != turn:
            continue
        for around in (-strip.turn, 0, strip.turn):
            text, first = _seen_letters(shot, strip, stamp, letters, around, width)
            if text:
                pieces.append((-first if turn else first, text))
    return " ".join(text for _, text in sorted(pieces))


def _seen_letters(
    shot: _Shot, strip: Strip, stamp: Stamp, letters: Sequence[Letter], around: int, width: int
) -> tuple[str, float]:
    """The letters of one text that stand whole in a strip, and the first one's column."""
    places = shot.view.points(np.array([(one.x, one.y) for one in letters]))
    found, _ = strip.locate(places)
    # Unwound from letter to letter, as a text may cross the seam and take more than half a turn.
    half_turn = strip.turn / 2
    steps = (np.diff(found) + half_turn) % strip.turn - half_turn
    columns = found[0] + np.concatenate([[0.0], np.cumsum(steps)]) + around
    half = [
        0.4 * one.width * one.height / stamp.radius * strip.turn / (2 * math.pi) for one in letters
    ]
    seen = ""
    at = math.nan
    rest = iter(zip(columns, half, strict=True))
    for char in stamp.text:
        if char == " ":
            seen += " "
            continue
        column, reach = next(rest)
        if reach <= column <= width - 1 - reach:
            seen += char
            at = column if math.isnan(at) else at
    return " ".join(seen.split()), at


def write_headstamps(
    folder: str | Path, count: int, seed: int, workers: int = 2, *, size: int = 640
) -> Annotations:
    """Draw photographs 0 to `count` - 1 into a folder's ``images``; the annotations are returned.

    Cut off, the same call goes on where it stopped.

    Args:
        folder: made if missing; pictures of the same names in it are overwritten.
        count: how many pictures.
        seed: of the set.
        workers: processes that draw; the pictures are the same for any number of them.
        size: longer side, pixels.

    Returns:
        The set, its records in the pictures' order and naming their files. Each picture is a group
        of its own.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder = Path(folder)
    images = folder / "images"
    rows = draw_resumable(
        partial(_write, images, seed, size),
        range(count),
        folder / JOURNAL,
        origin={"drawn": "headstamps", "seed": seed, "size": size},
        workers=workers,
    )
    records = tuple(ImageRecord.from_dict(row, images / row["name"]) for row in rows)
    (folder / JOURNAL).unlink()
    return Annotations(records, LABELS, folder)


def _write(images: Path, seed: int, size: int, index: int) -> dict[str, Any]:
    sample = render_headstamps(seed, index, size=size)
    save_image(images / sample.record.name, sample.image, quality=95)
    return replace(sample.record, group=Path(sample.record.name).stem).to_dict()
