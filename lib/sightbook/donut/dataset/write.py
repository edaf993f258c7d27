"""Writing data sets in the Donut folder format (`donut.dataset.folder`), restartable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from sightbook.data.draw_parallel import draw_parallel, whole_rows
from sightbook.data.images import encode_image
from sightbook.data.validation import DataError, keep_origin
from sightbook.donut.dataset.records import METADATA, Sample, ground_truth
from sightbook.runs.run import write_atomic


class Written(NamedTuple):
    """What :func:`write_folder` did."""

    added: int
    kept: int
    folder: Path


_WORTH_WORKERS = 32
"""Fewer samples than this are made sooner here than processes are up."""


def write_folder(
    path: str | Path,
    split: str,
    samples: Iterable[tuple[str, Sample | Callable[[], Sample]]],
    *,
    origin: Mapping[str, Any] | None = None,
    workers: int = 0,
    quality: int = 92,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Write or continue one split of a data set.

    A picture appears whole, then its row is appended: cut off at any moment, the folder holds
    sound records only, and the same call goes on where it stopped. Rows that are there already
    (by file name) are kept, and their samples not even made.

    Args:
        path: the data set's folder.
        split: sub-folder to write; "" writes into ``path`` itself.
        samples: file name (relative, with a suffix such as .jpg or .png) and either the sample
            or a function without arguments that makes it.
        origin: what the samples are made from (generator, seed, size ...), kept as
            ``origin.json``. A folder of another origin is refused instead of mixed.
        workers: processes that make the samples, where there are enough of them to pay for the
            start; the functions must then be picklable. The rows do not depend on it.
        quality: of JPEG and WebP.
        progress: called with the number of rows there are, after each sample.

    Raises:
        DataError: a name that leaves the folder or stands twice, or another origin.
    """
    folder = Path(path) / split
    folder.mkdir(parents=True, exist_ok=True)
    if origin is not None:
        keep_origin(folder, origin)
    metadata = folder / METADATA
    known = {row["file_name"] for row in whole_rows(metadata)}
    kept = added = 0

    def missing() -> Iterator[tuple[str, Sample | Callable[[], Sample]]]:
        nonlocal kept
        named: set[str] = set()
        for name, sample in samples:
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or not pure.suffix or name in named:
                reason = "stands twice" if name in named else "must be relative, with a suffix"
                raise DataError(f"{folder}: the file name {name!r} {reason}")
            named.add(name)
            if name in known:
                kept += 1
                continue
            yield name, sample

    with metadata.open("ab", buffering=0) as file:
        write = partial(_write_sample, folder, quality)
        for row in draw_parallel(
            write, missing(), workers, least=_WORTH_WORKERS, name=itemgetter(0)
        ):
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            added += 1
            if progress is not None:
                progress(kept + added)
    return Written(added, kept, folder)


def _write_sample(
    folder: Path, quality: int, job: tuple[str, Sample | Callable[[], Sample]]
) -> dict[str, Any]:
    name, sample = job
    made = sample if isinstance(sample, Sample) else sample()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(made.image, np.ndarray):
        data = encode_image(made.image, path.suffix, quality=quality)
    else:
        data = made.image if isinstance(made.image, bytes) else made.image.read_bytes()
    write_atomic(path, data)
    row = {"file_name": name, "ground_truth": ground_truth(made.gt), **made.extra}
    return json.loads(json.dumps(row, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        # A hundredth of a pixel is enough, and keeps the file readable.
        return np.round(value, 2).tolist() if value.dtype.kind == "f" else value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to {METADATA}: {value!r}")
