"""Preparing a data set of pages: drawn, or imported from what people have; checked and split."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sightbook.data.images import SUFFIXES, ImageError, Skipped, open_image
from sightbook.data.validation import Fingerprint, Report, find_leaks, keep_origin
from sightbook.ocr.pages.hiertext import read_hiertext, write_hiertext
from sightbook.ocr.pages.page import Page
from sightbook.ocr.pages.read import (
    ANNOTATIONS,
    IMAGES,
    SPLITS_FILE,
    Dataset,
    check_texts,
    cut_words,
    read_dataset,
)
from sightbook.ocr.params import PrepareOcr
from sightbook.ocr.recognition.alphabet import read_alphabet
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.files import atomic_file, write_json
from sightbook.runs.run import dataset_folder


@dataclass(frozen=True)
class Prepared:
    """A data set on disk, read back and checked.

    Attributes:
        dataset: its pages.
        splits: pages of train, validation and test.
        report: all problems found, of the source too.
        skipped: pages left out for want of a usable picture.
        missing: characters outside the alphabet and how often they stand in the lines.
    """

    dataset: Dataset
    splits: Mapping[str, list[Page]]
    report: Report
    skipped: Skipped
    missing: Counter[str]

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.dataset.folder

    @property
    def pages(self) -> list[Page]:
        """Pages of all splits."""
        return self.dataset.pages

    def table(self) -> list[dict[str, object]]:
        """One row a split: pages and what stands on them."""
        return [
            {
                "split": name,
                "pages": len(pages),
                "paragraphs": sum(len(page.paragraphs) for page in pages),
                "lines": sum(1 for page in pages for _ in page.lines()),
                "words": sum(1 for page in pages for _ in page.words()),
                "illegible": sum(not word.legible for page in pages for word in page.words()),
                "handwritten": sum(word.handwritten for page in pages for word in page.words()),
            }
            for name, pages in self.splits.items()
        ]

    def fingerprint(self) -> Fingerprint:
        """Fingerprint of names, pictures and annotations."""
        return self.dataset.fingerprint()


def prepare(params: PrepareOcr) -> Prepared:
    """Draw or import the pages that `params` describe, check and split them.

    The same call again draws and copies only what is not there yet. Splits that the source itself
    names are kept.

    Raises:
        ParameterError: a source without its path, or no such alphabet.
        DataError: the data set exists and was made otherwise, or the source cannot be read.
        TooManySkipped: more unusable pages than `params.max_bad`.
    """
    alphabet = read_alphabet(params.alphabet)
    folder = dataset_folder("ocr", params.name)
    skipped, report = Skipped(params.max_bad), Report()
    given: dict[str, str] = {}
    if params.source == "synthetic":
        given = draw_pages(folder, params, alphabet)
    else:
        if not params.path:
            raise ParameterError(f"source is {params.source!r}: parameter 'path' must name it")
        source = read_dataset(
            resolve_path(params.path),
            max_pages=params.max_pages,
            skipped=skipped,
            kind=params.source,
        )
        report.extend(source.report)
        folder.mkdir(parents=True, exist_ok=True)
        keep_origin(
            folder,
            {
                "source": params.source,
                "path": params.path,
                "max_pages": params.max_pages,
                "cut_words": params.cut_words,
            },
        )
        pages = [cut_words(page) for page in source.pages] if params.cut_words else source.pages
        renamed = write_dataset(pages, folder, skipped)
        given = {
            renamed[page.image_id]: split
            for page in source.pages
            if page.image_id in renamed and (split := source.split_of(page))
        }
    # What was recorded before is no source of itself: the split is drawn anew.
    dataset = replace(read_dataset(folder, skipped=skipped), recorded={}, given=given)
    splits = dataset.splits(params.shares, str(params.seed))
    write_splits(dataset, splits, params)
    if params.source == "synthetic":
        report.extend(dataset.report)
    report.extend(
        find_leaks(splits, key=lambda page: dataset.hashes[page.image_id], name=_image_id)
    )
    missing = check_texts(dataset.pages, alphabet, report, params.alphabet)
    report.checked = len(dataset.pages)
    return Prepared(dataset, splits, report, skipped, missing)


def draw_pages(folder: Path, params: PrepareOcr, alphabet: str) -> dict[str, str]:
    """Draw pages, those of validation and test in typefaces that training never sees.

    A folder that holds all of them is left as it is.

    Returns:
        Split of each page, by `image_id`.

    Raises:
        DataError: the folder was made with other settings.
    """
    from sightbook.ocr.synth.pages import write_pages

    counts = {
        name: max(1, round(params.pages * share))
        for name, share in params.shares.items()
        if name != "train"
    }
    counts = {"train": params.pages - sum(counts.values()), **counts}
    settings = params.model_dump(include={"source", "seed", "fonts", "words", "alphabet"})
    folder.mkdir(parents=True, exist_ok=True)
    keep_origin(folder, settings | counts)
    file = folder / ANNOTATIONS
    pages = read_hiertext(file, report=Report()) if file.is_file() else []
    files = [folder / IMAGES / f"{page.image_id}.png" for page in pages]
    if len(pages) != params.pages or not all(image.is_file() for image in files):
        write_pages(
            folder,
            counts["train"],
            params.seed,
            workers=params.workers,
            held_back=params.pages - counts["train"],
            fonts=params.fonts,
            words=params.words,
            alphabet=alphabet.replace(" ", ""),
        )
        pages = read_hiertext(file, report=Report())
        write_hiertext(pages, file)  # as reading has mended them
    splits = [name for name, count in counts.items() for _ in range(count)]
    return {page.image_id: split for page, split in zip(pages, splits, strict=True)}


def write_dataset(pages: Iterable[Page], folder: Path, skipped: Skipped) -> dict[str, str]:
    """Copy pages and their pictures into a folder as this line has them.

    Pictures are copied as they are, unless they are there already, and looked at in full: one
    that is cut short shows it only at its end.

    Args:
        pages: with their pictures.
        folder: to write.
        skipped: takes pages whose pictures are damaged.

    Returns:
        `image_id` before -> after: characters that file names should not have are replaced.
    """
    names: dict[str, str] = {}
    written = []
    for page in pages:
        if page.image is None:
            skipped.add(page.image_id, "its picture is missing")
            continue
        try:
            open_image(page.image)
        except ImageError as error:
            skipped.add(page.image, error.reason)
            continue
        name = _free_name(page.image_id, set(names.values()))
        target = folder / IMAGES / f"{name}{page.image.suffix.lower()}"
        if not target.is_file() or target.stat().st_size != page.image.stat().st_size:
            with atomic_file(target) as beside:
                shutil.copyfile(page.image, beside)
        names[page.image_id] = name
        written.append(replace(page, image_id=name, image=target))
    write_hiertext(written, folder / ANNOTATIONS)
    return names


def write_splits(dataset: Dataset, splits: Mapping[str, list[Page]], params: PrepareOcr) -> None:
    """Record which picture belongs to which split, by content."""
    write_json(
        dataset.folder / SPLITS_FILE,
        {
            "fractions": params.shares,
            "salt": str(params.seed),
            "splits": {
                dataset.hashes[page.image_id]: name
                for name, pages in splits.items()
                for page in pages
            },
        },
    )


def _image_id(page: Page) -> str:
    return page.image_id


def _free_name(image_id: str, taken: set[str]) -> str:
    stem = image_id
    if Path(stem).suffix.lower() in SUFFIXES:
        stem = stem[: -len(Path(stem).suffix)]
    name = base = re.sub(r"[^\w.-]+", "_", stem).strip("_.") or "page"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name
