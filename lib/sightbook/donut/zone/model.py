"""The models of the Donut line: whole-page Donut, and a small reader of single lines.

Two pipelines, both a transformers ``VisionEncoderDecoderModel`` with an MBart decoder:

- *page*: the whole document goes in, text with field tokens comes out (Kim et al., "OCR-free
  Document Understanding Transformer", ECCV 2022). See :func:`build_page_model`.
- *zone*: one straightened text line goes in, its characters come out. The encoder also feeds a
  CTC head, which aligns images and characters long before the decoder's attention does; trained
  together the decoder learns in minutes what it otherwise does not learn at all. See
  :class:`LineReader`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    DonutImageProcessor,
    DonutProcessor,
    MBartConfig,
    MBartForCausalLM,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)

from sightbook.donut.mrz.build import ALPHABET
from sightbook.donut.page.tokens import add_tokens, character_tokenizer
from sightbook.donut.zone.encoders import (
    COLUMN_STRIDE,
    LineEncoder,
    LineEncoderConfig,
    PositionedSwin,
    PositionedSwinConfig,
    sine_positions,
    swin_stride,
)

FRAMES_PER_COLUMN = 2
DONUT_BASE = "naver-clova-ix/donut-base"


@dataclass
class ReaderConfig:
    """Everything that is needed to build a :class:`LineReader` again.

    Token ids: the ``characters`` in their order, then bos, eos and pad. CTC classes: the
    ``characters`` in their order, then the blank. ``columns_per_character`` is the expected
    pitch in columns of 8 pixels; only the start of the weights depends on it.
    """

    encoder: str = "conv"
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 2)
    columns: int = 3
    hidden_size: int = 256
    decoder_layers: int = 2
    decoder_ffn_dim: int = 768
    decoder_heads: int = 4
    max_length: int = 64
    columns_per_character: float = 2.0
    characters: str = ALPHABET

    #: sizes by name: (conv encoder, swin encoder, decoder)
    SIZES: ClassVar[dict[str, tuple[dict, dict, dict]]] = {
        "tiny": (
            {"channels": (16, 48, 128), "blocks": (1, 1), "columns": 3},
            {"blocks": (2, 2), "columns": 1},
            {"decoder_layers": 2, "decoder_ffn_dim": 512},
        ),
        "small": (
            {"channels": (32, 64, 128), "blocks": (1, 2), "columns": 3},
            {"blocks": (2, 4), "columns": 1},
            {"decoder_layers": 2, "decoder_ffn_dim": 768},
        ),
        "base": (
            {"channels": (32, 64, 160), "blocks": (2, 3), "columns": 4},
            {"blocks": (2, 6), "columns": 1},
            {"decoder_layers": 3, "decoder_ffn_dim": 1024},
        ),
    }

    @classmethod
    def named(cls, size: str = "small", encoder: str = "conv", **changes: Any) -> ReaderConfig:
        """The configuration of a size by name; ``changes`` replace single values.

        Raises:
            ValueError: for an unknown size or encoder.
        """
        if size not in cls.SIZES:
            raise ValueError(f"size: expected one of {', '.join(cls.SIZES)}, found {size!r}")
        if encoder not in ("conv", "swin"):
            raise ValueError(f"encoder: expected 'conv' or 'swin', found {encoder!r}")
        conv, swin, decoder = cls.SIZES[size]
        return cls(
            **{"encoder": encoder, **(conv if encoder == "conv" else swin), **decoder, **changes}
        )

    @property
    def blank(self) -> int:
        """CTC class of the blank."""
        return len(self.characters)

    @property
    def bos(self) -> int:
        """Token that starts the decoder."""
        return len(self.characters)

    @property
    def eos(self) -> int:
        """Token that ends a line."""
        return len(self.characters) + 1

    @property
    def pad(self) -> int:
        """Token that fills up a batch."""
        return len(self.characters) + 2

    def labels(self, texts: list[str]) -> Tensor:
        """Targets for :meth:`LineReader.forward`: int64 ``[B, T]``, eos at the end, -100 after it.

        Raises:
            ValueError: for a text with foreign characters or too long for the decoder.
        """
        index = {character: i for i, character in enumerate(self.characters)}
        width = max(len(text) for text in texts) + 1
        if width > self.max_length:
            raise ValueError(f"a text of {width - 1} characters, at most {self.max_length - 1} fit")
        labels = torch.full((len(texts), width), -100, dtype=torch.int64)
        for row, text in enumerate(texts):
            foreign = sorted(set(text) - index.keys())
            if foreign:
                raise ValueError(f"text {text!r}: {foreign} not in the alphabet {self.characters}")
            labels[row, : len(text)] = torch.tensor([index[c] for c in text])
            labels[row, len(text)] = self.eos
        return labels


def _mbart_decoder(
    vocab_size: int,
    max_length: int,
    *,
    hidden_size: int,
    layers: int,
    ffn_dim: int,
    heads: int,
    **settings: Any,
) -> MBartForCausalLM:
    config = MBartConfig(
        vocab_size=vocab_size,
        max_position_embeddings=max_length,
        d_model=hidden_size,
        decoder_layers=layers,
        decoder_ffn_dim=ffn_dim,
        decoder_attention_heads=heads,
        # there is no MBart encoder, but the cache counts these layers
        encoder_layers=layers,
        encoder_ffn_dim=ffn_dim,
        encoder_attention_heads=heads,
        dropout=0.0,
        scale_embedding=True,
        forced_eos_token_id=None,
        **settings,
    )
    # the fused attention's backward is slow on a CPU at these lengths (17 % of a training step)
    config._attn_implementation = "eager"
    return MBartForCausalLM(config)


def new_reader(encoder: str = "conv", size: str = "small", **changes: Any) -> LineReader:
    """A new :class:`LineReader` with random weights; arguments as in :meth:`ReaderConfig.named`."""
    return LineReader(ReaderConfig.named(size, encoder, **changes))


@dataclass
class ReaderOutput:
    """What :meth:`LineReader.forward` gives.

    Attributes:
        losses: ``decoder`` and ``ctc`` scalars (empty without labels).
        logits: decoder ``[B, T, vocabulary]``, None without labels.
        ctc_log_probs: ``[B, 2*W/8, characters+1]``, float32.
        ctc_lengths: int64 ``[B]``, how many frames of each line are picture and not padding.
    """

    losses: dict[str, Tensor]
    logits: Tensor | None
    ctc_log_probs: Tensor
    ctc_lengths: Tensor


class LineReader(nn.Module):
    """Encoder, CTC head and decoder for one text line."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        encoder = LineEncoder(
            LineEncoderConfig(
                kind=config.encoder,
                channels=list(config.channels),
                blocks=list(config.blocks),
                columns=config.columns,
                hidden_size=config.hidden_size,
            )
        )
        decoder = _mbart_decoder(
            len(config.characters) + 3,
            config.max_length,
            hidden_size=config.hidden_size,
            layers=config.decoder_layers,
            ffn_dim=config.decoder_ffn_dim,
            heads=config.decoder_heads,
            activation_function="relu",
            bos_token_id=config.bos,
            eos_token_id=config.eos,
            pad_token_id=config.pad,
            decoder_start_token_id=config.bos,
        )
        self.model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
        for target in (self.model.config, self.model.generation_config):
            target.decoder_start_token_id = config.bos
            target.bos_token_id = config.bos
            target.eos_token_id = config.eos
            target.pad_token_id = config.pad
        self.model.generation_config.max_length = config.max_length
        self.ctc_head = nn.Linear(
            config.hidden_size, FRAMES_PER_COLUMN * (len(config.characters) + 1)
        )

        self._align()

    @torch.no_grad()
    def _align(self) -> None:
        """Start the decoder's attention near the diagonal.

        Character t stands near column ``t * columns_per_character``. The decoder's positions
        start as the encoder's sines at those places, and each cross-attention compares queries
        and keys in one common projection, so that near places score high from the first step.
        Everything stays free to change. Measured once (size tiny, 44 characters of one font with
        noise, 64 held-out lines, one CPU thread): 92 % exact lines by the decoder after 60 s;
        with the library's start none after 85 s.
        """
        decoder = self.model.decoder.model.decoder
        table = decoder.embed_positions.weight
        offset = decoder.embed_positions.offset
        step = self.config.columns_per_character
        table[offset:] = sine_positions(len(table) - offset, table.shape[1], step=step)
        for layer in decoder.layers:
            attention = layer.encoder_attn
            nn.init.normal_(attention.q_proj.weight, std=self.config.hidden_size**-0.5)
            attention.k_proj.weight.copy_(attention.q_proj.weight)

    def ctc(self, columns: Tensor) -> Tensor:
        """Column features ``[B, C, d]`` -> log-probabilities ``[B, 2*C, characters+1]``, float32.

        Two frames a column: two equal neighbours need a blank between them, and runs of the
        filler are what a zone has most of.
        """
        logits = self.ctc_head(columns).unflatten(2, (FRAMES_PER_COLUMN, -1)).flatten(1, 2)
        return logits.float().log_softmax(-1)

    def forward(
        self, pixel_values: Tensor, widths: Tensor | None = None, labels: Tensor | None = None
    ) -> ReaderOutput:
        """Losses for training, or with ``labels`` None the CTC head's reading alone.

        Args:
            pixel_values: ``[B, 1, 32, W]`` in [-1, 1], W a multiple of 16. Narrower lines are
                padded on the right; the decoder is not masked, so pad alike in use.
            widths: int64 ``[B]``, pixels of each line before padding; None: all W.
            labels: int64 ``[B, T]`` from :meth:`ReaderConfig.labels`.
        """
        encoded = self.model.encoder(pixel_values)
        log_probs = self.ctc(encoded.columns)
        frames = log_probs.shape[1]
        if widths is None:
            lengths = torch.full((len(log_probs),), frames, device=log_probs.device)
        else:
            per_frame = COLUMN_STRIDE // FRAMES_PER_COLUMN
            lengths = ((widths + per_frame - 1) // per_frame).clamp(max=frames)
        if labels is None:
            return ReaderOutput({}, None, log_probs, lengths)
        output = self.model(encoder_outputs=(encoded.last_hidden_state,), labels=labels)
        is_character = (labels >= 0) & (labels < self.config.blank)
        ctc = F.ctc_loss(
            log_probs.transpose(0, 1),
            labels.masked_fill(~is_character, 0),
            lengths,
            is_character.sum(1),
            blank=self.config.blank,
            # a line with more characters than frames has no path: it must not end the training
            zero_infinity=True,
        )
        return ReaderOutput({"decoder": output.loss, "ctc": ctc}, output.logits, log_probs, lengths)


# --------------------------------------------------------------------------- the page model

#: sizes by name: (encoder, decoder); ``base`` is donut-base's shape, for warm starts elsewhere
PAGE_SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tiny": (
        {"embed_dim": 48, "depths": [2, 2, 2], "num_heads": [2, 4, 8], "window_size": 7},
        {"d_model": 192, "decoder_layers": 2, "decoder_ffn_dim": 512, "decoder_heads": 4},
    ),
    "small": (
        {"embed_dim": 64, "depths": [2, 2, 6, 2], "num_heads": [2, 4, 8, 16], "window_size": 7},
        {"d_model": 384, "decoder_layers": 3, "decoder_ffn_dim": 1024, "decoder_heads": 6},
    ),
    "base": (
        {"embed_dim": 128, "depths": [2, 2, 14, 2], "num_heads": [4, 8, 16, 32], "window_size": 10},
        {"d_model": 1024, "decoder_layers": 4, "decoder_ffn_dim": 4096, "decoder_heads": 16},
    ),
}


def build_page_model(
    init: str | Path = "scratch",
    *,
    size: str = "tiny",
    height: int,
    width: int,
    max_length: int,
    new_tokens: Sequence[str] = (),
    characters: str = ALPHABET,
    task_token: str | None = None,
    align_long_axis: bool = False,
) -> tuple[VisionEncoderDecoderModel, DonutProcessor]:
    """A whole-page Donut and the processor that goes with it.

    Args:
        init: ``scratch`` (random weights at ``size``), ``pretrained`` (donut-base from the hub),
            or any hub name or folder of a Donut with its processor.
        size: ``tiny`` (CPU), ``small`` or ``base``; scratch only.
        height: of the input canvas, pixels.
        width: of the input canvas, pixels.
        max_length: longest answer, tokens, task token included.
        new_tokens: field tokens such as ``<s_name>``; they survive decoding.
        characters: characters that must be tokens by themselves. donut-base has no bare ``1``:
            its ``A1`` becomes an unknown token, which the decoder may not write.
        task_token: first token of every answer (Donut's prompt); None: the tokenizer's bos.
        align_long_axis: turn pictures by 90 degrees until their long side lies along the canvas'.

    Returns:
        The model and the processor (image processor and tokenizer).

    Raises:
        ValueError: unknown size, a canvas smaller than a window of the encoder, more tokens than
            the decoder has positions, or a character that does not survive the tokenizer.
        OSError: what ``init`` names is neither on the hub nor here.
    """
    if init == "scratch":
        model, processor = _scratch_page_model(size, height, width, max_length, characters)
    else:
        source = DONUT_BASE if init == "pretrained" else str(init)
        processor = DonutProcessor.from_pretrained(source)
        config: Any = VisionEncoderDecoderConfig.from_pretrained(source)
        config.encoder.image_size = [height, width]
        _check_canvas(config.encoder, height, width)
        positions = config.decoder.max_position_embeddings
        if max_length > positions:
            raise ValueError(f"max_length {max_length}: {source} has {positions} positions")
        model = VisionEncoderDecoderModel.from_pretrained(source, config=config)
    shape: Any = model.config.decoder
    tokenizer = processor.tokenizer
    tokens = [*new_tokens, *([task_token] if task_token else [])]
    add_tokens(tokenizer, tokens=tokens, characters=characters)
    if len(tokenizer) > shape.vocab_size:
        model.decoder.resize_token_embeddings(len(tokenizer))
    images = processor.image_processor
    # as a dict: a pair is read as (width, height) by one version and (height, width) by another
    images.size = {"height": height, "width": width}
    images.do_align_long_axis = align_long_axis
    start = tokenizer.convert_tokens_to_ids(task_token) if task_token else tokenizer.bos_token_id
    for target in (model.config, model.generation_config):
        target.decoder_start_token_id = start
        target.bos_token_id = tokenizer.bos_token_id
        target.eos_token_id = tokenizer.eos_token_id
        target.pad_token_id = tokenizer.pad_token_id
    model.config.vocab_size = shape.vocab_size
    model.generation_config.max_length = max_length
    model.generation_config.forced_eos_token_id = None
    return model, processor


def _check_canvas(config: Any, height: int, width: int) -> None:
    needed = config.window_size * swin_stride(config)
    if min(height, width) < needed:
        raise ValueError(
            f"image {height}x{width}: the encoder's window of {config.window_size} needs at least "
            f"{needed} px on each side"
        )


def _scratch_page_model(
    size: str, height: int, width: int, max_length: int, characters: str
) -> tuple[VisionEncoderDecoderModel, DonutProcessor]:
    if size not in PAGE_SIZES:
        raise ValueError(f"size: expected one of {', '.join(PAGE_SIZES)}, found {size!r}")
    swin, bart = PAGE_SIZES[size]
    stride = 4 * 2 ** (len(swin["depths"]) - 1)
    if min(height, width) < stride:
        raise ValueError(f"image {height}x{width}: size {size!r} needs at least {stride} px a side")
    window = min(swin["window_size"], height // stride, width // stride)
    encoder = PositionedSwin(
        PositionedSwinConfig(
            **{**swin, "window_size": window}, image_size=[height, width], patch_size=4
        ),
        add_pooling_layer=False,
    )
    tokenizer = character_tokenizer(characters)
    decoder = _mbart_decoder(
        len(tokenizer),
        max_length,
        hidden_size=bart["d_model"],
        layers=bart["decoder_layers"],
        ffn_dim=bart["decoder_ffn_dim"],
        heads=bart["decoder_heads"],
        activation_function="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    images = DonutImageProcessor(
        size={"height": height, "width": width},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return model, DonutProcessor(images, tokenizer)
