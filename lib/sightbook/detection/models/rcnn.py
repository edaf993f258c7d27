"""Detectors by name, with one interface, one file format and one way to start.

Whatever is inside, a detector takes a list of pictures (float32 RGB ``[3, H, W]`` from 0 to 1, of
any sizes). In training it returns its losses, otherwise for each picture ``boxes`` (xyxy in its
own pixels), ``labels`` (1 for the first class; 0 is background), ``scores`` from high to low and,
from a Mask R-CNN, ``masks`` (float ``[n, 1, H, W]`` from 0 to 1). Pictures are scaled so that the
longer side is `DetectorConfig.size`; that belongs to the model and is exported with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor
from torchvision import ops
from torchvision.models import detection as zoo
from torchvision.models import get_model_builder, get_model_weights
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sightbook.detection.models.config import (
    DFINE,
    NAMES,
    RATIOS,
    SMALL_BACKBONE,
    TORCHVISION,
    DetectorConfig,
)
from sightbook.detection.models.dfine import build_dfine, pretrained_dfine
from sightbook.detection.params import SMALL
from sightbook.params import ParameterError
from sightbook.training.weights import load_network

Target = dict[str, Tensor]


class Detector(nn.Module):
    """A network with what it was built from.

    Attributes:
        config: how it was built.
        net: torchvision's R-CNN, or `dfine.DFine`; both have ``transform``, which scales pictures
            and brings boxes back.
    """

    net: Any
    """Of one of two kinds, neither of which knows the other's parts."""

    def __init__(self, config: DetectorConfig, net: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.net = net
        net.transform = Scaling.like(net.transform)  # type: ignore[arg-type]
        for head in self._heads():
            head.register_forward_hook(_in_full_precision)
        weights = config.first_stage
        self.loss_weights = {
            "loss_rpn_box_reg": weights.get("localization_loss_weight", 1.0),
            "loss_objectness": weights.get("objectness_loss_weight", 1.0),
        }

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> Any:
        """Losses by name in training, one ``{"boxes", "labels", "scores"}`` a picture otherwise."""
        # D-FINE refines boxes layer by layer: there is no place for half precision between them
        mixed = torch.is_autocast_enabled(images[0].device.type) and self.config.has_anchors
        with torch.autocast(images[0].device.type, enabled=mixed):
            answer = self.net(images, targets) if self.training else self.net(images)
        if not self.training:
            return answer
        losses = answer
        return {name: loss * self.loss_weights.get(name, 1.0) for name, loss in losses.items()}

    def _heads(self) -> list[nn.Module]:
        """What puts out boxes, classes and masks of an R-CNN."""
        if not self.config.has_anchors:
            return []
        heads = [self.net.rpn.head, self.net.roi_heads.box_predictor]
        return [*heads, self.net.roi_heads.mask_predictor] if self.config.has_masks else heads

    @property
    def backbone(self) -> nn.Module:
        """The part that comes pretrained on pictures of anything."""
        return self.net.backbone if hasattr(self.net, "backbone") else self.net.backbone_of()

    @property
    def box_layers(self) -> list[nn.Linear]:
        """Fully connected layers of an R-CNN's second stage, which want a rate of their own."""
        stage = self.net.roi_heads if self.config.has_anchors else nn.Identity()
        return [module for module in stage.modules() if isinstance(module, nn.Linear)]


def _in_full_precision(module: nn.Module, inputs: Any, output: Any) -> Any:
    """What a head puts out, as float32.

    torchvision brings anchors, proposals and even true boxes to the type of the head's numbers.
    In bfloat16 coordinates from 512 on are multiples of 4: boxes of small objects miss them, and
    the second stage learns from truths that are pixels off.
    """
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_in_full_precision(module, inputs, part) for part in output)


def new_detector(config: DetectorConfig) -> Detector:
    """Build a detector with weights drawn at random.

    Raises:
        ParameterError: there is no such model.
    """
    if config.name in DFINE:
        return Detector(config, build_dfine(config))
    if config.name in SMALL:
        return Detector(config, _small_rcnn(config))
    if config.name not in TORCHVISION:
        raise ParameterError(f"model: there is no {config.name!r}; choose of {', '.join(NAMES)}")
    # Frozen statistics would do for pretrained weights only; these are filled in later.
    net: Any = get_model_builder(config.name)(
        weights=None,
        weights_backbone=None,
        num_classes=len(config.labels) + 1,
        **_rcnn_settings(config),
    )
    usual = net.rpn.anchor_generator
    net.rpn.anchor_generator = _anchors(config, usual.sizes)
    if net.rpn.anchor_generator.num_anchors_per_location() != usual.num_anchors_per_location():
        raise ParameterError(
            f"anchors: {config.name} has {usual.num_anchors_per_location()} at each place of its "
            f"maps, the configuration {net.rpn.anchor_generator.num_anchors_per_location()}"
        )
    return Detector(config, net)


def use_anchors(
    detector: Detector, sizes: Sequence[Sequence[float]], ratios: Sequence[float]
) -> None:
    """Give an R-CNN other anchors, as many at each place; its weights stay."""
    levels = tuple(map(tuple, sizes))
    detector.config = replace(detector.config, anchor_sizes=levels, anchor_ratios=tuple(ratios))
    detector.net.rpn.anchor_generator = _anchors(detector.config, levels)


def anchor_levels(config: DetectorConfig) -> tuple[tuple[float, ...], ...]:
    """Sizes of the anchors that a model usually has, by level."""
    if config.name in SMALL:
        return tuple((2.0 * stride, 3.0 * stride) for stride in _strides(config))
    if config.name == "fasterrcnn_mobilenet_v3_large_320_fpn":
        return ((32.0, 64.0, 128.0, 256.0, 512.0),) * 3
    return tuple((size,) for size in (32.0, 64.0, 128.0, 256.0, 512.0))


def load_pretrained(detector: Detector) -> None:
    """Fill in published weights; what knows the classes starts anew.

    R-CNNs of torchvision and D-FINE were trained on COCO, the small ones' backbone on ImageNet.

    Raises:
        ParameterError: the weights cannot be had here, or are of another shape.
    """
    config = detector.config
    net: nn.Module
    try:
        if config.name in TORCHVISION:
            weights = get_model_weights(config.name)["DEFAULT"]
            net = detector.net
            # a pickled file, of which nothing but tensors is to be read
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        elif config.name in DFINE:
            net, state = detector.net.model, pretrained_dfine()
        else:
            import timm

            net = detector.net.backbone.body
            state = timm.create_model(
                SMALL_BACKBONE, pretrained=True, features_only=True, out_indices=_maps(config)
            ).state_dict()
    except Exception as error:
        raise ParameterError(
            f"init: pretrained weights of {config.name} cannot be had here ({error}); set init to "
            "scratch, or to a run"
        ) from error
    left = fill(net, state)
    print(f"init: pretrained, {left or 'nothing'} starts anew", flush=True)


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Load what fits by name and shape; names what does not, in short.

    Raises:
        ParameterError: hardly anything fits: these are the weights of another model.
    """
    own = module.state_dict()
    fits = {name: value for name, value in state.items() if name in own}
    fits = {name: value for name, value in fits.items() if value.shape == own[name].shape}
    # a pretrained model's frozen statistics do not count their batches
    lacking = [n for n in own if n not in fits and not n.endswith("num_batches_tracked")]
    if len(lacking) > len(own) / 2:
        raise ParameterError(
            f"init: {len(lacking)} of the model's {len(own)} weights are not in what it should "
            "start from: that is another model (or another 'finest')"
        )
    module.load_state_dict(fits, strict=False)
    return ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in lacking))


def start_from(detector: Detector, file: Path) -> None:
    """Fill in the weights of a trained detector; classes that differ start anew, and it is said.

    Raises:
        ParameterError: the file holds another model.
    """
    other = load_detector(file)
    if other.config.name != detector.config.name:
        raise ParameterError(
            f"init: {file} is a {other.config.name}, the parameters ask for "
            f"{detector.config.name}: set model to that, or init to scratch"
        )
    state = other.state_dict()
    if other.config.labels != detector.config.labels:
        # of equal number, but not the same: these would fit and mean something else
        known = ("predictor", "class_embed", "score_head")
        state = {n: v for n, v in state.items() if not any(part in n for part in known)}
    left = fill(detector, state)
    print(f"init: {file}, {left or 'nothing'} starts anew", flush=True)


def load_detector(path: Path) -> Detector:
    """Build a detector from its file, ready to find.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: new_detector(DetectorConfig(**config)))


# ------------------------------------------------------------------ R-CNNs


class Pyramid(nn.Module):
    """A timm backbone with a feature pyramid on top; maps from the finest on, and a pooled one."""

    def __init__(self, body: Any, channels: int) -> None:
        super().__init__()
        self.body = body
        self.out_channels = channels
        self.fpn = ops.FeaturePyramidNetwork(
            body.feature_info.channels(),
            channels,
            extra_blocks=ops.feature_pyramid_network.LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d,
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Maps ``[B, channels, H / stride, W / stride]`` by level."""
        return self.fpn({str(k): level for k, level in enumerate(self.body(pixels))})


class BoxHead(nn.Sequential):
    """Two layers on what is pooled for a proposal, `MultiScaleRoIAlign`'s ``[n, channels, 7, 7]``.

    They are normalised, unlike torchvision's: from scratch, at the rates that the backbone wants,
    most of those units never fire again after some ten steps.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * 7 * 7, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
        )


def _small_rcnn(config: DetectorConfig) -> nn.Module:
    """A small backbone with a narrow pyramid and heads, for boxes or for masks as well.

    All is normalised, which is what training from scratch takes (He et al. 2019, "Rethinking
    ImageNet Pre-training", section 3).
    """
    import timm

    body = timm.create_model(
        SMALL_BACKBONE, pretrained=False, features_only=True, out_indices=_maps(config)
    )
    backbone = Pyramid(body, config.channels)
    maps = [str(level) for level in range(len(_maps(config)))]
    classes, hidden, channels = len(config.labels) + 1, 256, config.channels
    settings: dict[str, Any] = _rcnn_settings(config) | {
        "rpn_anchor_generator": _anchors(config, anchor_levels(config)),
        "box_roi_pool": ops.MultiScaleRoIAlign(maps, 7, 2),
        "box_head": BoxHead(channels, hidden),
        "box_predictor": FastRCNNPredictor(hidden, classes),
    }
    if not config.has_masks:
        return zoo.FasterRCNN(backbone, **settings)
    return zoo.MaskRCNN(
        backbone,
        mask_roi_pool=ops.MultiScaleRoIAlign(maps, 14, 2),
        mask_head=MaskRCNNHeads(channels, (channels,) * 3, 1, norm_layer=nn.BatchNorm2d),
        mask_predictor=MaskRCNNPredictor(channels, channels, classes),
        **settings,
    )


def _rcnn_settings(config: DetectorConfig) -> dict[str, Any]:
    """Keywords that all of torchvision's R-CNNs take."""
    first = config.first_stage
    settings: dict[str, Any] = {
        "min_size": config.size,
        "max_size": config.size,
        "box_score_thresh": config.score_threshold,
        "box_nms_thresh": config.nms_threshold,
        "box_detections_per_img": config.max_detections,
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "rpn_batch_size_per_image": config.rpn_batch_size_per_image,
    }
    if "nms_iou_threshold" in first:
        settings["rpn_nms_thresh"] = first["nms_iou_threshold"]
    if "nms_score_threshold" in first:
        settings["rpn_score_thresh"] = first["nms_score_threshold"]
    most = int(first.get("max_proposals", 300 if config.name in SMALL else 0))
    if most:
        for phase in ("train", "test"):
            # NMS leaves about half, and it is done on each level alone
            settings[f"rpn_pre_nms_top_n_{phase}"] = 2 * most
            settings[f"rpn_post_nms_top_n_{phase}"] = most
    return settings


def _anchors(config: DetectorConfig, usual: Sequence[Sequence[float]]) -> AnchorGenerator:
    sizes = tuple(tuple(level) for level in config.anchor_sizes or usual)
    return AnchorGenerator(sizes, (tuple(config.anchor_ratios or RATIOS),) * len(sizes))


def _strides(config: DetectorConfig) -> list[int]:
    strides = [config.stride]
    while strides[-1] < 64:  # the last is the pooled map's
        strides.append(2 * strides[-1])
    return strides


def _maps(config: DetectorConfig) -> tuple[int, ...]:
    """timm's numbers of the maps: 1 has stride 4."""
    return (1, 2, 3, 4) if config.stride == 4 else (2, 3, 4)


class Scaling(GeneralizedRCNNTransform):
    """torchvision's, with sizes in whole numbers where it predicts.

    The original multiplies by a factor, in half the precision once it is traced: at some sizes
    (140 x 90 to 128) the graph's picture is a pixel smaller than PyTorch's, which moves scores by
    several hundredths. And it leaves nothing of a very thin picture.
    """

    @classmethod
    def like(cls, other: GeneralizedRCNNTransform) -> Self:
        """The same sizes and colours; the longer side counts."""
        return cls(other.max_size, other.max_size, other.image_mean, other.image_std)

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Scale ``[3, H, W]`` so that its longer side is `max_size`.

        In training that is the largest size: a smaller picture is taken as part of one that has
        it.
        """
        if self.training or target is not None:
            if max(image.shape[-2:]) <= self.max_size:
                return image, target
            return super().resize(image, target)
        sides = shape_as_tensor(image)[-2:]
        height, width = (sides * self.max_size // sides.max()).clamp(min=1).unbind()
        if not torch.jit.is_tracing():
            height, width = int(height), int(width)
        return (
            nn.functional.interpolate(
                image[None], size=[height, width], mode="bilinear", align_corners=False
            )[0],
            None,
        )
