"""Artwork families: what is one artwork is linked, what is not is left apart."""

import cv2
import numpy as np
import pytest

from sightbook.docclass.data import pool
from sightbook.docclass.families import find_families, signature
from sightbook.docclass.synth.templates import render_template
from sightbook.params import repository_root
from sightbook.synth import degrade

DOCUMENTS = repository_root().parent / "shared" / "data" / "documents"


def card(index, side=320):
    return render_template(5, index, side, "card").image


def links(*images):
    names = [f"t{index}" for index in range(len(images))]
    families, found = find_families([signature(image) for image in images], names)
    return families, found


@pytest.mark.parametrize("index", range(4))
def test_a_copy_at_another_size_and_compression_is_a_duplicate(index):
    image = card(index)
    copy = degrade.jpeg(np.asarray(cv2.resize(image, None, fx=0.6, fy=0.6)), 60)
    families, found = links(image, copy)
    assert families == ["t0", "t0"]
    assert [(link.a, link.b, link.kind) for link in found] == [("t0", "t1", "duplicate")]
    assert found[0].gradient_correlation > 0.9


@pytest.mark.parametrize("index", range(4))
def test_the_same_artwork_in_another_colour_or_with_another_mark_is_one_family(index):
    image = card(index)
    colour = np.ascontiguousarray(image[..., [2, 0, 1]])
    mark = image.copy()
    height, width = mark.shape[:2]
    mark[int(0.8 * height) : -4, int(0.8 * width) : -4] = (250, 250, 250)
    families, found = links(image, colour, mark)
    assert families == ["t0"] * 3
    assert {link.kind for link in found if "t1" in (link.a, link.b)} == {"artwork"}


def test_different_artwork_is_left_apart():
    rng = np.random.default_rng(0)
    motifs = []
    for _ in range(30):
        small = rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)
        motifs.append(cv2.GaussianBlur(cv2.resize(small, (320, 200), interpolation=2), (0, 0), 3))
    families, found = links(*motifs)
    assert found == []
    assert len(set(families)) == 30


def test_links_are_followed_and_pictures_of_one_class_make_none():
    a, b = card(1), card(2)
    names = ["x", "x", "y", "z"]
    families, found = find_families([signature(i) for i in (a, b, a, b)], names)
    # y is like one picture of x, z like the other: one family.
    assert families == ["x"] * 4
    assert sorted((link.a, link.b) for link in found) == [("x", "y"), ("x", "z")]
    assert find_families([], []) == ([], [])


@pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="the real pictures are not here")
def test_real_templates_fall_into_small_families_on_one_side_of_the_split(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    found = pool(DOCUMENTS)
    families = found.families()
    assert len(found.classes) == 469
    assert 380 < len(families) < 450
    assert max(map(len, families.values())) < 30
    for members in families.values():
        assert len({item.split for item in members}) == 1
