"""Prediction: boxes and decision of a file, windows, what is printed; bad input is passed over."""

import json
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from detection.bright_model import write_bright_model
from sightbook.cli import app
from sightbook.defects.predict import Predictor, command
from sightbook.detection.inference.predict import (
    UNCALIBRATED,
    OnnxDetector,
    boxes_of,
    mask_outlines,
    shrunk,
)
from sightbook.detection.inference.tiles import detect_tiled, windows
from sightbook.detection.labels.annotations import Box
from sightbook.headstamps import predict as predict_headstamps
from sightbook.inference.command import CommandError
from sightbook.lines import LineError
from sightbook.ocr.inference.engine import LineText


def picture(*cells, size=(64, 48)):
    """A black picture with cells of 16 pixels, each (column, row, colour)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for column, row, color in cells:
        pixels[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = color
    return pixels


CRACKED = picture((1, 0, (204, 0, 0)), (3, 2, (102, 102, 102)))
CLEAN = picture((0, 0, (51, 51, 51)))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    write_bright_model(tmp_path / "model.onnx", point={"eval_conf": 0.3})
    return tmp_path


def test_boxes_labels_and_scores_the_most_certain_first(place):
    found = Predictor(place / "model.onnx").predict(CRACKED)
    assert [(box.label, box.xyxy) for box in found.boxes] == [
        ("red", (16, 0, 32, 16)),
        ("grey", (48, 32, 64, 48)),
    ]
    assert [box.score for box in found.boxes] == pytest.approx([0.8, 0.4], abs=1e-5)
    row = found.to_dict()
    assert row["detections"][0] == {"label": "red", "score": 0.8, "box": [16.0, 0.0, 32.0, 16.0]}
    json.dumps(row)


def test_nothing_found_is_clean_with_score_0(place):
    found = Predictor(place / "model.onnx").predict(picture())
    assert (found.boxes, found.defective, found.score) == ((), False, 0.0)


def test_the_operating_point_of_the_file_decides_unless_another_is_given(place):
    made = Predictor(place / "model.onnx")
    assert made.calibrated
    assert made.eval_conf == 0.3
    assert [one.defective for one in made.predict_batch([CRACKED, CLEAN])] == [True, False]
    assert not Predictor(place / "model.onnx", eval_conf=0.9).predict(CRACKED).defective
    assert Predictor(place / "model.onnx", eval_conf=0.1).predict(CLEAN).defective
    # what is not told counts all the same
    found = Predictor(place / "model.onnx", eval_conf=0.1, min_score=0.5).predict(CLEAN)
    assert (found.defective, found.boxes) == (True, ())


def test_a_file_without_operating_point_says_so(place):
    write_bright_model(place / "plain.onnx")
    made = Predictor(place / "plain.onnx")
    assert not made.calibrated
    assert made.eval_conf == UNCALIBRATED


def test_settings_and_models_that_cannot_be_are_refused(place):
    file = place / "model.onnx"
    for settings, match in (
        ({"eval_conf": 0.0}, "eval_conf is 0"),
        ({"min_score": 2}, "min_score is 2"),
        ({"tile": 8}, "tile is 8"),
        ({"tile": 64, "overlap": 0.95}, "overlap is 0.95"),
    ):
        with pytest.raises(ValueError, match=match):
            Predictor(file, **settings)
    with pytest.raises(ValueError, match="expected a model of headstamps"):
        OnnxDetector(file, line="headstamps")
    for pixels in (np.zeros((8, 90, 3), np.uint8), np.zeros((32, 32, 4), np.uint8), CLEAN / 255):
        with pytest.raises(ValueError, match=r"16 a side|expected uint8"):
            Predictor(file).detect(pixels)


def test_grey_pictures_are_taken_as_three_equal_channels(place):
    made = Predictor(place / "model.onnx")
    grey = picture((1, 1, (150, 150, 150)))
    assert made.detect(grey[..., 0]) == made.detect(grey)


def test_large_pictures_are_averaged_and_boxes_are_in_their_own_pixels(place):
    write_bright_model(place / "small.onnx", longer_side=64)
    large = np.repeat(np.repeat(CRACKED, 3, 0), 3, 1)
    found = Predictor(place / "small.onnx").detect(large)
    assert [box.xyxy for box in found] == [(48, 0, 96, 48), (144, 96, 192, 144)]
    stripes = np.tile(np.array([0, 200], np.uint8), (40, 40))
    assert shrunk(np.repeat(stripes[..., None], 3, 2), 40).tolist() == [[[100] * 3] * 40] * 20
    assert shrunk(CRACKED, 64) is CRACKED


def test_slivers_along_the_border_are_no_defects():
    found = {
        "boxes": np.array([[63.9, 10, 66, 30], [10, -4, 40, 0.8], [62.5, 10, 66, 30]], np.float32),
        "labels": np.zeros(3, np.int64),
        "scores": np.array([0.9, 0.8, 0.7], np.float32),
    }
    (kept,) = boxes_of(found, ("hole",), 0.0, 64, 48)
    assert (kept.xyxy, kept.score) == ((62.5, 10, 64, 30), pytest.approx(0.7))


# ------------------------------------------------------------------ masks


def test_a_mask_is_laid_over_its_box(place):
    write_bright_model(place / "masks.onnx", masks=True)
    (box,) = Predictor(place / "masks.onnx").detect(picture((1, 1, (99, 99, 99))))
    (outline,) = box.polygons
    assert outline.min(0) == pytest.approx([16, 16], abs=1)
    assert outline.max(0) == pytest.approx([24, 32], abs=1)


def test_a_mask_that_reaches_beyond_the_picture_ends_with_it():
    (outline,) = mask_outlines(np.ones((28, 28), np.float32), (-20, 10, 60, 90), 50, 40)
    assert outline.min(0).tolist() == [0, 10]
    assert outline.max(0).tolist() == [50, 40]
    assert mask_outlines(np.zeros((28, 28), np.float32), (0, 0, 20, 20), 50, 40) == ()
    assert mask_outlines(np.ones((28, 28), np.float32), (60, 0, 80, 20), 50, 40) == ()


# ------------------------------------------------------------------ windows


def blobs(image):
    """Each connected bright spot, cut by the picture's border where it lies across it."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 0).astype(np.uint8))
    found = []
    for number in range(1, count):
        left, top, width, height, area = stats[number].tolist()
        xyxy = (float(left), float(top), float(left + width), float(top + height))
        found.append(Box("hole", xyxy, score=float(image.max()) / 255 - area * 1e-6))
    return found


def only_small(image):
    """Sees nothing of what is smaller than a twentieth of the picture."""
    side = max(image.shape[:2]) / 20
    return [box for box in blobs(image) if max(box.width, box.height) >= side]


def test_windows_cover_the_picture_and_overlap():
    seen = np.zeros((300, 500), int)
    places = list(windows(500, 300, 128, 0.25))
    for left, top, right, bottom in places:
        assert (right - left, bottom - top) == (128, 128)
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1
    lefts = sorted({place[0] for place in places})
    assert lefts[0] == 0
    assert lefts[-1] == 500 - 128
    assert max(np.diff(lefts)) <= 128 * 0.75
    assert next(windows(90, 300, 128, 0.0)) == (0, 0, 90, 128)
    assert list(windows(100, 60, 128, 0.5)) == [(0, 0, 100, 60)]


def test_windows_find_what_the_whole_picture_hides_once_each():
    image = np.zeros((400, 600, 3), np.uint8)
    holes = [(10, 10, 24, 24), (121, 119, 135, 133), (300, 200, 420, 390), (580, 380, 596, 396)]
    for x0, y0, x1, y1 in holes:
        image[y0:y1, x0:x1] = 250
    assert len(only_small(image)) == 1
    found = detect_tiled(image, only_small, 128, 0.2)
    assert sorted(box.xyxy for box in found) == sorted(holes)
    scores = [box.score for box in found]
    assert scores == sorted(scores, reverse=True)


def test_neighbours_and_other_classes_are_no_duplicates():
    def two_classes(image):
        found = blobs(image)
        return [*found, *(Box("stain", box.xyxy, score=0.5) for box in found)]

    image = np.zeros((256, 256, 3), np.uint8)
    image[100:120, 100:110] = image[100:120, 112:122] = 200
    found = detect_tiled(image, two_classes, 128, 0.5)
    assert sorted((box.label, box.xyxy[0]) for box in found) == [
        ("hole", 100.0),
        ("hole", 112.0),
        ("stain", 100.0),
        ("stain", 112.0),
    ]


def test_the_predictor_looks_through_windows(place):
    write_bright_model(place / "small.onnx", longer_side=64)
    image = np.zeros((256, 256, 3), np.uint8)
    image[240:256, 240:256] = 255
    assert Predictor(place / "small.onnx").detect(image)[0].width == 64
    found = Predictor(place / "small.onnx", tile=64, overlap=0.0).detect(image)
    assert (240, 240, 256, 256) in [box.xyxy for box in found]


# ------------------------------------------------------------------ the command


@pytest.fixture
def photos(place):
    folder = place / "photos"
    folder.mkdir()
    Image.fromarray(CRACKED).save(folder / "a cracked.png")
    Image.fromarray(CLEAN[..., 0]).save(folder / "b clean.png")
    (folder / "c damaged.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.fromarray(CRACKED[:10]).save(folder / "d tiny.png")
    return folder


def test_one_json_object_a_picture_and_bad_ones_are_told(place, photos, capsys):
    options = {"json": True, "model": str(place / "model.onnx"), "render": str(place / "drawn")}
    assert command([photos], options) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"].rpartition("/")[2] for row in rows] == [
        "a cracked.png",
        "b clean.png",
        "c damaged.jpg",
        "d tiny.png",
    ]
    assert rows[0]["defective"] is True
    assert rows[0]["score"] == 0.8
    assert rows[1]["defective"] is False
    assert rows[1]["eval_conf"] == 0.3
    assert "damaged" in rows[2]["error"]
    assert "64x10" in rows[3]["error"]
    drawn = sorted(file.name for file in (place / "drawn").iterdir())
    assert drawn == ["a cracked_found.png", "b clean_found.png"]
    pixels = np.asarray(Image.open(place / "drawn" / "a cracked_found.png"))
    assert pixels.shape == CRACKED.shape
    assert (pixels != CRACKED).any()


def test_pictures_of_one_name_are_all_drawn(place, capsys):
    for name in ("one", "two"):
        (place / name).mkdir()
        Image.fromarray(CRACKED).save(place / name / "p.png")
    options = {"model": str(place / "model.onnx"), "render": str(place / "drawn")}
    assert command([place / "one", place / "two"], options) == 0
    assert {f.name for f in (place / "drawn").iterdir()} == {"p_found.png", "p_2_found.png"}


def test_text_tells_the_decision_and_the_sure_boxes(place, photos, capsys):
    options = {"model": str(place / "model.onnx"), "eval_conf": 0.5}
    assert command([photos / "a cracked.png"], options) == 0
    told = capsys.readouterr().out
    assert "DEFECTIVE" in told
    assert "red 0.80 at 16 0 32 16" in told
    assert "grey" not in told


def test_what_the_command_cannot_do_it_says(place, photos, capsys):
    file = str(place / "model.onnx")
    with pytest.raises(CommandError, match="eval_conf is 7"):
        command([photos], {"model": file, "eval_conf": 7})
    with pytest.raises(CommandError, match=r"none\.onnx"):
        command([photos], {"model": str(place / "none.onnx")})
    write_bright_model(place / "plain.onnx")
    assert command([photos / "a cracked.png"], {"model": str(place / "plain.onnx")}) == 0
    assert "has no operating point" in capsys.readouterr().err


def test_both_lines_are_lines_of_the_command_and_their_folder_is_none(place, photos):
    runner = CliRunner()
    model = ["--model", str(place / "model.onnx")]
    one = str(photos / "a cracked.png")
    done = runner.invoke(app, ["predict", "defects", one, "--json", *model, "--min-score", "0"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["defective"] is True
    for wrong, hint in (("defect", "did you mean 'defects'"), ("detection", "no line")):
        done = runner.invoke(app, ["predict", wrong, one])
        assert isinstance(done.exception, LineError)
        assert hint in str(done.exception)
    with runner.isolated_filesystem(place):
        done = runner.invoke(app, ["predict", "defects", one, *model, "--render"])
        assert done.exit_code == 0
        assert (place / next(place.glob("tmp*")) / "rendered" / "a cracked_found.png").is_file()


def test_prediction_never_imports_torch(place, photos):
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from sightbook import defects\n"
        "from sightbook.headstamps import predict as predict_headstamps\n"
        "predictor = defects.Predictor(sys.argv[1])\n"
        "found = predictor.predict(np.zeros((32, 32, 3), 'uint8'))\n"
        "assert not found.defective\n"
        "heavy = {'torch', 'torchvision', 'lightning', 'transformers', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place / "model.onnx")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------ headstamps


@pytest.fixture
def heads(place, monkeypatch):
    """Models that find one casing and its primer, and read the same word upright everywhere."""

    class Finder:
        def __init__(self, model, *, line, min_score, threads):
            assert line == "headstamps"

        def detect(self, image):
            yy = np.linspace(0, 2 * np.pi, 40)
            ring = np.stack([np.cos(yy), np.sin(yy)], 1)
            outline, inner = ((ring * radius + 100).astype(np.float32) for radius in (80, 30))
            return [
                Box("casing", (20, 20, 180, 180), (outline,), score=0.9),
                Box("primer", (70, 70, 130, 130), (inner,), score=0.8),
            ]

    def nothing(images):
        none = np.zeros(0, np.int64)
        return [
            LineText("", none, none, np.zeros(0, np.float32), image.shape[1]) for image in images
        ]

    monkeypatch.setattr(predict_headstamps, "OnnxDetector", Finder)
    monkeypatch.setattr(predict_headstamps, "recogniser_file", lambda model: place / "r.onnx")
    reader = SimpleNamespace(read=nothing)
    monkeypatch.setattr(predict_headstamps, "LineReader", lambda *a, **k: reader)
    return place


def test_headstamps_in_the_documented_form(heads, capsys):
    rng = np.random.default_rng(0)
    photo = heads / "bases.png"
    Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(photo)
    (heads / "empty.jpg").write_bytes(b"")
    options = {"json": True, "render": heads / "drawn", "strips": heads / "strips"}
    assert predict_headstamps.command([photo, heads / "empty.jpg"], options) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    (found,) = first["detections"]
    assert set(found) == {"casing", "primer", "tokens", "text", "read", "candidates"}
    assert set(found["casing"]) == {"box", "score", "ellipse"}
    assert found["primer"]["score"] == 0.8
    assert found["tokens"] == []
    assert second == {"file": str(heads / "empty.jpg"), "error": second["error"]}
    assert [f.name for f in (heads / "drawn").iterdir()] == ["bases_found.png"]
    assert len(list((heads / "strips").iterdir())) == 1
