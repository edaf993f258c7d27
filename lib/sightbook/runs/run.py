"""Run folders: ``outputs/<line>/<run>/`` is the whole record of an experiment.

The stage that creates a run (training, as a rule) owns its flat record: ``params.yaml``,
``run.json`` and ``metrics.json``. A later stage that opens the same run (evaluation, export)
adds ``params_<stage>.yaml``, an entry under ``stages`` in ``run.json`` and one under its own name
in ``metrics.json``. Every file appears whole or not at all; ``metrics.jsonl`` grows a line at a
time and loses at most its torn last line when the process is killed.
"""

import atexit
import contextlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from sightbook.params import Parameters, old_names, repository_root, resolve_path
from sightbook.runs import provenance
from sightbook.runs.files import plain, read_json, write_atomic, write_json

POINTER = "SIGHTBOOK_RUN_POINTER"
"""Environment variable naming a file into which `open_run` writes the run folder's path."""

OUTPUTS = "SIGHTBOOK_OUTPUTS"
"""Environment variable naming the folder of all runs, instead of ``outputs``."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = {"latest", "reference"}


class RunError(RuntimeError):
    """A run folder that cannot be opened, found or continued; the message says what to do."""


class Run:
    """An open run folder. Made by `open_run`; worker processes use `attach`."""

    def __init__(self, path: Path, stage: str, owner: bool = True) -> None:
        self.path = path
        self.stage = stage
        self._owner = owner
        """Whether the record at the top level of ``run.json`` is this stage's."""

    @classmethod
    def attach(cls, path: str | os.PathLike[str], stage: str = "train") -> Self:
        """Open an existing run without touching its record (for processes that it spawned)."""
        run_file = Path(path) / "run.json"
        if not run_file.is_file():
            raise RunError(f"{path} is no run folder: it holds no run.json")
        return cls(Path(path), stage, owner=read_json(run_file).get("stage") == stage)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, stage={self.stage!r})"

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.path.name

    @property
    def line(self) -> str:
        """The line the run belongs to."""
        return self.path.parent.name

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints; made on first use."""
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def figures(self) -> Path:
        """Folder of the figures; made on first use."""
        folder = self.path / "figures"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def facts(self) -> dict[str, Any]:
        """This stage's record in ``run.json``."""
        record = read_json(self.path / "run.json")
        return record if self._owner else record["stages"][self.stage]

    def record(self, **facts: Any) -> None:
        """Add facts to this stage's record, such as ``dataset={"fingerprint": ...}``."""
        record = read_json(self.path / "run.json")
        mine = record if self._owner else record["stages"][self.stage]
        mine.update(facts)
        write_json(self.path / "run.json", record)

    def log(self, step: int, **metrics: Any) -> None:
        """Append one row of metrics to ``metrics.jsonl``.

        Args:
            step: optimiser step the values belong to.
            metrics: numbers (also 0-d arrays and tensors) or short texts; a NaN or infinite
                value is kept as null. Names with a slash are passed as ``**{"train/loss": 1.0}``.
        """
        row = {"step": int(step), "time": round(time.time(), 3), **plain(metrics)}
        # One write of one whole line: a kill loses this row at most, never an earlier one.
        line = json.dumps(row, ensure_ascii=False) + "\n"
        with (self.path / "metrics.jsonl").open("ab", buffering=0) as file:
            file.write(line.encode())

    def history(self) -> list[dict[str, Any]]:
        """All rows of ``metrics.jsonl`` in order."""
        return read_metrics(self.path)

    def rewind(self, step: int) -> None:
        """Drop the rows logged after `step`, from where a checkpoint goes on."""
        rows = [row for row in self.history() if row["step"] <= step]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomic(self.path / "metrics.jsonl", text)

    def figure(self, figure: Any, name: str) -> Path:
        """Save a matplotlib figure or a PIL picture as ``figures/<name>.png``; return its path."""
        path = self.figures / f"{name}.png"
        buffer = io.BytesIO()
        if hasattr(figure, "savefig"):
            figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight")
        else:
            figure.save(buffer, format="png")
        write_atomic(path, buffer.getvalue())
        return path

    def finish(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Write the final metrics and mark the stage finished."""
        path = self.path / "metrics.json"
        final = read_json(path) if path.is_file() else {}
        values = plain(metrics or {})
        stages = set(read_json(self.path / "run.json").get("stages", {}))
        if self._owner:
            final = {**values, **{name: final[name] for name in stages if name in final}}
        else:
            final[self.stage] = values
        write_json(path, final)
        self._close("finished")

    def fail(self, error: BaseException | str) -> None:
        """Mark the stage failed, with the reason."""
        if isinstance(error, BaseException):
            error = f"{type(error).__name__}: {error}".rstrip(": ")
        self._close("failed", error=error)

    def _close(self, status: str, **facts: Any) -> None:
        ended = datetime.now(UTC)
        seconds = (ended - datetime.fromisoformat(self.facts["started"])).total_seconds()
        self.record(
            status=status,
            ended=_stamp(ended),
            seconds=round(seconds, 2),
            peak_memory=provenance.peak_memory(),
            **facts,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.fail(error)
        elif self.facts["status"] == "running":
            self.finish()


def open_run(
    line: str,
    name: str | None = None,
    params: Parameters | None = None,
    *,
    stage: str,
    resume: bool = True,
) -> Run:
    """Create a run, continue one that was cut off, or add a stage to one.

    Args:
        line: the line's name, the folder under ``outputs``.
        name: the run's name; empty for a new one from the time; ``latest`` or a path for one
            that exists.
        params: the resolved parameters, kept as YAML.
        stage: ``train``, ``evaluate``, ``export`` ...
        resume: False throws away an existing run of that name and starts anew (only for the
            stage that created it).

    Raises:
        RunError: the name is not usable; the run was made with other parameters; or another
            process is writing it.
    """
    path = _folder(line, name)
    run_file = path / "run.json"
    if not resume and run_file.is_file() and read_json(run_file).get("stage") == stage:
        refuse_if_busy(path, read_json(run_file))
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    previous = read_json(run_file) if run_file.is_file() else {}
    owner = previous.get("stage", stage) == stage
    mine = previous if owner else previous.get("stages", {}).get(stage, {})
    refuse_if_busy(path, mine)
    params_file = path / ("params.yaml" if owner else f"params_{stage}.yaml")
    if owner and params is not None and params_file.is_file():
        _refuse_other_params(path, params_file, params)
    write_atomic(params_file, params.to_yaml() if params is not None else "{}\n")
    record = _new_record(line, path.name, stage, params, mine)
    if owner:
        record |= {"stages": previous.get("stages", {})}
    else:
        record = {**previous, "stages": {**previous.get("stages", {}), stage: record}}
    write_json(run_file, record)
    _drop_torn_line(path / "metrics.jsonl")
    point_to(path)
    run = Run(path, stage, owner)
    atexit.register(_fail_if_still_running, run, os.getpid())
    return run


def point_to(path: Path) -> None:
    """Tell the command that runs this notebook where its results lie."""
    pointer = os.environ.get(POINTER)
    if pointer:
        write_atomic(Path(pointer), str(path))


def outputs_root() -> Path:
    """Folder of all runs: ``outputs`` in the repository, or ``SIGHTBOOK_OUTPUTS`` if set."""
    return resolve_path(os.environ.get(OUTPUTS) or "outputs")


def dataset_folder(line: str, name: str) -> Path:
    """Folder in which a line's prepared data set of that name lies (not made here)."""
    return outputs_root() / "data" / line / name


def find_run(line: str, which: str | os.PathLike[str] = "latest") -> Path:
    """Return the folder of an existing run, of any stage and state.

    Which model a stage works on is asked of :mod:`sightbook.inference.models`.

    Args:
        line: the line's name.
        which: ``latest``, a run's name, ``reference`` (the shipped one) or a path.

    Raises:
        RunError: no such run; says which there are.
    """
    runs = list_runs(line)
    if str(which) in ("", "latest"):
        if not runs:
            raise RunError(
                f"there is no run of '{line}' under {outputs_root() / line}; "
                f"run the training notebook first: sightbook run 02_train_{line}"
            )
        return runs[-1]
    if str(which) == "reference":
        path = repository_root() / "outputs" / "reference" / line
    elif (outputs_root() / line / which).is_dir():
        path = outputs_root() / line / which
    else:
        path = resolve_path(which)
    if not path.is_dir():
        names = ", ".join(run.name for run in runs) or "none yet"
        raise RunError(f"there is no run '{which}' of '{line}' (runs: {names})")
    return path.resolve()


def list_runs(line: str | None = None) -> list[Path]:
    """Return run folders, oldest first, of one line or of all."""
    pattern = f"{line or '*'}/*/run.json"
    runs = []
    for file in outputs_root().glob(pattern):
        with contextlib.suppress(ValueError, OSError):
            runs.append((str(read_json(file).get("created", "")), file.parent))
    return [path for _, path in sorted(runs)]


def discard_complete(path: Path, last_stage: str) -> None:
    """Remove a run folder whose stages are all finished, up to and with `last_stage`."""
    run_file = path / "run.json"
    if not run_file.is_file():
        return
    record = read_json(run_file)
    stages = {record.get("stage"): record, **record.get("stages", {})}
    if last_stage in stages and all(facts["status"] == "finished" for facts in stages.values()):
        shutil.rmtree(path)


def status_of(facts: Mapping[str, Any]) -> str:
    """Status of a stage's record: running, finished, failed, or killed (running, but gone)."""
    status = str(facts.get("status", "unknown"))
    on_this_machine = facts.get("host") == socket.gethostname()
    return "killed" if status == "running" and on_this_machine and not _alive(facts) else status


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a run folder's ``metrics.jsonl``; a torn last line is left out."""
    file = path / "metrics.jsonl"
    if not file.is_file():
        return []
    rows = []
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines) - 1 and any(lines[number + 1 :]):
                raise RunError(f"{file}, line {number + 1} is no JSON") from None
    return rows


# ------------------------------------------------------------------ opening


def _folder(line: str, name: str | None) -> Path:
    if not name:
        return outputs_root() / line / _free_name(line)
    if name in _RESERVED:
        return find_run(line, name)
    if "/" in name or os.sep in name:
        return resolve_path(name)
    if not _NAME.fullmatch(name):
        raise RunError(
            f"run name {name!r} cannot be a folder's: use letters, digits, '.', '_' and '-'"
        )
    return outputs_root() / line / name


def _free_name(line: str) -> str:
    stamp = datetime.now().strftime("%y%m%d-%H%M%S")
    taken = {run.name for run in list_runs(line)}
    return stamp if stamp not in taken else f"{stamp}-{secrets.token_hex(2)}"


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _new_record(
    line: str, name: str, stage: str, params: Parameters | None, previous: Mapping[str, Any]
) -> dict[str, Any]:
    now = _stamp(datetime.now(UTC))
    values = params.model_dump(mode="json") if params is not None else {}
    kept = {key: previous[key] for key in ("dataset",) if key in previous}
    return {
        "line": line,
        "run": name,
        "stage": stage,
        "status": "running",
        "created": previous.get("created", now),
        "started": now,
        "sessions": int(previous.get("sessions", 0)) + 1,
        "host": socket.gethostname(),
        "process": {"pid": os.getpid(), "started": psutil.Process().create_time()},
        "seeds": {key: value for key, value in values.items() if re.search(r"(^|_)seed$", key)},
        **provenance.collect(),
        **kept,
    }


def refuse_if_busy(path: Path, facts: Mapping[str, Any]) -> None:
    """Raise a `RunError` if another process is writing a stage; `facts` is the stage's record."""
    here = facts.get("host") == socket.gethostname()
    if facts.get("status") != "running" or not here or not _alive(facts):
        return
    pid = facts["process"]["pid"]
    if pid != os.getpid():
        raise RunError(
            f"run '{path.name}' is being written by process {pid}: "
            "wait for it, end it, or choose another run name"
        )


def _alive(facts: Mapping[str, Any]) -> bool:
    process = facts.get("process") or {}
    try:
        # the start time tells a process from a later one that was given the same number
        other = psutil.Process(process["pid"])
        same = abs(other.create_time() - process["started"]) < 1.0
        return same and other.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError):
        return False


def _refuse_other_params(path: Path, file: Path, params: Parameters) -> None:
    today = old_names(type(params))
    saved = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    old = {today.get(name, name): value for name, value in saved.items()}
    new = yaml.safe_load(params.to_yaml())
    changed = [
        f"{name}: {old.get(name, 'not there')!r} then, {new.get(name, 'not there')!r} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name, _NAME) != new.get(name, _NAME) and name not in params.may_change_on_resume
    ]
    if changed:
        raise RunError(
            f"run '{path.name}' was made with other parameters ({'; '.join(changed)}): "
            f"choose another run name, give the old values, or remove {path}"
        )


def _drop_torn_line(path: Path) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomic(path, whole)


def _fail_if_still_running(run: Run, pid: int) -> None:
    """At the interpreter's end: nobody finished this run, so say so."""
    if pid != os.getpid() or not (run.path / "run.json").is_file():
        return
    facts = run.facts
    if facts.get("status") == "running" and facts.get("process", {}).get("pid") == pid:
        run.fail("the process ended before the stage was finished")
