"""Text detection: a U-Net (Ronneberger et al. 2015) that marks the shrunken core of every word.

Depthwise-separable blocks keep it small. In and out it is what the ocrs engine expects, but for the
sigmoid: a grey page ``[batch, 1, H, W]`` from -0.5 (black) to 0.5 (white), and logits of the same
shape; H and W may be anything from 32 up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightbook.training.weights import load_network

DetectionSize = Literal["small", "base"]
# Channels at 1/2, 1/4, ... 1/32 of the page.
_CHANNELS: dict[str, tuple[int, ...]] = {
    "small": (16, 32, 72, 144, 288),
    "base": (32, 64, 128, 256, 448),
}


@dataclass(frozen=True)
class DetectionConfig:
    """What a detector is made of: ``small`` (0.6 M parameters) or ``base`` (1.6 M)."""

    size: DetectionSize = "small"


class DetectionModel(nn.Module):
    """Finds words on pages."""

    def __init__(self, config: DetectionConfig | None = None) -> None:
        super().__init__()
        self.config = config or DetectionConfig()
        channels = _CHANNELS[self.config.size]
        # Full resolution costs more than everything else and shows little that half of it hides.
        self.stem = _convolution(1, channels[0], stride=2)
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(
            nn.Sequential(Separable(a, b, stride=2), Separable(b, b)) for a, b in pairs
        )
        self.middle = Separable(channels[-1], channels[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(pairs))
        self.merge = nn.ModuleList(
            nn.Sequential(Separable(2 * a, a), Separable(a, a)) for a, _ in reversed(pairs)
        )
        self.head = nn.ConvTranspose2d(channels[0], 1, 2, 2)
        # Most of a page is paper: begin there, or the first steps are spent on learning it.
        self.head.bias = nn.Parameter(torch.full((1,), -2.0))

    def forward(self, image: Tensor) -> Tensor:
        """Find words.

        Args:
            image: float32 ``[batch, 1, H, W]``, grey from -0.5 to 0.5.

        Returns:
            float32 ``[batch, 1, H, W]``, logits of a pixel being the core of a word.
        """
        x = self.stem(image)
        levels = [x]
        for block in self.down:
            x = block(x)
            levels.append(x)
        x = self.middle(x)
        for enlarge, merge, level in zip(self.up, self.merge, reversed(levels[:-1]), strict=True):
            # Odd sizes were rounded up on the way down.
            larger = enlarge(x)[:, :, : level.shape[2], : level.shape[3]]
            x = merge(torch.cat([larger, level], 1))
        return self.head(x)[:, :, : image.shape[2], : image.shape[3]].float()


class Separable(nn.Module):
    """A depthwise and a pointwise convolution, and a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return features at the same resolution, or half of it with stride 2."""
        y = self.layers(x)
        return x + y if self.shortcut else y


def detection_loss(
    logits: Tensor, target: Tensor, weight: Tensor, negatives: float = 3.0
) -> dict[str, Tensor]:
    """Balanced cross-entropy with hard negatives, and Dice.

    Cross-entropy is averaged over all core pixels and `negatives` times as many others, the hardest
    ones (Shrivastava et al. 2016 in the form that text detectors have given it). The hardest are
    the gaps between words, so they outweigh the cores and words come apart. Dice (Milletari et al.
    2016) looks at each picture as a whole.

    Args:
        logits: float ``[B, 1, H, W]``.
        target: of the same shape, 1 in the core of words, else 0.
        weight: of the same shape; 0 where nothing is to be learnt (illegible words).
        negatives: for each positive.

    Returns:
        ``loss`` and its parts ``bce`` and ``dice``.
    """
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    positive = target * weight
    count = float(positive.sum())
    others = cross * (1 - positive)
    # A page without words still teaches what is no word.
    wanted_hard = min(max(negatives * count, 1000.0), others.numel() - count)
    hard = others * (others >= _level(others.detach(), wanted_hard / others.numel()))
    bce = ((cross * positive).sum() + hard.sum()) / max(count + wanted_hard, 1.0)
    probability = torch.sigmoid(logits) * weight
    overlap = (probability * positive).sum((1, 2, 3))
    total = (probability + positive).sum((1, 2, 3))
    dice = (1 - (2 * overlap + 1) / (total + 1)).mean()
    return {"loss": bce + dice, "bce": bce.detach(), "dice": dice.detach()}


def _level(values: Tensor, share: float, sample: int = 20_000) -> Tensor:
    """The value that about a share of all values reach; from a sample, as sorting all is slow."""
    flat = values.flatten()
    part = flat[:: max(1, len(flat) // sample)]
    place = len(part) - min(max(round(share * len(part)), 1), len(part)) + 1
    return part.kthvalue(place).values


def load_detection(path: Path) -> DetectionModel:
    """Build a detector from its file, ready to find.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: DetectionModel(DetectionConfig(**config)))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
