"""Which trained run the stages after training work on."""

from __future__ import annotations

import shutil
from pathlib import Path

from sightbook.params import repository_root
from sightbook.runs import find_run, list_runs, outputs_root, read_json


def trained_run(line: str, which: str, stage: str) -> Path:
    """Folder of the run that a later stage reads from and writes its results into.

    The shipped model's folder belongs to the repository, so `reference` is copied to
    `outputs/<line>/reference-<stage>` first. `latest` is the newest run whose training is finished;
    where nothing has been trained yet, it is the shipped model, and that is printed.

    Args:
        line: the line's name.
        which: `latest`, `reference`, a run's name or a path.
        stage: `evaluate`, `export` ...

    Raises:
        RunError: no such run; or nothing trained and nothing shipped.
    """
    if which in ("", "latest"):
        finished = [run for run in list_runs(line) if _is_trained(run)]
        if finished:
            return finished[-1]
        if not (repository_root() / "outputs" / "reference" / line).is_dir():
            return find_run(line, "latest")
        print(f"no run of '{line}' is trained yet: taking the shipped model")
        which = "reference"
    if which != "reference":
        return find_run(line, which)
    copy = outputs_root() / line / f"reference-{stage}"
    if not (copy / "run.json").is_file():
        shutil.copytree(find_run(line, "reference"), copy, dirs_exist_ok=True)
    return copy


def _is_trained(run: Path) -> bool:
    record = read_json(run / "run.json")
    own = not run.name.startswith("reference-")
    return own and record.get("stage") == "train" and record.get("status") == "finished"
