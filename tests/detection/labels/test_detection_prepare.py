"""Making and importing data sets of boxes, and what the notebooks show of them."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import TooManySkipped
from sightbook.data.validation import DataError
from sightbook.defects.params import PrepareDefects
from sightbook.defects.prepare import prepare, surface_size
from sightbook.detection.labels import show as show_data
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.labels.csv_versions import resolve, write_csv
from sightbook.detection.labels.read import read_annotations, split_annotations
from sightbook.detection.labels.statistics import split_leaks
from sightbook.headstamps.params import PrepareHeadstamps
from sightbook.headstamps.prepare import prepare as prepare_headstamps
from sightbook.headstamps.show import lettering, rings
from sightbook.params import ParameterError, repository_root

SHARED = repository_root().parent / "shared" / "data"
needs_pictures = pytest.mark.skipif(not SHARED.is_dir(), reason="development pictures are absent")


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def drawing(**changes):
    return PrepareDefects(
        **{
            "name": "x",
            "kind": "board",
            "side": 160,
            "synthetic_images": 10,
            "workers": 0,
            **changes,
        }
    )


def importing(path, **changes):
    return PrepareDefects(**{"name": "x", "source": "auto", "path": str(path), **changes})


def labelled(folder, count=12, groups=4, clean=3):
    """A folder of pictures that all differ, every `clean`-th without a box."""
    records = []
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        file = folder / "images" / f"{number:02d}.png"
        pixels = np.full((60, 80), 3 * number, np.uint8)
        Image.fromarray(pixels).save(file)
        boxes = () if number % clean == 0 else (Box("hole", (5.0, 5.0, 20.0 + number, 30.0)),)
        records.append(ImageRecord(file.name, 80, 60, boxes, file, f"road {number % groups}"))
    found = Annotations(tuple(records), ("hole",), folder)
    write_coco(found, folder / "annotations.json")
    return found


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def names(part):
    return [record.name for record in part.records]


def kinds(report):
    return {problem.kind for problem in report.problems}


# ------------------------------------------------------------------ drawn


def test_drawn_pictures_are_split_by_number_and_written_in_both_formats():
    made = prepare(drawing())
    assert made.report.ok, made.report.text()
    assert {name: len(part.records) for name, part in made.splits.items()} == {
        "train": 6,
        "validation": 2,
        "test": 2,
    }
    read = read_annotations(made.folder)
    assert read == made.annotations
    assert 0 < len(read.clean()) < 10
    assert sum(row["images"] for row in made.table()) == 10
    assert sum(row["clean"] for row in made.table()) == len(read.clean())
    # the CSV version has the same pictures, the clean ones too, and its test side is the test split
    assert made.version is not None
    sides = [read_annotations(file) for file in (made.version.train, made.version.test)]
    assert names(sides[1]) == names(made.splits["test"])
    assert sorted(names(sides[0]) + names(sides[1])) == sorted(names(read))
    assert len(sides[0].clean()) + len(sides[1].clean()) == len(read.clean())


def test_the_same_call_draws_nothing_anew_and_makes_no_second_version():
    made = prepare(drawing())
    pictures = sorted((made.folder / "images").iterdir())
    times = [file.stat().st_mtime_ns for file in pictures]
    again = prepare(drawing())
    assert [file.stat().st_mtime_ns for file in pictures] == times
    assert again.version == made.version
    assert again.fingerprint() == made.fingerprint()
    # other shares move pictures between the sides: that is another version beside the first
    other = prepare(drawing(test=0.4))
    assert len(other.splits["test"].records) == 4
    assert other.version != made.version
    assert made.version.train.is_file()
    assert resolve(made.folder / "datasets", "x") == other.version
    pictures[3].unlink()
    assert len(prepare(drawing()).annotations.records) == 10
    with pytest.raises(DataError, match="seed: 7 -> 8"):
        prepare(drawing(seed=8))


def test_drawn_headstamps_keep_their_outlines_and_their_text():
    made = prepare_headstamps(PrepareHeadstamps(name="x", side=160, synthetic_images=6, workers=0))
    assert made.report.ok, made.report.text()
    casings = [
        box for record in made.annotations.records for box in record.boxes if box.label == "casing"
    ]
    assert casings
    assert all(box.polygons and box.attributes["tokens"] for box in casings)
    assert all(s["direction"] for box in casings for s in box.attributes["segments"])
    rows = lettering(made.annotations).rows
    assert sum(row["segments"] for row in rows[:-1]) == sum(
        len(box.attributes["segments"]) for box in casings
    )
    assert rows[-1]["segments"] == 0
    assert len(rings(made.annotations, 2).axes) == 2 * min(2, len(casings))


def test_a_surface_that_is_too_small_is_refused_with_the_size_needed():
    assert surface_size("road", 320) == (320, 200)
    assert surface_size("road", 0) == (640, 400)
    assert min(surface_size("concrete", 214)) >= 160
    with pytest.raises(ParameterError, match="from 256 px on"):
        prepare(drawing(kind="road", side=255))


# ------------------------------------------------------------------ imported


def test_import_keeps_groups_whole_and_clean_pictures(tmp_path):
    found = labelled(tmp_path / "quelle", 20, groups=5)
    made = prepare(importing(found.folder))
    assert made.report.ok, made.report.text()
    assert len(made.annotations.clean()) == len(found.clean()) == 7
    assert not split_leaks({n: part.records for n, part in made.splits.items()}).problems
    # five groups of four: three, one and one
    assert [len(part.records) for part in made.splits.values()] == [12, 4, 4]
    copy = made.folder / "images" / "07.png"
    assert copy.read_bytes() == (found.folder / "images" / "07.png").read_bytes()


def test_splits_that_the_source_names_are_kept(tmp_path):
    found = labelled(tmp_path / "quelle", 12)

    def place(content):
        for row in content["images"]:
            row["split"] = "test" if row["group"] == "road 2" else "train"

    edit(found.folder / "annotations.json", place)
    made = prepare(importing(found.folder))
    assert {record.group for record in made.splits["test"].records} == {"road 2"}
    assert len(made.splits["test"].records) == 3
    assert made.splits["validation"].records  # drawn from the others


def test_what_is_wrong_is_reported_as_a_whole_and_ends_the_run_if_asked_to(tmp_path):
    found = labelled(tmp_path / "quelle", 12)

    def spoil(content):
        content["annotations"][0]["bbox"] = [500, 5, 10, 10]
        content["annotations"][1]["bbox"] = [5, 5, 0, 10]
        content["annotations"][2]["category_id"] = 9

    edit(found.folder / "annotations.json", spoil)
    made = prepare(importing(found.folder))
    assert {"box outside the picture", "box without area", "unknown class"} <= kinds(made.report)
    assert len(made.annotations.records) == 12
    assert sum(made.annotations.counts().values()) == 8 - 3
    written = json.loads((made.folder / "report.json").read_text())
    assert len(written["problems"]) == len(made.report.problems) == 3
    with pytest.raises(DataError, match="box without area") as stopped:
        prepare(importing(found.folder, name="y", strict=True))
    assert "unknown class" in str(stopped.value)
    assert "box outside the picture" in str(stopped.value)


def test_classes_may_be_given_and_others_are_errors(tmp_path):
    found = labelled(tmp_path / "quelle", 12)
    made = prepare(importing(found.folder, classes=["crack", "hole"]))
    assert made.annotations.labels == ("crack", "hole")
    with pytest.raises(DataError, match="did you mean 'holes'"):
        prepare(importing(found.folder, name="y", classes=["holes"], strict=True))


def test_damaged_pictures_are_left_out_and_counted(tmp_path):
    found = labelled(tmp_path / "quelle", 12)
    cut = found.folder / "images" / "04.png"
    cut.write_bytes(cut.read_bytes()[:-30])
    (found.folder / "images" / "05.png").unlink()
    made = prepare(importing(found.folder))
    assert len(made.annotations.records) == 10
    assert len(made.skipped) == 2
    assert "04.png" in made.skipped.text()
    with pytest.raises(TooManySkipped):
        prepare(importing(found.folder, name="y", max_bad=1))


def test_a_picture_on_both_sides_of_a_version_is_not_tested_on(tmp_path):
    found = labelled(tmp_path / "quelle", 12)
    sets = tmp_path / "quelle" / "datasets"
    part = [found.with_records(found.records[:8]), found.with_records(found.records[7:])]
    write_csv(part[0], sets / "train_hole_261120120000.csv")
    write_csv(part[1], sets / "test_hole_261120120000.csv")
    made = prepare(importing(found.folder, source="csv", usecase="hole"))
    assert "same picture in two splits" in kinds(made.report)
    assert names(made.splits["test"]) == ["08.png", "09.png", "10.png", "11.png"]
    assert made.version is None  # groups are on both sides, and no version says otherwise
    assert "no CSV version" in kinds(made.report)
    with pytest.raises(DataError, match="261120120001"):
        prepare(
            importing(found.folder, name="y", source="csv", usecase="hole", version="261120120001")
        )


def test_splits_of_the_source_that_share_groups_can_be_drawn_anew(tmp_path):
    found = labelled(tmp_path / "quelle", 12)
    sides = ["train"] * 6 + ["test"] * 6
    mixed = [replace(r, split=side) for r, side in zip(found.records, sides, strict=True)]
    write_coco(found.with_records(mixed), found.folder / "annotations.json")
    kept = prepare(importing(found.folder))
    assert "same group in two splits" in kinds(kept.report)
    assert kept.version is None
    made = prepare(importing(found.folder, name="y", splits="new"))
    assert made.report.ok
    assert made.version is not None
    groups = [{record.group for record in part.records} for part in made.splits.values()]
    assert sum(map(len, groups)) == 4


def test_annotators_are_united_by_agreement(tmp_path):
    found = labelled(tmp_path / "quelle", 6, clean=7)
    folder = tmp_path / "people"
    folder.mkdir()
    alone = Box("hole", (60.0, 40.0, 75.0, 55.0))
    for who, shift, extra in (("anna", 0.0, ()), ("ben", 2.0, ()), ("cleo", 1.0, (alone,))):
        moved = [
            record.with_boxes(
                [Box("hole", tuple(v + shift for v in box.xyxy)) for box in record.boxes]
                + (list(extra) if record.name == "03.png" else [])
            )
            for record in found.records
        ]
        write_coco(found.with_records(moved), folder / f"{who}.json")
    made = prepare(
        importing(folder, source="annotators", images=str(found.folder / "images"), test=0.2)
    )
    record = next(r for r in made.annotations.records if r.name == "03.png")
    assert len(record.boxes) == 1  # seen by one of three: fell out
    assert record.boxes[0].xyxy == pytest.approx((6.0, 6.0, 24.0, 31.0))  # the mean of the three
    assert [p.where for p in made.report.problems if p.kind == "not agreed on"] == ["03.png"]
    assert [row["matched"] for row in made.annotators.agreement.rows] == [5, 5, 5]
    assert len(show_data.fallen_out(made.annotators).axes) == 1
    with pytest.raises(DataError, match="two or more annotators"):
        prepare(importing(found.folder, name="y", source="annotators"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "coco"}, "'path' must name it"),
        ({"validation": 0.6, "test": 0.4}, "leave no pictures to train on"),
        ({"version": "261120120000"}, "needs source csv and the usecase"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ParameterError, match=sentence):
        PrepareDefects.parse(changes)


def test_few_groups_are_dealt_out_by_size():
    sizes = {"a": 50, "b": 12, "c": 11, "d": 6, "e": 5, "f": 4}
    records = [
        ImageRecord(f"{group}{n}.png", 10, 10, group=group)
        for group, size in sizes.items()
        for n in range(size)
    ]
    splits = split_annotations(
        Annotations(tuple(records), ()), {"train": 0.6, "validation": 0.2, "test": 0.2}
    )
    # 52.8, 17.6 and 17.6 are wanted
    assert [len(part.records) for part in splits.values()] == [54, 17, 17]
    assert not split_leaks({n: part.records for n, part in splits.items()}).problems


# ------------------------------------------------------------------ shown


def test_pictures_are_shown_with_all_their_boxes_and_clean_ones_among_them(tmp_path):
    found = labelled(tmp_path / "quelle", 12)
    browser = show_data.images(found, 6)
    assert len(browser.items) == 12
    plot = browser.figure()
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in plot.axes]
    assert sum(title.startswith("clean") for title in titles) == 2
    assert sum(len(ax.patches) for ax in plot.axes) == 4
    browser.select("clean")
    assert [browser.items[number].name for number in browser.selected] == names(
        found.with_records(found.clean())
    )


def test_sizes_of_many_classes_stand_beside_each_other_on_one_scale():
    boxes = [Box(label, (0.0, 0.0, side, side)) for label in "abcd" for side in (10.0, 20.0, 90.0)]
    found = Annotations((ImageRecord("1.png", 400, 300, tuple(boxes)),), tuple("abcde"))
    plot = show_data.sizes(found)
    titles = [ax.get_title(loc="left") for ax in plot.axes]
    assert titles == [f"{label} (n=3, median 20)" for label in "abcd"]
    assert len({ax.get_xlim() for ax in plot.axes}) == 1
    few = found.with_records([ImageRecord("1.png", 400, 300, tuple(boxes[:4]))])
    assert len(show_data.sizes(few).axes) == 1


def test_objects_are_cut_out_in_the_middle_with_their_boxes_around_them(tmp_path):
    file = tmp_path / "1.png"
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:140, 250:330] = (0, 0, 255)
    cv2.imwrite(str(file), image)
    record = ImageRecord("1.png", 400, 300, (Box("spur", (250.0, 100.0, 330.0, 140.0)),), file)
    plot = show_data.objects(Annotations((record,), ("spur", "short")))
    (ax,) = plot.axes
    shown = ax.images[0].get_array()
    (drawn,) = ax.patches
    rows, columns = np.nonzero(shown[..., 0] > 128)
    assert drawn.get_x() == pytest.approx(columns.min(), abs=1)
    assert drawn.get_y() == pytest.approx(rows.min(), abs=1)
    assert drawn.get_width() == pytest.approx(columns.max() - columns.min() + 1, abs=1.5)
    assert columns.mean() == pytest.approx(shown.shape[1] / 2, abs=1.5)


def test_duplicates_are_listed_with_their_box_counts(tmp_path):
    found = labelled(tmp_path / "quelle", 6)
    (found.folder / "images" / "03.png").write_bytes(
        (found.folder / "images" / "01.png").read_bytes()
    )
    assert "none among 12" in str(show_data.duplicates(labelled(tmp_path / "andere", 12)))
    (row,) = show_data.duplicates(found).rows
    assert (row["image"], row["is also"], row["boxes"]) == ("01.png", "03.png", "1, 0")


# ------------------------------------------------------------------ real pictures


@needs_pictures
def test_the_development_potholes_keep_highways_apart():
    made = prepare(importing(SHARED / "potholes"))
    assert made.report.ok, made.report.text()
    assert len(made.annotations.records) == 177
    assert len(made.annotations.clean()) == 38
    sides = [{record.group for record in part.records} for part in made.splits.values()]
    assert all(sides)
    assert sum(map(len, sides)) == len(set().union(*sides)) == 6
    # the largest highway is 58 % of all pictures, so no split is far from what was asked for
    shares = [len(part.records) / 177 for part in made.splits.values()]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.05)
