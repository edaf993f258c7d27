import csv

import pytest

from detection.detected import box, dataset, record
from sightbook.data.validation import Report
from sightbook.defects.params import TrainDefects
from sightbook.detection.metrics.coco import evaluate_boxes
from sightbook.detection.metrics.image import decide
from sightbook.detection.metrics.summary import (
    COLUMNS,
    RunTags,
    compared,
    run_tags,
    summarize_runs,
    summary_row,
    write_summary,
)
from sightbook.runs.run import open_run

SPOT, PART = (0, 0, 120, 100), (0, 0, 80, 100)
"""The IoU of the two is 2/3: AP50 is 1, AP is 0.4."""


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def trained(name, **tags):
    with open_run("defects", name, stage="train") as run:
        run.record(tags=RunTags(**tags).to_dict())
        run.finish({"validation/AP50": 0.123, "epoch": 3})
    return run.path


def evaluated(name, test_set):
    """Two defective images, one of them missed, and a clean one."""
    truth = dataset(record("a", SPOT), record("b", SPOT), record("c"))
    found = {"a": [box("hole", PART, 0.9)], "b": [box("hole", PART, 0.8)], "c": []}
    with open_run("defects", name, stage="evaluate") as run:
        run.record(tags=RunTags(test_set=test_set).to_dict())
        boxes = evaluate_boxes(truth, found, resamples=0)
        images = decide(truth, found, 0.85, resamples=0)
        run.finish({"boxes": boxes.metrics, "images": images.metrics})
    return run.path


def test_a_row_holds_tags_of_both_stages_and_the_figures():
    trained(
        "first",
        usecase="pothole",
        description="small boxes, more light",
        train_set="train_pothole_261120120000.csv",
        base_model="fasterrcnn_mobilenet_v3_large_320_fpn",
        steps=1200,
    )
    row = summary_row(evaluated("first", "test_pothole_261120120000.csv"))
    assert tuple(row) == COLUMNS
    assert (row["usecase"], row["run"], row["steps"]) == ("pothole", "first", 1200)
    assert row["train_set"] == "train_pothole_261120120000.csv"
    assert row["test_set"] == "test_pothole_261120120000.csv"
    assert row["base_model"] == "fasterrcnn_mobilenet_v3_large_320_fpn"
    assert (row["TP"], row["FP"], row["FN"], row["TN"]) == (1, 0, 1, 1)
    assert (row["images"], row["eval_conf"]) == (3, 0.85)
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert (row["precision"], row["recall"], row["specificity"]) == (1, 0.5, 1)
    assert row["date"][:2] == "20" and row["date"][4] == row["date"][7] == "-"


def test_map_of_the_summary_is_coco_ap_and_not_ap50():
    trained("first", usecase="pothole")
    row = summary_row(evaluated("first", "test"))
    assert row["mAP"] == pytest.approx(0.4)
    assert row["AP50"] == pytest.approx(1)


def test_runs_stand_in_their_order_and_those_of_another_usecase_can_be_left_out():
    trained("old", usecase="pothole")
    trained("boards", usecase="pcb")
    evaluated("old", "test")
    trained("new", usecase="pothole")
    report = Report()
    rows = summarize_runs("defects", report=report)
    assert [row["run"] for row in rows] == ["old", "boards", "new"]
    potholes = summarize_runs("defects", usecase="pothole", report=report)
    assert [row["run"] for row in potholes] == ["old", "new"]
    # not evaluated yet: the row is there, its figures are empty
    assert potholes[1]["mAP"] == potholes[1]["TP"] == ""
    assert report.ok and report.checked == 6 and not report.problems


def test_an_evaluation_of_its_own_counts_too():
    row = summary_row(evaluated("alone", "test"))
    assert (row["run"], row["TP"], row["test_set"]) == ("alone", 1, "test")


@pytest.mark.parametrize("damage", ["{", "[]", '{"evaluate": 3}'])
def test_a_damaged_run_is_reported_and_the_others_stay(damage):
    good, bad = trained("good"), trained("bad")
    (bad / "metrics.json").write_text(damage)
    report = Report()
    rows = summarize_runs("defects", report=report)
    assert [row["run"] for row in rows] == [good.name]
    assert [problem.where for problem in report.problems] == [str(bad)]
    assert "left out of the summary" in report.problems[0].message


def test_the_csv_holds_every_row_with_full_precision(tmp_path):
    trained("first", usecase="pothole", description='wider, "softer"\nlight; größer')
    evaluated("first", "test")
    trained("second", usecase="pothole")
    rows = summarize_runs("defects", report=Report())
    file = write_summary(tmp_path / "new" / "summary.csv", rows)
    with file.open(newline="", encoding="utf-8") as text:
        read = list(csv.DictReader(text))
    assert tuple(read[0]) == COLUMNS
    assert read[0]["description"] == 'wider, "softer"\nlight; größer'
    assert float(read[0]["accuracy"]) == 2 / 3
    assert read[1]["accuracy"] == ""
    write_summary(file, rows[:1])
    assert len(list(csv.DictReader(file.open(newline="", encoding="utf-8")))) == 1


def test_a_figure_that_cannot_be_said_is_empty_and_not_zero():
    truth, found = dataset(record("c")), {"c": []}
    with open_run("defects", "clean", stage="evaluate") as run:
        boxes, images = evaluate_boxes(truth, found), decide(truth, found, 0.5)
        run.finish({"boxes": boxes.metrics, "images": images.metrics})
    row = summary_row(run.path)
    assert row["mAP"] == row["precision"] == row["recall"] == ""
    assert (row["TN"], row["TP"], row["specificity"]) == (1, 0, 1)


def test_what_is_not_known_is_no_tag():
    assert RunTags(usecase="pcb", steps=0).to_dict() == {"usecase": "pcb", "steps": 0}


def test_tags_tell_what_a_run_was_made_from():
    with open_run("defects", "mine", stage="train") as run:
        run.log(10, **{"train/loss": 1.0})
        run.log(75, **{"train/loss": 0.5})
        run.finish({})
    settings = TrainDefects(kind="road", data="roads/potholes", usecase="hole", own_share=0.5)
    (run.path / "params.yaml").write_text(settings.to_yaml())
    tags = run_tags(run.path, test_set="roads, test", description="more light").to_dict()
    assert tags == {
        "usecase": "hole",
        "description": "more light",
        "train_set": "potholes latest and generated road",
        "test_set": "roads, test",
        "base_model": "fasterrcnn_mobilenet, scratch",
        "steps": 75,
    }
    (run.path / "params.yaml").write_text(TrainDefects(kind="board").to_yaml())
    assert run_tags(run.path, test_set="x").train_set == "generated board"


def test_runs_are_compared_by_the_columns_that_any_of_them_fills():
    trained("first", steps=20)
    evaluated("second", "test.csv")
    rows = compared(summarize_runs("defects", report=Report()))
    assert [row["run"] for row in rows] == ["first", "second"]
    assert [row["steps"] for row in rows] == [20, ""]
    assert (rows[1]["AP50"], rows[0]["AP50"]) == (1.0, "")
    assert "description" not in rows[0]
