"""Reading pages with exported models: onnxruntime, numpy and OpenCV, no torch.

    from sightbook import ocr
    reader = ocr.Predictor()                    # the shipped models
    page = reader.read(image)                   # uint8 RGB [H, W, 3]
    page.text(), [word.text for word in page.words()]

Detection and recognition run exactly as the ocrs engine runs them (:mod:`sightbook.ocr.engine`).
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightbook import onnx
from sightbook.files import write_atomic
from sightbook.images import Picture, iter_images
from sightbook.inference.models import find_model
from sightbook.ocr import engine
from sightbook.ocr.engine_lines import find_paragraphs
from sightbook.ocr.formats import FORMATS, SUFFIXES, page_dict
from sightbook.ocr.layout_engine import LayoutModelFile, arrange
from sightbook.ocr.page import Page, PageBuilder, Paragraph, Word
from sightbook.ocr.word_boxes import detected_boxes, engine_boxes
from sightbook.predicting import free_name, options_given
from sightbook.runs import RunError
from sightbook.weights import SUFFIX

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


class Predictor:
    """Finds words, arranges them in lines and paragraphs, and reads the lines.

    Args:
        detection: as `model_file` takes it.
        recognition: as `model_file` takes it.
        layout: as `model_file` takes it; `engine` groups words as the ocrs engine does, `rules` by
            rules of thumb, both without a model. None takes the shipped model, `rules` if there is
            none.
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
        detection: str | Path | None = None,
        recognition: str | Path | None = None,
        layout: str | Path | None = None,
        *,
        beams: int = 1,
        boxes: Boxes = "detected",
        threads: int | None = 1,
    ) -> None:
        if boxes not in ("detected", "engine"):
            raise ValueError(f"boxes is {boxes!r}; expected 'detected' or 'engine'")
        if beams < 1:
            raise ValueError(f"beams is {beams}; expected 1 or more")
        self.beams, self.boxes = beams, boxes
        self.files = {
            "detection": model_file("detection", detection),
            "recognition": model_file("recognition", recognition),
        }
        self._detector, _ = _open(self.files["detection"], "detection", threads)
        self._recogniser, facts = _open(self.files["recognition"], "recognition", threads)
        self.alphabet = str(facts["alphabet"])
        self._height = _line_height(self._recogniser.get_inputs()[0].shape)
        self._judge: LayoutModelFile | None = None
        self._own_layout = str(layout) == ENGINE
        if str(layout) not in (ENGINE, RULES):
            self._open_layout(layout, threads)

    def read(self, image: Image, name: str = "") -> Page:
        """Read a page.

        Args:
            image: uint8 RGB ``[H, W, 3]`` or grey ``[H, W]``, upright.
            name: becomes the page's `image_id`.

        Returns:
            Paragraphs in reading order, with confidences; none where nothing was found. Lines in
            which nothing could be read are left out.
        """
        gray = engine.prepare_image(image)
        rects = self._words(gray)
        paragraphs = self.arrange(rects)
        lines = [rects[line] for paragraph in paragraphs for line in paragraph]
        pictures = [engine.line_image(gray, line, self._height) for line in lines]
        read = engine.recognise(self._recogniser, pictures, self.alphabet, beams=self.beams)
        found = iter(zip(read, lines, strict=True))
        builder = PageBuilder(name, image.shape[1], image.shape[0])
        for paragraph in paragraphs:
            builder.add([self._placed(*next(found)) for _ in paragraph])
        page = builder.page()
        return replace(page, paragraphs=tuple(map(_with_confidences, page.paragraphs)))

    def read_lines(self, images: Sequence[Image]) -> list[engine.LineText]:
        """Read pictures of one line each, uint8 RGB ``[H, W, 3]`` or grey ``[H, W]``."""
        lines = []
        for image in images:
            height, width = image.shape[:2]
            frame = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
            wide = engine.line_width(frame, self._height)
            lines.append(engine.resize(engine.prepare_image(image), self._height, wide))
        return engine.recognise(self._recogniser, lines, self.alphabet, beams=self.beams)

    def detect(self, image: Image) -> Rects:
        """Rectangles of words, float32 ``[n, 4, 2]``, clockwise from the top left, in no order."""
        return self._words(engine.prepare_image(image))

    def arrange(self, rects: Rects) -> Layout:
        """Paragraphs of lines of words, as numbers of rectangles, in reading order."""
        return find_paragraphs(rects) if self._own_layout else arrange(rects, self._judge)

    def _words(self, gray: engine.Gray) -> Rects:
        probabilities = engine.text_probabilities(self._detector, gray)
        return engine.find_words(probabilities, (gray.shape[0], gray.shape[1]))

    def _placed(self, read: engine.LineText, rects: Rects) -> tuple[Word, ...]:
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


def command(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """`sightbook predict ocr`: prints a page a picture; 1 if any picture could not be read.

    Options: `json`, `model` (a folder of models, or one that replaces the shipped one of its task),
    `detection`, `recognition`, `layout`, `format` (json, text, hocr, alto), `out` (a folder that
    gets a file a picture), `overlay` (a folder that gets a PNG a picture), `beams` (1), `boxes`
    (detected), `threads` (1).
    """
    known = (*TASKS, "beams", "boxes", "threads", "format", "out", "overlay")
    given = options_given("ocr", options, known)
    if given is None:
        return 2
    form = str(given.get("format", "json" if given.get("json") else ""))
    if form and form not in FORMATS:
        print(f"format is {form!r}; expected one of {', '.join(FORMATS)}", file=sys.stderr)
        return 2
    settings = {name: given[name] for name in ("beams", "boxes", "threads") if name in given}
    try:
        models = {**_models(given.get("model")), **{t: given[t] for t in TASKS if t in given}}
        predictor = Predictor(**models, **settings)
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    out = Path(str(given["out"])) if "out" in given else None
    overlay = Path(str(given["overlay"])) if "overlay" in given else None
    bad = documents = 0
    names: set[str] = set()
    for picture in iter_images(files):
        if picture.image is None:
            bad += 1
            _print_error(picture, form)
            continue
        stem = free_name(picture.name, names)
        start = time.perf_counter()
        page = predictor.read(picture.image, stem)
        seconds = time.perf_counter() - start
        if overlay is not None:
            _write_overlay(overlay / f"{stem}.png", picture.image, page)
        if out is not None:
            kind = form or "json"
            file = out / f"{stem}{SUFFIXES[kind]}"
            write_atomic(file, FORMATS[kind](page, picture.name))
            print(file, flush=True)
            continue
        documents += 1
        if form in ("hocr", "alto") and documents > 1:
            print(f"{form} is one document a picture: give -o out FOLDER", file=sys.stderr)
            return 2
        if form == "json":
            row = {**page_dict(page, picture.name), "seconds": round(seconds, 3)}
            print(json.dumps(row, ensure_ascii=False), flush=True)
        elif form:
            print(FORMATS[form](page, picture.name), flush=True)
        else:
            print(describe(picture.name, page, seconds), flush=True)
    return int(bad > 0)


def describe(name: str, page: Page, seconds: float) -> str:
    """A page for the terminal."""
    count = sum(1 for _ in page.words())
    return f"{name}: {count} words ({seconds:.2f} s)\n\n{page.text()}\n"


def _models(model: Any) -> dict[str, Any]:
    """What `--model` says of each task: a folder of several, or one that tells its own task."""
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


def _print_error(picture: Picture, form: str) -> None:
    reason = str(picture.error)
    if form == "json":
        print(json.dumps({"file": picture.name, "error": reason}, ensure_ascii=False), flush=True)
    else:
        print(f"{picture.name}: {reason}", file=sys.stderr, flush=True)


def _write_overlay(file: Path, image: Image, page: Page) -> None:
    from PIL import Image as Pillow

    from sightbook.files import atomic_file
    from sightbook.ocr.overlay import draw_page

    with atomic_file(file) as target:
        Pillow.fromarray(draw_page(image, page)).save(target)
