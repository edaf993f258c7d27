"""Labels kept as dated CSV files: ``train_pothole_261120120000.csv`` and ``test_...``.

A row is a box, ``filename,xmin,ymin,xmax,ymax,class``; a row of a file name alone is a clean
picture. The other form has a column ``segmentation`` with polygons before the class. The stamp is
``%y%m%d%H%M%S``; `latest` is the newest one that both sides have. A version is never overwritten.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Annotations, Box, Points
from sightbook.detection.labels.checks import Draft, DraftBox, Drafts, flat_polygon
from sightbook.detection.labels.statistics import split_leaks

SIDES = ("train", "test")

STAMP = "%y%m%d%H%M%S"

LATEST = "latest"

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_OUTLINES = ("segmentation", "polygon")
_NAME = re.compile(r"(train|test)_(.+)_([^_]*)\.csv")


@dataclass(frozen=True)
class Version:
    """One side's file of a version.

    Attributes:
        side: train or test.
        usecase: what the labels are for ("pothole").
        stamp: when it was written, as `STAMP` has it.
        file: where it lies.
    """

    side: str
    usecase: str
    stamp: str
    file: Path


@dataclass(frozen=True)
class Pair:
    """Both files of a version."""

    usecase: str
    stamp: str
    train: Path
    test: Path


def find_versions(folder: Path, report: Report) -> list[Version]:
    """All versions in a folder, oldest first.

    Args:
        folder: usually `datasets/`.
        report: takes names whose stamp is no time.
    """
    found = []
    for file in sorted(folder.glob("*.csv")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            continue
        side, usecase, stamp = match.groups()
        if _is_stamp(stamp):
            found.append(Version(side, usecase, stamp, file))
        else:
            report.error(
                "wrong stamp",
                file.name,
                f"{stamp!r} is no time, expected YYMMDDHHMMSS, as in {side}_{usecase}_"
                f"{datetime(2026, 11, 20, 12):{STAMP}}.csv",
            )
    return sorted(found, key=lambda version: (version.stamp, version.side))


def resolve(folder: str | Path, usecase: str, stamp: str = LATEST) -> Pair:
    """Both files of a version.

    Args:
        folder: usually `datasets/`.
        usecase: as in the files' names.
        stamp: of the version; `latest` is the newest that both sides have.

    Raises:
        DataError: there is none; says what there is.
    """
    folder, report = Path(folder), Report()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; versions are CSV files in a folder")
    versions = find_versions(folder, report)
    files = {(v.side, v.stamp): v.file for v in versions if v.usecase == usecase}
    stamps = {side: [stamp for s, stamp in files if s == side] for side in SIDES}
    common = sorted(set(stamps["train"]) & set(stamps["test"]))
    wanted = (common[-1] if common else "") if stamp == LATEST else stamp
    if wanted not in common:
        asked = "a common stamp" if stamp == LATEST else f"the version {stamp!r}"
        lines = [f"{folder}: train and test of {usecase!r} do not both have {asked}"]
        lines += [f"  {side}: {', '.join(stamps[side]) or 'none'}" for side in SIDES]
        others = sorted({version.usecase for version in versions} - {usecase})
        if others:
            lines.append(f"  other use cases there: {', '.join(others)}")
        raise DataError("\n".join([*lines, *([str(report)] if report.problems else [])]))
    return Pair(usecase, wanted, files["train", wanted], files["test", wanted])


def read_csv(file: Path, *, report: Report) -> Drafts:
    """Read one file of either form; classes come in alphabetical order.

    Columns may come in any order. A column ``polygon`` is one of outlines, too; ``group``,
    ``width`` and ``height`` are read where there are any; others are left alone.

    Args:
        file: called as a version, which makes its side the pictures' split, or otherwise.
        report: takes missing columns and rows that are neither a box nor a clean picture.
    """
    match = _NAME.fullmatch(file.name)
    split = match.group(1) if match else ""
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        columns = [column.strip() for column in rows.fieldnames or []]
    except (UnicodeDecodeError, csv.Error) as error:
        report.error("no CSV", file.name, str(error))
        return Drafts([], [])
    rows.fieldnames = columns
    outline = next((name for name in _OUTLINES if name in columns), None)
    needed = ("filename", "class", *(() if outline else _CORNERS))
    missing = [name for name in needed if name not in columns]
    if missing:
        report.error(
            "missing column",
            file.name,
            f"{', '.join(missing)}; the first row is {', '.join(columns)!r:.120}, expected "
            "filename,xmin,ymin,xmax,ymax,class (with commas)",
        )
        return Drafts([], [])
    drafts: dict[str, Draft] = {}
    empty: set[str] = set()
    labels = set()
    for where, row in _rows(rows, file, report):
        name = row["filename"]
        if not name:
            report.error("row without file name", where, f"{row}")
            continue
        draft = drafts.setdefault(name, Draft((name,), file, split=split))
        draft.group = row.get("group", "") or draft.group
        draft.size = _size(row) or draft.size
        if not row["class"] and not any(row.get(key) for key in (*_CORNERS, outline or "")):
            empty.add(name)
            continue
        box = _box(row, outline, where, report)
        if box is not None:
            draft.boxes.append(box)
            labels.add(box.label)
    for name in sorted(empty):
        if drafts[name].boxes:
            report.warning("clean picture with boxes", file.name, f"{name} has an empty row, too")
    return Drafts(list(drafts.values()), sorted(labels))


def write_csv(annotations: Annotations, file: str | Path, *, outlines: bool = False) -> Path:
    """Write one file of either form; it must not be there.

    Coordinates are written to 0.01 pixels. A column ``group`` is added where pictures have one,
    since splits need it. What CSV cannot hold is left behind: crowds, scores and attributes.

    Args:
        annotations: clean pictures become rows without a box.
        file: its folder is made.
        outlines: write the column ``segmentation``.

    Raises:
        FileExistsError: there is a file of this name.
    """
    file = Path(file)
    text = io.StringIO(newline="")
    grouped = any(record.group for record in annotations.records)
    columns = ["filename", *_CORNERS, *(["segmentation"] if outlines else []), "class"]
    writer = csv.DictWriter(
        text, [*columns, *(["group"] if grouped else [])], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for record in annotations.records:
        kept = [box for box in record.boxes if not box.crowd]
        if record.boxes and not kept:
            continue  # only crowds: written as a clean picture it would lie
        for row in [_row(box, outlines) for box in kept] or [{}]:
            group = {"group": record.group} if grouped else {}
            writer.writerow({"filename": record.name, **row, **group})
    _write_new(file, text.getvalue())
    return file


def write_version(
    train: Annotations,
    test: Annotations,
    folder: str | Path,
    usecase: str,
    *,
    when: datetime | None = None,
    outlines: bool = False,
) -> Pair:
    """Write both sides as a new version.

    Args:
        train: pictures to train on.
        test: pictures to test on; none of them, and none of their groups, in `train`.
        folder: usually `datasets/`.
        usecase: goes into the names.
        when: goes into the names; now by default. Where that second is taken, the next free one.
        outlines: see `write_csv`.

    Raises:
        DataError: the sides share pictures or groups, or the use case is no part of a file name.
    """
    folder = Path(folder)
    if not re.fullmatch(r"[\w.-]+", usecase):
        raise DataError(f"use case {usecase!r}: expected letters, digits, '_', '-' and '.'")
    split_leaks({"train": train.records, "test": test.records}).raise_errors()
    moment = when or datetime.now()  # local time, as people read it off the name
    while True:
        stamp = moment.strftime(STAMP)
        files = [folder / f"{side}_{usecase}_{stamp}.csv" for side in SIDES]
        if not any(file.exists() for file in files):
            with contextlib.suppress(FileExistsError):  # somebody writes a version, too
                write_csv(test, files[1], outlines=outlines)
                write_csv(train, files[0], outlines=outlines)
                return Pair(usecase, stamp, *files)
        moment += timedelta(seconds=1)


def _is_stamp(stamp: str) -> bool:
    # strptime alone takes single digits
    if not re.fullmatch(r"[0-9]{12}", stamp):
        return False
    try:
        datetime.strptime(stamp, STAMP)
    except ValueError:
        return False
    return True


def _rows(
    rows: csv.DictReader[str], file: Path, report: Report
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row is, and its cells without blanks around them; a missing cell is empty."""
    while True:
        try:
            row: dict[Any, Any] = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            report.error("no CSV", f"{file.name}:{rows.line_num}", str(error))
            return
        where = f"{file.name}:{rows.line_num}"
        if None in row:
            report.error("wrong row", where, f"{len(row[None])} cells more than columns")
            continue
        yield where, {key: (value or "").strip() for key, value in row.items()}


def _box(
    row: Mapping[str, str], outline: str | None, where: str, report: Report
) -> DraftBox | None:
    """The row's object; None, and an error, if something of it is missing or no number."""
    if not row["class"]:
        report.error("object without class", where, "a box, but no class")
        return None
    polygons = _polygons(row.get(outline or "", ""), where, report)
    texts = [row.get(corner, "") for corner in _CORNERS]
    if not any(texts):
        if not polygons:
            report.error(
                "object without box", where, f"{row['class']!r}, but neither box nor outline"
            )
            return None
        return DraftBox(row["class"], None, polygons, where)
    try:
        corners = [float(text) for text in texts]
    except ValueError:
        report.error("box is no numbers", where, f"{texts}, expected {', '.join(_CORNERS)}")
        return None
    return DraftBox(row["class"], corners, polygons, where)


def _polygons(text: str, where: str, report: Report) -> list[Points]:
    """``[[x0, y0, x1, y1, ...], ...]``, or one polygon alone."""
    if not text:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if isinstance(listed, list) and listed and not isinstance(listed[0], list):
        listed = [listed]
    polygons = [flat_polygon(part) for part in listed] if isinstance(listed, list) else [None]
    if any(polygon is None for polygon in polygons):
        report.warning("unusable outline", where, f"{text!r:.60}, expected [[x0, y0, x1, ...]]")
    return [polygon for polygon in polygons if polygon is not None]


def _size(row: Mapping[str, str]) -> tuple[float, float] | None:
    try:
        size = float(row.get("width", "")), float(row.get("height", ""))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _row(box: Box, outlines: bool) -> dict[str, str]:
    row = dict(zip(_CORNERS, map(_shown, box.xyxy), strict=True)) | {"class": box.label}
    if outlines and box.polygons:
        listed = [[round(v, 2) for v in polygon.ravel().tolist()] for polygon in box.polygons]
        row["segmentation"] = json.dumps(listed)
    return row


def _shown(value: float) -> str:
    return f"{round(value, 2):.12g}"


def _write_new(file: Path, text: str) -> None:
    """Write a whole file under a name that is free, or nothing.

    Raises:
        FileExistsError: the name is taken, also if another process takes it meanwhile.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{os.getpid()}-{secrets.token_hex(3)}-{file.name}")
    try:
        with beside.open("xb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        try:
            file.hardlink_to(beside)  # unlike a rename, it never replaces a file
        except FileExistsError:
            raise
        except OSError:  # file systems without links, as mounted blob storage
            with file.open("xb") as stream:
                stream.write(text.encode())
    finally:
        beside.unlink(missing_ok=True)
