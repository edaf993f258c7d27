"""The report is one page that needs nothing else, and holds what the run folder holds."""

import base64
import io
import re
import shutil
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from sightbook.params import Parameters
from sightbook.runs import run as runs
from sightbook.runs.report import landmarks, write_report


class Train(Parameters):
    epochs: int = 2
    note: str = "<script>alert(1)</script>"


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def executed_notebook() -> nbformat.NotebookNode:
    widget = {"model_id": "1", "version_major": 2}
    outputs = [
        new_output("stream", name="stdout", text="epoch 1 of 2\n"),
        new_output("display_data", {"image/png": picture(), "text/plain": "<Figure>"}),
        new_output(
            "display_data",
            {"application/vnd.jupyter.widget-view+json": widget, "text/plain": "IntSlider()"},
        ),
        new_output("display_data", {"text/html": "<script src='https://example.org/x.js'></script>"
                                    "<img src='https://example.org/x.png'><b>kept</b>"}),
        new_output("display_data", {"application/javascript": "alert(2)"}),
    ]  # fmt: skip
    return new_notebook(
        cells=[
            new_markdown_cell("# What we see\n\n*emphasis*"),
            new_code_cell("print('epoch')", outputs=outputs, execution_count=1),
        ],
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {}}},
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runs.OUTPUTS, str(tmp_path / "outputs"))
    run = runs.open_run("donut", "seen", Train(), stage="train")
    for step in range(4):
        run.log(step, **{"train/loss": 1 / (step + 1), "validation/loss": 1.0, "text": "a"})
    run.figure(Image.new("RGB", (5, 5), "blue"), "worst_cases")
    run.finish({"cer": 0.0123456})
    runs.open_run("donut", "seen", Train(epochs=5), stage="evaluate").finish({"exact": 0.75})
    (run.path / "model_card.md").write_text("---\nlicense: x\n---\n# Card\n\n*reads zones*\n")
    nbformat.write(executed_notebook(), run.path / "02_train_donut.ipynb")
    return run.path


class Page(HTMLParser):
    """Collects what the browser would fetch or run, the text, and the sections."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ran: list[str] = []
        self.sections: list[str] = []
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in ("script", "iframe", "object", "embed", "link"):
            self.ran.append(tag)
        self.ran += [name for name in given if name.startswith("on")]
        if "src" in given:
            self.fetched.append(given["src"])
        if tag in ("image", "use"):
            self.fetched.append(given.get("xlink:href", given.get("href", "")))
        if tag == "section":
            self.sections.append(given["id"])

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.html"
    shutil.copyfile(write_report(folder), alone)
    page = Page(alone)
    assert page.ran == []
    assert len(page.fetched) >= 2
    assert all(place.startswith(("data:", "#")) for place in page.fetched)
    assert not re.search(r"url\((?!#)|@import", alone.read_text())


def test_the_page_holds_what_the_run_holds(folder: Path) -> None:
    path = write_report(folder)
    page = Page(path)
    assert page.sections == [
        "results", "curves", "figures", "model-card", "parameters", "provenance",
        "notebook-02_train_donut",
    ]  # fmt: skip
    for text in ("donut / seen", "train finished", "evaluate finished", "0.01235", "0.75",
                 "worst cases", "reads zones", "What we see", "epoch 1 of 2", "kept",
                 "<script>alert(1)</script>"):  # fmt: skip
        assert text in page.words, text
    assert "IntSlider" not in page.words  # a widget without its script shows nothing
    assert picture() in path.read_text().replace("\n", "")


def test_writing_it_again_changes_nothing(folder: Path) -> None:
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_a_failed_run_says_why(folder: Path) -> None:
    runs.Run.attach(folder).fail(ValueError("no <GPU> left"))
    page = Page(write_report(folder))
    assert "train failed" in page.words
    assert "ValueError: no <GPU> left" in page.words


def test_a_folder_that_is_no_run_still_has_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    nbformat.write(executed_notebook(), folder / "01_prepare_donut.ipynb")
    assert Page(write_report(folder)).sections == ["notebook-01_prepare_donut"]


def test_curves_share_a_plot_by_metric(tmp_path: Path) -> None:
    run = runs.open_run("tiny", str(tmp_path / "r"), Parameters(), stage="train")
    for step in range(3):
        run.log(step, **{"train/loss": 1.0, "validation/loss": 2.0, "data_wait": 0.1, "x": 3})
    run.log(3, **{"validation/once": 0.5})
    drawn = write_report(run.path).read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", drawn, flags=re.S)
    assert len(plots) == 2  # loss and x: nothing to draw of clocks, nor of a single point
    for plot in plots:
        xml.etree.ElementTree.fromstring(plot)
    ids = re.findall(r'\bid="([^"]+)"', "".join(plots))
    assert ids and len(ids) == len(set(ids))


def test_a_run_without_curves_has_no_section_for_them(tmp_path: Path) -> None:
    run = runs.open_run("tiny", str(tmp_path / "r"), Parameters(), stage="train")
    run.log(0, loss=1.0)
    assert "curves" not in Page(write_report(run.path)).sections


def test_names_and_values_are_text_not_markup(tmp_path: Path) -> None:
    run = runs.open_run("tiny", str(tmp_path / "r"), Parameters(), stage="evaluate")
    Image.new("RGB", (3, 3)).save(run.figures / "a<b>&.png")
    run.finish({"<i>figure</i>": "<u>value</u>", "many<b>": {f"<s>{k}": 1 for k in range(30)}})
    page = write_report(run.path)
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<(i|u|s|b)>", text)
    words = Page(page).words
    for shown in ("<i>figure</i>", "<u>value</u>", "many<b>", "<s>29", "a<b>&"):
        assert shown in words


def test_landmarks_are_those_that_exist(folder: Path) -> None:
    write_report(folder)
    (folder / "model.onnx").write_bytes(b"x")
    assert [what for what, _ in landmarks(folder)] == ["report", "model", "card", "figures"]


def test_many_figures_of_one_group_are_folded_away(tmp_path: Path) -> None:
    run = runs.open_run("tiny", str(tmp_path / "r"), Parameters(), stage="evaluate")
    points = [{"factor": "blur", "amount": index} for index in range(40)]
    run.finish({"top1": 0.5, "robustness": points})
    page = write_report(run.path).read_text(encoding="utf-8")
    before, _, folded = page.partition("<details><summary>robustness: 40 figures</summary>")
    assert "top1" in before
    assert "amount: 39" in folded.partition("</details>")[0]
    assert "amount: 39" not in before


def test_figures_are_told_with_their_interval_if_they_have_one(folder: Path) -> None:
    wide = {"value": 0.5, "n": 9, "low": 0.25, "high": 0.75}
    lone = {"value": 0.625, "n": 1, "low": None, "high": None}
    none = {"value": None, "n": 0, "low": None, "high": None}
    runs.open_run("donut", "seen", Train(), stage="evaluate").finish(
        {"AP": wide, "AP50": lone, "AP75": none}
    )
    words = Page(write_report(folder)).words
    assert "0.5 (95 %: 0.25 to 0.75; n = 9)" in words
    assert "0.625 (n = 1)" in words
    assert "AP75" not in words
