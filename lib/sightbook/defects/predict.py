"""Defects on pictures, and "defect or clean?", with an exported model: no torch.

from sightbook import defects
predictor = defects.Predictor("potholes")       # a shipped model, a run's name or a path
found = predictor.predict("road.jpg")           # or an array, a PIL image, bytes
found.defective, found.score, [(box.label, box.score, box.xyxy) for box in found.boxes]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightbook.data.images import ImageLike, as_pixels, iter_pixels
from sightbook.detection.inference.overlay import draw_detections
from sightbook.detection.inference.predict import (
    MIN_SCORE,
    UNCALIBRATED,
    Image,
    OnnxDetector,
    box_dict,
)
from sightbook.detection.labels.annotations import Box
from sightbook.inference.command import Option, predict_files, setting_up, settings

LINE = "defects"


@dataclass(frozen=True)
class Inspection:
    """The answer for one picture.

    Attributes:
        boxes: what was found, the most certain first; with outlines if the model has masks.
        defective: whether the most certain one reaches `eval_conf`.
        score: of the most certain one; 0 where nothing was found.
        eval_conf: the confidence from which a picture is called defective.
        seconds: wall-clock time.
    """

    boxes: tuple[Box, ...]
    defective: bool
    score: float
    eval_conf: float
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "defective": self.defective,
            "score": round(self.score, 4),
            "eval_conf": round(self.eval_conf, 4),
            "detections": [box_dict(box) for box in self.boxes],
            "seconds": round(self.seconds, 4),
        }


class Predictor(OnnxDetector):
    """Finds defects in pictures and calls each picture defective or clean.

    Args:
        model: as `models.find_model` takes it; None for the shipped one of potholes.
        eval_conf: a picture is defective if a detection reaches it; above 0, at most 1. None takes
            the operating point that is recorded in the file, :data:`UNCALIBRATED` if it has none.
        min_score: detections below are left out, but for the decision; 0 keeps all that the file
            gives, which figures such as AP need.
        tile: as `OnnxDetector` takes it.
        overlap: likewise.
        threads: likewise.

    Raises:
        RunError, FileNotFoundError: no such model.
        ValueError: the model is of another line, or a setting is out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        eval_conf: float | None = None,
        min_score: float = MIN_SCORE,
        tile: int | None = None,
        overlap: float = 0.2,
        threads: int | None = 1,
    ) -> None:
        if eval_conf is not None and not 0 < eval_conf <= 1:
            raise ValueError(f"eval_conf is {eval_conf}, expected above 0 and at most 1")
        super().__init__(
            model,
            line=LINE,
            min_score=min_score,
            tile=tile,
            overlap=overlap,
            threads=threads,
        )
        point = self.metadata.get("operating_point")
        self.calibrated = eval_conf is None and bool(point)
        self.eval_conf = eval_conf or (float(point["eval_conf"]) if point else UNCALIBRATED)

    def predict(self, image: ImageLike) -> Inspection:
        """Inspect one image; as `detect`, with the decision."""
        return self._inspect(as_pixels(image))

    def predict_batch(self, images: Iterable[ImageLike]) -> list[Inspection]:
        """Inspect images of any sizes, one after the other."""
        return [self._inspect(pixels) for pixels in iter_pixels(images)]

    def _inspect(self, image: Image) -> Inspection:
        start = time.perf_counter()
        every = self.detect_from(image, min(self.min_score, self.eval_conf))
        score = max((box.score or 0.0 for box in every), default=0.0)
        defective = score >= self.eval_conf
        boxes = tuple(box for box in every if (box.score or 0.0) >= self.min_score)
        return Inspection(boxes, defective, score, self.eval_conf, time.perf_counter() - start)


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
