"""The faster backend of COCO's figures, held against pycocotools; runs where it is installed."""

from dataclasses import replace

import numpy as np
import pytest

from detection.detected import box, dataset, random_set, record
from sightbook.detection.metrics.coco import coco_numbers

pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")


def both(truth, found, **how):
    return [
        coco_numbers(truth, found, backend=backend, **how)
        for backend in ("pycocotools", "faster-coco-eval")
    ]


def with_outline(one):
    """The box, cut off at one corner, as its outline."""
    x0, y0, x1, y1 = one.xyxy
    corners = [(x0, y0), (x1, y0), (x1, (y0 + y1) / 2), ((x0 + x1) / 2, y1), (x0, y1)]
    return replace(one, polygons=(np.array(corners, np.float32),))


@pytest.mark.parametrize("seed", [11, 12])
def test_boxes_give_the_same_twelve_numbers(seed):
    plain, faster = both(*random_set(seed, images=60))
    assert 0.05 < plain["AP"] < 0.9
    assert faster == pytest.approx(plain, abs=1e-9)


def test_outlines_give_the_same_twelve_numbers():
    truth, found = random_set(13, images=20)
    outlined = truth.with_records(
        replace(one, boxes=tuple(map(with_outline, one.boxes))) for one in truth.records
    )
    found = {name: [with_outline(one) for one in boxes] for name, boxes in found.items()}
    plain, faster = both(outlined, found, iou_type="segm")
    assert 0.05 < plain["AP"] < 0.9
    assert faster == pytest.approx(plain, abs=1e-9)


def test_crowds_clean_images_and_absent_sizes_count_the_same():
    crowd = record("crowd", (100, 100, 300, 200), (0, 0, 40, 40))
    crowd = replace(crowd, boxes=(replace(crowd.boxes[0], crowd=True), crowd.boxes[1]))
    truth = dataset(crowd, record("clean"), labels=("hole", "crack"))
    found = {
        "crowd": [box("hole", (120, 120, 160, 160), 0.9), box("hole", (0, 0, 40, 42), 0.8)],
        "clean": [box("crack", (5, 5, 50, 50), 0.7)],
    }
    plain, faster = both(truth, found)
    assert plain["AP50"] == pytest.approx(1)
    assert plain["AP_large"] is None
    assert faster == pytest.approx(plain, abs=1e-9)
