import copy
import json
import math
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from sightbook.runs.run import Run, RunError, open_run
from sightbook.training.data import (
    TrainingBatches,
    ordered_batches,
    resolve_workers,
    shuffled_batches,
)
from sightbook.training.display import LineDisplay, clock, is_interactive, make_display
from sightbook.training.fit import (
    FitResult,
    NonFiniteLoss,
    Preempted,
    Task,
    find_batch_size,
    fit,
    load_weights,
    schedule_factor,
    seed_everything,
)
from sightbook.training.params import FitParams
from sightbook.training.task import resolve_precision

torch.set_num_threads(1)


class Points(torch.utils.data.Dataset):
    """Points near a plane that drifts with the epochs; the noise draws on all three generators."""

    def __init__(self, size: int, noise: float = 0.1, drift: float = 1.0, bad: int | None = None):
        self.size, self.noise, self.drift, self.bad = size, noise, drift, bad
        self.epoch = 0

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.tensor([index / self.size, math.sin(index), math.cos(3 * index)])
        noise = random.random() + np.random.rand() + float(torch.rand(())) - 1.5  # noqa: NPY002
        y = x.sum().reshape(1) + self.noise * noise + self.drift * self.epoch
        return x, y * math.nan if index == self.bad else y


class LinearTask(Task):
    """A small net with dropout and batch normalisation; calls `at` before each step."""

    def __init__(self, at: Callable[[str, int, int], None] = lambda *place: None):
        super().__init__()
        self.at = at
        self.model = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.at("train", self.current_epoch, batch_idx)
        x, y = batch
        predicted = self.model(x)
        return {"loss": mse_loss(predicted, y), "mae": (predicted - y).abs().mean()}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.at("validate", self.current_epoch, batch_idx)
        x, y = batch
        self.log("validation/loss", mse_loss(self.model(x), y), batch_size=len(x))


class PlainTask(Task):
    """One linear layer, no randomness, plain gradient descent if asked."""

    def __init__(self, sgd_rate: float = 0.0):
        super().__init__()
        self.model = nn.Linear(3, 1)
        self.sgd_rate = sgd_rate

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        return mse_loss(self.model(x), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("validation/loss", mse_loss(self.model(x), y), batch_size=len(x))

    def configure_optimizers(self) -> Any:
        if self.sgd_rate:
            return torch.optim.SGD(self.parameters(), self.sgd_rate)
        return super().configure_optimizers()


PARAMS = FitParams(
    epochs=3, batch_size=8, learning_rate=1e-2, workers=0, ema_decay=0.9, precision="32"
)


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    return tmp_path


def train(
    name: str,
    params: FitParams = PARAMS,
    task: Task | None = None,
    at: Callable[[str, int, int], None] = lambda *place: None,
    **options: Any,
) -> tuple[Run, FitResult]:
    run = open_run("donut", name, params, stage="train")
    seed_everything(params.seed)
    task = task or LinearTask(at)
    result = fit(task, options.pop("train", Points(60)), Points(20), run, params, **options)
    run.finish(result.metrics)
    return run, result


def train_until_killed(name: str, params: FitParams, place: tuple[str, int, int]) -> None:
    """Train in a process of its own that kill -9 ends before a given step."""

    def at(*here: Any) -> None:
        if here == place:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=lambda: train(name, params, at=at))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def checkpoint_of(run: Run) -> dict[str, Any]:
    return torch.load(run.checkpoints / "last.ckpt", weights_only=True)


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    times = {"time", "seconds", "samples_per_second", "data_wait"}
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


def assert_same_run(run: Run, other: Run) -> None:
    assert (run.path / "metrics.json").read_bytes() == (other.path / "metrics.json").read_bytes()
    assert without_times(run.history()) == without_times(other.history())
    mine, theirs = checkpoint_of(run), checkpoint_of(other)
    for part in ("state_dict", "ema_state_dict"):
        for name, value in mine[part].items():
            assert torch.equal(value, theirs[part][name]), (part, name)
    for name, value in torch.load(run.checkpoints / "best.ckpt")["state_dict"].items():
        best = torch.load(other.checkpoints / "best.ckpt")["state_dict"]
        assert torch.equal(value, best[name]), name


# ------------------------------------------------------------------ exact resume


@pytest.mark.parametrize("workers", [0, 2])
def test_run_killed_again_and_again_ends_as_the_undisturbed_one(workers: int) -> None:
    params = PARAMS.model_copy(
        update={"workers": workers, "accumulate": 2, "checkpoint_steps": 1, "patience": 3}
    )
    undisturbed, _ = train("undisturbed", params)
    places = [("train", 0, 5), ("train", 1, 1), ("validate", 1, 1), ("train", 2, 7)]
    for place in places if workers == 0 else places[:1]:
        train_until_killed("killed", params, place)
    continued, result = train("killed", params)
    assert len(result.history) == 3
    assert_same_run(continued, undisturbed)


def test_run_killed_before_its_first_checkpoint_starts_anew() -> None:
    undisturbed, _ = train("undisturbed")
    train_until_killed("killed", PARAMS, ("train", 0, 3))
    assert_same_run(train("killed")[0], undisturbed)


def test_run_continues_at_the_batch_of_its_last_checkpoint() -> None:
    params = PARAMS.model_copy(update={"checkpoint_steps": 3})
    train_until_killed("killed", params, ("train", 1, 5))
    seen: list[tuple] = []
    train("killed", params, at=lambda *place: seen.append(place))
    # 8 batches an epoch: steps 3, 6 and 8 (the epoch's end) of the first, 9 and 12 since
    assert seen[0] == ("train", 1, 4)


def test_a_finished_run_is_not_trained_again(capsys: pytest.CaptureFixture) -> None:
    _, first = train("run")
    seen: list[tuple] = []
    task = LinearTask(lambda *place: seen.append(place))
    run, again = train("run", task=task)
    assert not seen
    assert "already been trained" in capsys.readouterr().out
    assert (again.metrics, again.history) == (first.metrics, first.history)
    best = torch.load(run.checkpoints / "best.ckpt")["state_dict"]
    assert all(torch.equal(value, best[name]) for name, value in task.state_dict().items())


def test_raised_epochs_continue_the_run() -> None:
    short = PARAMS.model_copy(update={"schedule": "constant", "warmup": 0})
    long = short.model_copy(update={"epochs": 5})
    straight, _ = train("straight", long)
    train("raised", short)
    raised, result = train("raised", long)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5]
    assert_same_run(raised, straight)


def test_raised_epochs_follow_the_new_schedule_from_the_first_step() -> None:
    train("run")
    seen: list[float] = []
    task = LinearTask(lambda *place: seen.append(task.optimizers().param_groups[0]["lr"]))
    train("run", PARAMS.model_copy(update={"epochs": 6}), task)
    # 24 of 48 steps done, 2 of them warm-up
    assert seen[0] == pytest.approx(1e-2 * schedule_factor(24, 48, 0.05, "cosine"))
    assert seen[0] > 4e-3


def test_sigterm_saves_and_says_how_to_go_on() -> None:
    undisturbed, _ = train("undisturbed")

    def at(*place: Any) -> None:
        if place == ("train", 1, 3):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match=r"same run name \('stopped'\)"):
        train("stopped", at=at)
    assert signal.getsignal(signal.SIGTERM) == before
    seen: list[tuple] = []
    continued, _ = train("stopped", at=lambda *place: seen.append(place))
    assert seen[0] == ("train", 1, 4)
    assert_same_run(continued, undisturbed)


def test_interrupted_cell_leaves_the_kernel_as_it_was() -> None:
    def at(*place: Any) -> None:
        if place == ("train", 1, 3):
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="can be continued"):
        train("run", at=at)
    assert signal.getsignal(signal.SIGINT) == before
    assert_same_run(train("run")[0], train("undisturbed")[0])


def test_checkpoint_of_other_data_is_refused() -> None:
    params = PARAMS.model_copy(update={"checkpoint_steps": 1})
    train_until_killed("run", params, ("train", 1, 2))
    with pytest.raises(ValueError, match="batches was 8, is 5"):
        train("run", params, train=Points(40))


def test_other_parameters_are_refused() -> None:
    train("run")
    with pytest.raises(RunError, match="learning_rate"):
        train("run", PARAMS.model_copy(update={"learning_rate": 0.5}))


# ------------------------------------------------------------------ what the parameters do


def test_training_learns_and_leaves_the_best_averaged_weights() -> None:
    task = LinearTask()
    params = PARAMS.model_copy(update={"epochs": 6, "learning_rate": 5e-2})
    run, result = train("run", params, task, train=Points(60, drift=0))
    losses = [row["validation/loss"] for row in result.history]
    assert losses[-1] < losses[0] / 2
    assert result.metrics["validation/loss"] == min(losses)
    assert result.metrics["epoch"] == 1 + losses.index(min(losses))
    points = Points(20, noise=0)
    inputs, targets = map(torch.stack, zip(*[points[i] for i in range(20)], strict=True))
    with torch.no_grad():
        loss = mse_loss(task.eval().model(inputs), targets).item()
    # the validation targets bear noise of variance 0.1² * 3/12
    assert loss == pytest.approx(min(losses), rel=0.3)
    assert (run.path / "figures" / "training.png").stat().st_size > 1000


def test_average_is_the_exponential_one_with_warm_up() -> None:
    params = PARAMS.model_copy(update={"ema_decay": 0.3, "epochs": 1, "batch_size": 20})
    weights: list[torch.Tensor] = []

    class Watched(PlainTask):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            weights.append(self.model.weight.detach().clone())
            return super().training_step(batch, batch_idx)

    run, _ = train("run", params, Watched())
    checkpoint = checkpoint_of(run)
    weights.append(checkpoint["state_dict"]["model.weight"])
    average = weights[0]
    for step, weight in enumerate(weights[1:], start=1):
        decay = min(0.3, step / (9 + step))
        average = decay * average + (1 - decay) * weight
    assert len(weights) == 4
    assert torch.allclose(checkpoint["ema_state_dict"]["model.weight"], average, atol=1e-6)
    assert not torch.allclose(average, weights[-1], atol=1e-4)


def test_accumulated_batches_make_the_step_of_one_large_batch() -> None:
    exact = {"batch_size": 20, "ema_decay": 0, "epochs": 1}
    large = PARAMS.model_copy(update=exact)
    small = large.model_copy(update={"batch_size": 10, "accumulate": 2})
    first = PlainTask()
    one = train("large", large, copy.deepcopy(first))[0]
    two = train("small", small, first)[0]
    weights = [checkpoint_of(run)["state_dict"]["model.weight"] for run in (one, two)]
    assert torch.allclose(*weights, atol=1e-6)
    rows = [[row for row in run.history() if "epoch" not in row] for run in (one, two)]
    assert [row["step"] for row in rows[1]] == [1, 2, 3]
    for mine, theirs in zip(*rows, strict=True):
        assert mine["train/loss"] == pytest.approx(theirs["train/loss"], rel=1e-4)


def test_gradient_norm_is_clipped() -> None:
    params = PARAMS.model_copy(update={"clip_norm": 0.01, "ema_decay": 0, "epochs": 1})
    params = params.model_copy(update={"batch_size": 60})
    task = PlainTask(sgd_rate=1.0)
    before = [parameter.detach().clone() for parameter in task.parameters()]
    train("run", params, task)
    moved = [p.detach() - b for p, b in zip(task.parameters(), before, strict=True)]
    assert math.sqrt(sum(float((step**2).sum()) for step in moved)) == pytest.approx(0.01, rel=0.01)


def test_precision_reaches_the_model() -> None:
    kinds = set()

    class Watched(PlainTask):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            kinds.add(self.model(batch[0]).dtype)
            return super().training_step(batch, batch_idx)

    train("run", PARAMS.model_copy(update={"precision": "bf16-mixed", "epochs": 1}), Watched())
    assert kinds == {torch.bfloat16}


@pytest.mark.parametrize(
    ("capabilities", "variables", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, {}, "bf16-mixed"),
        ({"avx512_bf16": True, "amx_bf16": True}, {"ONEDNN_MAX_CPU_ISA": "ALL"}, "bf16-mixed"),
        ({"avx512_bf16": True}, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, "bf16-mixed"),
        ({"avx512_bf16": False}, {}, "32"),
        ({}, {}, "32"),
        # oneDNN would emulate the products, and take several times as long as in fp32
        ({"avx512_bf16": True, "amx_bf16": True}, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "32"),
        ({"avx512_bf16": True}, {"ONEDNN_MAX_CPU_ISA": "avx2"}, "32"),
        ({"avx512_bf16": True}, {"DNNL_MAX_CPU_ISA": "AVX512_CORE"}, "32"),
    ],
)
def test_automatic_precision_is_bf16_where_the_processor_multiplies_it(
    capabilities: dict[str, bool],
    variables: dict[str, str],
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resolve_precision(FitParams(precision="auto")) == precision
    assert resolve_precision(FitParams(precision="16-mixed")) == "16-mixed"


def test_patience_ends_the_training_and_the_run_stays_ended() -> None:
    class Worse(LinearTask):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("validation/loss", float(abs(self.current_epoch - 1)))

    params = PARAMS.model_copy(update={"epochs": 20, "patience": 2})
    _, result = train("run", params, Worse())
    assert [row["validation/loss"] for row in result.history] == [1, 0, 1, 2]
    assert (result.metrics["epoch"], result.metrics["epochs"]) == (2, 4)
    assert len(train("run", params, Worse())[1].history) == 4


def test_larger_may_be_better() -> None:
    class Rising(LinearTask):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("validation/exact", [0.2, 0.7, 0.5][self.current_epoch])

    _, result = train("run", task=Rising(), monitor="validation/exact", mode="max")
    assert result.metrics["epoch"] == 2
    with pytest.raises(ValueError, match=r"no 'validation/cer'.*train/mae.*validation/exact"):
        train("other", task=Rising(), monitor="validation/cer")


def test_without_validation_the_training_loss_chooses() -> None:
    run = open_run("donut", "run", PARAMS, stage="train")
    result = fit(LinearTask(), Points(60), None, run, PARAMS, monitor="train/loss")
    losses = [row["train/loss"] for row in result.history]
    assert result.metrics["train/loss"] == min(losses)


def test_norms_and_biases_do_not_decay() -> None:
    task = LinearTask()
    task.fit_params = PARAMS.model_copy(update={"weight_decay": 0.5})
    decayed, spared = task.parameter_groups()
    assert [tuple(p.shape) for p in decayed["params"]] == [(8, 3), (1, 8)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0)
    assert len(spared["params"]) == 4


def test_loss_that_is_no_number_names_step_and_samples() -> None:
    with pytest.raises(NonFiniteLoss) as caught:
        train("run", train=Points(60, bad=37))
    batches = shuffled_batches(60, PARAMS.seed)(0, 8)
    number = next(i for i, batch in enumerate(batches) if 37 in batch)
    assert f"the loss is nan at step {number + 1} (epoch 1, batch {number + 1}" in str(caught.value)
    assert ", ".join(map(str, batches[number])) in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0]),
        ("cosine", [1, 0.5 + 0.5 * math.sqrt(0.5), 0.5, 0]),
        ("hold", [1, 1, 1, 0]),
    ],
)
def test_schedule(schedule: str, shares: list[float]) -> None:
    # 100 steps of which 20 warm up, then the quarters of the remaining 80
    assert schedule_factor(0, 100, 0.2, schedule) == pytest.approx(1 / 21)
    assert schedule_factor(19, 100, 20, schedule) == pytest.approx(20 / 21)
    found = [schedule_factor(step, 100, 0.2, schedule) for step in (20, 40, 60, 100)]
    assert found == pytest.approx(shares)


def test_schedule_of_a_single_step_trains() -> None:
    assert schedule_factor(0, 1, 0.5, "cosine") == 1


# ------------------------------------------------------------------ data


def test_every_sample_once_an_epoch_in_batches_of_almost_one_size() -> None:
    batches = shuffled_batches(17, seed=3)
    first, second = batches(0, 8), batches(1, 8)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(17))
    assert first != second
    assert first == shuffled_batches(17, seed=3)(0, 8)
    assert [len(batch) for batch in first] == [6, 6, 5]


def test_processes_share_an_epoch_in_as_many_steps() -> None:
    batches = shuffled_batches(33, seed=0, processes=2)
    shares = [TrainingBatches(batches, 8, rank, 2) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == 3
    seen = [index for share in shares for batch in share for _, index in batch]
    assert sorted(seen) == list(range(33))


def test_own_batches_are_dealt_evenly_and_must_be_as_many() -> None:
    batches = TrainingBatches(lambda epoch, size: [[0], [1], [2]][: 3 - epoch], 1, 1, 2)
    assert list(batches) == [[(0, 1)], [(0, 0)]]
    with pytest.raises(ValueError, match="1 batches, too few for 2 processes"):
        batches.move_to(2)


def test_steps_per_epoch_cuts_and_repeats() -> None:
    few = shuffled_batches(100, 0, steps_per_epoch=2)(0, 8)
    assert [len(batch) for batch in few] == [8, 8]
    many = shuffled_batches(10, 0, steps_per_epoch=3)(0, 8)
    assert [len(batch) for batch in many] == [8, 8, 8]
    assert sorted(list(chain(*many))[:10]) == list(range(10))


def test_workers_change_nothing() -> None:
    train("alone")
    alone, _ = train("alone")
    helped, _ = train("helped", PARAMS.model_copy(update={"workers": 2}))
    assert_same_run(helped, alone)


def test_samples_know_their_epoch_in_workers() -> None:
    targets: dict[int, list[float]] = {}

    class Watched(LinearTask):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if not batch_idx:
                targets.setdefault(self.current_epoch, []).append(float(batch[1].mean()))
            return super().training_step(batch, batch_idx)

    train("run", PARAMS.model_copy(update={"workers": 1}), Watched(), train=Points(60, noise=0))
    # Points adds the epoch's number to its targets, which lie within ±3 otherwise
    means = [targets[epoch][0] for epoch in range(3)]
    assert means[2] - means[0] == pytest.approx(2, abs=1.2)
    assert means[0] < means[1] < means[2]


def test_automatic_workers_leave_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert resolve_workers("auto") == 7
    assert resolve_workers("auto", processes=2) == 3
    assert resolve_workers("auto", processes=16) == 0
    assert resolve_workers(5) == 5


# ------------------------------------------------------------------ weights, finders, display


def test_weights_load_into_the_bare_model_and_misfits_are_named() -> None:
    run, result = train("run")
    task = LinearTask()
    load_weights(task.model, result.best_checkpoint)
    best = torch.load(result.best_checkpoint)["state_dict"]
    assert torch.equal(task.model[0].weight, best["model.0.weight"])
    load_weights(task, run.checkpoints / "last.ckpt", ema=False)
    last = checkpoint_of(run)
    assert torch.equal(task.model[0].weight, last["state_dict"]["model.0.weight"])
    load_weights(task, run.checkpoints / "last.ckpt")
    assert torch.equal(task.model[0].weight, last["ema_state_dict"]["model.0.weight"])
    with pytest.raises(ValueError, match=r"do not fit this model: model\.weight is missing"):
        load_weights(PlainTask(), result.best_checkpoint)
    with pytest.raises(ValueError, match=r"0\.weight has shape \(8, 3\), the model's \(8, 2\)"):
        load_weights(nn.Sequential(nn.Linear(2, 8)), result.best_checkpoint)


def test_batch_size_finder_stops_where_memory_ends() -> None:
    from functools import partial

    from sightbook.training.fit import make_trainer

    class Hungry(PlainTask):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            if len(batch[0]) > 13:
                raise RuntimeError("CUDA out of memory. Tried to allocate a lot")
            return super().training_step(batch, batch_idx)

    found = []
    for start in (3, 32):
        params = PARAMS.model_copy(update={"batch_size": start})
        task = Hungry()
        task.fit_params, task.total_steps = params, 10
        maker = partial(loader_of_size, Points(100))
        found.append(find_batch_size(task, params, maker, partial(make_trainer, folder=Path())))
    # 100 points in equal batches: 12 makes 9 of 11 or 12, 24 makes 5 of 20
    assert found == [12, 8]


def loader_of_size(data: Points, size: int) -> Any:
    from sightbook.training.data import training_loader

    batches = TrainingBatches(shuffled_batches(len(data), 0), size)
    return training_loader(data, batches, seed=0, workers=0)


def test_learning_rate_finder_is_asked_once() -> None:
    params = PARAMS.model_copy(update={"find_lr": True, "epochs": 1})
    run, _ = train("run", params)
    found = json.loads((run.checkpoints / "found.json").read_text())["learning_rate"]
    assert 1e-8 < found < 1
    assert (run.path / "figures" / "learning_rate.png").exists()
    rates = [row["lr"] for row in run.history()]
    assert max(rates) == pytest.approx(found, rel=0.05)
    (run.checkpoints / "found.json").write_text('{"learning_rate": 0.0123}')
    longer, _ = train("run", params.model_copy(update={"epochs": 2, "schedule": "cosine"}))
    assert longer.history()[-1]["lr"] < 0.0123
    assert json.loads((run.checkpoints / "found.json").read_text()) == {"learning_rate": 0.0123}


def test_one_line_an_epoch_and_every_step_in_the_log(capsys: pytest.CaptureFixture) -> None:
    run, result = train("run")
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert f"validation/loss {result.history[0]['validation/loss']:.4g}" in lines[0]
    assert all(part in lines[0] for part in ("samples/s", "data wait", "ETA"))
    assert printed.err == ""
    steps = [row for row in run.history() if "epoch" not in row]
    assert [row["step"] for row in steps] == list(range(1, 25))
    assert {"lr", "train/loss", "train/mae"} <= steps[0].keys()
    epoch = [row["train/loss"] for row in steps[:8]]
    assert result.history[0]["train/loss"] == pytest.approx(np.mean(epoch), rel=0.05)


def test_plain_display_unless_someone_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_interactive()
    assert isinstance(make_display("validation/loss"), LineDisplay)
    import IPython

    class Shell:
        kernel = object()
        user_ns: dict[str, Any] = {}  # noqa: RUF012

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    assert not is_interactive()
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/02_train.ipynb")
    assert is_interactive()
    monkeypatch.setenv("SIGHTBOOK_HEADLESS", "1")
    assert not is_interactive()


def test_live_display_shows_bar_and_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightbook.training.display import LiveDisplay

    display = LiveDisplay("validation/loss")
    monkeypatch.setattr("sightbook.training.fit.make_display", lambda monitor: display)
    train("run")
    assert display._bar.value == display._bar.max == 8
    assert display._text.value.startswith("epoch 3/3  train/loss")


def test_clock() -> None:
    assert (clock(59.6), clock(61), clock(3725)) == ("1:00", "1:01", "1:02:05")


def test_several_devices_need_launch() -> None:
    with pytest.raises(ValueError, match=r"sightbook\.training\.launch"):
        train("run", PARAMS.model_copy(update={"devices": 2}))


def test_ordered_batches_keep_the_streams_order():
    batches = ordered_batches(10)(0, 4)
    assert [index for batch in batches for index in batch] == list(range(10))
    assert [len(batch) for batch in batches] == [4, 3, 3]
    assert len(ordered_batches(10, processes=2)(0, 4)) % 2 == 0
