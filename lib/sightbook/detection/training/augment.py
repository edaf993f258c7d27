"""How pictures with boxes are varied in training; never in validation.

Everything is a plain function of an example and a random generator. Boxes and outlines go with the
pixels; what is cut off too far to be recognised is no longer demanded. Clean pictures stay clean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import ImageRecord, Points
from sightbook.detection.labels.masks import polygons_mask
from sightbook.metrics.polygons import box_areas, box_overlaps, clip_polygon, polygon_areas
from sightbook.synth import degrade

Image = NDArray[np.uint8]

Mirror = Literal["none", "horizontal", "all", "turns"]
"""How pictures are mirrored and turned, see `mirror`."""

MIN_VISIBLE = 0.3
"""Share of an object's area that must be left of it at the picture's edge."""

MIN_SIDE = 2.0
"""Shortest side of a box that is still demanded, pixels."""

AROUND_OBJECT = 0.7
"""Share of the crops of a picture with objects that are taken around one of them."""

EMPTY = (124, 116, 104)
"""Colour around pictures: what a network sees as zero once means are subtracted."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture to train on.

    Attributes:
        image: uint8 RGB ``[H, W, 3]``.
        boxes: float32 ``[n, 4]``, xyxy pixels.
        labels: int64 ``[n]``, 1 for the first class.
        outlines: polygons of each object; an empty tuple where only the box is known.
    """

    image: Image
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    outlines: tuple[tuple[Points, ...], ...]

    def picked(self, kept: NDArray[np.bool_] | Sequence[int]) -> Example:
        """The same picture with some of the objects."""
        places = np.arange(len(self.boxes))[kept].tolist()
        outlines = tuple(self.outlines[place] for place in places)
        return Example(self.image, self.boxes[places], self.labels[places], outlines)

    def masks(self) -> NDArray[np.uint8]:
        """Objects' pixels, ``[n, H, W]``, 0 and 1."""
        height, width = self.image.shape[:2]
        masks = [polygons_mask(polygons, width, height) for polygons in self.outlines]
        return np.array(masks, np.uint8).reshape(-1, height, width)


def example_of(image: Image, record: ImageRecord, labels: Sequence[str]) -> Example:
    """A record as an example; groups that nobody told apart are left out, as COCO's baselines do.

    Args:
        image: of the record, in any size; boxes are scaled to it.
        record: boxes in the pixels of the full picture.
        labels: the classes in order.
    """
    height, width = image.shape[:2]
    scale = np.array([width / record.width, height / record.height], np.float32)
    boxes = [box for box in record.boxes if not box.crowd]
    return Example(
        image,
        np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4) * np.tile(scale, 2),
        np.array([labels.index(box.label) + 1 for box in boxes], np.int64),
        tuple(tuple((p * scale).astype(np.float32) for p in box.polygons) for box in boxes),
    )


# ------------------------------------------------------------------ geometry


def scaled(example: Example, width: int, height: int) -> Example:
    """The whole picture at another size."""
    before = example.image.shape[1], example.image.shape[0]
    if before == (width, height):
        return example
    shrinks = width < before[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    image = cv2.resize(example.image, (width, height), interpolation=how)
    scale = np.array([width / before[0], height / before[1]], np.float32)
    return replace(
        example,
        image=np.asarray(image, np.uint8),
        boxes=example.boxes * np.tile(scale, 2),
        outlines=tuple(tuple(p * scale for p in polygons) for polygons in example.outlines),
    )


def window(example: Example, left: int, top: int, width: int, height: int) -> Example:
    """A part of the picture, or more than it: what lies outside is of one colour.

    Objects of which less than :data:`MIN_VISIBLE` is left are no longer demanded.
    """
    here = example.image.shape
    image = np.empty((height, width, 3), np.uint8)
    image[:] = EMPTY
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, here[1]), min(top + height, here[0])
    if x1 > x0 and y1 > y0:
        image[y0 - top : y1 - top, x0 - left : x1 - left] = example.image[y0:y1, x0:x1]
    shift = np.array([left, top], np.float32)
    boxes, kept, outlines = [], [], []
    for box, polygons in zip(example.boxes, example.outlines, strict=True):
        moved = box - np.tile(shift, 2)
        inside = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
        parts: tuple[Points, ...] = ()
        if polygons:
            cut = (clip_polygon(polygon - shift, width, height) for polygon in polygons)
            parts = tuple(itertools.chain.from_iterable(cut))
            share = polygon_areas(parts).sum() / max(polygon_areas(polygons).sum(), 1e-6)
            if parts:
                points = np.concatenate(parts)
                inside = np.concatenate([points.min(0), points.max(0)])
        else:
            visible, whole = box_areas([inside, moved])
            share = visible / max(whole, 1e-6)
        boxes.append(inside)
        outlines.append(parts)
        sides = inside[2:] - inside[:2]
        kept.append(bool(share >= MIN_VISIBLE and sides.min() >= MIN_SIDE))
    part = Example(
        image,
        np.array(boxes, np.float32).reshape(-1, 4),
        example.labels,
        tuple(outlines),
    )
    return part.picked(np.array(kept, bool))


def jitter(
    example: Example,
    rng: np.random.Generator,
    canvas: tuple[int, int],
    scales: tuple[float, float],
    crop: int = 0,
) -> Example:
    """Large-scale jitter (Ghiasi et al. 2021, section 3): another scale, and a part of that size.

    Args:
        example: the picture.
        rng: decides.
        canvas: height and width that the picture just fits into at scale 1, pixels.
        scales: lowest and highest.
        crop: the result is at most this high and wide, most often around an object; 0 gives all
            of the canvas.
    """
    height, width = example.image.shape[:2]
    fits = min(canvas[0] / height, canvas[1] / width)
    scale = fits * math.exp(rng.uniform(math.log(scales[0]), math.log(scales[1])))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    example = scaled(example, wide, high)
    size = (min(canvas[0], crop), min(canvas[1], crop)) if crop else canvas
    spare = wide - size[1], high - size[0]
    left, top = (
        int(rng.integers(0, room + 1)) if room >= 0 else -int(rng.integers(0, -room + 1))
        for room in spare
    )
    if crop and len(example.boxes) and rng.random() < AROUND_OBJECT:
        x0, y0, x1, y1 = example.boxes[rng.integers(len(example.boxes))]
        place = rng.uniform(0.1, 0.9, 2)
        left, top = (
            round(float(np.clip(middle - side * share, min(room, 0), max(room, 0))))
            for middle, side, share, room in zip(
                ((x0 + x1) / 2, (y0 + y1) / 2), (size[1], size[0]), place, spare, strict=True
            )
        )
    return window(example, left, top, size[1], size[0])


def mirror(
    example: Example,
    rng: np.random.Generator,
    how: Mirror,
) -> Example:
    """Mirror or turn by quarters, each way as often.

    Args:
        example: the picture.
        rng: decides.
        how: ``horizontal`` mirrors left and right; ``turns`` gives quarter turns alone, so that
            text stays text; ``all`` both.
    """
    if how in ("horizontal", "all") and rng.random() < 0.5:
        example = _flipped(example)
    if how in ("turns", "all"):
        for _ in range(int(rng.integers(4))):
            example = _turned(example)
    return example


# ------------------------------------------------------------------ light


def photometric(image: Image, rng: np.random.Generator) -> Image:
    """Other light, colours and sharpness; some of them at a time."""
    if rng.random() < 0.5:
        image = degrade.contrast(image, float(np.exp(rng.normal(0, 0.22))), rng.normal(0, 16))
    if rng.random() < 0.3:
        image = degrade.gamma(image, float(np.exp(rng.normal(0, 0.3))))
    if rng.random() < 0.4:
        image = degrade.color_cast(image, rng, rng.uniform(0, 0.2))
    if rng.random() < 0.2:
        image = _saturated(image, rng.uniform(0, 1.5))
    if rng.random() < 0.25:
        image = degrade.uneven_light(image, rng, rng.uniform(0.1, 0.5))
    if rng.random() < 0.2:
        image = degrade.gaussian_blur(image, rng.uniform(0.3, 1.2))
    if rng.random() < 0.2:
        image = degrade.noise(image, rng, rng.uniform(1, 9))
    if rng.random() < 0.2:
        image = degrade.jpeg(image, int(rng.integers(40, 92)))
    return image


# ------------------------------------------------------------------ several pictures


def mosaic(
    examples: Sequence[Example],
    rng: np.random.Generator,
    canvas: tuple[int, int],
    scales: tuple[float, float],
) -> Example:
    """Four pictures around a point (Bochkovskiy et al. 2020, section 3.3).

    Args:
        examples: four.
        rng: decides.
        canvas: height and width of the result, pixels.
        scales: of the single pictures, as in `jitter`.
    """
    height, width = canvas
    middle = round(height * rng.uniform(0.3, 0.7)), round(width * rng.uniform(0.3, 0.7))
    image = np.empty((height, width, 3), np.uint8)
    parts = []
    for number, example in enumerate(examples):
        low, right = divmod(number, 2)
        top, left = low * middle[0], right * middle[1]
        size = (
            height - middle[0] if low else middle[0],
            width - middle[1] if right else middle[1],
        )
        # a quarter shows a part of its picture at about the usual scale, not all of it at half
        part = jitter(example, rng, size, (scales[0], 2 * scales[1]))
        image[top : top + size[0], left : left + size[1]] = part.image
        shift = np.array([left, top], np.float32)
        parts.append(
            replace(
                part,
                boxes=part.boxes + np.tile(shift, 2),
                outlines=tuple(tuple(p + shift for p in outline) for outline in part.outlines),
            )
        )
    return Example(
        image,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(outline for part in parts for outline in part.outlines),
    )


def copy_paste(
    example: Example, other: Example, rng: np.random.Generator, most: int = 3
) -> Example:
    """Objects of another picture pasted in, softly and in this one's light (Ghiasi et al. 2021).

    They keep their height in the picture more or less, as what is further up is often further
    away, and bring along what lies inside them; what lies inside another is not pasted without it.
    Nothing that is already there is covered.

    Args:
        example: the picture, before it is scaled and padded: nothing belongs into its margins.
        other: of any size; it is scaled to about this one's.
        rng: decides.
        most: objects to paste.
    """
    height, width = example.image.shape[:2]
    there = other.image.shape
    scale = max(height, width) / max(there[:2])
    other = scaled(other, round(there[1] * scale), round(there[0] * scale))
    bottom, right = other.image.shape[:2]
    outer = _outermost(other.boxes)
    count = min(most, len(outer))
    for place in rng.permutation(outer)[: int(rng.integers(0, count + 1))].tolist():
        box = other.boxes[place]
        soft = 0.12 * float(np.sqrt(box_areas(box)[0])) + 1.5
        x0, y0 = np.floor(np.maximum(box[:2] - 2 * soft, 0)).astype(int).tolist()
        x1, y1 = np.ceil(np.minimum(box[2:] + 2 * soft, (right, bottom))).astype(int).tolist()
        wide, high = x1 - x0, y1 - y0
        if wide > width or high > height:
            continue
        left = int(rng.integers(0, width - wide + 1))
        top = y0 * height / bottom + rng.normal(0, 0.08) * height
        top = int(np.clip(top, 0, height - high))
        area = np.array([left, top, left + wide, top + high], np.float32)
        if (box_overlaps(area, example.boxes).of_second > 0.05).any():
            continue
        part = window(other.picked(_within(other.boxes, place)), x0, y0, wide, high)
        if len(part.boxes):
            example = _pasted(example, part, left, top, soft)
    return example


def _pasted(example: Example, part: Example, left: int, top: int, soft: float) -> Example:
    height, width = part.image.shape[:2]
    cover: NDArray[Any] = np.zeros((height, width), np.float32)
    for box, polygons in zip(part.boxes, part.outlines, strict=True):
        if polygons:
            cover[polygons_mask(polygons, width, height)] = 1
        else:
            x0, y0, x1, y1 = np.round(box).astype(int).tolist()
            cover[y0:y1, x0:x1] = 1
    reach = 2 * round(soft) + 1
    cover = cv2.dilate(cover, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    cover = cv2.GaussianBlur(cover, (0, 0), soft / 2)[..., None]
    here = example.image[top : top + height, left : left + width].astype(np.float32)
    patch = part.image.astype(np.float32)
    # the light around it, there and here
    around = cover[..., 0] < 0.5
    if around.sum() > 20:
        gain = here[around].mean() / max(float(patch[around].mean()), 1.0)
        patch *= float(np.clip(gain, 0.6, 1.6))
    image = example.image.copy()
    mixed = here + (patch - here) * cover
    image[top : top + height, left : left + width] = np.clip(mixed, 0, 255).astype(np.uint8)
    shift = np.array([left, top], np.float32)
    moved = tuple(tuple(p + shift for p in outline) for outline in part.outlines)
    return Example(
        image,
        np.concatenate([example.boxes, part.boxes + np.tile(shift, 2)]),
        np.concatenate([example.labels, part.labels]),
        example.outlines + moved,
    )


# ------------------------------------------------------------------ parts


def _flipped(example: Example) -> Example:
    width = example.image.shape[1]
    boxes = example.boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    sign, shift = np.array([-1, 1], np.float32), np.array([width, 0], np.float32)
    return replace(
        example,
        image=np.ascontiguousarray(example.image[:, ::-1]),
        boxes=boxes,
        outlines=tuple(tuple(p * sign + shift for p in outline) for outline in example.outlines),
    )


def _turned(example: Example) -> Example:
    """A quarter to the left: what was on the right is at the top."""
    width = example.image.shape[1]
    x0, y0, x1, y1 = example.boxes.T
    return replace(
        example,
        image=np.ascontiguousarray(np.rot90(example.image)),
        boxes=np.stack([y0, width - x1, y1, width - x0], 1),
        outlines=tuple(
            tuple(np.stack([p[:, 1], width - p[:, 0]], 1) for p in outline)
            for outline in example.outlines
        ),
    )


def _saturated(image: Image, factor: float) -> Image:
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, factor, gray, 1 - factor, 0), np.uint8)


def _within(boxes: NDArray[np.float32], place: int) -> NDArray[np.bool_]:
    """The object and those that lie in its box: a primer goes with its casing, not conversely."""
    inside = box_overlaps(boxes, boxes[place]).of_first[:, 0] > 0.8
    inside[place] = True
    return inside


def _outermost(boxes: NDArray[np.float32]) -> list[int]:
    """Objects that are not part of a larger one; of the same box, the first."""
    kept: list[int] = []
    for place in np.argsort(-box_areas(boxes), kind="stable").tolist():
        if not any(_within(boxes, larger)[place] for larger in kept):
            kept.append(place)
    return sorted(kept)
