"""Evaluation of a reader on documents with known text: figures, rows for slicing, worst cases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, Skipped, open_image, save_image
from sightbook.data.validation import DataError, Report
from sightbook.donut import metrics
from sightbook.donut.dataset.folder import METADATA, Record, read_metadata
from sightbook.donut.dataset.importers import read_source
from sightbook.donut.params import EvaluateDonut
from sightbook.donut.zone.decoder import MODEL
from sightbook.donut.zone.geometry import TEXT_WIDTHS, Zone, cut_lines, to_gray
from sightbook.donut.zone.predict import Predictor, ZoneReading
from sightbook.figures.plots import with_quads
from sightbook.figures.text_diff import Case
from sightbook.metrics.bootstrap import format_interval, intervals_of, values_of
from sightbook.params import resolve_path
from sightbook.runs.run import write_json

SYNTHETIC_SIZE = (1280, 960)

EXAMPLES = 6
"""Documents of an evaluation that are kept with their readings."""


@dataclass(frozen=True)
class Document:
    """A picture and what is on it.

    Attributes:
        name: file name, or the number of a generated document.
        image: uint8 RGB [H, W, 3].
        lines: the zone's lines; empty where there is no zone.
        quads: the lines' corners, float32 [n, 4, 2], or None where nobody marked them.
    """

    name: str
    image: NDArray[np.uint8]
    lines: list[str]
    quads: NDArray[np.float32] | None


def documents(params: EvaluateDonut, skipped: Skipped) -> Iterator[Document]:
    """The documents that `params.data` names; unreadable pictures go into `skipped`.

    Raises:
        DataError: the folder cannot be read or holds no record whose truth names a zone.
        TooManySkipped: more unreadable pictures than allowed.
    """
    if params.data == "synthetic":
        from sightbook.donut.synth.documents import render_document

        for index in range(params.samples):
            drawn = render_document(params.seed, index, SYNTHETIC_SIZE)
            yield Document(f"generated {index}", drawn.image, drawn.lines, drawn.line_quads)
        return
    report = Report()
    folder = resolve_path(params.data)
    if (folder / METADATA).is_file():
        # Without sub-folders nothing was trained on a part of it, unless a column says so.
        records = read_metadata(folder / METADATA, report)
    else:
        records = read_source(folder, report)
    report.raise_errors()
    records = _held_out([record for record in records if record.mrz_lines is not None])
    if not records:
        raise DataError(f"{params.data}: no record whose truth names a zone (key 'mrz')")
    for record in records:
        try:
            image = open_image(record.path)
        except ImageError as error:
            skipped.add(record.file_name, error.reason)
            continue
        yield Document(record.file_name, image, record.mrz_lines or [], record.quads)


def _held_out(records: list[Record]) -> list[Record]:
    """The test split where there is one, else the validation split, else everything."""
    for split in ("test", "validation"):
        chosen = [record for record in records if record.extra.get("split") == split]
        if chosen:
            return chosen
    return records


@dataclass(frozen=True)
class Example:
    """A document that was read: its picture (RGB) with the lines drawn in, and the reading."""

    name: str
    image: NDArray[np.uint8]
    reading: ZoneReading


@dataclass
class Evaluation:
    """Figures and rows of one evaluation.

    Attributes:
        rows: one a document: name, truth, reading, edits, zone width in px, tilt in degrees,
            sharpness, seconds.
        cases: documents and readings as the widgets and the worst-case figure take them.
        reading: figures with n and 95 % intervals, see `metrics.ReadingMetric`.
        finding: the same of the zone finder; empty where no corners are known.
        confusion: accuracy by character and the commonest confusions.
        pairs: how often which true character was read as which.
        skipped: pictures that could not be read.
        examples: the first documents and what was read on them.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)
    finding: dict[str, Any] = field(default_factory=dict)
    confusion: dict[str, Any] = field(default_factory=dict)
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    skipped: dict[str, Any] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def table(self) -> list[dict[str, Any]]:
        """Rows for display: figure, value, 95 % interval, n."""
        rows = []
        for name, figure in {**self.finding, **self.reading}.items():
            if name.startswith("field/") or figure["value"] is None:
                continue
            rows.append(
                {
                    "figure": name,
                    "value": f"{figure['value']:.3f}",
                    "95 % interval": format_interval(figure),
                    "n": figure["n"],
                }
            )
        return rows

    def bars(self) -> dict[str, dict[str, Any]]:
        """Shares with intervals and n, as the arguments of `plots.bars`."""
        shares = ("zone_recall", "exact_zone", "exact_line", "field_accuracy", "checks_ok")
        figures = {**self.finding, **self.reading}
        there = {n: figures[n] for n in shares if n in figures and figures[n]["value"] is not None}
        return {
            "values": values_of(there),
            "intervals": intervals_of(there),
            "counts": {name: figure["n"] for name, figure in there.items()},
        }

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json."""
        return {
            "reading": self.reading,
            "finding": self.finding,
            "confusions": self.confusion.get("confusions", []),
            "documents": len(self.rows),
            "skipped": self.skipped,
        }


def run_evaluation(params: EvaluateDonut, run: Path) -> Evaluation:
    """Evaluate a run through its exported files, which are written first if need be."""
    from sightbook.donut.zone.export import ensure_package

    folder = ensure_package(run)
    predictor = Predictor(folder / MODEL, grammar=params.grammar, correct=params.correct)
    result = evaluate(params, predictor)
    write_json(run / "readings.json", {"data": params.data, "rows": result.rows})
    write_examples(run / "examples", result.examples)
    return result


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Write each example as a picture and a JSON file of what was read on it."""
    for example in examples:
        stem = re.sub(r"[^\w.-]+", "_", example.name)
        save_image(folder / f"{stem}.jpg", example.image)
        write_json(folder / f"{stem}.json", {"file": example.name, **example.reading.to_dict()})


def evaluate(params: EvaluateDonut, predictor: Predictor) -> Evaluation:
    """Read every document and score what was read."""
    skipped = Skipped(params.max_bad)
    reading, finding = metrics.ReadingMetric(), metrics.FindingMetric()
    confusion = metrics.CharacterConfusion()
    marked = False
    result = Evaluation()
    for document in documents(params, skipped):
        read = predictor.predict(document.image)
        lines = read.lines if read.found else None
        score = reading.update(document.lines, lines, read.seconds)
        if document.quads is not None:
            marked = True
            finding.update(
                document.quads if len(document.quads) else None, read.quads if read.found else None
            )
        if len(result.examples) < EXAMPLES:
            drawn = with_quads(document.image, read.quads)
            result.examples.append(Example(document.name, drawn, read))
        for true, got in zip(document.lines, lines or [], strict=False):
            confusion.update(true, got)
        row = {
            "name": document.name,
            "truth": document.lines,
            "read": lines,
            "edits": score.errors,
            "exact": score.exact,
            "valid": read.valid,
            "confidence": read.confidence,
            "seconds": read.seconds,
            **_difficulty(document, read),
        }
        result.rows.append(row)
        note = "" if read.found else "nothing found"
        result.cases.append(
            Case(
                document.name,
                _image_of_zone(document, read),
                document.lines,
                lines or [],
                error=float(score.errors),
                note=note,
            )
        )
    result.reading = reading.summary()
    result.finding = finding.summary() if marked else {}
    result.confusion, result.pairs = confusion.summary(), dict(confusion.pairs)
    result.skipped = skipped.to_dict()
    return result


def _image_of_zone(document: Document, read: ZoneReading) -> NDArray[np.uint8]:
    """The zone upright, as the reader saw it or as it is marked; else the whole picture, small."""
    quads = read.quads if read.found else document.quads
    gray = to_gray(document.image)
    if quads is not None and len(quads):
        crops = cut_lines(gray, quads)
        width = TEXT_WIDTHS[3 if len(quads) == 3 else 2] + 32
        return np.concatenate([crop[:, :width] for crop in crops])
    height, width = document.image.shape[:2]
    scale = min(1.0, 700 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(document.image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _difficulty(document: Document, read: ZoneReading) -> dict[str, float | None]:
    """What makes a zone hard to read: its width, its tilt and how blurred it is.

    Measured on the marked corners, or on the found ones where nobody marked them. Sharpness is the
    steepest tenth of the grey-level steps between neighbouring pixels of the straightened lines,
    as a share of their contrast: about 0.1 for blurred and 0.5 for crisp print.
    """
    marked = document.quads is not None and len(document.quads)
    quads = document.quads if marked else read.quads if read.found else None
    if quads is None or not len(quads):
        return {"width": None, "tilt": None, "sharpness": None}
    zone = Zone(quads, 1.0)
    crops = cut_lines(to_gray(document.image), quads).astype(np.float32)
    low, high = np.percentile(crops, [2, 98])
    steps = np.abs(np.diff(crops, axis=2))
    sharpness = float(np.percentile(steps, 90) / max(high - low, 1.0))
    tilt = abs((zone.angle + 45) % 90 - 45)
    return {"width": round(zone.width, 1), "tilt": round(tilt, 1), "sharpness": round(sharpness, 3)}
