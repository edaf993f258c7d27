"""Prediction: which registered type, or none of them; bad input is told and passed over."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pixel_model import write_pixel_model

from sightbook.docclass.predict import Predictor, command
from sightbook.docclass.quad import find_quads, straighten
from sightbook.docclass.registry import Registry, RegistryError
from sightbook.docclass.synth.views import render_view
from sightbook.inference.command import CommandError
from sightbook.runs.run import RunError


def artwork(seed, size=(160, 100)):
    """A picture of a few large coloured fields."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A model, and a folder of three types: one of them with two templates."""
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    write_pixel_model(tmp_path / "model.onnx")
    templates = tmp_path / "templates"
    (templates / "two sides").mkdir(parents=True)
    Image.fromarray(artwork(1)).save(templates / "plain.png")
    Image.fromarray(artwork(2)).save(templates / "身分證.png")
    Image.fromarray(artwork(3)).save(templates / "two sides" / "front.png")
    Image.fromarray(artwork(4)).save(templates / "two sides" / "back.png")
    return tmp_path


def predictor(place, **options):
    return Predictor(place / "model.onnx", place / "templates", **options)


def test_the_type_its_score_and_the_runner_up(place):
    made = predictor(place)
    assert sorted(made.registry.types) == ["plain", "two sides", "身分證"]
    for seed, type in ((1, "plain"), (2, "身分證"), (3, "two sides"), (4, "two sides")):
        view = render_view(artwork(seed, (192, 192)), 1.6, np.random.default_rng(0), "easy")
        found = made.predict(view)
        assert found.type == found.candidate == type
        assert found.runner_up != type
        assert found.score > found.runner_up_score
        assert found.threshold == 0.6


def test_what_is_not_registered_is_none_with_its_nearest_told(place):
    found = predictor(place).predict(artwork(77))
    assert found.type is None
    assert found.candidate in ("plain", "two sides", "身分證")
    assert found.score < 0.6
    assert predictor(place, threshold=-1.0).predict(artwork(77)).type == found.candidate


def test_embeddings_do_not_depend_on_the_batch_or_on_grey_being_three_channels(place):
    made = predictor(place)
    pictures = [artwork(seed, (40 + seed, 60)) for seed in range(70)]
    together = made.embed(pictures)
    assert together.shape == (70, 192)
    np.testing.assert_allclose(together[69:], made.embed(pictures[69:]), atol=1e-6)
    grey = artwork(1)[..., 0]
    np.testing.assert_allclose(made.embed([grey]), made.embed([np.stack([grey] * 3, -1)]))
    assert made.embed([]).shape == (0, 192)


def test_types_can_be_registered_by_hand(place):
    made = Predictor(place / "model.onnx")
    with pytest.raises(RegistryError, match="registry is empty"):
        made.predict(artwork(5))
    made.register("new", artwork(5))
    assert made.predict(artwork(5)).type == "new"
    assert made.predict(artwork(5)).runner_up is None


def test_embeddings_are_kept_by_content_and_dropped_with_the_model(place, monkeypatch):
    embedded = []
    embed = Predictor.embed

    def counted(self, images):
        images = list(images)
        embedded.append(len(images))
        return embed(self, images)

    monkeypatch.setattr(Predictor, "embed", counted)
    predictor(place)
    predictor(place)
    (place / "templates" / "plain.png").rename(place / "templates" / "renamed.png")
    assert "renamed" in predictor(place).registry.types
    assert embedded == [4]  # nothing was computed again
    Image.fromarray(artwork(9)).save(place / "templates" / "renamed.png")
    made = predictor(place)
    assert embedded == [4, 1]
    assert made.predict(artwork(9)).type == "renamed"
    write_pixel_model(place / "model.onnx", weights="others")
    predictor(place)
    assert embedded == [4, 1, 1, 4]  # the prediction, then everything by the new model


def test_a_saved_registry_is_used_and_one_of_another_model_refused(place):
    predictor(place).registry.save(place / "r.npz")
    again = Predictor(place / "model.onnx", place / "r.npz")
    assert again.predict(artwork(2)).type == "身分證"
    write_pixel_model(place / "model.onnx", weights="others")
    with pytest.raises(RegistryError, match="made by model pixels, this is model others"):
        Predictor(place / "model.onnx", place / "r.npz")
    with pytest.raises(RegistryError, match="made by model x, this is model others"):
        Predictor(place / "model.onnx", Registry("x", 192))


def test_bad_templates_are_told_and_the_rest_is_registered(place, capsys):
    folder = place / "templates"
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no")
    Image.new("RGB", (8, 200)).save(folder / "thin.png")
    Image.fromarray(artwork(6)).save(folder / "plain.jpg")
    made = predictor(place)
    told = "\n".join(made.problems)
    assert "broken.jpg" in told
    assert "thin.png: is 8x200 pixels" in told
    assert "'plain'" in told and "rename one" in told
    assert sorted(made.registry.types) == ["plain", "two sides", "身分證"]


def test_an_empty_register_is_an_error_with_the_reasons(place):
    empty = place / "empty"
    empty.mkdir()
    (empty / "a.png").write_bytes(b"")
    with pytest.raises(RegistryError, match=r"holds no usable template\n.*a\.png"):
        Predictor(place / "model.onnx", empty)


def test_a_model_without_threshold_or_of_another_line_says_what_to_do(place):
    write_pixel_model(place / "model.onnx", threshold=None)
    with pytest.raises(ValueError, match="run 03_evaluate_docclass on its run, or give one"):
        predictor(place).predict(artwork(1))
    assert predictor(place, threshold=0.5).predict(artwork(1)).type == "plain"
    with pytest.raises(RunError):
        Predictor("no such run")


def test_the_command_answers_in_json_and_passes_over_bad_files(place, capsys):
    photos = place / "photos"
    photos.mkdir()
    Image.fromarray(artwork(2)).save(photos / "ü.png")
    Image.fromarray(artwork(77)).save(photos / "v.png")
    (photos / "w.png").write_bytes(b"nothing")
    Image.new("RGB", (10, 10)).save(photos / "x.png")
    options = {
        "json": True,
        "model": str(place / "model.onnx"),
        "register": place / "templates",
        "save": str(place / "kept.npz"),
    }
    assert command([photos], options) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = sorted(lines, key=lambda row: "üvwx".index(Path(row["file"]).stem))
    assert [row.get("type", "error") for row in rows] == ["身分證", None, "error", "error"]
    assert {
        "file",
        "type",
        "score",
        "candidate",
        "runner_up",
        "runner_up_score",
        "threshold",
    } <= set(rows[0])
    assert rows[1]["candidate"]
    assert "10x10 pixels" in rows[3]["error"]
    assert len(Registry.load(place / "kept.npz")) == 4
    assert command([photos / "ü.png"], options) == 0
    with pytest.raises(CommandError, match="give --register FOLDER"):
        command([photos], {**options, "register": None})
    capsys.readouterr()
    assert command([photos / "ü.png"], {**options, "render": place / "drawn"}) == 0
    drawn = np.asarray(Image.open(place / "drawn" / "ü_found.png"))
    assert drawn.shape == artwork(2).shape and (drawn != artwork(2)).any()


def test_a_card_in_a_photo_is_found_and_straightened():
    card = artwork(1, (158, 100))
    rng = np.random.default_rng(0)
    photo = np.full((480, 640, 3), (120, 96, 70), np.uint8)
    photo += rng.integers(0, 12, photo.shape, dtype=np.uint8)
    import cv2

    corners = np.array([[180, 120], [430, 160], [410, 320], [165, 275]], np.float32)
    source = np.array([[0, 0], [158, 0], [158, 100], [0, 100]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, corners)
    cv2.warpPerspective(card, matrix, (640, 480), photo, borderMode=cv2.BORDER_TRANSPARENT)
    found = find_quads(photo)
    assert found
    assert np.abs(found[0] - corners).max() < 8
    straight = straighten(photo, found[0], 158)
    wanted = np.asarray(Image.fromarray(card).resize(straight.shape[1::-1]))
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(straight[inner].astype(int) - wanted[inner]).mean() < 12


def test_a_photo_without_a_card_gives_no_quads():
    plain = np.full((300, 400, 3), 130, np.uint8)
    assert find_quads(plain) == []
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert find_quads(noise) == []


def test_cropping_recognises_a_small_card_and_never_hurts_a_cut_out_one(place):
    photo = np.full((480, 640, 3), (120, 96, 70), np.uint8)
    photo[180:305, 220:420] = artwork(2, (200, 125))
    whole, cropped = predictor(place).predict(photo), predictor(place, crop=True).predict(photo)
    assert whole.type is None
    assert cropped.type == "身分證"
    assert cropped.quad is not None
    assert predictor(place, crop=True).predict(artwork(1)).type == "plain"


def test_prediction_never_imports_torch(place):
    code = (
        "import sys; import sightbook.docclass as d\n"
        f"p = d.Predictor({str(place / 'model.onnx')!r}, {str(place / 'templates')!r}, crop=True)\n"
        "import numpy as np; p.predict(np.zeros((64, 64, 3), np.uint8))\n"
        "from sightbook.docclass import metrics, evaluate\n"
        "print([m for m in ('torch', 'timm', 'matplotlib.pyplot', 'onnx') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
