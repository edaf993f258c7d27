"""Training the reader of single lines: one loss from two heads, one validation reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from sightbook.donut.zone.model import LineReader, ReaderConfig
from sightbook.inference.ctc import ctc_greedy
from sightbook.training.fit import Task
from sightbook.training.weights import load_network

WEIGHTS = "reader.safetensors"


class ReaderTask(Task):
    """Trains a `LineReader`; validates on exact lines and CER of the CTC head's best path.

    The decoder's own reading costs a pass a character, so during training it is watched by its
    share of right tokens under teacher forcing; `03_evaluate_donut` reads with both heads. A
    subclass may weigh or replace the losses in `loss`.

    Args:
        reader: a `LineReader`, or a module of your own that answers as it does.
        ctc_weight: share of the CTC head in the loss.
    """

    def __init__(self, reader: LineReader, ctc_weight: float) -> None:
        super().__init__()
        # Convolutions on a CPU run a third faster with the channels innermost.
        self.reader = reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ctc_weight = ctc_weight

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One loss of the two heads'."""
        # CTC sums over some 45 characters and divides by the text's length, as the decoder's
        # cross-entropy averages over tokens: both are nats a character.
        return self.ctc_weight * losses["ctc"] + (1 - self.ctc_weight) * losses["decoder"]

    def training_step(self, batch: Mapping[str, Any], index: int) -> dict[str, Tensor]:
        """Weighted loss of both heads, and each alone."""
        losses = self.reader(batch["pixel_values"], labels=batch["labels"]).losses
        return {"loss": self.loss(losses), **losses}

    def validation_step(self, batch: Mapping[str, Any], index: int) -> None:
        """Loss, token accuracy of the decoder, CER and exact lines of the CTC head."""
        output = self.reader(batch["pixel_values"], labels=batch["labels"])
        texts, size = batch["texts"], len(batch["texts"])
        read = ctc_texts(output.ctc_log_probs, self.reader.config)
        edits = sum(Levenshtein.distance(a, b) for a, b in zip(read, texts, strict=True))
        characters = sum(map(len, texts))
        known = batch["labels"] >= 0
        right = (output.logits.argmax(-1) == batch["labels"])[known].float().mean()
        exact = sum(a == b for a, b in zip(read, texts, strict=True))
        values = {
            "loss": self.loss(output.losses).float(),
            "cer": edits / characters,
            "exact_lines": exact / size,
            "decoder_accuracy": right,
        }
        for name, value in values.items():
            self.log(f"validation/{name}", value, batch_size=size)


def ctc_texts(log_probs: Tensor, config: ReaderConfig) -> list[str]:
    """Best-path texts of CTC log-probabilities [B, T, classes]."""
    read = [ctc_greedy(row, config.blank)[0] for row in log_probs.detach().float().cpu().numpy()]
    return ["".join(config.characters[symbol] for symbol in ids) for ids in read]


def load_reader(path: Path) -> LineReader:
    """Build a reader from its file, in evaluation mode, on the CPU.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: LineReader(ReaderConfig(**config)))
