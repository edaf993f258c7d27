import os
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sightbook.docclass.model import EmbedderConfig
from sightbook.donut.zone.finder import Finder, load_finder
from sightbook.donut.zone.model import new_reader
from sightbook.donut.zone.task import load_reader
from sightbook.inference.models import find_model
from sightbook.ocr.recognition.model import Recognizer, RecognizerConfig, load_recognizer
from sightbook.runs.run import RunError, open_run
from sightbook.training.weights import (
    WeightsError,
    convert,
    load_network,
    read_weights,
    save_weights,
    weights_file,
)


@dataclass(frozen=True)
class Config:
    labels: tuple[str, ...] = ("ä", "<")
    sizes: tuple[tuple[float, ...], ...] = ((1.0, 2.0),)
    stages: dict[str, float] = field(default_factory=lambda: {"nms": 0.7})


class Net(nn.Module):
    """With what real ones have: a tied weight, a counter, channels that lie innermost."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(16, 32, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(32)
        self.table = nn.Embedding(40, 32)
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.table.weight


def build(values: dict) -> Net:
    return Net(Config(**values))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net(Config(labels=("ß", "x")))
    net.norm(torch.randn(4, 32, 2, 2))
    return net


def same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[n], second[n]) for n in first)


def test_a_network_comes_back_as_it_was(net: Net, tmp_path: Path) -> None:
    again = load_network(save_weights(net, tmp_path / "net.safetensors"), build)
    assert same(net, again)
    assert again.config == net.config
    assert not again.training
    assert again.head.weight is again.table.weight


def test_a_tied_weight_is_stored_once_and_the_same_network_gives_the_same_bytes(
    net: Net, tmp_path: Path
) -> None:
    first = save_weights(net, tmp_path / "a.safetensors")
    with safe_open(first, "pt") as file:
        assert ("head.weight" in file.keys()) != ("table.weight" in file.keys())  # noqa: SIM118
    assert save_weights(net, tmp_path / "b.safetensors").read_bytes() == first.read_bytes()


def test_as_fp16_it_is_half_as_large_and_loaded_as_float32_rounded_to_eleven_bits(
    net: Net, tmp_path: Path
) -> None:
    full = save_weights(net, tmp_path / "full.safetensors")
    half = save_weights(net, tmp_path / "half.safetensors", half=True)
    again = load_network(half, build)
    assert half.stat().st_size < 0.6 * full.stat().st_size
    for name, value in net.state_dict().items():
        loaded = again.state_dict()[name]
        assert loaded.dtype == value.dtype
        if value.numel() < 256:  # biases and statistics
            assert torch.equal(loaded, value)
        else:
            assert 0 < (loaded - value).abs().max() <= value.abs().max() * 2**-11
    # rounded once, nothing is lost any more
    assert save_weights(again, tmp_path / "c.safetensors", half=True).read_bytes() == (
        half.read_bytes()
    )


@pytest.mark.parametrize("scale", [1e6, 1e-7])
def test_what_fp16_cannot_hold_stays_float32(net: Net, tmp_path: Path, scale: float) -> None:
    with torch.no_grad():
        net.conv.weight.mul_(scale)
    again = load_network(save_weights(net, tmp_path / "net.safetensors", half=True), build)
    assert torch.equal(again.conv.weight, net.conv.weight)
    assert not torch.equal(again.table.weight, net.table.weight)


def test_a_write_that_fails_leaves_the_old_file(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_weights(net, tmp_path / "net.safetensors")
    before = path.read_bytes()

    def torn(tensors: object, file: Path, metadata: object) -> None:
        Path(file).write_bytes(before[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", torn)
    with pytest.raises(OSError, match="no space"):
        save_weights(net, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --------------------------------------------------------------------------- errors


def test_a_tensor_that_does_not_fit_is_named_with_both_shapes(net: Net, tmp_path: Path) -> None:
    path = save_weights(net, tmp_path / "net.safetensors")

    def wider(values: dict) -> Net:
        other = build(values)
        other.conv = nn.Conv2d(16, 48, 3)
        return other

    with pytest.raises(WeightsError) as error:
        load_network(path, wider)
    for part in (str(path), "conv.weight", "[32, 16, 3, 3]", "[48, 16, 3, 3]"):
        assert part in str(error.value)


def test_missing_and_strange_tensors_are_named(net: Net, tmp_path: Path) -> None:
    path = save_weights(net, tmp_path / "net.safetensors")

    def other(values: dict) -> Net:
        one = build(values)
        one.more = nn.Linear(3, 2, bias=False)
        del one.norm
        return one

    with pytest.raises(WeightsError) as error:
        load_network(path, other)
    assert "more.weight [2, 3] is not in the file" in str(error.value)
    assert "norm.running_mean [32] is not in the network" in str(error.value)


def test_weights_of_another_kind_of_network_are_refused(tmp_path: Path) -> None:
    path = save_weights(Finder("tiny"), tmp_path / "finder.safetensors")
    with pytest.raises(WeightsError, match=r"finder\.safetensors.*another kind"):
        load_recognizer(path)


def test_files_that_are_no_weights_are_refused_by_name(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(FileNotFoundError, match=r"net\.safetensors"):
        read_weights(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        read_weights(path)
    path.write_bytes(save_weights(net, tmp_path / "whole.safetensors").read_bytes()[:-50])
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        read_weights(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="how the network is built"):
        read_weights(path)


# ------------------------------------------------------------------------- pickled files of before


def old_file(path: Path, network: nn.Module, **facts: object) -> Path:
    torch.save({**facts, "weights": network.state_dict()}, path)
    return path


def test_a_pickled_file_of_an_older_run_still_loads_and_is_converted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Recognizer(RecognizerConfig(" ab", "tiny")).eval()
    old = old_file(tmp_path / "recognition.pt", model, config={"alphabet": " ab", "size": "tiny"})
    with pytest.warns(DeprecationWarning, match=r"recognition\.pt"):
        assert same(load_recognizer(old), model)
    with pytest.warns(DeprecationWarning):
        new = convert(old)
    assert new == tmp_path / "recognition.safetensors"
    assert same(load_recognizer(new), model)


def test_the_finders_pickled_file_had_its_size_beside_the_weights(tmp_path: Path) -> None:
    network = Finder("tiny")
    with pytest.warns(DeprecationWarning):
        again = load_finder(old_file(tmp_path / "finder.pt", network, size="tiny"))
    assert again.size == "tiny"
    assert same(again, network)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_a_pickle_that_could_run_code_is_not_opened(tmp_path: Path, protocol: str) -> None:
    content = {"config": {"trap": Trap(tmp_path / "sprung")}, "weights": {}}
    path = tmp_path / "reader.pt"
    if protocol == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=r"reader\.pt.*can run any code"):
        load_reader(path)
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_that_is_cut_off_or_holds_something_else_is_refused(tmp_path: Path) -> None:
    whole = old_file(tmp_path / "whole.pt", Finder("tiny"), size="tiny")
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole.read_bytes()[:-5000])
    strange = tmp_path / "strange.pt"
    torch.save([1, 2], strange)
    for path in (cut, strange):
        with pytest.raises(WeightsError, match=path.name):
            load_finder(path)


# --------------------------------------------------------------------------- where they lie


def test_a_runs_weights_are_found_by_the_new_name_and_else_by_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    with open_run("ocr", "old", stage="train") as run:
        old = run.path
    with pytest.raises(RunError, match=r"layout\.safetensors"):
        find_model("ocr", "old", "layout.safetensors")
    assert weights_file(old, "layout.safetensors") == old / "layout.safetensors"
    (old / "layout.pt").touch()
    assert weights_file(old, "layout.safetensors") == old / "layout.pt"
    open_run("ocr", "without", stage="train").finish()
    for which in ("old", "latest"):
        assert find_model("ocr", which, "layout.safetensors").name == "layout.pt"
    (old / "layout.safetensors").touch()
    assert find_model("ocr", "old", "layout.safetensors").name == "layout.safetensors"


# --------------------------------------------------------------------------- real networks


def test_a_reader_with_its_tied_tables_goes_through_as_fp16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reader = new_reader("conv", "tiny").eval()
    again = load_reader(save_weights(reader, tmp_path / "reader.safetensors", half=True))
    assert again.config == reader.config
    lines = torch.rand(2, 1, 32, 96) * 2 - 1
    with torch.no_grad():
        gap = (reader(lines).ctc_log_probs.exp() - again(lines).ctc_log_probs.exp()).abs().max()
    assert float(gap) < 1e-3


def test_lists_of_a_configuration_come_back_as_the_tuples_they_were(tmp_path: Path) -> None:
    class Bare(nn.Module):
        config = EmbedderConfig(dim=7)

    assert read_weights(save_weights(Bare(), tmp_path / "a.safetensors")).config["dim"] == 7
    assert read_weights(save_weights(nn.Linear(2, 1), tmp_path / "b.safetensors")).config == {}


def test_a_file_may_be_replaced_while_what_was_loaded_from_it_is_in_use(
    net: Net, tmp_path: Path
) -> None:
    path = save_weights(net, tmp_path / "net.safetensors")
    loaded = read_weights(path).tensors
    expected = {name: value.clone() for name, value in loaded.items()}
    with torch.no_grad():
        net.conv.weight.zero_()
    save_weights(net, path)
    shutil.rmtree(tmp_path)
    assert all(np.array_equal(loaded[name], expected[name]) for name in expected)
