"""What the Donut notebooks show: samples before training, readings after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.data.images import ImageError, open_image
from sightbook.donut.dataset.folder import Record
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone.evaluate import Evaluation
from sightbook.donut.zone.geometry import Zone, cut_lines, find_zones, reader_pixels, to_gray
from sightbook.donut.zone.line_crops import LineCrops, shake
from sightbook.donut.zone.predict import Predictor, ZoneReading
from sightbook.figures import plots
from sightbook.figures.text_diff import Case, reading_comparison


def reader_lines(data: LineCrops, epochs: int, count: int = 4) -> plots.Plot:
    """Lines as the reader is taught them, at the beginning of the run, in its middle, at its end.

    Args:
        data: left at its first epoch.
        epochs: of the run.
        count: zones of each stage.
    """
    images: list[NDArray[np.uint8]] = []
    titles = []
    for epoch in dict.fromkeys((0, epochs // 2, epochs - 1)):
        data.set_epoch(epoch)
        for place in np.linspace(0, len(data) - 1, min(count, len(data))).astype(int).tolist():
            item = data[place]
            images.append(np.concatenate(list(item["lines"])))
            titles.append(f"epoch {epoch + 1}: {item['texts'][0][:28]}")
    data.set_epoch(0)
    return plots.image_grid(images, titles, columns=2)


def pages(data: Any, count: int = 6) -> plots.Plot:
    """Pages as the model is taught them (a `pages.PageDataset`), and what it is to write."""
    images, titles = [], []
    for place in range(min(count, len(data))):
        item = data[place]
        pixels = item["pixel_values"].transpose(1, 2, 0)
        mean, std = np.array(data.mean), np.array(data.std)
        images.append((np.clip(pixels * std + mean, 0, 1) * 255).astype(np.uint8))
        titles.append(data.target(data.items[item["index"]])[:48])
    return plots.image_grid(images, titles, columns=3)


def teaching(sets: Any, params: TrainDonut) -> plots.Plot:
    """What the road's reader is taught: `pages` or `reader_lines`."""
    if params.pipeline == "page":
        return pages(sets.train)
    return reader_lines(sets.reader_train, params.epochs)


def straightened(records: Sequence[Record], count: int = 6, seed: int = 0) -> plots.Plot:
    """Zones of documents cut into lines as the reader gets them, corners shaken as in training."""
    images: list[NDArray[np.uint8]] = []
    titles = []
    for record in [r for r in records if r.quads is not None and len(r.quads)][:count]:
        try:
            gray = to_gray(open_image(record.path))
        except ImageError:
            continue
        quads = record.quads
        assert quads is not None
        crops = cut_lines(gray, shake(quads, np.random.default_rng([seed, len(images)])))
        images.append(np.concatenate(list(crops)))
        titles.append(f"{record.file_name}: {len(quads)} lines")
    return plots.image_grid(images, titles, columns=2)


def zone_widths(records: Sequence[Record]) -> plots.Plot:
    """Widths of the documents' zones in pixels: under 300 px reading gets hard."""
    quads = [r.quads for r in records if r.quads is not None and len(r.quads)]
    return plots.histogram([Zone(q, 1.0).width for q in quads], name="zone width (px)")


def found_zones(documents: Any, maps: Any, count: int = 6) -> plots.Plot:
    """What a finder finds on documents it was not trained on.

    Args:
        images: a `documents.DocumentPictures`.
        maps: the finder as `finder.as_maps` gives it.
        count: documents to show.
    """
    images, titles = [], []
    for index in range(min(count, len(documents))):
        record, image = documents.opened(index)
        zones = find_zones(to_gray(image), maps)
        images.append(plots.with_quads(image, zones[0].quads) if zones else image)
        titles.append(f"{record.file_name}: " + (f"{zones[0].angle:.0f}°" if zones else "none"))
    return plots.image_grid(images, titles, columns=3)


def reading(image: NDArray[np.uint8], result: ZoneReading, name: str = "") -> plots.Plot:
    """A picture, the zone found on it and what was read."""
    note = "no zone"
    if result.found:
        note = result.type or "a zone of no known shape"
        note += f", {'valid' if result.valid else 'not valid'}, confidence {result.confidence:.2f}"
    return reading_comparison(
        plots.with_quads(image, result.quads), None, result.lines, title=f"{name} {note}".strip()
    )


def read_generated(predictor: Predictor, seed: int, count: int = 2) -> list[plots.Plot]:
    """Generated documents read by a predictor, one figure each."""
    from sightbook.donut.synth.documents import render_document

    figures = []
    for index in range(count):
        document = render_document(seed, index, (1280, 960))
        figures.append(reading(document.image, predictor.predict(document.image), document.kind))
    return figures


def accuracy_slices(evaluation: Evaluation) -> list[plots.Plot]:
    """Share of exactly read zones against zone width, tilt and sharpness, one figure each."""
    names = {"width": "zone width (px)", "tilt": "tilt (degrees)", "sharpness": "sharpness"}
    figures = []
    for key, name in names.items():
        rows = [row for row in evaluation.rows if row["truth"] and row[key] is not None]
        if len(rows) >= 4:
            values = [row[key] for row in rows]
            hits = [row["exact"] for row in rows]
            figures.append(
                plots.accuracy_against(values, hits, name=name, what="zones read exactly")
            )
    return figures


def finder_curves(run: Path) -> plots.Plot:
    """Curves of the finder's training in a run folder; says so where none was trained."""
    part = run / "finder"
    if not (part / "metrics.jsonl").is_file():
        return plots.empty_plot("no finder was trained in this run")
    return plots.curves(part, names=["loss", "zone_iou", "line_iou"])


def validation_zones(task: Any, sets: Any, count: int = 6) -> plots.Plot:
    """What the trained finder (of `train.ZoneTasks`) finds on documents held out of training."""
    from sightbook.donut.zone.finder import as_maps

    if not hasattr(task, "finder"):
        return plots.empty_plot("the page pipeline has no finder")
    return found_zones(sets.finder_validation.documents, as_maps(task.finder.network), count)


def validation_readings(task: Any, params: TrainDonut, run: Path, zones: int = 24) -> list[Case]:
    """Fresh zones as the trained reader's CTC head reads them, for the prediction browser.

    On the page pipeline: held-out pages, read by what the run folder holds.
    """
    if params.pipeline == "page":
        return page_readings(run)
    import torch

    from sightbook.donut.zone.line_crops import SyntheticZones
    from sightbook.donut.zone.task import ctc_texts
    from sightbook.donut.zone.train import VALIDATION_SEED
    from sightbook.training.task import evaluating

    reader = task.reader.reader
    crops = LineCrops(SyntheticZones(zones, params.seed + 2 * VALIDATION_SEED), params.seed)
    cases = []
    for index in range(zones):
        item = crops[index]
        with evaluating(reader):
            output = reader(torch.from_numpy(reader_pixels(item["lines"])))
        read = ctc_texts(output.ctc_log_probs, reader.config)
        error = sum(Levenshtein.distance(a, b) for a, b in zip(item["texts"], read, strict=True))
        image = np.concatenate(list(item["lines"]))
        note = f"{error} characters to mend" if error else "right"
        cases.append(Case(f"zone {index}", image, item["texts"], read, float(error), note))
    return cases


def page_readings(run: Path, pages: int = 8) -> list[Case]:
    """Held-out pages as a page run reads them, answers as JSON, for the prediction browser."""
    import json

    from sightbook.donut.page.export import held_out_pages
    from sightbook.donut.page.predict import PAGE, PagePredictor
    from sightbook.donut.page.train import export_page

    export_page(run / PAGE)
    predictor = PagePredictor(run / PAGE)
    cases = []
    for index, (image, question) in enumerate(held_out_pages(run, pages)):
        answer = predictor.predict(image, question)
        text = json.dumps(answer.json, ensure_ascii=False, indent=1).splitlines()
        cases.append(Case(question or f"page {index}", image, None, text, 1 - answer.confidence))
    return cases


def documents_read(evaluation: Evaluation) -> plots.Plot:
    """Whole documents of an evaluation with the zones that were found on them."""
    titles = [f"{e.name}: {e.reading.type or 'no zone read'}" for e in evaluation.examples]
    return plots.image_grid([e.image for e in evaluation.examples], titles, columns=3)
