"""A training in a process of its own, killed at a step if asked: for tests of exact resume."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCRIPT = """
import json, os, signal, sys
from pydoc import locate
from sightbook.runs import open_run

job = json.loads(sys.argv[1])
train, task, model = (locate(job[name]) for name in ("train", "task", "params"))
step = task.training_step

def counted(self, batch, index):
    if self.trainer.global_step == job["kill_at"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

task.training_step = counted
params = model(**job["given"])
run = open_run(job["line"], params.run, params, stage="train")
run.finish(train(params, run))
"""


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
    job = {"line": line, "train": train, "task": task, "params": params}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps({**job, "given": given, "kill_at": kill_at})],
        env={**os.environ, "SIGHTBOOK_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
