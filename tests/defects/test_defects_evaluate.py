"""The evaluation of defects: which pictures, which operating point, what is recorded."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped, TooManySkipped
from sightbook.data.validation import DataError, Report
from sightbook.defects.evaluate import evaluate, evaluation_sets
from sightbook.defects.params import EvaluateDefects, TrainDefects
from sightbook.detection.inference.detect_all import detect_all
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.labels.statistics import content_key
from sightbook.detection.metrics.sets import Sets
from sightbook.detection.metrics.summary import summary_row
from sightbook.params import ParameterError
from sightbook.runs.files import plain
from sightbook.runs.run import open_run


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


HOLE = (10.0, 10.0, 30.0, 30.0)


def pictures(folder, defective, group="", split=""):
    """Pictures whose first pixel is their number; each either has a hole or has none.

    Those of another folder differ in a pixel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number, is_so in enumerate(defective):
        file = folder / f"{number:02d}.png"
        pixels = np.full((60, 80), 200, np.uint8)
        pixels[0, 0] = number
        pixels[1, 1] = sum(map(ord, str(folder))) % 256
        Image.fromarray(pixels).save(file)
        boxes = (Box("hole", HOLE),) if is_so else ()
        records.append(ImageRecord(file.name, 80, 60, boxes, file, group, split))
    return Annotations(tuple(records), ("hole",), folder)


def saying(scores, box=HOLE):
    """A model that finds one box on picture number n with ``scores[n]``, none for 0."""

    def detect(image):
        score = scores[int(image[0, 0, 0])]
        return [Box("hole", box, score=score)] if score else []

    return detect


def params(**changes):
    return EvaluateDefects.parse({"bootstrap": 20, **changes})


# ------------------------------------------------------------------ defects


def test_the_operating_point_is_chosen_on_other_pictures_than_the_figures_are_from(tmp_path):
    # numbers 0 to 4 to choose on, 5 to 8 to test on
    whole = pictures(tmp_path / "p", [True, True, False, True, False, True, True, False, False])
    sets = Sets(
        whole.with_records(whole.records[5:]), whole.with_records(whole.records[:5]), "p, test"
    )
    scores = [0.9, 0.6, 0.5, 0.3, 0.0, 0.58, 0.7, 0.65, 0.1]
    found = evaluate(params(required_recall=0.66), sets, saying(scores))
    # two of three defective pictures are needed: those of 0.9 and 0.6
    assert found.point.eval_conf == pytest.approx(0.595)
    assert found.point.images == 5
    assert found.decision.eval_conf == found.point.eval_conf
    counts = found.decision.counts
    assert (counts.TP, counts.FP, counts.FN, counts.TN) == (1, 1, 1, 1)
    asked = evaluate(params(eval_conf=0.55), sets, saying(scores)).decision.counts
    assert (asked.TP, asked.FP, asked.FN, asked.TN) == (2, 1, 0, 1)
    rows = {row[""]: row for row in found.point_table()}
    assert rows["recall"]["where it was chosen (5 pictures)"].startswith("0.667 (")
    assert rows["recall"]["on the test pictures"].startswith("0.500")


def test_without_defective_pictures_to_choose_on_the_files_own_point_stays(tmp_path):
    whole = pictures(tmp_path / "p", [True, False, False])
    clean = whole.with_records(whole.records[1:])
    for calibration in (clean, None):
        found = evaluate(
            params(), Sets(whole, calibration, "p"), saying([0.4, 0.2, 0.3]), fallback=0.35
        )
        assert found.point is None
        assert found.decision.eval_conf == 0.35
        assert (found.decision.counts.TP, found.decision.counts.TN) == (1, 2)
        assert found.metrics["operating_point"] is None
        assert list(found.point_table()[0]) == ["", "on the test pictures"]


def test_figures_are_recorded_where_the_summary_finds_them(tmp_path):
    whole = pictures(tmp_path / "p", [True, True, False, False])
    shifted = (13.0, 10.0, 33.0, 30.0)  # IoU 17 / 23 = 0.74
    found = evaluate(
        params(eval_conf=0.5), Sets(whole, None, "p, all"), saying([0.9, 0.8, 0.6, 0.0], shifted)
    )
    assert found.boxes.figures["AP50"]["value"] == pytest.approx(1.0)
    assert found.boxes.figures["AP75"]["value"] == 0.0
    # of the ten thresholds 0.50 to 0.70 are passed, five
    assert found.boxes.figures["AP"]["value"] == pytest.approx(0.5)
    run = open_run("defects", "eins", stage="train")
    run.finish({})
    run = open_run("defects", "eins", params(), stage="evaluate")
    run.finish(found.metrics)
    row = summary_row(run.path)
    assert (row["mAP"], row["AP50"]) == (pytest.approx(0.5), pytest.approx(1.0))
    assert (row["images"], row["TP"], row["FP"], row["FN"], row["TN"]) == (4, 2, 1, 0, 1)
    assert (row["accuracy"], row["recall"]) == (0.75, 1.0)
    # judged singly where F1 is best: above 0.6, where nothing is false
    assert 0.6 < found.confidence <= 0.8
    assert json.loads(json.dumps(plain(found.metrics)))["errors"]["false"] == 0
    assert found.metrics["intervals_over"] == "images"
    lower = evaluate(
        params(confidence=0.5), found.sets, saying([0.9, 0.8, 0.6, 0.0], shifted)
    ).metrics["errors"]
    assert (lower["confidence"], lower["false"], lower["missed"]) == (0.5, 1, 0)


def test_intervals_are_drawn_over_groups_where_there_are_enough(tmp_path):
    whole = pictures(tmp_path / "p", [True, False] * 8)
    detect = saying([0.9, 0.0] * 8)
    for groups, units in ((8, "groups"), (7, "images")):
        placed = whole.with_records(
            replace(record, group=f"road {n % groups}") for n, record in enumerate(whole.records)
        )
        found = evaluate(params(), Sets(placed, None, "p"), detect)
        assert found.metrics["intervals_over"] == units


def test_a_picture_that_cannot_be_read_is_counted_and_never_called_clean(tmp_path):
    whole = pictures(tmp_path / "p", [True, False, True])
    file = whole.records[2].image
    file.write_bytes(file.read_bytes()[:-40])  # into the pixels, not only their checksum

    def picky(image):
        if image[0, 0, 0] == 1:
            raise ValueError("the network cannot take it")
        return saying([0.9, 0.0, 0.9])(image)

    skipped = Skipped(2)
    found = detect_all(whole, picky, skipped)
    assert list(found.found) == ["00.png"]
    assert [record.name for record in found.truth.records] == ["00.png"]
    assert len(found.seconds) == 1
    assert "the network cannot take it" in skipped.text()
    assert len(skipped) == 2
    with pytest.raises(TooManySkipped):
        detect_all(whole, picky, Skipped(1))
    with pytest.raises(DataError, match="no picture is left"):
        detect_all(whole.with_records(whole.records[2:]), picky, Skipped(5))


def test_nothing_found_is_no_division_by_zero(tmp_path):
    whole = pictures(tmp_path / "p", [True, False])
    found = evaluate(params(), Sets(whole, whole, "p"), saying([0.0, 0.0]))
    assert found.decision.figures["precision"]["value"] is None
    assert found.decision.figures["recall"]["value"] == 0.0
    assert not found.point.reachable
    assert found.summary["AP50"]["value"] == 0.0


# ------------------------------------------------------------------ which pictures


def trained_on(folder, tmp_path, recorded=None, **changes):
    """A run folder that says what it was trained on."""
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    (run / "params.yaml").write_text(TrainDefects(data=str(folder), **changes).to_yaml())
    if recorded is not None:
        (run / "splits.json").write_text(json.dumps(recorded))
    return run


def chosen(run, **changes):
    return evaluation_sets(params(**changes), run, ("hole",), Report(), Skipped(0))


def names(part):
    return [record.name for record in part.records]


def written(folder, defective, splits=()):
    found = pictures(folder / "images", defective)
    records = [
        replace(record, split=split)
        for record, split in zip(found.records, [*splits, *[""] * len(found.records)], strict=False)
    ]
    found = found.with_records(records)
    write_coco(found, folder / "annotations.json")
    return found


def test_what_a_run_held_back_is_tested_wherever_it_lies_now(tmp_path):
    found = written(tmp_path / "roads", [True, False] * 4)
    sides = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    recorded = dict(zip(map(content_key, found.records), sides, strict=True))
    run = trained_on(tmp_path / "roads", tmp_path, recorded)
    own = chosen(run)
    assert names(own.test) == ["06.png", "07.png"]
    assert names(own.calibration) == ["04.png", "05.png"]
    assert own.source == "roads, test"
    # the same pictures under other names beside new ones: contents tell
    moved = tmp_path / "elsewhere"
    old = written(moved, [True, False] * 5)
    for number, record in enumerate(found.records):
        old.records[9 - number].image.write_bytes(record.image.read_bytes())
    elsewhere = chosen(run, data=str(moved))
    assert names(elsewhere.test) == ["00.png", "01.png", "02.png", "03.png"]
    assert names(elsewhere.calibration) == ["04.png", "05.png"]
    assert len(chosen(run, data=str(moved), part="all").test.records) == 10
    assert names(chosen(run, data=str(moved), part="all", max_images=3).test) == [
        "00.png",
        "04.png",
        "09.png",
    ]


def test_a_run_without_test_pictures_is_measured_on_its_validation_pictures_and_says_so(
    tmp_path, capsys
):
    found = written(tmp_path / "roads", [True, False] * 3)
    recorded = dict(
        zip(map(content_key, found.records), ["train"] * 4 + ["validation"] * 2, strict=True)
    )
    run = trained_on(tmp_path / "roads", tmp_path, recorded)
    sets = chosen(run)
    assert names(sets.test) == names(sets.calibration) == ["04.png", "05.png"]
    assert sets.source == "roads, validation"
    assert "held back no test pictures" in capsys.readouterr().out


def test_of_another_folder_its_own_splits_count(tmp_path):
    written(tmp_path / "roads", [True, False])
    run = trained_on(tmp_path / "roads", tmp_path)
    other = tmp_path / "other"
    written(other, [True, False] * 3, ["train", "train", "validation"])
    sets = chosen(run, data=str(other))
    assert names(sets.test) == ["03.png", "04.png", "05.png"]
    assert names(sets.calibration) == ["02.png"]
    said = tmp_path / "said"
    written(said, [True, False], ["train", "train"])
    with pytest.raises(DataError, match="no pictures of part 'test', but 2 of train"):
        chosen(run, data=str(said))


def test_generated_pictures_are_neither_chosen_on_nor_trained_on(tmp_path, capsys):
    run = trained_on("gone", tmp_path, kind="board", size=128, seed=5)
    settings = params(synthetic_images=3, seed=6)
    labels = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    sets = evaluation_sets(settings, run, labels, Report(), Skipped(0))
    assert "is not here" in capsys.readouterr().out
    assert sets.test.labels == labels
    assert len(sets.test.records) == len(sets.calibration.records) == 3
    assert not set(names(sets.test)) & set(names(sets.calibration))
    assert all(record.image.is_file() for record in sets.test.records)
    again = evaluation_sets(settings, run, labels, Report(), Skipped(0))
    assert again.test.fingerprint() == sets.test.fingerprint()
    with pytest.raises(ParameterError, match="the model knows hole"):
        evaluation_sets(settings, run, ("hole",), Report(), Skipped(0))
    with pytest.raises(ParameterError, match="seed 5"):
        evaluation_sets(params(seed=5), run, labels, Report(), Skipped(0))


def test_a_run_that_kept_no_splits_is_not_tested_on_what_it_may_know(tmp_path, capsys):
    written(tmp_path / "roads", [True, False] * 3)
    run = trained_on(tmp_path / "roads", tmp_path, kind="asphalt", size=96, seed=5)
    sets = evaluation_sets(params(synthetic_images=2), run, ("pothole",), Report(), Skipped(0))
    assert "not told by a splits.json" in capsys.readouterr().out
    assert sets.source == "generated pictures"
    # whoever names the folder means it
    assert len(chosen(run, data=str(tmp_path / "roads")).test.records) == 6
