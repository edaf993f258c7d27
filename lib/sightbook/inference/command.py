"""What the `predict` commands of all lines share: options, one answer a picture, drawn copies.

A line's module for prediction has `Predictor`, `OPTIONS` (those of its own) and
`command(files, options)`; `sightbook predict LINE` finds it in :mod:`sightbook.lines`.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

from sightbook.data.images import ImageError, Pixels, iter_images, save_image
from sightbook.runs.run import RunError


class CommandError(RuntimeError):
    """A command line that cannot be carried out; the message says why. The exit code is 2."""


@dataclass(frozen=True)
class Option:
    """An option of a line's own, beside `--json`, `--model` and `--render`, which all have.

    Attributes:
        name: as `Predictor` or `command` call it; ``min_score`` is ``--min-score`` on the command
            line, and of a `bool` there is ``--no-min-score`` too.
        type: what its value must be: `str`, `int`, `float`, `bool` or `Path`.
        help: one line, with the default; without a full stop.
        choices: the values there are, of a `str`.
        instead: the option that has taken its place; this one is not listed in the help.
    """

    name: str
    type: type
    help: str
    choices: tuple[str, ...] = ()
    instead: str = ""


class Result(Protocol):
    """What predictors of all lines return for an image."""

    def to_dict(self) -> Mapping[str, Any]:
        """Ready for JSON."""


R = TypeVar("R", bound=Result)


def settings(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of some options that are set, for a predictor whose arguments have their names."""
    return {name: options[name] for name in names if options.get(name) is not None}


@contextmanager
def setting_up() -> Iterator[None]:
    """Predictors are made in here: what they refuse is what the command line asked for.

    Raises:
        CommandError: in place of RunError, ValueError, TypeError and FileNotFoundError.
    """
    try:
        yield
    except (RunError, ValueError, TypeError, FileNotFoundError) as error:
        raise CommandError(str(error)) from error


def predict_files(
    files: Sequence[Path],
    options: Mapping[str, Any],
    predict: Callable[[Pixels], R],
    *,
    describe: Callable[[str, R], str],
    draw: Callable[[Pixels, R], Pixels],
    ending: str = "_found.png",
    also: Callable[[str, str, R], str | None] | None = None,
    errors: TextIO | None = None,
) -> int:
    """Print an answer a picture: JSON objects, one a line, or text; draw it where that is asked.

    Args:
        files: pictures, folders, PDFs, as `images.iter_images` takes them.
        options: of the command: `json`, and `render`, the folder for drawn copies.
        predict: a `ValueError` says why a picture gives no result, and the next one is taken.
        describe: a picture's name and its result for the terminal.
        draw: a picture with its result drawn on it.
        ending: of the drawn copy's name, behind the picture's.
        also: what else is done with a picture's name, its name as a file of its own (without
            suffix) and its result; what it returns is shown in place of the answer.
        errors: where pictures that could not be read are told; standard output, in the place of
            their answers, by default.

    Returns:
        The exit code: 1 if a picture could not be read, else 0.
    """
    bad = False
    taken: set[str] = set()

    def told(name: str, row: Mapping[str, Any], text: Callable[[], str]) -> str:
        whole = {"file": name, **row}
        return json.dumps(whole, ensure_ascii=False) if options.get("json") else text()

    for image in iter_images(files):
        name = image.name
        try:
            if image.image is None:
                raise image.error or ImageError(name)
            result = predict(image.image)
        except ValueError as error:
            bad, reason = True, str(error)
            text = reason if reason.startswith(name) else f"{name}: {reason}"
            shown = told(name, {"error": reason}, partial(str, text))
            print(shown, file=errors or sys.stdout, flush=True)
            continue
        stem = free_name(name, taken)
        if options.get("render") is not None:
            save_image(Path(options["render"]) / f"{stem}{ending}", draw(image.image, result))
        instead = also(name, stem, result) if also is not None else None
        if instead is None:
            instead = told(name, result.to_dict(), partial(describe, name, result))
        print(instead, flush=True)
    return int(bad)


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


def warn_renamed(old: str, new: str) -> None:
    """Warn the caller of the calling function that it has another name now."""
    warnings.warn(
        f"{old} is called {new} now; the old name goes with release 0.3",
        DeprecationWarning,
        stacklevel=3,
    )
