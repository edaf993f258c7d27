"""HierText's JSON in all its forms, whole and broken."""

import gzip
import json

import numpy as np
import pytest

from sightbook.data.validation import DataError, Report
from sightbook.ocr.pages import hiertext
from sightbook.ocr.pages.hiertext import read_hiertext, write_hiertext
from sightbook.ocr.pages.page import PageBuilder, Word, rectangle


def box(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def word(text="Ho", at=(10, 10, 40, 20), **more):
    return {"vertices": box(*at), "text": text, "legible": True, **more}


def line(*words, at=(10, 10, 90, 20), **more):
    text = " ".join(str(item.get("text")) for item in words)
    return {"vertices": box(*at), "text": text, "words": list(words), **more}


def row(image_id="a", *lines, **more):
    paragraph = {"vertices": box(5, 5, 95, 60), "legible": True, "lines": list(lines)}
    size = {"image_width": 100, "image_height": 80}
    return {"image_id": image_id, **size, "paragraphs": [paragraph], **more}


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = Report()
    return read_hiertext(path, report=report, **options), report


def kinds(report):
    return [problem.kind for problem in report.problems]


TWO = [row("a", line(word())), row("b", line(word("So")))]
DOCUMENT = json.dumps({"info": {"date": "2022", "version": "1"}, "annotations": TWO})


@pytest.mark.parametrize(
    "name, content",
    [
        ("train.jsonl", DOCUMENT),
        ("train.jsonl", json.dumps({"annotations": TWO}, indent=2)),
        ("train.jsonl.gz", gzip.compress(DOCUMENT.encode(), mtime=0)),
        ("unpacked_by_a_browser.jsonl.gz", DOCUMENT),
        ("lines.jsonl", "\n".join(json.dumps(page) for page in TWO)),
        ("lines.jsonl", "\ufeff" + "\r\n".join(json.dumps(page) for page in TWO) + "\r\n\r\n"),
        ("list.json", json.dumps(TWO, indent=1)),
        ("document.json", DOCUMENT),
    ],
)
def test_one_document_json_lines_and_lists_packed_or_not(tmp_path, name, content):
    pages, report = read(tmp_path / name, content)
    assert [page.image_id for page in pages] == ["a", "b"]
    assert [page.text() for page in pages] == ["Ho", "So"]
    assert (pages[0].width, pages[0].height) == (100, 80)
    assert report.ok and not report.problems and report.checked == 2


def test_nesting_flags_and_polygons_of_any_length(tmp_path):
    curved = {
        **word("bent"),
        "vertices": [[10, 20], [30, 15], [50, 20], [50, 30], [30, 25], [10, 30]],
    }
    rows = row("a", line(curved, word("x", (60, 10, 70, 20), handwritten=True), vertical=True))
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(rows))
    assert not report.problems
    first, second = page.words()
    assert first.vertices.shape == (6, 2) and first.vertices.dtype == np.float32
    assert second.handwritten and not first.handwritten
    (found,) = page.lines()
    assert found.vertical and found.text == "bent x" and found.legible


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.json"])
def test_written_pages_are_read_back(tmp_path, name):
    builder = PageBuilder("Seite é", 100, 80)
    builder.add(
        [[Word(rectangle(1.25, 2, 30, 12), "Größe"), Word(rectangle(33, 2, 50, 12), "", False)]]
    )
    builder.add([[Word(rectangle(1, 20, 30, 32), "b", handwritten=True, confidence=0.5)]])
    pages = [builder.page(), PageBuilder("leer", 10, 10).page()]
    write_hiertext(pages, tmp_path / name)
    written = (tmp_path / name).read_bytes()
    report = Report()
    again = read_hiertext(tmp_path / name, report=report)
    assert [page.to_dict() for page in again] == [page.to_dict() for page in pages]
    assert not report.problems
    write_hiertext(pages, tmp_path / name)
    assert (tmp_path / name).read_bytes() == written
    text = gzip.decompress(written) if name.endswith("gz") else written
    assert set(json.loads(text)) == {"annotations"}


def test_a_subset_reads_no_further_than_it_must(tmp_path, monkeypatch):
    monkeypatch.setattr(hiertext, "_CHUNK", 700)
    rows = [row(str(i), line(word())) for i in range(30)]
    broken = json.dumps({"annotations": rows})[:-200] + "!"
    pages, report = read(tmp_path / "a.jsonl", broken, max_pages=4)
    assert [page.image_id for page in pages] == ["0", "1", "2", "3"]
    assert not report.problems
    pages, report = read(tmp_path / "b.jsonl", json.dumps({"annotations": rows}))
    assert len(pages) == 30 and not report.problems


def test_pages_before_the_place_where_json_breaks_are_kept(tmp_path):
    pages, report = read(tmp_path / "a.jsonl", DOCUMENT[:-60])
    assert [page.image_id for page in pages] == ["a"]
    assert kinds(report) == ["wrong JSON"] and "after page 1" in report.problems[0].message
    lines = [json.dumps(TWO[0]), '{"image_id": ', json.dumps(TWO[1])]
    pages, report = read(tmp_path / "b.jsonl", "\n".join(lines))
    assert [page.image_id for page in pages] == ["a", "b"]
    assert report.problems[0].where == "b.jsonl:2" and kinds(report) == ["wrong JSON"]


@pytest.mark.parametrize(
    "name, content, kind",
    [
        ("a.jsonl", b"", "empty file"),
        ("a.jsonl", b"\xff\xfe\x00x", "wrong JSON"),
        ("a.json", b"<html>", "wrong JSON"),
        ("a.jsonl", b"[" * 100_000, "wrong JSON"),
        ("a.jsonl.gz", gzip.compress(DOCUMENT.encode(), mtime=0)[:60], "damaged file"),
        ("a.jsonl", b'{"images": []}', "no page"),
        ("a.jsonl", b"17", "no page"),
        ("a.jsonl", b'{"image_id": "x", "paragraphs": {}}', "no page"),
        ("a.jsonl", b'{"image_id": "x", "paragraphs": [], "image_width": "wide"}', "no page"),
    ],
)
def test_what_is_no_page_is_an_error_and_no_crash(tmp_path, name, content, kind):
    pages, report = read(tmp_path / name, content)
    assert pages == []
    assert kinds(report) == [kind] and not report.ok


def test_a_missing_file_and_a_page_that_stands_twice(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_hiertext(tmp_path / "a.jsonl", report=Report())
    pages, report = read(tmp_path / "a.jsonl", json.dumps({"annotations": [TWO[0], TWO[0]]}))
    assert len(pages) == 1 and kinds(report) == ["page stands twice"]


@pytest.mark.parametrize(
    "vertices, kind",
    [
        ([[1, 1], [9, 9]], "polygon of fewer than 3 points"),
        ([], "polygon of fewer than 3 points"),
        (None, "polygon of fewer than 3 points"),
        ("1,1 9,9", "polygon of fewer than 3 points"),
        ([[1, 1, 1], [2, 2, 2], [3, 3, 3]], "polygon of fewer than 3 points"),
        ([[1, 1], [9, "x"], [5, 5]], "polygon of fewer than 3 points"),
        ([[1, 1], [9, float("nan")], [5, 5]], "polygon of numbers that are none"),
        ([[1, 1], [9, 9], [5, 5]], "polygon without area"),
        ([[500, 10], [540, 10], [540, 20]], "polygon outside the page"),
        ([[-9e9, -9e9], [-8e9, -9e9], [-8e9, -8e9]], "polygon outside the page"),
    ],
)
def test_words_with_unusable_polygons_are_left_out(tmp_path, vertices, kind):
    bad = {**word("bad"), "vertices": vertices}
    pages, report = read(tmp_path / "a.jsonl", json.dumps(row("a", line(word("good"), bad))))
    assert [item.text for item in pages[0].words()] == ["good"]
    assert kinds(report) == [kind] and report.ok
    assert "'bad'" in report.problems[0].message and "(a)" in report.problems[0].where


def test_polygons_are_clipped_to_the_page_but_not_warned_of_for_rounding(tmp_path):
    edge, far = word("edge", (70, 10, 101, 20)), word("far", (70, 30, 140, 40))
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(row("a", line(edge, far))))
    assert [item.vertices.max(0).tolist() for item in page.words()] == [[100, 20], [100, 40]]
    assert [problem.message for problem in report.problems] == [
        "word 'far': 70, 30, 140, 40 on 100 x 80"
    ]


def test_lines_and_paragraphs_without_polygon_take_that_of_their_words(tmp_path):
    one = line(word("a", (10, 10, 20, 20)), word("b", (30, 12, 40, 22)))
    rows = row("a", {**one, "vertices": None, "text": ""})
    rows["paragraphs"][0]["vertices"] = [[1, 1]]
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(rows))
    (found,) = page.lines()
    assert found.vertices.tolist() == box(10, 10, 40, 22) and found.text == "a b"
    assert page.paragraphs[0].vertices.tolist() == box(10, 10, 40, 22)
    assert len(report.problems) == 1 and "and 1 more" in report.problems[0].message


def test_words_without_text_become_illegible_and_are_counted_once_a_page(tmp_path):
    silent = [word(""), word("  ", (50, 10, 60, 20)), word(None, (70, 10, 80, 20))]
    known = word("", (82, 10, 88, 20), legible=False)
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(row("a", line(*silent, known, word()))))
    assert [item.legible for item in page.words()] == [False] * 4 + [True]
    assert kinds(report) == ["empty text"]
    assert "(and 2 more on this page)" in report.problems[0].message


def test_regions_without_lines_are_kept_as_what_nobody_can_read(tmp_path):
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(row("a")))
    assert len(page.paragraphs) == 1 and not page.paragraphs[0].legible
    illegible = line(word("", legible=False), legible=False)
    (page,), report = read(tmp_path / "b.jsonl", json.dumps(row("a", illegible)))
    assert not page.paragraphs[0].legible and not report.problems


def test_a_page_of_unknown_size_is_left_unclipped(tmp_path):
    rows = row("a", line(word("far", (500, 10, 540, 20))))
    del rows["image_width"], rows["image_height"]
    (page,), report = read(tmp_path / "a.jsonl", json.dumps(rows))
    assert (page.width, page.height) == (0, 0) and len(list(page.words())) == 1
    assert not report.problems
