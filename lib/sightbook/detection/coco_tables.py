"""Truth and detections as pycocotools' tables, and its evaluation run over them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from sightbook.detection.annotations import Annotations, Box, ImageRecord
from sightbook.detection.scoring import Found
from sightbook.metrics.polygons import polygon_areas

IouType = Literal["bbox", "segm"]
Backend = Literal["pycocotools", "faster-coco-eval"]

BoxesOf = Callable[[ImageRecord], Sequence[Box]]


def evaluated(
    truth: Annotations,
    found: Found,
    iou_type: IouType,
    backend: Backend = "pycocotools",
) -> Any:
    """The backend's evaluation object, done.

    Args:
        truth: the images and their true boxes.
        found: detections of each.
        iou_type: compare boxes, or outlines.
        backend: what counts; ``.eval`` is the same of both, ``.evalImgs`` is pycocotools' own.

    Raises:
        ValueError: truth without outlines where these are compared; or no such backend.
        ModuleNotFoundError: the backend is not installed.
    """
    if backend == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    elif backend == "faster-coco-eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    else:
        raise ValueError(f"backend {backend!r}, expected 'pycocotools' or 'faster-coco-eval'")
    sides = []
    both: tuple[BoxesOf, BoxesOf] = (lambda record: record.boxes, lambda record: found[record.name])
    for boxes_of in both:
        coco = COCO()
        coco.dataset = _dataset(truth, boxes_of, iou_type)
        sides.append(coco)
    with contextlib.redirect_stdout(io.StringIO()):
        for coco in sides:
            coco.createIndex()
        evaluation = COCOeval(*sides, iouType=iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _dataset(truth: Annotations, boxes_of: BoxesOf, iou_type: IouType) -> dict[str, Any]:
    """COCO's tables. Ids begin at 1: a match with number 0 counts as none in pycocotools."""
    numbers = {label: k for k, label in enumerate(truth.labels, 1)}
    objects: list[dict[str, Any]] = []
    for image, record in enumerate(truth.records, 1):
        for box in boxes_of(record):
            row = _object(record, box, iou_type)
            objects.append(
                row | {"id": len(objects) + 1, "image_id": image, "category_id": numbers[box.label]}
            )
    return {
        "images": [
            {"id": k, "file_name": r.name, "width": r.width, "height": r.height}
            for k, r in enumerate(truth.records, 1)
        ],
        "categories": [{"id": k, "name": label} for label, k in numbers.items()],
        "annotations": objects,
        "info": {},
    }


def _object(record: ImageRecord, box: Box, iou_type: IouType) -> dict[str, Any]:
    # Two points would be taken for a box, one for nothing at all.
    outlines = [outline for outline in box.polygons if len(outline) > 2]
    row: dict[str, Any] = {
        "bbox": [box.xyxy[0], box.xyxy[1], box.width, box.height],
        "area": box.area,
        "iscrowd": int(box.crowd),
    }
    if box.score is not None:
        row["score"] = box.score
    # Detections are as large as what was compared, truth is as large as its outline.
    if outlines and (box.score is None or iou_type == "segm"):
        row["area"] = float(polygon_areas(outlines).sum())
    if iou_type == "segm":
        from pycocotools import mask

        if outlines:
            row["segmentation"] = [np.asarray(p, float).ravel().tolist() for p in outlines]
        elif box.score is None:
            raise ValueError(
                f"{record.name}: true box {box.xyxy} has no outline: compare boxes, iou_type='bbox'"
            )
        else:  # the model saw no pixel of it
            row["segmentation"] = mask.encode(
                np.zeros((record.height, record.width), np.uint8, order="F")
            )
            row["area"] = 0.0
    return row
