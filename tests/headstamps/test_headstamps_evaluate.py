"""The evaluation of headstamps: whose fault a wrong reading is."""

import json
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped
from sightbook.data.validation import Report
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.sets import Sets
from sightbook.headstamps.evaluate import AS_READ, FOUND, TRUE, evaluate, evaluation_sets
from sightbook.headstamps.params import EvaluateHeadstamps, TrainHeadstamps
from sightbook.headstamps.unroll import Ellipse
from sightbook.ocr.inference.engine import LineText
from sightbook.runs.files import plain


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def head_picture(folder, first="AB"):
    """A photograph with two heads of known outlines and texts; the second one is small."""
    ellipses = [Ellipse(80, 80, 60, 55, 20.0), Ellipse(220, 90, 40, 40)]
    image = np.full((180, 300, 3), 120, np.uint8)
    boxes = []
    for ellipse, text in zip(ellipses, (first.split(), ["XY"]), strict=True):
        outline = ellipse.polygon()
        cv2.fillConvexPoly(image, np.round(outline).astype(np.int32), (190, 160, 60))
        (x0, y0), (x1, y1) = outline.min(0).tolist(), outline.max(0).tolist()
        facts = {"tokens": text, "object_id": text[0], "legibility": "full"}
        boxes.append(Box("casing", (x0, y0, x1, y1), (outline,), attributes=facts))
    file = folder / "1.png"
    Image.fromarray(image).save(file)
    record = ImageRecord("1.png", 300, 180, tuple(boxes), file)
    return Annotations((record,), ("casing", "primer"), folder)


def always_ab(images, read="AB"):
    """Reads AB on whole strips that stand as they were unrolled, and nothing else."""
    texts = []
    for number, image in enumerate(images):
        width = image.shape[1]
        text = read if number == 0 and width > 200 else ""
        starts = 60 + 30 * np.arange(len(text))
        ends = np.append(starts[1:], width)[: len(text)]
        texts.append(LineText(text, starts, ends, np.full(len(text), 0.99), width))
    return texts


def test_what_the_table_put_right_is_told_apart(tmp_path):
    truth = head_picture(tmp_path, "12 GA")
    detected = [replace(box, score=0.9, attributes={}) for box in truth.records[0].boxes[:1]]
    found = evaluate(
        EvaluateHeadstamps(bootstrap=0),
        Sets(truth, None, "p"),
        lambda _: detected,
        partial(always_ab, read="12GA"),
    )
    figures = {name: reading.figures() for name, reading in found.readings.items()}
    # two of the three true tokens; as read, one that is none of them
    assert figures[FOUND]["token_F1"]["value"] == pytest.approx(4 / 5)
    assert figures[AS_READ]["token_F1"]["value"] == 0
    told = found.metrics
    assert told["reading"]["token_F1"]["value"] == pytest.approx(4 / 5)
    assert told["reading_without_the_table"]["token_F1"]["value"] == 0


def test_reading_along_found_and_true_outlines_tells_whose_fault_it_is(tmp_path):
    truth = head_picture(tmp_path)
    first, second = truth.records[0].boxes
    detected = [
        replace(first, score=0.9, attributes={}),
        replace(second, score=0.3, attributes={}),  # below min_score: not read
    ]
    found = evaluate(
        EvaluateHeadstamps(bootstrap=20), Sets(truth, None, "p"), lambda _: detected, always_ab
    )
    assert found.boxes.by_class["casing"]["AP50"]["value"] == pytest.approx(1.0)
    assert found.outlines.by_class["casing"]["AP50"]["value"] == pytest.approx(1.0)
    own, true = found.readings[FOUND].figures(), found.readings[TRUE].figures()
    assert (own["found"]["value"], true["found"]["value"]) == (0.5, 1.0)
    # found: one token of one read, two true ones; true: AB twice, of which one is right
    assert own["token_F1"]["value"] == pytest.approx(2 / 3)
    assert true["token_F1"]["value"] == pytest.approx(2 / 4)
    assert own["exact"]["value"] == 0.5
    assert {row["class"] for row in found.box_table()} == {"casing", "primer"}
    assert found.summary["token F1"]["value"] == pytest.approx(2 / 3)
    assert [head.text for head in found.all_heads] == ["AB"]
    ((image, head),) = found.examples(4)
    assert image.shape == (180, 300, 3)
    assert head.text == "AB"
    assert json.dumps(plain(found.metrics))


def test_a_model_without_masks_is_compared_by_boxes_alone(tmp_path):
    truth = head_picture(tmp_path)
    bare = [replace(box, score=0.9, polygons=(), attributes={}) for box in truth.records[0].boxes]
    found = evaluate(
        EvaluateHeadstamps(bootstrap=0), Sets(truth, None, "p"), lambda _: bare, always_ab
    )
    assert found.outlines is None
    assert found.metrics["outlines"] is None
    # the ellipse within the box does for the round one
    assert len(found.all_heads) == 2


def test_generated_headstamps_have_text_to_be_read(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "params.yaml").write_text(TrainHeadstamps(size=128).to_yaml())
    settings = EvaluateHeadstamps(synthetic_images=3)
    sets = evaluation_sets(settings, run, ("casing", "primer"), Report(), Skipped(0))
    assert len(sets.test.records) == 3
    assert sets.calibration is None  # there is no operating point to choose
    casings = [box for r in sets.test.records for box in r.boxes if box.label == "casing"]
    assert casings
    assert all(box.attributes["tokens"] for box in casings)
