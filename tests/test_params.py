"""Typed parameters: what a user types wrongly is said in one sentence, what papermill guesses
wrongly is put right.
"""

import re
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import yaml
from pydantic import Field, model_validator

from sightbook.params import (
    ParameterError,
    Parameters,
    check_parameters_cell,
    other_parameters_source,
    parameters_cell_source,
    resolve_path,
)


class Train(Parameters):
    epochs: int = Field(2, gt=0, description="passes over the training set")
    learning_rate: float = Field(1e-3, gt=0, description="peak of the schedule")
    run: str = Field("", description="name of the run")
    encoder: Literal["swin", "conv"] = Field("conv", description="swin or conv")
    devices: int | Literal["auto"] = Field("auto", description="GPUs to use")
    image_size: tuple[int, int] = Field((960, 1280), description="height, width")
    compile: bool = Field(False, description="torch.compile the model")
    limit: int | None = Field(None, ge=1, description="samples at most")


class TrainDetector(Train):
    renamed: ClassVar = {"passes": "epochs"}


class TrainRoads(TrainDetector):
    renamed: ClassVar = {"machines": "devices"}


def build(**values: object) -> Train:
    return Train.from_namespace(values)


def complaint(**values: object) -> str:
    with pytest.raises(ParameterError) as caught:
        build(**values)
    return str(caught.value)


def test_a_notebooks_globals_become_parameters() -> None:
    namespace = {
        "__name__": "__main__",
        "_hidden": 3,
        "In": ["", "epochs = 3"],
        "Out": {1: 2},
        "yaml": yaml,
        "Train": Train,
        "epochs": 3,
        "run": "big",
    }
    params = Train.from_namespace(namespace)
    assert (params.epochs, params.run, params.encoder) == (3, "big", "conv")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    assert complaint(epoch=10) == "unknown parameter 'epoch', did you mean 'epochs'?"
    assert "there are: epochs, learning_rate" in complaint(zzz=1)


@pytest.mark.parametrize("value", ["ten", -1, 0, 2.5, True, None, [1]])
def test_an_impossible_value_is_one_sentence(value: object) -> None:
    message = complaint(epochs=value)
    shown = re.escape(repr(value))
    pattern = rf"parameter 'epochs' cannot be {shown}: expected a whole number greater than 0"
    assert re.fullmatch(pattern, message)


def test_a_choice_names_all_choices() -> None:
    assert complaint(encoder="swim").endswith("expected one of 'swin', 'conv'")
    assert complaint(devices="all").endswith("expected a whole number or 'auto'")


def test_all_mistakes_are_told_at_once() -> None:
    message = complaint(epochs="ten", learning_rate=-1, epcohs=3)
    for name in ("'epochs'", "'learning_rate'", "'epcohs'"):
        assert name in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("learning_rate", "1e-4", 1e-4),  # YAML 1.1 reads 1e-4 as text
        ("learning_rate", 1, 1.0),
        ("epochs", "7", 7),
        ("epochs", "1e2", 100),
        ("epochs", 3.0, 3),
        ("run", 7, "7"),
        ("run", 7.5, "7.5"),
        ("run", True, "True"),
        ("run", "1e3", "1e3"),
        ("devices", "2", 2),
        ("devices", "auto", "auto"),
        ("compile", "True", True),
        ("compile", 1, True),
        ("image_size", [960, 640], (960, 640)),
        ("image_size", "[960, 640]", (960, 640)),
        ("image_size", "(960, 640)", (960, 640)),
        ("limit", "None", None),
        ("limit", "12", 12),
    ],
)
def test_papermills_guesses_are_put_right(name: str, given: object, meant: object) -> None:
    value = getattr(build(**{name: given}), name)
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("learning_rate", True),
        ("compile", 2),
        ("compile", "perhaps"),
        ("image_size", [1, 2, 3]),
        ("image_size", "960"),
        ("limit", 0),
    ],
)
def test_what_is_no_such_value_is_refused(name: str, given: object) -> None:
    assert f"parameter '{name}' cannot be" in complaint(**{name: given})


def test_a_models_own_check_speaks_for_itself() -> None:
    class Pair(Parameters):
        low: int = 0
        high: int = 1

        @model_validator(mode="after")
        def _ordered(self) -> "Pair":
            if self.low > self.high:
                raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
            return self

    with pytest.raises(ParameterError, match=r"^low \(3\) must not exceed high \(1\)$"):
        Pair.from_namespace({"low": 3})


CELL = "epochs: int = 2\nrun: str = 'a'"


def test_running_all_twice_in_one_kernel_is_no_mistake() -> None:
    # results of the first pass (score, columns) are globals now
    history = ["", CELL, "params = build()", "score = fit(params)", "for columns in range(4): pass"]
    namespace = {"In": [*history, CELL], "epochs": 2, "run": "a", "score": 0.5, "columns": 3}
    assert Train.from_namespace(namespace).run == "a"


def test_a_typing_mistake_that_was_mended_is_forgotten() -> None:
    wrong = CELL.replace("epochs", "epoch")
    with pytest.raises(ParameterError, match="did you mean 'epochs'"):
        Train.from_namespace({"In": ["", wrong], "epoch": 2, "run": "a"})
    namespace = {"In": ["", wrong, CELL], "epoch": 2, "epochs": 5, "run": "a"}
    assert Train.from_namespace(namespace).epochs == 5


def test_the_cell_papermill_injects_is_checked_too() -> None:
    injected = "# Parameters\nepoch = 10\n"
    namespace = {"In": ["", CELL, injected], "epochs": 2, "epoch": 10, "run": "a"}
    with pytest.raises(ParameterError, match="unknown parameter 'epoch'"):
        Train.from_namespace(namespace)


def test_ipython_shows_only_the_sentence() -> None:
    with pytest.raises(ParameterError) as caught:
        build(epochs=-1)
    assert caught.value._render_traceback_() == [f"ParameterError: {caught.value}"]


def test_yaml_there_and_back(tmp_path: Path) -> None:
    params = build(learning_rate=1e-5, image_size=[1, 2], run="007", limit=3)
    file = tmp_path / "params.yaml"
    file.write_text(params.to_yaml())
    assert Train.from_yaml(file) == params
    assert Train.from_yaml(file, epochs="9").epochs == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs: 10\nlearning_rate: 1e-4\n", None),
        ("", None),
        ("epoch: 10\n", "some.yaml: unknown parameter 'epoch', did you mean 'epochs'"),
        ("epochs: ten\n", "some.yaml: parameter 'epochs' cannot be 'ten'"),
        ("- epochs\n", "must hold lines of 'name: value'"),
        ("epochs: [1\n", "cannot be read"),
    ],
)
def test_a_yaml_file_gets_the_same_checks(tmp_path: Path, text: str, expected: str | None) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    if expected is None:
        assert Train.from_yaml(file).epochs in (2, 10)
        return
    with pytest.raises(ParameterError) as caught:
        Train.from_yaml(file)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_yaml_file_is_named() -> None:
    with pytest.raises(ParameterError, match=r"nowhere\.yaml' does not exist"):
        Train.from_yaml("nowhere.yaml")


def test_the_parameters_cell_is_what_papermill_can_read() -> None:
    from papermill.translators import PythonTranslator

    source = parameters_cell_source(Train)
    assert source.splitlines()[0] == "epochs: int = 2  # passes over the training set"
    assert 'encoder: str = "conv"  # swin or conv' in source
    assert 'devices: str = "auto"  # GPUs to use' in source
    read = PythonTranslator.inspect({"source": source})
    assert [parameter.name for parameter in read] == list(Train.model_fields)
    assert read[0].inferred_type_name == "int"
    assert read[0].help == "passes over the training set"
    namespace: dict[str, object] = {}
    exec(source, namespace)
    namespace.pop("__builtins__")
    assert Train.from_namespace(namespace) == Train()


def test_annotations_are_of_builtins_only() -> None:
    class Lists(Parameters):
        kinds: list[Literal["a", "b"]] = Field(["a"])
        sizes: tuple[int, ...] = (1, 2)
        weights: dict[str, float] = Field(default_factory=lambda: {"x": 1.0})
        folder: Path = Path("outputs")
        either: str | int = 4

    assert parameters_cell_source(Lists).splitlines() == [
        'kinds: list[str] = ["a"]',
        "sizes: tuple[int] = (1, 2)",
        'weights: dict[str, float] = {"x": 1.0}',
        'folder: str = "outputs"',
        "either: int = 4",
    ]


def test_a_cell_unlike_its_model_is_described() -> None:
    source = parameters_cell_source(Train)
    assert check_parameters_cell(f"# --- data\n\n{source}", Train) == []
    lines = source.splitlines()
    assert check_parameters_cell("\n".join(reversed(lines)), Train) == []
    wrong = "\n".join(lines[1:]).replace("peak of", "top of") + "\nother: int = 1\nprint(1)"
    problems = check_parameters_cell(wrong, Train)
    assert len(problems) == 4
    for part in ("'epochs' is missing", "top of", "'other' is no field of Train", "print(1)"):
        assert any(part in problem for problem in problems)


class Short(Parameters):
    shown = ("run", "epochs")

    epochs: int = Field(2, gt=0, description="passes over the training set")
    beta2: float = Field(0.999, description="AdamW's <second> moment")
    run: str = Field("", description="name of the run")
    task: str = Field("auto", description="token")


def test_the_cell_shows_what_people_change_and_the_rest_is_listed_elsewhere() -> None:
    lines = parameters_cell_source(Short).splitlines()
    assert lines[:2] == [
        'run: str = ""  # name of the run',
        "epochs: int = 2  # passes over the training set",
    ]
    assert [line[0] for line in lines[2:]] == ["#"]
    assert check_parameters_cell("\n".join(lines), Short) == []
    problems = check_parameters_cell("\n".join([*lines, "beta2: float = 0.999"]), Short)
    assert problems == ["'beta2' belongs to the fields of Short that the cell does not show"]
    assert other_parameters_source(Short).splitlines() == [
        "beta2: float = 0.999  # AdamW's <second> moment",
        'task: str = "auto"  # token',
    ]
    assert other_parameters_source(Train) == ""
    shown = Short(beta2=0.9)._repr_html_()
    assert shown.startswith("<details><summary>all 4 parameters")
    assert "<b>0.9</b>" in shown and "&lt;second&gt;" in shown and "<b>2</b>" not in shown


def test_what_the_cell_does_not_show_is_taken_by_name() -> None:
    values = {"run": "a", "epochs": 3}
    assert Short.from_namespace({**values, "beta2": "0.9"}).beta2 == 0.9
    with pytest.raises(ParameterError, match="unknown parameter 'beta1', did you mean 'beta2'"):
        Short.from_namespace({**values, "beta1": 0.9})
    cell = "run: str = 'a'\nepochs: int = 3"
    ran = {"In": ["", cell, "# Parameters\nbeta2 = 0.9"], **values, "beta2": 0.9}
    assert Short.from_namespace(ran).beta2 == 0.9


def test_a_notebook_may_call_its_own_things_by_names_that_its_cell_does_not_show() -> None:
    values = {"run": "a", "epochs": 3, "task": object(), "beta2": 0.5}
    cells = ["", "run: str = 'a'\nepochs: int = 3", "params = 1", "task = make()\nbeta2 = 0.5"]
    # a second Run All in one kernel: what was assigned before the parameters cell is no parameter
    again = Short.from_namespace({**values, "In": [*cells, cells[1], "params = 1"]})
    assert (again.task, again.beta2) == ("auto", 0.999)
    # only the second cell again
    alone = Short.from_namespace({**values, "In": [*cells, "params = 1"]})
    assert alone.task == "auto"


def test_relative_paths_count_from_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.chdir(tmp_path)
    assert resolve_path("params/donut") == root / "params" / "donut"
    assert resolve_path(tmp_path / "x") == tmp_path / "x"


def test_an_old_name_is_taken_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match="parameter 'passes' is called 'epochs' now"):
        assert TrainRoads.parse({"passes": 7}).epochs == 7
    with pytest.warns(FutureWarning, match="'machines' is called 'devices'"):
        assert TrainRoads.parse({"machines": 3}).devices == 3
    assert "unknown parameter 'machines'" in complaint(machines=3)


def test_an_injected_old_name_wins_over_the_cells_default_and_not_over_another_value() -> None:
    with pytest.warns(FutureWarning):
        assert TrainDetector.from_namespace({"epochs": 2, "passes": 7}).epochs == 7
    with pytest.warns(FutureWarning), pytest.raises(ParameterError) as caught:
        TrainDetector.from_namespace({"epochs": 5, "passes": 7})
    assert str(caught.value) == (
        "'passes' is the old name of 'epochs', and they are given as 7 and 5: give 'epochs' alone"
    )


def test_an_old_file_of_parameters_loads(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("passes: 4\nrun: big\n")
    with pytest.warns(FutureWarning):
        assert TrainDetector.from_yaml(tmp_path / "old.yaml") == TrainDetector(epochs=4, run="big")
