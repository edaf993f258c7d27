"""Reading pages with exported models: onnxruntime, numpy and OpenCV, no torch.

    from sightbook import ocr
    reader = ocr.Predictor()                    # the shipped models
    page = reader.predict("page.png")           # or an array, a PIL image, bytes
    page.text(), [word.text for word in page.words()]

Detection and recognition run exactly as the ocrs engine runs them
(:mod:`sightbook.ocr.inference.engine`).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageLike, as_pixels, iter_pixels
from sightbook.inference import onnx
from sightbook.inference.command import (
    CommandError,
    Option,
    predict_files,
    setting_up,
    settings,
    warn_renamed,
)
from sightbook.inference.models import find_model
from sightbook.ocr.inference import engine
from sightbook.ocr.inference.engine import LineText
from sightbook.ocr.inference.lines import find_paragraphs
from sightbook.ocr.inference.word_boxes import detected_boxes, engine_boxes
from sightbook.ocr.layout.arrange import LayoutModelFile, arrange
from sightbook.ocr.pages.overlay import draw_page
from sightbook.ocr.pages.page import Page, PageBuilder, Paragraph, Word
from sightbook.ocr.pages.writers import FORMATS, SUFFIXES, page_dict
from sightbook.runs.files import write_atomic
from sightbook.runs.run import RunError
from sightbook.training.weights import SUFFIX

TASKS = ("detection", "recognition", "layout")

ENGINE, RULES = "engine", "rules"
"""Layouts without a network: the engine's own, and this package's."""

Image = NDArray[np.uint8]
Boxes = Literal["detected", "engine"]
Rects = NDArray[np.float32]
Layout = list[list[list[int]]]


def model_file(task: str, model: str | Path | None = None) -> Path:
    """The exported file of a task: `models.find_model` for one of the line's networks.

    Args:
        task: `detection`, `recognition` or `layout`.
        model: `reference` or None (the shipped one), `latest` (of this task), a run's name, a
            folder, or a `.onnx` file. A folder may hold one model, or a folder a task.

    Raises:
        RunError: there is none; says what there is.
    """
    return find_model("ocr", model, part=task, weights=f"{task}{SUFFIX}")


class LineReader:
    """Reads images of one line each.

    Args:
        model: the recogniser, as `model_file` takes it.
        beams: texts that its beam search keeps; 1 takes the best path.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Attributes:
        file: the model's.
        alphabet: the characters that it knows.
        height: of its input, pixels.

    Raises:
        RunError, FileNotFoundError: no such model.
        ValueError: a model of another line or task, or `beams` is below 1.
    """

    def __init__(
        self, model: str | Path | None = None, *, beams: int = 1, threads: int | None = 1
    ) -> None:
        if beams < 1:
            raise ValueError(f"beams is {beams}; expected 1 or more")
        self.beams = beams
        self.file = model_file("recognition", model)
        self._session, facts = _open(self.file, "recognition", threads)
        self.alphabet = str(facts["alphabet"])
        self.height = _line_height(self._session.get_inputs()[0].shape)

    def read(self, images: Iterable[ImageLike]) -> list[LineText]:
        """What stands on each image, as `images.as_pixels` takes it."""
        lines = []
        for image in iter_pixels(images):
            height, width = image.shape[:2]
            frame = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
            wide = engine.line_width(frame, self.height)
            lines.append(engine.resize(engine.prepare_image(image), self.height, wide))
        return self.read_cut(lines)

    def read_cut(self, lines: Sequence[engine.Gray]) -> list[LineText]:
        """What stands on lines that are cut out already, see `engine.line_image`."""
        return engine.recognise(self._session, lines, self.alphabet, beams=self.beams)


class Predictor:
    """Finds words, arranges them in lines and paragraphs, and reads the lines.

    Args:
        model: a folder of a model for each task, or one model, which tells its own task; as
            `model_file` takes it. What it does not hold is the shipped one.
        recognition: reads lines, in place of what `model` holds; as `model_file` takes it.
        layout: likewise arranges words; `engine` groups words as the ocrs engine does, `rules` by
            rules of thumb, both without a model. None takes the shipped model, `rules` if there is
            none.
        detection: likewise finds words.
        beams: texts that the recogniser's beam search keeps; 1 takes the best path.
        boxes: `detected` gives words the rectangles that were detected, `engine` those that the
            engine derives from the characters' positions.
        threads: CPU threads of onnxruntime; None leaves it to onnxruntime.

    Raises:
        RunError: no such model.
        ValueError: a model of another line or task.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        recognition: str | Path | None = None,
        layout: str | Path | None = None,
        *,
        detection: str | Path | None = None,
        beams: int = 1,
        boxes: Boxes = "detected",
        threads: int | None = 1,
    ) -> None:
        if boxes not in ("detected", "engine"):
            raise ValueError(f"boxes is {boxes!r}; expected 'detected' or 'engine'")
        self.beams, self.boxes = beams, boxes
        held = _models(model)
        detection = held.get("detection") if detection is None else detection
        recognition = held.get("recognition") if recognition is None else recognition
        layout = held.get("layout") if layout is None else layout
        file = model_file("detection", detection)
        self._detector, _ = _open(file, "detection", threads)
        self._lines = LineReader(recognition, beams=beams, threads=threads)
        self.files = {"detection": file, "recognition": self._lines.file}
        self.alphabet = self._lines.alphabet
        self._judge: LayoutModelFile | None = None
        self._own_layout = str(layout) == ENGINE
        if str(layout) not in (ENGINE, RULES):
            self._open_layout(layout, threads)

    def predict(self, image: ImageLike, name: str = "") -> Page:
        """Read a page.

        Args:
            image: as `images.as_pixels` takes it: an array, a PIL image, a path or bytes.
            name: becomes the page's `image_id`.

        Returns:
            Paragraphs in reading order, with confidences; none where nothing was found. Lines in
            which nothing could be read are left out.

        Raises:
            TypeError, ImageError: no image, or one that cannot be used.
        """
        return self._read(as_pixels(image), name)

    def predict_batch(self, images: Iterable[ImageLike]) -> list[Page]:
        """Read several pages, each as `predict` takes it."""
        return [self._read(pixels) for pixels in iter_pixels(images)]

    def read(self, image: ImageLike, name: str = "") -> Page:
        """The former name of `predict`."""
        warn_renamed("ocr.Predictor.read", "predict")
        return self._read(as_pixels(image), name)

    def _read(self, image: Image, name: str = "") -> Page:
        gray = engine.prepare_image(image)
        rects = self._words(gray)
        paragraphs = self.arrange(rects)
        lines = [rects[line] for paragraph in paragraphs for line in paragraph]
        images = [engine.line_image(gray, line, self._lines.height) for line in lines]
        found = iter(zip(self._lines.read_cut(images), lines, strict=True))
        builder = PageBuilder(name, image.shape[1], image.shape[0])
        for paragraph in paragraphs:
            builder.add([self._placed(*next(found)) for _ in paragraph])
        page = builder.page()
        return replace(page, paragraphs=tuple(map(_with_confidences, page.paragraphs)))

    def read_lines(self, images: Iterable[ImageLike]) -> list[LineText]:
        """Read images of one line each."""
        return self._lines.read(images)

    def detect(self, image: ImageLike) -> Rects:
        """Rectangles of words, float32 ``[n, 4, 2]``, clockwise from the top left, in no order."""
        return self._words(engine.prepare_image(as_pixels(image)))

    def arrange(self, rects: Rects) -> Layout:
        """Paragraphs of lines of words, as numbers of rectangles, in reading order."""
        return find_paragraphs(rects) if self._own_layout else arrange(rects, self._judge)

    def _words(self, gray: engine.Gray) -> Rects:
        probabilities = engine.text_probabilities(self._detector, gray)
        return engine.find_words(probabilities, (gray.shape[0], gray.shape[1]))

    def _placed(self, read: LineText, rects: Rects) -> tuple[Word, ...]:
        place = engine_boxes if self.boxes == "engine" else detected_boxes
        return tuple(
            Word(
                box,
                read.text[part],
                confidence=engine.geometric_mean(read.confidences[part]),
            )
            for part, box in zip(read.words(), place(read, rects), strict=True)
        )

    def _open_layout(self, layout: str | Path | None, threads: int | None) -> None:
        try:
            file = model_file("layout", layout)
        except RunError:
            if layout is not None:
                raise
            return
        facts = onnx.read_metadata(file)
        _check(file, facts, "layout")
        self._judge = LayoutModelFile(file, threads)
        self.files["layout"] = file


def _open(file: Path, task: str, threads: int | None) -> tuple[Any, dict[str, Any]]:
    session = onnx.session(file, threads)
    facts = onnx.metadata(session)
    _check(file, facts, task)
    return session, facts


def _check(file: Path, facts: Mapping[str, Any], task: str) -> None:
    found = facts.get("line"), facts.get("task")
    if found != ("ocr", task):
        raise ValueError(
            f"{file}: expected a model of ocr for {task}, found one of {found[0]} for {found[1]}"
        )


def _line_height(shape: Sequence[Any]) -> int:
    """Height of the recogniser's input; the engine takes 50 where it is not fixed."""
    return shape[2] if isinstance(shape[2], int) else 50


def _with_confidences(paragraph: Paragraph) -> Paragraph:
    """Lines as sure as their characters, words of many characters counting more."""
    lines = []
    for line in paragraph.lines:
        lengths = [len(word.text) for word in line.words]
        logs = np.log([max(word.confidence or 0.0, 1e-12) for word in line.words])
        lines.append(replace(line, confidence=float(np.exp(np.average(logs, weights=lengths)))))
    return replace(paragraph, lines=tuple(lines))


OPTIONS = (
    Option("detection", str, "model that finds words; by default the shipped one"),
    Option("recognition", str, "model that reads lines; by default the shipped one"),
    Option("layout", str, f"model that arranges words, or without one '{ENGINE}' or '{RULES}'"),
    Option("format", str, "what is printed, or written to --out", choices=tuple(FORMATS)),
    Option("out", Path, "folder that gets a file a picture"),
    Option("beams", int, "texts that the beam search keeps; 1 takes the best path (1)"),
    Option("boxes", str, "rectangles of words (detected)", choices=get_args(Boxes)),
    Option("threads", int, "CPU threads (1)"),
    Option("overlay", Path, "folder that gets a PNG a picture", instead="render"),
)


@dataclass(frozen=True)
class _Read:
    """A page and the seconds that it took to read."""

    page: Page
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        row = page_dict(self.page, "")
        del row["file"]  # said by the command
        return {**row, "seconds": round(self.seconds, 3)}


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict ocr`: prints a page a picture.

    Args:
        files: pictures, folders, PDFs.
        options: `json`, `model` (a folder of models, or one that replaces the shipped one of its
            task), `render` and those of :data:`OPTIONS`.

    Returns:
        The exit code: 1 if any picture could not be read.
    """
    form = options.get("format") or ("json" if options.get("json") else "")
    if form and form not in FORMATS:
        raise CommandError(f"format is {form!r}; expected one of {', '.join(FORMATS)}")
    with setting_up():
        own = settings(options, *TASKS, "beams", "boxes", "threads")
        predictor = Predictor(options.get("model"), **own)
    out, render = options.get("out"), options.get("render")
    printed: list[str] = []

    def predict(image: Image) -> _Read:
        start = time.perf_counter()
        page = predictor.predict(image)
        return _Read(page, time.perf_counter() - start)

    def write(name: str, stem: str, read: _Read) -> str | None:
        if out is None:
            return None
        kind = form or "json"
        file = Path(out) / f"{stem}{SUFFIXES[kind]}"
        write_atomic(file, FORMATS[kind](read.page, name))
        return str(file)

    def shown(name: str, read: _Read) -> str:
        printed.append(name)
        if form in ("hocr", "alto") and len(printed) > 1:
            raise CommandError(f"{form} is one document a picture: give --out FOLDER")
        if form:
            return FORMATS[form](read.page, name)
        return describe(name, read.page, read.seconds)

    return predict_files(
        files,
        {"json": form == "json", "render": render or options.get("overlay")},
        predict,
        describe=shown,
        draw=lambda image, read: draw_page(image, read.page),
        ending=".png" if render is None else "_found.png",  # as --overlay always named them
        also=write,
        # standard output is the document itself
        errors=sys.stderr if out is None and form not in ("", "json") else None,
    )


def describe(name: str, page: Page, seconds: float) -> str:
    """A page for the terminal."""
    count = sum(1 for _ in page.words())
    return f"{name}: {count} words ({seconds:.2f} s)\n\n{page.text()}\n"


def _models(model: str | Path | None) -> dict[str, Path]:
    """What `model` says of each task: a folder of several, or one that tells its own task."""
    found = {}
    for task in TASKS if model is not None else ():
        with contextlib.suppress(RunError):
            found[task] = model_file(task, model)
    if model is not None and not found:
        model_file(TASKS[0], model)  # says what is wrong with it
    files = list(found.values())
    for file in {file for file in files if files.count(file) > 1}:
        # one for all: it says itself what it is for
        facts = onnx.read_metadata(file)
        if facts.get("line") != "ocr" or facts.get("task") not in TASKS:
            raise ValueError(f"{file}: expected a model of ocr, found one of {facts.get('line')}")
        found = {task: own for task, own in found.items() if own != file} | {facts["task"]: file}
    return found
