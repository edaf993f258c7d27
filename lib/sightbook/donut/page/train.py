"""Training the page pipeline: whole picture in, token sequence out, as Donut's authors train.

What the answers look like is read off the data, see :mod:`sightbook.donut.page.notation`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DonutProcessor, PreTrainedTokenizerBase, VisionEncoderDecoderModel
from transformers.utils import logging as library_logging

from sightbook.data.images import Skipped
from sightbook.donut.dataset.folder import Record
from sightbook.donut.dataset.images import Documents, training_documents
from sightbook.donut.metrics import JsonMetric, ReadingMetric
from sightbook.donut.mrz.build import ALPHABET
from sightbook.donut.page import tokens
from sightbook.donut.page.data import IGNORED, PageDataset, PageItem, collate_pages
from sightbook.donut.page.metrics import tree_accuracy
from sightbook.donut.page.notation import (
    ANSWER,
    QUESTION,
    Notation,
    changed_texts,
    read_notation,
    unknown_characters,
)
from sightbook.donut.page.predict import PAGE, zone_lines
from sightbook.donut.page.sequences import strip_prompt, tokens_to_json
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone.decoder import to_text
from sightbook.donut.zone.model import DONUT_BASE, build_page_model
from sightbook.inference.models import find_model
from sightbook.metrics.bootstrap import values_of
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.run import Run, RunError
from sightbook.training.fit import Task, fit, seed_everything
from sightbook.training.task import is_first_process

PRINTABLE = "".join(map(chr, range(32, 127)))


SKIPPED = "skipped.jsonl"


def train_page(
    params: TrainDonut, run: Run, task: PageTask | None = None, sets: PageSets | None = None
) -> dict[str, Any]:
    """Train a Donut on whole pages; `run.path / "page"` then holds model and processor.

    Both load with ``from_pretrained`` (models made from scratch after ``import
    sightbook.donut.zone.encoders``). Pictures that cannot be read are listed in ``skipped.jsonl``.

    Args:
        params: how to train.
        run: where everything goes.
        task: model and loss; None for the usual ones. The model is made for the tokens of certain
            sets, so there is none without `sets`.
        sets: pages to train and validate on; None for those that the parameters describe.

    Returns:
        Validation metrics of the best epoch, and the numbers of pages, tokens and skipped pictures.

    Raises:
        ParameterError: a model, size or task that cannot be had, or too short a `max_length`.
        DataError: truths without token notation, all listed.
        TooManySkipped: more unreadable pictures than `params.max_bad`.
        ValueError: only one of `task` and `sets` is given.
    """
    if task is None and sets is None:
        dataset = training_documents(params)
        model, processor = build_page(params, page_notation(params, dataset))
        sets = training_pages(params, dataset, processor)
        task = PageTask(model, processor.tokenizer, sets.validation, params.read_samples)
    if task is None or sets is None:
        raise ValueError(
            "pipeline page: give both task and sets, for the tokens of one are the other's"
        )
    sets.skipped.keep_in(run.path / SKIPPED)
    tokenizer = sets.processor.tokenizer
    if is_first_process():
        run.record(dataset=sets.fingerprint)
        print(f"task token {sets.train.task_token}, {len(tokenizer)} tokens")
        _warn(sets)
    result = fit(
        task,
        sets.train,
        sets.validation,
        run,
        params,
        collate=partial(collate_pages, pad_token_id=tokenizer.pad_token_id),
        steps_per_epoch=_steps(params, len(sets.train)),
    )
    if is_first_process():
        save_page(task.model, sets.processor, run.path / PAGE)
        if len(sets.skipped):
            print(f"{len(sets.skipped)} pictures could not be read:\n{sets.skipped.text()}")
    return {
        **result.metrics,
        "pages": len(sets.train),
        "validation_pages": len(sets.validation),
        "tokens": len(tokenizer),
        "skipped": len(sets.skipped),
    }


# --------------------------------------------------------------------------- pages


@dataclass(frozen=True)
class PageSets:
    """Pages to train and to validate on, in the tokens of one model.

    Attributes:
        train: to learn from.
        validation: never trained on; read as they are.
        processor: how the model wants pictures and text.
        texts: that stand in the answers.
        fingerprint: of the documents.
        skipped: pictures that cannot be read.
    """

    train: Any
    validation: Any
    processor: DonutProcessor
    texts: set[str]
    fingerprint: dict[str, Any]
    skipped: Skipped = field(default_factory=Skipped)

    @property
    def counts(self) -> dict[str, int]:
        """Pages of each kind, and tokens that the model knows."""
        known = len(self.processor.tokenizer)
        return {"train": len(self.train), "validation": len(self.validation), "tokens": known}


def page_notation(params: TrainDonut, dataset: Documents) -> Notation:
    """How the answers of the pages that are trained and validated on are written as tokens.

    Raises:
        ParameterError: there are no pages of one kind, or `params.task` does not fit them.
    """
    train, validation = _records(params, dataset)
    return read_notation([*train, *validation], params.task)


def training_pages(params: TrainDonut, dataset: Documents, processor: DonutProcessor) -> PageSets:
    """Set up the pages of a data set for a model.

    Raises:
        ParameterError: there are no pages of one kind, or `max_length` cuts most answers.
        DataError: truths without token notation, all listed.
    """
    train, validation = _records(params, dataset)
    notation = page_notation(params, dataset)
    skipped = Skipped(params.max_bad)
    options: dict[str, Any] = {
        "size": {"height": params.image_height, "width": params.image_width},
        "task_token": notation.task_token,
        "max_length": params.max_length,
        "categories": notation.categories,
        "seed": params.seed,
        "skipped": skipped,
        **preprocessing(processor),
    }
    training = PageDataset(train, processor.tokenizer, training=True, **options)
    held_out = PageDataset(validation, processor.tokenizer, **options)
    _check_lengths(training, params)
    return PageSets(training, held_out, processor, notation.texts, dataset.fingerprint, skipped)


def _records(params: TrainDonut, dataset: Documents) -> tuple[list[Record], list[Record]]:
    train = dataset.splits.get("train", [])
    held_out = dataset.splits.get("validation", [])
    validation = _sample(held_out, params.validation_samples, params.seed)
    if not train or not validation:
        raise ParameterError(
            f"data: {params.data} has {len(train)} pages to train on and {len(validation)} to "
            "validate on: expected some of both (sub-folders train and validation)"
        )
    return train, validation


def _warn(sets: PageSets) -> None:
    """Say which answers cannot be learned as they are."""
    for part in (sets.train, sets.validation):
        if part.report.problems:
            print(part.report.text())
    changed = changed_texts(sets.processor.tokenizer, sets.texts)
    for text, back in list(changed.items())[:1]:
        print(
            f"{len(changed)} of {len(sets.texts)} texts do not come back from the tokenizer "
            f"as they are, such as {text!r}, which becomes {back!r}"
        )


def _sample(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """So many records drawn from all, in their order: folders are often sorted by class."""
    chosen = np.random.default_rng(seed).permutation(len(records))[:count]
    return [records[i] for i in sorted(chosen)]


def _steps(params: TrainDonut, pages: int) -> int | None:
    """Batches an epoch and process, where an epoch is less than one pass over the pages."""
    if params.samples >= pages:
        return None
    processes = int(os.environ.get("WORLD_SIZE", 1))
    return -(-params.samples // (params.batch_size * processes))


def _check_lengths(data: PageDataset, params: TrainDonut) -> None:
    cut = [problem for problem in data.report.problems if problem.kind == "target too long"]
    if len(cut) > len(data) / 2:
        raise ParameterError(
            f"max_length {params.max_length} cuts {len(cut)} of {len(data)} answers "
            f"(the first: {cut[0].message}); give it a larger value"
        )


# --------------------------------------------------------------------------- the model


def build_page(
    params: TrainDonut, notation: Notation
) -> tuple[VisionEncoderDecoderModel, DonutProcessor]:
    """The model that training starts from, as `params.init` says, with the data's tokens in it.

    New weights are drawn from `params.seed`, whatever was drawn before.

    A model from scratch writes single characters: printable ASCII and what the texts have beyond
    it. To another's tokenizer those characters are added that it does not know; with zones in the
    data, all of a zone's.

    Raises:
        ParameterError: no such model, or one of another size than asked for.
    """
    seed_everything(params.seed)
    source = page_source(params.init)
    try:
        if source == "scratch":
            characters = {*PRINTABLE, *"".join(notation.texts)}
        else:
            tokenizer = DonutProcessor.from_pretrained(source).tokenizer
            characters = unknown_characters(tokenizer, notation.texts)
            characters |= set(ALPHABET) if notation.zones else set()
        with _no_bars():
            model, processor = build_page_model(
                source,
                size=params.size,
                height=params.image_height,
                width=params.image_width,
                max_length=params.max_length,
                new_tokens=notation.tokens,
                characters="".join(sorted(characters)),
                task_token=notation.task_token,
                align_long_axis=params.align_long_axis,
            )
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ParameterError(f"init: {params.init} cannot be loaded: {reason}") from error
    except ValueError as error:
        raise ParameterError(f"init {params.init}: {error}") from error
    # the library hands over models in evaluation mode, and Lightning leaves modes as they are
    model.train()
    return model, processor


def page_source(init: str) -> str | Path:
    """What `build_page_model` should load for an `init`: a word, a hub name or a folder.

    Raises:
        ParameterError: neither a run with a page model, nor a folder, nor a name as the hub has.
    """
    if init == "scratch":
        return init
    if init == "pretrained":
        return DONUT_BASE
    folder = resolve_path(init)
    if (folder / "config.json").is_file():
        return folder
    try:
        return find_model("donut", init, PAGE)
    except RunError as error:
        if re.fullmatch(r"[\w.-]+/[\w.-]+", init) and not folder.exists():
            return init
        raise ParameterError(
            f"init: {error}; expected scratch, pretrained, a run of pipeline page, a folder "
            f"with a Donut's config.json, or a hub name such as {DONUT_BASE}"
        ) from error


def preprocessing(processor: DonutProcessor) -> dict[str, Any]:
    """How the processor wants pictures, as arguments of `prepare_page`; JSON-ready."""
    images: Any = processor.image_processor
    return {
        "align_long_axis": bool(images.do_align_long_axis),
        "mean": list(images.image_mean),
        "std": list(images.image_std),
    }


# --------------------------------------------------------------------------- training


class PageTask(Task):
    """Trains a Donut by cross-entropy; validates on it, on token accuracy and by reading.

    The first `read_samples` validation pages are written out token by token, as in use, and their
    objects compared with the truth: Donut's tree-edit accuracy and field F1, and exact zones and
    CER where there are any. A subclass may take another loss in `loss`.

    Args:
        model: to be trained, in training mode.
        tokenizer: the model's.
        data: validation pages, for their truths.
        read_samples: how many of them are read.
    """

    def __init__(
        self,
        model: VisionEncoderDecoderModel,
        tokenizer: PreTrainedTokenizerBase,
        data: PageDataset,
        read_samples: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.data = data
        self.read_samples = read_samples
        self.facts = tokens.facts(tokenizer)
        self.unknown = tokenizer.unk_token_id
        self.answers, self.zones = JsonMetric(), ReadingMetric()

    def _logits(self, batch: Mapping[str, Any]) -> Tensor:
        # No mask: padding is on the right, where a causal decoder does not look.
        output = self.model(
            pixel_values=batch["pixel_values"], decoder_input_ids=batch["decoder_input_ids"]
        )
        return output.logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits ``[B, T, tokens]`` against labels ``[B, T]``, the prompt's ignored."""
        total = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        # a prompt that fills the greatest length leaves no token to learn
        return total / (labels != IGNORED).sum().clamp(min=1)

    def training_step(self, batch: Mapping[str, Any], index: int) -> dict[str, Tensor]:
        """Cross-entropy of the answers' tokens, nats a token."""
        return {"loss": self.loss(self._logits(batch), batch["labels"])}

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's readings."""
        self.answers.reset()
        self.zones.reset()

    def validation_step(self, batch: Mapping[str, Any], index: int) -> None:
        """Loss and share of right tokens with the true ones before them; then reading."""
        logits, labels = self._logits(batch), batch["labels"]
        known = labels != IGNORED
        right = ((logits.argmax(-1) == labels) & known).sum() / known.sum().clamp(min=1)
        size = len(labels)
        self.log("validation/loss", self.loss(logits, labels), batch_size=size)
        self.log("validation/token_accuracy", right, batch_size=size)
        left = self.read_samples - len(self.answers.accuracies)
        if left > 0:
            self._read({key: value[:left] for key, value in batch.items()})

    def _read(self, batch: Mapping[str, Tensor]) -> None:
        indices = batch["index"].tolist()
        for place, sequence in enumerate(self.write(batch)):
            item: PageItem = self.data.items[indices[place]]
            answer = tokens_to_json(strip_prompt(sequence, self.data.task_token))
            if item.question is not None:
                answer = {ANSWER: answer.get(ANSWER) if isinstance(answer, dict) else None}
            truths = [
                truth if item.question is None else {ANSWER: truth[ANSWER]}
                for truth in item.answers
            ]
            self.answers.update(max(truths, key=lambda t: tree_accuracy(t, answer)), answer)
            lines = item.record.mrz_lines
            if lines is not None:
                self.zones.update(lines, zone_lines(answer))

    @torch.no_grad()
    def write(self, batch: Mapping[str, Tensor]) -> list[str]:
        """Greedy sequences for the batch's prompts, as text from the task token on."""
        # what is not learned is the prompt; pages with prompts of one length go together
        lengths = ((batch["labels"] != IGNORED).int().argmax(1) + 1).tolist()
        written = [""] * len(lengths)
        model: Any = self.model
        for length in sorted(set(lengths)):
            rows = [row for row, own in enumerate(lengths) if own == length]
            ids = model.generate(
                pixel_values=batch["pixel_values"][rows],
                decoder_input_ids=batch["decoder_input_ids"][rows, :length],
                num_beams=1,
                do_sample=False,
                bad_words_ids=None if self.unknown is None else [[self.unknown]],
            )
            for row, found in zip(rows, ids.tolist(), strict=True):
                written[row] = to_text(found, self.facts)
        return written

    def on_validation_epoch_end(self) -> None:
        """Log what was read."""
        scores = values_of(self.answers.summary())
        if self.zones.scores:
            zones = values_of(self.zones.summary())
            scores |= {name: zones[name] for name in ("exact_zone", "cer")}
        for name, value in scores.items():
            self.log(f"validation/{name}", value)


# --------------------------------------------------------------------------- files


def save_page(model: VisionEncoderDecoderModel, processor: DonutProcessor, folder: Path) -> Path:
    """Write model and processor as ``from_pretrained`` loads them; replaces the folder at once."""
    partial_folder = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    with _no_bars():
        model.save_pretrained(partial_folder)
    processor.save_pretrained(partial_folder)
    shutil.rmtree(folder, ignore_errors=True)
    return partial_folder.rename(folder)


def load_page(folder: Path) -> tuple[VisionEncoderDecoderModel, DonutProcessor]:
    """Read what `save_page` wrote, in evaluation mode."""
    with _no_bars():
        model = VisionEncoderDecoderModel.from_pretrained(folder)
    return model.eval(), DonutProcessor.from_pretrained(folder)


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Without the library's bars for reading and writing files (downloads keep theirs)."""
    shown = library_logging.is_progress_bar_enabled()
    library_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            library_logging.enable_progress_bar()


def export_page(
    folder: Path,
    target: Path | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> tuple[Path, Path]:
    """Export a folder of `save_page`, or any Donut's, for :class:`PagePredictor`.

    Args:
        folder: model and processor.
        target: where the two files go; None: beside them.
        metadata: JSON values to keep in both files.
        opset: ONNX operator set.

    Returns:
        Paths of the encoder and the decoder.
    """
    from sightbook.donut.zone.graphs import export_page_model

    model, processor = load_page(folder)
    size: Any = processor.image_processor.size
    return export_page_model(
        model,
        target or folder,
        height=size["height"],
        width=size["width"],
        metadata={**(metadata or {}), **page_metadata(processor)},
        opset=opset,
    )


def page_metadata(processor: DonutProcessor) -> dict[str, Any]:
    """What the exported files must hold to prepare pictures, ask questions and write text."""
    tokenizer = processor.tokenizer
    found = {
        **tokens.facts(tokenizer),
        "unknown": tokenizer.unk_token_id,
        "preprocessing": preprocessing(processor),
    }
    if f"<s_{QUESTION}>" in tokenizer.get_added_vocab():
        found["tokenizer"] = tokenizer.backend_tokenizer.to_str()
    return found
