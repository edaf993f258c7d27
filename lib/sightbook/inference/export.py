"""What `04_export` does for every line: find the run, hand it to its line, record what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from sightbook.lines import LINES, line_module
from sightbook.params import Parameters, load_model


class ExportModel(Parameters):
    """`04_export`: any line's run to ONNX, with parity, variants, latency and a model card.

    A line may take more parameters than these: its own class of them is named in
    :data:`sightbook.lines.LINES`, and `parse` takes it for a run of that line.
    """

    line: Literal[tuple(LINES)] = Field(  # type: ignore[valid-type]
        next(iter(LINES)), description="line whose run is exported"
    )
    run: str = Field("latest", description="run to export: latest, a name or a path")
    samples: int = Field(8, ge=1, description="real inputs on which parity is measured")
    int8: bool = Field(True, description="also write and measure an int8 variant")
    weights: Literal["fp16", "fp32"] = Field(
        "fp16", description="how model.onnx stores its weights: fp16 or fp32"
    )
    opset: int = Field(17, ge=17, le=22, description="ONNX operator set")
    repeats: int = Field(10, ge=1, description="timed runs for the latency figures")

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "") -> Self:
        """Check values, as `Parameters.parse`, with the parameters of the line that they name."""
        classes = {
            line: load_model(tasks["export_params"])
            for line, tasks in LINES.items()
            if "export_params" in tasks
        }
        model = classes.get(str(values.get("line", cls.model_fields["line"].default)), cls)
        if not issubclass(model, cls):
            model = cls
        # Until release 0.3 every line took the parameters of all: left alone, they ask for nothing.
        of_others = {
            name: field.get_default(call_default_factory=True)
            for other in classes.values()
            for name, field in other.model_fields.items()
            if name not in model.model_fields
        }
        asked = {
            name: value
            for name, value in values.items()
            if name not in of_others or value != of_others[name]
        }
        # not `model.parse`: that would come here again
        return super(ExportModel, model).parse(asked, source)


@dataclass
class Exported:
    """What a line's export made.

    Attributes:
        folder: where the files lie: the run's folder.
        files: the files of the model, the one to hand to a predictor first.
        parity: numeric and task-level agreement with PyTorch.
        variants: one row a variant: name, megabytes, milliseconds, accuracy.
        speed: prediction beside PyTorch's own, milliseconds.
        arguments: what `sightbook predict LINE` wants to be told.
    """

    folder: Path
    files: list[Path]
    parity: dict[str, Any]
    variants: list[dict[str, Any]]
    speed: dict[str, float] = field(default_factory=dict)
    arguments: str = "FILE..."

    @property
    def metrics(self) -> dict[str, Any]:
        """What goes into the run's metrics.json."""
        return {"parity": self.parity, "variants": self.variants, "speed": self.speed}


def export(params: ExportModel, run: Path) -> Exported:
    """Export a line's run into its own folder.

    Args:
        params: of the export; `params.run` is what `run` was found by.
        run: the run folder.

    Raises:
        RunError: there is no such run, or it holds no trained model.
    """
    return line_module(params.line, "export").export_run(run, params)
