"""HierText's protocol on cases small enough to be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sightbook.metrics.bootstrap import values_of
from sightbook.ocr.evaluation.compare import (
    WordMatch,
    compare_page,
    mask_of,
    mask_overlaps,
    word_height,
)
from sightbook.ocr.evaluation.metrics import evaluate_pages, figures
from sightbook.ocr.pages.page import Line, Page, PageBuilder, Paragraph, Word, rectangle

WIDTH, HEIGHT = 200, 100


def word(x: float, text: str = "a", y: float = 10, width: float = 20, **more: object) -> Word:
    """A word of 20 x 10 pixels."""
    return Word(rectangle(x, y, x + width, y + 10), text, **more)  # type: ignore[arg-type]


def page(*paragraphs: list[list[Word]], name: str = "") -> Page:
    builder = PageBuilder(name, WIDTH, HEIGHT)
    for lines in paragraphs:
        builder.add(lines)
    return builder.page()


def one_line(*words: Word) -> Page:
    return page([list(words)])


def got(truth: Page, read: Page, iou: float = 0.5) -> dict[str, float]:
    return values_of(evaluate_pages([truth], [read], iou))


def fates(truth: Page, read: Page) -> list[str]:
    return [match.outcome for match in compare_page(truth, read).words]


def test_masks_count_pixels_and_stop_at_the_page() -> None:
    # 0 to 9 inclusive: borders belong to a polygon
    two = mask_of([rectangle(0, 0, 9, 9), rectangle(20, 0, 29, 9)], 100, 100)
    beyond = mask_of([rectangle(-50, -50, 9, 200)], 100, 100)
    away = mask_of([rectangle(200, 200, 300, 300)], 100, 100)
    overlaps = mask_overlaps([two], [beyond, away])
    assert overlaps.first.tolist() == [200]
    assert overlaps.second.tolist() == [1000, 0]
    assert overlaps.intersection.tolist() == [[100, 0]]
    assert overlaps.iou.tolist() == [[pytest.approx(100 / 1100), 0]]


# ------------------------------------------------------------------ the protocol


def test_a_perfect_page() -> None:
    truth = page([[word(0, "to"), word(30, "be")], [word(0, "or", y=30)]], [[word(100, "not")]])
    found = got(truth, truth)
    for level in ("words", "lines", "paragraphs", "end_to_end", "lines_end_to_end"):
        for name in ("PQ", "F", "precision", "recall", "tightness"):
            assert found[f"{level}/{name}"] == pytest.approx(1), f"{level}/{name}"
    assert found["text/CER"] == found["text/WER"] == 0
    assert found["text/exact_line"] == found["outcome/matched"] == 1


def test_words_by_hand() -> None:
    # Three true words. The first is found exactly; the second shifted by 5 of its 20 pixels
    # (IoU 150/250 = 0.6); the third not; and one word is read where there is none.
    truth = one_line(word(0, "one"), word(40, "two"), word(80, "six"))
    read = one_line(word(0, "one"), word(45, "tvo"), word(160, "x"), word(120, "y"))
    found = got(truth, read)
    precision, recall = 2 / 4, 2 / 3
    score = 2 * precision * recall / (precision + recall)
    assert found["words/precision"] == pytest.approx(precision)
    assert found["words/recall"] == pytest.approx(recall)
    assert found["words/F"] == pytest.approx(score)
    assert found["words/tightness"] == pytest.approx(0.8)
    assert found["words/PQ"] == pytest.approx(0.8 * score)
    # only the first says the right thing
    assert found["end_to_end/recall"] == pytest.approx(1 / 3)
    assert found["end_to_end/precision"] == pytest.approx(1 / 4)
    assert found["end_to_end/tightness"] == pytest.approx(1)


def test_the_threshold_is_the_users() -> None:
    truth, read = one_line(word(0)), one_line(word(5))  # IoU 0.6
    assert got(truth, read)["words/F"] == 1
    assert got(truth, read, iou=0.7)["words/F"] == 0


def test_a_match_must_be_the_best_for_both() -> None:
    # Both predictions pass the threshold (0.8 and 0.9), only one of them can match.
    truth = one_line(word(0))
    read = one_line(word(0, width=16), word(0, width=18))
    found = got(truth, read)
    assert found["words/recall"] == 1
    assert found["words/precision"] == 0.5
    assert found["words/tightness"] == pytest.approx(0.9)


def test_what_is_illegible_is_neither_demanded_nor_punished() -> None:
    truth = one_line(word(0, "a"), word(40, "", legible=False))
    on_it = word(40, "junk")
    half_on_it = word(50, "junk")  # exactly half of its area
    beside = word(51, "junk")  # 9 of 20 pixels
    assert got(truth, one_line(word(0, "a")))["words/F"] == 1
    assert got(truth, one_line(word(0, "a"), on_it))["words/precision"] == 1
    assert got(truth, one_line(word(0, "a"), beside))["words/precision"] == 0.5
    assert got(truth, one_line(word(0, "a"), on_it))["text/CER"] == 0
    # half of the area counts as on it up to the protocol's epsilon
    wide = one_line(word(0, "a"), Word(half_on_it.vertices - (0.01, 0), "junk"))
    assert got(truth, wide)["words/precision"] == 1


def test_illegible_lines_and_paragraphs() -> None:
    truth = page(
        [[word(0, "a"), word(30, "b")]],
        [[word(0, "", y=40, legible=False), word(30, "", y=40, legible=False)]],
    )
    read = page([[word(0, "a"), word(30, "b")]], [[word(0, "x", y=40)]], [[word(100, "z", y=40)]])
    found = got(truth, read)
    assert found["lines/recall"] == found["paragraphs/recall"] == 1
    assert found["lines/precision"] == found["paragraphs/precision"] == 0.5


def test_lines_and_paragraphs_are_compared_by_the_pixels_of_their_words() -> None:
    a, b, c = word(0, "a"), word(30, "b"), word(60, "c")
    truth = page([[a, b], [word(0, "d", y=30)]])
    # words all right, but the line lacks its second word: 231 of 462 pixels (21 x 11 a word)
    found = got(truth, page([[a]], [[b]], [[word(0, "d", y=30)]]))
    assert found["words/F"] == 1
    assert found["lines/recall"] == 1  # of the halves the first is the best match, IoU 0.5
    assert found["lines/precision"] == pytest.approx(2 / 3)
    assert found["lines/tightness"] == pytest.approx((0.5 + 1) / 2)
    assert found["paragraphs/recall"] == 0  # a third each
    # one that swallows a word is 2/3 of the line
    found = got(one_line(a, b), one_line(a, b, c))
    assert found["lines/tightness"] == pytest.approx(2 / 3)
    assert found["lines/PQ"] == pytest.approx(2 / 3)


def test_lines_with_text_must_say_exactly_the_same() -> None:
    truth = page([[word(0, "to"), word(30, "be")]], [[word(0, "or", y=40)]])
    read = page([[word(0, "to"), word(30, "bc")]], [[word(0, "or", y=40)]])
    found = got(truth, read)
    assert found["lines/F"] == 1
    assert found["lines_end_to_end/F"] == 0.5


def test_a_word_whose_text_nobody_wrote_down_asks_for_none() -> None:
    truth = one_line(word(0, ""), word(40, "b"))
    found = got(truth, one_line(word(0, "what"), word(40, "b")))
    assert found["words/F"] == 1
    assert found["end_to_end/F"] == 1


def test_texts_are_compared_composed() -> None:
    found = got(one_line(word(0, "café")), one_line(word(0, "cafe\N{COMBINING ACUTE ACCENT}")))
    assert found["end_to_end/F"] == 1
    assert found["text/CER"] == 0


def test_empty_pages() -> None:
    empty, full = page(), one_line(word(0))
    nothing = got(empty, empty)
    assert nothing["words/precision"] == nothing["words/recall"] == 1
    assert "text/CER" not in nothing  # no text to be read
    assert got(full, empty)["words/recall"] == 0
    assert got(full, empty)["text/CER"] == 1
    assert got(empty, full)["words/precision"] == 0


# ------------------------------------------------------------------ fates


def test_merged_split_loose_and_missed_words() -> None:
    a, b = word(0, "a"), word(24, "b")
    assert fates(one_line(a, b), one_line(word(0, "ab", width=44))) == ["merged", "merged"]
    parts = one_line(word(0, "a", width=9), word(11, "b", width=9))
    assert fates(one_line(a), parts) == ["split"]
    assert fates(one_line(a), one_line(word(0, "a", width=9))) == ["loose"]
    assert fates(one_line(a, b), one_line(a)) == ["matched", "missed"]
    found = got(one_line(a, b), one_line(word(0, "ab", width=44)))
    assert found["outcome/merged"] == 1
    assert found["outcome/missed"] == 0


def test_a_word_that_is_not_matched_shows_what_lies_there() -> None:
    match = compare_page(one_line(word(0, "all")), one_line(word(0, "a", width=9))).words[0]
    assert (match.outcome, match.read, match.right) == ("loose", "a", False)
    assert match.iou == pytest.approx(0.45)
    missed = compare_page(one_line(word(0)), page()).words[0]
    assert missed == WordMatch(missed.truth, None, 0.0, "missed")


# ------------------------------------------------------------------ text


def test_characters_and_words_by_hand() -> None:
    truth = page([[word(0, "hello"), word(40, "world")], [word(0, "ok", y=40)]])
    read = page([[word(0, "hallo"), word(40, "world")], [word(0, "ok", y=40)]])
    found = got(truth, read)
    assert found["text/CER"] == pytest.approx(1 / 13)  # "hello world" and "ok"
    assert found["text/WER"] == pytest.approx(1 / 3)
    assert found["text/exact_line"] == 0.5
    assert found["text/CER_of_matched_words"] == pytest.approx(1 / 12)


def test_words_read_where_there_are_none_are_errors() -> None:
    found = got(one_line(word(0, "abcd")), one_line(word(0, "abcd"), word(100, "xy")))
    assert found["text/CER"] == pytest.approx(2 / 4)
    assert found["text/WER"] == 1
    assert found["text/exact_line"] == 1


def test_reading_does_not_depend_on_how_lines_were_grouped() -> None:
    # Two columns that were read as one line each across, words in another order.
    truth = page([[word(0, "a"), word(30, "b")]], [[word(100, "c"), word(130, "d")]])
    across = one_line(word(130, "d"), word(30, "b"), word(0, "a"), word(100, "c"))
    found = got(truth, across)
    assert found["lines/recall"] < 1
    assert found["text/CER"] == 0
    assert found["text/exact_line"] == 1


def test_lines_without_words_are_read_as_a_whole() -> None:
    outline = rectangle(0, 10, 60, 20)
    line = Line(outline, "to be")
    truth = Page("", WIDTH, HEIGHT, (Paragraph(outline, (line,)),))
    read = one_line(word(0, "to"), word(30, "bc"))
    found = got(truth, read)
    assert found["text/CER"] == pytest.approx(1 / 5)
    assert found["words/precision"] == 1  # which words there are is not known
    assert found["lines/F"] == 1


def test_turned_lines_are_read_along_their_direction() -> None:
    upward = [
        Word(np.array([[50, y], [50, y - 20], [60, y - 20], [60, y]], np.float32), text)
        for y, text in ((90, "one"), (60, "two"))
    ]
    truth = one_line(*upward)
    assert compare_page(truth, one_line(*upward[::-1])).lines[0].read == "one two"


def test_height_is_across_the_letters() -> None:
    assert word_height(word(0, "word")) == pytest.approx(10)
    tilted = Word(np.array([[0, 0], [30, 30], [25, 35], [-5, 5]], np.float32), "word")
    assert word_height(tilted) == pytest.approx(50**0.5)
    assert word_height(Word(rectangle(0, 0, 3, 12), "l")) == 12


# ------------------------------------------------------------------ many pages


def test_pages_are_added_up_before_figures_are_made() -> None:
    one, two = one_line(word(0)), one_line(word(0), word(30), word(60))
    pages = [one, two]
    found = evaluate_pages(pages, [one, page()])
    assert found["words/recall"]["value"] == pytest.approx(1 / 4)  # not the mean of 1 and 0
    assert found["words/recall"]["n"] == 4
    assert found["words/recall"]["low"] == 0
    assert found["words/recall"]["high"] == 1


def test_figures_repeat_and_one_page_has_no_interval() -> None:
    pages = [one_line(*(word(30 * k) for k in range(n))) for n in (1, 2, 3, 4)]
    read = [one_line(word(0)), *pages[1:3], page()]
    assert evaluate_pages(pages, read) == evaluate_pages(pages, read)
    assert evaluate_pages(pages[:1], read[:1])["words/F"]["low"] is None


def test_no_pages() -> None:
    assert figures([])["text/CER"] == {"value": None, "n": 0, "low": None, "high": None}


def test_pages_that_do_not_belong_together() -> None:
    with pytest.raises(ValueError, match="2 true pages and 1 predicted"):
        evaluate_pages([page(), page()], [page()])
    with pytest.raises(ValueError, match="page 'x' stands beside a prediction for 'y'"):
        evaluate_pages([page(name="x")], [page(name="y")])
