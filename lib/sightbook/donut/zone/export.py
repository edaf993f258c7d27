"""Export of a Donut run: the three graphs, parity, int8, latency and the model card."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import sightbook
from sightbook.donut.card import model_card
from sightbook.donut.zone import finder as finding
from sightbook.donut.zone import geometry as zone
from sightbook.donut.zone import task as reading
from sightbook.donut.zone.decoder import DECODER, MODEL, Decoder, encode, greedy
from sightbook.donut.zone.graphs import export_reader, token_gap
from sightbook.donut.zone.line_crops import LineCrops, SyntheticZones
from sightbook.donut.zone.model import LineReader
from sightbook.donut.zone.predict import FINDER, Predictor
from sightbook.inference import onnx
from sightbook.inference.export import Exported, ExportModel
from sightbook.inference.models import find_model
from sightbook.runs.run import read_json, write_atomic
from sightbook.training.weights import weights_file

WEIGHTS = (reading.WEIGHTS, finding.WEIGHTS)

PARITY_SEED = 0xE4
"""Seed of the zones on which parity is measured: none of training's or validation's."""


def export_run(run: Path, params: ExportModel) -> Exported:
    """Export a run into its own folder.

    Raises:
        RunError: no such run, or it holds no trained reader.
    """
    if (run / "page").is_dir():
        from sightbook.donut.page.export import export_page_run

        facts = {key: value for key, value in metadata(run).items() if key != "preprocessing"}
        return export_page_run(run, params, facts)
    write_package(run, params.opset)
    reader = reading.load_reader(weights_file(run, reading.WEIGHTS))
    lines, texts = sample_lines(params.samples)
    network = finding.load_finder(weights_file(run, finding.WEIGHTS))
    half = params.weights == "fp16"
    if params.int8:
        write_int8(run)
    compare_encoder = partial(encoder_parity, reader, lines=lines)
    compare_finder = partial(finder_parity, network, samples=params.samples)
    compare_decoder = partial(token_parity, reader, run / MODEL, lines=lines, texts=texts)
    parity = {
        "encoder": onnx.with_half_weights(run / MODEL, compare_encoder, half),
        "finder": onnx.with_half_weights(run / FINDER, compare_finder, half),
        "tokens": onnx.with_half_weights(run / DECODER, compare_decoder, half),
    }
    variants = [measure(run, "float32", lines, texts, params.repeats)]
    if params.int8:
        for part, name in (("encoder", MODEL), ("finder", FINDER), ("tokens", DECODER)):
            if parity[part]["weights"] == "fp16":
                onnx.store_half(run / "int8" / name)  # what int8 left as it was
        variants.append(measure(run / "int8", "int8", lines, texts, params.repeats))
    files = [run / MODEL, run / DECODER, run / FINDER]
    exported = Exported(run, files, parity, variants)
    exported.speed = decoding_speed(reader, run, lines, params.repeats)
    write_atomic(run / "model_card.md", model_card(run, exported))
    return exported


def write_package(run: Path, opset: int = 17) -> Path:
    """Write `model.onnx`, `decoder.onnx` and `finder.onnx` of a zone run into its folder.

    Raises:
        RunError: the run holds no trained reader or finder.
    """
    reader, finder = (find_model("donut", run, name) for name in WEIGHTS)
    facts = metadata(run)
    export_reader(reading.load_reader(reader), run, facts, opset)
    network = finding.load_finder(finder)
    onnx.export(
        network,
        (torch.zeros(1, 1, 64, 96),),
        run / FINDER,
        ["views"],
        ["maps"],
        {
            "views": {0: "batch", 2: "height", 3: "width"},
            "maps": {0: "batch", 2: "rows", 3: "columns"},
        },
        opset,
        {**facts, "part": "finder", "size": network.size},
    )
    return run


def ensure_package(run: Path) -> Path:
    """The run's exported files, written if they are missing or older than its weights."""
    files = [run / MODEL, run / DECODER, run / FINDER]
    weights = [weights_file(run, name) for name in WEIGHTS]
    if weights[0].is_file():
        newest = max(file.stat().st_mtime for file in weights)
        if not all(file.is_file() and file.stat().st_mtime >= newest for file in files):
            write_package(run)
    return run


def metadata(run: Path) -> dict[str, Any]:
    """What the files say about themselves: provenance, pre-processing, parameters, metrics."""
    record = read_json(run / "run.json")
    final = run / "metrics.json"
    params = yaml.safe_load((run / "params.yaml").read_text(encoding="utf-8"))
    return {
        "line": "donut",
        "version": sightbook.__version__,
        "run": record["run"],
        "git": record.get("git"),
        "dataset": record.get("dataset"),
        "params": params,
        "metrics": read_json(final) if final.is_file() else {},
        "preprocessing": {
            "grey": "0.299 R + 0.587 G + 0.114 B",
            "finder": {
                "long_side": zone.COARSE_SIDE,
                "zone_width": zone.FINE_WIDTH,
                "multiple": 32,
                "range": [-1, 1],
            },
            "line": {
                "height": zone.LINE_HEIGHT,
                "width": zone.LINE_WIDTH,
                "text_width": zone.TEXT_WIDTHS,
                "capitals": zone.LINE_CAP,
                "contrast": "1st to 99th percentile stretched to [-1, 1]",
            },
        },
        "labels": "sightbook.donut.mrz.build.ALPHABET",
    }


def sample_lines(zones: int) -> tuple[NDArray[np.float32], list[str]]:
    """Lines of generated zones for the reader, float32 [n, 1, 32, 736], and their texts."""
    crops = LineCrops(SyntheticZones(zones, PARITY_SEED), PARITY_SEED)
    items = [crops[index] for index in range(zones)]
    lines = np.concatenate([item["lines"] for item in items])
    return zone.reader_pixels(lines), [text for item in items for text in item["texts"]]


def encoder_parity(reader: LineReader, file: Path, lines: NDArray[np.float32]) -> dict[str, float]:
    """Differences of the CTC head's probabilities between onnxruntime and PyTorch."""
    ours = encode(onnx.session(file), lines).ctc_log_probs
    with torch.inference_mode():
        theirs = reader(torch.from_numpy(lines)).ctc_log_probs
    assert ours is not None
    numbers = onnx.parity([np.exp(ours)], [theirs.exp()])
    return {**numbers, "scores": numbers["max_abs"], "lines": len(lines)}


def finder_parity(network: finding.Finder, file: Path, samples: int) -> dict[str, float]:
    """Differences of the finder's maps between onnxruntime and PyTorch on generated documents.

    Returns:
        As `onnx.parity`, and `scores`: of the probability of a line or a zone.
    """
    from sightbook.donut.synth.documents import render_document

    session = onnx.session(file)
    torch_maps = finding.as_maps(network)
    ours, theirs = [], []
    for index in range(min(samples, 4)):
        gray = zone.to_gray(render_document(PARITY_SEED, index, (640, 480)).image)
        views = zone.normalise(zone.coarse_view(gray)[0])[None]
        ours.append(session.run(None, {"views": views})[0])
        theirs.append(torch_maps(views))
    likely = [[_probabilities(maps) for maps in side] for side in (ours, theirs)]
    return {
        **onnx.parity(ours, theirs),
        "scores": onnx.parity(*likely)["max_abs"],
        "documents": len(ours),
    }


def _probabilities(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    shares = maps[:, [zone.BAND, zone.ZONE]].astype(np.float64)
    return 1 / (1 + np.exp(-shares))


def token_parity(
    reader: LineReader,
    encoder: Path,
    file: Path,
    lines: NDArray[np.float32],
    texts: Sequence[str],
) -> dict[str, float]:
    """Whether a decoder writes what PyTorch writes.

    Returns:
        `same_tokens`: share of lines on which greedy decoding gives the very tokens of `generate`;
        `scores`: largest difference of a token's probability behind those of the true text; and
        `lines`.
    """
    session, decoder = onnx.session(encoder), Decoder(onnx.session(file))
    characters = reader.config.characters
    known = len(characters)
    written = greedy(decoder, encode(session, lines))
    ours = [[token for token in text.ids if token < known] for text in written]
    same = sum(a == b for a, b in zip(ours, generated(reader, lines), strict=True))
    true = [[reader.config.bos, *map(characters.index, text)] for text in texts]
    scores = token_gap(reader.model, encoder, file, lines, true)
    return {"same_tokens": same / len(lines), "scores": scores, "lines": len(lines)}


def generated(reader: LineReader, lines: NDArray[np.float32]) -> list[list[int]]:
    """Tokens of transformers' greedy `generate`, without start, end and padding."""
    special = {reader.config.bos, reader.config.eos, reader.config.pad}
    model: Any = reader.model
    with torch.inference_mode():
        tokens = model.generate(
            torch.from_numpy(lines), max_length=reader.config.max_length, num_beams=1
        )
    return [[token for token in row if token not in special] for row in tokens.tolist()]


def write_int8(run: Path) -> Path:
    """Write the int8 variant into `int8/`: encoder and decoder quantised, the finder as it is."""
    folder = run / "int8"
    folder.mkdir(exist_ok=True)
    for name in (MODEL, DECODER):
        onnx.quantize_dynamic(run / name, folder / name)
    # The finder is all convolutions, which dynamic quantisation leaves alone.
    write_atomic(folder / FINDER, (run / FINDER).read_bytes())
    return folder


def measure(
    folder: Path, name: str, lines: NDArray[np.float32], texts: Sequence[str], repeats: int
) -> dict[str, Any]:
    """Size, speed and accuracy of one variant on one CPU thread.

    Returns:
        `megabytes` over all files; `encoder_ms` for one zone of two lines; `document_ms`, median
        of whole generated documents of 1280x960 read end to end; `exact_lines` of the decoder's
        greedy reading of the parity lines, and `lines`.
    """
    from sightbook.donut.synth.documents import render_document

    session = onnx.session(folder / MODEL, threads=1)
    decoder = Decoder(onnx.session(folder / DECODER, threads=1))
    characters = onnx.metadata(session)["characters"]
    read = [
        "".join(characters[i] for i in text.ids if i < len(characters))
        for text in greedy(decoder, encode(session, lines))
    ]
    predictor = Predictor(folder / MODEL, threads=1)
    spent = []
    for index in range(repeats):
        image = render_document(PARITY_SEED, index, (1280, 960), "passport").image
        spent.append(predictor.predict(image).seconds * 1000)
    files = [folder / part for part in (MODEL, DECODER, FINDER)]
    return {
        "variant": name,
        "megabytes": round(sum(file.stat().st_size for file in files) / 2**20, 2),
        "encoder_ms": round(onnx.latency(session, {"pixel_values": lines[:2]})["median_ms"], 2),
        "document_ms": round(statistics.median(spent), 1),
        "exact_lines": sum(a == b for a, b in zip(read, texts, strict=True)) / len(texts),
        "lines": len(texts),
    }


def decoding_speed(
    reader: LineReader, folder: Path, lines: NDArray[np.float32], repeats: int
) -> dict[str, float]:
    """Milliseconds to read one line greedily, onnxruntime beside `generate`, one thread each."""
    session = onnx.session(folder / MODEL, threads=1)
    decoder = Decoder(onnx.session(folder / DECODER, threads=1))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours, theirs = [], []
        for turn in range(repeats + 1):
            line = lines[turn % len(lines)][None]
            start = time.perf_counter()
            greedy(decoder, encode(session, line))
            middle = time.perf_counter()
            generated(reader, line)
            ours.append((middle - start) * 1000)
            theirs.append((time.perf_counter() - middle) * 1000)
    finally:
        torch.set_num_threads(threads)
    # The first turn warms up.
    mine, other = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "onnxruntime_ms": round(mine, 2),
        "transformers_ms": round(other, 2),
        "times_faster": round(other / mine, 2),
        "lines": repeats,
    }
