"""The network: a timm backbone whose last map is flattened into one vector on the unit sphere."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from sightbook.params import ParameterError
from sightbook.training.weights import load_network

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet, per RGB channel: what timm's pretrained weights expect."""


@dataclass(frozen=True)
class EmbedderConfig:
    """Shape of an embedder.

    Attributes:
        backbone: timm's name.
        dim: length of the embedding.
        squeeze: channels the last map is reduced to before it is flattened; 0 keeps them all.
        side: of the square input, pixels.
    """

    backbone: str = "lcnet_050"
    dim: int = 128
    squeeze: int = 0
    side: int = 128


class Embedder(nn.Module):
    """Picture to embedding.

    The last feature map is flattened rather than averaged: where on a document something is printed
    tells types apart as much as what is printed.
    """

    def __init__(self, config: EmbedderConfig, pretrained: bool = False) -> None:
        """Build it; `pretrained` loads timm's weights for the backbone.

        Raises:
            ParameterError: timm knows no such backbone, or its weights cannot be fetched.
        """
        super().__init__()
        self.config = config
        self.backbone = _backbone(config.backbone, pretrained)
        with torch.no_grad():
            self.backbone.eval()
            shape = self.backbone(torch.zeros(1, 3, config.side, config.side))[-1].shape
            self.backbone.train()
        channels = config.squeeze or shape[1]
        self.squeeze: nn.Module = nn.Identity()
        if config.squeeze:
            self.squeeze = nn.Sequential(
                nn.Conv2d(shape[1], channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.Hardswish(),
            )
        flat = channels * shape[2] * shape[3]
        self.embed = nn.Sequential(
            nn.Linear(flat, config.dim, bias=False),
            nn.LayerNorm(config.dim),
            nn.BatchNorm1d(config.dim),
        )
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, img: Tensor) -> Tensor:
        """Embed pictures.

        Args:
            img: float ``[B, 3, side, side]``, RGB in 0..1.

        Returns:
            ``[B, dim]`` of length 1.
        """
        features = self.squeeze(self.backbone((img - self.mean) / self.std)[-1])
        embedding = self.embed(features.flatten(1)).float()
        # As functional.normalize, in operations that leave the width known in an exported graph.
        return embedding * embedding.square().sum(1, keepdim=True).clamp_min(1e-12).rsqrt()


def load_embedder(path: Path) -> Embedder:
    """Build a network from its file; in evaluation mode, on the CPU.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: Embedder(EmbedderConfig(**config)))


def _backbone(name: str, pretrained: bool) -> nn.Module:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise ParameterError(f"backbone: timm knows no {name!r}{hint}")
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=(-1,))
    except Exception as error:
        if not pretrained:
            raise
        raise ParameterError(
            f"init: the pretrained weights of {name!r} could not be fetched ({error}); go online, "
            "or use init: scratch, reference or a run"
        ) from error
