"""The zone finder's network, its training views and its loss.

A small U-Net reads a grey view and predicts, per 4x4-pixel cell, the four maps that
`sightbook.donut.zone.geometry` decodes. It trains on random similarity views of documents whose
line quadrilaterals are known: whole pictures at any rotation and the zone upright and enlarged,
which are the two looks the predictor takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from sightbook.donut.zone.geometry import (
    BAND,
    COS,
    FINE_WIDTH,
    SIN,
    STRIDE,
    ZONE,
    apply,
    hull_of_lines,
    normalise,
    sample,
)
from sightbook.training.fit import Task
from sightbook.training.task import evaluating
from sightbook.training.weights import load_network

WEIGHTS = "finder.safetensors"
WIDTHS: dict[str, tuple[int, ...]] = {
    "tiny": (12, 24, 32, 48, 64),
    "small": (16, 32, 48, 80, 112),
}
"""Channels at strides 2, 4, 8, 16, 32 by size name."""


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


@dataclass(frozen=True)
class FinderConfig:
    """What a finder is made of: ``tiny`` (demonstrations) or ``small``."""

    size: str = "small"


class Finder(nn.Module):
    """U-Net from views [B, 1, H, W] in [-1, 1] to maps [B, 4, H/4, W/4]; H, W multiples of 32.

    Channels of the output: logit of line coverage, logit of zone coverage, cosine and sine of the
    reading direction.
    """

    def __init__(self, size: str = "small") -> None:
        super().__init__()
        if size not in WIDTHS:
            raise ValueError(f"finder size {size!r} is unknown: choose one of {sorted(WIDTHS)}")
        w2, w4, w8, w16, w32 = WIDTHS[size]
        self.size = size
        self.config = FinderConfig(size)
        self.down2 = _conv(1, w2, 2)
        self.down4 = nn.Sequential(_conv(w2, w4, 2), _conv(w4, w4))
        self.down8 = nn.Sequential(_conv(w4, w8, 2), _conv(w8, w8))
        self.down16 = nn.Sequential(_conv(w8, w16, 2), _conv(w16, w16))
        self.down32 = nn.Sequential(_conv(w16, w32, 2), _conv(w32, w32), _conv(w32, w32))
        self.up16 = nn.Conv2d(w32, w16, 1)
        self.merge16 = _conv(w16, w16)
        self.up8 = nn.Conv2d(w16, w8, 1)
        self.merge8 = _conv(w8, w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        self.merge4 = _conv(w4, w4)
        self.head = nn.Conv2d(w4, 4, 1)
        with torch.no_grad():
            # Most cells hold no zone: starting there spares the first hundred steps.
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([-3.0, -2.0, 0.0, 0.0]))

    def forward(self, views: Tensor) -> Tensor:
        """Maps [B, 4, H/4, W/4] of views [B, 1, H, W]."""
        x4 = self.down4(self.down2(views))
        x8 = self.down8(x4)
        x16 = self.down16(x8)
        x32 = self.down32(x16)
        x16 = self.merge16(x16 + F.interpolate(self.up16(x32), scale_factor=2.0))
        x8 = self.merge8(x8 + F.interpolate(self.up8(x16), scale_factor=2.0))
        x4 = self.merge4(x4 + F.interpolate(self.up4(x8), scale_factor=2.0))
        return self.head(x4)


def finder_loss(maps: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Losses of the finder's maps.

    Args:
        maps: network output [B, 4, h, w].
        targets: [B, 4, h, w]: line and zone coverage in [0, 1], cosine and sine of the reading
            direction (zero outside zones).

    Returns:
        `line` and `zone` (binary cross-entropy plus soft dice each), `direction` (squared error
        inside zones) and `loss`, their sum; scalars.
    """
    losses = {}
    for name, channel in (("line", BAND), ("zone", ZONE)):
        logit, target = maps[:, channel].float(), targets[:, channel]
        probability = logit.sigmoid()
        overlap = (probability * target).sum()
        dice = 1 - (2 * overlap + 1) / (probability.sum() + target.sum() + 1)
        # Mean over cells would be ruled by empty desk: weigh zone cells up.
        weight = 1 + 4 * (target > 0.05).float()
        bce = F.binary_cross_entropy_with_logits(logit, target, weight=weight)
        losses[name] = bce + dice
    inside = targets[:, ZONE : ZONE + 1]
    error = (maps[:, [COS, SIN]].float() - targets[:, [COS, SIN]]) ** 2 * inside
    losses["direction"] = error.sum() / (inside.sum() + 1)
    losses["loss"] = losses["line"] + losses["zone"] + losses["direction"]
    return losses


def draw_targets(quads: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The maps a perfect finder would give for lines [n,4,2] in a view of `size` (width, height).

    Returns:
        float32 [4, height/4, width/4]: coverages are exact to 1/16 of a cell.
    """
    width, height = size
    maps = np.zeros((4, height // STRIDE, width // STRIDE), np.float32)
    if not len(quads):
        return maps
    cells = (width // STRIDE, height // STRIDE)

    def coverage(polygons: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        canvas = np.zeros((height, width), np.uint8)
        for polygon in polygons:
            # OpenCV fills the outline's own pixels too, half a pixel too much a side.
            corners = np.round(_inset(polygon, 0.5) * 16).astype(np.int32)
            cv2.fillPoly(canvas, [corners], 255, cv2.LINE_8, 4)
        small = cv2.resize(canvas, cells, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32) / np.float32(255)

    maps[BAND] = coverage(list(quads))
    maps[ZONE] = coverage([hull_of_lines(quads)])
    direction = (quads[:, 1] - quads[:, 0]).mean(0)
    direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
    maps[COS], maps[SIN] = direction[0] * (maps[ZONE] > 0), direction[1] * (maps[ZONE] > 0)
    return maps


def _inset(quad: NDArray[np.float32], distance: float) -> NDArray[np.float32]:
    """A quadrilateral [4, 2] with each side moved inwards by about `distance` pixels."""
    across, down = quad[[1, 1, 2, 2]] - quad[[0, 0, 3, 3]], quad[[3, 2, 2, 3]] - quad[[0, 1, 1, 0]]
    across = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    down = down / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32)
    moved = quad + distance * (signs[:, :1] * across + signs[:, 1:] * down)
    return moved.astype(np.float32)


class LabelledViews(Protocol):
    """Images with known lines: what the finder trains on."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Grey picture [H, W] and its line quads [n, 4, 2] (n = 0 without a zone)."""
        ...


def random_view(
    gray: NDArray[np.uint8], quads: NDArray[np.float32], rng: np.random.Generator, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A random similarity view of a document, as the finder's first or second look takes it.

    Args:
        gray: picture [H, W].
        quads: its line quads [n, 4, 2].
        rng: the sample's own generator.
        side: side of the square view in pixels.

    Returns:
        The view, uint8 [side, side], and the quads in it.
    """
    height, width = gray.shape
    fine = len(quads) > 0 and rng.random() < 0.45
    turn = np.eye(2)
    if fine:
        outline = hull_of_lines(quads)
        across = (outline[1] - outline[0] + outline[2] - outline[3]) / 2
        length = float(np.linalg.norm(across))
        angle = -np.arctan2(across[1], across[0]) + np.radians(rng.normal(0, 4))
        if rng.random() < 0.15:
            angle += np.pi
        scale = FINE_WIDTH / length * np.exp(rng.normal(0, 0.25))
        centre = outline.mean(0) + rng.normal(0, 0.1, 2) * length
    else:
        angle = np.radians(90 * int(rng.integers(4)) + rng.normal(0, 3))
        scale = side / max(height, width) * np.exp(rng.uniform(-0.3, 0.7))
        centre = np.array([width, height]) / 2 + rng.normal(0, 0.08, 2) * (width, height)
        if len(quads) and rng.random() < 0.6:
            middle = quads.reshape(-1, 2).mean(0)
            centre = middle + (centre - middle) * rng.uniform(0, 1)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = scale * np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, np.array([side, side]) / 2 - turn @ centre
    border = 128 if rng.random() < 0.6 else int(rng.integers(256))
    view = sample(gray, matrix, (side, side), border)
    return _spoil(view, rng), apply(matrix, quads) if len(quads) else quads


def _spoil(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Loss of resolution, light, contrast and noise beyond what the document brings along."""
    if rng.random() < 0.35:
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(view, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        size = (view.shape[1], view.shape[0])
        view = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    if rng.random() < 0.3:
        view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.4, 1.5)).astype(np.uint8)
    gain, bias = np.exp(rng.normal(0, 0.25)), rng.normal(0, 25)
    pixels = np.clip(view * gain + bias + 128 * (1 - gain), 0, 255)
    if rng.random() < 0.4:
        pixels = pixels + rng.normal(0, rng.uniform(1, 10), view.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


class FinderViews(Dataset):
    """Views and targets for training; item i of epoch e is the same picture everywhere."""

    def __init__(self, documents: LabelledViews, side: int, seed: int, views_per_document: int = 1):
        self.documents, self.side, self.seed = documents, side, seed
        self.views_per_document = views_per_document
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw new views from here on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.documents) * self.views_per_document

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        gray, quads = self.documents[index % len(self.documents)]
        rng = np.random.default_rng([self.seed, self.epoch, index, 0xF1])
        view, quads = random_view(gray, quads, rng, self.side)
        targets = draw_targets(quads, (self.side, self.side))
        return {"view": torch.from_numpy(normalise(view)), "maps": torch.from_numpy(targets)}


class FinderTask(Task):
    """Trains a `Finder`; logs its losses and the intersection over union of the zone maps.

    A subclass may take another loss in `loss`.

    Args:
        network: a `Finder`, or a module of your own that makes such maps of such views.
    """

    def __init__(self, network: Finder) -> None:
        super().__init__()
        # Convolutions on a CPU run a third faster with the channels innermost.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
        """Losses of one batch of views."""
        return self.loss(self.network(batch["view"]), batch["maps"])

    def loss(self, maps: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Loss of maps ``[B, 4, h, w]`` and its parts; whatever is in it is logged."""
        return finder_loss(maps, targets)

    def validation_step(self, batch: Mapping[str, Tensor], index: int) -> None:
        """Losses and the zone maps' intersection over union at probability 0.5."""
        maps = self.network(batch["view"])
        losses = self.loss(maps, batch["maps"])
        size = len(batch["view"])
        for name, value in losses.items():
            self.log(f"validation/{name}", value, batch_size=size)
        for name, channel in (("line_iou", BAND), ("zone_iou", ZONE)):
            found, true = maps[:, channel] > 0, batch["maps"][:, channel] > 0.5
            iou = (found & true).sum() / (found | true).sum().clamp(min=1)
            self.log(f"validation/{name}", iou.float(), batch_size=size)


def load_finder(path: Path) -> Finder:
    """Build a finder from its file, in evaluation mode, on the CPU.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: Finder(**config))


def as_maps(network: Finder) -> Any:
    """The network as `zone.find_zones` calls it: float32 arrays in, float32 arrays out."""

    def run(views: NDArray[np.float32]) -> NDArray[np.float32]:
        with evaluating(network):
            return network(torch.from_numpy(np.ascontiguousarray(views))).numpy()

    return run
