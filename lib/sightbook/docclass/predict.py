"""Which registered type does a photo show, or none of them: onnxruntime, numpy and OpenCV.

from sightbook import docclass
predictor = docclass.Predictor(register="templates/")
found = predictor.predict("photo.jpg")      # or an array, a PIL image, bytes
found.type, found.score, found.runner_up    # type is None below the threshold
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import (
    ImageLike,
    Skipped,
    as_pixels,
    content_hash,
    iter_pixels,
    open_image,
)
from sightbook.data.validation import Report
from sightbook.docclass.data import MIN_SIDE, read_classes
from sightbook.docclass.quad import find_quads, straighten
from sightbook.docclass.registry import Registry, RegistryError, top_two
from sightbook.figures.overlay import BAD, GOOD, draw_labelled
from sightbook.inference import onnx
from sightbook.inference.command import CommandError, Option, predict_files, setting_up, settings
from sightbook.inference.models import find_model
from sightbook.runs.files import atomic_file
from sightbook.runs.run import outputs_root

MODEL = "model.onnx"

Image = NDArray[np.uint8]

_BATCH = 64
_MAX_BAD_TEMPLATES = 1000


@dataclass(frozen=True)
class Identification:
    """The answer for one picture.

    Attributes:
        type: the registered type, None where the best score is below the threshold.
        score: cosine similarity to the best type's nearest template, -1 to 1.
        candidate: the best type, whatever its score.
        runner_up: the second best type; None where only one is registered.
        runner_up_score: its score; None as `runner_up`.
        threshold: what `score` was held against.
        quad: corners ``[[x, y], ...]`` of the card that was cut out of the photo; None where the
            whole picture was taken.
        seconds: wall-clock time of the batch, for each of its pictures.
    """

    type: str | None
    score: float
    candidate: str
    runner_up: str | None
    runner_up_score: float | None
    threshold: float
    quad: list[list[float]] | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        row = asdict(self)
        for name in ("score", "runner_up_score", "threshold", "seconds"):
            row[name] = None if row[name] is None else round(row[name], 4)
        return row


class Predictor:
    """Embeds pictures and compares them with registered templates.

    Args:
        model: as `models.find_model` takes it: `reference` or None (the shipped one), `latest`, a
            run's name, a folder or a `.onnx` file.
        register: folder of templates (a picture a type, a sub-folder a type), a registry's `.npz`,
            or a `Registry`; None to add types by hand.
        threshold: score from which on a type is believed; None takes the calibrated one that is
            recorded in the model.
        crop: look for a card in the photo too, and take it or the whole picture, whichever is more
            like a registered type.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Raises:
        RunError: no such model.
        ValueError: the model is of another line, or no threshold is known.
        RegistryError: the registry is empty, damaged or of another model.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        register: str | Path | Registry | None = None,
        *,
        threshold: float | None = None,
        crop: bool = False,
        threads: int | None = 1,
    ) -> None:
        self.file = find_model("docclass", model)
        self._session = onnx.session(self.file, threads)
        self.metadata = onnx.metadata(self._session)
        if self.metadata.get("line") != "docclass":
            raise ValueError(
                f"{self.file}: expected a model of docclass, found {self.metadata.get('line')!r}"
            )
        shape = self._session.get_inputs()[0].shape
        self._input = self._session.get_inputs()[0].name
        self.side = int(shape[2])
        self._batch = shape[0] if isinstance(shape[0], int) else None
        self.dim = int(self.metadata["dim"])
        self.weights = str(self.metadata["weights"])
        self._threshold = threshold
        self.crop = crop
        self.problems: list[str] = []
        self.registry = Registry(self.weights, self.dim)
        if isinstance(register, Registry):
            self._check_maker(register)
            self.registry = register
        elif register is not None:
            self._open_register(Path(register))

    @property
    def threshold(self) -> float:
        """Score from which on a type is believed.

        Raises:
            ValueError: the model was never calibrated and no threshold was given.
        """
        if self._threshold is not None:
            return self._threshold
        calibrated = self.metadata.get("threshold")
        if not calibrated:
            raise ValueError(
                f"{self.file}: has no calibrated threshold; run 03_evaluate_docclass on its run, "
                "or give one (threshold=0.5, on the command line --threshold 0.5)"
            )
        return float(calibrated["value"])

    def embed(self, images: Iterable[ImageLike]) -> NDArray[np.float32]:
        """Embed images of any size.

        Args:
            images: each as `images.as_pixels` takes it.

        Returns:
            float32 ``[n, dim]`` of unit length.

        Raises:
            TypeError, ImageError: no images, or one that cannot be used.
            ValueError: an image is smaller than 16 pixels.
        """
        pixels = [self._pixels(image) for image in iter_pixels(images)]
        parts = [np.zeros((0, self.dim), np.float32)]
        step = self._batch or _BATCH
        for start in range(0, len(pixels), step):
            batch = np.stack(pixels[start : start + step]).astype(np.float32) / 255
            count = len(batch)
            if self._batch and count < self._batch:
                filler = np.zeros((self._batch - count, *batch.shape[1:]), np.float32)
                batch = np.concatenate([batch, filler])
            parts.append(self._session.run(None, {self._input: batch})[0][:count])
        return np.concatenate(parts)

    def register(self, type: str, *images: ImageLike) -> None:
        """Add templates of a type from pictures."""
        self.registry.add(type, self.embed(images))

    def predict(self, image: ImageLike) -> Identification:
        """Identify one image, as `images.as_pixels` takes it; see :meth:`predict_batch`."""
        return self._identify([as_pixels(image)])[0]

    def predict_batch(self, images: Iterable[ImageLike]) -> list[Identification]:
        """Identify several images.

        Raises:
            TypeError, ImageError: no images, or one that cannot be used.
            RegistryError: nothing is registered.
            ValueError: no threshold is known, or an image is smaller than 16 pixels.
        """
        return self._identify(list(iter_pixels(images)))

    def _identify(self, images: Sequence[Image]) -> list[Identification]:
        start, threshold = time.perf_counter(), self.threshold
        looks: list[Image] = []
        owners: list[int] = []
        quads: list[list[list[float]] | None] = []
        for owner, image in enumerate(images):
            looks.append(image)
            owners.append(owner)
            quads.append(None)
            for quad in find_quads(image) if self.crop else []:
                looks.append(straighten(image, quad))
                owners.append(owner)
                quads.append(np.round(quad.astype(float), 1).tolist())
        scores = self.registry.scores(self.embed(looks))
        found: dict[int, Identification] = {}
        for owner, corners, (first, best, second, other) in zip(
            owners, quads, top_two(scores, self.registry.types), strict=True
        ):
            if owner in found and found[owner].score >= best:
                continue
            found[owner] = Identification(
                type=first if best >= threshold else None,
                score=best,
                candidate=first,
                runner_up=second,
                runner_up_score=None if second is None else other,
                threshold=threshold,
                quad=corners,
            )
        each = (time.perf_counter() - start) / max(1, len(images))
        return [replace(found[owner], seconds=each) for owner in range(len(images))]

    def _pixels(self, image: Image) -> Image:
        """A picture as the network gets it, uint8 ``[3, side, side]``."""
        if min(image.shape[:2]) < MIN_SIDE:
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise ValueError(f"is {size} pixels, at least {MIN_SIDE} a side are needed")
        square = (self.side, self.side)
        small = cv2.resize(image, square, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8).transpose(2, 0, 1)

    def _open_register(self, path: Path) -> None:
        path = path.expanduser()
        if path.suffix == ".npz":
            self.registry = Registry.load(path, self.weights)
        else:
            self._register_folder(path)
        if not len(self.registry):
            listed = "".join(f"\n  {problem}" for problem in self.problems)
            raise RegistryError(f"{path}: holds no usable template{listed}")

    def _check_maker(self, registry: Registry) -> None:
        if registry.model != self.weights:
            raise RegistryError(
                f"the registry was made by model {registry.model[:12]}, this is model "
                f"{self.weights[:12]}: register the templates again with this model"
            )

    def _register_folder(self, folder: Path) -> None:
        """Register a folder's templates; embeddings are kept by the pictures' contents."""
        report, skipped = Report(), Skipped(_MAX_BAD_TEMPLATES)
        classes = read_classes(folder, report=report, skipped=skipped)
        self.problems += [f"{name}: {reason}" for name, reason in skipped]
        self.problems += [f"{problem.where}: {problem.message}" for problem in report.problems]
        cache = _cache_file(folder, self.weights)
        known = _read_cache(cache)
        hashes = {file: content_hash(file) for item in classes for file in item.files}
        new = [file for file, value in hashes.items() if value not in known]
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            rows = self.embed(open_image(file, at_least=2 * self.side) for file in part)
            known |= {hashes[file]: row for file, row in zip(part, rows, strict=True)}
        if new:
            _write_cache(cache, {value: known[value] for value in hashes.values()})
        for item in classes:
            self.registry.add(item.name, np.stack([known[hashes[file]] for file in item.files]))


def _cache_file(folder: Path, weights: str) -> Path:
    place = hashlib.sha256(f"{folder.resolve()}\0{weights}".encode()).hexdigest()[:16]
    return outputs_root() / "data" / "docclass" / ".cache" / f"registry-{place}.npz"


def _read_cache(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as kept:
            return dict(zip(kept["hashes"].tolist(), kept["embeddings"], strict=True))
    except (OSError, ValueError, KeyError):
        return {}  # a damaged cache is computed anew


def _write_cache(path: Path, rows: Mapping[str, NDArray[np.float32]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as target, target.open("wb") as file:
            np.savez(
                file, hashes=np.array(list(rows), np.str_), embeddings=np.stack([*rows.values()])
            )
    except OSError:
        pass  # an installation that cannot be written to predicts all the same


OPTIONS = (
    Option("register", Path, "folder of templates (a picture a type, a folder a type), or an .npz"),
    Option("threshold", float, "score from which on a type is believed (the calibrated one)"),
    Option("crop", bool, "look for a card in the photo too (off)"),
    Option("threads", int, "CPU threads (1)"),
    Option("save", Path, "write the registry to this .npz, which --register takes"),
)


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict docclass`: prints an answer a picture.

    Args:
        files: pictures, folders, PDFs.
        options: `json`, `model`, `render` and those of :data:`OPTIONS`.

    Returns:
        The exit code: 1 if any picture or template could not be read.
    """
    if options.get("register") is None:
        raise CommandError(
            "docclass compares with registered templates: give --register FOLDER (or a .npz)"
        )
    with setting_up():
        own = settings(options, "threshold", "crop", "threads")
        predictor = Predictor(options.get("model"), options["register"], **own)
        predictor.threshold  # noqa: B018 - known before the first picture is read
    for problem in predictor.problems:
        print(f"template left out: {problem}", file=sys.stderr)
    if options.get("save") is not None:
        predictor.registry.save(options["save"])
    bad = predict_files(files, options, predictor.predict, describe=describe, draw=draw_answer)
    return int(bad or bool(predictor.problems))


def draw_answer(image: Image, found: Identification) -> Image:
    """The card that was judged outlined, or the whole picture, with the answer; red for none."""
    height, width = image.shape[:2]
    whole = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    outline = np.array(found.quad or whole, np.float64)
    text = f"{found.type or 'none'} {found.score:.2f}"
    return draw_labelled(image, [outline], [text], BAD if found.type is None else GOOD)


def describe(name: str, found: Identification) -> str:
    """An answer for the terminal."""
    second = f", then {found.runner_up} {found.runner_up_score:.2f}" if found.runner_up else ""
    if found.type is None:
        return (
            f"{name}: none of the registered types (nearest {found.candidate} {found.score:.2f}"
            f"{second}; threshold {found.threshold:.2f})"
        )
    return f"{name}: {found.type} {found.score:.2f}{second}"
