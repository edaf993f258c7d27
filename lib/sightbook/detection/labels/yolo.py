"""YOLO's text: a file a picture, a row an object, as shares of the picture's width and height.

A row is ``class x y width height`` (x, y the middle), with a score behind it in predictions, or
``class x0 y0 x1 y1 x2 y2 ...`` with an outline of three points or more. A picture without a file,
or with an empty one, is clean.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import natural_key
from sightbook.data.validation import Report
from sightbook.detection.labels.checks import Draft, DraftBox, Drafts, split_of

LABELS = "labels"

_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")


def is_yolo(folder: Path) -> bool:
    """Whether a folder looks like a data set of this kind."""
    return _names_yaml(folder) is not None or any(
        _is_rows(file) for file in _label_files(folder)[:20]
    )


def read_yolo(folder: Path, images: ImageFinder, *, report: Report) -> Drafts:
    """Read a folder: ``images/`` and ``labels/`` of the same structure, or texts beside pictures.

    Classes are named by `names` in a YAML file, or by `classes.txt`; else they are called by their
    numbers.

    Args:
        folder: the data set.
        images: all of its pictures.
        report: takes rows that cannot be read and classes without a name.
    """
    labels = _class_names(folder, report)
    by_stem: dict[str, list[Path]] = {}
    for file in _label_files(folder):
        by_stem.setdefault(file.stem, []).append(file)
    drafts, used, numbers = [], set(), set()
    for image in images.files:
        found = _labels_of(image, by_stem.get(image.stem, []))
        name = images.name(image)
        draft = Draft((name,), found or image, split=split_of(PurePosixPath(name)))
        if found is not None:
            used.add(found)
            draft.boxes = _rows(found, report)
            numbers |= {int(box.label) for box in draft.boxes}
        drafts.append(draft)
    for files in by_stem.values():
        # kept as drafts: the pictures that they lack are counted with the others
        drafts += [Draft((file.stem,), file) for file in files if file not in used]
    if not labels:
        labels = [str(number) for number in range(max(numbers, default=-1) + 1)]
        report.warning(
            "classes without names",
            folder,
            f"no YAML file with 'names' and none of {', '.join(_NAME_FILES)}: called by number",
        )
    for draft in drafts:
        for box in draft.boxes:
            if int(box.label) < len(labels):
                box.label = labels[int(box.label)]
    return Drafts(drafts, labels)


def _labels_of(image: Path, files: list[Path]) -> Path | None:
    """Of the label files called as the picture, the one in the matching folder."""
    parts = image.parent.parts
    places = [image.parent]
    for number in reversed(range(len(parts))):
        if parts[number] == "images":
            places.insert(0, Path(*parts[:number], LABELS, *parts[number + 1 :]))
    matching = [file for place in places for file in files if file.parent == place]
    return matching[0] if matching else files[0] if len(files) == 1 else None


def _rows(file: Path, report: Report) -> list[DraftBox]:
    """The objects of a file, called by their numbers."""
    boxes = []
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{file.name}:{number}"
        values = _numbers(line)
        if values is None:
            report.error(
                "wrong row",
                where,
                f"{line.strip()!r:.80}, expected class x y width height (and a score), or class "
                "and three points or more",
            )
            continue
        label = str(int(values[0]))
        if len(values) > 6:
            outline = np.asarray(values[1:], np.float32).reshape(-1, 2)
            boxes.append(DraftBox(label, None, [outline], where, relative=True))
            continue
        x, y, width, height = values[1:5]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        score = values[5] if len(values) == 6 else None
        boxes.append(DraftBox(label, corners, (), where, relative=True, score=score))
    return boxes


def _numbers(line: str) -> list[float] | None:
    """A row's numbers; None if it is no row of either form."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return None
    fits = len(values) in (5, 6) or (len(values) >= 7 and len(values) % 2 == 1)
    return values if fits and values[0] >= 0 and values[0].is_integer() else None


def _label_files(folder: Path) -> list[Path]:
    """Text files below a folder that may hold rows, in natural order."""
    found = (
        file
        for file in folder.rglob("*.txt")
        if file.name not in _NAME_FILES and not file.name.startswith(".")
    )
    files = sorted(found, key=natural_key)
    inside = [file for file in files if LABELS in file.relative_to(folder).parts[:-1]]
    return inside or [file for file in files if _is_rows(file)]


def _is_rows(file: Path) -> bool:
    """Whether the first line that says anything is a row."""
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        line = next((line for line in text if line.strip()), "")
    return _numbers(line) is not None


def _names_yaml(folder: Path) -> Any:
    """`names` of the first YAML file in the folder that has them."""
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")], key=natural_key):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        if isinstance(content, dict) and isinstance(content.get("names"), list | dict):
            return content["names"]
    return None


def _class_names(folder: Path, report: Report) -> list[str]:
    names = _names_yaml(folder)
    if isinstance(names, list):
        return [str(name) for name in names]
    if isinstance(names, dict):
        numbers = [key for key in names if isinstance(key, int) and key >= 0]
        if len(numbers) < len(names):
            report.error("wrong class names", folder, f"names are {names!r:.80}, expected numbers")
        return [str(names.get(number, number)) for number in range(max(numbers, default=-1) + 1)]
    for name in _NAME_FILES:
        file = folder / name
        if file.is_file():
            return [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    return []
