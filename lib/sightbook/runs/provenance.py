"""Where a result came from: command, commit, package versions, hardware, peak memory."""

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from sightbook.params import repository_root

COMMAND = "SIGHTBOOK_COMMAND"
"""Environment variable with which ``sightbook run`` tells the kernel its own command line."""


def collect() -> dict[str, Any]:
    """Return the provenance of a run started now, JSON-ready."""
    return {
        "command": command(),
        "git": git(),
        "python": platform.python_version(),
        "packages": packages(),
        "hardware": hardware(),
    }


def command() -> str:
    """Return the command line that started this process; a notebook's is its runner's."""
    if COMMAND in os.environ:
        return os.environ[COMMAND]
    if not _is_kernel(sys.argv):
        return " ".join(sys.argv)
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process().parent()
        words = parent.cmdline() if parent else []
        # Only papermill's own: JupyterLab's command line may hold its access token.
        if any(Path(word).name == "papermill" for word in words[:2]):
            return " ".join(["papermill", *words[2:]])
    return "notebook"


def _is_kernel(argv: list[str]) -> bool:
    return bool(argv) and ("ipykernel" in argv[0] or "colab_kernel" in argv[0])


def git() -> dict[str, Any] | None:
    """Return ``{"commit", "branch", "dirty"}`` of the repository; None where git cannot tell."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return {
        "commit": commit,
        "branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository_root()), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def packages() -> dict[str, str]:
    """Return the installed versions of Sightbook and of everything it directly requires."""
    versions = {}
    for requirement in ["sightbook", *(importlib.metadata.requires("sightbook") or [])]:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def hardware() -> dict[str, Any]:
    """Return processor, usable cores, memory in bytes, and the GPUs by name."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [f"{name}, {memory}" for name, memory in gpus()],
    }


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if match:
            return match.group(1)
    return platform.processor() or platform.machine()


def gpus() -> list[tuple[str, str]]:
    """Return (name, memory) of each NVIDIA GPU, asked of the driver: torch is not imported."""
    if not shutil.which("nvidia-smi"):
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == 1]
    return [(name, memory) for name, memory in rows]


def peak_memory() -> dict[str, int]:
    """Return the peak resident memory of this process and its children, and of the GPU, in bytes.

    The children's figure is the largest single child that has ended, as the system counts it.
    """
    peak: dict[str, int] = {}
    try:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak["process_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        peak["child_bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    except ImportError:  # Windows
        peak["process_bytes"] = psutil.Process().memory_info().rss
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["gpu_bytes"] = int(torch.cuda.max_memory_allocated())
    return peak
