"""The layout network: a transformer over the word boxes of a page.

Words attend to the words of their page, never to another page of the batch. What tells a line from
a gap between columns is how two boxes lie to one another, so every pair of words gets a vector of
relative geometry, in the frame of the first word. It biases the attention of each head (as in
Swin's relative positions), is collected by it (as in Graphormer-like networks), and decides, with
what both words have learned, whether one follows the other and whether they share a paragraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightbook.ocr.layout.data import FEATURES
from sightbook.training.weights import load_network

WEIGHTS = "layout.safetensors"
PAIR_FEATURES = 20
NEVER = -1e4
"""Score of what cannot be; small enough for half precision."""
REACH = 1.5
"""Word heights over which a pair's weight in the paragraph loss falls to a third."""
SAME_LINE = 0.1
"""Weight in the paragraph loss of two words of one line."""


@dataclass(frozen=True)
class LayoutConfig:
    """Shape of the network.

    Attributes:
        dim: width of a word's state.
        layers: transformer blocks.
        heads: attention heads a block.
        pair: width of a pair's state.
    """

    dim: int = 128
    layers: int = 4
    heads: int = 8
    pair: int = 32


class LayoutModel(nn.Module):
    """Geometry of words to lines and paragraphs, as scores between words."""

    def __init__(self, config: LayoutConfig) -> None:
        """Build it with random weights."""
        super().__init__()
        self.config = config
        self.word = nn.Sequential(
            nn.Linear(4, config.dim), nn.GELU(), nn.Linear(config.dim, config.dim)
        )
        self.pair = nn.Sequential(
            nn.Linear(PAIR_FEATURES, config.pair),
            nn.ReLU(),
            nn.Linear(config.pair, config.pair),
            nn.ReLU(),
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.ends = nn.Linear(config.dim, 2)
        self.source = nn.Linear(config.dim, 2 * config.pair)
        self.target = nn.Linear(config.dim, 2 * config.pair, bias=False)
        self.relation = nn.Linear(config.pair, 2 * config.pair, bias=False)
        self.follows = nn.Linear(config.pair, 1)
        self.shares = nn.Linear(config.pair, 1)

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge the words of pages.

        A word's successor in its line and the end of the line are the outcomes of one softmax over
        the words and "none"; its predecessor and the line's start those of another.

        Args:
            words: ``[B, N, 6]``, see `layout_data.word_features`.
            mask: ``[B, N]``, 1 for words, 0 for padding.

        Returns:
            `line_ends` ``[B, N, 2]``: logits that a word starts and that it ends a line.
            `next_word` ``[B, N, N]``: log-probability that the second word follows the first in its
            line, the mean of both softmaxes'.
            `same_paragraph` ``[B, N, N]``: logits that two words share a paragraph; symmetric.
        """
        absent = (1 - mask) * NEVER
        distance = between_boxes(words)
        # Padding has no size to take a logarithm of.
        words = torch.cat([words[..., :4], words[..., 4:].clamp_min(0.02)], -1)
        pairs = self.pair(pair_features(words))
        state = self.word(word_state(words))
        for block in self.blocks:
            state = block(state, pairs, distance, absent)
        state = self.norm(state)
        joint = self.relation(pairs) + self.source(state)[:, :, None] + self.target(state)[:, None]
        order, membership = functional.relu(joint).chunk(2, -1)
        nobody = absent[:, None] + absent[:, :, None]
        itself = torch.eye(words.shape[1], dtype=words.dtype, device=words.device) * NEVER
        scores = self.follows(order)[..., 0].float() + nobody + itself
        shares = self.shares(membership)[..., 0].float()
        none = self.ends(state).float()
        others = torch.stack([scores.logsumexp(1), scores.logsumexp(2)], -1)
        line_ends = none - others
        # log(exp(others) + exp(none)), the softmax's denominator.
        before, after = (others + functional.softplus(line_ends)).unbind(-1)
        next_word = scores - (after[:, :, None] + before[:, None]) / 2
        return line_ends, next_word, (shares + shares.transpose(1, 2)) / 2


class Block(nn.Module):
    """Attention over a page's words with the geometry of pairs in it, then a feed-forward part."""

    def __init__(self, config: LayoutConfig) -> None:
        """Build it with random weights."""
        super().__init__()
        self.heads = config.heads
        self.attended = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.bias = nn.Linear(config.pair, config.heads, bias=False)
        self.out = nn.Linear(config.dim + config.heads * config.pair, config.dim)
        self.fed = nn.LayerNorm(config.dim)
        # As ALiBi's slopes: from heads that see what is next to a word to ones that see the page.
        slopes = 2.0 ** -torch.arange(config.heads)
        self.slopes: Tensor
        self.register_buffer("slopes", slopes.view(1, -1, 1, 1), persistent=False)
        self.feed = nn.Sequential(
            nn.Linear(config.dim, 4 * config.dim),
            nn.GELU(),
            nn.Linear(4 * config.dim, config.dim),
        )

    def forward(self, state: Tensor, pairs: Tensor, distance: Tensor, absent: Tensor) -> Tensor:
        """Update the words.

        Args:
            state: of words, ``[B, N, D]``.
            pairs: their geometry, ``[B, N, N, P]``.
            distance: between boxes in word heights, ``[B, N, N]``.
            absent: ``[B, N]``, large and negative for padding.
        """
        batch, count, dim = state.shape
        qkv = self.qkv(self.attended(state)).view(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) * (dim // self.heads) ** -0.5
        scores = scores + self.bias(pairs).permute(0, 3, 1, 2) + absent[:, None, None]
        scores = scores - self.slopes * distance[:, None]
        weights = scores.softmax(-1)
        told = (weights @ value).transpose(1, 2).reshape(batch, count, dim)
        # What the attended words are like, and where they lie from here.
        where = weights.transpose(1, 2) @ pairs
        told = torch.cat([told, where.reshape(batch, count, -1)], -1)
        state = state + self.out(told)
        return state + self.feed(self.fed(state))


def word_state(words: Tensor) -> Tensor:
    """Size and aspect of each word, ``[B, N, 4]``; place and direction are left to the pairs."""
    sizes = words[..., 4:6]
    logs = sizes.log()
    return torch.cat([logs, functional.softsign(sizes)], -1)


def pair_features(words: Tensor) -> Tensor:
    """How the second word of each pair lies, seen from the first, ``[B, N, N, PAIR_FEATURES]``.

    Lengths are in the mean height of the two; each is given twice, squeezed so that a fraction of
    a height shows in one and tens of heights in the other.
    """
    one, two = words[:, :, None], words[:, None]
    cosine, sine = one[..., 2:3], one[..., 3:4]
    dx, dy = (two[..., 0:2] - one[..., 0:2]).split(1, -1)
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    width, height = one[..., 4:5], one[..., 5:6]
    other_width, other_height = two[..., 4:5], two[..., 5:6]
    scale = 2 / (height + other_height)
    between = (width + other_width) / 2
    shift = (other_width - width) / 2
    lengths = torch.cat(
        [
            along,
            across,
            along - between,  # from the first's right side to the second's left one
            -along - between,
            along - shift,  # between the left sides
            along + shift,  # between the right sides
            across.abs() - (height + other_height) / 2,
        ],
        -1,
    )
    lengths = lengths * scale
    logs = torch.cat([(other_width / width).log(), (other_height / height).log()], -1)
    turn = two[..., 3:4] * cosine - two[..., 2:3] * sine
    near = functional.softsign(2 * lengths)
    far = torch.sign(lengths) * torch.log1p(lengths.abs()) / 2
    reach = torch.log1p((dx.square() + dy.square()).sqrt() * scale) / 2
    inside = torch.sigmoid(4 * (between - along.abs()) * scale)  # whether one lies above the other
    level = torch.sigmoid(4 * (0.5 - across.abs() * scale))
    return torch.cat([near, far, logs, turn, reach, inside, level], -1)


def layout_loss(
    outputs: tuple[Tensor, Tensor, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Losses of `LayoutModel`'s outputs.

    Successor and end of line are one softmax's outcomes, so each word has exactly one right answer
    after it and one before it: the mean of both cross-entropies. Whether two words share a
    paragraph is asked of all pairs. As decoding joins lines by their neighbouring words, pairs
    count by how near their boxes are, and those of one line, whose answer is known, for little.

    Args:
        outputs: of the model.
        batch: `words` and `mask` as the model takes them, `next` int64 ``[B, N]`` (-1: the word
            ends its line), `start` ``[B, N]`` (1: it starts one), `lines` int64 ``[B, N]`` (each
            word's line), `same` ``[B, N, N]`` (1: same paragraph).

    Returns:
        `loss`, and its parts `line_loss` and `paragraph_loss`.
    """
    line_ends, next_word, same_paragraph = outputs
    mask, following = batch["mask"], batch["next"]
    chosen = next_word.gather(2, following.clamp_min(0)[..., None])[..., 0]
    goes_on = (following >= 0).float()
    starts = batch["start"] * mask
    ends = (1 - goes_on) * mask
    none = functional.logsigmoid(line_ends)
    total = -2 * (chosen * goes_on).sum() - (none[..., 0] * starts + none[..., 1] * ends).sum()
    line_loss = total / (2 * mask.sum())
    pair_loss = functional.binary_cross_entropy_with_logits(
        same_paragraph, batch["same"], reduction="none"
    )
    weights = (-between_boxes(batch["words"]) / REACH).exp() * mask[:, :, None] * mask[:, None]
    lines = batch["lines"]
    weights = weights.where(lines[:, :, None] != lines[:, None], SAME_LINE * weights)
    weights = weights * (1 - torch.eye(mask.shape[1], device=mask.device))
    paragraph_loss = (weights * pair_loss).sum() / weights.sum().clamp_min(1e-6)
    return {
        "loss": line_loss + paragraph_loss,
        "line_loss": line_loss,
        "paragraph_loss": paragraph_loss,
    }


def between_boxes(words: Tensor) -> Tensor:
    """Space between the boxes of each pair, across and down together, ``[B, N, N]``."""
    centres, half = words[..., :2], words[..., 4:] / 2
    apart = (centres[:, :, None] - centres[:, None]).abs()
    return (apart - half[:, :, None] - half[:, None]).clamp_min(0).sum(-1)


def example_inputs(count: int = 5) -> tuple[Tensor, Tensor]:
    """Words in a row and their mask: what an exporter traces the network with."""
    words = torch.zeros(1, count, FEATURES)
    words[0, :, 0] = torch.arange(count) * 4.0
    words[0, :, 2] = 1.0
    words[0, :, 4], words[0, :, 5] = 3.0, 1.0
    return words, torch.ones(1, count)


def load_layout(path: Path) -> LayoutModel:
    """Build a layout network from its file; in evaluation mode, on the CPU.

    Raises:
        WeightsError: as `load_network`.
    """
    return load_network(path, lambda config: LayoutModel(LayoutConfig(**config)))
