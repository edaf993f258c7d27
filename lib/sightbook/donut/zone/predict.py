"""Reading documents with the exported model: onnxruntime, numpy and OpenCV, no torch.

    from sightbook import donut
    reader = donut.Predictor()                  # the shipped model
    reading = reader.predict("passport.jpg")    # or an array, a PIL image, bytes
    reading.lines, reading.valid, reading.confidence

An export is a folder: `model.onnx` (encoder and CTC head), `decoder.onnx` and, of the zone
pipeline, `finder.onnx`. What to do with them stands in the metadata of `model.onnx`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageLike, Pixels, as_pixels, iter_pixels
from sightbook.donut.mrz import build as mrz
from sightbook.donut.zone.classical_finder import printed_rows
from sightbook.donut.zone.decoder import DECODER, Decoder, Encoded, encode
from sightbook.donut.zone.geometry import Zone, cut_lines, find_zones, reader_pixels, to_gray
from sightbook.donut.zone.rescoring import (
    Change,
    Reading,
    correct_zone,
    differences,
    read_lines,
    zone_confidences,
)
from sightbook.figures.overlay import BAD, GOOD, draw_labelled
from sightbook.inference import onnx
from sightbook.inference.command import Option, predict_files, setting_up, settings, warn_renamed
from sightbook.inference.ctc import ctc_greedy
from sightbook.inference.models import find_model

FINDER = "finder.onnx"

GRAMMAR_LOSS = 8.0
"""How much less likely (natural logarithm, a line) a reading that Doc 9303 allows may be than what
was read: past it the document itself breaks the rules, and is copied as it stands."""

DOUBTFUL = 0.9
"""Geometric mean of the characters' confidence below which other places and the other way up are
read too, and the reading that is surest of itself is taken."""

UNREADABLE = {True: 0.5, False: 0.8}
"""The same mean below which what was found is taken for no zone at all, by whether the lines have
the shape of a type."""

FULLY_READ = 3
"""Doubtful places that both heads read; more are judged by the CTC head alone, which is quick."""


@dataclass(frozen=True)
class ZoneReading:
    """What was read on one picture.

    Attributes:
        quads: the lines' corners, float32 [n, 4, 2], pixels of the picture, in reading order;
            [0, 4, 2] if no zone was found.
        lines: the lines as given out.
        type: type of the zone, one of `mrz.TYPES`; None where the lines have no type's shape.
        mrz: fields and checks of the lines; None as `type`.
        confidence: probability that the whole zone is right, 0 to 1, were characters independent.
        fields_confidence: the same of each field.
        characters_confidence: of each character, a list a line.
        corrected: every place where `lines` are not what the heads read first.
        zone_score: mean probability of the zone's cells in the finder, 0 to 1.
        seconds: wall-clock time for the picture.
    """

    quads: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4, 2), np.float32))
    lines: list[str] = field(default_factory=list)
    type: str | None = None
    mrz: mrz.Mrz | None = None
    confidence: float = 0.0
    fields_confidence: dict[str, float] = field(default_factory=dict)
    characters_confidence: list[list[float]] = field(default_factory=list)
    corrected: list[Change] = field(default_factory=list)
    zone_score: float = 0.0
    seconds: float = 0.0

    @property
    def found(self) -> bool:
        """Whether there is a zone on the picture."""
        return len(self.quads) > 0

    @property
    def valid(self) -> bool:
        """All check digits are right and every field is as Doc 9303 wants it."""
        return self.mrz is not None and self.mrz.valid

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        zone: dict[str, Any] | None = None
        if self.found:
            zone = {"type": None, "lines": self.lines, "fields": {}, "checks": {}, "problems": []}
            if self.mrz is not None:
                zone |= self.mrz.to_dict()
            zone["valid"] = self.valid
            zone["quads"] = np.round(self.quads, 1).tolist()
        return {
            "found": self.found,
            "mrz": zone,
            "confidence": round(self.confidence, 4),
            "fields_confidence": {k: round(v, 4) for k, v in self.fields_confidence.items()},
            "characters_confidence": [
                [round(value, 3) for value in line] for line in self.characters_confidence
            ],
            "corrected": [change.to_dict() for change in self.corrected],
            "seconds": round(self.seconds, 3),
        }


class Predictor:
    """Finds, straightens and reads machine-readable zones.

    Args:
        model: as `models.find_model` takes it: `reference` or None (the shipped one), `latest`, a
            run's name, a folder or a `model.onnx`, beside which the other graphs lie.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.
        grammar: prefer readings that Doc 9303 allows; where that changes what was read, the change
            is reported in `corrected`. Documents that clearly break the rules are read as printed.
        correct: let failed check digits choose among usual confusions; every change is reported.
        beams: candidates a line and head, when grammar or correction need more than the first.

    Raises:
        RunError: no such model.
        ValueError: the folder holds a model of another pipeline or line.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        threads: int | None = None,
        grammar: bool = True,
        correct: bool = False,
        beams: int = 4,
    ) -> None:
        file = find_model("donut", model)
        self.folder = file.parent
        self.grammar, self.correct, self.beams = grammar, correct, beams
        self._encoder = onnx.session(file, threads)
        self.metadata = onnx.metadata(self._encoder)
        if (
            self.metadata.get("line") != "donut"
            or self.metadata.get("pipeline", self.metadata.get("road")) != "zone"
        ):
            found = f"{self.metadata.get('line')}, pipeline {self.metadata.get('pipeline')}"
            raise ValueError(f"{file}: expected a zone reader of donut, found {found}")
        self.characters: str = self.metadata["characters"]
        self._decoder = Decoder(onnx.session(self.folder / DECODER, threads))
        self._finder = onnx.session(self.folder / FINDER, threads)

    def predict(self, image: ImageLike) -> ZoneReading:
        """Read the zone on one image.

        Args:
            image: as `images.as_pixels` takes it: an array, a PIL image, a path or bytes. A list
                of images, which was taken here before `predict_batch`, is read with a warning.

        Raises:
            TypeError, ImageError: no image, or one that cannot be used.
        """
        if _is_several(image):
            warnings.warn(
                "predict takes one image; predict_batch takes several. A list is taken here until "
                "release 0.3",
                DeprecationWarning,
                stacklevel=2,
            )
            return self.predict_batch(image)  # type: ignore[return-value, arg-type]
        return self._read(as_pixels(image))

    def predict_batch(self, images: Iterable[ImageLike]) -> list[ZoneReading]:
        """Read several images, each as `predict` takes it."""
        return [self._read(pixels) for pixels in iter_pixels(images)]

    def read(self, image: ImageLike) -> ZoneReading:
        """The former name of `predict`."""
        warn_renamed("donut.Predictor.read", "predict")
        return self._read(as_pixels(image))

    def _read(self, image: Pixels) -> ZoneReading:
        start = time.perf_counter()
        gray = to_gray(image)
        readings = [self.read_zone(gray, zone) for zone in find_zones(gray, self._maps)]
        if not readings or readings[0].type is None or _confidence(readings[0]) < DOUBTFUL:
            readings += [self.read_zone(gray, zone) for zone in self._other_places(gray)]
        best = max(readings, key=_score, default=None)
        seconds = time.perf_counter() - start
        if best is None or _confidence(best) < UNREADABLE[best.type is not None]:
            return ZoneReading(seconds=seconds)
        return replace(best, seconds=seconds)

    def _other_places(self, gray: NDArray[np.uint8]) -> list[Zone]:
        """Where else a zone may stand, the likeliest first, either way up.

        The reader knows print of zones when it sees it: it chooses among everything that the finder
        sees in any size and among all rows of print that stand above one another.
        """
        places = find_zones(gray, self._maps, max_zones=4, sure=2.0) + printed_rows(gray)
        both = [way for zone in places for way in (zone, upside_down(zone))]
        judged = sorted(both, key=lambda zone: -self._looks_like_print(gray, zone))
        return judged[:FULLY_READ]

    def _looks_like_print(self, gray: NDArray[np.uint8], zone: Zone) -> float:
        """How sure the CTC head is of lines there, 0 to 1; less for lines of no type's length."""
        pixels = reader_pixels(cut_lines(gray, zone.quads))
        log_probs = encode(self._encoder, pixels).ctc_log_probs
        assert log_probs is not None
        read = [ctc_greedy(frames, len(self.characters)) for frames in log_probs]
        texts = ["".join(self.characters[i] for i in ids) for ids, _ in read]
        type = guess_type(texts)
        if type is None:
            return 0.0
        sure = np.concatenate([confidence for _, confidence in read])
        missing = sum(abs(len(text) - mrz.FORMATS[type].columns) for text in texts)
        return float(np.exp(np.log(np.maximum(sure, 1e-12)).mean())) * 0.9**missing

    def read_zone(self, gray: NDArray[np.uint8], zone: Zone) -> ZoneReading:
        """Read the lines of a zone whose place is known."""
        encoded = encode(self._encoder, reader_pixels(cut_lines(gray, zone.quads)))
        first = read_lines(self._decoder, encoded, self.characters, beams=1)
        type = guess_type([line[0].text for line in first])
        readings: Sequence[Sequence[Reading]] = first
        corrected: list[Change] = []
        if type is not None and (self.grammar or self.correct):
            readings, corrected = self._by_the_rules(encoded, first, type)
        texts = [line[0].text for line in readings]
        fits = type is not None and all(len(t) == mrz.FORMATS[type].columns for t in texts)
        if self.correct and fits and type is not None:
            texts, changes = correct_zone(type, readings, self.characters)
            corrected += changes
        confidences = [
            line[0].confidences(self.characters, text)
            for line, text in zip(readings, texts, strict=True)
        ]
        whole = float(np.prod([row.prod() for row in confidences]))
        fields: dict[str, float] = {}
        if fits and type is not None:
            whole, fields, _ = zone_confidences(type, confidences)
        return ZoneReading(
            quads=zone.quads,
            lines=texts,
            type=type if fits else None,
            mrz=mrz.parse(texts, type) if fits else None,
            confidence=whole,
            fields_confidence=fields,
            characters_confidence=[row.tolist() for row in confidences],
            corrected=corrected,
            zone_score=zone.score,
        )

    def _by_the_rules(
        self, encoded: Encoded, first: Sequence[Sequence[Reading]], type: str
    ) -> tuple[list[list[Reading]], list[Change]]:
        """Readings that Doc 9303 allows, line by line, where they are nearly as likely."""
        wanted = [
            row
            for row, line in enumerate(first)
            if self.correct or not allowed_text(type, row, line[0].text)
        ]
        readings = [list(line) for line in first]
        changes: list[Change] = []
        if not wanted:
            return readings, changes
        ruled = read_lines(
            self._decoder,
            encoded.rows(wanted),
            self.characters,
            lines=[(type, row) for row in wanted],
            beams=self.beams,
        )
        for row, candidates in zip(wanted, ruled, strict=True):
            if not candidates:
                continue
            loss = first[row][0].log_prob - candidates[0].log_prob
            if loss > GRAMMAR_LOSS:
                continue
            changes += differences(row, first[row][0].text, candidates[0].text, "grammar", loss)
            readings[row] = candidates
        return readings, changes

    def _maps(self, views: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._finder.run(None, {"views": views})[0]


def _is_several(image: Any) -> bool:
    """What `predict` took when it was what `predict_batch` is now."""
    if isinstance(image, np.ndarray):
        return image.ndim == 4
    several = isinstance(image, Sequence | Generator | map)
    return several and not isinstance(image, str | bytes)


def upside_down(zone: Zone) -> Zone:
    """The same zone read from its other end."""
    return Zone(np.ascontiguousarray(zone.quads[::-1][:, [2, 3, 0, 1]]), zone.score)


def guess_type(texts: Sequence[str]) -> str | None:
    """Type of a zone by the number and the lengths of its lines, and the letter it begins with.

    None where the lengths are further than a quarter from every type's.
    """
    fitting = [form for form in mrz.FORMATS.values() if form.rows == len(texts)]
    if not fitting:
        return None

    def distance(form: mrz.MrzFormat) -> tuple[int, bool]:
        missing = sum(abs(len(text) - form.columns) for text in texts)
        return missing, texts[0].startswith("V") != form.name.startswith("MRV")

    best = min(fitting, key=distance)
    close = distance(best)[0] <= best.rows * best.columns / 4
    return best.name if close else None


def allowed_text(type: str, row: int, text: str) -> bool:
    """Whether a line has the type's length and at each place a character that may stand there."""
    if len(text) != mrz.FORMATS[type].columns:
        return False
    return all(c in mrz.allowed(type, row, i, text[:i]) for i, c in enumerate(text))


def _score(reading: ZoneReading) -> float:
    """What a place is chosen by: sure characters, a type's shape, right digits."""
    return _confidence(reading) + 0.1 * (reading.type is not None) + 0.1 * reading.valid


def _confidence(reading: ZoneReading) -> float:
    """Geometric mean of all characters' confidence; 0 for a reading of no characters."""
    values = np.concatenate([np.zeros(0), *map(np.asarray, reading.characters_confidence)])
    return float(np.exp(np.log(np.maximum(values, 1e-12)).mean())) if len(values) else 0.0


OPTIONS = (
    Option("grammar", bool, "prefer readings that Doc 9303 allows, and say what that changed (on)"),
    Option("correct", bool, "let failed check digits choose among usual confusions (off)"),
    Option("beams", int, "candidates a line, when grammar or correction need more than one (4)"),
    Option("threads", int, "CPU threads; by default onnxruntime chooses"),
)


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict donut`: prints a reading a picture.

    Args:
        files: pictures, folders, PDFs.
        options: `json`, `model`, `render` and those of :data:`OPTIONS`.

    Returns:
        The exit code: 1 if any picture could not be read.
    """
    with setting_up():
        own = settings(options, "grammar", "correct", "beams", "threads")
        predictor = Predictor(options.get("model"), **own)
    return predict_files(files, options, predictor.predict, describe=describe, draw=draw_zone)


def draw_zone(image: Pixels, reading: ZoneReading) -> Pixels:
    """The zone's lines outlined and what was read above them; red where the zone is not valid."""
    # all lines above the topmost, so that none covers another
    quads = sorted(reading.quads, key=lambda quad: float(quad[:, 1].min()))
    texts = ["\n".join(reading.lines), *[""] * len(quads)][: len(quads)]
    return draw_labelled(image, quads, texts, GOOD if reading.valid else BAD)


def describe(name: str, reading: ZoneReading) -> str:
    """A reading for the terminal."""
    if not reading.found:
        return f"{name}: no machine-readable zone found ({reading.seconds:.2f} s)"
    verdict = "valid" if reading.valid else "NOT VALID"
    head = f"{name}: {reading.type or 'unknown shape'}, {verdict}"
    rows = [f"{head}, confidence {reading.confidence:.2f} ({reading.seconds:.2f} s)"]
    rows += [f"    {line}" for line in reading.lines]
    if reading.mrz is not None:
        rows += [
            f"    problem: {problem.field}: {problem.message}" for problem in reading.mrz.problems
        ]
    rows += [
        f"    corrected: line {c.row + 1}, place {c.column + 1}: {c.found!r} -> {c.replaced!r} "
        f"({c.reason})"
        for c in reading.corrected
    ]
    return "\n".join(rows)
