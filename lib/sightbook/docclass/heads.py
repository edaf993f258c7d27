"""Margin losses: what pulls the views of a class together in training, and stays behind after it.

The losses are pytorch-metric-learning's. For very many classes there is a sampled softmax. The
original's answer, PartialFC, spreads all class centres over GPUs and compares each batch with a
tenth of them. On one machine the centres fit (a million of 128 floats are half a gigabyte), and
what costs is comparing, so only that half of the idea is kept: each step compares with the batch's
own classes and a random draw of others. The gradient of a centre that was not drawn is zero.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, SubCenterArcFaceLoss
from torch import Tensor, nn

from sightbook.docclass.params import TrainDocclass


class MarginHead(nn.Module):
    """Loss of embeddings and labels, with a margin that can grow during training."""

    def __init__(self, loss: nn.Module, margin: float) -> None:
        """Wrap one of pytorch-metric-learning's losses; `margin` is in the unit that it computes in
        (radians or cosine).
        """
        super().__init__()
        self.loss = loss
        self.full_margin = margin

    def set_progress(self, share: float) -> None:
        """Use a share (0 to 1) of the full margin from now on."""
        self.loss.margin = self.full_margin * share  # type: ignore[assignment]

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of ``[B, dim]`` embeddings with int64 ``[B]`` labels."""
        return self.loss(embeddings, labels)


class SampledCosFace(nn.Module):
    """CosFace over the batch's classes and a random sample of the others.

    Args:
        classes: of the training set.
        dim: of the embedding.
        sampled: classes compared with each step, at most `classes`.
        margin: of the cosine.
        scale: of the cosines.
    """

    def __init__(self, classes: int, dim: int, sampled: int, margin: float, scale: float) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, dim) * dim**-0.5)
        self.sampled = min(sampled, classes)
        self.full_margin = self.margin = margin
        self.scale = scale

    def set_progress(self, share: float) -> None:
        """Use a share (0 to 1) of the full margin from now on."""
        self.margin = self.full_margin * share

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of ``[B, dim]`` embeddings with int64 ``[B]`` labels.

        Raises:
            ValueError: more classes in the batch than are compared with.
        """
        present, places = labels.unique(return_inverse=True)
        missing = self.sampled - len(present)
        if missing < 0:
            raise ValueError(
                f"sampled is {self.sampled}, but the batch alone holds {len(present)} classes: "
                "raise sampled or lower batch_size"
            )
        chance = torch.rand(len(self.centers), device=labels.device)
        chance[present] = -1
        compared = torch.cat([present, chance.topk(missing).indices])
        centers = nn.functional.normalize(self.centers[compared])
        cosine = nn.functional.normalize(embeddings) @ centers.t()
        mask = nn.functional.one_hot(places, self.sampled).to(cosine.dtype)
        return nn.functional.cross_entropy(self.scale * (cosine - self.margin * mask), places)


def build_head(params: TrainDocclass, classes: int) -> MarginHead | SampledCosFace:
    """The head that `params.head` names, for so many classes."""
    shape: dict[str, Any] = {
        "num_classes": classes,
        "embedding_size": params.dim,
        # The library draws centres of length sqrt(dim); AdamW's steps, whose length does not depend
        # on that, would turn them an order of magnitude too slowly.
        "weight_init_func": _unit_centers,
    }
    margin, scale = params.margin, params.scale
    match params.head:
        case "cosface":
            return MarginHead(CosFaceLoss(**shape, margin=margin, scale=scale), margin)
        case "arcface":
            return MarginHead(
                ArcFaceLoss(**shape, margin=margin, scale=scale), math.radians(margin)
            )
        case "subcenter_arcface":
            loss = SubCenterArcFaceLoss(
                **shape, margin=margin, scale=scale, sub_centers=params.sub_centers
            )
            return MarginHead(loss, math.radians(margin))
        case "sampled_cosface":
            return SampledCosFace(classes, params.dim, params.sampled, margin, scale)


def _unit_centers(weight: Tensor) -> None:
    """Draw centres ``[dim, classes]`` of about unit length."""
    nn.init.normal_(weight, std=weight.shape[0] ** -0.5)
