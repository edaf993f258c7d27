"""Outlines and texts on a copy of an image."""

import numpy as np

from sightbook.figures.overlay import BAD, GOOD, draw_labelled


def test_outlines_and_texts_are_drawn_on_a_copy():
    image = np.full((120, 200, 3), 255, np.uint8)
    before = image.copy()
    box = np.array([[40, 60], [160, 60], [160, 100], [40, 100]], np.float32)
    drawn = draw_labelled(image, [box], ["two\nlines"])
    assert (image == before).all()
    assert tuple(drawn[100, 100]) == GOOD and tuple(drawn[80, 40]) == GOOD
    assert (drawn[70:95, 50:150] == 255).all()  # nothing within
    above = (drawn[:59] != 255).any(axis=2)
    single = (draw_labelled(image, [box], ["two"])[:59] != 255).any(axis=2)
    assert np.argwhere(above)[:, 1].min() == 40
    assert np.argwhere(above)[:, 0].min() < np.argwhere(single)[:, 0].min()
    bare = draw_labelled(image, [box], [""], BAD)
    assert (bare[:59] == 255).all() and tuple(bare[60, 100]) == BAD


def test_texts_stay_on_the_image():
    image = np.zeros((60, 80, 3), np.uint8)
    corner = np.array([[70, 2], [79, 2], [79, 9], [70, 9]], np.float64)
    drawn = draw_labelled(image, [corner], ["a long text"])
    assert (drawn[:, :40] != 0).any()
    assert draw_labelled(image, [], []).shape == image.shape
