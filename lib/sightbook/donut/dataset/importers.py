"""Other people's labelled pictures -> the Donut folder format.

Each reader here gives :class:`~sightbook.donut.dataset.folder.Record` objects that point at the
pictures where they lie (enough to evaluate on them); :func:`import_records` copies them into a data
set.

Texts become truths by what they look like: a JSON object is taken as it is, lines in an ICAO shape
are a machine-readable zone, anything else is ``{"text_sequence": text}``, Donut's task of reading
a page from top to bottom.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightbook.data.images import ImageError, Skipped, image_files, natural_key, open_image
from sightbook.data.validation import DataError, Report
from sightbook.donut.dataset.folder import (
    FRACTIONS,
    METADATA,
    SPLITS,
    Record,
    Truth,
    assign_splits,
    mrz_truth,
    read_folder,
    read_jsonl,
    split_name,
)
from sightbook.donut.dataset.write import Sample, write_folder
from sightbook.donut.mrz import build as mrz

TABLES = (".csv", ".tsv", ".jsonl")
IMAGE_COLUMNS = ("file_name", "file", "filename", "image", "path", "image_path")
TEXT_COLUMNS = ("ground_truth", "mrz", "lines", "text", "label", "class", "transcription")
LINE_COLUMNS = ("line1", "line2", "line3")
TYPE_COLUMNS = ("mrz_type", "type")

# Order of the label numbers in the RVL-CDIP lists (Harley et al. 2015).
RVL_CDIP = (
    *("letter", "form", "email", "handwritten", "advertisement", "scientific_report"),
    *("scientific_publication", "specification", "file_folder", "news_article", "budget"),
    *("invoice", "presentation", "questionnaire", "resume", "memo"),
)


def read_source(
    path: str | Path,
    report: Report,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
) -> list[Record]:
    """Read whatever a user has: a table, or a folder of one of the kinds below.

    A folder is taken as, in this order: a Donut data set; pictures with one table (.csv, .tsv,
    .jsonl) beside them; pictures with .txt or .json files of the same name; class folders.

    Raises:
        DataError: nothing there that can be read; says what was looked for.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() in TABLES:
        return read_table(path, report, image_column=image_column, text_column=text_column)
    if not path.is_dir():
        raise DataError(f"{path}: no such folder, and no table ({', '.join(TABLES)})")
    if next(path.glob(METADATA), None) or any(
        split_name(folder.parent.name) for folder in path.glob(f"*/{METADATA}")
    ):
        return [
            Record(record.path, record.gt, {**record.extra, "split": split}, *_tail(record, split))
            for split, records in read_folder(path, report=report).items()
            for record in records
        ]
    tables = [file for file in sorted(path.iterdir()) if file.suffix.lower() in TABLES]
    if len(tables) == 1:
        return read_table(tables[0], report, image_column=image_column, text_column=text_column)
    images = image_files(path)
    if any(_sidecar(image) for image in images):
        return read_sidecars(path, report)
    if images and all(len(image.relative_to(path).parts) > 1 for image in images):
        return read_classes(path, report)
    raise DataError(
        f"{path}: {len(images)} pictures and {len(tables)} tables, but no {METADATA}, no single "
        "table, no .txt or .json beside the pictures and no folders named after classes"
    )


def read_table(
    path: str | Path,
    report: Report,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
    images: str | Path | None = None,
) -> list[Record]:
    """Read a CSV, TSV or JSONL table of picture and text.

    Args:
        path: the table; a CSV's delimiter (comma, semicolon, tab or bar) is found out.
        report: takes rows that cannot be used.
        image_column: column of the picture's path; usual names are found by themselves.
        text_column: column of the text, or of several lines parted by line breaks; usual names
            are found, and so are ``line1``, ``line2``, ``line3``.
        images: folder the paths count from; the table's own by default.

    Raises:
        DataError: no such table, or no such columns; says which there are.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such table")
    root = Path(images) if images is not None else path.parent
    rows = list(_rows(path, report))
    if not rows:
        raise DataError(f"{path}: the table has no rows")
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    image_key = _column(path, columns, image_column, IMAGE_COLUMNS, "image")
    line_keys = [key for key in LINE_COLUMNS if key in columns] if text_column is None else []
    text_key = "" if line_keys else _column(path, columns, text_column, TEXT_COLUMNS, "text")
    type_key = next((key for key in TYPE_COLUMNS if key in columns), "")
    records = []
    for where, row in rows:
        name = str(row.get(image_key) or "").strip()
        if not name:
            report.error("no file name", where, f"column {image_key!r} is empty")
            continue
        value: Any = [row[key] for key in line_keys if row.get(key)] if line_keys else row[text_key]
        used = {image_key, text_key, *line_keys}
        try:
            kind = str(row.get(type_key) or "") or None
            truth = text_truth(value, kind) if text_key != "class" else {"class": str(value)}
        except mrz.MrzError as error:
            report.error("zone of no ICAO shape", where, f"{name}: {error}")
            continue
        if type_key and "mrz" in truth:
            used.add(type_key)
        extra = {key: item for key, item in row.items() if key not in used and item is not None}
        records.append(Record(root / name, _as_parses(truth), extra, name, where))
    return records


def read_sidecars(folder: str | Path, report: Report) -> list[Record]:
    """Read pictures with a ``.txt`` or ``.json`` of the same name beside them."""
    folder = Path(folder)
    records = []
    for image in image_files(folder):
        report.checked += 1
        name = image.relative_to(folder).as_posix()
        sidecar = _sidecar(image)
        if sidecar is None:
            report.warning("picture without text", name, "no .txt or .json of its name; left out")
            continue
        text: Any = sidecar.read_text(encoding="utf-8-sig", errors="replace")
        if sidecar.suffix.lower() == ".json":
            try:
                value = json.loads(text)
            except ValueError as error:
                report.error("bad JSON", sidecar.name, str(error))
                continue
            if not isinstance(value, dict):
                report.error("bad JSON", sidecar.name, "expected an object")
                continue
            text = value
        records.append(Record(image, _as_parses(text_truth(text)), {}, name, sidecar.name))
    return records


def read_classes(folder: str | Path, report: Report) -> list[Record]:
    """Read class folders: the truth of ``invoice/17.png`` is ``{"class": "invoice"}``.

    Folders train, validation and test may stand above the classes.
    """
    folder = Path(folder)
    records = []
    for image in image_files(folder):
        report.checked += 1
        name = image.relative_to(folder)
        split = split_name(name.parts[0]) if len(name.parts) > 2 else None
        extra = {"split": split} if split else {}
        if len(name.parts) < 2:
            report.warning("picture without class", name, "stands in no class folder; left out")
            continue
        label = image.parent.name
        records.append(Record(image, [{"class": label}], extra, name.as_posix(), name.as_posix()))
    return records


def read_rvl_cdip(
    labels: str | Path, images: str | Path, report: Report, classes: Sequence[str] = RVL_CDIP
) -> list[Record]:
    """Read a list as RVL-CDIP has it: ``path/to/image.tif 11`` on each line.

    Args:
        labels: the list; a file called ``train.txt``, ``val.txt`` or ``test.txt`` names its split.
        images: folder the paths count from.
        report: takes lines that cannot be used.
        classes: names of the numbers, from 0.
    """
    path, records = Path(labels), []
    split = split_name(path.stem)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        report.checked += 1
        where = f"{path.name}:{number}"
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.isdecimal() or int(label) >= len(classes):
            report.error("bad label", where, f"{line!r}, expected a path and 0..{len(classes) - 1}")
            continue
        extra = {"split": split} if split else {}
        truth = {"class": classes[int(label)]}
        records.append(Record(Path(images) / name, [truth], extra, name, where))
    return records


def read_docvqa(path: str | Path, report: Report, images: str | Path | None = None) -> list[Record]:
    """Read questions as the DocVQA challenge publishes them.

    The file is JSON, ``{"data": [{"question", "image", "answers": [...]}, ...]}``. One record per
    picture, with one ``{"question", "answer"}`` for each accepted answer to each question.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = data["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected JSON with a list 'data' ({error!r})") from error
    split = split_name(str(data.get("dataset_split") or ""))
    extra = {"split": split} if split else {}
    root = Path(images) if images is not None else path.parent
    records: dict[str, Record] = {}
    for number, row in enumerate(rows):
        report.checked += 1
        where = f"{path.name}, entry {number}"
        missing = [key for key in ("question", "image", "answers") if not row.get(key)]
        if missing:
            report.error("incomplete question", where, f"without {', '.join(missing)}")
            continue
        name = row["image"]
        record = records.setdefault(name, Record(root / name, [], dict(extra), name, where))
        for answer in dict.fromkeys(str(answer) for answer in row["answers"]):
            record.gt.append({"question": row["question"], "answer": answer})
    return list(records.values())


def import_records(
    records: Iterable[Record],
    out: str | Path,
    *,
    skipped: Skipped,
    report: Report,
    fractions: Mapping[str, float] = FRACTIONS,
    salt: str = "",
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Copy records and their pictures into a data set, split by what they say or by content.

    Args:
        records: from one of the readers above.
        out: folder to write; an import that was cut off goes on.
        skipped: takes pictures that cannot be read, up to its limit.
        report: takes rows with an unknown split.
        fractions: shares of a split by hash.
        salt: of a split by hash.
        progress: called with the number of pictures looked at.

    Returns:
        Number of records in each split.

    Raises:
        TooManySkipped: more unreadable pictures than allowed, all listed.
    """
    good = []
    for number, record in enumerate(records, start=1):
        try:
            # In full: a picture that is cut short shows it only at its end.
            open_image(record.path)
            good.append(record)
        except ImageError as error:
            skipped.add(record.file_name, error.reason)
        if progress is not None:
            progress(number)
    splits = assign_splits(good, report, fractions, salt)
    counts = {}
    for split in sorted(splits, key=SPLITS.index):
        samples = list(_named_samples(splits[split]))
        written = write_folder(out, split, samples)
        counts[split] = written.added + written.kept
    return counts


def text_truth(text: Any, type: str | None = None) -> Truth:
    """Truth of a text, by what it looks like (see the head of this module).

    Args:
        text: text, list of lines, or an object.
        type: type of the zone, where known; the lines must then have its shape.

    Raises:
        mrz.MrzError: lines that do not have the shape of ``type``.
    """
    if isinstance(text, str) and text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            text = json.loads(text)
    if isinstance(text, dict):
        if isinstance(text.get("mrz"), str | list) and text["mrz"]:
            return text | text_truth(text["mrz"], type)
        return text
    lines = [str(line) for line in text] if isinstance(text, list) else str(text).splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    known = type if type in mrz.TYPES else None
    if len(lines) == 1 and known is None:
        lines = _unfold(lines[0])
    try:
        zone = mrz.parse(lines, known)
    except mrz.MrzError:
        if known is not None:
            raise
        return {"text_sequence": "\n".join(lines)}
    if set("".join(lines)) <= set(mrz.ALPHABET):
        return mrz_truth(zone.type, lines)
    return {"text_sequence": "\n".join(lines)}


def _unfold(line: str) -> list[str]:
    """Lines of a zone written as one, with or without something between; else the line itself."""
    for parts in (line.split(), line.split("|"), line.replace("\\n", "\n").splitlines()):
        if len(parts) in (2, 3):
            return parts
    rows = {72: 2, 88: 2, 90: 3}.get(len(line))
    if rows is None or not set(line) <= set(mrz.ALPHABET):
        return [line]
    width = len(line) // rows
    return [line[start : start + width] for start in range(0, len(line), width)]


def _as_parses(truth: Truth) -> list[Truth]:
    """Objects that carry Donut's own wrapping are unwrapped."""
    if isinstance(truth.get("gt_parse"), dict):
        return [truth["gt_parse"]]
    if isinstance(truth.get("gt_parses"), list) and truth["gt_parses"]:
        return truth["gt_parses"]
    return [truth]


def _rows(path: Path, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix.lower() == ".jsonl":
        for number, row in read_jsonl(path, report):
            yield f"{path.name}:{number}", {key.lower(): value for key, value in row.items()}
        return
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.read(8192)
        file.seek(0)
        # csv.Sniffer mistakes letters for delimiters in short tables: count in the first row.
        first = head.splitlines()[0] if head else ""
        delimiter = max(",;\t|", key=first.count)
        for row in (reader := csv.DictReader(file, delimiter=delimiter)):
            report.checked += 1
            yield (
                f"{path.name}:{reader.line_num}",
                {key.strip().lower(): value for key, value in row.items() if key is not None},
            )


def _column(
    path: Path, columns: Sequence[str], wanted: str | None, usual: Sequence[str], what: str
) -> str:
    if wanted is not None and wanted.lower() in columns:
        return wanted.lower()
    found = next((name for name in usual if name in columns), None) if wanted is None else None
    if found is None:
        sought = repr(wanted) if wanted is not None else f"any of {', '.join(usual)}"
        raise DataError(
            f"{path}: no column for the {what} (sought {sought}; columns: {', '.join(columns)}). "
            f"Name it with {what}_column"
        )
    return found


def _sidecar(image: Path) -> Path | None:
    for suffix in (".json", ".txt"):
        if (file := image.with_suffix(suffix)).is_file():
            return file
    return None


def _tail(record: Record, split: str) -> tuple[str, str]:
    """File name without its split folder (the name of the new folder says it), and place."""
    parts = Path(record.file_name).parts
    inside = parts[1:] if len(parts) > 1 and split_name(parts[0]) == split else parts
    return Path(*inside).as_posix(), record.where


def _named_samples(records: Sequence[Record]) -> Iterator[tuple[str, Sample]]:
    """Samples under names that are inside the folder and stand there once."""
    taken: set[str] = set()
    for record in sorted(records, key=lambda record: natural_key(record.file_name)):
        parts = [part for part in Path(record.file_name).parts if part not in ("..", "/")]
        name = base = Path(*parts).as_posix()
        number = 1
        while name in taken:
            number += 1
            name = Path(base).with_stem(f"{Path(base).stem}_{number}").as_posix()
        taken.add(name)
        extra = {key: value for key, value in record.extra.items() if key != "split"}
        yield name, Sample(record.path, record.gt, extra)
