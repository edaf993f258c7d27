"""What surrounds a data page on its sheet: the other page of the booklet, the cover, the fold."""

import numpy as np

from sightbook.donut.synth import wording
from sightbook.donut.synth.details import Box, Sheet, place_stamp
from sightbook.donut.synth.guilloches import random_emblem, security_paper
from sightbook.donut.synth.plans import Plan
from sightbook.synth.lettering import ink_at


def draw_background(rng: np.random.Generator, sheet: Sheet, plan: Plan) -> None:
    """Everything on the sheet that is not the data page: other pages, the cover's rim, the fold."""
    k = sheet.scale
    x0, y0, x1, y1 = plan.page
    if plan.kind == "visa" and plan.height > y1 - y0:
        for _ in range(int(rng.integers(0, 4))):
            place_stamp(rng, sheet, rng.uniform(0, plan.width), rng.uniform(0, y0))
        page = security_paper(rng, round((x1 - x0) * k), round((y1 - y0) * k), 0.8)
        left, top = round(x0 * k), round(y0 * k)
        sheet.image[top : top + page.shape[0], left : left + page.shape[1]] = page[
            : sheet.image.shape[0] - top, : sheet.image.shape[1] - left
        ]
        return
    if plan.kind != "passport" or plan.height <= y1 - y0:
        return
    above = y0 > plan.height - y1
    other: Box = (x0, 0.0, x1, y0) if above else (x0, y1, x1, plan.height)
    fold = y0 if above else y1
    _other_page(rng, sheet, other)
    if x0 > 0:  # the cover shows round the pages
        cover = np.array(
            [int(rng.integers(15, 110)), int(rng.integers(10, 50)), int(rng.integers(20, 90))]
        )
        rim = max(1, round(x0 * k))
        sheet.image[:, :rim] = cover
        sheet.image[:, -rim:] = cover
        sheet.image[: rim if not above else 1] = cover
        if above:
            sheet.image[-rim:] = cover
    # The fold: paper turns away from the light on both sides of the stitching.
    reach = max(2, round(rng.uniform(2, 9) * k))
    middle = round(fold * k)
    rows = np.arange(max(0, middle - reach), min(sheet.image.shape[0], middle + reach))
    if len(rows):
        near = 1 - np.abs(rows - middle) / reach
        gain = 1 - rng.uniform(0.15, 0.6) * near**2
        region = sheet.image[rows[0] : rows[-1] + 1].astype(np.float32)
        sheet.image[rows[0] : rows[-1] + 1] = (region * gain[:, None, None]).astype(np.uint8)


def _other_page(rng: np.random.Generator, sheet: Sheet, box: Box) -> None:
    """The page next to the data page: instructions, observations, stamps or a large emblem."""
    k = sheet.scale
    x0, y0, x1, y1 = box
    choice = rng.random()
    if choice < 0.4:
        face, size = ("times", "sans", "serif")[rng.integers(3)], rng.uniform(1.8, 3.0)
        margin = rng.uniform(8, 20)
        for y in np.arange(y1 - rng.uniform(6, 14), y0 - 4, -size * rng.uniform(1.5, 2.6)):
            text = wording.prose(rng, int(rng.integers(6, 14)))
            fit = sheet.labels.fit(text, face, size * k, (x1 - x0 - 2 * margin) * k)
            sheet.labels.write((x0 + margin) * k, float(y) * k, text, face, fit)
    elif choice < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            place_stamp(rng, sheet, rng.uniform(x0 + 20, x1 - 20), rng.uniform(y0, y1))
    elif choice < 0.85:
        side = round(rng.uniform(28, 60) * k)
        mask = random_emblem(rng, side)
        x, y = round((x0 + x1) / 2 * k - side / 2), round((y1 - 34) * k - side / 2)
        ink_at(sheet.image, mask, x, y, (90, 80, 120), float(rng.uniform(0.3, 0.9)))
    number = wording.digits(rng, 2)
    sheet.labels.write((x1 - 8) * k, (y1 - 5) * k, number, "sans", 3 * k)
