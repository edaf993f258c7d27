"""Evaluation against readers whose answers are known."""

import json

import cv2
import numpy as np
import pytest

from sightbook.data.images import TooManySkipped
from sightbook.data.validation import DataError
from sightbook.donut.params import EvaluateDonut
from sightbook.donut.zone import evaluate
from sightbook.donut.zone.predict import ZoneReading

TRUTH = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]
QUADS = np.float32(
    [
        [[20, 100], [380, 100], [380, 110], [20, 110]],
        [[20, 125], [380, 125], [380, 135], [20, 135]],
    ]
)


class Told:
    """Reads what it is told, one answer a picture."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def predict(self, image):
        lines = self.answers.pop(0)
        return ZoneReading(quads=QUADS if lines else QUADS[:0], lines=lines, seconds=0.1)


def folder_of(tmp_path, names, quads=True):
    rows = []
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.full((200, 400, 3), 220, np.uint8))
        truth = {"gt_parse": {"mrz": {"type": "TD3", "lines": TRUTH}}}
        row = {"file_name": name, "ground_truth": json.dumps(truth)}
        rows.append(row | ({"quads": QUADS.tolist()} if quads else {}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return EvaluateDonut(data=str(tmp_path))


def test_figures_of_a_right_a_wrong_and_a_missing_reading(tmp_path):
    params = folder_of(tmp_path, ["a.png", "b.png", "c.png"])
    wrong = [TRUTH[0].replace("ANNA", "ANMA"), TRUTH[1]]
    result = evaluate.evaluate(params, Told(TRUTH, wrong, []))
    assert result.reading["exact_zone"]["value"] == pytest.approx(1 / 3)
    # one character in one zone and all 88 of another, over three zones
    assert result.reading["cer"]["value"] == pytest.approx((1 + 88) / 264)
    # ANMA: every digit is right, and the name is wrong
    assert result.reading["valid_but_wrong"]["value"] == pytest.approx(1 / 3)
    assert result.finding["zone_recall"]["value"] == pytest.approx(2 / 3)
    assert result.pairs[("N", "M")] == 1
    assert [row["edits"] for row in result.rows] == [0, 1, 88]
    assert [case.error for case in result.cases] == [0, 1, 88]
    assert result.rows[0]["width"] == 360 and result.rows[0]["tilt"] == 0
    assert {row["figure"] for row in result.table()} >= {"exact_zone", "cer", "zone_recall"}
    assert result.bars()["counts"]["exact_zone"] == 3
    json.dumps(result.metrics)


def test_without_corners_the_finder_is_not_scored(tmp_path):
    params = folder_of(tmp_path, ["a.png"], quads=False)
    result = evaluate.evaluate(params, Told(TRUTH))
    assert result.finding == {} and result.reading["exact_zone"]["value"] == 1


def test_a_bad_picture_is_counted_and_too_many_stop(tmp_path):
    params = folder_of(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "b.png").write_bytes(b"")
    result = evaluate.evaluate(params, Told(TRUTH, TRUTH))
    assert len(result.rows) == 2
    assert result.skipped["skipped"][0]["name"] == "b.png"
    with pytest.raises(TooManySkipped, match=r"b\.png"):
        evaluate.evaluate(params.model_copy(update={"max_bad": 0}), Told(TRUTH, TRUTH))


def test_only_the_held_out_split_is_measured(tmp_path):
    params = folder_of(tmp_path, ["a.png", "b.png"])
    rows = [json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines()]
    rows[0]["split"], rows[1]["split"] = "train", "test"
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    result = evaluate.evaluate(params, Told(TRUTH))
    assert [row["name"] for row in result.rows] == ["b.png"]


def test_data_without_zones_says_so(tmp_path):
    params = folder_of(tmp_path, ["a.png"])
    row = {"file_name": "a.png", "ground_truth": json.dumps({"gt_parse": {"total": "3.50"}})}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="key 'mrz'"):
        evaluate.evaluate(params, Told())


def test_examples_are_kept_as_picture_and_json(tmp_path):
    params = folder_of(tmp_path, ["a b.png"])
    result = evaluate.evaluate(params, Told(TRUTH))
    evaluate.write_examples(tmp_path / "examples", result.examples)
    assert sorted(p.name for p in (tmp_path / "examples").iterdir()) == [
        "a_b.png.jpg",
        "a_b.png.json",
    ]
    kept = json.loads((tmp_path / "examples" / "a_b.png.json").read_text())
    assert kept["file"] == "a b.png" and kept["mrz"]["lines"] == TRUTH


def test_sharpness_falls_with_blur():
    rng = np.random.default_rng(0)
    crisp = np.full((200, 400), 230, np.uint8)
    crisp[100:110, 20:380] = rng.choice([20, 230], (10, 360)).astype(np.uint8)
    crisp[125:135, 20:380] = rng.choice([20, 230], (10, 360)).astype(np.uint8)

    def sharpness(image):
        document = evaluate.Document("x", image, TRUTH, QUADS)
        return evaluate._difficulty(document, ZoneReading())["sharpness"]

    blurred = cv2.GaussianBlur(crisp, (0, 0), 2.0)
    assert sharpness(crisp) > 2 * sharpness(blurred)
