"""The `.rten` form: written, read back, held against the ONNX file."""

import pytest
from level_models import write_detector, write_recogniser

from sightbook.ocr.inference import rten

converter = pytest.mark.skipif(not rten.available(), reason="needs the package rten-convert")


@converter
@pytest.mark.parametrize(
    "write, inputs, output, operators",
    [
        (write_detector, {"image": ["batch", 1, 100, 300]}, "probabilities", {"Add"}),
        (
            write_recogniser,
            {"line_image": ["batch", 1, 64, "width"]},
            "log_probs",
            {"Add", "AveragePool", "LogSoftmax", "MatMul", "Reshape", "Transpose"},
        ),
    ],
)
def test_names_sizes_and_operators_survive(tmp_path, write, inputs, output, operators):
    source = write(tmp_path / "model.onnx")
    found = rten.check(rten.convert(source, tmp_path / "model.rten"), source)
    assert found.version == 2
    assert found.inputs == inputs
    assert list(found.outputs) == [output]
    assert found.operators == operators


@converter
def test_a_model_with_weights_stored_as_fp16_is_converted(tmp_path):
    torch = pytest.importorskip("torch")
    from sightbook.inference import onnx
    from sightbook.ocr.inference.graphs import check_operators, export_recognition
    from sightbook.ocr.recognition.model import Recognizer, RecognizerConfig

    torch.manual_seed(0)
    source = tmp_path / "model.onnx"
    export_recognition(Recognizer(RecognizerConfig(" ab", "tiny")), source, " ab")
    before = source.stat().st_size
    onnx.store_half(source)
    assert source.stat().st_size < 0.7 * before
    assert "Cast" in check_operators(source)
    found = rten.check(rten.convert(source, tmp_path / "model.rten"), source)
    assert found.inputs == {"line_image": ["batch", 1, 64, "width"]}
    assert {"GRU", "Conv", "Cast"} <= found.operators


@converter
def test_another_models_file_is_found_out(tmp_path):
    detector = write_detector(tmp_path / "detector.onnx")
    recogniser = write_recogniser(tmp_path / "recogniser.onnx")
    other_size = write_detector(tmp_path / "other.onnx", 64, 64)
    made = rten.convert(detector, tmp_path / "detector.rten")
    for other in (recogniser, other_size):
        with pytest.raises(rten.RtenError, match="inputs"):
            rten.check(made, other)


@converter
def test_what_cannot_be_converted_leaves_nothing_behind(tmp_path):
    source = tmp_path / "model.onnx"
    source.write_bytes(b"no model")
    with pytest.raises(rten.RtenError, match="could not be converted"):
        rten.convert(source, tmp_path / "model.rten")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@converter
@pytest.mark.parametrize("content", [b"", b"RTEN", b"RTEN" + bytes(60), b"x" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "model.rten").write_bytes(content)
    with pytest.raises(rten.RtenError):
        rten.read(tmp_path / "model.rten")


def test_a_missing_converter_is_told(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "rten_convert", None)
    assert not rten.available()
    with pytest.raises(rten.RtenError, match="pip install"):
        rten.convert(tmp_path / "model.onnx", tmp_path / "model.rten")
