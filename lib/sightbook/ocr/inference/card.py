"""The model card of an OCR run: what it is for, how good it is, where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightbook.figures.tables import Table
from sightbook.inference.cards import card_page, format_params, origin, read_records
from sightbook.inference.export import Exported
from sightbook.inference.onnx import read_metadata

_PURPOSE = {
    "detection": "Finds the words of a page: a probability for each pixel of standing in a word, "
    "from which rectangles are made.",
    "recognition": "Reads lines of text, cut out along their words.",
    "layout": "Arranges the words of a page in lines and paragraphs, by their rectangles alone.",
}

_CONTRACT = {
    "detection": "Input `image` [batch, 1, {height}, {width}] float32: grey (.299R + .587G + "
    ".114B) from 0 to 1, minus 0.5; smaller pictures are padded at right and bottom with -0.5, all "
    "others resized bilinearly, aspect not kept. Output `probabilities` of the same shape. A logit "
    "shift of {shift:+.2f} is folded into the graph, so that the engine's fixed threshold of 0.2 "
    "finds words best.",
    "recognition": "Input `line_image` [batch, 1, 64, width] float32: grey as in detection, width "
    "= 64 x aspect from 10 to 2400, padded at the right with -0.5 to a multiple of 50; -0.5 stands "
    "outside the words too. Output `log_probs` [seq, batch, {classes}]: class 0 is CTC's blank, "
    "class i + 1 is character i of the alphabet in `alphabet.txt` and in the file's metadata.",
    "layout": "Inputs `words` [batch, words, 6] and `mask`; outputs `line_ends`, `next_word` and "
    "`same_paragraph`, decoded by `sightbook.ocr.layout.arrange`. For onnxruntime: the ocrs engine "
    "groups words by rules of its own.",
}

_VERSIONS = (
    "ONNX is the primary artefact. The ocrs engine loads `model.onnx` where it is built with its "
    "`onnx` feature (from releases of autumn 2026 on by default) and `model.rten` (format version "
    "2) from 0.8.1 on (later behind a feature)."
)


def model_card(run: Path, task: str, exported: Exported) -> str:
    """The card as Markdown; every number is taken from the run folder's own records."""
    records = read_records(run)
    facts = read_metadata(exported.files[0])
    use = [f"sightbook predict ocr FILE... --json --model {records.name}"]
    notes = [_contract(task, facts), ""]
    if task == "recognition":
        use.append(facts["ocrs"])
    if task != "layout":
        notes += [_VERSIONS, ""]
    return card_page(
        f"ocr {task}, run {records.name}",
        _PURPOSE[task],
        use,
        [*notes, "What was read may be wrong: let nothing depend on it that nobody looks at."],
        _validation(records.metrics),
        exported,
        _agreement(exported, task),
        [*format_params(records.params), *origin(records)],
    )


def _contract(task: str, facts: dict[str, Any]) -> str:
    height, width = facts.get("input", {}).get("size", (0, 0))
    return _CONTRACT[task].format(
        height=height,
        width=width,
        shift=facts.get("logit_shift", 0.0),
        classes=len(facts.get("alphabet", "")) + 1,
    )


def _validation(metrics: dict[str, Any]) -> list[str]:
    kept = {k: v for k, v in metrics.items() if "/" in k and isinstance(v, int | float)}
    if not kept:
        return ["No figures are recorded with this run.", ""]
    rows = [{"figure": name, "value": f"{value:.4f}"} for name, value in kept.items()]
    return [
        "At the end of training, on pages that were not trained on. The whole pipeline's figures "
        "come from `03_evaluate_ocr`.",
        "",
        Table(rows).markdown(),
        "",
    ]


def _agreement(exported: Exported, task: str) -> list[str]:
    parity = exported.parity[task]
    share = next(name for name in parity if name.startswith("same_"))
    rows = [
        "The accuracies above were measured on the exported file with the engine's own pre- and "
        "post-processing, on one CPU thread.",
        "",
        f"Largest difference to PyTorch {parity['max_abs']:.1e}; {share.replace('_', ' ')} on "
        f"{parity[share]:.1%} of the samples.",
        "",
    ]
    speed = ", ".join(f"{name} {value}" for name, value in exported.speed.items())
    return [*rows, f"Speed: {speed}.", ""]
