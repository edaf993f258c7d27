"""The callback of `training.fit` that logs, chooses, saves and stops: what makes it resumable."""

import math
import signal
import threading
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from sightbook.runs.files import atomic_file
from sightbook.runs.run import Run
from sightbook.training.data import TimedLoader, random_states, set_random_states
from sightbook.training.display import Display
from sightbook.training.params import FitParams
from sightbook.training.task import Ema

STATE = "sightbook"
"""Key of this module's state in a checkpoint."""

_EXCHANGE_STEPS = 4  # several processes agree on saving and stopping every so many steps
_DRAIN_BATCHES = 32  # losses on a GPU are fetched so many at a time: fetching waits for the GPU


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite; the message names the step and the samples."""


class Preempted(RuntimeError):
    """SIGTERM arrived: the state is saved, the same run name continues it."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Write checkpoints beside, fsync, rename: a kill leaves the old one or the new one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        with atomic_file(path) as beside:
            torch.save(checkpoint, beside)


class Recorder(Callback):
    """Logs every step, closes every epoch, saves best and last, stops when it is time.

    It has to be the last callback: what it saves must hold what the others did in the step.
    """

    def __init__(
        self,
        run: Run,
        loader: TimedLoader,
        params: FitParams,
        *,
        monitor: str,
        mode: str,
        display: Display | None,
        ema: Ema | None,
        layout: Mapping[str, int],
    ):
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._run = run
        self._loader = loader
        self._params = params
        self._monitor = monitor
        self._sign = 1.0 if mode == "min" else -1.0
        self._display = display
        self._ema = ema
        self._layout = dict(layout)
        self._sums: dict[str, float] = {}
        self._samples = 0
        self._pending: list[tuple[int, int, float, dict[str, Any]]] = []
        self._rows: list[dict[str, Any]] = []
        self._random: dict[str, Any] | None = None
        self._terminated = False
        self._lr = 0.0
        self._saved_at = time.monotonic()
        self._start_clock()

    # ------------------------------------------------------------------ start and resume

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        if self._random is not None:
            set_random_states(self._random)
            _refresh_rates(trainer)
        if threading.current_thread() is threading.main_thread():
            # Lightning's own handler (restored by it at the end) starts a collective operation
            # inside the handler, which two processes may enter at different steps.
            signal.signal(signal.SIGTERM, self._on_sigterm)
        self._saved_at = time.monotonic()
        if self._display:
            self._display.start(self._params.epochs, len(self._loader), self.history)

    def on_train_epoch_start(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        self._loader.batches.move_to(trainer.current_epoch)
        self._start_clock()

    def _start_clock(self) -> None:
        self._started = time.perf_counter()
        self._waited = self._loader.waited
        self._validation_seconds = 0.0
        self._fresh_samples = 0

    def _on_sigterm(self, signum: int, frame: Any) -> None:
        self._terminated = True

    # ------------------------------------------------------------------ steps

    def on_train_batch_start(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_last = batch_idx + 1 == len(self._loader)
        stepped = is_last or (batch_idx + 1) % self._params.accumulate == 0
        step = trainer.global_step + (not stepped)
        self._pending.append((batch_idx, step, self._lr, outputs))
        on_gpu = outputs["loss"].is_cuda
        if not on_gpu or is_last or len(self._pending) >= _DRAIN_BATCHES:
            self._drain(trainer.current_epoch)
        # The end of the epoch saves anyway, and half-accumulated gradients cannot be saved.
        if stepped and not is_last:
            save, stop = self._due(trainer)
            if save or stop:
                self._save(trainer, trainer.current_epoch, batch_idx + 1)
            if stop:
                self._stop_preempted()

    def _drain(self, epoch: int) -> None:
        """Fetch the pending losses from the device, check and sum them."""
        values = _floats([outputs for *_, outputs in self._pending])
        for (batch, step, lr, _), scalars in zip(self._pending, values, strict=True):
            # Lightning hands back the loss divided by the batches to accumulate
            scalars["loss"] *= self._params.accumulate
            if not math.isfinite(scalars["loss"]):
                raise NonFiniteLoss(self._describe(scalars["loss"], step, epoch, batch, lr))
            size = len(self._loader.batches.indices(batch))
            for name, value in scalars.items():
                self._sums[name] = self._sums.get(name, 0.0) + value * size
            self._samples += size
            self._fresh_samples += size
            self._rows.append({"step": step, "time": round(time.time(), 3), "lr": lr, **scalars})
            if self._display:
                self._display.batch(epoch + 1, batch + 1, scalars["loss"])
        self._pending.clear()

    def _describe(self, loss: float, step: int, epoch: int, batch: int, lr: float) -> str:
        indices = self._loader.batches.indices(batch)
        listed = ", ".join(map(str, indices[:16])) + (", ..." if len(indices) > 16 else "")
        return (
            f"the loss is {loss} at step {step} (epoch {epoch + 1}, batch {batch + 1} of "
            f"{len(self._loader)}, samples {listed} of the training set, learning rate {lr:.3g}): "
            "look at these samples, lower learning_rate or clip_norm, or use precision 32"
        )

    def _flush(self, trainer: Trainer) -> None:
        """Write the steps' rows; several batches of one step become one row of their means."""
        if trainer.is_global_zero:
            for step, group in groupby(self._rows, key=lambda row: row["step"]):
                rows = list(group)
                losses = {
                    f"train/{name}": float(np.mean([row[name] for row in rows]))
                    for name in rows[0]
                    if name not in ("step", "time", "lr")
                }
                self._run.log(step, **{"time": rows[-1]["time"], "lr": rows[0]["lr"], **losses})
        self._rows.clear()

    # ------------------------------------------------------------------ validation and epochs

    def on_validation_start(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        self._validation_started = time.perf_counter()

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: D102
        if self._terminated and trainer.world_size == 1:
            self._stop_preempted()

    def on_validation_end(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        self._validation_seconds = time.perf_counter() - self._validation_started

    def on_train_epoch_end(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        row = self._close_epoch(trainer)
        self._flush(trainer)
        if trainer.is_global_zero:
            self._run.log(row["step"], **{k: v for k, v in row.items() if k != "step"})
        if self.best is None or self._is_better(row, self.best):
            self.best = row
            self._save_best(trainer, task, row)
        self.history.append(row)
        self._sums, self._samples = {}, 0
        trainer.should_stop = self._has_no_patience(row)
        self._save(trainer, row["epoch"], 0)
        if self._display:
            self._display.epoch(row)
        if self._due(trainer, epoch_end=True)[1]:
            self._stop_preempted()

    def on_exception(self, trainer: Trainer, *args: Any) -> None:  # noqa: D102
        if self._display:
            self._display.close()

    def on_fit_end(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        if self._display:
            self._display.close()

    def _close_epoch(self, trainer: Trainer) -> dict[str, Any]:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        means = self._means(trainer)
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "lr": self._lr,
            **means,
            **metrics,
        }
        if self._monitor not in row:
            raise ValueError(
                f"the task logs no '{self._monitor}' to choose the best epoch by; it logs "
                f"{', '.join(sorted({**means, **metrics}))}"
            )
        # every process must decide alike, to the last bit
        row[self._monitor] = trainer.strategy.broadcast(row[self._monitor])
        if not math.isfinite(row[self._monitor]):
            raise NonFiniteLoss(
                f"'{self._monitor}' is {row[self._monitor]} after epoch {row['epoch']}: "
                "lower learning_rate, or look at the validation set"
            )
        seconds = time.perf_counter() - self._started
        training = max(seconds - self._validation_seconds, 1e-9)
        return row | {
            "seconds": round(seconds, 3),
            "samples_per_second": round(self._fresh_samples * trainer.world_size / training, 2),
            "data_wait": round((self._loader.waited - self._waited) / training, 4),
        }

    def _means(self, trainer: Trainer) -> dict[str, float]:
        """Return the epoch's mean of what the training steps returned, over all processes."""
        parts = _gather(trainer, (self._samples, self._sums))
        samples = sum(count for count, _ in parts)
        return {
            f"train/{name}": math.fsum(sums[name] for _, sums in parts) / samples
            for name in self._sums
        }

    def _is_better(self, row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
        return self._sign * row[self._monitor] < self._sign * best[self._monitor]

    def _has_no_patience(self, row: Mapping[str, Any]) -> bool:
        assert self.best is not None
        patience = self._params.patience
        return patience > 0 and row["epoch"] - self.best["epoch"] >= patience

    # ------------------------------------------------------------------ checkpoints

    def _due(self, trainer: Trainer, epoch_end: bool = False) -> tuple[bool, bool]:
        """Whether to save, and whether to stop; the same answer on every process."""
        params, step = self._params, trainer.global_step
        in_turn = bool(params.checkpoint_steps and step % params.checkpoint_steps == 0)
        elapsed = time.monotonic() - self._saved_at
        late = bool(params.checkpoint_seconds and elapsed >= params.checkpoint_seconds)
        stop = self._terminated
        if trainer.world_size > 1:
            if not epoch_end and step % _EXCHANGE_STEPS:
                return in_turn, False
            flags = torch.tensor(
                [late, stop], dtype=torch.uint8, device=trainer.strategy.root_device
            )
            torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX)
            late, stop = (bool(flag) for flag in flags.tolist())
        return in_turn or late, stop

    def _stop_preempted(self) -> None:
        raise Preempted(
            f"stopped by SIGTERM; start again with the same run name ('{self._run.name}') "
            "to continue from the last checkpoint"
        )

    def _save(self, trainer: Trainer, epoch: int, batch: int) -> None:
        """Save everything as ``last.ckpt``, to go on from `batch` of `epoch` (from 0)."""
        self._drain(epoch)
        self._flush(trainer)
        self._position = {"epoch": epoch, "batch": batch}
        trainer.save_checkpoint(self._run.checkpoints / "last.ckpt")
        self._saved_at = time.monotonic()

    def _save_best(self, trainer: Trainer, task: LightningModule, row: Mapping[str, Any]) -> None:
        if trainer.is_global_zero:
            state = self._ema.averaged_state(task) if self._ema else task.state_dict()
            with atomic_file(self._run.checkpoints / "best.ckpt") as beside:
                torch.save({"state_dict": state, "metrics": dict(row)}, beside)

    def on_save_checkpoint(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        own = {"random": random_states(), "sums": self._sums, "samples": self._samples}
        checkpoint[STATE] = {
            **self._position,
            "step": trainer.global_step,
            "history": self.history,
            "best": self.best,
            "stopped": trainer.should_stop,
            "layout": self._layout,
            "processes": _gather(trainer, own),
        }

    def restore(self, state: Mapping[str, Any], rank: int) -> None:
        """Take up the state that `on_save_checkpoint` saved, as process `rank`.

        Raises:
            ValueError: the run was trained with other batches or processes.
        """
        if state["layout"] != self._layout:
            then, now = state["layout"], self._layout
            changes = [
                f"{name} was {then[name]}, is {now[name]}"
                for name in now
                if then[name] != now[name]
            ]
            raise ValueError(
                f"run '{self._run.name}' cannot go on: {'; '.join(changes)}. Give it the same "
                "data, batch size and devices, or choose another run name"
            )
        self.history = list(state["history"])
        self.best = state["best"]
        own = state["processes"][rank]
        self._sums, self._samples = dict(own["sums"]), own["samples"]
        self._random = own["random"]
        self._loader.batches.move_to(state["epoch"], state["batch"])


def _gather(trainer: Trainer, own: Any) -> list[Any]:
    """Return what every process hands in, by rank."""
    everyone = [own] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(everyone, own)
    return everyone


def _floats(outputs: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the scalars of some training steps' outputs, fetched from a GPU all at once."""
    scalars = [
        {
            name: value
            for name, value in output.items()
            if isinstance(value, (int, float)) or (torch.is_tensor(value) and value.numel() == 1)
        }
        for output in outputs
    ]
    tensors = [
        value.detach() for row in scalars for value in row.values() if torch.is_tensor(value)
    ]
    device = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), None)
    if device is None:
        fetched = iter([float(tensor) for tensor in tensors])
    else:
        stacked = torch.stack([tensor.float().reshape(()).to(device) for tensor in tensors])
        fetched = iter(stacked.tolist())
    return [
        {k: next(fetched) if torch.is_tensor(v) else float(v) for k, v in row.items()}
        for row in scalars
    ]


def _refresh_rates(trainer: Trainer) -> None:
    """Set the learning rates that the schedule of this session asks for at this step.

    The loaded ones follow the schedule of the session that saved them, which differs where
    ``epochs`` was raised.
    """
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
            for group, base, factor in zip(
                scheduler.optimizer.param_groups,
                scheduler.base_lrs,
                scheduler.lr_lambdas,
                strict=True,
            ):
                group["lr"] = base * factor(scheduler.last_epoch)
