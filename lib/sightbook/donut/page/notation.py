"""What the answers of a data set are made of, and whether a tokenizer can write them.

Keys become tags, questions become prompts, classes become one token each (Kim et al. 2022,
section 3). Tokenizers come in as arguments; nothing here imports transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightbook.donut.dataset.folder import Record
from sightbook.donut.page.data import page_items
from sightbook.donut.page.sequences import TASK_TOKENS, special_tokens
from sightbook.donut.zone.decoder import to_text
from sightbook.params import ParameterError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLASS_KEY = "class"
QUESTION, ANSWER = "question", "answer"


@dataclass(frozen=True)
class Notation:
    """What answers are made of.

    Attributes:
        task_token: every sequence begins with it.
        tokens: tags of all keys, the separator and the classes.
        categories: classes, which are one token each.
        texts: all values as text, in no particular order.
        zones: whether there are machine-readable zones among them.
    """

    task_token: str
    tokens: list[str]
    categories: list[str]
    texts: set[str]
    zones: bool


def read_notation(records: Sequence[Record], task: str = "auto") -> Notation:
    """Read off the records what their answers are made of.

    Args:
        records: with their truths.
        task: a task token, a name in `TASK_TOKENS`, or ``auto``: question answering where every
            truth is a question with its answer, classification where every truth is a ``class``
            and nothing else, parsing otherwise.

    Raises:
        ParameterError: a task that the truths are not made for.
    """
    items = page_items(records)
    answers = [
        truth if item.question is None else {QUESTION: item.question, ANSWER: truth.get(ANSWER)}
        for item in items
        for truth in item.answers
    ]
    found = "parsing"
    if all(item.question is not None for item in items):
        found = "question_answering"
    elif all(list(answer) == [CLASS_KEY] for answer in answers):
        found = "classification"
    if task in ("question_answering", "classification") and task != found:
        wanted = "a question and its answer" if task == "question_answering" else "one class"
        raise ParameterError(f"task is {task}, but not every truth in the data is {wanted}")
    name = found if task == "auto" else task
    categories = (
        # a name with a space in it makes no token and stays text
        sorted({text for text in _texts(answers) if re.fullmatch(r"[^<>/\s]+", text)})
        if found == "classification"
        else []
    )
    return Notation(
        task_token=TASK_TOKENS.get(name, name),
        tokens=special_tokens(answers, categories),
        categories=categories,
        texts=set(_texts(answers)),
        zones=any(record.mrz_lines for record in records),
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inside in value.values():
            yield from _texts(inside)
    elif isinstance(value, (list, tuple)):
        for inside in value:
            yield from _texts(inside)
    elif value is not None:
        yield str(value)


def unknown_characters(tokenizer: PreTrainedTokenizerBase, texts: set[str]) -> set[str]:
    """Characters of the texts that the tokenizer makes its unknown token of."""
    lost: set[str] = set()
    for text in texts:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        for token, (start, stop) in zip(found.input_ids, found.offset_mapping, strict=True):
            if token == tokenizer.unk_token_id:
                lost.update(text[start:stop])
    return lost


def changed_texts(tokenizer: PreTrainedTokenizerBase, texts: set[str]) -> dict[str, str]:
    """Texts that do not come back from the tokenizer as they went in, and what comes back."""
    from sightbook.donut.page.tokens import facts as tokenizer_facts

    facts = tokenizer_facts(tokenizer)
    back = {
        text: to_text(tokenizer(text, add_special_tokens=False).input_ids, facts)
        for text in sorted(texts)
    }
    return {text: found for text, found in back.items() if found.strip() != text.strip()}
