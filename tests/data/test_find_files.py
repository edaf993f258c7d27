"""Which file an annotation means: by its folders or by what lies near, never one outside."""

from pathlib import Path

import pytest

from sightbook.data.find_files import ImageFinder, path_of

SET = Path("/data/set")


def finding(prefer, *names):
    """A function from what an annotation says, and its file, to the image's name."""
    images = SET / "images"
    finder = ImageFinder([images / name for name in names], images, prefer=prefer)

    def found(name, near="annotations.json"):
        file = finder.find(name, SET / near)
        return None if file is None else finder.name(file)

    return found


def test_pictures_are_found_by_the_folders_a_name_ends_with():
    found = finding("named", "a.png", "x/a.png", "y/x/a.png", "b.jpg", "c.d.png")
    assert found("a.png") == "a.png"
    assert found("x/a.png") == "x/a.png" and found("far/x/a.png") == "x/a.png"
    assert found("y/x/a.png") == "y/x/a.png"
    assert found("b") == found("B.JPG") == "b.jpg"
    assert found("c.d") == "c.d.png"
    assert found("e.png") is None and found("") is None


def test_two_files_that_a_name_fits_alike_are_both_left():
    found = finding("named", "x/a.png", "y/a.png", "z/b.png", "z/b.jpg")
    assert found("a.png") is None and found("b") is None
    assert found("b.jpg") == "z/b.jpg"
    assert found("a.png", "images/y/a.json") == "y/a.png"


def test_the_nearest_to_the_annotation_is_preferred():
    found = finding("nearest", "a.png", "train/a.png", "test/a.png", "test/b.png", "test/b.jpg")
    assert found("a", "images/test/a.json") == "test/a.png"
    assert found("a", "images/train/page/a.xml") == "train/a.png"
    assert found("elsewhere/a.png", "images/a.json") == "a.png"
    assert found("b.png", "images/test/b.json") == "test/b.png"
    assert found("b.jpg", "images/test/b.json") == "test/b.jpg"
    assert found("b", "images/test/b.json") is not None
    assert found("test/a", "images/other/a.json") == "test/a.png"
    assert found("c") is None and found("") is None


def test_of_names_that_differ_in_case_the_exact_one_is_meant():
    found = finding("nearest", "A.png", "a.png", "b.PNG")
    assert (found("a"), found("A.png"), found("B")) == ("a.png", "A.png", "b.PNG")


def test_ids_are_unique_and_short_where_they_can_be():
    names = ("a.png", "x/b.png", "y/b.png", "y/c.png", "y/c.jpg")
    pictures = ImageFinder([SET / name for name in names], SET, prefer="nearest")
    ids = {pictures.name(file): pictures.unique_id(file) for file in pictures.files}
    assert ids == {
        "a.png": "a",
        "x/b.png": "x_b",
        "y/b.png": "y_b",
        "y/c.png": "y_c.png",
        "y/c.jpg": "y_c.jpg",
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (" x/a.png ", "x/a.png"),
        ("x\\a.png", "x/a.png"),
        ("AmlDatastore://store/paths/x/a%20b.png", "x/a b.png"),
        ("https://host.example/x/a.png?key=1", "host.example/x/a.png"),
    ],
)
def test_paths_of_urls(name, path):
    assert path_of(name).as_posix() == path


def test_nothing_outside_the_files_is_found():
    found = finding("named", "a.png")
    assert found("../b.png") is None and found(str(SET / "b.png")) is None
    assert found("../images/a.png") == "a.png"
