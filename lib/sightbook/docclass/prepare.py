"""Preparing a folder of templates: drawn, or copied from what people have; checked and split."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightbook.docclass.data import CLASSES_FILE, Pool, pool, read_classes, write_classes
from sightbook.docclass.params import PrepareDocclass
from sightbook.files import atomic_file
from sightbook.images import Skipped
from sightbook.params import ParameterError, resolve_path
from sightbook.runs import dataset_folder
from sightbook.validation import (
    DataError,
    Fingerprint,
    Report,
    find_leaks,
    fingerprint,
    keep_origin,
)


@dataclass(frozen=True)
class Prepared:
    """A folder of templates, read back and checked.

    Attributes:
        pool: its classes with families and splits.
        report: all problems found.
        skipped: pictures that cannot be used and were left out.
    """

    pool: Pool
    report: Report
    skipped: Skipped

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.pool.folder

    def table(self) -> list[dict[str, object]]:
        """One row a split: classes, pictures, artwork families, families of several classes."""
        rows: list[dict[str, object]] = []
        for split in ("train", "calibration", "test"):
            classes = self.pool.of(split)
            families = [item.family for item in classes]
            several = sum(families.count(name) > 1 for name in set(families))
            rows.append(
                {
                    "split": split,
                    "classes": len(classes),
                    "pictures": sum(len(item.files) for item in classes),
                    "artwork families": len(set(families)),
                    "of several classes": several,
                }
            )
        return rows

    def fingerprint(self) -> Fingerprint:
        """Fingerprint of names, contents, families and splits."""
        return fingerprint(
            (file.relative_to(self.folder).as_posix(), file, [item.family, item.split])
            for item in self.pool.classes
            for file in item.files
        )


def prepare(params: PrepareDocclass) -> Prepared:
    """Draw or import the templates that `params` describe, find families and split them.

    Cut off, the same call goes on where it stopped.

    Raises:
        ParameterError: source folder without its path.
        DataError: the data set exists and was made otherwise, or the source cannot be read.
        TooManySkipped: more unusable pictures than `params.max_bad`.
    """
    folder = dataset_folder("docclass", params.name)
    skipped, report = Skipped(params.max_bad), Report()
    origin: dict[str, Any] = {"source": params.source, "seed": params.seed}
    if params.source == "synthetic":
        from sightbook.docclass.synth.templates import write_templates

        origin |= {"templates": params.templates, "long_side": params.long_side}
        folder.mkdir(parents=True, exist_ok=True)
        keep_origin(folder, origin)
        write_templates(folder, params.templates, params.seed, params.long_side, params.workers)
    else:
        if not params.path:
            raise ParameterError("source is 'folder': parameter 'path' must name it")
        source = resolve_path(params.path)
        origin["path"] = str(params.path)
        classes = read_classes(source, report=report, skipped=skipped)
        if not classes:
            raise DataError(f"{source}: no picture in it can be used as a template")
        folder.mkdir(parents=True, exist_ok=True)
        keep_origin(folder, origin)
        for item in classes:
            for file in item.files:
                copy_file(file, folder / file.relative_to(source))
    # What was written before is no source of itself: families and splits are found anew.
    (folder / CLASSES_FILE).unlink(missing_ok=True)
    shares = {"calibration": params.calibration, "test": params.test}
    shares = {"train": 1 - sum(shares.values()), **shares}
    found = pool(
        folder,
        fractions={name: share for name, share in shares.items() if share > 0},
        salt=str(params.seed),
        max_bad=params.max_bad,
    )
    write_classes(found, {**origin, "fractions": shares})
    report.extend(found.report)
    report.extend(check_splits(found))
    report.checked = len(found.classes)
    return Prepared(found, report, skipped)


def copy_file(source: Path, target: Path) -> None:
    """Copy a picture as it is, unless it is there already."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as partial:
        shutil.copyfile(source, partial)


def check_splits(found: Pool) -> Report:
    """Report every picture and every artwork family that stands in more than one split."""
    rows = [(item, file) for item in found.classes for file in item.files]
    splits: dict[str, list[tuple[Any, Path]]] = {}
    for item, file in rows:
        splits.setdefault(item.split, []).append((item, file))
    return find_leaks(
        splits,
        key=lambda row: found.hashes[row[1].relative_to(found.folder).as_posix()],
        group=lambda row: row[0].family,
        name=lambda row: row[1].name,
    )
