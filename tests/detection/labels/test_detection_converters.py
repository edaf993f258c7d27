"""Pascal VOC, YOLO and masks read; every format to COCO and CSV and back, clean pictures too."""

import json

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped
from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Box, polygons_box
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.labels.csv_versions import write_csv
from sightbook.detection.labels.masks import mask_objects, mask_polygons, polygons_mask
from sightbook.detection.labels.read import format_of, read_annotations

WIDTH, HEIGHT = 100, 80


def picture(path, shade=0, size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), 200, np.uint8)
    pixels[0, 0] = shade
    Image.fromarray(pixels).save(path, **options)
    return path


def mask_picture(path, areas, **options):
    """Areas: value -> (left, top, right, bottom)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (left, top, right, bottom) in areas:
        pixels[top:bottom, left:right] = value
    Image.fromarray(pixels).save(path, **options)


def voc(folder, name, objects, filename=None, size=(WIDTH, HEIGHT)):
    shown = "".join(
        f"<object><name>{label}</name>{extra}<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for label, box, extra in objects
    )
    file = folder / "Annotations" / f"{name}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<annotation><filename>{filename or name + '.png'}</filename><size><width>{size[0]}"
        f"</width><height>{size[1]}</height></size>{shown}</annotation>"
    )


def kinds(report):
    return [problem.kind for problem in report.problems]


def voc_set(folder):
    picture(folder / "JPEGImages" / "a.png")
    picture(folder / "JPEGImages" / "clean.png", 1)
    # VOC counts from 1, both corners inside
    voc(folder, "a", [("crack", (11, 21, 40, 60), ""), ("pothole", (1, 1, 100, 80), "")])
    voc(folder, "clean", [])
    return folder


def yolo_set(folder):
    picture(folder / "images" / "a.png")
    picture(folder / "images" / "clean.png", 1)
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("0 0.25 0.5 0.3 0.5\n1 0.5 0.5 1 1\n")
    (folder / "data.yaml").write_text("names: [crack, pothole]\n")
    return folder


def csv_set(folder):
    picture(folder / "images" / "a.png")
    picture(folder / "images" / "clean.png", 1)
    (folder / "datasets").mkdir()
    (folder / "datasets" / "train_road_261120120000.csv").write_text(
        "filename,xmin,ymin,xmax,ymax,class\na.png,10,20,40,60,crack\na.png,0,0,100,80,pothole\n"
        "clean.png,,,,,\n"
    )
    return folder


def coco_set(folder):
    picture(folder / "images" / "a.png")
    picture(folder / "images" / "clean.png", 1)
    size = {"width": WIDTH, "height": HEIGHT}
    content = {
        "images": [
            {"id": 1, "file_name": "a.png", **size},
            {"id": 2, "file_name": "clean.png", **size},
        ],
        "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "pothole"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 100, 80]},
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def masks_set(folder):
    picture(folder / "images" / "a.png")
    picture(folder / "images" / "clean.png", 1)
    mask_picture(folder / "masks" / "a_crack.png", [(255, (10, 20, 40, 60))])
    mask_picture(folder / "masks" / "a_pothole.png", [(255, (0, 0, 100, 80))])
    mask_picture(folder / "masks" / "clean_crack.png", [])
    return folder


SETS = {"coco": coco_set, "csv": csv_set, "voc": voc_set, "yolo": yolo_set, "masks": masks_set}


@pytest.mark.parametrize("kind", SETS)
def test_all_formats_say_the_same(tmp_path, kind):
    report = Report()
    found = read_annotations(SETS[kind](tmp_path), report=report)
    assert format_of(tmp_path) == kind and not report.problems
    assert found.labels == ("crack", "pothole")
    by_name = {record.name.rpartition("/")[2]: record for record in found.records}
    assert set(by_name) == {"a.png", "clean.png"}
    assert by_name["clean.png"].boxes == ()
    assert [(box.label, box.xyxy) for box in by_name["a.png"].boxes] == [
        ("crack", pytest.approx((10, 20, 40, 60))),
        ("pothole", pytest.approx((0, 0, 100, 80))),
    ]


@pytest.mark.parametrize("outlines", [False, True], ids=["boxes", "segmentation"])
@pytest.mark.parametrize("kind", SETS)
def test_to_coco_and_csv_and_back_loses_no_picture_and_no_box(tmp_path, kind, outlines):
    found = read_annotations(SETS[kind](tmp_path / "set"))
    images = found.records[0].image.parent
    for file in (
        write_coco(found, tmp_path / "out" / "annotations.json"),
        write_csv(found, tmp_path / "out" / "all.csv", outlines=outlines),
    ):
        again = read_annotations(file, images=images)
        assert again.labels == found.labels
        assert len(again.clean()) == 1
        for before, after in zip(found.records, again.records, strict=True):
            assert before.image == after.image
            for box, back in zip(before.boxes, after.boxes, strict=True):
                assert back.xyxy == pytest.approx(box.xyxy, abs=0.01) and back.label == box.label
                if file.suffix == ".json" or outlines:
                    assert list(map(len, back.polygons)) == list(map(len, box.polygons))


# ------------------------------------------------------------------ Pascal VOC


def test_voc_splits_difficult_objects_and_renamed_pictures(tmp_path):
    for number, name in enumerate("abc"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", number)
        voc(tmp_path, name, [("x", (1, 1, 9, 9), "<difficult>1</difficult>")], "old_name.jpg")
    sets = tmp_path / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\n")
    (sets / "val.txt").write_text("b\n")
    found = read_annotations(tmp_path)
    assert [(r.name[-5:], r.split) for r in found.records] == [
        ("a.jpg", "train"),
        ("b.jpg", "validation"),
        ("c.jpg", ""),
    ]
    box = found.records[0].boxes[0]
    assert box.crowd and box.attributes == {"difficult": True}


def test_broken_voc_is_reported(tmp_path):
    voc_set(tmp_path)
    voc(tmp_path, "clean", [("", (1, 1, 9, 9), ""), ("crack", (1, "", 9, 9), "")])
    (tmp_path / "Annotations" / "bad.xml").write_text("<annotation><object>")
    report = Report()
    assert len(read_annotations(tmp_path, report=report).records) == 2
    assert sorted(kinds(report)) == ["box is no numbers", "object without class", "wrong XML"]


# ------------------------------------------------------------------ YOLO


def test_yolo_outlines_scores_splits_and_names_by_number(tmp_path):
    for split in ("train", "val"):
        # the same file name in both splits: each must get its own labels
        picture(tmp_path / "images" / split / "a.png", len(split))
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("2 0.1 0.25 0.4 0.25 0.4 0.75\n")
    (tmp_path / "labels" / "val" / "a.txt").write_text("0 0.5 0.5 0.5 0.5 0.875\n")
    (tmp_path / "data.yaml").write_text("names: {0: crack, 2: pothole}\n")
    found = read_annotations(tmp_path)
    train, validation = found.records
    assert found.labels == ("crack", "1", "pothole")
    assert (train.name, train.split) == ("train/a.png", "train")
    assert (validation.name, validation.split) == ("val/a.png", "validation")
    assert train.boxes[0].label == "pothole"
    assert train.boxes[0].xyxy == pytest.approx((10, 20, 40, 60))
    assert train.boxes[0].polygons[0] == pytest.approx(np.array([[10, 20], [40, 20], [40, 60]]))
    assert validation.boxes[0].score == 0.875 and validation.boxes[0].label == "crack"


def test_broken_yolo_is_reported(tmp_path):
    yolo_set(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text(
        "0 0.5 0.5 0.5 0.5\n0 0.5 0.5\ncrack 0.5 0.5 0.5 0.5\n"
        "9 0.5 0.5 0.5 0.5\n0 1.5 0.5 0.2 0.2\n"
    )
    (tmp_path / "labels" / "gone.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    report, skipped = Report(), Skipped(1)
    found = read_annotations(tmp_path, report=report, skipped=skipped)
    assert [len(record.boxes) for record in found.records] == [1, 0]
    assert sorted(kinds(report)) == sorted(
        ["wrong row", "wrong row", "unknown class", "box outside the picture", "picture left out"]
    )
    assert [name for name, _ in skipped] == ["gone"]


def test_yolo_texts_may_lie_beside_the_pictures(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("crack\n")
    assert read_annotations(tmp_path).records[0].boxes == (Box("crack", (25, 20, 75, 60)),)


# ------------------------------------------------------------------ masks


def test_outline_of_a_mask_runs_along_the_edges_of_its_pixels():
    mask = np.zeros((10, 12), bool)
    mask[2, 3] = True
    (polygon,) = mask_polygons(mask)
    assert polygons_box([polygon]) == (3, 2, 4, 3)
    mask[5:9, 6:12] = True
    boxes = sorted(polygons_box([polygon]) for polygon in mask_polygons(mask))
    assert boxes == [(3, 2, 4, 3), (6, 5, 12, 9)]
    assert mask_polygons(np.zeros((5, 5), bool)) == ()


def test_mask_to_polygons_and_back_keeps_its_pixels():
    y, x = np.mgrid[:80, :100]
    disc = (x - 50) ** 2 / 30**2 + (y - 40) ** 2 / 20**2 < 1
    exact = polygons_mask(mask_polygons(disc, tolerance=0), 100, 80)
    assert (exact != disc).sum() <= 0.01 * disc.sum()
    smooth = mask_polygons(disc)
    back = polygons_mask(smooth, 100, 80)
    assert (back & disc).sum() / (back | disc).sum() > 0.97
    assert sum(map(len, smooth)) < 80


def test_each_spot_of_a_mask_is_an_object_and_specks_are_none():
    mask = np.zeros((80, 100), bool)
    mask[10:20, 10:30] = mask[40:60, 50:90] = True
    mask[70:72, 5:7] = True  # 4 pixels
    assert [polygons_box(spot) for spot in mask_objects(mask)] == [
        (10, 10, 30, 20),
        (50, 40, 90, 60),
    ]


def test_mask_values_are_classes_by_number(tmp_path):
    picture(tmp_path / "images" / "a.png")
    areas = [
        (1, (0, 0, 20, 20)),
        (2, (40, 40, 60, 60)),
        (255, (20, 0, 25, 20)),
        (7, (0, 60, 9, 70)),
    ]
    mask_picture(tmp_path / "masks" / "a.png", areas)
    (tmp_path / "classes.txt").write_text("crack\npothole\nnever seen\n")
    report = Report()
    found = read_annotations(tmp_path, report=report)
    assert found.labels == ("crack", "pothole", "never seen")
    assert [(box.label, box.xyxy) for box in found.records[0].boxes] == [
        ("crack", (0, 0, 20, 20)),
        ("pothole", (40, 40, 60, 60)),
    ]
    assert [problem.message[:7] for problem in report.problems] == ["value 7"]


def test_mask_folders_are_classes_and_soft_edges_are_cut_in_the_middle(tmp_path):
    picture(tmp_path / "images" / "a.png")
    soft = [(60, (8, 18, 42, 62)), (255, (10, 20, 40, 60))]
    mask_picture(tmp_path / "masks" / "crack" / "a.png", soft)
    (tmp_path / "masks" / "broken.png").write_bytes(b"no picture")
    report = Report()
    found = read_annotations(tmp_path, report=report)
    assert found.labels == ("crack",)
    assert [box.xyxy for box in found.records[0].boxes] == [(10, 20, 40, 60)]
    assert kinds(report) == ["mask cannot be read"]


# ------------------------------------------------------------------ any of them


def test_exif_orientation_counts_for_the_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter: 100 x 80 on disk, 80 x 100 upright
    picture(tmp_path / "images" / "a.jpg", exif=exif)
    (tmp_path / "images" / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("crack\n")
    record = read_annotations(tmp_path).records[0]
    assert (record.width, record.height) == (80, 100) and record.boxes[0].xyxy == (0, 0, 80, 100)


def test_grey_alpha_and_damaged_pictures(tmp_path):
    csv_set(tmp_path)
    Image.new("LA", (WIDTH, HEIGHT)).save(tmp_path / "images" / "alpha.png")
    (tmp_path / "images" / "empty.png").touch()
    with (tmp_path / "datasets" / "train_road_261120120000.csv").open("a") as file:
        file.write("alpha.png,,,,,\nempty.png,,,,,\n")
    skipped = Skipped(5)
    found = read_annotations(tmp_path, skipped=skipped)
    assert [record.name for record in found.records] == ["a.png", "clean.png", "alpha.png"]
    assert [reason for _, reason in skipped] == ["the file is empty (0 bytes)"]


def test_what_is_no_data_set_is_said_so(tmp_path):
    with pytest.raises(DataError, match=r"Looked for COCO .*CSV.*VOC.*YOLO"):
        read_annotations(tmp_path)
    with pytest.raises(DataError, match="no such folder or file"):
        read_annotations(tmp_path / "gone")
    coco_set(tmp_path)
    with pytest.raises(DataError, match="no such folder of pictures"):
        read_annotations(tmp_path, images=tmp_path / "gone")
