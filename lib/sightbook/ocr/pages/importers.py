"""Other people's layouts -> pages: FUNSD, ICDAR and SROIE, PAGE-XML, ALTO, pictures of lines.

Each reader takes a folder and gives pages that point at the pictures where they lie; what is wrong
goes into the report. What a format does not say is found from what it says: words of FUNSD and
ICDAR are put into lines by how they overlap vertically; a line of which the words are unknown has
none (`sightbook.ocr.pages.read.cut_words` can cut them out).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import ImageError, image_files, image_size, natural_key
from sightbook.data.validation import DataError, Report
from sightbook.ocr.pages.hiertext import checked_page
from sightbook.ocr.pages.page import Line, Page, PageBuilder, Paragraph, Points, Word, rectangle
from sightbook.ocr.pages.xml import alto, image_name, local_name, page_xml, parse

UNREADABLE = ("###", "*")
"""What ICDAR's transcriptions have in place of a text that nobody can tell."""

SCRIPTS = ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla", "Hindi", "Symbols",
           "Mixed", "None")  # fmt: skip
"""What ICDAR's multi-lingual sets have between coordinates and text."""

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_CORNERS = tuple(
    # What follows must not be the rest of a number or word: "12/03" is no 12.
    re.compile(rf"\s*{_NUMBER}(?:\s*[,\s]\s*{_NUMBER}){{{more}}}(?=\s*,|\s|$)")
    for more in (7, 3)
)


def read_any(folder: str | Path, *, report: Report) -> list[Page]:
    """Read a folder in whichever of this module's formats it is.

    Raises:
        DataError: it is in none of them, or there is no such folder.
    """
    folder = Path(folder)
    return READERS[format_of(folder)](folder, report=report)


def format_of(folder: Path) -> str:
    """Which of `READERS` a folder is for, by its first files of each suffix.

    Raises:
        DataError: none of them; says what was looked for.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    for file in _files(folder, ".xml")[:5]:
        root = parse(file, Report())
        if root is not None and local_name(root) in ("PcGts", "alto"):
            return "alto" if local_name(root) == "alto" else "page"
    for file in _files(folder, ".json")[:5]:
        if isinstance(_json(file, Report()).get("form"), list):
            return "funsd"
    texts = _files(folder, ".txt")
    stems = {image.stem for image in image_files(folder)}
    for file in texts[:20]:
        rows = [row for row in _read_text(file).splitlines() if row.strip()]
        if rows and _image_name(file.stem) in stems and _icdar_row(rows[0]):
            return "icdar"
    if any(file.stem in stems for file in texts):
        return "lines"
    raise DataError(
        f"{folder}: no pages in it that can be read. Looked for HierText (.jsonl, .jsonl.gz, "
        "or .json with 'annotations'), FUNSD (.json with 'form'), PAGE-XML, ALTO, ICDAR "
        "(.txt with x1,y1,...,x4,y4,text) and pictures of lines with .txt beside them"
    )


def read_funsd(folder: str | Path, *, report: Report) -> list[Page]:
    """Read FUNSD: ``annotations/<name>.json`` with ``form[].words[{box, text}]``.

    An entry of the form is a paragraph; its words are put into lines. Boxes are
    ``[x0, y0, x1, y1]`` in pixels.
    """
    pages = []
    for file, page in _empty_pages(Path(folder), _files(folder, ".json"), report):
        form = _json(file, report).get("form")
        if not isinstance(form, list):
            report.error("no FUNSD", file.name, "expected an object with a list 'form'")
            continue
        builder = PageBuilder(page.image_id, page.width, page.height, page.image)
        for number, entry in enumerate(form):
            rows = entry.get("words") if isinstance(entry, dict) else None
            if not isinstance(rows, list):
                report.warning("no FUNSD", file.name, f"entry {number} has no list 'words'")
                continue
            words = []
            for row in rows:
                box, text = (row.get("box"), row.get("text")) if isinstance(row, dict) else (0, 0)
                if not isinstance(box, list) or not _is_box(box) or not isinstance(text, str):
                    report.warning("no FUNSD", file.name, f"entry {number}: word {row!r}")
                elif text.strip():  # FUNSD has many words of nothing, where nothing stands
                    words.append(Word(rectangle(*box), text))
            builder.add(words_to_lines(words))
        pages.append(checked_page(builder.page(), file.name, report))
    return pages


def read_icdar(folder: str | Path, *, report: Report) -> list[Page]:
    """Read ICDAR and SROIE: a text file a picture, ``x1,y1,...,x4,y4,text`` on each row.

    Files are called as the picture, with or without ``gt_`` before it. Two corners
    (``x0,y0,x1,y1``), blanks between numbers, quotes around the text and a script's name before it
    are understood; ``###`` marks what nobody can read. A row of one word is a word, and words are
    put into lines. A row of several is a line whose words are unknown. Where paragraphs are, these
    formats do not say: each line is one.
    """
    pages = []
    for file, page in _empty_pages(Path(folder), _files(folder, ".txt"), report):
        words: list[Word] = []
        paragraphs: list[Paragraph] = []
        for number, row in enumerate(_read_text(file).splitlines(), start=1):
            if not row.strip():
                continue
            parsed = _icdar_row(row)
            if parsed is None:
                report.warning(
                    "wrong row",
                    f"{file.name}:{number}",
                    f"{row.strip()[:60]!r}, expected x1,y1,x2,y2,x3,y3,x4,y4,text; left out",
                )
                continue
            points, text = parsed
            legible = text not in UNREADABLE
            if len(text.split()) > 1:
                paragraphs.append(Paragraph(points, (Line(points, text),)))
            else:
                words.append(Word(points, text if legible else "", legible))
        builder = PageBuilder(page.image_id, page.width, page.height)
        for line in words_to_lines(words, max_gap=2.0):
            builder.add([line])
        paragraphs += builder.page().paragraphs
        paragraphs.sort(key=lambda paragraph: float(paragraph.vertices[:, 1].mean()))
        page = replace(page, paragraphs=tuple(paragraphs))
        pages.append(checked_page(page, file.name, report))
    return pages


def read_page_xml(folder: str | Path, *, report: Report) -> list[Page]:
    """Read PAGE-XML (PRImA's PcGts): regions > lines > words with polygons, in reading order."""
    return _read_xml(Path(folder), "PcGts", page_xml, report)


def read_alto(folder: str | Path, *, report: Report) -> list[Page]:
    """Read ALTO (Library of Congress): blocks > lines > strings, in pixels, mm/10 or inch/1200."""
    return _read_xml(Path(folder), "alto", alto, report)


def read_line_folder(folder: str | Path, *, report: Report) -> list[Page]:
    """Read pictures of single lines with a ``.txt`` of the same name: each becomes a page."""
    pages = []
    for file, page in _empty_pages(Path(folder), _files(folder, ".txt"), report):
        text = " ".join(_read_text(file).split())
        if not text:
            report.warning("empty text", file.name, "no text of this line; left out")
            continue
        outline = rectangle(0, 0, page.width, page.height)
        words = (Word(outline, text),) if " " not in text else ()
        paragraph = Paragraph(outline, (Line(outline, text, words),))
        pages.append(replace(page, paragraphs=(paragraph,)))
    return pages


READERS: dict[str, Callable[..., list[Page]]] = {
    "funsd": read_funsd,
    "icdar": read_icdar,
    "page": read_page_xml,
    "alto": read_alto,
    "lines": read_line_folder,
}
"""The formats' names, as `01_prepare_ocr` takes them, and their readers."""


def words_to_lines(
    words: Sequence[Word], overlap: float = 0.5, max_gap: float = math.inf
) -> list[list[Word]]:
    """Put words into lines, top to bottom, each from left to right.

    Args:
        words: in any order.
        overlap: height that a word must share with the line's last word, as a share of the
            smaller one's; it joins the line where this is largest.
        max_gap: distance to the line's last word, in heights of the word.
    """
    lines: list[list[Word]] = []
    for word in sorted(words, key=lambda word: float(word.vertices[:, 0].min())):
        shares = [_shared_height(line[-1].vertices, word.vertices, max_gap) for line in lines]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] >= overlap:
            lines[best].append(word)
        else:
            lines.append([word])
    return sorted(lines, key=lambda line: float(np.mean([w.vertices[:, 1].mean() for w in line])))


def _shared_height(a: Points, b: Points, max_gap: float) -> float:
    (_, top_a), (right, bottom_a) = a.min(0), a.max(0)
    (left, top), (_, bottom) = b.min(0), b.max(0)
    smaller = min(bottom_a - top_a, bottom - top)
    if smaller <= 0 or left - right > max_gap * (bottom - top):
        return 0.0
    return float((min(bottom_a, bottom) - max(top_a, top)) / smaller)


def _icdar_row(row: str) -> tuple[Points, str] | None:
    """Corners and text of a row; None if it does not begin with four or eight numbers."""
    found = next((match for pattern in _CORNERS if (match := pattern.match(row))), None)
    if found is None:
        return None
    numbers = [float(number) for number in re.findall(_NUMBER, found[0])]
    text = row[found.end() :].strip().removeprefix(",").strip()
    script, comma, rest = text.partition(",")
    if comma and script in SCRIPTS:
        text = rest.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(numbers) == 4:
        x0, y0, x1, y1 = numbers
        return rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), text
    return np.array(numbers, np.float32).reshape(4, 2), text


def _read_xml(
    folder: Path,
    kind: str,
    fill: Callable[[Element, Page, str, Report], Page | None],
    report: Report,
) -> list[Page]:
    # Files of other kinds (METS and the like) usually lie beside them.
    roots = {
        file: root
        for file in _files(folder, ".xml")
        if (root := parse(file, report)) is not None and local_name(root) == kind
    }
    if not roots:
        raise DataError(f"{folder}: no XML file in it begins with {kind}")
    said = {file: image_name(root) for file, root in roots.items()}
    found = _empty_pages(folder, list(roots), report, said)
    pages = (fill(roots[file], page, file.name, report) for file, page in found)
    return [page for page in pages if page is not None]


def _empty_pages(
    folder: Path, files: Sequence[Path], report: Report, said: Mapping[Path, str] | None = None
) -> Iterator[tuple[Path, Page]]:
    """Each annotation's file with an empty page of its picture.

    Args:
        folder: searched for pictures.
        files: of annotations.
        report: takes pictures that are missing, cannot be used, or have no or two annotations.
        said: what the files themselves say their pictures are called; else their own names tell.

    Raises:
        DataError: there are no files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if not files:
        raise DataError(f"{folder}: no annotations of this format in it")
    there = ImageFinder(image_files(folder), folder, prefer="nearest")
    left = set(there.files)
    for file in files:
        report.checked += 1
        names = [(said or {}).get(file, ""), file.stem, _image_name(file.stem)]
        images = (there.find(name, file) for name in names if name)
        image = next((image for image in images if image is not None), None)
        if image is None:
            report.error("missing picture", file.name, f"no picture {names[-1]}.* in {folder}")
        elif image not in left:
            report.error("picture annotated twice", file.name, f"{image.name}; left out")
        else:
            left.discard(image)
            try:
                size = image_size(image)
            except ImageError as error:
                report.error("unusable picture", image.name, error.reason)
            else:
                yield file, Page(there.unique_id(image), *size, image=image)
    for image in sorted(left, key=natural_key):
        report.warning("picture without annotation", image.name, "left out")


def _image_name(stem: str) -> str:
    """The picture's name of an annotation's: ``gt_img_1`` is about ``img_1``."""
    return re.sub(r"^(gt|res)_|_(gt|labels?)$", "", stem)


def _files(folder: str | Path, suffix: str) -> list[Path]:
    found = (file for file in Path(folder).rglob(f"*{suffix}") if not file.name.startswith("."))
    return sorted(found, key=natural_key)


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="replace")


def _json(file: Path, report: Report) -> dict[str, Any]:
    """A file's JSON object; empty, and an error, if it is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        report.error("wrong JSON", file.name, str(error))
        return {}
    return value if isinstance(value, dict) else {}


def _is_box(value: list[Any]) -> bool:
    return len(value) == 4 and all(isinstance(number, int | float) for number in value)
