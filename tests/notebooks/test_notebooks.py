"""Every notebook in notebooks/: cleared, runnable as a job, an essay rather than a program."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from sightbook.params import check_parameters_cell, read_yaml, repository_root
from sightbook.runs.notebooks import parameters_cell, parameters_model

ROOT = repository_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPERIMENTS = sorted((ROOT / "params").glob("*/*.yaml"))

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="there are no notebooks yet")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return nbformat.read(request.param, as_version=4)


def code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def python(source: str) -> ast.Module:
    lines = source.splitlines()
    return ast.parse("\n".join(line for line in lines if not line.startswith(("%", "!"))))


def test_is_valid_and_cleared(notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert "widgets" not in notebook.metadata
    assert "papermill" not in notebook.metadata


def test_names_the_kernel_every_environment_has(notebook: NotebookNode) -> None:
    assert notebook.metadata.kernelspec.name == "python3"


def test_reads_as_an_essay(notebook: NotebookNode) -> None:
    assert 10 <= len(notebook.cells) <= 20
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= 4


def test_holds_calls_not_a_program(notebook: NotebookNode) -> None:
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for source in code(notebook):
        nodes = list(ast.walk(python(source)))
        assert not [node.name for node in nodes if isinstance(node, banned)]
        assert not [node for node in nodes if isinstance(node, ast.Attribute)
                    and ast.unparse(node) == "sys.path"]  # fmt: skip


def test_the_parameters_cell_is_its_models(notebook: NotebookNode) -> None:
    model = parameters_model(notebook)
    source = parameters_cell(notebook)
    assert (model is None) == (source is None), "name the model in metadata.sightbook.parameters"
    if model is not None and source is not None:
        assert check_parameters_cell(source, model) == []


def test_the_next_code_cell_checks_the_parameters(notebook: NotebookNode) -> None:
    model = parameters_model(notebook)
    if model is None:
        pytest.skip("takes no parameters")
    cells = code(notebook)
    position = cells.index(parameters_cell(notebook) or "")
    assert f"{model.__name__}.from_namespace(globals())" in cells[position + 1]


def test_no_cell_takes_the_name_of_a_parameter_that_the_cell_shows(notebook: NotebookNode) -> None:
    """Else the cell that checks the parameters could not be run a second time."""
    model = parameters_model(notebook)
    if model is None:
        pytest.skip("takes no parameters")
    shown = {*(model.shown or model.model_fields)} - {"run"}
    cells = code(notebook)
    for source in cells[cells.index(parameters_cell(notebook) or "") + 1 :]:
        made = [node for node in python(source).body if isinstance(node, ast.Assign)]
        names = {name.id for node in made for name in node.targets if isinstance(name, ast.Name)}
        assert not names & shown


def test_a_parameters_cell_shows_fifteen_at_most(notebook: NotebookNode) -> None:
    model = parameters_model(notebook)
    if model is None:
        pytest.skip("takes no parameters")
    assert len(model.shown or model.model_fields) <= 15
    if model.shown:  # and the next cell shows all of them
        cells = code(notebook)
        position = cells.index(parameters_cell(notebook) or "")
        assert cells[position + 1].splitlines()[-1] == "params"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_experiment_fits_its_notebook(path: Path) -> None:
    # params/<line>/<name>.yaml is for the training notebook, <name>.<stage>.yaml for another;
    # of a line with several networks <task>_<name>.yaml is for 02_train_<task>
    name, _, stage = path.stem.partition(".")
    found = sorted((ROOT / "notebooks").glob(f"0?_{stage or 'train'}_{path.parent.name}.ipynb"))
    if not found:
        trained = (ROOT / "notebooks").glob("02_train_*.ipynb")
        found = [p for p in trained if name.startswith(p.stem.removeprefix("02_train_") + "_")]
    assert len(found) == 1
    model = parameters_model(nbformat.read(found[0], as_version=4))
    assert model is not None
    assert model.from_yaml(path).model_dump(include=set(read_yaml(path)))
