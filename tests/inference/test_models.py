"""Which model is meant: every line, stage and way to say it; and copies of shipped ones."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx as onnx_format
import psutil
import pytest

from sightbook.defects import predict as defects_predict
from sightbook.defects.params import TrainDefects
from sightbook.detection.training import train as detection_train
from sightbook.docclass import predict as docclass_predict
from sightbook.docclass import train as docclass_train
from sightbook.docclass.params import TrainDocclass
from sightbook.donut.page.train import page_source
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone import predict as donut_predict
from sightbook.donut.zone import task as donut_reader
from sightbook.donut.zone import train as donut_train
from sightbook.headstamps import predict as headstamps_predict
from sightbook.headstamps.params import TrainHeadstamps
from sightbook.headstamps.predict import recogniser_file
from sightbook.inference import onnx
from sightbook.inference.models import COPIED, find_model, trained_run
from sightbook.ocr.detection import train as train_detection
from sightbook.ocr.evaluation.evaluate import chosen
from sightbook.ocr.inference import predict as ocr_predict
from sightbook.ocr.layout import train as train_layout
from sightbook.ocr.params import TrainDetection, TrainLayout, TrainRecognition
from sightbook.ocr.recognition import train as train_recognition
from sightbook.params import ParameterError
from sightbook.runs.files import read_json, write_json
from sightbook.runs.run import RunError, list_runs, open_run, outputs_root

WEIGHTS = {
    "donut": "reader.safetensors",
    "docclass": "embedder.safetensors",
    "ocr": "recognition.safetensors",
    "defects": detection_train.WEIGHTS,
    "headstamps": detection_train.WEIGHTS,
}
SHIPPED = {  # line -> folders under outputs/reference/<line>; the first is what `reference` means
    "donut": ("", "small"),
    "docclass": ("", "small"),
    "ocr": ("recognition", "detection", "layout"),
    "defects": ("potholes", "pcb"),
    "headstamps": ("", "recognition"),
}
LINES = tuple(WEIGHTS)


class OpenedError(Exception):
    """The file that would have been opened."""


def opened(path: Any, *others: Any, **options: Any) -> None:
    raise OpenedError(str(path))


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without shipped models, runs or anything else."""
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr("sightbook.params.repository_root", lambda: tmp_path)
    monkeypatch.setattr("sightbook.inference.models.repository_root", lambda: tmp_path)
    return tmp_path


def fill(folder: Path, weights: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", weights):
        (folder / name).write_bytes(f"{name} of {folder.name}".encode())


def ship(house: Path, line: str) -> None:
    for name in SHIPPED[line]:
        folder = house / "outputs" / "reference" / line / name
        fill(folder, f"{name}.safetensors" if line == "ocr" else WEIGHTS[line])
        (folder / "run.json").write_text('{"stage": "train", "status": "finished"}')


def train_one(
    line: str, name: str, weights: str | None = None, stage: str = "train", status: str = "finished"
) -> Path:
    """A run as training leaves it behind, newer than those before it."""
    folder = outputs_root() / line / name
    fill(folder, weights or WEIGHTS[line])
    created = f"2026-11-{len(list_runs(line)) + 1:02}"
    write_json(folder / "run.json", {"stage": stage, "status": status, "created": created})
    return folder


@pytest.fixture(params=LINES)
def line(request: pytest.FixtureRequest, house: Path) -> str:
    """A line with shipped models, two trained runs, an unfinished one, and a foreign file."""
    name: str = request.param
    ship(house, name)
    train_one(name, "older")
    train_one(name, "newer")
    if name == "ocr":
        train_one(name, "finder", "detection.safetensors")
    train_one(name, "unfinished", status="running")
    train_one(name, "figures", stage="evaluate")
    (house / "photo.jpg").write_bytes(b"no model")
    return name


# --------------------------------------------------------------------------- the table

SPELLINGS = (
    "none",
    "latest",
    "reference",
    "reference/x",
    "run name",
    "run folder",
    ".onnx path",
    "missing",
    "foreign file",
)


def spelled(house: Path, line: str, spelling: str) -> str | None:
    run = house / "outputs" / line / "older"
    return {
        "none": None,
        "reference/x": "reference/" + SHIPPED[line][0 if line == "ocr" else 1],
        "run name": "older",
        "run folder": str(run),
        ".onnx path": str(run / "model.onnx"),
        "missing": "nosuch",
        "foreign file": str(house / "photo.jpg"),
    }.get(spelling, spelling)


def meant(house: Path, line: str, spelling: str, nothing: str) -> Path | None:
    """Folder of the model that should be found; None where none should."""
    shipped = house / "outputs" / "reference" / line
    spelling = nothing if spelling == "none" else spelling
    return {
        "latest": house / "outputs" / line / "newer",
        "reference": shipped / SHIPPED[line][0],
        "reference/x": shipped / SHIPPED[line][0 if line == "ocr" else 1],
        "run name": house / "outputs" / line / "older",
        "run folder": house / "outputs" / line / "older",
        ".onnx path": house / "outputs" / line / "older",
    }.get(spelling)


def refused(error: pytest.ExceptionInfo[BaseException], asked: str | None) -> None:
    """What was asked, what there is, and in one sentence."""
    said = str(error.value)
    assert str(asked) in said
    assert "older" in said and "reference" in said
    assert "\n" not in said and ". " not in said


PREDICT: dict[str, Callable[[str | None], Any]] = {
    "donut": donut_predict.Predictor,
    "docclass": docclass_predict.Predictor,
    "ocr": ocr_predict.LineReader,
    "defects": defects_predict.Predictor,
    "headstamps": headstamps_predict.Predictor,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_prediction_opens_the_file_that_is_meant(house, line, spelling, monkeypatch):
    monkeypatch.setattr(onnx, "session", opened)
    asked, folder = spelled(house, line, spelling), meant(house, line, spelling, "reference")
    with pytest.raises(OpenedError if folder else RunError) as error:
        PREDICT[line](asked)
    if folder:
        assert Path(str(error.value)) == folder / "model.onnx"
    else:
        refused(error, asked)


START: dict[str, Callable[[str], Any]] = {
    "donut": lambda init: donut_train.build_reader(TrainDonut.parse({"init": init})),
    "docclass": lambda init: docclass_train.build_embedder(TrainDocclass.parse({"init": init})),
    "ocr": lambda init: train_recognition.build_recognizer(TrainRecognition.parse({"init": init})),
    "defects": lambda init: detection_train.build_detector(
        TrainDefects.parse({"init": init}), SETS
    ),
    "headstamps": lambda init: detection_train.build_detector(
        TrainHeadstamps.parse({"init": init}), SETS
    ),
}
SETS: Any = SimpleNamespace(labels=("hole",), sides=None)


@pytest.mark.parametrize("spelling", [name for name in SPELLINGS if name != "none"])
def test_training_starts_from_the_weights_that_are_meant(house, line, spelling, monkeypatch):
    for module, name in (
        (donut_reader, "load_reader"),
        (docclass_train, "load_embedder"),
        (train_recognition, "load_recognizer"),
        (detection_train, "load_detector"),
    ):
        monkeypatch.setattr(module, name, opened)
    asked, folder = spelled(house, line, spelling), meant(house, line, spelling, "")
    if spelling == ".onnx path":  # nothing can be trained further from it
        folder = None
    with pytest.raises(OpenedError if folder else RunError) as error:
        START[line](str(asked))
    if folder:
        assert Path(str(error.value)) == folder / WEIGHTS[line]
    else:
        refused(error, asked)


@pytest.mark.parametrize("stage", ["evaluate", "export"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_later_stages_work_in_the_run_that_is_meant(house, line, spelling, stage):
    asked, folder = spelled(house, line, spelling), meant(house, line, spelling, "latest")
    if spelling == ".onnx path":  # no run: there are no records
        folder = None
    if spelling in ("latest", "none") and line == "ocr":  # of any of its networks
        folder = house / "outputs" / "ocr" / "finder"
    if spelling == "reference" and line == "ocr":  # all three
        folder = house / "outputs" / "reference" / "ocr"
    if folder is None:
        with pytest.raises(RunError) as error:
            trained_run(line, asked, stage)
        refused(error, asked)
        return
    found = trained_run(line, asked, stage)
    if not spelling.startswith("reference"):
        assert found == folder
        return
    # the repository's own folder is not written into
    inside = folder.relative_to(house / "outputs" / "reference" / line).parts
    assert found.name == "-".join(["reference", stage, *inside])
    assert found.parent == house / "outputs" / line
    for file in folder.rglob("*.*"):
        assert (found / file.relative_to(folder)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("part", ["detection", "recognition", "layout"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_of_the_ocr_lines_networks(house, part, spelling):
    ship(house, "ocr")
    for name in ("older", "newer"):
        train_one("ocr", name, f"{part}.safetensors")
    other = "layout" if part == "detection" else "detection"
    train_one("ocr", "others", f"{other}.safetensors")
    (house / "photo.jpg").write_bytes(b"no model")
    asked = f"reference/{part}" if spelling == "reference/x" else spelled(house, "ocr", spelling)
    folder = meant(house, "ocr", spelling, "reference")
    if spelling in ("none", "reference", "reference/x"):
        folder = house / "outputs" / "reference" / "ocr" / part
    if folder is None:
        with pytest.raises(RunError) as error:
            ocr_predict.model_file(part, asked)
        refused(error, asked)
        with pytest.raises(RunError):
            chosen(part, str(asked))
        return
    assert ocr_predict.model_file(part, asked) == folder / "model.onnx"
    if asked:
        assert chosen(part, asked) == folder / "model.onnx"


def test_weights_of_each_of_the_ocr_lines_networks(house, monkeypatch):
    ship(house, "ocr")
    (house / "bundle" / "layout").mkdir(parents=True)
    (house / "bundle" / "layout" / "layout.pt").write_bytes(b"as an older run has them")
    for module, name in ((train_detection, "load_detection"), (train_layout, "load_layout")):
        monkeypatch.setattr(module, name, opened)
    with pytest.raises(OpenedError, match=r"reference/ocr/detection/detection\.safetensors"):
        train_detection.build_detector(TrainDetection.parse({"init": "reference"}))
    with pytest.raises(OpenedError, match=r"bundle/layout/layout\.pt"):
        train_layout.build_layout(TrainLayout.parse({"init": "bundle"}))
    with pytest.raises(RunError, match="holds no"):
        train_detection.build_detector(TrainDetection.parse({"init": "bundle"}))


def test_the_recogniser_of_headstamps_is_its_own_or_one_of_ocr(house):
    ship(house, "headstamps")
    ship(house, "ocr")
    own = house / "outputs" / "reference" / "headstamps" / "recognition" / "model.onnx"
    assert recogniser_file() == recogniser_file("reference") == own
    run = train_one("ocr", "stamps", "recognition.safetensors")
    assert recogniser_file("latest") == recogniser_file("stamps") == run / "model.onnx"
    shipped = house / "outputs" / "reference" / "ocr" / "recognition" / "model.onnx"
    assert recogniser_file("reference/recognition") == shipped


def test_a_page_model_to_go_on_from(house):
    run = train_one("donut", "pages")
    (run / "page").mkdir()
    train_one("donut", "zones")
    assert page_source("pages") == page_source("latest") == run / "page"
    assert page_source("someone/donut") == "someone/donut"
    with pytest.raises(ParameterError, match=r"zones.*holds no page.*expected scratch"):
        page_source("zones")


def test_shipped_models_go_by_their_names_and_runs_before_them(house):
    ship(house, "defects")
    shipped = house / "outputs" / "reference" / "defects"
    assert find_model("defects", "pcb") == shipped / "pcb" / "model.onnx"
    assert trained_run("defects", "pcb", "evaluate").name == "reference-evaluate-pcb"
    own = train_one("defects", "pcb")
    assert find_model("defects", "pcb") == own / "model.onnx"
    assert trained_run("defects", "pcb", "evaluate") == own
    assert find_model("defects", "reference/pcb") == shipped / "pcb" / "model.onnx"


def test_of_several_shipped_models_all_are_told(house):
    ship(house, "defects")
    with pytest.raises(RunError, match="shipped: reference/pcb, reference/potholes"):
        find_model("defects", "reference/green")
    with pytest.raises(RunError, match="shipped: reference/pcb, reference/potholes"):
        trained_run("defects", "reference/green", "export")


def test_a_run_that_was_not_exported_says_how(house):
    run = train_one("docclass", "bare")
    (run / "model.onnx").unlink()
    for which in ("bare", "latest"):
        with pytest.raises(RunError, match="export bare with 04_export"):
            find_model("docclass", which)
    train_one("docclass", "later")
    (train_one("docclass", "latest-of-all") / "model.onnx").unlink()
    assert find_model("docclass", "latest").parent.name == "later"


def test_nothing_trained_and_nothing_shipped(house):
    for ask in (find_model, lambda line, which: trained_run(line, which, "export")):
        with pytest.raises(RunError, match=r"run a training notebook \(02_train_\*\) first"):
            ask("donut", "latest")


def test_without_a_run_later_stages_take_the_shipped_model_and_say_so(house, capsys):
    ship(house, "donut")
    copy = trained_run("donut", "latest", "evaluate")
    assert "no run of 'donut' is trained yet: taking the shipped model" in capsys.readouterr().out
    assert copy == house / "outputs" / "donut" / "reference-evaluate"
    # the copy is no run of one's own: a later training is the latest
    assert trained_run("donut", "", "evaluate") == copy
    own = train_one("donut", "mine")
    assert trained_run("donut", "latest", "evaluate") == own


@pytest.mark.parametrize("line", LINES)
def test_files_of_other_lines_and_of_no_line_are_refused(house, line):
    (house / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"broken\.onnx.*not a readable ONNX model"):
        PREDICT[line](str(house / "broken.onnx"))
    one = onnx_format.helper.make_tensor_value_info("x", onnx_format.TensorProto.FLOAT, [1])
    node = onnx_format.helper.make_node("Identity", ["x"], ["y"])
    two = onnx_format.helper.make_tensor_value_info("y", onnx_format.TensorProto.FLOAT, [1])
    graph = onnx_format.helper.make_graph([node], "toy", [one], [two])
    opset = onnx_format.helper.make_opsetid("", 17)
    model = onnx_format.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx_format.save(model, str(house / "toy.onnx"))
    onnx.write_metadata(house / "toy.onnx", {"line": "toy"})
    with pytest.raises(ValueError, match=r"toy\.onnx: expected a.* of .*found.*toy"):
        PREDICT[line](str(house / "toy.onnx"))


def test_it_needs_no_torch():
    code = "import sys, sightbook.inference.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --------------------------------------------------------------------------- copies


def test_after_an_update_the_new_model_is_judged(house, capsys):
    ship(house, "docclass")
    shipped = house / "outputs" / "reference" / "docclass"
    copy = trained_run("docclass", "reference", "evaluate")
    (copy / "result").write_text("of the old one")
    assert trained_run("docclass", "reference", "evaluate") == copy
    assert (copy / "result").is_file()  # nothing has changed: nothing is done
    assert not (shipped / "result").exists()
    (shipped / "model.onnx").write_bytes(b"a better one")
    capsys.readouterr()
    assert trained_run("docclass", "reference", "evaluate") == copy
    assert (copy / "model.onnx").read_bytes() == b"a better one"
    assert not (copy / "result").exists()
    assert "another version of the shipped model" in capsys.readouterr().out
    assert [path.name for path in copy.parent.glob(".copying/*")] == []


def test_what_a_stage_writes_into_its_copy_stays(house):
    ship(house, "docclass")
    copy = trained_run("docclass", "reference", "evaluate")
    with open_run("docclass", str(copy), stage="evaluate"):
        (copy / "model.onnx").write_bytes(b"with a threshold")
    trained_run("docclass", "reference", "evaluate")
    assert (copy / "model.onnx").read_bytes() == b"with a threshold"
    assert read_json(copy / "run.json")["stages"]["evaluate"]["status"] == "finished"


def test_half_a_copy_is_mended(house):
    """As an older version left it, which copied file by file into place."""
    ship(house, "docclass")
    copy = house / "outputs" / "docclass" / "reference-evaluate"
    copy.mkdir(parents=True)
    (copy / "run.json").write_text('{"stage": "train", "status": "finished"}')
    (copy / "model.onnx").write_bytes(b"model.on")
    assert trained_run("docclass", "reference", "evaluate") == copy
    shipped = house / "outputs" / "reference" / "docclass"
    for name in ("model.onnx", WEIGHTS["docclass"]):
        assert (copy / name).read_bytes() == (shipped / name).read_bytes()
    (copy / WEIGHTS["docclass"]).unlink()
    trained_run("docclass", "reference", "evaluate")
    assert (copy / WEIGHTS["docclass"]).is_file()


def test_a_copy_tells_which_model_it_is_of(house):
    ship(house, "defects")
    record = read_json(trained_run("defects", "pcb", "evaluate") / COPIED)
    assert record["from"] == "outputs/reference/defects/pcb"
    assert set(record["files"]) == {"run.json", "model.onnx", WEIGHTS["defects"]}


def test_a_copying_that_fails_leaves_what_was_there(house, monkeypatch):
    ship(house, "docclass")
    copy = trained_run("docclass", "reference", "evaluate")
    shipped = house / "outputs" / "reference" / "docclass"
    (shipped / "model.onnx").write_bytes(b"a better one")

    def full(*args: Any, **options: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(OSError, match="no space"):
        trained_run("docclass", "reference", "evaluate")
    assert (copy / "model.onnx").read_bytes() == b"model.onnx of docclass"


def test_a_copy_that_is_being_judged_is_not_replaced(house):
    ship(house, "docclass")
    copy = trained_run("docclass", "reference", "evaluate")
    run = open_run("docclass", str(copy), stage="evaluate")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = psutil.Process(other.pid).create_time()
        run.record(process={"pid": other.pid, "started": started})
        (house / "outputs" / "reference" / "docclass" / "model.onnx").write_bytes(b"better")
        with pytest.raises(RunError, match=f"being written by process {other.pid}"):
            trained_run("docclass", "reference", "evaluate")
    finally:
        other.communicate(b"\n")
    assert (copy / "model.onnx").read_bytes() == b"model.onnx of docclass"
