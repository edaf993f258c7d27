"""Training of the Donut line: what `02_train_donut` launches, here or on a cluster.

The zone road trains two small networks in one run folder: the finder under `finder/`, the reader
beside it. Both are resumed exactly, each from its own checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sightbook.donut import finder as finding
from sightbook.donut import reader as reading
from sightbook.donut.checks import dataset_fingerprint
from sightbook.donut.data import Record
from sightbook.donut.documents import DocumentPictures, training_folder
from sightbook.donut.lines import (
    CollateLines,
    FolderZones,
    LineCrops,
    MixedZones,
    SyntheticZones,
    Zones,
)
from sightbook.donut.model import LineReader, build_reader
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone import find_zones, to_gray
from sightbook.images import ImageError, Skipped, open_image
from sightbook.inference.models import find_model
from sightbook.params import ParameterError
from sightbook.runs import Run, open_run, point_to, read_json, write_json
from sightbook.training import FitResult, fit, seed_everything
from sightbook.training_data import ordered_batches
from sightbook.training_task import is_first_process
from sightbook.weights import save_weights

VALIDATION_SEED = 0x5EED
"""Added to the training seed: validation samples are other documents with other people."""

FINDER_SIDE = 480

Splits = Mapping[str, Sequence[Record]]


def train(params: TrainDonut, run: Run) -> dict[str, Any]:
    """Train the road that `params.road` names; the run folder holds everything afterwards.

    Returns:
        Final validation metrics; on the zone road those of the reader, and the finder's under
        `finder/`.
    """
    if params.road == "page":
        from sightbook.donut.train_page import train_page

        return train_page(params, run)
    splits = training_folder(params)
    if is_first_process():
        run.record(dataset=dataset_fingerprint(splits).to_dict())
    # Weights are drawn before `fit` seeds anything.
    seed_everything(params.seed)
    network, metrics = train_finder(params, run, splits)
    located = locate_lines(splits, network, run.path)
    return {**train_reader(params, run, located), **metrics}


def train_finder(
    params: TrainDonut, run: Run, splits: Splits
) -> tuple[finding.Finder, dict[str, Any]]:
    """Train the zone finder, or copy the one that `params.finder` names.

    Returns:
        The finder, and its validation metrics with names that begin with `finder/`.

    Raises:
        ParameterError: it is to be trained, and no document has known line corners.
        RunError: the run that `params.finder` names has none.
    """
    target = run.path / finding.WEIGHTS
    if params.finder != "train":
        network = finding.load_finder(find_model("donut", params.finder, finding.WEIGHTS))
        if is_first_process():
            save_weights(network, target)
        return network, {}
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
    skipped = Skipped(params.max_bad, run.path / "skipped.jsonl")
    training = DocumentPictures(splits["train"], skipped)
    validation = DocumentPictures(splits["validation"], skipped)
    if not any(record.mrz_lines for record in training.records):
        raise ParameterError(
            f"finder: no document of {params.data} says where its lines are (column quads), so a "
            "finder cannot be trained on it: use finder: reference, or data: synthetic"
        )
    task = finding.FinderTask(finding.Finder(params.finder_size))
    folder = run.path / "finder"
    first = is_first_process()
    part = (
        open_run("donut", str(folder), settings, stage="train") if first else Run(folder, "train")
    )
    result = fit(
        task,
        finding.FinderViews(training, FINDER_SIDE, params.seed),
        finding.FinderViews(validation, FINDER_SIDE, params.seed + VALIDATION_SEED),
        part,
        settings,
        monitor="validation/loss",
    )
    if first:
        part.finish(result.metrics)
        # Opening the finder's folder pointed the notebook's runner at it: point it back.
        point_to(run.path)
        save_weights(task.network, target)
    return task.network, {f"finder/{name}": value for name, value in result.metrics.items()}


def train_reader(params: TrainDonut, run: Run, splits: Splits) -> dict[str, Any]:
    """Train the line reader on generated zones, or on those of a folder.

    Returns:
        Its validation metrics.
    """
    seed_everything(params.seed)
    reader = start_reader(params)
    training, validation = reader_zones(params, splits, run)
    task = reading.ReaderTask(reader, params.ctc_weight)
    result: FitResult = fit(
        task,
        LineCrops(training, params.seed),
        LineCrops(validation, params.seed + VALIDATION_SEED),
        run,
        params,
        collate=CollateLines(reader.config),
        monitor="validation/cer",
        batches=ordered_batches(len(training)) if params.document_share < 1 else None,
    )
    if is_first_process():
        save_weights(task.reader, run.path / reading.WEIGHTS)
    return result.metrics


def start_reader(params: TrainDonut) -> LineReader:
    """The reader that training starts from, as `params.init` says; never a silent fallback.

    Raises:
        ParameterError: `pretrained`, which the zone road has none of.
        RunError: no such run, or one without a reader.
    """
    if params.init == "scratch":
        return build_reader(params.encoder, params.size)
    if params.init == "pretrained":
        raise ParameterError(
            "init: there are no pretrained weights for the zone road's reader; use reference "
            "(the shipped one), a run's name, scratch, or road: page"
        )
    return reading.load_reader(find_model("donut", params.init, reading.WEIGHTS))


def reader_zones(params: TrainDonut, splits: Splits, run: Run) -> tuple[Zones, Zones]:
    """Zones to train on (generated, and cut from the documents) and to validate on.

    With `data: synthetic` validation zones are generated; else they are the data set's own.

    Raises:
        ParameterError: only documents are asked for, and none of them bears a zone.
    """
    skipped = Skipped(params.max_bad, run.path / "skipped.jsonl")
    documents = FolderZones(DocumentPictures(splits["train"], skipped))
    held_out: Zones = SyntheticZones(params.validation_samples, params.seed + VALIDATION_SEED)
    if params.data != "synthetic":
        own = FolderZones(DocumentPictures(splits.get("validation", []), skipped))
        held_out = own if len(own) else held_out
    if params.document_share == 1:
        if not len(documents):
            raise ParameterError(
                f"document_share is 1, but no document of {params.data} has a zone with known lines"
            )
        return documents, held_out
    stream = SyntheticZones(params.samples, params.seed, params.epochs, params.curriculum)
    return MixedZones(stream, documents, params.document_share, params.seed), held_out


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
