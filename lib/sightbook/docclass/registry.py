"""Registered document types: names and the embeddings of their templates, arrays only.

A registry belongs to the model whose embeddings it holds; with another model's it would answer
nonsense, so it remembers that model's fingerprint and is refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightbook.runs.files import atomic_file

Floats = NDArray[np.float32]


class RegistryError(ValueError):
    """A registry that cannot be used: empty, damaged, or of another model."""


class Registry:
    """Types with one or more templates each.

    Args:
        model: fingerprint of the model that makes the embeddings.
        dim: their length.
    """

    def __init__(self, model: str, dim: int) -> None:
        self.model = model
        self.dim = dim
        self._rows: dict[str, list[Floats]] = {}
        self._matrix: tuple[Floats, NDArray[np.int64], list[str]] | None = None

    def __len__(self) -> int:
        """Number of templates."""
        return sum(map(len, self._rows.values()))

    @property
    def types(self) -> list[str]:
        """Names of the types, in the order in which they were added."""
        return list(self._rows)

    def add(self, type: str, embeddings: Floats) -> None:
        """Register templates of a type, new or known.

        Args:
            type: its name.
            embeddings: ``[dim]`` or ``[n, dim]`` of unit length.

        Raises:
            RegistryError: an empty name, or embeddings of another length.
        """
        rows = np.atleast_2d(np.asarray(embeddings, np.float32))
        if not type.strip():
            raise RegistryError("a type needs a name")
        if rows.shape[1] != self.dim or not len(rows):
            raise RegistryError(
                f"embeddings of shape {rows.shape}, this registry holds [n, {self.dim}]"
            )
        self._rows.setdefault(type, []).extend(rows)
        self._matrix = None

    def remove(self, type: str) -> None:
        """Take a type and all its templates out.

        Raises:
            RegistryError: it is not registered.
        """
        if type not in self._rows:
            raise RegistryError(f"type {type!r} is not registered; there are {self._shown()}")
        del self._rows[type]
        self._matrix = None

    def templates(self, type: str) -> Floats:
        """Embeddings of a type, ``[n, dim]``."""
        return np.stack(self._rows[type])

    def scores(self, queries: Floats) -> Floats:
        """Similarity of each query to each type: that of the type's nearest template.

        Args:
            queries: ``[n, dim]`` of unit length.

        Returns:
            Cosines, float32 ``[n, types]``, columns as `types`.

        Raises:
            RegistryError: nothing is registered.
        """
        if not self._rows:
            raise RegistryError("the registry is empty: register at least one template")
        if self._matrix is None:
            rows = [row for templates in self._rows.values() for row in templates]
            counts = np.array([len(templates) for templates in self._rows.values()])
            starts = np.cumsum(counts) - counts
            self._matrix = np.stack(rows), starts, self.types
        matrix, starts, names = self._matrix
        found = np.asarray(queries, np.float32) @ matrix.T
        return found if len(names) == len(matrix) else np.maximum.reduceat(found, starts, axis=1)

    def save(self, path: str | Path) -> Path:
        """Write a `.npz` that needs no pickles to be read."""
        names = [name for name, rows in self._rows.items() for _ in rows]
        rows = [row for templates in self._rows.values() for row in templates]
        path = Path(path)
        with atomic_file(path) as target, target.open("wb") as file:
            np.savez(
                file,
                model=np.array(self.model),
                types=np.array(names, np.str_),
                embeddings=np.stack(rows) if rows else np.zeros((0, self.dim), np.float32),
            )
        return path

    @classmethod
    def load(cls, path: str | Path, model: str | None = None) -> Registry:
        """Read what `save` wrote.

        Args:
            path: of the file.
            model: fingerprint of the model that is to be used with it; None accepts any.

        Raises:
            RegistryError: it is no registry, or one of another model.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                made_by = str(kept["model"])
                names, rows = kept["types"].tolist(), kept["embeddings"].astype(np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise RegistryError(f"{path}: is no registry ({error})") from error
        if model is not None and made_by != model:
            raise RegistryError(
                f"{path}: was made by model {made_by[:12]}, this is model {model[:12]}; register "
                "the templates' folder again with this model"
            )
        registry = cls(made_by, rows.shape[1])
        for name in dict.fromkeys(names):
            registry.add(name, rows[[index for index, n in enumerate(names) if n == name]])
        return registry

    def _shown(self) -> str:
        names = self.types
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def top_two(scores: Floats, types: Sequence[str]) -> list[tuple[str, float, str | None, float]]:
    """Best and second best type of each row of ``[n, types]``.

    Returns:
        Name and score of both; None and nan for a second where only one type is registered.
    """
    found: list[tuple[str, float, str | None, float]] = []
    for row in scores:
        if len(row) == 1:
            found.append((types[0], float(row[0]), None, float("nan")))
            continue
        pair = np.argpartition(row, -2)[-2:]
        second, first = pair[np.argsort(row[pair], kind="stable")]
        found.append((types[first], float(row[first]), types[second], float(row[second])))
    return found
