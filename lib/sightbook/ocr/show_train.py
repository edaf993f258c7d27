"""What the training notebooks of detection and recognition show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.figures.plots import image_grid
from sightbook.figures.style import Plot
from sightbook.figures.text_diff import Case, case_grid
from sightbook.inference.ctc import ctc_greedy
from sightbook.ocr.detection.data import MixedPages, SyntheticPages, collate_crops
from sightbook.ocr.detection.model import DetectionModel
from sightbook.ocr.detection.train import ValidationPage
from sightbook.ocr.inference import engine
from sightbook.ocr.recognition.alphabet import Encoder
from sightbook.ocr.recognition.data import LineItem, MixedLines, SyntheticLines, collate_lines
from sightbook.ocr.recognition.model import Recognizer
from sightbook.training.task import evaluating

WIDEST = 900
"""Columns of a line that are shown."""


def lines(data: SyntheticLines | MixedLines, count: int = 16) -> Plot:
    """Lines as training gets them, from all stages of an epoch, with their texts."""
    places = np.linspace(0, len(data) - 1, count).round().astype(int).tolist()
    items = sorted((data[place] for place in places), key=lambda item: item.image.shape[1])
    return image_grid(
        [_on_one_width(item.image, items[-1].image.shape[1]) for item in items],
        [item.text for item in items],
        columns=2,
    )


def _on_one_width(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    width = min(width, WIDEST)
    canvas = np.full((image.shape[0], width), 235, np.uint8)
    part = image[:, :width]
    canvas[:, : part.shape[1]] = part
    return canvas


def readings(model: Recognizer, items: Sequence[LineItem], count: int = 12) -> Plot:
    """Lines that were not trained on and what the recogniser reads, from best to worst."""
    encoder = Encoder(model.alphabet, "drop")
    cases = []
    for start in range(0, len(items), 16):
        batch = collate_lines(items[start : start + 16])
        with evaluating(model):
            log_probs = model(batch.images.float() / 255 - 0.5)
        for item, scores in zip(items[start : start + 16], log_probs.unbind(1), strict=True):
            read = encoder.decode(ctc_greedy(scores.numpy(), blank=0)[0])
            error = Levenshtein.distance(item.text, read) / max(len(item.text), 1)
            image = _on_one_width(item.image, WIDEST)
            cases.append(Case("", np.stack([image] * 3, 2), [item.text], [read], error))
    cases.sort(key=lambda case: case.error)
    places = np.unique(np.linspace(0, len(cases) - 1, count).round().astype(int)).tolist()
    return case_grid([cases[place] for place in places], columns=2)


def crops(data: SyntheticPages | MixedPages, count: int = 6) -> Plot:
    """Cut-outs as training gets them; the cores that are to be found in colour."""
    batch = collate_crops([data[index] for index in range(min(count, len(data)))])
    places = np.linspace(0, len(batch.images) - 1, count).round().astype(int).tolist()
    parts = zip(batch.images.numpy(), batch.targets.numpy(), batch.weights.numpy(), strict=True)
    drawn = []
    for image, target, weight in parts:
        rgb = np.stack([image[0]] * 3, 2).astype(np.float32)
        rgb[target[0] > 0] = rgb[target[0] > 0] * 0.45 + np.array([20, 120, 215]) * 0.55
        rgb[weight[0] == 0] = rgb[weight[0] == 0] * 0.6 + np.array([230, 160, 30]) * 0.4
        drawn.append(rgb.astype(np.uint8))
    return image_grid([drawn[place] for place in places], columns=3)


def found(
    model: DetectionModel, pages: Sequence[ValidationPage], size: tuple[int, int], count: int = 2
) -> Plot:
    """What the detector answers for pages that were not trained on, and the words that follow."""
    images, titles = [], []
    for item in pages[:count]:
        pixels, (rows, columns) = engine.detection_input(item.gray, *size)
        with evaluating(model):
            seen = torch.sigmoid(model(torch.from_numpy(pixels)))[0, 0, :rows, :columns].numpy()
        rects = engine.find_words(seen, item.gray.shape, threshold=0.5)  # type: ignore[arg-type]
        page = np.clip((item.gray + 0.5) * 255, 0, 255).astype(np.uint8)
        images += [_outlined(page, rects), (seen * 255).astype(np.uint8)]
        titles += [f"{len(rects)} words found", "probability of a word's core"]
    return image_grid(images, titles, columns=2, width=13)


def _outlined(page: NDArray[np.uint8], rects: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    drawn = np.stack([page] * 3, 2)
    thick = max(1, round(max(page.shape) / 700))
    outlines = [np.round(rect * 8).astype(np.int32) for rect in rects]
    cv2.polylines(drawn, outlines, True, (214, 39, 40), thick, cv2.LINE_AA, 3)
    return drawn
