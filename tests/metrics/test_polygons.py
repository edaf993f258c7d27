"""Areas, intersections and clipping: by hand, by properties, and of strange polygons."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightbook.metrics.polygons import (
    Points,
    box_areas,
    box_iou,
    box_overlaps,
    clip_polygon,
    polygon_area,
    polygon_areas,
    polygon_iou,
    polygon_overlaps,
)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def points(*corners: tuple[float, float]) -> Points:
    return np.array(corners, np.float32)


SQUARE = rectangle(0, 0, 10, 10)
ANGLE = points((0, 0), (10, 0), (10, 4), (4, 4), (4, 10), (0, 10))
BOW_TIE = points((0, 0), (10, 10), (10, 0), (0, 10))  # two triangles of 25
TWICE = np.concatenate([SQUARE, SQUARE])
LOOP = points((0, 0), (4, 0), (4, 1), (1, 1), (1, -1), (2, -1), (2, 3), (0, 3))
ON_A_LINE = points((3, 3), (7, 7), (5, 5))


@st.composite
def stars(draw: st.DrawFn) -> Points:
    """A polygon around a middle, often not convex, that never crosses itself."""
    n = draw(st.integers(3, 9))
    reach = np.array(draw(st.lists(st.floats(5, 60), min_size=n, max_size=n)))
    angles = (np.arange(n) + draw(st.floats(0, 0.5))) * 2 * np.pi / n
    middle = [draw(st.floats(0, 100)), draw(st.floats(0, 100))]
    corners = np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None] + middle
    return corners[:: draw(st.sampled_from([1, -1]))].astype(np.float32)


# ------------------------------------------------------------------ areas


@pytest.mark.parametrize(
    ("polygon", "area"),
    [
        (SQUARE, 100),
        (SQUARE[::-1], 100),
        (np.concatenate([SQUARE, SQUARE[:1]]), 100),  # closed
        (SQUARE + 1e6, 100),
        (ANGLE, 64),
        (BOW_TIE, 50),
        (TWICE, 100),
        (LOOP, 9),
        (ON_A_LINE, 0),
        (points((3, 3), (3, 3), (3, 3)), 0),
        (points((3, 3), (7, 7)), 0),
        (np.zeros((0, 2), np.float32), 0),
    ],
)
def test_areas_by_hand(polygon: Points, area: float) -> None:
    assert polygon_area(polygon) == pytest.approx(area)


def test_areas_of_many() -> None:
    some = [SQUARE, points((0, 0), (1, 1)), ANGLE]
    assert polygon_areas(some).tolist() == [100, 0, 64]
    assert polygon_areas(np.stack([SQUARE, 2 * SQUARE])).tolist() == [100, 400]
    assert polygon_areas([]).shape == (0,)


@given(stars(), st.floats(-500, 500), st.floats(0.1, 9))
def test_areas_follow_gauss_and_grow_with_the_square(
    polygon: Points, shift: float, scale: float
) -> None:
    x, y = polygon.astype(float).T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert polygon_area(polygon) == pytest.approx(area, rel=1e-9)
    moved = polygon.astype(float) * scale + shift
    assert polygon_area(moved) == pytest.approx(area * scale**2, rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_corners_that_are_no_numbers_are_refused(bad: float) -> None:
    broken = SQUARE.copy()
    broken[2, 0] = bad
    with pytest.raises(ValueError, match=r"polygon 1 has the corner \((nan|inf), 10.0\)"):
        polygon_areas([SQUARE, broken])
    with pytest.raises(ValueError, match="expected finite numbers"):
        clip_polygon(broken, 5, 5)


# ------------------------------------------------------------------ intersections


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (rectangle(5, 0, 15, 10), 50),
        (SQUARE, 100),
        (SQUARE[::-1], 100),
        (rectangle(2, 2, 4, 5), 6),
        (rectangle(0, 2, 10, 5), 30),
        (rectangle(10, 0, 20, 10), 0),
        (rectangle(0, 10, 10, 20), 0),
        (rectangle(10, 10, 20, 20), 0),
        (rectangle(30, 30, 40, 40), 0),
        (points((5, 0), (10, 5), (5, 10), (0, 5)), 50),
        (points((-5, 5), (5, -5), (15, 5), (5, 15)), 100),
        (ANGLE, 64),
        (BOW_TIE, 50),
        (np.add(BOW_TIE, [5, 0]), 25),
        (np.add(TWICE, [5, 0]), 50),
        (LOOP, 8),  # less what reaches out above
        (ON_A_LINE, 0),
        (points((3, 3), (7, 7)), 0),
    ],
)
def test_intersections_with_a_square(other: Points, shared: float) -> None:
    there = polygon_overlaps([SQUARE], [other]).intersection
    back = polygon_overlaps([other], [SQUARE]).intersection
    assert there.tolist() == [[pytest.approx(shared)]]
    assert back.tolist() == [[pytest.approx(shared)]]


def test_intersections_of_polygons_that_are_not_convex() -> None:
    overlaps = polygon_overlaps([ANGLE], [rectangle(3, 3, 6, 6), rectangle(5, 5, 9, 9), ANGLE])
    assert overlaps.intersection[0] == pytest.approx([5, 0, 64])
    assert overlaps.of_first[0] == pytest.approx([5 / 64, 0, 1])
    assert overlaps.of_second[0] == pytest.approx([5 / 9, 0, 1])
    assert overlaps.iou[0] == pytest.approx([5 / 68, 0, 1])


def test_intersections_agree_with_drawn_polygons() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        shapes = []
        for _ in range(2):
            n = int(rng.integers(4, 9))
            angles = np.arange(n) * 2 * np.pi / n + rng.uniform(0, 0.5, n)
            spokes = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(10, 60, (n, 1))
            shapes.append((spokes + rng.uniform(70, 90, 2)).astype(np.float32))
        drawn = []
        for shape in shapes:
            canvas = np.zeros((1280, 1280), np.uint8)
            drawn.append(cv2.fillPoly(canvas, [np.round(shape * 8).astype(np.int32)], (1,)) > 0)
        counted = np.count_nonzero(drawn[0] & drawn[1]) / 64
        exact = polygon_overlaps(shapes[:1], shapes[1:]).intersection[0, 0]
        assert exact == pytest.approx(counted, rel=0.03, abs=15)


def test_many_words_find_themselves() -> None:
    words = [rectangle(x, y, x + 40, y + 14) for y in range(0, 600, 20) for x in range(0, 800, 40)]
    assert polygon_overlaps(words, words).iou == pytest.approx(np.eye(len(words)))


@given(st.lists(stars(), max_size=4), st.lists(stars(), max_size=4))
def test_overlaps_are_symmetric_and_bounded(first: list[Points], second: list[Points]) -> None:
    there, back = polygon_overlaps(first, second), polygon_overlaps(second, first)
    assert there.intersection.shape == (len(first), len(second))
    np.testing.assert_allclose(there.intersection, back.intersection.T, rtol=1e-9, atol=1e-9)
    for share in (there.iou, there.of_first, there.of_second):
        assert (share >= 0).all() and (share <= 1 + 1e-9).all()
    assert polygon_overlaps(first, first).iou.diagonal() == pytest.approx(np.ones(len(first)))


def test_some_regions_of_overlaps() -> None:
    overlaps = polygon_overlaps([SQUARE, ANGLE], [SQUARE, ANGLE, SQUARE + 5])
    part = overlaps.taken(np.array([False, True]), np.array([True, False, True]))
    assert part.intersection == pytest.approx(np.array([[64, 0]]))
    assert part.first.tolist() == [64] and part.second.tolist() == [100, 100]


def test_iou_of_quadrilaterals() -> None:
    square, diamond = rectangle(0, 0, 2, 2), points((1, 0), (2, 1), (1, 2), (0, 1))
    assert polygon_iou(square, square[::-1]) == pytest.approx(1)
    assert polygon_iou(square, np.add(square, [1, 0])) == pytest.approx(2 / 6)
    assert polygon_iou(square, np.add(square, [3, 0])) == 0
    # a diamond inscribed in the square has half its area
    assert polygon_iou(square, diamond) == pytest.approx(0.5)
    assert polygon_iou(diamond, square) == pytest.approx(0.5)


def test_what_is_empty_overlaps_nothing_not_even_itself() -> None:
    assert polygon_iou(ON_A_LINE, ON_A_LINE) == 0
    overlaps = polygon_overlaps([ON_A_LINE, SQUARE], [ON_A_LINE, SQUARE[:2]])
    for share in (overlaps.iou, overlaps.of_first, overlaps.of_second):
        assert not share.any()
    assert polygon_overlaps([], [SQUARE]).iou.shape == (0, 1)


# ------------------------------------------------------------------ clipping


def test_a_polygon_is_cut_at_the_edges() -> None:
    triangle = points((-10, 5), (10, -5), (10, 15))
    (cut,) = clip_polygon(triangle, 20, 10)
    assert cut.dtype == np.float32
    assert cut.min() >= 0 and cut[:, 1].max() <= 10
    # 200 in all; a quarter lies left of 0, and two corners of 25 above 0 and below 10
    assert polygon_area(triangle) == pytest.approx(200)
    assert polygon_area(cut) == pytest.approx(200 - 50 - 2 * 25)
    assert clip_polygon(triangle + 100, 20, 10) == ()
    assert clip_polygon(SQUARE - (10, 0), 20, 10) == ()  # it touches the edge


def test_a_polygon_inside_stays_as_it_is() -> None:
    (same,) = clip_polygon(BOW_TIE, 10, 10)
    np.testing.assert_array_equal(same, BOW_TIE)
    assert clip_polygon(SQUARE[:2], 20, 20) == ()


def test_parts_that_are_apart_come_apart() -> None:
    fork = points((0, 0), (30, 0), (30, 4), (5, 4), (5, 6), (30, 6), (30, 10), (0, 10))
    parts = clip_polygon(fork - (10, 0), 15, 10)
    assert sorted(map(polygon_area, parts)) == pytest.approx([60, 60])
    # one wing of a bow tie, and of one whose edge runs along the border, nothing else
    (wing,) = clip_polygon(BOW_TIE - (5, 0), 10, 10)
    assert polygon_area(wing) == pytest.approx(25)
    comb = points((-5, 0), (0, 0), (0, 3), (4, 3), (4, 6), (0, 6), (0, 9), (-5, 9))
    (tooth,) = clip_polygon(comb, 10, 10)
    assert polygon_area(tooth) == pytest.approx(12)


@given(stars(), st.integers(20, 90), st.integers(20, 90))
def test_what_is_cut_is_what_the_picture_shares(polygon: Points, width: int, height: int) -> None:
    parts = clip_polygon(polygon, width, height)
    picture = rectangle(0, 0, width, height)
    shared = polygon_overlaps([polygon], [picture]).intersection[0, 0]
    assert polygon_areas(parts).sum() == pytest.approx(shared, rel=1e-4, abs=1e-2)
    for part in parts:
        assert (part >= 0).all() and (part <= (width, height)).all()


# ------------------------------------------------------------------ boxes


def test_boxes_by_hand() -> None:
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (2, 2, 4, 4), (20, 20, 20, 30), (9, 9, 1, 1)]
    assert box_areas(boxes).tolist() == [100, 100, 4, 0, 0]
    overlaps = box_overlaps(boxes[:1], boxes)
    assert overlaps.intersection.tolist() == [[100, 50, 4, 0, 0]]
    assert overlaps.iou[0] == pytest.approx([1, 50 / 150, 0.04, 0, 0])
    assert overlaps.of_second[0] == pytest.approx([1, 0.5, 1, 0, 0])
    assert box_iou(boxes[0], boxes[1]) == pytest.approx(1 / 3)
    assert box_iou(boxes[3], boxes[3]) == 0
    assert box_overlaps([], boxes).iou.shape == (0, 5)


corner = st.integers(0, 40)


@given(st.lists(st.tuples(corner, corner, st.integers(1, 30), st.integers(1, 30)), min_size=2))
def test_boxes_are_rectangles(sizes: list[tuple[int, int, int, int]]) -> None:
    boxes = [(x, y, x + w, y + h) for x, y, w, h in sizes]
    rectangles = [rectangle(*box) for box in boxes]
    mine, theirs = box_overlaps(boxes, boxes), polygon_overlaps(rectangles, rectangles)
    np.testing.assert_allclose(mine.intersection, theirs.intersection, atol=1e-9)
    np.testing.assert_allclose(mine.iou, theirs.iou, atol=1e-9)


def test_prediction_needs_no_torch_for_it() -> None:
    code = "import sys, sightbook.metrics.polygons, sightbook.metrics.bootstrap\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
