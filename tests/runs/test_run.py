"""Run folders: what a kill, a second start or another process may not spoil."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sightbook.params import Parameters
from sightbook.runs import run as runs
from sightbook.runs.files import atomic_file
from sightbook.runs.run import RunError, find_run, open_run, read_json


class Train(Parameters):
    epochs: int = 2
    seed: int = 5
    workers: int = 0


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runs.OUTPUTS, str(tmp_path / "outputs"))
    monkeypatch.delenv(runs.POINTER, raising=False)
    return tmp_path / "outputs"


def test_a_run_leaves_the_whole_record(outputs: Path) -> None:
    run = open_run("donut", "first", Train(epochs=3), stage="train")
    assert run.path == outputs / "donut" / "first"
    assert (run.line, run.name) == ("donut", "first")
    assert run.facts["status"] == "running"
    run.record(dataset={"fingerprint": "abc"})
    run.log(1, **{"train/loss": np.float32(0.5)})
    run.finish({"cer": 0.25, "bad": float("nan")})
    facts = read_json(run.path / "run.json")
    assert facts["status"] == "finished"
    assert facts["seeds"] == {"seed": 5}
    assert facts["dataset"] == {"fingerprint": "abc"}
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["hardware"]["memory_bytes"] > 0
    assert facts["peak_memory"]["process_bytes"] > 10_000_000
    assert facts["seconds"] >= 0
    assert facts["ended"] >= facts["started"]
    assert facts["command"] == " ".join(sys.argv)
    assert {"git", "python", "host", "process"} <= facts.keys()
    assert read_json(run.path / "metrics.json") == {"cer": 0.25, "bad": None}
    assert Train.from_yaml(run.path / "params.yaml") == Train(epochs=3)
    assert [(row["step"], row["train/loss"]) for row in run.history()] == [(1, 0.5)]


def test_git_commit_and_dirty_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightbook.runs import provenance

    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setattr(provenance, "repository_root", lambda: repository)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert provenance.git() is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    (repository / "a").write_text("1")
    subprocess.run(["git", "add", "a"], cwd=repository, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "a"], cwd=repository, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    )
    clean = provenance.git()
    assert clean is not None
    assert (clean["commit"], clean["dirty"]) == (head.stdout.strip(), False)
    (repository / "a").write_text("2")
    changed = provenance.git()
    assert changed is not None and changed["dirty"] is True


def test_a_killed_run_goes_on_under_its_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sightbook.runs.run as r, sightbook.params as p\n"
        "class Train(p.Parameters):\n    epochs: int = 2\n    seed: int = 5\n    workers: int = 0\n"
        "run = r.open_run('donut', 'cut', Train(), stage='train')\n"
        "for step in range(5): run.log(step, loss=step / 2)\n"
        "file = (run.path / 'metrics.jsonl').open('a')\n"
        'file.write(\'{"step": 5, "lo\')\n'
        "file.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    folder = find_run("donut", "cut")
    assert runs.status_of(read_json(folder / "run.json")) == "killed"
    assert len(runs.read_metrics(folder)) == 5  # the torn line is left out
    run = open_run("donut", "cut", Train(workers=4), stage="train")
    assert run.facts["sessions"] == 2
    run.rewind(2)
    run.log(3, loss=9.0)
    assert [(row["step"], row["loss"]) for row in run.history()] == [
        (0, 0.0),
        (1, 0.5),
        (2, 1.0),
        (3, 9.0),
    ]


def test_the_torn_line_does_not_swallow_the_next() -> None:
    run = open_run("donut", "torn", stage="train")
    run.log(1, loss=1.0)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run = open_run("donut", "torn", stage="train")
    run.log(2, loss=2.0)
    text = (run.path / "metrics.jsonl").read_text()
    assert [json.loads(line)["loss"] for line in text.splitlines()] == [1.0, 2.0]


def test_damage_in_the_middle_is_an_error() -> None:
    run = open_run("donut", "bad", stage="train")
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2"):
        run.history()


def test_other_parameters_under_the_same_name_are_refused() -> None:
    open_run("donut", "same", Train(), stage="train").finish()
    with pytest.raises(RunError, match=r"epochs: 2 then, 7 now") as caught:
        open_run("donut", "same", Train(epochs=7, workers=3), stage="train")
    assert "workers" not in str(caught.value)  # more workers do not change a result
    assert open_run("donut", "same", Train(), stage="train").facts["status"] == "running"


def test_a_run_made_under_old_names_of_parameters_is_the_same_run() -> None:
    class Renamed(Train):
        renamed: ClassVar = {"passes": "epochs"}

    open_run("donut", "old", Renamed(epochs=3), stage="train").finish()
    file = find_run("donut", "old") / "params.yaml"
    file.write_text(file.read_text().replace("epochs:", "passes:"))
    open_run("donut", "old", Renamed(epochs=3), stage="train").finish()
    assert "epochs: 3" in file.read_text()


def test_without_resume_the_old_run_is_thrown_away() -> None:
    run = open_run("donut", "anew", Train(), stage="train")
    run.log(1, loss=1.0)
    run.finish()
    run = open_run("donut", "anew", Train(epochs=9), stage="train", resume=False)
    assert run.history() == []
    assert run.facts["sessions"] == 1


def test_a_later_stage_adds_to_the_run_and_leaves_training_alone() -> None:
    run = open_run("donut", "whole", Train(), stage="train")
    run.finish({"loss": 1.0})
    before = read_json(run.path / "run.json")
    later = open_run("donut", "latest", Train(epochs=8), stage="evaluate")
    assert later.path == run.path
    later.record(samples=12)
    later.finish({"cer": 0.1})
    after = read_json(run.path / "run.json")
    assert after["stages"]["evaluate"]["status"] == "finished"
    assert after["stages"]["evaluate"]["samples"] == 12
    assert {**after, "stages": {}} == {**before, "stages": {}}
    assert read_json(run.path / "metrics.json") == {"loss": 1.0, "evaluate": {"cer": 0.1}}
    assert Train.from_yaml(run.path / "params_evaluate.yaml").epochs == 8
    assert Train.from_yaml(run.path / "params.yaml").epochs == 2
    # training finished again keeps what evaluation found
    open_run("donut", "whole", Train(), stage="train").finish({"loss": 1.0})
    assert read_json(run.path / "metrics.json") == {"loss": 1.0, "evaluate": {"cer": 0.1}}


def test_a_run_another_process_is_writing_is_refused() -> None:
    run = open_run("donut", "busy", stage="train")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        import psutil

        started = psutil.Process(other.pid).create_time()
        run.record(process={"pid": other.pid, "started": started})
        with pytest.raises(RunError, match=f"being written by process {other.pid}"):
            open_run("donut", "busy", stage="train")
    finally:
        other.communicate(b"\n")
    assert open_run("donut", "busy", stage="train").name == "busy"


def test_latest_is_the_newest_run() -> None:
    with pytest.raises(RunError, match="there is no run of 'donut'"):
        find_run("donut")
    for name in ("b", "a"):
        open_run("donut", name, stage="train").finish()
    assert find_run("donut").name == "a"
    assert find_run("donut", find_run("donut", "b")).name == "b"
    with pytest.raises(RunError, match=r"no run 'c' of 'donut' \(runs: b, a\)"):
        find_run("donut", "c")


def test_names() -> None:
    names = {open_run("donut", stage="train").name for _ in range(3)}
    assert len(names) == 3
    for name in ("a b", "..", "-x", "a\nb"):
        with pytest.raises(RunError, match="cannot be a folder's"):
            open_run("donut", name, stage="train")


def test_an_exception_marks_the_run_failed() -> None:
    with pytest.raises(ZeroDivisionError), open_run("donut", "oops", stage="train"):
        1 / 0  # noqa: B018
    facts = read_json(find_run("donut", "oops") / "run.json")
    assert (facts["status"], facts["error"]) == ("failed", "ZeroDivisionError: division by zero")
    with open_run("donut", "fine", stage="train") as run:
        pass
    assert run.facts["status"] == "finished"


def test_a_process_that_just_ends_leaves_a_failed_run() -> None:
    code = "import sightbook.runs.run as r; r.open_run('donut', 'left', stage='train')"
    subprocess.run([sys.executable, "-c", code], check=True)
    facts = read_json(find_run("donut", "left") / "run.json")
    assert (facts["status"], "before the stage was finished" in facts["error"]) == ("failed", True)


def test_workers_attach_without_touching_the_record() -> None:
    run = open_run("donut", "shared", Train(), stage="train")
    before = (run.path / "run.json").read_bytes()
    runs.Run.attach(run.path).log(1, loss=1.0)
    assert (run.path / "run.json").read_bytes() == before
    assert len(run.history()) == 1
    with pytest.raises(RunError, match=r"holds no run\.json"):
        runs.Run.attach(run.path / "checkpoints")


def test_an_atomic_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    runs.write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_file(path) as beside:
        beside.write_text("half")
        assert beside.suffix == ".json"
        1 / 0  # noqa: B018
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["a.json"]


def test_figures_are_saved_from_matplotlib_and_pillow() -> None:
    run = open_run("donut", "drawn", stage="train")
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    for path in (run.figure(figure, "curve"), run.figure(Image.new("RGB", (4, 3)), "picture")):
        assert path.parent == run.path / "figures"
        with Image.open(path) as picture:
            assert picture.format == "PNG"


def test_the_command_that_runs_the_notebook_is_told_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runs.POINTER, str(tmp_path / "pointer"))
    run = open_run("donut", "told", stage="train")
    assert Path((tmp_path / "pointer").read_text()) == run.path


def test_a_complete_run_is_discarded_and_an_unfinished_one_kept() -> None:
    run = open_run("donut", "demo", stage="train")
    run.finish()
    runs.discard_complete(run.path, "export")
    assert run.path.is_dir()
    export = open_run("donut", "demo", stage="export")
    runs.discard_complete(run.path, "export")
    assert run.path.is_dir()
    export.finish()
    runs.discard_complete(run.path, "export")
    assert not run.path.exists()


def test_the_start_is_light() -> None:
    code = (
        "import sys, sightbook.cli\n"
        "heavy = {'torch', 'transformers', 'cv2', 'papermill', 'matplotlib', 'nbformat'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
