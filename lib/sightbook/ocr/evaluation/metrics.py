"""What a reader of pages is judged by: HierText's protocol, and how the text itself was read.

The protocol (Long et al. 2022, "Towards End-to-End Unified Scene Text Detection and Layout
Analysis", section 5.1, and the evaluation that comes with the data set): a predicted region counts
where it and a true one are each other's best match and their IoU reaches 0.5. Words are compared as
polygons, lines and paragraphs as the pixels of their words. What nobody can read is not demanded,
and predictions that lie on it for half of their area are not punished. Tightness is the mean IoU of
the matches, and PQ is F times tightness.

Figures are counted page by page and added up; intervals come from drawing pages again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightbook.metrics.bootstrap import Figure, divide, figure, resample
from sightbook.ocr.evaluation.compare import IOU, OUTCOMES, Counts, compare_page, compare_pages
from sightbook.ocr.pages.page import Page

Sums = Mapping[str, NDArray[np.float64]]

LEVELS = ("words", "lines", "paragraphs", "end_to_end", "lines_end_to_end")


def evaluate_pages(
    truth: Sequence[Page],
    predicted: Sequence[Page],
    iou: float = IOU,
    *,
    resamples: int = 1000,
) -> dict[str, Figure]:
    """Figures of predicted pages against true ones, given in the same order.

    Args:
        truth: the pages as they are.
        predicted: the pages as read.
        iou: that a match needs, of (0, 1].
        resamples: of the pages, for the intervals.

    Returns:
        Name -> ``{"value", "n", "low", "high"}`` with the bounds of a 95 % interval: ``words/F``,
        ``words/PQ``, ``words/precision``, ``words/recall``, ``words/tightness``, the same of
        ``lines``, ``paragraphs``, ``end_to_end`` (words with exactly the right text) and
        ``lines_end_to_end``; ``text/CER``, ``text/WER``, ``text/exact_line``,
        ``text/CER_of_matched_words``; and the shares ``outcome/...`` of :data:`OUTCOMES`.

    Raises:
        ValueError: if the pages do not belong together.
    """
    return figures([page.counts for page in compare_pages(truth, predicted, iou)], resamples)


def figures(pages: Sequence[Counts], resamples: int = 1000) -> dict[str, Figure]:
    """Figures from the counts of pages, with a seeded percentile bootstrap over the pages."""
    names = list(pages[0]) if pages else list(compare_page(_NOTHING, _NOTHING).counts)
    table = np.array([[page[name] for name in names] for page in pages]).reshape(-1, len(names))
    # The pages as they are, and below them each resample.
    once = np.array([[column.sum() for column in table.T]])
    sums = np.concatenate([once, resample(len(pages), resamples) @ table])
    values, numbers = _values({name: sums[:, k] for k, name in enumerate(names)})
    return {name: figure(float(v[0]), numbers[name], v[1:]) for name, v in values.items()}


def _values(sums: Sums) -> tuple[dict[str, NDArray[np.float64]], dict[str, int]]:
    """Figures of summed counts ``[k]``, and what the first of each rests on.

    With nothing to find recall is 1, with nothing found precision is, as the protocol has it.
    """
    got: dict[str, NDArray[np.float64]] = {}
    rest: dict[str, int] = {}
    for level in LEVELS:
        hits, true, read = (sums[f"{level}/{name}"] for name in ("hits", "true", "read"))
        recall, precision = divide(hits, true, 1.0), divide(hits, read, 1.0)
        tightness = divide(sums[f"{level}/iou"], hits, 1.0)
        score = divide(2 * precision * recall, precision + recall, 0.0)
        shown = {
            "PQ": score * tightness,
            "F": score,
            "precision": precision,
            "recall": recall,
            "tightness": tightness,
        }
        numbers = {"precision": read, "tightness": hits}
        got |= {f"{level}/{name}": value for name, value in shown.items()}
        rest |= {f"{level}/{name}": int(numbers.get(name, true)[0]) for name in shown}
    ratios: dict[str, tuple[str, str]] = {
        "text/CER": ("text/errors", "text/characters"),
        "text/WER": ("text/word_errors", "text/words"),
        "text/exact_line": ("text/exact", "text/lines"),
        "text/CER_of_matched_words": ("matched/errors", "matched/characters"),
        **{f"outcome/{name}": (f"outcome/{name}", "words/true") for name in OUTCOMES},
    }
    for name, (top, bottom) in ratios.items():
        got[name] = divide(sums[top], sums[bottom], np.nan)
        rest[name] = int(sums[bottom][0])
    return got, rest


_NOTHING = Page("", 1, 1)
