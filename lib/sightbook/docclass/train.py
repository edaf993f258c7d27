"""Training of the document-type line: what `02_train_docclass` launches, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sightbook.data.images import Skipped, image_files
from sightbook.data.validation import fingerprint
from sightbook.docclass.data import SPLITS_FILE, TemplateClass, pool
from sightbook.docclass.heads import MarginHead, SampledCosFace, build_head
from sightbook.docclass.metrics import verification
from sightbook.docclass.model import Embedder, EmbedderConfig, load_embedder
from sightbook.docclass.params import TrainDocclass
from sightbook.docclass.store import Store, join, load_store, synthetic_store
from sightbook.docclass.synth.views import VIEW_SIDE, mixed_level, render_view, views_of
from sightbook.inference.models import find_model
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.files import read_json, write_json
from sightbook.runs.run import Run
from sightbook.training.data import ordered_batches
from sightbook.training.fit import fit, seed_everything
from sightbook.training.task import Task, is_first_process
from sightbook.training.weights import save_weights

VALIDATION_SEED = 0x5EED
"""Added to the training seed: validation's templates and views are others."""

WEIGHTS = "embedder.safetensors"
SKIPPED = "skipped.jsonl"


def train(
    params: TrainDocclass,
    run: Run,
    task: EmbeddingTask | None = None,
    sets: TemplateSets | None = None,
) -> dict[str, Any]:
    """Train an embedding; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: network and margin loss; None for the usual ones.
        sets: views to train and validate on; None for those that the parameters describe.

    Returns:
        Final validation metrics, on classes that were not trained on.
    """
    sets = training_templates(params) if sets is None else sets
    sets.skipped.keep_in(run.path / SKIPPED)
    if is_first_process():
        run.record(dataset=sets.fingerprint, classes=sets.counts)
        write_json(run.path / SPLITS_FILE, sets.splits)
    if task is None:
        model = build_embedder(params)
        head = build_head(params, sets.train.classes)
        task = EmbeddingTask(model, head, sets.validation.store.families, params.margin_warmup)
    result = fit(
        task,
        sets.train,
        sets.validation,
        run,
        params,
        monitor="validation/tpr_1e-3",
        mode="max",
        # Already drawn at random: left in order, the curriculum rises within an epoch too.
        batches=ordered_batches(len(sets.train)),
    )
    if is_first_process():
        save_weights(task.model, run.path / WEIGHTS)
    return result.metrics


@dataclass(frozen=True)
class TemplateSets:
    """Views of templates to train and to validate on.

    Attributes:
        train: views of the user's classes, of generated ones, and of extra ones.
        validation: views of classes that are never trained on.
        counts: of classes of each kind.
        fingerprint: of the templates as they are trained on.
        splits: content hash of each of the user's pictures -> its split. Kept with the run, so that
            evaluation never tests on what was trained on, whatever becomes of the folder.
        skipped: templates that cannot be read.
    """

    train: TrainingViews
    validation: ValidationViews
    counts: dict[str, int]
    fingerprint: dict[str, Any]
    splits: dict[str, str] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)


def training_templates(params: TrainDocclass) -> TemplateSets:
    """Read the user's templates and draw the generated ones.

    Validation is on generated classes of another seed, and on the user's calibration classes where
    there are any: those are not trained on either, and the test classes stay untouched.

    Raises:
        ParameterError: fewer than two classes to train on.
        DataError: the folder cannot be used.
    """
    own, held_back = None, []
    splits: dict[str, str] = {}
    skipped = Skipped(params.max_bad)
    if params.data != "synthetic":
        classes = pool(
            resolve_path(params.data),
            fractions=params.shares,
            salt=str(params.seed),
            max_bad=params.max_bad,
        )
        # Going on from a run: what it held back stays held back.
        earlier = recorded_splits(params.init)
        classes = classes.as_recorded(earlier)
        own = load_store(classes.of("train"), skipped=skipped)
        splits = {**earlier, **classes.splits()}
        if params.calibration:
            held_back.append(load_store(classes.of("calibration"), skipped=skipped))
    others = []
    if params.templates:
        others.append(synthetic_store(params.templates, params.seed))
    if params.extra:
        others.append(load_store(extra_classes(params), skipped=skipped))
    other = join(others) if others else None
    count = sum(len(part.names) for part in (own, other) if part is not None)
    if count < 2:
        raise ParameterError(
            f"data: {params.data} leaves {count} classes to train on; at least 2 are needed (or "
            "raise templates)"
        )
    unseen = synthetic_store(params.validation_classes, params.seed + VALIDATION_SEED)
    validation = join([*held_back, unseen])
    stores = {"own": own, "other": other, "validation": validation}
    mark = fingerprint(
        (f"{part}/{index}", store.pixels[index].tobytes(), store.names[label])
        for part, store in stores.items()
        if store is not None
        for index, label in enumerate(store.classes.tolist())
    )
    return TemplateSets(
        TrainingViews(own, other, params),
        ValidationViews(validation, params),
        {part: len(store.names) if store is not None else 0 for part, store in stores.items()},
        mark.to_dict(),
        splits,
        skipped,
    )


def recorded_splits(init: str) -> dict[str, str]:
    """Splits that the run which `init` names recorded; none for other kinds of start."""
    if init in ("scratch", "pretrained"):
        return {}
    file = find_model("docclass", init, WEIGHTS).with_name(SPLITS_FILE)
    return dict(read_json(file)) if file.is_file() else {}


def extra_classes(params: TrainDocclass) -> list[TemplateClass]:
    """Each picture of the folder `params.extra`, however deep it lies, is one more class.

    Raises:
        ParameterError: there are no pictures.
    """
    folder = resolve_path(params.extra)
    files = image_files(folder) if folder.is_dir() else []
    if not files:
        raise ParameterError(f"extra: {folder} is no folder with pictures")
    # An even choice over the folder rather than its first sub-folders.
    picked = np.linspace(0, len(files) - 1, min(params.extra_classes, len(files))).round()
    return [
        TemplateClass(f"extra/{files[i].relative_to(folder).as_posix()}", (files[i],))
        for i in picked.astype(int).tolist()
    ]


def build_embedder(params: TrainDocclass) -> Embedder:
    """The network that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before; those of `build_head`
    follow them, so build both in one cell.

    Raises:
        ParameterError: the run's network has another shape than the parameters ask for.
        RunError: no such run, or one without a network.
    """
    seed_everything(params.seed)
    if params.init in ("scratch", "pretrained"):
        config = EmbedderConfig(params.backbone, params.dim, params.squeeze)
        return Embedder(config, pretrained=params.init == "pretrained")
    file = find_model("docclass", params.init, WEIGHTS)
    model = load_embedder(file)
    for name in ("backbone", "dim", "squeeze"):
        there, asked = getattr(model.config, name), getattr(params, name)
        if there != asked:
            raise ParameterError(
                f"init: {file} has {name} {there!r}, the parameters ask for {asked!r}: set {name} "
                f"to {there!r}, or init to scratch"
            )
    return model.train()


class TrainingViews(Dataset):
    """Views of templates, rendered when they are asked for, drawn evenly over the classes.

    View i of an epoch follows from (seed, epoch, i) alone. With both kinds of classes there are,
    `own_share` of the views are of the user's.
    """

    def __init__(self, own: Store | None, other: Store | None, params: TrainDocclass) -> None:
        parts = [part for part in (own, other) if part is not None]
        self.store = join(parts)
        self.own_classes = len(own.names) if own is not None else 0
        self.members = self.store.members()
        self.params = params
        self.turns = 4 if params.turns else 1
        self.set_epoch(0)

    @property
    def classes(self) -> int:
        """Number of classes, turned ones included."""
        return len(self.store.names) * self.turns

    def set_epoch(self, epoch: int) -> None:
        """Draw the classes of an epoch's views."""
        self.epoch = epoch
        rng = np.random.default_rng([self.params.seed, epoch, 1])
        own = self.own_classes * self.turns
        total = self.params.views
        if 0 < own < self.classes:
            first = round(total * self.params.own_share)
            parts = [_evenly(rng, 0, own, first), _evenly(rng, own, self.classes, total - first)]
            self.schedule = rng.permutation(np.concatenate(parts))
        else:
            self.schedule = _evenly(rng, 0, self.classes, total)

    def __len__(self) -> int:
        return self.params.views

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = int(self.schedule[index])
        rng = np.random.default_rng([self.params.seed, self.epoch, index])
        images = self.members[label // self.turns]
        image = images[int(rng.integers(len(images)))]
        template = self.store.pixels[image]
        aspect = float(self.store.aspects[image])
        turn = label % self.turns
        if turn:
            template = np.ascontiguousarray(np.rot90(template, turn))
            aspect = 1 / aspect if turn % 2 else aspect
        level: str = self.params.level
        if level == "mixed" and self.params.curriculum:
            done = (self.epoch + index / len(self)) / self.params.epochs
            level = mixed_level(rng, min(1.0, done / self.params.curriculum))
        view = render_view(template, aspect, rng, level)
        return {"view": torch.from_numpy(view), "label": label}


def _evenly(rng: np.random.Generator, start: int, stop: int, count: int) -> NDArray[np.int64]:
    """Draw `count` of the classes `start` to `stop`, each as often as any other (or once more)."""
    passes = -(-count // (stop - start))
    return np.concatenate([start + rng.permutation(stop - start) for _ in range(passes)])[:count]


class ValidationViews(Dataset):
    """The same views of unseen classes at every epoch."""

    def __init__(self, store: Store, params: TrainDocclass) -> None:
        seed = params.seed + VALIDATION_SEED
        self.store = store
        self.views, self.labels = views_of(store, params.validation_views, "hard", seed, VIEW_SIDE)

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"view": torch.from_numpy(self.views[index]), "label": int(self.labels[index])}


class EmbeddingTask(Task):
    """Network and margin head; validation looks at all pairs of views of unseen classes.

    Args:
        model: an `Embedder`, or a module of your own that embeds such pictures.
        head: the loss of embeddings and labels; a module of your own has ``set_progress`` too.
        families: of the validation classes.
        margin_warmup: share of the training over which the margin grows from 0.
    """

    def __init__(
        self,
        model: Embedder,
        head: MarginHead | SampledCosFace,
        families: Sequence[str],
        margin_warmup: float = 0.0,
    ) -> None:
        super().__init__()
        self.families = list(families)
        # Convolutions of a few channels run a good deal faster this way, on a CPU and on a GPU.
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = head
        self.margin_warmup = margin_warmup
        self._seen: list[tuple[Tensor, Tensor]] = []

    def embed(self, views: Tensor) -> Tensor:
        """Embed uint8 views ``[B, H, W, 3]``; ``[B, dim]``."""
        return self.model(views.permute(0, 3, 1, 2).float() / 255)

    def training_step(self, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        """Loss of a batch, at the margin that this step has."""
        rising = max(1.0, self.margin_warmup * self.total_steps)
        self.head.set_progress(min(1.0, self.global_step / rising) if self.margin_warmup else 1.0)
        embeddings = self.embed(batch["view"])
        return {"loss": self.head(embeddings, batch["label"])}

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self._seen.clear()

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Keep the embeddings until all are there."""
        self._seen.append((self.embed(batch["view"]).float().cpu(), batch["label"].cpu()))

    def on_validation_epoch_end(self) -> None:
        """TPR at two FPRs over all pairs, and AUROC."""
        embeddings = torch.cat([e for e, _ in self._seen]).numpy()
        labels = torch.cat([label for _, label in self._seen]).numpy()
        self._seen.clear()
        found = verification(embeddings, labels, self.families, fprs=(1e-2, 1e-3), bootstrap=0)
        for point in found.points:
            self.log(f"validation/tpr_{point.target:.0e}".replace("e-0", "e-"), point.tpr)
        self.log("validation/auroc", found.auroc)


def load_run(run: Path) -> Embedder:
    """The trained network of a run."""
    return load_embedder(find_model("docclass", run, WEIGHTS))
