"""Preparing a Donut data set: generated, or imported from what people have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sightbook.data.images import Skipped
from sightbook.data.validation import Report
from sightbook.donut.dataset.checks import check_splits, validate
from sightbook.donut.dataset.folder import SPLITS, Record, mrz_truth, read_folder
from sightbook.donut.dataset.importers import import_records, read_source
from sightbook.donut.dataset.write import Sample, write_folder
from sightbook.donut.params import PrepareDonut
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.run import dataset_folder


@dataclass(frozen=True)
class Prepared:
    """A data set on disk, read back and checked.

    Attributes:
        folder: the data set's folder.
        splits: its records by split.
        report: all problems found in labels and splits.
        skipped: pictures that could not be read and were left out.
    """

    folder: Path
    splits: dict[str, list[Record]]
    report: Report
    skipped: Skipped

    @property
    def records(self) -> list[Record]:
        """Records of all splits."""
        return [record for split in self.splits.values() for record in split]

    def table(self) -> list[dict[str, object]]:
        """One row a split: documents, those with a zone, and zones by type."""
        rows = []
        for name, records in self.splits.items():
            types = Counter(
                str(truth["mrz"]["type"])
                for record in records
                for truth in record.gt
                if truth.get("mrz")
            )
            listed = ", ".join(f"{kind} {n}" for kind, n in sorted(types.items()))
            rows.append(
                {
                    "split": name,
                    "documents": len(records),
                    "with a zone": sum(types.values()),
                    "types": listed,
                }
            )
        return rows


def prepare(params: PrepareDonut) -> Prepared:
    """Make or import the data set that `params` describe, read it back and check it.

    Raises:
        ParameterError: a source without its path.
        DataError: the folder exists and was made otherwise, or the source cannot be read.
        TooManySkipped: more unreadable pictures than `params.max_bad`.
    """
    folder = dataset_folder("donut", params.name)
    skipped, report = Skipped(params.max_bad), Report()
    if params.source == "synthetic":
        write_synthetic(
            folder,
            params.documents,
            seed=params.seed,
            size=(params.width, params.height),
            validation=params.validation,
            test=params.test,
            workers=params.workers,
            progress=_every(max(10, params.documents // 10)),
        )
    else:
        if not params.path:
            raise ParameterError(
                f"source is {params.source!r}: parameter 'path' must name the folder or table"
            )
        records = read_source(resolve_path(params.path), report)
        shares = {"validation": params.validation, "test": params.test}
        shares = {"train": 1 - sum(shares.values()), **shares}
        import_records(
            records,
            folder,
            skipped=skipped,
            report=report,
            fractions={name: share for name, share in shares.items() if share},
            salt=str(params.seed),
        )
    splits = read_folder(folder, report=report)
    report.extend(check_splits(splits))
    for records in splits.values():
        report.extend(validate(records))
    # Importing, reading and validating have each counted them.
    report.checked = sum(map(len, splits.values()))
    return Prepared(folder, splits, report, skipped)


def _every(count: int) -> Callable[[str, int], None]:
    """Prints one line every `count` documents."""

    def show(split: str, done: int) -> None:
        if done % count == 0:
            print(f"{split}: {done} documents drawn", flush=True)

    return show


@dataclass(frozen=True)
class SyntheticDocument:
    """A generated document, drawn when called; small enough to send to another process."""

    seed: int
    index: int
    size: tuple[int, int]

    def __call__(self) -> Sample:
        """Draw it."""
        from sightbook.donut.synth.documents import render_document

        drawn = render_document(self.seed, self.index, self.size)
        extra = {
            "quads": drawn.line_quads,
            "kind": drawn.kind,
            "rotation": drawn.rotation_degrees,
            "group": f"{self.seed}-{self.index}",
        }
        return Sample(drawn.image, [mrz_truth(drawn.type, drawn.lines)], extra)


def write_synthetic(
    folder: Path,
    documents: int,
    *,
    seed: int,
    size: tuple[int, int],
    validation: float = 0.1,
    test: float = 0.1,
    workers: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> Path:
    """Draw `documents` documents into a Donut folder with train, validation and test.

    Cut off, the same call goes on where it stopped; a folder made with other settings is refused.

    Args:
        folder: the data set's folder.
        documents: how many, over all splits.
        seed: of the generator; document i is the same in every data set of that seed and size.
        size: (width, height) of the pictures in pixels.
        validation: share of the validation split.
        test: share of the test split.
        workers: processes that draw.
        progress: called with the split's name and the number of its documents so far.

    Raises:
        DataError: the folder was made with other settings.
    """
    counts = {"validation": round(documents * validation), "test": round(documents * test)}
    counts["train"] = documents - sum(counts.values())
    origin = {"generator": "synthetic documents", "seed": seed, "size": list(size), **counts}
    first = 0
    for split in SPLITS:
        if counts[split]:
            write_folder(
                folder,
                split,
                _samples(first, counts[split], seed, size),
                origin=origin,
                workers=workers,
                progress=partial(progress, split) if progress else None,
            )
        first += counts[split]
    return folder


def _samples(
    first: int, count: int, seed: int, size: tuple[int, int]
) -> Iterator[tuple[str, Callable[[], Sample]]]:
    for index in range(first, first + count):
        yield f"{index:06d}.jpg", SyntheticDocument(seed, index, size)
