"""The commands of all lines: options that are known, one answer a picture, names that are free."""

import json

import numpy as np
import pytest
from PIL import Image

from sightbook.predicting import answer_each, free_name, options_given


@pytest.fixture
def files(tmp_path):
    """A good picture, one that is none, and one whose reading fails."""
    for name, side in (("good.png", 40), ("tiny.png", 4)):
        Image.fromarray(np.full((side, side, 3), 200, np.uint8)).save(tmp_path / name)
    (tmp_path / "none.png").write_bytes(b"no picture")
    return [tmp_path / name for name in ("good.png", "none.png", "tiny.png", "good.png")]


def width(image, picture):
    if image.shape[1] < 10:
        raise ValueError("4 pixels wide; expected 10")
    return {"width": image.shape[1]}, f"{picture.name}: {image.shape[1]} wide"


def test_a_bad_picture_is_told_and_the_next_one_taken(files, capsys):
    assert answer_each(files, width, as_json=True) == 2
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert [row.get("width") for row in rows] == [40, None, None, 40]
    assert "none.png" in rows[1]["error"]
    assert rows[2]["error"] == "4 pixels wide; expected 10"


def test_the_terminal_gets_text_that_names_the_file_once(files, capsys):
    answer_each(files, width, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{files[0]}: 40 wide"
    assert lines[1].count("none.png") == 1
    assert lines[2] == f"{files[2]}: 4 pixels wide; expected 10"


def test_options_that_are_not_set_are_left_out_and_unknown_ones_refused(capsys):
    options = {"json": True, "model": None, "beams": 4, "register": "x"}
    given = options_given("donut", options, ("beams", "threads"), ("register",))
    assert given == {"json": True, "beams": 4, "register": "x"}
    assert options_given("donut", {"beamz": 4}, ("threads", "beams")) is None
    assert capsys.readouterr().err == "donut knows no option beamz; there are beams, threads\n"


def test_pictures_of_one_name_get_files_of_their_own():
    taken = set()
    names = ["a/x.png", "b/x.jpg", "x.pdf#page=2", "x.pdf#page=2", "y.png"]
    assert [free_name(name, taken) for name in names] == ["x", "x_2", "x-2", "x-2_2", "y"]
