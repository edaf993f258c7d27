"""Pictures of bright spots on dark ground, and what training needs of them."""

import numpy as np

from sightbook.data.images import save_image
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.training.augment import Example

BRIGHT = 200


def outline(box):
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)


def spotted(*boxes, size=(120, 90), outlines=True, ground=30):
    """An example whose boxes are all bright and nothing else is."""
    width, height = size
    image = np.full((height, width, 3), ground, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = BRIGHT
    return Example(
        image,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.int64),
        tuple((outline(box),) if outlines else () for box in boxes),
    )


def write_spots(folder, count=8, *, groups=4, attributes=None, outlines=True):
    """A COCO folder: every fourth picture is clean; `groups` groups, one after another."""
    rng = np.random.default_rng(3)
    records = []
    for number in range(count):
        boxes = []
        if number % 4 != 3:
            x, y = rng.integers(5, 60, 2).tolist()
            boxes = [(x, y, x + 40, y + 24)]
        example = spotted(*boxes, size=(128, 96), ground=20 + number)
        file = save_image(folder / "images" / f"{number}.png", example.image)
        made = tuple(
            Box(
                "spot",
                tuple(map(float, box)),
                (outline(box),) if outlines else (),
                attributes=attributes or {},
            )
            for box in boxes
        )
        group = f"road {number * groups // count}"
        records.append(ImageRecord(f"{number}.png", 128, 96, made, file, group))
    annotations = Annotations(tuple(records), ("spot",), folder)
    write_coco(annotations, folder / "annotations.json")
    return annotations
