"""Several annotators: matched by IoU, kept by agreement, averaged, and what fell out is told."""

import numpy as np
import pytest

from sightbook.data.validation import DataError
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord, polygons_box
from sightbook.detection.labels.consensus import agreement, clusters, consensus

SQUARE = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float32)


def labelled(*boxes, name="a.png", labels=("crack", "pothole"), size=(100, 80)):
    return Annotations((ImageRecord(name, *size, tuple(boxes)),), labels)


def box(left, label="pothole", top=10, side=20, **more):
    return Box(label, (left, top, left + side, top + side), **more)


def test_matched_boxes_are_averaged_and_carry_their_agreement():
    found = consensus(
        {"ann": labelled(box(10)), "bob": labelled(box(12)), "cy": labelled(box(14, top=13))}
    )
    (united,) = found.annotations.records[0].boxes
    assert united.xyxy == pytest.approx((12, 11, 32, 31))
    assert united.attributes == {"agreement": 1.0, "annotators": ["ann", "bob", "cy"]}
    assert not found.fallen_out and found.annotations.labels == ("crack", "pothole")


@pytest.mark.parametrize(
    "votes, of, kept", [(1, 2, False), (2, 2, True), (1, 3, False), (2, 3, True), (3, 5, True)]
)
def test_agreement_decides(votes, of, kept):
    annotators = {f"p{n}": labelled(*([box(10)] if n < votes else [])) for n in range(of)}
    found = consensus(annotators)
    assert len(found.annotations.records[0].boxes) == kept
    if not kept:
        (fallen,) = found.fallen_out
        assert (fallen.name, fallen.annotators, fallen.agreement) == ("a.png", ("p0",), votes / of)
        assert fallen.reason == f"seen by {votes} of {of}" and fallen.box.xyxy == (10, 10, 30, 30)
    # the picture itself stays, clean or not
    assert len(found.annotations.records) == 1


def test_agreement_counts_only_those_who_labelled_the_picture():
    other = labelled(name="b.png")
    found = consensus(
        {"ann": labelled(box(10)), "bob": labelled(box(10)), "cy": other, "di": other}
    )
    assert [len(record.boxes) for record in found.annotations.records] == [1, 0]


def test_the_majoritys_class_and_only_its_boxes_count():
    found = consensus(
        {
            "ann": labelled(box(10)),
            "bob": labelled(box(10)),
            "cy": labelled(box(14, "crack")),
        }
    )
    (united,) = found.annotations.records[0].boxes
    assert united.label == "pothole" and united.xyxy == (10, 10, 30, 30)
    assert united.attributes["agreement"] == pytest.approx(0.667)
    tied = consensus({"ann": labelled(box(10)), "bob": labelled(box(10, "crack"))})
    assert tied.annotations.records[0].boxes == ()
    assert [fallen.reason for fallen in tied.fallen_out] == ["classes tied: crack, pothole"]


def test_close_objects_are_not_drawn_together_along_a_chain():
    # IoU 0.6 from neighbour to neighbour, 0.33 from end to end
    votes = [("ann", box(10)), ("bob", box(15)), ("cy", box(20))]
    groups = clusters(votes, 0.5)
    assert sorted(map(len, groups)) == [1, 2]


def test_one_labeller_has_one_box_of_an_object_the_best():
    votes = [("ann", box(10)), ("bob", box(13)), ("bob", box(11))]
    pairs = [group for group in clusters(votes, 0.5) if len(group) == 2]
    assert pairs == [[votes[0], votes[2]]]


def test_the_threshold_is_of_the_iou_in_x_and_y_alike():
    # a transposed box has the right numbers in the wrong places
    wide, tall = Box("pothole", (0, 10, 60, 20)), Box("pothole", (10, 0, 20, 60))
    assert len(clusters([("ann", wide), ("bob", tall)], 0.1)) == 2
    shifted = Box("pothole", (0, 15, 60, 25))  # 60 x 5 shared of 900: IoU 1/3
    assert len(clusters([("ann", wide), ("bob", shifted)], 1 / 3)) == 1
    assert len(clusters([("ann", wide), ("bob", shifted)], 0.34)) == 2


def test_outlines_are_united_by_majority():
    annotators = {
        name: labelled(box(10 + shift, polygons=(SQUARE + np.array([shift, 0]),)))
        for name, shift in {"ann": 0, "bob": 2, "cy": 6}.items()
    }
    (united,) = consensus(annotators).annotations.records[0].boxes
    # columns that two of three hold: from 12 (ann, bob) to 32 (bob, cy)
    assert polygons_box(united.polygons) == pytest.approx((12, 10, 32, 30), abs=0.5)


def test_agreement_by_hand():
    ann = Annotations(
        (
            ImageRecord("a.png", 100, 80, (box(10), box(60))),
            ImageRecord("b.png", 100, 80, ()),
            ImageRecord("c.png", 100, 80, (box(10),)),
        ),
        ("crack", "pothole"),
    )
    bob = Annotations(
        (
            ImageRecord("a.png", 100, 80, (box(10), box(65, "crack"))),
            ImageRecord("b.png", 100, 80, (box(0),)),
            ImageRecord("d.png", 100, 80, (box(0),)),
        ),
        ("crack", "pothole"),
    )
    (row,) = agreement({"ann": ann, "bob": bob}).rows
    # shared are a and b; pairs in a have IoU 1 and 300 / 500
    assert row == {
        "annotators": "ann, bob",
        "images": 2,
        "boxes": "2, 3",
        "matched": 2,
        "agreement": pytest.approx(4 / 5),
        "mean IoU": pytest.approx(0.8),
        "same class": 0.5,
        "same verdict": 0.5,
    }


def test_agreement_of_nothing_divides_by_nothing():
    (row,) = agreement({"ann": labelled(), "bob": labelled()}).rows
    assert (row["agreement"], row["mean IoU"], row["same verdict"]) == ("", "", 1)
    (row,) = agreement({"ann": labelled(), "bob": labelled(name="b.png")}).rows
    assert (row["images"], row["same verdict"]) == (0, "")


def test_what_cannot_be_united_is_refused():
    with pytest.raises(DataError, match=r"a.png: .* 100 x 80 \(ann\), 80 x 100 \(bob\)"):
        consensus({"ann": labelled(), "bob": labelled(size=(80, 100))})
    with pytest.raises(ValueError, match="no annotators"):
        consensus({})
    with pytest.raises(ValueError, match="min_agreement is 0"):
        consensus({"ann": labelled()}, min_agreement=0)
