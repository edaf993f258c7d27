"""Lines to train a recogniser on: drawn without end, or cut out of pages that somebody labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.ocr.pages.page import Line, Page, Points
from sightbook.ocr.recognition.alphabet import Encoder
from sightbook.ocr.synth.lines import LINE_HEIGHT, LineSettings, cut_line, line_width, render_line
from sightbook.training.data import Batches

WIDTH_STEP = 100
"""Columns that a batch's width is a multiple of: the engine pads to 50, but a CPU prepares kernels
for every width it meets and keeps them."""

SHORTEST = 3
"""Characters of the longest line when a curriculum begins."""

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class LineItem:
    """A line to learn: uint8 grey ``[64, w]``, its classes int64 ``[n]`` and its text."""

    image: Gray
    ids: NDArray[np.int64]
    text: str


@dataclass(frozen=True)
class LineBatch:
    """Lines side by side.

    Attributes:
        images: uint8 ``[batch, 1, 64, W]``, black where a line has ended; W a multiple of 100.
        targets: int64, classes of all lines in a row.
        lengths: int64 ``[batch]``, how many of them belong to each line; stays on the CPU.
        texts: what the lines say.
    """

    images: Tensor
    targets: Tensor
    lengths: Tensor
    texts: list[str]

    def pin_memory(self) -> LineBatch:
        """The same in memory that a GPU reads from directly."""
        return LineBatch(
            self.images.pin_memory(), self.targets.pin_memory(), self.lengths, self.texts
        )

    def to(self, device: torch.device) -> LineBatch:
        """The same on a device."""
        images = self.images.to(device, non_blocking=True)
        return LineBatch(images, self.targets.to(device), self.lengths, self.texts)


def collate_lines(items: Sequence[LineItem]) -> LineBatch:
    """Pad lines at the right as the engine does: with black."""
    widest = max(item.image.shape[1] for item in items)
    width = -(-widest // WIDTH_STEP) * WIDTH_STEP
    images = np.zeros((len(items), 1, LINE_HEIGHT, width), np.uint8)
    for place, item in zip(images, items, strict=True):
        place[0, :, : item.image.shape[1]] = item.image
    return LineBatch(
        torch.from_numpy(images),
        torch.from_numpy(np.concatenate([item.ids for item in items])),
        torch.tensor([len(item.ids) for item in items]),
        [item.text for item in items],
    )


class SyntheticLines(Dataset):
    """Lines that are drawn as they are asked for: in every epoch others, or the same ones.

    Args:
        count: lines an epoch.
        seed: of the series.
        settings: what lines are made of.
        fixed: the same lines in every epoch, as for validation.
        curriculum: lines over which they grow from short and clean to what `settings` say. CTC
            finds out which frames belong to which character on short lines, and many times faster.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        settings: LineSettings,
        *,
        fixed: bool = False,
        curriculum: int = 0,
    ) -> None:
        self.count, self.seed, self.settings, self.fixed = count, seed, settings, fixed
        self.curriculum = curriculum
        self.encoder = Encoder(settings.alphabet, "drop")
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch's lines."""
        self.epoch = 0 if self.fixed else epoch

    def __len__(self) -> int:
        return self.count

    def width(self, epoch: int, index: int) -> float:
        """About how wide a line will be, pixels."""
        number = index + (0 if self.fixed else epoch) * self.count
        return line_width(self.seed, number, self._settings(number))

    def __getitem__(self, index: int) -> LineItem:
        number = index + self.epoch * self.count
        sample = render_line(self.seed, number, self._settings(number))
        ids = self.encoder.encode(sample.text)
        assert ids is not None
        return LineItem(sample.image, ids, sample.text)

    def _settings(self, number: int) -> LineSettings:
        if number >= self.curriculum:
            return self.settings
        grown = number / self.curriculum
        longest = SHORTEST + grown * max(self.settings.max_chars - SHORTEST, 0)
        return replace(
            self.settings,
            wear=self.settings.wear * grown,
            max_chars=min(round(longest), self.settings.max_chars),
        )


class PageLines(Dataset):
    """Legible lines of labelled pages, cut out along their words as the engine does it.

    Args:
        pages: with their pictures.
        encoder: says which lines can be written.
        jitter: move the outlines a little at every reading, as a detector would.
        skipped: collects pictures that cannot be read.
    """

    def __init__(
        self, pages: Sequence[Page], encoder: Encoder, *, jitter: bool, skipped: Skipped
    ) -> None:
        self.encoder, self.jitter = encoder, jitter
        self.lines: list[tuple[Path, Line, NDArray[np.int64]]] = []
        for page in pages:
            for line in page.lines():
                if page.image is None or not line.legible or line.vertical or not line.text:
                    continue
                ids = encoder.encode(line.text)
                if ids is not None and len(ids):
                    self.lines.append((page.image, line, ids))
        self.skipped = skipped

    def __len__(self) -> int:
        return len(self.lines)

    def width(self, epoch: int, index: int) -> float:
        """About how wide a line will be, pixels."""
        outline = line_outline(self.lines[index][1], np.full(4, 0.5))
        wide, tall = np.ptp(outline, 0).tolist()
        return LINE_HEIGHT * wide / max(tall, 1)

    def __getitem__(self, index: int) -> LineItem:
        path, line, ids = self.lines[index]
        shake = np.random.rand(4) if self.jitter else np.full(4, 0.5)  # noqa: NPY002 - seeded by fit
        try:
            image = cut_line(_gray(path), line_outline(line, shake))
        except ImageError as error:
            self.skipped.add(error.path, error.reason)
            return LineItem(np.zeros((LINE_HEIGHT, WIDTH_STEP), np.uint8), ids[:0], "")
        return LineItem(image, ids, self.encoder.decode(ids.tolist()))


def line_outline(line: Line, shake: NDArray[np.float64]) -> NDArray[np.int32]:
    """The outline of a line along its words, grown about as much as the engine's boxes are.

    Args:
        line: with words, or with a polygon alone.
        shake: four numbers from 0 to 1: how far its sides (left, top, right, bottom) move out,
            from a twentieth of its height inwards to a fifth outwards.
    """
    shapes: list[Points] = [word.vertices for word in line.words] or [line.vertices]
    boxes = np.array([(*shape.min(0), *shape.max(0)) for shape in shapes], np.float64)
    boxes = boxes[boxes[:, 0].argsort()]
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    boxes += (shake * 0.25 - 0.05) * tall * np.array([-1, -1, 1, 1])
    upper = boxes[:, [0, 1, 2, 1]].reshape(-1, 2)
    lower = boxes[:, [0, 3, 2, 3]].reshape(-1, 2)
    return np.concatenate([upper, lower[::-1]]).round().astype(np.int32)


class MixedLines(Dataset):
    """Drawn lines and labelled ones in a fixed proportion; as many as there are drawn ones."""

    def __init__(
        self, synthetic: SyntheticLines, own: PageLines, own_share: float, seed: int
    ) -> None:
        self.synthetic, self.own, self.own_share, self.seed = synthetic, own, own_share, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which lines come from where."""
        self.synthetic.set_epoch(epoch)
        self.choice = self._choice(epoch)

    def __len__(self) -> int:
        return len(self.synthetic)

    def width(self, epoch: int, index: int) -> float:
        """About how wide a line will be, pixels."""
        own = self._choice(epoch)[index]
        return self.own.width(epoch, own) if own >= 0 else self.synthetic.width(epoch, index)

    def __getitem__(self, index: int) -> LineItem:
        own = self.choice[index]
        return self.own[int(own)] if own >= 0 else self.synthetic[index]

    @lru_cache(maxsize=2)  # noqa: B019 - lives as long as the training
    def _choice(self, epoch: int) -> NDArray[np.int64]:
        """For each place the number of a labelled line, or -1 for a drawn one."""
        rng = np.random.default_rng([self.seed, epoch, 5])
        count = len(self)
        passes = -(-count // len(self.own))
        order = np.concatenate([rng.permutation(len(self.own)) for _ in range(passes)])[:count]
        return np.where(rng.random(count) < self.own_share, order, -1)


def width_buckets(
    data: SyntheticLines | PageLines | MixedLines, seed: int, processes: int = 1, window: int = 32
) -> Batches:
    """Batches of lines of about the same width, in random order.

    Args:
        data: says about how wide its lines are.
        seed: of the order.
        processes: the number of batches becomes a multiple of it.
        window: batches that are sorted together; more make batches evener but less random.
    """

    def batches(epoch: int, batch_size: int) -> list[list[int]]:
        rng = np.random.default_rng([seed, epoch, 3])
        order = rng.permutation(len(data))
        widths = np.array([data.width(epoch, int(index)) for index in order])
        count = processes * -(-len(data) // (batch_size * processes))
        # Batches differ in size by one at most, so that none is too small for normalisation.
        sizes = np.diff(np.linspace(0, len(data), count + 1).round().astype(int))
        found: list[list[int]] = []
        start = 0
        for group in np.array_split(sizes, max(1, round(count / window))):
            part = slice(start, start + int(group.sum()))
            ordered = order[part][widths[part].argsort(kind="stable")]
            found += [batch.tolist() for batch in np.split(ordered, np.cumsum(group)[:-1])]
            start = part.stop
        return [found[i] for i in rng.permutation(count)]

    return batches


@lru_cache(maxsize=16)
def _gray(path: Path) -> Gray:
    return cv2.cvtColor(open_image(path), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
