import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import launch_entries
import psutil
import pytest
import torch

from sightbook.runs.run import Run, open_run
from sightbook.training.launch import LaunchError, launch, main, write_job
from sightbook.training.params import FitParams

HERE = Path(__file__).parent
TWO = FitParams(devices=2, workers=0, epochs=2, batch_size=8, seed=7, precision="32")


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(HERE))


def a_run(name: str, params: FitParams = TWO) -> Run:
    return open_run("donut", name, params, stage="train")


def test_one_device_stays_in_this_process() -> None:
    params = FitParams(devices=1, seed=5)
    run = a_run("one", params)
    assert launch(launch_entries.two_numbers, params, run) == {"seed": 5, "name": "one"}
    assert not (run.path / "launch").exists()


def test_a_text_still_names_the_function() -> None:
    params = FitParams(seed=5)
    with pytest.warns(DeprecationWarning, match="import the function"):
        metrics = launch("launch_entries:two_numbers", params, a_run("one", params))
    assert metrics == {"seed": 5, "name": "one"}
    for text in ("launch_entries:no_such", "no_module:f"):
        with (
            pytest.warns(DeprecationWarning),
            pytest.raises(ValueError, match=f"no function '{text}'"),
        ):
            launch(text, TWO, a_run("run"))


def test_two_processes_train_as_one_with_twice_the_batch(capfd: pytest.CaptureFixture) -> None:
    from launch_entries import weights_of

    run = a_run("two")
    metrics = launch(launch_entries.trains, TWO, run)
    printed = capfd.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in printed] == ["epoch 1/2", "epoch 2/2"]
    first, second = (torch.load(weights_of(run, rank)) for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert [row["step"] for row in run.history() if "epoch" not in row] == list(range(1, 9))

    single = TWO.model_copy(update={"devices": 1, "batch_size": 16})
    alone = launch(launch_entries.trains, single, a_run("alone", single))
    assert alone["step"] == metrics["step"] == 8
    for name in ("train/loss", "validation/loss"):
        assert metrics[name] == pytest.approx(alone[name], rel=1e-4)
    mine = torch.load(weights_of(a_run("alone", single), 0))
    assert all(torch.allclose(value, mine[name], atol=1e-5) for name, value in first.items())


def test_failed_worker_is_the_root_cause() -> None:
    with pytest.raises(LaunchError) as caught:
        launch(launch_entries.one_fails, TWO, a_run("run"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "ZeroDivisionError: the second worker divided by nothing"
    assert lines[2] == "in worker 1 of 2:"
    assert any("launch_entries.py" in line and "one_fails" in line for line in lines)


def test_killed_worker_is_the_root_cause() -> None:
    with pytest.raises(LaunchError, match="worker 1 of 2 was killed by SIGKILL"):
        launch(launch_entries.one_is_killed, TWO, a_run("run"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_caller(tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "from sightbook.training.launch import launch; from sightbook.runs.run import open_run;"
        "from launch_entries import interrupts_its_caller;"
        "from sightbook.training.params import FitParams;"
        f"params = FitParams.parse({TWO.model_dump()!r});"
        "run = open_run('donut', 'run', params, stage='train');"
        "launch(interrupts_its_caller, params, run)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == "ready\n"
    folder = tmp_path / "donut" / "run"
    started = psutil.Process(caller.pid).children(recursive=True)
    pids = {int((folder / f"pid{rank}").read_text()) for rank in (0, 1)}
    assert pids < {process.pid for process in started}
    caller.send_signal(how)
    caller.wait(60)
    caller.stdout.close()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_slurm_task_is_the_same_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run("run")
    job = write_job(run.path / "launch" / "job.json", launch_entries.two_numbers, TWO, run)
    before = dict(os.environ)
    tasks = {"PROCID": "0", "LOCALID": "0", "NTASKS": "4", "STEP_TASKS_PER_NODE": "2(x2)"}
    tasks |= {"STEP_NODELIST": "node[07-08]", "JOB_ID": "12"}
    for name, value in tasks.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    try:
        with pytest.raises(SystemExit) as end:
            main([str(job)])
        assert end.value.code == 0
        assert json.loads((job.parent / "result.json").read_text())["seed"] == 7
        shares = [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")]
        assert shares == ["0", "4", "2"]
        assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node07", "15012")
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_parameters_of_a_notebook_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(FitParams):
        pass

    monkeypatch.setattr(Own, "__module__", "__main__")
    with pytest.raises(ValueError, match="define it in a module"):
        launch(launch_entries.two_numbers, Own(devices=2), a_run("run"))


def test_one_process_uses_the_very_objects_that_it_is_given() -> None:
    given: list[Any] = []

    def train(params: FitParams, run: Run, **parts: Any) -> dict[str, Any]:
        given.append(parts)
        return {}

    task, sets = object(), {"train": [1, 2]}
    params = FitParams()
    launch(train, params, a_run("one", params), task=task, sets=sets)
    launch(train, params, a_run("one", params), sets=sets)
    launch(train, params, a_run("one", params))
    assert given[0]["task"] is task and given[0]["sets"] is sets
    assert given[1:] == [{"sets": sets}, {}]


def test_parts_travel_by_value_and_the_task_comes_back_trained() -> None:
    class Shifted(torch.nn.Linear):  # a class that no worker can import
        def shift(self, by: float) -> None:
            self.bias.data += by

    def train(params: FitParams, run: Run, task: Any, sets: Any) -> dict[str, Any]:
        task.shift(sum(sets["numbers"]))
        return {"kind": type(task).__name__, "seed": params.seed}

    run, task = a_run("two"), Shifted(2, 2)
    before = task.bias.detach().clone()
    metrics = launch(train, TWO, run, task=task, sets={"numbers": [1, 2]})
    assert metrics == {"kind": "Shifted", "seed": 7}
    assert torch.equal(task.bias, before + 3)
    # neither a pickle nor a second copy of the weights stays behind
    assert not [*(run.path / "launch").glob("*.p*")]


class Holder:
    def __init__(self, thing: Any) -> None:
        self.parts = {"inner": [0, thing]}


def test_what_cannot_travel_is_named(tmp_path: Path) -> None:
    run = a_run("run")

    def message(**parts: Any) -> str:
        with pytest.raises(ValueError, match="cannot be handed to other processes") as caught:
            launch(launch_entries.two_numbers, TWO, run, **parts)
        assert "\n" not in str(caught.value)
        assert "devices: 1" in str(caught.value)
        return str(caught.value)

    with (tmp_path / "log").open("w") as log:
        told = message(sets=Holder(log))
    assert told.startswith("sets.parts['inner'][1] (_io.TextIOWrapper)")
    assert "open file" in told
    lock = threading.Lock()
    task = torch.nn.Linear(2, 2)
    task.weigh = lambda loss: lock and loss  # type: ignore[assignment]
    assert message(task=task).startswith("task.weigh -> lock (_thread.lock)")
    device = torch.nn.Linear(2, 2, device="meta")  # in place of a GPU
    told = message(task=torch.nn.Sequential(torch.nn.ReLU(), device))
    assert told.startswith("task.1.weight (torch.nn.parameter.Parameter)")
    assert "a tensor on meta" in told and ".cpu()" in told
