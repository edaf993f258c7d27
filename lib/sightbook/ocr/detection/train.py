"""Training of text detection: what `02_train_text_detection` launches, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.images import Skipped, open_image
from sightbook.data.validation import fingerprint
from sightbook.inference.models import find_model
from sightbook.ocr.detection.calibration import WordCounts, count_words
from sightbook.ocr.detection.data import (
    CropBatch,
    LabelledPages,
    MixedPages,
    SyntheticPages,
    collate_crops,
)
from sightbook.ocr.detection.model import (
    DetectionConfig,
    DetectionModel,
    detection_loss,
    load_detection,
)
from sightbook.ocr.inference import engine
from sightbook.ocr.pages.page import Page
from sightbook.ocr.pages.read import read_dataset
from sightbook.ocr.params import TrainDetection
from sightbook.ocr.synth.pages import render_page
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.run import Run
from sightbook.training.fit import fit, seed_everything
from sightbook.training.task import Task, is_first_process
from sightbook.training.weights import save_weights

WEIGHTS = "detection.safetensors"
SKIPPED = "skipped.jsonl"
THRESHOLDS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Tried in validation; the export moves the best one to where the engine wants it."""


def train(
    params: TrainDetection,
    run: Run,
    task: DetectionTask | None = None,
    sets: PageSets | None = None,
) -> dict[str, Any]:
    """Train a detector; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: detector and loss; None for the usual ones.
        sets: pages to train and validate on; None for those that the parameters describe.

    Returns:
        Final validation metrics, of whole pages as the engine sees them.
    """
    sets = training_pages(params) if sets is None else sets
    sets.skipped.keep_in(run.path / SKIPPED)
    if is_first_process():
        run.record(dataset=sets.fingerprint, pages=sets.counts)
    if task is None:
        model = build_detector(params)
        task = DetectionTask(model, sets.validation, (params.height, params.width))
    result = fit(
        task,
        sets.train,
        Places(len(sets.validation)),
        run,
        params,
        collate=collate_pages,
        monitor="validation/f1",
        mode="max",
    )
    if is_first_process():
        save_weights(task.model, run.path / WEIGHTS)
    return result.metrics


@dataclass(frozen=True)
class ValidationPage:
    """A page as it is, prepared for the engine: grey float32 ``[H, W]``, and its truth."""

    gray: NDArray[np.float32]
    page: Page


@dataclass(frozen=True)
class PageSets:
    """Pages to train and to validate on.

    Attributes:
        train: cut-outs to learn from.
        validation: whole pages that are never trained on.
        counts: of pages of each kind.
        fingerprint: of the labelled pages; empty if there are none.
        skipped: pictures that cannot be read.
    """

    train: SyntheticPages | MixedPages
    validation: list[ValidationPage]
    counts: dict[str, int]
    fingerprint: dict[str, Any] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)


class Places(Dataset):
    """The numbers of validation pages: they are of many sizes, so only numbers are batched."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index


def collate_pages(items: Sequence[Any]) -> Any:
    """Batch cut-outs; numbers of validation pages stay a list."""
    return list(items) if isinstance(items[0], int) else collate_crops(items)


def training_pages(params: TrainDetection) -> PageSets:
    """Set up drawn pages and the user's, whose pictures are read and hashed here.

    Raises:
        ParameterError: the data leaves no page to train or validate on.
        DataError: the data cannot be read.
    """
    synthetic = SyntheticPages(
        params.pages, params.seed, params.crop, params.shrink, params.fonts, params.words
    )
    if params.data == "synthetic":
        samples = (
            render_page(params.seed, i, validation=True, fonts=params.fonts, words=params.words)
            for i in range(params.validation_pages)
        )
        unseen = [ValidationPage(engine.prepare_image(s.image), s.page) for s in samples]
        return PageSets(synthetic, unseen, {"synthetic": len(synthetic), "validation": len(unseen)})
    skipped = Skipped(params.max_bad)
    dataset = read_dataset(resolve_path(params.data), skipped=skipped)
    pages, held_back = dataset.split(params.validation)
    own = LabelledPages(pages, params.crop, params.shrink, skipped)
    kept = [
        ValidationPage(engine.prepare_image(open_image(page.image)), page)
        for page in held_back[: params.validation_pages]
        if page.image is not None
    ]
    if not len(own) or not kept:
        raise ParameterError(
            f"data: {params.data} gives {len(own)} pages to train and {len(kept)} to validate on; "
            "both are needed: see validation"
        )
    mark = fingerprint((page.image_id, page.image, page.to_dict()) for page in dataset.pages)
    counts = {"synthetic": len(synthetic), "own": len(own), "validation": len(kept)}
    mixed = MixedPages(synthetic, own, params.own_share, params.seed)
    return PageSets(mixed, kept, counts, mark.to_dict(), skipped)


def build_detector(params: TrainDetection) -> DetectionModel:
    """The detector that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Raises:
        ParameterError: the run's detector has another size than the parameters ask for.
        RunError: no such run, or one without a detector.
    """
    seed_everything(params.seed)
    if params.init == "scratch":
        return DetectionModel(DetectionConfig(params.size))
    file = find_model("ocr", params.init, WEIGHTS, part="detection")
    model = load_detection(file)
    if model.config.size != params.size:
        raise ParameterError(
            f"init: {file} is of size {model.config.size}, the parameters ask for {params.size}: "
            f"set size to {model.config.size}, or init to scratch"
        )
    return model.train()


class DetectionTask(Task):
    """A detector, trained on cut-outs and validated on whole pages as the engine sees them.

    A subclass may take another loss in `loss`.

    Args:
        model: a `DetectionModel`, or a module of your own that makes such logits of such pages.
        pages: to validate on.
        size: height and width of the exported model's input, to which pages are scaled.
    """

    def __init__(
        self, model: DetectionModel, pages: Sequence[ValidationPage], size: tuple[int, int]
    ) -> None:
        super().__init__()
        # Convolutions run a good deal faster this way, on a CPU and on a GPU.
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pages = pages
        self.size = size

    def training_step(self, batch: CropBatch, batch_idx: int) -> dict[str, Tensor]:
        """Balanced cross-entropy and Dice."""
        pixels = batch.images.float().mul_(1 / 255).sub_(0.5)
        logits = self.model(pixels.to(memory_format=torch.channels_last))
        return self.loss(logits, batch)

    def loss(self, logits: Tensor, batch: CropBatch) -> dict[str, Tensor]:
        """Loss of logits ``[B, 1, H, W]`` and its parts; whatever is in it is logged."""
        return detection_loss(logits, batch.targets.float(), batch.weights.float())

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.counts = {threshold: WordCounts() for threshold in THRESHOLDS}

    def validation_step(self, batch: list[int], batch_idx: int) -> None:
        """Find words with every threshold."""
        for index in batch:
            gray, page = self.pages[index].gray, self.pages[index].page
            pixels, (rows, columns) = engine.detection_input(gray, *self.size)
            logits = self.model(torch.from_numpy(pixels).to(self.device))
            seen = torch.sigmoid(logits)[0, 0, :rows, :columns].float().cpu().numpy()
            for threshold in THRESHOLDS:
                rects = engine.find_words(seen, (page.height, page.width), threshold=threshold)
                self.counts[threshold] += count_words(page, rects)

    def on_validation_epoch_end(self) -> None:
        """Log word precision, recall and F1 at the threshold where F1 is best."""
        best = max(self.counts, key=lambda threshold: self.counts[threshold].f)
        self.log("validation/f1", self.counts[best].f)
        self.log("validation/precision", self.counts[best].precision)
        self.log("validation/recall", self.counts[best].recall)
        self.log("validation/threshold", best)
