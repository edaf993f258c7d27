"""Pages to train a detector on: cut at random scales, with masks of the cores of their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.ocr.pages.page import Page, Points
from sightbook.ocr.synth.pages import render_page
from sightbook.synth import degrade

ENGINE_GROWTH = 3.0
"""Pixels by which the engine grows what it finds, on each side: what masks should lose."""

CORE = 0.4
"""Share of a word's height and width that its core keeps at least."""

Gray = NDArray[np.uint8]


class CropBatch(NamedTuple):
    """Cut-outs, uint8 ``[B, 1, H, W]``: pictures, cores of words (0 or 1), and where to learn."""

    images: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Crops:
    """Cut-outs of one page, uint8 ``[n, H, W]`` each."""

    images: Gray
    targets: Gray
    weights: Gray


def collate_crops(items: Sequence[Crops]) -> CropBatch:
    """All cut-outs of some pages in one batch."""
    parts = ([getattr(item, name) for item in items] for name in ("images", "targets", "weights"))
    return CropBatch(*(torch.from_numpy(np.concatenate(part)[:, None]) for part in parts))


def word_quads(page: Page) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Words as quadrilaterals ``[n, 4, 2]``, and whether each can be read ``[n]``."""
    words = list(page.words())
    # A line or paragraph without words, as some data sets have it, hides words nobody marked.
    shapes: list[Points] = [word.vertices for word in words]
    legible = [word.legible for word in words]
    for paragraph in page.paragraphs:
        if not paragraph.lines:
            shapes.append(paragraph.vertices)
            legible.append(False)
    for line in page.lines():
        if not line.words:
            shapes.append(line.vertices)
            legible.append(False)
    if not shapes:
        return np.zeros((0, 4, 2), np.float32), np.zeros(0, bool)
    return np.stack([_quad(shape) for shape in shapes]), np.array(legible)


def _quad(shape: Points) -> Points:
    if len(shape) == 4:
        return shape.astype(np.float32)
    return np.asarray(cv2.boxPoints(cv2.minAreaRect(shape.astype(np.float32))), np.float32)


def shrunken(
    quads: NDArray[np.float32], pixels: float = ENGINE_GROWTH, core: float = CORE
) -> NDArray[np.float32]:
    """Move the sides of quadrilaterals inwards, less where that would leave too little.

    Args:
        quads: float32 ``[n, 4, 2]``, corners in order round.
        pixels: by which each side moves.
        core: share of the width and height that stays at least.
    """
    sides = np.roll(quads, -1, 1) - quads  # from each corner to the next
    lengths = np.linalg.norm(sides, axis=2)
    # Opposite sides are about as long: the distance moved along a side is bounded by the mean.
    wide = (lengths[:, 0] + lengths[:, 2]) / 2
    tall = (lengths[:, 1] + lengths[:, 3]) / 2
    along = np.minimum(pixels, wide * (1 - core) / 2)
    down = np.minimum(pixels, tall * (1 - core) / 2)
    unit = sides / np.maximum(lengths, 1e-6)[..., None]
    moved = np.empty_like(quads)
    for corner in range(4):
        # The side that begins at a corner, and the one that ends there, point away from it.
        ahead, behind = (along, down) if corner % 2 == 0 else (down, along)
        moved[:, corner] = (
            quads[:, corner]
            + ahead[:, None] * unit[:, corner]
            - behind[:, None] * unit[:, corner - 1]
        )
    return moved


def word_masks(
    quads: NDArray[np.float32],
    legible: NDArray[np.bool_],
    shape: tuple[int, int],
    shrink: float = ENGINE_GROWTH,
) -> tuple[Gray, Gray]:
    """Draw what a detector should answer.

    Args:
        quads: words, float32 ``[n, 4, 2]``.
        legible: ``[n]``; others are not learnt, neither as words nor as paper.
        shape: height and width.
        shrink: pixels that words lose on each side.

    Returns:
        uint8 ``[H, W]`` twice: 1 in the core of words; 1 where anything is to be learnt.
    """
    target = np.zeros(shape, np.uint8)
    weight = np.ones(shape, np.uint8)
    for quad in quads[~legible]:
        cv2.fillConvexPoly(weight, quad.round().astype(np.int32), 0)
    for quad in shrunken(quads[legible], shrink):
        # Sixteenths of a pixel: a core is often but four pixels high.
        cv2.fillConvexPoly(target, np.round(quad * 16).astype(np.int32), 1, shift=4)
    return target, np.maximum(weight, target)


class SyntheticPages(Dataset):
    """Cut-outs of pages that are drawn as they are asked for; other ones in every epoch."""

    def __init__(
        self, count: int, seed: int, crop: int, shrink: float, fonts: str, words: str
    ) -> None:
        self.count, self.seed, self.crop, self.shrink = count, seed, crop, shrink
        self.fonts, self.words = fonts, words
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch's pages."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Crops:
        number = index + self.epoch * self.count
        sample = render_page(self.seed, number, fonts=self.fonts, words=self.words)
        rng = np.random.default_rng([self.seed, number, 7])
        return cut_crops(rng, sample.image, *word_quads(sample.page), self.crop, self.shrink)


class LabelledPages(Dataset):
    """Cut-outs of pages that somebody labelled, worn a little more at every reading."""

    def __init__(self, pages: Sequence[Page], crop: int, shrink: float, skipped: Skipped) -> None:
        self.pages = [page for page in pages if page.image is not None]
        self.crop, self.shrink, self.skipped = crop, shrink, skipped

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> Crops:
        page = self.pages[index]
        assert page.image is not None
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - seeded by fit
        try:
            image = cv2.cvtColor(open_image(page.image), cv2.COLOR_RGB2GRAY).astype(np.uint8)
        except ImageError as error:
            self.skipped.add(error.path, error.reason)
            blank = np.zeros((1, self.crop, self.crop), np.uint8)
            return Crops(blank, blank, blank)
        if rng.random() < 0.5:
            image = degrade.gamma(image, float(np.exp(rng.normal(0, 0.25))))
        if rng.random() < 0.3:
            image = degrade.gaussian_blur(image, rng.uniform(0.3, 0.9))
        if rng.random() < 0.3:
            image = degrade.noise(image, rng, rng.uniform(2, 14))
        return cut_crops(rng, image, *word_quads(page), self.crop, self.shrink)


class MixedPages(Dataset):
    """Drawn pages and labelled ones; as many as there are drawn ones."""

    def __init__(
        self, synthetic: SyntheticPages, own: LabelledPages, own_share: float, seed: int
    ) -> None:
        self.synthetic, self.own, self.own_share, self.seed = synthetic, own, own_share, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which pages come from where."""
        self.synthetic.set_epoch(epoch)
        rng = np.random.default_rng([self.seed, epoch, 5])
        count, passes = len(self.synthetic), -(-len(self.synthetic) // len(self.own))
        order = np.concatenate([rng.permutation(len(self.own)) for _ in range(passes)])[:count]
        self.choice = np.where(rng.random(count) < self.own_share, order, -1)

    def __len__(self) -> int:
        return len(self.synthetic)

    def __getitem__(self, index: int) -> Crops:
        own = int(self.choice[index])
        return self.own[own] if own >= 0 else self.synthetic[index]


def cut_crops(
    rng: np.random.Generator,
    image: Gray,
    quads: NDArray[np.float32],
    legible: NDArray[np.bool_],
    side: int,
    shrink: float,
) -> Crops:
    """Cut a page up at a random scale, as the engine would have scaled it.

    About as many cut-outs as cover the page are taken (at most four), most of them where there are
    words.

    Args:
        rng: source of randomness.
        image: uint8 grey ``[H, W]``.
        quads: words ``[n, 4, 2]``.
        legible: ``[n]``.
        side: of the cut-outs, pixels.
        shrink: pixels that words lose on each side.
    """
    height, width = image.shape
    scale = float(np.exp(rng.uniform(np.log(0.62), np.log(1.25))))
    factors = np.array([scale * np.exp(rng.normal(0, 0.06)), scale])
    size = np.maximum((np.array([width, height]) * factors).round(), 8).astype(int)
    # The engine scales without smoothing, so this does too.
    shape = (int(size[1]), int(size[0]))
    scaled = np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    quads = quads * (size / (width, height)).astype(np.float32)
    target, weight = word_masks(quads, legible, shape, shrink)
    rows, columns = shape
    bottom, right = max(0, side - rows), max(0, side - columns)
    if bottom or right:
        # Black, as the engine pads small pictures.
        edges = ((0, bottom), (0, right))
        scaled, target = np.pad(scaled, edges), np.pad(target, edges)
        weight = np.pad(weight, edges, constant_values=1)
    count = int(np.clip(round(rows * columns / side**2), 1, 4))
    centres = quads.mean(1)
    pieces = []
    for _ in range(count):
        y = int(rng.integers(0, scaled.shape[0] - side + 1))
        x = int(rng.integers(0, scaled.shape[1] - side + 1))
        if len(centres) and rng.random() < 0.6:
            near = centres[int(rng.integers(len(centres)))] - rng.uniform(0.1, 0.9, 2) * side
            x = int(np.clip(near[0], 0, scaled.shape[1] - side))
            y = int(np.clip(near[1], 0, scaled.shape[0] - side))
        pieces.append((slice(y, y + side), slice(x, x + side)))
    images, targets, weights = (
        np.stack([part[piece] for piece in pieces]) for part in (scaled, target, weight)
    )
    return Crops(images, targets, weights)
