"""The table of lines, and the rule of the house that it serves: no shared room knows a line."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sightbook
from sightbook.exporting import ExportModel
from sightbook.lines import LINES, LineError, line_module
from sightbook.params import ParameterError, load_model, repository_root

PACKAGE = Path(sightbook.__file__).parent
TABLE = PACKAGE / "lines.py"
ROOMS = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in LINES and path != TABLE
)

KEYS = (
    *LINES,
    *("mrz", "td1", "td2", "td3", "icao", "passport", "visa"),
    *("docclassifier", "cosface", "arcface"),
    *("hocr", "hiertext", "ocrs", "rten"),
    *("pothole", "potholes", "pcb", "asphalt"),
    *("headstamp", "headstamps", "casing", "casings", "primer", "gazetteer"),
)
"""Words that only one line has a meaning for."""

_WORD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def words(text: str) -> set[str]:
    """Words of a text or a name, in lower case; CamelCase and snake_case taken apart."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")
    return {word.lower() for word in _WORD.findall(parts)}


def named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line number and text of every name, import and string of a module, but its docstrings."""
    told = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    for node in ast.walk(tree):
        place = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((place, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((place, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Name):
            yield place, node.id
        elif isinstance(node, ast.Attribute):
            yield place, node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield place, node.arg or ""
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield place, node.name
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
        ):
            yield place, node.value


def known_of_lines(source: str) -> list[str]:
    """What a room's source knows of lines: ``NUMBER: TEXT (WORDS)``."""
    return [
        f"{place}: {text!r} ({', '.join(sorted(words(text) & set(KEYS)))})"
        for place, text in named(ast.parse(source))
        if words(text) & set(KEYS)
    ]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(PACKAGE)))
def test_no_shared_room_imports_a_line_or_knows_its_keys(room: Path) -> None:
    assert known_of_lines(room.read_text(encoding="utf-8")) == []


def test_the_rule_sees_imports_keys_and_names_but_no_prose() -> None:
    for source in (
        "from sightbook.donut import mrz",
        "import sightbook.ocr.page",
        "truth['mrz']",
        "def draw_casings(): ...",
        "line == 'defects'",
        "f'outputs/headstamps/{run}'",
        "params.ocr",
        "ExportOcr = 1",
    ):
        assert known_of_lines(source), source
    prose = '"""Such as donut."""\n# ocr\nsource = "apt install tesseract-ocr"'
    assert known_of_lines(prose) == []


def test_every_line_has_its_folder_and_what_the_table_says_it_has() -> None:
    for line, tasks in LINES.items():
        assert (PACKAGE / line / "__init__.py").is_file()
        for task, place in tasks.items():
            if task == "shipped":
                assert (repository_root() / "outputs" / "reference" / line / place).is_dir()
                continue
            assert place.startswith(f"sightbook.{line}.")
            if task == "export_params":
                assert issubclass(load_model(place), ExportModel)
            elif task == "predict":
                module = line_module(line, task)
                assert callable(module.command) and module.OPTIONS is not None
                assert importlib.import_module(f"sightbook.{line}").Predictor is module.Predictor


def test_a_line_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(LineError, match="no line 'donutz' that can predict, did you mean 'donut'"):
        line_module("donutz", "predict")
    with pytest.raises(LineError, match="can export; there are: donut, docclass, ocr, defects"):
        line_module("x", "export")


# ------------------------------------------------------------------ parameters of export


def test_a_line_takes_parameters_of_its_own_for_export() -> None:
    assert ExportModel.parse({"line": "ocr", "data": "pages/"}).data == "pages/"
    given = {"line": "docclass", "onnx": {"input_names": ["x"]}, "run": "big"}
    params = ExportModel.from_namespace(given)
    assert (params.onnx, params.run) == ({"input_names": ["x"]}, "big")
    for line, name in (("donut", "data"), ("ocr", "onnx")):
        with pytest.raises(ParameterError, match=f"unknown parameter '{name}'"):
            ExportModel.parse({"line": line, name: {"a": "b"}})
    with pytest.raises(ParameterError, match="parameter 'line' cannot be 'oc': expected one of"):
        ExportModel.parse({"line": "oc"})


def test_records_of_exports_load_in_which_every_line_had_the_parameters_of_all() -> None:
    records = sorted((repository_root() / "outputs" / "reference").rglob("params_export.yaml"))
    assert records
    for record in records:
        params = ExportModel.from_yaml(record)
        assert ExportModel.parse(params.model_dump()) == params
