"""Reading whole pages with an exported Donut: onnxruntime, numpy and an image library only.

The two files of :mod:`sightbook.donut.zone.graphs` hold everything in their metadata: how the
picture is prepared, what the tokens are, and, where questions can be asked, the tokenizer that
turns a question into tokens.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightbook.data.images import ImageLike, Pixels, as_pixels, iter_pixels
from sightbook.donut.page.data import prepare_page
from sightbook.donut.page.sequences import SEPARATOR, prompt, strip_prompt, tokens_to_json
from sightbook.donut.zone.decoder import (
    DECODER,
    MODEL,
    Decoder,
    Grammar,
    Text,
    beam,
    encode,
    greedy,
    to_text,
)
from sightbook.inference import onnx
from sightbook.inference.command import warn_renamed
from sightbook.inference.models import find_model

if TYPE_CHECKING:
    import tokenizers

PAGE = "page"
"""Folder of a run in which the page pipeline's model lies."""

_NEEDED = {"tokens", "plain", "space", "preprocessing", "unknown"}
_START, _END = re.compile(r"<s_([^<>/\s]+)>"), re.compile(r"</s_([^<>/\s]+)>")
_CATEGORY = re.compile(r"<([^<>/\s]+)/>")


@dataclass(frozen=True)
class PageField:
    """A text of the answer.

    Attributes:
        path: keys from the outside in, joined by dots: ``menu.price``; empty outside all tags.
        text: as written.
        confidence: probability of its tokens, 0 to 1.
    """

    path: str
    text: str
    confidence: float


@dataclass(frozen=True)
class PageReading:
    """What was read on one page.

    Attributes:
        json: the answer as an object (or a list of them); with a question ``{"question",
            "answer"}``.
        text: the token sequence that the object was made of, without task token and end.
        tokens: strings of the tokens written.
        token_confidences: probability of each given those before, 0 to 1.
        fields: the answer's texts in the order written.
        confidence: probability of all that was written and of its end, 0 to 1.
        ended: False where the answer was cut at the model's greatest length.
        seconds: time it took; pages read together share it alike.
    """

    json: Any
    text: str
    tokens: list[str]
    token_confidences: list[float]
    fields: list[PageField]
    confidence: float
    ended: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: the answer, its confidences and the time, without single tokens."""
        return {
            "json": self.json,
            "text": self.text,
            "fields": [
                {"path": f.path, "text": f.text, "confidence": round(f.confidence, 4)}
                for f in self.fields
            ],
            "confidence": round(self.confidence, 4),
            "ended": self.ended,
            "seconds": round(self.seconds, 4),
        }


class PagePredictor:
    """Reads pages with the exported model of a run.

    Args:
        source: as `models.find_model` takes it: ``latest``, a run's name, or a folder with
            ``model.onnx`` and ``decoder.onnx``.
        threads: CPU threads; None leaves the choice to onnxruntime.

    Raises:
        RunError: there is no such folder or run, or nothing was exported there.
        ValueError: the files are no page model, or lack their tokens.
    """

    def __init__(self, source: str | Path = "latest", *, threads: int | None = None) -> None:
        self.folder = find_model("donut", source or "latest", part=PAGE, weights=PAGE).parent
        self.encoder = onnx.session(self.folder / MODEL, threads)
        session = onnx.session(self.folder / DECODER, threads)
        self.facts = onnx.metadata(session)
        pipeline = self.facts.get("pipeline", self.facts.get("road"))
        if pipeline != PAGE:
            raise ValueError(
                f"{self.folder}: its model reads {pipeline or 'no known'} pictures, not pages"
            )
        if _NEEDED - self.facts.keys():
            lacking = ", ".join(sorted(_NEEDED - self.facts.keys()))
            raise ValueError(f"{self.folder}: exported without {lacking}; export the run again")
        self.decoder = Decoder(session, self.facts)
        self.task_token: str = self.facts["tokens"][self.decoder.start_ids[0]]

    def predict(
        self,
        image: ImageLike,
        question: str | None = None,
        *,
        beams: int = 1,
        max_length: int | None = None,
    ) -> PageReading:
        """Read one image, an array, a PIL image, a path or bytes; see :meth:`predict_batch`."""
        return self._read([as_pixels(image)], question, beams, max_length)[0]

    def predict_batch(
        self,
        images: Iterable[ImageLike],
        question: str | None = None,
        *,
        beams: int = 1,
        max_length: int | None = None,
    ) -> list[PageReading]:
        """Read images together, which takes as much memory as there are images.

        Args:
            images: of any size, each as `images.as_pixels` takes it.
            question: what a model for question answering is asked on all of them.
            beams: texts kept while writing; 1 takes the likeliest token each time.
            max_length: tokens at most, prompt and end included; None: the model's own.

        Raises:
            TypeError, ImageError: no image, or one that cannot be used.
            ValueError: a question to a model that knows none.
        """
        return self._read(list(iter_pixels(images)), question, beams, max_length)

    def read(
        self,
        image: ImageLike,
        question: str | None = None,
        *,
        beams: int = 1,
        max_length: int | None = None,
    ) -> PageReading:
        """The former name of `predict`."""
        warn_renamed("PagePredictor.read", "predict")
        return self._read([as_pixels(image)], question, beams, max_length)[0]

    def read_many(
        self,
        images: Iterable[ImageLike],
        question: str | None = None,
        *,
        beams: int = 1,
        max_length: int | None = None,
    ) -> list[PageReading]:
        """The former name of `predict_batch`."""
        warn_renamed("PagePredictor.read_many", "predict_batch")
        return self._read(list(iter_pixels(images)), question, beams, max_length)

    def _read(
        self, images: Sequence[Pixels], question: str | None, beams: int, max_length: int | None
    ) -> list[PageReading]:
        if not images:
            return []
        start = time.perf_counter()
        ids = self.prompt_ids(question)
        encoded = encode(self.encoder, np.stack([self.prepared(image) for image in images]))
        options: dict[str, Any] = {
            "start": ids,
            "max_length": max_length,
            "grammar": self._known_tokens,
        }
        if beams == 1:
            texts = greedy(self.decoder, encoded, **options)
        else:
            found = beam(self.decoder, encoded, beams=beams, **options)
            texts = [best[0] for best in found]
        seconds = (time.perf_counter() - start) / len(images)
        asked = "" if question is None else prompt(self.task_token, question)
        return [self._reading(asked, ids, text, seconds) for text in texts]

    def prepared(self, image: ImageLike) -> np.ndarray:
        """A picture as the encoder takes it, float32 ``[3, H, W]``."""
        return prepare_page(
            as_pixels(image), self.facts["pixels"] | {}, **self.facts["preprocessing"]
        )

    def prompt_ids(self, question: str | None) -> list[int]:
        """Tokens that an answer begins with; ValueError for a question to a model without."""
        if question is None:
            return self.decoder.start_ids
        tokenizer = self._tokenizer
        if tokenizer is None:
            raise ValueError(
                f"{self.folder}: this model answers no questions (task {self.task_token})"
            )
        text = prompt(self.task_token, question)
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer | None:
        if "tokenizer" not in self.facts:
            return None
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.facts["tokenizer"])

    @cached_property
    def _known(self) -> np.ndarray:
        known = np.ones(self.decoder.vocabulary, bool)
        if self.facts["unknown"] is not None:
            known[self.facts["unknown"]] = False
        # a table may be larger than its vocabulary, where it was rounded up
        known[len(self.facts["tokens"]) :] = False
        return known

    @property
    def _known_tokens(self) -> Grammar:
        """Anything but the token that stands for no text, as Donut's authors decode."""
        return lambda row, written: self._known

    def _reading(self, asked: str, start: Sequence[int], text: Text, seconds: float) -> PageReading:
        sequence = strip_prompt(asked + to_text(text.ids, self.facts), self.task_token)
        names = self.facts["tokens"]
        return PageReading(
            json=tokens_to_json(sequence),
            text=sequence,
            tokens=[names[i] for i in text.ids],
            token_confidences=np.exp(text.log_probs).tolist(),
            fields=list(_fields(start, text, self.facts)),
            confidence=math.exp(text.log_prob),
            ended=text.ended,
            seconds=seconds,
        )


def zone_lines(answer: Any) -> list[str]:
    """Lines of the machine-readable zone in an answer; empty where it names none."""
    zone = answer.get("mrz") if isinstance(answer, dict) else None
    lines = zone.get("lines") if isinstance(zone, dict) else None
    if isinstance(lines, str):
        return [lines] if lines else []
    return [line for line in lines or [] if isinstance(line, str)]


def _fields(start: Sequence[int], text: Text, facts: Mapping[str, Any]) -> Iterator[PageField]:
    """Texts between tags, with the product of their tokens' probabilities."""
    names, tags = facts["tokens"], set(facts["plain"])
    path: list[str] = []
    written: list[int] = []
    log_prob = 0.0

    def finished() -> Iterator[PageField]:
        value = to_text(written, facts).strip()
        category = _CATEGORY.fullmatch(value)
        if value:
            value = category.group(1) if category else value
            yield PageField(".".join(path), value, math.exp(log_prob))

    # the question that was asked is no answer: of the prompt only its open tags count
    steps = [(token, None) for token in start] + list(zip(text.ids, text.log_probs, strict=True))
    for place, (token, each) in enumerate(steps):
        name = names[token] if token in tags else ""
        begins, ends = _START.fullmatch(name), _END.fullmatch(name)
        if begins or ends or name == SEPARATOR:
            yield from finished()
            written, log_prob = [], 0.0
        elif each is not None:
            written.append(token)
            log_prob += float(each)
        if begins and place > 0:
            path.append(begins.group(1))
        elif ends and ends.group(1) in path:
            del path[len(path) - 1 - path[::-1].index(ends.group(1)) :]
    yield from finished()
