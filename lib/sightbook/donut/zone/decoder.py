"""Writing text with the exported decoder: greedy, beams, a grammar, and scores of given texts.

Numpy and onnxruntime only. The files come from ``sightbook.donut.zone.graphs``; their tensors are
described there. A *grammar* is a function from a row of the batch and the tokens written so far
to a mask of the tokens that may come next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sightbook.donut.mrz.build import FORMATS, allowed
from sightbook.inference import onnx

MODEL, DECODER = "model.onnx", "decoder.onnx"
"""Files of an export: encoder (with the CTC head, if any) and decoder."""

Array = np.ndarray
Grammar = Callable[[int, tuple[int, ...]], Array]
"""(row of the batch, tokens written so far) -> bool ``[vocabulary]``."""


@dataclass(frozen=True)
class Text:
    """One text of the decoder, start token and end token not included.

    Attributes:
        ids: tokens.
        log_probs: natural log-probability of each token given those before, ``[n]``; under a
            grammar still the model's own, not renormalised over what was allowed.
        log_prob: of the whole text, its end included.
        ended: False where the text was cut at the greatest length.
    """

    ids: list[int]
    log_probs: Array
    log_prob: float
    ended: bool


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives for B pictures.

    Attributes:
        cross: keys and values of every decoder layer in turn, each ``[B, H, S, K]``.
        ctc_log_probs: ``[B, T, classes]``, None for models without a CTC head.
    """

    cross: tuple[Array, ...]
    ctc_log_probs: Array | None

    def rows(self, index: Sequence[int] | Array) -> Encoded:
        """The pictures of those rows, in that order; a row may be asked for several times."""
        rows = np.asarray(index, np.int64)
        ctc = None if self.ctc_log_probs is None else self.ctc_log_probs[rows]
        return Encoded(tuple(tensor[rows] for tensor in self.cross), ctc)


def encode(session: Any, pixel_values: Array) -> Encoded:
    """Run the exported encoder on float32 ``[B, C, height, width]``."""
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(None, {"pixel_values": pixel_values})
    cross = tuple(o for name, o in zip(names, outputs, strict=True) if name.startswith("cross"))
    return Encoded(cross, outputs[-1] if names[-1] == "ctc_log_probs" else None)


class Decoder:
    """The exported decoder, one step at a time.

    Args:
        session: onnxruntime session of ``decoder.onnx``.
        facts: its metadata (``sightbook.inference.onnx.metadata``); None reads it from the session.
    """

    def __init__(self, session: Any, facts: Mapping[str, Any] | None = None) -> None:
        facts = onnx.metadata(session) if facts is None else facts
        needed = {"layers", "heads", "head_dim", "vocabulary", "start_ids", "eos", "max_length"}
        if needed - facts.keys():
            lacking = sorted(needed - facts.keys())
            raise ValueError(f"no exported Donut decoder: its metadata lacks {lacking}")
        self.session = session
        self.layers: int = facts["layers"]
        self.vocabulary: int = facts["vocabulary"]
        self.start_ids: list[int] = list(facts["start_ids"])
        self.eos: int = facts["eos"]
        self.max_length: int = facts["max_length"]
        self._empty = (facts["heads"], 0, facts["head_dim"])
        kinds = [f"{kind}_{i}" for i in range(self.layers) for kind in ("key", "value")]
        self._self_names = [f"self_{kind}" for kind in kinds]
        self._cross_names = [f"cross_{kind}" for kind in kinds]

    def empty(self, batch: int) -> list[Array]:
        """The past before the first token."""
        head, length, channels = self._empty
        return [np.zeros((batch, head, length, channels), np.float32)] * (2 * self.layers)

    def step(
        self, ids: Array, past: Sequence[Array], encoded: Encoded
    ) -> tuple[Array, list[Array]]:
        """Feed ids ``[B, T]``; return log-probabilities ``[B, T, vocabulary]`` and the past."""
        feeds = {"input_ids": np.ascontiguousarray(ids, np.int64)}
        feeds.update(zip(self._self_names, past, strict=True))
        feeds.update(zip(self._cross_names, encoded.cross, strict=True))
        logits, *grown = self.session.run(None, feeds)
        shifted = logits - logits.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), grown


def greedy(
    decoder: Decoder,
    encoded: Encoded,
    *,
    start: Sequence[int] | None = None,
    max_length: int | None = None,
    grammar: Grammar | None = None,
) -> list[Text]:
    """The likeliest token at each step, for each of B pictures.

    Args:
        decoder: of the same export as ``encoded``.
        encoded: pictures.
        start: prompt; None: the model's own start token.
        max_length: tokens at most, the prompt and the end included, as ``generate`` counts them;
            None: the model's own.
        grammar: what may be written.
    """
    batch = len(encoded.cross[0])
    prompt = list(decoder.start_ids if start is None else start)
    limit = _limit(decoder, prompt, max_length)
    scores, past = decoder.step(np.tile(prompt, (batch, 1)), decoder.empty(batch), encoded)
    written: list[list[int]] = [[] for _ in range(batch)]
    log_probs: list[list[float]] = [[] for _ in range(batch)]
    ended = [False] * batch
    alive = list(range(batch))
    while True:
        last = scores[:, -1]
        if grammar is not None:
            last = _masked(last, [grammar(row, tuple(written[row])) for row in alive])
        tokens = last.argmax(1)
        kept: list[int] = []
        for place, row in enumerate(alive):
            token = int(tokens[place])
            log_probs[row].append(float(scores[place, -1, token]))
            if token == decoder.eos:
                ended[row] = True
                continue
            written[row].append(token)
            if len(prompt) + len(written[row]) < limit:
                kept.append(place)
        if not kept:
            break
        if len(kept) < len(alive):
            # finished pictures leave the batch: the others need not wait for the longest text
            encoded = encoded.rows(kept)
            past = [tensor[kept] for tensor in past]
            alive = [alive[place] for place in kept]
        scores, past = decoder.step(tokens[kept, None], past, encoded)
    return [_text(*row) for row in zip(written, log_probs, ended, strict=True)]


def beam(
    decoder: Decoder,
    encoded: Encoded,
    *,
    beams: int = 4,
    start: Sequence[int] | None = None,
    max_length: int | None = None,
    grammar: Grammar | None = None,
) -> list[list[Text]]:
    """The likeliest texts of each picture, best first, by beam search.

    Texts are ranked by their log-probability, which is not divided by their length: a text and
    the same text with more after it are compared as they are. The search for a picture ends when
    nothing unfinished can overtake the ``beams`` best finished texts.

    Args:
        decoder: of the same export as ``encoded``.
        encoded: pictures.
        beams: texts kept a picture, and returned at most.
        start: prompt; None: the model's own start token.
        max_length: as in :func:`greedy`.
        grammar: what may be written.
    """
    batch = len(encoded.cross[0])
    prompt = list(decoder.start_ids if start is None else start)
    limit = _limit(decoder, prompt, max_length)
    scores, past = decoder.step(np.tile(prompt, (batch, 1)), decoder.empty(batch), encoded)
    finished: list[list[Text]] = [[] for _ in range(batch)]
    # unfinished texts: (picture, tokens, log-probability of each, sum)
    open_texts: list[_Open] = [_Open(row, (), (), 0.0) for row in range(batch)]
    images = encoded
    while open_texts:
        last = scores[:, -1]
        if grammar is not None:
            last = _masked(last, [grammar(text.row, text.ids) for text in open_texts])
        grown: list[list[tuple[float, int, int]]] = [[] for _ in range(batch)]
        count = min(2 * beams, last.shape[1])
        best = np.argpartition(-last, count - 1, axis=1)[:, :count]
        for place, text in enumerate(open_texts):
            grown[text.row] += [
                (text.log_prob + float(scores[place, -1, token]), place, token)
                for token in best[place].tolist()
                if last[place, token] > -np.inf
            ]
        following: list[tuple[int, int, _Open]] = []
        for row, options in enumerate(grown):
            kept: list[tuple[int, int, _Open]] = []
            for log_prob, place, token in sorted(options, reverse=True)[: 2 * beams]:
                text = open_texts[place]
                each = (*text.log_probs, float(scores[place, -1, token]))
                if token == decoder.eos:
                    finished[row].append(Text(list(text.ids), np.array(each[:-1]), log_prob, True))
                    continue
                longer = _Open(row, (*text.ids, token), each, log_prob)
                if len(prompt) + len(longer.ids) >= limit:
                    finished[row].append(Text(list(longer.ids), np.array(each), log_prob, False))
                elif len(kept) < beams:
                    kept.append((place, token, longer))
            finished[row] = sorted(finished[row], key=lambda t: -t.log_prob)[:beams]
            if len(finished[row]) == beams:
                kept = [k for k in kept if k[2].log_prob > finished[row][-1].log_prob]
            following += kept
        if not following:
            break
        places = [place for place, _, _ in following]
        open_texts = [text for _, _, text in following]
        images = encoded.rows([text.row for text in open_texts])
        past = [tensor[places] for tensor in past]
        tokens = np.array([[token] for _, token, _ in following])
        scores, past = decoder.step(tokens, past, images)
    return finished


@dataclass(frozen=True)
class _Open:
    row: int
    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    log_prob: float


def score(
    decoder: Decoder,
    encoded: Encoded,
    texts: Sequence[Sequence[int]],
    *,
    start: Sequence[int] | None = None,
) -> list[tuple[Text, Array]]:
    """What the decoder says of given texts, one a picture, in one pass (teacher forcing).

    Args:
        decoder: of the same export as ``encoded``.
        encoded: as many pictures as texts; ``encoded.rows`` repeats one for several texts.
        texts: tokens of each, without start and end; lengths may differ.
        start: prompt; None: the model's own start token.

    Returns:
        For each text its log-probabilities, and ``[n, vocabulary]``: those of every token at
        every place, the text before it given.
    """
    if not texts:
        return []
    prompt = list(decoder.start_ids if start is None else start)
    longest = max(map(len, texts))
    if len(prompt) + longest > decoder.max_length:
        raise ValueError(
            f"a text of {longest} tokens after {len(prompt)} of prompt: the decoder has "
            f"{decoder.max_length} positions"
        )
    ids = np.full((len(texts), len(prompt) + longest), decoder.eos)
    ids[:, : len(prompt)] = prompt
    for row, text in enumerate(texts):
        ids[row, len(prompt) : len(prompt) + len(text)] = text
    scores, _ = decoder.step(ids, decoder.empty(len(texts)), encoded)
    results = []
    for row, text in enumerate(texts):
        places = scores[row, len(prompt) - 1 :][: len(text) + 1]
        each = places[np.arange(len(text) + 1), [*text, decoder.eos]]
        results.append((Text(list(text), each[:-1], float(each.sum()), True), places[:-1]))
    return results


# --------------------------------------------------------------------------- the zone's grammar


def line_mask(type: str, row: int, characters: str, classes: int) -> Array:
    """Bool ``[columns, classes]``: which characters Doc 9303 allows at each place of a line.

    Args:
        type: of the zone, one of ``sightbook.donut.mrz.build.TYPES``.
        row: line, from 0.
        characters: the model's characters; token or class i is ``characters[i]``.
        classes: width of the mask (all classes or tokens; those past the characters stay False).
    """
    columns = FORMATS[type].columns
    return np.array([_place_mask(type, row, c, None, characters, classes) for c in range(columns)])


def line_rule(
    type: str, row: int, characters: str, classes: int
) -> Callable[[tuple[int, ...]], Array]:
    """As :func:`line_mask`, from the tokens so far: states stay listed and dates possible.

    For ``ctc_beam``; past the line's end nothing is allowed. See :func:`zone_grammar` for the
    decoder.
    """
    form = FORMATS[type]

    def rule(prefix: tuple[int, ...]) -> Array:
        if len(prefix) >= form.columns:
            return np.zeros(classes, bool)
        text = "".join(characters[i] for i in prefix)
        return _place_mask(type, row, len(prefix), text, characters, classes)

    return rule


def zone_grammar(
    lines: Sequence[tuple[str, int]], characters: str, vocabulary: int, eos: int
) -> Grammar:
    """Grammar for a batch of zone lines: exact length, allowed characters, listed states, dates.

    Args:
        lines: (type, row) of each picture in the batch.
        characters: the model's characters; token i is ``characters[i]``.
        vocabulary: number of tokens.
        eos: token that ends a line: the only one after the last column, nowhere before.
    """
    rules = [line_rule(type, row, characters, vocabulary) for type, row in lines]
    end = np.zeros(vocabulary, bool)
    end[eos] = True

    def grammar(row: int, prefix: tuple[int, ...]) -> Array:
        if len(prefix) >= FORMATS[lines[row][0]].columns:
            return end
        return rules[row](prefix)

    return grammar


@lru_cache(maxsize=1 << 16)
def _place_mask(
    type: str, row: int, column: int, prefix: str | None, characters: str, classes: int
) -> Array:
    mask = np.zeros(classes, bool)
    mask[[characters.index(c) for c in allowed(type, row, column, prefix)]] = True
    mask.flags.writeable = False
    return mask


def to_text(ids: Sequence[int], facts: Mapping[str, Any]) -> str:
    """Text of tokens, with what ``sightbook.donut.page.tokens.facts`` put into the metadata."""
    tokens, plain = facts["tokens"], set(facts["plain"])
    space = facts["space"]
    parts = [tokens[i] if i in plain or not space else tokens[i].replace(space, " ") for i in ids]
    text = "".join(parts)
    starts_a_word = bool(space and ids and ids[0] not in plain and text.startswith(" "))
    return text[1:] if starts_a_word else text


# --------------------------------------------------------------------------- small parts


def _limit(decoder: Decoder, prompt: Sequence[int], max_length: int | None) -> int:
    limit = decoder.max_length if max_length is None else max_length
    if not len(prompt) < limit <= decoder.max_length:
        raise ValueError(
            f"max_length {limit}: expected more than the {len(prompt)} tokens of the prompt and at "
            f"most the model's {decoder.max_length}"
        )
    return limit


def _masked(scores: Array, masks: Sequence[Array]) -> Array:
    allowed_tokens = np.stack(masks)
    if not allowed_tokens.any(1).all():
        raise ValueError("the grammar allows no token at all at some place")
    return np.where(allowed_tokens, scores, -np.inf)


def _text(ids: list[int], log_probs: list[float], ended: bool) -> Text:
    return Text(ids, np.array(log_probs[: len(ids)], np.float64), float(sum(log_probs)), ended)
