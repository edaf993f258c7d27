"""Splits and folds by group, the label check, and the development pictures."""

import numpy as np
import pytest
from PIL import Image

from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.labels.csv_versions import write_csv
from sightbook.detection.labels.read import folds, read_annotations, split_annotations
from sightbook.detection.labels.statistics import box_sides, class_table, copies, split_leaks
from sightbook.params import repository_root

SHARED = repository_root().parent / "shared" / "data"
needs_pictures = pytest.mark.skipif(not SHARED.is_dir(), reason="development pictures are absent")


def record(name, group="", split="", boxes=(), image=None):
    return ImageRecord(name, 100, 80, tuple(boxes), image, group, split)


def data_set(*records):
    return Annotations(tuple(records), ("crack", "pothole"))


def names(part):
    return {record.name for record in part.records}


def test_no_group_is_torn_and_every_picture_is_placed_once():
    records = [record(f"{n}.png", f"road {n % 7}") for n in range(70)]
    splits = split_annotations(data_set(*records), {"train": 0.6, "validation": 0.2, "test": 0.2})
    assert not split_leaks({name: part.records for name, part in splits.items()}).problems
    assert sorted(n for part in splits.values() for n in names(part)) == sorted(
        record.name for record in records
    )
    assert all(part.records for part in splits.values())
    assert all(r.split == name for name, part in splits.items() for r in part.records)
    again = split_annotations(
        data_set(*reversed(records)), {"train": 3, "validation": 1, "test": 1}
    )
    assert {name: names(part) for name, part in again.items()} == {
        name: names(part) for name, part in splits.items()
    }


def test_copies_of_a_picture_stay_together(tmp_path):
    records = []
    for n in range(40):
        file = tmp_path / f"{n}.png"
        Image.fromarray(np.full((8, 8), n // 2, np.uint8)).save(file)  # each twice
        records.append(record(file.name, image=file))
    splits = split_annotations(data_set(*records), {"train": 1, "validation": 1})
    places = {r.name: name for name, part in splits.items() for r in part.records}
    assert all(places[f"{n}.png"] == places[f"{n + 1}.png"] for n in range(0, 40, 2))
    assert len(set(places.values())) == 2
    for train, held in folds(data_set(*records), 4):
        assert not split_leaks({"train": train.records, "held": held.records}).problems
    assert [len(group) for group in copies(data_set(*records))] == [2] * 20


def test_what_the_data_set_says_about_splits_counts():
    records = [record(f"{n}.png", split="test" if n < 5 else "train") for n in range(50)]
    records.append(record("new.png", "road"))
    records.append(record("old.png", "road", "test"))
    splits = split_annotations(data_set(*records), {"train": 0.8, "validation": 0.2})
    # the held-back pictures stay so, with all of their group; to validate, some of train are taken
    assert names(splits["test"]) == {*(f"{n}.png" for n in range(5)), "old.png", "new.png"}
    assert 1 <= len(splits["validation"].records) <= 20
    assert sum(len(part.records) for part in splits.values()) == 52


def test_folds_hold_each_picture_back_once_and_are_of_like_size():
    sizes = [30, 20, 12, 10, 9, 8, 6, 3, 2]
    records = [record(f"{g}/{n}.png", str(g)) for g, size in enumerate(sizes) for n in range(size)]
    whole = data_set(*records)
    cuts = folds(whole, 3)
    held = [names(part) for _, part in cuts]
    assert set().union(*held) == names(whole) and sum(map(len, held)) == 100
    assert max(map(len, held)) - min(map(len, held)) <= 5
    for train, part in cuts:
        assert names(train) == names(whole) - names(part)
        assert not {r.group for r in train.records} & {r.group for r in part.records}
    with pytest.raises(DataError, match="9 groups of pictures in 10 folds"):
        folds(whole, 10)


def test_leaks_are_found_by_content_name_and_group(tmp_path):
    files = []
    for name, shade in (("a.png", 0), ("copy.png", 0), ("other/a.png", 9)):
        files.append(tmp_path / name)
        files[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), shade, np.uint8)).save(files[-1])
    first = record("a.png", "g", image=files[0])
    cases = {
        "same picture": record("copy.png", image=files[1]),
        "same name": record("a.png", image=files[2]),
        "same group": record("b.png", "g"),
    }
    for kind, other in cases.items():
        report = split_leaks({"train": [first], "test": [other]})
        assert [problem.kind for problem in report.problems] == [f"{kind} in two splits"]
    assert split_leaks({"train": [first], "test": [record("b.png", "h")]}).ok


def test_class_table_by_hand():
    boxes = [
        Box("crack", (0, 0, 10, 10)),
        Box("crack", (0, 0, 32, 32)),
        Box("crack", (0, 0, 96, 96)),
        Box("crack", (0, 0, 50, 50), crowd=True),
    ]
    whole = data_set(record("a.png", boxes=boxes), record("clean.png"))
    crack, pothole, clean = class_table(whole).rows
    assert crack == {
        "class": "crack",
        "boxes": 3,
        "images": 1,
        "small": 1,
        "medium": 1,
        "large": 1,
        "median side": 32,
    }
    assert (pothole["boxes"], pothole["median side"]) == (0, "")
    assert clean == {"class": "(clean)", "boxes": 0, "images": 1}
    assert box_sides(whole) == {"crack": [10, 32, 96], "pothole": []}


@needs_pictures
@pytest.mark.parametrize(
    "name, pictures, clean, boxes", [("potholes", 177, 38, 288), ("pcb", 211, 45, 1101)]
)
def test_development_pictures_go_round_through_every_writer(tmp_path, name, pictures, clean, boxes):
    report = Report()
    whole = read_annotations(SHARED / name, report=report)
    assert not report.problems
    for file in (
        write_coco(whole, tmp_path / "annotations.json"),
        write_csv(whole, tmp_path / "all.csv", outlines=True),
    ):
        again = read_annotations(file, images=SHARED / name / "images")
        assert len(again.records) == pictures and len(again.clean()) == clean
        assert again.counts() == whole.counts() and sum(again.counts().values()) == boxes
        assert [r.group for r in again.records] == [r.group for r in whole.records]


@needs_pictures
def test_both_forms_of_the_potholes_agree():
    coco = read_annotations(SHARED / "potholes", format="coco")
    csv = read_annotations(SHARED / "potholes", format="csv")
    by_name = {record.name: record for record in csv.records}
    assert len(by_name) == len(coco.records)
    for one in coco.records:
        other = by_name[one.name]
        pairs = zip(
            sorted(box.xyxy for box in one.boxes),
            sorted(box.xyxy for box in other.boxes),
            strict=True,
        )
        assert all(np.allclose(a, b, atol=1.01) for a, b in pairs)


@needs_pictures
def test_headstamps_keep_what_is_written_on_them():
    whole = read_annotations(SHARED / "headstamps")
    assert whole.counts() == {"casing": 14, "primer": 14}
    casings = [box for r in whole.records for box in r.boxes if box.label == "casing"]
    assert all(len(box.polygons) == 1 and "tokens" in box.attributes for box in casings)
