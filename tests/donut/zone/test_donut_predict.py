"""The predictor as a user meets it: files in, readings out, no torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sightbook.donut.mrz import build as mrz
from sightbook.donut.zone import predict
from sightbook.donut.zone.geometry import Zone
from sightbook.inference.command import CommandError
from sightbook.params import repository_root
from sightbook.runs.run import RunError

REFERENCE = repository_root() / "outputs" / "reference" / "donut"
ERIKSSON = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


@pytest.fixture(scope="module")
def predictor():
    return predict.Predictor(REFERENCE / "model.onnx", threads=1)


@pytest.fixture(scope="module")
def passport():
    from sightbook.donut.synth.documents import render_document

    for index in range(50):
        drawn = render_document(77, index, (1280, 960), "passport")
        if drawn.note == "" and Zone(drawn.line_quads, 1.0).width > 700:
            return drawn
    raise AssertionError("no ordinary passport among fifty")


def test_types_are_told_by_lines_and_their_lengths():
    assert predict.guess_type(["<" * 30] * 3) == "TD1"
    assert predict.guess_type(["I" + "<" * 35] * 2) == "TD2"
    assert predict.guess_type(["V" + "<" * 35] * 2) == "MRVB"
    assert predict.guess_type(["P" + "<" * 43] * 2) == "TD3"
    assert predict.guess_type(["V" + "<" * 41, "A" * 44]) == "MRVA"
    # one character too few in a line is still that type; half a line is none
    assert predict.guess_type(["P" + "<" * 42, "A" * 44]) == "TD3"
    assert predict.guess_type(["P" * 20, "A" * 20]) is None
    assert predict.guess_type(["P" * 44]) is None


def test_allowed_text_wants_length_and_characters():
    assert all(predict.allowed_text("TD3", row, line) for row, line in enumerate(ERIKSSON))
    assert not predict.allowed_text("TD3", 0, ERIKSSON[0][:-1])
    # a digit in a name, a letter in a date
    assert not predict.allowed_text("TD3", 0, ERIKSSON[0].replace("ANNA", "4NNA"))
    assert not predict.allowed_text("TD3", 1, ERIKSSON[1].replace("740812", "74O812"))


def test_upside_down_twice_is_the_same_zone():
    quads = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    zone = Zone(quads, 0.5)
    turned = predict.upside_down(zone)
    np.testing.assert_array_equal(turned.quads[0, 0], quads[2, 2])
    np.testing.assert_array_equal(predict.upside_down(turned).quads, quads)


def test_reads_a_generated_passport(predictor, passport):
    reading = predictor.predict(passport.image)
    assert reading.lines == passport.lines
    assert reading.type == "TD3" and reading.valid
    assert 0.5 < reading.confidence <= 1
    assert np.abs(reading.quads - passport.line_quads).max() < 12
    assert len(reading.characters_confidence[1]) == 44
    assert set(reading.fields_confidence) >= {"document_number", "birth_date", "sex"}


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_reads_it_at_every_rotation(predictor, passport, quarters):
    turned = np.ascontiguousarray(np.rot90(passport.image, quarters))
    assert predictor.predict(turned).lines == passport.lines


def test_finds_nothing_where_nothing_is(predictor):
    rng = np.random.default_rng(0)
    for image in (
        np.full((600, 800, 3), 255, np.uint8),
        rng.integers(0, 255, (400, 300, 3), np.uint8),
        np.zeros((3, 5, 3), np.uint8),
    ):
        reading = predictor.predict(image)
        assert not reading.found and not reading.valid and reading.lines == []
        assert reading.to_dict()["mrz"] is None


def test_what_the_rules_change_is_reported(predictor, passport, monkeypatch):
    """The same picture read with and without the grammar differs only where `corrected` says."""
    plain = predict.Predictor(REFERENCE, threads=1, grammar=False).predict(passport.image)
    ruled = predictor.predict(passport.image)
    assert plain.corrected == []
    rebuilt = [list(line) for line in plain.lines]
    for change in ruled.corrected:
        rebuilt[change.row][change.column] = change.replaced
    assert ["".join(line) for line in rebuilt] == ruled.lines


def test_dictionary_is_json_and_agrees_with_the_parser(predictor, passport):
    found = json.loads(json.dumps(predictor.predict(passport.image).to_dict()))
    assert found["found"] is True
    assert found["mrz"]["lines"] == passport.lines
    assert found["mrz"]["fields"] == mrz.parse(passport.lines).to_dict()["fields"]
    assert found["mrz"]["valid"] is True
    assert {"confidence", "corrected", "seconds"} <= found.keys()


def test_command_reads_what_it_can_and_says_what_it_cannot(tmp_path, passport, capsys):
    Image.fromarray(passport.image).save(tmp_path / "a päss.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    pages = [Image.fromarray(passport.image), Image.new("RGB", (300, 200), "white")]
    pages[0].save(tmp_path / "scan.tiff", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "scan.pdf", save_all=True, append_images=pages[1:], resolution=150)
    code = predict.command([tmp_path], {"json": True, "model": str(REFERENCE), "threads": 1})
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    found = {row["file"].split("/")[-1]: row for row in rows}
    assert found["a päss.png"]["mrz"]["lines"] == passport.lines
    assert "error" in found["broken.jpg"]
    for name in ("scan.tiff", "scan.pdf"):
        assert found[f"{name}#page=1"]["mrz"]["lines"] == passport.lines
        assert found[f"{name}#page=2"]["found"] is False


def test_command_says_what_is_wrong_with_its_model_in_one_sentence(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(CommandError, match=r"model\.onnx"):
        predict.command([], {"model": str(tmp_path / "model.onnx")})


def test_command_draws_the_zone_on_copies(tmp_path, passport, predictor, capsys):
    Image.fromarray(passport.image).save(tmp_path / "p.png")
    options = {"model": str(REFERENCE), "threads": 1, "render": tmp_path / "drawn"}
    assert predict.command([tmp_path / "p.png"], options) == 0
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "p_found.png"))
    changed = np.argwhere((drawn != passport.image).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    low, high = passport.line_quads.min(axis=(0, 1)), passport.line_quads.max(axis=(0, 1))
    assert left < low[0] + 12 and right > high[0] - 12
    assert top < low[1] and bottom > high[1] - 12


def test_description_for_the_terminal(predictor, passport):
    text = predict.describe("x.jpg", predictor.predict(passport.image))
    assert text.startswith("x.jpg: TD3, valid")
    assert passport.lines[1] in text


def test_no_such_model_names_what_there_is():
    with pytest.raises(RunError, match="nosuchrun"):
        predict.Predictor("nosuchrun")


def test_never_imports_torch(tmp_path, passport):
    Image.fromarray(passport.image).save(tmp_path / "p.png")
    code = (
        "import sys; from sightbook import donut; from sightbook.data.images import open_image\n"
        f"r = donut.Predictor({str(REFERENCE)!r}, threads=1).predict(open_image(sys.argv[1]))\n"
        "assert r.found\n"
        "print(sorted({'torch', 'lightning', 'transformers', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
