"""What an epoch may leave behind for people: losses, detections, pictures, a checkpoint of its own.

In `epochs/` of the run: ``loss.txt`` (epoch, step, loss), ``predictions_[epoch].txt`` (JSON),
``p_[epoch]_[imageid].png`` with truth and detections, ``checkpoint_[epoch].ckpt`` (model,
optimiser, scheduler, epoch: training goes on from it when it is put in the place of `last.ckpt`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import encode_image
from sightbook.detection.labels.annotations import Annotations, Box
from sightbook.detection.metrics.scoring import Found
from sightbook.detection.training.loader import ValidationImages
from sightbook.runs.files import atomic_file, write_atomic
from sightbook.runs.run import Run

TRUE, FOUND = (40, 170, 90), (214, 60, 40)


def dump_epoch(
    run: Run,
    epoch: int,
    truth: Annotations,
    found: Found,
    images: ValidationImages,
    count: int,
) -> Path:
    """Write all of it for an epoch; written again after a resume, it is the same.

    Args:
        run: whose history has the losses up to now.
        epoch: counted from 1.
        truth: of the validation pictures.
        found: on them.
        images: the validation pictures.
        count: how many of them to draw, the first ones.

    Returns:
        The folder.
    """
    folder = run.path / "epochs"
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "loss.txt", loss_lines(run.history()))
    rows = [
        {
            "image_id": index,
            "file": record.name,
            "detections": [
                {"label": box.label, "score": box.score, "box": list(box.xyxy)}
                for box in found[record.name]
            ],
        }
        for index, record in enumerate(truth.records)
    ]
    write_atomic(folder / f"predictions_{epoch}.txt", json.dumps(rows, indent=1) + "\n")
    for index, record in enumerate(truth.records[:count]):
        drawn = images.image(index).copy()
        surest = [box for box in found[record.name] if (box.score or 0) >= 0.25]
        _draw(drawn, record.boxes, TRUE)
        _draw(drawn, surest, FOUND)
        write_atomic(folder / f"p_{epoch}_{index}.png", encode_image(drawn))
    # the checkpoint is replaced by a new file, never written into: a link keeps this one
    with atomic_file(folder / f"checkpoint_{epoch}.ckpt") as beside:
        last = run.checkpoints / "last.ckpt"
        try:
            os.link(last, beside)
        except OSError:
            shutil.copyfile(last, beside)
    return folder


def loss_lines(history: Sequence[dict[str, Any]]) -> str:
    """A line for each step: epoch, step, loss, with blanks between."""
    lines = ["epoch step loss"]
    epoch = 1
    for row in history:
        if "epoch" in row:
            epoch = int(row["epoch"]) + 1
        elif "train/loss" in row:
            lines.append(f"{epoch} {row['step']} {row['train/loss']:.6g}")
    return "\n".join(lines) + "\n"


def _draw(image: NDArray[np.uint8], boxes: Iterable[Box], color: tuple[int, int, int]) -> None:
    thick = max(1, round(max(image.shape) / 400))
    for box in boxes:
        x0, y0, x1, y1 = (round(value) for value in box.xyxy)
        cv2.rectangle(image, (x0, y0), (x1, y1), color, thick)
        if box.score is not None:
            place = (x0, max(10, y0 - 3))
            text = f"{box.label} {box.score:.2f}"
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
