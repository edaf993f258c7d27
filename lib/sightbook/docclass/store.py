"""Templates as arrays: what views are rendered from, in memory, small and fast."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.runs.files import atomic_file
from sightbook.runs.run import outputs_root

if TYPE_CHECKING:
    from sightbook.docclass.data import TemplateClass

STORE_SIDE = 192
"""Side of a stored template in pixels: half as much again as a view, which may magnify."""


@dataclass(frozen=True)
class Store:
    """Templates of many classes, stretched to squares of one size.

    Attributes:
        pixels: uint8 RGB ``[n, S, S, 3]``.
        aspects: true width over height, float32 ``[n]``.
        classes: index into `names` of each picture, int64 ``[n]``.
        names: the classes' names.
        families: artwork family of each class: pictures of one family are never told apart as if
            they were strangers.
        sources: where each picture is from.
    """

    pixels: NDArray[np.uint8]
    aspects: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: list[str]
    families: list[str]
    sources: list[str]

    def __len__(self) -> int:
        return len(self.pixels)

    def members(self) -> list[list[int]]:
        """Indices of the pictures of each class."""
        found: list[list[int]] = [[] for _ in self.names]
        for index, label in enumerate(self.classes):
            found[int(label)].append(index)
        return found


def squeeze(image: NDArray[np.uint8], side: int = STORE_SIDE) -> NDArray[np.uint8]:
    """Stretch a picture to a square, uint8 ``[side, side, 3]``."""
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def load_store(
    classes: Sequence[TemplateClass], side: int = STORE_SIDE, skipped: Skipped | None = None
) -> Store:
    """Read the templates of some classes.

    Args:
        classes: from `data.pool`.
        side: of the stored squares, pixels.
        skipped: takes what cannot be read; a class of which nothing can be read is left out. None:
            the first such picture raises its `ImageError`.
    """
    pixels: list[NDArray[np.uint8]] = []
    aspects: list[float] = []
    labels: list[int] = []
    names: list[str] = []
    families: list[str] = []
    sources: list[str] = []
    for item in classes:
        before = len(pixels)
        for file in item.files:
            try:
                image = open_image(file, at_least=2 * side)
            except ImageError as error:
                if skipped is None:
                    raise
                skipped.add(error.path, error.reason)
                continue
            pixels.append(squeeze(image, side))
            aspects.append(image.shape[1] / image.shape[0])
            labels.append(len(names))
            sources.append(str(file))
        if len(pixels) > before:
            names.append(item.name)
            families.append(item.family or item.name)
    return _store(pixels, aspects, labels, names, families, sources, side)


def synthetic_store(
    count: int, seed: int, first: int = 0, side: int = STORE_SIDE, cache: bool = True
) -> Store:
    """Generated templates `first` to `first + count` of a seed, each a class and a family.

    Drawn once and kept under `outputs/data/docclass/.cache`; another version of the generator draws
    anew.
    """
    file = _cache_folder() / f"{seed}-{first}-{count}-{side}-{_version()}.npz"
    if cache and file.is_file():
        with np.load(file) as kept:
            pixels, aspects = kept["pixels"], kept["aspects"]
    else:
        from sightbook.docclass.synth.templates import render_template

        drawn = [
            render_template(seed, index, long_side=side * 4 // 3).image
            for index in range(first, first + count)
        ]
        pixels = np.stack([squeeze(image, side) for image in drawn])
        aspects = np.array([i.shape[1] / i.shape[0] for i in drawn], np.float32)
        if cache:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(file) as path, path.open("wb") as target:
                np.savez(target, pixels=pixels, aspects=aspects)
    names = [f"generated/{seed}-{index}" for index in range(first, first + count)]
    labels = np.arange(count, dtype=np.int64)
    return Store(pixels, aspects, labels, names, list(names), list(names))


def join(stores: Iterable[Store]) -> Store:
    """Put several stores together; their classes stay apart."""
    parts = list(stores)
    offsets = np.cumsum([0, *(len(part.names) for part in parts)])
    return Store(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.aspects for part in parts]),
        np.concatenate([p.classes + o for p, o in zip(parts, offsets, strict=False)]),
        [name for part in parts for name in part.names],
        [family for part in parts for family in part.families],
        [source for part in parts for source in part.sources],
    )


def _store(
    pixels: list[NDArray[np.uint8]],
    aspects: list[float],
    labels: list[int],
    names: list[str],
    families: list[str],
    sources: list[str],
    side: int,
) -> Store:
    return Store(
        np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8),
        np.array(aspects, np.float32),
        np.array(labels, np.int64),
        names,
        families,
        sources,
    )


def _cache_folder() -> Path:
    return outputs_root() / "data" / "docclass" / ".cache"


def _version() -> str:
    """Hash of the generator's source: what is cached is what it would draw."""
    from sightbook import synth as shared
    from sightbook.docclass import synth

    digest = hashlib.sha256()
    for package in (synth, shared):
        for file in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
