"""JSON, text, hOCR and ALTO of one page."""

import json
from xml.etree import ElementTree

import pytest

from sightbook.ocr.pages.page import Page, PageBuilder, Word, rectangle
from sightbook.ocr.pages.writers import ALTO, FORMATS, SUFFIXES, XHTML, alto, hocr, page_dict


@pytest.fixture
def page():
    builder = PageBuilder("p", 200, 100)
    builder.add(
        [
            [
                Word(rectangle(-2.4, 10, 40, 20.26), "A&B", confidence=0.5),
                Word(rectangle(45, 10, 80, 20), "<ü>", confidence=1.0),
            ],
            [Word(rectangle(0, 30, 40, 40), "€", confidence=0.25)],
        ]
    )
    builder.add([[Word(rectangle(100, 60, 140, 70), "end", confidence=0.75)]])
    return builder.page()


EMPTY = Page("p", 200, 100)


def test_json_has_the_shape_of_hiertext(page):
    found = json.loads(FORMATS["json"](page, "a.png"))
    assert found == page_dict(page, "a.png")
    assert {k: found[k] for k in ("file", "image_width", "image_height")} == {
        "file": "a.png",
        "image_width": 200,
        "image_height": 100,
    }
    line = found["paragraphs"][0]["lines"][0]
    assert line["text"] == "A&B <ü>"
    assert line["words"][0] == {
        "text": "A&B",
        "vertices": [[-2.4, 10.0], [40.0, 10.0], [40.0, 20.3], [-2.4, 20.3]],
        "box": [-2.4, 10.0, 40.0, 20.3],
        "confidence": 0.5,
    }
    assert len(line["vertices"]) == 4 and len(found["paragraphs"][0]["vertices"]) == 4


def test_text_has_a_blank_line_between_paragraphs(page):
    assert FORMATS["text"](page, "a.png") == "A&B <ü>\n€\n\nend"


def test_hocr_nests_and_escapes(page):
    root = ElementTree.fromstring(hocr(page, 'a "b".png'))
    by_class = {}
    for element in root.iter():
        by_class.setdefault(element.get("class"), []).append(element)
    assert by_class["ocr_page"][0].get("title") == 'image "a \\"b\\".png"; bbox 0 0 200 100'
    assert len(by_class["ocr_carea"]) == len(by_class["ocr_par"]) == 2
    assert len(by_class["ocr_line"]) == 3
    words = by_class["ocrx_word"]
    assert [word.text for word in words] == ["A&B", "<ü>", "€", "end"]
    assert words[0].get("title") == "bbox 0 10 40 20; x_wconf 50"
    lines = root.findall(f".//{{{XHTML}}}p[@class='ocr_par']/{{{XHTML}}}span[@class='ocr_line']")
    assert len(lines) == 3
    names = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(names) == len(set(names))


def test_alto_nests_and_places(page):
    root = ElementTree.fromstring(alto(page, "a.png"))
    tag = f"{{{ALTO}}}"
    assert root.find(f".//{tag}fileName").text == "a.png"
    assert len(root.findall(f".//{tag}TextBlock/{tag}TextLine")) == 3
    first, second, *_ = root.findall(f".//{tag}TextLine/{tag}String")
    assert (first.get("CONTENT"), first.get("WC")) == ("A&B", "0.500")
    place = [second.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    assert place == ["45", "10", "35", "10"]
    assert second.find(f"{tag}Shape/{tag}Polygon").get("POINTS") == "45,10 80,10 80,20 45,20"
    assert len(root.findall(f".//{tag}SP")) == 1  # between the two words of the first line


def test_characters_that_xml_forbids_are_left_out():
    builder = PageBuilder("p", 10, 10)
    builder.add([[Word(rectangle(0, 0, 5, 5), "a\x00b\x1b")]])
    for form in (hocr, alto):
        assert "ab" in ElementTree.tostring(
            ElementTree.fromstring(form(builder.page(), "a\x07.png")), encoding="unicode"
        )


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_page_is_a_document_too(name):
    text = FORMATS[name](EMPTY, "a.png")
    if name in ("hocr", "alto"):
        assert ElementTree.fromstring(text) is not None
    elif name == "json":
        assert json.loads(text)["paragraphs"] == []
    else:
        assert text == ""
    assert name in SUFFIXES
