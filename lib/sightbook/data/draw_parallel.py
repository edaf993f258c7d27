"""Drawing many seeded samples: in several processes, in order, restartable.

A sample is a function of its seed and index, so the work divides at will: what comes out is the
same for any number of processes, and a series that was cut off goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from sightbook.runs.files import write_atomic

JOURNAL = ".drawn.jsonl"
"""The journal's name in a data set's folder: hidden, and gone when the data set is whole."""

_AHEAD = 4  # samples begun per worker: enough that none waits, few enough to lose little

T = TypeVar("T")
R = TypeVar("R")


def draw_parallel(
    draw: Callable[[T], R],
    samples: Iterable[T],
    workers: int = 0,
    *,
    least: int = 2,
    name: Callable[[T], object] = lambda sample: sample,
) -> Iterator[R]:
    """Draw samples in processes and yield them in their order.

    Args:
        draw: makes one sample, from its seed and index alone. Workers get it pickled: a function of
            a module, or a `functools.partial` of one.
        samples: what `draw` is called with, mostly indices. Taken only as far ahead as the workers
            need, so it may be endless.
        workers: processes; 0 and 1 draw in this one.
        least: with fewer samples, starting processes takes longer than drawing here.
        name: of a sample, for errors.

    Raises:
        Exception: what `draw` raises, with a note that names the sample.
        RuntimeError: a worker was killed, by a lack of memory for instance.
    """

    def result(sample: T, future: Future[R]) -> R:
        with _naming(name(sample)):
            return future.result()

    jobs = iter(samples)
    first = list(islice(jobs, least)) if workers > 1 else []
    if len(first) < max(least, 2):
        for sample in chain(first, jobs):
            with _naming(name(sample)):
                drawn = draw(sample)
            yield drawn
        return
    # Fresh interpreters: a fork would inherit the locks of a notebook's threads (torch, OpenCV).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            for sample in chain(first, jobs):
                waiting.append((sample, pool.submit(draw, sample)))
                if len(waiting) >= _AHEAD * workers:
                    yield result(*waiting.popleft())
            while waiting:
                yield result(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def draw_resumable(
    draw: Callable[[T], Any],
    samples: Sequence[T],
    journal: Path,
    *,
    origin: Mapping[str, Any],
    workers: int = 0,
) -> list[Any]:
    """Draw samples whose files `draw` writes; cut off, the same call goes on where it stopped.

    What `draw` returned is kept in a journal, a row a sample, until the caller has written what the
    data set keeps of it and removes the journal.

    Args:
        draw: writes the files of one sample whole (`files.atomic_file`), and returns what is to be
            known of it as JSON can hold it.
        samples: what `draw` is called with.
        journal: file in the data set's folder.
        origin: all that the samples depend on, as JSON can hold it; the journal of another origin
            is not gone on with.
        workers: processes; see `draw_parallel`.

    Returns:
        The rows in the samples' order, as JSON gives them back, whether drawn now or before.
    """
    head = json.loads(json.dumps({"origin": origin}))
    known = whole_rows(journal)
    if known[:1] != [head]:
        known = [head]
        write_atomic(journal, json.dumps(head) + "\n")
    rows = known[1 : 1 + len(samples)]
    with journal.open("ab", buffering=0) as file:
        for row in draw_parallel(draw, samples[len(rows) :], workers):
            line = json.dumps(row)
            file.write(f"{line}\n".encode())
            rows.append(json.loads(line))
    return rows


def whole_rows(path: Path) -> list[Any]:
    """Rows of a file of JSON lines that grows by appending; none if there is no such file.

    A last line that was torn by a kill is cut off the file.
    """
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    if rest:
        try:
            json.loads(rest)  # an editor may have left the last newline out
            write_atomic(path, data + b"\n")
            whole = data
        except ValueError:
            write_atomic(path, whole + b"\n" if whole else b"")
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


@contextmanager
def _naming(sample: object) -> Iterator[None]:
    """Say of an exception which sample it is about."""
    try:
        yield
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a process that drew samples was killed, at sample {sample} or soon after: is there "
            "enough memory? Fewer workers need less"
        ) from error
    except Exception as error:
        error.add_note(f"while sample {sample} was drawn")
        raise


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)  # one process per core already
