"""Where an embedding fails: under which disturbance, and on which pairs of types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.evaluation_sets import Image, factor_views, registered
from sightbook.docclass.metrics import operating_points
from sightbook.docclass.search_metrics import Search, Share, search, share
from sightbook.docclass.store import Store
from sightbook.docclass.synth.views import FACTORS

Embed = Callable[[Image], NDArray[np.float32]]
"""Pictures uint8 ``[n, 128, 128, 3]`` to embeddings ``[n, dim]``."""

FACTOR_FPR = 1e-3
"""False positive rate of the robustness curves."""


@dataclass(frozen=True)
class FactorPoint:
    """What is left of an embedding at one amount of one factor.

    Attributes:
        embedding: model or plain pixels.
        factor: as in `views.FACTORS`.
        amount: of it.
        top1: views whose own template is the nearest one.
        tpr: views that match their template, at `FACTOR_FPR` against those of other families.
    """

    embedding: str
    factor: str
    amount: float
    top1: Share
    tpr: float


@dataclass(frozen=True)
class Confusion:
    """A view whose own template is hardly nearer than a stranger's, or is not.

    Attributes:
        probe: the view.
        own: template of its type.
        candidate: the nearest template of another family.
        type: the true type.
        other: the candidate's.
        own_score: similarity to its own template.
        other_score: similarity to the candidate.
    """

    probe: Image
    own: Image
    candidate: Image
    type: str
    other: str
    own_score: float
    other_score: float

    @property
    def wrong(self) -> bool:
        """Whether the candidate is nearer."""
        return self.other_score >= self.own_score


def robustness(embeds: Mapping[str, Embed], store: Store, seed: int) -> list[FactorPoint]:
    """Top-1 and TPR of views against clean templates, for each amount of each factor alone."""
    templates, types = registered(store)
    galleries = {name: embed(templates) for name, embed in embeds.items()}
    points = []
    for factor, amounts in FACTORS.items():
        for amount in amounts:
            views, labels = factor_views(store, factor, amount, seed)
            for name, embed in embeds.items():
                found = search(embed(views), labels, galleries[name], types, store.families)
                right = found.answers == labels
                (point,) = operating_points(
                    found.own, found.scores[~found.same_family], [FACTOR_FPR]
                )
                top1 = share(right, found.families[labels])
                points.append(FactorPoint(name, factor, amount, top1, point.tpr))
    return points


def hardest(found: Search, views: Image, store: Store, count: int) -> list[Confusion]:
    """Views whose own template is least ahead of the nearest stranger's, worst first.

    Each type is shown once, by its hardest view, and each pair of types in one direction only.
    """
    templates, _ = registered(store)
    impostors = np.where(found.same_family, np.float32(-np.inf), found.scores)
    nearest = found.types[impostors.argmax(axis=1)]
    own, other = found.own, found.impostors
    shown: dict[int, int] = {}
    worst: list[Confusion] = []
    for row in np.argsort(own - other, kind="stable").tolist():
        type_, candidate = int(found.labels[row]), int(nearest[row])
        if type_ in shown or shown.get(candidate) == type_:
            continue
        shown[type_] = candidate
        worst.append(
            Confusion(
                views[row],
                templates[type_],
                templates[candidate],
                store.names[type_],
                store.names[candidate],
                float(own[row]),
                float(other[row]),
            )
        )
        if len(worst) == count:
            break
    return worst
