"""JSON to token sequence and back, in the notation of Donut (Kim et al. 2022, section 3.2).

A key ``name`` becomes ``<s_name>...</s_name>``, list items are parted by ``<sep/>``, a value of a
closed set may be one token ``<invoice/>``. The decoder writes such sequences after a prompt that
names the task: ``<s_cord-v2>``, or ``<s_docvqa><s_question>...</s_question><s_answer>``.

Nothing but whole tags is ever taken for one: fillers of a machine-readable zone, ``P<UTO`` and
``<<<``, are text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

SEPARATOR = "<sep/>"
TEXT_KEY = "text_sequence"  # Donut's key for text that stands outside all tags

TASK_TOKENS: dict[str, str] = {
    "parsing": "<s_donut>",
    "cord": "<s_cord-v2>",
    "classification": "<s_rvlcdip>",
    "question_answering": "<s_docvqa>",
}

_NAME = r"[^<>/\s]+"
_TAG = re.compile(rf"<s_(?P<start>{_NAME})>|</s_(?P<end>{_NAME})>|(?P<separator><sep/>)")
_CATEGORY = re.compile(rf"<({_NAME})/>")


def json_to_tokens(obj: Any, *, sort_keys: bool = False, categories: Collection[str] = ()) -> str:
    """Writes a JSON value as a token sequence.

    Numbers become text and None becomes empty text, as a decoder knows nothing else. A list of one
    item is written like the item, an empty list or object like empty text: Donut's notation does
    not tell them apart.

    Args:
        obj: objects, lists and scalars. An object of the one key ``text_sequence`` is its text.
        sort_keys: keys in descending order, as Donut's own training does it, instead of their own.
        categories: values that are single tokens, so that ``invoice`` is written ``<invoice/>``.

    Raises:
        ValueError: a key that makes no tag, a text that contains one, or a list right inside a
            list, all of which could not be read back.
    """
    if isinstance(obj, dict):
        if list(obj) == [TEXT_KEY]:
            return json_to_tokens(obj[TEXT_KEY], categories=categories)
        keys = sorted(obj, reverse=True) if sort_keys else list(obj)
        written = ""
        for key in keys:
            if not re.fullmatch(_NAME, str(key)):
                raise ValueError(
                    f"key {key!r} makes no tag: expected no '<', '>', '/' or space, and not nothing"
                )
            inside = json_to_tokens(obj[key], sort_keys=sort_keys, categories=categories)
            written += f"<s_{key}>{inside}</s_{key}>"
        return written
    if isinstance(obj, (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in obj):
            raise ValueError(f"a list inside a list has no token notation: {obj!r}")
        return SEPARATOR.join(
            json_to_tokens(item, sort_keys=sort_keys, categories=categories) for item in obj
        )
    text = "" if obj is None else str(obj)
    if text in categories:
        return f"<{text}/>"
    tag = _TAG.search(text) or _CATEGORY.search(text)
    if tag:
        raise ValueError(f"text {text!r} contains {tag.group()!r}, which would be read as a tag")
    return text


@dataclass
class _Element:
    """An open tag while reading: finished list items, and the one under way."""

    key: str
    closed: bool
    items: list[Any] = field(default_factory=list)
    text: str = ""
    children: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, value: Any) -> None:
        """A child; the same key twice makes a list."""
        if key not in self.children:
            self.children[key] = value
        elif isinstance(self.children[key], list):
            self.children[key].append(value)
        else:
            self.children[key] = [self.children[key], value]

    def end_item(self) -> None:
        text = self.text.strip()
        category = _CATEGORY.fullmatch(text)
        text = category.group(1) if category else text
        if not self.children:
            self.items.append(text)
        else:
            self.items.append({TEXT_KEY: text, **self.children} if text else self.children)
        self.text, self.children = "", {}

    def value(self) -> Any:
        self.end_item()
        return self.items[0] if len(self.items) == 1 else self.items


def tokens_to_json(sequence: str) -> Any:
    """Reads a token sequence; any text gives a result.

    What a decoder leaves unfinished is kept as far as it goes: a start tag without its end holds
    the text up to the next tag (or the elements up to its parent's end, where no text follows), an
    end tag without a start is passed over, one that ends an outer element ends those inside too.
    Text around the tags of an element goes to its key ``text_sequence``.

    Args:
        sequence: without the task's prompt (``strip_prompt``).

    Returns:
        An object; a list of them where ``<sep/>`` stands outside all tags; ``{"text_sequence":
        text}`` where there are no tags. Values are text, objects, or lists of those.
    """
    tags = list(_TAG.finditer(sequence))
    ended = _matched_starts(tags)
    stack = [_Element("", True)]
    position = 0

    def close() -> None:
        element = stack.pop()
        stack[-1].add(element.key, element.value())

    for index, tag in enumerate(tags):
        text = sequence[position : tag.start()]
        stack[-1].text += text
        position = tag.end()
        if text.strip() and not stack[-1].closed and not tag["separator"]:
            close()
        if tag["start"]:
            stack.append(_Element(tag["start"], index in ended))
        elif tag["separator"]:
            following = tags[index + 1].start() if index + 1 < len(tags) else len(sequence)
            # Text after it goes on with a list of texts that was cut off; a tag, with the parent's.
            while not stack[-1].closed and not sequence[position:following].strip():
                close()
            stack[-1].end_item()
        elif any(element.key == tag["end"] for element in stack[1:]):
            while stack[-1].key != tag["end"]:
                close()
            close()
    stack[-1].text += sequence[position:]
    while len(stack) > 1:
        close()
    root = stack[0].value()
    if isinstance(root, list):
        return [item if isinstance(item, dict) else {TEXT_KEY: item} for item in root]
    return root if isinstance(root, dict) else {TEXT_KEY: root}


def _matched_starts(tags: list[re.Match[str]]) -> set[int]:
    """Indices of the start tags that have an end tag of their own."""
    matched: set[int] = set()
    open_tags: list[int] = []
    for index, tag in enumerate(tags):
        if tag["start"]:
            open_tags.append(index)
        elif tag["end"]:
            for depth in range(len(open_tags) - 1, -1, -1):
                if tags[open_tags[depth]]["start"] == tag["end"]:
                    matched.add(open_tags[depth])
                    del open_tags[depth:]
                    break
    return matched


def special_tokens(objects: Iterable[Any], categories: Collection[str] = ()) -> list[str]:
    """The tokens that a tokenizer needs to write these values: ``<sep/>``, two per key, categories.

    Sorted, so that the same data give the same vocabulary.
    """
    keys: set[str] = set()
    pending = list(objects)
    while pending:
        obj = pending.pop()
        if isinstance(obj, dict):
            if list(obj) != [TEXT_KEY]:
                keys.update(map(str, obj))
            pending.extend(obj.values())
        elif isinstance(obj, (list, tuple)):
            pending.extend(obj)
    tags = [tag for key in sorted(keys) for tag in (f"<s_{key}>", f"</s_{key}>")]
    return [SEPARATOR, *tags, *(f"<{category}/>" for category in sorted(set(categories)))]


def prompt(task_token: str, question: str | None = None) -> str:
    """What the decoder is given to start from: the task's token, with a question up to the answer.

    The result begins every training target ``task_token + json_to_tokens({"question": ...,
    "answer": ...})`` of that question.
    """
    if question is None:
        return task_token
    return f"{task_token}{json_to_tokens({'question': question})}<s_answer>"


def strip_prompt(
    sequence: str, task_token: str, special: Collection[str] = ("<s>", "</s>", "<pad>")
) -> str:
    """A decoded sequence without its task token and the tokenizer's own marks.

    The task token goes only from the beginning, and only if it is that very token. Stripping
    "the first ``<...>``" instead, as often seen, eats a zone up to its first tag when the token is
    missing.
    """
    for mark in special:
        sequence = sequence.replace(mark, "")
    return sequence.strip().removeprefix(task_token).strip()
