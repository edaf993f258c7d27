import json

import numpy as np
import pytest

from sightbook.inference import onnx

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


# --------------------------------------------------------------------------- fp16 weights


class Wide(torch.nn.Module):
    """Weights that fp16 holds, that are too few, too large and too faint for it."""

    def __init__(self):
        super().__init__()
        self.small = torch.nn.Linear(8, 16)
        self.gru = torch.nn.GRU(16, 64)
        self.large = torch.nn.Linear(64, 128)
        self.huge = torch.nn.Linear(128, 64, bias=False)
        self.faint = torch.nn.Linear(64, 96, bias=False)
        with torch.no_grad():
            self.huge.weight.mul_(1e6)
            self.faint.weight.mul_(1e-7)

    def forward(self, x):
        states, _ = self.gru(self.small(x))
        return self.faint(self.huge(self.large(states))).softmax(-1)


@pytest.fixture
def wide():
    torch.manual_seed(0)
    return Wide().eval()


@pytest.fixture
def wide_file(wide, tmp_path):
    axes = {"x": {0: "steps", 1: "batch"}}
    facts = {"line": "ocr", "alphabet": "ß "}
    path = tmp_path / "wide.onnx"
    return onnx.export(wide, (torch.zeros(5, 2, 8),), path, ["x"], ["y"], axes, metadata=facts)


def stored_as_fp16(path):
    import onnx as library

    graph = library.load(str(path)).graph
    kind = library.TensorProto.FLOAT16
    return {item.name.removesuffix(onnx.HALF_SUFFIX) for item in graph.initializer
            if item.data_type == kind}  # fmt: skip


def test_weights_stored_as_fp16_compute_in_fp32_and_keep_the_metadata(wide, wide_file, tmp_path):
    half = onnx.store_half(wide_file, tmp_path / "half.onnx")
    assert half.stat().st_size < 0.8 * wide_file.stat().st_size
    assert onnx.read_metadata(half) == onnx.read_metadata(wide_file)
    x = torch.randn(9, 3, 8)
    session = onnx.session(half)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("x", "tensor(float)", ["steps", "batch", 8])
    ]
    (ours,) = session.run(None, {"x": x.numpy()})
    assert ours.dtype == np.float32
    with torch.no_grad():
        gap = onnx.parity([ours], [wide(x)])
    assert 0 < gap["max_abs"] < 1e-3


def test_what_is_small_or_beyond_fp16_stays_as_it_is(wide, wide_file, tmp_path):
    half = onnx.store_half(wide_file, tmp_path / "half.onnx")
    import onnx as library

    arrays = {
        i.name: library.numpy_helper.to_array(i) for i in library.load(str(half)).graph.initializer
    }
    kinds = {}
    for array in arrays.values():
        kinds.setdefault(array.size, set()).add(array.dtype.name)
    assert kinds[wide.large.weight.numel()] == {"float16", "float32"}  # huge has as many values
    assert kinds[wide.faint.weight.numel()] == {"float32"}
    assert kinds[wide.gru.weight_hh_l0.numel()] == {"float16"}
    assert kinds[wide.small.weight.numel()] == {"float32"}
    assert len(stored_as_fp16(onnx.store_half(wide_file, tmp_path / "c.onnx", fewest=10**6))) == 0


def test_storing_as_fp16_twice_changes_nothing_more(wide_file):
    once = onnx.store_half(wide_file).read_bytes()
    assert onnx.store_half(wide_file).read_bytes() == once


def test_int8_of_a_file_stored_as_fp16_is_still_quantised(wide_file, tmp_path):
    import onnx as library

    half = onnx.store_half(wide_file, tmp_path / "half.onnx")
    files = [
        onnx.quantize_dynamic(file, tmp_path / f"{file.stem}8.onnx") for file in (wide_file, half)
    ]
    counts = [
        sorted(
            node.op_type for node in library.load(str(file)).graph.node if node.op_type != "Cast"
        )
        for file in files
    ]
    assert counts[0] == counts[1]
    assert "MatMulInteger" in counts[0]
    # what int8 made of it is not touched
    assert stored_as_fp16(onnx.store_half(files[0])) <= stored_as_fp16(half)


def test_weights_are_stored_as_fp16_only_where_scores_stay(wide_file, capsys):
    before = wide_file.read_bytes()
    tried = []

    def compare(gaps):
        def gap(file):
            tried.append(file.stat().st_size)
            return {"scores": gaps[len(tried) - 1], "lines": 3}

        return gap

    found = onnx.with_half_weights(wide_file, compare([0.1, 0.1, 0.1, 0.1, 0.0]))
    assert found == {"scores": 0.0, "lines": 3, "weights": "fp32"}
    assert wide_file.read_bytes() == before
    assert "stay fp32" in capsys.readouterr().out
    assert tried == sorted(tried)  # ever more weights stay as they are

    tried.clear()
    assert onnx.with_half_weights(wide_file, compare([0.0]), half=False)["weights"] == "fp32"
    assert wide_file.read_bytes() == before

    tried.clear()
    found = onnx.with_half_weights(wide_file, compare([5e-4]))
    assert found == {"scores": 5e-4, "lines": 3, "weights": "fp16"}
    assert len(wide_file.read_bytes()) < len(before)


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
