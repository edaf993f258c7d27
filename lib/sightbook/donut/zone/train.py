"""Training of the Donut line: what `02_train_donut` launches, here or on a cluster.

The zone pipeline trains two small networks in one run folder: the finder under `finder/`, the
reader beside it. Both are resumed exactly, each from its own checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.donut.dataset.folder import Record
from sightbook.donut.dataset.images import DocumentImages, Documents, training_documents
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone import finder as finding
from sightbook.donut.zone import task as reading
from sightbook.donut.zone.finder import Finder, FinderTask, FinderViews
from sightbook.donut.zone.geometry import find_zones, to_gray
from sightbook.donut.zone.line_crops import (
    CollateLines,
    FolderZones,
    LineCrops,
    MixedZones,
    SyntheticZones,
    Zones,
)
from sightbook.donut.zone.model import LineReader, new_reader
from sightbook.donut.zone.task import ReaderTask
from sightbook.inference.models import find_model
from sightbook.params import ParameterError
from sightbook.runs.run import Run, open_run, point_to, read_json, write_json
from sightbook.training.data import ordered_batches
from sightbook.training.fit import fit, seed_everything
from sightbook.training.task import is_first_process
from sightbook.training.weights import save_weights

VALIDATION_SEED = 0x5EED
"""Added to the training seed: validation samples are other documents with other people."""

FINDER_SIDE = 480
SKIPPED = "skipped.jsonl"

Splits = Mapping[str, Sequence[Record]]


class ZoneTasks(nn.Module):
    """The two tasks of the zone pipeline, which are trained one after the other."""

    def __init__(self, finder: FinderTask, reader: ReaderTask) -> None:
        super().__init__()
        self.finder = finder
        self.reader = reader


def train(params: TrainDonut, run: Run, task: Any = None, sets: Any = None) -> dict[str, Any]:
    """Train the pipeline that `params.pipeline` names; the run folder holds everything afterwards.

    Args:
        params: how to train.
        run: where everything goes.
        task: networks and losses of it, see `train_zones` and `train_page.train_page`; None
            for the usual ones.
        sets: what to train and validate on; None for what the parameters describe.

    Returns:
        Final validation metrics; on the zone pipeline those of the reader, and the finder's under
        `finder/`.
    """
    if params.pipeline == "page":
        from sightbook.donut.page.train import train_page

        return train_page(params, run, task, sets)
    return train_zones(params, run, task, sets)


def train_zones(
    params: TrainDonut, run: Run, task: ZoneTasks | None = None, sets: ZoneSets | None = None
) -> dict[str, Any]:
    """Train finder and reader, see `train`.

    Raises:
        ParameterError: only documents are asked for, and none of them bears a zone.
    """
    if sets is None:
        sets = training_zones(params, training_documents(params))
    if task is None:
        reader = ReaderTask(build_reader(params), params.ctc_weight)
        task = ZoneTasks(FinderTask(build_finder(params)), reader)
    sets.skipped.keep_in(run.path / SKIPPED)
    if is_first_process():
        run.record(dataset=sets.fingerprint)
    metrics = train_finder(params, run, task.finder, sets)
    located = locate_lines(sets.documents, task.finder.network, run.path)
    if located is not sets.documents:  # there is more to cut lines from
        lines, held_out = reader_lines(params, located, sets.skipped)
        sets = replace(sets, reader_train=lines, reader_validation=held_out)
    if not len(sets.reader_train):
        raise ParameterError(
            f"document_share is 1, but no document of {params.data} has a zone with known lines"
        )
    return {**train_reader(params, run, task.reader, sets), **metrics}


@dataclass(frozen=True)
class ZoneSets:
    """What the zone pipeline's two networks are trained and validated on.

    Attributes:
        documents: records by split. Lines of those that came without corners are looked for by the
            trained finder, and the reader's lines are cut anew then.
        finder_train: views of documents with known lines, or without any.
        finder_validation: views of others.
        reader_train: lines of generated zones, and of documents.
        reader_validation: lines of others.
        counts: documents by split, and generated zones an epoch.
        fingerprint: of the documents.
        skipped: pictures that cannot be read.
    """

    documents: Splits
    finder_train: FinderViews
    finder_validation: FinderViews
    reader_train: LineCrops
    reader_validation: LineCrops
    counts: dict[str, int]
    fingerprint: dict[str, Any]
    skipped: Skipped = field(default_factory=Skipped)


def training_zones(params: TrainDonut, dataset: Documents) -> ZoneSets:
    """Set up what finder and reader are trained on.

    Raises:
        ParameterError: a finder is to be trained, and no document has known line corners.
    """
    skipped = Skipped(params.max_bad)
    splits = dataset.splits
    training = DocumentImages(splits["train"], skipped)
    validation = DocumentImages(splits["validation"], skipped)
    if params.finder == "train" and not any(record.mrz_lines for record in training.records):
        raise ParameterError(
            f"finder: no document of {params.data} says where its lines are (column quads), so a "
            "finder cannot be trained on it: use finder: reference, or data: synthetic"
        )
    lines, held_out = reader_lines(params, splits, skipped)
    return ZoneSets(
        splits,
        FinderViews(training, FINDER_SIDE, params.seed),
        FinderViews(validation, FINDER_SIDE, params.seed + VALIDATION_SEED),
        lines,
        held_out,
        {**{name: len(records) for name, records in splits.items()}, "zones": params.samples},
        dataset.fingerprint,
        skipped,
    )


def reader_lines(
    params: TrainDonut, splits: Splits, skipped: Skipped
) -> tuple[LineCrops, LineCrops]:
    """Lines to train on (of generated zones, and of documents) and to validate on.

    With `data: synthetic` validation zones are generated; else they are the data set's own.
    """
    documents = FolderZones(DocumentImages(splits["train"], skipped))
    held_out: Zones = SyntheticZones(params.validation_samples, params.seed + VALIDATION_SEED)
    if params.data != "synthetic":
        own = FolderZones(DocumentImages(splits.get("validation", []), skipped))
        held_out = own if len(own) else held_out
    training: Zones = documents
    if params.document_share < 1:
        stream = SyntheticZones(params.samples, params.seed, params.epochs, params.curriculum)
        training = MixedZones(stream, documents, params.document_share, params.seed)
    return (
        LineCrops(training, params.seed),
        LineCrops(held_out, params.seed + VALIDATION_SEED),
    )


def build_finder(params: TrainDonut) -> Finder:
    """The zone finder: a new one, or the one that `params.finder` names.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Raises:
        RunError: the run that `params.finder` names has none.
    """
    seed_everything(params.seed)
    if params.finder == "train":
        return Finder(params.finder_size)
    return finding.load_finder(find_model("donut", params.finder, finding.WEIGHTS))


def build_reader(params: TrainDonut) -> LineReader:
    """The reader that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Raises:
        ParameterError: `pretrained`, which the zone pipeline has none of.
        RunError: no such run, or one without a reader.
    """
    seed_everything(params.seed)
    if params.init == "scratch":
        return new_reader(params.encoder, params.size)
    if params.init == "pretrained":
        raise ParameterError(
            "init: there are no pretrained weights for the zone pipeline's reader; use reference "
            "(the shipped one), a run's name, scratch, or road: page"
        )
    return reading.load_reader(find_model("donut", params.init, reading.WEIGHTS))


def train_finder(params: TrainDonut, run: Run, task: FinderTask, sets: ZoneSets) -> dict[str, Any]:
    """Train the zone finder, or copy the one that `params.finder` names.

    Returns:
        Its validation metrics with names that begin with `finder/`.
    """
    target = run.path / finding.WEIGHTS
    first = is_first_process()
    if params.finder != "train":
        if first:
            save_weights(task.network, target)
        return {}
    settings = params.model_copy(
        update={
            "epochs": params.finder_epochs,
            "batch_size": 8,
            "learning_rate": 2e-3,
            "weight_decay": 0.01,
            "ema_decay": 0.0,
            "patience": 0,
            "schedule": "cosine",
        }
    )
    folder = run.path / "finder"
    folder.mkdir(exist_ok=True)  # another process than the first may come here first
    part = (
        open_run("donut", str(folder), settings, stage="train") if first else Run(folder, "train")
    )
    result = fit(
        task,
        sets.finder_train,
        sets.finder_validation,
        part,
        settings,
        monitor="validation/loss",
    )
    if first:
        part.finish(result.metrics)
        # Opening the finder's folder pointed the notebook's runner at it: point it back.
        point_to(run.path)
        save_weights(task.network, target)
    return {f"finder/{name}": value for name, value in result.metrics.items()}


def train_reader(params: TrainDonut, run: Run, task: ReaderTask, sets: ZoneSets) -> dict[str, Any]:
    """Train the line reader on generated zones, or on those of a folder.

    Returns:
        Its validation metrics.
    """
    result = fit(
        task,
        sets.reader_train,
        sets.reader_validation,
        run,
        params,
        collate=CollateLines(task.reader.config),
        monitor="validation/cer",
        batches=ordered_batches(len(sets.reader_train)) if params.document_share < 1 else None,
    )
    if is_first_process():
        save_weights(task.reader, run.path / reading.WEIGHTS)
    return result.metrics


def locate_lines(splits: Splits, network: finding.Finder, folder: Path) -> Splits:
    """Find the lines of documents whose truth has text but no corners, as people label them.

    A document on which the finder sees another number of lines than the truth has is left out of
    the reader's training; how many is printed.

    Args:
        splits: records by split.
        network: a trained finder.
        folder: run folder, where what was found is kept (`located.json`) for a restart.
    """
    open_ones = [r for rs in splits.values() for r in rs if r.mrz_lines and r.quads is None]
    if not open_ones:
        return splits
    cache = folder / "located.json"
    known: dict[str, Any] = read_json(cache) if cache.is_file() else {}
    maps = finding.as_maps(network)
    for record in open_ones:
        if str(record.path) in known:
            continue
        try:
            zones = find_zones(to_gray(open_image(record.path)), maps)
        except ImageError:
            zones = []
        lines = record.mrz_lines or []
        fits = zones and len(zones[0].quads) == len(lines)
        known[str(record.path)] = np.round(zones[0].quads, 2).tolist() if fits else None
    if is_first_process():
        write_json(cache, known)
    found = sum(known[str(record.path)] is not None for record in open_ones)
    print(f"lines found on {found} of {len(open_ones)} documents that came without corners")

    def completed(record: Record) -> Record:
        quads = known.get(str(record.path))
        return replace(record, extra={**record.extra, "quads": quads}) if quads else record

    return {name: [completed(record) for record in records] for name, records in splits.items()}
