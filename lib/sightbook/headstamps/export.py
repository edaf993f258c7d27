"""Export of a detector of casings and primers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightbook.data.images import Skipped
from sightbook.data.validation import Report
from sightbook.detection.inference.card import model_card
from sightbook.detection.inference.export import export_detection
from sightbook.detection.labels.annotations import Annotations
from sightbook.headstamps.evaluate import evaluation_sets
from sightbook.headstamps.params import EvaluateHeadstamps
from sightbook.inference.export import Exported, ExportModel

PURPOSE = (
    "Finds the bases of cartridges and their primers on photographs, so that what is "
    "stamped around them can be unrolled and read."
)

CAUTION = (
    "A reading is a hint for a person who looks at the photograph, not evidence: "
    "stamps are worn, alike, and forged."
)


def export_run(run: Path, params: ExportModel) -> Exported:
    """Export a run into its own folder; see `export_detection`."""
    return export_detection(run, params, EvaluateHeadstamps.line, known_images, card)


def known_images(run: Path, labels: Sequence[str]) -> Annotations:
    """Photographs that the run did not train on: of its own data, else generated ones."""
    params = EvaluateHeadstamps.parse({"run": str(run), "part": "validation"})
    return evaluation_sets(params, run, labels, Report(), Skipped(10**6)).test


def card(run: Path, exported: Exported) -> str:
    """The model card."""
    return model_card(run, exported, PURPOSE, CAUTION)
