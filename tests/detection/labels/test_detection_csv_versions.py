"""Dated CSV files: both forms, `latest`, pairs without shared pictures, nothing overwritten."""

from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped
from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.csv_versions import (
    find_versions,
    read_csv,
    resolve,
    write_csv,
    write_version,
)
from sightbook.detection.labels.read import read_annotations, read_version

HEADER = "filename,xmin,ymin,xmax,ymax,class\n"
WHEN = datetime(2026, 11, 20, 23, 59, 59)


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((80, 100), 200, np.uint8)
    pixels[0, 0] = shade
    Image.fromarray(pixels).save(path)
    return path


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(HEADER)


def side(folder, *names, group="", boxes=((1, 2, 30, 40),)):
    """Records with their pictures; shades follow from names, so that equal names are copies."""
    records = [
        ImageRecord(
            name,
            100,
            80,
            tuple(Box("pothole", box) for box in boxes),
            picture(folder / "images" / name, sum(map(ord, name)) % 200),
            group=group,
        )
        for name in names
    ]
    return Annotations(tuple(records), ("pothole",), folder)


def kinds(report):
    return [problem.kind for problem in report.problems]


def test_latest_is_the_newest_stamp_of_both_sides(tmp_path):
    touch(
        tmp_path,
        "train_pothole_251231235959.csv",
        "test_pothole_251231235959.csv",
        "train_pothole_260101000000.csv",
        "test_pothole_260101000000.csv",
        "train_pothole_260601000000.csv",  # its test side is missing
        "train_road_pothole_270101000000.csv",  # another use case
        "test_road_pothole_270101000000.csv",
        "notes.csv",
    )
    pair = resolve(tmp_path, "pothole")
    assert pair.stamp == "260101000000"
    assert (pair.train.name, pair.test.name) == (
        "train_pothole_260101000000.csv",
        "test_pothole_260101000000.csv",
    )
    assert resolve(tmp_path, "road_pothole").stamp == "270101000000"
    assert resolve(tmp_path, "pothole", "251231235959").train.name.endswith("251231235959.csv")


def test_no_common_stamp_says_what_there_is(tmp_path):
    touch(
        tmp_path, "train_a_260101000000.csv", "test_a_260202000000.csv", "test_b_260202000000.csv"
    )
    with pytest.raises(DataError) as error:
        resolve(tmp_path, "a")
    for part in ("common stamp", "train: 260101000000", "test: 260202000000", "use cases there: b"):
        assert part in str(error.value)
    with pytest.raises(DataError, match="'260101000000'"):
        resolve(tmp_path, "a", "260101000000")
    with pytest.raises(DataError, match="no such folder"):
        resolve(tmp_path / "gone", "a")


@pytest.mark.parametrize("stamp", ["2601010000", "261301000000", "26010100000a", "20260101000000"])
def test_a_stamp_that_is_no_time_is_reported(tmp_path, stamp):
    touch(tmp_path, f"train_a_{stamp}.csv", "test_a_260101000000.csv")
    report = Report()
    assert [version.side for version in find_versions(tmp_path, report)] == ["test"]
    assert kinds(report) == ["wrong stamp"] and stamp in report.problems[0].message
    with pytest.raises(DataError, match="wrong stamp"):
        resolve(tmp_path, "a")


def test_a_version_is_written_as_named_and_never_overwritten(tmp_path):
    train, test = side(tmp_path, "a.png", "b.png"), side(tmp_path, "c.png")
    first = write_version(train, test, tmp_path / "datasets", "pothole", when=WHEN)
    assert first.train.name == "train_pothole_261120235959.csv"
    before = first.train.read_bytes(), first.test.read_bytes()
    second = write_version(test, train, tmp_path / "datasets", "pothole", when=WHEN)
    # a second later is the next day
    assert second.stamp == "261121000000"
    assert (first.train.read_bytes(), first.test.read_bytes()) == before
    assert resolve(tmp_path / "datasets", "pothole") == second
    assert len(list((tmp_path / "datasets").iterdir())) == 4


def test_one_side_alone_blocks_its_stamp(tmp_path):
    touch(tmp_path / "datasets", "test_pothole_261120235959.csv")
    pair = write_version(
        side(tmp_path, "a.png"),
        side(tmp_path, "b.png"),
        tmp_path / "datasets",
        "pothole",
        when=WHEN,
    )
    assert pair.stamp == "261121000000"


def test_a_file_that_is_there_is_not_written(tmp_path):
    (tmp_path / "all.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        write_csv(side(tmp_path, "a.png"), tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text() == "mine"
    assert [file.name for file in tmp_path.glob("*.csv")] == ["all.csv"]


def test_shared_pictures_by_name_content_or_group_stop_a_version(tmp_path):
    train = side(tmp_path / "one", "a.png", "b.png", group="BR 060")
    copy = picture(tmp_path / "two" / "images" / "other_name.png", sum(map(ord, "a.png")) % 200)
    by_content = Annotations((ImageRecord("other_name.png", 100, 80, (), copy),), ("pothole",))
    by_group = side(tmp_path / "two", "z.png", group="BR 060")
    renamed = picture(tmp_path / "two" / "images" / "a.png", 250)
    by_name = Annotations((ImageRecord("a.png", 100, 80, (), renamed),), ("pothole",))
    for test, reason in (
        (by_content, "same picture in two splits"),
        (by_group, "same group in two splits"),
        (by_name, "same name in two splits"),
    ):
        with pytest.raises(DataError, match=reason):
            write_version(train, test, tmp_path / "datasets", "pothole")
    assert not (tmp_path / "datasets").exists()
    with pytest.raises(DataError, match="use case 'a/b'"):
        write_version(train, side(tmp_path, "y.png"), tmp_path / "datasets", "a/b")


def test_box_form_is_exactly_the_columns_people_know(tmp_path):
    boxes = side(tmp_path, "a.png", boxes=((1, 2, 30, 40.256),))
    clean = side(tmp_path, "clean.png", boxes=())
    both = Annotations((*boxes.records, *clean.records), ("pothole",), tmp_path)
    file = write_csv(both, tmp_path / "x.csv")
    assert file.read_text() == HEADER + "a.png,1,2,30,40.26,pothole\nclean.png,,,,,\n"


def test_segmentation_form_goes_both_ways(tmp_path):
    triangles = tuple(np.array([[1, 2], [30, 2], [1, 40.5]], np.float32) + n for n in (0, 3))
    record = side(tmp_path, "a.png").records[0]
    record = record.with_boxes(
        [Box("a, b", (1, 2, 33, 43.5), triangles), Box("pothole", (50, 50, 60, 60))]
    )
    written = Annotations((record, *side(tmp_path, "b.png", boxes=()).records), ("a, b", "pothole"))
    file = write_csv(written, tmp_path / "x.csv", outlines=True)
    assert file.read_text().splitlines()[0] == "filename,xmin,ymin,xmax,ymax,segmentation,class"
    assert read_annotations(file).records == written.records


def test_outlines_without_boxes_give_the_boxes(tmp_path):
    picture(tmp_path / "images" / "a.png")
    file = tmp_path / "x.csv"
    file.write_text('filename,polygon,class\na.png,"[[10, 20, 40, 20, 40, 60]]",crack\n')
    assert read_annotations(file).records[0].boxes[0].xyxy == (10, 20, 40, 60)


def test_groups_survive(tmp_path):
    file = write_csv(side(tmp_path, "a.png", group="BR 060"), tmp_path / "x.csv")
    assert read_annotations(file).records[0].group == "BR 060"


def test_columns_in_any_order_with_blanks_and_a_byte_order_mark(tmp_path):
    picture(tmp_path / "images" / "a.png")
    file = tmp_path / "x.csv"
    file.write_text(
        "\ufeffclass, filename,width,height,xmax,xmin,ymax,ymin\n"
        "crack , a.png,200,160,80,20,120,40\n"
    )
    report = Report()
    assert read_annotations(file, report=report).records[0].boxes == (
        Box("crack", (10, 20, 40, 60)),
    )
    assert kinds(report) == ["annotated in another size"]


def test_missing_columns_are_named(tmp_path):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "x.csv").write_text("filename;xmin;ymin;xmax;ymax;class\n")
    report = Report()
    assert read_csv(tmp_path / "x.csv", report=report).images == []
    assert "filename, class, xmin, ymin, xmax, ymax" in report.problems[0].message
    (tmp_path / "x.csv").write_text("filename,xmin,xmax,ymax,class\na.png,1,2,3,pothole\n")
    with pytest.raises(DataError, match=r"missing column\n.*ymin;"):
        read_annotations(tmp_path / "x.csv")


def test_one_report_names_every_bad_row(tmp_path):
    for number, name in enumerate(("a.png", "b.png")):
        picture(tmp_path / "images" / name, number)
    (tmp_path / "x.csv").write_text(
        HEADER
        + "a.png,1,2,30,40,pothole\n"
        + "a.png,1,2,30,,pothole\n"
        + "a.png,1,2,30,forty,pothole\n"
        + "a.png,1,2,30,40,\n"
        + "a.png,,,,,pothole\n"
        + ",1,2,30,40,pothole\n"
        + "a.png,30,40,1,2,pothole\n"
        + "a.png,1,2,30,40,pothole,more,cells\n"
        + "a.png,,,,,\n"
        + "b.png\n"
        + "gone.png,1,2,30,40,pothole\n"
    )
    report, skipped = Report(), Skipped(1)
    found = read_annotations(tmp_path / "x.csv", report=report, skipped=skipped)
    assert [len(record.boxes) for record in found.records] == [1, 0]
    assert sorted(kinds(report)) == sorted(
        ["box is no numbers"] * 2
        + ["object without class", "object without box", "row without file name"]
        + ["box without area", "wrong row", "clean picture with boxes", "picture left out"]
    )
    assert report.problems[0].where == "x.csv:3"


def test_both_sides_of_a_version_have_the_same_classes(tmp_path):
    train = side(tmp_path, "a.png", "b.png")
    record = side(tmp_path, "c.png").records[0].with_boxes([Box("crack", (1, 2, 3, 9))])
    test = Annotations((record, *side(tmp_path, "d.png", boxes=()).records), ("crack",))
    pair = write_version(train, test, tmp_path / "datasets", "road")
    report, skipped = Report(), Skipped(0)
    got_train, got_test, got = read_version(tmp_path, "road", report=report, skipped=skipped)
    assert got == pair and report.ok
    assert got_train.labels == got_test.labels == ("crack", "pothole")
    assert {record.split for record in got_train.records} == {"train"}
    assert {record.split for record in got_test.records} == {"test"} and len(got_test.clean()) == 1
    # somebody copies a row to the other side by hand
    with pair.test.open("a") as file:
        file.write("a.png,1,2,30,40,pothole\n")
    read_version(tmp_path, "road", report=report, skipped=skipped)
    assert "same picture in two splits" in kinds(report) and not report.ok


def test_a_folder_of_versions_is_read_at_its_newest_pair(tmp_path):
    train, test = side(tmp_path, "a.png"), side(tmp_path, "b.png")
    write_version(train, test, tmp_path / "datasets", "road", when=WHEN)
    write_version(test, train, tmp_path / "datasets", "road", when=WHEN)
    found = read_annotations(tmp_path)
    assert {record.name: record.split for record in found.records} == {
        "b.png": "train",
        "a.png": "test",
    }
    touch(tmp_path / "datasets", "train_other_260101000000.csv")
    with pytest.raises(DataError, match="several use cases, other, road"):
        read_annotations(tmp_path)
