"""Making and importing data sets."""

import json

import cv2
import numpy as np
import pytest

from sightbook.data.images import open_image
from sightbook.data.validation import DataError
from sightbook.donut.dataset import prepare
from sightbook.donut.dataset.folder import read_folder
from sightbook.donut.params import PrepareDonut
from sightbook.donut.synth.documents import render_document
from sightbook.params import ParameterError

LINES = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def small(**changes):
    settings = {"name": "x", "documents": 8, "width": 320, "height": 240, "workers": 0}
    return PrepareDonut(**{**settings, "validation": 0.25, "test": 0.25, **changes})


def test_generated_documents_are_written_whole_and_read_back(tmp_path):
    made = prepare.prepare(small())
    assert {name: len(records) for name, records in made.splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }
    assert made.report.ok, made.report.text()
    assert made.report.checked == 8
    # document 0 of the seed is the first of the training split, corners and all
    drawn = render_document(7, 0, (320, 240))
    first = made.splits["train"][0]
    assert first.mrz_lines == drawn.lines
    np.testing.assert_allclose(first.quads, drawn.line_quads, atol=0.006)
    assert open_image(first.path).shape == (240, 320, 3)
    table = {row["split"]: row for row in made.table()}
    assert table["train"]["documents"] == 4
    assert sum(row["with a zone"] for row in table.values()) == sum(
        bool(record.mrz_lines) for record in made.records
    )


def test_the_same_call_goes_on_and_another_seed_is_refused():
    made = prepare.prepare(small())
    stamp = made.records[0].path.stat().st_mtime_ns
    made.records[1].path.parent.joinpath("metadata.jsonl").read_text()
    again = prepare.prepare(small())
    assert again.records[0].path.stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="seed: 7 -> 8"):
        prepare.prepare(small(seed=8))


def test_a_table_of_file_and_text_is_imported(tmp_path):
    source = tmp_path / "mine"
    source.mkdir()
    for index in range(6):
        cv2.imwrite(str(source / f"{index}.png"), np.full((60, 80, 3), 30 * index, np.uint8))
    (source / "5.png").write_bytes(b"no picture")
    rows = ["file,text"] + [f'{index}.png,"{" ".join(LINES)}"' for index in range(6)]
    (source / "labels.csv").write_text("\n".join(rows))
    made = prepare.prepare(small(source="csv", path=str(source / "labels.csv"), name="mine"))
    assert sum(map(len, made.splits.values())) == 5
    assert all(record.mrz_lines == LINES for record in made.records)
    assert [name for name, _ in made.skipped] == ["5.png"]
    # what was written is the Donut format
    splits = read_folder(made.folder)
    row = json.loads((made.folder / "train" / "metadata.jsonl").read_text().splitlines()[0])
    assert json.loads(row["ground_truth"])["gt_parse"]["mrz"]["lines"] == LINES
    assert splits.keys() == made.splits.keys()


def test_a_source_needs_its_path():
    with pytest.raises(ParameterError, match="'path' must name the folder or table"):
        prepare.prepare(small(source="csv"))


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ParameterError, match="leave nothing to train on"):
        PrepareDonut.parse({"validation": 0.5, "test": 0.5})
