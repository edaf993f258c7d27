"""The OCR line: text detection, layout and text recognition, in the form the ocrs engine takes.

`from sightbook import ocr; ocr.Predictor()` works with onnxruntime; nothing here imports torch
until a training module is asked for. What other lines use of this one stands here: readers of pages
and of single lines, and pages written as data to train them on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.ocr.inference.engine import LineText, geometric_mean
    from sightbook.ocr.inference.predict import LineReader, Predictor, model_file
    from sightbook.ocr.pages.hiertext import page_of, write_hiertext
    from sightbook.ocr.pages.page import Line, Page, Paragraph
    from sightbook.ocr.pages.read import ANNOTATIONS, IMAGES

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
    "ANNOTATIONS": "pages.read",
    "IMAGES": "pages.read",
    "Line": "pages.page",
    "LineReader": "inference.predict",
    "LineText": "inference.engine",
    "Page": "pages.page",
    "Paragraph": "pages.page",
    "Predictor": "inference.predict",
    "geometric_mean": "inference.engine",
    "model_file": "inference.predict",
    "page_of": "pages.hiertext",
    "write_hiertext": "pages.hiertext",
}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(f"sightbook.ocr.{_FROM[name]}"), name)
    raise AttributeError(f"module 'sightbook.ocr' has no attribute {name!r}")
