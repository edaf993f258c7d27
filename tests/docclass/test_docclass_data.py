"""Folders of templates: classes, problems, splits that follow from contents."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped, TooManySkipped
from sightbook.data.validation import DataError, Report
from sightbook.docclass import data
from sightbook.docclass.data import pool, read_classes, write_classes
from sightbook.docclass.synth.templates import render_template


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def save(path, index):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render_template(8, index, 128).image).save(path)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "templates"
    for index in range(14):
        save(made / f"type {index}.png", index)
    save(made / "führerschein" / "vorne.png", 20)
    save(made / "führerschein" / "alt" / "hinten.png", 21)
    return made


def splits(found):
    return {item.name: item.split for item in found.classes}


def test_a_picture_is_a_class_and_a_sub_folder_is_one(folder):
    classes = read_classes(folder, report=Report(), skipped=Skipped(0))
    by_name = {item.name: item for item in classes}
    assert len(classes) == 15
    assert [f.name for f in by_name["führerschein"].files] == ["hinten.png", "vorne.png"]
    assert len(by_name["type 3"].files) == 1


def test_two_templates_of_one_name_are_reported_and_the_first_is_kept(folder):
    save(folder / "type 3.jpg", 30)
    save(folder / "type 4" / "a.png", 31)
    report = Report()
    classes = read_classes(folder, report=report, skipped=Skipped(0))
    assert len(classes) == 15
    assert len(report.problems) == 2
    assert {problem.kind for problem in report.problems} == {"two templates of one name"}
    assert "'type 3'" in report.text()
    assert "sub-folder" in report.text()


def test_what_cannot_be_used_is_left_out_and_named(folder):
    (folder / "empty.png").touch()
    Image.new("RGB", (300, 15)).save(folder / "flat.png")
    found = pool(folder)
    assert len(found.classes) == 15
    reasons = {name.rsplit("/", 1)[-1]: reason for name, reason in found.skipped}
    assert set(reasons) == {"empty.png", "flat.png"}
    assert "is 300x15 pixels, a template needs 16" in reasons["flat.png"]
    with pytest.raises(TooManySkipped, match="flat"):
        pool(folder, max_bad=1)


def test_folders_without_templates_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        pool(tmp_path / "absent")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="no picture in it can be used"):
        pool(tmp_path / "bare")


def test_splits_follow_from_contents_not_from_names(folder, tmp_path):
    before = pool(folder, salt="s")
    assert {item.split for item in before.classes} == {"train", "calibration", "test"}
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for index in range(14):
        shutil.copy(folder / f"type {index}.png", moved / f"renamed {13 - index}.png")
    shutil.copytree(folder / "führerschein", moved / "licence")
    after = splits(pool(moved, salt="s"))
    for index in range(14):
        assert after[f"renamed {13 - index}"] == splits(before)[f"type {index}"]
    assert splits(pool(folder, salt="other")) != splits(before)


def test_one_artwork_stands_on_one_side_only(folder):
    for index in range(14):
        image = render_template(8, index, 128).image
        Image.fromarray(image[..., [2, 0, 1]]).save(folder / f"recoloured {index}.png")
    found = pool(folder)
    names = splits(found)
    families = {item.name: item.family for item in found.classes}
    for index in range(14):
        assert families[f"recoloured {index}"] == families[f"type {index}"]
        assert names[f"recoloured {index}"] == names[f"type {index}"]
    assert len(found.links) >= 14


def test_a_second_reading_opens_nothing_and_sees_a_changed_file(folder, monkeypatch):
    first = pool(folder)
    opened = []
    check = data._check
    monkeypatch.setattr(data, "_check", lambda file: opened.append(file.name) or check(file))
    again = pool(folder)
    assert opened == []
    assert again.classes == first.classes
    save(folder / "type 3.png", 99)
    changed = pool(folder)
    assert "type 3.png" in opened
    assert changed.hashes["type 3.png"] != first.hashes["type 3.png"]


def test_written_classes_are_taken_as_they_stand(folder):
    found = pool(folder)
    path = write_classes(found, {"source": "test"})
    rows = json.loads(path.read_text())
    for row in rows["classes"]:
        row["split"] = "test"
    path.write_text(json.dumps(rows))
    assert set(splits(pool(folder)).values()) == {"test"}
    save(folder / "type 3.png", 99)
    with pytest.raises(DataError, match=r"1 templates were added or changed .*type 3\.png"):
        pool(folder)
    path.write_text("{}")
    with pytest.raises(DataError, match="is not as 01_prepare_docclass writes it"):
        pool(folder)


def test_a_recorded_split_outlives_changes_of_the_folder(folder):
    found = pool(folder)
    recorded = found.splits()
    assert len(recorded) == 16  # pictures, not classes
    save(folder / "new one.png", 50)
    later = pool(folder, salt="another").as_recorded(recorded)
    for name, split in splits(found).items():
        assert splits(later)[name] == split
    trained = {value for value, split in recorded.items() if split == "train"}
    held = [item for item in later.classes if later.holds(item, trained)]
    assert {item.split for item in held} == {"train"}
    # A picture that was trained on takes its whole class with it.
    first = next(item for item in found.classes if item.split == "train" and len(item.files) == 1)
    other = next(item for item in found.classes if item.split == "test")
    shutil.copy(first.files[0], folder / "new one.png")
    (folder / "mixed").mkdir()
    shutil.copy(first.files[0], folder / "mixed" / "a.png")
    shutil.copy(other.files[0], folder / "mixed" / "b.png")
    assert splits(pool(folder).as_recorded(recorded))["mixed"] == "train"


def test_no_two_generated_types_share_a_hash(folder):
    values = list(pool(folder).hashes.values())
    assert len(set(values)) == len(values) == 16
    assert np.all([len(value) == 64 for value in values])
