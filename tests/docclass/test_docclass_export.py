"""Export: the branch alone, true to PyTorch, by the names that are asked for."""

import json
import subprocess
import sys

import numpy as np
import onnx as onnx_library
import pytest
import torch

from sightbook.docclass import export as exporting
from sightbook.docclass.graph import OnnxOptions, export_embedder, fingerprint, quantize_static
from sightbook.docclass.model import Embedder, EmbedderConfig
from sightbook.docclass.params import TrainDocclass
from sightbook.docclass.predict import Predictor
from sightbook.docclass.store import synthetic_store
from sightbook.docclass.synth.views import views_of
from sightbook.inference import onnx
from sightbook.inference.export import ExportModel, export
from sightbook.params import ParameterError, repository_root
from sightbook.runs.run import open_run
from sightbook.training.weights import save_weights


@pytest.fixture(scope="module")
def model():
    """A network whose normalisation has seen data, as after training."""
    torch.manual_seed(0)
    made = Embedder(EmbedderConfig(dim=24, squeeze=16)).train()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                # No two vectors alike: the exporter writes equal ones once.
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(std=0.1)
                module.momentum = None  # statistics of all batches, not of the last ones
        for _ in range(3):
            coarse = torch.rand(16, 3, 4, 4)
            made(torch.nn.functional.interpolate(coarse, 128, mode="bilinear"))
    return made.eval()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return export_embedder(model, tmp_path_factory.mktemp("export") / "model.onnx")


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), dtype=np.uint8)


def test_the_file_holds_the_branch_alone(model, file):
    graph = onnx_library.load(str(file)).graph
    inputs = [(i.name, [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim])
              for i in graph.input]  # fmt: skip
    outputs = [(o.name, [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim])
               for o in graph.output]  # fmt: skip
    assert inputs == [("img", ["batch", 3, 128, 128])]
    assert outputs == [("feats", ["batch", 24])]
    # Batch normalisation behind a convolution goes into its weights: a kernel and a bias each.
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    folded = sum(m.weight.numel() + m.out_channels for m in convolutions)
    linear = sum(p.numel() for p in model.embed.parameters()) + 2 * 24  # and its running statistics
    floats = sum(
        int(np.prod(t.dims)) for t in graph.initializer
        if t.data_type == onnx_library.TensorProto.FLOAT and int(np.prod(t.dims)) >= 8
    )  # fmt: skip
    assert floats == folded + linear
    assert {node.op_type for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    assert sum(node.op_type == "Conv" for node in graph.node) == len(convolutions)


def test_onnxruntime_agrees_with_pytorch_at_any_batch(model, file):
    session = onnx.session(file)
    for count in (1, 5):
        pixels = pictures(count).transpose(0, 3, 1, 2).astype(np.float32) / 255
        ours = session.run(None, {"img": pixels})[0]
        with torch.inference_mode():
            theirs = model(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-4)


def test_the_file_describes_itself_and_predicts_without_torch(file):
    facts = onnx.read_metadata(file)
    assert facts["line"] == "docclass"
    assert facts["dim"] == 24
    assert facts["input"]["range"] == [0, 1]
    assert len(facts["weights"]) == 64
    code = (
        "import sys, numpy as np; from sightbook.docclass import Predictor\n"
        f"print(Predictor({str(file)!r}).embed([np.zeros((50, 80, 3), np.uint8)]).shape)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(1,", "24)", "False"]


def test_names_shapes_and_opset_come_from_the_yaml(model, tmp_path):
    options = OnnxOptions.of(
        {
            "input_shape": {"x": {"shape": [2, 3, 128, 128], "dtype": "float32"}},
            "input_names": ["x"],
            "output_names": ["y"],
            "dynamic_axes": {},
            "options": {"opset_version": 18},
        }
    )
    file = export_embedder(model, tmp_path / "m.onnx", {}, options)
    written = onnx_library.load(str(file))
    assert written.opset_import[0].version == 18
    assert written.graph.input[0].name == "x"
    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    # A fixed batch is filled up, and the filling is not given out.
    same = export_embedder(model, tmp_path / "n.onnx")
    images = list(pictures(3))
    np.testing.assert_allclose(
        Predictor(file).embed(images), Predictor(same).embed(images), atol=1e-5
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_shapes": {}}, "did you mean 'input_shape'"),
        ({"options": {"opset": 17}}, "unknown parameter 'opset'"),
        ({"options": {"opset_version": 9}}, "opset_version"),
        ({"input_names": ["a", "b"]}, "one input and one output"),
        ({"input_names": ["a"], "input_shape": {"b": {}}}, "they must be the same"),
        ({"dynamic_axes": {"img": {2: "height"}}}, "only axis 0"),
        ({"input_shape": {"img": {"dtype": "float16"}}}, "dtype"),
    ],
)
def test_impossible_options_are_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        OnnxOptions.of(given)


def test_another_input_size_than_the_network_has_is_refused(model, tmp_path):
    options = OnnxOptions.of({"input_shape": {"img": {"shape": [1, 3, 96, 96]}}})
    with pytest.raises(ParameterError, match=r"built for \[batch, 3, 128, 128\]"):
        export_embedder(model, tmp_path / "m.onnx", {}, options)


def test_fingerprints_follow_the_weights(model):
    first = fingerprint(model)
    assert fingerprint(model) == first
    other = Embedder(EmbedderConfig(dim=24, squeeze=16))
    other.load_state_dict(model.state_dict())
    assert fingerprint(other) == first
    with torch.no_grad():
        other.embed[0].weight[0, 0] += 1e-3
    assert fingerprint(other) != first


def test_int8_is_smaller_near_and_a_model_of_its_own(tmp_path):
    # trained weights: how near the rounded ones come depends on what is computed
    file = repository_root() / "outputs" / "reference" / "docclass" / "model.onnx"
    seen, views = (views_of(synthetic_store(16, seed), 1, "hard", 0)[0] for seed in (5, 6))
    small = quantize_static(file, tmp_path / "int8.onnx", seen)
    assert onnx.file_size(small) < 0.6 * onnx.file_size(file)
    facts = onnx.read_metadata(small)
    assert facts["precision"] == "int8"
    assert facts["weights"] != onnx.read_metadata(file)["weights"]
    cosines = Predictor(small).embed(list(views)) @ Predictor(file).embed(list(views)).T
    own = np.diag(cosines)
    assert own.min() > 0.5
    assert own.min() > (cosines - 2 * np.eye(len(own))).max()  # nearer than to any other type's
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8.onnx"]


def test_a_run_is_exported_with_card_parity_and_its_threshold(tmp_path, monkeypatch, model):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(exporting, "TYPES", 8)
    monkeypatch.setattr(exporting, "VIEWS", 3)
    monkeypatch.setattr(exporting, "CALIBRATION_VIEWS", 4)
    run = open_run("docclass", "r", TrainDocclass(dim=24, squeeze=16), stage="train")
    save_weights(model, run.path / "embedder.safetensors")
    run.finish({"validation/auroc": 0.9})
    written = exporting.ensure_package(run.path)
    stamp = written.stat().st_mtime_ns
    assert exporting.ensure_package(run.path).stat().st_mtime_ns == stamp
    # What evaluation leaves behind.
    metrics = json.loads((run.path / "metrics.json").read_text())
    threshold = {"value": 0.61, "target": 0.01, "low": 0.5, "high": 0.7, "classes": 9, "views": 9}
    metrics["evaluate"] = {"threshold": threshold}
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    monkeypatch.setattr(exporting, "model_card", lambda run, exported: "card")
    made = export(ExportModel.parse({"line": "docclass", "repeats": 2, "samples": 6}), run.path)
    assert Predictor(made.files[0]).threshold == 0.61
    assert made.parity["embedding"]["scores"] <= 1e-3
    assert made.parity["embedding"]["weights"] == "fp16"
    assert made.parity["embedding"]["same_top1"] == 1
    assert [row["variant"] for row in made.variants] == ["float32", "int8"]
    assert (run.path / "int8" / "model.onnx").is_file()
    assert (run.path / "model_card.md").read_text() == "card"
    with pytest.raises(ParameterError, match="did you mean 'options'"):
        export(ExportModel.parse({"line": "docclass", "onnx": {"option": {}}}), run.path)
