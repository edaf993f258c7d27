"""Where a training runs: in this process, or in one process per device through torchrun.

`launch` is what a notebook calls. With more than one device it writes a job file into the run
folder, starts the workers, prints what the first one prints, and returns its result or raises
what made the first of them fail. The worker is this module itself and needs nothing but the job
file, so that ``srun python -m sightbook.launch JOB`` (one task per device) is the same thing on
a Slurm cluster, and ``torchrun -m sightbook.launch JOB`` wherever torchrun is at home.

The processes form a chain: caller -> agent (torchrun) -> workers. Whichever link dies, the ones
behind it end too; the agent gives the workers time to save, the same as Slurm does.
"""

import argparse
import contextlib
import ctypes
import importlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightbook.params import Parameters, load_model
from sightbook.runs import Run, read_json, write_json

_AGENT_SECONDS = 40  # torchrun itself kills what has not ended 30 s after SIGTERM
_PREEMPTED = 143  # what a shell reports for a process ended by SIGTERM


class LaunchError(RuntimeError):
    """A worker failed; the first line is its error, then come its rank and traceback."""


def launch(entry: str, params: Parameters, run: Run) -> dict[str, Any]:
    """Call ``entry(params, run)`` on as many devices as ``params.devices`` asks for.

    Args:
        entry: ``package.module:function``; it returns a dict of final metrics (of plain values).
        params: its parameters; of a class that can be imported if there are several devices.
        run: the open run; workers attach to it.

    Returns:
        What the function returned (in the first worker).

    Raises:
        LaunchError: a worker failed.
        Preempted: the workers were stopped by SIGTERM after they saved their state.
        ValueError: there are fewer devices than asked for, or `entry` cannot be found.
    """
    function = _find(entry)
    processes = _device_count(getattr(params, "devices", 1))
    if processes == 1:
        return function(params, run)
    folder = run.path / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    job = write_job(folder / "job.json", entry, params, run)
    _run_agent(job, processes)
    errors = [read_json(file) for file in folder.glob("error.*.json")]
    agent = read_json(folder / "agent.json")
    if agent["exitcodes"] or errors:
        raise _root_cause(errors, agent["exitcodes"], processes)
    return read_json(folder / "result.json")


def write_job(path: Path, entry: str, params: Parameters, run: Run) -> Path:
    """Write the file that tells a worker what to do; return its path."""
    model = type(params)
    if model.__module__ == "__main__":
        raise ValueError(
            f"workers cannot import {model.__name__}: define it in a module, not in the notebook"
        )
    job = {
        "entry": entry,
        "model": f"{model.__module__}:{model.__qualname__}",
        "params": params.model_dump(mode="json"),
        "run": str(run.path),
        "stage": run.stage,
    }
    write_json(path, job)
    return path


def main(arguments: list[str] | None = None) -> None:
    """Run a job file's function as one worker (or, with ``--processes``, as the agent)."""
    parser = argparse.ArgumentParser(prog="python -m sightbook.launch", description=main.__doc__)
    parser.add_argument("job", type=Path, help="job.json in a run's folder 'launch'")
    parser.add_argument("--processes", type=int, default=0, help="start so many workers here")
    options = parser.parse_args(arguments)
    if options.processes:
        _agent(options.job, options.processes)
    else:
        sys.exit(_work(options.job))


def _find(entry: str) -> Callable[[Any, Run], dict[str, Any]]:
    module, _, name = entry.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"there is no function '{entry}': {error}") from error


def _device_count(devices: int | str) -> int:
    if "WORLD_SIZE" in os.environ or devices == 1:  # a worker starts no others
        return 1
    import torch

    there = torch.cuda.device_count()
    if devices == "auto":
        return max(there, 1)
    if 0 < there < int(devices):
        raise ValueError(f"devices is {devices}, but this machine has {there} GPU(s)")
    return int(devices)


# ---------------------------------------------------------------------- the caller


def _run_agent(job: Path, processes: int) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    agent = subprocess.Popen(
        [sys.executable, "-m", "sightbook.launch", str(job), "--processes", str(processes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"OMP_NUM_THREADS": threads, **os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # Ctrl+C is for the caller, who tells the agent
    )
    assert agent.stdout is not None
    try:
        for line in agent.stdout:
            print(line, end="", flush=True)
        agent.wait()
    finally:
        _end(agent)
        agent.stdout.close()


def _end(agent: subprocess.Popen) -> None:
    if agent.poll() is None:
        agent.terminate()
        try:
            agent.wait(_AGENT_SECONDS)
        finally:
            agent.kill()  # its workers die with it
            agent.wait()


def _root_cause(
    errors: list[dict[str, Any]], exitcodes: dict[str, int], processes: int
) -> RuntimeError:
    """Return the error of the worker that failed first; the others only lost their peer."""
    reported = {error["rank"] for error in errors}
    for rank, code in exitcodes.items():
        # by SIGTERM the agent ends the others
        if code < 0 and code != -signal.SIGTERM and int(rank) not in reported:
            name = signal.Signals(-code).name
            hint = " (was the memory full?)" if name == "SIGKILL" else ""
            return LaunchError(f"worker {rank} of {processes} was killed by {name}{hint}")
    if not errors:
        codes = ", ".join(f"worker {rank}: {code}" for rank, code in exitcodes.items())
        return LaunchError(f"the workers ended without a word (exit codes: {codes or 'none'})")
    first = min(errors, key=lambda error: error["time"])
    if first["preempted"]:
        from sightbook.training_callbacks import Preempted

        return Preempted(first["message"])
    return LaunchError(
        f"{first['error']}\n\nin worker {first['rank']} of {processes}:\n{first['traceback']}"
    )


# ---------------------------------------------------------------------- the agent


def _agent(job: Path, processes: int) -> None:
    """Be torchrun, and leave a note of how the workers ended."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    _die_with_parent(signal.SIGTERM)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    exitcodes = {}
    try:
        torchrun(
            [
                "--standalone",  # finds a free port by itself
                "--local-addr=127.0.0.1",
                f"--nproc-per-node={processes}",
                "--module",
                "sightbook.launch",
                str(job),
            ]
        )
    except ChildFailedError as error:
        exitcodes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    finally:
        write_json(job.with_name("agent.json"), {"exitcodes": exitcodes})


# ---------------------------------------------------------------------- the worker


def _work(job_file: Path) -> int:
    """Do one worker's share; return the exit code."""
    if "RANK" not in os.environ and "SLURM_PROCID" in os.environ:
        _take_slurm_environment()
    rank = int(os.environ.get("RANK", 0))
    is_agents_child = "TORCHELASTIC_RUN_ID" in os.environ
    if is_agents_child:
        _die_with_parent(signal.SIGKILL)
    if rank > 0:
        _write_to(job_file.with_name(f"rank{rank}.log"))
    job = read_json(job_file)
    try:
        params = load_model(job["model"]).parse(job["params"])
        result = _find(job["entry"])(params, Run.attach(job["run"], job["stage"]))
        if rank == 0:
            write_json(job_file.with_name("result.json"), result)
        _leave_together()
        return 0
    except BaseException as error:
        lines = traceback.format_exception(error)
        preempted = type(error).__name__ == "Preempted"
        report = {
            "rank": rank,
            "time": time.time(),
            "error": "".join(traceback.format_exception_only(error)).strip(),
            "message": str(error),
            "preempted": preempted,
            "traceback": "".join(lines),
        }
        write_json(job_file.with_name(f"error.{rank}.json"), report)
        if rank > 0 or not is_agents_child:  # else the caller shows it
            print("".join(lines), file=sys.stderr, flush=True)
        return _PREEMPTED if preempted else 1


def _leave_together() -> None:
    """Close the process group once every worker is done.

    A worker whose peer has already gone may abort in gloo's own threads on its way out, although
    all its work is done.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _take_slurm_environment() -> None:
    """Say in torchrun's words what srun told this task."""
    from lightning.fabric.plugins.environments import SLURMEnvironment

    env = os.environ
    nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_NODELIST", "127.0.0.1")
    tasks_here = env.get("SLURM_STEP_TASKS_PER_NODE", env["SLURM_NTASKS"]).split("(")[0]
    given = {
        "RANK": env["SLURM_PROCID"],
        "LOCAL_RANK": env["SLURM_LOCALID"],
        "WORLD_SIZE": env["SLURM_NTASKS"],
        "LOCAL_WORLD_SIZE": tasks_here,
        "MASTER_ADDR": SLURMEnvironment.resolve_root_node_address(nodes),
        # the same for all tasks of a job, different for two jobs on a node
        "MASTER_PORT": str(15000 + int(env.get("SLURM_JOB_ID", 0)) % 20000),
    }
    env.update({name: value for name, value in given.items() if name not in env})


def _write_to(log: Path) -> None:
    """Send this process's output to a file, what native code writes too."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _die_with_parent(signum: signal.Signals) -> None:
    """Ask Linux for `signum` when the parent ends, even by kill -9."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signum))  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main()
