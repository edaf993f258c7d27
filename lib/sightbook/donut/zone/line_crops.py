"""Straightened MRZ lines for training the reader: streamed from the generator or cut from a folder.

One item is one zone; `collate_lines` flattens the zones of a batch into lines. The crops are cut
with the same code as the predictor's, from line corners that are shaken as a finder's would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.donut.dataset.images import DocumentImages
from sightbook.donut.synth.zones import render_zone
from sightbook.donut.zone.geometry import cut_lines, reader_pixels, to_gray
from sightbook.donut.zone.model import ReaderConfig


class Zones(Protocol):
    """Pictures with the corners and the text of one zone's lines."""

    def __len__(self) -> int: ...

    def zone(
        self, index: int, epoch: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
        """Grey picture [H, W], line quads [n, 4, 2] and the lines of sample `index`."""
        ...


@dataclass
class SyntheticZones:
    """An endless stream of generated zones, cut into epochs.

    Attributes:
        samples: zones an epoch.
        seed: seed of the generator.
        epochs: length of the run, to which the curriculum is stretched.
        curriculum: share of the run over which the difficulty grows from 0 to 1; 0 for full
            difficulty at once.
    """

    samples: int
    seed: int
    epochs: int = 1
    curriculum: float = 0.0

    def __len__(self) -> int:
        return self.samples

    def zone(
        self, index: int, epoch: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
        """See `Zones`."""
        position = epoch * self.samples + index
        ramp = self.curriculum * self.epochs * self.samples
        difficulty = min(1.0, position / ramp) if ramp else 1.0
        sample = render_zone(self.seed, position, difficulty)
        return sample.image, sample.line_quads, sample.lines


@dataclass
class FolderZones:
    """Zones of whole pictures whose line corners are known.

    Attributes:
        images: the documents; those without a zone are passed over.
    """

    images: DocumentImages

    def __post_init__(self) -> None:
        records = [record for record in self.images.records if record.mrz_lines]
        self.images = replace(self.images, records=records)

    def __len__(self) -> int:
        return len(self.images)

    def zone(
        self, index: int, epoch: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
        """See `Zones`."""
        record, image = self.images.opened(index)
        assert record.quads is not None and record.mrz_lines
        return to_gray(image), record.quads, record.mrz_lines


@dataclass
class MixedZones:
    """Generated zones, a share of them replaced by zones of whole documents.

    Attributes:
        stream: gives the length and most samples.
        documents: whole documents, drawn from at random.
        share: of the samples that come from `documents`.
        seed: of the choice.
    """

    stream: SyntheticZones
    documents: FolderZones
    share: float
    seed: int

    def __len__(self) -> int:
        return len(self.stream)

    def zone(
        self, index: int, epoch: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
        """See `Zones`."""
        rng = np.random.default_rng([self.seed, epoch, index, 0x3A])
        if len(self.documents) and rng.random() < self.share:
            return self.documents.zone(int(rng.integers(len(self.documents))), epoch)
        return self.stream.zone(index, epoch)


def shake(quads: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Move line corners as an imperfect finder does.

    Each line's ends move along the line by up to about half a character, its height and its place
    across the line by a tenth of the capitals, and its tilt a little; all lines also move together,
    because a finder's errors are mostly shared.
    """
    across = quads[:, 1] - quads[:, 0]
    length = np.linalg.norm(across, axis=1, keepdims=True)
    across = across / length
    down = quads[:, 3] - quads[:, 0]
    cap = np.linalg.norm(down, axis=1, keepdims=True)
    down = down / np.maximum(cap, 1e-6)
    count = len(quads)
    ends = rng.normal(0, 0.010, (2, count, 1)) + rng.normal(0, 0.004, (2, 1, 1))
    sides = rng.normal(0, 0.06, (2, count, 1)) + rng.normal(0, 0.05, (2, 1, 1))
    tilt = rng.normal(0, 0.05, (count, 1))
    left, right = ends[0] * length * across, ends[1] * length * across
    top, bottom = sides[0] * cap * down, sides[1] * cap * down
    lift = tilt * cap * down
    moved = np.stack(
        [
            quads[:, 0] + left + top + lift,
            quads[:, 1] + right + top - lift,
            quads[:, 2] + right + bottom - lift,
            quads[:, 3] + left + bottom + lift,
        ],
        axis=1,
    )
    return moved.astype(np.float32)


class LineCrops(Dataset):
    """Lines of one zone an item: `lines` uint8 [n, 32, 736] and `texts`."""

    def __init__(self, zones: Zones, seed: int, shaken: bool = True) -> None:
        self.zones, self.seed, self.shaken = zones, seed, shaken
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw new samples from here on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.zones)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, quads, texts = self.zones.zone(index, self.epoch)
        if self.shaken:
            quads = shake(quads, np.random.default_rng([self.seed, self.epoch, index, 0x11E]))
        return {"lines": cut_lines(image, quads), "texts": texts}


@dataclass
class CollateLines:
    """Turns zones into one batch of lines: pixel values, labels and texts."""

    config: ReaderConfig

    def __call__(self, zones: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Flatten the zones into lines."""
        lines = np.concatenate([zone["lines"] for zone in zones])
        texts = [text for zone in zones for text in zone["texts"]]
        values: Tensor = torch.from_numpy(reader_pixels(lines))
        counts = [len(zone["texts"]) for zone in zones]
        labels = self.config.labels(texts)
        return {"pixel_values": values, "labels": labels, "texts": texts, "counts": counts}
