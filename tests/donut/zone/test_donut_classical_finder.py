"""Rows of print found without a network."""

import cv2
import numpy as np
import pytest

from sightbook.donut.synth.printing import print_lines
from sightbook.donut.zone.classical_finder import printed_rows

LINES = {
    2: [
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ],
    3: [
        "I<UTOD231458907<<<<<<<<<<<<<<<",
        "7408122F1204159UTO<<<<<<<<<<<6",
        "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    ],
}


def page(lines, pitch, width=900, height=640, at=(40, 460)):
    """Dark print on light paper, and the lines' true corners."""
    printed = print_lines(np.random.default_rng(0), lines, pitch, wear=0.0)
    alpha = np.asarray(printed.alpha, np.float32) / 255
    image = np.full((height, width), 225, np.float32)
    rows, columns = alpha.shape
    x, y = at
    image[y : y + rows, x : x + columns] *= 1 - 0.85 * alpha
    return image.astype(np.uint8), printed.line_quads + np.float32([x, y])


def overlap(found, quads):
    hulls = [np.concatenate(list(q)).astype(np.float32) for q in (found, quads)]
    hulls = [cv2.convexHull(points) for points in hulls]
    common, _ = cv2.intersectConvexConvex(*hulls)
    areas = [cv2.contourArea(points) for points in hulls]
    return common / (sum(areas) - common)


@pytest.mark.parametrize("count,pitch", [(2, 18.0), (2, 9.0), (3, 20.0)])
@pytest.mark.parametrize("degrees", [0, 6, 90])
def test_a_zone_on_plain_paper_is_among_the_candidates(count, pitch, degrees):
    image, quads = page(LINES[count], pitch)
    height, width = image.shape
    side = int(np.hypot(height, width))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    matrix[:, 2] += (np.array([side, side]) - (width, height)) / 2
    image = cv2.warpAffine(image, matrix, (side, side), borderValue=225)
    quads = cv2.transform(quads.reshape(1, -1, 2), matrix).reshape(quads.shape)
    found = [zone for zone in printed_rows(image) if len(zone.quads) == count]
    assert found and max(overlap(zone.quads, quads) for zone in found) > 0.75


def test_lines_of_a_candidate_are_of_one_length():
    image, _ = page([LINES[2][0][:38] + "<" * 6, LINES[2][1]], 16.0)
    for zone in printed_rows(image):
        lengths = np.linalg.norm(zone.quads[:, 1] - zone.quads[:, 0], axis=1)
        assert np.ptp(lengths) < 0.05 * lengths.max()


def test_blank_paper_and_a_single_line_give_nothing():
    assert printed_rows(np.full((300, 400), 200, np.uint8)) == []
    image, _ = page(LINES[2][:1], 16.0)
    assert printed_rows(image) == []
