"""Typed parameters: one pydantic model per notebook, checked in the run's first second.

A notebook's parameters come from three places: the cell tagged ``parameters``, papermill's
``-p name value`` and a YAML file (``-f``). Papermill injects whatever it is given, guesses types
and only warns of unknown names, so a notebook's next cell hands its globals to its model::

    params = TrainDonut.from_namespace(globals())

which raises a `ParameterError` of one sentence for an unknown name, a wrong type or an
impossible value. The cell lists what people change (`Parameters.shown`); every other field is
accepted by name too: papermill injects it behind the cell. The same models check YAML files and
command lines before a kernel starts.
"""

import ast
import datetime
import difflib
import html
import importlib
import json
import math
import os
import re
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

_IPYTHON_NAMES = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})
_SCALARS = (int, float, str, bool, type(None))
_WHOLE_NUMBER = re.compile(r"[+-]?\d+")


class ParameterError(ValueError):
    """A parameter that does not exist, has the wrong type or an impossible value.

    In IPython (JupyterLab, papermill, nbval) only the sentence is shown, no traceback: the
    reader's own value is at fault, not the library.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"ParameterError: {self}"]


class Parameters(BaseModel):
    """Base of every parameter model: unknown names are refused, values coerced with care.

    Fields are declared with a default, a one-line description (it becomes the comment in the
    notebook's parameters cell) and pydantic's constraints::

        class TrainDonut(Parameters):
            epochs: int = Field(2, gt=0, description="passes over the training set")
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    may_change_on_resume: ClassVar[frozenset[str]] = frozenset({"workers", "devices"})
    """Names whose values do not alter a run's result: a killed run may go on with others."""

    shown: ClassVar[tuple[str, ...]] = ()
    """Names that the notebook's parameters cell lists, in its order: what people change at this
    stage. Empty for all. The others are accepted all the same."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Old name -> name today. Old names are taken for one release, with a warning; a subclass adds
    its own to those it inherits."""

    @field_validator("*", mode="before")
    @classmethod
    def _undo_guesses(cls, value: Any, info: ValidationInfo) -> Any:
        """Take back what papermill's ``-p`` and YAML guessed about a value's type."""
        assert info.field_name is not None
        return _coerce(value, _plain_types(cls.model_fields[info.field_name].annotation))

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "") -> Self:
        """Check `values` and build the model.

        Args:
            values: parameter names and values, as papermill or YAML deliver them.
            source: what the error sentence should name as their origin (a file), if anything.

        Raises:
            ParameterError: with one sentence naming every wrong parameter, its value and what
                was expected.
        """
        values, problems = _under_names_of_today(cls, values)
        problems += _unknown_names(cls, values)
        known = {name: value for name, value in values.items() if name in cls.model_fields}
        try:
            params = cls.model_validate(known)
        except ValidationError as error:
            problems += _sentences(cls, error)
        if problems:
            where = f"{source}: " if source else ""
            raise ParameterError(where + "; ".join(problems))
        return params

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> Self:
        """Build the parameters from a notebook's ``globals()``.

        Every plain literal among the notebook's globals is taken for a parameter, so that a
        misspelt one is found although papermill only warned. When the cells are run a second
        time in one kernel, results of later cells are globals too; then only what the
        parameters cell (and the cell papermill injects behind it) assigns is held against the
        model. A parameter that the cell does not list counts only where it was assigned since,
        and as a literal: a notebook may call its own things by such names.

        Raises:
            ParameterError: see `parse`.
        """
        literals = {
            name
            for name, value in namespace.items()
            if not name.startswith("_") and name not in _IPYTHON_NAMES and _is_plain_literal(value)
        }
        held, assigned = _assigned_by_parameter_cells(cls, namespace) or (literals, literals)
        listed = {*(cls.shown or cls.model_fields)}
        others = (cls.model_fields.keys() | old_names(cls).keys()) - listed
        names = held | listed | (others & assigned & literals)
        return cls.parse({name: namespace[name] for name in namespace if name in names})

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **overrides: Any) -> Self:
        """Build the parameters from a flat YAML file (the file papermill's ``-f`` reads).

        Raises:
            ParameterError: if the file is missing, is no flat mapping, or holds a wrong value.
        """
        return cls.parse({**read_yaml(path), **overrides}, source=Path(path).name)

    def to_yaml(self) -> str:
        """Return the resolved parameters as YAML text that `from_yaml` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def _repr_html_(self) -> str:
        """All parameters with their values and meanings, folded up, for the notebook."""
        rows = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            changed = value != field.get_default(call_default_factory=True)
            shown_value = html.escape(literal_source(value))
            cells = (
                name,
                f"<b>{shown_value}</b>" if changed else shown_value,
                html.escape(field.description or ""),
            )
            left = "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells)
            rows.append(f"<tr>{left}</tr>")
        return (
            f"<details><summary>all {len(rows)} parameters (bold: not the default)</summary>"
            f"<table><tbody>{''.join(rows)}</tbody></table></details>"
        )


def old_names(model: type[Parameters]) -> dict[str, str]:
    """Return every old name that `model` still takes, and what it is called today."""
    names: dict[str, str] = {}
    for base in reversed(model.__mro__):
        names |= vars(base).get("renamed", {})
    return names


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a flat YAML file of parameters, as papermill's ``-f`` does.

    Raises:
        ParameterError: naming the file and what is wrong with it.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"parameter file '{path}' does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"parameter file '{path}' cannot be read: {reason}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(
            f"parameter file '{path}' must hold lines of 'name: value', not {shown(values)}"
        )
    return values


def repository_root() -> Path:
    """Return the folder that relative paths in parameters count from.

    It is the repository this package is installed from (editable) or, for an installed copy, the
    nearest parent of the working directory that looks like the repository, else the working
    directory itself.
    """
    here = Path(__file__).resolve().parents[2]
    for folder in (here, Path.cwd(), *Path.cwd().parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return Path.cwd()


def resolve_path(path: str | os.PathLike[str]) -> Path:
    """Return `path` as absolute; a relative one counts from the repository root."""
    return (repository_root() / Path(path).expanduser()).resolve()


def load_model(reference: str) -> type[Parameters]:
    """Import a parameter model named as ``package.module:Class``.

    Notebooks name theirs in their metadata: ``{"sightbook": {"parameters": reference}}``.

    Raises:
        ParameterError: if there is no such class or it is no `Parameters`.
    """
    module, _, name = reference.partition(":")
    try:
        model = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(f"no parameter model '{reference}': {error}") from error
    if not (isinstance(model, type) and issubclass(model, Parameters)):
        raise ParameterError(f"'{reference}' is no sightbook.params.Parameters")
    return model


def parameters_cell_source(model: type[Parameters]) -> str:
    """Return the text of the notebook cell that is to be tagged ``parameters``.

    One line per field that is `shown`, ``epochs: int = 2  # passes over the training set``:
    papermill's ``--help-notebook`` reads the type and the comment from it.
    """
    source = _lines(model, model.shown or tuple(model.model_fields))
    if model.shown:
        source += "\n# others are taken by name too: the next cell lists them all"
    return source


def other_parameters_source(model: type[Parameters]) -> str:
    """Return lines as `parameters_cell_source` has them, of the fields that it leaves out."""
    hidden = model.model_fields.keys() - {*(model.shown or model.model_fields)}
    return _lines(model, [name for name in model.model_fields if name in hidden])


def _lines(model: type[Parameters], names: Sequence[str]) -> str:
    lines = []
    for name in names:
        field = model.model_fields[name]
        default = literal_source(field.get_default(call_default_factory=True))
        comment = f"  # {field.description}" if field.description else ""
        lines.append(f"{name}: {annotation_source(field)} = {default}{comment}")
    return "\n".join(lines)


def check_parameters_cell(source: str, model: type[Parameters]) -> list[str]:
    """Compare a notebook's parameters cell with its model.

    Order, blank lines and comment lines between the parameters are free; names, annotations,
    defaults and the comments behind them must be the model's.

    Returns:
        One sentence per difference; empty if the cell is right.
    """
    try:
        found, problems = _cell_lines(source)
    except SyntaxError as error:
        return [f"the parameters cell is no Python: {error}"]
    wanted, _ = _cell_lines(parameters_cell_source(model))
    for name, line in wanted.items():
        if name not in found:
            problems.append(f"'{name}' is missing, expected: {line}")
        elif found[name] != line:
            problems.append(f"found: {found[name]} - expected: {line}")
    problems += [
        f"'{name}' belongs to the fields of {model.__name__} that the cell does not show"
        if name in model.model_fields
        else f"'{name}' is no field of {model.__name__}"
        for name in found
        if name not in wanted
    ]
    return problems


def _cell_lines(source: str) -> tuple[dict[str, str], list[str]]:
    """Return each parameter's line by name, and complaints about everything else."""
    lines: dict[str, str] = {}
    problems = []
    text = source.splitlines()
    for node in ast.parse(source).body:
        line = "\n".join(text[node.lineno - 1 : node.end_lineno])
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            problems.append(f"only 'name: type = literal' belongs in the cell, found: {line}")
            continue
        name = node.target.id
        if name in lines:
            problems.append(f"'{name}' is assigned twice")
        lines[name] = line.rstrip()
    return lines, problems


# ------------------------------------------------------------------ what a namespace holds


def _is_plain_literal(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(map(_is_plain_literal, value))
    if isinstance(value, dict):
        return type(value) is dict and all(
            _is_plain_literal(key) and _is_plain_literal(item) for key, item in value.items()
        )
    return type(value) in _SCALARS


def _assigned_by_parameter_cells(
    model: type[Parameters], namespace: Mapping[str, Any]
) -> tuple[set[str], set[str]] | None:
    """Names that the latest parameters cell, and the cells behind it, assigned.

    IPython keeps the source of the executed cells in ``In``.

    Returns:
        Those of cells that hold nothing but literals, and those of all cells. None where history
        does not tell (no IPython, or no cell of literals that assigns a field of the model).
    """
    history = namespace.get("In")
    if not isinstance(history, list):
        return None
    held: set[str] = set()
    everything: set[str] = set()
    for source in reversed(history):
        assigned, is_literal = _names_of_cell(source)
        everything |= assigned
        if not is_literal:
            continue
        held |= assigned
        # papermill's injected cell may hold nothing but a misspelt name or a few overrides;
        # the parameters cell is the first one, going back, that is not marked as injected.
        if assigned & model.model_fields.keys() and not source.lstrip().startswith("# Parameters"):
            return held & namespace.keys(), everything
    return None


def _names_of_cell(source: Any) -> tuple[set[str], bool]:
    """Names that a cell assigns at its top level, and whether it only assigns literals."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, TypeError, ValueError):
        return set(), False
    names: set[str] = set()
    is_literal = bool(body)
    for node in body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            is_literal = False
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        is_literal &= all(isinstance(target, ast.Name) for target in targets)
        try:
            ast.literal_eval(node.value or ast.Name("missing"))
        except ValueError:
            is_literal = False
    return names, is_literal


# ------------------------------------------------------------------ coercion


def _plain_types(annotation: Any) -> set[type]:
    """Return the builtin types an annotation admits: ``int | Literal["auto"]`` -> {int, str}."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _plain_types(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_plain_types, get_args(annotation)))
    if origin is Literal:
        return {type(choice) for choice in get_args(annotation)}
    plain = origin or annotation
    return {plain} if isinstance(plain, type) else set()


def _coerce(value: Any, admitted: set[type]) -> Any:
    """Return `value` as the field means it; ValueError for a guess that must not pass."""
    if isinstance(value, bool) and bool not in admitted:
        # pydantic would read True as 1
        if str not in admitted:
            raise ValueError("a truth value is none")
        return str(value)
    if isinstance(value, (int, float)) and admitted & {str} and not admitted & {int, float, bool}:
        return str(value)
    if isinstance(value, (datetime.date, datetime.datetime)) and str in admitted:
        return value.isoformat()
    if isinstance(value, str):
        return _coerce_text(value.strip() if str not in admitted else value, admitted)
    return value


def _coerce_text(text: str, admitted: set[type]) -> Any:
    if type(None) in admitted and text.lower() in ("none", "null"):
        return None
    if int in admitted and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if admitted & {int, float}:
        try:
            number = float(text)
        except ValueError:
            return text
        if math.isfinite(number):
            return int(number) if float not in admitted and number.is_integer() else number
    if admitted & {list, tuple, dict} and text[:1] in ("[", "(", "{"):
        # -p image_size "[960, 1280]" reaches the notebook as text
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    return text


# ------------------------------------------------------------------ sentences


def _under_names_of_today(
    model: type[Parameters], values: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Values by the names of today, and complaints about what was given under both names.

    A notebook's parameters cell always gives today's name its default, so that one yields.
    """
    today = {name: value for name, value in values.items() if name not in old_names(model)}
    problems = []
    for old, new in old_names(model).items():
        if old not in values:
            continue
        default = model.model_fields[new].get_default(call_default_factory=True)
        if new in today and today[new] not in (default, values[old]):
            problems.append(
                f"'{old}' is the old name of '{new}', and they are given as {shown(values[old])} "
                f"and {shown(today[new])}: give '{new}' alone"
            )
        today[new] = values[old]
        warnings.warn(
            f"parameter '{old}' is called '{new}' now; the old name goes with release 0.3",
            FutureWarning,
            stacklevel=4,
        )
    return today, problems


def _unknown_names(model: type[Parameters], values: Mapping[str, Any]) -> list[str]:
    problems = []
    for name in values:
        if name in model.model_fields:
            continue
        close = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.6)
        hint = (
            f", did you mean '{close[0]}'?"
            if close
            else f"; there are: {', '.join(model.model_fields)}"
        )
        problems.append(f"unknown parameter '{name}'{hint}")
    return problems


def _sentences(model: type[Parameters], error: ValidationError) -> list[str]:
    """One sentence per wrong field (pydantic reports a union once per member)."""
    sentences: dict[str, str] = {}
    for detail in error.errors():
        if not detail["loc"]:  # a model's own check across fields
            message = detail["msg"].removeprefix("Value error, ")
            sentences.setdefault("", message)
            continue
        name = str(detail["loc"][0])
        own_check = detail["type"] == "value_error" and "a truth value is none" not in detail["msg"]
        wanted = (
            detail["msg"].removeprefix("Value error, ")
            if own_check
            else f"expected {expected(model.model_fields[name])}"
        )
        sentences.setdefault(
            name, f"parameter '{name}' cannot be {shown(detail['input'])}: {wanted}"
        )
    return list(sentences.values())


def shown(value: Any) -> str:
    """Return a value as an error sentence shows it, long ones cut."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_NOUNS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "True or False",
    type(None): "None",
    Path: "a path",
}


def expected(field: FieldInfo) -> str:
    """Return what a field takes, in words: "a whole number greater than 0"."""
    noun = _noun(field.annotation)
    bounds = " and ".join(_bound(constraint) for constraint in field.metadata if _bound(constraint))
    return f"{noun} {bounds}" if bounds else noun


def _noun(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        bounds = " and ".join(_bound(constraint) for constraint in args[1:] if _bound(constraint))
        return f"{_noun(args[0])} {bounds}".strip()
    if origin in (Union, types.UnionType):
        return " or ".join(_noun(member) for member in args)
    if origin is Literal:
        choices = ", ".join(repr(choice) for choice in args)
        return f"one of {choices}" if len(args) > 1 else choices
    if origin in (list, tuple):
        members = [_noun(member) for member in args if member is not Ellipsis]
        if origin is tuple and Ellipsis not in args and len(set(members)) == 1:
            return f"{len(members)} values, each {members[0]}"
        return "a list" + (f" ({', '.join(members)})" if members else "")
    if origin is dict or annotation is dict:
        return "a mapping"
    return _NOUNS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bound(constraint: Any) -> str:
    match constraint:
        case annotated_types.Gt():
            return f"greater than {constraint.gt}"
        case annotated_types.Ge():
            return f"of at least {constraint.ge}"
        case annotated_types.Lt():
            return f"less than {constraint.lt}"
        case annotated_types.Le():
            return f"of at most {constraint.le}"
        case annotated_types.MultipleOf():
            return f"that is a multiple of {constraint.multiple_of}"
        case annotated_types.MinLen():
            return f"of length {constraint.min_length} or more"
        case annotated_types.MaxLen():
            return f"of length {constraint.max_length} or less"
    pattern = getattr(constraint, "pattern", None)
    return f"matching {pattern}" if pattern else ""


def annotation_source(field: FieldInfo) -> str:
    """Return a field's annotation for the cell: builtins only, in a form papermill's help reads."""
    members = get_args(field.annotation)
    if get_origin(field.annotation) in (Union, types.UnionType) and field.default is not None:
        # papermill's pattern has no `int | str`: say what the default is
        members = tuple(kind for kind in members if _is_a(field.default, kind))
        return _type_name(members[0] if members else type(field.default))
    return _type_name(field.annotation)


def _is_a(value: Any, kind: Any) -> bool:
    return _type_name(kind).split("[")[0] == type(value).__name__


def _type_name(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return _type_name(args[0])
    if origin in (Union, types.UnionType):
        return _type_name(next(member for member in args if member is not type(None)))
    if origin is Literal:
        return type(args[0]).__name__
    if origin in (list, tuple, dict):
        members = [_type_name(member) for member in args if member is not Ellipsis]
        return f"{origin.__name__}[{', '.join(members)}]"
    return "str" if kind is Path else getattr(kind, "__name__", "str")


def literal_source(value: Any) -> str:
    """Return a literal as ruff would write it."""
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(literal_source, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal_source, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{literal_source(k)}: {literal_source(v)}" for k, v in value.items())
            + "}"
        )
    return repr(value)
