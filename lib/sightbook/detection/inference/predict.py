"""Objects on pictures with an exported detector: onnxruntime, numpy and OpenCV, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageLike, as_pixels
from sightbook.detection.inference.tiles import detect_tiled, windows
from sightbook.detection.labels.annotations import XYXY, Box, Points
from sightbook.detection.labels.masks import mask_polygons, moved
from sightbook.inference import onnx
from sightbook.inference.models import find_model

UNCALIBRATED = 0.5
"""Confidence from which a detection counts where none was chosen on data."""

MIN_SCORE = 0.05
"""Detections below are not told: a file holds up to a hundred a picture, most of them noise."""

MIN_SIDE = 16
"""Of a picture, pixels."""

THINNEST = 1.0
"""Pixels: boxes with a shorter side are slivers, which networks leave along a picture's border."""

MASK_LEVEL = 0.5
"""Probability from which a pixel belongs to the object."""

Image = NDArray[np.uint8]


def box_dict(box: Box) -> dict[str, Any]:
    """A detection for JSON: ``{"label", "score", "box"}``, and `polygons` where it has outlines."""
    row: dict[str, Any] = {
        "label": box.label,
        "score": None if box.score is None else round(box.score, 4),
        "box": [round(value, 2) for value in box.xyxy],
    }
    if box.polygons:
        row["polygons"] = [np.round(polygon.astype(float), 1).tolist() for polygon in box.polygons]
    return row


class OnnxDetector:
    """Finds objects in pictures with an exported model of a line.

    Args:
        model: as `models.find_model` takes it.
        line: the line whose models these are.
        min_score: detections below are left out; 0 keeps all that the file gives, which figures
            such as AP need.
        tile: side in pixels of the windows in which large pictures are looked at, besides as a
            whole; None looks at the whole alone.
        overlap: share of a window that its neighbour shows too; as large as the largest object that
            is missed on the picture as a whole.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Attributes:
        file: the model's.
        metadata: what it says about itself.
        labels: its classes.
        side: longer side of a picture as the network sees it, pixels.

    Raises:
        RunError: no such model.
        ValueError: the model is of another line, or a setting is out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        line: str,
        min_score: float = MIN_SCORE,
        tile: int | None = None,
        overlap: float = 0.2,
        threads: int | None = 1,
    ) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score is {min_score}, expected a number from 0 to 1")
        if tile is not None:
            list(windows(1, 1, tile, overlap))
        self.file = find_model(line, model)
        self._session = onnx.session(self.file, threads)
        self.metadata = onnx.metadata(self._session)
        if self.metadata.get("line") != line:
            raise ValueError(
                f"{self.file}: expected a model of {line}, found one of "
                f"{self.metadata.get('line')!r}"
            )
        self.labels = tuple(self.metadata["labels"])
        self.side = int(self.metadata["input"]["longer_side"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        self.min_score, self.tile, self.overlap = min_score, tile, overlap

    def detect(self, image: ImageLike) -> tuple[Box, ...]:
        """Objects on an image, as `images.as_pixels` takes it, best first.

        Raises:
            TypeError: no image.
            ImageError: one that cannot be used.
            ValueError: one smaller than 16 pixels, or of a shape that the network cannot take.
        """
        return self.detect_from(image, self.min_score)

    def detect_from(self, image: ImageLike, floor: float) -> tuple[Box, ...]:
        """As `detect`, with all detections from the score `floor` on."""
        pixels = as_pixels(image)
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            size = f"{width}x{height}"
            raise ValueError(f"is {size} pixels, at least {MIN_SIDE} a side are needed")
        if self.tile is None:
            return self._run(pixels, floor)
        return detect_tiled(pixels, lambda part: self._run(part, floor), self.tile, self.overlap)

    def _run(self, image: Image, floor: float) -> tuple[Box, ...]:
        height, width = image.shape[:2]
        small = shrunk(image, self.side)
        pixels = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / np.float32(255)
        try:
            values = self._session.run(None, {self._input: pixels})
        except Exception as error:  # onnxruntime raises a class of its own per kind of failure
            raise ValueError(
                f"the network cannot take a picture of {width}x{height} pixels ({error})"
            ) from error
        found = dict(zip(self._outputs, values, strict=True))
        across, down = width / small.shape[1], height / small.shape[0]
        found["boxes"] = found["boxes"] * np.array([across, down, across, down])
        return boxes_of(found, self.labels, floor, width, height)


def shrunk(image: Image, side: int) -> Image:
    """A picture whose longer side is at most `side` pixels, averaged over areas, as training does.

    The graph scales by itself, but picks single pixels where it makes pictures much smaller.
    """
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def boxes_of(
    found: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
    min_score: float,
    width: int,
    height: int,
) -> tuple[Box, ...]:
    """The graph's arrays as boxes within the picture, slivers left out, the most certain first.

    Args:
        found: `boxes` float32 ``[n, 4]``, `labels` int64 ``[n]``, `scores` float32 ``[n]`` and, of
            a model with masks, `masks` float32 ``[n, side, side]``: probabilities over each box.
        labels: names by number.
        min_score: detections below are left out.
        width: of the picture.
        height: of the picture.
    """
    made = []
    for number in np.argsort(-found["scores"], kind="stable").tolist():
        score = float(found["scores"][number])
        x0, y0, x1, y1 = (float(value) for value in found["boxes"][number])
        xyxy = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        thin = min(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]) < THINNEST
        if score < min_score or thin:
            continue
        outlines: tuple[Points, ...] = ()
        if "masks" in found:
            outlines = mask_outlines(found["masks"][number], (x0, y0, x1, y1), width, height)
        label = labels[int(found["labels"][number])]
        made.append(Box(label, xyxy, outlines, score=min(score, 1.0)))
    return tuple(made)


def mask_outlines(
    mask: NDArray[np.float32], xyxy: XYXY, width: int, height: int
) -> tuple[Points, ...]:
    """Outlines of a mask in pixels of the picture, the largest part first.

    Args:
        mask: ``[side, side]``, probabilities over the box; outside they are 0.
        xyxy: the box, which may reach beyond the picture.
        width: of the picture.
        height: of the picture.
    """
    x0, y0, x1, y1 = xyxy
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
    if right <= left or bottom <= top or x1 <= x0 or y1 <= y0:
        return ()
    side = mask.shape[0]
    scale_x, scale_y = side / (x1 - x0), side / (y1 - y0)
    # where the middle of each pixel of the picture lies on the mask
    map_x = ((np.arange(left, right) + 0.5 - x0) * scale_x - 0.5).astype(np.float32)
    map_y = ((np.arange(top, bottom) + 0.5 - y0) * scale_y - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(map_x, map_y)
    pasted = cv2.remap(
        np.asarray(mask, np.float32),
        grid_x,
        grid_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    outlines = [moved(part, left, top) for part in mask_polygons(pasted >= MASK_LEVEL)]
    return tuple(sorted(outlines, key=lambda part: -abs(cv2.contourArea(part))))
