"""Ellipses and unrolled rings: what is known by construction comes out again."""

import math

import cv2
import numpy as np
import pytest

from sightbook.headstamps import unroll
from sightbook.headstamps.synth.letters import Die, Stamp, place, strike
from sightbook.headstamps.synth.scenes import draw_view
from sightbook.headstamps.unroll import Ellipse, fit_ellipse

DIE = Die(aspect=0.5, weight=0.16)
RADIUS = 150.0
PRIMER = 0.42


def _rng():
    return np.random.default_rng(0)


def _photo(stamps, *, tilt=0.0, towards=0.7, radius=RADIUS, side=400):
    """Dark letters on a light head seen by a camera; the view and the places of the letters."""
    letters = [place(stamp, DIE, _rng()) for stamp in stamps]
    size = 2 * math.ceil(radius * 1.1) + 1
    struck = strike(size, radius, [one for each in letters for one in each], DIE)
    view = draw_view(_rng(), (side / 2 + 3.3, side / 2 - 4.6), radius, tilt, towards)
    unit = np.diag([radius, radius, 1.0])
    unit[:2, 2] = (size - 1) / 2
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    matrix = half @ view.homography @ np.linalg.inv(unit)
    return 255 - cv2.warpPerspective(struck, matrix, (side, side)), view, letters


def _ellipses(view):
    return fit_ellipse(view.circle()), fit_ellipse(view.circle(PRIMER))


def _stamp(text, turn=0, angle=-90.0):
    return Stamp(text, angle, turn, 0.2, 0.7)


@pytest.mark.parametrize(("tilt", "towards"), [(0.0, 0.0), (0.4, 0.7), (0.7, -1.6)])
@pytest.mark.parametrize("turn", [0, 180])
def test_a_stamp_unrolls_to_straight_text(tilt, towards, turn):
    image, view, (letters,) = _photo(
        [_stamp("HHHHHHHH", turn, angle=20.0)], tilt=tilt, towards=towards
    )
    casing, primer = _ellipses(view)
    strip = unroll.unroll(image, casing, primer, start=200.0, wrap=0.0, normalise=False)
    picture = strip.image if turn == 0 else unroll.upside_down(strip)
    dark = picture < 128
    columns = np.flatnonzero(dark.any(0))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert len(groups) == 8
    tops, bottoms, centres = [], [], []
    for group in groups:
        rows = np.flatnonzero(dark[:, group].any(1))
        tops.append(rows[0])
        bottoms.append(rows[-1])
        centres.append(group.mean())
        # Uprights of an H stay upright: both halves reach as far up and down.
        half = len(group) // 2
        ends = [np.flatnonzero(dark[:, part].any(1)) for part in (group[:half], group[half:])]
        assert abs(int(ends[0][0]) - int(ends[1][0])) <= 1
        assert abs(int(ends[0][-1]) - int(ends[1][-1])) <= 1
    assert np.ptp(tops) <= 2 and np.ptp(bottoms) <= 2
    # Letters are evenly spaced on the circle and so on the strip.
    assert np.abs(np.diff(centres, 2)).max() <= 2
    # A fifth of the radius high, of which the strip shows what lies between primer and rim.
    assert np.mean(bottoms) - np.mean(tops) == pytest.approx(
        64 * 0.2 / (0.97 - 1.04 * PRIMER), abs=3
    )
    # And back: columns are where the angles say.
    places = view.points(np.array([(one.x, one.y) for one in letters]))
    columns, rows = strip.locate(places)
    if turn == 180:
        columns, rows = strip.image.shape[1] - 1 - columns, 63 - rows
    assert np.abs(np.array(centres) - columns).max() <= 1.5
    assert np.abs((np.array(tops) + bottoms) / 2 - rows).max() <= 1.5


def test_columns_angles_and_pixels_agree():
    casing = Ellipse(100, 80, 60, 40, 30)
    image = np.zeros((160, 200), np.uint8)
    strip = unroll.unroll(image, casing, Ellipse(100, 80, 24, 16, 30), start=10.0)
    assert strip.image.shape[1] == round(strip.turn * 1.15)
    assert strip.angle(0) == 10.0
    assert strip.angle(strip.turn / 4) == pytest.approx(100.0)
    first, again = strip.columns(30.0)
    assert first == pytest.approx(20 / 360 * strip.turn)
    assert again == pytest.approx(first + strip.turn)
    assert len(strip.columns(300.0)) == 1
    point = strip.points(np.array(first), np.array(31.5))
    # Halfway between 0.97 of the rim and 1.04 of the primer, at 30 degrees of the circle.
    x, y = casing.unit(point)
    assert math.hypot(x, y) == pytest.approx((0.97 + 1.04 * 0.4) / 2)
    assert casing.angle_of(tuple(point)) == pytest.approx(30.0)


def test_places_on_the_strip_come_back_from_their_pixels():
    image = np.zeros((400, 400), np.uint8)
    # A primer off the middle, as perspective has it.
    strip = unroll.unroll(image, Ellipse(200, 190, 150, 110, 40), Ellipse(206, 186, 60, 45, 38))
    columns, rows = np.meshgrid(np.arange(3, strip.turn, 7), np.arange(0, 64, 9))
    found = strip.locate(strip.points(columns, rows))
    assert found[0] == pytest.approx(columns, abs=0.01)
    assert found[1] == pytest.approx(rows, abs=0.01)


def test_the_circle_map_turns_nothing():
    ellipse = Ellipse(0, 0, 30, 10, 90.0)  # tall
    assert ellipse.angle_of((0, 5)) == pytest.approx(90.0)
    assert ellipse.angle_of((5, 0)) == pytest.approx(0.0)
    assert ellipse.angle_of((10 / math.sqrt(2), 30 / math.sqrt(2))) == pytest.approx(45.0)
    assert ellipse.points(np.array([0.0, 1.0])) == pytest.approx([0, 30])


@pytest.mark.parametrize("true", [Ellipse(90, 70, 60, 35, 25), Ellipse(80.5, 75, 40, 39, -80)])
def test_an_ellipse_comes_back_from_its_outline_and_its_mask(true):
    found = fit_ellipse(true.polygon())
    assert (found.x, found.y, found.a, found.b) == pytest.approx(
        (true.x, true.y, true.a, true.b),
        abs=0.1,  # an outline's sides run inside its curve
    )
    ys, xs = np.mgrid[0:150, 0:180] + 0.5
    mask = (true.unit(np.stack([xs, ys], -1)) ** 2).sum(-1) <= 1
    mask[2:6, 2:6] = True  # a speck beside it
    found = unroll.ellipse_of_mask(mask)
    assert (found.x, found.y, found.a, found.b) == pytest.approx(
        (true.x, true.y, true.a, true.b), abs=0.6
    )
    if true.a - true.b > 5:
        assert found.angle == pytest.approx(true.angle, abs=1)


def test_what_the_edge_cuts_off_is_filled_in():
    true = Ellipse(150, 60, 70, 55, 10)
    seen = np.clip(true.polygon(120), 0, (180, 200))
    cut = fit_ellipse(seen)
    whole = fit_ellipse(seen, (180, 200))
    assert abs(cut.a - true.a) > 2 or abs(cut.x - true.x) > 2
    assert (whole.x, whole.y, whole.a, whole.b) == pytest.approx((150, 60, 70, 55), abs=0.5)


def test_boxes_become_upright_ellipses():
    wide, tall = unroll.ellipse_of_box((10, 20, 50, 40)), unroll.ellipse_of_box((0, 0, 10, 30))
    assert (wide.x, wide.y, wide.a, wide.b, wide.angle) == (30, 30, 20, 10, 0)
    assert np.ptp(tall.polygon(), axis=0) == pytest.approx([10, 30], abs=0.1)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((4, 2)), np.arange(20).repeat(2)])
def test_what_is_no_outline_is_refused(points):
    with pytest.raises(ValueError, match="five points"):
        fit_ellipse(points.reshape(-1, 2))
    with pytest.raises(ValueError, match="empty"):
        unroll.ellipse_of_mask(np.zeros((5, 5), np.uint8))


@pytest.mark.parametrize("angle", [0.0, 77.0, 200.0, 340.0])
def test_the_seam_cuts_no_word(angle):
    image, view, _ = _photo([_stamp("WINCHESTER", angle=angle)])
    casing, primer = _ellipses(view)
    strip = unroll.unroll(image, casing, primer, normalise=False, wrap=0.0)
    dark = (strip.image < 128).any(0)
    assert dark.any()
    assert not dark[:4].any() and not dark[-4:].any()


@pytest.mark.parametrize(("turn", "clockwise"), [(90, True), (-90, False)])
@pytest.mark.parametrize("angle", [10.0, 180.0])
def test_sideways_letters_stand_upright_in_their_window(turn, clockwise, angle):
    outward, straight, _ = _photo([Stamp("LF", -90, 0, 0.3, 0.7)])
    upright = unroll.unroll(outward, *_ellipses(straight), start=180.0, normalise=False).image
    centre = round(upright.shape[1] / 1.15 / 4)
    wanted = 255 - upright[:, centre - 40 : centre + 40].astype(np.float32)
    image, view, _ = _photo([Stamp("LF", angle, turn, 0.3, 0.7)])
    strip = unroll.unroll(image, *_ellipses(view), start=0.0, normalise=False)

    def alike(picture):
        given = cv2.resize(255 - picture, (80, 64)).astype(np.float32)
        # Only up to a little shift and scale: letters fan out on a ring.
        padded = cv2.copyMakeBorder(given, 12, 12, 12, 12, cv2.BORDER_CONSTANT, value=0)
        return cv2.matchTemplate(padded, wanted, cv2.TM_CCOEFF_NORMED).max()

    right = unroll.side_window(strip, angle, clockwise=clockwise, share=1.0)
    wrong = unroll.side_window(strip, angle, clockwise=not clockwise, share=1.0)
    assert right.shape[0] == 64
    assert alike(right) > 0.5
    assert alike(right) > alike(wrong) + 0.15


def test_contrast_is_even_where_light_is_not():
    line = np.full((64, 400), 1.0)
    line[24:40, 20:380:24] = 0.8
    lit = line * np.linspace(30, 250, 400)
    even = unroll.even_contrast(lit.astype(np.uint8)).astype(float)

    def depth(picture, part):
        change = np.abs(np.diff(picture[30:34, part].mean(0)))
        return np.sort(change)[-5:].mean()

    left, right = slice(40, 100), slice(300, 360)
    assert depth(lit, right) > 3 * depth(lit, left)
    assert depth(even, right) < 1.5 * depth(even, left)
    assert even.mean() == pytest.approx(128, abs=15)


def test_a_case_without_a_primer_is_unrolled_too():
    image, view, _ = _photo([_stamp("ABC")])
    casing, primer = _ellipses(view)
    usual = unroll.unroll(image, casing, None, start=180.0)
    seen = unroll.unroll(image, casing, primer, start=180.0)
    assert usual.primer.a == pytest.approx(casing.a * unroll.PRIMER_RATIO)
    assert usual.turn < seen.turn  # a wider ring, at the same rows
    # A detector's worst: a primer larger than its case still gives a strip.
    odd = Ellipse(casing.x, casing.y, casing.a * 2, casing.a * 2)
    assert unroll.unroll(image, casing, odd).image.shape[0] == 64


def test_colours_are_kept_on_request():
    image, view, _ = _photo([_stamp("ABC")])
    rgb = np.stack([image, image // 2, image // 4], -1)
    strip = unroll.unroll(rgb, *_ellipses(view), normalise=False)
    assert strip.image.ndim == 3
    assert strip.image[..., 0].mean() > 1.8 * strip.image[..., 1].mean()
    assert unroll.unroll(rgb, *_ellipses(view)).image.ndim == 2
