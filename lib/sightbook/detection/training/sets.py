"""Which pictures a detector is trained and validated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.data.validation import Report
from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.detection.labels.read import folds, read_annotations, read_version, split_annotations
from sightbook.detection.labels.statistics import content_key
from sightbook.detection.models.anchors import Sides
from sightbook.detection.params import TrainDetector
from sightbook.detection.training.augment import Mirror
from sightbook.detection.training.loader import (
    Draw,
    Generator,
    TrainingImages,
    ValidationImages,
    Variation,
    canvas_for,
)
from sightbook.params import ParameterError, resolve_path
from sightbook.training.task import is_first_process

SPLITS_FILE = "splits.json"
"""Content of each picture -> its split: what was held back stays so, wherever the files go."""

VALIDATION_SEED = 0x5EED
"""Added to the training seed: drawn validation pictures are others."""

SAMPLED = 24
"""Drawn pictures that stand for all in what is derived from their boxes."""


@dataclass(frozen=True)
class DetectionSets:
    """Pictures to train and to validate on.

    Attributes:
        train: varied pictures.
        validation: pictures as they are.
        truth: of the validation pictures, in their order.
        sides: widths and heights of the boxes to train on, in the network's pixels at scale 1.
        counts: pictures of each kind, clean ones apart.
        fingerprint: of the labelled pictures; empty where all are drawn.
        splits: content of each labelled picture -> train, validation or test.
        skipped: pictures that cannot be read.
        folds: of a cross-validation, the sets of each fold; these are the first's.
    """

    train: TrainingImages
    validation: ValidationImages
    truth: Annotations
    sides: Sides
    counts: dict[str, int]
    fingerprint: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)
    folds: tuple[DetectionSets, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in order."""
        return self.truth.labels


def detection_sets(params: TrainDetector, generator: Generator, mirror: Mirror) -> DetectionSets:
    """Read and hash the labelled pictures, split them, and set up what draws the rest.

    Args:
        params: of a line.
        generator: of the line's pictures.
        mirror: how pictures are mirrored and turned, see `augment.mirror`.

    Raises:
        ParameterError: parameters and data do not go together; says why.
        DataError: the labels cannot be read, or have errors and `strict` is set; there are fewer
            groups than folds.
    """
    if params.data == "synthetic":
        return _synthetic_sets(params, generator, mirror)
    skipped = Skipped(params.max_bad)
    parts = _read(params, skipped)
    if params.folds:
        folded = tuple(_fold_sets(params, parts, generator, mirror, skipped))
        return replace(folded[0], folds=folded)
    return _own_sets(params, parts, generator, mirror, skipped)


def _fold_sets(
    params: TrainDetector,
    parts: dict[str, Annotations],
    generator: Generator,
    mirror: Mirror,
    skipped: Skipped,
) -> Iterator[DetectionSets]:
    """The sets of each fold: a part of the groups is held back, all others are trained on.

    What the data says of splits is left aside, except that a test part of it stays out.
    """
    everything = [*parts["train"].records, *parts["validation"].records]
    pool = parts["train"].with_records(replace(record, split="") for record in everything)
    for outside, inside in folds(pool, params.folds, salt=str(params.seed)):
        cut = {**parts, "train": outside, "validation": inside}
        yield _own_sets(params, cut, generator, mirror, skipped)


def _read(params: TrainDetector, skipped: Skipped) -> dict[str, Annotations]:
    """Labels by split; train and validation among them."""
    report = Report()
    source = resolve_path(params.data)
    images = resolve_path(params.images) if params.images else None
    held: dict[str, Annotations] = {}
    if params.usecase:
        own, test, _ = read_version(
            source, params.usecase, params.version, images=images, report=report, skipped=skipped
        )
        held["test"] = test
        shares = {"train": 1 - params.validation, "validation": params.validation}
        own = own.with_records(replace(record, split="") for record in own.records)
    else:
        own = read_annotations(source, images=images, report=report, skipped=skipped)
        if params.use_test:
            own = own.with_records(replace(record, split="") for record in own.records)
        shares = {
            "train": 1 - params.validation - params.test,
            "validation": params.validation,
            "test": params.test,
        }
        shares = {name: share for name, share in shares.items() if share > 0}
    if report.problems and is_first_process():
        print(report, flush=True)
    if params.strict:
        report.raise_errors()
    return split_annotations(own, shares, salt=str(params.seed)) | held


def _own_sets(
    params: TrainDetector,
    parts: dict[str, Annotations],
    generator: Generator,
    mirror: Mirror,
    skipped: Skipped,
) -> DetectionSets:
    train, truth = parts["train"], _readable(parts["validation"], skipped)
    _check(params, train, truth, mirror)
    draw = _draw_beside(params, train, generator) if params.own_share < 1 else None
    shapes = [(record.width, record.height) for record in train.records]
    everything = [record for part in parts.values() for record in part.records]
    return DetectionSets(
        _training(params, train.records, draw, train.labels, shapes, mirror, skipped),
        ValidationImages(truth.records),
        truth,
        _sides(train.records, params.size),
        {
            "train": len(train.records),
            "train_clean": len(train.clean()),
            "validation": len(truth.records),
            "validation_clean": len(truth.clean()),
            "held_back": len(parts["test"].records) if "test" in parts else 0,
        },
        train.with_records(everything).fingerprint().to_dict(),
        {content_key(record): name for name, part in parts.items() for record in part.records},
        skipped,
    )


def _synthetic_sets(params: TrainDetector, generator: Generator, mirror: Mirror) -> DetectionSets:
    draw, labels = generator.seeded(params.seed), generator.labels
    unseen = generator.seeded(params.seed + VALIDATION_SEED)
    kept = [unseen(index) for index in range(params.validation_images)]
    records = [record for _, record in kept]
    truth = Annotations(tuple(records), labels)
    samples = [draw(index)[1] for index in range(SAMPLED)] if params.anchors == "data" else records
    shapes = [(record.width, record.height) for record in records]
    if not any(record.boxes for record in records):
        raise ParameterError(
            f"validation_pictures: none of {params.validation_images} has an object; raise it"
        )
    skipped = Skipped(params.max_bad)
    return DetectionSets(
        _training(params, [], draw, labels, shapes, mirror, skipped),
        ValidationImages(records, [image for image, _ in kept]),
        truth,
        _sides(samples, params.size),
        {
            "train": params.synthetic_images,
            "validation": len(records),
            "validation_clean": len(truth.clean()),
        },
        skipped=skipped,
    )


def _training(
    params: TrainDetector,
    records: Sequence[ImageRecord],
    draw: Draw | None,
    labels: tuple[str, ...],
    shapes: list[tuple[int, int]],
    mirror: Mirror,
    skipped: Skipped,
) -> TrainingImages:
    variation = Variation(
        canvas_for(shapes, params.size, mirror in ("all", "turns")),
        (params.scale_min, params.scale_max),
        mirror,
        params.photometric,
        params.copy_paste,
        params.mosaic,
        params.crop,
    )
    return TrainingImages(
        records,
        draw,
        labels,
        variation,
        masks=params.has_masks,
        count=params.synthetic_images,
        own_share=params.own_share,
        seed=params.seed,
        skipped=skipped,
    )


def _check(params: TrainDetector, train: Annotations, truth: Annotations, mirror: Mirror) -> None:
    """Refuse what cannot be trained or would be trained wrongly."""
    for name, part in (("train", train), ("validation", truth)):
        if not any(not box.crowd for record in part.records for box in record.boxes):
            raise ParameterError(
                f"data: {params.data} gives {len(part.records)} pictures to {name} on, none with "
                "an object; both need some: see validation and test"
            )
    boxes = [box for record in train.records for box in record.boxes if not box.crowd]
    if params.has_masks and not all(box.polygons for box in boxes):
        bare = sum(not box.polygons for box in boxes)
        raise ParameterError(
            f"model: a Mask R-CNN learns outlines, and {bare} of {len(boxes)} objects have none; "
            "choose a fasterrcnn or dfine_nano"
        )
    written = any(box.attributes.get("text") or box.attributes.get("tokens") for box in boxes)
    if mirror in ("horizontal", "all") and written:
        raise ParameterError(
            f"data: there is text on the objects of {params.data}, which mirroring ({mirror}) "
            "would spoil: leave pictures unmirrored (flip none)"
        )


def _draw_beside(params: TrainDetector, own: Annotations, generator: Generator) -> Draw:
    unknown = [label for label in generator.labels if label not in own.labels]
    if unknown:
        raise ParameterError(
            f"own_share: drawn pictures have {', '.join(generator.labels)}, data has "
            f"{', '.join(own.labels)}: they cannot be mixed; set own_share to 1"
        )
    return generator.seeded(params.seed)


def _readable(part: Annotations, skipped: Skipped) -> Annotations:
    """Without the pictures whose pixels cannot be read; their headers have been looked at."""
    kept = []
    for record in part.records:
        try:
            assert record.image is not None
            open_image(record.image)
        except ImageError as error:
            skipped.add(error.path, error.reason)
        else:
            kept.append(record)
    return part.with_records(kept)


def _sides(records: Sequence[ImageRecord], size: int) -> Sides:
    found: list[tuple[float, float]] = []
    for record in records:
        scale = size / max(record.width, record.height)
        found += [(box.width * scale, box.height * scale) for box in record.boxes if not box.crowd]
    return np.array(found, np.float64).reshape(-1, 2)
