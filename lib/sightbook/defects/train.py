"""Training of a detector of defects: what `02_train_defects` launches."""

from __future__ import annotations

from functools import partial
from typing import Any

from sightbook.defects.params import TrainDefects
from sightbook.defects.synth.surfaces import KINDS, render_surface
from sightbook.detection.labels.annotations import ImageRecord
from sightbook.detection.training.augment import Image
from sightbook.detection.training.loader import Generator
from sightbook.detection.training.sets import DetectionSets, detection_sets
from sightbook.detection.training.train import DetectionTask, build_detector, train_detector
from sightbook.runs.run import Run


def train(
    params: TrainDefects,
    run: Run,
    task: DetectionTask | None = None,
    sets: DetectionSets | None = None,
) -> dict[str, Any]:
    """Train a detector, or one for each fold; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: detector and loss; None for the usual ones.
        sets: pictures to train and validate on; None for those that the parameters describe.

    Returns:
        Validation metrics of the best epoch; with `folds`, see `cross_validate`.
    """
    sets = training_images(params) if sets is None else sets
    if task is None:
        task = DetectionTask(build_detector(params, sets), sets, params.epoch_dumps)
    return train_detector(params, run, task, sets)


def training_images(params: TrainDefects) -> DetectionSets:
    """The pictures to train and to validate on; see `detection_sets`."""
    return detection_sets(params, generator(params), params.flip)


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
