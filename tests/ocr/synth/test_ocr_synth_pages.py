from dataclasses import replace

import cv2
import numpy as np
import pytest

from sightbook.data import validation
from sightbook.ocr.pages.hiertext import read_hiertext
from sightbook.ocr.pages.page import rectangle
from sightbook.ocr.synth import page_camera, page_faces, pages
from sightbook.ocr.synth.page_ink import Hand, Sheet, fitted, flow, write, write_turned
from sightbook.ocr.synth.pages import KINDS, render_page, write_pages
from sightbook.ocr.synth.texts import Texts
from sightbook.synth import fonts


def blank(width=400, height=300):
    rng = np.random.default_rng(0)
    cast = page_faces.cast(rng, "embedded", False)
    return Sheet(np.full((height, width), 255, np.uint8), rng, Texts(rng), cast)


def sans(px=20, **how):
    face = next(f for f in fonts.faces() if f.path.name == "DejaVuSans.ttf")
    return Hand(face, px, **how)


def inside(polygon, image):
    mask = np.zeros(image.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return mask.astype(bool)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_on_ink_within_the_picture(kind):
    sample = render_page(3, 5, kind=kind)
    words = list(sample.page.words())
    assert sample.kind == kind
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (sample.page.height, sample.page.width)
    assert len(words) > 5
    for word in words:
        assert word.vertices.min() >= 0
        assert (word.vertices.max(0) <= (sample.page.width, sample.page.height)).all()
        assert word.text or not word.legible
        assert " " not in word.text
        if word.legible:
            assert np.ptp(sample.image[inside(word.vertices, sample.image)]) > 8


def test_same_page_everywhere_and_other_pages_for_other_numbers():
    first, again = render_page(7, 3), render_page(7, 3)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.page.to_dict() == again.page.to_dict()
    for other in (render_page(7, 4), render_page(8, 3), render_page(7, 3, validation=True)):
        assert other.page.text() != first.page.text()


def test_size_and_kind_are_obeyed_and_wrong_ones_refused():
    sample = render_page(0, 0, size=(500, 640), kind="form")
    assert sample.image.shape == (640, 500)
    with pytest.raises(ValueError, match=r"no 'poem'.*form"):
        render_page(0, 0, kind="poem")
    with pytest.raises(ValueError, match="100x640 is too small"):
        render_page(0, 0, size=(100, 640))


def test_kinds_come_as_often_as_they_should(monkeypatch):
    quick = {name: replace(kind, draw=lambda sheet: None) for name, kind in KINDS.items()}
    monkeypatch.setattr(pages, "KINDS", quick)
    drawn = [render_page(0, i, size=(200, 200)).kind for i in range(300)]
    assert drawn.count("form") == pytest.approx(300 * KINDS["form"].share, abs=30)
    assert set(drawn) == set(KINDS)


def test_a_sheet_without_words_is_an_empty_page(monkeypatch):
    empty = replace(KINDS["form"], draw=lambda sheet: None)
    monkeypatch.setattr(pages, "KINDS", {"form": empty})
    sample = render_page(0, 0, size=(300, 300))
    assert sample.page.paragraphs == ()
    assert sample.image.mean() > 100


def test_pages_written_are_pages_read(tmp_path):
    target = write_pages(tmp_path, 3, seed=5, workers=1)
    report = validation.Report()
    read = read_hiertext(target, report=report)
    assert len(read) == 3
    assert not report.problems
    for index, page in enumerate(read):
        sample = render_page(5, index)
        assert page.to_dict() == sample.page.to_dict()
        picture = cv2.imread(
            str(tmp_path / "images" / f"{page.image_id}.png"), cv2.IMREAD_GRAYSCALE
        )
        np.testing.assert_array_equal(picture, sample.image)


def test_two_workers_write_what_one_does(tmp_path):
    one = write_pages(tmp_path / "one", 2, seed=5, workers=1)
    two = write_pages(tmp_path / "two", 2, seed=5, workers=2)
    assert one.read_bytes() == two.read_bytes()


def test_writing_that_was_cut_off_goes_on_and_ends_with_the_same_files(tmp_path, monkeypatch):
    def draw(folder):
        return write_pages(folder, 2, seed=5, workers=1, held_back=2)

    whole, cut = draw(tmp_path / "whole"), tmp_path / "cut" / "annotations.jsonl"
    drawn = []

    def stopped(seed, index, **how):
        drawn.append((how["validation"], index))
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return render_page(seed, index, **how)

    monkeypatch.setattr(pages, "render_page", stopped)
    with pytest.raises(KeyboardInterrupt):
        draw(cut.parent)
    assert not cut.exists()
    assert draw(cut.parent) == cut
    assert drawn == [(False, 0), (False, 1), (True, 0), (True, 1), (True, 1)]
    ends = [
        {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (whole.parent, cut.parent)
    ]
    assert ends[0] == ends[1] and len(ends[0]) == 5


def test_word_polygons_hug_their_ink():
    sheet = blank()
    (mark,) = write(sheet, sans(40), "Hag", 50, 100)
    rows, columns = np.nonzero(sheet.pixels < 255)
    ink = rectangle(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    margin = 0.08 * 40
    np.testing.assert_allclose(mark.polygon[0], ink[0] - margin, atol=0.01)
    np.testing.assert_allclose(mark.polygon[2], ink[2] + margin, atol=0.01)


def test_capitals_and_missing_letters_are_recorded_as_they_are_drawn():
    sheet = blank()
    row = write(sheet, sans(caps=True), "Total a中b 中", 10, 50)
    assert [mark.text for mark in row] == ["TOTAL", "AB"]


def test_flow_breaks_lines_between_its_margins():
    sheet = blank()
    hand = sans(16)
    words = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "again"]
    end = flow(sheet, hand, words, 20, 180, 10, leading=20)
    (paragraph,) = sheet.paragraphs
    assert [mark.text for row in paragraph for mark in row] == words
    assert len(paragraph) > 2
    assert end == 10 + 20 * len(paragraph)
    corners = np.concatenate([mark.polygon for row in paragraph for mark in row])
    assert corners[:, 0].min() > 17
    assert corners[:, 0].max() < 183


def test_flow_leaves_out_lines_that_would_pass_the_bottom():
    sheet = blank()
    flow(sheet, sans(16), ["word"] * 60, 20, 180, 10, leading=20, bottom=75)
    assert len(sheet.paragraphs[0]) == 3


def test_justified_lines_end_at_the_right_margin():
    sheet = blank()
    flow(sheet, sans(16), ["word"] * 20, 20, 230, 10, align="justify")
    *full, _ = sheet.paragraphs[0]
    assert len(full) >= 2
    for row in full:
        assert row[-1].polygon[:, 0].max() == pytest.approx(230, abs=4)


def test_fitted_keeps_what_has_room():
    hand = sans()
    width = hand.width("one two")
    assert fitted(hand, ["one", "two", "three"], width + 0.01) == ["one", "two"]
    assert fitted(hand, ["one", "two"], width - 1) == ["one"]
    assert fitted(hand, ["one"], 2) == []


@pytest.mark.parametrize(("angle", "vertical"), [(90, True), (-90, True), (10, False)])
def test_turned_words_lie_on_their_ink(angle, vertical):
    sheet = blank()
    (mark,) = write_turned(sheet, sans(24), "Hello", 200, 150, angle)
    assert mark.vertical is vertical
    grown = cv2.dilate(inside(mark.polygon, sheet.pixels).astype(np.uint8), np.ones((3, 3)))
    assert (sheet.pixels[grown == 0] == 255).all()
    assert (sheet.pixels < 128).sum() > 100
    along = mark.polygon[1] - mark.polygon[0]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(angle, abs=0.1)


def test_words_follow_the_sheet_through_the_camera():
    rng = np.random.default_rng(4)
    sheet = np.full((600, 500), 255, np.uint8)
    dots = np.array([[80, 90], [400, 120], [250, 300], [90, 500], [420, 480]], np.float32)
    for x, y in dots.astype(int):
        cv2.circle(sheet, (int(x), int(y)), 4, 0, -1)
    lies = [page_camera.draw_lie(rng, (500, 600), "photo") for _ in range(6)]
    assert any(len(lie.waves) for lie in lies)
    for lie in lies:
        picture = lie.image(sheet, 255)
        for x, y in lie.to_image(dots):
            corner = np.array([int(x), int(y)])
            if not (10 < x < 490 and 10 < y < 590):
                continue
            part = 255 - picture[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10].astype(float)
            ys, xs = np.mgrid[-9:10, -9:10]
            seen = np.array([(part * xs).sum(), (part * ys).sum()]) / part.sum()
            np.testing.assert_allclose(seen + corner, (x, y), atol=0.7)


def test_what_the_camera_cuts_off_is_illegible_or_gone(monkeypatch):
    def draw(sheet):
        for x, text in ((-200, "gone"), (-30, "cut"), (150, "whole")):
            sheet.add(write(sheet, sans(40), text, x, 100))

    kind = replace(KINDS["form"], draw=draw, looks={"digital": 1.0})
    monkeypatch.setattr(pages, "KINDS", {"form": kind})
    words = {word.text: word.legible for word in render_page(0, 0, size=(400, 300)).page.words()}
    assert words == {"cut": False, "whole": True}


def test_words_that_cannot_be_seen_are_illegible(monkeypatch):
    def draw(sheet):
        sheet.add(write(sheet, sans(30), "black", 50, 100))
        sheet.add(write(sheet, sans(30, ink=254), "white", 50, 200))
        sheet.add(write(sheet, sans(4), "mmmm", 50, 250))

    kind = replace(KINDS["form"], draw=draw, looks={"digital": 1.0})
    monkeypatch.setattr(pages, "KINDS", {"form": kind})
    words = {word.text: word.legible for word in render_page(0, 0, size=(400, 300)).page.words()}
    assert words == {"black": True, "white": False, "mmmm": False}


def test_a_fax_is_crisp_and_keeps_its_print():
    sheet = blank()
    flow(sheet, sans(18), ["Reference"] * 30, 20, 380, 10)
    for seed in range(5):
        seen = page_camera.expose(sheet.pixels, np.random.default_rng(seed), "fax")
        hidden = (sheet.pixels < 60) & (seen > 200)
        assert hidden.sum() < 0.1 * (sheet.pixels < 60).sum()
        assert np.median(seen) > 240


def test_bleeding_through_shows_the_other_side_mirrored():
    sheet = blank()
    sheet.pixels[100:140, 20:60] = 0
    seen = page_camera.bleed_through(sheet.pixels, np.random.default_rng(1), 0.3)
    assert seen[100:140, 20:60].max() == 0
    shade = (seen < 230) & (sheet.pixels == 255)
    assert 800 < shade.sum() < 3000
    assert np.nonzero(shade)[1].mean() > 200


def test_reserved_families_are_for_validation_only():
    rng = np.random.default_rng(0)
    training = page_faces.cast(rng, "embedded", False)
    held = page_faces.cast(rng, "embedded", True)
    used = [
        {cast.face(role).family for role in ("text", "typed", "hand") for _ in range(60)}
        for cast in (training, held)
    ]
    assert used[0]
    assert used[1]
    assert not used[0] & used[1]
