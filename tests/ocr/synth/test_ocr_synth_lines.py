"""Drawn lines: the same everywhere, of what was asked for, in faces of one side of the split."""

import numpy as np
import pytest

from sightbook.ocr.synth.lines import (
    LINE_HEIGHT,
    MAX_WIDTH,
    LineSettings,
    cut_line,
    line_width,
    render_line,
)
from sightbook.ocr.synth.texts import Texts, read_words
from sightbook.params import ParameterError

SETTINGS = LineSettings()


def test_a_line_follows_from_seed_and_index_alone():
    one = [render_line(3, index, SETTINGS) for index in (0, 1, 7)]
    two = [render_line(3, index, SETTINGS) for index in (7, 1, 0)][::-1]
    for a, b in zip(one, two, strict=True):
        assert a.text == b.text
        assert np.array_equal(a.image, b.image)
    assert render_line(4, 0, SETTINGS).text != one[0].text


def test_lines_are_as_the_engine_has_them():
    lines = [render_line(0, index, SETTINGS) for index in range(60)]
    for line in lines:
        assert line.image.dtype == np.uint8
        assert line.image.shape[0] == LINE_HEIGHT
        assert 10 <= line.image.shape[1] <= MAX_WIDTH
        assert line.text == " ".join(line.text.split())
        assert set(line.text) <= set(SETTINGS.alphabet)
        assert len(line.text) <= SETTINGS.max_chars
    # Black beside words that are lower than their neighbours: cut outside the outline.
    assert np.mean([(line.image == 0).any() for line in lines]) > 0.5


def test_a_longer_text_makes_a_wider_line():
    lines = [render_line(1, index, SETTINGS) for index in range(80)]
    widths = [line.image.shape[1] for line in lines]
    assert np.corrcoef([len(line.text) for line in lines], widths)[0, 1] > 0.8
    told = np.array([line_width(1, index, SETTINGS) for index in range(80)])
    # Told without drawing: half of them within a fifth.
    assert np.corrcoef(np.log(told), np.log(widths))[0, 1] > 0.95
    assert np.median(np.abs(np.log(told / widths))) < np.log(1.2)


def test_only_the_alphabet_is_written():
    settings = LineSettings(alphabet="<0AB", max_chars=12)
    texts = [render_line(0, index, settings).text for index in range(30)]
    assert set("".join(texts)) == set("<0AB")


def test_random_strings_reach_every_character():
    settings = LineSettings(alphabet="äöüßé abc", random_share=1.0, max_chars=20)
    written = set("".join(render_line(0, index, settings).text for index in range(40)))
    assert written == set("äöüßé abc")


def test_clean_lines_can_be_read_back_from_their_ink():
    settings = LineSettings(wear=0.0, alphabet="0123456789")
    line = render_line(5, 3, settings)
    dark = line.image[:, 2:-2] < line.image.max() / 2
    # Digits are ink with paper between them.
    assert 0.05 < dark.mean() < 0.6


def test_the_outside_of_an_outline_is_black():
    image = np.full((40, 100), 200, np.uint8)
    outline = np.array([[10, 5], [60, 5], [60, 15], [90, 15], [90, 25], [10, 25]], np.int32)
    cut = cut_line(image, outline)
    assert cut.shape == (64, 64 * 80 // 20)
    assert cut[5, 250] == 0  # above the second, lower word
    assert cut[5, 100] == 200
    assert cut[60, 250] == 200


def test_an_outline_outside_the_picture_gives_an_empty_line():
    outline = np.array([[200, 5], [260, 5], [260, 15], [200, 15]], np.int32)
    assert cut_line(np.zeros((40, 100), np.uint8), outline).shape == (64, 10)


def test_words_of_a_file_are_used_by_their_frequency(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("qqq zzz qqq", encoding="utf-8")
    assert read_words(str(file)) == ("qqq", "zzz")
    texts = Texts(np.random.default_rng(0), words=read_words(str(file)))
    assert {"qqq", "zzz"} <= {texts.plain() for _ in range(50)}
    with pytest.raises(ParameterError, match="words"):
        read_words(str(tmp_path / "missing.txt"))


def test_a_line_of_text_keeps_its_length():
    texts = Texts(np.random.default_rng(1), "abc")
    for limit in (1, 5, 30):
        for _ in range(50):
            line = texts.line(limit)
            assert 1 <= len(line) <= max(limit, 1)
