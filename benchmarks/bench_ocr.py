"""Speed of the OCR line: drawing, training with its data pipeline, and reading pages.

python benchmarks/bench_ocr.py [--pages FOLDER] [--threads 1] [--skip-training]

Everything runs in this one process. Reading is measured on the folder's pages (any format that
`01_prepare_ocr` imports), or on drawn ones, beside Tesseract where it is installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np

from sightbook.data.images import open_image
from sightbook.ocr.inference import tesseract
from sightbook.ocr.inference.predict import Predictor
from sightbook.ocr.pages.read import read_dataset
from sightbook.ocr.recognition.alphabet import PRESETS
from sightbook.ocr.synth.lines import LineSettings, render_line
from sightbook.ocr.synth.pages import render_page

PAGE = 800 * 600
"""Pixels of a page of the engine's default size, to compare cut-outs with."""


def rate(count: float, start: float) -> float:
    """So many a second since then, by processor time of this process and its threads."""
    return count / (time.process_time() - start)


def drawing(count: int) -> None:
    render_page(0, 0), render_line(0, 0, LineSettings())
    start = time.process_time()
    pages = [render_page(1, index) for index in range(count)]
    words = np.mean([sum(1 for _ in sample.page.words()) for sample in pages])
    print(f"pages drawn: {rate(count, start):.1f} a CPU second, {words:.0f} words a page")
    start = time.process_time()
    lines = [render_line(1, index, LineSettings()) for index in range(20 * count)]
    width = np.mean([line.image.shape[1] for line in lines])
    print(f"lines drawn: {rate(20 * count, start):.0f} a CPU second, {width:.0f} columns a line")


def training(steps: int, threads: int) -> None:
    import torch

    from sightbook.ocr.detection.data import SyntheticPages, collate_crops
    from sightbook.ocr.detection.model import DetectionConfig, DetectionModel, detection_loss
    from sightbook.ocr.recognition.data import SyntheticLines, collate_lines, width_buckets
    from sightbook.ocr.recognition.model import Recognizer, RecognizerConfig
    from sightbook.training.params import FitParams
    from sightbook.training.task import resolve_precision

    torch.set_num_threads(threads)
    bf16 = resolve_precision(FitParams()) == "bf16-mixed"
    precision = "bf16" if bf16 else "fp32"
    lines = SyntheticLines(32 * steps, 0, LineSettings())
    batches = width_buckets(lines, 0)(0, 32)
    pages = SyntheticPages(4 * steps, 0, 320, 3.0, "embedded", "")
    for name, model, data in (
        ("recogniser small, lines", Recognizer(RecognizerConfig(PRESETS["ocrs"], "small")), lines),
        ("detector small, pages of 800x600", DetectionModel(DetectionConfig("small")), pages),
    ):
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        done, start = 0.0, 0.0
        for step in range(steps):
            if step == 2:  # the first steps prepare kernels
                done, start = 0.0, time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                if data is lines:
                    batch = collate_lines([lines[index] for index in batches[step]])
                    scores = model((batch.images / 255 - 0.5).to(memory_format=torch.channels_last))
                    frames = torch.full((len(batch.texts),), len(scores))
                    loss = torch.nn.functional.ctc_loss(
                        scores, batch.targets, frames, batch.lengths, zero_infinity=True
                    )
                    done += len(batch.texts)
                else:
                    crops = collate_crops([pages[index] for index in range(4 * step, 4 * step + 4)])
                    pixels = (crops.images / 255 - 0.5).to(memory_format=torch.channels_last)
                    parts = crops.targets.float(), crops.weights.float()
                    loss = detection_loss(model(pixels), *parts)["loss"]
                    done += crops.images.numel() / PAGE
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(
            f"training, {name}: {rate(done, start):.1f} a CPU second ({precision}, data included)"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory at most: {peak:.0f} MiB")


def reading(folder: Path | None, threads: int, count: int) -> None:
    if folder is not None:
        files = [page.image for page in read_dataset(folder).pages[:count] if page.image]
        images = [open_image(file) for file in files]
    else:
        images = [render_page(2, index).image for index in range(count)]
    predictor = Predictor(threads=threads)
    predictor.predict(images[0])
    spent = []
    for image in images:
        start = time.perf_counter()
        predictor.predict(image)
        spent.append(time.perf_counter() - start)
    shown = f"median {np.median(spent):.3f} s, mean {np.mean(spent):.3f} s, n = {len(spent)}"
    print(f"reading a page, {threads} thread(s): {shown}")
    name = tesseract.version()
    if name is not None:
        start = time.perf_counter()
        for image in images:
            tesseract.read(image, threads=threads)
        spent_there = (time.perf_counter() - start) / len(images)
        print(f"the same pages, {name}, {threads} thread(s): mean {spent_there:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=Path, help="folder of pages in any format")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=20, help="pages to draw and to read")
    parser.add_argument("--steps", type=int, default=12, help="steps of each training")
    parser.add_argument("--skip-training", action="store_true")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    drawing(options.count)
    reading(options.pages, options.threads, options.count)
    if not options.skip_training:
        training(options.steps, options.threads)


if __name__ == "__main__":
    main()
