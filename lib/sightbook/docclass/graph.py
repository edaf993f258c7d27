"""The inference branch of a trained run as one ONNX file: backbone and embedding, nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from sightbook.docclass.model import Embedder
from sightbook.inference import onnx
from sightbook.params import ParameterError, Parameters
from sightbook.runs.files import atomic_file


class InputShape(Parameters):
    """One entry of `onnx: input_shape:`."""

    shape: list[int] = Field([1, 3, 128, 128], description="batch, channels, height, width")
    dtype: Literal["float32"] = Field("float32", description="of the numbers")


class ExportOptions(Parameters):
    """`onnx: options:`, as torch.onnx.export calls them."""

    opset_version: int = Field(17, ge=17, le=22, description="ONNX operator set")
    do_constant_folding: Literal[True] = Field(True, description="batch norm goes into the weights")


class OnnxOptions(Parameters):
    """The `onnx:` part of a YAML file, by the names that DocClassifier's users know."""

    input_shape: dict[str, InputShape] = Field(
        default_factory=lambda: {"img": InputShape.parse({})}, description="name to shape and dtype"
    )
    input_names: list[str] = Field(["img"], description="one name")
    output_names: list[str] = Field(["feats"], description="one name")
    dynamic_axes: dict[str, dict[int, str]] = Field(
        default_factory=lambda: {"img": {0: "batch"}, "feats": {0: "batch"}},
        description="name to axis to the size's name; {} fixes the batch",
    )
    options: ExportOptions = Field(
        default_factory=lambda: ExportOptions.parse({}), description="of torch.onnx.export"
    )

    @classmethod
    def of(cls, given: Mapping[str, Any], opset: int = 17) -> OnnxOptions:
        """Check what stands under `onnx:`; the opset of the export holds where none is named.

        Raises:
            ParameterError: an unknown name, or shapes and names that do not fit together.
        """
        values = dict(given)
        asked = dict(values.get("options") or {})
        asked.setdefault("opset_version", opset)
        values["options"] = ExportOptions.parse(asked)
        shapes = values.get("input_shape")
        if isinstance(shapes, Mapping):
            values["input_shape"] = {
                name: shape if isinstance(shape, InputShape) else InputShape.parse(shape)
                for name, shape in shapes.items()
            }
        names = values.get("input_names") or list(values.get("input_shape") or ["img"])
        outputs = values.get("output_names") or ["feats"]
        values.setdefault("input_names", names)
        values.setdefault("input_shape", {names[0]: InputShape.parse({})})
        batch = {0: "batch"}
        values.setdefault("dynamic_axes", {names[0]: batch, outputs[0]: batch})
        made = cls.parse(values)
        made._check()
        return made

    def _check(self) -> None:
        if len(self.input_names) != 1 or len(self.output_names) != 1:
            raise ParameterError(
                f"onnx: the model has one input and one output, not {self.input_names} and "
                f"{self.output_names}"
            )
        if list(self.input_shape) != self.input_names:
            raise ParameterError(
                f"onnx: input_shape names {list(self.input_shape)}, input_names "
                f"{self.input_names}: they must be the same"
            )
        known = {*self.input_names, *self.output_names}
        for name, axes in self.dynamic_axes.items():
            if name not in known or set(axes) - {0}:
                raise ParameterError(
                    f"onnx: dynamic_axes has {name}: {axes}; only axis 0 (the batch) of "
                    f"{', '.join(sorted(known))} can be dynamic"
                )

    @property
    def shape(self) -> list[int]:
        """Of the input."""
        return self.input_shape[self.input_names[0]].shape


def fingerprint(model: Embedder) -> str:
    """SHA-256 over the weights: embeddings of models with another one cannot be compared."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def export_embedder(
    model: Embedder,
    path: Path,
    metadata: Mapping[str, Any] | None = None,
    options: OnnxOptions | None = None,
) -> Path:
    """Write the branch; pixels are normalised inside the graph.

    Args:
        model: on the CPU; its mode is restored.
        path: of the file.
        metadata: JSON values to keep in it, beside what prediction needs.
        options: names, shapes and opset.

    Raises:
        ParameterError: the shape does not fit the network.
    """
    options = options or OnnxOptions.of({})
    side = model.config.side
    if len(options.shape) != 4 or options.shape[1:] != [3, side, side]:
        raise ParameterError(
            f"onnx: input_shape is {options.shape}; this network was built for "
            f"[batch, 3, {side}, {side}]"
        )
    facts = {
        "line": "docclass",
        **(metadata or {}),
        "dim": model.config.dim,
        "weights": fingerprint(model),
        "input": {
            "name": options.input_names[0],
            "channels": "RGB",
            "range": [0, 1],
            "side": side,
            "resize": "to a square, aspect not kept, averaging over areas (cv2.INTER_AREA)",
        },
        "output": {"name": options.output_names[0], "length": 1.0, "compare": "scalar product"},
    }
    # Innermost channels are for training: traced so, layers would be transposed there and back.
    plain = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return onnx.export(
        plain,
        (torch.rand(options.shape),),
        path,
        options.input_names,
        options.output_names,
        options.dynamic_axes,
        options.options.opset_version,
        facts,
    )


def quantize_static(source: Path, target: Path, views: NDArray[np.uint8]) -> Path:
    """Write an int8 variant: weights a channel, activations by ranges seen on some views.

    The network is all convolutions, which dynamic quantisation would leave alone. The metadata is
    kept, with a fingerprint of its own: its embeddings are not those of the float model.

    Args:
        source: the float model.
        target: of the variant.
        views: uint8 ``[n, side, side, 3]``, what activations are measured on.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = onnx.session(source).get_inputs()[0].name

    class Views(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(range(0, len(views), 16))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            start = next(self.left, None)
            if start is None:
                return None
            part = views[start : start + 16].transpose(0, 3, 1, 2)
            return {name: np.ascontiguousarray(part / np.float32(255))}

    facts = onnx.read_metadata(source)
    with atomic_file(target) as partial:
        prepared = partial.with_suffix(".prepared")
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize(
                str(prepared),
                str(partial),
                Views(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,  # see `onnx.quantize_dynamic`
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            )
        finally:
            prepared.unlink(missing_ok=True)
        weights = hashlib.sha256(f"{facts['weights']} int8".encode()).hexdigest()
        onnx.write_metadata(partial, {**facts, "precision": "int8", "weights": weights})
    return target
