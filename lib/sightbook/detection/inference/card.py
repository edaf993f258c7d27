"""The model card of a detection run: what it is for, how good it is, where it came from."""

from __future__ import annotations

from collections.abc import Sequence
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
from sightbook.inference.onnx import read_metadata
from sightbook.metrics.bootstrap import format_figure


def model_card(
    run: Path, exported: Exported, purpose: str, caution: str, decided: Sequence[str] = ()
) -> str:
    """The card as Markdown; every number is taken from the run folder's own records.

    Args:
        run: the run's folder.
        exported: what was written into it.
        purpose: what the line's models are for.
        caution: what to beware of.
        decided: lines that follow the figures, of a line that decides by its detections.
    """
    records = read_records(run)
    facts = read_metadata(exported.files[0])
    line = facts["line"]
    drawn = f"none, all pictures were generated from seed {records.params.get('seed')}"
    return card_page(
        f"{line}, run {records.name}",
        purpose,
        [f"sightbook predict {line} FILE... --json --model {records.name}"],
        [_contract(facts), "", caution],
        [*_evaluation(records.metrics, line), *decided],
        exported,
        _agreement(exported),
        [
            *format_params(records.params),
            *origin(records, drawn),
            *format_validation(records.metrics),
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


def _evaluation(metrics: dict[str, Any], line: str) -> list[str]:
    done = metrics.get("evaluate")
    if not done:
        return [f"Not evaluated yet: run `03_evaluate_{line}` and export again.", ""]
    rows = [
        {"figure": name, "value (95 % interval)": format_figure(figure), "n": f"{figure['n']:,}"}
        for name, figure in done["summary"].items()
    ]
    over = f"; intervals by resampling {done['intervals_over']}" if "intervals_over" in done else ""
    return [
        f"Measured on {done['data']}{over}.",
        "",
        Table(rows).markdown(),
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
