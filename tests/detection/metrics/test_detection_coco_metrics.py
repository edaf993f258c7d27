import contextlib
import io
import math
from pathlib import Path

import numpy as np
import pytest

from detection.detected import box, dataset, random_set, record
from sightbook.detection.labels.read import read_annotations
from sightbook.detection.metrics import coco as coco_metrics
from sightbook.detection.metrics.coco import (
    ALL,
    CONFIDENCES,
    NUMBERS,
    coco_numbers,
    evaluate_boxes,
    evaluated,
)
from sightbook.detection.metrics.errors import coco_iou, confusion_matrix, count_errors, find_errors
from sightbook.detection.metrics.scoring import resample_images
from sightbook.params import repository_root

SHARED = repository_root().parent / "shared" / "data"

LONG = (10, 20, 210, 60)
"""200 wide and 40 high: read as (top, left, bottom, right) it lies elsewhere."""


def plain_pycocotools(truth, found):
    """The twelve numbers by pycocotools' own way in, tables made here."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(boxes_of):
        made = []
        for image, rec in enumerate(truth.records, 1):
            for b in boxes_of(rec):
                x0, y0, x1, y1 = b.xyxy
                row = {"id": len(made) + 1, "image_id": image, "iscrowd": int(b.crowd)}
                row |= {"category_id": truth.labels.index(b.label) + 1, "score": b.score}
                made.append(
                    row | {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
                )
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": [{"id": k} for k, _ in enumerate(truth.records, 1)],
            "categories": [{"id": k} for k, _ in enumerate(truth.labels, 1)],
            "annotations": rows(lambda rec: rec.boxes),
            "info": {},
        }
        gt.createIndex()
        dt = gt.loadRes(rows(lambda rec: found[rec.name]))
        evaluation = COCOeval(gt, dt, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NUMBERS, evaluation.stats.tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_twelve_numbers_are_those_of_pycocotools_summary(seed):
    truth, found = random_set(seed)
    expected = plain_pycocotools(truth, found)
    assert 0.05 < expected["AP"] < 0.9
    assert coco_numbers(truth, found) == pytest.approx(expected, abs=1e-12)
    own = evaluate_boxes(truth, found, resamples=0).figures
    assert {name: f["value"] for name, f in own.items()} == pytest.approx(expected, abs=1e-9)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", ["potholes", "headstamps"])
def test_real_annotations_give_what_pycocotools_makes_of_their_file(name):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    file = SHARED / name / "annotations.json"
    truth = read_annotations(file)
    rng = np.random.default_rng(0)
    found = {}
    for rec in truth.records:
        moved = [b.xyxy + rng.normal(0, 0.06, 4) * ([b.width, b.height] * 2) for b in rec.boxes]
        pairs = zip(rec.boxes, moved, strict=True)
        found[rec.name] = [box(b.label, xyxy, float(rng.random())) for b, xyxy in pairs]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(str(file))
        images = {Path(row["file_name"]).name: number for number, row in gt.imgs.items()}
        classes = {row["name"]: number for number, row in gt.cats.items()}
        rows = [
            {"image_id": images[Path(name).name], "category_id": classes[b.label]}
            | {"bbox": [*b.xyxy[:2], b.width, b.height], "score": b.score}
            for name, boxes in found.items()
            for b in boxes
        ]
        evaluation = COCOeval(gt, gt.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    mine = coco_numbers(truth, found)
    assert [-1 if n is None else n for n in mine.values()] == pytest.approx(evaluation.stats)
    assert 0.2 < mine["AP"] < 0.9


def test_more_than_a_hundred_detections_of_an_image_are_cut_as_pycocotools_does():
    truth = dataset(record("a", (0, 0, 50, 50), (100, 100, 150, 150)))
    junk = [box("hole", (200, 200, 210 + k, 210), 0.5) for k in range(120)]
    late = box("hole", (0, 0, 50, 50), 0.4)
    found = {"a": [box("hole", (100, 100, 150, 150), 0.9), *junk, late]}
    assert coco_numbers(truth, found)["AR_100"] == 0.5
    own = evaluate_boxes(truth, found, resamples=0)
    assert own.figures["AR_100"]["value"] == 0.5
    assert own.figures["AP"]["value"] == pytest.approx(coco_numbers(truth, found)["AP"])


def test_the_faster_backend_gives_the_same_twelve_numbers():
    pytest.importorskip("faster_coco_eval")
    for seed in range(3):
        truth, found = random_set(seed)
        expected = coco_numbers(truth, found)
        faster = coco_numbers(truth, found, backend="faster-coco-eval")
        assert faster == pytest.approx(expected, abs=1e-9)


def test_an_unknown_backend_is_refused_by_name():
    truth = dataset(record("a", LONG))
    with pytest.raises(ValueError, match="'fast', expected 'pycocotools'"):
        coco_numbers(truth, {"a": []}, backend="fast")


# ------------------------------------------------------------------ faults that others made


def test_boxes_are_xyxy_and_not_transposed():
    truth = dataset(record("a", LONG))
    right = {"a": [box("hole", LONG, 0.9)]}
    x0, y0, x1, y1 = LONG
    transposed = {"a": [box("hole", (y0, x0, y1, x1), 0.9)]}
    assert coco_numbers(truth, right)["AP"] == pytest.approx(1)
    assert coco_numbers(truth, transposed)["AP"] == 0
    assert coco_iou(truth.records[0].boxes, right["a"])[0, 0] == pytest.approx(1)
    shared = (x0, y0, x1 + 200, y1)
    assert coco_iou(truth.records[0].boxes, [box("hole", shared)])[0, 0] == pytest.approx(0.5)
    across = coco_iou([box("hole", (0, 0, 100, 20))], [box("hole", (0, 0, 20, 100))])
    assert across[0, 0] == pytest.approx(400 / 3600)
    # corners are corners, not left, top, width, height
    beside = coco_iou([box("hole", (100, 100, 150, 150))], [box("hole", (150, 100, 200, 150))])
    assert beside[0, 0] == 0


def test_map_is_the_mean_over_ious_and_not_map50():
    # IoU 2/3: found at 0.50, 0.55, 0.60 and 0.65, at no other of the ten thresholds.
    truth = dataset(record("a", (0, 0, 120, 100)))
    figures = evaluate_boxes(truth, {"a": [box("hole", (0, 0, 80, 100), 0.9)]}, resamples=0).figures
    assert figures["AP50"]["value"] == pytest.approx(1)
    assert figures["AP75"]["value"] == 0
    assert figures["AP"]["value"] == pytest.approx(0.4)


def test_f1_is_the_harmonic_mean_and_not_a_root_of_ap_times_ar():
    # Of 4 boxes 3 are found at 0.8; at 0.6 come 2 false ones: P 3/5, R 3/4, F1 6/9.
    boxes = [(50 * k, 0, 50 * k + 40, 40) for k in range(4)]
    truth = dataset(record("a", *boxes))
    found = [box("hole", b, 0.8) for b in boxes[:3]]
    found += [box("hole", (50 * k, 200, 50 * k + 40, 240), 0.6) for k in range(2)]
    result = evaluate_boxes(truth, {"a": found}, resamples=0)
    curve = result.curves[ALL]
    at = {c: int(np.argmin(np.abs(CONFIDENCES - c))) for c in (0.5, 0.6, 0.61, 0.8, 0.81)}
    assert curve.f1[at[0.5]] == pytest.approx(6 / 9)
    assert curve.precision[at[0.6]] == pytest.approx(3 / 5)
    assert curve.recall[at[0.6]] == pytest.approx(3 / 4)
    assert curve.f1[at[0.61]] == pytest.approx(6 / 7)  # P 1, R 3/4
    assert curve.f1[at[0.8]] == pytest.approx(6 / 7)
    assert curve.f1[at[0.81]] == 0
    assert math.isnan(curve.precision[at[0.81]])
    assert curve.best == (pytest.approx(0.61), pytest.approx(6 / 7))
    figures = result.figures
    wrong = math.sqrt(figures["AP50"]["value"] * figures["AR_100"]["value"])
    assert abs(curve.f1[at[0.5]] - wrong) > 0.05


def test_clean_images_count_by_their_false_detections():
    seen = record("a", (0, 0, 50, 50))
    found = {"a": [box("hole", (0, 0, 50, 50), 0.5)], "b": [box("hole", (0, 0, 50, 50), 0.9)]}
    assert coco_numbers(dataset(seen), {"a": found["a"]})["AP50"] == pytest.approx(1)
    both = evaluate_boxes(dataset(seen, record("b")), found, resamples=0)
    assert both.figures["AP50"]["value"] == pytest.approx(0.5)
    assert (both.images, both.clean, both.metrics["clean_images"]) == (2, 1, 1)


def test_an_image_without_an_entry_is_not_taken_for_one_without_detections():
    truth = dataset(record("a", LONG), record("clean.png"))
    with pytest.raises(ValueError, match=r"1 records have no entry.*clean\.png"):
        coco_numbers(truth, {"a": []})
    with pytest.raises(ValueError, match=r"have no record.*other\.png"):
        coco_numbers(truth, {"a": [], "clean.png": [], "other.png": []})


# ------------------------------------------------------------------ figures


def test_average_precision_by_hand():
    # Hit, false, hit of 2: precision 1 up to recall 1/2 (51 of 101 levels), then 2/3 (50).
    truth = dataset(record("a", (0, 0, 40, 40), (100, 0, 140, 40)))
    scored = [((0, 0, 40, 40), 0.9), ((200, 0, 240, 40), 0.8), ((100, 0, 140, 40), 0.7)]
    found = {"a": [box("hole", b, s) for b, s in scored]}
    result = evaluate_boxes(truth, found, resamples=0)
    assert result.figures["AP50"]["value"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.curves["hole"].pr.mean() == pytest.approx(result.figures["AP50"]["value"])


def test_classes_have_their_own_figures_and_weigh_the_same_in_the_mean():
    truth = dataset(
        record("a", ("hole", (0, 0, 40, 40)), ("crack", (100, 0, 140, 40))),
        record("b", ("hole", (0, 0, 40, 40))),
        labels=("hole", "crack", "stain"),
    )
    found = {"a": [box("hole", (0, 0, 40, 40), 0.9)], "b": [box("hole", (0, 0, 40, 40), 0.9)]}
    result = evaluate_boxes(truth, found, resamples=0)
    assert result.by_class["hole"]["AP"]["value"] == pytest.approx(1)
    assert result.by_class["crack"]["AP"]["value"] == 0
    assert result.by_class["stain"]["AP"]["value"] is None  # no such box: cannot be said
    assert result.figures["AP"]["value"] == pytest.approx(0.5)
    assert [row["true boxes"] for row in result.class_table()] == ["2", "1", "0"]


def test_sizes_follow_the_outline_where_there_is_one():
    # The box has 40² pixels, medium; the triangle in it 800, small.
    triangle = np.array([[0, 0], [40, 0], [0, 40]], np.float32)
    plain = dataset(record("a", (0, 0, 40, 40)))
    outlined = dataset(
        record("a").with_boxes([box("hole", (0, 0, 40, 40), polygons=(triangle,))]),
    )
    found = {"a": [box("hole", (0, 0, 40, 40), 0.9)]}
    assert coco_numbers(plain, found)["AP_small"] is None
    assert coco_numbers(plain, found)["AP_medium"] == pytest.approx(1)
    assert coco_numbers(outlined, found)["AP_small"] == pytest.approx(1)
    assert coco_numbers(outlined, found)["AP_medium"] is None


def test_outlines_are_compared_where_that_is_asked_for():
    upper = np.array([[0, 0], [40, 0], [40, 20], [0, 20]], np.float32)
    lower = upper + np.float32([0, 20])
    whole = (0, 0, 40, 40)
    truth = dataset(record("a").with_boxes([box("hole", whole, polygons=(upper,))]))
    for outline, expected in ((upper, 1.0), (lower, 0.0)):
        found = {"a": [box("hole", whole, 0.9, polygons=(outline,))]}
        assert coco_numbers(truth, found)["AP"] == pytest.approx(1)
        assert coco_numbers(truth, found, iou_type="segm")["AP"] == pytest.approx(expected)
    unseen = {"a": [box("hole", whole, 0.9)]}
    assert coco_numbers(truth, unseen, iou_type="segm")["AP"] == 0
    with pytest.raises(ValueError, match=r"a: true box .* has no outline"):
        coco_numbers(dataset(record("a", whole)), unseen, iou_type="segm")


def test_what_lies_in_a_crowd_is_neither_demanded_nor_punished():
    crowd = box("hole", (100, 100, 300, 300), crowd=True)
    truth = dataset(record("a").with_boxes([box("hole", (0, 0, 50, 50)), crowd]))
    inside = [box("hole", (120 + 40 * k, 120, 150 + 40 * k, 150), 0.95) for k in range(3)]
    found = {"a": [*inside, box("hole", (0, 0, 50, 50), 0.5)]}
    result = evaluate_boxes(truth, found, resamples=0)
    assert result.figures["AP"]["value"] == pytest.approx(1)
    assert result.figures["AP"]["n"] == 1
    errors = find_errors(truth, found, confidence=0.1)
    assert sum(count_errors(errors).values()) == 0
    assert confusion_matrix(errors, truth.labels).tolist() == [[1, 0], [0, 0]]


def test_nothing_found_and_nothing_to_find_are_figures_and_no_errors():
    truth = dataset(record("a", LONG), record("b"))
    nothing = evaluate_boxes(truth, {"a": [], "b": []}, resamples=20)
    assert nothing.figures["AP"]["value"] == 0
    assert nothing.figures["AP_large"]["value"] is None
    assert nothing.curves[ALL].f1.tolist() == [0] * len(CONFIDENCES)
    clean = evaluate_boxes(dataset(record("b")), {"b": [box("hole", LONG, 0.9)]}, resamples=20)
    assert all(f["value"] is None for f in clean.figures.values())
    assert coco_numbers(dataset(record("b")), {"b": []}) == dict.fromkeys(NUMBERS)
    assert evaluate_boxes(dataset(), {}).figures["AP"]["value"] is None
    assert clean.table()[0] == {"figure": "AP", "value": "–", "n": "0"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (box("dent", LONG, 0.5), "class 'dent'; the classes are hole"),
        (box("hole", LONG), "has the score None"),
        (box("hole", LONG, 1.5), r"has the score 1\.5"),
        (box("hole", LONG, math.nan), "has the score nan"),
        (box("hole", (210, 20, 10, 60), 0.5), "is no box, expected left, top, right, bottom"),
        (box("hole", (0, 0, math.inf, 60), 0.5), "is no box"),
    ],
)
def test_detections_that_cannot_be_counted_are_refused_with_their_image(bad, message):
    with pytest.raises(ValueError, match=message) as caught:
        coco_numbers(dataset(record("road 7.png", LONG)), {"road 7.png": [bad]})
    assert str(caught.value).startswith("road 7.png: detection")


def test_truth_that_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match=r"a: true box .* has no area"):
        coco_numbers(dataset(record("a", (5, 5, 5, 20))), {"a": []})
    with pytest.raises(ValueError, match="1 records bear the same name"):
        coco_numbers(dataset(record("a"), record("a")), {"a": []})


# ------------------------------------------------------------------ intervals


def test_an_image_drawn_twice_counts_as_two_images():
    truth, found = random_set(3, images=8)
    weights = np.array([2, 0, 1, 1, 3, 0, 1, 0])
    copies, again = [], {}
    for rec, times in zip(truth.records, weights, strict=True):
        for copy in range(times):
            name = f"{copy} of {rec.name}"
            copies.append(record(name, size=(400, 400)).with_boxes(rec.boxes))
            again[name] = found[rec.name]
    rows = evaluated(truth, found, "bbox").evalImgs
    weighted = coco_metrics._numbers(coco_metrics._matches(rows, 3, 8), weights)
    expected = coco_numbers(dataset(*copies, labels=truth.labels), again)
    known = {name: n for name, n in expected.items() if n is not None}
    assert len(known) > 8
    # Copies of one image tie in their scores, and ties may stand in another order.
    mine = {name: float(np.nanmean(weighted[name])) for name in known}
    assert mine == pytest.approx(known, abs=0.02)


def test_intervals_hold_the_value_and_widen_when_whole_roads_are_drawn():
    truth, found = random_set(4, images=40)
    single = evaluate_boxes(truth, found, resamples=60).figures["AP50"]
    assert single["low"] < single["value"] < single["high"]
    assert evaluate_boxes(truth, found, resamples=60).figures["AP50"] == single  # seeded
    with pytest.raises(ValueError, match="2 units for 3 images"):
        resample_images(3, ["a", "b"], 5)


# ------------------------------------------------------------------ errors


def test_each_kind_of_error_is_told_apart():
    truth = dataset(
        record(
            "a",
            ("hole", (0, 0, 40, 40)),
            ("hole", (100, 0, 140, 40)),
            ("crack", (200, 0, 240, 40)),
            ("crack", (300, 0, 340, 40)),
        ),
        labels=("hole", "crack"),
    )
    found = {
        "a": [
            box("hole", (0, 0, 40, 40), 0.9),
            box("hole", (2, 0, 42, 40), 0.8),  # the same again
            box("hole", (120, 0, 160, 40), 0.7),  # IoU 1/3
            box("hole", (200, 0, 240, 42), 0.6),  # a crack
            box("crack", (0, 200, 40, 240), 0.6),  # nothing there
            box("crack", (300, 0, 340, 40), 0.2),  # below the confidence
        ]
    }
    errors = find_errors(truth, found, confidence=0.5)
    assert count_errors(errors) == {
        "missed": 1,
        "false": 1,
        "mislocated": 1,
        "misclassed": 1,
        "duplicate": 1,
    }
    assert [fate.outcome for fate in errors[0].truths] == [
        "correct",
        "mislocated",
        "misclassed",
        "missed",
    ]
    assert errors[0].wrong == 5
    # hole: one found, one not; crack: one taken for a hole, one not found; background: the
    # duplicate, the mislocated one and the false one
    assert confusion_matrix(errors, truth.labels).tolist() == [[1, 0, 1], [1, 0, 1], [2, 1, 0]]


def test_the_more_confident_detection_takes_the_box_even_if_another_fits_better():
    truth = dataset(record("a", (0, 0, 40, 40)))
    found = {"a": [box("hole", (0, 0, 40, 40), 0.6), box("hole", (4, 0, 44, 40), 0.9)]}
    errors = find_errors(truth, found, confidence=0.5)
    assert [(f.outcome, f.box.score) for f in errors[0].detections] == [
        ("correct", 0.9),
        ("duplicate", 0.6),
    ]


def test_confusions_count_every_box_and_detection_once():
    truth, found = random_set(5)
    errors = find_errors(truth, found, confidence=0.3)
    matrix = confusion_matrix(errors, truth.labels)
    true = [truth.counts()[label] for label in truth.labels]
    assert matrix[:3].sum(1).tolist() == true
    kept = [b for boxes in found.values() for b in boxes if b.score >= 0.3]
    columns = [sum(b.label == label for b in kept) for label in truth.labels]
    assert matrix[:, :3].sum(0).tolist() == columns
    assert np.trace(matrix) > 5 and matrix[3].sum() > 5


def test_correct_ones_are_those_that_pycocotools_matches():
    truth, found = random_set(6)
    curve = evaluate_boxes(truth, found, resamples=0).curves[ALL]
    errors = find_errors(truth, found, confidence=0.4)
    right = sum(fate.outcome == "correct" for image in errors for fate in image.detections)
    made = sum(len(image.detections) for image in errors)
    assert right / made == pytest.approx(curve.precision[40])
