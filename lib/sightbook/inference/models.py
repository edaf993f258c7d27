"""Which model or run is meant: one way to say it, for every line and every stage.

- nothing: what a stage takes by itself; to predict the shipped model, after training ``latest``
- ``latest``: the newest finished training of the line that holds what is asked for
- ``reference``: the shipped model; of a line that ships several, the one that
  :data:`sightbook.lines.LINES` names
- ``reference/NAME``: the shipped model of that name
- ``NAME``: a run; where none is called so, the shipped model of that name
- a folder: a run's, or any other that holds the file
- a file: the model itself

Relative paths count from the repository root. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from sightbook.lines import LINES
from sightbook.params import repository_root, resolve_path
from sightbook.runs.files import read_json, write_json
from sightbook.runs.run import RunError, list_runs, outputs_root, refuse_if_busy
from sightbook.training.weights import OLD_SUFFIX, SUFFIX, weights_file

MODEL = "model.onnx"
"""What a run's exported network is called; of several networks, the one that is opened first."""

COPIED = "copied.json"
"""In a copy of a shipped model: where it is from, and the SHA-256 of each of its files."""

_TOLD = 8
"""Runs, at most, that an error names."""

_TRAIN = "run a training notebook (02_train_*) first"

Which = str | os.PathLike[str] | None


def find_model(
    line: str,
    which: Which = None,
    file: str = MODEL,
    *,
    part: str = "",
    weights: str = "",
    or_shipped: bool = False,
) -> Path:
    """The file of the model that is meant.

    Args:
        line: the line's name.
        which: as at the head of this module; nothing is `reference`.
        file: what to look for in the model's folder: the exported network, weights to train on
            from (``detector.safetensors``; the ``.pt`` of an older run is found too), or a folder.
        part: of a line of several networks, the one: where a folder holds a folder of that name
            with the file in it, that one is taken.
        weights: runs without weights of that name are passed over by `latest`: of a line whose runs
            train one of several networks, they tell which.
        or_shipped: where nothing is trained, `latest` is the shipped model, and that is printed.

    Raises:
        RunError: there is none; says what there is and what to do.
    """
    name = os.fspath(which or "reference")
    if name == "latest":
        runs = [run for run in _trained(line) if not weights or _has(run, weights)]
        holding = [run for run in runs if _has(run, file)]
        if holding:
            return _place(holding[-1], file)
        if runs or not or_shipped:
            what = f"{part} model ({file})" if part else file
            do = _how_to_export(runs[-1]) if runs and file == MODEL else _TRAIN
            raise RunError(
                f"'latest': no finished training of '{line}' holds a {what} "
                f"({_choices(line, file)}): {do}"
            )
        name = _say_shipped(line, part)
    name = _spelled_out(line, name)
    folder = _folder(line, name)
    if folder.is_dir():
        for place in dict.fromkeys((folder / part, folder)):
            if _has(place, file):
                return _place(place, file)
        do = _how_to_export(folder) if file == MODEL and _is_run(folder) else "name another"
        what = f"{part}/{file} and no {file}" if part else file
        raise RunError(
            f"'{name}' of '{line}' is {folder}, which holds no {what} "
            f"({_choices(line, file)}): {do}"
        )
    suffixes = {SUFFIX, OLD_SUFFIX} if file.endswith(SUFFIX) else {Path(file).suffix}
    if folder.is_file() and folder.suffix and folder.suffix in suffixes:
        return folder
    raise RunError(_not_there(line, name, folder, file))


def trained_run(line: str, which: Which, stage: str) -> Path:
    """Folder of the run that a stage after training reads from and writes its results into.

    The shipped models' folders belong to the repository: such a model is copied to
    `outputs/<line>/reference-<stage>`, or `reference-<stage>-<NAME>`, first. A copy that was cut
    off, or of a model that has been replaced since, is made anew, with what was written into it.

    Args:
        line: the line's name.
        which: as at the head of this module; nothing is `latest`, and where nothing has been
            trained yet, `latest` is the shipped model, which is printed.
        stage: `evaluate`, `export` ...

    Raises:
        RunError: there is none; says what there is and what to do.
    """
    name = os.fspath(which or "latest")
    if name == "latest":
        runs = _trained(line)
        if runs:
            return runs[-1]
        if not _shipped_root(line).is_dir():
            raise RunError(f"there is no finished training of '{line}': {_TRAIN}")
        name = _say_shipped(line)
    name = _spelled_out(line, name)
    folder = _folder(line, name)
    if not folder.is_dir():
        raise RunError(_not_there(line, name, folder))
    if not _is_run(folder):
        raise RunError(
            f"'{name}' of '{line}' is {folder}, which is no run: it holds no run.json "
            f"({_choices(line)}): name another"
        )
    kind, _, own = name.partition("/")
    if kind != "reference":
        return folder
    copy = outputs_root() / line / "-".join(filter(None, ["reference", stage, own]))
    return _same_copy(folder, copy, stage)


# --------------------------------------------------------------------------- names


def _shipped_root(line: str) -> Path:
    return repository_root() / "outputs" / "reference" / line


def _spelled_out(line: str, name: str) -> str:
    """`reference` and bare names of shipped models as `reference/NAME`."""
    usual = LINES.get(line, {}).get("shipped")
    if name == "reference" and usual:
        return f"reference/{usual}"
    is_run = (outputs_root() / line / name).is_dir()
    return f"reference/{name}" if not is_run and (_shipped_root(line) / name).is_dir() else name


def _folder(line: str, name: str) -> Path:
    """Where the model of a name lies, if there is one; files have names too."""
    kind, _, own = name.partition("/")
    if kind == "reference":
        return _shipped_root(line) / own
    run = outputs_root() / line / name
    return run if run.is_dir() else resolve_path(name)


def _place(folder: Path, file: str) -> Path:
    return weights_file(folder, file) if file.endswith(SUFFIX) else folder / file


def _has(folder: Path, file: str) -> bool:
    return _place(folder, file).exists()


def _is_run(folder: Path) -> bool:
    # a line of several networks has a folder for each
    return (folder / "run.json").is_file() or any(folder.glob("*/run.json"))


def _trained(line: str) -> list[Path]:
    """Runs whose training is finished, oldest first; copies of shipped models are none."""
    found = []
    for run in list_runs(line):
        record = read_json(run / "run.json")
        done = record.get("stage") == "train" and record.get("status") == "finished"
        if done and not run.name.startswith("reference-"):
            found.append(run)
    return found


# --------------------------------------------------------------------------- told


def _say_shipped(line: str, part: str = "") -> str:
    what = f"no {part} model of '{line}'" if part else f"no run of '{line}'"
    print(f"{what} is trained yet: taking the shipped model")
    return "reference"


def _choices(line: str, file: str = "run.json") -> str:
    """What there is, in a few words: runs and shipped models that hold a file."""
    runs = [run.name for run in list_runs(line) if _has(run, file)]
    told = ", ".join(runs[-_TOLD:]) + (f" and {len(runs) - _TOLD} older" * (len(runs) > _TOLD))
    root = _shipped_root(line)
    folders = sorted({root, *(path.parent for path in root.glob("*/*"))})
    shipped = [
        (Path("reference") / folder.relative_to(root)).as_posix()
        for folder in folders
        if _has(folder, file)
    ]
    return f"runs: {told or 'none'}; shipped: {', '.join(shipped) or 'none'}"


def _not_there(line: str, name: str, path: Path, file: str = "") -> str:
    there = _choices(line, file or "run.json")
    if path.is_file():
        wanted = f"expected {file}, its folder or a run" if file else "expected a run or its folder"
        return f"{path} is no model of '{line}' that can be used here: {wanted} ({there})"
    what = "shipped model" if name.partition("/")[0] == "reference" else "run, folder or file"
    return f"there is no {what} '{name}' of '{line}' ({there}): name another, or {_TRAIN}"


def _how_to_export(run: Path) -> str:
    return f"export {run.name} with 04_export"


# --------------------------------------------------------------------------- copies


def _same_copy(source: Path, copy: Path, stage: str) -> Path:
    """Make sure that `copy` was made whole, from what `source` holds now."""
    record = copy / COPIED
    if record.is_file():
        files = read_json(record)["files"]
        if files == _digests(source) and all((copy / name).is_file() for name in files):
            return copy
    if copy.exists():
        run_file = copy / "run.json"
        if run_file.is_file():
            refuse_if_busy(copy, read_json(run_file).get("stages", {}).get(stage, {}))
        print(f"{copy} is of another version of the shipped model, or not whole: copying it anew")
    # A folder deeper than runs lie: a half copy is never taken for one.
    beside = copy.parent / ".copying" / f"{copy.name}-{os.getpid()}-{secrets.token_hex(3)}"
    old = beside.with_name(f"{beside.name}-old")
    try:
        shutil.copytree(source, beside)
        origin = source.relative_to(repository_root()).as_posix()
        write_json(beside / COPIED, {"from": origin, "files": _digests(beside)})
        if copy.exists():
            copy.rename(old)
        beside.rename(copy)
    finally:
        for folder in (beside, old):
            shutil.rmtree(folder, ignore_errors=True)
    return copy


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found
