"""The Donut folder format: pictures beside a ``metadata.jsonl``.

Each line of ``metadata.jsonl`` is an object with ``file_name`` (relative to the file) and
``ground_truth``, a string that holds JSON: ``{"gt_parse": {...}}`` or ``{"gt_parses": [{...}]}``,
as in Donut (Kim et al. 2022) and the Hugging Face ImageFolder. Further columns are kept; these
have a meaning here:

``quads``
    one ``[[x, y] * 4]`` per zone line in pixels of the upright picture, corners in the reading
    order of the text: upper left, upper right, lower right, lower left.
``split``
    train, validation or test, for a folder without sub-folders.
``group``
    what must stay on one side of a split (a person, a document).

Zones have the truth ``{"mrz": {"type": "TD3", "lines": ["P<UTO...", "L898..."]}}``; a document
without a zone has ``{"mrz": null}``, which :mod:`sightbook.donut.page.sequences` writes as an empty
``<s_mrz></s_mrz>``: the reader learns to say "none" instead of saying nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightbook.data.validation import DataError, Report, split_by_hash
from sightbook.donut.dataset.records import (
    METADATA,
    SPLITS,
    Record,
    Sample,
    Truth,
    as_quads,
    ground_truth,
    mrz_truth,
    split_name,
)
from sightbook.donut.dataset.write import Written, write_folder

__all__ = [
    "FRACTIONS",
    "METADATA",
    "SPLITS",
    "Record",
    "Sample",
    "Truth",
    "Written",
    "add_validation",
    "as_quads",
    "assign_splits",
    "ground_truth",
    "mrz_truth",
    "parse_row",
    "read_folder",
    "read_jsonl",
    "read_metadata",
    "split_name",
    "write_folder",
]

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""Shares of a split by hash, where nothing else is said."""


def read_folder(
    path: str | Path,
    *,
    report: Report | None = None,
    fractions: Mapping[str, float] = FRACTIONS,
    salt: str = "",
) -> dict[str, list[Record]]:
    """Read a data set in the Donut folder format.

    Splits come from sub-folders (``train``, ``validation``/``val``/``valid``/``dev``, ``test``),
    else from the column ``split`` or the first folder of ``file_name``, else from the hash of the
    pictures' contents, by group.

    Args:
        path: the folder.
        report: takes problems of single rows, which are then left out; without it they raise.
        fractions: shares of a split by hash.
        salt: of a split by hash.

    Returns:
        Split name -> records, in the order of the metadata.

    Raises:
        DataError: no such folder, no metadata, or (without ``report``) bad rows, all listed.
    """
    path = Path(path)
    problems = Report()
    folders = _split_folders(path)
    if folders:
        splits: dict[str, list[Record]] = {}
        for name, folder in folders:
            splits.setdefault(name, []).extend(read_metadata(folder / METADATA, problems))
        if (path / METADATA).is_file():
            problems.warning(
                "metadata not used", path / METADATA, "the sub-folders have their own, read instead"
            )
    elif (path / METADATA).is_file():
        splits = assign_splits(read_metadata(path / METADATA, problems), problems, fractions, salt)
    elif path.is_dir():
        raise DataError(
            f"{path}: no {METADATA} here nor in a sub-folder train, validation or test. Pictures "
            "with texts in other forms (.txt or .json beside them, a table, class folders) become "
            "such a folder with notebook 01_prepare_donut"
        )
    else:
        raise DataError(f"{path}: no such folder")
    if report is None:
        problems.raise_errors()
    else:
        report.extend(problems)
    return splits


def assign_splits(
    records: Sequence[Record],
    report: Report,
    fractions: Mapping[str, float] = FRACTIONS,
    salt: str = "",
) -> dict[str, list[Record]]:
    """Split by what the rows say (``split`` column or first folder), else by content hash."""
    named = [_named_split(record) for record in records]
    if not any(name for name, _ in named):
        return split_by_hash(
            records, fractions, salt, key=Record.content_hash, group=lambda record: record.group
        )
    splits: dict[str, list[Record]] = {}
    for record, (name, text) in zip(records, named, strict=True):
        if name is None:
            found = f"split {text!r}" if text else "no split, although other rows have one"
            report.error("unknown split", record.where, f"{found}; expected one of {SPLITS}")
        else:
            splits.setdefault(name, []).append(record)
    return {name: splits[name] for name in SPLITS if name in splits}


def add_validation(
    splits: Mapping[str, Sequence[Record]], fraction: float = 0.1, salt: str = ""
) -> dict[str, list[Record]]:
    """Take a validation split out of ``train`` by hash and group where there is none."""
    full = {name: list(records) for name, records in splits.items()}
    if not full.get("validation") and full.get("train"):
        shares = {"train": 1 - fraction, "validation": fraction}
        full |= split_by_hash(
            full["train"],
            shares,
            salt,
            key=Record.content_hash,
            group=lambda record: record.group,
        )
    return full


def read_metadata(path: str | Path, report: Report) -> list[Record]:
    """Read one ``metadata.jsonl``; rows that cannot be used go into the report."""
    path = Path(path)
    records = []
    for number, row in read_jsonl(path, report):
        record = parse_row(row, path.parent, f"{path.parent.name}/{path.name}:{number}", report)
        if record is not None:
            records.append(record)
    if not records:
        report.error("no records", path, "not one usable row")
    return records


def read_jsonl(path: Path, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line; what is no object goes into the report."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            report.checked += 1
            where = f"{path.parent.name}/{path.name}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                report.error("bad JSON", where, f"{error}; the line begins {line[:40]!r}")
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                report.error("bad JSON", where, f"a {type(row).__name__}, expected an object")


def parse_row(row: Mapping[str, Any], folder: Path, where: str, report: Report) -> Record | None:
    """Make a record of one row of metadata, or report what keeps it from being one."""
    rest = dict(row)
    name = rest.pop("file_name", None)
    if not isinstance(name, str) or not name:
        report.error("no file_name", where, f"found columns {sorted(row)}")
        return None
    if "ground_truth" in rest:
        value = rest.pop("ground_truth")
    elif {"gt_parse", "gt_parses"} & rest.keys():
        report.warning("no ground_truth column", where, "gt_parse stands in the row itself")
        value = {key: rest.pop(key) for key in ("gt_parse", "gt_parses") if key in rest}
    else:
        report.error("no ground_truth", where, f"{name}: found columns {sorted(row)}")
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            report.error("bad ground_truth", where, f"{name}: no JSON ({error}): {value[:40]!r}")
            return None
    elif isinstance(value, dict) and "ground_truth" in row:
        report.warning(
            "ground_truth is an object", where, f"{name}: read, but Donut wants a string of JSON"
        )
    gt = _parses(value)
    if gt is None:
        report.error(
            "bad ground_truth",
            where,
            f"{name}: expected gt_parse (an object) or gt_parses (a list of objects), "
            f"found {json.dumps(value)[:60]}",
        )
        return None
    return Record(folder / name, gt, rest, name, where)


def _split_folders(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return []
    found = [
        (name, folder)
        for folder in sorted(path.iterdir())
        if (name := split_name(folder.name)) and (folder / METADATA).is_file()
    ]
    return sorted(found, key=lambda item: SPLITS.index(item[0]))


def _named_split(record: Record) -> tuple[str | None, str]:
    """Split a row names, and the text it names it by ('' for none)."""
    text = str(record.extra.get("split") or "")
    if text:
        return split_name(text), text
    parts = Path(record.file_name).parts
    return (split_name(parts[0]) if len(parts) > 1 else None), ""


def _parses(value: Any) -> list[Truth] | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("gt_parse"), dict):
        return [value["gt_parse"]]
    several = value.get("gt_parses")
    if isinstance(several, list) and several and all(isinstance(item, dict) for item in several):
        return several
    return None
