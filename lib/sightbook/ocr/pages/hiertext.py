"""HierText's JSON: read with every flaw reported and mended or left out, and written.

The published files (https://github.com/google-research-datasets/hiertext) are called ``.jsonl``
but are one JSON document, ``{"info": ..., "annotations": [page, ...]}``. That, a list of pages, and
true JSON lines are read, compressed by gzip or not, page by page: a subset of a file of gigabytes
needs the memory of the subset.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sightbook.data.validation import DataError, Report
from sightbook.metrics.polygons import polygon_area
from sightbook.ocr.pages.page import Line, Page, Paragraph, Points, Word, bounding_box
from sightbook.runs.files import atomic_file

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")

MIN_AREA = 1.0
"""Polygons of less, in square pixels, hold no text and are left out."""

_TOLERANCE = 1.0  # pixels outside the page that rounding explains
_CHUNK = 1 << 20
_LIST_OF_PAGES = re.compile(r'"annotations"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")


def read_hiertext(path: str | Path, *, report: Report, max_pages: int = 0) -> list[Page]:
    """Read a file of pages; pictures are not looked for.

    Args:
        path: a file with one of `SUFFIXES`.
        report: takes what is wrong: broken JSON is an error and ends only what it makes
            unreadable; a page that is none, or stands twice, is an error and left out; polygons
            and texts that are mended or left out are warnings, see `checked_page`.
        max_pages: only the first so many; 0 reads all.

    Raises:
        DataError: there is no such file.
    """
    return list(islice(iter_hiertext(path, report=report), max_pages or None))


def iter_hiertext(path: str | Path, *, report: Report) -> Iterator[Page]:
    """The pages of a file, one by one, as `read_hiertext` has them."""
    seen: set[str] = set()
    for where, row in _rows(Path(path), report):
        report.checked += 1
        page = page_of(row, where, report)
        if page is None:
            continue
        if page.image_id in seen:
            report.error("page stands twice", where, f"image_id {page.image_id!r}; left out")
            continue
        seen.add(page.image_id)
        yield checked_page(page, where, report)


def write_hiertext(pages: Iterable[Page], path: str | Path) -> None:
    """Write pages as one JSON document, a page a line; compressed if the name ends with ``.gz``.

    The file appears whole; the same pages give the same bytes.
    """
    path = Path(path)
    with atomic_file(path) as beside, beside.open("wb") as raw:
        # Neither time nor name in gzip's header.
        packed = gzip.GzipFile("", "wb", mtime=0, fileobj=raw) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(packed, encoding="utf-8") as file:
            file.write('{"annotations": [')
            for number, page in enumerate(pages):
                file.write(",\n" if number else "\n")
                row = json.dumps(page.to_dict(), ensure_ascii=False, separators=(",", ":"))
                file.write(row)
            file.write("\n]}\n")


def page_of(row: Any, where: str, report: Report) -> Page | None:
    """A page from HierText's JSON as it stands there, unchecked; None (and an error) if it is none.

    Width and height may be missing: they are 0 then, until the picture is known.
    """
    if not isinstance(row, dict):
        report.error("no page", where, f"{_short(row)}, expected an object with image_id")
        return None
    paragraphs = row.get("paragraphs")
    image_id = row.get("image_id")
    if not isinstance(image_id, str | int) or image_id == "" or not isinstance(paragraphs, list):
        keys = ", ".join(map(str, row)) or "nothing"
        report.error("no page", where, f"has {keys}; expected image_id and a list paragraphs")
        return None
    size = [row.get("image_width", 0), row.get("image_height", 0)]
    if any(not isinstance(side, int | float) or not 0 <= side < 1e6 for side in size):
        report.error("no page", where, f"{image_id!r} is {size[0]!r} x {size[1]!r} pixels")
        return None
    return Page(
        str(image_id),
        round(size[0]),
        round(size[1]),
        tuple(
            Paragraph(
                _points(item.get("vertices")),
                tuple(_line(line) for line in _objects(item.get("lines"))),
                bool(item.get("legible", True)),
            )
            for item in _objects(paragraphs)
        ),
    )


@dataclass
class _Flaws:
    """What is wrong on one page, by kind; reported as one problem a kind."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        self.found.setdefault(kind, []).append(what)

    def hand_over(self, where: str, report: Report) -> None:
        for kind, items in self.found.items():
            more = f" (and {len(items) - 1} more on this page)" if len(items) > 1 else ""
            report.warning(kind, where, items[0] + more)


def checked_page(page: Page, where: str, report: Report) -> Page:
    """The page without what cannot be used; each kind of flaw is one warning in `report`.

    * A polygon of fewer than three points, of numbers that are none, or of no area: a word is
      left out; a line or paragraph takes the bounding box of what it holds, or is left out.
    * A polygon that reaches outside the page (of known size) is clipped, one that lies outside is
      left out.
    * Text is stripped. A legible word without text counts as illegible: it is neither demanded nor
      punished. So do lines and paragraphs without anything legible.
    """
    flaws = _Flaws()
    size = (page.width, page.height)
    paragraphs = []
    for paragraph in page.paragraphs:
        made = (_checked_line(line, size, flaws) for line in paragraph.lines)
        lines = tuple(line for line in made if line is not None)
        outline = _polygon(paragraph.vertices, size, "paragraph", flaws)
        if outline is None and lines:
            outline = _around(lines)
        if outline is not None:
            legible = paragraph.legible and any(line.legible for line in lines)
            paragraphs.append(Paragraph(outline, lines, legible))
    flaws.hand_over(f"{where} ({page.image_id})", report)
    return replace(page, paragraphs=tuple(paragraphs))


def _checked_line(line: Line, size: tuple[int, int], flaws: _Flaws) -> Line | None:
    words = []
    for word in line.words:
        outline = _polygon(word.vertices, size, f"word {word.text!r}", flaws)
        if outline is None:
            continue
        text = word.text.strip()
        if word.legible and not text:
            flaws.add("empty text", f"a word at {_place(outline)}; counts as illegible")
        words.append(replace(word, vertices=outline, text=text, legible=word.legible and text > ""))
    text = line.text.strip() or " ".join(word.text for word in words if word.text)
    outline = _polygon(line.vertices, size, f"line {text!r}", flaws)
    if outline is None and words:
        outline = _around(words)
    if outline is None:
        return None
    if line.legible and not text and not words:
        flaws.add("empty text", f"a line at {_place(outline)}; counts as illegible")
    readable = any(word.legible for word in words) if words else text > ""
    return replace(
        line,
        vertices=outline,
        text=text,
        words=tuple(words),
        legible=line.legible and readable,
    )


def _polygon(points: Points, size: tuple[int, int], what: str, flaws: _Flaws) -> Points | None:
    """The polygon inside the page; None if nothing of it is left."""
    if len(points) < 3:
        flaws.add("polygon of fewer than 3 points", f"{what}: {len(points)} points")
        return None
    if not np.isfinite(points).all():
        flaws.add("polygon of numbers that are none", what)
        return None
    if all(size):
        low, high = points.min(0), points.max(0)
        limit = np.array(size, np.float32)
        if (low < 0).any() or (high > limit).any():
            inside = np.clip(points, 0, limit)
            if (low < -_TOLERANCE).any() or (high > limit + _TOLERANCE).any():
                reach = ", ".join(f"{x:.0f}" for x in (*low.tolist(), *high.tolist()))
                flaws.add("polygon outside the page", f"{what}: {reach} on {size[0]} x {size[1]}")
                if polygon_area(inside) < MIN_AREA:
                    return None
            points = inside
    if polygon_area(points) < MIN_AREA:
        flaws.add("polygon without area", f"{what} at {_place(points)}")
        return None
    return points


def _around(items: Iterable[Line | Word]) -> Points:
    return bounding_box(np.concatenate([item.vertices for item in items]))


def _place(points: Points) -> str:
    x, y = points.min(0).tolist()
    return f"({x:.0f}, {y:.0f})"


def _line(row: dict[str, Any]) -> Line:
    words = tuple(
        Word(_points(item.get("vertices")), _text(item.get("text")), **_flags(item))
        for item in _objects(row.get("words"))
    )
    return Line(_points(row.get("vertices")), _text(row.get("text")), words, **_flags(row))


def _flags(row: dict[str, Any]) -> dict[str, Any]:
    """What annotators ticked, and a prediction's confidence."""
    confidence = row.get("confidence")
    return {
        "legible": bool(row.get("legible", True)),
        "handwritten": bool(row.get("handwritten", False)),
        "vertical": bool(row.get("vertical", False)),
        "confidence": float(confidence) if isinstance(confidence, int | float) else None,
    }


def _points(value: Any) -> Points:
    """``[n, 2]``; what is no list of pairs of numbers becomes ``[0, 2]`` and is reported later."""
    try:
        points = np.array(value, np.float32)
    except (ValueError, TypeError, OverflowError):
        return np.zeros((0, 2), np.float32)
    return points if points.ndim == 2 and points.shape[1] == 2 else np.zeros((0, 2), np.float32)


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list. Anything else in a list's place holds no text."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ------------------------------------------------------------------ the file


def _rows(path: Path, report: Report) -> Iterator[tuple[str, Any]]:
    """Every page's JSON with where it stands; what ends the reading is one error."""
    try:
        with _opened(path) as stream:
            head = stream.read(_CHUNK)
            if document := _LIST_OF_PAGES.search(head):
                yield from _elements(stream, head, document.end(), path.name, report)
            elif head.lstrip().startswith("["):
                yield from _elements(stream, head, head.index("[") + 1, path.name, report)
            elif ".json" in path.suffixes:
                yield path.name, json.loads(head + stream.read())
            elif not head.strip():
                report.error("empty file", path, "expected JSON")
            else:
                stream.seek(0)
                yield from _json_lines(stream, path.name, report)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one, too
        report.error("wrong JSON", path, str(error))
    except (EOFError, OSError, zlib.error) as error:
        report.error("damaged file", path, f"{error}; was it fetched in full?")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """As text; gzip is told by its first bytes, since browsers unpack files and keep the name."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        content: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        with io.TextIOWrapper(content, encoding="utf-8-sig") as stream:
            yield stream


def _elements(
    stream: TextIO, buffer: str, at: int, name: str, report: Report
) -> Iterator[tuple[str, Any]]:
    """The elements of a JSON list that begins in `buffer` before `at` and goes on in `stream`."""
    decoder = json.JSONDecoder()
    number, problem = 0, "the list does not end"
    while True:
        between = _BETWEEN.match(buffer, at)
        at = between.end() if between else at
        if at < len(buffer):
            if buffer[at] == "]":
                return
            try:
                value, at = decoder.raw_decode(buffer, at)
            except (json.JSONDecodeError, RecursionError) as error:
                problem = str(error)
            else:
                number += 1
                yield f"{name}, page {number}", value
                continue
        # Cut short by the end of the buffer, or wrong: which it is shows when there is no more.
        more = stream.read(max(_CHUNK, len(buffer) - at))
        if not more:
            report.error("wrong JSON", name, f"cannot be read after page {number}: {problem}")
            return
        buffer, at = buffer[at:] + more, 0


def _json_lines(stream: TextIO, name: str, report: Report) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            report.error("wrong JSON", where, str(error))
            continue
        yield where, row
