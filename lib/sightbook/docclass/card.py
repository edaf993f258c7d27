"""The model card of a document-type run: what it is for, how good it is, where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightbook.figures.tables import Table
from sightbook.inference.cards import (
    card_page,
    format_params,
    format_validation,
    origin,
    read_records,
)
from sightbook.inference.export import Exported

MODEL, PIXELS = "model", "plain_pixels"


CARD_PARAMS = ("backbone", "dim", "head", "margin", "scale", "init", "epochs", "views",
    "batch_size",
        "level", "own_share", "precision")  # fmt: skip
"""Parameters on the card."""


def model_card(run: Path, exported: Exported) -> str:
    """The card as Markdown; every number is taken from the run folder's own records."""
    records = read_records(run)
    classes = records.run.get("classes") or {}
    return card_page(
        f"docclass, run {records.name}",
        "Embeds a photo of a document so that photos of one type lie together. A type is "
        "registered by one picture of it; types that were never trained on are meant to work.",
        [f"sightbook predict docclass --register TEMPLATES FILE... --json --model {records.name}"],
        [
            "Input `img` [batch, 3, 128, 128] float32: RGB from 0 to 1, the picture squeezed to a "
            "square; output `feats` [batch, dim] of unit length, compared by scalar product. The "
            "picture should be cut out roughly around the document. An answer is a resemblance, "
            "not a proof of authenticity: do not decide on a person with it alone."
        ],
        _evaluation(records.metrics),
        exported,
        _agreement(exported),
        [
            *format_params(records.params, CARD_PARAMS),
            f"- classes: {classes.get('own', 0)} of the user's, {classes.get('other', 0)} "
            f"generated or extra; {classes.get('validation', 0)} to validate on",
            *origin(records),
            *format_validation(records.metrics),
        ],
    )


def _evaluation(metrics: dict[str, Any]) -> list[str]:
    done = metrics.get("evaluate")
    if not done:
        return ["Not evaluated yet: run `03_evaluate_docclass` and export again.", ""]
    test = done["sets"]["test"]
    lines = [
        f"Types that were not trained on ({done['sets']['source']}): {test['types']} types in "
        f"{test['families']} artwork families, views of level `{done['level']}`. Intervals of 95 % "
        "by resampling families. The last column is what 16x16 pixels reach with the same "
        "protocol.",
        "",
        Table(_rows(done)).markdown(),
        "",
    ]
    threshold, realised = done["threshold"], done[MODEL]["realised"]
    lines += [
        f"The default threshold {threshold['value']:.3f} ({threshold['low']:.3f} to "
        f"{threshold['high']:.3f}) was chosen on {threshold['classes']} other types for "
        f"{threshold['target']:.1%} of unknown types' views being let through when all of them are "
        f"registered. On the test types it let {realised['false_identification']['value']:.1%} "
        f"through and rejected {realised['rejected']['value']:.1%} of views of registered types.",
        "",
    ]
    return lines


def _rows(done: dict[str, Any]) -> list[dict[str, str]]:
    ours, floor = done[MODEL], done[PIXELS]
    pairs = ours["verification"]
    count = f"{pairs['n_genuine']:,} / {pairs['n_impostor']:,} pairs"
    rows = [
        _row(f"TPR at FPR {a['target']:.0e}".replace("e-0", "e-"), "tpr", a, b, count)
        for a, b in zip(pairs["points"], floor["verification"]["points"], strict=True)
        if a["reachable"]
    ]
    first, second = ours["identification"]["top1"], floor["identification"]["top1"]
    rows.append(_row("top-1 identification", "value", first, second, f"{first['n']:,} views"))
    rows += [
        _row(
            f"DIR at FAR {a['target']:.0e}".replace("e-0", "e-"),
            "tpr",
            a,
            b,
            f"{ours['open_set']['unknown_views']:,} unknown views",
        )
        for a, b in zip(ours["open_set"]["points"], floor["open_set"]["points"], strict=True)
        if a["reachable"]
    ]
    return rows


def _row(
    name: str, key: str, ours: dict[str, float], floor: dict[str, float], n: str
) -> dict[str, str]:
    interval = f"{ours['low']:.3f} to {ours['high']:.3f}"
    return {
        "figure": name,
        "value": f"{ours[key]:.3f}",
        "95 % interval": interval,
        "n": n,
        "plain pixels": f"{floor[key]:.3f}",
    }


def _agreement(exported: Exported) -> list[str]:
    parity = exported.parity["embedding"]
    return [
        f"Largest difference to PyTorch {parity['max_abs']:.1e}, the same nearest template for "
        f"{parity['same_top1']:.1%} of {parity['views']} views. One picture on one thread: "
        f"{exported.speed['onnxruntime_batch1_ms']} ms with onnxruntime, "
        f"{exported.speed['torch_batch1_ms']} ms with PyTorch. Accuracies in the table are on "
        "generated types.",
        "",
    ]
