"""Inspecting surfaces with an exported model, without torch: `sightbook predict defects`.

from sightbook import defects
predictor = defects.Predictor("potholes")       # a shipped model, a run's name or a path
found = predictor.predict("road.jpg")           # or an array, a PIL image, bytes
found.defective, found.score, [(box.label, box.score, box.xyxy) for box in found.boxes]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightbook.detection.inference.overlay import draw_detections
from sightbook.detection.inference.predict import UNCALIBRATED, Inspection, Predictor
from sightbook.predicting import Option, predict_files, setting_up, settings

OPTIONS = (
    Option("eval_conf", float, "confidence from which a picture is defective (the model's own)"),
    Option("min_score", float, "detections below are left out (0.05)"),
    Option("tile", int, "side in pixels of windows in which large pictures are looked at too"),
    Option("overlap", float, "share of a window that its neighbour shows too (0.2)"),
    Option("threads", int, "CPU threads (1)"),
)


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict defects`: prints an answer a picture.

    Args:
        files: pictures, folders, PDFs.
        options: `json`, `model` (`potholes`, `pcb`, a run, a path), `render` and those of
            :data:`OPTIONS`.

    Returns:
        The exit code: 1 if any picture could not be read.
    """
    with setting_up():
        own = settings(options, *(option.name for option in OPTIONS))
        predictor = Predictor(options.get("model"), **own)
    if not predictor.calibrated and "eval_conf" not in own:
        print(
            f"{predictor.file}: has no operating point, pictures are called defective from "
            f"{UNCALIBRATED} on; run 03_evaluate_defects on its run and export it again, or give "
            "one (--eval-conf 0.4)",
            file=sys.stderr,
        )
    return predict_files(
        files,
        options,
        predictor.predict,
        describe=describe,
        draw=lambda image, found: draw_detections(image, found.boxes, found.eval_conf),
    )


def describe(name: str, found: Inspection) -> str:
    """An answer for the terminal: the decision and what it rests on."""
    sure = [box for box in found.boxes if (box.score or 0.0) >= found.eval_conf]
    verdict = "DEFECTIVE" if found.defective else "clean"
    head = (
        f"{name}: {verdict}, score {found.score:.2f} (defective from {found.eval_conf:.2f} on; "
        f"{found.seconds:.2f} s)"
    )
    rows = [
        f"    {box.label} {box.score:.2f} at " + " ".join(f"{value:.0f}" for value in box.xyxy)
        for box in sure
    ]
    return "\n".join([head, *rows])
