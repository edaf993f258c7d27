"""What is stamped on cartridge bases, with exported models: no torch.

    from sightbook.headstamps.predict import Reader
    for head in Reader().read(image):               # uint8 RGB [H, W, 3]
        head.text, head.candidates

One model finds casings and primers, another reads the unrolled rings.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.inference.predict import Predictor
from sightbook.headstamps.gazetteer import Gazetteer, read_gazetteer
from sightbook.headstamps.overlay import draw_heads, save_strips
from sightbook.headstamps.read import Head, open_recogniser, read_photo
from sightbook.images import Picture, save_image
from sightbook.inference.models import find_model
from sightbook.ocr.predict import model_file
from sightbook.predicting import Answer, answer_each, free_name, options_given

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


class Reader:
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
        self.detector = Predictor(model, line="headstamps", min_score=min_score, threads=threads)
        file = recogniser_file(recognition)
        self.recognise = open_recogniser(file, beams=beams, threads=threads)
        self.table: Gazetteer | None = (
            None if gazetteer is None else read_gazetteer(Path(gazetteer))
        )

    def read(self, image: Image) -> list[Head]:
        """Heads on a photograph, uint8 RGB ``[H, W, 3]``, upright, the surest casing first.

        Raises:
            ValueError: as `Predictor.detect`.
        """
        return read_photo(image, self.detector.detect, self.recognise, table=self.table)


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict headstamps`: prints an answer a picture; 1 if any could not be read.

    Options: `model`, `json`, `recognition`, `min_score` (0.5), `gazetteer`, `beams` (1), `threads`
    (1), `render` (a folder that gets a PNG a picture), `strips` (a folder that gets a PNG a head).
    """
    known = ("recognition", "min_score", "gazetteer", "beams", "threads")
    given = options_given("headstamps", options, (*known, "render", "strips"))
    if given is None:
        return 2
    settings = {name: given[name] for name in known if name in given}
    try:
        reader = Reader(given.get("model"), **settings)
    except (ValueError, TypeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    names: set[str] = set()

    def answer(image: Image, picture: Picture) -> Answer:
        heads = reader.read(image)
        stem = free_name(picture.name, names)
        if "render" in given:
            file = Path(str(given["render"])) / f"{stem}_found.png"
            save_image(file, draw_heads(image, heads))
        if "strips" in given:
            save_strips(Path(str(given["strips"])), stem, heads)
        return {"detections": [head.to_dict() for head in heads]}, describe(picture.name, heads)

    return int(answer_each(files, answer, as_json=bool(given.get("json"))) > 0)


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
