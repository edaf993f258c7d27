"""Metrics of reading, against figures computed by hand."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightbook.donut.metrics import (
    CharacterConfusion,
    FindingMetric,
    JsonMetric,
    ReadingMetric,
    score_zone,
)
from sightbook.donut.page.metrics import (
    Node,
    field_matches,
    flatten,
    normalise,
    tree,
    tree_accuracy,
    tree_edit_distance,
)
from sightbook.metrics.bootstrap import values_of

TD3 = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


# --- zones -----------------------------------------------------------------------------------


def test_a_right_reading():
    score = score_zone(TD3, TD3)
    assert score.exact and score.checks_ok and not score.valid_but_wrong
    assert (score.lines_right, score.errors, score.characters) == (2, 0, 88)
    # 5 letters before the name, ERIKSSON, ANNA, MARIA; 44 less 5 fillers below.
    assert score.content_characters == 4 + 8 + 4 + 5 + 39
    assert len(score.fields) == 10 and all(score.fields.values())


def test_a_misread_digit_is_seen_by_the_check_digit():
    score = score_zone(TD3, [TD3[0], TD3[1].replace("740812", "740813")])
    assert (score.lines_right, score.errors, score.content_errors) == (1, 1, 1)
    assert not score.checks_ok and not score.valid_but_wrong
    assert [name for name, right in score.fields.items() if not right] == ["birth_date"]


def test_a_misread_name_is_valid_but_wrong():
    score = score_zone(TD3, [TD3[0].replace("ANNA<", "ANNAK"), TD3[1]])
    assert score.checks_ok and score.valid_but_wrong
    assert (score.errors, score.content_errors) == (1, 1)
    assert [name for name, right in score.fields.items() if not right] == ["given_names"]


def test_fillers_alone_are_no_content_error():
    score = score_zone(["AB<<<", "C<<<<"], ["AB<<", "C<<<<"])
    assert (score.errors, score.content_errors, score.content_characters) == (1, 0, 3)
    assert score.fields == {}  # the truth has the shape of no zone


def test_nothing_read_is_all_wrong():
    score = score_zone(TD3, None)
    assert not score.answered and not score.exact and not score.checks_ok
    assert score.errors == 88 and not any(score.fields.values())


def test_a_field_made_up_where_the_truth_has_none_is_wrong():
    blank = [TD3[0], "L898902C36UTO7408122F1204159<<<<<<<<<<<<<<04"]
    assert "optional_data" not in score_zone(blank, blank).fields
    assert score_zone(blank, TD3).fields["optional_data"] is False


def test_summary_of_readings():
    metric = ReadingMetric()
    metric.update(TD3, TD3, seconds=0.2)
    metric.update(TD3, [TD3[0].replace("ANNA<", "ANNAK"), TD3[1]], seconds=0.4)
    metric.update(TD3, [TD3[0], TD3[1].replace("740812", "740813")])
    metric.update(TD3, None)
    metric.update([], None)
    metric.update([], ["P<"])
    summary = metric.summary()
    expected = {
        "exact_zone": (0.25, 4),
        "exact_line": (4 / 8, 8),
        "cer": (90 / 352, 352),
        "cer_content": ((1 + 1 + 60) / 240, 240),
        "field_accuracy": ((10 + 9 + 9) / 40, 40),
        "checks_ok": (0.5, 4),
        "valid_but_wrong": (0.25, 4),
        "answered": (0.75, 4),
        "false_zones": (0.5, 2),
        "seconds": (0.3, 2),
        "field/given_names": (0.5, 4),
        "field/birth_date": (0.5, 4),
        "field/surname": (0.75, 4),
    }
    for name, (value, n) in expected.items():
        assert summary[name]["value"] == pytest.approx(value), name
        assert summary[name]["n"] == n, name
        assert summary[name]["low"] <= value + 1e-9 and value - 1e-9 <= summary[name]["high"]
    assert values_of(summary)["exact_zone"] == 0.25
    json.dumps(summary)

    metric.reset()
    empty = metric.summary()
    assert empty["cer"]["value"] is None and empty["exact_zone"]["n"] == 0
    assert values_of(empty) == {}


def test_a_repaired_misprint_is_valid_but_wrong():
    """The document bears a wrong digit; who 'reads' the right one has not read the document."""
    printed = [TD3[0], TD3[1][:19] + "7" + TD3[1][20:]]
    assert score_zone(printed, printed).exact
    assert score_zone(printed, TD3).valid_but_wrong


# --- finding ---------------------------------------------------------------------------------


def quad(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def test_zones_found_and_lines_located():
    truth = np.array([quad(10, 10, 200, 6), quad(10, 30, 200, 6)], float)
    metric = FindingMetric()
    assert metric.update(truth, np.add(truth, [2, 1]))
    assert metric.update(truth, np.add(truth, [7, 0]))  # found, but a line starts a character off
    assert not metric.update(truth, truth[::-1, [2, 3, 0, 1]])  # upside down
    assert not metric.update(truth, None)
    assert not metric.update(truth, np.add(truth, [150, 0]))
    assert metric.update(truth, np.array([quad(10, 10, 200, 26)], float))  # both lines as one
    assert not metric.update(None, None)
    assert not metric.update(None, truth)
    summary = metric.summary()
    assert (summary["zone_recall"]["value"], summary["zone_recall"]["n"]) == (0.5, 6)
    assert summary["lines_located"]["value"] == pytest.approx(1 / 6)
    assert (summary["false_zones"]["value"], summary["false_zones"]["n"]) == (0.5, 2)
    metric.reset()
    assert metric.summary()["zone_recall"]["value"] is None


# --- confusion -------------------------------------------------------------------------------


def test_confusion_by_alignment():
    metric = CharacterConfusion()
    metric.update("A0<<B", "AO<B")  # 0 read as O, one filler missed
    metric.update("00", "0X0")  # X added
    metric.update("0", "O")
    summary = metric.summary()
    assert summary["confusions"] == [
        {"truth": "0", "predicted": "O", "count": 2},
        {"truth": "", "predicted": "X", "count": 1},
        {"truth": "<", "predicted": "", "count": 1},
    ]
    assert summary["accuracy"]["0"]["value"] == 0.5 and summary["accuracy"]["0"]["n"] == 4
    assert summary["accuracy"]["<"]["value"] == 0.5
    assert metric.summary(top=1)["confusions"][0]["count"] == 2
    matrix = metric.matrix("0OAB<")
    assert matrix.shape == (6, 6) and matrix[0, 1] == 2 and matrix[0, 0] == 2
    assert matrix[4, 5] == 1  # a filler missed
    assert matrix[5, 5] == 1  # X, which is not in this alphabet, added
    metric.reset()
    assert metric.summary()["confusions"] == []


@given(st.text("AB<", max_size=12), st.text("AB<", max_size=12))
def test_confusion_counts_every_character(truth, predicted):
    metric = CharacterConfusion()
    metric.update(truth, predicted)
    assert sum(n for (true, _), n in metric.pairs.items() if true) == len(truth)
    assert sum(n for (_, read), n in metric.pairs.items() if read) == len(predicted)


# --- JSON ------------------------------------------------------------------------------------

RECEIPT = {"menu": [{"name": "cake", "count": 2}, {"name": "juice"}], "total": " 7 ", "note": ""}


def test_normalised_and_flattened():
    assert normalise(RECEIPT) == {
        "menu": [{"name": ["cake"], "count": ["2"]}, {"name": ["juice"]}],
        "total": ["7"],
    }
    assert sorted(flatten(normalise(RECEIPT))) == [
        ("menu.count", "2"),
        ("menu.name", "cake"),
        ("menu.name", "juice"),
        ("total", "7"),
    ]
    assert list(normalise({"bb": 1, "c": 2, "a": 3})) == ["a", "c", "bb"]


@pytest.mark.parametrize(
    "truth, predicted, accuracy",
    [
        (RECEIPT, RECEIPT, 1.0),
        ({"a": "x"}, {}, 0.0),
        # From nothing: key a (1) and 4 characters are inserted, 5 in all. One character differs.
        ({"a": "cake"}, {"a": "cape"}, 1 - 1 / 5),
        # Another key: one change of a label.
        ({"a": "cake"}, {"b": "cake"}, 1 - 1 / 5),
        # A key too many: key (1) and text (2) removed.
        ({"a": "cake"}, {"a": "cake", "b": "xy"}, 1 - 3 / 5),
        # Worse than nothing is zero.
        ({"a": "x"}, {"a": "something long"}, 0.0),
        # Order of keys does not matter, order of list items does: two leaves rewritten.
        ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, 1.0),
        ({"a": ["1", "2"]}, {"a": ["2", "1"]}, 1 - 2 / 3),
        # One item of two missing: <subtree>, its key, its 5 letters out of
        # menu + 2 * (<subtree> + name) + cake + juice = 1 + 4 + 4 + 5.
        (
            {"menu": [{"name": "cake"}, {"name": "juice"}]},
            {"menu": {"name": "cake"}},
            1 - 7 / 14,
        ),
        ({}, {}, 1.0),
        ({}, {"a": "1"}, 0.0),
    ],
)
def test_tree_accuracy(truth, predicted, accuracy):
    assert tree_accuracy(truth, predicted) == pytest.approx(accuracy)


def test_field_matches_count_both_sides():
    assert field_matches(RECEIPT, RECEIPT) == (4, 0)
    assert field_matches({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == (1, 2)
    assert field_matches({"a": ["1", "1"]}, {"a": "1"}) == (1, 1)
    assert field_matches({"a": {"b": "1"}}, {"b": "1"}) == (0, 2)


def test_summary_of_json_readings():
    metric = JsonMetric()
    assert metric.update({"a": "cake"}, {"a": "cake"}) == 1
    assert metric.update({"a": "cake"}, {"a": "cape"}) == pytest.approx(0.8)
    summary = metric.summary()
    assert summary["tree_accuracy"]["value"] == pytest.approx(0.9)
    assert summary["field_f1"]["value"] == pytest.approx(1 / (1 + 2 / 2))
    assert (summary["exact"]["value"], summary["exact"]["n"]) == (0.5, 2)
    metric.reset()
    assert metric.summary()["field_f1"]["value"] is None


def test_textbook_tree_distance():
    """Zhang and Shasha's own pair: f(d(a, c(b)), e) and f(c(d(a, b)), e) are two apart."""

    def node(label, *children):
        return Node(label, children=children)

    one = node("f", node("d", node("a"), node("c", node("b"))), node("e"))
    two = node("f", node("c", node("d", node("a"), node("b"))), node("e"))
    assert tree_edit_distance(one, two) == 2


def test_a_leaf_is_no_cheap_key():
    """Text of two characters for a key: as dear as to remove the one and insert the other."""
    leaf, key = Node("ab", leaf=True), Node("k")
    assert tree_edit_distance(Node("r", children=(leaf,)), Node("r", children=(key,))) == 2 + 1


def forest_distance(a, b):
    """The recursion the algorithm computes, written down plainly."""

    def size(node):
        return len(node.label) if node.leaf else 1

    def change(old, new):
        if old.leaf and new.leaf:
            return edits(old.label, new.label)
        if old.leaf or new.leaf:
            return 1 + len((old if old.leaf else new).label)
        return int(old.label != new.label)

    @cache
    def edits(x, y):
        if not x or not y:
            return len(x) + len(y)
        return min(edits(x[1:], y) + 1, edits(x, y[1:]) + 1, edits(x[1:], y[1:]) + (x[0] != y[0]))

    @cache
    def distance(f, g):
        if not f and not g:
            return 0
        ways = []
        if f:
            ways.append(distance((*f[:-1], *f[-1].children), g) + size(f[-1]))
        if g:
            ways.append(distance(f, (*g[:-1], *g[-1].children)) + size(g[-1]))
        if f and g:
            ways.append(
                distance(f[-1].children, g[-1].children)
                + distance(f[:-1], g[:-1])
                + change(f[-1], g[-1])
            )
        return min(ways)

    return distance((a,), (b,))


small = st.recursive(
    st.text("xy", min_size=1, max_size=2),
    lambda inside: (
        st.dictionaries(st.sampled_from("ab"), inside, max_size=2)
        | st.lists(st.dictionaries(st.sampled_from("ab"), inside, max_size=2), max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("ab"), small), st.dictionaries(st.sampled_from("ab"), small))
def test_tree_distance_equals_its_definition(one, two):
    a, b = tree(normalise(one)), tree(normalise(two))
    assert tree_edit_distance(a, b) == forest_distance(a, b) == tree_edit_distance(b, a)
    assert tree_edit_distance(a, a) == 0
