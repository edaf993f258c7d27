"""Small sets of true and found boxes for the tests of figures."""

import numpy as np

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord


def record(name, *boxes, size=(400, 300), group=""):
    """A record whose true boxes are given as (label, xyxy) or xyxy."""
    return ImageRecord(name, *size, tuple(box(*_pair(b)) for b in boxes), group=group)


def box(label, xyxy, score=None, **more):
    return Box(label, tuple(map(float, xyxy)), score=score, **more)


def dataset(*records, labels=("hole",)):
    return Annotations(tuple(records), tuple(labels))


def random_set(seed, images=30, labels=("hole", "crack", "stain")):
    """Images with boxes of all sizes, found with shifts, false ones, doubles and wrong classes."""
    rng = np.random.default_rng(seed)
    records, found = [], {}
    for number in range(images):
        name, truth, guesses = f"{number}.png", [], []
        for _ in range(int(rng.integers(0, 5))):
            side = rng.choice([12, 40, 130]) * rng.uniform(0.7, 1.3, 2)
            corner = rng.uniform(0, 200, 2)
            label = str(rng.choice(labels))
            truth.append(box(label, (*corner, *(corner + side))))
            for _ in range(int(rng.integers(0, 3))):
                shift = rng.normal(0, 0.12, 4) * np.tile(side, 2)
                x0, y0, x1, y1 = np.array([*corner, *(corner + side)]) + shift
                guess = label if rng.random() < 0.8 else str(rng.choice(labels))
                corners = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
                guesses.append(box(guess, corners, round(float(rng.random()), 2)))
        for _ in range(int(rng.integers(0, 3))):
            x, y = rng.uniform(0, 200, 2)
            guess = (x, y, x + 30, y + 50)
            guesses.append(box(str(rng.choice(labels)), guess, round(float(rng.random()), 2)))
        records.append(ImageRecord(name, 400, 400, tuple(truth), group=f"road {number % 5}"))
        found[name] = guesses
    return Annotations(tuple(records), tuple(labels)), found


def _pair(given):
    return given if isinstance(given[0], str) else ("hole", given)
