"""The document-type line: which registered template does a photo show, or none of them?

`from sightbook import docclass; docclass.Predictor(register="templates/")` works with onnxruntime;
nothing here imports torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.docclass.predict import Predictor
    from sightbook.docclass.registry import Registry

__all__ = ["Predictor", "Registry"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from sightbook.docclass.predict import Predictor

        return Predictor
    if name == "Registry":
        from sightbook.docclass.registry import Registry

        return Registry
    raise AttributeError(f"module 'sightbook.docclass' has no attribute {name!r}")
