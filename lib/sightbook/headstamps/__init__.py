"""The line of headstamps: casings and primers on photographs, and the text stamped on them.

`from sightbook import headstamps; headstamps.Reader()` works with onnxruntime; nothing here imports
torch until a training module is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightbook.headstamps.predict import Reader

__all__ = ["Reader"]


def __getattr__(name: str) -> Any:
    if name == "Reader":
        from sightbook.headstamps.predict import Reader

        return Reader
    raise AttributeError(f"module 'sightbook.headstamps' has no attribute {name!r}")
