"""Export of a document-type run: the file, parity, the int8 variant, latency, the model card."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightbook.docclass.card import model_card
from sightbook.docclass.evaluation_sets import registered
from sightbook.docclass.graph import OnnxOptions, export_embedder, quantize_static
from sightbook.docclass.metrics import verification
from sightbook.docclass.model import Embedder, load_embedder
from sightbook.docclass.params import ExportDocclass
from sightbook.docclass.predict import Predictor
from sightbook.docclass.search_metrics import identification, search
from sightbook.docclass.show_train import embed
from sightbook.docclass.store import Store, synthetic_store
from sightbook.docclass.synth.views import views_of
from sightbook.docclass.train import WEIGHTS
from sightbook.inference import onnx
from sightbook.inference.cards import read_records
from sightbook.inference.export import Exported
from sightbook.inference.models import MODEL, find_model
from sightbook.runs.files import write_atomic
from sightbook.training.weights import weights_file

PARITY_SEED = 0xE4
"""Seed of the types on which variants are compared: none of training's or evaluation's."""

TYPES, VIEWS = 60, 6
CALIBRATION_VIEWS = 96


def export_run(run: Path, params: ExportDocclass) -> Exported:
    """Export a run into its own folder.

    Raises:
        RunError: no such run, or it holds no trained network.
        ParameterError: `params.onnx` does not fit the network.
    """
    file = write_package(run, OnnxOptions.of(params.onnx, params.opset))
    types = synthetic_store(TYPES, PARITY_SEED)
    views, labels = views_of(types, VIEWS, "hard", PARITY_SEED)
    samples = min(len(views), params.samples)
    model = load_embedder(find_model("docclass", run, WEIGHTS))
    target = run / "int8" / MODEL
    if params.int8:
        target.parent.mkdir(exist_ok=True)
        seen, _ = views_of(synthetic_store(CALIBRATION_VIEWS, PARITY_SEED + 1), 1, "hard", 0)
        quantize_static(file, target, seen)
    few = views[:: max(1, len(views) // samples)]
    compare = partial(parity_of, model, types=types, views=few)
    parity = {"embedding": onnx.with_half_weights(file, compare, params.weights == "fp16")}
    variants = [measure(file, "float32", types, views, labels, params.repeats)]
    if params.int8:
        variants.append(measure(target, "int8", types, views, labels, params.repeats))
    one = torch.rand(1, 3, model.config.side, model.config.side)
    speed = {
        "torch_batch1_ms": round(onnx.torch_latency(partial(model, one), params.repeats), 3),
        "onnxruntime_batch1_ms": variants[0]["batch1_ms"],
    }
    exported = Exported(run, [file], parity, variants, speed, "--register TEMPLATES FILE...")
    write_atomic(run / "model_card.md", model_card(run, exported))
    return exported


def write_package(run: Path, options: OnnxOptions | None = None) -> Path:
    """Write `model.onnx` of a run; a threshold that was calibrated for these weights is kept.

    Raises:
        RunError: the run holds no trained network.
    """
    model = load_embedder(find_model("docclass", run, WEIGHTS))
    return export_embedder(model, run / MODEL, metadata(run), options)


def ensure_package(run: Path) -> Path:
    """The run's exported file, written if it is missing or older than its weights."""
    file, weights = run / MODEL, weights_file(run, WEIGHTS)
    fresh = file.is_file() and (
        not weights.is_file() or file.stat().st_mtime >= weights.stat().st_mtime
    )
    return file if fresh else write_package(run)


def metadata(run: Path) -> dict[str, Any]:
    """What the file says about itself: provenance, parameters, metrics, threshold."""
    records = read_records(run)
    threshold = (records.metrics.get("evaluate") or {}).get("threshold")
    return {**records.facts, "threshold": threshold} if threshold else records.facts


def parity_of(
    model: Embedder, file: Path, types: Store, views: NDArray[np.uint8]
) -> dict[str, Any]:
    """Difference of embeddings between onnxruntime and PyTorch, and whether they answer alike.

    Returns:
        As `onnx.parity`; `scores`: largest difference of a view's similarity to a template;
        `same_top1`: share of views whose nearest template is the same one; and `views`.
    """
    predictor = Predictor(file)
    clean, _ = registered(types)
    ours, theirs = predictor.embed(views), embed(model, views)
    templates = predictor.embed(types.pixels), embed(model, clean)
    scores = [e @ t.T for e, t in zip((ours, theirs), templates, strict=True)]
    same = float((scores[0].argmax(axis=1) == scores[1].argmax(axis=1)).mean())
    return {
        **onnx.parity([ours], [theirs]),
        "scores": float(np.abs(scores[0] - scores[1]).max()),
        "same_top1": same,
        "views": len(views),
    }


def measure(
    file: Path,
    name: str,
    types: Store,
    views: NDArray[np.uint8],
    labels: NDArray[np.int64],
    repeats: int,
) -> dict[str, Any]:
    """Size, speed on one CPU thread, and accuracy of one variant on generated unseen types.

    Returns:
        `megabytes`, `batch1_ms` and `batch64_ms` (medians of the network alone), `embeddings_s` at
        batch 64, `top1` among clean templates, `tpr_1e-2` and `tpr_1e-3` over all pairs of views,
        `types` and `views`.
    """
    session = onnx.session(file, threads=1)
    entry = session.get_inputs()[0]
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
    side = int(entry.shape[2])
    rng = np.random.default_rng(0)
    spent = {}
    for batch in (1, 64):
        pixels = rng.random((fixed or batch, 3, side, side), dtype=np.float32)
        spent[batch] = onnx.latency(session, {entry.name: pixels}, repeats)["median_ms"]
    predictor = Predictor(file)
    queries = predictor.embed(views)
    found = search(queries, labels, predictor.embed(types.pixels), types.classes, types.families)
    pairs = verification(queries, labels, types.families, fprs=(1e-2, 1e-3), bootstrap=0)
    return {
        "variant": name,
        "megabytes": round(onnx.file_size(file), 2),
        "batch1_ms": round(spent[1], 3),
        "batch64_ms": round(spent[64], 2),
        "embeddings_s": round((fixed or 64) / spent[64] * 1000),
        "top1": round(identification(found, bootstrap=0).top1["value"] or 0.0, 4),
        "tpr_1e-2": round(pairs.at(1e-2).tpr, 4),
        "tpr_1e-3": round(pairs.at(1e-3).tpr, 4),
        "types": len(types.names),
        "views": len(views),
    }
