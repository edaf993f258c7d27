"""Export of a page-pipeline run: graphs, parity of the written text, int8, latency."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightbook.data.images import ImageError, open_image
from sightbook.donut.dataset.folder import Record
from sightbook.donut.dataset.images import training_folder
from sightbook.donut.page.data import page_items
from sightbook.donut.page.predict import PAGE, PagePredictor
from sightbook.donut.page.train import export_page, load_page
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone.decoder import DECODER, MODEL
from sightbook.donut.zone.graphs import token_gap
from sightbook.inference import onnx
from sightbook.inference.export import Exported, ExportModel
from sightbook.runs.files import write_atomic


def export_page_run(run: Path, params: ExportModel, facts: dict[str, Any]) -> Exported:
    """Export a page run into its own folder.

    Args:
        run: the run folder, with the checkpoint under `page/`.
        params: of the export.
        facts: what the files are to say about themselves.
    """
    from sightbook.donut.card import model_card

    export_page(run / PAGE, run, metadata=facts, opset=params.opset)
    if params.int8:
        (run / "int8").mkdir(exist_ok=True)
        for name in (MODEL, DECODER):
            onnx.quantize_dynamic(run / name, run / "int8" / name)
    pages = held_out_pages(run, params.samples)
    model, _ = load_page(run / PAGE)
    stored = store_weights(run, model, pages, params.weights == "fp16")
    predictor = PagePredictor(run)
    readings = [predictor.predict(image, question) for image, question in pages]
    theirs = [generated(model, predictor, image, question) for image, question in pages]
    same = sum(r.tokens == tokens for r, tokens in zip(readings, theirs, strict=True))
    ours = [reading.text for reading in readings]
    exported = Exported(
        run,
        [run / MODEL, run / DECODER],
        {"tokens": {"same_tokens": same / max(1, len(pages)), "pages": len(pages), **stored}},
        [measure(run, "float32", pages, ours)],
    )
    if params.int8:
        for name, key in ((DECODER, "weights"), (MODEL, "encoder_weights")):
            if stored[key] == "fp16":
                onnx.store_half(run / "int8" / name)  # what int8 left as it was
        exported.variants.append(measure(run / "int8", "int8", pages, ours))
    write_atomic(run / "model_card.md", model_card(run, exported))
    return exported


def store_weights(
    run: Path, model: Any, pages: Sequence[tuple[NDArray[np.uint8], str | None]], half: bool
) -> dict[str, Any]:
    """Store the weights of both files as fp16 where `onnx.with_half_weights` allows it.

    Args:
        run: folder of the files.
        model: in PyTorch.
        pages: with their questions, on which the files are held against it.
        half: False leaves the files as they are.

    Returns:
        `scores`: largest difference of a token's probability; `weights`, `encoder_weights`: how
        those of decoder and encoder are stored.
    """
    if not pages:
        return {"weights": "fp32", "encoder_weights": "fp32"}
    predictor = PagePredictor(run)
    inputs = []
    for image, question in pages:
        reading = predictor.read(image, question)
        names = {name: place for place, name in enumerate(predictor.facts["tokens"])}
        ids = [*predictor.prompt_ids(question), *(names[name] for name in reading.tokens)]
        inputs.append((predictor.prepared(image)[None], ids))

    def compare(file: Path) -> dict[str, Any]:
        encoder = file if file.name == MODEL else run / MODEL
        decoder = file if file.name == DECODER else run / DECODER
        gaps = [token_gap(model, encoder, decoder, pixels, [ids]) for pixels, ids in inputs]
        return {"scores": max(gaps)}

    encoder = onnx.with_half_weights(run / MODEL, compare, half)
    return {
        **onnx.with_half_weights(run / DECODER, compare, half),
        "encoder_weights": encoder["weights"],
    }


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
