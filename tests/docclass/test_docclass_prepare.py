"""Making and importing folders of templates."""

import json

import pytest
from PIL import Image

from sightbook.data.images import TooManySkipped
from sightbook.data.validation import DataError
from sightbook.docclass.data import pool
from sightbook.docclass.params import PrepareDocclass
from sightbook.docclass.prepare import prepare
from sightbook.docclass.synth.templates import render_template
from sightbook.params import ParameterError


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def small(**changes):
    return PrepareDocclass(
        **{"name": "x", "templates": 12, "long_side": 96, "workers": 0, **changes}
    )


def test_drawn_templates_are_split_and_recorded():
    made = prepare(small())
    assert made.report.ok, made.report.text()
    assert made.report.checked == 12
    table = {row["split"]: row for row in made.table()}
    assert sum(row["classes"] for row in table.values()) == 12
    assert all(row["classes"] for row in table.values())
    written = json.loads((made.folder / "classes.json").read_text())
    assert written["origin"]["seed"] == 7
    assert [row["name"] for row in written["classes"]] == [f"{i:06d}" for i in range(12)]
    assert pool(made.folder).classes == made.pool.classes


def test_the_same_call_goes_on_and_other_settings_are_refused():
    made = prepare(small())
    stamp = (made.folder / "000003.png").stat().st_mtime_ns
    (made.folder / "000005.png").unlink()
    again = prepare(small())
    assert (made.folder / "000003.png").stat().st_mtime_ns == stamp
    assert again.fingerprint() == made.fingerprint()
    with pytest.raises(DataError, match="seed: 7 -> 8"):
        prepare(small(seed=8))


def test_a_folder_is_copied_without_what_cannot_be_used(tmp_path):
    source = tmp_path / "quelle"
    (source / "ausweis").mkdir(parents=True)
    for index in range(6):
        Image.fromarray(render_template(1, index, 96).image).save(source / f"größe {index}.png")
    for side in ("vorne", "hinten"):
        Image.fromarray(render_template(2, len(side), 96).image).save(
            source / "ausweis" / f"{side}.png"
        )
    (source / "kaputt.png").write_bytes(b"no")
    made = prepare(small(source="folder", path=str(source)))
    names = {item.name: len(item.files) for item in made.pool.classes}
    assert names == {**{f"größe {index}": 1 for index in range(6)}, "ausweis": 2}
    assert [name.endswith("kaputt.png") for name, _ in made.skipped] == [True]
    assert (made.folder / "ausweis" / "vorne.png").is_file()
    assert not (made.folder / "kaputt.png").exists()
    with pytest.raises(TooManySkipped, match=r"kaputt\.png"):
        prepare(small(name="y", source="folder", path=str(source), max_bad=0))


def test_a_folder_without_path_and_shares_without_training_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="'path' must name it"):
        prepare(small(source="folder"))
    with pytest.raises(DataError, match="no such folder"):
        prepare(small(source="folder", path=str(tmp_path / "absent")))
    with pytest.raises(ParameterError, match="leave no classes to train on"):
        PrepareDocclass.parse({"calibration": 0.5, "test": 0.5})
