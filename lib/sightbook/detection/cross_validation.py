"""What cross-validation says of data that a detector never saw, the decision on images included.

Folds keep groups apart, so every picture is judged by a detector that knows nothing of its highway
or its board. The score from which a picture is called defective is learnt too: for each fold it is
chosen on what the other folds' detectors found, as a user would choose it, and never on the fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sightbook.detection.annotations import Annotations
from sightbook.detection.coco_metrics import evaluate_boxes
from sightbook.detection.image_metrics import decide, image_scores, operating_point
from sightbook.detection.scoring import Found

REQUIRED_RECALL = 0.95
"""Share of the defective pictures that the chosen score has to find."""

RESAMPLES = 500


def held_out_report(
    folds: Sequence[tuple[Annotations, Found]],
    required_recall: float = REQUIRED_RECALL,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Figures over all pictures of all folds, each as found by the detector that did not see it.

    Args:
        folds: of each fold the truth and what was found, detections with scores.
        required_recall: see `image_metrics.operating_point`.
        resamples: of the bootstrap over groups (over pictures where there are none).

    Returns:
        For JSON: ``boxes`` (COCO's figures with intervals), ``images`` (the decision, with the
        score of each fold chosen on the others) and ``eval_conf``, those scores in order. Without
        defective or without clean pictures in any fold's others, ``images`` is None.
    """
    records = tuple(record for truth, _ in folds for record in truth.records)
    truth = folds[0][0].with_records(records)
    found = {name: boxes for _, part in folds for name, boxes in part.items()}
    units = [record.group or record.name for record in records]
    report: dict[str, Any] = {
        "pictures": len(records),
        "groups": len(set(units)),
        "folds": len(folds),
        "boxes": evaluate_boxes(truth, found, resamples=resamples, units=units).metrics,
        "images": None,
        "eval_conf": [],
    }
    called: dict[str, list[Any]] = {}
    for number, (own, part) in enumerate(folds):
        others = [pair for k, pair in enumerate(folds) if k != number]
        rest = truth.with_records(record for one, _ in others for record in one.records)
        if not rest.clean() or len(rest.clean()) == len(rest.records):
            return report
        seen = {name: boxes for _, boxes_of in others for name, boxes in boxes_of.items()}
        point = operating_point(image_scores(rest, seen), required_recall)
        report["eval_conf"].append(point.eval_conf)
        # One scale for all folds: 1 where a detection reaches its fold's score.
        for record in own.records:
            called[record.name] = [
                replace(box, score=1.0)
                for box in part[record.name]
                if (box.score or 0.0) >= point.eval_conf
            ]
    answers = decide(truth, called, 0.5, resamples=resamples, units=units).metrics
    answers.pop("eval_conf")
    area = decide(truth, found, 0.5, resamples=resamples, units=units).metrics["AUROC"]
    report["images"] = {
        **answers,
        "required_recall": required_recall,
        "defective": answers["TP"] + answers["FN"],
        "clean": answers["FP"] + answers["TN"],
        "AUROC": area,
    }
    return report
