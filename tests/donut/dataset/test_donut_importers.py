"""Tables, sidecars, class folders, question files -> the Donut folder format."""

import json

import pytest
from PIL import Image

from sightbook.data.images import Skipped, TooManySkipped
from sightbook.data.validation import DataError, Report
from sightbook.donut.dataset.checks import check_splits, validate
from sightbook.donut.dataset.folder import read_folder
from sightbook.donut.dataset.importers import (
    import_records,
    read_classes,
    read_docvqa,
    read_rvl_cdip,
    read_source,
    read_table,
    text_truth,
)
from sightbook.params import repository_root

TD3 = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]
TD1 = [
    "I<UTOD231458907<<<<<<<<<<<<<<<",
    "7408122F1204159UTO<<<<<<<<<<<6",
    "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
]
MRVA = [
    "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L8988901C4XXX7408122F96121096ZE184226B<<<<<<",
]


def pictures(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (number * 11 % 256, len(name), 9)).save(path)


WRITTEN = [
    *(between.join(TD1) for between in ("\n", " ", "|", "", "\\n")),
    TD1,
    {"mrz": "\n".join(TD1)},
    {"mrz": TD1},
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_zone_is_known_however_it_is_written(text):
    assert text_truth(text) == {"mrz": {"type": "TD1", "lines": TD1}}


def test_other_texts():
    assert text_truth("\n".join(MRVA))["mrz"]["type"] == "MRVA"
    assert text_truth("\n".join(TD3))["mrz"]["type"] == "TD3"
    assert text_truth("Total 12\nThank you") == {"text_sequence": "Total 12\nThank you"}
    assert text_truth('{"total": "12"}') == {"total": "12"}
    assert text_truth(TD3[0]) == {"text_sequence": TD3[0]}
    assert text_truth("\n".join(TD3).lower()) == {"text_sequence": "\n".join(TD3).lower()}
    with pytest.raises(ValueError, match="30"):
        text_truth(TD3, "TD1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_text(tmp_path, delimiter):
    pictures(tmp_path, "a.png", "b.png")
    rows = [
        ["File", "Text", "operator"],
        ["a.png", '"' + "\n".join(TD3) + '"', "x"],
        ["b.png", "Hello", ""],
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")
    report = Report()
    first, second = read_table(table, report)
    assert first.gt == [{"mrz": {"type": "TD3", "lines": TD3}}]
    assert first.extra == {"operator": "x"}
    assert first.path == tmp_path / "a.png"
    assert second.gt == [{"text_sequence": "Hello"}]
    assert report.problems == []


def test_csv_with_columns_of_lines_and_named_columns(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "scan,line1,line2,line3\na.png," + ",".join(TD1) + "\nb.png," + ",".join(TD3) + ",\n"
    )
    with pytest.raises(
        DataError, match=r"columns: scan, line1, line2, line3\)\. Name it with image_column"
    ):
        read_table(table, Report())
    first, second = read_table(table, Report(), image_column="scan")
    assert (first.mrz_lines, second.mrz_lines) == (TD1, TD3)
    with pytest.raises(DataError, match="no column for the text"):
        read_table(table, Report(), image_column="scan", text_column="words")


def test_jsonl_table_with_types_and_bad_rows(tmp_path):
    rows = [
        {"file": "a.jpg", "mrz_type": "TD3", "lines": TD3, "checks_ok": True},
        {"file": "b.jpg", "mrz_type": "TD1", "lines": TD3},
        {"file": "", "mrz_type": "TD1", "lines": TD1},
    ]
    (tmp_path / "truth.jsonl").write_text("\n".join([json.dumps(row) for row in rows] + ["{"]))
    report = Report()
    (record,) = read_table(tmp_path / "truth.jsonl", report)
    assert record.gt == [{"mrz": {"type": "TD3", "lines": TD3}}]
    assert record.extra == {"checks_ok": True}
    assert [problem.where for problem in report.problems if problem.kind != "bad JSON"] == [
        "truth.jsonl:2",
        "truth.jsonl:3",
    ]
    assert sum(problem.kind == "bad JSON" for problem in report.problems) == 1


def test_source_is_recognised(tmp_path):
    report = Report()
    beside = tmp_path / "beside"
    pictures(beside, "1.png", "2.png", "3.png")
    (beside / "1.txt").write_text("\n".join(TD3))
    (beside / "2.json").write_text(json.dumps({"gt_parse": {"total": "12"}}))
    one, two = read_source(beside, report)
    assert one.mrz_lines == TD3
    assert two.gt == [{"total": "12"}]
    assert [problem.where for problem in report.problems] == ["3.png"]

    classes = tmp_path / "classes"
    pictures(classes, "invoice/1.png", "letter/1.png")
    assert [record.gt for record in read_source(classes, report)] == [
        [{"class": "invoice"}],
        [{"class": "letter"}],
    ]
    table = tmp_path / "table"
    pictures(table, "x.png")
    (table / "any.csv").write_text("file,text\nx.png,Hello\n")
    assert read_source(table, report)[0].gt == [{"text_sequence": "Hello"}]

    bare = tmp_path / "bare"
    pictures(bare, "x.png")
    with pytest.raises(DataError, match="1 pictures and 0 tables"):
        read_source(bare, report)


def test_import_copies_splits_and_skips(tmp_path):
    source = tmp_path / "in"
    names = [f"scan {number}.png" for number in range(20)]
    pictures(source, *names)
    (source / names[3]).write_bytes((source / names[3]).read_bytes()[:60])
    (source / names[4]).write_bytes(b"")
    rows = [f"{name},{'|'.join(TD3)},{number // 2}" for number, name in enumerate(names)]
    (source / "labels.csv").write_text("\n".join(["file,text,group", *rows, "gone.png,Hello,9"]))
    out, report, skipped = tmp_path / "out", Report(), Skipped(max_bad=3)
    counts = import_records(read_source(source, report), out, skipped=skipped, report=report)
    assert sum(counts.values()) == 18
    assert [name for name, _ in skipped] == ["scan 3.png", "scan 4.png", "gone.png"]
    splits = read_folder(out)
    assert {name: len(records) for name, records in splits.items()} == counts
    assert check_splits(splits).ok
    assert validate([record for records in splits.values() for record in records]).problems == []
    # A Donut folder is a source too, and keeps its splits.
    again = import_records(
        read_source(out, report), tmp_path / "again", skipped=skipped, report=report
    )
    assert again == counts
    with pytest.raises(TooManySkipped, match=r"scan 4\.png: the file is empty"):
        import_records(
            read_source(source, report), tmp_path / "no", skipped=Skipped(max_bad=1), report=report
        )


def test_classes_keep_their_splits_and_names(tmp_path):
    pictures(
        tmp_path, "train/invoice/1.png", "train/letter/1.png", "val/invoice/2.png", "stray.png"
    )
    report = Report()
    records = read_classes(tmp_path, report)
    assert [problem.where for problem in report.problems] == ["stray.png"]
    assert {record.extra["split"] for record in records} == {"train", "validation"}
    counts = import_records(records, tmp_path / "out", skipped=Skipped(0), report=report)
    assert counts == {"train": 2, "validation": 1}
    labels = sorted(record.gt[0]["class"] for record in read_folder(tmp_path / "out")["train"])
    assert labels == ["invoice", "letter"]


def test_rvl_cdip_list(tmp_path):
    labels = tmp_path / "val.txt"
    labels.write_text("imagesq/q/o/c/50 08.tif 3\nimagese/e/a/x.tif 15\nbad.tif 16\n")
    report = Report()
    records = read_rvl_cdip(labels, tmp_path / "images", report)
    assert [record.gt[0]["class"] for record in records] == ["handwritten", "memo"]
    assert records[0].path == tmp_path / "images" / "imagesq/q/o/c/50 08.tif"
    assert records[0].extra == {"split": "validation"}
    assert [problem.where for problem in report.problems] == ["val.txt:3"]


def test_docvqa_questions(tmp_path):
    rows = [
        {"question": "Who?", "image": "documents/a.png", "answers": ["Anna", "A. Maria", "Anna"]},
        {"question": "When?", "image": "documents/a.png", "answers": ["1974"]},
        {"question": "What?", "image": "documents/b.png"},
    ]
    path = tmp_path / "val_v1.0.json"
    path.write_text(json.dumps({"dataset_split": "val", "data": rows}))
    report = Report()
    (record,) = read_docvqa(path, report)
    assert record.gt == [
        {"question": "Who?", "answer": "Anna"},
        {"question": "Who?", "answer": "A. Maria"},
        {"question": "When?", "answer": "1974"},
    ]
    assert record.extra == {"split": "validation"}
    assert [problem.message for problem in report.problems] == ["without answers"]


def test_real_specimens_where_they_are():
    folder = repository_root().parent / "shared" / "data" / "mrz"
    if not folder.is_dir():
        pytest.skip("no specimen pictures here")
    report = Report()
    records = read_source(folder, report)
    report.extend(validate(records))
    assert len(records) == 8
    assert report.problems == []
    assert {record.gt[0]["mrz"]["type"] for record in records} == {"TD1", "TD2", "TD3", "MRVB"}
