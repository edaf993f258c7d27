"""Figures of outlines and readings, held against cases counted by hand."""

import numpy as np
import pytest

from headstamps.words_made import CASE, casing, head, primer, word
from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.detection.labels.read import read_annotations
from sightbook.headstamps.metrics import (
    ellipse_error,
    ellipse_errors,
    evaluate_readings,
    token_errors,
    token_hits,
)
from sightbook.headstamps.read import Head, find_outlines
from sightbook.headstamps.unroll import Ellipse
from sightbook.params import repository_root

DATA = repository_root().parent / "shared" / "data" / "headstamps"

LEFT, RIGHT = Ellipse(100, 100, 60, 60), Ellipse(300, 100, 60, 60)


def photo(name, *boxes):
    return ImageRecord(name, 400, 400, tuple(boxes))


def truth(*records):
    return Annotations(tuple(records), ("casing", "primer"))


def stamped(ellipse, tokens, object_id="a", legibility="full", **more):
    facts = {"tokens": tokens.split(), "object_id": object_id, "legibility": legibility}
    return casing(ellipse, **facts, **more)


def values(result):
    return {name: figure["value"] for name, figure in result.figures().items()}


def test_tokens_count_in_any_order_and_as_often_as_they_stand():
    assert token_hits(["AGUILA", "16", "16"], ["16", "aguila", "16"]) == 3
    assert token_hits(["AGUILA", "16", "16"], ["16", "AGUILA"]) == 2
    assert token_hits(["AGUILA", "16"], ["16", "16", "16"]) == 1
    assert token_hits(["9x19"], ["9×19"]) == 1
    assert token_hits(["S&B"], ["58B"]) == 0


def test_letter_errors_pair_tokens_so_that_they_are_least():
    assert token_errors(["S&B", "9x19", "19"], ["19", "9x19", "S&B"]) == 0
    # 19 is paired with the 9 that 9x19 could have had as well, which would cost more
    assert token_errors(["9x19", "19"], ["19", "9x1"]) == 1
    assert token_errors(["S&B"], []) == 3
    assert token_errors([], ["LOT"]) == 3
    assert token_errors(["16", "16"], ["16", "91"]) == 2
    # cheaper to pair WIN with WINCHESTER and leave XX alone than the other way round
    assert token_errors(["WINCHESTER"], ["XX", "WIN"]) == 2 + 7


def test_figures_by_hand():
    annotations = truth(
        photo("1", stamped(LEFT, "S&B 9x19 19"), stamped(RIGHT, "AGUILA 16 16", "b")),
        photo("2", stamped(LEFT, "S&B 9x19 19")),
    )
    read = {
        "1": [head(RIGHT, "AGUILA", "16"), head(LEFT, "19", "9x19", "S&B")],
        "2": [head(LEFT, "S8B", "19", "X")],
    }
    result = evaluate_readings(annotations, read)
    found = values(result)
    # right: 2 of 3, 3 of 3, 1 of 3; read: 2, 3, 3
    assert found["token_recall"] == pytest.approx(6 / 9)
    assert found["token_precision"] == pytest.approx(6 / 8)
    assert found["token_F1"] == pytest.approx(12 / 17)
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["found"] == 1
    # letters: 16 is missing; S8B for S&B and X for 9x19
    assert found["CER"] == pytest.approx((2 + 1 + 3) / (10 + 9 + 9))
    assert found["object_token_F1"] == pytest.approx(((2 * 4 / 12) + (2 * 2 / 5)) / 2)
    own = result.per_object()
    assert own["a"]["token_F1"]["value"] == pytest.approx(8 / 12)
    assert own["b"]["token_F1"]["value"] == pytest.approx(4 / 5)
    assert own["a"]["found"]["n"] == 2
    assert result.figures()["CER"]["n"] == 28


def test_what_is_missed_is_counted_and_what_is_invented_too():
    annotations = truth(photo("1", stamped(LEFT, "S&B 9x19")), photo("2"))
    missed = evaluate_readings(annotations, {"1": [], "2": []})
    assert values(missed)["token_F1"] == 0 and values(missed)["found"] == 0
    assert values(missed)["CER"] == 1
    assert values(missed)["token_precision"] is None  # nothing was read
    elsewhere = evaluate_readings(annotations, {"1": [head(LEFT, "S&B", "9x19")], "2": []})
    assert values(elsewhere)["exact"] == 1
    invented = {"1": [head(LEFT, "S&B", "9x19")], "2": [head(RIGHT, "NAIL")]}
    worse = values(evaluate_readings(annotations, invented))
    assert worse["token_precision"] == pytest.approx(2 / 3)
    assert worse["exact"] == 1 and worse["found"] == 1  # of the heads that are there
    assert worse["CER"] == pytest.approx(4 / 7)
    # a casing found where none is, and nothing read on it, is the detector's matter
    silent = {"1": [head(LEFT, "S&B", "9x19")], "2": [head(RIGHT)]}
    assert values(evaluate_readings(annotations, silent))["token_precision"] == 1


def test_two_found_in_the_place_of_one_count_once():
    annotations = truth(photo("1", stamped(LEFT, "S&B")))
    near = Ellipse(104, 100, 60, 60)
    result = evaluate_readings(annotations, {"1": [head(near, "XX"), head(LEFT, "S&B")]})
    assert values(result)["token_recall"] == 1
    assert values(result)["token_precision"] == 0.5


def test_the_illegible_is_neither_demanded_nor_punished():
    annotations = truth(
        photo("1", stamped(LEFT, "S&B"), stamped(RIGHT, "WINCHESTER", "b", "poor")),
        photo("2", casing(LEFT)),  # nobody wrote down what stands there
    )
    read = {"1": [head(LEFT, "S&B"), head(RIGHT, "WIN", "12")], "2": [head(LEFT, "FC")]}
    result = evaluate_readings(annotations, read)
    found = values(result)
    assert found["token_F1"] == 1 and found["exact"] == 1
    assert list(result.per_object()) == ["a"]
    assert len(result.heads) == 3


def test_directions_of_right_tokens():
    segments = [
        {"text": "AGUILA", "direction": "outward"},
        {"text": "16", "direction": "clockwise"},
        {"text": "16", "direction": "anti-clockwise"},
    ]
    annotations = truth(photo("1", stamped(LEFT, "AGUILA 16 16", segments=segments)))
    own = [word("AGUILA"), word("16", 90, "sideways"), word("16", 270, "inward")]
    figure = evaluate_readings(annotations, {"1": [head(LEFT, *own)]}).figures()["direction"]
    assert figure["value"] == pytest.approx(2 / 3) and figure["n"] == 3
    unsaid = truth(photo("1", stamped(LEFT, "AGUILA 16 16")))
    assert values(evaluate_readings(unsaid, {"1": [head(LEFT, *own)]}))["direction"] is None


def test_intervals_are_drawn_over_objects_and_not_over_views():
    views = [photo(str(k), stamped(LEFT, "S&B 19", "a")) for k in range(8)]
    read = {str(k): [head(LEFT, "S&B", *(["19"] if k % 2 else []))] for k in range(8)}
    one = evaluate_readings(truth(*views), read).figures()["token_recall"]
    assert one["value"] == 0.75 and one["low"] is None  # one object says nothing of others
    other = photo("x", stamped(LEFT, "FC 19", "b"))
    two = evaluate_readings(truth(*views, other), {**read, "x": [head(LEFT)]}).figures()
    assert two["token_recall"]["low"] == 0 and two["token_recall"]["high"] == 0.75
    assert two["object_token_F1"]["value"] == pytest.approx((2 * 12 / (16 + 12) + 0) / 2)
    assert two["object_token_F1"]["low"] == 0


def test_photographs_must_be_read_and_known():
    annotations = truth(photo("1", stamped(LEFT, "S&B")))
    with pytest.raises(ValueError, match="were not read: 1"):
        evaluate_readings(annotations, {})
    with pytest.raises(ValueError, match="not in the truth: 7"):
        evaluate_readings(annotations, {"1": [], "7": []})


def test_tables_and_metrics_name_every_object():
    annotations = truth(photo("1", stamped(LEFT, "S&B"), stamped(RIGHT, "FC 19", "b")))
    result = evaluate_readings(annotations, {"1": [head(LEFT, "S&B")]})
    rows = result.table().rows
    assert [row["object"] for row in rows] == ["a", "b", "all"]
    assert rows[0]["token F1"] == "1.000" and rows[1]["found"] == "0.000"
    assert set(result.metrics()["objects"]) == {"a", "b"}


def test_ellipse_errors():
    same = ellipse_error(CASE, CASE)
    assert (same.centre, same.axes) == (0, 0) and same.outline == pytest.approx(0, abs=1e-6)
    larger = ellipse_error(CASE, Ellipse(200, 200, 165, 165))
    assert larger.axes == pytest.approx(0.1) and larger.outline == pytest.approx(0.1)
    moved = ellipse_error(CASE, Ellipse(215, 200, 150, 150))
    assert moved.centre == pytest.approx(0.1) and moved.axes == 0
    assert moved.outline == pytest.approx(0.1 * 2 / np.pi, abs=2e-3)  # mean of |cos|
    # of a long ellipse, its axes exchanged, all is wrong but the centre
    turned = ellipse_error(Ellipse(200, 200, 150, 75), Ellipse(200, 200, 150, 75, -90))
    assert turned.centre == 0 and turned.axes == 0 and turned.outline > 0.3


def test_ellipse_errors_of_heads():
    annotations = truth(photo("1", stamped(LEFT, "S&B"), primer(Ellipse(100, 100, 24, 24))))
    result = evaluate_readings(annotations, {"1": [head(Ellipse(106, 100, 60, 60), "S&B")]})
    rows = ellipse_errors(result.heads).rows
    assert rows[0]["found"] == 1 and rows[0]["centre error"] == "0.100 (0.100)"
    assert rows[1] == {"outline of": "primer", "found": 0}


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the development data beside the repository")
def test_the_truth_of_real_photographs_reads_itself():
    annotations = read_annotations(DATA)
    read = {}
    for record in annotations.records:
        read[record.name] = [
            Head(outline, head(CASE).strip, words, words, ())
            for outline in find_outlines(record.boxes, (record.width, record.height))
            for words in [_words(outline.casing.attributes["segments"])]
        ]
    result = evaluate_readings(annotations, read)
    found = values(result)
    assert found["token_F1"] == found["exact"] == found["direction"] == found["found"] == 1
    assert found["CER"] == 0
    assert result.figures()["found"]["n"] == 13  # the fourteenth is of poor legibility
    assert list(result.per_object()) == ["aguila_16ga", "sb_9x19", "winchester_12ga"]
    assert all(r.head and r.head.outline.primer is not None for r in result.heads)


def _words(segments):
    sideways = ("clockwise", "anti-clockwise")
    return tuple(
        word(token, 0, "sideways" if s["direction"] in sideways else s["direction"])
        for s in segments
        for token in s["text"].split()
    )
