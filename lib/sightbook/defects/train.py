"""Training of a detector of defects: what `02_train_defects` launches."""

from __future__ import annotations

from functools import partial
from typing import Any

from sightbook.defects.params import TrainDefects
from sightbook.defects.synth.surfaces import KINDS, render_surface
from sightbook.detection.labels.annotations import ImageRecord
from sightbook.detection.training.augment import Image
from sightbook.detection.training.loader import Generator
from sightbook.detection.training.sets import DetectionSets, detection_sets, fold_sets
from sightbook.detection.training.train import cross_validate, train_detector
from sightbook.runs import Run


def train(params: TrainDefects, run: Run) -> dict[str, Any]:
    """Train a detector, or one for each fold; the run folder holds everything afterwards.

    Returns:
        Validation metrics of the best epoch; with `folds`, see `cross_validate`.
    """
    if params.folds:
        parts = fold_sets(params, run, generator(params), params.flip)
        return cross_validate(params, run, parts)
    return train_detector(params, run, training_sets(params, run))


def training_sets(params: TrainDefects, run: Run) -> DetectionSets:
    """The pictures to train and to validate on; see `detection_sets`."""
    return detection_sets(params, run, generator(params), params.flip)


def generator(params: TrainDefects) -> Generator:
    """What draws surfaces of `params.kind`, a little larger than the model sees them."""
    usual = KINDS[params.kind].size
    scale = min(1.0, 1.25 * params.size / max(usual))
    width, height = (max(160, round(side * scale)) for side in usual)
    draw = partial(_surface, kind=params.kind, size=(width, height), clean_share=params.clean)
    return Generator(draw, KINDS[params.kind].labels)


def _surface(seed: int, index: int, **settings: Any) -> tuple[Image, ImageRecord]:
    sample = render_surface(seed, index, **settings)
    return sample.image, sample.record
