"""What the workers of test_launch.py run; a module, because they have to import it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from sightbook.runs.run import Run
from sightbook.training.params import FitParams


def two_numbers(params: FitParams, run: Run) -> dict[str, Any]:
    return {"seed": params.seed, "name": run.name}


def one_fails(params: FitParams, run: Run) -> dict[str, Any]:
    if os.environ["RANK"] == "1":
        raise ZeroDivisionError("the second worker divided by nothing")
    time.sleep(60)
    return {}


def one_is_killed(params: FitParams, run: Run) -> dict[str, Any]:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    return {}


def interrupts_its_caller(params: FitParams, run: Run) -> dict[str, Any]:
    (run.path / f"pid{os.environ['RANK']}").write_text(str(os.getpid()))
    if os.environ["RANK"] == "0":
        while not (run.path / "pid1").exists():
            time.sleep(0.05)
        print("ready", flush=True)
    time.sleep(60)
    return {}


def trains(params: FitParams, run: Run) -> dict[str, Any]:
    import torch
    from test_fit import PlainTask, Points

    from sightbook.training.fit import fit, seed_everything

    class Kept(PlainTask):
        def on_train_end(self) -> None:
            torch.save(self.state_dict(), weights_of(run, int(os.environ.get("RANK", 0))))

    seed_everything(params.seed)
    return fit(Kept(), Points(64), Points(16), run, params).metrics


def weights_of(run: Run, rank: int) -> Path:
    return run.path / f"weights{rank}.pt"
