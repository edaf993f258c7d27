"""Checks of a Donut data set before training: all problems in one report.

The format itself is read by :mod:`sightbook.donut.dataset.folder`, which reports rows it cannot
use; here the rows it could use are held against the pictures and the standard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sightbook.data.images import ImageError, image_size
from sightbook.data.validation import Fingerprint, Report, find_leaks, fingerprint
from sightbook.donut.dataset.folder import Record
from sightbook.donut.mrz.formats import ALPHABET, FORMATS


def validate(
    records: Iterable[Record],
    *,
    alphabet: str | None = None,
    min_side: int = 16,
) -> Report:
    """Check the labels of a data set; every problem goes into one report.

    Errors: missing pictures, names that stand twice, empty truth, zones whose lines have no ICAO
    shape, another type's shape or foreign characters, text outside ``alphabet``, corners that are
    malformed, do not match the lines or lie outside the picture. Warnings: pictures that cannot
    be opened (reading skips them) or are tiny. Pixels are not decoded.

    Args:
        records: of one split, or of all.
        alphabet: characters that texts (outside zones) may have; None allows all.
        min_side: pictures with a shorter side in pixels are warned of.
    """
    report = Report()
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        report.checked += 1
        name = record.file_name
        # One picture may stand there once per question.
        questions = json.dumps(sorted(str(truth.get("question", "")) for truth in record.gt))
        first = seen.setdefault((str(record.path), questions), record.where)
        if first != record.where:
            report.error("duplicate file_name", record.where, f"{name} stands in {first} already")
        _check_truth(record, alphabet, report)
        size = _check_image(record, min_side, report)
        _check_quads(record, size, report)
    return report


def check_splits(splits: Mapping[str, Sequence[Record]]) -> Report:
    """Report pictures (by content) and groups that stand in more than one split."""
    return find_leaks(
        splits,
        key=Record.content_hash,
        group=lambda record: record.group,
        name=lambda record: record.file_name,
    )


def dataset_fingerprint(splits: Mapping[str, Sequence[Record]]) -> Fingerprint:
    """Hash of all names, files and truths, with the split each stands in."""
    return fingerprint(
        (f"{split}/{record.file_name}", record.path, [record.gt, record.extra])
        for split, records in splits.items()
        for record in records
    )


def _check_truth(record: Record, alphabet: str | None, report: Report) -> None:
    name, where = record.file_name, record.where
    for truth in record.gt:
        zone = truth.get("mrz")
        if "mrz" in truth:
            _check_zone(zone, f"{name}: ", where, report)
        rest = {key: value for key, value in truth.items() if key != "mrz"}
        texts = list(_texts(rest))
        if "mrz" not in truth and not any(text.strip() for text in texts):
            report.error("empty truth", where, f"{name}: nothing is written in {truth}")
        foreign = sorted(set("".join(texts)) - set(alphabet)) if alphabet is not None else []
        if foreign:
            report.error("text outside the alphabet", where, f"{name}: {''.join(foreign)!r}")


def _check_zone(zone: Any, name: str, where: str, report: Report) -> None:
    if zone is None:
        return
    lines = zone.get("lines") if isinstance(zone, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        expected = '{"type": ..., "lines": [...]} or null'
        report.error(
            "bad zone", where, f"{name}mrz is {json.dumps(zone)[:60]}, expected {expected}"
        )
        return
    if not lines:
        report.error("empty truth", where, f"{name}a zone without lines; null means no zone")
        return
    shape = [len(line) for line in lines]
    fitting = [kind for kind, form in FORMATS.items() if shape == [form.columns] * form.rows]
    kind = zone.get("type")
    if not fitting:
        known = ", ".join(f"{key} {form.rows}x{form.columns}" for key, form in FORMATS.items())
        report.error(
            "zone of no ICAO shape", where, f"{name}line lengths {shape}; there is {known}"
        )
    elif kind not in fitting:
        report.error("zone of another type", where, f"{name}type {kind!r}, its lines fit {fitting}")
    foreign = sorted(set("".join(lines)) - set(ALPHABET))
    if foreign:
        report.error(
            "text outside the alphabet", where, f"{name}{''.join(foreign)!r} in the zone's lines"
        )


def _check_image(record: Record, min_side: int, report: Report) -> tuple[int, int] | None:
    if not record.path.is_file():
        report.error("missing file", record.where, f"{record.file_name} is not at {record.path}")
        return None
    try:
        size = image_size(record.path)
    except ImageError as error:
        report.warning("unreadable picture", record.where, f"{record.file_name}: {error.reason}")
        return None
    if min(size) < min_side:
        report.warning(
            "tiny picture", record.where, f"{record.file_name}: {size[0]} x {size[1]} pixels"
        )
    return size


def _check_quads(record: Record, size: tuple[int, int] | None, report: Report) -> None:
    if record.extra.get("quads") is None:
        return
    quads, lines, name = record.quads, record.mrz_lines, record.file_name
    if quads is None or not np.isfinite(quads).all():
        found = json.dumps(record.extra["quads"])[:60]
        report.error(
            "bad quads", record.where, f"{name}: {found}, expected four [x, y] for each line"
        )
        return
    if lines is not None and len(lines) != len(quads):
        report.error(
            "quads do not match", record.where, f"{name}: {len(quads)} for {len(lines)} lines"
        )
    if size is None or not len(quads):
        return
    # A zone at the very edge of a photograph may reach over it by a little.
    slack = max(2.0, 0.01 * max(size))
    over = np.maximum(-quads, quads - np.array(size, np.float32)).max()
    if over > slack:
        report.error(
            "quads outside the picture",
            record.where,
            f"{name}: by {over:.0f} px of {size[0]} x {size[1]}",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
