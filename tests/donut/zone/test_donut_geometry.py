"""Geometry of finding and straightening: perfect maps must give the lines back."""

import cv2
import numpy as np
import pytest

from sightbook.donut.zone import geometry as zone
from sightbook.donut.zone.finder import _inset, draw_targets
from sightbook.donut.zone.geometry import BAND, COS, LINE_CAP, LINE_HEIGHT, LINE_MARGIN, SIN, ZONE


def line_quads(count=2, width=300.0, pitch=7.0, origin=(100.0, 200.0), degrees=0.0):
    """Lines of a zone turned by `degrees` about its upper left corner."""
    top = np.arange(count) * 2.5 * pitch
    quads = np.zeros((count, 4, 2), np.float32)
    for i, y in enumerate(top):
        quads[i] = [[0, y], [width, y], [width, y + 1.1 * pitch], [0, y + 1.1 * pitch]]
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (quads @ turn.T + np.array(origin)).astype(np.float32)


def maps_of(quads, size):
    """Network output (logits and direction) of a finder that makes no mistake."""
    targets = draw_targets(quads, size)
    maps = targets.copy()
    for channel in (BAND, ZONE):
        p = np.clip(targets[channel], 1e-4, 1 - 1e-4)
        maps[channel] = np.log(p / (1 - p))
    return maps


@pytest.mark.parametrize("degrees", [0, 12, 90, 101, 180, -90, -75])
def test_coarse_maps_give_the_outline_back_at_every_rotation(degrees):
    quads = line_quads(degrees=degrees, origin=(320, 320))
    found = zone.decode_zones(maps_of(quads, (640, 640)))
    assert len(found) == 1
    # corners in reading order, within one cell of the map
    assert np.abs(found[0].quads[0] - zone.hull_of_lines(quads)).max() < 1.2 * zone.STRIDE
    assert abs((found[0].angle - degrees + 180) % 360 - 180) < 2


def test_two_zones_are_two_candidates_and_empty_maps_are_none():
    both = maps_of(line_quads(origin=(60, 80)), (640, 640))
    other = maps_of(line_quads(origin=(200, 400), degrees=180, width=180), (640, 640))
    for channel in (BAND, ZONE):
        both[channel] = np.maximum(both[channel], other[channel])
    for channel in (COS, SIN):
        both[channel] += other[channel]
    assert len(zone.decode_zones(both)) == 2
    assert zone.decode_zones(maps_of(np.zeros((0, 4, 2), np.float32), (640, 640))) == []
    assert zone.decode_lines(maps_of(np.zeros((0, 4, 2), np.float32), (480, 128))) == []


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("degrees", [-4.0, 0.0, 3.0])
def test_fine_maps_give_each_line_back_to_a_pixel(count, degrees):
    quads = line_quads(count, width=400, pitch=9, origin=(40, 60), degrees=degrees)
    (found,) = zone.decode_lines(maps_of(quads, (480, 192)))
    assert found.quads.shape == (count, 4, 2)
    assert np.abs(found.quads - quads).max() < 1.5


def test_a_line_broken_by_glare_is_one_line():
    quads = line_quads(2, width=400, pitch=9, origin=(40, 40))
    maps = maps_of(quads, (480, 128))
    maps[BAND][:, 50:58] = -9.0
    (found,) = zone.decode_lines(maps)
    assert np.abs(found.quads - quads).max() < 1.5


def test_single_line_is_no_zone():
    assert zone.decode_lines(maps_of(line_quads(1, width=400, origin=(40, 40)), (480, 128))) == []


def test_fine_view_turns_the_zone_upright():
    quads = line_quads(3, width=200, pitch=6.6, origin=(500, 400), degrees=153)
    outline = zone.hull_of_lines(quads)
    view, matrix = zone.fine_view(np.full((700, 900), 200, np.uint8), outline)
    corners = zone.apply(matrix, outline)
    assert view.shape[1] == 480 and view.shape[0] % 32 == 0
    np.testing.assert_allclose(corners[1] - corners[0], [zone.FINE_WIDTH, 0], atol=1e-3)
    assert corners[3, 1] > corners[0, 1]
    assert (corners.min(0) > 20).all() and (corners.max(0) < np.array(view.shape[::-1]) - 20).all()


def test_refine_turns_an_upside_down_zone_round():
    """The network sees lines whose reading direction runs against the view."""
    quads = line_quads(2, width=400, pitch=9, origin=(100, 100))
    image = np.full((300, 600), 200, np.uint8)
    backwards = zone.hull_of_lines(quads)[[2, 3, 0, 1]]

    def network(views):
        _, matrix = zone.fine_view(image, outlines[-1])
        return maps_of(zone.apply(matrix, quads), views.shape[2:][::-1])[None]

    outlines = [backwards]
    found = zone.refine(image, network, backwards, passes=1)
    assert np.abs(found.quads - quads).max() < 2


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.7])
def test_sample_keeps_places_when_it_reduces_or_enlarges(scale):
    image = np.zeros((400, 600), np.uint8)
    cv2.circle(image, (300, 200), 40, 255, -1)
    size = int(600 / scale), int(400 / scale)
    view = zone.sample(image, np.diag([1 / scale, 1 / scale, 1.0]), size, border=0)
    weights = view.astype(float)
    ys, xs = np.indices(view.shape)
    centre = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
    np.testing.assert_allclose(centre, np.array([300, 200]) / scale, atol=0.3)


def test_cut_lines_puts_text_where_the_reader_expects_it():
    quads = line_quads(3, width=300, pitch=10, origin=(60, 50), degrees=20)
    image = np.full((400, 500), 255, np.uint8)
    for quad in quads:
        cv2.fillPoly(image, [np.round(_inset(quad, 0.5) * 16).astype(np.int32)], 0, cv2.LINE_8, 4)
    crops = zone.cut_lines(image, quads)
    assert crops.shape == (3, LINE_HEIGHT, zone.LINE_WIDTH)
    ys, xs = np.nonzero(crops[1] < 128)
    assert abs(xs.min() - LINE_MARGIN) <= 2
    assert abs(xs.max() - (LINE_MARGIN + zone.TEXT_WIDTHS[3])) <= 2
    height = (crops[1] < 128)[:, 50:450].sum(0)
    assert abs(height.mean() - LINE_CAP) < 1.5
    assert abs(ys.mean() - (LINE_HEIGHT - 1) / 2) < 1


def test_reader_pixels_stretch_faint_print_to_the_full_range():
    faint = np.full((1, 32, 736), 120, np.uint8)
    faint[:, 10:20, 100:400] = 90
    values = zone.reader_pixels(faint)
    assert values.shape == (1, 1, 32, 736) and values.dtype == np.float32
    assert values.min() == -1 and values.max() == 1
    # a blank crop must not turn noise into print
    blank = np.full((1, 32, 736), 120, np.uint8)
    blank[:, ::2] += 2
    assert np.ptp(zone.reader_pixels(blank)) < 0.5


def test_pieces_of_one_row_are_joined_and_others_left():
    left = line_quads(2, width=80, origin=(60, 300))
    right = line_quads(2, width=90, origin=(300, 302))
    other = line_quads(2, width=90, origin=(300, 100))

    def candidate(quads):
        return zone.Zone(zone.hull_of_lines(quads)[None], 0.9)

    (both,) = zone.joined([candidate(left), candidate(right), candidate(other)])
    expected = np.array([[60, 300], [390, 300]])
    assert np.abs(both.quads[0][:2] - expected).max() < 3
    assert zone.joined([candidate(left), candidate(other)]) == []
    assert zone.joined([candidate(left)]) == []


def test_refine_takes_in_lines_that_run_out_of_the_view():
    """Started on the right half of a zone, it ends with the whole."""
    quads = line_quads(2, width=400, pitch=9, origin=(100, 100))
    image = np.full((300, 700), 200, np.uint8)
    half = zone.hull_of_lines(quads).copy()
    half[[0, 3], 0] += 220
    matrices = []
    fine_view = zone.fine_view

    def recorded(*args):
        view, matrix = fine_view(*args)
        matrices.append(matrix)
        return view, matrix

    def network(views):
        return maps_of(zone.apply(matrices[-1], quads), views.shape[2:][::-1])[None]

    zone.fine_view, found = recorded, None
    try:
        found = zone.refine(image, network, half)
    finally:
        zone.fine_view = fine_view
    assert np.abs(found.quads - quads).max() < 2.5
