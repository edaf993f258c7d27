"""Tables as text files that people edit: words, names, codes. Package data, read once."""

from __future__ import annotations

from os import PathLike
from pathlib import Path


def read_table(path: str | PathLike[str]) -> dict[str, list[str]]:
    """Rows of a text file by section.

    A line ``[name]`` begins a section; what stands before the first is section "". Blank lines and
    lines that begin with ``#`` do not count, blanks around rows neither. How a row is to be read
    says the file's first comment.

    Args:
        path: of a UTF-8 file.

    Raises:
        ValueError: a section stands twice, or a row is in none where the file has sections.
        OSError: the file cannot be read.
    """
    sections: dict[str, list[str]] = {"": []}
    section = ""
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        row = line.strip()
        if not row or row.startswith("#"):
            continue
        if row.startswith("[") and row.endswith("]"):
            section = row[1:-1].strip()
            if section in sections:
                raise ValueError(f"{path}, line {number}: section [{section}] stands twice")
            if sections[""]:
                raise ValueError(f"{path}: {sections[''][0]!r} stands before the first section")
            sections[section] = []
        else:
            sections[section].append(row)
    return sections
