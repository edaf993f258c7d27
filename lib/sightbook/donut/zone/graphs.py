"""Donut to ONNX: an encoder that prepares attention, and a decoder with key/value cache.

What the decoder attends to in the picture does not change while it writes, so the encoder's file
gives the projected keys and values of each decoder layer. The decoder's file takes them, and the
keys and values of the tokens before, as flat tensors; an empty past (length 0) starts a text.
``sightbook.donut.zone.decoder`` runs both.

Tensors, with B lines or pages, H heads, K channels a head, S encoder positions, P past tokens and
T new tokens; one of each kind a layer, counted from 0:

==================  ===================================  =====================================
file                inputs                               outputs
==================  ===================================  =====================================
``model.onnx``    ``pixel_values`` [B, C, height, W]   ``cross_key_0`` [B, H, S, K],
                                                         ``cross_value_0``, ...; of a line
                                                         reader also ``ctc_log_probs``
                                                         [B, 2*W/8, classes]
``decoder.onnx``    ``input_ids`` int64 [B, T],          ``logits`` [B, T, vocabulary],
                    ``self_key_0`` [B, H, P, K],         ``present_key_0`` [B, H, P+T, K],
                    ``self_value_0``, ...,               ``present_value_0``, ...
                    ``cross_key_0``, ``cross_value_0``
==================  ===================================  =====================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import VisionEncoderDecoderModel

from sightbook.donut.zone.decoder import DECODER, MODEL, Decoder, encode
from sightbook.donut.zone.model import LineReader
from sightbook.inference import onnx


class CrossEncoder(nn.Module):
    """Encoder, projection of its output to every layer's keys and values, and the CTC head."""

    def __init__(self, model: VisionEncoderDecoderModel, reader: LineReader | None = None) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.projection = getattr(model, "enc_to_dec_proj", nn.Identity())
        layers: Any = _decoder(model).layers
        self.attentions = nn.ModuleList(layer.encoder_attn for layer in layers)
        self.reader = reader

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """``pixel_values`` -> key and value of each layer, then CTC log-probabilities if any."""
        output = self.encoder(pixel_values)
        hidden = self.projection(output.last_hidden_state)
        result: list[Tensor] = []
        attention: Any
        for attention in self.attentions:
            result += [
                _heads(attention.k_proj(hidden), attention),
                _heads(attention.v_proj(hidden), attention),
            ]
        if self.reader is not None:
            result.append(self.reader.ctc(output.columns))
        return tuple(result)


class CachedDecoder(nn.Module):
    """MBart's decoder and its output layer, one or more tokens a call, with flat caches.

    Written out from the library's weights rather than traced through its caches and masks: the
    graph holds only what a step needs, and the tied embedding once.
    """

    def __init__(self, model: VisionEncoderDecoderModel) -> None:
        super().__init__()
        core: Any = _decoder(model)
        head: Any = model.decoder.lm_head
        self.layers = core.layers
        self.positions = core.embed_positions
        self.norm_embedding = core.layernorm_embedding
        self.norm = core.layer_norm
        self.scale = float(core.embed_tokens.embed_scale)
        # [d, vocabulary], the way the multiplication wants it: looking tokens up across columns
        # costs nothing, a second copy of the table would cost 236 MB in donut-base
        self.table: Tensor
        self.register_buffer("table", head.weight.detach().t().contiguous())
        tied = core.embed_tokens.weight.equal(head.weight)
        self.embedding = None if tied else core.embed_tokens

    def forward(self, input_ids: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Logits and the grown self-attention cache.

        Args:
            input_ids: int64 ``[B, T]``.
            caches: self keys and values of every layer, then cross keys and values of every layer.
        """
        count = len(self.layers)
        past = caches[0].shape[2]
        if self.embedding is None:
            x = self.table.index_select(1, input_ids.flatten()).t() * self.scale
            x = x.unflatten(0, input_ids.shape)
        else:
            x = self.embedding(input_ids)
        steps = torch.arange(input_ids.shape[1], device=x.device) + past
        x = x + nn.functional.embedding(steps + self.positions.offset, self.positions.weight)
        x = self.norm_embedding(x)
        seen = torch.arange(past + input_ids.shape[1], device=x.device)[None] <= steps[:, None]
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
        present: list[Tensor] = []
        layer: Any
        for index, layer in enumerate(self.layers):
            own, other = layer.self_attn, layer.encoder_attn
            y = layer.self_attn_layer_norm(x)
            key = torch.cat([caches[2 * index], _heads(own.k_proj(y), own)], dim=2)
            value = torch.cat([caches[2 * index + 1], _heads(own.v_proj(y), own)], dim=2)
            present += [key, value]
            x = x + _attend(own, y, key, value, mask)
            y = layer.encoder_attn_layer_norm(x)
            cross = 2 * (count + index)
            x = x + _attend(other, y, caches[cross], caches[cross + 1], None)
            y = layer.final_layer_norm(x)
            x = x + layer.fc2(layer.activation_fn(layer.fc1(y)))
        return (self.norm(x) @ self.table, *present)


def token_gap(
    model: VisionEncoderDecoderModel,
    encoder: Path,
    decoder: Path,
    pixel_values: NDArray[np.float32],
    texts: Sequence[Sequence[int]],
) -> float:
    """Largest difference of a token's probability between the files and PyTorch.

    Args:
        model: in evaluation mode, on the CPU.
        encoder: ``model.onnx``.
        decoder: ``decoder.onnx``.
        pixel_values: float32 ``[B, C, height, width]``.
        texts: tokens of each picture, the start token first: each is judged behind those before.
    """
    reading = Decoder(onnx.session(decoder))
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    known = np.zeros(ids.shape, bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], known[row, : len(text)] = text, True
    encoded = encode(onnx.session(encoder), pixel_values)
    ours, _ = reading.step(ids, reading.empty(len(ids)), encoded)
    with torch.inference_mode():
        output: Any = model(
            pixel_values=torch.from_numpy(pixel_values), decoder_input_ids=torch.from_numpy(ids)
        )
    theirs = output.logits.softmax(-1).numpy()
    return float(np.abs(np.exp(ours) - theirs)[known].max())


def _decoder(model: VisionEncoderDecoderModel) -> Any:
    decoder: Any = model.decoder
    if decoder.config.model_type != "mbart":
        raise ValueError(f"decoder {decoder.config.model_type!r}: only MBart's can be exported")
    return decoder.model.decoder


def _heads(x: Tensor, attention: Any) -> Tensor:
    """``[B, T, H*K]`` -> ``[B, H, T, K]``."""
    return x.unflatten(2, (attention.num_heads, attention.head_dim)).transpose(1, 2)


def _attend(attention: Any, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    query = _heads(attention.q_proj(x) * attention.scaling, attention)
    scores = query @ key.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    return attention.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def export_reader(
    reader: LineReader, folder: Path, metadata: Mapping[str, Any] | None = None, opset: int = 17
) -> tuple[Path, Path]:
    """Write a line reader as ``model.onnx`` and ``decoder.onnx``; batch and width are free.

    A Swin encoder's windows are cut when it is traced, so there the width is fixed to what
    ``metadata["width"]`` says (default 704).

    Args:
        reader: on the CPU; its mode is restored.
        folder: is made if need be.
        metadata: JSON values kept in both files, beside what decoding needs.
        opset: ONNX operator set.

    Returns:
        Paths of the encoder and the decoder.
    """
    config = reader.config
    values = dict(metadata or {})
    fixed = config.encoder == "swin"
    width = int(values.setdefault("width", 704)) if fixed else 96
    own = {
        "pipeline": "zone",
        "characters": config.characters,
        "blank": config.blank,
        "start_ids": [config.bos],
        "eos": config.eos,
        "pad": config.pad,
        "max_length": config.max_length,
        "pixels": {"height": 32, "width_multiple": 16, "range": [-1.0, 1.0], "channels": 1},
    }
    example = torch.zeros(2, 1, 32, width)
    free = {"pixel_values": {0: "batch"} if fixed else {0: "batch", 3: "width"}}
    return _export(reader.model, reader, example, free, Path(folder), {**values, **own}, opset)


def export_page_model(
    model: VisionEncoderDecoderModel,
    folder: Path,
    *,
    height: int,
    width: int,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> tuple[Path, Path]:
    """Write a whole-page Donut as ``model.onnx`` and ``decoder.onnx``; only the batch is free.

    Args:
        model: with an MBart decoder, on the CPU; its mode is restored.
        folder: is made if need be.
        height: of the input canvas, pixels.
        width: of the input canvas, pixels.
        metadata: JSON values kept in both files; with ``tokens.facts`` of the tokenizer among
            them the files give text by themselves.
        opset: ONNX operator set.

    Returns:
        Paths of the encoder and the decoder.
    """
    config: Any = model.generation_config
    shape: Any = model.config
    own = {
        "pipeline": "page",
        "start_ids": [config.decoder_start_token_id],
        "eos": config.eos_token_id,
        "pad": config.pad_token_id,
        "max_length": config.max_length or shape.decoder.max_position_embeddings,
        "pixels": {"height": height, "width": width, "channels": shape.encoder.num_channels},
    }
    example = torch.zeros(2, shape.encoder.num_channels, height, width)
    free = {"pixel_values": {0: "batch"}}
    return _export(model, None, example, free, Path(folder), {**(metadata or {}), **own}, opset)


def _export(
    model: VisionEncoderDecoderModel,
    reader: LineReader | None,
    pixel_values: Tensor,
    free: Mapping[str, Mapping[int, str]],
    folder: Path,
    metadata: Mapping[str, Any],
    opset: int,
) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    attention = _decoder(model).layers[0].encoder_attn
    count = len(_decoder(model).layers)
    facts = {
        "line": "donut",
        **metadata,
        "layers": count,
        "heads": attention.num_heads,
        "head_dim": attention.head_dim,
        "vocabulary": model.decoder.config.vocab_size,
    }
    owner: nn.Module = model if reader is None else reader
    was_training = owner.training
    owner.eval()
    try:
        encoder, decoder = CrossEncoder(model, reader).eval(), CachedDecoder(model).eval()
        with torch.no_grad():
            encoded = encoder(pixel_values)
        cross = [f"cross_{kind}_{i}" for i in range(count) for kind in ("key", "value")]
        outputs = cross + (["ctc_log_probs"] if reader is not None else [])
        axes = {**free, **{name: {0: "batch", 2: "positions"} for name in cross}}
        if reader is not None:
            axes["ctc_log_probs"] = {0: "batch", 1: "frames"}
        onnx.export(
            encoder,
            (pixel_values,),
            folder / MODEL,
            ["pixel_values"],
            outputs,
            axes,
            opset,
            {**facts, "part": "encoder"},
        )
        # a past of three in the example, so that no size of 0 or 1 is taken for a constant
        past = torch.zeros(len(pixel_values), attention.num_heads, 3, attention.head_dim)
        ids = torch.zeros(len(pixel_values), 2, dtype=torch.int64)
        names = [f"self_{kind}_{i}" for i in range(count) for kind in ("key", "value")]
        present = [name.replace("self", "present") for name in names]
        onnx.export(
            decoder,
            (ids, *[past] * (2 * count), *encoded[: 2 * count]),
            folder / DECODER,
            ["input_ids", *names, *cross],
            ["logits", *present],
            {
                "input_ids": {0: "batch", 1: "tokens"},
                "logits": {0: "batch", 1: "tokens"},
                **{name: {0: "batch", 2: "past"} for name in names},
                **{name: {0: "batch", 2: "length"} for name in present},
                **{name: {0: "batch", 2: "positions"} for name in cross},
            },
            opset,
            {**facts, "part": "decoder"},
        )
    finally:
        owner.train(was_training)
    return folder / MODEL, folder / DECODER
