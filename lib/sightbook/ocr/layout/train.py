"""Training of the layout network: what `02_train_layout` launches, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.draw_parallel import draw_parallel
from sightbook.data.images import Skipped
from sightbook.data.validation import fingerprint
from sightbook.inference.models import find_model
from sightbook.ocr.layout.arrange import Scores
from sightbook.ocr.layout.data import (
    FEATURES,
    NOISE,
    Floats,
    PageWords,
    augment,
    crop,
    page_words,
    successors,
    together,
    word_features,
)
from sightbook.ocr.layout.metrics import LayoutFigures
from sightbook.ocr.layout.model import WEIGHTS, LayoutConfig, LayoutModel, layout_loss, load_layout
from sightbook.ocr.pages.page import Page
from sightbook.ocr.params import TrainLayout
from sightbook.ocr.synth.pages import render_page
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.files import write_json
from sightbook.runs.run import Run
from sightbook.training.data import ordered_batches, resolve_workers
from sightbook.training.fit import fit, seed_everything
from sightbook.training.task import Task, evaluating, is_first_process
from sightbook.training.weights import save_weights

VALIDATION_SEED = 0x1A07
"""Added to the training seed: validation's pages are others."""

SPLITS_FILE = "splits.json"
SKIPPED = "skipped.jsonl"


def train(
    params: TrainLayout,
    run: Run,
    task: LayoutTask | None = None,
    sets: LayoutSets | None = None,
) -> dict[str, Any]:
    """Train a layout network; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: network and loss; None for the usual ones.
        sets: pages to train and validate on; None for those that the parameters describe.

    Returns:
        Final validation metrics, on pages that were not trained on.
    """
    sets = training_pages(params) if sets is None else sets
    sets.skipped.keep_in(run.path / SKIPPED)
    if is_first_process():
        run.record(dataset=sets.fingerprint, pages=sets.counts)
        write_json(run.path / SPLITS_FILE, sets.splits)
    task = LayoutTask(build_layout(params)) if task is None else task
    result = fit(
        task,
        sets.train,
        sets.validation,
        run,
        params,
        collate=collate,
        monitor="validation/layout_f1",
        mode="max",
        # Already drawn at random: no page twice before each was seen once.
        batches=ordered_batches(len(sets.train)),
    )
    if is_first_process():
        save_weights(task.model, run.path / WEIGHTS)
    return result.metrics


# --------------------------------------------------------------------------- pages


@dataclass(frozen=True)
class LayoutSets:
    """Words of pages to train and to validate on.

    Attributes:
        train: samples of the user's pages and of generated ones.
        validation: pages of both kinds that are never trained on.
        counts: of pages of each kind.
        fingerprint: of the pages as they are trained on.
        splits: image id of each of the user's pages -> ``train`` or ``validation``.
        skipped: pages that cannot be used.
    """

    train: TrainingPages
    validation: ValidationPages
    counts: dict[str, int]
    fingerprint: dict[str, Any]
    splits: dict[str, str] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)


def training_pages(params: TrainLayout) -> LayoutSets:
    """Read the user's pages and draw the generated ones.

    Raises:
        ParameterError: no page to train on has two words.
        DataError: the folder cannot be used.
    """
    own: list[PageWords] = []
    held_back: list[PageWords] = []
    splits: dict[str, str] = {}
    skipped = Skipped(params.max_bad)
    if params.data != "synthetic":
        from sightbook.ocr.pages.read import read_dataset

        dataset = read_dataset(resolve_path(params.data), max_bad=params.max_bad, skipped=skipped)
        trained, validated = dataset.split(params.validation)
        own, held_back = usable(trained), usable(validated)
        splits = {page.image_id: "train" for page in trained}
        splits |= {page.image_id: "validation" for page in validated}
        if not own:
            raise ParameterError(
                f"data: {params.data} holds no page with two words or more to train on"
            )
    workers = resolve_workers(params.workers) + 1
    synthetic = synthetic_pages(params.pages, params.seed, workers)
    unseen = synthetic_pages(
        params.validation_pages, params.seed + VALIDATION_SEED, workers, validation=True
    )
    parts = {"own": own, "synthetic": synthetic, "validation": held_back + unseen}
    mark = fingerprint(
        (f"{part}/{number}", words.quads.tobytes(), words.paragraphs.tolist())
        for part, pages in parts.items()
        for number, words in enumerate(pages)
    )
    return LayoutSets(
        TrainingPages(own, synthetic, params),
        ValidationPages(parts["validation"]),
        {part: len(pages) for part, pages in parts.items()},
        mark.to_dict(),
        splits,
        skipped,
    )


def usable(pages: Sequence[Page]) -> list[PageWords]:
    """Words of the pages that have two or more: of one there is nothing to learn."""
    return [words for words in map(page_words, pages) if len(words) > 1]


# --------------------------------------------------------------------------- samples


class TrainingPages(Dataset):
    """Parts of pages as a detector might find them; none twice.

    Sample i of an epoch follows from (seed, epoch, i) alone. With both kinds of pages there are,
    `own_share` of the samples are of the user's.
    """

    def __init__(
        self, own: list[PageWords], synthetic: list[PageWords], params: TrainLayout
    ) -> None:
        self.pages = [*own, *synthetic]
        self.own = len(own)
        self.params = params
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which pages an epoch's samples are of."""
        self.epoch = epoch
        rng = np.random.default_rng([self.params.seed, epoch, 1])
        total, every = self.params.samples, len(self.pages)
        if 0 < self.own < every:
            first = round(total * self.params.own_share)
            chosen = [
                _evenly(rng, 0, self.own, first),
                _evenly(rng, self.own, every, total - first),
            ]
            self.schedule = rng.permutation(np.concatenate(chosen))
        else:
            self.schedule = _evenly(rng, 0, every, total)

    def __len__(self) -> int:
        return self.params.samples

    def __getitem__(self, index: int) -> PageWords:
        rng = np.random.default_rng([self.params.seed, self.epoch, index])
        words = self.pages[int(self.schedule[index])]
        # Of all sizes: pages have few words or many, and are laid out in parts of many.
        most = self.params.max_words
        part = crop(words, rng, int(rng.integers(max(2, most // 3), most + 1)))
        return augment(part, rng, self.params.augment)


def _evenly(rng: np.random.Generator, start: int, stop: int, count: int) -> np.ndarray:
    """Draw `count` of the pages `start` to `stop`, each as often as any other (or once more)."""
    passes = -(-count // (stop - start))
    order = [start + rng.permutation(stop - start) for _ in range(passes)]
    return np.concatenate([*order, np.zeros(0, np.int64)])[:count].astype(np.int64)


class ValidationPages(Dataset):
    """Whole pages with their true boxes, the same at every epoch."""

    def __init__(self, pages: list[PageWords]) -> None:
        self.pages = pages

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> PageWords:
        return self.pages[index]


def collate(samples: Sequence[PageWords]) -> dict[str, Tensor]:
    """Pages padded to the one with most words; see `layout.layout_loss` for the targets."""
    longest = max(map(len, samples))
    shape = (len(samples), longest)
    batch: dict[str, np.ndarray] = {
        "words": np.zeros((*shape, FEATURES), np.float32),
        "mask": np.zeros(shape, np.float32),
        "next": np.full(shape, -1, np.int64),
        "start": np.zeros(shape, np.float32),
        "same": np.zeros((*shape, longest), np.float32),
        "lines": np.full(shape, NOISE, np.int64),
        "paragraphs": np.full(shape, NOISE, np.int64),
    }
    for row, words in enumerate(samples):
        count = len(words)
        follows = successors(words.lines)
        batch["words"][row, :count] = word_features(words.quads)
        batch["mask"][row, :count] = 1
        batch["next"][row, :count] = follows
        batch["start"][row, :count] = 1
        batch["start"][row, follows[follows >= 0]] = 0
        batch["same"][row, :count, :count] = together(words.paragraphs)
        batch["lines"][row, :count] = words.lines
        batch["paragraphs"][row, :count] = words.paragraphs
    return {name: torch.from_numpy(values) for name, values in batch.items()}


# --------------------------------------------------------------------------- the task


class LayoutTask(Task):
    """The network; validation decodes whole pages as prediction does.

    A subclass may take another loss in `loss`.

    Args:
        model: a `LayoutModel`, or a module of your own that makes such scores of such words.
    """

    def __init__(self, model: LayoutModel) -> None:
        super().__init__()
        self.model = model
        self._figures = LayoutFigures()

    def training_step(self, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        """Loss of a batch and its parts."""
        return self.loss(self.model(batch["words"], batch["mask"]), batch)

    def loss(
        self, scores: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Loss of the model's scores, and its parts; whatever is in it is logged."""
        return layout_loss(scores, batch)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._figures = LayoutFigures()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Lay out each page."""
        counts = batch["mask"].sum(1).long().tolist()
        for row, count in enumerate(counts):
            words, lines, paragraphs = (
                batch[name][row, :count].cpu().numpy() for name in ("words", "lines", "paragraphs")
            )
            self._figures.update(words, lines, paragraphs, partial(judge, self.model))

    def on_validation_epoch_end(self) -> None:
        """Figures over all pages."""
        for name, value in self._figures.summary().items():
            self.log(f"validation/{name}", value)


def judge(model: LayoutModel, words: Floats) -> Scores:
    """Scores of one page's words by the network, in the form that `layout_engine` decodes."""
    device = next(model.parameters()).device
    with evaluating(model):
        inputs = torch.from_numpy(words)[None].to(device)
        outputs = model(inputs, torch.ones(inputs.shape[:2], device=device))
    line_ends, next_word, same_paragraph = (part[0].float().cpu().numpy() for part in outputs)
    return line_ends, next_word, same_paragraph


def build_layout(params: TrainLayout) -> LayoutModel:
    """The network that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Raises:
        ParameterError: the run's network has another shape than the parameters ask for.
        RunError: no such run, or one without a layout network.
    """
    seed_everything(params.seed)
    config = LayoutConfig(params.dim, params.layers, params.heads, params.pair)
    if params.init == "scratch":
        return LayoutModel(config)
    file = find_model("ocr", params.init, WEIGHTS, part="layout")
    model = load_layout(file)
    for name in ("dim", "layers", "heads", "pair"):
        there, asked = getattr(model.config, name), getattr(config, name)
        if there != asked:
            raise ParameterError(
                f"init: {file} has {name} {there}, the parameters ask for {asked}: set {name} to "
                f"{there}, or init to scratch"
            )
    return model.train()


def load_run(run: str | Path) -> LayoutModel:
    """The trained network of a run."""
    return load_layout(find_model("ocr", run, WEIGHTS, part="layout"))


@lru_cache(maxsize=4)  # the notebook shows what training then draws again
def synthetic_pages(
    count: int, seed: int, workers: int = 1, validation: bool = False
) -> list[PageWords]:
    """Words of generated pages 0 to `count` of a seed; those of an empty page are left out.

    Args:
        count: pages to draw.
        seed: of the series.
        workers: processes that draw; the pages do not depend on it.
        validation: with the fonts that are kept for validation.
    """
    task = partial(_synthetic_page, seed, validation)
    # For a few seconds' work, other processes start too slowly.
    found = draw_parallel(task, range(count), workers, least=200)
    return [words for words in found if len(words) > 1]


def _synthetic_page(seed: int, validation: bool, index: int) -> PageWords:
    return page_words(render_page(seed, index, validation=validation).page)
