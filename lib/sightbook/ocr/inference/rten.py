"""The `.rten` form of a model, for builds of the ocrs engine that do not read ONNX.

ONNX is the primary artefact. Which engine takes which: ocrs since 0.8.1 takes the `.rten` form
(version 2) written here; built with its `onnx` feature, or from releases of autumn 2026 on by
default, it takes `model.onnx` as it is, and `.rten` is on its way out (a feature to be asked for).

The converter is the package `rten-convert` (`pip install "sightbook[rten]"`).
"""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightbook.runs.files import atomic_file

MAGIC = b"RTEN"
VERSION = 2
_HEADER = struct.Struct("<4sIQQQ")
"""Magic, version, offset and length of the graph, offset of the weights."""

Shape = list[int | str]


class RtenError(RuntimeError):
    """The converter is missing or failed, or a file is no `.rten` model."""


@dataclass(frozen=True)
class RtenModel:
    """What a `.rten` file says about its graph.

    Attributes:
        inputs: name to shape, symbolic sizes as names; first the one the engine feeds.
        outputs: name to shape where it is known, else an empty list.
        operators: the kinds of operators in it.
        version: of the file format.
    """

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    operators: frozenset[str]
    version: int


def convert(source: Path, target: Path) -> Path:
    """Write the `.rten` form of an ONNX model.

    Raises:
        RtenError: the converter is not installed, or does not know an operator.
    """
    _schema()
    # The converter's own command: its functions are no public interface.
    with atomic_file(target) as partial:
        done = subprocess.run(
            [sys.executable, "-m", "rten_convert.converter", str(source), str(partial)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not partial.is_file():
            raise RtenError(f"{source}: could not be converted: {done.stderr.strip()[-2000:]}")
    return target


def read(path: Path) -> RtenModel:
    """Read back what a `.rten` file holds.

    Raises:
        RtenError: not installed, or the file is none of version 2.
    """
    schema = _schema()
    data = path.read_bytes()
    if len(data) < _HEADER.size:
        raise RtenError(f"{path}: {len(data)} bytes are no .rten model")
    magic, version, start, length, _ = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise RtenError(f"{path}: expected a .rten model of version {VERSION}")
    graph = schema.Model.GetRootAs(data[start : start + length], 0).Graph()
    names = _names(schema.OperatorType)
    operators = set()
    for index in range(graph.NodesLength()):
        node = graph.Nodes(index)
        if node.DataType() == schema.NodeKind.OperatorNode:
            operator = schema.OperatorNode()
            operator.Init(node.Data().Bytes, node.Data().Pos)
            operators.add(names[operator.Type()])
    return RtenModel(
        dict(_value(schema, graph.Nodes(graph.Inputs(i))) for i in range(graph.InputsLength())),
        dict(_value(schema, graph.Nodes(graph.Outputs(i))) for i in range(graph.OutputsLength())),
        frozenset(operators),
        version,
    )


def check(path: Path, onnx_path: Path) -> RtenModel:
    """Read a `.rten` file back and hold it against the ONNX file that it was made from.

    Raises:
        RtenError: names or input shapes differ, or it has an operator that the ONNX file lacks.
    """
    import onnx

    found = read(path)
    graph = onnx.load(str(onnx_path)).graph
    stored = {item.name for item in graph.initializer}
    inputs = {item.name: _onnx_shape(item) for item in graph.input if item.name not in stored}
    outputs = [item.name for item in graph.output]
    if found.inputs != inputs or list(found.outputs) != outputs:
        raise RtenError(
            f"{path}: inputs {found.inputs} and outputs {list(found.outputs)}; {onnx_path} has "
            f"{inputs} and {outputs}"
        )
    more = found.operators - {node.op_type for node in graph.node}
    if more:
        raise RtenError(f"{path}: holds {', '.join(sorted(more))}, which {onnx_path} does not")
    return found


def available() -> bool:
    """Whether the converter is installed."""
    try:
        _schema()
    except RtenError:
        return False
    return True


def _schema() -> Any:
    try:
        from rten_convert import schema_generated
    except ImportError as error:
        raise RtenError(
            'the package rten-convert is not installed: pip install "sightbook[rten]"'
        ) from error
    return schema_generated


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _value(schema: Any, node: Any) -> tuple[str, Shape]:
    value = schema.ValueNode()
    value.Init(node.Data().Bytes, node.Data().Pos)
    shape: Shape = []
    for axis in range(value.ShapeLength()):
        size = value.Shape(axis)
        name = size.Name()
        shape.append(size.Value() if name is None else name.decode())
    return node.Name().decode(), shape


def _onnx_shape(item: Any) -> Shape:
    return [size.dim_param or size.dim_value for size in item.type.tensor_type.shape.dim]
