"""The page pipeline's data: whole image in, token sequence out, as Donut trains (Kim et al. 2022).

The data set is a plain map-style class of numpy arrays; PyTorch's loader takes it as it is.
:func:`prepare_page` is also what prediction uses, so nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, Pixels, Skipped, open_image
from sightbook.data.validation import DataError, Report
from sightbook.donut.dataset.folder import Record, Truth
from sightbook.donut.page.sequences import json_to_tokens, prompt

Augment = Callable[[Pixels, np.random.Generator], Pixels]

IGNORED = -100
"""Label of positions that count for no loss (torch's cross-entropy default)."""

_STREAM = 0x9A6E  # sets the pages' random numbers apart from the generators' of the same seed


def prepare_page(
    image: Pixels,
    size: Mapping[str, int],
    *,
    align_long_axis: bool = False,
    mean: Sequence[float] = (0.5, 0.5, 0.5),
    std: Sequence[float] = (0.5, 0.5, 0.5),
    rng: np.random.Generator | None = None,
) -> NDArray[np.float32]:
    """Fit a picture into the model's input, as transformers' DonutImageProcessor does.

    The aspect ratio is kept and the rest is padded with black, alike on both sides.

    Args:
        image: uint8 RGB ``[h, w, 3]``.
        size: ``{"height": H, "width": W}`` in pixels.
        align_long_axis: turn the picture by 90 degrees clockwise if its longer side is not the
            input's.
        mean: of each channel, in units of 1 (white).
        std: of each channel.
        rng: draws where the picture lies in the padding (training); None centres it.

    Returns:
        float32 ``[3, H, W]``.
    """
    import cv2

    height, width = size["height"], size["width"]
    if align_long_axis and (image.shape[0] > image.shape[1]) != (height > width):
        image = np.rot90(image, 3)
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = (
        min(width, max(1, round(image.shape[1] * scale))),
        min(height, max(1, round(image.shape[0] * scale))),
    )
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(image), inner, interpolation=method)
    left, top = width - inner[0], height - inner[1]
    if rng is None:
        left, top = left // 2, top // 2
    else:
        left, top = (int(rng.integers(0, room + 1)) for room in (left, top))
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = resized
    factor = 1 / (255 * np.asarray(std, np.float32))
    shift = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return np.ascontiguousarray((canvas * factor - shift).astype(np.float32).transpose(2, 0, 1))


@dataclass(frozen=True)
class PageItem:
    """What the reader is asked on one picture: one question, or the page itself.

    Attributes:
        record: the picture and its truth.
        answers: the truths that are right; one of them is trained on in an epoch.
        question: for question answering, else None.
    """

    record: Record
    answers: list[Truth]
    question: str | None = None


def page_items(records: Sequence[Record]) -> list[PageItem]:
    """One item per record; per question where the truths are questions with answers."""
    items = []
    for record in records:
        if all("question" in truth and "answer" in truth for truth in record.gt):
            questions: dict[str, list[Truth]] = {}
            for truth in record.gt:
                questions.setdefault(str(truth["question"]), []).append(truth)
            items += [PageItem(record, found, text) for text, found in questions.items()]
        else:
            items.append(PageItem(record, record.gt))
    return items


class PageDataset:
    """Pictures and target tokens for ``VisionEncoderDecoderModel``.

    Items are dicts: ``pixel_values`` float32 ``[3, H, W]``; ``decoder_input_ids`` int64 ``[T]``,
    the task token, the prompt, the answer; ``labels`` int64 ``[T]``, the same one step ahead with
    the end token, and -100 over the prompt; ``index`` of the item that was really read.

    A picture that cannot be read is counted in ``skipped`` and the next readable one takes its
    place, so that batches stay full and the order stays the same everywhere.

    Args:
        records: with their truths.
        tokenizer: of transformers; must know the special tokens of the truths' keys.
        size: model input, ``{"height": H, "width": W}``.
        task_token: special token that each sequence starts with.
        categories: values that are one token each, as :func:`json_to_tokens` takes them.
        max_length: longest sequence in tokens, the end token included; longer ones are cut, and
            warned of in ``report``.
        training: random place in the padding, one of several truths per epoch, ``augment``.
        align_long_axis: see :func:`prepare_page`.
        mean: see :func:`prepare_page`.
        std: see :func:`prepare_page`.
        augment: ``augment(pixels, rng) -> pixels``, when training.
        seed: of everything random; item, epoch and seed alone decide.
        skipped: counts unreadable pictures and sets their limit.

    Raises:
        DataError: no records, or truths that have no token notation, all listed.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tokenizer: Any,
        *,
        size: Mapping[str, int],
        task_token: str,
        max_length: int,
        categories: Collection[str] = (),
        training: bool = False,
        align_long_axis: bool = False,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        augment: Augment | None = None,
        seed: int = 0,
        skipped: Skipped | None = None,
    ) -> None:
        self.items = page_items(records)
        if not self.items:
            raise DataError("no records to read pages from")
        self.tokenizer = tokenizer
        self.size = dict(size)
        self.task_token = task_token
        self.max_length = max_length
        self.categories = categories
        self.training = training
        self.align_long_axis = align_long_axis
        self.mean, self.std = tuple(mean), tuple(std)
        self.augment = augment
        self.seed = seed
        self.skipped = skipped if skipped is not None else Skipped()
        self.report = Report()
        self._epoch = 0
        self._tokens = [self._encode(item) for item in self.items]
        self.report.raise_errors()

    def __len__(self) -> int:
        return len(self.items)

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: which truth, where in the padding, which augmentation."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        for used, image in self._readable(index):
            rng = np.random.default_rng([self.seed, self._epoch, used, _STREAM])
            sequences = self._tokens[used]
            choice = int(rng.integers(len(sequences))) if self.training else 0
            ids, prompt_length = sequences[choice]
            if self.training and self.augment is not None:
                image = self.augment(image, rng)
            pixels = prepare_page(
                image,
                self.size,
                align_long_axis=self.align_long_axis,
                mean=self.mean,
                std=self.std,
                rng=rng if self.training else None,
            )
            labels = ids[1:].copy()
            labels[: prompt_length - 1] = IGNORED
            return {
                "pixel_values": pixels,
                "decoder_input_ids": ids[:-1],
                "labels": labels,
                "index": used,
            }
        raise DataError(f"none of the {len(self)} pictures can be read:\n{self.skipped.text()}")

    def _readable(self, index: int) -> Iterator[tuple[int, Pixels]]:
        """The item asked for, else the ones after it, in a circle."""
        for step in range(len(self)):
            used = (index + step) % len(self)
            record = self.items[used].record
            try:
                yield used, open_image(record.path, at_least=max(self.size.values()))
            except ImageError as error:
                self.skipped.add(record.file_name or record.path, error.reason)

    def target(self, item: PageItem, choice: int = 0) -> str:
        """Text of the full sequence, without the end token."""
        answer = item.answers[choice]
        if item.question is not None:
            # In this order, however the object's keys come: the question is the prompt.
            answer = {"question": item.question, "answer": answer["answer"]}
        return self.task_token + json_to_tokens(answer, categories=self.categories)

    def _encode(self, item: PageItem) -> list[tuple[NDArray[np.int64], int]]:
        """Token ids of each truth, with the length of the prompt they begin with."""
        where = item.record.where or item.record.file_name
        self.report.checked += 1
        try:
            prompt_length = len(self._ids(prompt(self.task_token, item.question)))
            texts = [self.target(item, choice) for choice in range(len(item.answers))]
        except ValueError as error:
            self.report.error("truth without token notation", where, str(error))
            return []
        found = []
        for text in texts:
            ids = [*self._ids(text), self.tokenizer.eos_token_id]
            if len(ids) - 1 > self.max_length:
                cut = f"{len(ids) - 1} tokens, cut to max_length {self.max_length}"
                self.report.warning("target too long", where, cut)
                ids = ids[: self.max_length + 1]
            if self.tokenizer.unk_token_id is not None and self.tokenizer.unk_token_id in ids:
                self.report.warning("characters unknown to the tokenizer", where, repr(text[:80]))
            found.append((np.array(ids, np.int64), prompt_length))
        return found

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def collate_pages(items: Sequence[Mapping[str, Any]], pad_token_id: int) -> dict[str, Any]:
    """Stack items to a batch of torch tensors; sequences are padded on the right.

    Returns:
        ``pixel_values`` ``[B, 3, H, W]``, ``decoder_input_ids`` and ``labels`` ``[B, T]`` (padded
        with ``pad_token_id`` and -100), ``decoder_attention_mask`` ``[B, T]``, ``index`` ``[B]``.
    """
    import torch

    length = max(len(item["labels"]) for item in items)

    def padded(key: str, fill: int) -> torch.Tensor:
        rows = [
            np.pad(item[key], (0, length - len(item[key])), constant_values=fill) for item in items
        ]
        return torch.from_numpy(np.stack(rows))

    lengths = torch.tensor([[len(item["labels"])] for item in items])
    return {
        "pixel_values": torch.from_numpy(np.stack([item["pixel_values"] for item in items])),
        "decoder_input_ids": padded("decoder_input_ids", pad_token_id),
        "decoder_attention_mask": (torch.arange(length)[None] < lengths).long(),
        "labels": padded("labels", IGNORED),
        "index": torch.tensor([item["index"] for item in items]),
    }
