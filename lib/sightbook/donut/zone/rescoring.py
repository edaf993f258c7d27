"""Which reading of a line to believe, how much, and what check digits say about it.

Two heads read each line. They fail in different ways: CTC loses or doubles characters that touch,
the decoder completes what it expects. So both judge the candidates of both. Whatever is changed
afterwards for the sake of a check digit is reported as a :class:`Change`; a zone that became valid
by a change is thereby marked.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sightbook.donut.mrz import build as mrz
from sightbook.donut.zone.decoder import (
    Decoder,
    Encoded,
    beam,
    greedy,
    line_mask,
    line_rule,
    score,
    zone_grammar,
)
from sightbook.inference import ctc

Array = np.ndarray

_PAIRS = "0O 0D 0Q OD OQ 1I 1L 8B 5S 2Z 6G K<"
#: characters that worn OCR-B and its lookalikes make hard to tell apart
CONFUSIONS: dict[str, str] = {}
for _pair in _PAIRS.split():
    for _one, _other in (tuple(_pair), tuple(reversed(_pair))):
        CONFUSIONS[_one] = CONFUSIONS.get(_one, "") + _other


# --------------------------------------------------------------------------- single lines


@dataclass(frozen=True)
class Reading:
    """One reading of a line, judged by both heads.

    Attributes:
        text: characters.
        log_prob: ``weight * ctc + (1 - weight) * decoder``.
        ctc: log-probability of the text in the CTC head.
        decoder: log-probability of the text in the decoder, its end included.
        distributions: ``[n, characters]``: log-probability of every character at every place,
            the other places as in ``text``; rows sum to one.
    """

    text: str
    log_prob: float
    ctc: float
    decoder: float
    distributions: Array = field(repr=False)

    def confidences(self, characters: str, text: str | None = None) -> Array:
        """Probability of each character ``[n]``; of another text of the same length if given."""
        places = [characters.index(c) for c in (self.text if text is None else text)]
        return np.exp(self.distributions[np.arange(len(places)), places])


def rank(
    texts: Sequence[str],
    decoder: Decoder,
    encoded: Encoded,
    characters: str,
    *,
    weight: float = 0.5,
) -> list[Reading]:
    """Judge texts of one line by both heads, best first; texts that do not fit are left out.

    Args:
        texts: candidates; repeated ones count once.
        decoder: of the same export as ``encoded``.
        encoded: one picture, with CTC.
        characters: token and CTC class i is ``characters[i]``; the blank is the class after them.
        weight: of the CTC head against the decoder, 0 to 1.
    """
    log_probs = _ctc(encoded)[0]
    blank = len(characters)
    ids = [[characters.index(c) for c in text] for text in dict.fromkeys(texts)]
    fits = ctc.ctc_scores(log_probs, ids, blank)
    kept = [i for i, fit in enumerate(fits) if fit > ctc.NEVER / 2]
    judged = score(decoder, encoded.rows([0] * len(kept)), [ids[i] for i in kept])
    readings = []
    for i, (text, places) in zip(kept, judged, strict=True):
        mixed = weight * ctc.ctc_distributions(log_probs, ids[i], blank)
        mixed = mixed + (1 - weight) * places[:, :blank]
        mixed -= np.logaddexp.reduce(mixed, axis=1, keepdims=True)
        total = weight * float(fits[i]) + (1 - weight) * text.log_prob
        spelt = "".join(characters[j] for j in ids[i])
        readings.append(Reading(spelt, total, float(fits[i]), text.log_prob, mixed))
    return sorted(readings, key=lambda reading: -reading.log_prob)


def read_lines(
    decoder: Decoder,
    encoded: Encoded,
    characters: str,
    *,
    lines: Sequence[tuple[str, int]] | None = None,
    beams: int = 4,
    weight: float = 0.5,
) -> list[list[Reading]]:
    """Candidates of both heads for each of B lines, judged by both, best first.

    Args:
        decoder: of the same export as ``encoded``.
        encoded: B pictures of lines, with CTC.
        characters: the model's characters.
        lines: (zone type, row) of each picture: only readings that Doc 9303 allows there, of
            exactly the type's length. None: whatever the heads read.
        beams: candidates of each head; with 1 the decoder reads greedily.
        weight: of the CTC head against the decoder.

    Returns:
        For each picture at least one reading; only a picture too narrow for a type's characters
        (fewer CTC frames than they need) gets none.
    """
    log_probs = _ctc(encoded)
    blank, classes = len(characters), log_probs.shape[2]
    grammar = None
    if lines is not None:
        grammar = zone_grammar(lines, characters, decoder.vocabulary, decoder.eos)
    if beams > 1:
        written = beam(decoder, encoded, beams=beams, grammar=grammar)
    else:
        written = [[text] for text in greedy(decoder, encoded, grammar=grammar)]
    results = []
    for index, frames in enumerate(log_probs):
        found = [text.ids for text in written[index] if text.ended]
        if lines is None:
            found += [ctc.ctc_greedy(frames, blank)[0]]
            found += [text.ids for text in ctc.ctc_beam(frames, blank, beams=beams)]
        else:
            type, row = lines[index]
            rule = line_rule(type, row, characters, classes)
            length = mrz.FORMATS[type].columns
            kept = ctc.ctc_beam(frames, blank, beams=2 * beams, length=length, allowed=rule)
            if not kept:
                exact = ctc.ctc_exact(frames, line_mask(type, row, characters, classes), blank)
                kept = [exact] if exact else []
            found += [text.ids for text in kept[:beams]]
        texts = ["".join(characters[i] for i in ids if i < blank) for ids in found]
        limit = decoder.max_length - len(decoder.start_ids)
        texts = [text for text in texts if len(text) <= limit]
        results.append(rank(texts, decoder, encoded.rows([index]), characters, weight=weight))
    return results


def _ctc(encoded: Encoded) -> Array:
    if encoded.ctc_log_probs is None:
        raise ValueError("this export has no CTC head: only decoding.greedy and beam can read it")
    return encoded.ctc_log_probs


# --------------------------------------------------------------------------- confidence


def zone_confidences(
    type: str, confidences: Sequence[Array]
) -> tuple[float, dict[str, float], list[list[float]]]:
    """How sure a zone is, from how sure its characters are.

    Args:
        type: of the zone.
        confidences: probability of each character, one array a line.

    Returns:
        document, fields by their name in ``mrz.FORMATS``, and characters by line. A field's
        number is the probability that all its characters are right, were they independent (the
        product); the document's that of the whole zone.
    """
    rows = [np.asarray(row, np.float64) for row in confidences]
    fields = {
        spec.name: float(rows[spec.row][spec.start : spec.stop].prod())
        for spec in mrz.FORMATS[type].fields
    }
    return float(np.prod([row.prod() for row in rows])), fields, [row.tolist() for row in rows]


# --------------------------------------------------------------------------- changes


@dataclass(frozen=True)
class Change:
    """A place where the text given out is not the text that was read.

    Attributes:
        row: line, from 0.
        column: place in the line as it was read, from 0.
        found: characters read there (empty: something was put in).
        replaced: characters given out instead (empty: something was left out).
        reason: ``grammar``, ``second reading`` or ``check digit of <name>``.
        loss: how much less likely the models find the whole change (natural logarithm).
    """

    row: int
    column: int
    found: str
    replaced: str
    reason: str
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def differences(row: int, before: str, after: str, reason: str, loss: float) -> list[Change]:
    """The changes that lead from one reading of a line to another."""
    if len(before) == len(after):
        return [
            Change(row, column, old, new, reason, loss)
            for column, (old, new) in enumerate(zip(before, after, strict=True))
            if old != new
        ]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return [
        Change(row, start, before[start:stop], after[start2:stop2], reason, loss)
        for kind, start, stop, start2, stop2 in matcher.get_opcodes()
        if kind != "equal"
    ]


@dataclass(frozen=True)
class _Option:
    cells: Mapping[tuple[int, int], str]
    loss: float


def correct_zone(
    type: str,
    readings: Sequence[Sequence[Reading]],
    characters: str,
    *,
    max_loss: float = 6.0,
    margin: float = 1.0,
    max_changes: int = 2,
) -> tuple[list[str], list[Change]]:
    """Let failed check digits choose among what could also have been read.

    Tried, alone and in pairs: the other candidates of a line, usual confusions, and characters
    that the models themselves find half as surprising as a confusion may be. Nothing is changed
    where all digits are right, where nothing plausible makes them right, or where two different
    repairs are about equally plausible: then the failed digit is the better answer.

    A digit is right by chance one time in ten, so every repair may be wrong; all of them are
    reported, with the digit that asked for them.

    Args:
        type: of the zone.
        readings: candidates of each line, best first; the first one is what was read.
        characters: the model's characters.
        max_loss: how much less likely the repaired zone may be (natural logarithm).
        margin: by how much the best repair must beat the next.
        max_changes: how many candidates and characters may be changed together.

    Returns:
        The lines, and every change made to them.
    """
    read = [line[0].text for line in readings]
    try:
        before = mrz.parse(read, type)
    except mrz.MrzError:
        return read, []
    failed = [name for name, check in before.checks.items() if not check.ok]
    if not failed:
        return read, []
    cells = _involved(type, before, failed)
    options = sorted(_options(type, cells, readings, characters, max_loss), key=_loss)
    repairs: list[tuple[float, list[str], tuple[_Option, ...]]] = []
    for chosen in _combinations(options, max_changes, max_loss):
        lines = _apply(read, chosen)
        after = mrz.parse(lines, type)
        # what the digit covers must be sound altogether: no month 18 that happens to add up
        left = {(problem.row, problem.column) for problem in after.problems}
        if all(check.ok for check in after.checks.values()) and not left & cells:
            repairs.append((sum(map(_loss, chosen)), lines, chosen))
    repairs.sort(key=lambda repair: repair[0])
    if not repairs:
        return read, []
    loss, lines, _ = repairs[0]
    if any(other[0] - loss < margin and other[1] != lines for other in repairs[1:]):
        return read, []
    reason = "check digit of " + ", ".join(failed)
    changes = [
        change
        for row, (old, new) in enumerate(zip(read, lines, strict=True))
        for change in differences(row, old, new, reason, loss)
    ]
    return lines, changes


def _loss(option: _Option) -> float:
    return option.loss


def _options(
    type: str,
    cells: set[tuple[int, int]],
    readings: Sequence[Sequence[Reading]],
    characters: str,
    max_loss: float,
) -> Iterator[_Option]:
    for row, line in enumerate(readings):
        for other in line[1:]:
            changed = {
                (row, column): new
                for column, (old, new) in enumerate(zip(line[0].text, other.text, strict=False))
                if old != new
            }
            loss = line[0].log_prob - other.log_prob
            if len(other.text) == len(line[0].text) and cells & changed.keys() and loss <= max_loss:
                yield _Option(changed, loss)
    for row, column in sorted(cells):
        first = readings[row][0]
        old = first.text[column]
        places = first.distributions[column]
        for new in mrz.allowed(type, row, column):
            loss = float(places[characters.index(old)] - places[characters.index(new)])
            bound = max_loss if new in CONFUSIONS.get(old, "") else max_loss / 2
            if new != old and loss <= bound:
                yield _Option({(row, column): new}, loss)


def _involved(type: str, before: mrz.Mrz, failed: Sequence[str]) -> set[tuple[int, int]]:
    """Places that failed digits cover, and the digits' own."""
    cells = set()
    for spec in mrz.FORMATS[type].checks:
        if spec.name in failed:
            row, column = before.checks[spec.name].position
            # a long document number runs on to its digit in the optional data
            cells |= {(row, c) for c in range(spec.column, column + 1) if row == spec.row}
            cells |= {(r, c) for r, start, stop in spec.parts for c in range(start, stop)}
            cells.add((row, column))
    return cells


def _combinations(
    options: Sequence[_Option], most: int, max_loss: float
) -> Iterator[tuple[_Option, ...]]:
    for count in range(1, most + 1):
        # the sixty likeliest: pairs of these are 1770 zones to check, some tens of milliseconds
        for chosen in itertools.combinations(options[:60], count):
            cells = [cell for option in chosen for cell in option.cells]
            if len(set(cells)) == len(cells) and sum(map(_loss, chosen)) <= max_loss:
                yield chosen


def _apply(lines: Sequence[str], chosen: Sequence[_Option]) -> list[str]:
    changed = [list(line) for line in lines]
    for option in chosen:
        for (row, column), character in option.cells.items():
            changed[row][column] = character
    return ["".join(line) for line in changed]
