"""Where a training runs: in this process, or in one process per device through torchrun.

`launch` is what a notebook calls, with the function that trains, the task (a model and its loss)
and the data sets that its cells have shown. One process uses exactly these objects. With more than
one device they are written into the run folder by value, classes and functions of the notebook
included, beside a job file; the workers are started, what the first one prints is printed, and its
result is returned or what made the first of them fail is raised. The worker is this module itself
and needs nothing but the job file, so that ``srun python -m sightbook.training.launch JOB`` (one
task per device) is the same thing on a Slurm cluster, and ``torchrun -m sightbook.training.launch
JOB`` wherever torchrun is at home.

The processes form a chain: caller -> agent (torchrun) -> workers. Whichever link dies, the ones
behind it end too; the agent gives the workers time to save, the same as Slurm does.
"""

import argparse
import contextlib
import ctypes
import functools
import importlib
import io
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle

from sightbook.params import Parameters, load_model
from sightbook.runs.files import atomic_file
from sightbook.runs.run import Run, read_json, write_json

_AGENT_SECONDS = 40  # torchrun itself kills what has not ended 30 s after SIGTERM
_PREEMPTED = 143  # what a shell reports for a process ended by SIGTERM
_PARTS = "parts.pkl"
_TRAINED = "task.pt"

Train = Callable[..., dict[str, Any]]
"""``train(params, run)``, or with ``task`` and ``sets``: returns final metrics (plain values)."""


class LaunchError(RuntimeError):
    """A worker failed; the first line is its error, then come its rank and traceback."""


def launch(
    train: Train | str, params: Parameters, run: Run, *, task: Any = None, sets: Any = None
) -> dict[str, Any]:
    """Call ``train(params, run, task=task, sets=sets)`` on as many devices as `params` ask for.

    Args:
        train: a line's training function, or one that is defined in the notebook. (A text
            ``package.module:function`` works for one more release.)
        params: its parameters; of a class that can be imported if there are several devices.
        run: the open run; workers attach to it.
        task: the model and its loss; left with the trained weights, wherever it was trained. None:
            `train` makes its own.
        sets: what to train and to validate on. None: `train` makes its own.

    Returns:
        What the function returned (in the first worker).

    Raises:
        LaunchError: a worker failed.
        Preempted: the workers were stopped by SIGTERM after they saved their state.
        ValueError: there are fewer devices than asked for, a text names no function, or something
            cannot be handed to other processes; says what, why and what to do.
    """
    if isinstance(train, str):
        warnings.warn(
            f"launch({train!r}, ...): import the function and hand it in; texts will be refused",
            DeprecationWarning,
            stacklevel=2,
        )
        train = _find(train)
    processes = _device_count(getattr(params, "devices", 1))
    if processes == 1:
        return train(params, run, **_given(task, sets))
    folder = run.path / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    job = write_job(folder / "job.json", train, params, run, task=task, sets=sets)
    try:
        _run_agent(job, processes)
        errors = [read_json(file) for file in folder.glob("error.*.json")]
        agent = read_json(folder / "agent.json")
        if agent["exitcodes"] or errors:
            raise _root_cause(errors, agent["exitcodes"], processes)
        if task is not None:
            import torch

            task.load_state_dict(torch.load(folder / _TRAINED, weights_only=True))
        return read_json(folder / "result.json")
    finally:
        for name in (_PARTS, _TRAINED):  # as large as data and model
            (folder / name).unlink(missing_ok=True)


def write_job(
    path: Path, train: Train, params: Parameters, run: Run, *, task: Any = None, sets: Any = None
) -> Path:
    """Write the files that tell a worker what to do; return the path of the first.

    Raises:
        ValueError: something cannot be handed to other processes.
    """
    model = type(params)
    if model.__module__ == "__main__":
        raise ValueError(
            f"workers cannot import {model.__name__}: define it in a module, not in the notebook"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_parts(path.with_name(_PARTS), {"train": train, **_given(task, sets)})
    job = {
        "model": f"{model.__module__}:{model.__qualname__}",
        "params": params.model_dump(mode="json"),
        "run": str(run.path),
        "stage": run.stage,
    }
    write_json(path, job)
    return path


def main(arguments: list[str] | None = None) -> None:
    """Run a job file's function as one worker (or, with ``--processes``, as the agent)."""
    parser = argparse.ArgumentParser(
        prog="python -m sightbook.training.launch", description=main.__doc__
    )
    parser.add_argument("job", type=Path, help="job.json in a run's folder 'launch'")
    parser.add_argument("--processes", type=int, default=0, help="start so many workers here")
    options = parser.parse_args(arguments)
    if options.processes:
        _agent(options.job, options.processes)
    else:
        sys.exit(_work(options.job))


def _given(task: Any, sets: Any) -> dict[str, Any]:
    return {k: v for k, v in {"task": task, "sets": sets}.items() if v is not None}


def _find(entry: str) -> Train:
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


# ---------------------------------------------------------------------- parts by value


class _Pickler(cloudpickle.Pickler):
    """Also refuses what would be pickled and be of no use in another process."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, io.IOBase) and not isinstance(obj, (io.BytesIO, io.StringIO)):
            raise pickle.PicklingError("it is an open file")
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
            raise pickle.PicklingError(f"it is a tensor on {obj.device}, move it with .cpu() first")
        return super().reducer_override(obj)


class _Nowhere(io.RawIOBase):
    """Takes what is only tried."""

    def write(self, data: Any) -> int:
        return len(data)


def _write_parts(path: Path, parts: dict[str, Any]) -> None:
    try:
        with atomic_file(path) as beside, beside.open("wb") as file:
            _Pickler(file).dump(parts)
    except Exception:
        for name, part in parts.items():
            if _refusal(part):
                raise ValueError(_what_stays_here(name, part)) from None
        raise


def _refusal(value: Any) -> str:
    """Why a value cannot be pickled; empty if it can."""
    try:
        _Pickler(_Nowhere()).dump(value)
    except Exception as error:  # whatever a reduction of somebody's class raises
        return str(error) or type(error).__name__
    return ""


def _what_stays_here(where: str, value: Any) -> str:
    """Name the innermost part that cannot be pickled."""
    seen: set[int] = set()
    found = True
    while found:
        found = False
        for name, inner in _inside(value):
            if id(inner) not in seen and _refusal(inner):
                where, value, found = where + name, inner, True
                break
            seen.add(id(inner))
        seen.add(id(value))
    return (
        f"{where} ({type(value).__module__}.{type(value).__qualname__}) cannot be handed to "
        f"other processes: {_refusal(value)}. Make it where it is used, in a step or in train, "
        "or train with devices: 1"
    )


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value is pickled with: how an error names it, and the thing itself."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{place}]", inner) for place, inner in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from ((f".{name}", getattr(value, name)) for name in ("func", "args", "keywords"))
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        used = {name: cell.cell_contents for name, cell in cells}
        names = [name for code in _codes(value.__code__) for name in code.co_names]
        used |= {name: value.__globals__[name] for name in names if name in value.__globals__}
        yield from ((f" -> {name}", inner) for name, inner in used.items())
    elif isinstance(value, type):
        own = {n: v for n, v in vars(value).items() if not n.startswith(("__", "_abc_"))}
        yield from ((f".{name}", inner) for name, inner in own.items())
    else:
        states = value.__getstate__()  # a dict; with slots a pair of them; None for none
        states = states if isinstance(states, tuple) else (states,)
        state = {k: v for part in states if isinstance(part, dict) for k, v in part.items()}
        for kind in ("_parameters", "_buffers", "_modules"):  # of a torch module
            state |= state.pop(kind, {})
        yield from ((f".{name}", inner) for name, inner in state.items())
        yield f" -> class {type(value).__qualname__}", type(value)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


# ---------------------------------------------------------------------- the caller


def _run_agent(job: Path, processes: int) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    agent = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sightbook.training.launch",
            str(job),
            "--processes",
            str(processes),
        ],
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
        from sightbook.training.recorder import Preempted

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
                "sightbook.training.launch",
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
        # A pickle runs code. This one is our own: `write_job` made it in the run folder moments
        # ago, of what the same user's notebook holds, and whoever can write there can as well
        # write the notebook.
        with job_file.with_name(_PARTS).open("rb") as file:
            parts = pickle.load(file)
        train, task = parts.pop("train"), parts.get("task")
        result = train(params, Run.attach(job["run"], job["stage"]), **parts)
        if rank == 0:
            write_json(job_file.with_name("result.json"), result)
            if task is not None:
                _save_trained(task, job_file.with_name(_TRAINED))
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


def _save_trained(task: Any, path: Path) -> None:
    import torch

    state = {name: value.detach().cpu() for name, value in task.state_dict().items()}
    with atomic_file(path) as beside:
        torch.save(state, beside)


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
