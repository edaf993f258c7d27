"""The OCR line: text detection, layout and text recognition, in the form the ocrs engine takes.

`from sightbook import ocr; ocr.Predictor()` works with onnxruntime; nothing here imports torch
until a training module is asked for. What other lines use of this one stands here: readers of pages
and of single lines, and pages written as data to train them on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.ocr.data import ANNOTATIONS, IMAGES
    from sightbook.ocr.engine import LineText, geometric_mean
    from sightbook.ocr.hiertext import page_of, write_hiertext
    from sightbook.ocr.page import Line, Page, Paragraph
    from sightbook.ocr.predict import LineReader, Predictor, model_file

__all__ = [
    "ANNOTATIONS",
    "IMAGES",
    "Line",
    "LineReader",
    "LineText",
    "Page",
    "Paragraph",
    "Predictor",
    "geometric_mean",
    "model_file",
    "page_of",
    "write_hiertext",
]

_FROM = {
    "ANNOTATIONS": "data",
    "IMAGES": "data",
    "Line": "page",
    "LineReader": "predict",
    "LineText": "engine",
    "Page": "page",
    "Paragraph": "page",
    "Predictor": "predict",
    "geometric_mean": "engine",
    "model_file": "predict",
    "page_of": "hiertext",
    "write_hiertext": "hiertext",
}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(f"sightbook.ocr.{_FROM[name]}"), name)
    raise AttributeError(f"module 'sightbook.ocr' has no attribute {name!r}")
