"""Preparing a folder of templates: drawn, or copied from what people have; checked and split."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import Skipped, open_image
from sightbook.data.validation import (
    DataError,
    Fingerprint,
    Report,
    find_leaks,
    fingerprint,
    keep_origin,
)
from sightbook.docclass.data import (
    CLASSES_FILE,
    Pool,
    TemplateClass,
    pool,
    read_classes,
    write_classes,
)
from sightbook.docclass.params import PrepareDocclass
from sightbook.figures import plots
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.files import atomic_file
from sightbook.runs.run import dataset_folder


@dataclass(frozen=True)
class Prepared:
    """A folder of templates, read back and checked.

    Attributes:
        pool: its classes with families and splits.
        report: all problems found.
        skipped: pictures that cannot be used and were left out.
    """

    pool: Pool
    report: Report
    skipped: Skipped

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.pool.folder

    def table(self) -> list[dict[str, object]]:
        """One row a split: classes, pictures, artwork families, families of several classes."""
        rows: list[dict[str, object]] = []
        for split in ("train", "calibration", "test"):
            classes = self.pool.of(split)
            families = [item.family for item in classes]
            several = sum(families.count(name) > 1 for name in set(families))
            rows.append(
                {
                    "split": split,
                    "classes": len(classes),
                    "images": sum(len(item.files) for item in classes),
                    "artwork families": len(set(families)),
                    "of several classes": several,
                }
            )
        return rows

    def fingerprint(self) -> Fingerprint:
        """Fingerprint of names, contents, families and splits."""
        return fingerprint(
            (file.relative_to(self.folder).as_posix(), file, [item.family, item.split])
            for item in self.pool.classes
            for file in item.files
        )


def prepare(params: PrepareDocclass) -> Prepared:
    """Draw or import the templates that `params` describe, find families and split them.

    Cut off, the same call goes on where it stopped.

    Raises:
        ParameterError: source folder without its path.
        DataError: the data set exists and was made otherwise, or the source cannot be read.
        TooManySkipped: more unusable pictures than `params.max_bad`.
    """
    folder = dataset_folder("docclass", params.name)
    skipped, report = Skipped(params.max_bad), Report()
    origin: dict[str, Any] = {"source": params.source, "seed": params.seed}
    if params.source == "synthetic":
        from sightbook.docclass.synth.templates import write_templates

        origin |= {"templates": params.templates, "long_side": params.long_side}
        folder.mkdir(parents=True, exist_ok=True)
        keep_origin(folder, origin)
        write_templates(folder, params.templates, params.seed, params.long_side, params.workers)
    else:
        if not params.path:
            raise ParameterError("source is 'folder': parameter 'path' must name it")
        source = resolve_path(params.path)
        origin["path"] = str(params.path)
        classes = read_classes(source, report=report, skipped=skipped)
        if not classes:
            raise DataError(f"{source}: no picture in it can be used as a template")
        folder.mkdir(parents=True, exist_ok=True)
        keep_origin(folder, origin)
        for item in classes:
            for file in item.files:
                copy_file(file, folder / file.relative_to(source))
    # What was written before is no source of itself: families and splits are found anew.
    (folder / CLASSES_FILE).unlink(missing_ok=True)
    shares = {"calibration": params.calibration, "test": params.test}
    shares = {"train": 1 - sum(shares.values()), **shares}
    found = pool(
        folder,
        fractions={name: share for name, share in shares.items() if share > 0},
        salt=str(params.seed),
        max_bad=params.max_bad,
    )
    write_classes(found, {**origin, "fractions": shares})
    report.extend(found.report)
    report.extend(check_splits(found))
    report.checked = len(found.classes)
    return Prepared(found, report, skipped)


def copy_file(source: Path, target: Path) -> None:
    """Copy a picture as it is, unless it is there already."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as partial:
        shutil.copyfile(source, partial)


def check_splits(found: Pool) -> Report:
    """Report every picture and every artwork family that stands in more than one split."""
    rows = [(item, file) for item in found.classes for file in item.files]
    splits: dict[str, list[tuple[Any, Path]]] = {}
    for item, file in rows:
        splits.setdefault(item.split, []).append((item, file))
    return find_leaks(
        splits,
        key=lambda row: found.hashes[row[1].relative_to(found.folder).as_posix()],
        group=lambda row: row[0].family,
        name=lambda row: row[1].name,
    )


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
