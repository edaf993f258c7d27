"""The models that ship: they read, stay within the engine's contract, and need no torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sightbook.data.images import encode_image
from sightbook.inference import onnx
from sightbook.metrics.bootstrap import values_of
from sightbook.ocr.evaluation.metrics import evaluate_pages
from sightbook.ocr.inference import rten
from sightbook.ocr.inference.graphs import check_operators
from sightbook.ocr.inference.predict import Predictor
from sightbook.ocr.synth.pages import render_page
from sightbook.params import repository_root

SHIPPED = repository_root() / "outputs" / "reference" / "ocr"
PARTS = ("detection", "layout", "recognition")
RECORDS = ("params.yaml", "run.json", "metrics.json", "model_card.md", "model.onnx")

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from sightbook.cli import main
sys.argv = ["sightbook", "predict", "ocr", sys.argv[1], "--json"]
main()
"""


@pytest.fixture(scope="module")
def letters():
    """Typed letters, digital, in typefaces that no training has seen."""
    return [render_page(11, index, kind="letter", validation=True) for index in range(3)]


def test_letters_are_read(letters):
    predictor = Predictor()
    found = [predictor.predict(sample.image) for sample in letters]
    figures = values_of(evaluate_pages([sample.page for sample in letters], found, resamples=0))
    assert figures["words/F"] > 0.8
    assert figures["text/CER"] < 0.2


def test_an_empty_page_is_an_empty_result():
    page = Predictor().predict(np.full((400, 300, 3), 255, np.uint8))
    assert page.paragraphs == ()
    assert page.text() == ""


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3)])
def test_pictures_of_hardly_any_pixels_are_read_as_empty(shape):
    assert list(Predictor().predict(np.full((*shape, 3), 128, np.uint8)).words()) == []


@pytest.mark.parametrize("part", PARTS)
def test_records_are_complete_and_small(part):
    sizes = {name: (SHIPPED / part / name).stat().st_size for name in RECORDS}
    assert all(0 < size < 16e6 for size in sizes.values()), sizes
    assert onnx.read_metadata(SHIPPED / part / "model.onnx")["task"] == part


@pytest.mark.parametrize("part", ["detection", "recognition"])
def test_the_engine_can_load_them(part, tmp_path):
    file = SHIPPED / part / "model.onnx"
    check_operators(file)
    target = rten.convert(file, tmp_path / "model.rten")
    made = rten.check(target, file)
    assert list(made.inputs) == ["image" if part == "detection" else "line_image"]


def test_prediction_needs_no_torch(tmp_path, letters):
    file = tmp_path / "brief ä.png"
    file.write_bytes(encode_image(letters[0].image))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert page["file"] == str(file)
    assert {"image_width", "image_height", "paragraphs"} <= page.keys()
    word = page["paragraphs"][0]["lines"][0]["words"][0]
    assert {"text", "vertices", "box", "confidence"} <= word.keys()
