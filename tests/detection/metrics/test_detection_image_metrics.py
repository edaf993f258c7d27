import math

import numpy as np
import pytest

from detection.detected import box, dataset, random_set, record
from sightbook.detection.metrics.image import (
    Counts,
    ImageScores,
    decide,
    image_scores,
    operating_point,
    roc,
)

SPOT = (10, 20, 210, 60)


def images(*rows):
    """Truth and detections from (defective, score or None) for each image."""
    truth, found = [], {}
    for number, (is_so, score) in enumerate(rows):
        name = f"{number}.png"
        truth.append(record(name, *([SPOT] if is_so else [])))
        found[name] = [] if score is None else [box("hole", SPOT, score)]
    return dataset(*truth), found


def scores_of(*rows):
    return image_scores(*images(*rows))


TEN = [
    *[(True, 0.9)] * 3,
    *[(False, 0.8)] * 2,
    *[(True, 0.3), (True, None)],
    *[(False, None), (False, None), (False, 0.1)],
]
"""TP 3, FP 2, FN 2, TN 3 at 0.5."""


def test_ten_images_give_the_known_numbers():
    decision = decide(*images(*TEN), 0.5)
    assert decision.counts == Counts(TP=3, FP=2, FN=2, TN=3)
    values = {name: f["value"] for name, f in decision.figures.items()}
    assert values == pytest.approx(
        {"precision": 0.6, "recall": 0.6, "accuracy": 0.6, "specificity": 0.6, "F1": 0.6}
    )
    assert {name: f["n"] for name, f in decision.figures.items()} == {
        "precision": 5,
        "recall": 5,
        "accuracy": 10,
        "specificity": 5,
        "F1": 7,
    }
    assert decision.metrics["TP"] == 3 and decision.metrics["images"] == 10


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    shares = Counts(TP=3, FP=1, FN=6, TN=0).shares()
    assert shares["precision"] == pytest.approx(3 / 4)
    assert shares["recall"] == pytest.approx(1 / 3)
    assert shares["F1"] == pytest.approx(6 / 13)
    assert abs(shares["F1"] - math.sqrt(3 / 4 / 3)) > 0.03


def test_one_detection_that_reaches_the_confidence_is_enough():
    truth = dataset(record("a", SPOT), record("b"))
    many = [box("hole", SPOT, 0.2), box("hole", SPOT, 0.5), box("hole", SPOT, 0.1)]
    found = {"a": many, "b": [box("hole", SPOT, 0.49)] * 5}
    assert decide(truth, found, 0.5).scores.outcomes(0.5) == ["TP", "TN"]
    assert decide(truth, found, 0.51).counts == Counts(TP=0, FP=0, FN=1, TN=1)


def test_where_the_box_lies_does_not_count_and_a_crowd_is_a_defect():
    truth = dataset(record("a").with_boxes([box("hole", SPOT, crowd=True)]))
    elsewhere = {"a": [box("hole", (300, 200, 320, 220), 0.9)]}
    assert decide(truth, elsewhere, 0.5).counts.TP == 1


def test_clean_images_without_detections_are_true_negatives_and_are_not_dropped():
    decision = decide(*images((True, 0.9), (False, None), (False, None), (False, None)), 0.5)
    assert decision.counts == Counts(TP=1, FP=0, FN=0, TN=3)
    truth, found = images((True, 0.9), (False, None))
    del found["1.png"]
    with pytest.raises(ValueError, match=r"have no entry.*1\.png"):
        decide(truth, found, 0.5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(True, None), (False, None)], {"precision": None, "recall": 0.0, "F1": 0.0}),
        ([(False, None), (False, None)], {"precision": None, "recall": None, "F1": None}),
        ([(False, 0.9)], {"precision": 0.0, "recall": None, "specificity": 0.0, "F1": 0.0}),
        ([(True, 0.9), (True, None)], {"specificity": None, "recall": 0.5, "precision": 1.0}),
        ([], {"accuracy": None, "precision": None, "specificity": None}),
    ],
)
def test_a_share_of_nothing_is_none_and_no_division_by_zero(rows, expected):
    with np.errstate(all="raise"):
        decision = decide(*images(*rows), 0.5, resamples=50)
    for name, value in expected.items():
        assert decision.figures[name]["value"] == value, name
    shown = {row["figure"]: row["value"] for row in decision.table()}
    for name, value in expected.items():
        assert (shown[name] == "–") == (value is None)


@pytest.mark.parametrize("eval_conf", [0, -0.1, 1.1, math.nan])
def test_a_confidence_that_would_call_empty_images_is_refused(eval_conf):
    with pytest.raises(ValueError, match="eval_conf is"):
        decide(*images((True, 0.5)), eval_conf)


def test_intervals_hold_the_value_and_are_seeded():
    decision = decide(*images(*TEN), 0.5)
    for name, f in decision.figures.items():
        assert 0 <= f["low"] < f["value"] < f["high"] <= 1, name
    assert decide(*images(*TEN), 0.5).figures == decision.figures
    more = decide(*images(*TEN * 20), 0.5).figures["recall"]
    less = decision.figures["recall"]
    assert more["high"] - more["low"] < 0.4 * (less["high"] - less["low"])


def test_all_right_on_a_few_images_is_no_certainty():
    perfect = decide(*images(*[(True, 0.9)] * 4, *[(False, None)] * 4), 0.5).figures
    assert perfect["recall"]["value"] == perfect["recall"]["high"] == 1
    assert perfect["recall"]["low"] == pytest.approx(0.51, abs=0.01)  # Wilson, 4 of 4
    assert perfect["accuracy"]["low"] == pytest.approx(0.676, abs=0.01)  # 8 of 8


def test_intervals_widen_where_images_of_a_road_stand_and_fall_together():
    rows = [(True, 0.9 if road % 2 else None) for road in range(8) for _ in range(10)]
    roads = [f"road {k // 10}" for k in range(80)]
    alone = decide(*images(*rows), 0.5).figures["recall"]
    together = decide(*images(*rows), 0.5, units=roads).figures["recall"]
    assert alone["value"] == together["value"] == 0.5
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_every_point_of_the_roc_is_what_the_decision_gives_there():
    truth, found = random_set(7)
    curve = decide(truth, found, 0.5, resamples=0).roc
    assert curve.eval_conf[0] == np.inf and curve.recall[0] == curve.false_alarms[0] == 0
    assert (np.diff(curve.eval_conf) < 0).all() and len(curve.eval_conf) > 10
    for confidence, recall, alarms, precision in list(
        zip(curve.eval_conf, curve.recall, curve.false_alarms, curve.precision, strict=True)
    )[1:]:
        shares = decide(truth, found, float(confidence), resamples=0).counts.shares()
        assert recall == pytest.approx(shares["recall"])
        assert alarms == pytest.approx(1 - shares["specificity"])
        assert precision == pytest.approx(shares["precision"])


def test_area_under_the_roc_by_hand():
    # Pairs (0.9, 0.7), (0.9, 0): won; (0.7, 0.7): a tie; (0.7, 0): won -> 3.5 of 4
    scores = scores_of((True, 0.9), (True, 0.7), (False, 0.7), (False, None))
    assert roc(scores).area["value"] == pytest.approx(3.5 / 4)
    assert roc(scores_of((True, None), (False, 0.9))).area["value"] == 0
    # The trapezoids under the curve, closed at (1, 1), are the same area.
    curve = roc(scores)
    x, y = [*curve.false_alarms, 1.0], [*curve.recall, 1.0]
    assert np.trapezoid(y, x) == pytest.approx(3.5 / 4)


def test_area_has_an_interval_and_is_none_without_clean_images():
    area = decide(*images(*TEN), 0.5).roc.area
    assert area["low"] < area["value"] < area["high"] and area["n"] == 5
    alone = decide(*images((True, 0.9), (True, 0.2)), 0.5).roc
    assert alone.area["value"] is None
    assert np.isnan(alone.false_alarms).all() and alone.recall.tolist() == [0, 0.5, 1]


def test_the_operating_point_is_the_highest_confidence_with_enough_recall():
    rows = [(True, s) for s in (0.9, 0.8, 0.6, 0.4)] + [(False, 0.7), (False, 0.2)]
    scores = scores_of(*rows)
    point = operating_point(scores, 0.75)
    assert 0.6 - 0.005 <= point.eval_conf <= 0.6
    assert (point.recall, point.specificity, point.reachable) == (0.75, 0.5, True)
    assert point.recall_low < 0.75 < point.recall_high
    assert decide(*images(*rows), point.eval_conf).counts == Counts(TP=3, FP=1, FN=1, TN=1)
    # 0.76 of four images are four
    assert operating_point(scores, 0.76).recall == 1
    assert operating_point(scores, 0.5).specificity == 1
    assert point.to_dict()["eval_conf"] == point.eval_conf


def test_the_operating_point_never_lets_a_lower_clean_image_in_by_its_margin():
    point = operating_point(scores_of((True, 0.5), (False, 0.499)), 1.0)
    assert 0.499 < point.eval_conf < 0.5
    assert point.specificity == 1


def test_a_recall_that_cannot_be_reached_says_so_and_gets_as_near_as_it_can():
    point = operating_point(scores_of((True, 0.9), (True, 0.3), (True, None), (False, 0.1)), 1.0)
    assert not point.reachable
    assert point.recall == pytest.approx(2 / 3) and point.specificity == 1
    assert point.required_recall == 1.0
    blind = operating_point(scores_of((True, None), (False, 0.2)), 0.9)
    assert (blind.reachable, blind.recall, blind.precision) == (False, 0, None)


def test_an_operating_point_works_without_clean_images_but_not_without_defects():
    assert operating_point(scores_of((True, 0.9)), 0.9).specificity is None
    with pytest.raises(ValueError, match="none of the 1 images is defective"):
        operating_point(scores_of((False, 0.9)), 0.9)
    with pytest.raises(ValueError, match="required_recall is 95"):
        operating_point(scores_of((True, 0.9)), 95)


def test_rounding_does_not_ask_for_one_image_more():
    # 0.07 * 100 is 7.000000000000001
    scores = ImageScores(tuple("x" * 100), np.ones(100, bool), np.linspace(0.01, 1, 100))
    assert operating_point(scores, 0.07).recall == pytest.approx(0.07)


def test_the_clearest_mistakes_stand_first():
    decision = decide(
        *images((True, 0.4), (False, 0.99), (True, 0.9), (True, None), (False, None)), 0.5
    )
    table = decision.image_table()
    assert [row["image"] for row in table[:3]] == ["3.png", "1.png", "0.png"]
    assert [row["outcome"] for row in table[:3]] == ["FN", "FP", "FN"]
    assert {row["outcome"] for row in table[3:]} == {"TP", "TN"}
