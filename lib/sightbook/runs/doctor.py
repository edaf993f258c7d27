"""``sightbook doctor``: what this machine has, what it lacks, and what to do about it."""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import Field

from sightbook.params import Parameters, repository_root
from sightbook.runs import provenance
from sightbook.runs.run import outputs_root

Level = Literal["ok", "note", "missing"]
_MARKS: dict[Level, str] = {"ok": "ok  ", "note": "note", "missing": "MISS"}
_GIB = 2**30


class StartHere(Parameters):
    """`00_start_here`: what the visitor is shown."""

    model: str = Field("reference", description="model that reads: reference, a run or a path")
    documents: int = Field(2, ge=0, le=12, description="generated documents to read")
    seed: int = Field(42, ge=0, description="of those documents")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        topic: what was looked at.
        level: ``ok``; ``note`` (something works less well or is optional); ``missing`` (needed).
        found: what there is.
        advice: what to do, where there is something to do.
    """

    topic: str
    level: Level
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds and changes nothing."""
    return [
        python(),
        requirements(),
        constraints(),
        kernel(),
        memory(),
        disk(),
        gpu(),
        fonts(),
        tesseract(),
        git(),
        slurm(),
        azure(),
    ]


def show(findings: list[Finding]) -> str:
    """Return the findings as text, one line each, advice beneath."""
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.level]}  {finding.topic:<{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"      {'':<{width}}  -> {finding.advice}")
    missing = sum(finding.level == "missing" for finding in findings)
    lines.append("")
    lines.append(
        f"{missing} of {len(findings)} checks failed: follow the arrows above."
        if missing
        else "Everything the notebooks need is here."
    )
    return "\n".join(lines)


def python() -> Finding:
    """The interpreter, and whether it is an environment of its own."""
    found = f"{platform.python_version()} ({sys.executable})"
    needed = importlib.metadata.metadata("sightbook")["Requires-Python"] or ""
    if not SpecifierSet(needed).contains(platform.python_version(), prereleases=True):
        return Finding("Python", "missing", found, f"Sightbook needs Python {needed}")
    if sys.prefix == sys.base_prefix and "CONDA_PREFIX" not in os.environ:
        return Finding("Python", "note", found, "not in a virtual environment; `make .venv` is")
    return Finding("Python", "ok", found)


def requirements() -> Finding:
    """What the package declares to need, against what is installed."""
    wrong, count = [], 0
    for text in importlib.metadata.requires("sightbook") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, needed: {requirement.specifier}")
    if wrong:
        return Finding("packages", "missing", "; ".join(wrong), "pip install -e '.[dev]'")
    return Finding("packages", "ok", f"all {count} required are installed")


def constraints() -> Finding:
    """Installed versions against the tested ones in constraints.txt."""
    path = repository_root() / "constraints.txt"
    if not path.is_file():
        return Finding("tested versions", "note", "no constraints.txt beside pyproject.toml")
    tested = read_constraints(path)
    differ = []
    for name, version in tested.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed = importlib.metadata.version(name)
            # +cpu and +cu... are builds of one version
            if Version(installed).public != Version(version).public:
                differ.append(f"{name} {installed} (tested: {version})")
    if differ:
        found = f"{len(differ)} of {len(tested)} differ: {', '.join(differ[:4])}"
        advice = "fine if all works; else pip install -c constraints.txt -e '.[dev]'"
        return Finding("tested versions", "note", found + (", ..." if differ[4:] else ""), advice)
    return Finding("tested versions", "ok", f"as in constraints.txt ({len(tested)} packages)")


def read_constraints(path: Path) -> dict[str, str]:
    """Return name -> version of a file of ``name==version`` lines."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


def kernel() -> Finding:
    """Whether notebooks find a kernel, and that it is this environment's."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("Jupyter kernel", "missing", "no 'python3'", "pip install ipykernel")
    program = shutil.which(spec.argv[0]) or spec.argv[0]
    same = (
        spec.argv[0] in ("python", "python3")
        or Path(program).resolve() == Path(sys.executable).resolve()
    )
    if not same:
        advice = "python -m ipykernel install --sys-prefix"
        return Finding("Jupyter kernel", "note", f"'python3' starts {program}", advice)
    return Finding("Jupyter kernel", "ok", f"python3 in {spec.resource_dir}")


def memory() -> Finding:
    """Main memory and cores; the embedded profiles want about 4 GB free."""
    state = psutil.virtual_memory()
    cores = provenance.cores()
    found = f"{state.available / _GIB:.1f} of {state.total / _GIB:.1f} GiB free, {cores} cores"
    if state.available < 4 * _GIB:
        return Finding("memory", "note", found, "below 4 GiB: close programs or lower batch_size")
    return Finding("memory", "ok", found)


def disk() -> Finding:
    """Space where runs are written."""
    place = outputs_root()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free / _GIB:.0f} GiB free at {place}"
    if free < 2 * _GIB:
        advice = "runs keep checkpoints: make room or set SIGHTBOOK_OUTPUTS to a larger disk"
        return Finding("disk", "missing" if free < _GIB / 4 else "note", found, advice)
    return Finding("disk", "ok", found)


def gpu() -> Finding:
    """The GPU that PyTorch can use, against what the driver shows."""
    cards = ", ".join(f"{name} ({memory})" for name, memory in provenance.gpus())
    if importlib.util.find_spec("torch") is None:
        return Finding("GPU", "missing", cards or "none", "PyTorch is not installed")
    import torch

    build = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        return Finding("GPU", "ok", f"{', '.join(names)} ({build}, {bf16})")
    if torch.backends.mps.is_available():
        return Finding("GPU", "ok", f"Apple MPS ({build})")
    if cards:
        advice = "this PyTorch cannot use it: install the build for your driver (pytorch.org)"
        return Finding("GPU", "note", f"{cards}, but {build} sees none", advice)
    advice = "the embedded and cpu profiles run without; gpu.yaml asks for one"
    return Finding("GPU", "note", f"none ({build})", advice)


def fonts() -> Finding:
    """The fonts that the package ships for its generators."""
    folder = Path(__file__).parents[1]
    shipped = sorted({*folder.rglob("*.otf"), *folder.rglob("*.ttf")})
    if not any("ocrb" in path.name.lower().replace("-", "") for path in shipped):
        advice = "the package is incomplete: install it again from the repository"
        return Finding("fonts", "missing", "OCR-B is not in the package", advice)
    return Finding("fonts", "ok", ", ".join(path.name for path in shipped))


def tesseract() -> Finding:
    """Tesseract, with which the benchmarks compare."""
    version = _first_line("tesseract", "--version")
    if version is None:
        advice = "only benchmarks compare with it: apt install tesseract-ocr"
        return Finding("Tesseract", "note", "not installed", advice)
    return Finding("Tesseract", "ok", version)


def git() -> Finding:
    """Git, from which a run's record takes its commit."""
    facts = provenance.git()
    if facts is None:
        advice = "runs will not record a commit: install git, work in a clone with a commit"
        return Finding("git", "note", "no commit to be found", advice)
    dirty = ", with uncommitted changes" if facts["dirty"] else ""
    return Finding("git", "ok", f"{facts['commit'][:10]} on {facts['branch']}{dirty}")


def slurm() -> Finding:
    """Slurm's submit command."""
    version = _first_line("sbatch", "--version")
    if version is None:
        advice = "only for cluster jobs: work on a login node of the cluster"
        return Finding("Slurm", "note", "no sbatch", advice)
    return Finding("Slurm", "ok", version)


def azure() -> Finding:
    """The Azure command line and whether somebody is logged in."""
    if shutil.which("az") is None:
        advice = "only for Azure ML jobs: install azure-cli, then `az login`"
        return Finding("Azure", "note", "no az command", advice)
    account = _first_line("az", "account", "show", "--query", "name", "-o", "tsv")
    if account is None:
        return Finding("Azure", "note", "az is here, nobody is logged in", "az login")
    return Finding("Azure", "ok", f"logged in, subscription {account}")


def _first_line(*command: str) -> str | None:
    """First line a program prints; None if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = re.split(r"[\r\n]+", done.stdout.strip() or done.stderr.strip())
    return lines[0] or None
