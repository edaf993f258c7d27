"""The one `fit` of all lines, on Lightning.

A line subclasses `Task` (what a step computes) and calls `fit`, which chooses device and
precision, feeds the data, averages the weights, keeps the best and the last checkpoint, stops
early and logs to the run folder. Whatever happens to the process, calling `fit` again on the
same run goes on from the last checkpoint, in mid-epoch too, and on a CPU ends with exactly the
weights and metrics of an undisturbed run.
"""

import contextlib
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.utils.data import Dataset

from sightbook import training_finders
from sightbook.runs import Run, read_json, write_json
from sightbook.training_callbacks import (
    STATE,
    AtomicCheckpoints,
    Ema,
    NonFiniteLoss,
    Preempted,
    Recorder,
)
from sightbook.training_data import (
    Batches,
    TrainingBatches,
    resolve_workers,
    shuffled_batches,
    training_loader,
    validation_loader,
)
from sightbook.training_display import curve, make_display
from sightbook.training_params import FitParams

__all__ = [
    "Batches",
    "FitParams",
    "FitResult",
    "NonFiniteLoss",
    "Preempted",
    "Task",
    "fit",
    "load_weights",
    "seed_everything",
]

_TIMINGS = ("seconds", "samples_per_second", "data_wait")


class Task(lightning.LightningModule):
    """A model and what a step of its training is.

    A subclass defines ``training_step(batch, batch_idx)``, returning the loss or a dict with
    ``loss`` and further scalars (all are logged, per step and as the epoch's mean, as
    ``train/...``; leave ``self.log`` to validation, it costs time and does not survive a kill),
    and ``validation_step``, which logs ``validation/...`` with ``self.log(name, value,
    batch_size=n)``; metrics over the whole set are logged in ``on_validation_epoch_end``. With
    several processes each validates the whole set, so there is nothing to gather.
    """

    find_unused_parameters = False
    """Whether some steps leave parameters without a gradient (asked by multi-process training)."""

    fit_params: FitParams | None = None
    """Set by `fit`."""
    total_steps = 0
    """Optimiser steps of the whole training; set by `fit`."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's groups: matrices and kernels decay, norms and biases do not."""
        assert self.fit_params is not None
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {
                "params": [p for p in trained if p.ndim >= 2],
                "weight_decay": self.fit_params.weight_decay,
            },
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]

    def configure_optimizers(self) -> Any:
        """Return AdamW under the schedule the parameters ask for."""
        params = self.fit_params
        assert params is not None
        optimizer = torch.optim.AdamW(
            [group for group in self.parameter_groups() if group["params"]],
            lr=params.learning_rate,
            betas=(0.9, params.beta2),
            # three times faster on a CPU; with mixed precision Lightning could not clip it
            fused=_precision(params) == "32" or None,
        )
        factor = partial(
            schedule_factor,
            total=self.total_steps,
            warmup=params.warmup,
            schedule=params.schedule,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


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


def schedule_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """Return the learning rate at `step`, as a share of the peak.

    Args:
        step: optimiser steps taken so far.
        total: steps of the whole training.
        warmup: length of the linear warm-up: a share of `total`, or steps if 1 or more.
        schedule: ``cosine``, ``linear`` (both to 0), ``hold`` (full to half-time, then cosine)
            or ``constant``.
    """
    rising = min(round(warmup * total) if warmup < 1 else int(warmup), max(total - 1, 0))
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = min((step - rising) / max(total - rising, 1), 1.0)
    match schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "hold":
            return 0.5 * (1 + math.cos(math.pi * max(2 * progress - 1, 0.0)))
        case "linear":
            return 1 - progress
        case _:
            return 1.0


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
            "sightbook.launch.launch, which starts the others"
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
        recorder.restore(state)
        if rank == 0:
            run.rewind(state["step"])
            where = f"epoch {state['epoch'] + 1}, batch {state['batch'] + 1} of {len(loader)}"
            print(f"run '{run.name}' goes on at {where}", flush=True)
    if params.compile:
        for module in task.children():
            module.compile()
    seed_everything(params.seed + rank)
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
    assert recorder.best is not None
    if rank == 0:
        run.figure(curve(recorder.history, monitor), "training")
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
        precision=_precision(params),
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


def _precision(params: FitParams) -> Any:
    if params.precision != "auto":
        return params.precision
    if not torch.cuda.is_available():
        return "32"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


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
