"""D-FINE nano behind the interface of torchvision's detectors.

The network is transformers' (Peng et al. 2024, "D-FINE: Redefine Regression Task in DETRs as
Fine-grained Distribution Refinement"; Apache-2.0), in the measures of its smallest published form:
a HGNetV2-B0 backbone, hybrid encoder of 128 channels, three decoder layers.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sightbook.detection.models.config import DetectorConfig

PUBLISHED = "ustc-community/dfine-nano-coco"

PRIOR = 0.01
"""How sure an untrained query is of an object: rare, as objects are (Lin et al. 2017)."""


QUERIES = 300
"""Answers to each picture, as published; fewer where its maps have fewer places."""


def padded_side(size: int) -> int:
    """The next multiple of the coarsest stride, pixels."""
    return -(-size // 32) * 32


class DFine(nn.Module):
    """D-FINE, taking and giving what torchvision's detectors do.

    Pictures are padded to a square: there are always enough places for all queries then, and an
    answer does not depend on what else is in the batch.

    Attributes:
        model: transformers' DFineForObjectDetection.
        transform: scales and pads pictures, brings boxes back.
        side: of the padded square, pixels.
    """

    def __init__(self, model: Any, size: int, max_detections: int, score_threshold: float) -> None:
        super().__init__()
        self.model = model
        # its published weights know pictures from 0 to 1 as they are
        self.transform = GeneralizedRCNNTransform(size, size, [0.0] * 3, [1.0] * 3)
        self.side = padded_side(size)
        self.max_detections = max_detections
        self.score_threshold = score_threshold

    def backbone_of(self) -> nn.Module:
        """The convolutional part."""
        return self.model.model.backbone

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """See `rcnn`."""
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        batch, targets = self.transform(images, targets)
        height, width = batch.tensors.shape[-2:]
        pixels = functional.pad(batch.tensors, (0, self.side - width, 0, self.side - height))
        if self.training:
            assert targets is not None
            labels = [
                {
                    "class_labels": target["labels"] - 1,
                    "boxes": ops.box_convert(target["boxes"], "xyxy", "cxcywh") / self.side,
                }
                for target in targets
            ]
            return _summed(self.model(pixels, labels=labels).loss_dict)
        out = self.model(pixels)
        boxes = ops.box_convert(out.pred_boxes.float(), "cxcywh", "xyxy") * self.side
        found = [
            self._best(*each)
            for each in zip(out.logits.float(), boxes, batch.image_sizes, strict=True)
        ]
        return self.transform.postprocess(found, batch.image_sizes, sizes)

    def _best(self, logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """The surest answers of all queries and classes: ``[queries, classes]``, ``[queries, 4]``.

        A query may answer with two classes. There is no suppression of neighbours: the network is
        trained to answer once.
        """
        classes = logits.shape[-1]
        most = min(self.max_detections, boxes.shape[0] * classes)
        scores, places = logits.sigmoid().flatten().topk(most)
        kept = scores >= self.score_threshold
        scores, places = scores[kept], places[kept]
        inside = ops.clip_boxes_to_image(boxes[places // classes], size)
        return {"boxes": inside, "labels": places % classes + 1, "scores": scores}


def build_dfine(config: DetectorConfig) -> DFine:
    """D-FINE nano with weights drawn at random; with ``finest`` 8, one more level of finer maps."""
    from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config

    fine = config.stride == 8
    strides = [8, 16, 32] if fine else [16, 32]
    places = sum((padded_side(config.size) // stride) ** 2 for stride in strides)
    # both take more keywords than they declare
    backbone: Any = HGNetV2Config(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_numb_of_layers=[3, 3, 3, 3],
        hidden_sizes=[64, 256, 512, 1024],
        use_learnable_affine_block=True,
        out_indices=[2, 3, 4] if fine else [3, 4],  # type: ignore[call-arg]
    )
    levels = len(strides)
    model = DFineForObjectDetection(
        DFineConfig(
            backbone_config=backbone,
            num_labels=len(config.labels),  # type: ignore[call-arg]
            initializer_bias_prior_prob=PRIOR,
            freeze_backbone_batch_norms=False,
            encoder_in_channels=[256, 512, 1024] if fine else [512, 1024],
            feat_strides=strides,
            encoder_hidden_dim=128,
            encoder_ffn_dim=512,
            encode_proj_layers=[levels - 1],
            hidden_expansion=0.34,
            depth_mult=0.5,
            d_model=128,
            decoder_in_channels=[128] * levels,
            num_feature_levels=levels,
            decoder_n_points=[4] * levels if fine else [6] * levels,
            decoder_layers=3,
            decoder_ffn_dim=512,
            num_queries=min(QUERIES, places),
        )
    )
    return DFine(model, config.size, config.max_detections, config.score_threshold)


def pretrained_dfine() -> dict[str, Tensor]:
    """Weights that its authors trained on COCO.

    Raises:
        OSError: they cannot be had here.
    """
    from transformers import DFineForObjectDetection

    return DFineForObjectDetection.from_pretrained(PUBLISHED).state_dict()


def _summed(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Losses of all layers and of the denoising queries, summed by what they are of."""
    summed: dict[str, Tensor] = {}
    for name, loss in losses.items():
        kind = "_".join(name.split("_")[:2])  # loss_vfl_aux_0 -> loss_vfl
        summed[kind] = summed[kind] + loss if kind in summed else loss
    return summed
