"""Export of a detector of defects, with its operating point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightbook.data.images import Skipped
from sightbook.data.validation import Report
from sightbook.defects.evaluate import evaluation_sets
from sightbook.defects.params import EvaluateDefects
from sightbook.detection.inference.card import model_card
from sightbook.detection.inference.export import export_detection
from sightbook.detection.inference.predict import UNCALIBRATED
from sightbook.detection.labels.annotations import Annotations
from sightbook.inference.cards import read_records
from sightbook.inference.export import Exported, ExportModel
from sightbook.inference.onnx import read_metadata

PURPOSE = "Finds defects on photographs of surfaces, and calls each picture defective or clean."

CAUTION = (
    "A picture is judged by its most certain detection. What the model was not trained "
    "on (another kind of surface, another camera, night) it may judge wrongly with confidence: "
    "measure on pictures of your own, and choose the operating point on them."
)


def export_run(run: Path, params: ExportModel) -> Exported:
    """Export a run into its own folder; see `export_detection`."""
    return export_detection(run, params, EvaluateDefects.line, known_images, card)


def known_images(run: Path, labels: Sequence[str]) -> Annotations:
    """Pictures that the run did not train on: of its own data, else generated ones."""
    params = EvaluateDefects.parse({"run": str(run), "part": "validation"})
    return evaluation_sets(params, run, labels, Report(), Skipped(10**6)).test


def card(run: Path, exported: Exported) -> str:
    """The model card, with where a picture is called defective."""
    done = read_records(run).metrics.get("evaluate")
    decided: list[str] = []
    if done:
        known = str(done.get("data", "")).endswith((", validation", ", all"))
        decided = _decision(read_metadata(exported.files[0]).get("operating_point"), known)
    return model_card(run, exported, PURPOSE, CAUTION, decided)


def _decision(point: dict[str, Any] | None, known: bool) -> list[str]:
    """Where a picture is called defective, and what was promised when that was chosen.

    Args:
        point: see `metrics.image.OperatingPoint`.
        known: whether the figures above are from pictures that it was chosen on.
    """
    if not point:
        return [
            f"No operating point was chosen: a picture is called defective from {UNCALIBRATED} on.",
            "",
        ]
    told = [
        f"{name} {point[name]:.3f}"
        for name in ("recall", "specificity", "precision")
        if point[name] is not None
    ]
    reached = "" if point["reachable"] else " (which no confidence reaches)"
    return [
        f"A picture is called defective from {point['eval_conf']:.3f} on. That was chosen for a "
        f"recall of {point['required_recall']:.2f}{reached} on {point['images']} "
        f"{'of these very' if known else 'other'} pictures, {point['defective']} of them "
        f"defective; there it gave {', '.join(told)}."
        + (" On others expect less: see cross-validation." if known else ""),
        "",
    ]
