"""Templates as arrays."""

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import ImageError, Skipped
from sightbook.docclass import store
from sightbook.docclass.data import TemplateClass


def picture(path, size, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_classes_of_several_pictures_and_their_true_shape(tmp_path):
    a = picture(tmp_path / "a.png", (300, 200), (255, 0, 0))
    b1 = picture(tmp_path / "b" / "1.png", (100, 400), (0, 255, 0))
    b2 = picture(tmp_path / "b" / "2.png", (50, 50), (0, 0, 255))
    made = store.load_store(
        [TemplateClass("a", (a,), family="f"), TemplateClass("b", (b1, b2))], side=64
    )
    assert made.pixels.shape == (3, 64, 64, 3)
    assert made.names == ["a", "b"]
    assert made.families == ["f", "b"]
    assert made.members() == [[0], [1, 2]]
    np.testing.assert_allclose(made.aspects, [1.5, 0.25, 1.0])
    assert made.pixels[1, 30, 30].tolist() == [0, 255, 0]


def test_a_class_of_which_nothing_can_be_read_is_left_out_and_reported(tmp_path):
    good = picture(tmp_path / "good.png", (64, 64), (9, 9, 9))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    classes = [TemplateClass("bad", (bad,)), TemplateClass("good", (good,))]
    skipped = Skipped(5)
    made = store.load_store(classes, 32, skipped)
    assert made.names == ["good"]
    assert made.classes.tolist() == [0]
    assert [name for name, _ in skipped] == [str(bad)]
    with pytest.raises(ImageError, match=r"bad\.png"):
        store.load_store(classes, 32)


def test_generated_templates_do_not_depend_on_how_many_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    three = store.synthetic_store(3, seed=5, side=48)
    last = store.synthetic_store(1, seed=5, first=2, side=48)
    np.testing.assert_array_equal(three.pixels[2:], last.pixels)
    assert three.names[2] == last.names[0]
    again = store.synthetic_store(3, seed=5, side=48)  # now from the cache
    np.testing.assert_array_equal(again.pixels, three.pixels)
    other = store.synthetic_store(3, seed=6, side=48)
    assert not np.array_equal(other.pixels, three.pixels)


def test_joined_stores_keep_their_classes_apart(tmp_path):
    a = picture(tmp_path / "a.png", (64, 64), (255, 0, 0))
    part = store.load_store([TemplateClass("a", (a,))], 32)
    both = store.join([part, part])
    assert both.classes.tolist() == [0, 1]
    assert both.names == ["a", "a"]
    assert len(both) == 2
