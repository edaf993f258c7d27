"""A training in a process of its own, killed at a step if asked: for tests of exact resume."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

import cv2
import torch

from sightbook.runs.run import open_run


def _train(
    outputs: Path,
    line: str,
    names: tuple[str, str, str],
    given: Mapping[str, Any],
    kill_at: int,
    streams: tuple[Path, Path],
) -> None:
    """What the process does; its output goes to files, whatever pytest makes of it."""
    for number, file in enumerate(streams, 1):
        os.dup2(os.open(file, os.O_WRONLY), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    # the threads of the process it was forked from are not here
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    os.environ["SIGHTBOOK_OUTPUTS"] = str(outputs)
    train, task, model = (locate(name) for name in names)
    step = task.training_step

    def counted(self: Any, batch: Any, index: int) -> Any:
        if self.trainer.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, index)

    task.training_step = counted
    params = model(**given)
    run = open_run(line, params.run, params, stage="train")
    run.finish(train(params, run))


def train_in_process(
    outputs: Path,
    line: str,
    *,
    train: str,
    task: str,
    params: str,
    given: Mapping[str, Any],
    kill_at: int = -1,
) -> subprocess.CompletedProcess[str]:
    """Train as a notebook would, or until a step.

    Args:
        outputs: folder of the runs.
        line: the run's.
        train: dotted name of the training function.
        task: dotted name of the class whose steps are counted.
        params: dotted name of the parameters' model.
        given: parameters, `run` among them.
        kill_at: the step before which the process kills itself; -1 for never.
    """
    # Forked, so that it need not import PyTorch, which takes longer than these trainings.
    with tempfile.TemporaryDirectory() as folder:
        streams = Path(folder) / "stdout", Path(folder) / "stderr"
        for file in streams:
            file.touch()
        child = multiprocessing.get_context("fork").Process(
            target=_train, args=(outputs, line, (train, task, params), given, kill_at, streams)
        )
        child.start()
        child.join()
        assert child.exitcode is not None
        stdout, stderr = (file.read_text() for file in streams)
    return subprocess.CompletedProcess([train, given["run"]], child.exitcode, stdout, stderr)
