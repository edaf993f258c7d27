"""Pictures for training and validation: drawn ones, labelled ones, and both mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.detection.labels.annotations import ImageRecord
from sightbook.detection.training import augment
from sightbook.detection.training.augment import Example, Image, Mirror, example_of

Draw = Callable[[int], tuple[Image, ImageRecord]]
"""Picture number i of an endless series."""


@dataclass(frozen=True)
class Generator:
    """What draws a line's pictures.

    Attributes:
        draw: a picture by seed and number, always the same one; can be pickled.
        labels: the classes of what is on them, in order.
    """

    draw: Callable[[int, int], tuple[Image, ImageRecord]]
    labels: tuple[str, ...]

    def seeded(self, seed: int) -> Draw:
        """The series of a seed."""
        return partial(self.draw, seed)


@dataclass(frozen=True)
class Variation:
    """How training pictures are varied.

    Attributes:
        canvas: height and width that a picture is fitted into, pixels.
        scales: of large-scale jitter.
        mirror: see `augment.mirror`.
        photometric: share of the pictures with other light.
        copy_paste: share of the pictures, clean ones apart, with objects pasted in.
        mosaic: share of them put together of four.
        crop: a part of the canvas, at most so high and wide, is what is trained on; 0: all of it.
    """

    canvas: tuple[int, int]
    scales: tuple[float, float]
    mirror: Mirror
    photometric: float
    copy_paste: float
    mosaic: float
    crop: int = 0


class TrainingImages(Dataset):
    """Pictures to train on, varied anew in every epoch.

    Item i of an epoch follows from (seed, epoch, i) alone. Of labelled pictures alone an epoch has
    each once; mixed with drawn ones it has `count` in all. Drawn pictures never come twice.

    Args:
        records: labelled pictures; none for drawn ones alone.
        draw: draws others; None for labelled ones alone.
        labels: the classes in order.
        variation: how they are varied.
        masks: whether targets have masks.
        count: pictures an epoch where some are drawn.
        own_share: share of the labelled ones where some are drawn.
        seed: of everything.
        skipped: takes files that turn out to be unreadable; another picture takes their place.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        draw: Draw | None,
        labels: Sequence[str],
        variation: Variation,
        *,
        masks: bool,
        count: int,
        own_share: float,
        seed: int,
        skipped: Skipped,
    ) -> None:
        self.records = list(records)
        self.draw = draw
        self.labels = tuple(labels)
        self.variation = variation
        self.masks = masks
        self.count = count if draw is not None else len(self.records)
        self.own_share = (own_share if draw is not None else 1.0) if self.records else 0.0
        self.seed = seed
        self.skipped = skipped
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose what an epoch consists of: numbers of records, -1 for a drawn picture."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, epoch, 1])
        own = round(self.count * self.own_share)
        passes = -(-own // max(len(self.records), 1))
        order = [rng.permutation(len(self.records)) for _ in range(passes)]
        chosen = np.concatenate([np.zeros(0, np.int64), *order])[:own]
        drawn = np.full(self.count - own, -1)
        self.schedule: NDArray[np.int64] = rng.permutation(np.concatenate([chosen, drawn]))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.example(index)
        target = {
            "boxes": torch.from_numpy(np.ascontiguousarray(example.boxes)),
            "labels": torch.from_numpy(np.ascontiguousarray(example.labels)),
        }
        if self.masks:
            target["masks"] = torch.from_numpy(example.masks())
        return {"image": _tensor(example.image), "target": target}

    def example(self, index: int) -> Example:
        """Item `index` of the epoch, varied."""
        rng = np.random.default_rng([self.seed, self.epoch, index, 2])
        how = self.variation
        first = self._read(int(self.schedule[index]), self.epoch * self.count + index)
        # What is clean is shown clean: an epoch keeps all its negatives.
        negative = not len(first.boxes)
        first = augment.mirror(first, rng, how.mirror)
        if not negative and rng.random() < how.mosaic:
            four = [first, *(self._another(rng) for _ in range(3))]
            example = augment.mosaic(four, rng, how.canvas, how.scales)
        else:
            if not negative and rng.random() < how.copy_paste:
                first = augment.copy_paste(first, self._another(rng), rng)
            example = augment.jitter(first, rng, how.canvas, how.scales, how.crop)
        if rng.random() < how.photometric:
            example = replace(example, image=augment.photometric(example.image, rng))
        return example

    def _another(self, rng: np.random.Generator) -> Example:
        # a drawn one of its own number, far from those of the epochs
        other = self._read(int(rng.choice(self.schedule)), 2**30 + int(rng.integers(2**30)))
        return augment.mirror(other, rng, self.variation.mirror)

    def _read(self, number: int, drawn: int) -> Example:
        if number < 0:
            assert self.draw is not None
            return example_of(*self.draw(drawn), self.labels)
        longest = round(max(self.variation.canvas) * max(1.0, self.variation.scales[1]))
        for step in range(len(self.records)):
            record = self.records[(number + step) % len(self.records)]
            assert record.image is not None
            try:
                image = open_image(record.image, at_least=longest)
            except ImageError as error:
                self.skipped.add(error.path, error.reason)
                continue
            return example_of(image, record, self.labels)
        raise ImageError(str(self.records[number].image), "none of the pictures can be read")


class ValidationImages(Dataset):
    """Pictures as they are, with the numbers of their records."""

    def __init__(self, records: Sequence[ImageRecord], drawn: Sequence[Image] = ()) -> None:
        """Take records with files, or with their pictures in `drawn`."""
        self.records = list(records)
        self.drawn = list(drawn)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": _tensor(self.image(index)), "index": index}

    def image(self, index: int) -> Image:
        """Pixels of a record, uint8 RGB ``[H, W, 3]``."""
        if self.drawn:
            return self.drawn[index]
        file = self.records[index].image
        assert file is not None
        return open_image(file)


def collate_images(items: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """A batch is a list of each: pictures differ in size."""
    return {name: [item[name] for item in items] for name in items[0]}


def canvas_for(shapes: Sequence[tuple[int, int]], size: int, turns: bool) -> tuple[int, int]:
    """Height and width of training pictures.

    As most pictures are shaped, where they are all upright or all lying, else a square.

    Args:
        shapes: width and height of pictures.
        size: of the longer side, pixels.
        turns: pictures will be turned by quarters.
    """
    aspects = np.array([height / width for width, height in shapes] or [1.0])
    square = turns or (aspects.min() < 0.95 and aspects.max() > 1.05)
    aspect = 1.0 if square else float(np.median(aspects))
    long = -(-size // 32) * 32
    short = min(long, -(-round(size * min(aspect, 1 / aspect)) // 32) * 32)
    return (short, long) if aspect <= 1 else (long, short)


def _tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
