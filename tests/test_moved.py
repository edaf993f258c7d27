"""Import paths of the flat layout: all that README and the notebooks of then named still work."""

import importlib
import subprocess
import sys

import pytest

from sightbook import _moved

NAMED = [
    "sightbook.detection:Predictor",
    "sightbook.detection.evaluation_sets:detector_run",
    "sightbook.detection.headstamp_metrics:ellipse_errors",
    "sightbook.detection.headstamp_render:draw_heads",
    "sightbook.detection.headstamp_show:candidates_table",
    "sightbook.detection.headstamp_show:reading_steps",
    "sightbook.detection.merge:merge_coco",
    "sightbook.detection.overlay:draw_detections",
    "sightbook.detection.params:TrainDefects",
    "sightbook.detection.params:TrainHeadstamps",
    "sightbook.detection.params_evaluate:EvaluateDefects",
    "sightbook.detection.params_evaluate:EvaluateHeadstamps",
    "sightbook.detection.params_prepare:PrepareDefects",
    "sightbook.detection.params_prepare:PrepareHeadstamps",
    "sightbook.detection.predict_headstamps:Reader",
    "sightbook.detection.prepare:prepare",
    "sightbook.detection.summary:compared",
    "sightbook.detection.summary:run_tags",
    "sightbook.detection.summary:summarize_runs",
    "sightbook.detection.summary:write_summary",
    "sightbook.detection.synth.headstamps:render_headstamps",
    "sightbook.detection.synth.surfaces:render_surface",
    "sightbook.detection.train:train",
    "sightbook.detection.training_sets:detection_sets",
    "sightbook.docclass.show_data:templates",
    "sightbook.doctor:StartHere",
    "sightbook.doctor:examine",
    "sightbook.doctor:show",
    "sightbook.donut.checks:dataset_fingerprint",
    "sightbook.donut.prepare:prepare",
    "sightbook.donut.train:train",
    "sightbook.exporting:ExportModel",
    "sightbook.exporting:export",
    "sightbook.images:Skipped",
    "sightbook.images:open_image",
    "sightbook.launch:launch",
    "sightbook.ocr.engine:recognise",
    "sightbook.ocr.overlay:draw_page",
    "sightbook.ocr.params_evaluate:EvaluateOcr",
    "sightbook.ocr.params_layout:TrainLayout",
    "sightbook.ocr.params_prepare:PrepareOcr",
    "sightbook.ocr.prepare:prepare",
    "sightbook.ocr.train_detection:train",
    "sightbook.ocr.train_recognition:train",
    "sightbook.ocr.train_recognition:training_lines",
    "sightbook.onnx:read_metadata",
    "sightbook.plots:curves",
    "sightbook.runs:list_runs",
    "sightbook.runs:open_run",
    "sightbook.runs:point_to",
    "sightbook.tables:Table",
    "sightbook.tables:artefacts",
    "sightbook.trained:trained_run",
    "sightbook.validation:Report",
    "sightbook.widgets:prediction_browser",
    "sightbook.widgets:sample_browser",
    "sightbook.training:Task",
]


@pytest.mark.parametrize("path", NAMED)
def test_an_old_path_gives_what_it_named(path):
    module, name = path.split(":")
    sys.modules.pop(module, None) if module not in PACKAGES else None
    with pytest.warns(DeprecationWarning, match=rf"{module}.* is now sightbook\."):
        assert getattr(importlib.import_module(module), name) is not None


PACKAGES = frozenset(
    {"sightbook.detection", "sightbook.detection.params", "sightbook.runs", "sightbook.training"}
)
"""Old modules whose names are packages, or other modules, of today: names alone are forwarded."""


def test_the_table_names_modules_that_are_there():
    for news in _moved.MODULES.values():
        for new in news:
            assert importlib.util.find_spec(new) is not None, new


def test_a_name_that_never_was_is_no_name():
    from sightbook import runs

    with pytest.raises(AttributeError, match=r"'sightbook\.runs' has no attribute 'open_rum'"):
        runs.open_rum  # noqa: B018


def test_the_warning_points_at_whoever_imports():
    code = "from sightbook.images import open_image"
    told = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    assert "<string>:1: DeprecationWarning: sightbook.images is now" in told.stderr


def test_an_old_path_can_be_run_as_a_program():
    command = [sys.executable, "-m", "sightbook.launch", "--help"]  # as srun has it in job scripts
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "usage: python -m sightbook.training.launch" in told
