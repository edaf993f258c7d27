"""Which trained run the stages after training work on."""

from __future__ import annotations

import shutil
from pathlib import Path

from sightbook.params import repository_root
from sightbook.runs import RunError, find_run, list_runs, outputs_root, read_json


def trained_run(line: str, which: str, stage: str, shipped: str = "") -> Path:
    """Folder of the run that a later stage reads from and writes its results into.

    The shipped model's folder belongs to the repository, so `reference` is copied to
    `outputs/<line>/reference-<stage>` first, and `reference/NAME`, of a line that ships several,
    to `outputs/<line>/reference-<stage>-<NAME>`. `latest` is the newest run whose training is
    finished; where nothing has been trained yet, it is the shipped model, and that is printed.

    Args:
        line: the line's name.
        which: `latest`, `reference`, `reference/NAME`, a run's name or a path.
        stage: `evaluate`, `export` ...
        shipped: of several shipped models the one that `reference` means.

    Raises:
        RunError: no such run; nothing trained and nothing shipped; or several are shipped and
            `shipped` names none.
    """
    root = repository_root() / "outputs" / "reference" / line
    if which in ("", "latest"):
        finished = [run for run in list_runs(line) if _is_trained(run)]
        if finished:
            return finished[-1]
        if not (root / shipped).is_dir():
            return find_run(line, "latest")
        print(f"no run of '{line}' is trained yet: taking the shipped model")
        which = "reference"
    if which == "reference" and shipped:
        which = f"reference/{shipped}"
    if which.partition("/")[0] != "reference":
        return find_run(line, which)
    name = which.partition("/")[2]
    source = root / name if name else find_run(line, "reference")
    if not (source / "run.json").is_file():
        there = ", ".join(
            f"reference/{file.parent.name}" for file in sorted(root.glob("*/run.json"))
        )
        raise RunError(f"'{which}' is no shipped model of '{line}'; there are: {there or 'none'}")
    copy = outputs_root() / line / "-".join(filter(None, ["reference", stage, name]))
    if not (copy / "run.json").is_file():
        shutil.copytree(source, copy, dirs_exist_ok=True)
    return copy


def _is_trained(run: Path) -> bool:
    record = read_json(run / "run.json")
    own = not run.name.startswith("reference-")
    return own and record.get("stage") == "train" and record.get("status") == "finished"
