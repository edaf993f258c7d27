"""What `01_prepare_docclass` shows: the templates, and which of them are one artwork."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook import plots
from sightbook.docclass.data import Pool, TemplateClass
from sightbook.images import open_image

Image = NDArray[np.uint8]

_WIDTH, _HEIGHT = 240, 170


def templates(pool: Pool, count: int = 36) -> plots.Plot:
    """A sheet of templates, evenly over all classes."""
    picked = np.linspace(0, len(pool.classes) - 1, min(count, len(pool.classes))).round()
    classes = [pool.classes[index] for index in picked.astype(int)]
    return plots.image_grid(
        [_tile(item) for item in classes], [item.name for item in classes], columns=9, width=13
    )


def families(pool: Pool, count: int = 12) -> plots.Plot:
    """Pairs that were found to be one artwork, from the weakest link to the strongest.

    The weakest come first: they say whether the limits are right.
    """
    if not pool.links:
        return plots.empty_plot("no two templates are one artwork")
    by_name = {item.name: item for item in pool.classes}
    links = [link for link in reversed(pool.links) if link.a in by_name and link.b in by_name]
    picked = np.linspace(0, len(links) - 1, min(count, len(links))).round().astype(int)
    images, titles = [], []
    for index in picked:
        link = links[index]
        images.append(np.hstack([_tile(by_name[link.a]), _tile(by_name[link.b])]))
        titles.append(
            f"{link.kind}: gradients {link.gradient_correlation:.2f}, hash {link.hash_distance}, "
            f"colour {link.colour_distance:.0f}"
        )
    return plots.image_grid(images, titles, columns=3, width=13)


def shapes(pool: Pool) -> plots.Plot:
    """Width over height of the templates."""
    ratios = []
    for item in pool.classes:
        image = open_image(item.files[0], at_least=64)
        ratios.append(image.shape[1] / image.shape[0])
    return plots.histogram(ratios, name="width over height")


def _tile(item: TemplateClass) -> Image:
    """A class's first template in a tile of one size, white around it."""
    image = open_image(item.files[0], at_least=_WIDTH)
    scale = min(_WIDTH / image.shape[1], _HEIGHT / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tile = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    top, left = (_HEIGHT - size[1]) // 2, (_WIDTH - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
