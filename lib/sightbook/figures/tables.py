"""Small tables for notebooks, reports, model cards and terminals, from rows of plain values."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """Rows with the same keys; shows itself as HTML in a notebook and as text elsewhere.

    Columns appear in the order in which the rows bring them; a missing value stays empty.
    """

    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def _cells(self) -> Iterable[list[str]]:
        for row in self.rows:
            yield [_shown(row.get(name, "")) for name in self.columns]

    def markdown(self) -> str:
        """The table as Markdown; empty for no rows."""
        if not self.rows:
            return ""
        lines = [self.columns, ["---"] * len(self.columns), *self._cells()]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )

    def __str__(self) -> str:
        lines = [self.columns, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{html.escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for cells in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def artefacts(run: Path) -> Table:
    """The files a run folder holds, with their sizes."""
    rows = []
    for file in sorted(run.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            size = f"{file.stat().st_size / 2**20:.2f} MB"
            rows.append({"file": str(file.relative_to(run)), "size": size})
    return Table(rows)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
