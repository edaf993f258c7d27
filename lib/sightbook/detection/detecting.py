"""What a detector's tensors say, as boxes: for training and its pictures, where torch is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightbook.detection.annotations import Box, Points
from sightbook.detection.masks import mask_polygons
from sightbook.detection.models import Detector


def boxes_of(found: dict[str, Tensor], labels: Sequence[str], masks: bool = False) -> list[Box]:
    """Detections of one picture.

    Args:
        found: the detector's answer.
        labels: classes in order.
        masks: outlines as well, where the detector gives any; it takes a while.
    """
    corners = found["boxes"].float().cpu().tolist()
    numbers = found["labels"].cpu().tolist()
    scores = found["scores"].float().clamp(0, 1).cpu().tolist()
    outlines: list[tuple[Points, ...]] = [()] * len(scores)
    if masks and "masks" in found:
        seen = (found["masks"][:, 0] > 0.5).cpu().numpy()
        outlines = [mask_polygons(mask) for mask in seen]
    return [
        Box(labels[number - 1], (x0, y0, x1, y1), polygons, score=score)
        for (x0, y0, x1, y1), number, score, polygons in zip(
            corners, numbers, scores, outlines, strict=True
        )
    ]


@torch.inference_mode()
def detect(detector: Detector, image: NDArray[np.uint8], masks: bool = False) -> list[Box]:
    """Detections on a picture (uint8 RGB ``[H, W, 3]``), the surest first.

    Args:
        detector: in evaluation mode.
        image: of any size.
        masks: see `boxes_of`.
    """
    device = next(detector.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
    return boxes_of(detector([pixels.float() / 255])[0], detector.config.labels, masks)
