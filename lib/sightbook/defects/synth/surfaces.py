"""Surfaces drawn from a seed, with boxes round their defects: roads, concrete, boards, metal.

A picture is a function of seed, index, kind and size alone; nothing is downloaded. The kinds, what
is labelled on each and how often each comes are in :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.draw_parallel import JOURNAL, draw_resumable
from sightbook.defects.synth.board_defects import LABELS, break_board, render_board
from sightbook.defects.synth.boards import draw_board
from sightbook.defects.synth.concrete import draw_concrete
from sightbook.defects.synth.plates import draw_plate
from sightbook.defects.synth.roads import draw_asphalt, draw_road
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.runs.files import atomic_file

Drawer = Callable[
    [np.random.Generator, tuple[int, int], bool], tuple[NDArray[np.uint8], tuple[Box, ...]]
]

SMALLEST = 160
"""Smallest side of a picture: below, defects are smaller than a detector's cells."""


def _board(
    rng: np.random.Generator, size: tuple[int, int], damaged: bool
) -> tuple[NDArray[np.uint8], tuple[Box, ...]]:
    copper = draw_board(rng, size)
    boxes: tuple[Box, ...] = ()
    if damaged:
        copper, boxes = break_board(rng, copper, int(np.clip(round(rng.normal(7.5, 2.2)), 1, 14)))
    return render_board(rng, copper), boxes


@dataclass(frozen=True)
class Kind:
    """A kind of surface.

    Attributes:
        draw: makes a picture, and its boxes if it is to be damaged.
        labels: names of what is labelled on it.
        size: usual (width, height) in pixels.
    """

    draw: Drawer
    labels: tuple[str, ...]
    size: tuple[int, int]


KINDS: dict[str, Kind] = {
    "road": Kind(draw_road, ("pothole",), (640, 400)),
    "asphalt": Kind(draw_asphalt, ("pothole",), (640, 480)),
    "concrete": Kind(draw_concrete, ("crack", "spall"), (640, 480)),
    "board": Kind(_board, LABELS, (640, 640)),
    "plate": Kind(draw_plate, ("pit",), (640, 480)),
}
"""Kinds of surfaces by name."""


@dataclass(frozen=True)
class SurfaceSample:
    """A drawn surface: its picture (uint8 RGB ``[H, W, 3]``), what is on it, and its kind."""

    image: NDArray[np.uint8]
    record: ImageRecord
    kind: str


def render_surface(
    seed: int,
    index: int,
    *,
    kind: str = "road",
    size: tuple[int, int] | None = None,
    clean_share: float = 0.2,
) -> SurfaceSample:
    """Draw surface `index` of `seed`.

    Args:
        seed: of the whole set.
        index: of the picture; every picture has its own chance, so any can be drawn alone.
        kind: one of :data:`KINDS`.
        size: (width, height) in pixels; the kind's usual size if not given.
        clean_share: how many pictures, of 1, have no defect. They have whatever else the others
            have: cracks and stains on roads, holes and channels on boards.

    Returns:
        The picture and its record. Its name, ``{kind}-{seed}-{index}.png``, is its group as well:
        no two pictures show the same surface.

    Raises:
        ValueError: a kind that does not exist, a picture too small, a share outside 0 to 1.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: there is no {kind!r}; choose from {', '.join(KINDS)}")
    if not 0 <= clean_share <= 1:
        raise ValueError(f"clean_share: {clean_share} is no share; give a number from 0 to 1")
    chosen = KINDS[kind]
    width, height = size or chosen.size
    if min(width, height) < SMALLEST:
        raise ValueError(f"size: {width}x{height} is too small; at least {SMALLEST}x{SMALLEST}")
    # the order of KINDS is part of the seed: append kinds, never reorder them
    rng = np.random.default_rng((seed, index, list(KINDS).index(kind)))
    image, boxes = chosen.draw(rng, (width, height), bool(rng.random() >= clean_share))
    name = f"{kind}-{seed}-{index:06d}"
    record = ImageRecord(f"{name}.png", width, height, boxes, group=name, attributes={"kind": kind})
    return SurfaceSample(np.ascontiguousarray(image), record, kind)


def write_surfaces(
    folder: Path,
    count: int,
    seed: int,
    workers: int = 2,
    *,
    kind: str = "road",
    size: tuple[int, int] | None = None,
    clean_share: float = 0.2,
) -> Annotations:
    """Draw surfaces 0 to `count` - 1 into a folder's ``images``; the annotations are returned.

    Cut off, the same call goes on where it stopped.

    Args:
        folder: made if missing; pictures of the same names in it are overwritten.
        count: how many pictures.
        seed: of the set.
        workers: processes that draw; the pictures are the same for any number of them.
        kind: as in :func:`render_surface`, as are the others.
        size: (width, height) in pixels.
        clean_share: how many pictures, of 1, have no defect.

    Returns:
        The set, its records in the pictures' order and naming their files, for any of the line's
        writers (COCO, versioned CSV) to write.

    Raises:
        ValueError: as :func:`render_surface`.
        OSError: the folder cannot be written to.
    """
    if count < 0:
        raise ValueError(f"count: {count} pictures cannot be drawn; give 0 or more")
    folder = Path(folder)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    how: dict[str, Any] = {"kind": kind, "size": size, "clean_share": clean_share}
    rows = draw_resumable(
        partial(_write, images, seed, **how),
        range(count),
        folder / JOURNAL,
        origin={"drawn": "surfaces", "seed": seed, **how},
        workers=workers,
    )
    records = tuple(ImageRecord.from_dict(row, images / row["name"]) for row in rows)
    (folder / JOURNAL).unlink()
    return Annotations(records, KINDS[kind].labels if kind in KINDS else (), folder)


def _write(images: Path, seed: int, index: int, **how: Any) -> dict[str, Any]:
    sample = render_surface(seed, index, **how)
    path = images / sample.record.name
    with atomic_file(path) as beside:
        if not cv2.imwrite(str(beside), sample.image[..., ::-1]):
            raise OSError(f"{path}: cannot be written; is the disk full or the folder read-only?")
    return sample.record.to_dict()
