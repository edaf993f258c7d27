"""COCO's JSON: what is read, what is reported, and that it goes both ways."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sightbook.data.images import Skipped, TooManySkipped
from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import coco_dict, write_coco
from sightbook.detection.labels.masks import polygons_mask
from sightbook.detection.labels.merge import merge_coco
from sightbook.detection.labels.read import read_annotations


def picture(path, size=(100, 80), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), 200, np.uint8)
    pixels[0, 0] = shade
    Image.fromarray(pixels).save(path, **options)
    return path


def row(id, bbox=(10, 20, 30, 40), image_id=1, category_id=1, **more):
    own = {"id": id, "image_id": image_id, "category_id": category_id, "iscrowd": 0}
    return own | ({"bbox": list(bbox)} if bbox else {}) | more


def data_set(folder, annotations, images=None, categories=("pothole",), name="annotations.json"):
    """A folder with one picture a.png of 100 x 80 pixels, unless said otherwise."""
    images = images or [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    picture(folder / "images" / "a.png")
    names = [{"id": place, "name": name} for place, name in enumerate(categories, 1)]
    content = {"images": images, "annotations": annotations, "categories": names}
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


def boxes(folder, **options):
    return read_annotations(folder, **options).records[0].boxes


def kinds(report):
    return [problem.kind for problem in report.problems]


def test_a_box_is_left_top_width_height(tmp_path):
    (box,) = boxes(data_set(tmp_path, [row(1, (10, 20, 30, 40))]))
    assert box == Box("pothole", (10, 20, 40, 60))


def test_fields_survive_writing_and_reading(tmp_path):
    triangle = np.array([[10, 10], [30, 10], [20, 30.25]], np.float32)
    segments = [{"text": "S&B", "angle": 270.0, "direction": "outward"}]
    casing = Box(
        "casing",
        (10, 10, 30, 30.25),
        (triangle, triangle + 2),
        attributes={"object_id": "x", "tokens": ["S&B"], "segments": segments},
    )
    records = (
        ImageRecord(
            "board/a.png",
            100,
            80,
            (casing, Box("primer", (0, 0, 100, 80), crowd=True)),
            picture(tmp_path / "images" / "board" / "a.png"),
            group="DF 060",
            split="test",
            attributes={"clean": False},
        ),
        ImageRecord("b.png", 50, 60, (), picture(tmp_path / "images" / "b.png", (50, 60))),
    )
    written = Annotations(records, ("primer", "casing", "never seen"), tmp_path)
    write_coco(written, tmp_path / "annotations.json")
    report = Report()
    assert read_annotations(tmp_path, report=report) == written
    assert not report.problems


def test_what_is_written_is_what_pycocotools_reads(tmp_path):
    triangle = np.array([[10, 10], [30, 10], [10, 30]], np.float32)
    boxes = (Box("b", (10, 10, 30, 30), (triangle,)), Box("a", (1, 2, 4, 6)))
    record = ImageRecord("a.png", 100, 80, boxes)
    file = write_coco(
        Annotations((record, ImageRecord("clean.png", 9, 9)), ("a", "b")), tmp_path / "x.json"
    )
    coco = COCO(str(file))
    assert len(coco.imgs) == 2 and [cat["name"] for cat in coco.cats.values()] == ["a", "b"]
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=1))
    assert (first["bbox"], first["area"], first["category_id"]) == ([10, 10, 20, 20], 200, 2)
    assert abs(int(coco.annToMask(first).sum()) - 200) <= 15
    assert (second["bbox"], second["area"], second["category_id"]) == ([1, 2, 3, 4], 12, 1)


def test_relative_coordinates_become_pixels(tmp_path):
    outline = [[0.1, 0.25, 0.4, 0.25, 0.4, 0.75, 0.1, 0.75]]
    rows = [row(1, (0.1, 0.25, 0.3, 0.5), segmentation=outline), row(2, (0, 0, 1, 1))]
    # Azure ML may leave the size at 0
    images = [{"id": 1, "file_name": "a.png", "width": 0.0, "height": 0.0}]
    first, second = boxes(data_set(tmp_path, rows, images))
    assert first.xyxy == pytest.approx((10, 20, 40, 60))
    assert first.polygons[0] == pytest.approx(np.array([[10, 20], [40, 20], [40, 60], [10, 60]]))
    assert second.xyxy == (0, 0, 100, 80)


def test_a_tiny_box_among_others_in_pixels_is_no_relative_one(tmp_path):
    first, second = boxes(data_set(tmp_path, [row(1), row(2, (0, 0, 1, 1))]))
    assert first.xyxy == (10, 20, 40, 60) and second.xyxy == (0, 0, 1, 1)


@pytest.mark.parametrize(
    "url, path",
    [
        ("AmlDatastore://workspaceblobstore/UI/2021/a.png", "UI/2021/a.png"),
        ("AmlDatastore://photos/a.png", "photos/a.png"),
        ("azureml://datastores/store/paths/photos/a%20b.png", "photos/a b.png"),
        (
            "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/p/a.png",
            "p/a.png",
        ),
        ("https://account.blob.core.windows.net/box/p/a.png?sv=2020&sig=x", "box/p/a.png"),
        ("C:\\photos\\a.png", "a.png"),
    ],
)
def test_urls_are_mapped_to_a_folder(tmp_path, url, path):
    there = picture(tmp_path / "downloaded" / path)
    picture(tmp_path / "downloaded" / "other" / "folder" / there.name, shade=9)
    images = [{"id": 1, "file_name": url, "coco_url": url, "width": 100, "height": 80}]
    folder = data_set(tmp_path / "labels", [row(1)], images)
    found = read_annotations(folder, images=tmp_path / "downloaded").records[0]
    assert found.image == there and found.name == path


def test_no_name_leads_out_of_the_folder(tmp_path):
    picture(tmp_path / "secret.png")
    images = [{"id": 1, "file_name": "../../secret.png", "width": 100, "height": 80}]
    folder = data_set(tmp_path / "set", [row(1)], images)
    with pytest.raises(DataError, match="no picture of it can be used"):
        read_annotations(folder)


@pytest.mark.parametrize("packed", [True, False], ids=["compressed", "counts"])
def test_run_lengths_become_the_outline_of_their_pixels(tmp_path, packed):
    mask = np.zeros((80, 100), np.uint8)
    mask[20:60, 10:40] = 1
    if packed:
        rle = coco_mask.encode(np.asfortranarray(mask))
        rle["counts"] = rle["counts"].decode()
    else:
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        rle = {"size": [80, 100], "counts": np.diff([0, *edges, flat.size]).tolist()}
    (box,) = boxes(data_set(tmp_path, [row(1, None, segmentation=rle, iscrowd=1)]))
    assert box.xyxy == (10, 20, 40, 60) and box.crowd
    assert (polygons_mask(box.polygons, 100, 80) == mask).all()


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [80, 100], "counts": [10, 20]},
        {"size": [80, 100], "counts": "zzzzzzzz"},
        {"size": [10, 10], "counts": coco_mask.encode(np.ones((80, 100), np.uint8, "F"))["counts"]},
        {"size": [0, 100], "counts": []},
        {"counts": [8000]},
    ],
)
def test_broken_run_lengths_are_reported_and_the_box_kept(tmp_path, rle):
    if isinstance(rle["counts"], bytes):
        rle = rle | {"counts": rle["counts"].decode()}
    report = Report()
    (box,) = boxes(data_set(tmp_path, [row(1, segmentation=rle)]), report=report)
    assert box.polygons == () and kinds(report) == ["unusable outline"]


def test_one_report_names_every_problem(tmp_path):
    rows = [
        row(1),
        row(1, (50, 10, 10, 10)),  # its id stands twice
        row(2, (10, 10, 0, 5)),
        row(3, (200, 10, 5, 5)),
        row(4, (90, 70, 30, 30)),  # half outside
        row(5, category_id=7),
        row(6, image_id=9),
        row(7, (1, 2, float("nan"), 4)),
        row(8, (1, 2, 3)),
        row(9, None),
        row(10),  # as the first
        row(11, segmentation=[[1, 2, 3, 4], "x"]),
        "no object",
    ]
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    images = [image, image | {"file_name": "b.png"}, image | {"id": 2, "file_name": "gone.png"}]
    report, skipped = Report(), Skipped(1)
    data_set(tmp_path, rows, images)
    found = read_annotations(tmp_path, report=report, skipped=skipped)
    assert [box.xyxy for box in found.records[0].boxes] == [
        (10, 20, 40, 60),
        (50, 10, 60, 20),
        (90, 70, 100, 80),
    ]
    assert sorted(kinds(report)) == sorted(
        ["duplicate id"] * 2
        + ["box without area", "box outside the picture", "box reaches outside", "unknown class"]
        + ["unknown picture", "box is no numbers", "box is no numbers", "object without box"]
        + ["box stands twice"] * 2
        + ["unusable outline"] * 2
        + ["no COCO", "picture left out"]
    )
    assert not report.ok and [name for name, _ in skipped] == ["gone.png"]
    with pytest.raises(DataError, match=r"annotation 3: \[200, 10, 205, 15\] in 100 x 80 pixels"):
        read_annotations(tmp_path)
    with pytest.raises(TooManySkipped, match=r"gone.png"):
        read_annotations(tmp_path, report=Report(), max_bad=0)


def test_clean_pictures_and_clean_files_are_data(tmp_path):
    found = read_annotations(data_set(tmp_path, []))
    assert len(found.clean()) == 1 and found.labels == ("pothole",)


def test_classes_come_in_the_order_of_their_ids_or_as_asked(tmp_path):
    folder = data_set(tmp_path, [row(1, category_id=2)], categories=("b", "a"))
    assert read_annotations(folder).labels == ("b", "a")
    found = read_annotations(folder, labels=["a", "b", "c"])
    assert found.labels == ("a", "b", "c") and found.counts() == {"a": 1, "b": 0, "c": 0}
    with pytest.raises(DataError, match="unknown class"):
        read_annotations(folder, labels=["b"])


def test_pictures_of_another_size_scale_or_fall_out(tmp_path):
    image = {"id": 1, "file_name": "a.png", "width": 200, "height": 160}
    report = Report()
    (box,) = boxes(data_set(tmp_path, [row(1, (20, 40, 60, 80))], [image]), report=report)
    assert box.xyxy == (10, 20, 40, 60) and kinds(report) == ["annotated in another size"]
    data_set(tmp_path, [row(1)], [image | {"width": 80, "height": 100}])
    with pytest.raises(DataError, match="turned by its EXIF data"):
        read_annotations(tmp_path)


def test_several_files_of_a_folder_are_one_set_with_splits(tmp_path):
    data_set(tmp_path, [row(1)], name="annotations/instances_train2017.json", categories="ab")
    images = [{"id": 1, "file_name": "v.png", "width": 100, "height": 80}]
    picture(tmp_path / "images" / "v.png", shade=7)
    data_set(tmp_path, [row(1)], images, "cb", "annotations/instances_val2017.json")
    found = read_annotations(tmp_path)
    assert found.labels == ("a", "b", "c")
    assert [(r.name, r.split, r.boxes[0].label) for r in found.records] == [
        ("a.png", "train", "a"),
        ("v.png", "validation", "c"),
    ]


def test_merging_remaps_ids_and_unites_classes(tmp_path):
    first = data_set(tmp_path / "may", [row(7, category_id=2)], categories=("crack", "pothole"))
    images = [
        {"id": 1, "file_name": "b.png", "width": 50, "height": 60, "license": 3, "group": "g"},
        {"id": 2, "file_name": "clean.png", "width": 9, "height": 9},
    ]
    second = data_set(tmp_path / "june", [row(7)], images, categories=("pothole", "stain"))
    content = json.loads((second / "annotations.json").read_text())
    content["licenses"] = [{"id": 3, "name": "MIT"}]
    (second / "annotations.json").write_text(json.dumps(content))
    sources = [first / "annotations.json", second / "annotations.json"]
    merged = json.loads(merge_coco(sources, tmp_path / "merged.json").read_text())
    names = {row["id"]: row["name"] for row in merged["categories"]}
    files = {row["id"]: row["file_name"] for row in merged["images"]}
    assert list(names.items()) == [(1, "crack"), (2, "pothole"), (3, "stain")]
    assert list(files.items()) == [(1, "a.png"), (2, "b.png"), (3, "clean.png")]
    assert [
        (row["id"], files[row["image_id"]], names[row["category_id"]])
        for row in merged["annotations"]
    ] == [(1, "a.png", "pothole"), (2, "b.png", "pothole")]
    assert merged["images"][1]["group"] == "g"
    assert merged["licenses"] == [{"id": merged["images"][1]["license"], "name": "MIT"}]


def test_merging_tells_copies_from_pictures_that_share_a_name(tmp_path):
    one = data_set(tmp_path / "one", [row(1)]) / "annotations.json"
    two = data_set(tmp_path / "two", [row(1, (1, 2, 3, 4))]) / "annotations.json"
    merged = json.loads(merge_coco([one, two], tmp_path / "x.json").read_text())
    assert len(merged["images"]) == 1 and len(merged["annotations"]) == 2

    picture(tmp_path / "two" / "images" / "a.png", shade=99)
    (tmp_path / "x.json").unlink()
    with pytest.raises(DataError, match="two pictures of one name"):
        merge_coco([one, two], tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
    merged = json.loads(
        merge_coco([one, two], tmp_path / "x.json", prefixes=["one", "two"]).read_text()
    )
    assert [row["file_name"] for row in merged["images"]] == ["one/a.png", "two/a.png"]


def test_a_score_is_kept(tmp_path):
    record = ImageRecord("a.png", 9, 9, (Box("a", (0, 0, 4, 4), score=0.75),))
    assert coco_dict(Annotations((record,), ("a",)))["annotations"][0]["score"] == 0.75
    (box,) = boxes(data_set(tmp_path, [row(1, score=0.5)]))
    assert box.score == 0.5
