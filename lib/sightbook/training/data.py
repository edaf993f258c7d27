"""How `training.fit` feeds a model: batches that are a pure function of seed and epoch.

Nothing about the data's order lives in a random state that a kill could lose: the batches of
epoch e follow from (seed, e), and each sample is read with random states seeded from (seed, e,
index). So a run goes on in mid-epoch by skipping the batches it has seen, and any number of
workers delivers the same samples.
"""

import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

Batches = Callable[[int, int], Sequence[Sequence[int]]]
"""``batches(epoch, batch_size)``: the index lists of an epoch; a pure function, whose number of
lists must not depend on the epoch. For width buckets, balanced classes and the like."""


_MASK = 2**64 - 1
_GRACE_SECONDS = 30  # what Slurm grants between SIGTERM and SIGKILL


def shuffled_batches(
    size: int, seed: int, processes: int = 1, steps_per_epoch: int | None = None
) -> Batches:
    """Return the ordinary `Batches`: a new permutation of ``range(size)`` every epoch.

    The batches of an epoch differ in size by one at most, so that no sample is left out and no
    batch is too small for batch normalisation.

    Args:
        size: number of samples.
        seed: of the permutations.
        processes: the number of batches becomes a multiple of it.
        steps_per_epoch: batches a process takes per epoch, from as many permutations as that
            needs; None for exactly one pass.
    """

    def batches(epoch: int, batch_size: int) -> list[list[int]]:
        rng = np.random.default_rng([seed, epoch])
        if steps_per_epoch is None:
            order = rng.permutation(size)
            count = processes * math.ceil(size / (batch_size * processes))
        else:
            count = processes * steps_per_epoch
            passes = math.ceil(count * batch_size / size)
            order = np.concatenate([rng.permutation(size) for _ in range(passes)])
            order = order[: count * batch_size]
        return [part.tolist() for part in np.array_split(order, count)]

    return batches


def ordered_batches(size: int, processes: int = 1) -> Batches:
    """Return `Batches` that keep the data's order: for streams in which every sample is new.

    There a curriculum may rise within an epoch, and nothing is left to shuffle.
    """

    def batches(epoch: int, batch_size: int) -> list[list[int]]:
        count = processes * math.ceil(size / (batch_size * processes))
        return [part.tolist() for part in np.array_split(np.arange(size), count)]

    return batches


class TrainingBatches:
    """The training set's batches on this process, one epoch at a time (a ``batch_sampler``).

    Yields lists of (epoch, index): the epoch travels with each index, because persistent workers
    hold copies of the data set and hear of nothing else.
    """

    def __init__(self, batches: Batches, batch_size: int, rank: int = 0, processes: int = 1):
        self._batches = batches
        self._batch_size = batch_size
        self._rank = rank
        self._processes = processes
        self._epoch = 0
        self._skip = 0
        self._lists = self._of_epoch(0)
        self._count = len(self._lists)

    def move_to(self, epoch: int, skip: int = 0) -> None:
        """Stand before batch `skip` of `epoch`."""
        if epoch != self._epoch:
            self._lists = self._of_epoch(epoch)
            if len(self._lists) != self._count:
                raise ValueError(
                    f"epoch {epoch} has {len(self._lists)} batches and the first had "
                    f"{self._count}: a batches() function must return as many every epoch"
                )
        self._epoch, self._skip = epoch, skip

    def indices(self, batch: int) -> Sequence[int]:
        """Indices of a batch of the current epoch, counted from its start."""
        return self._lists[batch]

    def _of_epoch(self, epoch: int) -> list[Sequence[int]]:
        lists = list(self._batches(epoch, self._batch_size))
        if len(lists) < self._processes:
            raise ValueError(
                f"the training set makes {len(lists)} batches, too few for {self._processes} "
                "processes: use more samples, a smaller batch_size or fewer devices"
            )
        # Every process must take as many steps; the first batches fill a gap at the end.
        lists += lists[: -len(lists) % self._processes]
        return lists[self._rank :: self._processes]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for indices in self._lists[self._skip :]:
            yield [(self._epoch, int(index)) for index in indices]


class TimedLoader:
    """A data loader over `TrainingBatches` that knows how long it kept the training waiting."""

    def __init__(self, loader: DataLoader, batches: TrainingBatches):
        self._loader = loader
        self.batches = batches
        self.waited = 0.0
        """Seconds spent waiting for batches so far."""

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        # The workers start now, not at the first batch: they fill their queues meanwhile.
        batches = iter(self._loader)
        return self._timed(batches)

    def close(self) -> None:
        """End the workers now; they would outlive an error for as long as its traceback."""
        iterator = self._loader._iterator
        if iterator is not None and hasattr(iterator, "_shutdown_workers"):
            iterator._shutdown_workers()

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - start
            yield batch


def training_loader(
    data: Dataset,
    batches: TrainingBatches,
    *,
    seed: int,
    workers: int,
    collate: Callable | None = None,
    pin_memory: bool = False,
) -> TimedLoader:
    """Build the loader of the training set; `data` may define ``set_epoch(epoch)``."""
    loader = DataLoader(
        _Seeded(data, seed, collate),
        batch_sampler=batches,  # type: ignore[arg-type]
        persistent_workers=workers > 0,
        worker_init_fn=_start_training_worker,
        **_common(workers, pin_memory, seed),
    )
    return TimedLoader(loader, batches)


def validation_loader(
    data: Dataset,
    batch_size: int,
    *,
    seed: int,
    workers: int,
    collate: Callable | None = None,
    pin_memory: bool = False,
) -> DataLoader:
    """Build the loader of the validation set: in order, the same samples at every epoch."""
    count = len(data)  # type: ignore[arg-type]
    return DataLoader(
        _Seeded(data, seed, collate),
        batch_sampler=[  # type: ignore[arg-type]
            [(0, index) for index in range(start, min(start + batch_size, count))]
            for start in range(0, count, batch_size)
        ],
        worker_init_fn=_start_worker,
        **_common(workers, pin_memory, seed),
    )


def resolve_workers(workers: int | str, processes: int = 1) -> int:
    """Return the number of loader processes; ``auto`` is the cores but one, 12 at most."""
    if workers != "auto":
        return int(workers)
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(0, min(12, cores // processes - 1))


class _Seeded(Dataset):
    """A data set read by whole batches of (epoch, index), each sample under its own random states.

    Samples are collated here too, so that a collate function may draw random numbers.
    """

    def __init__(self, data: Dataset, seed: int, collate: Callable | None):
        self.data = data
        self.seed = seed
        self._collate = collate or default_collate
        self._epoch: int | None = None

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        # Without workers this is the training process, whose states (dropout!) must not move.
        states = random_states(cuda=False)
        try:
            return self._collate([self._read(epoch, index) for epoch, index in keys])
        finally:
            set_random_states(states)

    def _read(self, epoch: int, index: int) -> Any:
        if epoch != self._epoch:
            self._epoch = epoch
            if hasattr(self.data, "set_epoch"):
                self.data.set_epoch(epoch)
        word = _mix(_mix(_mix(self.seed) + epoch) + index)
        random.seed(word)
        np.random.seed(word & 0xFFFFFFFF)  # noqa: NPY002 - for data sets that use the global one
        torch.default_generator.manual_seed(word)
        return self.data[index]


def _mix(value: int) -> int:
    """Spread neighbouring numbers over 64 bits (the finaliser of SplitMix64).

    In place of ``np.random.SeedSequence``, which takes as long as reading a small sample.
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def random_states(cuda: bool = True) -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's generators, as `torch.save` keeps them.

    Everything is a tensor or a plain value, so that ``torch.load(weights_only=True)`` reads it.
    """
    numpy_state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    name, keys, *rest = numpy_state
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if cuda and torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` returned."""
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def _common(workers: int, pin_memory: bool, seed: int) -> dict[str, Any]:
    return {
        "num_workers": workers,
        "pin_memory": pin_memory,
        "collate_fn": _as_it_is,
        "prefetch_factor": 4 if workers else None,
        # fork: data sets defined in a notebook need no pickling, and a worker starts in
        # milliseconds. Workers touch no GPU and run single-threaded (see _start_worker).
        "multiprocessing_context": "fork" if workers and sys.platform == "linux" else None,
        # else every new iterator would draw its base seed from the training's generator
        "generator": torch.Generator().manual_seed(seed),
    }


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(worker: int) -> None:
    """One thread per worker; Ctrl+C is the training process's affair."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start_training_worker(worker: int) -> None:
    """As above, and outlive a SIGTERM for a while.

    Slurm sends it to every process of the job, and the training process still needs batches to
    get to a point where it can save.
    """
    _start_worker(worker)
    signal.signal(signal.SIGTERM, lambda signum, frame: signal.alarm(_GRACE_SECONDS))
