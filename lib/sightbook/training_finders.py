"""Trials before a training: the largest batch that fits, a good learning rate."""

import contextlib
import io
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import lightning
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from matplotlib.figure import Figure

from sightbook.training_params import FitParams

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
