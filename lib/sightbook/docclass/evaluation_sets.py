"""Types to evaluate on: some to set the threshold with, others that every figure is from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import Skipped
from sightbook.docclass.data import SPLITS_FILE, pool
from sightbook.docclass.params import EvaluateDocclass, TrainDocclass
from sightbook.docclass.store import Store, join, load_store, synthetic_store
from sightbook.docclass.synth.views import FACTORS, VIEW_SIDE, render_factor
from sightbook.params import ParameterError, resolve_path
from sightbook.runs.files import read_json

Image = NDArray[np.uint8]

CALIBRATION_SEED, TEST_SEED = 0xCA11, 0x7E57
"""Added to the evaluation's seed: generated types for the threshold and for the figures differ."""

FEWEST = 4
"""Families without which nothing can be halved, resampled or confused."""

FACTOR_PROBES = 120
"""Views for each amount of each factor, about; every type gives the same number, but 1 at least."""


@dataclass(frozen=True)
class Sets:
    """Types that the run was not trained on.

    Attributes:
        calibration: sets the threshold; generated types, and the user's where there are any.
        test: what every figure is from.
        source: the test types' origin in a few words.
    """

    calibration: Store
    test: Store
    source: str

    def describe(self) -> dict[str, Any]:
        """Types, artwork families and pictures of both."""
        parts = {"test": self.test, "calibration": self.calibration}
        counts = {
            name: {
                "types": len(part.names),
                "families": len(set(part.families)),
                "images": len(part),
            }
            for name, part in parts.items()
        }
        return {"source": self.source, **counts}


def evaluation_sets(params: EvaluateDocclass, run: Path, skipped: Skipped) -> Sets:
    """The types that `params.data` names.

    What the run was trained on is split as training split it: its `calibration` and `test` classes.
    Nothing of any other folder was trained on, so all of it is tested, except the classes that its
    split gives to `calibration`. Generated types have seeds of their own; they are tested, and that
    is printed, where the folder that was trained on is not there any more.

    Args:
        params: of the evaluation.
        run: folder of the training.
        skipped: takes the pictures that cannot be used.

    Raises:
        ParameterError: too few types to evaluate on; or generated types of that seed were trained
            on.
        DataError: the folder cannot be used.
    """
    trained = TrainDocclass.from_yaml(run / "params.yaml")
    _refuse_trained_seeds(params, trained)
    calibration = [synthetic_store(params.templates, params.seed + CALIBRATION_SEED)]
    data = params.data
    if data == "trained":
        data = trained.data
        if data != "synthetic" and not resolve_path(data).is_dir():
            # The shipped model's templates are not shipped with it.
            print(f"{data}, which this run was trained on, is not here: testing generated types")
            data = "synthetic"
    if data == "synthetic":
        test = synthetic_store(params.templates, params.seed + TEST_SEED)
        source = "generated"
    else:
        folder = resolve_path(data)
        own = trained.data != "synthetic" and folder == resolve_path(trained.data)
        if own:
            salt = str(trained.seed)
            found = pool(folder, fractions=trained.shares, salt=salt, max_bad=params.max_bad)
        else:
            found = pool(folder, max_bad=params.max_bad)
        recorded = run / SPLITS_FILE
        splits = read_json(recorded) if recorded.is_file() else {}
        found = found.as_recorded(splits)
        for file, reason in found.skipped:
            skipped.add(file, reason)
        # Of another folder, whatever the run did not train on is new to it.
        trained_on = {value for value, split in splits.items() if split == "train"}
        tested = [
            item
            for item in found.classes
            if item.split == "test"
            or (not own and item.split == "train" and not found.holds(item, trained_on))
        ]
        test = load_store(tested, skipped=skipped)
        held_back = load_store(found.of("calibration"), skipped=skipped)
        if len(held_back):
            calibration.append(held_back)
        source = f"{folder.name}, {'test classes' if own else 'all but its calibration classes'}"
    if len(set(test.families)) < FEWEST:
        raise ParameterError(
            f"data: {data} leaves {len(test.names)} types of {len(set(test.families))} families to "
            f"evaluate on; at least {FEWEST} families are needed (the run held back a share of "
            f"{trained.test} for it)"
        )
    return Sets(join(calibration), test, source)


def registered(store: Store) -> tuple[Image, NDArray[np.int64]]:
    """One clean template of each type, as the network gets it.

    Returns:
        Pictures uint8 ``[types, 128, 128, 3]`` and their labels.
    """
    size = (VIEW_SIDE, VIEW_SIDE)
    images = [store.pixels[members[0]] for members in store.members()]
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).astype(np.uint8), np.arange(len(small))


def factor_views(
    store: Store, factor: str, amount: float, seed: int
) -> tuple[Image, NDArray[np.int64]]:
    """Views that differ from their templates in one factor only; labels as of `views_of`.

    At most `FACTOR_PROBES` types, evenly chosen, are shown.
    """
    members = store.members()
    picked = np.linspace(0, len(members) - 1, min(FACTOR_PROBES, len(members))).round().astype(int)
    labels = np.repeat(picked, max(1, FACTOR_PROBES // len(picked)))
    views = np.empty((len(labels), VIEW_SIDE, VIEW_SIDE, 3), np.uint8)
    number = list(FACTORS).index(factor)
    for row, label in enumerate(labels.tolist()):
        rng = np.random.default_rng([seed, number, row])
        image = members[label][0]
        views[row] = render_factor(
            store.pixels[image], float(store.aspects[image]), rng, factor, amount
        )
    return views, labels


def _refuse_trained_seeds(params: EvaluateDocclass, trained: TrainDocclass) -> None:
    for offset in (CALIBRATION_SEED, TEST_SEED):
        if trained.templates and params.seed + offset == trained.seed:
            raise ParameterError(
                f"seed {params.seed}: its generated types were trained on; take another"
            )
