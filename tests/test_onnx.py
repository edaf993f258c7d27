import json

import numpy as np
import pytest

from sightbook import onnx

torch = pytest.importorskip("torch")


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.linear = torch.nn.Linear(4, 32)

    def forward(self, x):
        return self.linear(self.norm(self.conv(x)).mean((2, 3)))


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    module = Tiny()
    module(torch.randn(4, 1, 8, 8))  # running statistics that are not the identity
    return module


@pytest.fixture
def model_file(tiny, tmp_path):
    return onnx.export(
        tiny,
        (torch.zeros(2, 1, 8, 8),),
        tmp_path / "tiny.onnx",
        ["x"],
        ["y"],
        {"x": {0: "batch", 3: "width"}},
        metadata={"line": "donut", "labels": ["ä", "<"], "metrics": {"cer": 0.25}},
    )


def test_exported_model_equals_torch_at_other_sizes(tiny, model_file):
    x = torch.randn(3, 1, 8, 20)
    (ours,) = onnx.session(model_file, threads=1).run(None, {"x": x.numpy()})
    with torch.no_grad():
        gap = onnx.parity([ours], [tiny.eval()(x)])
    assert ours.shape == (3, 32)
    assert gap["max_abs"] < 1e-5
    assert gap["mean_abs"] <= gap["max_abs"]


def test_export_keeps_the_modules_mode_and_writes_one_file(tiny, tmp_path):
    tiny.train()
    onnx.export(tiny, (torch.zeros(1, 1, 8, 8),), tmp_path / "a.onnx", ["x"], ["y"])
    assert tiny.training
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_metadata_round_trip(model_file):
    expected = {"line": "donut", "labels": ["ä", "<"], "metrics": {"cer": 0.25}}
    assert onnx.read_metadata(model_file) == expected
    onnx.write_metadata(model_file, {"run": "a"})
    assert onnx.metadata(onnx.session(model_file)) == {"run": "a"}


def test_metadata_refuses_what_json_cannot_hold(model_file):
    with pytest.raises(TypeError):
        onnx.write_metadata(model_file, {"path": object()})
    with pytest.raises(ValueError):
        onnx.write_metadata(model_file, {"cer": float("nan")})
    assert onnx.read_metadata(model_file)["line"] == "donut"


def test_model_without_metadata(tiny, tmp_path):
    path = tmp_path / "bare.onnx"
    onnx.export(tiny, (torch.zeros(1, 1, 8, 8),), path, ["x"], ["y"])
    assert onnx.read_metadata(path) == {}


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx"):
        onnx.session(tmp_path / "nowhere.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"broken\.onnx"):
        onnx.session(broken)


def test_int8_is_close_and_keeps_metadata(model_file, tmp_path):
    path = onnx.quantize_dynamic(model_file, tmp_path / "int8.onnx")
    assert onnx.read_metadata(path) == {**onnx.read_metadata(model_file), "precision": "int8"}
    import onnx as library

    kinds = {node.op_type for node in library.load(str(path)).graph.node}
    assert "MatMulInteger" in kinds
    assert "ConvInteger" not in kinds
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    outputs = [onnx.session(p).run(None, {"x": x}) for p in (model_file, path)]
    assert 0 < onnx.parity(*outputs)["max_relative"] < 0.05


def test_parity_by_hand():
    gap = onnx.parity([np.array([1.0, 2.0]), np.zeros(2)], [np.array([1.0, 4.0]), np.zeros(2)])
    assert gap == {"max_abs": 2.0, "mean_abs": 0.5, "max_relative": 0.5}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([np.zeros(2)], [np.zeros(3)]),
        ([np.zeros(2)], [np.zeros(2), np.zeros(2)]),
        ([np.array([np.nan])], [np.zeros(1)]),
    ],
)
def test_parity_refuses_what_cannot_be_compared(left, right):
    with pytest.raises(ValueError):
        onnx.parity(left, right)


def test_latency_memory_and_size(model_file):
    feeds = {"x": np.zeros((1, 1, 8, 8), np.float32)}
    times = onnx.latency(onnx.session(model_file, threads=1), feeds, n=3)
    assert 0 < times["min_ms"] <= times["median_ms"] <= times["p95_ms"]
    assert times["runs"] == 3
    json.dumps(times)
    # numpy and onnxruntime need tens of MiB; the parent's torch must not be counted
    assert 20 < onnx.peak_memory(model_file, feeds) < 250
    assert onnx.file_size(model_file) == model_file.stat().st_size / 2**20
