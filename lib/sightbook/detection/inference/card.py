"""The model card of a detection run: what it is for, how good it is, where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightbook.cards import card_page, origin, params_told, read_records, validation_told
from sightbook.detection.inference.predict import UNCALIBRATED
from sightbook.detection.metrics.scoring import shown
from sightbook.exporting import Exported
from sightbook.onnx import read_metadata
from sightbook.tables import Table

_PURPOSE = {
    "defects": "Finds defects on photographs of surfaces, and calls each picture defective or "
    "clean.",
    "headstamps": "Finds the bases of cartridges and their primers on photographs, so that what is "
    "stamped around them can be unrolled and read.",
}

_CAUTION = {
    "defects": "A picture is judged by its most certain detection. What the model was not trained "
    "on (another kind of surface, another camera, night) it may judge wrongly with confidence: "
    "measure on pictures of your own, and choose the operating point on them.",
    "headstamps": "A reading is a hint for a person who looks at the photograph, not evidence: "
    "stamps are worn, alike, and forged.",
}


def model_card(run: Path, exported: Exported) -> str:
    """The card as Markdown; every number is taken from the run folder's own records."""
    records = read_records(run)
    facts = read_metadata(exported.files[0])
    line = facts["line"]
    drawn = f"none, all pictures were generated from seed {records.params.get('seed')}"
    return card_page(
        f"{line}, run {records.name}",
        _PURPOSE[line],
        [f"sightbook predict {line} FILE... --json --model {records.name}"],
        [_contract(facts), "", _CAUTION[line]],
        _evaluation(records.metrics, facts, line),
        exported,
        _agreement(exported),
        [
            *params_told(records.params),
            *origin(records, drawn),
            *validation_told(records.metrics),
        ],
    )


def _contract(facts: dict[str, Any]) -> str:
    outputs = "; ".join(f"`{name}` {told}" for name, told in facts["outputs"].items())
    side = facts["input"]["longer_side"]
    return (
        f"Input `{facts['input']['name']}` [3, height, width] float32 of any size: RGB from 0 to "
        f"1. The graph scales the longer side to {side} pixels; pictures that are much larger "
        f"should be averaged over areas to that size before. Outputs: {outputs}. Classes: "
        f"{', '.join(facts['labels'])}. Detections below {facts['score_floor']} are not given out."
    )


def _evaluation(metrics: dict[str, Any], facts: dict[str, Any], line: str) -> list[str]:
    done = metrics.get("evaluate")
    if not done:
        return [f"Not evaluated yet: run `03_evaluate_{line}` and export again.", ""]
    rows = [
        {"figure": name, "value (95 % interval)": shown(figure), "n": f"{figure['n']:,}"}
        for name, figure in done["summary"].items()
    ]
    over = f"; intervals by resampling {done['intervals_over']}" if "intervals_over" in done else ""
    lines = [
        f"Measured on {done['data']}{over}.",
        "",
        Table(rows).markdown(),
        "",
    ]
    if line != "defects":
        return lines
    known = str(done.get("data", "")).endswith((", validation", ", all"))
    return [*lines, *_decision(facts.get("operating_point"), known)]


def _decision(point: dict[str, Any] | None, known: bool) -> list[str]:
    """Where a picture is called defective, and what was promised when that was chosen.

    Args:
        point: see `metrics.image.OperatingPoint`.
        known: whether the figures above are from pictures that it was chosen on.
    """
    if not point:
        return [
            f"No operating point was chosen: a picture is called defective from {UNCALIBRATED} on.",
            "",
        ]
    told = [
        f"{name} {point[name]:.3f}"
        for name in ("recall", "specificity", "precision")
        if point[name] is not None
    ]
    reached = "" if point["reachable"] else " (which no confidence reaches)"
    return [
        f"A picture is called defective from {point['eval_conf']:.3f} on. That was chosen for a "
        f"recall of {point['required_recall']:.2f}{reached} on {point['images']} "
        f"{'of these very' if known else 'other'} pictures, {point['defective']} of them "
        f"defective; there it gave {', '.join(told)}."
        + (" On others expect less: see cross-validation." if known else ""),
        "",
    ]


def _agreement(exported: Exported) -> list[str]:
    parity = exported.parity["detection"]
    return [
        f"Against PyTorch on {parity['inputs']} inputs of two sizes: {parity['found_by_both']:.1%} "
        f"of {parity['detections']} detections found by both; largest difference of an edge "
        f"{parity.get('boxes_px', 0):.1e} pixels, of a score {parity.get('scores', 0):.1e}. One "
        f"picture on one thread: {exported.speed['onnxruntime_ms']} ms with onnxruntime, "
        f"{exported.speed['torch_ms']} ms with PyTorch. Accuracies in the table are on pictures "
        "that were not trained on.",
        "",
    ]
