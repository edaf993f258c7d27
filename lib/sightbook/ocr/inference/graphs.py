"""Trained networks as ONNX files that the ocrs engine accepts.

The engine takes the first input and the first output, float32; it reads the detector's height and
width from its input's shape and thresholds its probabilities at 0.2, and it runs in browsers with
the operators of :data:`OPERATORS` only.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightbook.inference import onnx
from sightbook.ocr.inference import engine
from sightbook.ocr.layout.arrange import DYNAMIC_AXES, INPUTS, OUTPUTS
from sightbook.ocr.layout.model import example_inputs
from sightbook.runs.files import atomic_file, write_atomic

OPERATORS = frozenset(
    {
        "Add", "AveragePool", "Cast", "Concat", "ConstantOfShape", "Conv", "ConvTranspose", "GRU",
        "Gather", "LogSoftmax", "MatMul", "MaxPool", "Pad", "Relu", "Reshape", "Shape", "Sigmoid",
        "Slice", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""What the engine's browser build is compiled with."""

GRAY_INPUT = {"colour": "grey, .299R + .587G + .114B", "range": [-0.5, 0.5]}


class ContractError(ValueError):
    """A graph that the engine would refuse; says what it holds and what is allowed."""


class Detector(nn.Module):
    """A detector's logits as probabilities, moved so that the engine's threshold suits them."""

    def __init__(self, model: nn.Module, shift: float = 0.0) -> None:
        """Wrap a network of logits ``[B, 1, H, W]``."""
        super().__init__()
        self.model = model
        self.register_buffer("shift", torch.tensor(shift))

    def forward(self, image: Tensor) -> Tensor:
        """Grey ``[B, 1, H, W]`` from -0.5 to 0.5 to probabilities of the same shape."""
        return torch.sigmoid(self.model(image) + self.shift)


def export_detection(
    model: nn.Module,
    path: Path,
    size: tuple[int, int],
    *,
    shift: float = 0.0,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write a detector: `image` ``[batch, 1, H, W]`` to `probabilities` of the same shape.

    Args:
        model: gives logits; on the CPU.
        path: of the file.
        size: height and width of the input, fixed in the file.
        shift: added to the logits, see `calibration.best_shift`.
        metadata: JSON values to keep in it, beside what prediction needs.
        opset: ONNX operator set.

    Raises:
        ContractError: the engine does not know an operator of the graph.
    """
    facts = {
        **(metadata or {}),
        "line": "ocr",
        "task": "detection",
        "input": {"name": "image", **GRAY_INPUT, "padding": engine.BLACK, "size": list(size)},
        "threshold": engine.THRESHOLD,
        "logit_shift": shift,
    }
    onnx.export(
        Detector(model, shift).train(model.training),
        (torch.zeros(1, 1, *size),),
        path,
        ["image"],
        ["probabilities"],
        {"image": {0: "batch"}, "probabilities": {0: "batch"}},
        opset,
        facts,
    )
    return _finished(path, size)


def export_recognition(
    model: nn.Module,
    path: Path,
    alphabet: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write a recogniser: `line_image` ``[batch, 1, 64, width]`` to `log_probs`
    ``[seq, batch, classes]``, class 0 being CTC's blank; and `alphabet.txt` beside it.

    Args:
        model: on the CPU.
        path: of the file.
        alphabet: character i is class i + 1.
        metadata: as in :func:`export_detection`.
        opset: ONNX operator set.

    Raises:
        ContractError: an operator that the engine does not know, or another number of classes than
            the alphabet wants.
    """
    sample = torch.zeros(2, 1, engine.LINE_HEIGHT, 200)
    with torch.inference_mode():
        classes = model.eval()(sample).shape[-1]
    if classes != len(alphabet) + 1:
        raise ContractError(
            f"the recogniser has {classes} classes, an alphabet of {len(alphabet)} characters "
            f"wants {len(alphabet) + 1}"
        )
    facts = {
        **(metadata or {}),
        "line": "ocr",
        "task": "recognition",
        "alphabet": alphabet,
        "input": {
            "name": "line_image",
            **GRAY_INPUT,
            "padding": engine.BLACK,
            "height": engine.LINE_HEIGHT,
            "width": [engine.MIN_LINE_WIDTH, engine.MAX_LINE_WIDTH],
        },
        "ocrs": ocrs_arguments(alphabet),
    }
    onnx.export(
        model,
        (sample,),
        path,
        ["line_image"],
        ["log_probs"],
        {"line_image": {0: "batch", 3: "width"}, "log_probs": {0: "seq", 1: "batch"}},
        opset,
        facts,
    )
    write_atomic(path.with_name("alphabet.txt"), alphabet + "\n")
    return _finished(path)


def export_layout(
    model: nn.Module,
    path: Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write a layout network; for onnxruntime: the engine has a layout analysis of its own."""
    facts = {**(metadata or {}), "line": "ocr", "task": "layout"}
    return onnx.export(
        model, example_inputs(), path, list(INPUTS), list(OUTPUTS), DYNAMIC_AXES, opset, facts
    )


def ocrs_arguments(alphabet: str) -> str:
    """The command that runs the ocrs engine with the exported models, to be copied to a shell."""
    return (
        "ocrs --detect-model detection/model.onnx --rec-model recognition/model.onnx "
        f"--alphabet {shlex.quote(alphabet)} PICTURE"
    )


def check_operators(path: Path) -> list[str]:
    """Operators of a graph.

    Raises:
        ContractError: the engine does not know one of them.
    """
    import onnx as onnx_package

    nodes = onnx_package.load(str(path)).graph.node
    found = sorted({node.op_type for node in nodes})
    unknown = [name for name in found if name not in OPERATORS]
    if unknown:
        where = next(node.name for node in nodes if node.op_type == unknown[0])
        raise ContractError(
            f"{path}: the engine does not know the operator {', '.join(unknown)} (first at "
            f"{where}); it knows {', '.join(sorted(OPERATORS))}"
        )
    return found


def _finished(path: Path, size: tuple[int, int] | None = None) -> Path:
    """Tidy what the exporter wrote and hold it against the contract.

    `Constant` nodes become stored tensors and `Identity` nodes go: no work is left of them, and
    the engine's browser build does not count them among its operators. Where the input has a fixed
    size the output is said to have it too: the exporter loses it where layers are cut to fit.
    """
    import onnx as onnx_package

    model = onnx_package.load(str(path))
    graph = model.graph
    results = {item.name for item in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in results:
            renamed[node.output[0]] = node.input[0]
        elif node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    for axis, length in zip((2, 3), size or (), strict=False):
        graph.output[0].type.tensor_type.shape.dim[axis].dim_value = length
    onnx_package.checker.check_model(model, full_check=True)
    with atomic_file(path) as target:
        onnx_package.save(model, str(target))
    check_operators(path)
    return path
