"""What the training notebooks of detectors show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Box, ImageRecord
from sightbook.detection.metrics.errors import find_errors
from sightbook.detection.metrics.show import draw_boxes, outcomes
from sightbook.detection.models.anchors import Anchors, best_overlap
from sightbook.detection.models.config import RATIOS, DetectorConfig
from sightbook.detection.models.rcnn import Detector, anchor_levels
from sightbook.detection.params import TrainDetector
from sightbook.detection.training.loader import TrainingImages
from sightbook.detection.training.sets import DetectionSets
from sightbook.detection.training.train import data_anchors, detect
from sightbook.figures import plots
from sightbook.figures.plots import histogram
from sightbook.figures.style import PALETTE, Plot, show_image
from sightbook.figures.tables import Table
from sightbook.training.task import evaluating

SURE = 0.5
"""Detections below it are left out of pictures."""


def examples(data: TrainingImages, count: int = 8, columns: int = 4) -> Plot:
    """Pictures as training gets them, with the boxes and outlines that it is to find."""
    places = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int).tolist()
    rows = -(-len(places) // columns)
    height, width = data.variation.canvas
    plot = Plot(12, rows * (0.3 + 12 / columns * height / width))
    grid = plot.add_gridspec(rows, columns)
    for number, place in enumerate(places):
        ax = plot.add_subplot(grid[number // columns, number % columns])
        example = data.example(place)
        show_image(ax, example.image, "" if len(example.boxes) else "clean")
        objects = zip(
            example.boxes.tolist(), example.labels.tolist(), example.outlines, strict=True
        )
        for (x0, y0, x1, y1), number_of_class, outlines in objects:
            label = data.labels[number_of_class - 1]
            color = PALETTE[(number_of_class - 1) % len(PALETTE)]
            draw_boxes(ax, [Box(label, (x0, y0, x1, y1), outlines)], color, named=False)
    return plot


def box_sizes(sets: DetectionSets) -> Plot:
    """How large objects are where the network sees them; below its finest stride they are lost."""
    roots = np.sqrt(sets.sides.prod(1))
    bins = int(np.clip(len(roots) ** 0.5, 6, 30))
    return histogram(roots, name="root of the box's area, pixels of the model's input", bins=bins)


def anchor_table(sets: DetectionSets, params: TrainDetector) -> Table:
    """How well the model's anchors and those derived from the data suit the boxes to train on."""
    config = DetectorConfig(
        params.model,
        sets.labels,
        size=params.size,
        finest=params.finest,
    )
    if not config.has_anchors:
        return Table([{"anchors": "this model has none"}])
    usual = anchor_levels(config)
    both = {"default": Anchors(usual, RATIOS), "data": data_anchors(params, config, sets)}
    rows = []
    for name, anchors in both.items():
        overlap = best_overlap(sets.sides, anchors)
        rows.append(
            {
                "anchors": name,
                "sizes, px": ", ".join(f"{s:g}" for level in anchors.sizes for s in level),
                "heights by widths": ", ".join(f"{ratio:g}" for ratio in anchors.ratios),
                "median IoU with the best": f"{np.median(overlap):.2f}",
                "boxes below IoU 0.5": f"{np.mean(overlap < 0.5):.0%}",
            }
        )
    return Table(rows)


def found(detector: Detector, sets: DetectionSets, count: int = 6) -> Plot:
    """Validation pictures and what the trained detector finds, boxes coloured by their fate."""
    places = np.linspace(0, len(sets.validation) - 1, min(count, len(sets.validation)))
    chosen = {int(place): sets.truth.records[int(place)] for place in places.round()}
    with evaluating(detector):
        seen = {
            record.name: detect(detector, sets.validation.image(place), sets.labels, masks=True)
            for place, record in chosen.items()
        }
    names = {record.name: place for place, record in chosen.items()}

    def load(record: ImageRecord) -> NDArray[np.uint8]:
        return sets.validation.image(names[record.name])

    truth = sets.truth.with_records(chosen.values())
    return outcomes(find_errors(truth, seen, confidence=SURE), load=load)


def learning(run: Path) -> Plot:
    """Curves of the run, or of its first fold."""
    own = run if (run / "metrics.jsonl").is_file() else run / "fold-1"
    return plots.curves(own, names=["loss", "AP", "AP50", "image_AUROC"])
