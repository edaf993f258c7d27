"""Which templates are one artwork: copies, the same card with another mark, another colour, person.

No network can tell such types apart reliably, and nobody would call it wrong that it cannot. So
they never stand on two sides of a split, and never count as each other's impostors.

Three signatures are compared. What finds artwork is the correlation of oriented gradients over a
coarse grid: it sees layout and drawing and is blind to colour. A perceptual hash (the signs of the
lowest DCT frequencies) and the colours of an 8x8 grid decide where the correlation alone is not
sure; by itself the hash calls any two dark cards with a light corner the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 32
"""Cells a side of the gradient map."""

DUPLICATE_CORRELATION = 0.9
ARTWORK_CORRELATION = 0.68
"""From here on two pictures share layout and drawing, whatever their colours."""
SIMILAR_CORRELATION, SIMILAR_COLOUR = 0.6, 40.0
"""From here on they do if their colours are not altogether different."""
LIKELY_CORRELATION = 0.5
"""From here on they do if hash and colours agree."""
DUPLICATE_HASH, LIKELY_HASH = 8, 12
DUPLICATE_COLOUR, LIKELY_COLOUR = 12.0, 20.0

_BLOCK = 1024


@dataclass(frozen=True)
class Signature:
    """What a picture is compared by.

    Attributes:
        gradients: float32 ``[GRID * GRID * 3]`` of unit length: gradient strength and its direction
            (as cosine and sine of twice the angle), so that a scalar product is a correlation.
        bits: bool ``[63]``, perceptual hash.
        colours: float32 ``[192]``, CIELAB (OpenCV's 8-bit scale) of an 8x8 grid.
    """

    gradients: NDArray[np.float32]
    bits: NDArray[np.bool_]
    colours: NDArray[np.float32]


@dataclass(frozen=True)
class FamilyLink:
    """Two templates that were found to be one artwork.

    Attributes:
        a: name of one.
        b: name of the other.
        kind: a duplicate shows the very same; artwork shares layout and drawing.
        gradient_correlation: -1 to 1.
        hash_distance: differing bits of 63.
        colour_distance: root mean square over the grid, CIELAB.
    """

    a: str
    b: str
    kind: Literal["duplicate", "artwork"]
    gradient_correlation: float
    hash_distance: int
    colour_distance: float


def signature(image: NDArray[np.uint8]) -> Signature:
    """Compute the signatures of a picture, uint8 RGB ``[H, W, 3]``, stretched to a square."""
    small = cv2.resize(image, (2 * GRID, 2 * GRID), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    # The root, so that a black logo on white does not outweigh a faint drawing altogether.
    strength = np.sqrt(cv2.magnitude(across, down))
    twice = 2 * np.arctan2(down, across)
    field = np.stack([strength, strength * np.cos(twice), strength * np.sin(twice)], axis=-1)
    # Blurred by about a cell: the same artwork is never cut out to the pixel.
    field = cv2.GaussianBlur(field, (0, 0), 1.2)
    field = np.asarray(cv2.resize(field, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float32)
    field[..., 0] -= field[..., 0].mean()
    gradients = field.ravel() / max(float(np.linalg.norm(field)), 1e-6)
    tiny = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(tiny)[:8, :8].ravel()[1:]
    colours = cv2.cvtColor(
        cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB
    )
    return Signature(
        gradients.astype(np.float32),
        np.asarray(frequencies > np.median(frequencies), np.bool_),
        colours.astype(np.float32).ravel(),
    )


def find_families(
    signatures: Sequence[Signature], names: Sequence[str]
) -> tuple[list[str], list[FamilyLink]]:
    """Group pictures that are linked, also by a chain of links.

    Args:
        signatures: of pictures.
        names: the class of each; pictures of one class are one family anyway and make no links.

    Returns:
        The family of each picture, called after its first member, and the links between different
        classes, the strongest first.
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    links = []
    for a, b, kind, correlation, hashed, colour in _close_pairs(signatures):
        if names[a] == names[b]:
            continue
        link = FamilyLink(names[a], names[b], kind, correlation, hashed, colour)
        links.append(link)
        parent[root(link.b)] = root(link.a)
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(root(name), name)
    links.sort(key=lambda link: -link.gradient_correlation)
    return [first[root(name)] for name in names], links


def _close_pairs(
    signatures: Sequence[Signature],
) -> Iterator[tuple[int, int, Literal["duplicate", "artwork"], float, int, float]]:
    """Pairs that are one artwork: their indices and what `FamilyLink` says of them."""
    if not signatures:
        return
    gradients = np.stack([s.gradients for s in signatures])
    for start in range(0, len(signatures), _BLOCK):
        correlations = gradients[start : start + _BLOCK] @ gradients.T
        rows, columns = np.nonzero(correlations >= LIKELY_CORRELATION)
        for a, b in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if a >= b:
                continue
            correlation = float(correlations[a - start, b])
            one, two = signatures[a], signatures[b]
            hashed = int((one.bits != two.bits).sum())
            colour = float(np.sqrt(np.mean((one.colours - two.colours) ** 2)))
            if (
                correlation >= ARTWORK_CORRELATION
                or (correlation >= SIMILAR_CORRELATION and colour <= SIMILAR_COLOUR)
                or (hashed <= LIKELY_HASH and colour <= LIKELY_COLOUR)
            ):
                same = (
                    correlation >= DUPLICATE_CORRELATION
                    and hashed <= DUPLICATE_HASH
                    and colour <= DUPLICATE_COLOUR
                )
                yield a, b, "duplicate" if same else "artwork", correlation, hashed, colour
