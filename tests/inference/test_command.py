"""The commands of all lines: options that are known, one answer a picture, names that are free."""

import json
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from sightbook.inference.command import CommandError, free_name, predict_files, setting_up, settings
from sightbook.runs.run import RunError


@pytest.fixture
def files(tmp_path):
    """A good picture, one that is none, and one whose reading fails."""
    for name, side in (("good.png", 40), ("tiny.png", 4)):
        Image.fromarray(np.full((side, side, 3), 200, np.uint8)).save(tmp_path / name)
    (tmp_path / "none.png").write_bytes(b"no picture")
    return [tmp_path / name for name in ("good.png", "none.png", "tiny.png", "good.png")]


@dataclass
class Width:
    """What is predicted: how wide a picture is."""

    pixels: int

    def to_dict(self):
        return {"width": self.pixels}


def width(image):
    if image.shape[1] < 10:
        raise ValueError("4 pixels wide; expected 10")
    return Width(image.shape[1])


def predicted(files, **more):
    def describe(name, result):
        return f"{name}: {result.pixels} wide"

    options = {name: more.pop(name) for name in ("json", "render") if name in more}
    return predict_files(
        files, options, width, describe=describe, draw=lambda image, _: 255 - image, **more
    )


def test_a_bad_picture_is_told_and_the_next_one_taken(files, capsys):
    assert predicted(files, json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert [row.get("width") for row in rows] == [40, None, None, 40]
    assert "none.png" in rows[1]["error"]
    assert rows[2]["error"] == "4 pixels wide; expected 10"
    assert predicted(files[:1]) == 0


def test_the_terminal_gets_text_that_names_the_file_once(files, capsys):
    predicted(files)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{files[0]}: 40 wide"
    assert lines[1].count("none.png") == 1
    assert lines[2] == f"{files[2]}: 4 pixels wide; expected 10"


def test_errors_may_be_told_apart_from_the_answers(files, capsys):
    predicted(files, errors=sys.stderr)
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"{files[0]}: 40 wide"] * 2
    assert [line.count("png") for line in told.err.splitlines()] == [1, 1]


def test_copies_are_drawn_and_kept_apart_by_name(files, tmp_path):
    predicted(files, render=tmp_path / "drawn")
    drawn = sorted(file.name for file in (tmp_path / "drawn").iterdir())
    assert drawn == ["good_2_found.png", "good_found.png"]
    assert (np.asarray(Image.open(tmp_path / "drawn" / drawn[0])) == 55).all()


def test_what_else_is_done_may_be_shown_in_place_of_the_answer(files, capsys):
    predicted(files[:1], json=True, also=lambda name, stem, result: f"{stem} {result.pixels}")
    assert capsys.readouterr().out == "good 40\n"
    predicted(files[:1], also=lambda name, stem, result: None)
    assert capsys.readouterr().out == f"{files[0]}: 40 wide\n"


def test_options_that_are_not_set_are_left_to_the_predictor():
    assert settings({"beams": 4, "tile": None, "crop": False}, "beams", "tile", "crop", "x") == {
        "beams": 4,
        "crop": False,
    }


@pytest.mark.parametrize("error", [RunError, ValueError, TypeError, FileNotFoundError])
def test_what_a_predictor_refuses_is_the_command_lines_fault(error):
    with pytest.raises(CommandError, match="no such model"), setting_up():
        raise error("no such model")


def test_pictures_of_one_name_get_files_of_their_own():
    taken = set()
    names = ["a/x.png", "b/x.jpg", "x.pdf#page=2", "x.pdf#page=2", "y.png"]
    assert [free_name(name, taken) for name in names] == ["x", "x_2", "x-2", "x-2_2", "y"]
