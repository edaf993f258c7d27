"""Reading whole pages with exported files; bad input is told and passed over."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from level_models import blank_page, draw_word, write_detector, write_recogniser
from PIL import Image

from sightbook.cli import app
from sightbook.inference.command import CommandError
from sightbook.inference.onnx import write_metadata
from sightbook.ocr.inference.predict import Predictor, command, model_file
from sightbook.ocr.pages import overlay
from sightbook.runs.files import write_json
from sightbook.runs.run import RunError


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    write_detector(tmp_path / "models" / "detection" / "model.onnx")
    write_recogniser(tmp_path / "models" / "recognition" / "model.onnx")
    return tmp_path / "models"


def predictor(models, **options):
    return Predictor(models, models, "rules", **options)


def two_words():
    image = blank_page()
    draw_word(image, 20, 30, "ab")
    draw_word(image, 100, 30, "bab")
    return image


def test_words_their_places_and_confidences(models):
    page = predictor(models).predict(two_words(), "page")
    assert (page.image_id, page.width, page.height) == ("page", 300, 100)
    assert page.text() == "ab bab"
    (line,) = page.lines()
    first, second = line.words
    assert (first.text, second.text) == ("ab", "bab")
    # the pixels of a word, from centre to centre, and 3 more on each side
    assert np.allclose(first.vertices, [[17, 27], [70, 27], [70, 64], [17, 64]], atol=0.01)
    assert np.allclose(second.vertices, [[97, 27], [174, 27], [174, 64], [97, 64]], atol=0.01)
    assert line.confidence == pytest.approx(1, abs=0.05)
    assert 0 < first.confidence <= 1


def test_one_folder_or_one_file_says_which_models(models):
    every = Predictor(models, layout="rules")
    assert every.files == {
        task: models / task / "model.onnx" for task in ("detection", "recognition")
    }
    one = Predictor(models / "recognition" / "model.onnx", layout="rules")
    assert one.files["recognition"] == every.files["recognition"]
    assert one.files["detection"] == model_file("detection")
    mixed = Predictor(models, model_file("recognition"), "rules", detection=models)
    assert mixed.files == {**every.files, "recognition": model_file("recognition")}


def test_colour_and_grey_are_read_alike(models):
    made, image = predictor(models), two_words()
    assert made.predict(np.stack([image] * 3, 2)).text() == made.predict(image).text()


def test_the_engines_own_boxes_and_layout(models):
    page = Predictor(models, models, "engine", boxes="engine").predict(two_words())
    assert page.text() == "ab bab"
    first, second = page.words()
    for word, left, right in ((first, 20, 68), (second, 100, 172)):
        low, high = word.vertices.min(0), word.vertices.max(0)
        assert low[0] == pytest.approx(left, abs=5) and high[0] == pytest.approx(right, abs=8)


def test_lines_below_one_another(models):
    image = blank_page()
    draw_word(image, 20, 4, "ab", height=30)
    draw_word(image, 20, 60, "ba", height=30)
    for layout in ("rules", "engine"):
        page = Predictor(models, models, layout).predict(image)
        assert [line.text for line in page.lines()] == ["ab", "ba"]


def test_beams_read_the_same_where_nothing_is_doubtful(models):
    assert predictor(models, beams=4).predict(two_words()).text() == "ab bab"


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (100, 300), (2000, 2), (3, 3, 3)])
def test_pages_without_words_are_empty_whatever_their_size(models, shape):
    page = predictor(models).predict(np.zeros(shape, np.uint8))
    assert page.paragraphs == () and page.text() == ""
    assert (page.height, page.width) == shape[:2]


def test_detected_rectangles_and_single_lines(models):
    made, image = predictor(models), two_words()
    assert made.detect(image).shape == (2, 4, 2)
    line = image[28:64, 15:70]
    assert made.read_lines([line, line[:, :40]])[0].text.strip() == "ab"


def test_which_file_a_task_takes(models, tmp_path):
    assert model_file("detection", models) == models / "detection" / "model.onnx"
    file = models / "detection" / "model.onnx"
    assert model_file("recognition", file) == file  # what it is shows on opening
    with pytest.raises(ValueError, match="expected a model of ocr for recognition"):
        Predictor(models, file)
    with pytest.raises(RunError, match=r"holds no layout/model\.onnx"):
        Predictor(models, models, models)
    with pytest.raises(RunError, match="no run, folder or file 'nothing'"):
        model_file("detection", "nothing")
    with pytest.raises(RunError, match=r"no finished training of 'ocr' holds a detection model"):
        model_file("detection", "latest")
    run = tmp_path / "outputs" / "ocr" / "mine"
    write_detector(run / "model.onnx")
    write_json(run / "run.json", {"stage": "train", "status": "finished"})
    (run / "detection.safetensors").write_bytes(b"")
    assert model_file("detection", "latest") == model_file("detection", "mine")
    assert model_file("detection", "latest").parent == run


def test_a_model_of_another_line_is_refused(models):
    file = models / "recognition" / "model.onnx"
    write_metadata(file, {"line": "donut"})
    with pytest.raises(ValueError, match="found one of donut"):
        Predictor(models, file)
    with pytest.raises(ValueError, match="boxes is 'round'"):
        predictor(models, boxes="round")


def test_json_a_line_a_picture_and_errors_among_them(models, tmp_path, capsys):
    Image.fromarray(two_words()).save(tmp_path / "page.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = [tmp_path / "page.png", tmp_path / "bad.png", tmp_path / "missing.png"]
    code = command(files, {"json": True, "model": str(models), "layout": "rules"})
    good, bad, missing = map(json.loads, capsys.readouterr().out.splitlines())
    assert code == 1
    assert good["file"] == str(files[0])
    assert (good["image_width"], good["image_height"]) == (300, 100)
    words = good["paragraphs"][0]["lines"][0]["words"]
    assert [word["text"] for word in words] == ["ab", "bab"]
    assert words[0]["box"] == [17.0, 27.0, 70.0, 64.0]
    assert bad["error"] and missing["error"]


def test_text_and_a_summary(models, tmp_path, capsys):
    Image.fromarray(two_words()).save(tmp_path / "page.png")
    options = {"model": str(models), "layout": "engine"}
    assert command([tmp_path / "page.png"], {**options, "format": "text"}) == 0
    assert capsys.readouterr().out.strip() == "ab bab"
    assert command([tmp_path / "page.png"], options) == 0
    shown = capsys.readouterr().out
    assert "2 words" in shown and "ab bab" in shown


def test_files_for_each_picture_and_overlays(models, tmp_path, capsys):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(two_words()).save(tmp_path / folder / "page.png")
    files = [tmp_path / "one", tmp_path / "two"]
    options = {"model": str(models), "layout": "rules", "format": "hocr"}
    assert command(files, {**options, "out": tmp_path / "out", "render": tmp_path / "drawn"}) == 0
    made = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert made == ["page.hocr", "page_2.hocr"]
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "page_2_found.png"))
    assert drawn.shape == (100, 300, 3)
    assert (drawn != drawn[..., :1]).any()  # something coloured
    with pytest.raises(CommandError, match="give --out FOLDER"):
        command(files, options)


def test_the_older_spelling_draws_under_the_older_names(models, tmp_path):
    Image.fromarray(two_words()).save(tmp_path / "page.png")
    arguments = ["predict", "ocr", str(tmp_path / "page.png"), "--model", str(models)]
    older = ["-o", "layout", "rules", "-o", "overlay", str(tmp_path / "drawn")]
    done = CliRunner().invoke(app, [*arguments, *older])
    assert done.exit_code == 0
    assert "-o layout VALUE is written --layout VALUE now" in done.stderr
    assert [file.name for file in (tmp_path / "drawn").iterdir()] == ["page.png"]


def test_errors_of_files_stand_where_the_answers_are(models, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    options = {"model": str(models), "layout": "rules"}
    assert command([tmp_path / "bad.png"], options) == 1
    told = capsys.readouterr()
    assert "not a picture" in told.out and told.err == ""
    # but not in the middle of a document
    assert command([tmp_path / "bad.png"], {**options, "format": "hocr"}) == 1
    told = capsys.readouterr()
    assert told.out == "" and "not a picture" in told.err


@pytest.mark.parametrize(
    "options, told",
    [
        ({"format": "pdf"}, "format is 'pdf'; expected one of json, text, hocr, alto"),
        ({"beams": 0}, "beams is 0"),
        ({"detection": "nowhere.onnx"}, "nowhere.onnx"),
    ],
)
def test_options_that_cannot_be(models, options, told):
    with pytest.raises(CommandError, match=told):
        command([models], {"model": str(models), "layout": "rules", **options})


def test_an_overlay_leaves_the_picture_as_it_was(models):
    image = two_words()
    before = image.copy()
    page = predictor(models).predict(image)
    drawn = overlay.draw_page(image, page)
    assert drawn.dtype == np.uint8 and drawn.shape == (100, 300, 3)
    assert np.array_equal(image, before)
    bare = overlay.draw_page(image, page, texts=False)
    assert (bare != drawn).any()


def test_prediction_never_imports_torch(models, tmp_path):
    Image.fromarray(two_words()).save(tmp_path / "page.png")
    code = (
        "import sys; from pathlib import Path\n"
        "from sightbook.ocr.inference.predict import command\n"
        "code = command([Path(sys.argv[1])], {'json': True, 'model': sys.argv[2], "
        "'layout': 'rules', 'render': sys.argv[3]})\n"
        "assert not {'torch', 'onnx', 'matplotlib'} & set(sys.modules), sys.modules.keys()\n"
        "sys.exit(code)"
    )
    arguments = [str(tmp_path / "page.png"), str(models), str(tmp_path / "drawn")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["paragraphs"]
