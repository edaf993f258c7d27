"""Export of a detection run: the file, parity at two sizes, the int8 variant, latency, the card."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.data.validation import DataError
from sightbook.detection.inference.detect_all import detect_all
from sightbook.detection.inference.graph import INPUT, Graph, export_detector, output_names
from sightbook.detection.inference.predict import OnnxDetector, shrunk
from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.metrics.coco import coco_numbers
from sightbook.detection.models.rcnn import Detector, load_detector
from sightbook.detection.training.train import WEIGHTS
from sightbook.inference import onnx
from sightbook.inference.cards import read_records
from sightbook.inference.export import Exported, ExportModel
from sightbook.inference.models import MODEL, find_model
from sightbook.runs.files import write_atomic
from sightbook.training.weights import weights_file

COMPARED = 0.05
"""Detections from this score on must be found by both."""

SAME_IOU = 0.9
"""Detections of one class that overlap so much are the same."""

Image = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]


def export_detection(
    run: Path,
    params: ExportModel,
    line: str,
    known_images: Callable[[Path, Sequence[str]], Annotations],
    card: Callable[[Path, Exported], str],
) -> Exported:
    """Export a run into its own folder.

    Args:
        run: its folder.
        params: of the export.
        line: the run's line.
        known_images: of a run and its classes, pictures that it did not train on.
        card: the model card, see `model_card`.

    Raises:
        RunError: no such run, or it holds no trained detector.
    """
    file = write_package(run, line, params.opset)
    detector = load_detector(find_model(line, run, WEIGHTS))
    truth = known_images(run, detector.config.labels)
    images = first_images(truth, params.samples)
    target = run / "int8" / MODEL
    if params.int8:
        target.parent.mkdir(exist_ok=True)
        onnx.quantize_dynamic(file, target)
    compare = partial(parity_of, detector, images=images)
    parity = onnx.with_half_weights(file, compare, params.weights == "fp16")
    if params.int8 and parity["weights"] == "fp16":
        onnx.store_half(target)  # what int8 left as it was
    sample = pixels_of(shrunk(images[0], detector.config.size))
    variants = [measure(file, "float32", line, truth, sample, params.repeats)]
    if params.int8:
        variants.append(measure(target, "int8", line, truth, sample, params.repeats))
    graph = partial(Graph(detector).eval(), torch.from_numpy(sample))
    speed = {
        "torch_ms": round(onnx.torch_latency(graph, params.repeats), 1),
        "onnxruntime_ms": variants[0]["image_ms"],
    }
    exported = Exported(run, [file], {"detection": parity}, variants, speed)
    write_atomic(run / "model_card.md", card(run, exported))
    return exported


def write_package(run: Path, line: str, opset: int = 17) -> Path:
    """Write `model.onnx` of a run; the operating point of its last evaluation goes into it.

    Raises:
        RunError: the run holds no trained detector.
    """
    detector = load_detector(find_model(line, run, WEIGHTS))
    return export_detector(detector, run / MODEL, line, metadata(run), opset)


def ensure_package(run: Path, line: str) -> Path:
    """The run's exported file, written if it is missing or older than its weights."""
    file, weights = run / MODEL, weights_file(run, WEIGHTS)
    fresh = file.is_file() and (
        not weights.is_file() or file.stat().st_mtime >= weights.stat().st_mtime
    )
    return file if fresh else write_package(run, line)


def metadata(run: Path) -> dict[str, Any]:
    """What the file says about itself: provenance, parameters, metrics, operating point."""
    records = read_records(run)
    point = (records.metrics.get("evaluate") or {}).get("operating_point")
    return {**records.facts, "operating_point": point}


def first_images(truth: Annotations, count: int) -> list[Image]:
    """So many of the pictures that can be read.

    Raises:
        DataError: none can.
    """
    found: list[Image] = []
    for record in truth.records:
        if len(found) < count and record.image is not None:
            with contextlib.suppress(ImageError):  # counted where accuracy is measured
                found.append(open_image(record.image))
    if not found:
        raise DataError("no picture can be read on which the export could be compared")
    return found


# --------------------------------------------------------------------------- parity


def parity_of(detector: Detector, file: Path, images: Sequence[Image]) -> dict[str, Any]:
    """Hold the file against PyTorch, on pictures as they are and on smaller ones that stand upright
    where they lay.

    Returns:
        `boxes_px`: largest difference of an edge, in pixels. `scores`, and `masks` of a model with
        masks: largest difference. `found_by_both`: share of the detections from :data:`COMPARED`
        on. `detections`, and `inputs` (two a picture).
    """
    session, graph = onnx.session(file), Graph(detector).eval()
    names = output_names(detector)
    worst: dict[str, float] = {"scores": 0.0}
    both = either = 0
    inputs = [
        pixels_of(view)
        for image in images
        for view in (image, shrunk(np.rot90(image), round(0.7 * max(image.shape))))
    ]
    for pixels in inputs:
        ours = dict(zip(names, session.run(None, {INPUT: pixels}), strict=True))
        with torch.inference_mode():
            values = graph(torch.from_numpy(pixels))
        theirs = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        pairs, alone = paired(ours, theirs)
        both, either = both + len(pairs), either + len(pairs) + alone
        for name in names:
            if name != "labels" and pairs:
                first, second = (list(side) for side in zip(*pairs, strict=True))
                gap = float(np.abs(ours[name][first] - theirs[name][second]).max())
                worst[name] = max(worst.get(name, 0.0), gap)
    renamed = {"boxes_px" if name == "boxes" else name: value for name, value in worst.items()}
    share = both / either if either else 1.0
    return {**renamed, "found_by_both": share, "detections": either, "inputs": len(inputs)}


def paired(ours: Arrays, theirs: Arrays) -> tuple[list[tuple[int, int]], int]:
    """Detections that are the same, by class and place; and how many have no counterpart.

    Equally certain detections may come in another order, so their places in the lists say nothing.

    Args:
        ours: `boxes`, `labels` and `scores`.
        theirs: the same.

    Returns:
        Pairs of numbers in `ours` and `theirs`, one of them scored :data:`COMPARED` or more; and
        the number of detections so scored, on either side, that are in no pair.
    """
    iou = box_iou(torch.from_numpy(ours["boxes"]), torch.from_numpy(theirs["boxes"])).numpy()
    # two boxes without area share a whole of nothing
    same = np.nan_to_num(iou) * (ours["labels"][:, None] == theirs["labels"][None])
    # among boxes that lie alike, the one that is as certain
    merit = same - np.abs(ours["scores"][:, None] - theirs["scores"][None])
    merit[same < SAME_IOU] = -np.inf
    pairs = []
    while merit.size and np.isfinite(merit.max()):
        row, column = np.unravel_index(int(merit.argmax()), merit.shape)
        pairs.append((int(row), int(column)))
        merit[row], merit[:, column] = -np.inf, -np.inf
    firm = ours["scores"] >= COMPARED, theirs["scores"] >= COMPARED
    kept = [(i, k) for i, k in pairs if firm[0][i] or firm[1][k]]
    taken = sum(int(firm[0][i]) + int(firm[1][k]) for i, k in kept)
    return kept, int(firm[0].sum() + firm[1].sum()) - taken


def pixels_of(image: Image) -> NDArray[np.float32]:
    """A picture as the graph takes it, float32 ``[3, H, W]`` from 0 to 1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)


# --------------------------------------------------------------------------- measuring


def measure(
    file: Path,
    name: str,
    line: str,
    truth: Annotations,
    pixels: NDArray[np.float32],
    repeats: int,
) -> dict[str, Any]:
    """Size, speed on one CPU thread, memory, and accuracy of one variant.

    Args:
        file: of the variant.
        name: of the variant.
        line: the model's.
        truth: pictures that were not trained on.
        pixels: one of them, float32 ``[3, H, W]``.
        repeats: timed runs.

    Returns:
        `megabytes`, `picture_ms` (median), `peak_MiB`, `AP50`, `AP` and `images`.
    """
    predictor = OnnxDetector(file, line=line, min_score=0.0)
    done = detect_all(truth, predictor.detect, Skipped(10**6))
    numbers = coco_numbers(done.truth, done.found)
    feeds = {INPUT: pixels}
    return {
        "variant": name,
        "megabytes": round(onnx.file_size(file), 2),
        "image_ms": round(
            onnx.latency(onnx.session(file, threads=1), feeds, repeats)["median_ms"], 1
        ),
        "peak_MiB": round(onnx.peak_memory(file, feeds)),
        "AP50": _rounded(numbers["AP50"]),
        "AP": _rounded(numbers["AP"]),
        "images": len(done.truth.records),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
