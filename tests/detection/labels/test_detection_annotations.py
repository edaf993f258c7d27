"""The form in which all lines' labels and predictions are passed about."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord, polygons_box

SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.float32)


def annotations(*records, labels=("crack", "pothole", "stain")):
    return Annotations(tuple(records), labels)


def test_counts_name_every_class_and_leave_crowds_out():
    first = ImageRecord("a.png", 9, 9, (Box("pothole", (0, 0, 4, 4)), Box("crack", (0, 0, 1, 1))))
    second = ImageRecord("b.png", 9, 9, (Box("pothole", (0, 0, 9, 9), crowd=True),))
    found = annotations(first, second, ImageRecord("c.png", 9, 9))
    assert found.counts() == {"crack": 1, "pothole": 1, "stain": 0}
    assert list(found.counts()) == ["crack", "pothole", "stain"]
    # a crowd is an object: its picture is not clean
    assert [record.name for record in found.clean()] == ["c.png"]


def test_a_record_goes_through_json_and_stays_the_same(tmp_path):
    outline = np.array([[0.1, 0], [4, 1 / 3], [2, 4]], np.float32)
    segments = [{"text": "WIN", "angle": 12.5}]
    box = Box("casing", (0.1, 0.0, 4.0, 4.0), (outline,), score=0.5, attributes={"s": segments})
    record = ImageRecord("a.png", 9, 7, (box, Box("primer", (1, 1, 2, 2), crowd=True)), group="g")
    row = json.loads(json.dumps(record.to_dict()))
    assert ImageRecord.from_dict(row) == record
    file = tmp_path / "a.png"
    assert ImageRecord.from_dict(row, file) == replace(record, image=file)


def test_boxes_compare_by_all_they_hold():
    box = Box("a", (0, 0, 4, 4), (SQUARE,), attributes={"text": "9x19"})
    assert box == Box("a", (0, 0, 4, 4), (SQUARE.copy(),), attributes={"text": "9x19"})
    assert box != Box("a", (0, 0, 4, 4), (SQUARE + 1,), attributes={"text": "9x19"})
    assert box != Box("a", (0, 0, 4, 4), attributes={"text": "9x19"})
    assert box != Box("a", (0, 0, 4, 4), (SQUARE,), attributes={"text": "other"})
    assert len({box, Box("a", (0, 0, 4, 4), (SQUARE,), attributes={"text": "9x19"})}) == 1


def test_sides_and_area_are_of_the_box():
    box = Box("a", (1, 2, 4, 4), (SQUARE,))
    assert (box.width, box.height, box.area) == (3, 2, 6)


def test_box_around_polygons():
    assert polygons_box([SQUARE, SQUARE + np.array([3, -1])]) == (0, -1, 7, 4)
    with pytest.raises(ValueError):
        polygons_box([])


def test_fingerprint_sees_labels_but_not_the_order():
    first = ImageRecord("a.png", 9, 9, (Box("crack", (0, 0, 4, 4), (SQUARE,)),))
    second = ImageRecord("b.png", 9, 9)
    whole = annotations(first, second).fingerprint()
    assert annotations(second, first).fingerprint() == whole and whole.files == 2
    moved = first.with_boxes([Box("crack", (0, 0, 4, 4), (SQUARE + 1,))])
    assert annotations(moved, second).fingerprint() != whole
    assert annotations(first, second, labels=("crack",)).fingerprint() != whole


def test_reading_labels_needs_no_torch():
    code = (
        "import sys, sightbook.detection.labels.read, sightbook.detection.labels.consensus, "
        "sightbook.detection.labels.merge; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
