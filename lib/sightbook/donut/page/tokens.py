"""Tokenizers of the page pipeline: one token a character, and repairs to those that are not.

Foreign tokenizers are tuned to running text; a machine-readable zone is not. What matters here is
that every character comes back exactly as it went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

BOS, PAD, EOS, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"


def character_tokenizer(characters: str) -> PreTrainedTokenizerFast:
    """A tokenizer with one token a character, plus ``<s>``, ``<pad>``, ``</s>``, ``<unk>``.

    Ids 0 to 3 are the special tokens, in the order of MBart's; then the characters in order.

    Raises:
        ValueError: for a character given twice.
    """
    twice = sorted({c for c in characters if characters.count(c) > 1})
    if twice:
        raise ValueError(f"characters given twice: {twice}")
    names = [BOS, PAD, EOS, UNKNOWN, *characters]
    vocabulary = {token: i for i, token in enumerate(names)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def add_tokens(
    tokenizer: PreTrainedTokenizerBase, *, tokens: Sequence[str] = (), characters: str = ""
) -> int:
    """Add field tokens, and make ``characters`` tokens by themselves; return how many are new.

    Where a foreign tokenizer does not split ``characters`` one by one already, all of them are
    added, not only the missing ones: beside an added token the rest of a word counts as a new
    word, which some tokenizers decode with a space before it.

    Raises:
        ValueError: a character still does not come back from the tokenizer afterwards.
    """
    before = len(tokenizer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    if tokenizer.tokenize(characters) != list(characters):
        tokenizer.add_tokens([AddedToken(c, normalized=False) for c in characters])
    lost = [c for c in characters if not survives(tokenizer, c * 3 + characters + c)]
    if lost:
        raise ValueError(f"characters {lost} do not come back from the tokenizer as they went in")
    return len(tokenizer) - before


def survives(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    """Whether ``text`` comes back from the tokenizer as it went in."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def facts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What ``decoding.to_text`` needs to turn tokens into text without this tokenizer; JSON-ready.

    Returns:
        ``tokens`` (the string of each id), ``plain`` (ids of added tokens, which are taken as they
        are) and ``space`` (what stands for a space in the others; empty for none).
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    marked = any(token.startswith("\u2581") for token in tokens if token)
    return {
        "tokens": [token or "" for token in tokens],
        "plain": sorted(tokenizer.get_added_vocab().values()),
        "space": "\u2581" if marked else "",
    }
