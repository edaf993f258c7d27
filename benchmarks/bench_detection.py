"""Speed of the detection lines: training, COCO evaluation, prediction and drawing, on one core.

python benchmarks/bench_detection.py [--only training evaluation prediction drawing]

Training is compared with the plain loop of torchvision's references (SGD, float32, a step for each
batch and nothing else) on the same model, pictures and batches. Times of training and drawing are
those of this process's computing, which other work on the machine disturbs least; evaluation and
prediction are timed by the clock, as their users wait.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # one core is what is compared

import cv2
import numpy as np

from sightbook.defects.synth.surfaces import KINDS, render_surface
from sightbook.detection.inference.predict import Image, OnnxDetector
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.coco import coco_numbers, evaluate_boxes
from sightbook.headstamps.synth.photographs import LABELS as HEAD_LABELS
from sightbook.headstamps.synth.photographs import render_headstamps, render_strip
from sightbook.inference.models import MODEL
from sightbook.params import repository_root

REFERENCE = repository_root() / "outputs" / "reference"
PARTS = ("training", "evaluation", "prediction", "drawing")

# ------------------------------------------------------------------ training


def training(names: Iterable[str], size: int, steps: int, batch: int, rounds: int) -> None:
    """Pictures a second of both loops; the fastest of the rounds that follow one to warm up."""
    import torch

    from sightbook.defects.params import TrainDefects
    from sightbook.training.task import resolve_precision

    torch.set_num_threads(1)
    auto = resolve_precision(TrainDefects())
    for name in names:
        plain, ours = [], {precision: [] for precision in dict.fromkeys(("32", auto))}
        for number in range(rounds + 1):
            plain.append(plain_loop(name, size, steps, batch))
            for precision, rates in ours.items():
                run = f"{name}-{precision}-{number}"
                rates.append(own_loop(name, size, steps, batch, precision, run))
        base = max(plain[1:])
        print(f"{name}, {size} px, batches of {batch}:")
        print(f"  torchvision's plain loop, float32: {base:5.2f} pictures/s")
        for precision, rates in ours.items():
            best = max(rates[1:])
            print(
                f"  sightbook, precision {precision}: {best:5.2f} pictures/s ({best / base:.2f}x)"
            )


def training_parts(name: str, size: int, count: int, batch: int, precision: str):
    """A fresh detector, its pictures (drawn before the clock starts) and its parameters."""
    from sightbook.data.images import Skipped
    from sightbook.defects.params import TrainDefects
    from sightbook.detection.models.config import DetectorConfig
    from sightbook.detection.models.rcnn import new_detector
    from sightbook.detection.training.loader import TrainingImages, Variation
    from sightbook.training.fit import seed_everything

    params = TrainDefects(
        epochs=1,
        batch_size=batch,
        model=name,
        size=size,
        precision=precision,
        workers=0,
        checkpoint_seconds=0,
    )
    seed_everything(params.seed)
    kept = [
        render_surface(5, index, kind="asphalt", size=(size, size * 3 // 4)) for index in range(8)
    ]
    labels = KINDS["asphalt"].labels
    canvas = (-(-size * 3 // 128) * 32, size)
    variation = Variation(canvas, (0.7, 1.4), "horizontal", 0.5, 0.0, 0.0)
    pictures = TrainingImages(
        [],
        lambda index: (kept[index % len(kept)].image, kept[index % len(kept)].record),
        labels,
        variation,
        masks=name.startswith("maskrcnn"),
        count=count,
        own_share=0.0,
        seed=0,
        skipped=Skipped(0),
    )
    return new_detector(DetectorConfig(name, labels, size=size)), pictures, params


def plain_loop(name: str, size: int, steps: int, batch: int) -> float:
    """What `train_one_epoch` of torchvision's references does; pictures a second."""
    import torch

    from sightbook.detection.training.loader import collate_images

    detector, pictures, _ = training_parts(name, size, steps * batch, batch, "32")
    detector.train()
    loader = torch.utils.data.DataLoader(
        pictures, batch, shuffle=True, collate_fn=collate_images, drop_last=True
    )
    optimizer = torch.optim.SGD(detector.parameters(), 0.005, momentum=0.9, weight_decay=5e-4)
    start = time.process_time()
    for rows in loader:
        losses = detector([image.float() / 255 for image in rows["image"]], rows["target"])
        loss = sum(losses.values())
        loss.item()  # they look whether it is finite
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * batch / (time.process_time() - start)


def own_loop(name: str, size: int, steps: int, batch: int, precision: str, run_name: str) -> float:
    """`training.fit` with all that it does beside: AdamW, EMA, clipping, records of each step."""
    import torch

    from sightbook.detection.training.loader import ValidationImages, collate_images
    from sightbook.detection.training.train import DetectionTask
    from sightbook.runs.run import open_run
    from sightbook.training.fit import fit

    class Timed(DetectionTask):
        def on_train_epoch_start(self) -> None:
            self.started = time.process_time()

        def on_train_batch_end(self, *args: object) -> None:
            self.took = time.process_time() - self.started  # the epoch's checkpoint is not its own

    detector, pictures, params = training_parts(name, size, steps * batch, batch, precision)
    detector = detector.to(memory_format=torch.channels_last)  # as `training.train.train_on` has it
    run = open_run("bench", run_name, params, stage="train", resume=False)
    truth = Annotations((), detector.config.labels)
    task = Timed(detector, ValidationImages([]), truth, run)
    with contextlib.redirect_stdout(io.StringIO()):
        fit(task, pictures, None, run, params, collate=collate_images, monitor="train/loss")
    run.finish({})
    return steps * batch / task.took


# ------------------------------------------------------------------ evaluation


def evaluation(images: int, per_image: int) -> None:
    """COCO's twelve figures by each backend, and what this project adds to them."""
    truth, found = crowded_set(images, per_image)
    count = sum(map(len, found.values()))
    print(f"{images:,} images, {count:,} detections, {len(truth.labels)} classes:")
    backends = ["pycocotools"]
    if importlib.util.find_spec("faster_coco_eval") is not None:
        backends.append("faster-coco-eval")
    else:
        print("  faster-coco-eval is not installed")
    numbers = {}
    for backend in backends:
        start = time.perf_counter()
        numbers[backend] = coco_numbers(truth, found, backend=backend)
        print(f"  twelve figures, {backend}: {time.perf_counter() - start:.1f} s")
    if len(backends) > 1:
        pairs = zip(*(numbers[backend].values() for backend in backends), strict=True)
        gap = max(abs((a or 0.0) - (b or 0.0)) for a, b in pairs)
        print(f"  largest difference of the backends' figures: {gap:.1e}")
    for resamples in (0, 50):
        start = time.perf_counter()
        evaluate_boxes(truth, found, resamples=resamples)
        spent = time.perf_counter() - start
        print(f"  figures, curves and classes, {resamples} resamples: {spent:.1f} s")


def crowded_set(images: int, per_image: int) -> tuple[Annotations, dict[str, list[Box]]]:
    """Some true boxes on each image, and many detections: near them, and anywhere."""
    rng = np.random.default_rng(0)
    labels = tuple(f"class {number}" for number in range(10))
    records, found = [], {}
    for number in range(images):
        true = []
        for _ in range(int(rng.integers(0, 14))):
            true.append(Box(str(rng.choice(labels)), corners(rng, 12, 200)))
        guesses = []
        for place in range(per_image):
            score = float(rng.random())
            if true and place < 4 * len(true):
                near = true[place % len(true)]
                width, height = near.width, near.height
                shift = rng.normal(0, 0.08, 4) * (width, height, width, height)
                x0, y0, x1, y1 = (float(v) for v in np.array(near.xyxy) + shift)
                xyxy = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
                guesses.append(Box(near.label, xyxy, score=score))
            else:
                label = str(rng.choice(labels))
                guesses.append(Box(label, corners(rng, 12, 200), score=score / 2))
        name = f"{number}.png"
        records.append(ImageRecord(name, 640, 640, tuple(true)))
        found[name] = guesses
    return Annotations(tuple(records), labels), found


def corners(
    rng: np.random.Generator, least: float, most: float
) -> tuple[float, float, float, float]:
    """A box somewhere on 640 x 640 pixels."""
    (x, y), (width, height) = rng.uniform(0, 440, 2), rng.uniform(least, most, 2)
    return float(x), float(y), float(x + width), float(y + height)


# ------------------------------------------------------------------ prediction


def prediction(pictures: int) -> None:
    """Milliseconds a picture, from its pixels to the answer, with onnxruntime on one thread."""
    drawn: dict[str, Callable[[int], Image]] = {
        "potholes": lambda index: render_surface(6, index, kind="road").image,
        "pcb": lambda index: render_surface(6, index, kind="board").image,
        "headstamps": lambda index: render_headstamps(6, index).image,
    }
    shipped = {
        "potholes": REFERENCE / "defects" / "potholes",
        "pcb": REFERENCE / "defects" / "pcb",
        "headstamps": REFERENCE / "headstamps",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in drawn.items():
            line = "headstamps" if name == "headstamps" else "defects"
            file, note = shipped[name] / MODEL, "shipped"
            if not file.is_file():
                file, note = untrained(Path(folder) / name, line), "untrained, drawn weights"
            predictor = OnnxDetector(file, line=line)
            images = [draw(index) for index in range(pictures)]
            size = f"{images[0].shape[1]}x{images[0].shape[0]}"
            what = f"{name} ({note}, {predictor.side} px in the model, pictures of {size})"
            print(f"{what}: {median_ms(predictor.detect, images):.0f} ms")
            if note == "shipped" and line == "headstamps":
                from sightbook.headstamps import Predictor as HeadstampPredictor

                reader = HeadstampPredictor(file)
                print(f"  found, unrolled and read: {median_ms(reader.read, images):.0f} ms")


def untrained(folder: Path, line: str) -> Path:
    """The small model of a line with weights drawn at random, exported; it finds a hundred things
    everywhere, so it is no faster than a trained one."""
    from sightbook.detection.inference.graph import export_detector
    from sightbook.detection.models.config import DetectorConfig
    from sightbook.detection.models.rcnn import new_detector

    labels = HEAD_LABELS if line == "headstamps" else KINDS["road"].labels
    name = "maskrcnn_mobilenet" if line == "headstamps" else "fasterrcnn_mobilenet"
    config = DetectorConfig(name, labels, size=512 if line == "headstamps" else 640)
    folder.mkdir()
    return export_detector(new_detector(config).eval(), folder / MODEL, line)


def median_ms(answer: Callable[[Image], object], images: list[Image]) -> float:
    """Median milliseconds of a call, after two to warm up."""
    spent = []
    for image in [*images[:2], *images]:
        start = time.perf_counter()
        answer(image)
        spent.append((time.perf_counter() - start) * 1000)
    return statistics.median(spent[2:])


# ------------------------------------------------------------------ drawing


def drawing(seconds: float) -> None:
    """Pictures a second of processor time, in this process alone."""
    cv2.setNumThreads(1)
    for kind, how in KINDS.items():
        size = "{}x{}".format(*how.size)
        show_rate(f"{kind}, {size}", lambda i, kind=kind: render_surface(7, i, kind=kind), seconds)
    for side in (320, 640):
        label = f"headstamps, {side} px"
        show_rate(label, lambda i, side=side: render_headstamps(7, i, size=side), seconds)
    show_rate("strips of headstamps", lambda index: render_strip(7, index), seconds)


def show_rate(name: str, draw: Callable[[int], object], seconds: float) -> None:
    draw(0), draw(1)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        draw(2 + count)
        count += 1
    speed = count / (time.process_time() - start)
    print(f"{name:<24} {speed:6.1f} /s/core  ({count} drawn)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--models",
        nargs="+",
        default=["fasterrcnn_mobilenet", "fasterrcnn_mobilenet_v3_large_320_fpn", "dfine_nano"],
        help="to train; names as in detection/models.py",
    )
    parser.add_argument("--size", type=int, default=320, help="pixels, of training")
    parser.add_argument("--steps", type=int, default=10, help="of training, in each round")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2, help="of training, after one to warm up")
    parser.add_argument("--images", type=int, default=2000, help="of the evaluation")
    parser.add_argument("--detections", type=int, default=100, help="on each of them")
    parser.add_argument("--pictures", type=int, default=15, help="to predict on")
    parser.add_argument("--seconds", type=float, default=5.0, help="of drawing each kind")
    options = parser.parse_args()
    if "drawing" in options.only:
        drawing(options.seconds)
    if "prediction" in options.only:
        prediction(options.images)
    if "evaluation" in options.only:
        evaluation(options.images, options.detections)
    if "training" in options.only:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SIGHTBOOK_OUTPUTS"] = folder
            how = (options.size, options.steps, options.batch_size, options.rounds)
            training(options.models, *how)


if __name__ == "__main__":
    main()
