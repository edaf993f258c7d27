"""Pages drawn from a seed, with paragraphs, lines and words where they came to lie.

A page is a function of seed, index and the typefaces at hand; nothing is downloaded. The kinds and
how often each comes are in :data:`KINDS`; most pages are forms and typed papers that were faxed,
copied and scanned, because those are what is hard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.draw_parallel import JOURNAL, draw_resumable
from sightbook.data.validation import Report
from sightbook.metrics.polygons import polygon_areas
from sightbook.ocr.pages.hiertext import page_of, write_hiertext
from sightbook.ocr.pages.page import Page, PageBuilder, Word
from sightbook.ocr.synth import (
    page_faces,
    page_forms,
    page_office,
    page_prose,
    page_screens,
    page_tables,
)
from sightbook.ocr.synth.page_camera import Lie, Look, draw_lie, expose
from sightbook.ocr.synth.page_ink import Image, Sheet
from sightbook.ocr.synth.texts import Texts, read_words
from sightbook.runs.files import atomic_file

ASCII = "".join(map(chr, range(33, 127)))
"""What random strings are made of unless another alphabet is given."""

FADED = 0.3
"""Words that keep less than this share of their contrast cannot be read either."""

SMALLEST = 6.0
"""Words lower than this many pixels cannot be read: they are marked illegible."""

Drawer = Callable[[Sheet], None]


@dataclass(frozen=True)
class Kind:
    """A kind of page.

    Attributes:
        draw: fills a sheet.
        share: how often it comes, relative to the others.
        size: smallest and largest (width, height) in pixels.
        looks: how its sheets become pictures, with their probabilities.
    """

    draw: Drawer
    share: float
    size: tuple[tuple[int, int], tuple[int, int]]
    looks: dict[Look, float]


_PORTRAIT = ((740, 960), (860, 1160))
_PAPERS: dict[Look, float] = {
    "fax": 0.35, "scan": 0.25, "copy": 0.15, "photo": 0.2, "digital": 0.05,
}  # fmt: skip
_FORMS: dict[Look, float] = {
    "fax": 0.6, "scan": 0.15, "copy": 0.13, "photo": 0.1, "digital": 0.02,
}  # fmt: skip
_PRINTS: dict[Look, float] = {
    "fax": 0.1, "scan": 0.35, "copy": 0.1, "photo": 0.3, "digital": 0.15,
}  # fmt: skip
_RECEIPTS: dict[Look, float] = {"scan": 0.3, "photo": 0.6, "fax": 0.1}
_SCREENS: dict[Look, float] = {"digital": 0.9, "photo": 0.1}
_SCENES: dict[Look, float] = {"photo": 0.7, "digital": 0.3}


def _filed(draw: Drawer) -> Drawer:
    """Draw a paper, and then what offices do to it."""

    def drawn(sheet: Sheet) -> None:
        draw(sheet)
        if sheet.chance(0.7):
            page_office.office(sheet, 13)

    return drawn


KINDS: dict[str, Kind] = {
    "article": Kind(page_prose.article, 0.07, _PORTRAIT, _PRINTS),
    "columns": Kind(page_prose.columns, 0.08, _PORTRAIT, _PRINTS),
    "form": Kind(page_forms.form, 0.34, _PORTRAIT, _FORMS),
    "table": Kind(_filed(page_tables.table), 0.12, _PORTRAIT, _PAPERS),
    "receipt": Kind(page_tables.receipt, 0.06, ((420, 700), (700, 1160)), _RECEIPTS),
    "dense": Kind(page_prose.dense, 0.05, _PORTRAIT, _PRINTS),
    "screenshot": Kind(page_screens.screenshot, 0.08, ((700, 600), (1280, 900)), _SCREENS),
    "letter": Kind(_filed(page_prose.letter), 0.13, _PORTRAIT, _PAPERS),
    "noise_words": Kind(page_screens.noise_words, 0.07, ((600, 600), (1000, 1000)), _SCENES),
}
"""Kinds of pages by name."""


@dataclass(frozen=True)
class PageSample:
    """A drawn page: its picture (uint8 grey ``[H, W]``), what stands on it, of which kind it is."""

    image: NDArray[np.uint8]
    page: Page
    kind: str


def render_page(
    seed: int,
    index: int,
    *,
    size: tuple[int, int] | None = None,
    kind: str | None = None,
    validation: bool = False,
    fonts: str = "embedded",
    alphabet: str = ASCII,
    words: str = "",
) -> PageSample:
    """Draw page `index` of `seed`.

    Args:
        seed: of the whole set.
        index: of the page; every page has its own chance, so any can be drawn alone.
        size: (width, height) in pixels; drawn if not given.
        kind: one of :data:`KINDS`; drawn if not given.
        validation: draws other pages, set in the typefaces that are kept for validation.
        fonts: typefaces, as :func:`sightbook.synth.fonts.faces` takes them.
        alphabet: what random strings are made of.
        words: file of words to use beside the built-in ones.

    Raises:
        ValueError: a kind that does not exist, or a page too small to write on.
        ParameterError: fonts or words cannot be read.
    """
    rng = np.random.default_rng((seed, index, int(validation)))
    shares = np.array([entry.share for entry in KINDS.values()])
    drawn = list(KINDS)[int(rng.choice(len(KINDS), p=shares / shares.sum()))]
    name = kind or drawn
    if name not in KINDS:
        raise ValueError(f"kind: there is no {name!r}; choose from {', '.join(KINDS)}")
    chosen = KINDS[name]
    (narrow, low), (wide, high) = chosen.size
    natural = int(rng.integers(narrow, wide + 1)), int(rng.integers(low, high + 1))
    width, height = size or natural
    if min(width, height) < 200:
        raise ValueError(f"size: {width}x{height} is too small to write on; at least 200x200")
    sheet = Sheet(
        np.full((height, width), 255, np.uint8),
        rng,
        Texts(rng, alphabet, read_words(words)),
        page_faces.cast(rng, fonts, validation),
    )
    chosen.draw(sheet)
    looks = list(chosen.looks)
    odds = np.array(list(chosen.looks.values()))
    look = looks[int(rng.choice(len(looks), p=odds / odds.sum()))]
    lie = draw_lie(rng, (width, height), look)
    # Beyond the sheet: the scanner's white lid or its black, or whatever a photo was taken on.
    lid = 255 if rng.random() < 0.8 else 10
    ground = int(rng.integers(0, 256)) if look == "photo" else lid
    clean = sheet.pixels if lie is None else lie.image(sheet.pixels, ground)
    image = expose(clean, rng, look)
    page = _page(f"{seed}-{'v' if validation else 't'}{index:07d}", sheet, lie, (clean, image))
    return PageSample(image, page, name)


def _page(image_id: str, sheet: Sheet, lie: Lie | None, images: tuple[Image, Image]) -> Page:
    """The words of a sheet where the camera sees them; what lies outside the picture is dropped.

    A word that wear has taken away, told by the pictures before and after it, is illegible.
    """
    marks = [mark for rows in sheet.paragraphs for row in rows for mark in row]
    builder = PageBuilder(image_id, sheet.width, sheet.height)
    if not marks:
        return builder.page()
    corners = np.stack([mark.polygon for mark in marks]).astype(np.float32)
    if lie is not None:
        corners = lie.to_image(corners.reshape(-1, 2)).reshape(-1, 4, 2)
    inside = np.clip(corners, 0, (sheet.width, sheet.height)).astype(np.float32)
    seen = polygon_areas(inside) / np.maximum(polygon_areas(corners), 1e-6)
    tall = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    low, high = inside.min(1), inside.max(1)
    before, after = (_spread(image, low, high) for image in images)
    clear = (seen > 0.9) & (tall >= SMALLEST) & (after > FADED * before) & (after > 3)
    number = 0
    for rows in sheet.paragraphs:
        lines = []
        for row in rows:
            words = []
            for mark in row:
                if seen[number] >= 0.4:
                    legible = mark.legible and bool(clear[number])
                    text = mark.text if mark.legible else ""
                    words.append(
                        Word(inside[number], text, legible, mark.handwritten, mark.vertical)
                    )
                number += 1
            lines.append(words)
        builder.add(lines)
    return builder.page()


def _spread(
    image: Image, low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Standard deviation of grey levels in boxes ``[n, 2]`` to ``[n, 2]`` (x, y)."""
    sums, squares = cv2.integral2(image, sdepth=cv2.CV_64F, sqdepth=cv2.CV_64F)
    (x0, y0), (x1, y1) = low.astype(int).T, np.ceil(high).astype(int).T
    count = np.maximum((x1 - x0) * (y1 - y0), 1)
    mean, square = (
        (t[y1, x1] - t[y0, x1] - t[y1, x0] + t[y0, x0]) / count for t in (sums, squares)
    )
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def write_pages(
    folder: Path,
    count: int,
    seed: int,
    workers: int = 2,
    *,
    held_back: int = 0,
    fonts: str = "embedded",
    alphabet: str = ASCII,
    words: str = "",
) -> Path:
    """Draw pages 0 to `count` - 1 into a folder: ``images/*.png`` and ``annotations.jsonl``.

    Cut off, the same call goes on where it stopped.

    Args:
        folder: made if missing; pages of the same names in it are overwritten.
        count: how many pages.
        seed: of the set.
        workers: processes that draw; the pages are the same for any number of them.
        held_back: how many pages of `validation` (see :func:`render_page`) follow them.
        fonts: typefaces, as in :func:`render_page`, as are the others.
        alphabet: of random strings.
        words: file of words.

    Returns:
        The annotations' file.
    """
    folder = Path(folder)
    how: dict[str, Any] = {"fonts": fonts, "alphabet": alphabet, "words": words}
    rows = draw_resumable(
        partial(_write_page, folder / "images", seed, **how),
        [(False, index) for index in range(count)] + [(True, index) for index in range(held_back)],
        folder / JOURNAL,
        origin={"drawn": "pages", "seed": seed, "count": count, **how},
        workers=workers,
    )
    target = folder / "annotations.jsonl"
    pages = (page_of(row, row["image_id"], Report()) for row in rows)
    write_hiertext((page for page in pages if page is not None), target)
    (folder / JOURNAL).unlink()
    return target


def _write_page(images: Path, seed: int, page: tuple[bool, int], **how: Any) -> dict[str, Any]:
    validation, index = page
    sample = render_page(seed, index, validation=validation, **how)
    path = images / f"{sample.page.image_id}.png"
    with atomic_file(path) as beside:
        if not cv2.imwrite(str(beside), sample.image):
            raise OSError(f"{path}: cannot be written; is the disk full or the folder read-only?")
    return sample.page.to_dict()
