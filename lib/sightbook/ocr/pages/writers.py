"""A page that was read, as JSON, plain text, hOCR 1.2 or ALTO 4."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.pages.page import Line, Page, Paragraph, Word

ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
XHTML = "http://www.w3.org/1999/xhtml"


def page_dict(page: Page, file: str) -> dict[str, Any]:
    """A page in the shape of HierText's JSON and of ocrs' own.

    Args:
        page: what was read.
        file: what the picture is called.

    Returns:
        `file`, `image_width`, `image_height` and `paragraphs` of `lines` of `words`; coordinates in
        pixels to a tenth, `box` being left, top, right, bottom; confidences from 0 to 1.
    """
    return {
        "file": file,
        "image_width": page.width,
        "image_height": page.height,
        "paragraphs": [
            {
                "vertices": _vertices(paragraph.vertices),
                "lines": [_line(line) for line in paragraph.lines],
            }
            for paragraph in page.paragraphs
        ],
    }


def json_text(page: Page, file: str) -> str:
    """`page_dict` on one line."""
    return json.dumps(page_dict(page, file), ensure_ascii=False)


def plain_text(page: Page, file: str) -> str:
    """Lines under one another, a blank line between paragraphs; without the file's name."""
    return page.text()


def hocr(page: Page, file: str) -> str:
    """A whole hOCR document of one page."""
    file = _xml_safe(file)
    root = ElementTree.Element("html", {"xmlns": XHTML, "lang": "und"})
    head = ElementTree.SubElement(root, "head")
    ElementTree.SubElement(head, "title").text = file
    for name, content in (
        ("ocr-system", "sightbook"),
        ("ocr-capabilities", "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_wconf"),
    ):
        ElementTree.SubElement(head, "meta", {"name": name, "content": content})
    body = ElementTree.SubElement(root, "body")
    title = f"image {json.dumps(file, ensure_ascii=False)}; bbox 0 0 {page.width} {page.height}"
    shown = ElementTree.SubElement(body, "div", {"class": "ocr_page", "id": "page_1"})
    shown.set("title", title)
    lines = words = 0
    for number, paragraph in enumerate(page.paragraphs, start=1):
        area = _hocr_part(shown, "div", "ocr_carea", f"block_1_{number}", paragraph.vertices)
        block = _hocr_part(area, "p", "ocr_par", f"par_1_{number}", paragraph.vertices)
        for line in paragraph.lines:
            lines += 1
            row = _hocr_part(block, "span", "ocr_line", f"line_1_{lines}", line.vertices)
            for word in line.words:
                words += 1
                part = _hocr_part(row, "span", "ocrx_word", f"word_1_{words}", word.vertices)
                sure = round(100 * (word.confidence or 0))
                part.set("title", f"{part.get('title')}; x_wconf {sure}")
                part.text, part.tail = _xml_safe(word.text), " "
    return _document(root)


def alto(page: Page, file: str) -> str:
    """A whole ALTO document of one page."""
    root = ElementTree.Element("alto", {"xmlns": ALTO})
    description = ElementTree.SubElement(root, "Description")
    ElementTree.SubElement(description, "MeasurementUnit").text = "pixel"
    source = ElementTree.SubElement(description, "sourceImageInformation")
    ElementTree.SubElement(source, "fileName").text = _xml_safe(file)
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    layout = ElementTree.SubElement(root, "Layout")
    shown = ElementTree.SubElement(layout, "Page", {"ID": "p1", "PHYSICAL_IMG_NR": "1", **size})
    space = ElementTree.SubElement(shown, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    lines = words = 0
    for number, paragraph in enumerate(page.paragraphs, start=1):
        block = _alto_part(space, "TextBlock", f"b{number}", paragraph)
        for line in paragraph.lines:
            lines += 1
            row = _alto_part(block, "TextLine", f"l{lines}", line)
            for place, word in enumerate(line.words):
                words += 1
                if place:
                    ElementTree.SubElement(row, "SP")
                part = _alto_part(row, "String", f"s{words}", word)
                part.set("CONTENT", _xml_safe(word.text))
                part.set("WC", f"{word.confidence or 0:.3f}")
    return _document(root)


FORMATS: dict[str, Callable[[Page, str], str]] = {
    "json": json_text,
    "text": plain_text,
    "hocr": hocr,
    "alto": alto,
}
"""Name to what writes a page (and its picture's name) so."""

SUFFIXES = {"json": ".json", "text": ".txt", "hocr": ".hocr", "alto": ".alto.xml"}
"""Of files in each format."""


def _line(line: Line) -> dict[str, Any]:
    return {
        "text": line.text,
        "vertices": _vertices(line.vertices),
        "confidence": round(line.confidence or 0.0, 4),
        "words": [
            {
                "text": word.text,
                "vertices": _vertices(word.vertices),
                "box": [round(float(value), 1) for value in _extent(word.vertices)],
                "confidence": round(word.confidence or 0.0, 4),
            }
            for word in line.words
        ],
    }


def _vertices(points: NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(x), 1), round(float(y), 1)] for x, y in points]


def _extent(points: NDArray[np.float32]) -> Iterable[float]:
    return (*points.min(0), *points.max(0))


def _whole(points: NDArray[np.float32]) -> list[int]:
    """Bounding box in whole pixels; what reaches beyond the picture's left or top is cut."""
    return [max(0, round(float(value))) for value in _extent(points)]


def _hocr_part(
    parent: ElementTree.Element, tag: str, kind: str, name: str, points: NDArray[np.float32]
) -> ElementTree.Element:
    box = " ".join(map(str, _whole(points)))
    facts = {"class": kind, "id": name, "title": f"bbox {box}"}
    return ElementTree.SubElement(parent, tag, facts)


def _alto_part(
    parent: ElementTree.Element, tag: str, name: str, item: Paragraph | Line | Word
) -> ElementTree.Element:
    x0, y0, x1, y1 = _whole(item.vertices)
    place = {"HPOS": x0, "VPOS": y0, "WIDTH": x1 - x0, "HEIGHT": y1 - y0}
    facts = {"ID": name, **{key: str(value) for key, value in place.items()}}
    part = ElementTree.SubElement(parent, tag, facts)
    shape = ElementTree.SubElement(part, "Shape")
    points = " ".join(
        f"{max(0, round(float(x)))},{max(0, round(float(y)))}" for x, y in item.vertices
    )
    ElementTree.SubElement(shape, "Polygon", {"POINTS": points})
    return part


def _xml_safe(text: str) -> str:
    """Without the control characters that XML 1.0 does not allow."""
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
