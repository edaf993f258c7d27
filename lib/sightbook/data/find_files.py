"""Which image file an annotation means, whatever it calls it: a name, a path, a URL, a stem."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit


class ImageFinder:
    """Image files, found by what annotations call them.

    Nothing but these files is ever found, whatever a name says. Case does not count, nor does the
    suffix.

    Args:
        files: all that may be meant.
        folder: in which they lie.
        prefer: what decides where a name fits several files. ``nearest`` takes the one nearest to
            the annotation's own file: that beside it, then that of the same split (``train/images``
            for ``train/annotations``). With ``named`` the folders that the name ends with come
            first, then a file that lies in no further folder, and only then nearness; where two
            files are alike in all of it, nothing is found.
    """

    def __init__(
        self, files: Iterable[Path], folder: Path, *, prefer: Literal["nearest", "named"]
    ) -> None:
        self.files = list(files)
        self.folder = folder
        self.prefer = prefer
        self._by_name: dict[str, list[Path]] = {}
        for file in self.files:
            for key in {file.name.casefold(), file.stem.casefold()}:
                self._by_name.setdefault(key, []).append(file)

    def name(self, file: Path) -> str:
        """The file's path from the folder, with ``/``."""
        return file.relative_to(self.folder).as_posix()

    def find(self, name: str, near: Path) -> Path | None:
        """The image that `name` means.

        Args:
            name: with or without suffix and folders, or a URL.
            near: the annotation's file.

        Returns:
            None if there is none, or several that may be meant.
        """
        asked = path_of(name).parts
        found = self._by_name.get(asked[-1].casefold(), []) if asked else []
        if self.prefer == "nearest":
            return max(found, key=lambda file: self._nearness(file, asked, near), default=None)
        ranks = [self._agreement(file, asked, near) for file in found]
        best = max(ranks, default=())
        return found[ranks.index(best)] if ranks.count(best) == 1 else None

    def unique_id(self, file: Path) -> str:
        """The file's name without suffix; with its folders before it where names stand twice."""
        namesakes = [
            other
            for other in self._by_name[file.stem.casefold()]
            if file.stem in (other.name, other.stem)
        ]
        if len(namesakes) == 1:
            return file.stem
        twins = [other for other in namesakes if other.parent == file.parent]
        name = file.stem if len(twins) == 1 else file.name
        return "_".join([*file.relative_to(self.folder).parts[:-1], name])

    def _nearness(self, file: Path, asked: tuple[str, ...], near: Path) -> tuple[int, ...]:
        agreeing = self._agreement(file, asked, near)
        exact = asked[-1] in (file.name, file.stem)
        return _shared(file.parent, near.parent), file.parent == near.parent, exact, *agreeing

    def _agreement(self, file: Path, asked: tuple[str, ...], near: Path) -> tuple[int, ...]:
        own = [part.casefold() for part in file.relative_to(self.folder).parts]
        parts = [part.casefold() for part in asked]
        agreeing = _shared(own[-2::-1], parts[-2::-1])
        # "a.b" may be the stem of "a.b.png": a whole name counts for more
        whole_name, whole_path = own[-1] == parts[-1], agreeing == len(own) - 1
        return agreeing, whole_name, whole_path, _shared(file.parent, near.parent)


def path_of(name: str) -> PurePosixPath:
    """The path in a file name or URL: of AmlDatastore, azureml, or a web address."""
    name = name.strip().replace("\\", "/")
    if "://" in name:
        parsed = urlsplit(name)
        _, paths, rest = parsed.path.partition("/paths/")
        name = unquote(rest if paths else f"{parsed.netloc}{parsed.path}")
    return PurePosixPath(name)


def _shared(a: Path | list[str], b: Path | list[str]) -> int:
    """How many parts two paths have in common, from their first on."""
    count = 0
    for mine, other in zip(_parts(a), _parts(b), strict=False):
        if mine != other:
            break
        count += 1
    return count


def _parts(path: Path | list[str]) -> Iterable[str]:
    return path.parts if isinstance(path, Path) else path
