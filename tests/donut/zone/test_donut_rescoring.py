import json

import numpy as np
import pytest

from sightbook.donut.mrz import build as mrz
from sightbook.donut.zone.rescoring import (
    CONFUSIONS,
    Change,
    Reading,
    correct_zone,
    differences,
    zone_confidences,
)

A = mrz.ALPHABET
ERIKSSON = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


def reading(text, likely=None, log_prob=-1.0):
    """A sure reading; ``likely`` gives other characters a probability: {column: {char: p}}."""
    places = np.full((len(text), len(A)), 1e-9)
    for column, character in enumerate(text):
        others = (likely or {}).get(column, {})
        for other, probability in others.items():
            places[column, A.index(other)] = probability
        places[column, A.index(character)] = 1 - sum(others.values())
    places = np.log(places / places.sum(1, keepdims=True))
    return Reading(text, log_prob, log_prob, log_prob, places)


def replaced(line, column, character):
    return line[:column] + character + line[column + 1 :]


def test_valid_zone_is_left_alone_however_doubtful():
    lines = [[reading(ERIKSSON[0])], [reading(ERIKSSON[1], {1: {"B": 0.49}})]]
    assert correct_zone("TD3", lines, A) == (ERIKSSON, [])


def test_a_usual_confusion_is_repaired_and_reported():
    wrong = replaced(ERIKSSON[1], 1, "B")  # L8 read as LB
    lines = [[reading(ERIKSSON[0])], [reading(wrong, {1: {"8": 0.1}})]]
    fixed, changes = correct_zone("TD3", lines, A)
    assert fixed == ERIKSSON
    (change,) = changes
    assert (change.row, change.column, change.found, change.replaced) == (1, 1, "B", "8")
    assert "document_number" in change.reason
    assert change.loss == pytest.approx(np.log(0.9 / 0.1), abs=1e-6)
    assert mrz.parse(fixed, "TD3").valid
    json.dumps(change.to_dict())


def test_nothing_plausible_means_no_repair():
    # the model is sure of every character: the document itself is wrong, and stays so
    wrong = replaced(ERIKSSON[1], 9, "4")
    lines = [[reading(ERIKSSON[0])], [reading(wrong)]]
    assert correct_zone("TD3", lines, A) == ([ERIKSSON[0], wrong], [])


def test_loss_and_margin_bound_the_repair():
    wrong = replaced(ERIKSSON[1], 1, "B")
    lines = [[reading(ERIKSSON[0])], [reading(wrong, {1: {"8": 0.1}})]]
    assert correct_zone("TD3", lines, A, max_loss=2.0)[1] == []
    assert correct_zone("TD3", lines, A, max_loss=2.3)[1] != []


def test_two_equally_good_repairs_are_none():
    # 2 read as Z at column 35 (ZE184226B): or was the 8 at 30 another character that fits too?
    wrong = replaced(ERIKSSON[1], 34, "Z")
    one = [[reading(ERIKSSON[0])], [reading(wrong, {34: {"2": 0.2}})]]
    assert correct_zone("TD3", one, A)[0] == ERIKSSON
    rivals = [
        (column, new)
        for column in range(28, 42)
        for new in A
        if new != wrong[column]
        and column != 34
        and all(
            c.ok
            for c in mrz.parse([ERIKSSON[0], replaced(wrong, column, new)], "TD3").checks.values()
        )
    ]
    assert rivals, "the case needs a second way to make the digits right"
    column, new = rivals[0]
    two = [[reading(ERIKSSON[0])], [reading(wrong, {34: {"2": 0.2}, column: {new: 0.2}})]]
    assert correct_zone("TD3", two, A) == ([ERIKSSON[0], wrong], [])


def test_second_reading_of_a_line_may_win():
    wrong = replaced(replaced(ERIKSSON[1], 14, "5"), 16, "9")
    lines = [
        [reading(ERIKSSON[0])],
        [reading(wrong, log_prob=-1.0), reading(ERIKSSON[1], log_prob=-2.5)],
    ]
    fixed, changes = correct_zone("TD3", lines, A)
    assert fixed == ERIKSSON
    assert [(c.column, c.found, c.replaced) for c in changes] == [(14, "5", "4"), (16, "9", "8")]
    assert {c.loss for c in changes} == {1.5}


def test_pairs_across_fields():
    wrong = replaced(replaced(ERIKSSON[1], 1, "B"), 28, "2")  # L8.. and ZE..
    lines = [[reading(ERIKSSON[0])], [reading(wrong, {1: {"8": 0.2}, 28: {"Z": 0.2}})]]
    fixed, changes = correct_zone("TD3", lines, A)
    assert fixed == ERIKSSON
    assert len(changes) == 2
    assert correct_zone("TD3", lines, A, max_changes=1)[1] == []


def test_names_bear_no_digit_and_are_never_touched():
    wrong = [replaced(ERIKSSON[0], 5, "F"), replaced(ERIKSSON[1], 1, "B")]
    lines = [[reading(wrong[0], {5: {"E": 0.4}})], [reading(wrong[1], {1: {"8": 0.1}})]]
    fixed, _ = correct_zone("TD3", lines, A)
    assert fixed == [wrong[0], ERIKSSON[1]]


def test_a_repair_that_adds_up_but_is_no_date_is_none():
    wrong = replaced(ERIKSSON[1], 15, "1")  # 741812: month 18
    # 771812 satisfies both digits again, month 18 stays
    likely = {14: {"7": 0.3}}
    checks = mrz.parse([ERIKSSON[0], replaced(wrong, 14, "7")], "TD3").checks
    assert all(check.ok for check in checks.values())
    lines = [[reading(ERIKSSON[0])], [reading(wrong, likely)]]
    assert correct_zone("TD3", lines, A) == ([ERIKSSON[0], wrong], [])
    # the right one is taken where it is likely
    lines[1] = [reading(wrong, {**likely, 15: {"0": 0.3}})]
    assert correct_zone("TD3", lines, A)[0] == ERIKSSON


def test_other_shapes_are_returned_as_read():
    lines = [[reading("ABC")], [reading("DE")]]
    assert correct_zone("TD3", lines, A) == (["ABC", "DE"], [])


def test_long_document_number_of_a_card():
    good = [
        "I<UTOD23145890<7349<<<<<<<<<<<",
        "3407127M9507122UTO<<<<<<<<<<<2",
        "STEVENSON<<PETER<<<<<<<<<<<<<<",
    ]
    assert all(c.ok for c in mrz.parse(good, "TD1").checks.values())
    wrong = replaced(good[0], 12, "2")
    lines = [[reading(wrong, {12: {"9": 0.2}})], [reading(good[1])], [reading(good[2])]]
    fixed, changes = correct_zone("TD1", lines, A)
    assert fixed == good
    assert [(c.row, c.column) for c in changes] == [(0, 12)]


def test_differences_of_equal_and_other_lengths():
    assert differences(1, "A0B", "AOB", "grammar", 0.5) == [Change(1, 1, "0", "O", "grammar", 0.5)]
    assert differences(0, "AB<<", "AB<<<", "grammar", 1) == [Change(0, 4, "", "<", "grammar", 1)]
    assert differences(0, "PPP<", "PP<", "grammar", 1)[0].replaced == ""
    assert differences(0, "AB", "AB", "grammar", 1) == []


def test_confusions_go_both_ways():
    for pair in ("0O", "1I", "8B", "5S", "2Z", "K<"):
        assert pair[1] in CONFUSIONS[pair[0]]
        assert pair[0] in CONFUSIONS[pair[1]]


def test_confidences():
    rows = [np.ones(44), np.ones(44)]
    rows[1][0], rows[1][13], rows[0][5] = 0.5, 0.8, 0.9
    document, fields, characters = zone_confidences("TD3", rows)
    assert document == pytest.approx(0.5 * 0.8 * 0.9)
    assert fields["document_number"] == 0.5
    assert fields["birth_date"] == 0.8
    assert fields["names"] == 0.9
    assert fields["expiry_date"] == 1
    assert characters[1][13] == 0.8
    line = reading("AB", {1: {"8": 0.25}})
    assert line.confidences(A) == pytest.approx([1, 0.75], abs=1e-6)
    assert line.confidences(A, "A8") == pytest.approx([1, 0.25], abs=1e-6)
