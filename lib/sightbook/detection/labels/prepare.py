"""Preparing a data set of boxes: drawn, or imported from what people have; checked and split."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.data.validation import DataError, Fingerprint, Report, keep_origin
from sightbook.detection.labels import csv_versions
from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.labels.consensus import Consensus, consensus
from sightbook.detection.labels.csv_versions import LATEST, SIDES, Pair, write_csv, write_version
from sightbook.detection.labels.read import (
    ANNOTATIONS,
    DATASETS,
    IMAGES,
    Format,
    read_annotations,
    read_version,
    split_annotations,
)
from sightbook.detection.labels.statistics import split_leaks
from sightbook.detection.params import PrepareDetection
from sightbook.params import resolve_path
from sightbook.runs.files import atomic_file, write_json
from sightbook.runs.run import dataset_folder

REPORT = "report.json"


@dataclass(frozen=True)
class Prepared:
    """A data set on disk, read back and checked.

    Attributes:
        annotations: all of its pictures; each record says its split.
        splits: pictures of train, validation and test.
        report: all problems found, of the source too; also in the folder's `report.json`.
        skipped: pictures left out for want of something usable.
        version: the CSV files that hold the same; None where there is no test split, or one that
            shares pictures or groups with train.
        annotators: how far several annotators agreed; None where there was one truth.
    """

    annotations: Annotations
    splits: Mapping[str, Annotations]
    report: Report
    skipped: Skipped
    version: Pair | None
    annotators: Consensus | None

    @property
    def folder(self) -> Path:
        """Where it lies."""
        assert self.annotations.folder is not None
        return self.annotations.folder

    def table(self) -> list[dict[str, object]]:
        """One row a split: pictures, clean ones, groups, and boxes of each class."""
        return [
            {
                "split": name,
                "images": len(part.records),
                "clean": len(part.clean()),
                "groups": len({record.group for record in part.records if record.group}),
                **part.counts(),
            }
            for name, part in self.splits.items()
        ]

    def fingerprint(self) -> Fingerprint:
        """Fingerprint of names, pictures and annotations."""
        return self.annotations.fingerprint()


def prepare_labels(params: PrepareDetection, draw: Callable[[Path], Annotations]) -> Prepared:
    """Draw or import the pictures that `params` describe, check and split them.

    The same call again draws and copies only what is not there yet, and writes no second CSV
    version of the same labels. Splits that the source itself names are kept, unless
    `params.splits` asks for new ones.

    Args:
        params: of a line.
        draw: draws the line's pictures into a folder, see `drawn_once`.

    Raises:
        ParameterError: generated pictures would be too small.
        DataError: the data set exists and was made otherwise; the source cannot be read; or, if
            `params.strict`, anything is wrong with the labels.
        TooManySkipped: more unusable pictures than `params.max_bad`.
    """
    folder = dataset_folder(params.line, params.name)
    skipped, report = Skipped(params.max_bad), Report()
    agreed: Consensus | None = None
    if params.source == "synthetic":
        found = _placed(draw(folder), params.shares)
    else:
        if params.source == "annotators":
            agreed = read_annotators(params, report, skipped)
            found = agreed.annotations
        else:
            found = read_labels(
                resolve_path(params.path),
                format=params.source,
                usecase=params.usecase if params.source == "csv" else "",
                version=params.version,
                images=resolve_path(params.images) if params.images else None,
                labels=params.classes or None,
                report=report,
                skipped=skipped,
            )
        folder.mkdir(parents=True, exist_ok=True)
        _stop_if_strict(params, report, folder)
        keep_origin(folder, _import_settings(params))
        found = copy_images(found, folder, skipped)
        if params.splits == "new":
            found = found.with_records(replace(record, split="") for record in found.records)
    splits = split_annotations(found, params.shares, str(params.seed))
    split_of = {record.name: name for name, part in splits.items() for record in part.records}
    placed = (replace(record, split=split_of[record.name]) for record in found.records)
    write_coco(found.with_records(placed), folder / ANNOTATIONS)
    written = read_annotations(folder, report=report, skipped=skipped)
    splits = {
        name: written.with_records(r for r in written.records if r.split == name) for name in splits
    }
    report.extend(split_leaks({name: part.records for name, part in splits.items()}))
    # A version's leaks between its own two sides are found twice.
    report.problems = list(dict.fromkeys(report.problems))
    report.checked = len(written.records)
    version = _written_version(params, splits, folder, report)
    _stop_if_strict(params, report, folder)
    return Prepared(written, splits, report, skipped, version, agreed)


def read_labels(
    source: Path,
    *,
    format: Format = "auto",
    usecase: str = "",
    version: str = LATEST,
    images: Path | None = None,
    labels: Sequence[str] | None = None,
    report: Report,
    skipped: Skipped,
) -> Annotations:
    """All pictures of a data set, or both sides of a CSV version where a use case is named.

    A picture on both sides, which the report names, is taken for one to train on: it was.
    Arguments as of `read.read_annotations` and `read.read_version`.
    """
    if not usecase:
        return read_annotations(
            source, format=format, images=images, report=report, skipped=skipped, labels=labels
        )
    train, test, _ = read_version(
        source, usecase, version, images=images, report=report, skipped=skipped, labels=labels
    )
    trained = {record.name for record in train.records}
    kept = [record for record in test.records if record.name not in trained]
    return train.with_records([*train.records, *kept])


def read_annotators(params: PrepareDetection, report: Report, skipped: Skipped) -> Consensus:
    """Read what several people labelled and unite it.

    `params.path` is a folder with a file or folder for each annotator, called by their names, and
    with the pictures that they share in `images/`, or where `params.images` says.

    Raises:
        DataError: fewer than two annotators, or see `consensus`.
    """
    path = resolve_path(params.path)
    images = resolve_path(params.images) if params.images else path / IMAGES
    entries = sorted(path.iterdir()) if path.is_dir() else []
    who = [
        entry
        for entry in entries
        if entry != images
        and not entry.name.startswith(".")
        and (entry.is_dir() or entry.suffix.lower() in (".json", ".csv", ".xml"))
    ]
    if len(who) < 2:
        raise DataError(
            f"{path}: expected a file (.json, .csv) or folder for each of two or more annotators, "
            f"found {', '.join(entry.name for entry in who) or 'none'}"
        )
    agreed = consensus(
        {
            entry.stem: read_annotations(
                entry,
                images=images,
                report=report,
                skipped=skipped,
                labels=params.classes or None,
            )
            for entry in who
        },
        iou=params.agreement_iou,
        min_agreement=params.min_agreement,
    )
    for gone in agreed.fallen_out:
        report.warning(
            "not agreed on", gone.name, f"{gone.box.label} of {', '.join(gone.annotators)}"
            f": {gone.reason}",
        )  # fmt: skip
    return agreed


def copy_images(found: Annotations, folder: Path, skipped: Skipped) -> Annotations:
    """Copy pictures as they are into a folder's `images/`, unless they are there already.

    Each is looked at in full: one that is cut short shows it only at its end.

    Args:
        found: with their pictures.
        folder: of the data set.
        skipped: takes pictures that are damaged; these are left out.
    """
    kept: list[ImageRecord] = []
    for record in found.records:
        assert record.image is not None  # readers leave out what has no picture
        try:
            open_image(record.image)
        except ImageError as error:
            skipped.add(record.image, error.reason)
            continue
        target = folder / IMAGES / record.name
        if not target.is_file() or target.stat().st_size != record.image.stat().st_size:
            with atomic_file(target) as beside:
                shutil.copyfile(record.image, beside)
        kept.append(replace(record, image=target))
    if not kept:
        raise DataError(f"{found.folder}: no picture of it can be used\n{skipped.text()}")
    return found.with_records(kept)


def drawn_once(
    folder: Path, settings: Mapping[str, Any], count: int, write: Callable[[], Annotations]
) -> Annotations:
    """Generated pictures with `annotations.json`; a folder that holds all of them is left as it is.

    Args:
        folder: of the data set.
        settings: everything that the pictures follow from.
        count: how many there are to be.
        write: draws them into the folder.

    Raises:
        DataError: the folder was made with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_origin(folder, dict(settings))
    if (folder / ANNOTATIONS).is_file():
        made = read_annotations(folder, report=Report(), skipped=Skipped(count))
        if len(made.records) == count:
            return made
    found = write()
    write_coco(found, folder / ANNOTATIONS)
    return found


def _placed(drawn: Annotations, shares: Mapping[str, float]) -> Annotations:
    """Generated pictures in their order: none is more like its neighbours than like others."""
    names, ends = list(shares), np.cumsum(list(shares.values())) * len(drawn.records)
    places = np.searchsorted(np.rint(ends), np.arange(len(drawn.records)), side="right").tolist()
    return drawn.with_records(
        replace(record, split=names[min(place, len(names) - 1)])
        for record, place in zip(drawn.records, places, strict=True)
    )


def _import_settings(params: PrepareDetection) -> dict[str, Any]:
    names = {"source", "path", "images", "classes", "usecase", "version"}
    if params.source == "annotators":
        names |= {"min_consent", "consent_iou"}
    return params.model_dump(include=names)


def _written_version(
    params: PrepareDetection, splits: Mapping[str, Annotations], folder: Path, report: Report
) -> Pair | None:
    """The CSV files of these splits: the newest ones if they say the same, else new ones."""
    test = splits.get("test")
    train = [record for name, part in splits.items() if name != "test" for record in part.records]
    if test is None or not test.records or not train:
        return None
    sides = (test.with_records(train), test)
    if not split_leaks({n: s.records for n, s in zip(SIDES, sides, strict=True)}).ok:
        report.warning("no CSV version", folder, "train and test share pictures or groups")
        return None
    usecase = params.usecase or params.name
    outlines = any(b.polygons for side in sides for r in side.records for b in r.boxes)
    try:
        newest = csv_versions.resolve(folder / DATASETS, usecase)
    except DataError:  # none yet
        newest = None
    if newest is not None:
        with tempfile.TemporaryDirectory() as place:
            drafts = [
                write_csv(side, Path(place) / name, outlines=outlines).read_bytes()
                for side, name in zip(sides, SIDES, strict=True)
            ]
        if drafts == [newest.train.read_bytes(), newest.test.read_bytes()]:
            return newest
    return write_version(*sides, folder / DATASETS, usecase, outlines=outlines)


def _stop_if_strict(params: PrepareDetection, report: Report, folder: Path) -> None:
    """Record the problems, and end the run by them where that is asked for."""
    write_json(folder / REPORT, report.to_dict())
    if params.strict and not report.ok:
        raise DataError(f"{report.text()}\nall of them: {folder / REPORT}")
