"""What is drawn on a picture: finds with names, near ones bare, the rest not at all."""

import numpy as np

from sightbook.detection.inference.overlay import DOUBTFUL, SURE, draw_detections
from sightbook.detection.labels.annotations import Box


def test_finds_are_named_near_ones_bare_and_the_rest_left_out():
    image = np.full((200, 300, 3), 20, np.uint8)
    places = [(20, 60, 60, 100), (120, 60, 160, 100), (220, 60, 260, 100)]
    scores = (0.9, 0.4, 0.2)
    boxes = [Box("pit", place, score=score) for place, score in zip(places, scores, strict=True)]
    drawn = draw_detections(image, boxes, 0.6)
    assert (image == 20).all()
    assert drawn[80, 20].tolist() == list(SURE)
    assert drawn[80, 120].tolist() == list(DOUBTFUL)
    above = [drawn[40:59, x0 : x0 + 60] for x0, *_ in places]
    assert (above[0] != 20).any()  # its name
    assert (above[1] == 20).all()
    assert (drawn[:, 200:] == 20).all()
