"""What a detector is built from: its name, its classes, its measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightbook.detection.params import FINEST, SMALL

DFINE = ("dfine_nano",)

TORCHVISION = (
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "maskrcnn_resnet50_fpn_v2",
)
"""Known to torchvision by these names."""

NAMES = (*SMALL, *TORCHVISION, *DFINE)

SMALL_BACKBONE = "mobilenetv4_conv_small"
"""timm's; plain convolutions, fast on CPUs in training too (Qin et al. 2024, MobileNetV4)."""

CHANNELS = 96
"""Of the small models' feature pyramid, where nothing else is said."""

RATIOS = (0.5, 1.0, 2.0)
"""Usual anchors' heights by their widths."""


@dataclass(frozen=True)
class DetectorConfig:
    """All that is needed to build a detector again.

    Attributes:
        name: one of :data:`NAMES`.
        labels: classes in order; the model's number of the first is 1.
        size: longer side of a picture as the network sees it, pixels.
        finest: stride of the finest map, see `params.FINEST`; 0 for the usual one.
        channels: of a small model's feature pyramid.
        anchor_sizes: of each level, roots of the anchors' areas in the network's pixels; empty for
            the model's usual ones.
        anchor_ratios: heights by widths of the anchors; empty as above.
        first_stage: settings of the region proposal network, see `params.FIRST_STAGE`.
        box_batch_size_per_image: proposals that the second stage learns from.
        rpn_batch_size_per_image: anchors that the first stage learns from.
        score_threshold: detections below it are not given out.
        nms_threshold: overlap from which the weaker of two detections of a class is left out.
        max_detections: on one picture.
    """

    name: str
    labels: tuple[str, ...]
    size: int = 320
    finest: int = 0
    channels: int = CHANNELS
    anchor_sizes: tuple[tuple[float, ...], ...] = ()
    anchor_ratios: tuple[float, ...] = ()
    first_stage: Mapping[str, float] = field(default_factory=dict)
    box_batch_size_per_image: int = 64
    rpn_batch_size_per_image: int = 128
    score_threshold: float = 0.01
    nms_threshold: float = 0.5
    max_detections: int = 100

    @property
    def stride(self) -> int:
        """Of the finest map of a model that offers a choice."""
        return self.finest or FINEST[self.name][0]

    @property
    def has_masks(self) -> bool:
        """Whether it finds outlines as well."""
        return self.name.startswith("maskrcnn")

    @property
    def has_anchors(self) -> bool:
        """Whether it has a region proposal network."""
        return self.name not in DFINE
