"""How well heads are outlined and read: by token whatever the order, and per object.

A photographer takes many pictures of one cartridge, and easy ones are taken more often: figures
stand for each object (`object_id`) as well as for all heads. What nobody can read (`legibility`
other than "full") is neither demanded nor punished; a head that is not there and is read all the
same, is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.errors import coco_iou
from sightbook.figures.tables import Table
from sightbook.headstamps.read import Head, Outline, find_outlines
from sightbook.headstamps.unroll import Ellipse
from sightbook.metrics.bootstrap import Figure, Floats, divide, figure, format_figure, resample

IOU = 0.5
"""Overlap of two casings' boxes from which they are one head."""

DIRECTIONS = {"clockwise": "sideways", "anti-clockwise": "sideways"}
"""Directions of letters' tops as some annotations have them, in this project's words."""

_ALIKE = str.maketrans("×–—", "x--")
_COUNTS = (
    "hits",
    "read",
    "true",
    "errors",
    "characters",
    "exact",
    "heads",
    "found",
    "directed",
    "named",
)


@dataclass(frozen=True)
class HeadResult:
    """One head against the truth.

    Attributes:
        name: of the photograph.
        object_id: of the true head; empty where there is none.
        legible: whether its text is demanded.
        tokens: that stand on it; empty where there is no true head.
        read: that were read; empty where it was not found.
        truth: its true outline; None where there is none.
        head: what was found; None where nothing was.
        hits: tokens read right, each once.
        errors: least number of letters to change, order left aside, see `token_errors`.
        directed: hits with the right direction, of those whose true direction is known.
        named: hits whose true direction is known.
    """

    name: str
    object_id: str
    legible: bool
    tokens: tuple[str, ...]
    read: tuple[str, ...]
    truth: Outline | None
    head: Head | None
    hits: int
    errors: int
    directed: int = 0
    named: int = 0

    @property
    def exact(self) -> bool:
        """Whether all tokens were read and nothing else, in whichever order."""
        return self.hits == len(self.tokens) == len(self.read)

    def counts(self) -> dict[str, int]:
        """What figures are made of."""
        demanded = self.truth is not None
        return {
            "hits": self.hits,
            "read": len(self.read),
            "true": len(self.tokens),
            "errors": self.errors,
            "characters": sum(map(len, self.tokens)),
            "exact": int(demanded and self.exact),
            "heads": int(demanded),
            "found": int(demanded and self.head is not None),
            "directed": self.directed,
            "named": self.named,
        }


@dataclass(frozen=True)
class ReadingEvaluation:
    """All heads, true and read.

    Attributes:
        heads: every true head, and every other that something was read on.
        resamples: of the intervals' bootstrap.
    """

    heads: tuple[HeadResult, ...]
    resamples: int = 1000

    def demanded(self) -> list[HeadResult]:
        """Heads that count: legible ones, and those that are not there."""
        return [result for result in self.heads if result.legible]

    def figures(self) -> dict[str, Figure]:
        """``token_F1``, ``token_precision``, ``token_recall``, ``CER``, ``exact``, ``direction``
        (share of right tokens with the right direction), ``found`` (share of true heads found) and
        ``object_token_F1``, the mean over objects.

        Intervals are drawn over objects, not photographs: views of one cartridge say the same.
        """
        return _figures(self.demanded(), self.resamples)

    def per_object(self) -> dict[str, dict[str, Figure]]:
        """The same figures of each object; without intervals, as its views are no sample."""
        objects: dict[str, list[HeadResult]] = {}
        for result in self.demanded():
            if result.truth is not None:
                objects.setdefault(result.object_id or result.name, []).append(result)
        return {name: _figures(own, 0) for name, own in sorted(objects.items())}

    def table(self) -> Table:
        """Objects and their figures, all of them in the last row."""
        rows: list[dict[str, Any]] = []
        for name, own in [*self.per_object().items(), ("all", self.figures())]:
            names = ("token_F1", "token_precision", "token_recall", "CER", "exact", "found")
            rows.append({"object": name, "views": own["found"]["n"]})
            rows[-1] |= {key.replace("_", " "): format_figure(own[key]) for key in names}
        return Table(rows)

    def metrics(self) -> dict[str, Any]:
        """For `metrics.json`: all figures, and those of each object."""
        return {**self.figures(), "objects": self.per_object()}


def evaluate_readings(
    truth: Annotations,
    read: Mapping[str, Sequence[Head]],
    *,
    iou: float = IOU,
    resamples: int = 1000,
) -> ReadingEvaluation:
    """Hold what was read against what stands there.

    Args:
        truth: casings with `tokens` (or `text`), `segments`, `object_id` and `legibility` among
            their attributes; one without text is not judged by what was read on it.
        read: heads by the name of the photograph's record; records without an entry are an error.
        iou: overlap of boxes from which a casing is found.
        resamples: of the intervals.

    Raises:
        ValueError: records that were not read, or readings without a record.
    """
    names = {record.name for record in truth.records}
    unread, unknown = sorted(names - set(read)), sorted(set(read) - names)
    if unread or unknown:
        which, where = (unread, "were not read") if unread else (unknown, "are not in the truth")
        raise ValueError(f"{len(which)} photographs {where}: {', '.join(which[:5])}")
    found: list[HeadResult] = []
    for record in truth.records:
        found += _record_results(record, read[record.name], iou)
    return ReadingEvaluation(tuple(found), resamples)


def plain_token(token: str) -> str:
    """A token as it is compared: capitals, and one sign for each kind of cross and dash."""
    return token.translate(_ALIKE).strip().upper()


def token_hits(truth: Sequence[str], read: Sequence[str]) -> int:
    """How many tokens were read right, whatever their order; a token counts as often as it stands.

    Both as `plain_token` has them.
    """
    return (Counter(map(plain_token, truth)) & Counter(map(plain_token, read))).total()


def token_errors(truth: Sequence[str], read: Sequence[str]) -> int:
    """Letters to insert, delete or change until the tokens agree, whatever their order.

    Tokens are paired so that this is least; a token without a partner costs all its letters.
    Exact, by going through all sets of true tokens that may be taken already; heads have few.
    """
    wanted, given = list(map(plain_token, truth)), list(map(plain_token, read))
    best = {0: 0}
    for token in given:
        after: dict[int, int] = {}
        for taken, cost in best.items():
            ways = [(taken, cost + len(token))]
            for number, other in enumerate(wanted):
                if not taken >> number & 1:
                    both = cost + Levenshtein.distance(token, other)
                    ways.append((taken | 1 << number, both))
            for way, total in ways:
                after[way] = min(after.get(way, total), total)
        best = after
    return min(
        cost + sum(len(w) for number, w in enumerate(wanted) if not taken >> number & 1)
        for taken, cost in best.items()
    )


def head_direction(direction: str) -> str:
    """A segment's direction in this project's words: outward, inward or sideways."""
    return DIRECTIONS.get(direction, direction)


@dataclass(frozen=True)
class EllipseError:
    """How far an ellipse is from the true one.

    Attributes:
        centre: distance of the centres over the true longer semi-axis.
        axes: mean error of the semi-axes over the true ones.
        outline: mean distance of the outlines where the true ellipse is the unit circle, that is,
            over the true radius there.
    """

    centre: float
    axes: float
    outline: float


def ellipse_error(truth: Ellipse, found: Ellipse) -> EllipseError:
    """Compare two ellipses; all three errors are 0 for the same one."""
    radii = np.linalg.norm(truth.unit(found.polygon(180)), axis=1)
    return EllipseError(
        math.hypot(truth.x - found.x, truth.y - found.y) / truth.a,
        (abs(found.a / truth.a - 1) + abs(found.b / truth.b - 1)) / 2,
        float(np.abs(radii - 1).mean()),
    )


def ellipse_errors(heads: Sequence[HeadResult]) -> Table:
    """Median and 90th percentile of the errors of casings and primers that were found."""
    pairs = [(r.truth, r.head.outline) for r in heads if r.truth is not None and r.head is not None]
    errors = {
        "casing": [ellipse_error(true.ellipse, own.ellipse) for true, own in pairs],
        "primer": [
            ellipse_error(true.primer_ellipse, own.primer_ellipse)
            for true, own in pairs
            if true.primer_ellipse is not None and own.primer_ellipse is not None
        ],
    }
    rows: list[dict[str, Any]] = []
    for label, own in errors.items():
        row: dict[str, Any] = {"outline of": label, "found": len(own)}
        for name in ("centre", "axes", "outline") if own else ():
            middle, high = np.percentile([getattr(error, name) for error in own], [50, 90])
            row[f"{name} error"] = f"{middle:.3f} ({high:.3f})"
        rows.append(row)
    return Table(rows)


def _record_results(record: ImageRecord, heads: Sequence[Head], iou: float) -> list[HeadResult]:
    """Each true head with the found one that overlaps it most, then what was read besides."""
    outlines = find_outlines(record.boxes, (record.width, record.height))
    partners = _matched([o.casing for o in outlines], [h.outline.casing for h in heads], iou)
    results = [
        _result(record, outline, heads[partner] if partner is not None else None)
        for outline, partner in zip(outlines, partners, strict=True)
    ]
    rest = [head for number, head in enumerate(heads) if number not in partners]
    for head in rest:
        read = tuple(word.text for word in head.words)
        if read:
            extra = sum(map(len, map(plain_token, read)))
            results.append(HeadResult(record.name, "", True, (), read, None, head, 0, extra))
    return results


def _matched(truth: Sequence[Box], found: Sequence[Box], iou: float) -> list[int | None]:
    """For each true box the number of its found one, the best overlaps first."""
    overlaps = coco_iou(truth, found) if truth and found else np.zeros((len(truth), len(found)))
    partners: list[int | None] = [None] * len(truth)
    while overlaps.size and overlaps.max() >= iou:
        row, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        partners[int(row)] = int(column)
        overlaps[row], overlaps[:, column] = -1, -1
    return partners


def _result(record: ImageRecord, outline: Outline, head: Head | None) -> HeadResult:
    facts = outline.casing.attributes
    tokens = tuple(map(str, facts.get("tokens") or str(facts.get("text") or "").split()))
    read = tuple(word.text for word in head.words) if head is not None else ()
    result = HeadResult(
        record.name,
        str(facts.get("object_id") or ""),
        bool(tokens) and facts.get("legibility", "full") == "full",
        tokens,
        read,
        outline,
        head,
        token_hits(tokens, read),
        token_errors(tokens, read),
    )
    if head is None:
        return result
    directed, named = _directed(facts.get("segments") or (), head)
    return replace(result, directed=directed, named=named)


def _directed(segments: Sequence[Mapping[str, Any]], head: Head) -> tuple[int, int]:
    """Right tokens with the right direction, and right ones whose direction is known."""
    wanted = Counter(
        (plain_token(token), head_direction(str(segment["direction"])))
        for segment in segments
        if segment.get("direction")
        for token in str(segment.get("text", "")).split()
    )
    given = Counter((plain_token(word.text), str(word.direction)) for word in head.words)
    return (wanted & given).total(), (_texts(wanted) & _texts(given)).total()


def _texts(pairs: Counter[tuple[str, str]]) -> Counter[str]:
    """Texts, whatever their direction."""
    return Counter(text for text, _ in pairs.elements())


def _figures(heads: Sequence[HeadResult], resamples: int) -> dict[str, Figure]:
    table = np.array([[r.counts()[name] for name in _COUNTS] for r in heads], np.float64)
    table = table.reshape(-1, len(_COUNTS))
    units = [result.object_id for result in heads]
    objects = [np.array([unit == name for unit in units]) for name in sorted({*units} - {""})]
    once = _values(table, objects, np.ones((1, len(heads)), np.int64))
    drawn = _values(table, objects, resample(units, resamples))
    sums = dict(zip(_COUNTS, table.sum(0).astype(int).tolist(), strict=True))
    rests = {
        "token_precision": sums["read"],
        "CER": sums["characters"],
        "exact": sums["heads"],
        "direction": sums["named"],
        "found": sums["heads"],
        "object_token_F1": len(objects),
    }
    return {
        name: figure(float(value[0]), rests.get(name, sums["true"]), drawn[name])
        for name, value in once.items()
    }


def _values(table: Floats, objects: Sequence[NDArray[np.bool_]], weights: Any) -> dict[str, Floats]:
    """Figures ``[k]`` of heads that count as often as ``[k, heads]`` says."""
    values = _shares(weights @ table)
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for own in objects:
        # An object that was drawn twice counts twice.
        times = weights[:, own][:, 0]
        score = _shares(weights[:, own] @ table[own])["token_F1"]
        total += np.where(times > 0, times * score, 0.0)
        count += times
    return {**values, "object_token_F1": divide(total, count)}


def _shares(sums: Floats) -> dict[str, Floats]:
    """Figures of summed counts ``[k, len(_COUNTS)]``; NaN where there is nothing to count."""
    of = dict(zip(_COUNTS, sums.T, strict=True))
    return {
        "token_F1": divide(2 * of["hits"], of["true"] + of["read"]),
        "token_precision": divide(of["hits"], of["read"]),
        "token_recall": divide(of["hits"], of["true"]),
        "CER": divide(of["errors"], of["characters"]),
        "exact": divide(of["exact"], of["heads"]),
        "direction": divide(of["directed"], of["named"]),
        "found": divide(of["found"], of["heads"]),
    }
