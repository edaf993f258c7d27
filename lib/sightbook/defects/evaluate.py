"""Evaluation of a detector: boxes by COCO's figures, and "defect or clean?" for each picture.

The model is read through its exported file by what predicts with it, so what is measured is what
will be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sightbook.data.images import Skipped
from sightbook.data.validation import Report
from sightbook.defects.params import EvaluateDefects, PrepareDefects, TrainDefects
from sightbook.defects.predict import Predictor
from sightbook.defects.prepare import draw, least_side
from sightbook.detection.inference.detect_all import Detect, Detections, detect_all, singled_out
from sightbook.detection.inference.export import ensure_package
from sightbook.detection.inference.predict import UNCALIBRATED
from sightbook.detection.labels.annotations import Annotations, Box
from sightbook.detection.metrics import sets as shared
from sightbook.detection.metrics.coco import BoxEvaluation, evaluate_boxes
from sightbook.detection.metrics.errors import ImageErrors, count_errors, find_errors
from sightbook.detection.metrics.image import (
    Decision,
    OperatingPoint,
    decide,
    image_scores,
    operating_point,
)
from sightbook.detection.metrics.sets import Sets, generated_side
from sightbook.inference import onnx
from sightbook.metrics.bootstrap import format_figure
from sightbook.runs.run import dataset_folder

SUMMARY = ("AP", "AP50", "AP75", "AR_100")
SUMMARY_OF_IMAGES = ("recall", "specificity", "precision", "accuracy")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a detector, and what is needed to look behind them.

    Attributes:
        detections: on the test pictures.
        boxes: COCO's figures.
        decision: "defect or clean?" for each test picture.
        point: the operating point; None where there was nothing to choose it on.
        errors: what became of each box, from `confidence` on.
        confidence: detections below it are no errors.
        sets: the pictures, and where they are from.
        skipped: pictures that could not be read.
        problems: of the labels.
    """

    detections: Detections
    boxes: BoxEvaluation
    decision: Decision
    point: OperatingPoint | None
    errors: list[ImageErrors]
    confidence: float
    sets: Sets
    skipped: dict[str, Any]
    problems: dict[str, Any]

    @property
    def truth(self) -> Annotations:
        """The test pictures that could be read."""
        return self.detections.truth

    @property
    def found(self) -> dict[str, tuple[Box, ...]]:
        """Detections of each."""
        return self.detections.found

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json."""
        return {
            "summary": self.summary,
            "data": self.sets.source,
            "boxes": self.boxes.metrics,
            "images": self.decision.metrics,
            "operating_point": None if self.point is None else self.point.to_dict(),
            "errors": {"confidence": self.confidence, **count_errors(self.errors)},
            "intervals_over": "images" if self.detections.units is None else "groups",
            "seconds_per_image": self.detections.seconds_per_image,
            "skipped": self.skipped,
            "problems": self.problems,
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The figures to look at first."""
        return {name: self.boxes.figures[name] for name in SUMMARY} | {
            f"images, {name}": self.decision.figures[name] for name in SUMMARY_OF_IMAGES
        }

    def point_table(self) -> list[dict[str, Any]]:
        """Rows for display: what the operating point promised, and what it gave."""
        figures = self.decision.figures
        rows = [{"": "eval_conf", "on the test pictures": f"{self.decision.eval_conf:.3f}"}]
        rows += [
            {"": name, "on the test pictures": format_figure(figures[name])}
            for name in ("recall", "specificity", "precision")
        ]
        if self.point is not None:
            chosen = self.point.to_dict()
            column = f"where it was chosen ({self.point.images} pictures)"
            for row in rows:
                value = chosen[row[""]]
                row[column] = "–" if value is None else f"{value:.3f}"
            rows[1][column] += f" ({self.point.recall_low:.3f}–{self.point.recall_high:.3f})"
        return rows


def run_evaluation(params: EvaluateDefects, run: Path) -> Evaluation:
    """Evaluate a run through its exported file, which is written first if need be.

    The operating point that comes out is written into the file: predictors take it from there.

    Raises:
        DataError: there are no pictures to evaluate on.
        TooManySkipped: more pictures are unreadable than `params.max_bad`.
    """
    predictor = Predictor(
        ensure_package(run, params.line),
        tile=params.tile or None,
        overlap=params.overlap,
        threads=params.threads,
    )
    report, skipped = Report(), Skipped(params.max_bad)
    sets = evaluation_sets(params, run, predictor.labels, report, skipped)
    fallback = predictor.eval_conf
    result = evaluate(params, sets, predictor.detect, fallback, report, skipped)
    if result.point is not None and not params.eval_conf:
        kept = {**onnx.read_metadata(predictor.file), "operating_point": result.point.to_dict()}
        onnx.write_metadata(predictor.file, kept)
    return result


def evaluation_sets(
    params: EvaluateDefects, run: Path, labels: Sequence[str], report: Report, skipped: Skipped
) -> Sets:
    """The pictures that `params.data` names, and those to choose the operating point on.

    Arguments and errors as of `detection.metrics.sets.evaluation_sets`.
    """
    trained = TrainDefects.from_yaml(run / "params.yaml")
    return shared.evaluation_sets(
        params,
        trained,
        run,
        labels,
        report,
        skipped,
        draw=partial(_generated, trained, params.seed),
        calibrate=True,
    )


def _generated(trained: TrainDefects, seed: int, count: int) -> Annotations:
    side = max(generated_side(trained), least_side(trained.kind))
    name = f"evaluate_{trained.kind}_{side}_{trained.clean:g}_{seed}_{count}"
    settings = PrepareDefects.parse(
        {
            "name": name,
            "synthetic_images": count,
            "seed": seed,
            "workers": 0,
            "kind": trained.kind,
            "side": side,
            "clean": trained.clean,
        }
    )
    return draw(settings, dataset_folder(settings.line, name))


def evaluate(
    params: EvaluateDefects,
    sets: Sets,
    detect: Detect,
    fallback: float = UNCALIBRATED,
    report: Report | None = None,
    skipped: Skipped | None = None,
) -> Evaluation:
    """Measure a detector.

    Args:
        params: of the evaluation.
        sets: pictures to test on, and to choose the operating point on.
        detect: the model.
        fallback: `eval_conf` where neither `params` nor any picture tells one.
        report: takes pictures that the model refuses, and what is wrong with the labels.
        skipped: takes pictures that cannot be read.

    Raises:
        DataError: no picture could be read.
        TooManySkipped: more than `skipped` allows could not.
    """
    report = Report() if report is None else report
    skipped = Skipped(params.max_bad) if skipped is None else skipped
    test = detect_all(sets.test, detect, skipped)
    point = None
    if sets.calibration is not None and len(sets.calibration.clean()) < len(
        sets.calibration.records
    ):
        chosen_on = detect_all(sets.calibration, detect, skipped)
        scores = image_scores(chosen_on.truth, chosen_on.found)
        if scores.defective.any():
            point = operating_point(scores, params.required_recall)
    eval_conf = params.eval_conf or (point.eval_conf if point else fallback)
    boxes = evaluate_boxes(test.truth, test.found, resamples=params.bootstrap, units=test.units)
    confidence = singled_out(params, boxes)
    return Evaluation(
        test,
        boxes,
        decide(test.truth, test.found, eval_conf, resamples=params.bootstrap, units=test.units),
        point,
        find_errors(test.truth, test.found, confidence=confidence),
        confidence,
        sets,
        skipped.to_dict(),
        report.to_dict(),
    )
