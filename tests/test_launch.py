import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sightbook.launch import LaunchError, launch, main, write_job
from sightbook.runs import Run, open_run
from sightbook.training_params import FitParams

HERE = Path(__file__).parent
TWO = FitParams(devices=2, workers=0, epochs=2, batch_size=8, seed=7, precision="32")


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(HERE))


def a_run(name: str, params: FitParams = TWO) -> Run:
    return open_run("donut", name, params, stage="train")


def test_one_device_stays_in_this_process() -> None:
    params = FitParams(devices=1, seed=5)
    run = a_run("one", params)
    assert launch("launch_entries:two_numbers", params, run) == {"seed": 5, "name": "one"}
    assert not (run.path / "launch").exists()


def test_unknown_function_is_named() -> None:
    with pytest.raises(ValueError, match="no function 'launch_entries:no_such'"):
        launch("launch_entries:no_such", TWO, a_run("run"))
    with pytest.raises(ValueError, match="no function 'no_module:f'"):
        launch("no_module:f", TWO, a_run("run"))


def test_two_processes_train_as_one_with_twice_the_batch(capfd: pytest.CaptureFixture) -> None:
    import torch

    from launch_entries import weights_of

    run = a_run("two")
    metrics = launch("launch_entries:trains", TWO, run)
    printed = capfd.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in printed] == ["epoch 1/2", "epoch 2/2"]
    first, second = (torch.load(weights_of(run, rank)) for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert [row["step"] for row in run.history() if "epoch" not in row] == list(range(1, 9))

    single = TWO.model_copy(update={"devices": 1, "batch_size": 16})
    alone = launch("launch_entries:trains", single, a_run("alone", single))
    assert alone["step"] == metrics["step"] == 8
    for name in ("train/loss", "validation/loss"):
        assert metrics[name] == pytest.approx(alone[name], rel=1e-4)
    mine = torch.load(weights_of(a_run("alone", single), 0))
    assert all(torch.allclose(value, mine[name], atol=1e-5) for name, value in first.items())


def test_failed_worker_is_the_root_cause() -> None:
    with pytest.raises(LaunchError) as caught:
        launch("launch_entries:one_fails", TWO, a_run("run"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "ZeroDivisionError: the second worker divided by nothing"
    assert lines[2] == "in worker 1 of 2:"
    assert any("launch_entries.py" in line and "one_fails" in line for line in lines)


def test_killed_worker_is_the_root_cause() -> None:
    with pytest.raises(LaunchError, match="worker 1 of 2 was killed by SIGKILL"):
        launch("launch_entries:one_is_killed", TWO, a_run("run"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_caller(tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "from sightbook.launch import launch; from sightbook.runs import open_run;"
        "from sightbook.training_params import FitParams;"
        f"params = FitParams.parse({TWO.model_dump()!r});"
        "run = open_run('donut', 'run', params, stage='train');"
        "launch('launch_entries:interrupts_its_caller', params, run)"
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
    job = write_job(run.path / "launch" / "job.json", "launch_entries:two_numbers", TWO, run)
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
        launch("launch_entries:two_numbers", Own(devices=2), a_run("run"))
