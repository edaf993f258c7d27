"""What `04_export` does for every line: find the run, hand it to its line, record what came out."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sightbook.inference.models import trained_run
from sightbook.params import Parameters

LINES = {
    "donut": "sightbook.donut.exporting",
    "docclass": "sightbook.docclass.exporting",
    "ocr": "sightbook.ocr.exporting",
    "defects": "sightbook.detection.inference.export",
    "headstamps": "sightbook.detection.inference.export",
}
"""Line to the module whose `export_run(run, params)` does the work.

A line that ships several models says in the module's `SHIPPED` which one `reference` means.
"""


class ExportModel(Parameters):
    """`04_export`: any line's run to ONNX, with parity, variants, latency and a model card."""

    line: Literal["donut", "docclass", "ocr", "defects", "headstamps"] = Field(
        "donut", description="line whose run is exported"
    )
    run: str = Field("latest", description="run to export: latest, a name or a path")
    samples: int = Field(8, ge=1, description="real inputs on which parity is measured")
    int8: bool = Field(True, description="also write and measure an int8 variant")
    weights: Literal["fp16", "fp32"] = Field(
        "fp16",
        description="how model.onnx stores its weights; it computes in fp32, scores within 1e-3",
    )
    opset: int = Field(17, ge=17, le=22, description="ONNX operator set")
    repeats: int = Field(10, ge=1, description="timed runs for the latency figures")
    data: str = Field(
        "",
        description="ocr: folder of labelled pages to measure and calibrate on; empty: the run's",
    )
    onnx: dict = Field(  # type: ignore[type-arg]  # notebooks write the type as it stands here
        default_factory=dict, description="docclass: input_shape, input_names, options ... of ONNX"
    )


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


def run_to_export(params: ExportModel) -> Path:
    """Folder of the run that is meant; see `models.trained_run`.

    Raises:
        RunError: there is none.
    """
    room = importlib.import_module(LINES[params.line])
    shipped: dict[str, str] = getattr(room, "SHIPPED", {})
    return trained_run(params.line, params.run, "export", shipped.get(params.line, ""))


def export(params: ExportModel, run: Path) -> Exported:
    """Export a line's run into its own folder.

    Args:
        params: of the export; `params.run` is what `run` was found by.
        run: the run folder.

    Raises:
        RunError: there is no such run, or it holds no trained model.
    """
    room = importlib.import_module(LINES[params.line])
    return room.export_run(run, params)
