"""The image encoders of the Donut line, as transformers models that save and load by themselves.

Swin (Liu et al. 2021) as Donut uses it comes from transformers; here are the small encoder for
single lines and the variant of Donut's Swin that knows where on the page it looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    DonutSwinConfig,
    DonutSwinModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput

LINE_HEIGHT = 32
COLUMN_STRIDE = 8


def sine_positions(
    length: int,
    channels: int,
    *,
    step: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Tensor:
    """Absolute sine positions (Vaswani et al. 2017, 3.5) of 0, step, 2 step, ...

    Shape ``[length, channels]``: all sines, then all cosines.
    """
    steps = torch.arange(length, device=device, dtype=torch.float32)[:, None] * step
    rates = torch.exp(
        torch.arange(0, channels, 2, device=device, dtype=torch.float32)
        * (-math.log(10000.0) / channels)
    )
    angles = steps * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :channels].to(dtype)


class LineEncoderConfig(PreTrainedConfig):
    """What a :class:`LineEncoder` is made of.

    Args:
        kind: ``conv`` (residual convolutions, quick on a CPU) or ``swin`` (as in Donut).
        channels: conv: widths of the features at stride 2, 4 and 8.
        blocks: conv: residual blocks at stride 4 and 8. swin: blocks of the two stages.
        columns: residual blocks along the columns, after the height is gone.
        hidden_size: width of the column features.
    """

    model_type = "sightbook-line-encoder"

    kind: str = "conv"
    channels: list[int] | tuple[int, ...] = (32, 64, 128)
    blocks: list[int] | tuple[int, ...] = (1, 2)
    columns: int = 3
    hidden_size: int = 256
    initializer_range: float = 0.02


@dataclass
class LineEncoderOutput(BaseModelOutput):
    """``last_hidden_state`` with positions (for the decoder), ``columns`` without (for CTC)."""

    columns: torch.FloatTensor | None = None


class ConvNorm(nn.Sequential):
    """Convolution and batch norm; the norm is folded away at export."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int = 1, pad: bool = True
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
        )


class Residual(nn.Module):
    """Two convolutions with a way around them (He et al. 2016)."""

    def __init__(self, channels: int, kernel: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, kernel)
        self.second = ConvNorm(channels, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` -> the same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ConvBackbone(nn.Module):
    """``[B, 1, 32, W]`` -> ``[B, C, 4, W/8]``.

    The picture is halved at once: at full resolution a layer would cost as much as all others.
    """

    def __init__(self, config: LineEncoderConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        self.stem = ConvNorm(1, fine, (3, 3), stride=2)
        self.down1 = ConvNorm(fine, middle, (3, 3), stride=2)
        self.stage1 = nn.Sequential(*(Residual(middle) for _ in range(config.blocks[0])))
        self.down2 = ConvNorm(middle, coarse, (3, 3), stride=2)
        self.stage2 = nn.Sequential(*(Residual(coarse) for _ in range(config.blocks[1])))
        self.out_channels = coarse

    def forward(self, pixel_values: Tensor) -> Tensor:
        """See the class."""
        x = F.relu(self.stem(pixel_values))
        x = self.stage1(F.relu(self.down1(x)))
        return self.stage2(F.relu(self.down2(x)))


class SwinBackbone(nn.Module):
    """Donut's Swin encoder cut after two stages: ``[B, 1, 32, W]`` -> ``[B, C, 4, W/8]``."""

    def __init__(self, config: LineEncoderConfig) -> None:
        super().__init__()
        half = config.hidden_size // 2
        swin = DonutSwinConfig(
            image_size=[LINE_HEIGHT, LINE_HEIGHT],
            patch_size=4,
            num_channels=1,
            embed_dim=half,
            depths=list(config.blocks),
            num_heads=[max(1, half // 32), max(1, config.hidden_size // 32)],
            # the feature map of the last stage is 4 rows high: a larger window cannot be cut
            window_size=4,
            drop_path_rate=0.0,
        )
        self.swin = DonutSwinModel(swin, add_pooling_layer=False)
        self.out_channels = config.hidden_size

    def forward(self, pixel_values: Tensor) -> Tensor:
        """See the class."""
        tokens = self.swin(pixel_values).last_hidden_state
        return tokens.transpose(1, 2).unflatten(2, (LINE_HEIGHT // COLUMN_STRIDE, -1))


class LineEncoder(PreTrainedModel):
    """Grey line picture -> one feature vector per 8 pixels of width.

    Input ``pixel_values`` float ``[B, 1, 32, W]`` in [-1, 1], W a multiple of 16; output
    ``last_hidden_state`` ``[B, W/8, hidden_size]``.
    """

    config_class = LineEncoderConfig
    base_model_prefix = "line_encoder"
    main_input_name = "pixel_values"
    _supports_sdpa = True

    def __init__(self, config: LineEncoderConfig) -> None:
        super().__init__(config)
        if config.kind not in ("conv", "swin"):
            raise ValueError(f"encoder: expected 'conv' or 'swin', found {config.kind!r}")
        self.backbone = ConvBackbone(config) if config.kind == "conv" else SwinBackbone(config)
        rows = LINE_HEIGHT // COLUMN_STRIDE
        self.collapse = ConvNorm(
            self.backbone.out_channels, config.hidden_size, (rows, 1), pad=False
        )
        self.columns = nn.Sequential(
            *(Residual(config.hidden_size, (1, 3)) for _ in range(config.columns))
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # the library's default (normal, 0.02) is meant for transformers
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(
        self, pixel_values: Tensor, return_dict: bool | None = None, **kwargs: Any
    ) -> LineEncoderOutput | tuple[Tensor, ...]:
        """See the class; ``columns`` of the output are the features before positions."""
        if pixel_values.shape[1:3] != (1, LINE_HEIGHT):
            raise ValueError(
                f"expected grey lines [B, 1, {LINE_HEIGHT}, W], found {tuple(pixel_values.shape)}"
            )
        x = self.columns(F.relu(self.collapse(self.backbone(pixel_values))))
        columns = x.squeeze(2).transpose(1, 2)
        positions = sine_positions(
            columns.shape[1], columns.shape[2], dtype=columns.dtype, device=columns.device
        )
        hidden = columns + positions
        if return_dict is False:
            return (hidden,)
        return LineEncoderOutput(last_hidden_state=hidden, columns=columns)


AutoConfig.register(LineEncoderConfig.model_type, LineEncoderConfig, exist_ok=True)
AutoModel.register(LineEncoderConfig, LineEncoder, exist_ok=True)


class PositionedSwinConfig(DonutSwinConfig):
    """Configuration of a :class:`PositionedSwin`; the values are Donut's."""

    model_type = "sightbook-positioned-swin"


class PositionedSwin(DonutSwinModel):
    """Donut's Swin with absolute 2-D sine positions added to its output.

    Swin knows distances inside its windows only. The absolute table that the library offers is one
    row longer than the patches and cannot be added to them, and trained weights would be bound to
    one picture size; sines at the output need neither table nor size.
    """

    config_class = PositionedSwinConfig

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> Any:  # type: ignore[override]
        """As the library's; ``last_hidden_state`` ``[B, rows*columns, hidden_size]``."""
        output = super().forward(pixel_values, **kwargs)
        hidden = output[0]
        stride = swin_stride(self.config)
        rows = -(-pixel_values.shape[2] // stride)
        columns = hidden.shape[1] // rows
        half = hidden.shape[2] // 2
        place = {"dtype": hidden.dtype, "device": hidden.device}
        down = sine_positions(rows, half, **place)[:, None].expand(-1, columns, -1)
        across = sine_positions(columns, hidden.shape[2] - half, **place)[None].expand(rows, -1, -1)
        hidden = hidden + torch.cat([down, across], dim=2).flatten(0, 1)
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output.last_hidden_state = hidden
        return output


def swin_stride(config: Any) -> int:
    """Pixels of the picture per row (and column) of a Swin encoder's output."""
    return int(config.patch_size) * 2 ** (len(config.depths) - 1)


AutoConfig.register(PositionedSwinConfig.model_type, PositionedSwinConfig, exist_ok=True)
AutoModel.register(PositionedSwinConfig, PositionedSwin, exist_ok=True)
