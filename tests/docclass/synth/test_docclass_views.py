"""Rendering of views: a function of the seed, true to colour, and as hard as it says."""

import cv2
import numpy as np
import pytest

from sightbook.docclass.store import Store
from sightbook.docclass.synth import backgrounds, views


def template(side=192):
    """Four quadrants of different colours with black bars: every corner can be told."""
    image = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    image[:half, :half] = (220, 40, 40)
    image[:half, half:] = (40, 200, 60)
    image[half:, half:] = (50, 60, 220)
    image[half:, :half] = (230, 220, 60)
    image[20:30, 20:150] = 0
    return image


def store(count=3, side=192):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    pixels = np.stack([cv2.resize(s, (side, side), interpolation=cv2.INTER_CUBIC) for s in small])
    names = [f"type {index}" for index in range(count)]
    aspects = np.full(count, 1.585, np.float32)
    return Store(pixels, aspects, np.arange(count), names, list(names), list(names))


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("level", [*views.LEVELS, "mixed"])
def test_a_view_is_a_function_of_its_seed(level):
    first = views.render_view(template(), 1.5, rng(1, 2), level)
    again = views.render_view(template(), 1.5, rng(1, 2), level)
    other = views.render_view(template(), 1.5, rng(1, 3), level)
    assert first.shape == (128, 128, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rendering_leaves_the_template_and_the_banks_alone():
    picture, bank = template(), backgrounds.background_bank(128)
    before, bank_before = picture.copy(), bank.copy()
    for index in range(40):
        views.render_view(picture, 1.5, rng(index), "wild")
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(bank, bank_before)


def test_with_everything_off_a_view_is_the_template_made_small():
    picture = template()
    view = views.render_view(picture, 1.5, rng(0), views.ViewSettings())
    wanted = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR)
    assert np.abs(view.astype(int) - wanted).mean() < 1.5


def test_levels_get_harder():
    """Similarity to the clean template, in plain pixels, falls from level to level."""
    drawn = store(12)
    clean = views.plain_pixels(drawn.pixels)
    means = []
    for level in ("easy", "medium", "hard", "wild"):
        seen, labels = views.views_of(drawn, 6, level, seed=1)
        means.append(float((views.plain_pixels(seen) * clean[labels]).sum(axis=1).mean()))
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.8


def test_colours_stay_what_they_are():
    """Types that differ in colour alone must stay different: red never looks blue or grey."""
    red = np.zeros((192, 192, 3), np.uint8)
    red[...] = (200, 30, 30)
    for index in range(60):
        view = views.render_view(red, 1.5, rng(7, index), "hard").astype(int)
        middle = view[52:76, 52:76].reshape(-1, 3)
        bright = middle[middle.max(axis=1) > 60]
        if len(bright) > 100 and np.median(bright.min(axis=1)) < 120:  # not burnt out or covered
            r, g, b = np.median(bright, axis=0)
            if max(r, g, b) - min(r, g, b) > 40:
                assert r > b


def test_views_of_a_class_do_not_depend_on_the_others():
    three, one = store(3), store(1)
    views_of_three, labels = views.views_of(three, 2, "medium", seed=5)
    views_of_one, _ = views.views_of(one, 2, "medium", seed=5)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(views_of_three[:2], views_of_one)


def test_several_pictures_of_a_class_take_turns():
    both = store(2)
    joined = Store(both.pixels, both.aspects, np.zeros(2, np.int64), ["a"], ["a"], both.sources)
    seen, labels = views.views_of(joined, 4, views.ViewSettings(), seed=0)
    assert labels.tolist() == [0, 0, 0, 0]
    near = views.plain_pixels(seen) @ views.plain_pixels(joined.pixels).T
    assert near.argmax(axis=1).tolist() == [0, 1, 0, 1]


def test_the_first_amount_of_a_factor_is_harmless_and_the_last_is_not():
    picture = template()
    clean = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA).astype(int)
    for factor, amounts in views.FACTORS.items():
        errors = [
            np.abs(views.render_factor(picture, 1.5, rng(3), factor, amount) - clean).mean()
            for amount in (amounts[0], amounts[-1])
        ]
        if factor == "light":  # from dark to bright: both ends are far, 1.0 is none
            none = views.render_factor(picture, 1.5, rng(3), factor, 1.0)
            assert np.abs(none - clean).mean() < 4
            continue
        assert errors[0] < 4, factor
        assert errors[1] > 2 * errors[0] + 2, factor


def test_crop_and_margin_move_the_document_as_said():
    picture = template()
    cropped = views.render_factor(picture, 1.0, rng(0), "crop", 0.5)
    quadrant = {tuple(np.median(cropped[40:88, 40:88].reshape(-1, 3), axis=0).astype(int))}
    # Half the width and height is one quadrant of one colour.
    assert quadrant <= {(220, 40, 40), (40, 200, 60), (50, 60, 220), (230, 220, 60)}
    wide = views.render_factor(picture, 1.0, rng(0), "margin", 0.5)
    # Half the extent on each side: the document covers the middle half.
    np.testing.assert_allclose(wide[40, 85], (40, 200, 60), atol=3)
    np.testing.assert_allclose(wide[90, 40], (230, 220, 60), atol=3)


def test_an_unknown_factor_is_named():
    with pytest.raises(KeyError, match="smell"):
        views.render_factor(template(), 1.0, rng(0), "smell", 1.0)


def test_occlusion_covers_about_the_share_it_says():
    covered = []
    for index in range(60):
        view = np.full((128, 128, 3), 255, np.uint8)
        backgrounds.occlude(view, rng(index), 0.2)
        covered.append(float((view != 255).any(axis=2).mean()))
    assert 0.1 < np.mean(covered) < 0.3
    assert min(covered) > 0


def test_the_curriculum_begins_easy_and_ends_mixed():
    first = {views.mixed_level(rng(i), 0.0) for i in range(200)}
    last = [views.mixed_level(rng(i), 1.0) for i in range(400)]
    assert first == {"easy", "medium"}
    assert set(last) == set(views.LEVELS)
    assert 0.15 < last.count("wild") / len(last) < 0.35


def test_plain_pixels_are_centred_and_of_unit_length():
    vectors = views.plain_pixels(store(3).pixels)
    assert vectors.shape == (3, 768)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=1e-6)
    flat = views.plain_pixels(np.full((1, 128, 128, 3), 9, np.uint8))
    assert np.isfinite(flat).all()
