"""The detection lines: surface defects with an image-level decision, and cartridge headstamps.

`from sightbook import detection; detection.Predictor("potholes")` works with onnxruntime; nothing
here imports torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.detection.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from sightbook.detection.predict import Predictor

        return Predictor
    raise AttributeError(f"module 'sightbook.detection' has no attribute {name!r}")
