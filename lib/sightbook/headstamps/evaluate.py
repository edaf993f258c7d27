"""Evaluation of headstamps: casings and primers found, their ellipses, and what is read on them.

Everything is read twice: along the outlines that the detector found, and along the true ones. What
the second reading gets and the first does not is the detector's doing, the rest the recogniser's.
What the table of makers and calibres put right is told apart as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import Skipped, open_image
from sightbook.data.validation import Report
from sightbook.detection.inference.detect_all import Detect, Detections, detect_all, singled_out
from sightbook.detection.inference.export import ensure_package
from sightbook.detection.inference.predict import OnnxDetector
from sightbook.detection.labels.annotations import Annotations, Box
from sightbook.detection.metrics import sets as shared
from sightbook.detection.metrics.coco import BoxEvaluation, evaluate_boxes
from sightbook.detection.metrics.errors import ImageErrors, count_errors, find_errors
from sightbook.detection.metrics.sets import Sets, generated_side
from sightbook.headstamps.metrics import HeadResult, ReadingEvaluation, evaluate_readings
from sightbook.headstamps.params import EvaluateHeadstamps, PrepareHeadstamps, TrainHeadstamps
from sightbook.headstamps.predict import recogniser_file
from sightbook.headstamps.prepare import draw
from sightbook.headstamps.read import Head, Recogniser, find_outlines, read_head
from sightbook.metrics.bootstrap import format_figure
from sightbook.ocr import LineReader
from sightbook.runs.run import dataset_folder

Image = NDArray[np.uint8]

FOUND, TRUE = "found outlines", "true outlines"
AS_READ = "found outlines, without the table"

READ = {
    "token_F1": "tokens, F1 (order-free)",
    "token_precision": "tokens, precision",
    "token_recall": "tokens, recall",
    "object_token_F1": "tokens, F1, mean over objects",
    "CER": "CER",
    "exact": "heads read exactly",
    "direction": "right tokens with the right direction",
    "found": "heads found",
}
"""The figures of reading, and what to call them."""


@dataclass(frozen=True, eq=False)
class HeadstampEvaluation:
    """Figures of detector and reader, and what is needed to look behind them.

    Attributes:
        detections: on the test pictures.
        boxes: COCO's figures of the boxes.
        outlines: the same of the outlines; None where the truth or the model has none.
        errors: what became of each box, from `confidence` on.
        confidence: detections below it are no errors.
        heads: as read along the outlines found, by picture.
        readings: figures of reading, of :data:`FOUND`, :data:`TRUE` and :data:`AS_READ`.
        sets: the pictures, and where they are from.
        skipped: pictures that could not be read.
        problems: of the labels.
    """

    detections: Detections
    boxes: BoxEvaluation
    outlines: BoxEvaluation | None
    errors: list[ImageErrors]
    confidence: float
    heads: dict[str, list[Head]]
    readings: Mapping[str, ReadingEvaluation]
    sets: Sets
    skipped: dict[str, Any]
    problems: dict[str, Any]

    @property
    def truth(self) -> Annotations:
        """The test pictures that could be read."""
        return self.detections.truth

    @property
    def reading(self) -> ReadingEvaluation:
        """Along the outlines that were found: what a user gets."""
        return self.readings[FOUND]

    @property
    def all_heads(self) -> list[Head]:
        """Heads of all pictures, in their order."""
        return [head for heads in self.heads.values() for head in heads]

    def examples(self, count: int) -> list[tuple[Image, Head]]:
        """Heads to be looked at step by step, with their photographs: largest of each object first.

        Args:
            count: so many at most.
        """
        results = [result for result in self.reading.heads if result.head is not None]
        results.sort(key=lambda result: -_size(result))
        first = {result.object_id: result for result in reversed(results)}
        rest = [result for result in results if result is not first[result.object_id]]
        chosen = [*sorted(first.values(), key=lambda result: -_size(result)), *rest][:count]
        files = {record.name: record.image for record in self.truth.records}
        return [
            (open_image(file), result.head)
            for result in chosen
            if result.head is not None and (file := files[result.name]) is not None
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json."""
        return {
            "summary": self.summary,
            "data": self.sets.source,
            "boxes": self.boxes.metrics,
            "outlines": None if self.outlines is None else self.outlines.metrics,
            "errors": {"confidence": self.confidence, **count_errors(self.errors)},
            "reading": self.reading.metrics(),
            "reading_along_true_outlines": self.readings[TRUE].metrics(),
            "reading_without_the_table": self.readings[AS_READ].metrics(),
            "seconds_per_image": self.detections.seconds_per_image,
            "skipped": self.skipped,
            "problems": self.problems,
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The figures to look at first."""
        figures = self.reading.figures()
        found = {f"{label} AP50": mine["AP50"] for label, mine in self.boxes.by_class.items()}
        return found | {
            name.replace("_", " "): figures[name] for name in ("token_F1", "CER", "exact")
        }

    def box_table(self) -> list[dict[str, Any]]:
        """Rows for display: AP of each class, of boxes and of outlines."""
        sides = {"boxes": self.boxes, "outlines": self.outlines}
        return [
            {"class": label, "compared": name, "n": f"{mine['AP']['n']:,}"}
            | {figure: format_figure(value) for figure, value in mine.items()}
            for name, side in sides.items()
            if side is not None
            for label, mine in side.by_class.items()
        ]

    def reading_table(self) -> list[dict[str, Any]]:
        """Rows for display: figures of reading along either outlines."""
        figures = {name: reading.figures() for name, reading in self.readings.items()}
        return [
            {"figure": text}
            | {f"along {name}": format_figure(mine[key]) for name, mine in figures.items()}
            | {"n": f"{figures[FOUND][key]['n']:,}"}
            for key, text in READ.items()
        ]


def run_evaluation(params: EvaluateHeadstamps, run: Path) -> HeadstampEvaluation:
    """Evaluate a run through its exported file, which is written first if need be.

    Raises:
        RunError: there is no such recogniser.
        DataError: there are no pictures to evaluate on.
        TooManySkipped: more pictures are unreadable than `params.max_bad`.
    """
    detector = OnnxDetector(
        ensure_package(run, params.line), line=params.line, threads=params.threads
    )
    file = recogniser_file(params.recognition)
    recognise = LineReader(file, beams=params.beams, threads=params.threads).read
    report, skipped = Report(), Skipped(params.max_bad)
    sets = evaluation_sets(params, run, detector.labels, report, skipped)
    return evaluate(params, sets, detector.detect, recognise, report, skipped)


def evaluation_sets(
    params: EvaluateHeadstamps, run: Path, labels: Sequence[str], report: Report, skipped: Skipped
) -> Sets:
    """The photographs that `params.data` names.

    Arguments and errors as of `detection.metrics.sets.evaluation_sets`.
    """
    trained = TrainHeadstamps.from_yaml(run / "params.yaml")
    generate = partial(_generated, trained, params.seed)
    return shared.evaluation_sets(params, trained, run, labels, report, skipped, draw=generate)


def _generated(trained: TrainHeadstamps, seed: int, count: int) -> Annotations:
    side = generated_side(trained)
    name = f"evaluate_{side}_{seed}_{count}"
    settings = PrepareHeadstamps.parse(
        {"name": name, "synthetic_images": count, "seed": seed, "workers": 0, "side": side}
    )
    return draw(settings, dataset_folder(settings.line, name))


def evaluate(
    params: EvaluateHeadstamps,
    sets: Sets,
    detect: Detect,
    recognise: Recogniser,
    report: Report | None = None,
    skipped: Skipped | None = None,
) -> HeadstampEvaluation:
    """Measure a detector and a recogniser together.

    Args:
        params: of the evaluation.
        sets: pictures to test on.
        detect: finds casings and primers.
        recognise: reads unrolled rings.
        report: of what is wrong with the labels.
        skipped: takes pictures that cannot be read.

    Raises:
        DataError: no picture could be read.
        TooManySkipped: more than `skipped` allows could not.
    """
    report = Report() if report is None else report
    skipped = Skipped(params.max_bad) if skipped is None else skipped
    test = detect_all(sets.test, detect, skipped)
    sure = {
        name: [box for box in boxes if (box.score or 0.0) >= params.min_score]
        for name, boxes in test.found.items()
    }
    true = {record.name: record.boxes for record in test.truth.records}
    heads = {
        name: read_all(test.truth, boxes, recognise, params.min_confidence)
        for name, boxes in ((FOUND, sure), (TRUE, true))
    }
    heads[AS_READ] = {
        name: [replace(head, words=head.read) for head in found]
        for name, found in heads[FOUND].items()
    }
    boxes = evaluate_boxes(test.truth, test.found, resamples=params.bootstrap, units=test.units)
    confidence = singled_out(params, boxes)
    return HeadstampEvaluation(
        test,
        boxes,
        _outlines(test, params.bootstrap),
        find_errors(test.truth, test.found, confidence=confidence),
        confidence,
        heads[FOUND],
        {
            name: evaluate_readings(test.truth, read, resamples=params.bootstrap)
            for name, read in heads.items()
        },
        sets,
        skipped.to_dict(),
        report.to_dict(),
    )


def read_all(
    images: Annotations,
    boxes: Mapping[str, Sequence[Box]],
    recognise: Recogniser,
    min_confidence: float,
) -> dict[str, list[Head]]:
    """Read the heads of all pictures along given boxes.

    Args:
        images: with their files.
        boxes: casings and primers of each.
        recognise: reads unrolled rings.
        min_confidence: words below it are left out.

    Returns:
        Heads by picture.
    """
    heads: dict[str, list[Head]] = {}
    for record in images.records:
        assert record.image is not None  # pictures without one are left out before
        image = open_image(record.image)
        heads[record.name] = [
            read_head(image, outline, recognise, min_confidence=min_confidence)
            for outline in find_outlines(boxes[record.name], (record.width, record.height))
        ]
    return heads


def _size(result: HeadResult) -> float:
    return result.head.outline.ellipse.a if result.head is not None else 0.0


def _outlines(test: Detections, resamples: int) -> BoxEvaluation | None:
    """COCO's figures of the outlines, where truth and model have them."""
    true = [box for record in test.truth.records for box in record.boxes]
    found = [box for boxes in test.found.values() for box in boxes]
    if not all(box.polygons for box in true) or not any(box.polygons for box in found):
        return None
    return evaluate_boxes(
        test.truth, test.found, iou_type="segm", resamples=resamples, units=test.units
    )
