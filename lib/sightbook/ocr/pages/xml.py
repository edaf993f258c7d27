"""PAGE-XML and ALTO files -> pages.

Elements are told by their names without namespaces: every year has had another one, with the same
elements in it. PAGE-XML: https://github.com/PRImA-Research-Lab/PAGE-XML, ALTO:
https://www.loc.gov/standards/alto/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from sightbook.data.validation import Report
from sightbook.ocr.pages.hiertext import checked_page
from sightbook.ocr.pages.page import Line, Page, Paragraph, Points, Word, bounding_box, rectangle

Scale = tuple[float, float]

_NONE = np.zeros((0, 2), np.float32)


def image_name(root: Element) -> str:
    """File name of the picture, as a PAGE-XML or ALTO file says it; empty if it does not."""
    for element in root.iter():
        if local_name(element) == "Page" and element.get("imageFilename"):
            return element.get("imageFilename", "").replace("\\", "/")
        if local_name(element) == "fileName" and (element.text or "").strip():
            return (element.text or "").strip().replace("\\", "/")
    return ""


def parse(file: Path, report: Report) -> Element | None:
    """Outermost element of a file; None, and an error in `report`, if it is no XML."""
    try:
        return ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        report.error("wrong XML", file.name, str(error))
        return None


def page_xml(root: Element, page: Page, where: str, report: Report) -> Page:
    """Fill a page from PAGE-XML (PcGts).

    Args:
        root: outermost element.
        page: with the picture's own size; coordinates are scaled to it.
        where: the file's name, for the report.
        report: takes what `sightbook.ocr.pages.hiertext.checked_page` finds.
    """
    whole = next(_named(root, "Page"), root)
    size = _number(whole.get("imageWidth")), _number(whole.get("imageHeight"))
    scale = _scale(page, size)
    order = {name: place for place, name in enumerate(_reading_order(whole))}
    regions = list(_named(whole, "TextRegion"))
    # Stable: regions that the order does not know stay behind the others, as they are written.
    regions.sort(key=lambda region: order.get(region.get("id", ""), len(order)))
    paragraphs = []
    for region in regions:
        lines = [
            _page_line(line, scale, _is_handwritten(region))
            for line in region
            if local_name(line) == "TextLine"
        ]
        paragraphs.append(Paragraph(_coords(region, scale), tuple(lines)))
    return checked_page(replace(page, paragraphs=tuple(paragraphs)), where, report)


def alto(root: Element, page: Page, where: str, report: Report) -> Page | None:
    """Fill a page from ALTO; of a file of several pages, from the first.

    None, and an error, if its coordinates have no relation to the picture.

    Args:
        root: outermost element.
        page: with the picture's own size; coordinates of any unit are scaled to it.
        where: the file's name, for the report.
        report: takes what is wrong, see `sightbook.ocr.pages.hiertext.checked_page`.
    """
    wholes = list(_named(root, "Page")) or [root]
    if len(wholes) > 1:
        report.warning("several pages", where, f"{len(wholes)} pages in it; only the first is read")
    size = _number(wholes[0].get("WIDTH")), _number(wholes[0].get("HEIGHT"))
    unit = next((element.text or "" for element in _named(root, "MeasurementUnit")), "").strip()
    if not all(size) and unit not in ("", "pixel"):
        report.error("no page size", where, f"in {unit}, but Page has no WIDTH and HEIGHT")
        return None
    scale = _scale(page, size)
    paragraphs = []
    for block in _named(wholes[0], "TextBlock"):
        lines = [_alto_line(line, scale) for line in block if local_name(line) == "TextLine"]
        paragraphs.append(Paragraph(_alto_shape(block, scale), tuple(lines)))
    return checked_page(replace(page, paragraphs=tuple(paragraphs)), where, report)


# ------------------------------------------------------------------ PAGE-XML


def _page_line(line: Element, scale: Scale, handwritten: bool) -> Line:
    handwritten = handwritten or _is_handwritten(line)
    vertical = line.get("readingDirection") in ("top-to-bottom", "bottom-to-top")
    words = tuple(
        Word(
            _coords(word, scale),
            _unicode(word),
            handwritten=handwritten or _is_handwritten(word),
            vertical=vertical,
        )
        for word in line
        if local_name(word) == "Word"
    )
    text = _unicode(line)
    return Line(_coords(line, scale), text, words, handwritten=handwritten, vertical=vertical)


def _coords(element: Element, scale: Scale) -> Points:
    """Polygon of a region, line or word; before 2013 its points were elements of their own."""
    for child in element:
        if local_name(child) == "Coords":
            if child.get("points"):
                return _points(child.get("points", ""), scale)
            pairs = [f"{point.get('x')},{point.get('y')}" for point in _named(child, "Point")]
            return _points(" ".join(pairs), scale)
    return _NONE


def _unicode(element: Element) -> str:
    """The element's own text; of several readings that of the lowest index, which is the best."""
    readings = [child for child in element if local_name(child) == "TextEquiv"]
    readings.sort(key=lambda reading: _number(reading.get("index")))
    for reading in readings:
        for text in _named(reading, "Unicode"):
            return " ".join((text.text or "").split())
    return ""


def _reading_order(page: Element) -> Iterator[str]:
    """Ids of regions, groups unfolded."""
    for order in _named(page, "ReadingOrder"):
        yield from _unfolded(order)


def _unfolded(group: Element) -> Iterator[str]:
    for member in sorted(group, key=lambda item: _number(item.get("index"))):
        if member.get("regionRef"):
            yield member.get("regionRef", "")
        yield from _unfolded(member)


def _is_handwritten(element: Element) -> bool:
    return element.get("production", "").startswith("handwritten")


# ------------------------------------------------------------------ ALTO


def _alto_line(line: Element, scale: Scale) -> Line:
    words: list[Word] = []
    for item in line:
        if local_name(item) == "String":
            text = " ".join(item.get("CONTENT", "").split())
            words.append(Word(_alto_shape(item, scale), text))
        elif local_name(item) == "HYP" and words:
            # The hyphen is ink of the word before it.
            last, hyphen = words[-1], _alto_shape(item, scale)
            both = np.concatenate([last.vertices, hyphen[np.isfinite(hyphen).all(1)]])
            words[-1] = Word(bounding_box(both), last.text + item.get("CONTENT", "-"))
    return Line(_alto_shape(line, scale), "", tuple(words))


def _alto_shape(element: Element, scale: Scale) -> Points:
    for child in element:
        if local_name(child) == "Shape":
            for polygon in _named(child, "Polygon"):
                return _points(polygon.get("POINTS", ""), scale)
    numbers = [element.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None in numbers:
        return _NONE
    x, y, width, height = map(_number, numbers)
    return rectangle(x, y, x + width, y + height) * np.array(scale, np.float32)


# ------------------------------------------------------------------ both


def _points(text: str, scale: Scale) -> Points:
    """``x,y x,y`` or ``x y x y``; none where a number has no partner."""
    numbers = [_number(piece) for piece in re.split(r"[,\s]+", text.strip()) if piece]
    if len(numbers) % 2:
        return _NONE
    return np.array(numbers, np.float32).reshape(-1, 2) * np.array(scale, np.float32)


def _scale(page: Page, size: tuple[float, float]) -> Scale:
    """From a file's coordinates to the picture's, whose size may be another."""
    return (page.width / size[0], page.height / size[1]) if all(size) else (1.0, 1.0)


def _number(text: str | None) -> float:
    """A number; 0 if there is none, not-a-number (which the check of polygons finds) if wrong."""
    try:
        return float(text) if text else 0.0
    except ValueError:
        return float("nan")


def _named(element: Element, name: str) -> Iterator[Element]:
    return (item for item in element.iter() if local_name(item) == name)


def local_name(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
