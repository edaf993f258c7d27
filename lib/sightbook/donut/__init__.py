"""The Donut line: a picture of a document to structured fields, first the MRZ of ICAO Doc 9303.

`from sightbook import donut; donut.Predictor()` reads documents with onnxruntime; nothing here
imports torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.donut.zone.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from sightbook.donut.zone.predict import Predictor

        return Predictor
    raise AttributeError(f"module 'sightbook.donut' has no attribute {name!r}")
