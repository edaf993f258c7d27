"""Detections drawn on the picture itself, in its own size, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from sightbook.detection.labels.annotations import Box

Image = NDArray[np.uint8]

SURE, DOUBTFUL = (214, 40, 40), (150, 150, 150)


def draw_detections(image: Image, boxes: Sequence[Box], eval_conf: float) -> Image:
    """Boxes, outlines, class names and scores; red from `eval_conf` on.

    From half of it on boxes are grey and bare: so near they came. Names of all that a detector
    gives out would hide the picture.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        boxes: in its pixels, with scores.
        eval_conf: what counts as a find.

    Returns:
        A drawn copy.
    """
    canvas = Pillow.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    unit = max(1, round(max(image.shape[:2]) / 500))
    font = ImageFont.load_default(12 * unit)
    # the sure ones last, so that they lie on top
    for box in sorted(boxes, key=lambda box: box.score or 0.0):
        score = box.score or 0.0
        if score < eval_conf / 2:
            continue
        color = SURE if score >= eval_conf else DOUBTFUL
        for polygon in box.polygons:
            draw.polygon([(x, y) for x, y in polygon.tolist()], outline=color, width=unit)
        draw.rectangle(box.xyxy, outline=color, width=unit)
        if color == DOUBTFUL:
            continue
        text = f"{box.label} {score:.2f}"
        left, _, right, bottom = font.getbbox(text)
        x = min(max(0.0, box.xyxy[0]), max(0.0, image.shape[1] - (right - left)))
        y = max(0.0, box.xyxy[1] - bottom - unit)
        draw.rectangle((x, y, x + right - left, y + bottom + unit), fill=color)
        draw.text((x, y), text, fill="white", font=font)
    return np.asarray(canvas)
