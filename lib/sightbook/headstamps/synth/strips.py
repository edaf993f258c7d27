"""Unrolled rings as a data set of lines, for training the OCR line's recogniser on stamps.

write_strips(folder, 20_000, seed=1)
# 02_train_text_recognition: data=<folder>, own_share=1.0, init=reference
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sightbook.data.draw_parallel import JOURNAL, draw_resumable
from sightbook.data.images import save_image
from sightbook.data.validation import Report
from sightbook.headstamps.synth.photographs import render_strip
from sightbook.ocr import (
    ANNOTATIONS,
    IMAGES,
    Line,
    Page,
    Paragraph,
    page_of,
    write_hiertext,
)

# Training moves a line's outline by a twentieth of its height inwards to a fifth outwards: this far
# inside, what it cuts out is in the middle the whole strip, as a reader gets it.
_INSET = 0.075 / 1.15


def write_strips(folder: str | Path, count: int, seed: int, workers: int = 2) -> list[Page]:
    """Draw strips 0 to `count` - 1 into a folder in HierText form, a picture a line.

    Strips on which nothing stands upright are left out, as recognisers train on lines with text;
    that letters on their heads are to be passed over they learn from the strips that have both.
    Cut off, the same call goes on where it stopped.

    Args:
        folder: made if missing; files of the same names in it are overwritten.
        count: strips to draw; about a tenth of them is left out.
        seed: of the series.
        workers: processes that draw; the pictures are the same for any number of them.

    Returns:
        The pages, one a strip.

    Raises:
        ValueError: `count` is below 1.
        OSError: the folder cannot be written to.
    """
    if count < 1:
        raise ValueError(f"count: {count} strips cannot be drawn; give 1 or more")
    folder = Path(folder)
    rows = draw_resumable(
        partial(_write, folder / IMAGES, seed),
        range(count),
        folder / JOURNAL,
        origin={"drawn": "strips", "seed": seed},
        workers=workers,
    )
    found = (page_of(row, row["image_id"], Report()) for row in rows if row is not None)
    pages = [
        page.with_image(folder / IMAGES / f"{page.image_id}.jpg")
        for page in found
        if page is not None
    ]
    write_hiertext(pages, folder / ANNOTATIONS)
    (folder / JOURNAL).unlink()
    return pages


def _write(images: Path, seed: int, index: int) -> dict[str, Any] | None:
    sample = render_strip(seed, index)
    if not sample.text:
        return None
    height, width = sample.image.shape
    name = f"strip_{seed}_{index:06d}"
    save_image(images / f"{name}.jpg", sample.image, quality=95)
    inset = _INSET * height
    left, top, right, bottom = inset, inset, width - inset, height - inset
    outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    line = Line(outline, sample.text)
    return Page(name, width, height, (Paragraph(outline, (line,)),)).to_dict()
