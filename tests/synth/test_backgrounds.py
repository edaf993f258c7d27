"""Backgrounds: functions of their seed, of the size asked for, unlike one another."""

import numpy as np
import pytest

from sightbook.synth import backgrounds
from sightbook.synth.fingers import draw_bent_finger, draw_finger, draw_flat_finger


def rng(seed):
    return np.random.default_rng(seed)


PAINTERS = {
    "desk": lambda seed: backgrounds.desk(rng(seed), 120, 90),
    "small": lambda seed: backgrounds.small_background(rng(seed), 96),
    "ground": lambda seed: backgrounds.draw_background(rng(seed), 120, 90),
}


@pytest.mark.parametrize("paint", PAINTERS.values(), ids=PAINTERS)
def test_a_background_follows_from_its_seed_alone(paint):
    first = [paint(seed) for seed in range(6)]
    again = [paint(seed) for seed in reversed(range(6))][::-1]
    for one, two in zip(first, again, strict=True):
        assert one.dtype == np.uint8 and one.ndim == 3
        np.testing.assert_array_equal(one, two)
    assert len({image.tobytes() for image in first}) == 6


def test_sizes_are_those_asked_for():
    assert backgrounds.desk(rng(1), 131, 77).shape == (77, 131, 3)
    assert backgrounds.small_background(rng(1), 51).shape == (51, 51, 3)
    assert backgrounds.draw_background(rng(1), 131, 77).shape == (77, 131, 3)


def test_clouds_are_smooth_noise_of_about_unit_deviation():
    field = np.stack([backgrounds.clouds(rng(seed), (60, 90), 6) for seed in range(20)])
    assert field.std() == pytest.approx(1, abs=0.35)
    steps = np.abs(np.diff(field, axis=2)).mean()
    assert steps < 0.25 * np.abs(np.diff(backgrounds.grain(rng(0), (60, 90)))).mean()


def test_colours_lie_between_two():
    low, high = np.array([10.0, 20, 30]), np.array([110.0, 220, 230])
    shares = np.array([[0, 0.5, 1.0]])
    colours = backgrounds.between(shares, low, high)
    assert colours.tolist() == [[[10, 20, 30], [60, 120, 130], [110, 220, 230]]]


def test_a_finger_lies_where_it_is_put():
    for draw in (
        lambda image: draw_finger(rng(1), image, np.array([30.0, 40]), np.array([30.0, 99]), 12),
        lambda image: draw_flat_finger(image, (30, 40), (30, 99), 12, (230, 190, 160)),
        lambda image: draw_bent_finger(
            rng(1), image, *np.array([[30.0, 40], [30, 70], [30, 99]]), 12, np.full(3, 200)
        ),
    ):
        image = np.zeros((100, 80, 3), np.uint8)
        draw(image)
        covered = np.argwhere(image.any(2))
        assert covered.min(0).tolist() == pytest.approx([33, 23], abs=2)
        assert covered.max(0).tolist() == pytest.approx([99, 37], abs=2)
