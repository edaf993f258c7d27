"""The line of headstamps: casings and primers on photographs, and the text stamped on them.

`from sightbook import headstamps; headstamps.Predictor()` works with onnxruntime; nothing here
imports torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.headstamps.predict import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name in ("Predictor", "Reader"):
        from sightbook.headstamps import predict

        return getattr(predict, name)
    raise AttributeError(f"module 'sightbook.headstamps' has no attribute {name!r}")
