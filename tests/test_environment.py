"""The three ways to install agree with one another, and the tested versions are complete."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from sightbook.runs.doctor import read_constraints

ROOT = Path(__file__).parents[1]
USERS_LIST = {
    "jupyterlab", "papermill", "torch", "torchvision", "transformers", "matplotlib",
    "pycocotools", "onnx", "nbval", "ipywidgets",
}  # fmt: skip


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def requirements(project: dict, extra: str | None = None) -> dict[str, Requirement]:
    texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def pip_lines(environment: dict) -> list[str]:
    return next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))


def test_conda_brings_python_and_pip_and_pip_brings_the_project(environment: dict) -> None:
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert [re.split(r"[<>=]", entry)[0] for entry in conda] == ["python", "pip"]
    assert pip_lines(environment) == ["-c constraints.txt", "-e .[dev]"]


def test_condas_python_is_the_projects(environment: dict, project: dict) -> None:
    conda = SpecifierSet(environment["dependencies"][0].removeprefix("python"))
    declared = SpecifierSet(project["requires-python"])
    versions = [f"3.{minor}.5" for minor in range(8, 16)]
    allowed = [version for version in versions if conda.contains(version)]
    assert allowed[0] == "3.11.5"
    assert all(declared.contains(version) for version in allowed)


def test_everything_on_the_users_list_is_installed(project: dict) -> None:
    assert requirements(project).keys() | requirements(project, "dev").keys() >= USERS_LIST


def test_constraints_are_plain_pins_of_everything_required(project: dict) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.]+", line) for line in lines)
    pins = read_constraints(ROOT / "constraints.txt")
    for name, requirement in {**requirements(project), **requirements(project, "dev")}.items():
        assert name in pins, f"{name} is not pinned: run `make constraints`"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]}: {requirement}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_the_commands() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"demo", "test", "lint", "lab", "bench", "help"} <= listed
    assert all(len(line.split()) > 3 for line in done.stdout.splitlines())
