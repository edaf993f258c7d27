"""The line of surface defects: boxes, and "defect or clean?" for each picture.

`from sightbook import defects; defects.Predictor("potholes")` works with onnxruntime; nothing here
imports torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.defects.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from sightbook.defects.predict import Predictor

        return Predictor
    raise AttributeError(f"module 'sightbook.defects' has no attribute {name!r}")
