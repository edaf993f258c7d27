"""Export of whole runs: files that predict, parity, variants, the card."""

import os

import numpy as np
import pytest
import torch

from sightbook.donut.params import TrainDonut
from sightbook.donut.zone import export as exporting
from sightbook.donut.zone import finder
from sightbook.donut.zone.model import new_reader
from sightbook.donut.zone.predict import Predictor
from sightbook.inference import onnx
from sightbook.inference.export import ExportModel, export
from sightbook.runs.run import RunError, open_run, read_json
from sightbook.training.weights import save_weights


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as training leaves it, with small random networks."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    opened = open_run("donut", str(folder), TrainDonut(run="tiny"), stage="train")
    save_weights(new_reader("conv", "tiny"), folder / "reader.safetensors")
    save_weights(finder.Finder("tiny"), folder / "finder.safetensors")
    opened.record(dataset={"sha256": "abc"})
    opened.finish({"validation/cer": 0.5})
    return folder


@pytest.fixture(scope="module")
def exported(run):
    return export(ExportModel(samples=3, repeats=2), run)


def test_files_predict_what_torch_predicts(exported):
    assert [file.name for file in exported.files] == ["model.onnx", "decoder.onnx", "finder.onnx"]
    assert exported.parity["encoder"]["max_abs"] < 1e-4
    assert exported.parity["finder"]["max_abs"] < 1e-3
    assert exported.parity["tokens"]["same_tokens"] == 1.0
    assert exported.parity["tokens"]["lines"] >= 6


def test_variants_are_measured_and_int8_is_smaller(exported, run):
    full, small = exported.variants
    assert full["variant"] == "float32" and small["variant"] == "int8"
    assert small["megabytes"] < full["megabytes"]
    assert all(row["document_ms"] > 0 and 0 <= row["exact_lines"] <= 1 for row in exported.variants)
    assert exported.speed["onnxruntime_ms"] > 0
    assert onnx.read_metadata(run / "int8" / "model.onnx")["precision"] == "int8"
    Predictor(run / "int8" / "model.onnx", threads=1)


def test_a_file_says_what_it_is(exported, run):
    facts = onnx.read_metadata(run / "model.onnx")
    assert facts["line"] == "donut" and facts["pipeline"] == "zone" and facts["run"] == "tiny"
    assert facts["dataset"] == {"sha256": "abc"}
    assert facts["metrics"]["validation/cer"] == 0.5
    assert facts["params"]["size"] == "tiny"
    assert facts["preprocessing"]["line"]["height"] == 32


def test_the_card_tells_what_was_not_done(exported, run):
    card = (run / "model_card.md").read_text()
    assert "Not evaluated yet" in card and "| float32 |" in card and "abc" in card
    assert "Weights are stored as fp16 and computed with in fp32" in card


def test_the_package_is_written_anew_only_when_weights_are_newer(exported, run):
    before = (run / "model.onnx").stat().st_mtime_ns
    exporting.ensure_package(run)
    assert (run / "model.onnx").stat().st_mtime_ns == before
    stamp = (run / "model.onnx").stat().st_mtime + 10
    os.utime(run / "reader.safetensors", (stamp, stamp))
    exporting.ensure_package(run)
    assert (run / "model.onnx").stat().st_mtime_ns != before


def test_sample_lines_are_what_the_reader_takes():
    lines, texts = exporting.sample_lines(2)
    assert lines.shape == (len(texts), 1, 32, 736) and lines.dtype == np.float32


def test_a_run_without_a_reader_cannot_be_exported(tmp_path):
    open_run("donut", str(tmp_path / "bare"), TrainDonut(), stage="train")
    with pytest.raises(RunError, match=r"reader\.safetensors"):
        export(ExportModel(), tmp_path / "bare")
    assert read_json(tmp_path / "bare" / "run.json")["status"] == "running"
