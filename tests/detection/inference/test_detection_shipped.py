"""The models that ship: complete records, files that say enough, sane answers, no torch."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from sightbook.data.images import encode_image
from sightbook.defects.predict import Predictor
from sightbook.defects.synth.surfaces import KINDS, render_surface
from sightbook.detection.inference.predict import OnnxDetector
from sightbook.headstamps.predict import MIN_CASING, recogniser_file
from sightbook.headstamps.predict import Predictor as HeadstampPredictor
from sightbook.headstamps.synth.photographs import LABELS, render_headstamps
from sightbook.inference import onnx
from sightbook.inference.models import MODEL
from sightbook.metrics.polygons import box_iou
from sightbook.params import repository_root

ROOT = repository_root() / "outputs" / "reference"
SHIPPED = {
    "potholes": ROOT / "defects" / "potholes",
    "pcb": ROOT / "defects" / "pcb",
    "headstamps": ROOT / "headstamps",
}
SURFACES = {"potholes": "road", "pcb": "board"}
"""What each model of defects was made for."""

RECORDS = ("params.yaml", "run.json", "metrics.json", "model_card.md", MODEL)

ABSOLUTE = re.compile(r"(?<![\w.:/~}<*])/(?!usr/share/)[\w.-]+/[\w./-]*|\b[A-Za-z]:\\\w")
"""A path from a machine's root, as POSIX and Windows write it; no URL and no ../relative/path."""

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from sightbook.cli import main
sys.argv = ["sightbook", "predict", *sys.argv[1:]]
main()
"""


def there(*names):
    """The models as test parameters; one that is not there is skipped."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not (SHIPPED[name] / MODEL).is_file(),
                reason=f"outputs/reference/{SHIPPED[name].relative_to(ROOT)} is not shipped",
            ),
        )
        for name in names
    ]


def line_of(name):
    return "headstamps" if name == "headstamps" else "defects"


def open_model(name, **settings):
    if name == "headstamps":
        return OnnxDetector(SHIPPED[name], line=name, **settings)
    return Predictor(SHIPPED[name], **settings)


def picture_for(name, index=0):
    if name == "headstamps":
        return render_headstamps(901, index).image
    return render_surface(901, index, kind=SURFACES[name], clean_share=0.0).image


# ------------------------------------------------------------------ records


@pytest.mark.parametrize("name", there(*SHIPPED))
def test_records_are_complete_and_small(name):
    folder = SHIPPED[name]
    sizes = {record: (folder / record).stat().st_size for record in RECORDS}
    assert all(sizes.values()), sizes
    large = {file.name: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    assert {file: size for file, size in large.items() if size >= 16e6} == {}
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["line"], record["status"]) == (line_of(name), "finished")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert "summary" in metrics["evaluate"]


@pytest.mark.parametrize("name", there(*SHIPPED))
def test_records_name_no_path_of_the_machine_they_were_made_on(name):
    kinds = {".json", ".jsonl", ".yaml", ".md", ".txt", ".csv", ".html"}
    files = [file for file in SHIPPED[name].rglob("*") if file.suffix in kinds]
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    texts[MODEL] = json.dumps(onnx.read_metadata(SHIPPED[name] / MODEL))
    found = {file: ABSOLUTE.findall(text)[:3] for file, text in texts.items()}
    assert {file: paths for file, paths in found.items() if paths} == {}


@pytest.mark.parametrize(
    ("text", "is_path"),
    [
        ('{"data": "/home/anna/potholes/labels.json"}', True),
        ("command: sightbook run 02_train_defects -p data /mnt/x/y", True),
        (r"data: C:\labels", True),
        ("data: ../shared/data/potholes", False),
        ("see https://cocodataset.org/#format-data and outputs/defects/a", False),
        ("0.8 s/picture, and/or 3 / 4", False),
    ],
)
def test_what_counts_as_a_path_of_a_machine(text, is_path):
    assert bool(ABSOLUTE.search(text)) == is_path


@pytest.mark.parametrize("name", there(*SHIPPED))
def test_the_file_says_what_prediction_needs(name):
    facts = onnx.read_metadata(SHIPPED[name] / MODEL)
    assert (facts["line"], facts["task"]) == (line_of(name), "detection")
    expected = LABELS if name == "headstamps" else KINDS[SURFACES[name]].labels
    assert sorted(facts["labels"]) == sorted(expected)
    assert ("masks" in facts["outputs"]) == (name == "headstamps")
    assert facts["params"]["size"] == facts["input"]["longer_side"]


@pytest.mark.parametrize("name", there(*SURFACES))
def test_the_operating_point_is_in_the_file_and_in_the_card(name):
    predictor = open_model(name)
    point = predictor.metadata["operating_point"]
    assert predictor.calibrated
    assert predictor.eval_conf == point["eval_conf"]
    assert 0 < point["eval_conf"] < 1
    card = (SHIPPED[name] / "model_card.md").read_text(encoding="utf-8")
    assert f"called defective from {point['eval_conf']:.3f} on" in card


# ------------------------------------------------------------------ answers


@pytest.mark.parametrize("name", there(*SHIPPED))
def test_detections_lie_within_their_picture_the_surest_first(name):
    predictor = open_model(name)
    image = picture_for(name)
    height, width = image.shape[:2]
    for picture in (image, np.ascontiguousarray(image[: height // 2, :, 0])):  # in grey as well
        boxes = predictor.detect(picture)
        scores = [box.score for box in boxes]
        assert scores == sorted(scores, reverse=True)
        assert all(predictor.min_score <= score <= 1 for score in scores)
        assert {box.label for box in boxes} <= set(predictor.labels)
        for box in boxes:
            x0, y0, x1, y1 = box.xyxy
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= picture.shape[0]


@pytest.mark.parametrize("name", there(*SURFACES))
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_nothing_is_clean(name, level):
    found = open_model(name).predict(np.full((480, 640, 3), level, np.uint8))
    assert not found.defective
    assert found.score < found.eval_conf


@pytest.mark.parametrize("name", there("potholes"))
def test_the_model_that_is_taken_where_none_is_named(name):
    assert Predictor().file == SHIPPED[name] / MODEL


@pytest.mark.parametrize("name", there("headstamps"))
def test_most_casings_of_drawn_photographs_are_found_with_their_outlines(name):
    predictor = open_model(name, min_score=MIN_CASING)
    wanted = hits = outlined = 0
    for index in range(8):
        sample = render_headstamps(902, index)
        found = [box for box in predictor.detect(sample.image) if box.label == "casing"]
        for true in sample.record.boxes:
            # smaller ones cannot be read anyway
            if true.label != "casing" or min(true.width, true.height) < 48:
                continue
            wanted += 1
            same = [box for box in found if box_iou(box.xyxy, true.xyxy) >= 0.5]
            hits += bool(same)
            outlined += any(box.polygons for box in same)
    assert wanted >= 8
    assert hits > 0.6 * wanted
    assert outlined == hits


@pytest.mark.parametrize("name", there("headstamps"))
def test_nothing_is_read_where_there_is_no_cartridge(name):
    found = HeadstampPredictor(SHIPPED[name]).predict(np.full((480, 640, 3), 150, np.uint8))
    assert found.heads == ()


@pytest.mark.parametrize("name", there("headstamps"))
def test_there_is_a_recogniser_for_its_rings(name):
    facts = onnx.read_metadata(recogniser_file())
    assert (facts["line"], facts["task"]) == ("ocr", "recognition")


# ------------------------------------------------------------------ the command


def predicted(line, file, *options):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, line, str(file), "--json", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", there(*SURFACES))
def test_defects_are_predicted_without_torch(name, tmp_path):
    file = tmp_path / "strasse ä.png"
    file.write_bytes(encode_image(picture_for(name)))
    row = predicted("defects", file, "--model", f"reference/{name}")
    assert row["file"] == str(file)
    assert row["defective"] == (row["score"] >= row["eval_conf"])
    assert all({"label", "score", "box"} <= found.keys() for found in row["detections"])


@pytest.mark.parametrize("name", there("headstamps"))
def test_headstamps_are_predicted_without_torch(name, tmp_path):
    file = tmp_path / "hülsen.png"
    file.write_bytes(encode_image(picture_for(name, 1)))
    options = ("--render", str(tmp_path / "drawn"), "--strips", str(tmp_path / "strips"))
    row = predicted("headstamps", file, "--model", "reference", *options)
    assert row["file"] == str(file)
    for head in row["detections"]:
        assert head.keys() == {"casing", "primer", "tokens", "text", "read", "candidates"}
        assert head["casing"].keys() == {"box", "score", "ellipse"}
        assert head["text"] == " ".join(token["text"] for token in head["tokens"])
        assert isinstance(head["read"], str)  # before the table put it right
    assert (tmp_path / "drawn" / "hülsen_found.png").is_file()
    strips = list((tmp_path / "strips").glob("hülsen_*.png"))
    assert len(strips) == len(row["detections"])
