"""Data sets of pages: pictures found, sizes held against them, splits, lines cut out."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import TooManySkipped
from sightbook.data.validation import DataError, Report
from sightbook.ocr.pages.hiertext import write_hiertext
from sightbook.ocr.pages.page import Line, Page, PageBuilder, Paragraph, Word, rectangle
from sightbook.ocr.pages.read import check_texts, cut_words, line_crop, read_dataset


def page(image_id, size=(100, 80), texts=("Hello",)):
    builder = PageBuilder(image_id, *size)
    for number, text in enumerate(texts):
        builder.add([[Word(rectangle(10, 10 + 20 * number, 60, 20 + 20 * number), text)]])
    return builder.page()


def picture(path, size=(100, 80), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), 200, np.uint8)
    pixels[0, 0] = shade
    Image.fromarray(pixels).save(path, **options)


def kinds(report):
    return [problem.kind for problem in report.problems]


@pytest.mark.parametrize(
    "annotations, image",
    [
        ("annotations.jsonl", "images/a.png"),
        ("annotations.jsonl.gz", "a.png"),
        ("annotations.json", "annotations/a.tif"),
        ("val.jsonl.gz", "val/a.png"),
        ("gt/val.jsonl.gz", "val/a.png"),
    ],
)
def test_pictures_are_found_in_all_usual_places(tmp_path, annotations, image):
    picture(tmp_path / image)
    write_hiertext([page("a")], tmp_path / annotations)
    for source in (tmp_path, tmp_path / annotations):
        found = read_dataset(source)
        assert [item.image for item in found.pages] == [tmp_path / image]
        assert not found.report.problems and len(found.skipped) == 0
        assert found.given == ({"a": "validation"} if "val." in annotations else {})


def test_an_id_may_be_the_pictures_whole_name(tmp_path):
    picture(tmp_path / "images" / "a.b.png")
    picture(tmp_path / "images" / "a.png", shade=1)
    write_hiertext([page("a.b.png"), page("a")], tmp_path / "annotations.jsonl")
    names = [item.image.name for item in read_dataset(tmp_path).pages]
    assert names == ["a.b.png", "a.png"]


def test_unusable_pages_are_skipped_with_name_and_reason(tmp_path):
    picture(tmp_path / "images" / "good.png")
    picture(tmp_path / "images" / "tiny.png", (1, 1))
    picture(tmp_path / "images" / "other.png", (80, 100))
    (tmp_path / "images" / "empty.png").touch()
    (tmp_path / "images" / "text.png").write_text("no picture")
    names = ["good", "tiny", "other", "empty", "text", "gone"]
    write_hiertext([page(name) for name in names], tmp_path / "annotations.jsonl")
    found = read_dataset(tmp_path, max_bad=5)
    assert [item.image_id for item in found.pages] == ["good"]
    reasons = {name.rpartition("/")[2]: reason for name, reason in found.skipped}
    assert reasons["tiny.png"] == "1 x 1 pixels, at least 8 are needed"
    assert "annotated as 100 x 80" in reasons["other.png"] and "EXIF" in reasons["other.png"]
    assert "empty" in reasons["empty.png"] and "not a picture" in reasons["text.png"]
    assert reasons["gone"] == "its picture is missing"
    with pytest.raises(TooManySkipped, match="5 pictures cannot be used, 4 are allowed"):
        read_dataset(tmp_path, max_bad=4)


def test_a_picture_of_20000_pixels_is_taken_as_far_as_it_can_be_decoded(tmp_path):
    picture(tmp_path / "long.png", (20_000, 40))
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    pages = [page("long", (20_000, 40)), page("bomb", (20_000, 20_000))]
    write_hiertext(pages, tmp_path / "annotations.jsonl")
    found = read_dataset(tmp_path)
    assert [item.image_id for item in found.pages] == ["long"]
    assert "bomb.png: more than 128,000,000 pixels" in found.skipped.text()


def test_annotations_are_held_against_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "images" / "a.jpg", (80, 100), exif=exif)
    write_hiertext([page("a", (100, 80))], tmp_path / "annotations.jsonl")
    found = read_dataset(tmp_path)
    assert (found.pages[0].width, found.pages[0].height) == (100, 80)
    assert not found.report.problems


def test_polygons_of_another_size_are_scaled_and_sizes_filled_in(tmp_path):
    picture(tmp_path / "images" / "big.png", (200, 160))
    picture(tmp_path / "images" / "none.png", (40, 80))
    rows = [page("big").to_dict(), page("none").to_dict()]
    del rows[1]["image_width"], rows[1]["image_height"]
    (tmp_path / "annotations.jsonl").write_text(json.dumps({"annotations": rows}))
    found = read_dataset(tmp_path)
    big, none = found.pages
    assert (big.width, big.height) == (200, 160)
    for item in (big.paragraphs[0], next(big.lines()), next(big.words())):
        assert item.vertices.tolist() == rectangle(20, 20, 120, 40).tolist()
    assert (none.width, none.height) == (40, 80)
    assert next(none.words()).vertices[:, 0].max() == 40
    assert sorted(kinds(found.report)) == ["annotated in another size", "polygon outside the page"]


def test_pages_without_text_are_kept_and_named(tmp_path):
    picture(tmp_path / "a.png")
    write_hiertext([page("a", texts=())], tmp_path / "annotations.jsonl")
    found = read_dataset(tmp_path)
    assert len(found.pages) == 1 and kinds(found.report) == ["page without text"]


def test_a_subset_counts_usable_pages(tmp_path):
    for name in "bcd":
        picture(tmp_path / "images" / f"{name}.png")
    write_hiertext([page(name) for name in "abcd"], tmp_path / "annotations.jsonl")
    found = read_dataset(tmp_path, max_pages=2)
    assert [item.image_id for item in found.pages] == ["b", "c"]
    assert [name for name, _ in found.skipped] == ["a"]


def test_other_formats_are_read_where_they_lie_and_nothing_is_an_error(tmp_path):
    picture(tmp_path / "lines" / "a.png")
    (tmp_path / "lines" / "a.txt").write_text("Hello there")
    assert read_dataset(tmp_path / "lines").pages[0].text() == "Hello there"
    assert read_dataset(tmp_path / "lines", kind="lines").pages[0].text() == "Hello there"
    with pytest.raises(DataError, match=r"no file \.jsonl"):
        read_dataset(tmp_path / "lines", kind="hiertext")
    with pytest.raises(DataError, match="no such folder or file"):
        read_dataset(tmp_path / "nowhere")
    write_hiertext([], tmp_path / "annotations.jsonl")
    with pytest.raises(DataError, match="no page in it can be used"):
        read_dataset(tmp_path)


# ------------------------------------------------------------------ splits


def many(folder, count=40):
    for number in range(count):
        picture(folder / "images" / f"{number:02d}.png", shade=number)
    write_hiertext([page(f"{n:02d}") for n in range(count)], folder / "annotations.jsonl")


def ids(pages):
    return {item.image_id for item in pages}


def test_splits_follow_from_the_pictures_contents(tmp_path):
    many(tmp_path / "a")
    train, validation = read_dataset(tmp_path / "a").split(0.25)
    assert ids(train) | ids(validation) == {f"{n:02d}" for n in range(40)}
    assert not ids(train) & ids(validation) and 3 < len(validation) < 20
    # Renamed, and with half of them gone, each picture stays on its side.
    shutil.copytree(tmp_path / "a" / "images", tmp_path / "b" / "images")
    for file in list((tmp_path / "b" / "images").iterdir()):
        file.rename(file.with_name(f"x{file.name}"))
    write_hiertext(
        [page(f"x{n:02d}") for n in range(0, 40, 2)], tmp_path / "b" / "annotations.jsonl"
    )
    _, fewer = read_dataset(tmp_path / "b").split(0.25)
    assert {name[1:] for name in ids(fewer)} == {n for n in ids(validation) if int(n) % 2 == 0}


def test_copies_stay_together_and_recorded_splits_win(tmp_path):
    many(tmp_path, 10)
    for number in range(1, 10):
        shutil.copy(tmp_path / "images" / "00.png", tmp_path / "images" / f"{number:02d}.png")
    found = read_dataset(tmp_path)
    train, validation = found.split(0.5)
    assert not train or not validation
    (tmp_path / "splits.json").write_text(
        json.dumps({"splits": {found.hashes["00"]: "test", "0" * 64: "train"}})
    )
    assert read_dataset(tmp_path).split(0.5) == ([], [])
    assert len(read_dataset(tmp_path).splits({"train": 1})["test"]) == 10


def test_files_called_train_and_val_are_splits(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / "train" / f"{name}.png", shade=ord(name))
    picture(tmp_path / "val" / "a.png", shade=9)
    picture(tmp_path / "val" / "v.png", shade=10)
    write_hiertext([page(name) for name in "abc"], tmp_path / "gt" / "train.jsonl.gz")
    write_hiertext([page("a"), page("v")], tmp_path / "gt" / "val.jsonl.gz")
    found = read_dataset(tmp_path)
    train, validation = found.split(0.5)
    assert (ids(train), ids(validation)) == ({"a", "b", "c"}, {"v"})
    assert train[0].image == tmp_path / "train" / "a.png"
    assert kinds(found.report) == ["page stands twice"]


def test_a_file_of_training_pages_alone_still_gives_something_to_validate_on(tmp_path):
    many(tmp_path)
    (tmp_path / "annotations.jsonl").rename(tmp_path / "train.jsonl")
    found = read_dataset(tmp_path / "train.jsonl")
    assert set(found.given.values()) == {"train"}
    train, validation = found.split(0.25)
    assert len(train) + len(validation) == 40 and not ids(train) & ids(validation)
    assert 3 < len(validation) < 20
    assert len(found.split(0.0)[0]) == 40


def test_the_fingerprint_knows_pictures_and_texts(tmp_path):
    many(tmp_path, 3)
    first = read_dataset(tmp_path).fingerprint()
    assert read_dataset(tmp_path).fingerprint() == first and first.files == 3
    pages = [page("00"), page("01"), page("02", texts=("Hallo",))]
    write_hiertext(pages, tmp_path / "annotations.jsonl")
    assert read_dataset(tmp_path).fingerprint() != first


# ------------------------------------------------------------------ texts and lines


def test_characters_outside_the_alphabet_are_counted_but_not_their_look_alikes():
    pages = [page("a", texts=("naïve ïï", "it’s", "☐"))]
    report = Report()
    missing = check_texts(pages, "abcdefghijklmnopqrstuvwxyz' ", report, "test")
    assert missing == {"ï": 3, "☐": 1}
    assert kinds(report) == ["text outside the alphabet"] and report.ok
    assert "2 lines have characters it lacks: 'ï' x 3, '☐' x 1" in report.problems[0].message
    assert check_texts(pages, "abcdefghijklmnopqrstuvwxyzï☐' ", report, "more") == {}
    assert len(report.problems) == 1


def test_a_line_is_cut_along_its_words_with_black_outside():
    image = np.full((100, 300), 255, np.uint8)
    image[20:36, 100:140] = 90  # the gap between both words
    words = (Word(rectangle(20, 20, 100, 36), "a"), Word(rectangle(140, 28, 200, 44), "b"))
    line = Line(rectangle(20, 20, 200, 44), "a b", words)
    crop = line_crop(image, line)
    assert crop.dtype == np.uint8 and crop.shape == (64, 480)  # 64 * 180 / 24
    assert crop[5, 100] == 255 and crop[60, 100] == 0  # under the first word
    assert crop[60, 460] == 255 and crop[5, 460] == 0  # above the second
    assert 85 <= crop[20, 225] <= 95
    whole = line_crop(image, Line(rectangle(20, 20, 200, 44), "a b"), 32)
    assert whole.shape == (32, 240) and whole.min() >= 85


@pytest.mark.parametrize(
    "vertices",
    [
        rectangle(-50, -50, -10, -20),
        rectangle(290, 90, 900, 400),
        rectangle(5, 5, 5.4, 5.4),
        rectangle(0, 50, 300, 51),
    ],
)
def test_lines_at_the_edge_of_sense_still_give_a_crop(vertices):
    crop = line_crop(np.full((100, 300), 255, np.uint8), Line(vertices, "x"))
    assert crop.shape[0] == 64 and 10 <= crop.shape[1] <= 2400


def test_words_are_cut_out_of_lines_by_their_characters():
    quad = np.array([[0, 0], [100, 10], [100, 30], [0, 20]], np.float32)
    lines = (
        Line(quad, "ab  cdefgh", handwritten=True),
        Line(quad, "", legible=False),
        Line(quad, "ab", (Word(quad, "ab"),)),
    )
    cut = cut_words(Page("a", 100, 40, (Paragraph(quad, lines),)))
    first, second, third = cut.lines()
    assert [word.text for word in first.words] == ["ab", "cdefgh"]
    assert first.words[0].vertices.tolist() == [[0, 0], [20, 2], [20, 22], [0, 20]]
    assert first.words[1].vertices.tolist() == [[40, 4], [100, 10], [100, 30], [40, 24]]
    assert all(word.handwritten for word in first.words)
    assert second.words == () and third is lines[2]
