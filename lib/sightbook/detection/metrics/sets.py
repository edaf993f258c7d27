"""Pictures to evaluate a detector on: those its run held back, generated ones, or a folder's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sightbook.data.images import Skipped
from sightbook.data.validation import DataError, Report
from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.labels.csv_versions import LATEST
from sightbook.detection.labels.prepare import read_labels
from sightbook.detection.labels.statistics import content_key
from sightbook.detection.params import EvaluateDetection, TrainDetector
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.run import read_json

SPLITS_FILE = "splits.json"
"""Of a run: content of each picture -> train, validation or test, as training had it."""


@dataclass(frozen=True)
class Sets:
    """Pictures whose boxes are known.

    Attributes:
        test: every figure is from these.
        calibration: the operating point is chosen on these; None where there are none, and for a
            line that has none.
        source: the test pictures' origin in a few words.
    """

    test: Annotations
    calibration: Annotations | None
    source: str

    def describe(self) -> list[dict[str, Any]]:
        """Rows for display: what either set holds."""
        sets = {self.source: self.test, "to choose the operating point on": self.calibration}
        return [
            {
                "pictures of": name,
                "images": len(part.records),
                "clean": len(part.clean()),
                "groups": len({record.group for record in part.records if record.group}),
                **part.counts(),
            }
            for name, part in sets.items()
            if part is not None
        ]


def evaluation_sets(
    params: EvaluateDetection,
    trained: TrainDetector,
    run: Path,
    labels: Sequence[str],
    report: Report,
    skipped: Skipped,
    *,
    draw: Callable[[int], Annotations],
    calibrate: bool = False,
) -> Sets:
    """The pictures that `params.data` names.

    Pictures that the run was trained on or validated with are known to it by their contents,
    wherever they lie now; others count as test pictures, unless their own files say otherwise.

    Args:
        params: of the evaluation.
        trained: parameters of the training, which say what it was trained on.
        run: its folder.
        labels: the model's classes; another one in the labels is an error of theirs.
        report: takes what is wrong with the labels.
        skipped: takes pictures that cannot be used.
        draw: generates so many of the line's pictures, see `generated_side`.
        calibrate: pictures to choose an operating point on are wanted as well.

    Raises:
        DataError: no picture is left to test on, or the labels cannot be read.
        ParameterError: generated pictures of that seed were trained on.
    """
    data = params.data
    if data == "trained":
        data = trained.data
        if data != "synthetic" and not resolve_path(data).exists():
            # The shipped models' pictures are not shipped with them.
            print(f"{data}, which this run was trained on, is not here: testing on generated ones")
            data = "synthetic"
        elif data != "synthetic" and not (run / SPLITS_FILE).is_file():
            # All of them may be known to it.
            print(f"which pictures of {data} this run held back is not told by a {SPLITS_FILE}: "
                  "testing on generated ones")  # fmt: skip
            data = "synthetic"
    if data == "synthetic":
        if params.seed == trained.seed:
            raise ParameterError(f"seed {params.seed}: its pictures were trained on; take another")
        found = draw(params.synthetic_images * (2 if calibrate else 1))
        return _generated(found, params.synthetic_images, labels)
    own = trained.data != "synthetic" and resolve_path(data) == resolve_path(trained.data)
    images = params.images or (trained.images if own else "")
    found = read_labels(
        resolve_path(data),
        usecase=trained.usecase if own else "",
        version=trained.version if own else LATEST,
        images=resolve_path(images) if images else None,
        labels=labels,
        report=report,
        skipped=skipped,
    )
    recorded = read_json(run / SPLITS_FILE) if (run / SPLITS_FILE).is_file() else {}
    splits = splits_of(found, recorded)
    part: str = params.part
    if part == "all":
        every = [record for part in splits.values() for record in part.records]
        test = next(iter(splits.values())).with_records(every)
    elif own and part == "test" and not _some(splits, "test"):
        print(
            "this run held back no test pictures: the figures are from its validation pictures, "
            "on which its best weights were chosen"
        )
        test, part = splits["validation"], "validation"
    elif _some(splits, part):
        test = splits[part]
    else:
        counts = ", ".join(f"{len(part.records)} of {name}" for name, part in splits.items())
        raise DataError(f"{data}: has no pictures of part {part!r}, but {counts}")
    calibration = splits["validation"] if calibrate and _some(splits, "validation") else None
    where = Path(data).name
    return Sets(_limited(test, params.max_images), calibration, f"{where}, {part}")


def splits_of(found: Annotations, recorded: Mapping[str, str]) -> dict[str, Annotations]:
    """Split pictures as a run has them, and the others as their own files say.

    Args:
        found: the pictures.
        recorded: content of a picture -> split, of those that the run knows.

    Returns:
        Pictures by split; what nobody knows, nobody trained on: it is of the test split.
    """
    places = [
        recorded.get(content_key(record)) or record.split or "test" for record in found.records
    ]
    return {
        name: found.with_records(
            record for record, place in zip(found.records, places, strict=True) if place == name
        )
        for name in dict.fromkeys(places)
    }


def generated_side(trained: TrainDetector) -> int:
    """Longer side of generated pictures to test on, pixels.

    A little larger than what the model sees, as photographs are.
    """
    return round(1.25 * trained.size)


def _generated(found: Annotations, count: int, labels: Sequence[str]) -> Sets:
    """The first `count` generated pictures to test on, and the others to choose on."""
    strange = sorted(set(found.labels) - set(labels))
    if strange:
        raise ParameterError(
            f"data: generated pictures have {', '.join(strange)}, the model knows "
            f"{', '.join(labels)}: give a folder"
        )
    found = replace(found, labels=tuple(labels))
    test = found.with_records(found.records[:count])
    rest = found.with_records(found.records[count:])
    return Sets(test, rest if rest.records else None, "generated pictures")


def _limited(found: Annotations, count: int) -> Annotations:
    """At most so many pictures, evenly over all: neighbours in a folder are often alike."""
    if not count or count >= len(found.records):
        return found
    chosen = np.linspace(0, len(found.records) - 1, count).round().astype(int).tolist()
    return found.with_records(found.records[place] for place in chosen)


def _some(splits: Mapping[str, Annotations], name: str) -> bool:
    return name in splits and bool(splits[name].records)
