"""Words put right by the table: what is hardly anything else, and nothing more."""

import pytest

from headstamps.words_made import word
from sightbook.headstamps.gazetteer import corrected, read_gazetteer


def texts(*given):
    words = [w if not isinstance(w, str) else word(w, 40.0 * k) for k, w in enumerate(given)]
    return [w.text for w in corrected(words)]


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("ACUILA", ["AGUILA"]),
        ("AGUlLA", ["AGUILA"]),
        ("WIN6HESIER", ["WINCHESTER"]),
        ("5&B", ["S&B"]),
        ("12GA", ["12", "GA"]),
        ("9MMLUGER", ["9mm", "LUGER"]),
    ],
)
def test_what_is_hardly_anything_else_is_put_right(read, meant):
    assert texts(read) == meant


@pytest.mark.parametrize(
    "read",
    ["UIA", "KRAVEN", "19", "12", "I6", "9x19", "AGUILA", "QQ7XK42", "308", "FNM", "SB", ""],
)
def test_all_else_stays_as_it_was_read(read):
    assert texts(read) == [read]


def test_pieces_of_one_word_are_joined_and_words_in_their_places_are_not():
    assert texts("WIN", "CHESTER", "12", "GA") == ["WINCHESTER", "12", "GA"]
    assert texts("9mm", "LUGER") == ["9mm", "LUGER"]
    assert texts("9mm", "LU6ER") == ["9mm", "LUGER"]
    assert texts("S&B", "9x19", "19") == ["S&B", "9x19", "19"]


def test_words_of_other_directions_are_never_joined_and_sideways_ones_not_touched():
    assert texts(word("WIN", 10), word("CHESTER", 60, "inward")) == ["WIN", "CHESTER"]
    assert texts(word("12GA", 90, "sideways")) == ["12GA"]


@pytest.mark.parametrize(("direction", "first", "second"), [("outward", -1, 1), ("inward", 1, -1)])
def test_parts_stand_where_they_were_read(direction, first, second):
    # 50 degrees for 12 GA: two letters, a blank, two letters; inward runs against the clock
    found = corrected([word("12GA", 180, direction, width=50)])
    assert [w.text for w in found] == ["12", "GA"]
    assert found[0].angle == pytest.approx(180 + first * 15)
    assert found[1].angle == pytest.approx(180 + second * 15)
    assert [w.width for w in found] == pytest.approx([20, 20])
    assert {w.direction for w in found} == {direction}


def test_a_joined_word_stands_over_its_pieces_even_across_the_seam_of_angles():
    found = corrected([word("WIN", 345, width=30), word("CHESTER", 40, width=80)])
    assert [w.text for w in found] == ["WINCHESTER"]
    assert found[0].angle == pytest.approx(25)
    assert found[0].width == pytest.approx(110)


def test_confidence_falls_with_what_was_changed():
    sure, doubtful = (
        corrected([word(text, 10, confidence=0.9)])[0] for text in ("AGUILA", "ACUILA")
    )
    assert sure.confidence == 0.9
    assert doubtful.text == "AGUILA"
    # C for G is four tenths of a letter of six
    assert doubtful.confidence == pytest.approx(0.9 * (1 - 0.4 / 6))


def test_between_two_stamps_nothing_is_decided(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("makers\nACMEX | one | pistol | ring\nACNEX | two | pistol | ring\n", "utf-8")
    table = read_gazetteer(file)
    assert [w.text for w in corrected([word("ACXEX", 10)], table)] == ["ACXEX"]
    assert [w.text for w in corrected([word("AGMEX", 10)], table)] == ["ACMEX"]
