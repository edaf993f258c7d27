"""COCO's JSON, read and written: https://cocodataset.org/#format-data

Read are absolute and relative coordinates (Azure ML's labelling exports either), polygons and run
lengths; pictures may be named by `AmlDatastore://` and `azureml://` URLs. `group` and `split` of a
picture and `attributes` of an object go both ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sightbook.data.validation import Report
from sightbook.detection.labels.annotations import (
    Annotations,
    Box,
    Points,
    polygons_box,
)
from sightbook.detection.labels.checks import Draft, DraftBox, Drafts, flat_polygon, split_of
from sightbook.detection.labels.masks import mask_polygons, rle_mask
from sightbook.metrics.polygons import polygon_areas
from sightbook.runs.files import plain, read_json, write_atomic

_IMAGE_KEYS = {"id", "file_name", "width", "height", "group", "split", "license", "coco_url",
               "flickr_url", "absolute_url", "date_captured"}  # fmt: skip
"""What is not kept as an attribute of the picture: it has a field of its own, or is about the
file that the picture came in."""


def is_coco(file: Path) -> bool:
    """Whether a JSON file has COCO's tables."""
    content = file.read_bytes()
    return all(key in content for key in (b'"images"', b'"categories"'))


def read_coco(files: Sequence[Path], base: Path, *, report: Report) -> Drafts:
    """Read COCO files; their classes are united by name, in the order of their ids.

    Args:
        files: JSON files.
        base: where they lie; a folder or name that says ``train`` makes it the pictures' split.
        report: takes duplicate ids, annotations of unknown pictures or classes, and outlines that
            cannot be read.
    """
    drafts = Drafts([], [])
    for file in files:
        content = load(file, report)
        if content is None:
            continue
        categories = _categories(content, file, report)
        drafts.labels += [name for name in categories.values() if name not in drafts.labels]
        drafts.images += _images(content, categories, file, base, report)
    return drafts


def load(file: Path, report: Report) -> dict[str, list[dict[str, Any]]] | None:
    """The tables ``images``, ``annotations``, ``categories`` of a file, as lists of objects.

    None, and an error in `report`, if the file is no COCO.
    """
    try:
        content = read_json(file)
    except (ValueError, OSError) as error:
        report.error("wrong JSON", file.name, str(error))
        return None
    tables: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        report.error("no COCO", file.name, "expected an object with a list 'images'")
        return None
    for name in tables:
        rows = content.get(name) or []
        if not isinstance(rows, list):
            report.error("no COCO", file.name, f"{name} is no list")
            rows = []
        wrong = [number for number, row in enumerate(rows) if not _has_id(row, name)]
        for number in wrong:
            report.error("no COCO", f"{file.name}: {name}[{number}]", f"{rows[number]!r:.80}")
        left_out = set(wrong)
        tables[name] = [row for number, row in enumerate(rows) if number not in left_out]
    return tables


def coco_dict(annotations: Annotations) -> dict[str, Any]:
    """A data set as COCO's JSON: ids from 1 on, coordinates to 0.01 pixels.

    Pictures without objects stay; classes without objects stay.
    """
    number = {label: place for place, label in enumerate(annotations.labels, start=1)}
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for image_id, record in enumerate(annotations.records, start=1):
        row = {
            **record.attributes,
            "id": image_id,
            "file_name": record.name,
            "width": record.width,
            "height": record.height,
        }
        row |= {key: value for key in ("group", "split") if (value := getattr(record, key))}
        images.append(row)
        for box in record.boxes:
            objects.append(
                {"id": len(objects) + 1, "image_id": image_id, "category_id": number[box.label]}
                | _object_dict(box)
            )
    categories = [{"id": place, "name": label} for label, place in number.items()]
    return plain({"images": images, "annotations": objects, "categories": categories})


def write_coco(annotations: Annotations, file: str | Path) -> Path:
    """Write `coco_dict` to a file, atomically.

    Raises:
        KeyError: a box's class is not among the labels.
    """
    write_atomic(file, json.dumps(coco_dict(annotations), ensure_ascii=False) + "\n")
    return Path(file)


def _object_dict(box: Box) -> dict[str, Any]:
    left, top = round(box.xyxy[0], 2), round(box.xyxy[1], 2)
    right, bottom = round(box.xyxy[2], 2), round(box.xyxy[3], 2)
    row: dict[str, Any] = {
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": round(float(polygon_areas(box.polygons).sum()) if box.polygons else box.area, 2),
        "iscrowd": int(box.crowd),
    }
    if box.polygons:
        row["segmentation"] = [
            [round(value, 2) for value in polygon.ravel().tolist()] for polygon in box.polygons
        ]
    if box.score is not None:
        row["score"] = box.score
    if box.attributes:
        row["attributes"] = dict(box.attributes)
    return row


def _has_id(row: Any, table: str) -> bool:
    """Whether a row has what it cannot be placed without."""
    if not isinstance(row, dict):
        return False
    if table == "annotations":
        return _plain_id(row.get("image_id")) and _plain_id(row.get("category_id"))
    named = row.get("file_name") if table == "images" else row.get("name")
    return _plain_id(row.get("id")) and isinstance(named, str) and bool(named.strip())


def _plain_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _categories(content: Mapping[str, Any], file: Path, report: Report) -> dict[Any, str]:
    """Class name of each id, ids in order."""
    names: dict[Any, str] = {}
    for row in sorted(
        content["categories"], key=lambda row: (isinstance(row["id"], str), row["id"])
    ):
        if row["id"] in names:
            report.error(
                "duplicate id",
                f"{file.name}: category {row['id']}",
                f"is {names[row['id']]!r} and {row['name']!r}; the first is taken",
            )
        names.setdefault(row["id"], row["name"])
    return names


def _images(
    content: Mapping[str, Any],
    categories: Mapping[Any, str],
    file: Path,
    base: Path,
    report: Report,
) -> list[Draft]:
    drafts: dict[Any, Draft] = {}
    split = split_of(PurePosixPath(file.relative_to(base)))
    for row in content["images"]:
        if row["id"] in drafts:
            report.error(
                "duplicate id",
                f"{file.name}: image {row['id']}",
                f"{row['file_name']!r} and {drafts[row['id']].names[0]!r}; the first is taken",
            )
            continue
        urls = (row.get(key) for key in ("coco_url", "absolute_url"))
        names = (row["file_name"], *(url for url in urls if isinstance(url, str) and url))
        drafts[row["id"]] = Draft(
            names,
            file,
            size=_size(row, file, report),
            group=str(row.get("group") or ""),
            split=str(row.get("split") or split),
            attributes={key: value for key, value in row.items() if key not in _IMAGE_KEYS},
        )
    relative = _is_relative(content["annotations"])
    seen: set[Any] = set()
    for number, row in enumerate(content["annotations"]):
        name = row.get("id")
        where = f"{file.name}: annotation {name if name is not None else f'[{number}]'}"
        if _plain_id(name) and name in seen:
            report.error("duplicate id", where, "the id of another annotation; both are kept")
        if _plain_id(name):
            seen.add(name)
        if row["image_id"] not in drafts:
            report.error("unknown picture", where, f"image_id {row['image_id']!r} is not in images")
        elif row["category_id"] not in categories:
            report.error(
                "unknown class", where, f"category_id {row['category_id']!r} is not in categories"
            )
        else:
            draft = drafts[row["image_id"]]
            box = _draft_box(row, categories[row["category_id"]], where, relative, draft, report)
            if box is not None:
                draft.boxes.append(box)
    return list(drafts.values())


def _size(row: Mapping[str, Any], file: Path, report: Report) -> tuple[float, float] | None:
    """Width and height as written; Azure ML may leave them at 0, which says nothing."""
    size = row.get("width") or 0, row.get("height") or 0
    if not all(isinstance(side, int | float) and side >= 0 for side in size):
        report.warning("wrong size", f"{file.name}: image {row['id']}", f"{size}, pixels expected")
        return None
    return size if all(size) else None


def _is_relative(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether most boxes have no coordinate above 1: in pixels nobody could see them."""
    sides = [values for row in rows if (values := _bbox(row)) is not None]
    return 2 * sum(max(values) <= 1.001 for values in sides) > len(sides)


def _bbox(row: Mapping[str, Any]) -> list[float] | None:
    """The box as ``[x, y, width, height]``; None where there is none, NaN for no numbers."""
    values = row.get("bbox")
    if values is None or values == []:
        return None
    if (
        isinstance(values, list)
        and len(values) == 4
        and all(isinstance(value, int | float) for value in values)
    ):
        return [float(value) for value in values]
    return [float("nan")] * 4


def _draft_box(
    row: Mapping[str, Any],
    label: str,
    where: str,
    relative: bool,
    draft: Draft,
    report: Report,
) -> DraftBox | None:
    bbox = _bbox(row)
    outline = row.get("segmentation")
    polygons: list[Points] = []
    if isinstance(outline, Mapping):
        try:
            mask = rle_mask(outline)
        except ValueError as error:
            report.warning("unusable outline", where, str(error))
        else:
            polygons = list(mask_polygons(mask))
            height, width = mask.shape
            if relative:  # only numbers are relative, a mask has pixels
                size = np.array([width, height])
                polygons = [(polygon / size).astype(np.float32) for polygon in polygons]
            elif draft.size is not None and draft.size != (width, height):
                report.warning(
                    "unusable outline",
                    where,
                    f"a mask of {width} x {height} pixels on a picture of {draft.size}",
                )
                polygons = []
    elif isinstance(outline, list):
        for part in outline:
            polygon = flat_polygon(part)
            if polygon is None:
                report.warning("unusable outline", where, f"{part!r:.60}, expected [x0, y0, ...]")
            else:
                polygons.append(polygon)
    if bbox is None and not polygons:
        report.error("object without box", where, "neither bbox nor a usable segmentation")
        return None
    xyxy = None
    if bbox is not None:
        x, y, width_, height_ = bbox
        xyxy = (x, y, x + width_, y + height_)
    elif polygons and relative is False and _inside_one(polygons):
        # a file of outlines alone: nothing but they can tell that they are relative
        relative = True
    score, attributes = row.get("score"), row.get("attributes")
    return DraftBox(
        label,
        xyxy,
        polygons,
        where,
        relative,
        bool(row.get("iscrowd")),
        float(score) if isinstance(score, int | float) else None,
        attributes if isinstance(attributes, dict) else {},
    )


def _inside_one(polygons: Sequence[Points]) -> bool:
    return max(polygons_box(polygons)) <= 1.001
