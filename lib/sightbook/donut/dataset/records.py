"""What a labelled picture is: records as read, samples to be written, truths and corners."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import Pixels, content_hash

METADATA = "metadata.jsonl"
SPLITS = ("train", "validation", "test")
_ALIASES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("val", "valid", "dev", "eval"), "validation"),
    **dict.fromkeys(("testing",), "test"),
}

Truth = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """One labelled picture.

    Attributes:
        path: the picture's file.
        gt: what is on it: one object (``gt_parse``) or several (``gt_parses``).
        extra: all other columns.
        file_name: the path as the metadata write it; also the record's name.
        where: file and line of the metadata, for messages.
    """

    path: Path
    gt: list[Truth]
    extra: dict[str, Any] = field(default_factory=dict)
    file_name: str = ""
    where: str = ""

    @property
    def quads(self) -> NDArray[np.float32] | None:
        """Zone lines' corners, float32 ``[lines, 4, 2]`` in pixels, or None if not recorded."""
        return as_quads(self.extra.get("quads"))

    @property
    def caption(self) -> str:
        """The record on one line: its name, then what is on it, the zone's type and lines first."""
        truth: Any = self.gt
        if len(self.gt) == 1:
            truth = self.gt[0].get("mrz", self.gt[0]) or "no zone"
            if isinstance(truth, dict) and "lines" in truth:
                truth = [truth.get("type"), *truth["lines"]]
        return "  ".join(part for part in (self.file_name, _flat(truth)) if part)

    @property
    def mrz_lines(self) -> list[str] | None:
        """Lines of the zone; empty if there is none on it; None if the truth does not say."""
        for truth in self.gt:
            if "mrz" in truth:
                zone = truth["mrz"]
                return list(zone.get("lines") or []) if isinstance(zone, dict) else []
        return None

    @property
    def group(self) -> Hashable | None:
        """What must stay together in a split, or None."""
        value = self.extra.get("group")
        return value if isinstance(value, Hashable) else json.dumps(value, sort_keys=True)

    def content_hash(self) -> str:
        """SHA-256 of the file; of the name if it is not there."""
        if self.path.is_file():
            return content_hash(self.path)
        return content_hash(str(self.path).encode())


@dataclass(frozen=True)
class Sample:
    """What :func:`write_folder` writes: a picture and its truth.

    Attributes:
        image: uint8 pixels, encoded by the suffix of the file name; or a file (or its bytes) to
            be copied as it is.
        gt: as in :class:`Record`.
        extra: further columns, ready for JSON (arrays are turned into lists).
    """

    image: Pixels | Path | bytes
    gt: list[Truth]
    extra: dict[str, Any] = field(default_factory=dict)


def as_quads(value: Any) -> NDArray[np.float32] | None:
    """Corners as float32 ``[n, 4, 2]``; None for nothing, or for what has another shape."""
    if value is None:
        return None
    try:
        quads = np.asarray(value, np.float32)
    except (ValueError, TypeError):
        return None
    if quads.size == 0:
        return np.zeros((0, 4, 2), np.float32)
    return quads if quads.ndim == 3 and quads.shape[1:] == (4, 2) else None


def mrz_truth(type: str | None, lines: Sequence[str]) -> Truth:
    """The canonical truth of a zone; without lines that of a document that has none."""
    return {"mrz": {"type": type, "lines": list(lines)} if lines else None}


def ground_truth(gt: Sequence[Truth]) -> str:
    """The ``ground_truth`` column: ``gt_parse`` for one object, ``gt_parses`` for several."""
    value = {"gt_parse": gt[0]} if len(gt) == 1 else {"gt_parses": list(gt)}
    return json.dumps(value, ensure_ascii=False)


def split_name(text: str) -> str | None:
    """``train``, ``validation`` or ``test`` for any of their usual names, else None."""
    return _ALIASES.get(text.strip().lower())


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return "  ".join(_flat(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
