"""Export of a page-road run: graphs, parity of the written text, int8, latency."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightbook import onnx
from sightbook.donut.data import Record
from sightbook.donut.decoding import DECODER, MODEL
from sightbook.donut.documents import training_folder
from sightbook.donut.page_reading import PAGE, PagePredictor
from sightbook.donut.pages import page_items
from sightbook.donut.params import TrainDonut
from sightbook.donut.train_page import export_page, load_page
from sightbook.exporting import Exported, ExportModel
from sightbook.files import write_atomic
from sightbook.images import ImageError, open_image


def export_page_run(run: Path, params: ExportModel, facts: dict[str, Any]) -> Exported:
    """Export a page run into its own folder.

    Args:
        run: the run folder, with the checkpoint under `page/`.
        params: of the export.
        facts: what the files are to say about themselves.
    """
    from sightbook.donut.card import model_card

    export_page(run / PAGE, run, metadata=facts, opset=params.opset)
    pages = held_out_pages(run, params.samples)
    model, _ = load_page(run / PAGE)
    predictor = PagePredictor(run)
    readings = [predictor.predict(image, question) for image, question in pages]
    theirs = [generated(model, predictor, image, question) for image, question in pages]
    same = sum(r.tokens == tokens for r, tokens in zip(readings, theirs, strict=True))
    ours = [reading.text for reading in readings]
    exported = Exported(
        run,
        [run / MODEL, run / DECODER],
        {"tokens": {"same_tokens": same / max(1, len(pages)), "pages": len(pages)}},
        [measure(run, "float32", pages, ours)],
    )
    if params.int8:
        folder = run / "int8"
        folder.mkdir(exist_ok=True)
        for name in (MODEL, DECODER):
            onnx.quantize_dynamic(run / name, folder / name)
        exported.variants.append(measure(folder, "int8", pages, ours))
    write_atomic(run / "model_card.md", model_card(run, exported))
    return exported


@torch.no_grad()
def generated(
    model: Any, predictor: PagePredictor, image: NDArray[np.uint8], question: str | None
) -> list[str]:
    """Tokens that transformers' greedy `generate` writes behind the prompt, without the end."""
    prompt = predictor.prompt_ids(question)
    unknown = predictor.facts["unknown"]
    ids = model.generate(
        pixel_values=torch.from_numpy(predictor.prepared(image))[None],
        decoder_input_ids=torch.tensor([prompt]),
        num_beams=1,
        do_sample=False,
        bad_words_ids=None if unknown is None else [[unknown]],
    )[0].tolist()
    names = predictor.facts["tokens"]
    stop = {predictor.decoder.eos, predictor.facts["pad"]}
    return [names[i] for i in ids[len(prompt) :] if i not in stop]


def held_out_pages(run: Path, count: int) -> list[tuple[NDArray[np.uint8], str | None]]:
    """Pictures of the run's validation split, with their questions where it answers questions."""
    params = TrainDonut.from_yaml(run / "params.yaml")
    records: Sequence[Record] = training_folder(params).get("validation", [])
    pages: list[tuple[NDArray[np.uint8], str | None]] = []
    for item in page_items(records):
        if len(pages) == count:
            break
        try:
            pages.append((open_image(item.record.path), item.question))
        except ImageError:
            continue  # counted when it was trained on
    return pages


def measure(
    folder: Path,
    name: str,
    pages: Sequence[tuple[NDArray[np.uint8], str | None]],
    reference: Sequence[str],
) -> dict[str, Any]:
    """Size, speed on one thread and agreement with the float32 texts of one variant."""
    predictor = PagePredictor(folder, threads=1)
    readings = [predictor.predict(image, question) for image, question in pages]
    same = sum(r.text == text for r, text in zip(readings, reference, strict=True))
    size = sum((folder / part).stat().st_size for part in (MODEL, DECODER))
    return {
        "variant": name,
        "megabytes": round(size / 2**20, 2),
        "page_ms": round(statistics.median([r.seconds for r in readings] or [0]) * 1000, 1),
        "same_text": same / max(1, len(pages)),
        "pages": len(pages),
    }
