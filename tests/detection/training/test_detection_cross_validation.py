"""Cross-validation's report: each picture is judged by what was learnt without it."""

import pytest

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.training.train import held_out_report

HOLE = (10.0, 10.0, 30.0, 30.0)


def fold(number, *pictures):
    """Truth and detections; a picture is (defective, score of its only detection)."""
    records, found = [], {}
    for k, (defective, score) in enumerate(pictures):
        name = f"{number}-{k}.png"
        boxes = (Box("hole", HOLE),) if defective else ()
        records.append(ImageRecord(name, 64, 64, boxes, group=f"road {number}"))
        found[name] = [Box("hole", HOLE, score=score)] if score else []
    return Annotations(tuple(records), ("hole",), None), found


def test_the_score_of_a_fold_is_chosen_on_the_others():
    # On the second fold 0.9 is needed and no more; judged by that, the first loses its hole at 0.5.
    first = fold(1, (True, 0.5), (False, 0.3))
    second = fold(2, (True, 0.9), (False, 0.6))
    report = held_out_report([first, second], required_recall=1.0, resamples=0)
    assert report["eval_conf"] == pytest.approx([0.895, 0.495])
    images = report["images"]
    assert [images[name] for name in ("TP", "FP", "FN", "TN")] == [1, 1, 1, 1]
    assert (images["defective"], images["clean"]) == (2, 2)
    assert images["recall"]["value"] == 0.5
    # Over all scores: 0.5 and 0.9 against 0.3 and 0.6, three of four pairs are in order.
    assert images["AUROC"]["value"] == 0.75


def test_boxes_are_scored_over_all_folds_together():
    first = fold(1, (True, 0.5), (False, 0.0))
    second = fold(2, (True, 0.0), (False, 0.0))
    report = held_out_report([first, second], resamples=0)
    assert (report["image_count"], report["groups"], report["folds"]) == (4, 2, 2)
    # One of two holes is found, and nothing else: precision 1 up to recall 0.5, of 101 points 51.
    assert report["boxes"]["AP50"]["value"] == pytest.approx(51 / 101)


def test_without_clean_pictures_there_is_no_decision_to_judge():
    report = held_out_report([fold(1, (True, 0.5)), fold(2, (True, 0.9))], resamples=0)
    assert report["images"] is None
    assert report["boxes"]["AP50"]["value"] == pytest.approx(1.0)
