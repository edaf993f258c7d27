"""Several COCO files -> one: classes united by name, ids anew, nothing else lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sightbook.data.images import content_hash
from sightbook.data.validation import Report
from sightbook.detection.labels import coco
from sightbook.runs.files import read_json, write_atomic

Row = dict[str, Any]


def merge_coco(
    sources: Sequence[str | Path],
    target: str | Path,
    *,
    prefixes: Sequence[str] = (),
    report: Report | None = None,
) -> Path:
    """Write one COCO file of several; pictures are neither needed nor moved.

    Ids run from 1 on; classes of one name are one class, in the order of first appearance; licences
    are united. Pictures of one name are one picture, with the objects of all files: for the files
    of several annotators that is meant, for folders with pictures of the same names it is not, and
    is an error where sizes or contents differ. Fields that COCO does not know are kept.

    Args:
        sources: COCO files.
        target: the file to write.
        prefixes: for each source a folder to set before its pictures' names ("may", "june"), so
            that pictures of one name stay two.
        report: takes what is wrong, and the file is written without it; by default anything wrong
            ends the merge.

    Returns:
        `target`.

    Raises:
        DataError: something is wrong, and no report was given.
        ValueError: as many prefixes as sources are expected, or none.
    """
    if prefixes and len(prefixes) != len(sources):
        raise ValueError(f"{len(prefixes)} prefixes for {len(sources)} files")
    own = Report() if report is None else report
    merged = _Merged()
    files = [Path(source) for source in sources]
    for file, prefix in zip(files, prefixes or [""] * len(files), strict=True):
        content = coco.load(file, own)
        if content is not None:
            extra = read_json(file)
            _add(merged, content, extra.get("licenses") or [], file, prefix, own)
    if report is None:
        own.raise_errors()
    united = {
        "info": {"description": f"Merged from {', '.join(file.name for file in files)}"},
        "licenses": list(merged.licenses.values()),
        "images": list(merged.images.values()),
        "annotations": merged.annotations,
        "categories": list(merged.categories.values()),
    }
    write_atomic(target, json.dumps(united, ensure_ascii=False) + "\n")
    return Path(target)


class _Merged:
    """The tables as they grow; by what makes a row the same as another."""

    def __init__(self) -> None:
        self.licenses: dict[str, Row] = {}
        self.categories: dict[str, Row] = {}
        self.images: dict[str, Row] = {}
        self.files: dict[str, Path] = {}
        self.annotations: list[Row] = []


def _add(
    merged: _Merged,
    content: Mapping[str, Sequence[Row]],
    licenses: Sequence[Row],
    file: Path,
    prefix: str,
    report: Report,
) -> None:
    license_ids = {
        row.get("id"): _united(merged.licenses, f"{row.get('name')}\n{row.get('url')}", row)
        for row in licenses
    }
    category_ids: dict[Any, int] = {}
    for row in content["categories"]:
        if row["id"] in category_ids:
            report.error("duplicate id", f"{file.name}: category {row['id']}", f"{row['name']!r}")
            continue
        category_ids[row["id"]] = _united(merged.categories, row["name"], row)
    image_ids: dict[Any, int] = {}
    for row in content["images"]:
        if row["id"] in image_ids:
            report.error("duplicate id", f"{file.name}: image {row['id']}", f"{row['file_name']!r}")
            continue
        name = str(PurePosixPath(prefix) / row["file_name"]) if prefix else row["file_name"]
        image = _image(file, row["file_name"])
        if name in merged.images and _differ(merged, name, row, image):
            report.error(
                "two pictures of one name",
                f"{file.name}: image {row['id']}",
                f"{name!r} of an earlier file is another picture; give prefixes",
            )
            continue
        if "license" in row:
            row = {**row, "license": license_ids.get(row["license"])}
        image_ids[row["id"]] = _united(merged.images, name, {**row, "file_name": name})
        if image is not None:
            merged.files.setdefault(name, image)
    seen: set[Any] = set()
    for row in content["annotations"]:
        where = f"{file.name}: annotation {row.get('id')}"
        if row.get("id") is not None and str(row["id"]) in seen:
            report.error("duplicate id", where, "the id of another annotation; both are kept")
        seen.add(str(row.get("id")))
        if row["image_id"] not in image_ids:
            report.error("unknown picture", where, f"image_id {row['image_id']!r} is not in images")
            continue
        if row["category_id"] not in category_ids:
            report.error("unknown class", where, f"{row['category_id']!r} is not in categories")
            continue
        ids = {
            "id": len(merged.annotations) + 1,
            "image_id": image_ids[row["image_id"]],
            "category_id": category_ids[row["category_id"]],
        }
        merged.annotations.append({**row, **ids})


def _united(table: dict[str, Row], key: str, row: Row) -> int:
    """The new id of a row, added if its like is not there."""
    if key not in table:
        table[key] = {**row, "id": len(table) + 1}
    return int(table[key]["id"])


def _image(file: Path, name: str) -> Path | None:
    """The picture beside the file or in `images/` beside it, if it is there."""
    if "://" in name:
        return None
    places = (file.parent / "images" / name, file.parent / name)
    return next((place for place in places if place.is_file()), None)


def _differ(merged: _Merged, name: str, row: Row, other: Path | None) -> bool:
    """Whether a picture is another than the earlier one of its name, as far as can be told."""
    earlier, known = merged.images[name], merged.files.get(name)
    sizes = [(image.get("width"), image.get("height")) for image in (earlier, row)]
    if all(all(size) for size in sizes) and sizes[0] != sizes[1]:
        return True
    if other is None or known is None or other == known:
        return False
    return content_hash(other) != content_hash(known)
