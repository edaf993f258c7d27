"""The engine's steps against values worked out by hand from its description."""

import cv2
import numpy as np
import pytest
from level_models import ALPHABET, LETTERS, write_detector, write_recogniser

from sightbook.inference import ctc, onnx
from sightbook.ocr.inference import engine
from sightbook.ocr.inference.engine import LineText
from sightbook.ocr.inference.lines import (
    crossings,
    empty_rectangles,
    find_lines,
    find_paragraphs,
    separators,
)
from sightbook.ocr.inference.word_boxes import detected_boxes, engine_boxes
from sightbook.ocr.pages.page import rectangle


def boxes(*rows):
    return np.stack([rectangle(*row) for row in rows]).astype(np.float32)


# ------------------------------------------------------------------ preparing


def test_grey_is_the_luma_less_a_half():
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, 0], image[0, 1, 0], image[0, 2, 1], image[0, 3, 2] = 255, 255, 255, 255
    assert np.allclose(engine.prepare_image(image), [[0.5, -0.201, 0.087, -0.386]], atol=1e-6)
    assert np.allclose(engine.prepare_image(np.array([[0, 51]], np.uint8)), [[-0.5, -0.3]])


def test_transparency_does_not_count():
    image = np.full((2, 2, 4), 255, np.uint8)
    image[..., 3] = 0
    assert np.allclose(engine.prepare_image(image), 0.5)


def test_a_small_picture_is_padded_and_keeps_its_place():
    gray = np.full((3, 5), 0.25, np.float32)
    pixels, kept = engine.detection_input(gray, 4, 8)
    assert pixels.shape == (1, 1, 4, 8) and pixels.dtype == np.float32
    assert kept == (3, 5)
    assert (pixels[0, 0, :3, :5] == 0.25).all()
    assert (pixels[0, 0, 3:] == -0.5).all() and (pixels[0, 0, :, 5:] == -0.5).all()


def test_a_large_picture_is_squeezed_without_smoothing():
    gray = np.arange(12, dtype=np.float32).reshape(1, 12) / 100
    pixels, kept = engine.detection_input(gray, 1, 4)
    assert kept == (1, 4)
    # centres of thirds: columns 1, 4, 7, 10, whatever stands beside them
    assert np.allclose(pixels[0, 0, 0], [0.01, 0.04, 0.07, 0.10])


def test_high_and_narrow_pictures_are_squeezed_one_way_and_padded_the_other():
    pixels, kept = engine.detection_input(np.zeros((8, 2), np.float32), 4, 4)
    assert kept == (4, 2)
    assert (pixels[0, 0, :, :2] == 0).all() and (pixels[0, 0, :, 2:] == -0.5).all()


# ------------------------------------------------------------------ words


def one_word(height, width, top=30, left=40, shape=(100, 200)):
    probabilities = np.zeros(shape, np.float32)
    probabilities[top : top + height, left : left + width] = 1
    return probabilities


def test_a_word_is_the_box_of_its_pixels_grown_by_three():
    (rect,) = engine.find_words(one_word(20, 50), (100, 200))
    # from the centre of the first pixel to the centre of the last, and 3 on each side
    assert np.allclose(rect, rectangle(37, 27, 92, 52), atol=1e-3)


@pytest.mark.parametrize("side, kept", [(4, 0), (5, 1)])
def test_words_below_a_hundred_square_pixels_are_dropped(side, kept):
    # 4 pixels: (3 + 6)^2 = 81; 5 pixels: (4 + 6)^2 = 100
    assert len(engine.find_words(one_word(side, side), (100, 200))) == kept


def test_the_threshold_is_exclusive():
    exact = one_word(20, 50) * np.float32(0.2)
    assert len(engine.find_words(exact, (100, 200))) == 0
    assert len(engine.find_words(exact + np.float32(1e-4), (100, 200))) == 1
    assert len(engine.find_words(exact, (100, 200), threshold=0.1)) == 1


def test_rectangles_are_in_the_pictures_own_pixels():
    (rect,) = engine.find_words(one_word(20, 50), (200, 600))
    low, high = rect.min(0), rect.max(0)
    assert np.allclose(low, (120 - 3, 60 - 3), atol=2)
    assert np.allclose(high, (270 + 3, 100 + 3), atol=2)


@pytest.mark.parametrize("angle", [-40, -12, 0, 12, 40])
def test_leaning_words_start_at_their_upper_left(angle):
    canvas = np.zeros((300, 300), np.float32)
    cv2.fillPoly(canvas, [np.int32(np.round(cv2.boxPoints(((150, 150), (160, 30), angle))))], 1.0)
    (rect,) = engine.find_words(canvas, (300, 300))
    along = rect[1] - rect[0]
    assert np.rad2deg(np.arctan2(along[1], along[0])) == pytest.approx(angle, abs=1.5)
    assert np.linalg.norm(along) == pytest.approx(166, abs=3)
    assert np.linalg.norm(rect[3] - rect[0]) == pytest.approx(36, abs=3)
    sides = np.roll(rect, -1, 0) - rect
    turns = sides[:, 0] * np.roll(sides, -1, 0)[:, 1] - sides[:, 1] * np.roll(sides, -1, 0)[:, 0]
    assert (turns > 0).all()  # clockwise, y pointing down


def test_an_empty_page_has_no_words():
    found = engine.find_words(np.zeros((8, 8), np.float32), (1, 1))
    assert found.shape == (0, 4, 2) and found.dtype == np.float32
    assert find_paragraphs(found) == [] and find_lines(found) == []


def test_the_padding_is_cut_off_the_detectors_answer(tmp_path):
    session = onnx.session(write_detector(tmp_path / "model.onnx", 40, 60))
    gray = np.full((30, 20), 0.3, np.float32)
    answer = engine.text_probabilities(session, gray)
    assert answer.shape == (30, 20)
    assert np.allclose(answer, 0.8)


# ------------------------------------------------------------------ line pictures


def test_a_line_runs_along_the_words_upper_and_back_along_their_lower_edges():
    polygon = engine.line_polygon(boxes((0, 2, 10, 8), (15.9, 1.2, 20, 9)))
    expected = [(0, 2), (10, 2), (15, 1), (20, 1), (20, 9), (15, 9), (10, 8), (0, 8)]
    assert polygon.tolist() == [list(point) for point in expected]


def test_pixels_on_upper_and_left_edges_are_inside():
    square = engine.fill_polygon(np.array([[2, 3], [6, 3], [6, 6], [2, 6]]))
    assert square.shape == (3, 4) and square.all()
    triangle = engine.fill_polygon(np.array([[0, 0], [4, 0], [0, 4]]))
    assert triangle.astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    notched = engine.fill_polygon(np.array([[0, 0], [3, 3], [6, 0], [6, 4], [0, 4]]))
    assert notched.astype(int)[1].tolist() == [1, 0, 0, 0, 0, 1]


def test_what_lies_outside_polygon_or_picture_is_black():
    image = np.arange(1, 26, dtype=np.uint8).reshape(5, 5)
    cut = engine.cut_polygon(image, np.array([[-1, 3], [3, 3], [3, 7], [-1, 7]]), 0)
    assert cut.dtype == np.uint8
    assert cut.tolist() == [[0, 16, 17, 18], [0, 21, 22, 23], [0, 0, 0, 0], [0, 0, 0, 0]]
    nowhere = engine.cut_polygon(image, np.array([[10, 0], [14, 0], [14, 2], [10, 2]]), 7)
    assert nowhere.shape == (2, 4) and (nowhere == 7).all()
    assert engine.cut_polygon(image, np.array([[2, 2], [4, 2], [2, 2]]), 7).tolist() == [[7]]


@pytest.mark.parametrize(
    "box, width",
    [
        ((0, 0, 100, 32), 200),
        ((0.9, 0.9, 99.1, 31.1), 200),  # outwards to whole pixels
        ((0, 0, 10, 30), 21),  # 21.33
        ((0, 0, 1, 60), 10),
        ((0, 0, 4000, 20), 2400),
    ],
)
def test_a_lines_width_keeps_its_aspect_within_limits(box, width):
    assert engine.line_width(boxes(box)) == width


def test_a_lines_picture_is_64_high_with_its_words_only():
    gray = np.full((100, 200), 0.4, np.float32)
    picture = engine.line_image(gray, boxes((10, 10, 60, 42), (100, 26, 150, 42)))
    assert picture.shape == (64, 280)
    assert (picture[:, :95] == np.float32(0.4)).all()
    assert (picture[:24, 190:] == -0.5).all() and (picture[40:, 190:] == np.float32(0.4)).all()


# ------------------------------------------------------------------ reading


def path(*symbols, classes=4):
    """Log-probabilities of a best path, 0.9 each."""
    log_probs = np.full((len(symbols), classes), np.log(0.1 / (classes - 1)), np.float32)
    log_probs[np.arange(len(symbols)), symbols] = np.log(0.9)
    return log_probs


def test_characters_begin_at_their_first_frame_and_end_where_the_next_begins():
    read = engine.decode(path(0, 2, 2, 0, 2, 3, 1, 0, 0, 2), ALPHABET, width=37)
    assert read.text == "aab a"
    assert read.starts.tolist() == [4, 16, 20, 24, 36]
    assert read.ends.tolist() == [16, 20, 24, 36, 37]
    assert np.allclose(read.confidences, 0.9)
    assert read.confidence == pytest.approx(0.9)
    assert [read.text[part] for part in read.words()] == ["aab", "a"]


def test_what_begins_in_the_padding_is_dropped():
    read = engine.decode(path(2, 0, 3, 2), ALPHABET, width=8)
    assert read.text == "a" and read.ends.tolist() == [8]
    assert engine.decode(path(0, 0), ALPHABET, width=8).text == ""
    assert engine.decode(path(0, 0), ALPHABET, width=8).confidence == 0


def test_the_best_path_is_that_of_the_shared_decoder():
    rng = np.random.default_rng(5)
    for _ in range(50):
        log_probs = np.log(rng.dirichlet(np.full(4, 0.3), 30) + 1e-9).astype(np.float32)
        ids, frames, sure = engine.best_path(log_probs)
        expected, confidences = ctc.ctc_greedy(log_probs, 0)
        assert ids.tolist() == expected
        assert np.allclose(sure, confidences, atol=1e-6)
        assert (np.diff(frames) > 0).all()


def test_the_beam_search_sums_over_paths():
    # a blank is likeliest in both frames (0.36), but "a" has three paths (0.64)
    log_probs = np.log(np.array([[0.6, 1e-9, 0.4, 1e-9]] * 2)).astype(np.float32)
    assert engine.decode(log_probs, ALPHABET, 8).text == ""
    found = engine.decode(log_probs, ALPHABET, 8, beams=4)
    assert found.text == "a" and found.confidences[0] == pytest.approx(0.4, abs=1e-3)


def test_lines_of_all_widths_come_back_in_order(tmp_path):
    session = onnx.session(write_recogniser(tmp_path / "model.onnx"))
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("ab"), rng.integers(1, 9))) for _ in range(60)]
    # black before each letter keeps those that are alike apart
    lines = []
    for text in texts:
        line = np.full((64, 24 * len(text)), -0.5, np.float32)
        for place, letter in enumerate(text):
            columns = slice(24 * place + 8, 24 * place + 24)
            line[:32, columns], line[32:, columns] = np.array(LETTERS[letter]) / 255 - 0.5
        lines.append(line)
    read = engine.recognise(session, lines, ALPHABET)
    assert [line.text for line in read] == texts
    assert [line.width for line in read] == [line.shape[1] for line in lines]
    assert read[0].starts.tolist() == [24 * i + 8 for i in range(len(texts[0]))]


def test_another_alphabet_than_the_models_is_refused(tmp_path):
    session = onnx.session(write_recogniser(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match="has 4 classes; an alphabet of 2 characters wants 3"):
        engine.recognise(session, [np.zeros((64, 20), np.float32)], "ab")
    assert engine.recognise(session, [], ALPHABET) == []


# ------------------------------------------------------------------ the engine's layout


def two_columns(rows=6, words=4):
    """Words of 30 x 12 with 6 between them, columns 60 apart; the right column comes first."""
    column = [(x * 36, y * 20, x * 36 + 30, y * 20 + 12) for y in range(rows) for x in range(words)]
    shift = words * 36 + 54
    return boxes(*[(a + shift, b, c + shift, d) for a, b, c, d in column], *column)


def test_columns_are_read_one_after_the_other():
    lines = find_lines(two_columns())
    right, left = np.arange(24).reshape(6, 4).tolist(), (24 + np.arange(24)).reshape(6, 4).tolist()
    assert [sorted(line) == line for line in lines] == [True] * 12
    assert lines == [*left, *right]


def test_every_word_stands_in_one_line_whatever_their_order():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 500, (80, 2))
    rects = boxes(*[(x, y, x + 40, y + 15) for x, y in corners])
    lines = find_lines(rects)
    assert sorted(word for line in lines for word in line) == list(range(80))
    centres = rects.mean(1)
    assert all((np.diff(centres[line, 0]) > 0).all() for line in lines)


def test_words_need_five_pixels_of_height_in_common():
    assert len(find_lines(boxes((0, 0, 20, 10), (30, 5, 50, 15)))) == 1
    assert len(find_lines(boxes((0, 0, 20, 10), (30, 6, 50, 16)))) == 2


def test_words_may_intrude_by_five_pixels():
    assert len(find_lines(boxes((0, 0, 20, 10), (15, 0, 40, 10)))) == 1
    assert len(find_lines(boxes((0, 0, 20, 10), (14, 0, 40, 10)))) == 2


def test_the_gap_between_columns_is_the_first_separator():
    found = separators(two_columns())
    assert found[0].tolist() == [138, 0, 198, 112]


def test_largest_empty_rectangles_come_first():
    found = list(empty_rectangles(np.array([[40, 0, 60, 100]]), (0, 0, 200, 100), 30, 30))
    assert found == [(60, 0, 200, 100), (0, 0, 40, 100)]
    assert list(empty_rectangles(np.array([[0, 0, 9, 9]]), (0, 0, 9, 9), 0, 0)) == []


def test_segments_cross_where_they_touch_but_not_where_they_coincide():
    first = np.array([[0, 0, 10, 10.0]])
    others = np.array(
        [[0, 10, 10, 0], [0, 10, 4, 7], [10, 10, 20, 10], [0, 0, 10, 10], [1, 0, 11, 10.0]]
    )
    assert crossings(first, others)[0].tolist() == [True, False, True, False, False]


# ------------------------------------------------------------------ where words stand


def line_text(text, step, width):
    """Characters that follow one another every `step` pixels."""
    starts = np.arange(len(text)) * step
    return LineText(text, starts, np.append(starts[1:], width), np.ones(len(text)), width)


def test_the_engines_words_span_their_characters():
    rects = boxes((100, 50, 148, 66), (152, 50, 200, 66))
    ab, ba = engine_boxes(line_text("ab ba", 40, 200), rects)
    assert ab.tolist() == rectangle(100, 50, 140, 66).tolist()
    assert ba.tolist() == rectangle(160, 50, 200, 66).tolist()


def test_words_take_the_rectangles_that_were_detected():
    rects = boxes((100, 50, 148, 66), (152, 48, 200, 64))
    found = detected_boxes(line_text("ab ba", 40, 200), rects)
    assert np.array_equal(found, rects)


def test_a_torn_word_gets_the_rectangle_around_its_parts():
    rects = boxes((100, 50, 120, 66), (124, 50, 140, 66), (160, 50, 200, 66))
    first, second = detected_boxes(line_text("ab ba", 40, 200), rects)
    assert np.allclose(first, rectangle(100, 50, 140, 66), atol=1e-3)
    assert np.array_equal(second, rects[2])


def test_words_detected_as_one_are_cut_apart_at_the_blank():
    first, second = detected_boxes(line_text("ab ba", 40, 200), boxes((100, 50, 200, 66)))
    assert np.allclose(first, rectangle(100, 50, 140, 66))
    assert np.allclose(second, rectangle(140, 50, 200, 66))
    assert detected_boxes(line_text("  ", 40, 80), boxes((0, 0, 40, 32))) == []
