"""Masks as pictures and as run lengths -> polygons, and back.

A mask folder is ``masks/`` beside ``images/``: a PNG a picture, called as the picture (``a.png``)
or with the class behind it (``a_crack.png``), or in a folder for each class (``crack/a.png``). 0 is
background. Where the class is not in the name, a pixel's value is the class's number from 1 on, as
`classes.txt` names them, and 255 counts neither way, as in VOC. With one class, or none named, the
bright part of the mask is it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import image_files
from sightbook.data.validation import Report
from sightbook.detection.labels.annotations import Points, polygons_box
from sightbook.detection.labels.checks import Draft, DraftBox, Drafts

Mask = NDArray[np.bool_]

MASKS = "masks"

MIN_AREA = 16
"""Smaller spots of a mask picture, in pixels, are noise of drawing, not objects."""

VOID = 255


def read_masks(folder: Path, images: ImageFinder, *, report: Report) -> Drafts:
    """Read a folder of mask pictures; each connected spot is an object.

    Args:
        folder: with `masks/` in it.
        images: a picture without any mask is clean, like one whose mask is empty.
        report: takes masks that cannot be read and values without a class.
    """
    root = folder / MASKS
    named = folder / "classes.txt"
    labels = named.read_text(encoding="utf-8").split("\n") if named.is_file() else []
    labels = [label.strip() for label in labels if label.strip()]
    given = bool(labels)
    drafts = {image: Draft((images.name(image),), root / image.name) for image in images.files}
    for file in image_files(root):
        image, label = _meant_by(file, root, images)
        values = _values(file, report)
        if values is None:
            continue
        if image is None:
            # kept as a draft: the picture that it lacks is counted with the others
            drafts[file] = Draft((file.stem,), file)
            continue
        height, width = values.shape
        draft = drafts[image]
        draft.size = (width, height)
        for name, mask in _classes(values, label, labels if given else [], file, report):
            if name not in labels:
                labels.append(name)
            draft.boxes += [
                DraftBox(name, polygons_box(polygons), polygons, f"masks/{file.name}")
                for polygons in mask_objects(mask)
            ]
    return Drafts(list(drafts.values()), labels if given else sorted(labels))


def mask_objects(mask: Mask, min_area: int = MIN_AREA) -> list[tuple[Points, ...]]:
    """Outlines of each connected spot (8 neighbours) of a mask ``[H, W]``, as `mask_polygons`."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    found = []
    for number in range(1, count):
        left, top, width, height, area = stats[number].tolist()
        if area >= min_area:
            spot = parts[top : top + height, left : left + width] == number
            found.append(tuple(moved(polygon, left, top) for polygon in mask_polygons(spot)))
    return found


def mask_polygons(mask: Mask, tolerance: float = 0.5) -> tuple[Points, ...]:
    """Outer outlines of a mask, along the edges of its pixels; holes are filled.

    Args:
        mask: bool ``[H, W]``.
        tolerance: how far an outline may be from the pixels' edges, in pixels; 0 keeps every step.

    Returns:
        One polygon for each connected part, float32 ``[n, 2]``: around the single pixel at row 2,
        column 3 it runs from (3, 2) to (4, 3).
    """
    # OpenCV's contours run through the middles of pixels. On a grid of twice the density, whose
    # points are corners and middles of edges too, they run along the edges.
    height, width = mask.shape
    grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    doubled = mask.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        grid[down : down + 2 * height, across : across + 2 * width] |= doubled
    contours, _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[Points] = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 2 * tolerance, True) if tolerance else contour
        points = points if len(points) >= 3 else contour
        found.append((points.reshape(-1, 2) / 2).astype(np.float32))
    return tuple(found)


def moved(polygon: Points, across: float, down: float) -> Points:
    """The polygon, so many pixels to the right and down."""
    return (polygon + np.array([across, down])).astype(np.float32)


def polygons_mask(polygons: Iterable[Points], width: int, height: int) -> Mask:
    """Pixels inside any of the polygons, bool ``[height, width]``, as COCO draws them."""
    from pycocotools import mask as coco_mask

    flat = [np.asarray(polygon, np.float64).ravel().tolist() for polygon in polygons]
    if not flat:
        return np.zeros((height, width), bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, height, width))) > 0


def rle_mask(rle: Mapping[str, Any]) -> Mask:
    """Decode COCO's run lengths, compressed or not.

    Args:
        rle: ``{"size": [height, width], "counts": ...}``; counts run down the columns.

    Raises:
        ValueError: they are no run lengths of that size.
    """
    from pycocotools import mask as coco_mask

    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, Sequence) and len(size) == 2 and all(map(_is_size, size))):
        raise ValueError(f"size is {size!r}, expected [height, width]")
    height, width = size
    if isinstance(counts, list):
        if not all(isinstance(n, int) and n >= 0 for n in counts) or sum(counts) != height * width:
            raise ValueError(f"counts do not add up to {height} x {width} pixels")
        packed = coco_mask.frPyObjects({"size": size, "counts": counts}, height, width)
    elif isinstance(counts, str | bytes):
        packed = {"size": size, "counts": counts}
        # the library trusts run lengths and writes where they point
        if not _fits(counts.encode() if isinstance(counts, str) else counts, height * width):
            raise ValueError(f"counts do not add up to {height} x {width} pixels")
    else:
        raise ValueError(f"counts are {type(counts).__name__}, expected a list or a string")
    return coco_mask.decode(packed) > 0


def _fits(counts: bytes, pixels: int) -> bool:
    """Whether compressed run lengths are those of so many pixels.

    Each is written in groups of five bits, lowest first, from character 48 on; the sixth bit says
    that another follows, the fifth of the last is the sign. From the fourth on they are differences
    to the last but one (rleToString in pycocotools' maskApi.c).
    """
    runs: list[int] = []
    position = 0
    while position < len(counts):
        value = shift = 0
        more = True
        while more:
            if position >= len(counts) or not 48 <= counts[position] < 112:
                return False
            char = counts[position] - 48
            value |= (char & 31) << shift
            more = bool(char & 32)
            position, shift = position + 1, shift + 5
        if char & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            return False
    return sum(runs) == pixels


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 < value <= 1 << 16


def _meant_by(file: Path, root: Path, images: ImageFinder) -> tuple[Path | None, str]:
    """The picture a mask is of, and the class its name or folder says (empty for none)."""
    relative = file.relative_to(root)
    image = images.find(relative.with_suffix("").as_posix(), file)
    if image is not None:
        # masks/train/a.png is of train/a.jpg; masks/crack/a.png is of class crack
        inside = Path(images.name(image)).parent.parts
        own = [part for part in relative.parts[:-1] if part not in inside]
        return image, own[0] if own else ""
    stem, _, label = file.stem.rpartition("_")
    while stem:
        image = images.find((relative.parent / stem).as_posix(), file)
        if image is not None:
            return image, label
        stem, _, more = stem.rpartition("_")
        label = f"{more}_{label}"
    return None, ""


def _values(file: Path, report: Report) -> NDArray[np.uint8] | None:
    """The mask's values ``[H, W]``: palette numbers as they are, colours as their brightest."""
    try:
        with Image.open(file) as image:
            image.load()
            if image.mode in ("P", "L", "1", "I", "I;16"):
                values = np.asarray(image)
                return np.minimum(values, 255).astype(np.uint8)
            return np.asarray(image.convert("RGB")).max(2)
    except Exception as error:  # decoders raise whatever damaged data lead them to
        report.error("mask cannot be read", file.name, str(error) or type(error).__name__)
        return None


def _classes(
    values: NDArray[np.uint8], label: str, labels: Sequence[str], file: Path, report: Report
) -> list[tuple[str, Mask]]:
    """Each class in the mask with its pixels."""
    present = [int(value) for value in np.unique(values) if value]
    if not present:
        return []
    if label or len(labels) < 2:
        # masks with soft edges, saved as JPEG or made smaller, reach up to 255
        threshold = 127 if present[-1] > 127 else 0
        return [(label or (labels[0] if labels else "object"), values > threshold)]
    found = []
    for value in present:
        if value <= len(labels):
            found.append((labels[value - 1], values == value))
        elif value != VOID:
            report.error(
                "unknown class",
                file.name,
                f"value {value}, expected 0 to {len(labels)} ({', '.join(labels)}) or {VOID}",
            )
    return found
