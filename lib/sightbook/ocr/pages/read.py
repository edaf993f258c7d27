"""Data sets of pages on disk, read and checked; lines cut out as the engine cuts them.

A data set is a folder with `annotations.jsonl` (or another of `hiertext.SUFFIXES`) and its pictures
in `images/`. HierText's own folders (``gt/train.jsonl.gz`` beside ``train/``) and the formats of
`sightbook.ocr.pages.importers` are read where they lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import SUFFIXES as PICTURES
from sightbook.data.images import (
    ImageError,
    Skipped,
    content_hash,
    image_files,
    image_size,
    natural_key,
)
from sightbook.data.validation import DataError, Fingerprint, Report, fingerprint, split_by_hash
from sightbook.ocr.inference import engine
from sightbook.ocr.pages import importers
from sightbook.ocr.pages.hiertext import SUFFIXES, checked_page, iter_hiertext
from sightbook.ocr.pages.page import Line, Page, Points, Word, smallest_rectangle
from sightbook.ocr.recognition.alphabet import Encoder
from sightbook.runs.files import read_json

ANNOTATIONS = "annotations.jsonl"
IMAGES = "images"
SPLITS_FILE = "splits.json"
"""Beside the annotations: content hash of each picture -> train, validation or test."""

SPLITS = ("train", "validation", "test")

MIN_SIDE = 8
"""Smaller pictures, in pixels, hold no text that anybody can read."""

_SPLIT_NAMES = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
                "validation": "validation", "dev": "validation", "test": "test"}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """Pages whose pictures can be read.

    Attributes:
        folder: where they lie.
        pages: with `image` set and the picture's own size.
        report: all problems of the annotations.
        skipped: pages left out for want of a usable picture.
        given: split of each page (by `image_id`) that the data set's own files name.
        recorded: split of each picture (by content hash) from `SPLITS_FILE`.
    """

    folder: Path
    pages: list[Page]
    report: Report
    skipped: Skipped
    given: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Content hash of each page's picture, by `image_id`."""
        return {page.image_id: content_hash(page.image) for page in self.pages if page.image}

    def split_of(self, page: Page) -> str:
        """The split that is recorded, or given, for a page; empty if there is none."""
        recorded = self.recorded.get(self.hashes[page.image_id]) if self.recorded else None
        return recorded or self.given.get(page.image_id, "")

    def splits(self, fractions: Mapping[str, float], salt: str = "") -> dict[str, list[Page]]:
        """Pages by split: as recorded, as given, and the others by content hash.

        Copies of one picture stay together. Where the data set says nothing, no split with a
        share above 0 is empty as long as there are pages enough.

        Args:
            fractions: share of each split, see `validation.split_by_hash`.
            salt: another one draws other splits.
        """
        said: dict[str, str] = {}
        for page in self.pages:
            if name := self.split_of(page):
                # A picture that stands in the data set twice is trained on if either is.
                key = self.hashes[page.image_id]
                said[key] = min(said.get(key, name), name, key=SPLITS.index)
        free = [page for page in self.pages if self.hashes[page.image_id] not in said]
        drawn = split_by_hash(free, fractions, salt, key=lambda page: self.hashes[page.image_id])
        place = {page.image_id: name for name, pages in drawn.items() for page in pages}
        found: dict[str, list[Page]] = {name: [] for name in SPLITS}
        for page in self.pages:
            found[said.get(self.hashes[page.image_id]) or place[page.image_id]].append(page)
        return found

    def split(self, validation: float = 0.1, salt: str = "") -> tuple[list[Page], list[Page]]:
        """Pages to train on and to validate on; those of the split test are in neither.

        Where the data set names pages of train only, as HierText's own file of them does, the
        share to validate on is drawn from these.
        """
        shares = {"train": 1 - validation, "validation": validation}
        shares = {name: share for name, share in shares.items() if share > 0}
        found = self.splits(shares, salt)
        if validation > 0 and not found["validation"]:
            found |= split_by_hash(
                found["train"], shares, salt, key=lambda page: self.hashes[page.image_id]
            )
        return found["train"], found["validation"]

    def fingerprint(self) -> Fingerprint:
        """Over names, pictures and all that the annotations say."""
        return fingerprint((page.image_id, page.image, page.to_dict()) for page in self.pages)


def read_dataset(
    source: str | Path,
    *,
    max_pages: int = 0,
    max_bad: int = 20,
    skipped: Skipped | None = None,
    kind: str = "auto",
) -> Dataset:
    """Read a data set and find its pictures; they are opened for their size only.

    Pages whose picture is missing, unreadable, under `MIN_SIDE` or of another shape than the
    annotation says are skipped and counted; one of the same shape but another size has its
    polygons scaled.

    Args:
        source: a folder in any format that this line reads, or a HierText file.
        max_pages: only the first so many usable pages; 0 takes all.
        max_bad: pages that may be skipped.
        skipped: counts them, instead of a new one with `max_bad`.
        kind: ``hiertext``, one of `importers.READERS`, or ``auto``, which finds out.

    Raises:
        DataError: nothing there that can be read, or no usable page in it.
        TooManySkipped: more than `max_bad` pages are skipped; lists all of them.
    """
    source, report = Path(source), Report()
    skipped = skipped if skipped is not None else Skipped(max_bad)
    files = annotation_files(source) if kind in ("auto", "hiertext") else []
    folder = source if source.is_dir() else source.parent
    pages: list[Page] = []
    given: dict[str, str] = {}
    if not files and kind == "hiertext":
        raise DataError(f"{source}: no file {', '.join(SUFFIXES)} in it, nor in its folder gt")
    if not files:
        read = importers.READERS.get(kind, importers.read_any)
        _take(read(source, report=report), pages, report, skipped, max_pages)
    for file in files:
        split = _SPLIT_NAMES.get(_stem(file).lower(), "")
        images = ImageFinder(_image_files(file), _root(file), prefer="nearest")
        before = len(pages)
        rows = (
            page.with_image(images.find(page.image_id, file))
            for page in iter_hiertext(file, report=report)
        )
        _take(rows, pages, report, skipped, max_pages)
        given |= {page.image_id: split for page in pages[before:] if split}
    if not pages:
        raise DataError(f"{source}: no page in it can be used\n{report}\n{skipped.text()}")
    splits = folder / SPLITS_FILE
    recorded = read_json(splits)["splits"] if splits.is_file() else {}
    return Dataset(folder, pages, report, skipped, given, recorded)


def annotation_files(source: Path) -> list[Path]:
    """HierText files of a folder (or the file itself); empty where there are none.

    `annotations.*` comes before all others; files of the same name packed and unpacked are one.

    Raises:
        DataError: there is no such folder or file.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: no such folder or file")
    for folder in (source, source / "gt"):
        if not folder.is_dir():
            continue
        files = sorted((f for f in folder.iterdir() if _is_hiertext(f)), key=natural_key)
        own = [file for file in files if _stem(file) == "annotations"]
        by_stem = {_stem(file): file for file in reversed(own[:1] or files)}
        if by_stem:
            return sorted(by_stem.values(), key=natural_key)
    return []


def _is_hiertext(file: Path) -> bool:
    """By its suffix; a plain ``.json`` may be anything, so its beginning must name annotations."""
    if not file.is_file() or file.name.startswith("."):
        return False
    if file.suffix == ".json":
        with file.open("rb") as raw:
            head = raw.read(4096)
        return file.name != SPLITS_FILE and (b'"annotations"' in head or b'"image_id"' in head)
    return file.name.endswith(SUFFIXES)


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _root(file: Path) -> Path:
    """The data set's folder, of a file of annotations in it or in its folder ``gt``."""
    return file.parent.parent if file.parent.name == "gt" else file.parent


def _image_files(file: Path) -> list[Path]:
    """Pictures in `images/`, in a folder called as the file, and beside it."""
    above = {file.parent, _root(file)}
    places = {place / name for place in above for name in (IMAGES, _stem(file)) if name}
    found = [image for place in sorted(places) if place.is_dir() for image in image_files(place)]
    return found + [f for f in sorted(file.parent.iterdir()) if f.suffix.lower() in PICTURES]


def _take(
    rows: Iterable[Page], pages: list[Page], report: Report, skipped: Skipped, max_pages: int
) -> None:
    """Add usable pages to `pages` until there are `max_pages`."""
    taken = {page.image_id for page in pages}
    for row in rows:
        if max_pages and len(pages) >= max_pages:
            return
        if row.image_id in taken:
            report.error("page stands twice", row.image_id, "in another file, too; left out")
            continue
        page = _on_image(row, report, skipped)
        if page is not None:
            pages.append(page)
            if not page.paragraphs:
                report.warning("page without text", page.image_id, "trains where no text is")


def _on_image(page: Page, report: Report, skipped: Skipped) -> Page | None:
    """The page in its picture's own pixels; None, and counted, if that cannot be."""
    if page.image is None:
        skipped.add(page.image_id, "its picture is missing")
        return None
    try:
        width, height = image_size(page.image)
    except ImageError as error:
        skipped.add(page.image, error.reason)
        return None
    if min(width, height) < MIN_SIDE:
        skipped.add(page.image, f"{width} x {height} pixels, at least {MIN_SIDE} are needed")
        return None
    if (page.width, page.height) == (width, height):
        return page
    sized = replace(page, width=width, height=height)
    if not (page.width and page.height):
        return checked_page(sized, page.image.name, report)  # could not be checked before
    across, down = width / page.width, height / page.height
    # A pixel of rounding on the shorter side is no other shape.
    if abs(across / down - 1) > 0.01 + 1 / min(width, height):
        turned = (
            " (turned by its EXIF data?)" if (page.height, page.width) == (width, height) else ""
        )
        skipped.add(
            page.image,
            f"{width} x {height} pixels{turned}, annotated as {page.width} x {page.height}",
        )
        return None
    report.warning(
        "annotated in another size",
        page.image.name,
        f"{width} x {height} pixels, annotated as {page.width} x {page.height}; polygons scaled",
    )
    return scaled(sized, np.array([across, down], np.float32))


def scaled(page: Page, factors: NDArray[np.float32]) -> Page:
    """The page with all its polygons multiplied by (x, y); its size is left as it is."""
    return replace(
        page,
        paragraphs=tuple(
            replace(
                paragraph,
                vertices=paragraph.vertices * factors,
                lines=tuple(
                    replace(
                        line,
                        vertices=line.vertices * factors,
                        words=tuple(replace(w, vertices=w.vertices * factors) for w in line.words),
                    )
                    for line in paragraph.lines
                ),
            )
            for paragraph in page.paragraphs
        ),
    )


# ------------------------------------------------------------------ texts and lines


def check_texts(pages: Iterable[Page], alphabet: str, report: Report, name: str) -> Counter[str]:
    """Count characters that an alphabet cannot write, look-alikes set aside; one warning for all.

    Args:
        pages: illegible lines are not looked at.
        alphabet: the characters.
        report: takes the warning.
        name: what the warning calls the alphabet.

    Returns:
        How often each such character stands in the lines.
    """
    encoder, lines = Encoder(alphabet, "drop"), 0
    for page in pages:
        for line in page.lines():
            before = encoder.missing.total()
            if line.legible:
                encoder.normalise(line.text)
            lines += encoder.missing.total() > before
    if encoder.missing:
        listed = ", ".join(f"{c!r} x {n}" for c, n in encoder.missing.most_common(12))
        more = len(encoder.missing) - 12
        report.warning(
            "text outside the alphabet",
            f"alphabet {name}",
            f"{lines} lines have characters it lacks: {listed}"
            + (f" and {more} others" if more > 0 else ""),
        )
    return encoder.missing


def line_rects(line: Line) -> NDArray[np.float32]:
    """The line's words (the line itself where they are unknown) as the detector would give them.

    Returns:
        float32 ``[k, 4, 2]``, rectangles of least area, from left to right.
    """
    outlines = [word.vertices for word in line.words] or [line.vertices]
    shapes = [cv2.minAreaRect(outline) for outline in outlines]
    rows = np.array([(*centre, *sides, angle) for centre, sides, angle in shapes], np.float32)
    return engine.corners(rows[rows[:, 0].argsort(kind="stable")])


def line_crop(
    image: NDArray[np.uint8], line: Line, height: int = engine.LINE_HEIGHT
) -> NDArray[np.uint8]:
    """A line as the engine hands it to the recogniser: black where no word of it stands.

    Args:
        image: the grey page, uint8 ``[H, W]``.
        line: with polygons in its pixels.
        height: of the result.

    Returns:
        uint8 ``[height, w]``, w from 10 to 2400 as the line's aspect asks.
    """
    rects = line_rects(line)
    cut = engine.cut_polygon(image, engine.line_polygon(rects), 0)
    return engine.resize(cut, height, engine.line_width(rects, height))


def cut_words(page: Page) -> Page:
    """Give words to lines that have a text but none: cut by the number of characters.

    Good for typewriting and receipts, rough elsewhere. Lines that are no quadrilaterals are cut
    as the rectangle of least area around them.
    """
    return replace(
        page,
        paragraphs=tuple(
            replace(paragraph, lines=tuple(_with_words(line) for line in paragraph.lines))
            for paragraph in page.paragraphs
        ),
    )


def _with_words(line: Line) -> Line:
    if line.words or not line.text or not line.legible or line.vertical:
        return line
    corners = line.vertices if len(line.vertices) == 4 else smallest_rectangle(line.vertices)
    words, start = [], 0
    for text in line.text.split(" "):
        if text:
            outline = _slice(corners, start / len(line.text), (start + len(text)) / len(line.text))
            words.append(Word(outline, text, handwritten=line.handwritten))
        start += len(text) + 1
    return replace(line, words=tuple(words))


def _slice(quad: Points, start: float, end: float) -> Points:
    """Part of a quadrilateral between two shares of its length, corners from the top left."""
    top_left, top_right, bottom_right, bottom_left = quad
    top, bottom = top_right - top_left, bottom_right - bottom_left
    return np.array(
        [
            top_left + start * top,
            top_left + end * top,
            bottom_left + end * bottom,
            bottom_left + start * bottom,
        ],
        np.float32,
    )
