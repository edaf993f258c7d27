"""How parameters are said in error sentences and written in a notebook's parameters cell."""

import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo


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
