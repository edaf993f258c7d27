"""Bringing a picture to the network's size, alike in PyTorch and in an exported graph."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform


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
