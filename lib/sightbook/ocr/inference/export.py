"""Export of an OCR run: the file, what the engine makes of it, parity, `.rten`, latency, the card.

Which of the three networks a run holds is told by its weights: `detection.safetensors`,
`recognition.safetensors` or `layout.safetensors`. A folder of three such folders (the shipped
models) is exported as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sightbook.data.images import open_image
from sightbook.inference import onnx
from sightbook.inference.cards import read_records
from sightbook.inference.export import Exported
from sightbook.inference.models import MODEL
from sightbook.ocr.detection.calibration import best_shift, count_words, sigmoid, total
from sightbook.ocr.inference import engine, rten
from sightbook.ocr.inference.card import model_card
from sightbook.ocr.inference.graphs import (
    export_detection,
    export_layout,
    export_recognition,
    ocrs_arguments,
)
from sightbook.ocr.inference.predict import TASKS
from sightbook.ocr.layout.arrange import LayoutModelFile, Scores, arrange
from sightbook.ocr.layout.data import page_words, word_features
from sightbook.ocr.pages.page import Page
from sightbook.ocr.pages.read import line_rects, read_dataset
from sightbook.ocr.params import ExportOcr
from sightbook.ocr.synth.pages import render_page
from sightbook.params import resolve_path
from sightbook.runs.files import write_atomic, write_json
from sightbook.runs.run import RunError
from sightbook.training.weights import SUFFIX, weights_file

RTEN = "model.rten"
CALIBRATION = "calibration.json"
"""Of a detection run: how well words are found with each logit shift that was tried."""

SEED = 0x0C4
"""Of the generated pages that are measured on; drawn with the fonts kept for validation."""

CALIBRATION_PAGES = 24
"""Pages, at most, on which the detector's logit shift is chosen."""

LINES = 128
"""Lines, at most, that the recogniser is measured on."""


@dataclass(frozen=True)
class Sample:
    """A page, its picture as the engine prepares it, and whether it was generated."""

    gray: engine.Gray
    page: Page
    generated: bool


def export_run(run: Path, params: ExportOcr) -> Exported:
    """Export a run into its own folder.

    Raises:
        RunError: there is no trained network in it.
        ContractError: a graph that the engine would refuse.
    """
    if task := task_of(run):
        return export_task(run, task, params)
    parts = [run / task for task in TASKS if task_of(run / task) == task]
    if not parts:
        raise RunError(
            f"{run}: holds none of {', '.join(task + SUFFIX for task in TASKS)}: it is no finished "
            "run of 02_train_text_detection, 02_train_text_recognition or 02_train_layout"
        )
    done = [export_task(part, part.name, params) for part in parts]
    cards = [(part / "model_card.md").read_text(encoding="utf-8") for part in parts]
    write_atomic(run / "model_card.md", "\n".join(cards))
    return Exported(
        run,
        [file for one in done for file in one.files],
        {name: value for one in done for name, value in one.parity.items()},
        [row for one in done for row in one.variants],
        {name: value for one in done for name, value in one.speed.items()},
    )


def task_of(run: Path) -> str | None:
    """Which network a run trained; None for none."""
    return next((task for task in TASKS if weights_of(run, task).is_file()), None)


def weights_of(run: Path, task: str) -> Path:
    """Where a run has the weights of a network, or would have them."""
    return weights_file(run, f"{task}{SUFFIX}")


def export_task(run: Path, task: str, params: ExportOcr) -> Exported:
    """Export one network into its run's folder: `model.onnx`, `model.rten`, the card."""
    own = given_samples(params) if params.data else own_samples(run, params.samples)
    samples = own + generated_samples(params.samples)
    made = {"detection": _detection, "recognition": _recognition, "layout": _layout}[task](
        run, samples, params
    )
    write_atomic(run / "model_card.md", model_card(run, task, made))
    return made


def metadata(run: Path) -> dict[str, Any]:
    """What the file says about itself: provenance, parameters, metrics."""
    return read_records(run).facts


# --------------------------------------------------------------------------- samples


def generated_samples(count: int) -> list[Sample]:
    """Generated pages that no training saw."""
    drawn = (render_page(SEED, index, validation=True) for index in range(count))
    return [Sample(engine.prepare_image(made.image), made.page, True) for made in drawn]


def given_samples(params: ExportOcr) -> list[Sample]:
    """Pages of the folder that the export was given, spread over it.

    Raises:
        DataError: the folder holds no labelled pages.
    """
    pages = read_dataset(resolve_path(params.data)).pages
    places = np.unique(np.linspace(0, len(pages) - 1, min(params.samples, len(pages))).round())
    chosen = [pages[int(place)] for place in places]
    return [
        Sample(engine.prepare_image(open_image(page.image)), page, False)
        for page in chosen
        if page.image is not None
    ]


def own_samples(run: Path, count: int) -> list[Sample]:
    """Validation pages of the data that the run was given; none where it was given none, or where
    the data is not there any more."""
    params = read_records(run).params
    folder = resolve_path(str(params.get("data") or "synthetic"))
    if not folder.exists():
        return []
    _, held_out = read_dataset(folder, max_bad=10**6).split(params.get("validation") or 0.1)
    return [
        Sample(engine.prepare_image(open_image(page.image)), page, False)
        for page in held_out[:count]
        if page.image is not None
    ]


# --------------------------------------------------------------------------- detection


def _detection(run: Path, samples: Sequence[Sample], params: ExportOcr) -> Exported:
    from sightbook.ocr.detection.model import load_detection

    model = load_detection(weights_of(run, "detection"))
    given = read_records(run).params
    size = (int(given["height"]), int(given["width"]))
    logits = [torch_logits(model, sample.gray, size) for sample in samples]
    pages = [sample.page for sample in samples]
    shift, curve = best_shift(logits[:CALIBRATION_PAGES], pages[:CALIBRATION_PAGES])
    file = export_detection(
        model, run / MODEL, size, shift=shift, metadata=metadata(run), opset=params.opset
    )
    theirs = [sigmoid(part + np.float32(shift)) for part in logits]

    def compare(candidate: Path) -> dict[str, Any]:
        session = onnx.session(candidate, threads=1)
        maps = [engine.text_probabilities(session, sample.gray) for sample in samples]
        found = zip(_rects(maps, pages), _rects(theirs, pages), strict=True)
        same = [len(one) == len(other) for one, other in found]
        numbers = onnx.parity(maps, theirs)
        return {**numbers, "scores": numbers["max_abs"], "same_words": float(np.mean(same))}

    parity = onnx.with_half_weights(file, compare, params.weights == "fp16")
    session = onnx.session(file, threads=1)
    maps = [engine.text_probabilities(session, sample.gray) for sample in samples]
    start = time.perf_counter()
    found = _rects(maps, pages)
    after = (time.perf_counter() - start) / max(1, len(found))
    pixels = np.zeros((1, 1, *size), np.float32)
    row: dict[str, Any] = {
        "variant": "float32",
        "megabytes": round(onnx.file_size(file), 2),
        "batch1_ms": round(
            onnx.latency(session, {"image": pixels}, params.repeats)["median_ms"], 1
        ),
        "postprocess_ms": round(1000 * after, 1),
        "peak_MiB": round(onnx.peak_memory(file, {"image": pixels})),
        **_word_figures(samples, found),
        "pages": len(pages),
    }
    torch_ms = onnx.torch_latency(lambda: model(torch.from_numpy(pixels)), params.repeats)
    made = Exported(
        run,
        [file],
        {"detection": {**parity, "pages": len(pages)}},
        [row],
        {"torch_batch1_ms": round(torch_ms, 1), "onnxruntime_batch1_ms": row["batch1_ms"],
         "logit_shift": shift},
    )  # fmt: skip
    write_json(run / CALIBRATION, {"threshold": engine.THRESHOLD, "shift": shift, "tried": curve})
    return _with_rten(made)


def torch_logits(model: nn.Module, gray: engine.Gray, size: tuple[int, int]) -> NDArray[np.float32]:
    """A detector's logits in PyTorch, cut to the part that shows the picture, ``[h, w]``."""
    pixels, (rows, columns) = engine.detection_input(gray, *size)
    with torch.inference_mode():
        return model(torch.from_numpy(pixels))[0, 0, :rows, :columns].numpy()


def _rects(maps: Sequence[NDArray[np.float32]], pages: Sequence[Page]) -> list[NDArray[np.float32]]:
    return [
        engine.find_words(part, (page.height, page.width))
        for part, page in zip(maps, pages, strict=True)
    ]


def _word_figures(
    samples: Sequence[Sample], found: Sequence[NDArray[np.float32]]
) -> dict[str, float]:
    """Word detection at exactly the engine's settings, of generated and of own pages."""
    rows: dict[str, float] = {}
    for generated, suffix in ((True, "generated"), (False, "own")):
        pairs = [
            pair for pair in zip(samples, found, strict=True) if pair[0].generated is generated
        ]
        if pairs:
            counts = total(count_words(sample.page, rects) for sample, rects in pairs)
            figures = {"F": counts.f, "precision": counts.precision, "recall": counts.recall}
            rows |= {f"{name} {suffix}": round(value, 4) for name, value in figures.items()}
    return rows


# --------------------------------------------------------------------------- recognition


def _recognition(run: Path, samples: Sequence[Sample], params: ExportOcr) -> Exported:
    from rapidfuzz.distance import Levenshtein

    from sightbook.ocr.recognition.model import load_recognizer

    model = load_recognizer(weights_of(run, "recognition"))
    alphabet = model.config.alphabet
    file = export_recognition(
        model, run / MODEL, alphabet, metadata=metadata(run), opset=params.opset
    )
    images, texts = sample_lines(samples)
    start = time.perf_counter()
    torch_read = engine.recognise(_TorchSession(model), images, alphabet)  # type: ignore[arg-type]
    torch_seconds = time.perf_counter() - start
    widest = images[int(np.argmax([image.shape[1] for image in images]))]
    feed = np.full((1, 1, widest.shape[0], -(-widest.shape[1] // 50) * 50), -0.5, np.float32)
    feed[0, 0, :, : widest.shape[1]] = widest
    with torch.inference_mode():
        expected = model(torch.from_numpy(feed))

    def compare(candidate: Path) -> dict[str, Any]:
        session = onnx.session(candidate, threads=1)
        pairs = list(zip(engine.recognise(session, images, alphabet), torch_read, strict=True))
        same = [one.text == other.text for one, other in pairs]
        return {
            **onnx.parity(session.run(None, {"line_image": feed}), [expected]),
            "scores": max(abs(one.confidence - other.confidence) for one, other in pairs),
            "same_texts": float(np.mean(same)),
        }

    parity = onnx.with_half_weights(file, compare, params.weights == "fp16")
    session = onnx.session(file, threads=1)
    start = time.perf_counter()
    read = engine.recognise(session, images, alphabet)
    seconds = time.perf_counter() - start
    distances = [
        Levenshtein.distance(one.text, text) for one, text in zip(read, texts, strict=True)
    ]
    row: dict[str, Any] = {
        "variant": "float32",
        "megabytes": round(onnx.file_size(file), 2),
        "lines_s": round(len(images) / seconds, 1),
        "peak_MiB": round(onnx.peak_memory(file, {"line_image": feed})),
        "CER": round(sum(distances) / max(1, sum(map(len, texts))), 4),
        "exact_lines": round(float(np.mean([distance == 0 for distance in distances])), 4),
        "lines": len(images),
    }
    made = Exported(
        run,
        [file, file.with_name("alphabet.txt")],
        {"recognition": {**parity, "lines": len(images)}},
        [row],
        {
            "torch_lines_s": round(len(images) / torch_seconds, 1),
            "onnxruntime_lines_s": row["lines_s"],
        },
    )
    print(f"with the ocrs engine: {ocrs_arguments(alphabet)}")
    return _with_rten(made)


def sample_lines(samples: Sequence[Sample]) -> tuple[list[engine.Gray], list[str]]:
    """Legible lines of pages as the engine cuts them, and their texts."""
    images, texts = [], []
    for sample in samples:
        for line in sample.page.lines():
            if line.legible and line.text and not line.vertical:
                images.append(engine.line_image(sample.gray, line_rects(line)))
                texts.append(line.text)
    step = max(1, len(images) // LINES)
    return images[::step][:LINES], texts[::step][:LINES]


class _TorchSession:
    """A recogniser in PyTorch, in the shape of an onnxruntime session."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def get_inputs(self) -> list[Any]:
        return [type("Entry", (), {"name": "line_image"})]

    get_outputs = get_inputs

    def run(self, names: Sequence[str], feeds: dict[str, NDArray[np.float32]]) -> list[Any]:
        with torch.inference_mode():
            return [self.model(torch.from_numpy(feeds["line_image"])).numpy()]


# --------------------------------------------------------------------------- layout


def _layout(run: Path, samples: Sequence[Sample], params: ExportOcr) -> Exported:
    from sightbook.ocr.layout.model import load_layout

    model = load_layout(weights_of(run, "layout"))
    file = export_layout(model, run / MODEL, metadata=metadata(run), opset=params.opset)

    def torch_judge(words: NDArray[np.float32]) -> Scores:
        with torch.inference_mode():
            mask = torch.ones(1, len(words))
            scores = model(torch.from_numpy(words[None].astype(np.float32)), mask)
        first, second, third = (part[0].numpy() for part in scores)
        return first, second, third

    quads = [page_words(sample.page).quads for sample in samples]
    quads = [part for part in quads if len(part)]
    words = word_features(quads[0])
    layouts, expected = [arrange(part, torch_judge) for part in quads], torch_judge(words)

    def compare(candidate: Path) -> dict[str, Any]:
        judge = LayoutModelFile(candidate, threads=1)
        scores = judge(words)
        same = [arrange(part, judge) == one for part, one in zip(quads, layouts, strict=True)]
        likely = onnx.parity(_probabilities(scores), _probabilities(expected))
        return {
            **onnx.parity(scores, expected),
            "scores": likely["max_abs"],
            "same_layout": float(np.mean(same)),
        }

    parity = onnx.with_half_weights(file, compare, params.weights == "fp16")
    judge = LayoutModelFile(file, threads=1)
    start = time.perf_counter()
    for part in quads:
        arrange(part, judge)
    seconds = (time.perf_counter() - start) / max(1, len(quads))
    mask = np.ones((1, len(words)), np.float32)
    feeds = {"words": words[None].astype(np.float32), "mask": mask}
    row: dict[str, Any] = {
        "variant": "float32",
        "megabytes": round(onnx.file_size(file), 2),
        "page_ms": round(1000 * seconds, 1),
        "peak_MiB": round(onnx.peak_memory(file, feeds)),
        "pages": len(quads),
        "words_a_page": round(float(np.mean([len(part) for part in quads])), 1),
    }
    parity["pages"] = len(quads)
    return Exported(run, [file], {"layout": parity}, [row], {"page_ms": row["page_ms"]})


def _probabilities(scores: Scores) -> Scores:
    """Of beginning and end of a line, of each successor, of a paragraph in common."""
    line_ends, next_word, same_paragraph = scores
    likely = np.exp(next_word - next_word.max(axis=-1, keepdims=True))
    return sigmoid(line_ends), likely / likely.sum(axis=-1, keepdims=True), sigmoid(same_paragraph)


# --------------------------------------------------------------------------- shared


def _with_rten(made: Exported) -> Exported:
    """Add the `.rten` form, read back and held against the ONNX file, where it can be made."""
    file = made.files[0]
    if rten.available():
        target = rten.convert(file, file.with_name(RTEN))
        rten.check(target, file)
        made.files.append(target)
        made.variants.append({"variant": ".rten", "megabytes": round(onnx.file_size(target), 2)})
    else:
        print(f'no {RTEN}: pip install "sightbook[rten]" to have it written too')
    return made
