"""Degradations keep shape and input, do what their names say, depend on nothing but the rng."""

import numpy as np
import pytest

from sightbook.synth import degrade


def checkerboard(height: int = 60, width: int = 90, side: int = 3) -> np.ndarray:
    rows, columns = np.indices((height, width)) // side
    return np.where((rows + columns) % 2, 200, 50).astype(np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


CHANGES = {
    "gaussian_blur": lambda img, r: degrade.gaussian_blur(img, 1.5),
    "defocus_blur": lambda img, r: degrade.defocus_blur(img, 2.0),
    "motion_blur": lambda img, r: degrade.motion_blur(img, 5.0, 30.0),
    "noise": lambda img, r: degrade.noise(img, r, 10.0),
    "coarse noise": lambda img, r: degrade.noise(img, r, 10.0, grain=2.5),
    "jpeg": lambda img, r: degrade.jpeg(img, 30),
    "downscale": lambda img, r: degrade.downscale(img, 2.5),
    "sharpen": lambda img, r: degrade.sharpen(img, 1.0, 1.0),
    "uneven_light": lambda img, r: degrade.uneven_light(img, r, 0.5),
    "cast_shadow": lambda img, r: degrade.cast_shadow(img, r, 0.6),
    "glare": lambda img, r: degrade.glare(img, r, 0.9),
    "contrast": lambda img, r: degrade.contrast(img, 0.5, 10.0),
    "gamma": lambda img, r: degrade.gamma(img, 1.8),
    "photocopy": lambda img, r: degrade.photocopy(img, r, 0.8),
    "binarize": lambda img, r: degrade.binarize(img, 15, 5),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("channels", [0, 3])
def test_changes_the_picture_but_neither_shape_nor_input(name: str, channels: int) -> None:
    img = checkerboard()
    img = np.repeat(img[..., None], 3, axis=2) if channels else img
    before = img.copy()
    out = CHANGES[name](img, rng())
    assert out.shape == img.shape
    assert out.dtype == np.uint8
    assert np.array_equal(img, before)
    assert not np.array_equal(out, img)
    assert np.array_equal(out, CHANGES[name](img, rng()))


def test_strength_zero_is_identity_and_no_alias() -> None:
    img = checkerboard()
    for out in (
        degrade.gaussian_blur(img, 0),
        degrade.motion_blur(img, 0, 0),
        degrade.noise(img, rng(), 0),
        degrade.downscale(img, 1),
        degrade.uneven_light(img, rng(), 0),
        degrade.glare(img, rng(), 0),
        degrade.photocopy(img, rng(), 0),
    ):
        assert np.array_equal(out, img)
        assert out is not img


def test_motion_blur_follows_its_angle() -> None:
    img = np.zeros((41, 41), np.uint8)
    img[20, 20] = 255
    across = degrade.motion_blur(img, 9, 0)
    down = degrade.motion_blur(img, 9, 90)
    assert np.count_nonzero(across[20]) >= 9
    assert np.count_nonzero(across[:, 20]) == 1
    assert np.array_equal(across, down.T)


def test_noise_has_the_asked_sigma() -> None:
    img = np.full((300, 300), 128, np.uint8)
    assert np.std(degrade.noise(img, rng(), 12.0).astype(float)) == pytest.approx(12.0, rel=0.05)
    # More pixels than the bank of noise holds.
    large = np.full((2100, 2100), 128, np.uint8)
    assert np.std(degrade.noise(large, rng(), 5.0).astype(float)) == pytest.approx(5.0, rel=0.05)


def test_light_only_lightens_and_shadow_only_darkens() -> None:
    img = checkerboard()
    assert (degrade.glare(img, rng(3), 0.9).astype(int) >= img.astype(int) - 1).all()
    assert (degrade.cast_shadow(img, rng(3), 0.6) <= img).all()


def test_jpeg_keeps_the_order_of_channels() -> None:
    img = np.zeros((32, 32, 3), np.uint8)
    img[...] = (200, 60, 20)
    assert np.abs(degrade.jpeg(img, 90).astype(int) - img).max() < 12


def test_color_cast_moves_colours_and_leaves_grey_pictures() -> None:
    grey = checkerboard()
    assert np.array_equal(degrade.color_cast(grey, rng(), 0.3), grey)
    cast = degrade.color_cast(np.repeat(grey[..., None], 3, axis=2), rng(), 0.3)
    assert cast[..., 0].mean() != pytest.approx(cast[..., 2].mean(), abs=3)


def test_binarize_leaves_two_levels() -> None:
    for window in (0, 11):
        assert set(np.unique(degrade.binarize(checkerboard(), window, 5))) == {0, 255}


def test_contrast_and_gamma_by_hand() -> None:
    img = np.array([[0, 128, 178, 255]], np.uint8)
    assert degrade.contrast(img, 2.0, 5.0).tolist() == [[0, 133, 233, 255]]
    assert degrade.gamma(img, 2.0).tolist() == [[0, 64, 124, 255]]


def test_warp_and_transform_points_agree() -> None:
    img = np.zeros((80, 120), np.uint8)
    spots = np.array([[30.0, 20.0], [90.0, 60.0], [100.0, 15.0]])
    for x, y in spots:
        img[int(y), int(x)] = 255
    view = degrade.random_perspective(rng(4), (120, 80), 0.08, 5.0)
    seen = degrade.warp(img, view, (120, 80), "constant")
    for x, y in degrade.transform_points(spots, view):
        near = seen[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].astype(float)
        rows, columns = np.indices(near.shape)
        assert near.sum() > 100
        assert columns.ravel() @ near.ravel() / near.sum() + round(x) - 2 == pytest.approx(
            x, abs=0.3
        )
        assert rows.ravel() @ near.ravel() / near.sum() + round(y) - 2 == pytest.approx(y, abs=0.3)
    assert degrade.transform_points(np.zeros((2, 4, 2)), view).shape == (2, 4, 2)


def test_turn_of_random_perspective_stays_within_its_limit() -> None:
    for seed in range(30):
        view = degrade.random_perspective(rng(seed), (200, 100), 0.0, 6.0)
        (ax, ay), (bx, by) = degrade.transform_points(np.array([[0.0, 50.0], [200.0, 50.0]]), view)
        assert abs(np.degrees(np.arctan2(by - ay, bx - ax))) <= 6.01


def test_foreign_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        degrade.gaussian_blur(np.zeros((4, 4)), 1.0)
