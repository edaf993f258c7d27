"""Exponential moving average of the weights, as a callback of `training.fit`."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.swa_utils import get_ema_multi_avg_fn


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
