"""Evaluation of the whole reader on pages whose text is known, with Tesseract beside it.

The models are read through their exported files by what predicts with them, so what is measured is
what will be used.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.data.validation import DataError, Report
from sightbook.figures.text_diff import align
from sightbook.inference.models import find_model
from sightbook.metrics.bootstrap import Figure, format_figure, values_of
from sightbook.ocr.evaluation import metrics
from sightbook.ocr.evaluation.compare import (
    PageResult,
    WordMatch,
    compare_page,
    normal,
    word_height,
)
from sightbook.ocr.inference import tesseract
from sightbook.ocr.pages.page import Page
from sightbook.ocr.pages.read import read_dataset
from sightbook.ocr.params import EvaluateOcr, ExportOcr
from sightbook.params import repository_root, resolve_path
from sightbook.runs.run import RunError
from sightbook.training.weights import SUFFIX

if TYPE_CHECKING:
    from sightbook.ocr.synth.pages import PageSample

Image = NDArray[np.uint8]
Read = Callable[[Image], Page]

MODEL = "model"
MODEL_FILE = "model.onnx"
PARTS = ("detection", "recognition", "layout")

HEIGHTS = (0, 8, 10, 12, 15, 20, 30, 50, float("inf"))
"""Borders of the groups of word heights, pixels."""

SHOWN = {
    "words/F": "words found, F",
    "words/precision": "words found, precision",
    "words/recall": "words found, recall",
    "words/PQ": "words found, PQ",
    "end_to_end/F": "words found and read exactly, F",
    "end_to_end/PQ": "words found and read exactly, PQ",
    "lines/F": "lines, F",
    "lines/PQ": "lines, PQ",
    "paragraphs/F": "paragraphs, F",
    "paragraphs/PQ": "paragraphs, PQ",
    "text/CER": "CER of the page",
    "text/WER": "WER of the page",
    "text/exact_line": "lines read exactly",
    "text/CER_of_matched_words": "CER of the words found",
    "outcome/merged": "words merged with others",
    "outcome/split": "words split",
    "outcome/missed": "words missed",
}
"""The figures to look at, and what to call them."""

SHARES = {"train": 0.9, "validation": 0.1}
"""How training splits a folder that does not say so itself."""

SUMMARY = ("words/F", "end_to_end/F", "lines/PQ", "paragraphs/PQ", "text/CER", "text/WER")


@dataclass(frozen=True)
class LabelledPage:
    """A page whose text is known, and a way to its pixels."""

    page: Page
    load: Callable[[], Image]


@dataclass(frozen=True)
class WordCase:
    """One true word and what became of it on its page."""

    sample: LabelledPage
    match: WordMatch

    @property
    def errors(self) -> float:
        """Edit distance as a share of the word's length."""
        truth = normal(self.match.truth.text)
        return Levenshtein.distance(truth, self.match.read) / max(1, len(truth))


@dataclass(frozen=True)
class Reading:
    """What one reader made of the pages.

    Attributes:
        name: of the reader.
        pages: as read, in the order of the samples.
        results: of each page.
        seconds: that each page took, on the wall's clock.
        figures: over all pages; see :func:`sightbook.ocr.evaluation.metrics.evaluate_pages`.
    """

    name: str
    pages: list[Page]
    results: list[PageResult]
    seconds: list[float]
    figures: dict[str, Figure]

    def by_height(self) -> list[dict[str, Any]]:
        """Of the words in each of :data:`HEIGHTS`: how many were found and how many read right."""
        matches = [m for page in self.results for m in page.words if m.truth.text]
        groups = np.digitize([word_height(m.truth) for m in matches], HEIGHTS) - 1
        rows = []
        for group, (low, high) in enumerate(pairwise(HEIGHTS)):
            mine = [m for m, place in zip(matches, groups, strict=True) if place == group]
            row: dict[str, Any] = {"from": low, "to": high if np.isfinite(high) else None}
            row |= {"n": len(mine), "found": sum(m.outcome == "matched" for m in mine)}
            rows.append({**row, "right": sum(m.right for m in mine)})
        return rows

    def confusions(self) -> Counter[tuple[str, str]]:
        """Characters of the words found that were read as others, missed ("x", "") or added."""
        counts: Counter[tuple[str, str]] = Counter()
        for page in self.results:
            for match in page.words:
                if match.outcome == "matched" and match.truth.text and not match.right:
                    pairs = align(normal(match.truth.text), match.read)
                    counts.update(pair for pair in pairs if pair[0] != pair[1])
        return counts


@dataclass(frozen=True)
class Evaluation:
    """Figures of the readers, and what is needed to look behind them.

    Attributes:
        samples: the pages.
        readings: by reader, ours first.
        models: the file of each part.
        skipped: pages that could not be read.
        problems: of the annotations.
    """

    samples: list[LabelledPage]
    readings: dict[str, Reading]
    models: dict[str, str]
    skipped: dict[str, Any]
    problems: dict[str, Any]

    @property
    def reading(self) -> Reading:
        """Ours."""
        return self.readings[MODEL]

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json."""
        ours = self.reading
        return {
            "summary": self.summary,
            "pages": len(self.samples),
            "models": self.models,
            **{
                name: {"figures": reading.figures, "seconds_a_page": _mean(reading.seconds)}
                for name, reading in self.readings.items()
            },
            "by_height": ours.by_height(),
            "confusions": [
                {"is": a, "read": b, "n": n} for (a, b), n in ours.confusions().most_common(50)
            ],
            "by_page": self.page_table(),
            "skipped": self.skipped,
            "problems": self.problems,
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The figures to look at first; those of other readers bare."""
        rows: dict[str, Any] = {name: self.reading.figures[name] for name in SUMMARY}
        for name, other in self.readings.items():
            if name != MODEL:
                rows |= {f"{key}, {name}": other.figures[key]["value"] for key in SUMMARY}
        return rows

    def table(self) -> list[dict[str, Any]]:
        """Rows for display: figures of every reader with 95 % intervals, and n."""
        rows = []
        for key, shown in SHOWN.items():
            row: dict[str, Any] = {"figure": shown}
            row |= {
                name: format_figure(reading.figures[key]) for name, reading in self.readings.items()
            }
            rows.append({**row, "n": f"{self.reading.figures[key]['n']:,}"})
        seconds = {name: f"{_mean(r.seconds):.2f}" for name, r in self.readings.items()}
        return [*rows, {"figure": "seconds a page", **seconds, "n": f"{len(self.samples):,}"}]

    def page_table(self) -> list[dict[str, Any]]:
        """Rows for display: each page's figures, the worst first."""
        rows = []
        for sample, result in zip(self.samples, self.reading.results, strict=True):
            own = values_of(metrics.figures([result.counts]))
            row = {"page": sample.page.image_id, "words": len(result.words)}
            row |= {SHOWN[key]: round(own.get(key, 0.0), 4) for key in ("words/F", "end_to_end/F")}
            rows.append({**row, "CER of the page": round(own.get("text/CER", 0.0), 4)})
        return sorted(rows, key=lambda row: row[SHOWN["end_to_end/F"]])

    def misread(self, count: int) -> list[WordCase]:
        """Words that were found and read wrong: most errors first, then the most confident."""
        cases = [c for c in self._cases() if c.match.outcome == "matched" and not c.match.right]
        return sorted(cases, key=lambda case: (-case.errors, -_confidence(case)))[:count]

    def lost(self, count: int) -> list[WordCase]:
        """Words that were not found, the highest first: large words that are missed are odd."""
        cases = [c for c in self._cases() if c.match.outcome != "matched"]
        return sorted(cases, key=lambda case: -word_height(case.match.truth))[:count]

    def _cases(self) -> list[WordCase]:
        pages = zip(self.samples, self.reading.results, strict=True)
        return [WordCase(s, match) for s, page in pages for match in page.words if match.truth.text]


def run_evaluation(params: EvaluateOcr) -> Evaluation:
    """Evaluate models on a folder or on generated pages.

    Raises:
        RunError: there is no such model.
        DataError: there are no pages.
        TooManySkipped: more pictures are unreadable than `params.max_bad`.
    """
    from sightbook.ocr.inference.predict import Predictor

    predictor = Predictor(
        *(chosen(part, getattr(params, part)) for part in PARTS),
        boxes=params.boxes,
        beams=params.beams,
        threads=params.threads,
    )
    readers: dict[str, Read] = {MODEL: predictor.read}
    other = tesseract.version(params.tesseract) if params.tesseract else None
    if other:
        readers[other] = partial(tesseract.read, language=params.tesseract, threads=params.threads)
    root = repository_root()
    files = {
        part: str(file.relative_to(root) if file.is_relative_to(root) else file)
        for part, file in predictor.files.items()
    }
    return evaluate(params, readers, files)


def evaluate(
    params: EvaluateOcr, readers: dict[str, Read], models: dict[str, str] | None = None
) -> Evaluation:
    """Let readers read the same pages; the first of them must be :data:`MODEL`."""
    report, skipped = Report(), Skipped(params.max_bad)
    samples: list[LabelledPage] = []
    pages: dict[str, list[Page]] = {name: [] for name in readers}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for sample in read_samples(params, report, skipped):
        try:
            image = sample.load()
        except ImageError as error:
            skipped.add(error.path, error.reason)
            continue
        samples.append(sample)
        for name, read in readers.items():
            started = time.perf_counter()
            try:
                page = read(image)
            except tesseract.TesseractError as error:
                report.warning(f"not read by {name}", sample.page.image_id, str(error))
                page = Page("", sample.page.width, sample.page.height)
            seconds[name].append(time.perf_counter() - started)
            pages[name].append(replace(page, image_id=sample.page.image_id))
    readings = {}
    for name in readers:
        results = [
            compare_page(sample.page, page, params.iou)
            for sample, page in zip(samples, pages[name], strict=True)
        ]
        counts = [result.counts for result in results]
        figures = metrics.figures(counts, params.bootstrap)
        readings[name] = Reading(name, pages[name], results, seconds[name], figures)
    return Evaluation(samples, readings, models or {}, skipped.to_dict(), report.to_dict())


def read_samples(params: EvaluateOcr, report: Report, skipped: Skipped) -> list[LabelledPage]:
    """The pages to evaluate on; each one's pixels are read when asked for.

    Raises:
        DataError: the folder holds no pages in any known format, or none that were held back.
    """
    if params.data == "synthetic":
        return synthetic_samples(params.seed, params.pages)
    dataset = read_dataset(resolve_path(params.data), max_bad=params.max_bad, skipped=skipped)
    report.extend(dataset.report)
    pages = dataset.pages
    if params.part != "all":
        pages = dataset.splits(SHARES)[params.part]
    if not pages:
        raise DataError(
            f"{params.data}: none of its {len(dataset.pages)} pages is in {params.part}"
        )
    # Evenly over the folder: neighbours in it are often alike.
    count = min(params.pages or len(pages), len(pages))
    chosen = np.linspace(0, len(pages) - 1, count).round().astype(int)
    return [LabelledPage(pages[k], partial(open_image, pages[k].image)) for k in chosen.tolist()]


def synthetic_samples(seed: int, count: int) -> list[LabelledPage]:
    """Generated pages in fonts that training has not seen; drawn again when asked for."""
    return [LabelledPage(_drawn(seed, k).page, partial(_pixels, seed, k)) for k in range(count)]


def _drawn(seed: int, index: int) -> PageSample:
    from sightbook.ocr.synth.pages import render_page

    return render_page(seed, index, validation=True)


def _pixels(seed: int, index: int) -> Image:
    return _drawn(seed, index).image


def chosen(part: str, which: str) -> str | Path:
    """The model of a part of the reader, exported first if its run holds only weights.

    Args:
        part: one of :data:`PARTS`.
        which: `engine` or `rules`, which need no model; else as `models.find_model` takes it.
            `latest`, where no model of this part is trained, is the shipped one, and that is
            printed.

    Raises:
        RunError: there is none.
    """
    if which in ("rules", "engine"):
        return which
    name = f"{part}{SUFFIX}"
    with contextlib.suppress(RunError):  # exported files have no weights beside them
        return _exported(find_model("ocr", which, name, part=part, or_shipped=True).parent)
    return find_model("ocr", which, part=part, weights=name, or_shipped=True)


def _exported(run: Path) -> Path:
    file = run / MODEL_FILE
    if not file.is_file():
        from sightbook.ocr.inference.export import export_run

        export_run(run, ExportOcr.parse({"int8": False}))
    return file


def _confidence(case: WordCase) -> float:
    found = case.match.found
    return found.confidence or 0.0 if found is not None else 0.0


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
