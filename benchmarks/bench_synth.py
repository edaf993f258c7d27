"""Speed of the synthetic generators on one core: zones and documents, templates and their views.

python benchmarks/bench_synth.py [--seconds 5]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from sightbook.docclass.store import squeeze
from sightbook.docclass.synth.templates import render_template
from sightbook.docclass.synth.views import LEVELS, render_view
from sightbook.donut.synth.documents import render_document
from sightbook.donut.synth.zones import render_zone


def rate(draw: Callable[[int], object], seconds: float, warm_up: int) -> tuple[float, int]:
    """Samples per second of CPU time, which other processes on the machine do not disturb."""
    for index in range(warm_up):
        draw(index)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        draw(warm_up + count)
        count += 1
    return count / (time.process_time() - start), count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds per measurement")
    seconds = parser.parse_args().seconds
    cv2.setNumThreads(1)
    for difficulty in (0.0, 0.5, 1.0):
        speed, count = rate(lambda i, d=difficulty: render_zone(1, i, d), seconds, 300)
        print(f"zone crops, difficulty {difficulty}: {speed:6.1f} /s/core  ({count} drawn)")
    speed, count = rate(lambda i: render_document(1, i), 2 * seconds, 40)
    print(f"documents, 1280x960:        {speed:6.1f} /s/core  ({count} drawn)")
    speed, count = rate(lambda i: render_template(1, i, 256), seconds, 20)
    print(f"templates, 256 px:          {speed:6.1f} /s/core  ({count} drawn)")
    template = squeeze(render_template(1, 0, 256).image)
    for level in (*LEVELS, "mixed"):
        speed, count = rate(
            lambda i, level=level: render_view(template, 1.6, np.random.default_rng(i), level),
            seconds,
            300,
        )
        print(f"views, 128 px, {level:<12} {speed:6.0f} /s/core  ({count} drawn)")


if __name__ == "__main__":
    main()
