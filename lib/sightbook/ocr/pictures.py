"""Finding the picture that an annotation is about."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import commonpath
from pathlib import Path


class Pictures:
    """Picture files, found by name.

    Args:
        files: absolute or relative paths, all alike.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = {}
        self.files = list(files)
        for file in self.files:
            self._by_name.setdefault(file.name, []).append(file)
            if file.stem != file.name:
                self._by_name.setdefault(file.stem, []).append(file)

    def find(self, name: str, near: Path) -> Path | None:
        """The picture called `name`, with or without suffix and folders; None if there is none.

        Of several, the one whose path has most in common with the annotation's file `near`: that
        beside it, then that of the same split (``train/images`` for ``train/annotations``).
        """
        found = self._by_name.get(Path(name).name)
        if not found:
            return None
        return max(found, key=lambda file: _nearness(file, near))

    def unique_id(self, file: Path, root: Path) -> str:
        """The file's name without suffix; with its folders before it where names stand twice."""
        if len(self._by_name[file.stem]) == 1:
            return file.stem
        parts = file.relative_to(root).parts
        twins = [other for other in self._by_name[file.stem] if other.parent == file.parent]
        name = file.stem if len(twins) == 1 else file.name
        return "_".join([*parts[:-1], name])


def _nearness(file: Path, near: Path) -> tuple[int, bool]:
    shared = len(Path(commonpath([file.parent, near.parent])).parts)
    return shared, file.parent == near.parent
