"""Heads are found, unrolled and read: which reading holds a place, in which order, and as files."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from headstamps.bar_reader import write_bar_reader
from headstamps.words_made import CASE, casing, head, primer, reading, ring, word
from sightbook.detection.labels.annotations import Box
from sightbook.headstamps.overlay import draw_heads, save_strips
from sightbook.headstamps.read import (
    box_ellipse,
    find_outlines,
    read_head,
    read_photo,
)
from sightbook.headstamps.show import candidates_table, read_photos, reading_steps, tokens_table
from sightbook.headstamps.synth.photographs import render_strip
from sightbook.headstamps.synth.strips import write_strips
from sightbook.headstamps.unroll import Ellipse, directions
from sightbook.headstamps.words import (
    best_words,
    better_seam,
    free_angles,
    in_order,
    ring_words,
    side_word,
)
from sightbook.ocr import LineReader, LineText
from sightbook.runs import RunError

SIZE = (400, 400)


def found(strip, upright=(), turned=()):
    words = ring_words(strip, reading(strip, *upright), reading(strip, *turned, turned=True))
    return best_words(words, 0.4)


def apart(a, b):
    return abs((a - b + 180) % 360 - 180)


# ------------------------------------------------------------------ words of a ring


def test_words_stand_at_their_angles_in_both_readings():
    strip = ring(start=20.0)
    words = found(strip, [("WIN", 100, 0.9)], [("308", 280, 0.8)])
    assert [(w.text, w.direction) for w in words] == [("WIN", "outward"), ("308", "inward")]
    assert apart(words[0].angle, 100) < 1 and apart(words[1].angle, 280) < 1
    assert words[0].confidence == pytest.approx(0.9)
    # three letters, 24 columns apart
    assert words[0].width == pytest.approx(3 * 24 * 360 / strip.turn)


def test_letters_on_their_heads_are_left_to_the_other_reading():
    strip = ring()
    upright = [("S&B", 90, 0.95), ("6LX6", 250, 0.62)]
    turned = [("B2S", 90, 0.55), ("9x19", 250, 0.95)]
    words = found(strip, upright, turned)
    assert {(w.text, w.direction) for w in words} == {("S&B", "outward"), ("9x19", "inward")}


def test_what_runs_into_a_word_is_cut_off_it():
    strip = ring()
    # the upright reading joins the inward word's letters to the first
    step = 24 * 360 / strip.turn
    upright = [("S&BGLXG", 90 + 3 * step, 0.9)]
    line = reading(strip, *upright)
    line.confidences[3:] = 0.6
    turned = reading(strip, ("9x19", 90 + 4.5 * step, 0.95), turned=True)
    words = best_words(ring_words(strip, line, turned), 0.4)
    assert {(w.text, w.direction) for w in words} == {("S&B", "outward"), ("9x19", "inward")}


def test_a_letter_that_reads_the_same_upside_down_takes_nothing_away():
    strip = ring()
    line = reading(strip, ("USA", 90, 0.85))
    words = ring_words(strip, line, reading(strip, ("S", 90, 0.99), turned=True))
    assert [w.text for w in best_words(words, 0.4)] == ["USA"]


def test_an_unsure_letter_stays_in_its_word_and_unsure_words_go():
    strip = ring()
    line = reading(strip, ("LUGER", 90, 0.9), ("FT", 250, 0.45))
    line.confidences[2] = 0.3
    words = best_words(ring_words(strip, line, reading(strip, turned=True)), 0.4)
    assert [w.text for w in words] == ["LUGER"]


def test_distant_letters_are_not_one_word():
    strip = ring()
    line = reading(strip, ("1919", 90, 0.9))
    line.starts[2:] += 80
    words = best_words(ring_words(strip, line, reading(strip, turned=True)), 0.4)
    assert sorted(w.text for w in words) == ["19", "19"]


def test_of_the_wrap_s_two_copies_the_whole_one_is_kept():
    strip = ring()
    # the beginning of the strip shows the end of a word that is whole behind the seam
    tail, whole = ("R", 0, 0.95, 18), ("LUGER", 0, 0.8, strip.turn - 30)
    words = found(strip, [tail, whole])
    assert [w.text for w in words] == ["LUGER"]
    assert words[0].whole and better_seam(words, words) is None


def test_a_word_that_the_strip_cuts_asks_for_another_seam():
    strip = ring()
    words = found(strip, [("ESTER", 0, 0.9, 50), ("GA", 180, 0.9)])
    assert not {w.text: w for w in words}["ESTER"].whole
    seam = better_seam(words, words)
    assert seam is not None
    assert all(apart(seam, w.angle) > w.width / 2 + 30 for w in words)
    alone = found(strip, [("ESTER", 0, 0.9, 50)])
    assert apart(better_seam(alone, alone), alone[0].angle) == pytest.approx(180, abs=1)
    assert better_seam([], []) is None
    # the other part of the cut word has lost to the first, and is in the way all the same
    other = word("WINCHES", 300, width=130)
    seam = better_seam(words, [*words, other])
    assert apart(seam, 300) > 65 and apart(seam, 180) > 20


# ------------------------------------------------------------------ order and sideways words


def test_order_begins_with_the_maker_and_follows_reading():
    strip = ring()
    # at the bottom inward lettering reads from left (110) to right (70), against the clock
    words = [
        word("GA", 70, "inward", width=20),
        word("12", 100, "inward", width=20),
        word("16", 180, "sideways", width=15),
        word("WINCHESTER", 270, width=100),
    ]
    assert [w.text for w in in_order(words, strip)] == ["WINCHESTER", "12", "GA", "16"]
    assert in_order([], strip) == []


def test_order_goes_on_over_the_seam_of_angles():
    strip = ring()
    words = [word("LUGER", 10, width=40), word("9mm", 335, width=25), word("FC", 180, width=15)]
    assert [w.text for w in in_order(words, strip)] == ["9mm", "LUGER", "FC"]


def test_a_ring_without_a_gap_begins_at_its_widest_one():
    strip = ring()
    words = [word("A", 50, width=100), word("B", 180, width=100), word("C", 300, width=110)]
    # gaps of 30, 15 and 5 degrees
    assert [w.text for w in in_order(words, strip)] == ["B", "C", "A"]


def line_text(text, confidence):
    starts = np.arange(len(text)) * 24
    return LineText(text, starts, starts + 24, np.full(len(text), confidence), 80)


def test_sideways_words_need_two_sure_letters():
    strip = ring()
    sure = side_word(strip, 30, line_text("16", 0.9), clockwise=True)
    assert sure is not None
    assert (sure.text, sure.angle, sure.direction) == ("16", 30, "sideways")
    assert side_word(strip, 30, line_text("1", 0.99), clockwise=True) is None
    assert side_word(strip, 30, line_text("16", 0.7), clockwise=True) is None
    assert side_word(strip, 30, line_text("", 0.7), clockwise=True) is None


def test_sideways_words_are_rather_upright_together_with_the_maker():
    strip = ring()
    maker = word("AGUILA", 270)
    ways = {
        clockwise: side_word(strip, 180, line_text(text, 0.95), clockwise=clockwise, main=maker)
        for clockwise, text in ((True, "16"), (False, "91"))
    }
    # from the left (180) the maker at the top (270) lies clockwise
    assert [w.text for w in best_words(filter(None, ways.values()), 0.4)] == ["16"]


def test_sideways_words_are_looked_for_beside_what_is_sure():
    strip = ring()
    step = 0.5
    everywhere = free_angles(strip, [], step)
    assert len(everywhere) == round(strip.turn / 32)
    free = free_angles(
        strip, [word("AGUILA", 270, width=100), word("XX", 90, confidence=0.6)], step
    )
    assert not [angle for angle in free if apart(angle, 270) < 45]
    assert [angle for angle in everywhere if apart(angle, 90) < 45] == [
        angle for angle in free if apart(angle, 90) < 45
    ]


# ------------------------------------------------------------------ outlines


def test_primers_go_to_the_casing_around_them():
    one, two = Ellipse(100, 200, 80, 80), Ellipse(300, 200, 80, 80)
    boxes = [
        primer(Ellipse(302, 199, 30, 30), 0.8),
        casing(one, 0.7),
        casing(two, 0.9),
        primer(Ellipse(200, 50, 30, 30), 0.9),  # in no casing
        primer(Ellipse(300, 200, 5, 5), 0.95),  # a firing pin's mark
        primer(Ellipse(300, 200, 76, 76), 0.95),  # the casing once more
    ]
    outlines = find_outlines(boxes, SIZE)
    assert [o.casing.score for o in outlines] == [0.9, 0.7]
    assert outlines[0].primer is boxes[0]
    assert outlines[0].primer_ellipse.a == pytest.approx(30, abs=0.5)
    assert outlines[1].primer is None and outlines[1].primer_ellipse is None


def test_no_two_casings_share_a_primer():
    boxes = [casing(CASE, 0.9), casing(CASE, 0.8), primer(Ellipse(200, 200, 60, 60))]
    assert [o.primer is not None for o in find_outlines(boxes, SIZE)] == [True, False]


def test_ellipses_come_from_outlines_and_else_from_boxes():
    tilted = Ellipse(200, 180, 120, 80, 30)
    found = box_ellipse(casing(tilted), SIZE)
    assert (found.a, found.b, found.angle) == pytest.approx((120, 80, 30), abs=0.5)
    bare = Box("casing", (50, 60, 250, 160))
    assert box_ellipse(bare, SIZE) == Ellipse(150, 110, 100, 50, 0)
    line = np.array([[50, 60], [150, 110], [250, 160]], np.float32)
    assert box_ellipse(Box("casing", bare.xyxy, (line,)), SIZE) == box_ellipse(bare, SIZE)
    # a mask in shreds: what is left of it is not what the box is around
    shred = Ellipse(70, 70, 8, 8).polygon()
    assert box_ellipse(Box("casing", bare.xyxy, (shred,)), SIZE) == box_ellipse(bare, SIZE)


def test_specks_are_no_heads():
    assert find_outlines([casing(Ellipse(100, 100, 3, 3), 0.9)], SIZE) == []


# ------------------------------------------------------------------ from photograph to JSON


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    return write_bar_reader(tmp_path_factory.mktemp("model") / "model.onnx")


def barred(outer=(), inner=(), ellipse=CASE):
    """A photograph of a head with dark bars in the outer, or the inner, half of its ring."""
    image = np.full((400, 400), 170, np.uint8)
    for angles, radii in ((outer, (0.72, 0.93)), (inner, (0.45, 0.66))):
        for angle in angles:
            ends = ellipse.points(np.outer(radii, directions(np.array(angle))))
            start, end = (tuple(np.round(end - 0.5).astype(int).tolist()) for end in ends)
            cv2.line(image, start, end, 30, 5, cv2.LINE_AA)
    return np.stack([image] * 3, 2)


def boxes(ellipse=CASE):
    inside = Ellipse(ellipse.x, ellipse.y, 0.4 * ellipse.a, 0.4 * ellipse.b, ellipse.angle)
    return [casing(ellipse, 0.9), primer(inside, 0.8)]


@pytest.mark.parametrize("ellipse", [CASE, Ellipse(190, 210, 150, 115, 25)])
def test_a_photograph_is_read_from_pixels_to_angles(bars, ellipse):
    # a pair upright in the outer half; in the inner half, seen upright from within, three
    image = barred([40, 50], [215, 225, 235], ellipse)
    heads = read_photo(image, lambda _: boxes(ellipse), LineReader(bars).read)
    assert len(heads) == 1
    words = {w.direction: w for w in heads[0].words}
    assert {d: w.text for d, w in words.items()} == {"outward": "II", "inward": "III"}
    assert apart(words["outward"].angle, 45) < 4
    assert apart(words["inward"].angle, 225) < 4
    assert heads[0].text == "II III"


def test_what_is_printed_has_the_promised_form(bars):
    rows = [h.to_dict() for h in read_photo(barred([40, 50]), lambda _: boxes(), _named(bars))]
    row = json.loads(json.dumps(rows))[0]
    assert set(row) == {"casing", "primer", "tokens", "text", "read", "candidates"}
    assert set(row["casing"]) == set(row["primer"]) == {"box", "score", "ellipse"}
    assert row["casing"]["score"] == 0.9
    assert row["casing"]["ellipse"]["a"] == pytest.approx(150, abs=0.5)
    assert set(row["tokens"][0]) == {"text", "angle", "direction", "confidence"}
    assert row["text"] == " ".join(token["text"] for token in row["tokens"]) == "AGUILA"
    assert row["candidates"][0]["maker"] == "Aguila"
    bare = read_photo(barred(), lambda _: boxes()[:1], LineReader(bars).read)[0].to_dict()
    assert bare["primer"] is None and bare["tokens"] == [] and bare["candidates"] == []


def _named(bars):
    """Reads AGUILA wherever the reader of bars sees some."""
    inner = LineReader(bars).read

    def recognise(images):
        return [
            LineText(
                "AGUILA",
                read.starts[0] + 20 * np.arange(6),
                read.starts[0] + 20 * np.arange(1, 7),
                np.full(6, 0.9),
                read.width,
            )
            if len(read.text) > 1
            else read
            for read in inner(images)
        ]

    return recognise


def test_a_word_that_the_first_seam_cuts_is_read_whole_from_another():
    outline = find_outlines(boxes(), SIZE)[0]
    strips = []

    def recognise(images):
        width = images[0].shape[1]
        if width < 300:  # windows
            return [line_text("", 0.0) for _ in images]
        strips.append(images[0])
        text, middle = ("ESTER", 50) if len(strips) == 1 else ("WINCHESTER", width / 2)
        starts = (middle + 24 * (np.arange(len(text)) - (len(text) - 1) / 2)).astype(np.int64)
        upright = LineText(text, starts, starts + 24, np.full(len(text), 0.9), width)
        return [upright, LineText("", starts[:0], starts[:0], np.zeros(0), width)]

    got = read_head(barred([10, 95, 170]), outline, recognise)
    assert len(strips) == 2 and np.array_equal(got.strip.image, strips[1])
    assert not np.array_equal(strips[0], strips[1])
    assert [w.text for w in got.words] == ["WINCHESTER"]


def test_the_recogniser_says_what_it_expects(bars, tmp_path):
    with pytest.raises(ValueError, match="beams is 0"):
        LineReader(bars, beams=0)
    other = write_bar_reader(tmp_path / "other.onnx", task="detection")
    with pytest.raises(ValueError, match=r"expected a model of ocr for recognition.*detection"):
        LineReader(other)
    with pytest.raises(RunError, match=r"none\.onnx"):
        LineReader(tmp_path / "none.onnx")


def test_lines_of_another_height_are_brought_to_the_model_s(bars):
    strip = np.full((32, 300), 140, np.uint8)
    strip[4:16, 100:104] = 10
    read = LineReader(bars).read([strip])[0]
    assert read.text == "I" and read.width == 600
    assert read.starts[0] == pytest.approx(200, abs=8)


def test_reading_needs_no_torch():
    rooms = ("read", "words", "overlay", "metrics")
    names = ", ".join(f"sightbook.headstamps.{room}" for room in rooms)
    code = f"import sys, {names}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------ pictures and files


def test_pictures_show_words_and_leave_the_photograph_as_it_is():
    image = barred()
    before = image.copy()
    read = head(Ellipse(200, 200, 150, 150), word("AGUILA", 270), word("16", 0, "sideways"))
    drawn = draw_heads(image, [read])
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert np.array_equal(image, before)
    changed = (drawn != image).any(2)
    assert changed[200, 50 - 2 : 50 + 3].any()  # the rim at the left
    assert changed[20:35, 190:210].all()  # a plate above the head
    assert changed[195:205, 370:390].all()  # one at its right
    assert np.array_equal(draw_heads(image, []), image)


def test_plates_are_moved_into_the_picture():
    def plate(side):
        ellipse = Ellipse(side / 2, side / 2, 59, 59)
        image = np.full((side, side, 3), 90, np.uint8)
        return (draw_heads(image, [head(ellipse, word("WIN", 270))]) == (36, 99, 166)).all(2).sum()

    assert plate(120) == pytest.approx(plate(320), rel=0.2)


def test_strips_are_written_as_they_were_read(tmp_path, bars):
    heads = read_photo(barred([40, 50]), lambda _: boxes(), LineReader(bars).read)
    files = save_strips(tmp_path / "strips", "photo", [*heads, *heads])
    assert [file.name for file in files] == ["photo_1.png", "photo_2.png"]
    for file in files:
        assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), heads[0].strip.image)


def test_every_step_is_drawn(bars):
    from sightbook.detection.labels.annotations import ImageRecord

    image = barred([40, 50], [215, 225])
    heads = read_photo(image, lambda _: boxes(), LineReader(bars).read)
    steps = reading_steps(image, heads[0])
    titles = [ax.get_title(loc="left") for ax in steps.axes]
    assert len(titles) == 5 and "II II" in titles[-1]
    shown = [text.get_text() for ax in steps.axes[3:] for text in ax.texts]
    assert [text.split()[0] for text in shown] == ["II", "II"]
    record = ImageRecord("a.jpg", 400, 400)
    assert len(read_photos([record], {"a.jpg": heads}, load=lambda _: image).axes) == 1
    assert [row["text"] for row in tokens_table(heads).rows] == ["II", "II"]
    assert candidates_table([head(CASE, "AGUILA")]).rows == [{"candidates": "none for 1 heads"}]


def test_strips_to_train_on_are_lines_that_the_ocr_line_reads_back(tmp_path):
    from sightbook.data.images import Skipped, open_image
    from sightbook.ocr.pages.read import read_dataset
    from sightbook.ocr.recognition.alphabet import PRESETS, Encoder
    from sightbook.ocr.recognition.data import PageLines

    pages = write_strips(tmp_path, 8, seed=9, workers=1)
    samples = {i: render_strip(9, i) for i in range(8)}
    kept = {i: sample for i, sample in samples.items() if sample.text}
    assert 0 < len(kept) < 8  # one without upright letters is among them
    assert [page.image_id for page in pages] == [f"strip_9_{i:06d}" for i in kept]
    dataset = read_dataset(tmp_path)
    assert not dataset.report.problems and not list(dataset.skipped)
    lines = PageLines(
        dataset.pages, Encoder(PRESETS["ocrs"], "skip"), jitter=False, skipped=Skipped(0)
    )
    assert len(lines) == len(kept)
    by_text = {sample.text: sample.image for sample in kept.values()}
    for number in range(len(lines)):
        item = lines[number]
        drawn = by_text[item.text]
        # the whole strip comes back, as a reader gets it, but for what JPEG loses
        assert item.image.shape == drawn.shape
        assert np.abs(item.image.astype(int) - drawn).mean() < 6
    picture = open_image(dataset.pages[0].image)
    assert picture.shape[0] == 64
    with pytest.raises(ValueError, match="count: 0"):
        write_strips(tmp_path, 0, seed=5)
