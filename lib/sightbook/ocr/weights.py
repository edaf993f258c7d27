"""Where the weights of the line's three networks lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sightbook import weights
from sightbook.runs import RunError, find_run

Part = Literal["detection", "layout", "recognition"]


def find_weights(init: str, part: Part) -> Path:
    """The weights file of a run, or of the shipped model.

    Args:
        init: ``reference``, a run's name, or a folder.
        part: which of the networks.

    Raises:
        RunError: no such run, or one without that part.
    """
    name = f"{part}{weights.SUFFIX}"
    if init != "reference":
        return weights.find_weights("ocr", init, name)
    file = weights.weights_file(find_run("ocr", "reference") / part, name)
    if not file.is_file():
        raise RunError(f"the shipped model has no {part}/{name}")
    return file
