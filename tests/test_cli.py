"""The ``sightbook`` command and raw papermill, run for real on a tiny notebook."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from sightbook import cli
from sightbook.cli import UsageError, app, main
from sightbook.inference.command import CommandError, Option
from sightbook.lines import LINES, LineError, line_module
from sightbook.runs import notebooks
from sightbook.runs import run as runs
from sightbook.runs.run import read_json

BIN = Path(sys.executable).parent
MODEL = """
from pydantic import Field
from sightbook.params import Parameters

class Tiny(Parameters):
    epochs: int = Field(2, gt=0, description="passes")
    run: str = Field("", description="name")
    fate: str = Field("ends", description="ends, raises, is killed or told")
"""
PARAMETERS = """\
epochs: int = 2  # passes
run: str = ""  # name
fate: str = "ends"  # ends, raises, is killed or told"""
SET_UP = """\
import os, signal, sys, threading
from sightbook.runs.run import open_run
from tiny_params import Tiny

params = Tiny.from_namespace(globals())"""
WORK = """\
run_folder = open_run("tiny", params.run, params, stage="train")
for epoch in range(params.epochs):
    print(f"epoch {epoch}")
    run_folder.log(epoch, **{"train/loss": 1 / (epoch + 1)})
print("a warning", file=sys.stderr)
if params.fate == "raises":
    raise OSError("the disk is on fire")
if params.fate == "is killed":
    os.kill(os.getpid(), signal.SIGKILL)
if params.fate == "is told":
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    os.kill(os.getppid(), signal.SIGTERM)
    print("told", told.wait(60))
run_folder.finish({"epochs": params.epochs})"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny notebook and the module of its parameters."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny_params.py").write_text(MODEL)
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# A tiny notebook"),
            new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            new_code_cell(SET_UP),
            new_code_cell(WORK),
            new_code_cell("print('the last cell')"),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "sightbook": {"parameters": "tiny_params:Tiny"},
        },
    )
    nbformat.write(notebook, folder / "02_train_tiny.ipynb")
    return folder


def execute(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    variables = {"PYTHONPATH": path, runs.OUTPUTS: str(place / "outputs")}
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=place,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def sightbook(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return execute(place, "sightbook", *arguments)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command in this process, for what needs no kernel; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["sightbook", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def good(place: Path) -> subprocess.CompletedProcess[str]:
    (place / "some.yaml").write_text(yaml.safe_dump({"epochs": 7, "run": "of the file"}))
    return sightbook(
        place, "run", "02_train_tiny", "-f", "some.yaml", "-p", "epochs", "3", "--run", "007"
    )


def test_run_files_everything_in_the_run_folder(
    place: Path, good: subprocess.CompletedProcess[str]
) -> None:
    assert good.returncode == 0, good.stderr
    folder = place / "outputs" / "tiny" / "007"  # raw papermill would have made it 7
    assert read_json(folder / "metrics.json") == {"epochs": 3}
    facts = read_json(folder / "run.json")
    assert facts["status"] == "finished"
    assert facts["command"] == "sightbook run 02_train_tiny -f some.yaml -p epochs 3 --run 007"
    executed = nbformat.read(folder / "02_train_tiny.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "the last cell\n"
    assert "the last cell" in (folder / "report.html").read_text()


def test_run_shows_the_notebooks_streams_and_nothing_of_papermills(
    good: subprocess.CompletedProcess[str],
) -> None:
    lines = good.stdout.splitlines()
    assert lines[:5] == ["epoch 0", "epoch 1", "epoch 2", "a warning", "the last cell"]
    assert lines[5].startswith("02_train_tiny done in ")
    assert "report.html" in lines[-1]
    # A kernel that is told to end may remark on it; that is not the notebook's, nor papermill's.
    noise = [line for line in good.stderr.splitlines() if not line.startswith("[IPKernelApp]")]
    assert noise == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["-p", "epoch", "10"], "unknown parameter 'epoch', did you mean 'epochs'?"),
        (["-p", "epochs", "ten"], "parameter 'epochs' cannot be 'ten': expected a whole number"),
        (["-p", "epochs", "-1"], "parameter 'epochs' cannot be -1: expected a whole number"),
        (["-f", "none.yaml"], "parameter file 'none.yaml' does not exist"),
    ],
)
def test_run_refuses_wrong_parameters_before_a_kernel_starts(
    place: Path,
    given: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(notebooks, "_execute", lambda *arguments: pytest.fail("a kernel starts"))
    assert call(monkeypatch, "run", "02_train_tiny", *given) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"sightbook: {sentence}")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["-p", "epoch", "10"], "ParameterError: unknown parameter 'epoch', did you mean"),
        (["-p", "epochs", "ten"], "ParameterError: parameter 'epochs' cannot be 'ten'"),
        (["-p", "epochs", "-1"], "ParameterError: parameter 'epochs' cannot be -1"),
    ],
)
def test_raw_papermill_refuses_them_in_its_first_cells(
    place: Path, given: list[str], sentence: str
) -> None:
    done = execute(
        place, "papermill", "--no-progress-bar", "02_train_tiny.ipynb", "out.ipynb", *given
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "tiny_params" not in done.stderr  # no traceback through the library
    executed = nbformat.read(place / "out.ipynb", as_version=4)
    assert all(cell.get("execution_count") is None for cell in executed.cells[-2:])


def test_an_exception_is_a_failure_with_its_reason(place: Path) -> None:
    done = sightbook(place, "run", "02_train_tiny", "-p", "fate", "raises", "--run", "fire")
    assert done.returncode == 1
    assert "FAILED" in done.stderr
    assert "cell [4] raised OSError: the disk is on fire" in done.stderr
    facts = read_json(place / "outputs" / "tiny" / "fire" / "run.json")
    assert facts["status"] == "failed"
    assert "the disk is on fire" in facts["error"]
    report = (place / "outputs" / "tiny" / "fire" / "report.html").read_text()
    assert "the disk is on fire" in report


def test_a_killed_kernel_is_a_failure(place: Path) -> None:
    done = sightbook(place, "run", "02_train_tiny", "-p", "fate", "is killed", "--run", "shot")
    assert done.returncode == 1
    assert "the kernel died" in done.stderr
    folder = place / "outputs" / "tiny" / "shot"
    assert read_json(folder / "run.json")["status"] == "failed"
    executed = nbformat.read(folder / "02_train_tiny.ipynb", as_version=4)
    status = [cell.metadata.papermill.status for cell in executed.cells]
    assert status[-2:] == ["failed", "pending"]
    assert executed.metadata.papermill.exception is True


def test_sigterm_reaches_the_kernel(place: Path) -> None:
    done = sightbook(place, "run", "02_train_tiny", "-p", "fate", "is told", "--run", "told")
    assert "told True" in done.stdout
    assert done.returncode == 0, done.stderr


def test_ctrl_c_is_130_and_leaves_no_kernel(place: Path) -> None:
    slow = place / "slow.ipynb"
    code = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(place / 'kernel.pid')!r}).write_text(str(os.getpid()))\n"
        "print('begun', flush=True)\ntime.sleep(60)"
    )
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), slow)
    process = subprocess.Popen(
        [str(BIN / "sightbook"), "run", str(slow)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, runs.OUTPUTS: str(place / "outputs")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    pid = int((place / "kernel.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_commands_that_look_at_runs(
    place: Path,
    good: subprocess.CompletedProcess[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv(runs.OUTPUTS, str(place / "outputs"))
    assert call(monkeypatch, "runs") == 0
    assert re.search(r"tiny/007 +train finished", capsys.readouterr().out)
    assert call(monkeypatch, "runs", "tiny", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    row = next(row for row in rows if row["path"].endswith("tiny/007"))
    assert (row["stages"], row["metrics"]) == ({"train": "finished"}, {"epochs": 3})

    page = place / "outputs" / "tiny" / "007" / "report.html"
    page.unlink()
    assert call(monkeypatch, "report", "tiny/007") == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert page.is_file()
    assert call(monkeypatch, "report", "007") == 1
    assert "LINE/007" in capsys.readouterr().err

    assert call(monkeypatch, "params", "02_train_tiny") == 0
    assert capsys.readouterr().out.strip() == PARAMETERS


def test_a_wrong_notebook_name_gets_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_train_tiny.ipynb").touch()
    monkeypatch.setattr(notebooks, "repository_root", lambda: tmp_path)
    assert call(monkeypatch, "run", "02_trian_tiny") == 1
    assert "did you mean '02_train_tiny'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failing", "demo"), [(None, "demo"), ("02_train_tiny", "demo"), (None, "net050_demo")]
)
def test_demo_runs_the_lines_notebooks_in_order_and_stops_at_a_failure(
    failing: str | None,
    demo: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["01_prepare_tiny", "02_train_tiny", "03_evaluate_tiny", "04_export", "05_sweep_tiny"]
    for folder in ("notebooks", "params/tiny"):
        (tmp_path / folder).mkdir(parents=True)
    for name in names:
        shutil.copyfile(place / "02_train_tiny.ipynb", tmp_path / "notebooks" / f"{name}.ipynb")
    (tmp_path / f"params/tiny/{demo}.yaml").write_text("epochs: 5")
    (tmp_path / f"params/tiny/{demo}.evaluate.yaml").write_text("fate: ends")
    ran = []

    def run_notebook(path: Path, given: dict, *, command: str) -> notebooks.Outcome:
        ran.append((path.stem, given))
        (tmp_path / "outputs/tiny/demo").mkdir(parents=True, exist_ok=True)
        error = "cell [1] raised" if path.stem == failing else None
        return notebooks.Outcome(path, tmp_path / "outputs/tiny/demo", 1.0, error)

    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv(runs.OUTPUTS, str(tmp_path / "outputs"))
    monkeypatch.setattr(cli, "repository_root", lambda: tmp_path)
    monkeypatch.setattr(notebooks, "run_notebook", run_notebook)
    assert call(monkeypatch, "demo", "tiny") == (1 if failing else 0)
    expected = [
        ("01_prepare_tiny", {"run": "demo"}),
        ("02_train_tiny", {"epochs": 5, "run": "demo"}),
        ("03_evaluate_tiny", {"fate": "ends", "run": "demo"}),
        ("04_export", {"run": "demo"}),
    ]
    assert ran == expected[: 2 if failing else 4]
    landmark = str(tmp_path / "outputs/tiny/demo/report.html")
    shown, _, closing = capsys.readouterr().out.partition("Look at:")
    assert landmark in (shown if failing else closing)


class Line:
    """A line that notes what its command is given."""

    OPTIONS = (
        Option("beams", int, "texts that are kept"),
        Option("min_score", float, "what counts"),
        Option("crop", bool, "look for a card"),
        Option("out", Path, "folder of files"),
        Option("form", str, "of the files", choices=("json", "text")),
        Option("drawn", Path, "folder of pictures", instead="render"),
    )

    def __init__(self) -> None:
        self.calls: list[tuple[list[Path], dict[str, object]]] = []

    def command(self, files: list[Path], options: dict[str, object]) -> int:
        given = {name: value for name, value in options.items() if value is not None}
        self.calls.append((files, given))
        if given.get("beams") == 0:
            raise CommandError("beams is 0; expected 1 or more")
        return 3


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """A line of the command `predict`, named as the first one there is."""
    made = Line()
    monkeypatch.setattr(cli, "line_module", lambda name, task: made)
    return made


def predicted(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", *arguments])


def test_predict_hands_files_and_options_to_the_line(line: Line) -> None:
    done = predicted("donut", "a.png", "b.png", "--json", "--model", "m", "--beams", "4")
    assert done.exit_code == 3
    files = [Path("a.png"), Path("b.png")]
    assert line.calls == [(files, {"json": True, "model": "m", "beams": 4})]
    # before the line's name and with the values' types, too
    own = ["--min-score", "0.5", "--no-crop", "--out", "o", "--form", "text"]
    assert predicted(*own, "donut", "a.png").exit_code == 3
    expected = {"min_score": 0.5, "crop": False, "out": Path("o"), "form": "text"}
    assert line.calls[-1] == ([Path("a.png")], {"json": False, **expected})


def test_the_older_spelling_of_options_works_with_a_warning(line: Line) -> None:
    older = ["-o", "min-score", "0.5", "-o", "crop", "true", "-o", "beams", "null"]
    done = predicted("donut", "a.png", *older)
    assert line.calls[-1][1] == {"json": False, "min_score": 0.5, "crop": True}
    assert "-o min_score VALUE is written --min-score VALUE now" in done.stderr
    done = predicted("donut", "a.png", "-o", "drawn", "d")
    assert line.calls[-1][1] == {"json": False, "drawn": Path("d")}
    assert "-o drawn VALUE is written --render VALUE now" in done.stderr


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--colour", "1"], "No such option"),
        (["-o", "colour", "1"], "donut knows no option colour; there are json, model, render, bea"),
        (["--beams", "many"], "'many' is not a valid integer"),
        (["-o", "beams", "many"], "'many' is not a valid integer"),
        (["--form", "pdf"], "'pdf' is not one of"),
        (["--beams", "0"], "beams is 0; expected 1 or more"),
    ],
)
def test_command_lines_that_cannot_be_end_with_2(
    line: Line, arguments: list[str], told: str
) -> None:
    done = predicted("donut", "a.png", *arguments)
    assert done.exit_code == 2
    assert told in done.stderr


@pytest.mark.parametrize("name", LINES)
def test_files_and_models_that_are_not_there_are_told_alike_by_all_lines(
    name: str, tmp_path: Path
) -> None:
    register = tmp_path / "register"
    register.mkdir()
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(register / "a.png")
    own = ["--register", str(register)] if name == "docclass" else []
    missing = str(tmp_path / "missing.png")
    done = predicted(name, missing, *own)
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == f"{missing}: no such file or folder\n"
    done = predicted(name, missing, *own, "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    assert json.loads(done.stdout).keys() == {"file", "error"}
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"no model")
    for model in ("no-such-run", str(foreign)):
        done = predicted(name, missing, *own, "--model", model)
        assert (done.exit_code, done.stdout) == (2, "")
        assert Path(model).name in done.stderr


@pytest.mark.parametrize("name", LINES)
def test_help_lists_the_options_that_a_line_registers(name: str) -> None:
    shown = predicted(name, "--help").output
    shared, _, own = shown.partition(f"Options of {name}:")
    for option in ("--json", "--model", "--render"):
        assert option in shared
    for option in line_module(name, "predict").OPTIONS:
        flag = "--" + option.name.replace("_", "-")
        assert (flag in own) is not bool(option.instead)
    assert f"Options of {name}:" not in predicted("--help").output


def test_render_takes_a_folder_or_none_but_no_picture(tmp_path: Path, line: Line) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"")
    for arguments in (["a.png", "--render"], ["a.png", "--render", "drawn"], ["a.png"]):
        assert predicted("defects", *arguments).exit_code == 3
    assert [given.get("render") for _, given in line.calls] == ["rendered", "drawn", None]
    done = predicted("defects", "--render", str(picture), "b.png")
    assert isinstance(done.exception, UsageError)
    assert len(line.calls) == 3


def test_an_unknown_line_names_the_known() -> None:
    for arguments in (["donuts", "a.png"], ["donuts", "a.png", "--beams", "4"]):
        done = predicted(*arguments)
        assert isinstance(done.exception, LineError)
        assert "no line 'donuts' that can predict, did you mean 'donut'" in str(done.exception)


def test_help_imports_no_line() -> None:
    code = (
        "import sys; from sightbook.cli import app\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['predict', '--help']).exit_code == 0\n"
        "assert not {'cv2', 'onnxruntime', 'torch'} & set(sys.modules)\n"
        "assert CliRunner().invoke(app, ['predict', 'donut', '--help']).exit_code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("command", sorted(app.commands))
def test_every_command_has_help(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert len(done.output.split("Options:")[0]) > 80
