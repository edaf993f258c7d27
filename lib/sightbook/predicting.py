"""What the `predict` commands of all lines share: options, one answer a picture, names of files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightbook.images import ImageError, Picture, Pixels, iter_images

COMMON = ("json", "model")
"""Options that every line has."""

Answer = tuple[Mapping[str, Any], str]
"""What was found on a picture: for JSON, without the file's name, and for the terminal."""


def options_given(
    line: str, options: Mapping[str, Any], known: Collection[str], also: Collection[str] = ()
) -> dict[str, Any] | None:
    """The options that are set; None, and it is said, if the line does not know one of them.

    Args:
        line: whose command it is.
        options: as the command got them; None stands for one that is not set.
        known: the line's own, as they are told.
        also: own ones that the command line has arguments for, which are not told.
    """
    given = {name: value for name, value in options.items() if value is not None}
    unknown = set(given) - {*known, *also, *COMMON}
    if not unknown:
        return given
    print(
        f"{line} knows no option {', '.join(sorted(unknown))}; there are "
        f"{', '.join(sorted(known))}",
        file=sys.stderr,
    )
    return None


def answer_each(
    files: Sequence[Path],
    answer: Callable[[Pixels, Picture], Answer],
    *,
    as_json: bool,
) -> int:
    """Print an answer a picture: JSON objects, one a line, or text.

    Args:
        files: pictures, folders, PDFs, as `images.iter_images` takes them.
        answer: of a picture; a `ValueError` says why there is none, and the next one is taken.
        as_json: one JSON object a line, with the picture's name as ``file``.

    Returns:
        How many pictures could not be read.
    """
    bad = 0
    for picture in iter_images(files):
        try:
            if picture.image is None:
                raise picture.error or ImageError(picture.name)
            row, shown = answer(picture.image, picture)
        except ValueError as error:
            bad += 1
            reason = str(error)
            row = {"error": reason}
            shown = reason if reason.startswith(picture.name) else f"{picture.name}: {reason}"
        whole = {"file": picture.name, **row}
        print(json.dumps(whole, ensure_ascii=False) if as_json else shown, flush=True)
    return bad


def free_name(name: str, taken: set[str]) -> str:
    """The file's name (and page) without folders and suffix, with a number if it was taken before.

    Args:
        name: of a picture, as `images.iter_images` has it.
        taken: names given so far; the new one is added.
    """
    path, _, page = name.partition("#page=")
    stem = Path(path).stem + (f"-{page}" if page else "")
    found, number = stem, 1
    while found in taken:
        number += 1
        found = f"{stem}_{number}"
    taken.add(found)
    return found
