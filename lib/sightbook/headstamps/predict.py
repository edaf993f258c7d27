"""What is stamped on cartridge bases, with exported models: no torch.

    from sightbook import headstamps
    found = headstamps.Predictor().predict("bases.jpg")     # or an array, a PIL image, bytes
    [(head.text, head.candidates) for head in found.heads]

One model finds casings and primers, another reads the unrolled rings.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageLike, as_pixels, iter_pixels
from sightbook.detection.inference.predict import OnnxDetector
from sightbook.headstamps.gazetteer import Gazetteer, read_gazetteer
from sightbook.headstamps.overlay import draw_heads, save_strips
from sightbook.headstamps.read import Head, read_photo
from sightbook.inference.command import Option, predict_files, setting_up, settings, warn_renamed
from sightbook.inference.models import find_model
from sightbook.ocr import LineReader, model_file

MIN_CASING = 0.5
"""Casings and primers that were found with less confidence are not read."""

RECOGNITION = "recognition"
"""Folder beside the shipped detector with the recogniser that was fine-tuned on stamps."""

Image = NDArray[np.uint8]


def recogniser_file(model: str | Path | None = None) -> Path:
    """The exported recogniser.

    Args:
        model: None or `reference` for the one shipped with headstamps; else a model of the OCR
            line, as `ocr.predict.model_file` takes it (`reference/recognition` is its shipped one).

    Raises:
        RunError: there is none.
    """
    if model in (None, "", "reference"):
        return find_model("headstamps", f"reference/{RECOGNITION}")
    return model_file(RECOGNITION, model)


@dataclass(frozen=True)
class HeadstampReading:
    """What was read on one photograph.

    Attributes:
        heads: cartridge bases, the surest casing first.
        seconds: wall-clock time.
    """

    heads: tuple[Head, ...]
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "detections": [head.to_dict() for head in self.heads],
            "seconds": round(self.seconds, 4),
        }


class Predictor:
    """Finds cartridge bases on photographs and reads their stamps.

    Args:
        model: finds casings and primers; as `models.find_model` takes it.
        recognition: reads strips; as `recogniser_file` takes it.
        min_score: casings and primers below it are not read, 0 to 1.
        gazetteer: file of makers and calibres; None for the shipped one.
        beams: texts that the recogniser's beam search keeps; 1 takes the best path.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Raises:
        RunError, FileNotFoundError: no such model or table.
        ValueError: a model of another line, or a setting out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        recognition: str | Path | None = None,
        *,
        min_score: float = MIN_CASING,
        gazetteer: str | Path | None = None,
        beams: int = 1,
        threads: int | None = 1,
    ) -> None:
        self.detector = OnnxDetector(model, line="headstamps", min_score=min_score, threads=threads)
        file = recogniser_file(recognition)
        self.recognise = LineReader(file, beams=beams, threads=threads).read
        self.table: Gazetteer | None = (
            None if gazetteer is None else read_gazetteer(Path(gazetteer))
        )

    def predict(self, image: ImageLike) -> HeadstampReading:
        """Read the cartridge bases on one photograph, as `images.as_pixels` takes it.

        Raises:
            TypeError, ValueError: as `OnnxDetector.detect`.
        """
        return self._read(as_pixels(image))

    def predict_batch(self, images: Iterable[ImageLike]) -> list[HeadstampReading]:
        """Read several photographs, one after the other."""
        return [self._read(pixels) for pixels in iter_pixels(images)]

    def read(self, image: ImageLike) -> list[Head]:
        """The former name of `predict`, which returned the heads alone."""
        warn_renamed("headstamps.Predictor.read", "predict")
        return list(self._read(as_pixels(image)).heads)

    def _read(self, image: Image) -> HeadstampReading:
        start = time.perf_counter()
        heads = read_photo(image, self.detector.detect, self.recognise, table=self.table)
        return HeadstampReading(tuple(heads), time.perf_counter() - start)


def __getattr__(name: str) -> Any:
    if name == "Reader":
        warnings.warn(
            "headstamps.Reader is called headstamps.Predictor now; the old name goes with release "
            "0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return Predictor
    raise AttributeError(f"module 'sightbook.headstamps.predict' has no attribute {name!r}")


OPTIONS = (
    Option("recognition", str, "model that reads the unrolled rings; by default the shipped one"),
    Option("min_score", float, "casings and primers below are not read (0.5)"),
    Option("gazetteer", Path, "text file of makers and calibres; by default the shipped one"),
    Option("beams", int, "texts that the beam search keeps; 1 takes the best path (1)"),
    Option("threads", int, "CPU threads (1)"),
    Option("strips", Path, "folder that gets a PNG a head: its ring of letters, unrolled"),
)


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict headstamps`: prints an answer a picture.

    Args:
        files: pictures, folders, PDFs.
        options: `json`, `model`, `render` and those of :data:`OPTIONS`.

    Returns:
        The exit code: 1 if any picture could not be read.
    """
    with setting_up():
        own = settings(options, "recognition", "min_score", "gazetteer", "beams", "threads")
        predictor = Predictor(options.get("model"), **own)
    strips = options.get("strips")

    def save(name: str, stem: str, found: HeadstampReading) -> None:
        if strips is not None:
            save_strips(strips, stem, found.heads)

    return predict_files(
        files,
        options,
        predictor.predict,
        describe=lambda name, found: describe(name, found.heads),
        draw=lambda image, found: draw_heads(image, found.heads),
        also=save,
    )


def describe(name: str, heads: Sequence[Head]) -> str:
    """An answer for the terminal: what each head says, and what it may be."""
    rows = [f"{name}: {len(heads)} cartridge {'base' if len(heads) == 1 else 'bases'}"]
    for number, head in enumerate(heads, start=1):
        may_be = "; ".join(
            ", ".join(part for part in (one.maker, one.calibre) if part)
            for one in head.candidates[:3]
        )
        rows.append(
            f"    {number}: {head.text or 'nothing read'}" + (f"  ({may_be})" if may_be else "")
        )
    return "\n".join(rows)
