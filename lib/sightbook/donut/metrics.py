"""What a reader of documents is judged by.

Each metric is a class with ``update`` (one document), ``summary`` and ``reset``. A summary is a
flat dict of figures with 95 % intervals (see :mod:`sightbook.metrics.bootstrap`): Wilson's for
shares, a bootstrap over documents for ratios and means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.donut.mrz.build import Mrz, MrzError, parse
from sightbook.donut.page.metrics import field_matches, tree_accuracy
from sightbook.metrics.bootstrap import Figure, ratio_of_sums, share
from sightbook.metrics.polygons import polygon_iou

FILLER = "<"


def character_errors(truth: str, predicted: str) -> int:
    """Levenshtein distance: characters to change, insert or delete."""
    return Levenshtein.distance(truth, predicted)


@dataclass(frozen=True)
class ZoneScore:
    """One reading against its truth.

    Attributes:
        exact: every line right, and no line more.
        lines_right: of ``lines``, compared in order.
        errors: edit distance over the lines joined, of ``characters``.
        content_errors: the same without fillers on either side, of ``content_characters``.
        fields: by name, whether the field has the true value; only fields that have a value on
            either side. Empty where the truth has the shape of no zone.
        checks_ok: the reading has a known shape and all its check digits are right.
        answered: something was read.
    """

    exact: bool
    lines_right: int
    lines: int
    errors: int
    characters: int
    content_errors: int
    content_characters: int
    fields: dict[str, bool]
    checks_ok: bool
    answered: bool

    @property
    def valid_but_wrong(self) -> bool:
        """All digits pass and the zone is misread: the error that nothing downstream can see."""
        return self.checks_ok and not self.exact


def score_zone(truth: Sequence[str], predicted: Sequence[str] | None) -> ZoneScore:
    """Scores the lines that were read (None or empty: nothing found) against the true lines."""
    lines, read = list(truth), list(predicted or [])
    text, read_text = "".join(lines), "".join(read)
    content, read_content = text.replace(FILLER, ""), read_text.replace(FILLER, "")
    true_zone, read_zone = _parsed(lines), _parsed(read)
    fields: dict[str, bool] = {}
    if true_zone is not None:
        found = read_zone.fields if read_zone else {}
        for name, value in true_zone.fields.items():
            if value is not None or found.get(name) is not None:
                fields[name] = read_zone is not None and found.get(name) == value
    return ZoneScore(
        exact=lines == read,
        lines_right=sum(a == b for a, b in zip(lines, read, strict=False)),
        lines=len(lines),
        errors=character_errors(text, read_text),
        characters=len(text),
        content_errors=character_errors(content, read_content),
        content_characters=len(content),
        fields=fields,
        checks_ok=read_zone is not None and all(c.ok for c in read_zone.checks.values()),
        answered=bool(read),
    )


def _parsed(lines: list[str]) -> Mrz | None:
    try:
        return parse(lines)
    except MrzError:
        return None


class ReadingMetric:
    """How well machine-readable zones are read, document by document.

    Documents without a zone count only towards ``false_zones``, all others towards the rest, read
    or not: what was not found was not read right.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all documents."""
        self.scores: list[ZoneScore] = []
        self.without_zone: list[bool] = []
        self.seconds: list[float] = []

    def update(
        self,
        truth: Sequence[str],
        predicted: Sequence[str] | None,
        seconds: float | None = None,
    ) -> ZoneScore:
        """Adds a document: true lines (none: it has no zone), lines read, time it took."""
        score = score_zone(truth, predicted)
        if truth:
            self.scores.append(score)
        else:
            self.without_zone.append(score.answered)
        if seconds is not None:
            self.seconds.append(seconds)
        return score

    def summary(self) -> dict[str, Figure]:
        """``exact_zone``, ``exact_line``, ``cer``, ``cer_content`` (without fillers),
        ``field_accuracy``, ``checks_ok``, ``valid_but_wrong``, ``answered``, ``false_zones``,
        ``seconds``, and ``field/<name>`` for every field.
        """
        scores, n = self.scores, len(self.scores)
        names = sorted({name for score in scores for name in score.fields})
        right = {m: [s.fields[m] for s in scores if m in s.fields] for m in names}
        return {
            "exact_zone": share(sum(s.exact for s in scores), n),
            "exact_line": ratio_of_sums([s.lines_right for s in scores], [s.lines for s in scores]),
            "cer": ratio_of_sums([s.errors for s in scores], [s.characters for s in scores]),
            "cer_content": ratio_of_sums(
                [s.content_errors for s in scores], [s.content_characters for s in scores]
            ),
            "field_accuracy": ratio_of_sums(
                [sum(s.fields.values()) for s in scores], [len(s.fields) for s in scores]
            ),
            "checks_ok": share(sum(s.checks_ok for s in scores), n),
            "valid_but_wrong": share(sum(s.valid_but_wrong for s in scores), n),
            "answered": share(sum(s.answered for s in scores), n),
            "false_zones": share(sum(self.without_zone), len(self.without_zone)),
            "seconds": ratio_of_sums(self.seconds, [1] * len(self.seconds)),
            **{f"field/{name}": share(sum(oks), len(oks)) for name, oks in right.items()},
        }


class FindingMetric:
    """How well zones are found, apart from reading them.

    Args:
        iou: least overlap of the outlines for a zone to count as found.
        tolerance: how far a line's corners may lie off, in heights of that line's capitals, for
            its lines to count as located.
    """

    def __init__(self, iou: float = 0.5, tolerance: float = 1.0) -> None:
        self.iou, self.tolerance = iou, tolerance
        self.reset()

    def reset(self) -> None:
        """Forgets all pictures."""
        self.overlaps: list[float] = []
        self.found: list[bool] = []
        self.located: list[bool] = []
        self.without_zone: list[bool] = []

    def update(
        self, truth: NDArray[np.floating] | None, found: NDArray[np.floating] | None
    ) -> bool:
        """Adds a picture and tells whether its zone was found.

        Args:
            truth: corners of the lines [n,4,2] in reading order, or None where there is no zone.
            found: the same of what was found, or None.
        """
        if truth is None or len(truth) == 0:
            self.without_zone.append(found is not None and len(found) > 0)
            return False
        if found is None or len(found) == 0:
            self.overlaps.append(0.0)
            self.found.append(False)
            self.located.append(False)
            return False
        overlap = polygon_iou(_outline(truth), _outline(found))
        # Reading directions less than 45 degrees apart: an upside-down zone is not found.
        directions = [np.subtract(quads[:, 1], quads[:, 0]).sum(0) for quads in (truth, found)]
        cosine = directions[0] @ directions[1] / np.prod(np.linalg.norm(directions, axis=1))
        hit = bool(overlap >= self.iou and cosine > np.sqrt(0.5))
        located = hit and len(truth) == len(found)
        if located:
            heights = np.linalg.norm(truth[:, 3] - truth[:, 0], axis=-1)
            off = np.linalg.norm(np.subtract(truth, found), axis=-1).max(axis=1)
            located = bool((off <= self.tolerance * heights).all())
        self.overlaps.append(overlap)
        self.found.append(hit)
        self.located.append(located)
        return hit

    def summary(self) -> dict[str, Figure]:
        """``zone_recall`` (overlap and reading direction), ``lines_located`` (every corner of
        every line), ``zone_iou`` (mean) and ``false_zones`` (found where there is none).
        """
        n = len(self.found)
        return {
            "zone_recall": share(sum(self.found), n),
            "lines_located": share(sum(self.located), n),
            "zone_iou": ratio_of_sums(self.overlaps, [1] * n),
            "false_zones": share(sum(self.without_zone), len(self.without_zone)),
        }


def _outline(quads: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray([quads[0, 0], quads[0, 1], quads[-1, 2], quads[-1, 3]], float)


@dataclass
class CharacterConfusion:
    """Which characters are read as which, by the alignment of least edits.

    ``pairs`` counts (true, read); an empty string stands for no character, so ``("", "<")`` is a
    filler that was added and ``("<", "")`` one that was missed.
    """

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def reset(self) -> None:
        """Forgets all texts."""
        self.pairs.clear()

    def update(self, truth: str, predicted: str) -> None:
        """Adds one text, a line for instance."""
        for step in Levenshtein.opcodes(truth, predicted):
            old = truth[step.src_start : step.src_end]
            new = predicted[step.dest_start : step.dest_end]
            if step.tag in ("equal", "replace"):
                self.pairs.update(zip(old, new, strict=True))
            else:
                self.pairs.update((a, "") for a in old)
                self.pairs.update(("", b) for b in new)

    def summary(self, top: int = 20) -> dict[str, Any]:
        """``accuracy`` by true character, and the ``top`` most frequent ``confusions``."""
        seen: Counter[str] = Counter()
        right: Counter[str] = Counter()
        wrong: list[tuple[int, str, str]] = []
        for (true, read), count in self.pairs.items():
            if true:
                seen[true] += count
            if true == read:
                right[true] += count
            else:
                wrong.append((-count, true, read))
        return {
            "accuracy": {true: share(right[true], seen[true]) for true in sorted(seen)},
            "confusions": [
                {"truth": true, "predicted": read, "count": -count}
                for count, true, read in sorted(wrong)[:top]
            ],
        }

    def matrix(self, alphabet: str) -> NDArray[np.int64]:
        """Counts [true, read] over the alphabet; the last row is added, the last column missed.

        Characters outside the alphabet are counted as none.
        """
        places = {character: index for index, character in enumerate(alphabet)}
        counts = np.zeros((len(alphabet) + 1, len(alphabet) + 1), np.int64)
        for (true, read), count in self.pairs.items():
            counts[places.get(true, -1), places.get(read, -1)] += count
        return counts


class JsonMetric:
    """Donut's scores of JSON predictions: tree-edit accuracy (mean) and field F1 (micro)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all documents."""
        self.accuracies: list[float] = []
        self.right: list[int] = []
        self.wrong: list[int] = []
        self.exact = 0

    def update(self, truth: Any, predicted: Any) -> float:
        """Adds a document and returns its tree-edit accuracy, 0 to 1."""
        accuracy = tree_accuracy(truth, predicted)
        right, wrong = field_matches(truth, predicted)
        self.accuracies.append(accuracy)
        self.right.append(right)
        self.wrong.append(wrong)
        self.exact += wrong == 0
        return accuracy

    def summary(self) -> dict[str, Figure]:
        """``tree_accuracy``, ``field_f1`` and ``exact`` (all fields right, none more).

        ``n`` of the F1 is the number of fields, half of those on both sides together.
        """
        halves = [r + w / 2 for r, w in zip(self.right, self.wrong, strict=True)]
        return {
            "tree_accuracy": ratio_of_sums(self.accuracies, [1] * len(self.accuracies)),
            "field_f1": ratio_of_sums(self.right, halves),
            "exact": share(self.exact, len(self.accuracies)),
        }
