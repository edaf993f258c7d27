"""Reading the output of a CTC head (Graves et al. 2006): best path, beams, exact lengths, scores.

Arrays only, numpy only. Throughout, ``log_probs`` is ``[T, C]``: log-probabilities of C classes in
T frames of one line; ``blank`` is the class that means "no character"; a text is a list of class
numbers without blanks. A path spends one class a frame; a text's probability is the sum over all
paths that become the text when repeats are merged and then blanks dropped.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
NEVER = -1e30
"""Log-probability of the impossible; finite, so that differences stay numbers."""


@dataclass(frozen=True)
class CtcText:
    """One text that a CTC head may have read.

    Attributes:
        ids: classes of the text.
        log_prob: natural logarithm of the text's probability (of its best path where only that
            was searched).
    """

    ids: list[int]
    log_prob: float


def ctc_greedy(log_probs: Array, blank: int) -> tuple[list[int], Array]:
    """Text of the single best path, and how sure each character is.

    Returns:
        ids, and for each the largest probability it has among its frames, ``[n]`` in (0, 1].
    """
    path = log_probs.argmax(1)
    best = log_probs.max(1)
    ids: list[int] = []
    sure: list[float] = []
    before = blank
    for frame, symbol in enumerate(path.tolist()):
        if symbol != blank:
            if symbol != before:
                ids.append(symbol)
                sure.append(float(best[frame]))
            else:
                sure[-1] = max(sure[-1], float(best[frame]))
        before = symbol
    return ids, np.exp(np.array(sure, np.float64))


def ctc_scores(log_probs: Array, texts: Sequence[Sequence[int]], blank: int) -> Array:
    """Log-probabilities ``[n]`` of whole texts, each summed over all its paths.

    A text that does not fit into the frames gets :data:`NEVER` or less.
    """
    if not texts:
        return np.zeros(0)
    longest = max(map(len, texts))
    # blank, first character, blank, second character, ... blank (section 4.1 of the paper)
    states = np.full((len(texts), 2 * longest + 1), blank)
    for row, text in enumerate(texts):
        states[row, 1 : 2 * len(text) : 2] = text
    may_skip = np.zeros(states.shape, bool)
    may_skip[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    emitted = log_probs.astype(np.float64)[:, states]
    reach = np.full(states.shape, NEVER)
    reach[:, :2] = emitted[0, :, :2]
    for frame in range(1, len(log_probs)):
        step = np.full_like(reach, NEVER)
        step[:, 1:] = reach[:, :-1]
        skip = np.full_like(reach, NEVER)
        skip[:, 2:] = reach[:, :-2]
        skip[~may_skip] = NEVER
        reach = np.logaddexp(np.logaddexp(reach, step), skip) + emitted[frame]
    rows = np.arange(len(texts))
    last = np.array([2 * len(text) for text in texts])
    ended = reach[rows, last]
    return np.where(last > 0, np.logaddexp(ended, reach[rows, np.maximum(last - 1, 0)]), ended)


def ctc_align(log_probs: Array, ids: Sequence[int], blank: int) -> Array:
    """Frames ``[n, 2]`` (start, stop) of each character on the best path of a given text.

    Raises:
        ValueError: the text does not fit into the frames.
    """
    states = np.full(2 * len(ids) + 1, blank)
    states[1::2] = ids
    may_skip = np.zeros(len(states), bool)
    may_skip[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    emitted = log_probs.astype(np.float64)[:, states]
    best = np.full(len(states), NEVER)
    best[:2] = emitted[0, :2]
    moves = np.zeros(emitted.shape, np.int8)
    for frame in range(1, len(log_probs)):
        options = np.full((3, len(states)), NEVER)
        options[0] = best
        options[1, 1:] = best[:-1]
        options[2, 2:] = np.where(may_skip[2:], best[:-2], NEVER)
        moves[frame] = options.argmax(0)
        best = options.max(0) + emitted[frame]
    state = len(states) - 1
    if len(ids) and best[-2] > best[-1]:
        state -= 1
    if best[state] <= NEVER / 2:
        raise ValueError(f"{len(ids)} characters do not fit into {len(log_probs)} frames")
    spans = np.zeros((len(ids), 2), np.int64)
    spans[:, 0] = len(log_probs)
    for frame in range(len(log_probs) - 1, -1, -1):
        if state % 2:
            character = state // 2
            spans[character, 0] = frame
            spans[character, 1] = max(spans[character, 1], frame + 1)
        state -= int(moves[frame, state])
    return spans


def ctc_distributions(log_probs: Array, ids: Sequence[int], blank: int) -> Array:
    """Log-probabilities ``[n, C-1]`` of every character at every place of a given text.

    Each place's probabilities are those of its best frame, the blank left out, normalised over
    the characters: what else could stand there, neighbours unchanged.
    """
    classes = np.delete(np.arange(log_probs.shape[1]), blank)
    rows = []
    for symbol, (start, stop) in zip(ids, ctc_align(log_probs, ids, blank), strict=True):
        frame = start + int(log_probs[start:stop, symbol].argmax())
        row = log_probs[frame, classes].astype(np.float64)
        rows.append(row - np.logaddexp.reduce(row))
    return np.array(rows).reshape(len(ids), len(classes))


def ctc_beam(
    log_probs: Array,
    blank: int,
    *,
    beams: int = 16,
    length: int | None = None,
    allowed: Callable[[tuple[int, ...]], Array] | None = None,
    floor: float = -9.0,
    choices: int = 8,
) -> list[CtcText]:
    """Prefix beam search: the likeliest texts, best first (Hannun et al. 2014, algorithm 1).

    Args:
        log_probs: ``[T, C]``.
        blank: class of the blank.
        beams: texts kept after each frame.
        length: only texts of exactly this many characters.
        allowed: from the characters so far to a mask ``[C]`` (bool) of what may come next.
        floor: classes below this log-probability in a frame are not tried there, except the best
            one: an early end to hopeless branches.
        choices: classes tried in a frame, at most.

    Returns:
        At most ``beams`` texts. Empty where ``length`` could not be met within the beams: then
        :func:`ctc_exact` still finds one.
    """
    # a prefix's log-probability, ending in a blank and ending in its last character
    alive: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, NEVER)}
    order = np.argsort(-log_probs, axis=1)[:, :choices].tolist()
    for frame, best in zip(log_probs.astype(np.float64).tolist(), order, strict=True):
        tried = [c for c in best if c != blank and (frame[c] >= floor or c == best[0])]
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (with_blank, with_last) in alive.items():
            total = _add(with_blank, with_last)
            ends = grown.get(prefix, (NEVER, NEVER))
            again = with_last + frame[prefix[-1]] if prefix else NEVER
            grown[prefix] = (_add(ends[0], total + frame[blank]), _add(ends[1], again))
            if length is not None and len(prefix) >= length:
                continue
            mask = allowed(prefix) if allowed is not None and tried else None
            for symbol in tried:
                if mask is not None and not mask[symbol]:
                    continue
                source = with_blank if prefix and prefix[-1] == symbol else total
                longer = (*prefix, symbol)
                ends = grown.get(longer, (NEVER, NEVER))
                grown[longer] = (ends[0], _add(ends[1], source + frame[symbol]))
        alive = dict(heapq.nlargest(beams, grown.items(), key=lambda item: _add(*item[1])))
    texts = [CtcText(list(prefix), _add(*ends)) for prefix, ends in alive.items()]
    return [t for t in texts if t.log_prob > NEVER / 2 and length in (None, len(t.ids))]


def _add(left: float, right: float) -> float:
    """Logarithm of a sum; plain Python is several times faster here than numpy's on scalars."""
    if left < right:
        left, right = right, left
    return left + math.log1p(math.exp(right - left)) if right > left - 40 else left


def ctc_exact(log_probs: Array, allowed: Array, blank: int) -> CtcText | None:
    """Best path among all texts of exactly L characters, each from its place's own set.

    An exact search (Viterbi over place and character), so that it finds a text wherever one fits;
    ``log_prob`` is that of the best path.

    Args:
        log_probs: ``[T, C]``.
        allowed: bool ``[L, C]``: which classes may stand at which place (the blank's is ignored).
        blank: class of the blank.

    Returns:
        None where no such text fits into the frames.
    """
    scores = log_probs.astype(np.float64)
    places, classes = allowed.shape
    usable = allowed.copy()
    usable[:, blank] = False
    barred = np.where(usable, 0.0, NEVER)
    every = np.arange(classes)
    # best log-probability with so many characters written, the last of them just emitted / then
    # followed by a blank; index 0 of `rest` is "nothing written yet"
    last = np.full((places, classes), NEVER)
    rest = np.full(places + 1, NEVER)
    rest[0] = 0.0
    stay, came, ended = 0, 1, 2  # how a state was entered: repeat, from a blank, from a character
    moves = np.zeros((len(scores), places, classes), np.int8)
    sources = np.zeros((len(scores), places), np.int64)
    seconds = np.zeros((len(scores), places), np.int64)
    waited = np.zeros((len(scores), places + 1), bool)
    for frame, emitted in enumerate(scores):
        # best and second best last character: a character cannot follow itself without a blank
        first = last.argmax(1)
        top = last.max(1)
        without = last.copy()
        without[np.arange(places), first] = NEVER
        second, runner = without.argmax(1), without.max(1)
        from_character = np.full((places, classes), NEVER)
        from_character[1:] = np.where(
            every[None] == first[:-1, None], runner[:-1, None], top[:-1, None]
        )
        from_blank = np.broadcast_to(rest[:-1, None], (places, classes))
        options = np.stack([last, from_blank, from_character])
        moves[frame] = options.argmax(0)
        sources[frame], seconds[frame] = first, second
        ending = np.concatenate([[NEVER], top])
        waited[frame] = rest >= ending
        rest = np.maximum(rest, ending) + emitted[blank]
        last = np.maximum(options.max(0) + emitted[None] + barred, NEVER)
    in_blank = bool(rest[places] >= last[places - 1].max())
    best = float(rest[places] if in_blank else last[places - 1].max())
    if best <= NEVER / 2:
        return None
    place, symbol = places - 1, int(last[places - 1].argmax())
    ids = [0] * places
    if in_blank:
        place = places
    frame = len(scores) - 1
    while frame >= 0:
        if in_blank:
            if not waited[frame, place]:
                in_blank, place = False, place - 1
                symbol = int(sources[frame, place])
            frame -= 1
            continue
        ids[place] = symbol
        move = int(moves[frame, place, symbol])
        if move == came:
            in_blank = True
        elif move == ended:
            place -= 1
            first_choice = int(sources[frame, place])
            symbol = first_choice if first_choice != symbol else int(seconds[frame, place])
        else:
            assert move == stay
        frame -= 1
    return CtcText(ids, best)
