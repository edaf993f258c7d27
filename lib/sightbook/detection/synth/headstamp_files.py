"""Generated photographs of cartridge bases as a data set on disk."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from sightbook.detection.annotations import Annotations, ImageRecord
from sightbook.detection.synth.headstamps import LABELS, render_headstamps
from sightbook.images import save_image


def write_headstamps(
    folder: str | Path, count: int, seed: int, workers: int = 2, *, size: int = 640
) -> Annotations:
    """Draw photographs 0 to `count` - 1 into a folder's ``images``; the annotations are returned.

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
    draw = partial(_write, Path(folder) / "images", seed, size)
    if workers > 1 and count > 1:
        # A fresh interpreter: forks of a process that runs threads (torch, OpenCV) may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, count), mp_context=context) as pool:
            found = list(pool.map(draw, range(count), chunksize=max(1, min(16, count // workers))))
    else:
        found = list(map(draw, range(count)))
    return Annotations(tuple(found), LABELS, Path(folder))


def _write(images: Path, seed: int, size: int, index: int) -> ImageRecord:
    sample = render_headstamps(seed, index, size=size)
    file = save_image(images / sample.record.name, sample.image, quality=95)
    return replace(sample.record, image=file, group=Path(sample.record.name).stem)
