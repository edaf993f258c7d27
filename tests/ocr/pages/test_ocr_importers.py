"""FUNSD, ICDAR, SROIE, PAGE-XML, ALTO and pictures of lines become pages."""

import json

import numpy as np
import pytest
from PIL import Image

from sightbook.data.validation import DataError, Report
from sightbook.ocr.pages.importers import (
    format_of,
    read_alto,
    read_any,
    read_funsd,
    read_icdar,
    read_line_folder,
    read_page_xml,
    words_to_lines,
)
from sightbook.ocr.pages.page import Word, rectangle
from sightbook.params import repository_root

FUNSD = repository_root().parent / "shared" / "data" / "pages_funsd"


def picture(path, size=(200, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 255).save(path)
    return path


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def kinds(report):
    return [problem.kind for problem in report.problems]


def only(pages):
    assert len(pages) == 1
    return pages[0]


# ------------------------------------------------------------------ FUNSD


def entry(*words):
    return {"text": "", "words": [{"box": list(box), "text": t} for box, t in words]}


def test_funsd_entries_become_paragraphs_of_lines(tmp_path):
    picture(tmp_path / "images" / "seite.png")
    form = [
        entry(
            ((60, 12, 90, 22), "Name:"),
            ((10, 10, 50, 20), "Full"),
            ((10, 30, 50, 40), "(print)"),
            ((55, 30, 60, 40), ""),
        ),
        entry(((10, 60, 30, 70), "Ann")),
        entry(((10, 80, 30, 90), "")),
    ]
    text(tmp_path / "annotations" / "seite.json", json.dumps({"form": form}))
    report = Report()
    page = only(read_funsd(tmp_path, report=report))
    assert not report.problems and report.checked == 1
    assert page.text() == "Full Name:\n(print)\n\nAnn"
    assert (page.image_id, page.width, page.height) == ("seite", 200, 100)
    assert page.image == tmp_path / "images" / "seite.png"
    assert next(page.words()).vertices.tolist() == rectangle(10, 10, 50, 20).tolist()


def test_funsd_of_two_splits_with_the_same_names(tmp_path):
    for split, size in (("training_data", (50, 40)), ("testing_data", (70, 60))):
        picture(tmp_path / split / "images" / "1.png", size)
        form = json.dumps({"form": [entry(((1, 1, 20, 9), split))]})
        text(tmp_path / split / "annotations" / "1.json", form)
    report = Report()
    pages = read_funsd(tmp_path, report=report)
    assert {page.image_id: (page.text(), page.width) for page in pages} == {
        "testing_data_images_1": ("testing_data", 70),
        "training_data_images_1": ("training_data", 50),
    }
    assert not report.problems


def test_funsd_flaws_are_reported_and_the_rest_read(tmp_path):
    for name in ("a", "b", "c", "d"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"")
    good = entry(((1, 1, 9, 9), "ok"))
    words = [{"box": [1, 2, 3], "text": "x"}, {"box": [1, 2, 3, 4]}, 7, *good["words"]]
    text(tmp_path / "a.json", json.dumps({"form": [{"words": words}, {"id": 3}]}))
    text(tmp_path / "b.json", '{"form": [')
    text(tmp_path / "d.json", json.dumps({"form": [good]}))
    text(tmp_path / "e.json", json.dumps({"form": [good]}))
    report = Report()
    page = only(read_funsd(tmp_path, report=report))
    assert page.text() == "ok"
    found = {(problem.kind, problem.where) for problem in report.problems}
    assert ("wrong JSON", "b.json") in found
    assert ("unusable picture", "d.png") in found
    assert ("missing picture", "e.json") in found
    assert ("picture without annotation", "c.png") in found
    assert kinds(report).count("no FUNSD") == 3 + 1 + 1  # words, an entry, and b.json


@pytest.mark.skipif(not FUNSD.is_dir(), reason="development data are not here")
def test_the_development_pages_are_read_in_full():
    report = Report()
    pages = read_any(FUNSD, report=report)
    assert len(pages) == 40 and not report.problems
    assert all(page.image and page.image.is_file() for page in pages)
    heights = [np.ptp(word.vertices[:, 1]) for page in pages for word in page.words()]
    assert len(heights) > 5000 and 8 < np.median(heights) < 25


# ------------------------------------------------------------------ ICDAR


@pytest.mark.parametrize(
    "row, corners, said",
    [
        ("10,10,50,10,50,20,10,20,2018", rectangle(10, 10, 50, 20), "2018"),
        ("10,10,50,10,50,20,10,20,a,b", rectangle(10, 10, 50, 20), "a,b"),
        ("10, 10, 50, 10, 50, 20, 10, 20, Ab", rectangle(10, 10, 50, 20), "Ab"),
        ("10,10,50,10,50,20,10,20,Latin,Ab", rectangle(10, 10, 50, 20), "Ab"),
        ("10,10,50,10,50,20,10,20,Latin", rectangle(10, 10, 50, 20), "Latin"),
        ("10,10,50,20,12/03/2018", rectangle(10, 10, 50, 20), "12/03/2018"),
        ("10,10,50,20,1,234", rectangle(10, 10, 50, 20), "1,234"),
        ('10 10 50 20 "Fu\'s"', rectangle(10, 10, 50, 20), "Fu's"),
        ("50,20,10.5,10,x", rectangle(10.5, 10, 50, 20), "x"),
        ("-5,10,50,10,50,20,-5,20,out", rectangle(0, 10, 50, 20), "out"),
    ],
)
def test_icdar_rows_of_a_word(tmp_path, row, corners, said):
    picture(tmp_path / "img_1.png")
    text(tmp_path / "gt_img_1.txt", "\ufeff" + row + "\r\n")
    page = only(read_icdar(tmp_path, report=Report()))
    (word,) = page.words()
    assert word.text == said and word.legible
    assert word.vertices.tolist() == corners.tolist()


def test_icdar_words_are_put_into_lines_and_rows_of_several_words_are_lines(tmp_path):
    picture(tmp_path / "img" / "x.png", (400, 100))
    rows = [
        "60,10,100,10,100,20,60,20,right",
        "10,11,50,11,50,21,10,21,left",
        "300,10,340,10,340,20,300,20,far",
        "10,40,90,40,90,50,10,50,two words",
        "10,70,50,70,50,80,10,80,###",
        "nonsense",
    ]
    text(tmp_path / "box" / "x.txt", "\n".join(rows))
    report = Report()
    page = only(read_icdar(tmp_path, report=report))
    said = [line.text for line in page.lines()]
    assert sorted(said[:2]) == ["far", "left right"] and said[2:] == ["two words", ""]
    two = next(line for line in page.lines() if line.text == "two words")
    assert two.words == () and two.legible
    unreadable = [word for word in page.words() if not word.legible]
    assert [word.text for word in unreadable] == [""]
    assert kinds(report) == ["wrong row"] and report.problems[0].where == "x.txt:6"


# ------------------------------------------------------------------ PAGE-XML

PAGE_XML = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
 <Page imageFilename="scan 1.png" imageWidth="200" imageHeight="100">
  <ReadingOrder><OrderedGroup id="g">
   <RegionRefIndexed index="1" regionRef="r1"/><RegionRefIndexed index="0" regionRef="r2"/>
  </OrderedGroup></ReadingOrder>
  <TextRegion id="r1"><Coords points="10,50 90,50 90,60 10,60"/>
   <TextLine id="l1" production="handwritten-cursive"><Coords points="10,50 90,52 90,60 10,58"/>
    <Word id="w1"><Coords points="10,50 40,50 40,58 10,58"/>
     <TextEquiv index="1"><Unicode>Wrong</Unicode></TextEquiv>
     <TextEquiv index="0"><Unicode>Second</Unicode></TextEquiv></Word>
    <TextEquiv><Unicode>Second line</Unicode></TextEquiv></TextLine>
   <TextEquiv><Unicode>not this one</Unicode></TextEquiv>
  </TextRegion>
  <TableRegion id="t"><Coords points="1,1 5,1 5,5"/>
   <TextRegion id="r2"><Coords><Point x="10" y="10"/><Point x="60" y="10"/>
     <Point x="60" y="20"/></Coords>
    <TextLine id="l2"><Coords points="10,10 60,10 60,20 10,20"/>
     <TextEquiv><Unicode>First</Unicode></TextEquiv></TextLine></TextRegion></TableRegion>
 </Page>
</PcGts>"""


def test_page_xml_in_its_reading_order(tmp_path):
    picture(tmp_path / "scan 1.png")
    text(tmp_path / "page" / "0001.xml", PAGE_XML)
    text(tmp_path / "mets.xml", "<mets/>")
    report = Report()
    page = only(read_page_xml(tmp_path, report=report))
    assert not report.problems
    assert page.text() == "First\n\nSecond line"
    first, second = page.lines()
    assert first.words == () and not first.handwritten
    assert [word.text for word in second.words] == ["Second"]
    assert second.handwritten and second.words[0].handwritten
    assert page.paragraphs[0].vertices.tolist() == [[10, 10], [60, 10], [60, 20]]
    assert second.vertices.tolist() == [[10, 50], [90, 52], [90, 60], [10, 58]]


def test_page_xml_of_another_size_is_scaled(tmp_path):
    picture(tmp_path / "scan 1.png", (400, 50))
    text(tmp_path / "a.xml", PAGE_XML)
    page = only(read_page_xml(tmp_path, report=Report()))
    assert next(page.lines()).vertices.tolist() == rectangle(20, 5, 120, 10).tolist()


def test_wrong_xml_is_an_error_beside_good_files(tmp_path):
    picture(tmp_path / "scan 1.png")
    text(tmp_path / "a.xml", PAGE_XML)
    text(tmp_path / "b.xml", PAGE_XML[:300])
    odd = PAGE_XML.replace("scan 1", "none").replace("10,50 90,52", "10,x 90,52")
    text(tmp_path / "c.xml", odd)
    report = Report()
    assert len(read_page_xml(tmp_path, report=report)) == 1
    assert sorted(kinds(report)) == ["missing picture", "wrong XML"]


# ------------------------------------------------------------------ ALTO

ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
 <Description><MeasurementUnit>{unit}</MeasurementUnit>
  <sourceImageInformation><fileName>C:\\scans\\blatt.png</fileName></sourceImageInformation>
 </Description>
 <Layout><Page {size}><PrintSpace><ComposedBlock>
  <TextBlock HPOS="20" VPOS="20" WIDTH="160" HEIGHT="60">
   <TextLine HPOS="20" VPOS="20" WIDTH="160" HEIGHT="20">
    <String HPOS="20" VPOS="20" WIDTH="60" HEIGHT="20" CONTENT="Alt"/><SP WIDTH="4"/>
    <String HPOS="100" VPOS="20" WIDTH="60" HEIGHT="20" CONTENT="ver"/>
    <HYP HPOS="160" VPOS="28" WIDTH="10" HEIGHT="4" CONTENT="-"/>
   </TextLine>
   <TextLine HPOS="20" VPOS="50" WIDTH="160" HEIGHT="20">
    <String HPOS="20" VPOS="50" WIDTH="60" HEIGHT="20" CONTENT="bunden">
     <Shape><Polygon POINTS="20,50 80,54 80,70 20,66"/></Shape></String>
   </TextLine>
  </TextBlock></ComposedBlock></PrintSpace></Page></Layout></alto>"""


def test_alto_in_pixels(tmp_path):
    picture(tmp_path / "blatt.png")
    text(tmp_path / "x.xml", ALTO.format(unit="pixel", size='WIDTH="200" HEIGHT="100"'))
    report = Report()
    page = only(read_alto(tmp_path, report=report))
    assert not report.problems
    assert page.text() == "Alt ver-\nbunden"
    _, ver, bunden = page.words()
    assert ver.vertices.tolist() == rectangle(100, 20, 170, 40).tolist()
    assert bunden.vertices.tolist() == [[20, 50], [80, 54], [80, 70], [20, 66]]


def test_alto_in_tenths_of_millimetres_is_scaled_by_the_pages_size(tmp_path):
    picture(tmp_path / "blatt.png", (100, 50))
    text(tmp_path / "x.xml", ALTO.format(unit="mm10", size='WIDTH="200" HEIGHT="100"'))
    page = only(read_alto(tmp_path, report=Report()))
    assert next(page.words()).vertices.tolist() == rectangle(10, 10, 40, 20).tolist()
    text(tmp_path / "x.xml", ALTO.format(unit="mm10", size=""))
    report = Report()
    assert read_alto(tmp_path, report=report) == []
    assert kinds(report) == ["no page size"]


# ------------------------------------------------------------------ lines, and what a folder is


def test_pictures_of_lines(tmp_path):
    for name, said in (("2", "two words\n"), ("10", "one"), ("11", " \n"), ("12", None)):
        picture(tmp_path / f"{name}.png", (120, 30))
        if said is not None:
            text(tmp_path / f"{name}.txt", said)
    report = Report()
    pages = read_line_folder(tmp_path, report=report)
    assert [(page.image_id, page.text()) for page in pages] == [("2", "two words"), ("10", "one")]
    first, second = (next(page.lines()) for page in pages)
    assert first.vertices.tolist() == rectangle(0, 0, 120, 30).tolist()
    assert first.words == () and [word.text for word in second.words] == ["one"]
    assert sorted(kinds(report)) == ["empty text", "picture without annotation"]


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("a.json", '{"form": []}', "funsd"),
        ("gt_a.txt", "1,1,9,1,9,9,1,9,x", "icdar"),
        ("a.txt", "1 plain line of 12 words", "lines"),
        ("a.xml", PAGE_XML, "page"),
        ("b.xml", ALTO.format(unit="pixel", size=""), "alto"),
    ],
)
def test_the_format_of_a_folder_is_found(tmp_path, name, content, found):
    picture(tmp_path / "a.png")
    text(tmp_path / name, content)
    assert format_of(tmp_path) == found


def test_a_folder_of_something_else_says_what_was_looked_for(tmp_path):
    picture(tmp_path / "a.png")
    text(tmp_path / "a.json", "{broken")
    text(tmp_path / "readme.txt", "hello")
    with pytest.raises(DataError, match="PAGE-XML"):
        read_any(tmp_path, report=Report())
    with pytest.raises(DataError, match="no such folder"):
        read_any(tmp_path / "nowhere", report=Report())
    with pytest.raises(DataError, match="begins with PcGts"):
        read_page_xml(tmp_path, report=Report())


def test_a_slanted_line_stays_one_and_columns_part():
    slanted = [
        Word(rectangle(40 * i, 10 + 4 * i, 40 * i + 35, 20 + 4 * i), str(i)) for i in range(6)
    ]
    below = [Word(rectangle(0, 40, 35, 50), "below")]
    lines = words_to_lines([*below, *slanted[::-1]])
    assert [[word.text for word in line] for line in lines] == [list("012345"), ["below"]]
    columns = [Word(rectangle(x, 0, x + 30, 10), "w") for x in (0, 35, 100)]
    assert [len(line) for line in words_to_lines(columns, max_gap=2.0)] == [2, 1]
    assert [len(line) for line in words_to_lines(columns)] == [3]
