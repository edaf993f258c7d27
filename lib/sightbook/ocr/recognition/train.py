"""Training of text recognition: what `02_train_text_recognition` launches, here or on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.images import Skipped
from sightbook.data.validation import fingerprint
from sightbook.inference.ctc import ctc_greedy
from sightbook.inference.models import find_model
from sightbook.ocr.pages.read import read_dataset
from sightbook.ocr.params import TrainRecognition
from sightbook.ocr.recognition.alphabet import Encoder, after_surgery, read_alphabet
from sightbook.ocr.recognition.data import (
    LineBatch,
    MixedLines,
    PageLines,
    SyntheticLines,
    collate_lines,
    width_buckets,
)
from sightbook.ocr.recognition.model import (
    Recognizer,
    RecognizerConfig,
    load_recognizer,
    with_alphabet,
)
from sightbook.ocr.synth.lines import LineSettings
from sightbook.ocr.synth.texts import read_words
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.run import Run
from sightbook.synth.fonts import faces
from sightbook.training.fit import fit, seed_everything
from sightbook.training.task import Task, is_first_process
from sightbook.training.weights import save_weights

WEIGHTS = "recognition.safetensors"
SKIPPED = "skipped.jsonl"
VALIDATION_SEED = 0x5EED
"""Added to the training seed: validation's lines are others, and in faces of their own."""


def train(
    params: TrainRecognition,
    run: Run,
    task: RecognitionTask | None = None,
    sets: LineSets | None = None,
) -> dict[str, Any]:
    """Train a recogniser; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: recogniser and loss; None for the usual ones.
        sets: lines to train and validate on; None for those that the parameters describe.

    Returns:
        Final validation metrics: character error rate and share of lines read exactly.
    """
    task = RecognitionTask(build_recognizer(params)) if task is None else task
    sets = training_lines(params, task.model.alphabet) if sets is None else sets
    sets.skipped.keep_in(run.path / SKIPPED)
    if is_first_process():
        run.record(dataset=sets.fingerprint, lines=sets.counts)
    result = fit(
        task,
        sets.train,
        sets.validation,
        run,
        params,
        collate=collate_lines,
        monitor="validation/cer",
        batches=width_buckets(sets.train, params.seed),
    )
    if is_first_process():
        save_weights(task.model, run.path / WEIGHTS)
    return result.metrics


@dataclass(frozen=True)
class LineSets:
    """Lines to train and validate on.

    Attributes:
        train: to learn from.
        validation: never drawn in faces, nor cut from pages, that are trained on; not augmented.
        counts: of lines of each kind, and of characters that the alphabet lacks.
        fingerprint: of the labelled pages; empty if there are none.
        skipped: pictures that cannot be read.
    """

    train: SyntheticLines | MixedLines
    validation: Dataset
    counts: dict[str, Any]
    fingerprint: dict[str, Any] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)


def training_lines(params: TrainRecognition, alphabet: str) -> LineSets:
    """Set up drawn lines and those of the user's pages, whose pictures are read and hashed here.

    Args:
        params: which lines.
        alphabet: of the recogniser; lines that it cannot write are left out (or see `unknown`).

    Raises:
        ParameterError: no faces to draw with, or no line of the data can be used.
        DataError: the data cannot be read.
    """
    settings = LineSettings(
        alphabet=alphabet,
        faces=_faces(params.fonts, validation=False),
        words=read_words(params.words),
        random_share=params.random_share,
        max_chars=params.max_chars,
        wear=params.wear,
    )
    synthetic = SyntheticLines(params.lines, params.seed, settings, curriculum=params.curriculum)
    unseen = SyntheticLines(
        params.validation_lines,
        params.seed + VALIDATION_SEED,
        replace(settings, faces=_faces(params.fonts, validation=True)),
        fixed=True,
    )
    counts: dict[str, Any] = {"synthetic": len(synthetic), "faces": len(settings.faces)}
    if params.data == "synthetic":
        return LineSets(synthetic, unseen, {**counts, "validation": len(unseen)})
    skipped = Skipped(params.max_bad)
    dataset = read_dataset(resolve_path(params.data), skipped=skipped)
    pages, held_back = dataset.split(params.validation)
    encoder = Encoder(alphabet, params.unknown, _replacement(alphabet))
    own = PageLines(pages, encoder, jitter=True, skipped=skipped)
    validation = PageLines(held_back, encoder, jitter=False, skipped=skipped)
    if not len(own) or not len(validation):
        raise ParameterError(
            f"data: {params.data} gives {len(own)} lines to train and {len(validation)} to "
            f"validate on (of {len(dataset.pages)} pages) that the alphabet can write; both are "
            "needed: see unknown, alphabet and validation"
        )
    counts |= {
        "own": len(own),
        "validation": len(validation),
        "outside_alphabet": dict(encoder.missing.most_common(50)),
    }
    mark = fingerprint((page.image_id, page.image, page.text()) for page in dataset.pages)
    mixed = MixedLines(synthetic, own, params.own_share, params.seed)
    return LineSets(mixed, validation, counts, mark.to_dict(), skipped)


def _faces(which: str, *, validation: bool) -> tuple[Any, ...]:
    found = faces(which, validation=validation)
    # A folder of one family leaves none to hold back: better its own than none.
    return found or faces(which)


def _replacement(alphabet: str) -> str:
    return "?" if "?" in alphabet else alphabet[0]


def build_recognizer(params: TrainRecognition) -> Recognizer:
    """The recogniser that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Raises:
        ParameterError: the run's recogniser has another size than the parameters ask for.
        RunError: no such run, or one without a recogniser.
    """
    seed_everything(params.seed)
    asked = read_alphabet(params.alphabet)
    if params.init == "scratch":
        return Recognizer(RecognizerConfig(asked, params.size))
    file = find_model("ocr", params.init, WEIGHTS, part="recognition")
    model = load_recognizer(file)
    if model.config.size != params.size:
        raise ParameterError(
            f"init: {file} is of size {model.config.size}, the parameters ask for {params.size}: "
            f"set size to {model.config.size}, or init to scratch"
        )
    alphabet = after_surgery(model.config.alphabet, asked, params.surgery)
    return with_alphabet(model, alphabet).train()


class RecognitionTask(Task):
    """A recogniser under the CTC loss; a subclass may take another in `loss`.

    Args:
        model: a `Recognizer`, or a module of your own with its ``alphabet`` that makes such
            log-probabilities of such lines.
    """

    def __init__(self, model: Recognizer) -> None:
        super().__init__()
        # Convolutions run a good deal faster this way, on a CPU and on a GPU.
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.encoder = Encoder(model.alphabet, "drop")

    def training_step(self, batch: LineBatch, batch_idx: int) -> Tensor:
        """Mean loss per character, so that long lines do not outweigh short ones."""
        return self.loss(self._read(batch), batch)

    def _read(self, batch: LineBatch) -> Tensor:
        pixels = batch.images.float().mul_(1 / 255).sub_(0.5)
        return self.model(pixels.to(memory_format=torch.channels_last))

    def loss(self, log_probs: Tensor, batch: LineBatch) -> Tensor:
        """Loss of log-probabilities ``[T, batch, classes]`` against a batch's texts."""
        # The whole width counts as input, black padding too: the engine decodes all of it.
        frames = torch.full((len(batch.texts),), len(log_probs), dtype=torch.long)
        return torch.nn.functional.ctc_loss(
            log_probs.float(), batch.targets, frames, batch.lengths, zero_infinity=True
        )

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.errors = self.characters = self.exact = self.count = 0

    def validation_step(self, batch: LineBatch, batch_idx: int) -> None:
        """Read greedily and count what is wrong."""
        log_probs = self._read(batch)
        self.log("validation/loss", self.loss(log_probs, batch), batch_size=len(batch.texts))
        for text, scores in zip(batch.texts, log_probs.float().cpu().unbind(1), strict=True):
            ids, _ = ctc_greedy(scores.numpy(), blank=0)
            read = " ".join(self.encoder.decode(ids).split())
            self.errors += Levenshtein.distance(text, read)
            self.characters += len(text)
            self.exact += text == read
            self.count += 1

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the whole set."""
        self.log("validation/cer", self.errors / max(self.characters, 1))
        self.log("validation/exact", self.exact / max(self.count, 1))
