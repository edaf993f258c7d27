"""Preparing photographs of cartridge bases: drawn, or imported; checked and split."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.labels.prepare import Prepared, drawn_once, prepare_labels
from sightbook.headstamps.params import PrepareHeadstamps
from sightbook.headstamps.synth.photographs import write_headstamps


def prepare(params: PrepareHeadstamps) -> Prepared:
    """Draw or import photographs; see `prepare_labels`."""
    return prepare_labels(params, partial(draw, params))


def draw(params: PrepareHeadstamps, folder: Path) -> Annotations:
    """Generate photographs into a data set's folder, unless it holds all of them.

    Raises:
        DataError: the folder was made with other settings.
    """
    return drawn_once(
        folder,
        params.model_dump(include={"source", "synthetic_images", "seed", "side"}),
        params.synthetic_images,
        lambda: write_headstamps(
            folder, params.synthetic_images, params.seed, params.workers, size=params.side
        ),
    )
