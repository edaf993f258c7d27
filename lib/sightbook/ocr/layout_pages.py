"""Words of generated pages. Light to import: every process that draws has to."""

from __future__ import annotations

from functools import lru_cache, partial

from sightbook.data.draw_parallel import draw_parallel
from sightbook.ocr.layout_data import PageWords, page_words
from sightbook.ocr.synth.pages import render_page


@lru_cache(maxsize=4)  # the notebook shows what training then draws again
def drawn_pages(
    count: int, seed: int, workers: int = 1, validation: bool = False
) -> list[PageWords]:
    """Words of generated pages 0 to `count` of a seed; those of an empty page are left out.

    Args:
        count: pages to draw.
        seed: of the series.
        workers: processes that draw; the pages do not depend on it.
        validation: with the fonts that are kept for validation.
    """
    task = partial(_drawn_page, seed, validation)
    # For a few seconds' work, other processes start too slowly.
    found = draw_parallel(task, range(count), workers, least=200)
    return [words for words in found if len(words) > 1]


def _drawn_page(seed: int, validation: bool, index: int) -> PageWords:
    return page_words(render_page(seed, index, validation=validation).page)
