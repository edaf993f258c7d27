"""Training of a detector of casings and primers: what `02_train_headstamps` launches."""

from __future__ import annotations

from functools import partial
from typing import Any

from sightbook.detection.labels.annotations import ImageRecord
from sightbook.detection.training.augment import Image, Mirror
from sightbook.detection.training.loader import Generator
from sightbook.detection.training.sets import DetectionSets, detection_sets
from sightbook.detection.training.train import DetectionTask, build_detector, train_detector
from sightbook.headstamps.params import TrainHeadstamps
from sightbook.headstamps.synth.photographs import LABELS, render_headstamps
from sightbook.runs.run import Run


def train(
    params: TrainHeadstamps,
    run: Run,
    task: DetectionTask | None = None,
    sets: DetectionSets | None = None,
) -> dict[str, Any]:
    """Train a detector, or one for each fold; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: detector and loss; None for the usual ones.
        sets: photographs to train and validate on; None for those that the parameters describe.

    Returns:
        Validation metrics of the best epoch; with `folds`, see `cross_validate`.
    """
    sets = training_images(params) if sets is None else sets
    if task is None:
        task = DetectionTask(build_detector(params, sets), sets, params.epoch_dumps)
    return train_detector(params, run, task, sets)


def training_images(params: TrainHeadstamps) -> DetectionSets:
    """The photographs to train and to validate on; see `detection_sets`."""
    return detection_sets(params, generator(params), mirror(params))


def mirror(params: TrainHeadstamps) -> Mirror:
    """Quarter turns at most: stamped text is never mirrored."""
    return "turns" if params.turn else "none"


def generator(params: TrainHeadstamps) -> Generator:
    """What draws photographs, a little larger than the model sees them."""
    side = max(160, min(960, round(1.25 * params.size)))
    return Generator(partial(_photograph, size=side), LABELS)


def _photograph(seed: int, index: int, *, size: int) -> tuple[Image, ImageRecord]:
    sample = render_headstamps(seed, index, size=size)
    return sample.image, sample.record
