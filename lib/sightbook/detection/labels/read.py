"""Data sets of pictures with boxes: read in whichever format they are, split by group.

The layout this project writes is a folder with `annotations.json` (COCO) and `images/`; labels kept
as dated CSV files lie in `datasets/` beside them. Everything else is read where it lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import Skipped, image_files, natural_key
from sightbook.data.validation import DataError, Report, split_by_hash
from sightbook.detection.labels import csv_versions
from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.detection.labels.checks import Drafts, checked_records
from sightbook.detection.labels.coco import is_coco, read_coco
from sightbook.detection.labels.csv_versions import LATEST, Pair, read_csv
from sightbook.detection.labels.masks import MASKS, read_masks
from sightbook.detection.labels.statistics import content_key, split_leaks
from sightbook.detection.labels.voc import read_voc, voc_files
from sightbook.detection.labels.yolo import is_yolo, read_yolo

IMAGES = "images"
ANNOTATIONS = "annotations.json"
DATASETS = "datasets"

SPLITS = ("train", "validation", "test")

FEW = 30
"""Groups below which a split by hash would be far from the shares asked for."""

Format = Literal["auto", "coco", "csv", "voc", "yolo", "masks"]

_LABEL_FOLDERS = ("annotations", "datasets", "labels", "masks")
"""Folders that hold labels beside the pictures' folder; a file in one belongs to that above."""


@dataclass(frozen=True)
class _Source:
    """Where labels are read from: the data set's folder, and the files named, if any were."""

    base: Path
    files: tuple[Path, ...]


def read_annotations(
    source: str | Path,
    *,
    format: Format = "auto",
    images: str | Path | None = None,
    report: Report | None = None,
    skipped: Skipped | None = None,
    labels: Sequence[str] | None = None,
    max_bad: int = 20,
) -> Annotations:
    """Read a data set in any of the formats and hold it against its pictures.

    Pictures without objects are kept. Coordinates become pixels of the upright picture. A box that
    cannot be used is an error in the report and left out; a picture that is missing, unreadable or
    of another shape than annotated is counted in `skipped`.

    Args:
        source: the data set's folder, or a file of labels. Where a folder has several formats,
            COCO is taken before CSV, VOC, YOLO and masks.
        format: which one it is.
        images: folder of the pictures; by default `images/` in the data set's folder, or that
            folder itself. URLs of Azure ML are looked up in it by their last folders.
        report: takes all problems; `report.raise_errors()` ends the run if there are any. Without
            one, any error ends the reading.
        skipped: counts pictures left out; by default anew, `max_bad` of them allowed.
        labels: the classes in order, where they must be those of another data set; any other is
            an error.
        max_bad: pictures that may be left out before reading ends with the list of them.

    Returns:
        Records in the order of the labels' files.

    Raises:
        DataError: there is no such folder or file, no known format, or no usable picture; or,
            without `report`, anything is wrong.
        TooManySkipped: more pictures were left out than are allowed.
    """
    own = Report() if report is None else report
    left_out = Skipped(max_bad) if skipped is None else skipped
    place = _located(Path(source))
    files = _images(place.base, images)
    kind = format_of(source) if format == "auto" else format
    drafts = _READERS[kind](place, files, own)
    if labels is not None:
        drafts.labels = list(labels)
    records = checked_records(drafts, files, report=own, skipped=left_out)
    if not records:
        raise DataError(f"{source}: no picture of it can be used\n{own}\n{left_out.text()}")
    if report is None:
        own.raise_errors()
    return Annotations(records, tuple(drafts.labels), place.base)


def read_version(
    folder: str | Path,
    usecase: str,
    stamp: str = LATEST,
    *,
    images: str | Path | None = None,
    report: Report,
    skipped: Skipped,
    labels: Sequence[str] | None = None,
) -> tuple[Annotations, Annotations, Pair]:
    """Read train and test of a version of CSV files; pictures on both sides are errors.

    Args:
        folder: the data set's, or its `datasets/`.
        usecase: as in the files' names.
        stamp: of the version; `latest` is the newest that both sides have.
        images: see `read_annotations`.
        report: see `read_annotations`.
        skipped: see `read_annotations`.
        labels: the classes in order; by default those of both sides, alphabetically.

    Returns:
        Train and test, with the same classes, and the files they came from.

    Raises:
        DataError: as `csv_versions.resolve` and `read_annotations`.
        TooManySkipped: as `read_annotations`.
    """
    folder = Path(folder)
    inside = folder / DATASETS
    pair = csv_versions.resolve(inside if inside.is_dir() else folder, usecase, stamp)
    if labels is None:
        # their errors come up again below
        found = [read_csv(file, report=Report()).labels for file in (pair.train, pair.test)]
        labels = sorted({label for side in found for label in side})
    train, test = (
        read_annotations(file, images=images, report=report, skipped=skipped, labels=labels)
        for file in (pair.train, pair.test)
    )
    leaks = split_leaks({"train": train.records, "test": test.records})
    report.problems.extend(leaks.problems)
    return train, test, pair


def format_of(source: str | Path) -> Format:
    """Which format a folder or file of labels is in.

    Raises:
        DataError: none of them; says what was looked for.
    """
    source = Path(source)
    if source.is_file():
        kinds: dict[str, Format] = {".json": "coco", ".csv": "csv", ".xml": "voc"}
        kinds |= {".yaml": "yolo", ".yml": "yolo"}
        if source.suffix.lower() in kinds:
            return kinds[source.suffix.lower()]
    elif not source.is_dir():
        raise DataError(f"{source}: no such folder or file")
    elif _coco_files(source):
        return "coco"
    elif _csv_files(source, Report()):
        return "csv"
    elif voc_files(source):
        return "voc"
    elif is_yolo(source):
        return "yolo"
    elif (source / MASKS).is_dir():
        return "masks"
    raise DataError(
        f"{source}: no labels that can be read. Looked for COCO (.json with 'images' and "
        "'categories'), CSV (train_/test_{usecase}_{stamp}.csv in datasets/), Pascal VOC (.xml), "
        "YOLO (labels/*.txt, data.yaml) and masks/*.png"
    )


def split_annotations(
    annotations: Annotations, fractions: Mapping[str, float], salt: str = ""
) -> dict[str, Annotations]:
    """Split as the data set says, and the rest by groups and contents.

    A picture's place follows from its group, or else its content; only where there are fewer than
    :data:`FEW` of these, a highway may hold half of all pictures, and the largest groups are dealt
    out first. Pictures of one group, and copies of one picture, stay together; a group that the
    data set itself puts on two sides is not torn apart by this function, it is by the data set
    (`statistics.split_leaks` tells). Where the data set has pictures to train on but none for
    another split that is asked for, that is drawn from these.

    Args:
        annotations: records with `split` set stay in that split.
        fractions: share of each split among the others, see `validation.split_by_hash`.
        salt: another one draws other splits.
    """
    said = {record.name: record.split for record in annotations.records if record.split}
    free = [record for record in annotations.records if not record.split]
    # what belongs to a group that the data set has placed goes where that is
    by_group = {
        record.group: record.split
        for record in annotations.records
        if record.split and record.group
    }
    for record in free:
        if record.group in by_group:
            said[record.name] = by_group[record.group]
    said |= _drawn([record for record in free if record.name not in said], fractions, salt)
    lacking = {name for name, share in fractions.items() if share > 0} - set(said.values())
    if lacking and "train" in said.values() and fractions.get("train", 0) > 0:
        shares = {name: share for name, share in fractions.items() if name in {"train", *lacking}}
        trained = [record for record in annotations.records if said[record.name] == "train"]
        said |= _drawn(trained, shares, salt)
    names = [*fractions, *sorted(set(said.values()) - set(fractions))]
    return {
        name: annotations.with_records(
            replace(record, split=name)
            for record in annotations.records
            if said[record.name] == name
        )
        for name in names
    }


def folds(
    annotations: Annotations, count: int, salt: str = ""
) -> list[tuple[Annotations, Annotations]]:
    """Cut a data set for cross-validation; no group and no picture is on both sides of a cut.

    Folds are filled with the largest groups first, so that their sizes differ little even for few
    groups. What the data set says about splits is left aside.

    Args:
        annotations: all pictures.
        count: of folds, 2 or more.
        salt: decides between groups of the same size.

    Returns:
        For each fold the pictures to train on and those held back.

    Raises:
        DataError: there are fewer groups than folds.
    """
    clusters = _clusters(annotations.records)
    if count < 2 or len(clusters) < count:
        raise DataError(
            f"{len(clusters)} groups of pictures in {count} folds: expected 2 folds or more, and "
            "a group for each"
        )

    held: list[list[ImageRecord]] = [[] for _ in range(count)]
    for members in _largest_first(clusters, salt):
        min(held, key=len).extend(members)
    cuts = []
    for part in held:
        names = {record.name for record in part}
        inside = [record for record in annotations.records if record.name in names]
        outside = [record for record in annotations.records if record.name not in names]
        cuts.append((annotations.with_records(outside), annotations.with_records(inside)))
    return cuts


def _drawn(
    records: Sequence[ImageRecord], fractions: Mapping[str, float], salt: str
) -> dict[str, str]:
    """The split of each picture by name, drawn by group and content."""
    if len({record.group or content_key(record) for record in records}) < FEW:
        return _dealt_out(records, fractions, salt)
    drawn = split_by_hash(
        records, fractions, salt, key=content_key, group=lambda record: record.group or None
    )
    return {record.name: split for split, part in drawn.items() for record in part}


def _dealt_out(
    records: Sequence[ImageRecord], fractions: Mapping[str, float], salt: str
) -> dict[str, str]:
    """The same for a few groups: each goes, the largest first, where most pictures are lacking."""
    total = sum(fractions.values())
    lacking = {name: share / total * len(records) for name, share in fractions.items() if share > 0}
    clusters = _largest_first(_clusters(records), salt)
    empty = list(lacking)
    places: dict[str, str] = {}
    for left, members in zip(range(len(clusters), 0, -1), clusters, strict=True):
        name = max(empty if left <= len(empty) else lacking, key=lambda name: lacking[name])
        lacking[name] -= len(members)
        empty = [other for other in empty if other != name]
        places |= {record.name: name for record in members}
    return places


def _largest_first(clusters: list[list[ImageRecord]], salt: str) -> list[list[ImageRecord]]:
    """Sorted by size; the salt decides between those of the same size."""

    def order(members: list[ImageRecord]) -> tuple[int, str]:
        name = min(f"{record.group}\0{content_key(record)}" for record in members)
        return -len(members), hashlib.sha256(f"{salt}\0{name}".encode()).hexdigest()

    return sorted(clusters, key=order)


def _clusters(records: Sequence[ImageRecord]) -> list[list[ImageRecord]]:
    """Records that share a group or a content, directly or by a chain."""
    clusters: list[tuple[set[str], list[ImageRecord]]] = []
    for record in records:
        marks = {f"content {content_key(record)}"}
        if record.group:
            marks.add(f"group {record.group}")
        touched = [cluster for cluster in clusters if cluster[0] & marks]
        members = [member for cluster in touched for member in cluster[1]]
        clusters = [cluster for cluster in clusters if not cluster[0] & marks]
        clusters.append((marks.union(*(cluster[0] for cluster in touched)), [*members, record]))
    return [members for _, members in clusters]


def _located(source: Path) -> _Source:
    if source.is_dir():
        return _Source(source, ())
    if not source.is_file():
        raise DataError(f"{source}: no such folder or file")
    above = source.parent
    return _Source(above.parent if above.name.lower() in _LABEL_FOLDERS else above, (source,))


def _images(base: Path, images: str | Path | None) -> ImageFinder:
    if images is not None and not Path(images).is_dir():
        raise DataError(f"{images}: no such folder of pictures")
    inside = base / IMAGES
    folder = Path(images) if images is not None else inside if inside.is_dir() else base
    masks = base / MASKS
    files = [file for file in image_files(folder) if not file.is_relative_to(masks)]
    return ImageFinder(files, folder, prefer="named")


def _coco_files(folder: Path) -> list[Path]:
    """`annotations.json`, or all COCO files below the folder."""
    own = folder / ANNOTATIONS
    if own.is_file() and is_coco(own):
        return [own]
    found = (
        file
        for file in folder.rglob("*.json")
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    return sorted((file for file in found if is_coco(file)), key=natural_key)


def _csv_files(folder: Path, report: Report) -> list[Path]:
    """Both sides of the newest version, or the newest of the only side there is."""
    inside = folder / DATASETS
    place = inside if inside.is_dir() else folder
    versions = csv_versions.find_versions(place, report)
    usecases = sorted({version.usecase for version in versions})
    if len(usecases) > 1:
        raise DataError(
            f"{place}: versions of several use cases, {', '.join(usecases)}; name a file"
        )
    if len({version.side for version in versions}) == 2:
        pair = csv_versions.resolve(place, usecases[0])
        return [pair.train, pair.test]
    return [version.file for version in versions[-1:]]


def _read_coco(place: _Source, _: ImageFinder, report: Report) -> Drafts:
    return read_coco(place.files or _coco_files(place.base), place.base, report=report)


def _read_csv(place: _Source, _: ImageFinder, report: Report) -> Drafts:
    files = place.files or _csv_files(place.base, report)
    parts = [read_csv(file, report=report) for file in files]
    return Drafts(
        [draft for part in parts for draft in part.images],
        sorted({label for part in parts for label in part.labels}),
    )


def _read_voc(place: _Source, _: ImageFinder, report: Report) -> Drafts:
    return read_voc(place.files or voc_files(place.base), place.base, report=report)


def _read_yolo(place: _Source, images: ImageFinder, report: Report) -> Drafts:
    return read_yolo(place.base, images, report=report)


def _read_masks(place: _Source, images: ImageFinder, report: Report) -> Drafts:
    return read_masks(place.base, images, report=report)


_READERS: dict[str, Callable[[_Source, ImageFinder, Report], Drafts]] = {
    "coco": _read_coco,
    "csv": _read_csv,
    "voc": _read_voc,
    "yolo": _read_yolo,
    "masks": _read_masks,
}
