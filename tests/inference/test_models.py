"""Which run the stages after training take."""

import pytest

from sightbook import trained
from sightbook.runs import RunError, open_run
from sightbook.trained import trained_run


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(trained, "repository_root", lambda: tmp_path)
    return tmp_path


def ship(place, monkeypatch):
    shipped = place / "outputs" / "reference" / "toy"
    shipped.mkdir(parents=True)
    (shipped / "run.json").write_text('{"stage": "train", "status": "finished", "run": "old"}')
    (shipped / "model.onnx").write_bytes(b"model")
    monkeypatch.setattr("sightbook.runs.repository_root", lambda: place)
    return shipped


def test_latest_is_the_newest_finished_training():
    with open_run("toy", "first", stage="train"):
        pass
    open_run("toy", "unfinished", stage="train")
    with open_run("toy", "prepared", stage="prepare"):
        pass
    assert trained_run("toy", "latest", "evaluate").name == "first"


def test_without_a_run_it_says_so_and_works_on_a_copy_of_the_shipped_model(
    place, monkeypatch, capsys
):
    shipped = ship(place, monkeypatch)
    copy = trained_run("toy", "latest", "evaluate")
    assert "taking the shipped model" in capsys.readouterr().out
    assert copy == place / "outputs" / "toy" / "reference-evaluate"
    assert (copy / "model.onnx").read_bytes() == b"model"
    (copy / "result").write_text("mine")
    assert not (shipped / "result").exists()
    # the copy is no run of one's own: a later training is the latest
    with open_run("toy", "mine", stage="train"):
        pass
    assert trained_run("toy", "latest", "evaluate").name == "mine"
    assert trained_run("toy", "reference", "evaluate") == copy


def test_nothing_trained_and_nothing_shipped():
    with pytest.raises(RunError, match="run the training notebook first"):
        trained_run("toy", "latest", "export")


def test_of_several_shipped_models_one_is_named(place, monkeypatch):
    folder = ship(place, monkeypatch)
    for name in ("blue", "red"):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text((folder / "run.json").read_text())
    (folder / "run.json").unlink()
    copy = trained_run("toy", "reference/red", "export")
    assert copy == place / "outputs" / "toy" / "reference-export-red"
    assert trained_run("toy", "reference", "export", "red") == copy
    assert trained_run("toy", "latest", "export", "red") == copy
    for which in ("reference", "latest", "reference/green"):
        with pytest.raises(RunError, match="there are: reference/blue, reference/red"):
            trained_run("toy", which, "export")
