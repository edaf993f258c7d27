"""Evaluation of an embedding on types it was never trained on: figures, threshold, hard cases.

Everything is measured twice, on the model and on plain pixels: what a picture's 16x16 thumbnail can
do already is no merit of a network. Types, views and protocol are the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import Skipped
from sightbook.docclass.evaluation_sets import (
    Image,
    Sets,
    evaluation_sets,
    registered,
)
from sightbook.docclass.hard_cases import Confusion, Embed, FactorPoint, hardest, robustness
from sightbook.docclass.metrics import (
    OperatingPoint,
    Verification,
    normalised,
    verification,
)
from sightbook.docclass.params import EvaluateDocclass
from sightbook.docclass.search_metrics import (
    ClosedSet,
    OpenSet,
    Realised,
    Search,
    Threshold,
    calibrate,
    false_identifications,
    identification,
    open_set,
    realised,
    search,
)
from sightbook.docclass.store import Store
from sightbook.docclass.synth.views import plain_pixels, views_of
from sightbook.inference import onnx
from sightbook.metrics.bootstrap import Figure, format_figure

MODEL, PIXELS = "model", "plain pixels"

MODEL_FILE = "model.onnx"

REGISTRY_SIZES = (2, 5, 10, 20, 50, 100, 200, 500)

BATCH = 64

SUMMARY_FPRS = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Figures:
    """What one embedding reaches.

    Attributes:
        verification: over all pairs of test views.
        identification: of test views among clean templates, one of each test type.
        open_set: the same with half of the types unknown.
        threshold: chosen on the calibration types.
        realised: what that threshold does to the test types.
        by_size: registered types -> expected share of unknown test views that it lets through.
        promised: the same of the calibration types; ends at the rate it was chosen for.
    """

    verification: Verification
    identification: ClosedSet
    open_set: OpenSet
    threshold: Threshold
    realised: Realised
    by_size: dict[int, float]
    promised: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for metrics.json."""
        pairs, found = self.verification, self.identification
        return {
            "verification": {
                "points": [asdict(point) for point in pairs.points],
                "auroc": pairs.auroc,
                "n_genuine": pairs.n_genuine,
                "n_impostor": pairs.n_impostor,
                "families": pairs.families,
            },
            "identification": {
                "top1": found.top1,
                "wilson": found.wilson,
                "family": found.family,
                "types": found.types,
            },
            "open_set": {
                "points": [asdict(point) for point in self.open_set.points],
                "types": self.open_set.types,
                "unknown_views": self.open_set.unknown,
                "draws": self.open_set.draws,
            },
            "threshold": self.threshold.to_dict(),
            "realised": asdict(self.realised),
            "false_identification_by_registered_types": {
                "test": self.by_size,
                "calibration": self.promised,
            },
        }


@dataclass(frozen=True)
class Evaluation:
    """Figures of the model and of plain pixels, and what is needed to look behind them.

    Attributes:
        figures: by embedding.
        robustness: every factor, amount and embedding.
        confusions: the hardest first, at most one for each type.
        embeddings: of the test views, by embedding, ``[n, dim]``.
        labels: types of the test views, int64 ``[n]``.
        sets: the types.
        level: of the views.
        skipped: pictures that could not be read.
    """

    figures: dict[str, Figures]
    robustness: list[FactorPoint]
    confusions: list[Confusion]
    embeddings: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    sets: Sets
    level: str
    skipped: dict[str, Any]

    @property
    def threshold(self) -> Threshold:
        """The model's."""
        return self.figures[MODEL].threshold

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into metrics.json."""
        return {
            "level": self.level,
            "summary": self.summary,
            "sets": self.sets.describe(),
            "threshold": self.threshold.to_dict(),
            **{name.replace(" ", "_"): f.to_dict() for name, f in self.figures.items()},
            "robustness": [asdict(point) for point in self.robustness],
            "skipped": self.skipped,
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The figures to look at first: the model's with intervals, those of plain pixels bare."""
        rows: dict[str, Any] = {}
        for name, figures in self.figures.items():
            pairs, found = figures.verification, figures.open_set
            shown: dict[str, Any] = {
                _rate("TPR@FPR", point.target): _interval(point, pairs.n_impostor)
                for point in pairs.points
                if point.target in SUMMARY_FPRS and point.reachable
            }
            shown["top-1"] = figures.identification.top1
            shown |= {
                _rate("DIR@FAR", point.target): _interval(point, found.unknown)
                for point in found.points
                if point.target in SUMMARY_FPRS and point.reachable
            }
            if name == MODEL:
                rows |= shown
            else:
                rows |= {f"{key}, {name}": value["value"] for key, value in shown.items()}
        return rows

    def table(self) -> list[dict[str, Any]]:
        """Rows for display: figure, model and pixel floor with 95 % intervals, and n."""
        ours, floor = self.figures[MODEL], self.figures[PIXELS]
        rows = []
        for a, b in zip(ours.verification.points, floor.verification.points, strict=True):
            name = f"TPR at FPR {a.target:.0e}".replace("e-0", "e-")
            if not a.reachable:
                name += " (too few pairs)"
            pairs = f"{ours.verification.n_genuine:,} / {ours.verification.n_impostor:,} pairs"
            rows.append(_row(name, _point_text(a), _point_text(b), pairs))
        area, floor_area = (f"{f.verification.auroc:.4f}" for f in (ours, floor))
        rows.append(_row("AUROC", area, floor_area, rows[0]["n"]))
        first, second = ours.identification, floor.identification
        probes = f"{first.top1['n']:,} views, {first.types} types"
        own, other = format_figure(first.top1), format_figure(second.top1)
        rows.append(_row("top-1 identification", own, other, probes))
        if first.family["hits"] != first.top1["hits"]:
            own, other = format_figure(first.family), format_figure(second.family)
            rows.append(_row("right artwork family", own, other, probes))
        for a, b in zip(ours.open_set.points, floor.open_set.points, strict=True):
            name = f"DIR at FAR {a.target:.0e}".replace("e-0", "e-")
            if not a.reachable:
                name += " (too few views)"
            known = f"{ours.open_set.types} types, {ours.open_set.unknown:,} unknown views"
            rows.append(_row(name, _point_text(a), _point_text(b), known))
        return rows

    def threshold_table(self) -> list[dict[str, Any]]:
        """Rows for display: what the default threshold does to the test types."""
        named = {
            "known type: right": "right",
            "known type: another one of its family": "same_family",
            "known type: wrong": "wrong",
            "known type: rejected": "rejected",
            "unknown type: accepted": "false_identification",
        }
        rows = []
        for name, key in named.items():
            a, b = (getattr(self.figures[e].realised, key) for e in (MODEL, PIXELS))
            rows.append(_row(name, format_figure(a), format_figure(b), f"{a['n']:,} views"))
        return rows


def run_evaluation(params: EvaluateDocclass, run: Path) -> Evaluation:
    """Evaluate a run through its exported file, which is written first if need be.

    The threshold that comes out is written into the file: predictors take it from there.
    """
    from sightbook.docclass.export import ensure_package
    from sightbook.docclass.predict import Predictor

    ensure_package(run)
    file = run / MODEL_FILE
    result = evaluate(params, run, Predictor(file).embed)
    kept = {**onnx.read_metadata(file), "threshold": result.threshold.to_dict()}
    onnx.write_metadata(file, kept)
    return result


def evaluate(params: EvaluateDocclass, run: Path, embed: Embed) -> Evaluation:
    """Measure an embedding, and plain pixels beside it.

    Args:
        params: of the evaluation.
        run: folder of the training, whose parameters say what it was trained on.
        embed: the model.
    """
    skipped = Skipped(params.max_bad)
    sets = evaluation_sets(params, run, skipped)
    embeds: dict[str, Embed] = {MODEL: in_batches(embed), PIXELS: plain_pixels}
    calibration = views_of(sets.calibration, params.views, params.level, params.seed)
    views, labels = views_of(sets.test, params.views, params.level, params.seed)
    figures, embeddings, confusions = {}, {}, []
    for name, one in embeds.items():
        embeddings[name] = one(views)
        found = _search(one, embeddings[name], labels, sets.test)
        among = _search(one, one(calibration[0]), calibration[1], sets.calibration)
        figures[name] = _figures(params, embeddings[name], sets.test, found, among)
        if name == MODEL:
            confusions = hardest(found, views, sets.test, params.worst)
    return Evaluation(
        figures=figures,
        robustness=robustness(embeds, sets.test, params.seed),
        confusions=confusions,
        embeddings=embeddings,
        labels=labels,
        sets=sets,
        level=params.level,
        skipped=skipped.to_dict(),
    )


def in_batches(embed: Embed, size: int = BATCH) -> Embed:
    """The same embedding, asked for a few pictures at a time: memory stays small."""

    def embed_all(images: Image) -> NDArray[np.float32]:
        parts = [embed(images[start : start + size]) for start in range(0, len(images), size)]
        return normalised(np.concatenate(parts))

    return embed_all


def _search(
    embed: Embed, queries: NDArray[np.float32], labels: NDArray[np.int64], store: Store
) -> Search:
    templates, types = registered(store)
    return search(queries, labels, embed(templates), types, store.families)


def _figures(
    params: EvaluateDocclass,
    queries: NDArray[np.float32],
    store: Store,
    found: Search,
    among: Search,
) -> Figures:
    resamples, seed = params.bootstrap, params.seed
    threshold = calibrate(among, params.fpr, resamples, seed)
    return Figures(
        verification(queries, found.labels, store.families, bootstrap=resamples, seed=seed),
        identification(found, resamples, seed),
        open_set(found, bootstrap=resamples, seed=seed),
        threshold,
        realised(found, threshold.value, resamples, seed),
        _by_size(found, threshold.value),
        _by_size(among, threshold.value),
    )


def _by_size(found: Search, threshold: float) -> dict[int, float]:
    most = len(found.types) - 1
    sizes = sorted({size for size in REGISTRY_SIZES if size < most} | {most})
    return dict(zip(sizes, false_identifications(found, threshold, sizes), strict=True))


def _rate(name: str, target: float) -> str:
    return f"{name}={target:.0e}".replace("e-0", "e-")


def _interval(point: OperatingPoint, n: int) -> Figure:
    return {"value": point.tpr, "n": n, "low": point.low, "high": point.high}


def _point_text(point: OperatingPoint) -> str:
    return f"{point.tpr:.3f} ({point.low:.3f} to {point.high:.3f})"


def _row(figure: str, model: str, pixels: str, n: str) -> dict[str, str]:
    return {"figure": figure, MODEL: model, PIXELS: pixels, "n": n}
