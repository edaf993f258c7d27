"""Run a notebook headlessly with papermill, checked before a kernel starts, with true results.

Papermill alone starts a kernel to find a misspelt parameter, prints its own log between the
notebook's lines, and leaves a notebook marked "completed" when the kernel was killed. Here the
parameters are held against the notebook's model first, both output streams of the kernel go to
the terminal as they come, and the outcome says what happened.
"""

import ast
import contextlib
import difflib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import nbformat
import psutil
from nbformat import NotebookNode

from sightbook.params import (
    ParameterError,
    Parameters,
    load_model,
    old_names,
    repository_root,
)
from sightbook.runs import provenance
from sightbook.runs import run as runs
from sightbook.runs.files import atomic_file


class NotebookError(runs.RunError):
    """A notebook that cannot be found or read; the message says what was expected."""


@dataclass(frozen=True)
class Outcome:
    """What came of a notebook's run.

    Attributes:
        notebook: the executed notebook, with its outputs.
        folder: where it lies: the run folder that the notebook opened, if it did.
        seconds: wall-clock time from the start of the kernel to its end.
        error: None if every cell ran, else what went wrong and where, in one line.
        traceback: the failing cell's traceback as IPython coloured it, if there is one.
        interrupted: whether the user stopped it (Ctrl-C).
    """

    notebook: Path
    folder: Path
    seconds: float
    error: str | None = None
    traceback: str = ""
    interrupted: bool = False


def find_notebook(name: str) -> Path:
    """Return the notebook of that path or name (``02_train_donut``), looked for in notebooks/.

    Raises:
        NotebookError: there is none; names the nearest.
    """
    file = name if name.endswith(".ipynb") else f"{name}.ipynb"
    folder = repository_root() / "notebooks"
    for path in (Path(file), folder / file, repository_root() / file):
        if path.is_file():
            return path.resolve()
    there = sorted(path.stem for path in folder.glob("*.ipynb"))
    close = difflib.get_close_matches(Path(file).stem, there, n=1)
    hint = (
        f", did you mean '{close[0]}'?" if close else f"; there are: {', '.join(there) or 'none'}"
    )
    raise NotebookError(f"no notebook '{name}'{hint}")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook; NotebookError if it is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path} is no notebook: {error}") from error


def parameters_cell(notebook: NotebookNode) -> str | None:
    """Return the source of the cell tagged ``parameters``; None if there is none."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            return cell.source
    return None


def parameters_model(notebook: NotebookNode) -> type[Parameters] | None:
    """Return the parameter model that the notebook's metadata names, if it names one."""
    reference = _reference(notebook)
    return load_model(reference) if reference else None


def parameters_reference(path: Path) -> str:
    """Return ``module:Class`` of a notebook's parameter model; empty if it names none."""
    return _reference(read_notebook(path))


def _reference(notebook: NotebookNode) -> str:
    return str(notebook.metadata.get("sightbook", {}).get("parameters") or "")


def cell_values(source: str) -> dict[str, Any]:
    """Return what a parameters cell assigns, without running it.

    Raises:
        ParameterError: the cell holds something else than ``name: type = literal``.
    """
    values = {}
    try:
        for node in ast.parse(source).body:
            if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
                raise ValueError(f"line {node.lineno} is something else")
            values[node.target.id] = ast.literal_eval(node.value or ast.Constant(None))
    except (ValueError, TypeError, SyntaxError) as error:
        raise ParameterError(
            f"the parameters cell may hold 'name: type = literal' only: {error}"
        ) from None
    return values


def check_parameters(notebook: NotebookNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the cell's values, overridden by those given, against the notebook's model.

    Args:
        notebook: a notebook with a cell tagged ``parameters``.
        given: values of the command line or a YAML file, of whatever type they came in.

    Returns:
        The given parameters in the types the model asks for, ready for papermill.

    Raises:
        ParameterError: an unknown name, wrong type or impossible value.
    """
    source = parameters_cell(notebook)
    model = parameters_model(notebook)
    if source is None:
        if given:
            raise ParameterError(
                "the notebook has no cell tagged 'parameters', so it does not take "
                + ", ".join(given)
            )
        return {}
    if model is None:
        return dict(given)
    checked = model.parse({**cell_values(source), **given}).model_dump(mode="json")
    today = old_names(model)
    return {today.get(name, name): checked[today.get(name, name)] for name in given}


def run_notebook(
    path: Path,
    given: Mapping[str, Any] | None = None,
    *,
    command: str = "",
    stream: TextIO | None = None,
) -> Outcome:
    """Run one notebook with papermill; its executed copy ends up in the run folder it opened.

    A notebook that opens no run leaves its copy under ``outputs/notebooks``.

    Args:
        path: the notebook.
        given: parameters that differ from the notebook's own.
        command: the command line to record in the run.
        stream: where the kernel's standard output and error go as they come (the terminal).

    Raises:
        ParameterError: before any kernel starts.
    """
    notebook = read_notebook(path)
    values = check_parameters(notebook, given or {})
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sightbook-") as folder:
        pointer = Path(folder) / "run"
        scratch = Path(folder) / path.name
        variables = {
            runs.POINTER: str(pointer),
            provenance.COMMAND: command or f"sightbook run {path.stem}",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's warning about frozen modules
        }
        with environment(variables):
            error, traceback, interrupted = _execute(path, scratch, values, stream or sys.stdout)
        if pointer.is_file():
            target = Path(pointer.read_text())
        else:
            stamp = time.strftime("%y%m%d-%H%M%S")
            target = runs.outputs_root() / "notebooks" / f"{path.stem}-{stamp}"
        target.mkdir(parents=True, exist_ok=True)
        executed = target / path.name
        if scratch.is_file():
            if error:
                _mark_failed(scratch, error)
            with atomic_file(executed) as beside:
                shutil.copyfile(scratch, beside)
    if error:
        _close_failed_run(target, error)
    return Outcome(
        executed, target, time.monotonic() - started, error, traceback, interrupted=interrupted
    )


def _execute(
    path: Path, output: Path, values: dict[str, Any], stream: TextIO
) -> tuple[str | None, str, bool]:
    """Run papermill; return the error in one line (None if none), its traceback, interrupted."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    try:
        with _sigterm_reaches_the_kernel():
            papermill.execute_notebook(
                path,
                output,
                values,
                kernel_name="python3",
                progress_bar=False,
                extra_arguments=["--log-level=40"],  # its own remarks are not the notebook's
                stdout_file=stream,
                stderr_file=stream,
            )
    except PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}".rstrip(": ")
        return (
            f"cell [{error.exec_count}] raised {_one_line(message)}",
            "\n".join(error.traceback),
            False,
        )
    except DeadKernelError:
        return (
            "the kernel died: it was killed, ran out of memory or crashed in native code",
            "",
            False,
        )
    except KeyboardInterrupt:
        return "interrupted", "", True
    return None, "", False


@contextlib.contextmanager
def _sigterm_reaches_the_kernel() -> Iterator[None]:
    """Hand SIGTERM on to the kernel, so that a training saves itself before it ends.

    A scheduler tells the whole group of processes; ``kill`` and service managers tell this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_on(signum: int, frame: object) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _mark_failed(path: Path, error: str) -> None:
    """Correct the record of a notebook whose kernel died: papermill calls its cells completed."""
    notebook = nbformat.read(path, as_version=4)
    if notebook.metadata.papermill.get("exception"):
        return
    notebook.metadata.papermill["exception"] = True
    started = [cell for cell in notebook.cells if cell.metadata.papermill.get("start_time")]
    code = [cell for cell in started if cell.cell_type == "code"]
    if code:
        code[-1].metadata.papermill.update(exception=True, status="failed")
        name, _, value = error.partition(": ")
        code[-1].outputs.append(
            nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[error])
        )
    for cell in notebook.cells:
        if cell not in started:
            cell.metadata.papermill["status"] = "pending"
    nbformat.write(notebook, path)


def _close_failed_run(folder: Path, error: str) -> None:
    """Mark the stages that the notebook left open in its run as failed."""
    run_file = folder / "run.json"
    if not run_file.is_file():
        return
    record = runs.read_json(run_file)
    for facts in (record, *record.get("stages", {}).values()):
        ended_by_itself = facts.get("error", "").startswith("the process ended")
        if facts.get("status") == "running" or ended_by_itself:
            facts.update(status="failed", error=error)
    runs.write_json(run_file, record)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; processes started meanwhile inherit them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
