"""Words of generated pages. Light to import: every process that draws has to."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import lru_cache, partial
from multiprocessing import get_context

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
    several = workers > 1 and count >= 200
    # Fresh processes: a fork would inherit the locks of a notebook's threads.
    context = (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if several else nullcontext()
    )
    with context as pool:
        run = map if pool is None else partial(pool.map, chunksize=8)
        found = list(run(task, range(count)))
    return [words for words in found if len(words) > 1]


def _drawn_page(seed: int, validation: bool, index: int) -> PageWords:
    return page_words(render_page(seed, index, validation=validation).page)
