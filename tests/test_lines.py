"""The table of lines, and what they register."""

import importlib
from pathlib import Path

import pytest

import sightbook
from sightbook.inference.export import ExportModel
from sightbook.lines import LINES, LineError, line_module
from sightbook.params import ParameterError, load_model, repository_root

PACKAGE = Path(sightbook.__file__).parent


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
