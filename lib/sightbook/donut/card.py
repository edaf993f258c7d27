"""The model card of a Donut run: what it is for, how good it is, where it came from."""

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
from sightbook.metrics.bootstrap import format_interval

FIGURES = {
    "zone_recall": "zones found (outline IoU at least 0.5, right way up)",
    "exact_zone": "zones read exactly",
    "exact_line": "lines read exactly",
    "cer": "character error rate",
    "cer_content": "character error rate without fillers",
    "checks_ok": "readings whose check digits are all right",
    "valid_but_wrong": "valid but wrong",
    "false_zones": "zones fired where there is none",
    "seconds": "seconds a picture",
}


ABOUT = {
    "zone": "Finds, straightens and reads the machine-readable zone (ICAO Doc 9303: TD1, TD2, TD3, "
    "MRV-A, MRV-B) on a photo or scan of a travel document.",
    "page": "Reads a whole page and writes its fields as JSON (Donut, Kim et al. 2022).",
}

CARD_PARAMS = (
    "pipeline",
    "encoder",
    "size",
    "init",
    "epochs",
    "samples",
    "batch_size",
    "precision",
)
"""Parameters on the card."""


def model_card(run: Path, exported: Exported) -> str:
    """The card as Markdown; every number is taken from the run folder's own records."""
    records = read_records(run)
    metrics = records.metrics
    return card_page(
        f"donut, run {records.name}",
        ABOUT[str(records.params.get("pipeline", records.params.get("road")))],
        [f"sightbook predict donut FILE... --json --model {records.name}"],
        [
            f"{_files(exported)} belong together; they "
            "need onnxruntime, numpy and OpenCV. The reading comes with a confidence and the check "
            "digits, and says what was changed against what was read. A zone whose digits are all "
            "right can still be misread: names and state codes have no digit. Do not decide on a "
            "person with it alone."
        ],
        [
            *_evaluation(metrics.get("evaluate", {})),
            *(_evaluation(metrics["specimens"]) if "specimens" in metrics else []),
        ],
        exported,
        _agreement(exported),
        [
            *format_params(records.params, CARD_PARAMS),
            *origin(records),
            *format_validation(metrics),
        ],
    )


def _files(exported: Exported) -> str:
    return ", ".join(f"`{file.name}`" for file in exported.files)


def _evaluation(metrics: dict[str, Any]) -> list[str]:
    if not metrics:
        return ["Not evaluated yet: run `03_evaluate_donut` and export again.", ""]
    figures = {**metrics.get("finding", {}), **metrics.get("reading", {})}
    rows = []
    for name, meaning in FIGURES.items():
        figure = figures.get(name)
        if figure and figure["value"] is not None:
            rows.append(
                {
                    "figure": meaning,
                    "value": f"{figure['value']:.3f}",
                    "95 % interval": format_interval(figure),
                    "n": figure["n"],
                }
            )
    data = metrics.get("data", "synthetic")
    return [
        f"Measured on `{data}` ({metrics.get('documents')} documents):",
        "",
        Table(rows).markdown(),
        "",
    ]


def _agreement(exported: Exported) -> list[str]:
    """Speed and parity, in sentences."""
    parity, speed = exported.parity, exported.speed
    tokens = parity["tokens"]
    count = tokens.get("lines", tokens.get("pages"))
    lines = [f"The very tokens of PyTorch's `generate` on {tokens['same_tokens']:.1%} of {count}."]
    if "encoder" in parity:
        lines.append(
            f"Largest difference of a CTC probability {parity['encoder']['max_abs']:.1e}, of a "
            f"finder output {parity['finder']['max_abs']:.1e}."
        )
    if speed:
        lines.append(
            f"Greedy decoding of one line on one thread: {speed['onnxruntime_ms']} ms with "
            f"onnxruntime, {speed['transformers_ms']} ms with transformers' generate "
            f"({speed['times_faster']} times)."
        )
    return [" ".join(lines), ""]
