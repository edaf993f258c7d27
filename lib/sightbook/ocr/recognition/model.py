"""Text recognition: a CRNN (Shi et al. 2015) of a few wide convolutions, GRU and CTC.

In and out it is what the ocrs engine expects: a grey line ``[batch, 1, 64, W]`` from -0.5 (black)
to 0.5 (white), and log-probabilities ``[W / 4, batch, characters + 1]`` with the blank first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sightbook.ocr.recognition.alphabet import carried_classes
from sightbook.training.weights import load_network

LINE_HEIGHT = 64
STRIDE = 4
"""Columns of a line to a frame of the output."""

RecognitionSize = Literal["small", "base", "tiny"]
# channels of the stages, units of the GRU (each way), layers of it
_SIZES: dict[str, tuple[tuple[int, ...], int, int]] = {
    "tiny": ((16, 32, 48, 64, 96, 96), 96, 1),
    "small": ((32, 64, 96, 160, 192, 256), 256, 2),
    "base": ((48, 96, 144, 224, 288, 384), 320, 2),
}


@dataclass(frozen=True)
class RecognizerConfig:
    """What a recogniser is made of.

    Attributes:
        alphabet: its characters; class 0 is the blank.
        size: ``tiny`` (demonstrations), ``small`` (2.7 M parameters) or ``base`` (5.3 M).
    """

    alphabet: str
    size: RecognitionSize = "small"


class Recognizer(nn.Module):
    """Reads lines of text."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.config = config
        (a, b, c, d, e, f), hidden, layers = _SIZES[config.size]
        # Plain convolutions: on a CPU they train faster than depthwise ones of the same quality.
        self.features = nn.Sequential(
            *_convolution(1, a, stride=2),  # 32 rows, W / 2 columns
            *_convolution(a, b, stride=2),  # 16 rows, W / 4
            *_convolution(b, c),
            nn.MaxPool2d((2, 1)),  # 8 rows
            *_convolution(c, d),
            nn.MaxPool2d((2, 1)),  # 4 rows
            *_convolution(d, e),
            # All four rows at once: what is a point and what a comma hangs on its height.
            nn.Conv2d(e, f, (4, 1), bias=False),
            nn.BatchNorm2d(f),
            nn.ReLU(inplace=True),
        )
        self.context = nn.GRU(f, hidden, layers, bidirectional=True)
        self.head = nn.Linear(2 * hidden, len(config.alphabet) + 1)

    @property
    def alphabet(self) -> str:
        """Its characters; class 0 is the blank, character i is class i + 1."""
        return self.config.alphabet

    def forward(self, line_image: Tensor) -> Tensor:
        """Read lines.

        Args:
            line_image: float32 ``[batch, 1, 64, W]``, grey from -0.5 to 0.5.

        Returns:
            float32 ``[T, batch, classes]``, log-probabilities; T is W / 4, rounded up.
        """
        # Picked rather than squeezed: the engine's browser build has no Squeeze.
        columns = self.features(line_image)[:, :, 0]
        frames, _ = self.context(columns.permute(2, 0, 1))
        return nn.functional.log_softmax(self.head(frames).float(), -1)


def load_recognizer(path: Path) -> Recognizer:
    """Build a recogniser from its file, ready to read.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: Recognizer(RecognizerConfig(**config)))


def with_alphabet(model: Recognizer, alphabet: str) -> Recognizer:
    """The same recogniser for another alphabet.

    Features, context and the weights of characters that both alphabets have are carried over; new
    characters begin as strangers: small random weights and the lowest bias that is known, so that
    they do not drown what was learnt.
    """
    if alphabet == model.config.alphabet:
        return model
    new = Recognizer(RecognizerConfig(alphabet, model.config.size))
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    new.load_state_dict(weights, strict=False)
    with torch.no_grad():
        new.head.weight.mul_(0.1)
        new.head.bias.fill_(float(model.head.bias.min()))
        for before, after in carried_classes(model.config.alphabet, alphabet):
            new.head.weight[after] = model.head.weight[before]
            new.head.bias[after] = model.head.bias[before]
    return new


def _convolution(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
