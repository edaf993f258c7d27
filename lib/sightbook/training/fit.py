"""The one `fit` of all lines, on Lightning.

A line subclasses `Task` (what a step computes) and calls `fit`, which chooses device and
precision, feeds the data, averages the weights, keeps the best and the last checkpoint, stops
early and logs to the run folder. Whatever happens to the process, calling `fit` again on the
same run goes on from the last checkpoint, in mid-epoch too, and on a CPU ends with exactly the
weights and metrics of an undisturbed run.
"""

import contextlib
import io
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import Dataset

from sightbook.figures.plots import curves
from sightbook.runs.run import Run, read_json, write_json
from sightbook.training import fit as training_finders
from sightbook.training.data import (
    Batches,
    TrainingBatches,
    resolve_workers,
    shuffled_batches,
    training_loader,
    validation_loader,
)
from sightbook.training.display import make_display
from sightbook.training.params import FitParams
from sightbook.training.recorder import STATE, AtomicCheckpoints, NonFiniteLoss, Preempted, Recorder
from sightbook.training.task import Ema, Task, resolve_precision, schedule_factor

__all__ = [
    "Batches",
    "FitParams",
    "FitResult",
    "NonFiniteLoss",
    "Preempted",
    "Task",
    "fit",
    "load_weights",
    "schedule_factor",
    "seed_everything",
]

_TIMINGS = ("seconds", "samples_per_second", "data_wait")


@dataclass(frozen=True)
class FitResult:
    """What a training made; equal for a run that was cut off and continued."""

    best_checkpoint: Path
    last_checkpoint: Path
    metrics: dict[str, float]
    """Losses and metrics of the best epoch, ``epoch`` (its number), ``epochs`` (trained)."""
    history: list[dict[str, Any]]
    """A row per epoch: ``epoch``, ``step``, ``lr``, losses, metrics, and the timings ``seconds``,
    ``samples_per_second``, ``data_wait`` (share of the training time)."""
    seconds: float
    """Of this call; a run continued from a checkpoint counts only its last part."""


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch; call it before the model is built."""
    lightning.seed_everything(seed, verbose=False)


def fit(
    task: Task,
    train: Dataset,
    validation: Dataset | None,
    run: Run,
    params: FitParams,
    *,
    collate: Callable | None = None,
    monitor: str = "validation/loss",
    mode: Literal["min", "max"] = "min",
    steps_per_epoch: int | None = None,
    batches: Batches | None = None,
) -> FitResult:
    """Train `task`, or go on training it, and leave it with the best epoch's weights.

    Where it ends by an error or by Ctrl+C before there is a checkpoint to go on from, the task has
    its first weights again: trained once more, it ends where an undisturbed run ends.

    Args:
        task: the model and its steps.
        train: map-style; may define ``set_epoch(epoch)``, after which item i is the same at
            every reading. Each item is read under random states of its own, seeded by
            (seed, epoch, index), wherever it is read.
        validation: map-style, read in order at every epoch's end; None for no validation (then
            `monitor` must be a ``train/...`` metric).
        run: the run folder; gets ``checkpoints/best.ckpt`` (weights only, averaged ones with
            ``ema_decay``), ``checkpoints/last.ckpt`` (everything), ``metrics.jsonl`` and
            ``figures/training.png``.
        params: how to train.
        collate: makes a batch of a list of samples; torch's default if None.
        monitor: the metric by which the best epoch is chosen and patience counted.
        mode: whether that metric should be small or large.
        steps_per_epoch: batches per epoch and process, from a data set that is too large (or
            endless) to pass through; None for one pass.
        batches: composes the batches (width buckets, balanced classes) instead of shuffling.

    Raises:
        NonFiniteLoss: naming the step and the samples.
        Preempted: after SIGTERM, once the state is saved.
        ValueError: data, devices or an existing checkpoint do not fit the parameters.
    """
    start = time.perf_counter()
    rank, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if processes == 1 and params.devices not in (1, "auto"):
        raise ValueError(
            f"devices is {params.devices} and this is one process: call the training through "
            "sightbook.training.launch.launch, which starts the others"
        )
    last = run.checkpoints / "last.ckpt"
    state = _read(last).get(STATE) if last.is_file() else None
    if state and (state["stopped"] or state["epoch"] >= params.epochs):
        if rank == 0:
            print(f"run '{run.name}' has already been trained ({state['epoch']} epochs)")
        return _result(task, run, state["history"], state["best"], start)

    workers = resolve_workers(params.workers, processes)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.set_float32_matmul_precision("high")

    def make_loader(batch_size: int) -> Any:
        composed = batches or shuffled_batches(
            len(train),  # type: ignore[arg-type]
            params.seed,
            processes,
            steps_per_epoch,
        )
        return training_loader(
            train,
            TrainingBatches(composed, batch_size, rank, processes),
            seed=params.seed,
            workers=workers,
            collate=collate,
            pin_memory=on_gpu,
        )

    task.fit_params = params
    params = _with_found(task, params, run, make_loader, processes)
    loader = make_loader(params.batch_size)
    task.fit_params = params
    task.total_steps = params.epochs * math.ceil(len(loader) / params.accumulate)
    ema = Ema(params.ema_decay) if params.ema_decay else None
    recorder = Recorder(
        run,
        loader,
        params,
        monitor=monitor,
        mode=mode,
        display=make_display(monitor) if rank == 0 else None,
        ema=ema,
        layout={"batches": len(loader), "processes": processes, "accumulate": params.accumulate},
    )
    if state:
        recorder.restore(state, rank)
        if rank == 0:
            run.rewind(state["step"])
            where = f"epoch {state['epoch'] + 1}, batch {state['batch'] + 1} of {len(loader)}"
            print(f"run '{run.name}' goes on at {where}", flush=True)
    if params.compile:
        for module in task.children():
            module.compile()
    seed_everything(params.seed + rank)
    initial = {k: v.detach().cpu().clone() for k, v in task.state_dict().items()}
    with _quiet_lightning():
        trainer = make_trainer(
            params,
            run.checkpoints,
            processes=processes,
            find_unused_parameters=task.find_unused_parameters,
            callbacks=[*([ema] if ema else []), recorder],
            max_epochs=params.epochs,
            accumulate_grad_batches=params.accumulate,
        )
        validation_data = validation and validation_loader(
            validation,
            params.batch_size,
            seed=params.seed,
            workers=workers,
            collate=collate,
            pin_memory=on_gpu,
        )
        try:
            trainer.fit(task, loader, validation_data, ckpt_path=last if state else None)
        except SystemExit as stop:
            # Lightning turns Ctrl+C into an exit; a notebook should only lose the cell
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt(f"run '{run.name}' can be continued") from None
            raise
        finally:
            loader.close()
            if not last.is_file():
                task.load_state_dict(initial)
    assert recorder.best is not None
    if rank == 0:
        names = ["loss", monitor.rpartition("/")[2]]
        run.figure(curves(recorder.history, names=names), "training")
    return _result(task, run, recorder.history, recorder.best, start)


def make_trainer(
    params: FitParams,
    folder: Path,
    *,
    processes: int = 1,
    find_unused_parameters: bool = False,
    **options: Any,
) -> lightning.Trainer:
    """Build a Trainer that does nothing on its own: no logs, no bars, no checkpoints."""
    on_gpu = torch.cuda.is_available()
    if processes > 1:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        options |= {
            "accelerator": "gpu" if on_gpu else "cpu",
            "devices": here,
            "num_nodes": processes // here,
            "strategy": DDPStrategy(
                process_group_backend="nccl" if on_gpu else "gloo",
                find_unused_parameters=find_unused_parameters,
            ),
        }
    else:
        options |= {"accelerator": "auto", "devices": 1}
    # Named, because Lightning would guess Slurm's environment within a batch job and requeue
    # the job by itself.
    environment = TorchElasticEnvironment() if processes > 1 else LightningEnvironment()
    return lightning.Trainer(
        precision=resolve_precision(params),
        plugins=[AtomicCheckpoints(), environment],
        gradient_clip_val=params.clip_norm or None,
        # "warn": the CTC loss, for one, has no deterministic gradient on CUDA
        deterministic="warn" if params.deterministic else None,
        benchmark=on_gpu and not params.deterministic,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )


def load_weights(module: nn.Module, path: str | os.PathLike[str], ema: bool = True) -> None:
    """Load a checkpoint of `fit` into a task, or into one of its modules.

    Args:
        module: a `Task`, or the module that it holds under some name (``task.model``).
        path: ``best.ckpt`` or ``last.ckpt``.
        ema: of ``last.ckpt``, take the averaged weights if there are any.

    Raises:
        ValueError: the weights do not fit the module; names the first that do not.
    """
    checkpoint = _read(Path(path))
    averaged = ema and "ema_state_dict" in checkpoint
    state = checkpoint["ema_state_dict" if averaged else "state_dict"]
    wanted = module.state_dict()
    prefixes = ["", *dict.fromkeys(name.split(".")[0] + "." for name in state)]
    prefix = max(prefixes, key=lambda p: sum(p + name in state for name in wanted))
    state = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    wrong = [
        f"{name} has shape {tuple(state[name].shape)}, the model's {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    wrong += [f"{name} is missing" for name in wanted if name not in state]
    wrong += [f"{name} is not in the model" for name in state if name not in wanted]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"the weights in {path} do not fit this model: {'; '.join(wrong[:3])}{more}. "
            "Build the model with the parameters in the run's params.yaml"
        )
    module.load_state_dict(state)


def _with_found(
    task: Task, params: FitParams, run: Run, make_loader: Callable, processes: int
) -> FitParams:
    """Let the finders choose what they were asked to, once per run."""
    if not (params.find_batch_size or params.find_lr):
        return params
    file = run.checkpoints / "found.json"
    if not file.is_file():
        if processes > 1:
            raise ValueError("find_lr and find_batch_size need devices: 1; use what they find")
        found: dict[str, Any] = {}
        probe = partial(make_trainer, folder=run.checkpoints)
        with _quiet_lightning():
            if params.find_batch_size and not torch.cuda.is_available():
                print("find_batch_size: there is no GPU to fill, batch_size stays as it is")
            elif params.find_batch_size:
                found["batch_size"] = training_finders.find_batch_size(
                    task, params, make_loader, probe
                )
            params = params.model_copy(update=found)
            if params.find_lr:
                found["learning_rate"], figure = training_finders.find_learning_rate(
                    task, params, make_loader, probe
                )
                run.figure(figure, "learning_rate")
        write_json(file, found)
    found = read_json(file)
    print("found " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
    return params.model_copy(update=found)


def _result(
    task: Task, run: Run, history: list[dict], best: dict[str, Any], start: float
) -> FitResult:
    best_file = run.checkpoints / "best.ckpt"
    load_weights(task, best_file)
    metrics = {name: value for name, value in best.items() if name not in _TIMINGS}
    return FitResult(
        best_checkpoint=best_file,
        last_checkpoint=run.checkpoints / "last.ckpt",
        metrics={**metrics, "epochs": history[-1]["epoch"]},
        history=history,
        seconds=round(time.perf_counter() - start, 2),
    )


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hints to itself; its errors are exceptions anyway."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_TRIAL_STEPS = 3  # AdamW allocates its state in the first step


def find_batch_size(
    task: lightning.LightningModule,
    params: FitParams,
    make_loader: Callable[[int], Any],
    make_trainer: Callable[..., lightning.Trainer],
) -> int:
    """Return the largest batch size, by doubling or halving, that trains within the memory.

    (Lightning's own finder, at its upper limit, returns a size that it has not tried.)

    Args:
        task: left as it is; copies are trained.
        params: the search starts from its batch size.
        make_loader: returns a loader of that batch size.
        make_trainer: returns a Trainer, given parameters and options.

    Raises:
        RuntimeError: not even a single sample fits.
    """

    def fits(size: int) -> bool:
        try:
            trainer = make_trainer(params, max_steps=_TRIAL_STEPS, limit_val_batches=0)
            with contextlib.closing(make_loader(size)) as loader:
                trainer.fit(deepcopy(task), loader)
        except RuntimeError as error:
            if not is_oom_error(error):
                raise
            return False
        finally:
            garbage_collection_cuda()
        return True

    size = params.batch_size
    if fits(size):
        # what is a single batch already cannot grow
        while len(make_loader(size)) > 1 and fits(2 * size):
            size *= 2
        return size
    while size > 1:
        size //= 2
        if fits(size):
            return size
    raise RuntimeError("not even one sample fits into the device's memory")


def find_learning_rate(
    task: lightning.LightningModule,
    params: FitParams,
    make_loader: Callable[[int], Any],
    make_trainer: Callable[..., lightning.Trainer],
    steps: int = 100,
) -> tuple[float, Figure]:
    """Return the learning rate at which the loss falls most steeply, and the curve.

    The range test of Smith (2017), "Cyclical Learning Rates for Training Neural Networks", as
    Lightning's Tuner runs it: the rate grows exponentially from 1e-8 to 1 over `steps`.

    Raises:
        RuntimeError: the curve has no point to choose.
    """
    import matplotlib.pyplot as plt

    trainer = make_trainer(params, max_epochs=-1, limit_val_batches=0)
    with (
        contextlib.redirect_stderr(io.StringIO()),  # its progress bar cannot be turned off
        contextlib.closing(make_loader(params.batch_size)) as loader,
    ):
        finder = Tuner(trainer).lr_find(
            deepcopy(task),
            train_dataloaders=loader,
            num_training=steps,
            update_attr=False,
        )
    assert finder is not None
    suggestion = finder.suggestion()
    if suggestion is None:
        raise RuntimeError("find_lr found no learning rate: the loss does not fall in its trial")
    figure: Any = finder.plot(suggest=True)
    plt.close(figure)
    return suggestion, figure
