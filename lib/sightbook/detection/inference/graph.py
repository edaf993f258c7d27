"""A trained detector as one ONNX file: scaling, network and post-processing inside the graph.

The graph takes a picture of any height and width. Masks leave it as the network gives them, as
probabilities over each box (`predict.mask_outlines` lays them on the picture): laid on inside the
graph, a hundred detections on a phone's photograph would be five gigabytes. Tracing is what carries
all detectors over with both sizes dynamic; graph capture stops at the first size that follows from
the picture, which is in the scaling, and beyond it in the R-CNNs' suppression and D-FINE's decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightbook.detection.models.rcnn import Detector
from sightbook.inference import onnx

INPUT = "image"
OUTPUTS = ("boxes", "labels", "scores", "masks")
"""The last of models with masks only."""


class Graph(nn.Module):
    """A detector for one picture, with arrays instead of lists and classes counted from 0."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """RGB ``[3, H, W]`` from 0 to 1 to ``boxes [n, 4]`` (xyxy, pixels), ``labels [n]``,
        ``scores [n]`` and, of a model with masks, ``masks [n, side, side]`` over each box."""
        if self.detector.config.has_masks:
            found = self._with_small_masks(image)
        else:
            found = self.detector([image])[0]
        arrays = found["boxes"], found["labels"] - 1, found["scores"]
        return (*arrays, found["masks"]) if "masks" in found else arrays

    def _with_small_masks(self, image: Tensor) -> dict[str, Tensor]:
        """What torchvision's Mask R-CNN does, but for laying the masks on the picture."""
        net = self.detector.net
        batch, _ = net.transform([image])
        features = net.backbone(batch.tensors)
        proposals, _ = net.rpn(batch, features)
        found, _ = net.roi_heads(features, proposals, batch.image_sizes)
        masks = found[0].pop("masks")
        size = (image.shape[-2], image.shape[-1])
        return {
            **net.transform.postprocess(found, batch.image_sizes, [size])[0],
            "masks": masks[:, 0],
        }


def output_names(detector: Detector) -> list[str]:
    """Of the graph."""
    return list(OUTPUTS if detector.config.has_masks else OUTPUTS[:3])


def export_detector(
    detector: Detector,
    path: Path,
    line: str,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write the graph.

    Args:
        detector: on the CPU; its mode is restored.
        path: of the file.
        line: the line that the model is of.
        metadata: JSON values to keep in it, beside what prediction needs.
        opset: ONNX operator set.
    """
    config = detector.config
    names = output_names(detector)
    facts = {
        **(metadata or {}),
        "line": line,
        "task": "detection",
        "model": config.name,
        "labels": list(config.labels),
        "score_floor": config.score_threshold,
        "input": {
            "name": INPUT,
            "shape": [3, "height", "width"],
            "channels": "RGB",
            "range": [0, 1],
            "longer_side": config.size,
            "resize": "longer side to 'longer_side' pixels inside the graph, bilinearly; larger "
            "pictures are averaged over areas (cv2.INTER_AREA) to that size before",
        },
        "outputs": {
            "boxes": "float32 [n, 4], left, top, right, bottom in pixels of the input",
            "labels": "int64 [n], places in 'labels'",
            "scores": "float32 [n], 0 to 1, falling",
            "masks": "float32 [n, side, side], probabilities over each box",
        },
    }
    facts["outputs"] = {name: facts["outputs"][name] for name in names}
    sample = torch.rand(3, config.size * 3 // 4, config.size)
    onnx.export(
        Graph(detector).train(detector.training),
        (sample,),
        path,
        [INPUT],
        names,
        {INPUT: {1: "height", 2: "width"}, **{name: {0: "detections"} for name in names}},
        opset,
        facts,
    )
    return path
