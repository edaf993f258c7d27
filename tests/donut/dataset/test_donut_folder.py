"""The Donut folder format: reading, writing, restarting, checking."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import open_image
from sightbook.data.validation import DataError, Report
from sightbook.donut.dataset.checks import check_splits, dataset_fingerprint, validate
from sightbook.donut.dataset.folder import (
    Record,
    Sample,
    add_validation,
    mrz_truth,
    read_folder,
    write_folder,
)

TD3 = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]
QUADS = [[[10, 60], [90, 60], [90, 66], [10, 66]], [[10, 70], [90, 70], [90, 76], [10, 76]]]


def write_rows(folder, rows, picture=True):
    """Write metadata rows (objects, or text as it is) and a distinct picture for each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, row in enumerate(rows):
        lines.append(row if isinstance(row, str) else json.dumps(row))
        if picture and isinstance(row, dict) and "file_name" in row:
            path = folder / row["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (100, 80), (number * 7 % 256, len(folder.name), 9)).save(path)
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(name, parse=None, **extra):
    truth = {"gt_parse": parse if parse is not None else {"text": name}}
    return {"file_name": name, "ground_truth": json.dumps(truth), **extra}


def kinds(report):
    return sorted(problem.kind for problem in report.problems)


def test_sub_folders_and_their_aliases(tmp_path):
    write_rows(tmp_path / "train", [row("a.png", {"total": "12"}, kind="receipt")])
    write_rows(tmp_path / "val", [row("b.png")])
    write_rows(tmp_path / "test", [row("c.png")])
    write_rows(tmp_path / "drafts", [row("d.png")])
    splits = read_folder(tmp_path)
    assert list(splits) == ["train", "validation", "test"]
    (record,) = splits["train"]
    assert record.gt == [{"total": "12"}]
    assert record.extra == {"kind": "receipt"}
    assert record.path == tmp_path / "train" / "a.png"
    assert record.where == "train/metadata.jsonl:1"


def test_flat_folder_is_split_by_content_and_group(tmp_path):
    rows = [row(f"{number}.png", group=number // 4) for number in range(60)]
    write_rows(tmp_path, rows)
    shutil.copy(tmp_path / "0.png", tmp_path / "59.png")  # a copy in another group
    splits = read_folder(tmp_path)
    assert {name: bool(found) for name, found in splits.items()} == {
        "train": True,
        "validation": True,
        "test": True,
    }
    assert check_splits(splits).ok
    place = {record.file_name: name for name, found in splits.items() for record in found}
    assert place["0.png"] == place["59.png"]
    assert all(place[f"{n}.png"] == place[f"{n // 4 * 4}.png"] for n in range(60))
    assert read_folder(tmp_path) == splits
    other = read_folder(tmp_path, salt="other")
    assert [r.file_name for r in other["test"]] != [r.file_name for r in splits["test"]]


def test_split_column_and_folders_in_file_names(tmp_path):
    write_rows(tmp_path / "one", [row("a.png", split="train"), row("b.png", split="Dev")])
    assert {name: len(found) for name, found in read_folder(tmp_path / "one").items()} == {
        "train": 1,
        "validation": 1,
    }
    write_rows(tmp_path / "two", [row("train/a.png"), row("test/b.png")])
    assert list(read_folder(tmp_path / "two")) == ["train", "test"]
    write_rows(tmp_path / "bad", [row("a.png", split="train"), row("b.png", split="holdout")])
    with pytest.raises(DataError, match="'holdout'; expected one of"):
        read_folder(tmp_path / "bad")


def test_all_bad_rows_stand_in_one_report(tmp_path):
    rows = [
        row("good.png"),
        '{"file_name": "torn.png", "ground_tr',
        '["a list"]',
        {"ground_truth": "{}"},
        {"file_name": "x.png"},
        {"file_name": "y.png", "ground_truth": "no json"},
        {"file_name": "z.png", "ground_truth": '{"gt_parse": "text"}'},
        {"file_name": "e.png", "ground_truth": '{"gt_parses": []}'},
    ]
    write_rows(tmp_path / "train", rows)
    with pytest.raises(DataError) as stop:
        read_folder(tmp_path)
    assert "metadata.jsonl:2" in str(stop.value)
    report = Report()
    splits = read_folder(tmp_path, report=report)
    assert [record.file_name for record in splits["train"]] == ["good.png"]
    assert report.checked == 8
    assert kinds(report) == [
        "bad JSON",
        "bad JSON",
        "bad ground_truth",
        "bad ground_truth",
        "bad ground_truth",
        "no file_name",
        "no ground_truth",
    ]


def test_lenient_with_notes(tmp_path):
    rows = [
        {"file_name": "a.png", "ground_truth": {"gt_parse": {"text": "object, not string"}}},
        {"file_name": "b.png", "gt_parse": {"text": "in the row"}},
        {"file_name": "c.png", "ground_truth": '{"gt_parses": [{"a": "1"}, {"a": "2"}]}'},
    ]
    write_rows(tmp_path / "train", rows)
    report = Report()
    records = read_folder(tmp_path, report=report)["train"]
    assert [record.gt for record in records] == [
        [{"text": "object, not string"}],
        [{"text": "in the row"}],
        [{"a": "1"}, {"a": "2"}],
    ]
    assert report.ok
    assert len(report.problems) == 2


def test_folder_without_metadata_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="01_prepare_donut"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "nowhere")


def test_validation_is_added_once(tmp_path):
    write_rows(tmp_path / "train", [row(f"{number}.png") for number in range(40)])
    splits = add_validation(read_folder(tmp_path), 0.25)
    assert len(splits["train"]) + len(splits["validation"]) == 40
    assert 2 <= len(splits["validation"]) <= 20
    assert add_validation(splits, 0.5) == splits


def sample(number):
    image = np.full((80, 100, 3), number, np.uint8)
    return Sample(image, [mrz_truth("TD3", TD3)], {"quads": np.array(QUADS, np.float32) + 1 / 3})


class Maker:
    """Makes sample ``number`` when called (picklable, counts calls in this process)."""

    calls = 0

    def __init__(self, number, fail=False):
        self.number = number
        self.fail = fail

    def __call__(self):
        Maker.calls += 1
        if self.fail:
            raise KeyboardInterrupt
        return sample(self.number)


def test_written_samples_read_back(tmp_path):
    written = write_folder(tmp_path, "train", [("one.png", sample(7)), ("sub/two.png", sample(8))])
    assert (written.added, written.kept) == (2, 0)
    first, second = read_folder(tmp_path)["train"]
    assert first.mrz_lines == TD3
    assert first.gt == [{"mrz": {"type": "TD3", "lines": TD3}}]
    np.testing.assert_allclose(first.quads, np.array(QUADS) + 1 / 3, atol=0.01)
    assert (open_image(second.path) == 8).all()
    assert validate([first, second]).problems == []
    raw = json.loads((tmp_path / "train" / "metadata.jsonl").read_text().splitlines()[0])
    assert json.loads(raw["ground_truth"])["gt_parse"]["mrz"]["type"] == "TD3"


def test_document_without_zone(tmp_path):
    write_folder(tmp_path, "train", [("a.png", Sample(sample(1).image, [mrz_truth(None, [])]))])
    (record,) = read_folder(tmp_path)["train"]
    assert record.gt == [{"mrz": None}]
    assert record.mrz_lines == []
    assert record.quads is None
    assert Record(record.path, [{"total": "1"}]).mrz_lines is None
    assert validate([record]).problems == []


def test_interrupted_writing_goes_on_where_it_stopped(tmp_path):
    names = [f"{number}.png" for number in range(5)]
    whole = tmp_path / "whole"
    write_folder(whole, "train", [(name, Maker(n)) for n, name in enumerate(names)])
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        write_folder(broken, "train", [(name, Maker(n, n == 3)) for n, name in enumerate(names)])
    metadata = broken / "train" / "metadata.jsonl"
    with metadata.open("a") as file:
        file.write('{"file_name": "3.png", "ground')  # torn by a kill
    Maker.calls = 0
    written = write_folder(broken, "train", [(name, Maker(n)) for n, name in enumerate(names)])
    assert (written.added, written.kept, Maker.calls) == (2, 3, 2)
    assert metadata.read_bytes() == (whole / "train" / "metadata.jsonl").read_bytes()


def test_last_row_without_newline_is_kept(tmp_path):
    write_folder(tmp_path, "train", [("a.png", sample(1))])
    metadata = tmp_path / "train" / "metadata.jsonl"
    metadata.write_text(metadata.read_text().rstrip("\n"))
    written = write_folder(tmp_path, "train", [("a.png", sample(1)), ("b.png", sample(2))])
    assert (written.added, written.kept) == (1, 1)
    assert len(read_folder(tmp_path)["train"]) == 2


def test_workers_write_the_same_folder(tmp_path):
    jobs = [(f"{number}.png", Maker(number)) for number in range(40)]
    seen = []
    write_folder(tmp_path / "one", "train", jobs)
    write_folder(tmp_path / "two", "train", jobs, workers=2, progress=seen.append)
    assert seen == list(range(1, 41))
    for path in sorted((tmp_path / "one" / "train").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / "train" / path.name).read_bytes()


def test_other_origin_and_bad_names_are_refused(tmp_path):
    write_folder(tmp_path, "train", [("a.png", sample(1))], origin={"seed": 1, "size": [4, 3]})
    write_folder(tmp_path, "train", [("a.png", sample(1))], origin={"size": [4, 3], "seed": 1})
    with pytest.raises(DataError, match=r"seed: 1 -> 2"):
        write_folder(tmp_path, "train", [("b.png", sample(2))], origin={"seed": 2, "size": [4, 3]})
    for name in ("../out.png", "/out.png", "plain"):
        with pytest.raises(DataError, match="relative, with a suffix"):
            write_folder(tmp_path, "test", [(name, sample(1))])
    with pytest.raises(DataError, match="stands twice"):
        write_folder(tmp_path, "test", [("a.png", sample(1)), ("a.png", sample(2))])


def checked(tmp_path, *rows, **options):
    write_rows(tmp_path / "train", rows)
    return validate(read_folder(tmp_path)["train"], **options)


def zone(lines, type="TD3", name="a.png", **extra):
    return row(name, {"mrz": {"type": type, "lines": lines}}, **extra)


@pytest.mark.parametrize(
    ("broken", "kind", "told"),
    [
        (zone([TD3[0], TD3[1][:-1]]), "zone of no ICAO shape", r"\[44, 43\]"),
        (zone(TD3, "TD1"), "zone of another type", "'TD1'"),
        (zone([TD3[0], TD3[1].lower()]), "text outside the alphabet", "'bceflotuz'"),
        (row("a.png", {"mrz": TD3[0]}), "bad zone", "expected"),
        (zone([]), "empty truth", "null means no zone"),
        (row("a.png", {"total": " "}), "empty truth", "nothing is written"),
        (row("a.png", {}), "empty truth", "nothing is written"),
        (zone(TD3, quads=QUADS[:1]), "quads do not match", "1 for 2 lines"),
        (zone(TD3, quads=[[1, 2, 3, 4]] * 2), "bad quads", "four"),
        (zone(TD3, quads=[QUADS[0], [[10, 70], [130, 70], [130, 76], [10, 76]]]),
         "quads outside the picture", "by 30 px of 100 x 80"),
        (zone(TD3, quads=[QUADS[0], [[10, 70], [90, 70], [90, -9], [10, 76]]]),
         "quads outside the picture", "by 9 px"),
    ],
)  # fmt: skip
def test_each_bad_label_is_found(tmp_path, broken, kind, told):
    report = checked(tmp_path, zone(TD3, name="good.png", quads=QUADS), broken)
    assert kinds(report) == [kind]
    (problem,) = report.problems
    assert problem.where == "train/metadata.jsonl:2"
    assert re.search(told, problem.message)


def test_pictures_are_checked(tmp_path):
    rows = [row("a.png"), row("gone.png"), row("cut.png"), row("a.png"), row("tiny.png")]
    write_rows(tmp_path / "train", rows)
    (tmp_path / "train" / "gone.png").unlink()
    (tmp_path / "train" / "cut.png").write_bytes(b"")
    Image.new("L", (9, 90)).save(tmp_path / "train" / "tiny.png")
    report = validate(read_folder(tmp_path)["train"])
    assert kinds(report) == [
        "duplicate file_name",
        "missing file",
        "tiny picture",
        "unreadable picture",
    ]
    assert [problem.severity for problem in report.problems if "picture" in problem.kind] == [
        "warning",
        "warning",
    ]


def test_alphabet_and_questions(tmp_path):
    report = checked(tmp_path, row("a.png", {"menu": [{"name": "Caffè"}]}), alphabet="Cafe")
    assert [problem.message for problem in report.problems] == ["a.png: 'è'"]
    asked = [
        row("a.png", {"question": "Who?", "answer": "Anna"}),
        row("a.png", {"question": "When?", "answer": "1974"}),
        row("a.png", {"question": "When?", "answer": "in 1974"}),
    ]
    assert kinds(checked(tmp_path, *asked)) == ["duplicate file_name"]


def test_leaks_and_fingerprint(tmp_path):
    write_rows(tmp_path / "train", [row("a.png"), row("b.png")])
    write_rows(tmp_path / "test", [row("c.png")])
    splits = read_folder(tmp_path)
    before = dataset_fingerprint(splits)
    assert before.files == 3
    assert check_splits(splits).ok
    shutil.copy(tmp_path / "train" / "b.png", tmp_path / "test" / "c.png")
    leaking = read_folder(tmp_path)
    (problem,) = check_splits(leaking).problems
    assert problem.where == "b.png (train)"
    assert dataset_fingerprint(leaking).sha256 != before.sha256
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    shutil.copytree(tmp_path, moved)
    assert dataset_fingerprint(read_folder(moved)) == dataset_fingerprint(leaking)


def test_a_record_says_on_one_line_what_is_on_it():
    zone = {"type": "TD3", "lines": ["P<UTO", "L898"]}
    for truth, said in (
        ([{"mrz": zone}], "x.jpg  TD3  P<UTO  L898"),
        ([{"mrz": None}], "x.jpg  no zone"),
        ([{"total": "1"}], 'x.jpg  {"total": "1"}'),
        ([{"a": "1"}, {"a": "ü"}], 'x.jpg  {"a": "1"}  {"a": "ü"}'),
    ):
        assert Record(Path("x.jpg"), truth, {}, "x.jpg").caption == said
