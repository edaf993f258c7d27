"""Boxes, and "defect or clean?", with an exported model: onnxruntime, numpy and OpenCV, no torch.

    from sightbook import defects
    predictor = defects.Predictor("potholes")       # a shipped model, a run's name or a path
    found = predictor.predict(image)                # uint8 RGB [H, W, 3]
    found.defective, found.score, [(box.label, box.score, box.xyxy) for box in found.boxes]

The command of headstamps, which reads what is stamped on what is detected, is in
:mod:`sightbook.headstamps.predict`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook import onnx
from sightbook.detection.inference.overlay import draw_detections
from sightbook.detection.inference.tiles import detect_tiled, windows
from sightbook.detection.labels.annotations import XYXY, Box, Points
from sightbook.detection.labels.masks import mask_polygons, moved
from sightbook.images import Picture, save_image
from sightbook.inference.models import find_model
from sightbook.predicting import Answer, answer_each, free_name, options_given

LINES = ("defects", "headstamps")

SHIPPED = {"defects": "potholes"}
"""Lines with several shipped models: the one that is taken where none is named."""

UNCALIBRATED = 0.5
"""Where a file has no operating point: the confidence from which a picture is called defective."""

MIN_SCORE = 0.05
"""Detections below are not told: a file holds up to a hundred a picture, most of them noise."""

MIN_SIDE = 16
"""Of a picture, pixels."""

THINNEST = 1.0
"""Pixels: boxes with a shorter side are slivers, which networks leave along a picture's border."""

MASK_LEVEL = 0.5
"""Probability from which a pixel belongs to the object."""

Image = NDArray[np.uint8]


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


def box_dict(box: Box) -> dict[str, Any]:
    """A detection for JSON: ``{"label", "score", "box"}``, and `polygons` where it has outlines."""
    row: dict[str, Any] = {
        "label": box.label,
        "score": None if box.score is None else round(box.score, 4),
        "box": [round(value, 2) for value in box.xyxy],
    }
    if box.polygons:
        row["polygons"] = [np.round(polygon.astype(float), 1).tolist() for polygon in box.polygons]
    return row


class Predictor:
    """Finds objects in pictures and calls each picture defective or clean.

    Args:
        model: as `models.find_model` takes it: a run's name, `latest`, a folder, a `.onnx` file, a
            shipped model's name (`potholes`, `pcb`; a run of that name goes first,
            `reference/potholes` is always the shipped one), or `reference` or None for the one of
            :data:`SHIPPED`.
        line: `defects` or `headstamps`.
        eval_conf: a picture is defective if a detection reaches it; above 0, at most 1. None takes
            the operating point that is recorded in the file, :data:`UNCALIBRATED` if it has none.
        min_score: detections below are left out, but for the decision; 0 keeps all that the file
            gives, which figures such as AP need.
        tile: side in pixels of the windows in which large pictures are looked at, besides as a
            whole; None looks at the whole alone.
        overlap: share of a window that its neighbour shows too; as large as the largest object that
            is missed on the picture as a whole.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Raises:
        RunError: no such model.
        ValueError: the model is of another line, or a setting is out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        line: str = "defects",
        eval_conf: float | None = None,
        min_score: float = MIN_SCORE,
        tile: int | None = None,
        overlap: float = 0.2,
        threads: int | None = 1,
    ) -> None:
        if line not in LINES:
            raise ValueError(f"line is {line!r}; expected one of {', '.join(LINES)}")
        if eval_conf is not None and not 0 < eval_conf <= 1:
            raise ValueError(f"eval_conf is {eval_conf}, expected above 0 and at most 1")
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score is {min_score}, expected a number from 0 to 1")
        if tile is not None:
            list(windows(1, 1, tile, overlap))
        self.file = find_model(line, model, shipped=SHIPPED.get(line, ""))
        self._session = onnx.session(self.file, threads)
        self.metadata = onnx.metadata(self._session)
        if self.metadata.get("line") != line:
            raise ValueError(
                f"{self.file}: expected a model of {line}, found one of "
                f"{self.metadata.get('line')!r}"
            )
        self.labels = tuple(self.metadata["labels"])
        self.side = int(self.metadata["input"]["longer_side"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        point = self.metadata.get("operating_point")
        self.calibrated = eval_conf is None and bool(point)
        self.eval_conf = eval_conf or (float(point["eval_conf"]) if point else UNCALIBRATED)
        self.min_score, self.tile, self.overlap = min_score, tile, overlap

    def detect(self, image: Image) -> tuple[Box, ...]:
        """Objects on a picture, uint8 RGB ``[H, W, 3]`` or grey ``[H, W]``, best first.

        Raises:
            ValueError: no such picture, one smaller than 16 pixels, or one of a shape that the
                network cannot take.
        """
        return self._every(image, self.min_score)

    def predict(self, image: Image) -> Inspection:
        """Inspect one picture; as `detect`, with the decision."""
        start = time.perf_counter()
        every = self._every(image, min(self.min_score, self.eval_conf))
        score = max((box.score or 0.0 for box in every), default=0.0)
        defective = score >= self.eval_conf
        boxes = tuple(box for box in every if (box.score or 0.0) >= self.min_score)
        return Inspection(boxes, defective, score, self.eval_conf, time.perf_counter() - start)

    def predict_batch(self, images: Iterable[Image]) -> Iterator[Inspection]:
        """Inspect pictures of any sizes, one after the other."""
        return map(self.predict, images)

    def _every(self, image: Image, floor: float) -> tuple[Box, ...]:
        pixels = _checked(image)
        if self.tile is None:
            return self._run(pixels, floor)
        return detect_tiled(pixels, lambda part: self._run(part, floor), self.tile, self.overlap)

    def _run(self, image: Image, floor: float) -> tuple[Box, ...]:
        height, width = image.shape[:2]
        small = shrunk(image, self.side)
        pixels = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / np.float32(255)
        try:
            values = self._session.run(None, {self._input: pixels})
        except Exception as error:  # onnxruntime raises a class of its own per kind of failure
            raise ValueError(
                f"the network cannot take a picture of {width}x{height} pixels ({error})"
            ) from error
        found = dict(zip(self._outputs, values, strict=True))
        across, down = width / small.shape[1], height / small.shape[0]
        found["boxes"] = found["boxes"] * np.array([across, down, across, down])
        return boxes_of(found, self.labels, floor, width, height)


def shrunk(image: Image, side: int) -> Image:
    """A picture whose longer side is at most `side` pixels, averaged over areas, as training does.

    The graph scales by itself, but picks single pixels where it makes pictures much smaller.
    """
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def boxes_of(
    found: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
    min_score: float,
    width: int,
    height: int,
) -> tuple[Box, ...]:
    """The graph's arrays as boxes within the picture, slivers left out, the most certain first.

    Args:
        found: `boxes` float32 ``[n, 4]``, `labels` int64 ``[n]``, `scores` float32 ``[n]`` and, of
            a model with masks, `masks` float32 ``[n, side, side]``: probabilities over each box.
        labels: names by number.
        min_score: detections below are left out.
        width: of the picture.
        height: of the picture.
    """
    made = []
    for number in np.argsort(-found["scores"], kind="stable").tolist():
        score = float(found["scores"][number])
        x0, y0, x1, y1 = (float(value) for value in found["boxes"][number])
        xyxy = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        thin = min(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]) < THINNEST
        if score < min_score or thin:
            continue
        outlines: tuple[Points, ...] = ()
        if "masks" in found:
            outlines = mask_outlines(found["masks"][number], (x0, y0, x1, y1), width, height)
        label = labels[int(found["labels"][number])]
        made.append(Box(label, xyxy, outlines, score=min(score, 1.0)))
    return tuple(made)


def mask_outlines(
    mask: NDArray[np.float32], xyxy: XYXY, width: int, height: int
) -> tuple[Points, ...]:
    """Outlines of a mask in pixels of the picture, the largest part first.

    Args:
        mask: ``[side, side]``, probabilities over the box; outside they are 0.
        xyxy: the box, which may reach beyond the picture.
        width: of the picture.
        height: of the picture.
    """
    x0, y0, x1, y1 = xyxy
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
    if right <= left or bottom <= top or x1 <= x0 or y1 <= y0:
        return ()
    side = mask.shape[0]
    scale_x, scale_y = side / (x1 - x0), side / (y1 - y0)
    # where the middle of each pixel of the picture lies on the mask
    map_x = ((np.arange(left, right) + 0.5 - x0) * scale_x - 0.5).astype(np.float32)
    map_y = ((np.arange(top, bottom) + 0.5 - y0) * scale_y - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(map_x, map_y)
    pasted = cv2.remap(
        np.asarray(mask, np.float32),
        grid_x,
        grid_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    outlines = [moved(part, left, top) for part in mask_polygons(pasted >= MASK_LEVEL)]
    return tuple(sorted(outlines, key=lambda part: -abs(cv2.contourArea(part))))


def _checked(image: Image) -> Image:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"the picture is {image.dtype} {list(image.shape)}, expected uint8 [H, W, 3] or [H, W]"
        )
    if min(image.shape[:2]) < MIN_SIDE:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ValueError(f"is {size} pixels, at least {MIN_SIDE} a side are needed")
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict defects`: prints an answer a picture; 1 if any could not be read.

    Options: `model` (`potholes`, `pcb`, a run, a path), `json`, `eval_conf`, `min_score` (0.05),
    `tile`, `overlap` (0.2), `threads` (1), `render` (a folder that gets a `_found.png` a picture).
    """
    known = ("eval_conf", "min_score", "tile", "overlap", "threads")
    given = options_given("defects", options, (*known, "render"))
    if given is None:
        return 2
    settings = {name: given[name] for name in known if name in given}
    try:
        predictor = Predictor(given.get("model"), **settings)
    except (ValueError, TypeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    if not predictor.calibrated and "eval_conf" not in given:
        print(
            f"{predictor.file}: has no operating point, pictures are called defective from "
            f"{UNCALIBRATED} on; run 03_evaluate_defects on its run and export it again, or give "
            "one (-o eval_conf 0.4)",
            file=sys.stderr,
        )
    drawn: set[str] = set()

    def answer(image: Image, picture: Picture) -> Answer:
        found = predictor.predict(image)
        if "render" in given:
            file = Path(str(given["render"])) / f"{free_name(picture.name, drawn)}_found.png"
            save_image(file, draw_detections(image, found.boxes, found.eval_conf))
        return found.to_dict(), describe(picture.name, found)

    return int(answer_each(files, answer, as_json=bool(given.get("json"))) > 0)


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
