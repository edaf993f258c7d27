"""Text as masks, and ink laid through them: in its place, cut at borders, in the right colour."""

import cv2
import numpy as np
import pytest

from sightbook.synth.fonts import matplotlib_font
from sightbook.synth.lettering import TextLayer, ink, ink_at, overlap, text_advance, text_ink


def test_ink_is_where_the_font_puts_it():
    sans = matplotlib_font("DejaVuSans.ttf")
    tall, low = text_ink("H", sans, 100), text_ink("x", sans, 100)
    assert tall.top == -tall.mask.shape[0] == -73
    assert low.mask.shape[0] == pytest.approx(55, abs=1)
    tail = text_ink("p", sans, 100)
    assert tail.top + tail.mask.shape[0] > 15
    assert text_ink(" ", sans, 100).mask.size == 0
    assert text_ink(" ", sans, 100).advance > 20
    edges = cv2.reduce(tall.mask, 0, cv2.REDUCE_MAX).ravel()
    assert edges[0] > 0 and edges[-1] > 0


def test_the_pen_moves_over_a_text_as_over_its_letters():
    sans = matplotlib_font("DejaVuSans.ttf")
    letters = sum(text_advance(letter, sans, 40) for letter in "Zone")
    assert text_advance("Zone", sans, 40) == pytest.approx(letters, abs=1)
    assert text_ink("Zone", sans, 40).advance == text_advance("Zone", sans, 40)


@pytest.mark.parametrize(
    ("x", "y", "there", "part"),
    [
        (3, 2, (slice(2, 6), slice(3, 8)), (slice(0, 4), slice(0, 5))),
        (-2, -1, (slice(0, 3), slice(0, 3)), (slice(1, 4), slice(2, 5))),
        (17, 8, (slice(8, 10), slice(17, 20)), (slice(0, 2), slice(0, 3))),
        (20, 0, None, None),
        (0, -4, None, None),
    ],
)
def test_a_patch_is_cut_where_it_sticks_out(x, y, there, part):
    both = overlap(np.zeros((10, 20)), np.zeros((4, 5)), x, y)
    assert both == (None if there is None else (there, part))


def test_ink_covers_what_its_mask_says():
    image = np.full((10, 20, 3), 200, np.uint8)
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 5:9], mask[6, 6] = 255, 128
    ink(image, mask, (10, 20, 30))
    assert image[3, 8].tolist() == [10, 20, 30]
    assert image[0, 0].tolist() == [200, 200, 200]
    np.testing.assert_allclose(image[6, 6], [105, 110, 115], atol=2)


def test_ink_at_a_border_is_cut_and_takes_its_colours_along():
    image = np.zeros((10, 20, 3), np.uint8)
    colours = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    ink_at(image, np.full((4, 5), 255, np.uint8), -2, 8, colours)
    assert image[8:, :3].tolist() == colours[:2, 2:].tolist()
    assert not image[:8].any() and not image[:, 3:].any()


def test_a_condensed_layer_is_narrower_by_its_share():
    lengths = []
    for condense in (1.0, 0.8):
        layer = TextLayer(300, 40, condense)
        end = layer.write(10, 30, "NARROW", "sans", 20)
        columns = np.flatnonzero(layer.mask().max(0))
        assert layer.mask().shape == (40, 300)
        assert columns[0] >= 9 and columns[-1] <= end + 1
        lengths.append(end - 10)
    assert lengths[1] == pytest.approx(0.8 * lengths[0], rel=0.02)
    assert TextLayer(300, 40).fit("NARROW", "sans", 20, 50) < 20
