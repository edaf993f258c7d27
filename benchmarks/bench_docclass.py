"""Speed of document types: embedding with onnxruntime on one thread, and matching.

python benchmarks/bench_docclass.py [--model reference] [--repeats 50]
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from sightbook.docclass.predict import Predictor
from sightbook.docclass.registry import Registry
from sightbook.inference import onnx
from sightbook.inference.models import find_model


def median_ms(run: object, repeats: int) -> float:
    """Median wall-clock milliseconds of a call, after two to warm up."""
    spent = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        run()  # type: ignore[operator]
        spent.append((time.perf_counter() - start) * 1000)
    return float(np.median(spent[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference", help="as sightbook predict takes it")
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    file = find_model("docclass", options.model)
    session = onnx.session(file, threads=1)
    for batch in (1, 64):
        pixels = rng.random((batch, 3, 128, 128), dtype=np.float32)
        found = onnx.latency(session, {session.get_inputs()[0].name: pixels}, options.repeats)
        spent = found["median_ms"]
        rate = batch / spent * 1000
        print(f"network, batch {batch:2d}: {spent:7.3f} ms, {rate:6.0f} embeddings/s on one thread")
    predictor = Predictor(file, threshold=0.5)
    photo = rng.integers(0, 256, (960, 1280, 3), dtype=np.uint8)
    predictor.register("one", photo)
    spent = median_ms(lambda: predictor.predict(photo), options.repeats)
    print(f"predict, a photo of 1280x960: {spent:.2f} ms, resizing included")
    print(f"memory: {onnx.peak_memory(file, {'img': pixels[:1]}):.0f} MiB for one picture")
    rows = rng.standard_normal((100_000, predictor.dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    registry = Registry("bench", predictor.dim)
    for index, row in enumerate(rows):
        registry.add(str(index), row)
    registry.scores(rows[:1])
    spent = median_ms(lambda: registry.scores(rows[:1]), options.repeats)
    print(f"matching one photo with 100,000 registered types: {spent:.2f} ms")


if __name__ == "__main__":
    main()
