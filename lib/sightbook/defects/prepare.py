"""Preparing a data set of surfaces: drawn, or imported from what people have; checked and split."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from sightbook.defects.params import PrepareDefects
from sightbook.defects.synth.surfaces import KINDS, SMALLEST, write_surfaces
from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.labels.prepare import Prepared, drawn_once, prepare_labels
from sightbook.params import ParameterError


def prepare(params: PrepareDefects) -> Prepared:
    """Draw or import surfaces; see `prepare_labels`.

    Raises:
        ParameterError: generated pictures would be too small.
        DataError: see `prepare_labels`.
        TooManySkipped: more unusable pictures than `params.max_bad`.
    """
    return prepare_labels(params, partial(draw, params))


def draw(params: PrepareDefects, folder: Path) -> Annotations:
    """Generate surfaces into a data set's folder, unless it holds all of them.

    Raises:
        ParameterError: they would be too small.
        DataError: the folder was made with other settings.
    """
    size = surface_size(params.kind, params.side)
    names = {"source", "synthetic_images", "seed", "side", "kind", "clean"}
    return drawn_once(
        folder,
        params.model_dump(include=names),
        params.synthetic_images,
        lambda: write_surfaces(
            folder,
            params.synthetic_images,
            params.seed,
            params.workers,
            kind=params.kind,
            size=size,
            clean_share=params.clean,
        ),
    )


def surface_size(kind: str, side: int) -> tuple[int, int]:
    """Width and height of generated surfaces, pixels.

    Args:
        kind: of surface.
        side: longer side, pixels; 0 for the kind's usual size.

    Raises:
        ParameterError: it is less than `least_side`.
    """
    if side and side < least_side(kind):
        raise ParameterError(f"side {side}: a {kind} is drawn from {least_side(kind)} px on")
    width, height = KINDS[kind].size
    scale = side / max(width, height) if side else 1.0
    return round(width * scale), round(height * scale)


def least_side(kind: str) -> int:
    """The longer side, in pixels, of the smallest surface that can be drawn."""
    size = KINDS[kind].size
    return math.ceil(SMALLEST * max(size) / min(size))
