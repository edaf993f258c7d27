"""The OCR line: text detection, layout and text recognition, in the form the ocrs engine takes.

`from sightbook import ocr; ocr.Predictor()` works with onnxruntime; nothing here imports torch
until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.ocr.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from sightbook.ocr.predict import Predictor

        return Predictor
    raise AttributeError(f"module 'sightbook.ocr' has no attribute {name!r}")
