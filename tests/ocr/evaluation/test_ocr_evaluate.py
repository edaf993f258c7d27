"""The evaluation of readers: pages of every format, figures, worst cases, pictures of them."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightbook.data.images import Skipped, TooManySkipped, save_image
from sightbook.data.validation import DataError, Report
from sightbook.figures.style import Plot
from sightbook.ocr.evaluation import evaluate as module
from sightbook.ocr.evaluation import show
from sightbook.ocr.evaluation.evaluate import MODEL, Evaluation, chosen, evaluate, read_samples
from sightbook.ocr.inference import tesseract
from sightbook.ocr.pages.hiertext import write_hiertext
from sightbook.ocr.pages.page import Page, PageBuilder, Word, rectangle
from sightbook.ocr.params import EvaluateOcr
from sightbook.params import repository_root
from sightbook.runs import run as runs

Image = NDArray[np.uint8]
WORDS = ("O12", "total", "tax", "sum")


def word(text: str, x: float, y: float, height: float = 12, **more: Any) -> Word:
    return Word(rectangle(x, y, x + 40, y + height), text, **more)


def page(number: int) -> Page:
    """A page whose width says which one it is; its last word stands 25 px high."""
    builder = PageBuilder(f"page{number}", 300 + number, 200)
    builder.add([[word("O12", 10, 10), word("total", 60, 10)]])
    builder.add([[word("tax", 10, 60)], [word("sum", 10, 90, 25)]])
    return builder.page()


def picture(width: int) -> Image:
    noise = np.random.default_rng(width).integers(0, 255, (200, width, 3))
    return noise.astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pages in HierText's form."""
    place = tmp_path / "pages"
    for number in range(4):
        save_image(place / "images" / f"page{number}.png", picture(300 + number))
    write_hiertext([page(number) for number in range(4)], place / "annotations.jsonl")
    return place


def params(data: str | Path, **changes: Any) -> EvaluateOcr:
    return EvaluateOcr(**{"data": str(data), "bootstrap": 50, **changes})


def reader(change: Callable[[Word], Word | None] = lambda word: word) -> Callable[[Image], Page]:
    """Reads the truth, each word changed."""

    def read(image: Image) -> Page:
        builder = PageBuilder("", image.shape[1], image.shape[0])
        for paragraph in page(image.shape[1] - 300).paragraphs:
            found = [[w for w in map(change, line.words) if w] for line in paragraph.lines]
            builder.add([line for line in found if line])
        return builder.page()

    return read


def misread(word: Word) -> Word | None:
    """Never finds "tax", takes O for 0."""
    if word.text == "tax":
        return None
    return replace(word, text=word.text.replace("O", "0"), confidence=0.5)


def test_a_reader_that_knows_everything(folder: Path) -> None:
    result = evaluate(params(folder), {MODEL: reader()})
    values = {name: figure["value"] for name, figure in result.reading.figures.items()}
    assert values["end_to_end/F"] == values["lines/PQ"] == values["paragraphs/PQ"] == 1
    assert values["text/CER"] == 0
    assert result.reading.figures["words/F"]["n"] == 16
    assert result.misread(9) == result.lost(9) == []


def test_figures_and_worst_words(folder: Path) -> None:
    result = evaluate(params(folder), {MODEL: reader(misread), "other": reader()})
    ours = result.reading.figures
    assert ours["words/recall"]["value"] == 0.75
    assert ours["end_to_end/recall"]["value"] == 0.5
    assert ours["text/CER"]["value"] == pytest.approx((1 + 3) / (9 + 3 + 3))
    assert [case.match.truth.text for case in result.misread(9)] == ["O12"] * 4
    assert [case.match.truth.text for case in result.lost(3)] == ["tax"] * 3
    assert result.reading.confusions() == {("O", "0"): 4}
    rows = {row["figure"]: row for row in result.table()}
    assert rows["words found, recall"][MODEL] == "0.750 (0.750 to 0.750)"
    assert rows["words found, recall"]["other"].startswith("1.000")
    assert result.summary["end_to_end/F, other"] == 1


def test_words_by_height(folder: Path) -> None:
    rows = evaluate(params(folder), {MODEL: reader(misread)}).reading.by_height()
    kept = {row["from"]: (row["n"], row["found"], row["right"]) for row in rows if row["n"]}
    assert kept == {12: (12, 8, 4), 20: (4, 4, 4)}


def test_the_worst_page_comes_first(folder: Path) -> None:
    def read(image: Image) -> Page:
        return reader()(image) if image.shape[1] != 302 else reader(misread)(image)

    rows = evaluate(params(folder), {MODEL: read}).page_table()
    assert rows[0]["page"] == "page2"
    assert rows[0]["words found and read exactly, F"] < rows[1]["words found and read exactly, F"]


def test_metrics_are_plain_json(folder: Path) -> None:
    result = evaluate(params(folder), {MODEL: reader(misread)}, {"detection": "a.onnx"})
    kept = json.loads(json.dumps(result.metrics, allow_nan=False))
    assert kept["pages"] == 4
    assert kept["models"] == {"detection": "a.onnx"}
    assert kept["confusions"] == [{"is": "O", "read": "0", "n": 4}]
    assert kept["model"]["figures"]["words/recall"]["value"] == 0.75


# ------------------------------------------------------------------ pages


def test_funsd_folders_are_read_where_they_lie(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "page0.png", picture(300))
    words = [{"box": [10, 10, 50, 22], "text": "O12"}, {"box": [60, 10, 100, 22], "text": "total"}]
    form = {"form": [{"words": words}, {"words": [{"box": [10, 90, 50, 115], "text": "sum"}]}]}
    annotation = tmp_path / "annotations" / "page0.json"
    annotation.parent.mkdir()
    annotation.write_text(json.dumps(form), encoding="utf-8")
    result = evaluate(params(tmp_path), {MODEL: reader()})
    assert result.reading.figures["end_to_end/recall"]["value"] == 1
    assert result.reading.figures["end_to_end/precision"]["value"] == 0.75  # "tax" is not there
    assert result.reading.figures["lines/recall"]["n"] == 2


def test_generated_pages_are_the_same_again() -> None:
    samples = [read_samples(params("synthetic", pages=2), Report(), Skipped()) for _ in range(2)]
    for one, two in zip(*samples, strict=True):
        assert np.array_equal(one.load(), two.load())
        assert one.load().shape[:2] == (one.page.height, one.page.width)
        assert [w.text for w in one.page.words()] == [w.text for w in two.page.words()]
    assert not np.array_equal(samples[0][0].load(), samples[0][1].load())


def test_a_few_pages_are_taken_from_the_whole_folder(folder: Path) -> None:
    samples = read_samples(params(folder, pages=2), Report(), Skipped())
    assert [sample.page.image_id for sample in samples] == ["page0", "page3"]
    assert len(read_samples(params(folder, pages=0), Report(), Skipped())) == 4


def test_parts_of_a_folder(folder: Path) -> None:
    parts = [
        {s.page.image_id for s in read_samples(params(folder, part=part), Report(), Skipped())}
        for part in ("train", "validation")
    ]
    assert parts[0] | parts[1] == {f"page{k}" for k in range(4)}
    assert not parts[0] & parts[1]
    assert parts[0] and parts[1]
    with pytest.raises(DataError, match="none of its 4 pages is in test"):
        read_samples(params(folder, part="test"), Report(), Skipped())


def test_pictures_that_cannot_be_read_are_counted(folder: Path) -> None:
    file = folder / "images" / "page1.png"
    file.write_bytes(file.read_bytes()[:3000])
    (folder / "images" / "page2.png").unlink()
    result = evaluate(params(folder), {MODEL: reader()})
    assert [sample.page.image_id for sample in result.samples] == ["page0", "page3"]
    assert result.metrics["skipped"]["count"] == 2
    with pytest.raises(TooManySkipped):
        evaluate(params(folder, max_bad=1), {MODEL: reader()})


# ------------------------------------------------------------------ models


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runs.OUTPUTS, str(tmp_path / "outputs"))
    return tmp_path / "outputs" / "ocr"


def trained(name: str, weights: str) -> Path:
    run = runs.open_run("ocr", name, stage="train")
    (run.path / weights).write_bytes(b"weights")
    (run.path / "model.onnx").write_bytes(b"model")
    run.finish()
    return run.path


def test_latest_is_the_newest_training_of_the_part(outputs: Path) -> None:
    first = trained("first", "detection.safetensors")
    trained("second", "recognition.safetensors")
    assert chosen("detection", "latest") == first / "model.onnx"
    third = trained("third", "detection.safetensors")
    assert chosen("detection", "latest") == third / "model.onnx"
    assert chosen("detection", "first") == first / "model.onnx"
    file = str(first / "model.onnx")
    assert chosen("detection", file) == Path(file)


def test_a_run_of_before_that_holds_only_weights_is_exported(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []
    fake = ModuleType("sightbook.ocr.inference.export")
    monkeypatch.setattr(fake, "export_run", lambda run, params: exported.append(run), raising=False)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    run = trained("first", "detection.safetensors")
    chosen("detection", "latest")
    assert exported == []
    (run / "model.onnx").unlink()
    assert chosen("detection", "latest") == run / "model.onnx"
    assert exported == [run]


def test_without_a_training_the_shipped_model_is_taken_and_that_is_said(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = repository_root() / "outputs" / "reference" / "ocr" / "layout"
    assert chosen("layout", "latest") == shipped / "model.onnx"
    assert "no layout model of 'ocr' is trained yet" in capsys.readouterr().out
    assert chosen("layout", "rules") == "rules"
    with pytest.raises(runs.RunError, match="no run, folder or file 'missing'"):
        chosen("layout", "missing")


def test_the_models_asked_for_are_the_ones_that_read(
    folder: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    for name in ("d.onnx", "r.onnx"):
        (folder / name).write_bytes(b"model")

    class Fake:
        def __init__(self, *models: str, **options: Any) -> None:
            asked.update(options, models=models)
            self.files = {"detection": folder / "d.onnx", "recognition": folder / "r.onnx"}
            self.read = reader()

    monkeypatch.setattr("sightbook.ocr.inference.predict.Predictor", Fake)
    wanted = params(
        folder,
        detection=str(folder / "d.onnx"),
        recognition=str(folder / "r.onnx"),
        layout="rules",
        threads=2,
        beams=4,
        boxes="engine",
        tesseract="",
    )
    result = module.run_evaluation(wanted)
    assert asked == {
        "models": (folder / "d.onnx", folder / "r.onnx", "rules"),
        "threads": 2,
        "beams": 4,
        "boxes": "engine",
    }
    assert list(result.readings) == [MODEL]
    assert result.models["detection"].endswith("d.onnx")


# ------------------------------------------------------------------ Tesseract

TSV = (
    "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
)


def row(level: int, *rest: Any) -> str:
    return "\t".join(map(str, (level, 1, *rest)))


def test_the_table_of_tesseract_becomes_a_page() -> None:
    table = "\n".join(
        [
            TSV,
            row(1, 0, 0, 0, 0, 0, 0, 300, 200, -1, ""),
            row(4, 1, 1, 1, 0, 10, 10, 90, 12, -1, ""),
            row(5, 1, 1, 1, 1, 10, 10, 40, 12, 96.5, '"to'),
            row(5, 1, 1, 1, 2, 60, 10, 40, 12, 50, 'be"'),
            row(5, 1, 1, 2, 1, 10, 30, 40, 12, 0, "or"),
            row(5, 2, 1, 1, 1, 10, 90, 40, 12, 99, " "),
            row(5, 2, 2, 1, 1, 10, 110, 40, 12, 99, "not"),
        ]
    )
    found = tesseract.parse_tsv(table, 300, 200)
    assert found.text() == '"to be"\nor\n\nnot'
    first = next(found.words())
    assert first.vertices.tolist() == [[10, 10], [50, 10], [50, 22], [10, 22]]
    assert first.confidence == pytest.approx(0.965)
    assert (found.width, found.height) == (300, 200)


def program(folder: Path, body: str) -> None:
    file = folder / "tesseract"
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_tesseract_is_asked_only_where_it_has_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tesseract.version("eng") is None
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    body = 'if [ "$1" = --version ]; then echo tesseract 9.8.7; else echo eng; echo deu; fi'
    program(tmp_path, body)
    assert tesseract.version("eng+deu") == "Tesseract 9.8.7"
    assert tesseract.version("eng+fra") is None


def test_a_page_that_tesseract_fails_on_is_reported_and_empty(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "cat > /dev/null; echo no memory >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    result = evaluate(params(folder), {MODEL: reader(), "Tesseract": tesseract.read})
    assert result.readings["Tesseract"].figures["words/recall"]["value"] == 0
    assert result.reading.figures["words/recall"]["value"] == 1
    assert "no memory" in json.dumps(result.metrics["problems"])


@pytest.mark.skipif(tesseract.version() is None, reason="Tesseract is not installed")
def test_tesseract_reads() -> None:
    import cv2

    image = np.full((120, 500, 3), 255, np.uint8)
    cv2.putText(image, "Hello World", (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 4)
    found = tesseract.read(image)
    assert found.text().split() == ["Hello", "World"]
    assert 0 < next(found.words()).vertices[0, 0] < 60


# ------------------------------------------------------------------ pictures

FIGURES = ("pages", "structure", "outcomes", "misread", "lost", "confusions", "against_height")


def drawn(result: Evaluation, name: str) -> Plot:
    plot = getattr(show, name)(result)
    assert isinstance(plot, Plot)
    assert plot.png(40).startswith(b"\x89PNG")
    return plot


def titles(plot: Plot) -> list[str]:
    return [ax.get_title(loc="left") for ax in plot.axes]


def test_every_figure_can_be_drawn(folder: Path) -> None:
    def read(image: Image) -> Page:
        return reader()(image) if image.shape[1] == 303 else reader(misread)(image)

    result = evaluate(params(folder), {MODEL: read, "other": reader()})
    plots = {name: drawn(result, name) for name in FIGURES}
    assert titles(plots["pages"]) == ["page3: 4 of 4 words right", "page0: 2 of 4 words right"]
    assert titles(plots["structure"])[0] == "page0: 2 lines in 2 paragraphs"
    assert "page0" in titles(plots["misread"])[0]
    assert len([title for title in titles(plots["lost"]) if "missed" in title]) == 3
    lines = plots["against_height"].axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[9 / 12], [1.0]]


def test_figures_of_nothing(folder: Path) -> None:
    perfect = evaluate(params(folder), {MODEL: reader()})
    nothing = evaluate(params(folder), {MODEL: reader(lambda word: None)})
    for result in (perfect, nothing):
        for name in FIGURES:
            drawn(result, name)
    assert nothing.reading.figures["words/recall"]["value"] == 0
