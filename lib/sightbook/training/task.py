"""What a line subclasses to be trained by `training.fit`: a model, its steps, its optimiser."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sightbook.training.params import FitParams

ISAS_WITHOUT_BF16 = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)
"""Values of oneDNN's ONEDNN_MAX_CPU_ISA below the first with bf16 products, AVX512_CORE_BF16."""


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
            fused=resolve_precision(params) == "32" or None,
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


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients for a while; every part goes back to the mode it had.

    What is looked at between two trainings must not go on in evaluation mode, and `fit` leaves
    modes as they are, for the sake of parts that are frozen on purpose.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def is_first_process() -> bool:
    """Whether this is the process that writes files; the others of a launch only train."""
    return os.environ.get("RANK", "0") == "0"


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


def resolve_precision(params: FitParams) -> Any:
    """Return Lightning's name of the precision to train in."""
    if params.precision != "auto":
        return params.precision
    if not torch.cuda.is_available():
        return "bf16-mixed" if _cpu_multiplies_bf16() else "32"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def _cpu_multiplies_bf16() -> bool:
    """Whether this processor has bf16 products of its own, which halve the time of a step.

    Where it has not, they are emulated and several times slower than fp32; so they are where
    oneDNN, which multiplies for PyTorch, is held to older instructions by its environment
    variable (`torch.cpu.get_capabilities` tells of the processor alone). Older PyTorch cannot
    tell: then fp32.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if limit.upper() in ISAS_WITHOUT_BF16:
        return False
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities = ask() if ask is not None else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class Ema(Callback):
    """Exponential moving average of the weights: validated, saved as best, kept at the end.

    The decay warms up as min(decay, (1 + step) / (10 + step)), so that short runs do not drag
    their initial weights along. Checkpoints hold the average as ``ema_state_dict``.
    """

    def __init__(self, decay: float):
        self._decay = decay
        self._loaded: Mapping[str, torch.Tensor] | None = None
        self._step = 0
        self._current: list[torch.Tensor] = []
        self._average: list[torch.Tensor] = []
        self._exact: list[tuple[torch.Tensor, torch.Tensor]] = []

    def on_fit_start(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        saved = task.state_dict().keys()
        # named_parameters lists tied weights once; state_dict would average them twice
        tensors = {
            name: tensor.detach()
            for source in (task.named_parameters(), task.named_buffers())
            for name, tensor in source
            if name in saved
        }
        initial = self._loaded or tensors
        average = {
            name: initial[name].detach().to(tensor.device, copy=True)
            for name, tensor in tensors.items()
        }
        floating = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
        self._current = [tensors[name] for name in floating]
        self._average = [average[name] for name in floating]
        self._exact = [(tensors[name], average[name]) for name in tensors if name not in floating]
        self._loaded = None

    def on_train_batch_end(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:  # gradients are still being accumulated
            return
        self._step = trainer.global_step
        decay = min(self._decay, self._step / (9 + self._step))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self._average, self._current, None)
            for current, average in self._exact:
                average.copy_(current)

    def on_validation_epoch_start(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        self._swap()

    def on_validation_epoch_end(self, trainer: Trainer, task: LightningModule) -> None:  # noqa: D102
        self._swap()

    def averaged_state(self, task: LightningModule) -> dict[str, torch.Tensor]:
        """Return the task's state dict with the average in place of the weights, on the CPU."""
        self._swap()
        state = {name: value.detach().cpu().clone() for name, value in task.state_dict().items()}
        self._swap()
        return state

    def on_save_checkpoint(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["ema_state_dict"] = self.averaged_state(task)
        checkpoint["ema_step"] = self._step

    def on_load_checkpoint(  # noqa: D102
        self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint["ema_state_dict"]
        self._step = checkpoint["ema_step"]

    def _swap(self) -> None:
        pairs = [*zip(self._current, self._average, strict=True), *self._exact]
        for current, average in pairs:
            kept = current.clone()
            current.copy_(average)
            average.copy_(kept)
