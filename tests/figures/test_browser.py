"""Browsers: what they select, and that their static twin stands in rendered notebooks."""

import base64
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter

from sightbook.figures import browser as widgets
from sightbook.figures.plots import Case

VIEW = "application/vnd.jupyter.widget-view+json"


def picture():
    return np.full((40, 60, 3), 200, np.uint8)


@pytest.fixture
def cases():
    read = {"a.jpg": ("ABC", 0.0), "b.jpg": ("AXC", 0.3), "c.jpg": ("", 1.0), "d.jpg": ("ABX", 0.3)}
    return [Case(name, picture(), ["ABC"], [text], error) for name, (text, error) in read.items()]


def names(browser):
    return [browser.items[index].name for index in browser.selected]


def test_select_filters_and_sorts(cases):
    browser = widgets.prediction_browser(cases)
    assert names(browser) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    browser.select(worst_first=True, only_wrong=True)
    assert names(browser) == ["c.jpg", "b.jpg", "d.jpg"]
    browser.select("ABX")
    assert names(browser) == ["d.jpg"]
    browser.select("nothing like it")
    assert browser.current is None
    assert browser.current_figure().png()


def test_controls_move_the_picture(cases):
    browser = widgets.prediction_browser(cases)
    controls = browser.widget and browser._controls
    first = bytes(controls["image"].value)
    assert first.startswith(b"\x89PNG")
    controls["next"].click()
    assert (browser.current.name, controls["slider"].value) == ("b.jpg", 2)
    assert bytes(controls["image"].value) != first
    controls["previous"].click()
    controls["previous"].click()
    assert browser.current.name == "a.jpg"
    controls["slider"].value = 4
    assert browser.current.name == "d.jpg"
    controls["wrong"].value = True
    assert (len(browser.selected), controls["slider"].max) == (3, 3)
    controls["filter"].value = "c.jpg"
    assert browser.current.name == "c.jpg"
    assert "1 of 1" in controls["text"].value


def html_of(bundle):
    output = nbformat.v4.new_output("display_data", data=bundle)
    cell = nbformat.v4.new_code_cell("browser", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    return HTMLExporter().from_notebook_node(notebook)[0]


@pytest.mark.parametrize("watched", [True, False])
def test_static_twin_stands_in_rendered_html(cases, watched, monkeypatch):
    monkeypatch.setattr(widgets, "is_interactive", lambda: watched)
    bundle = widgets.prediction_browser(cases)._repr_mimebundle_()
    assert (VIEW in bundle) is watched
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert f"data:image/png;base64,{bundle['image/png'][:60]}" in html_of(bundle)


def test_samples_of_any_kind_are_described_and_drawn(tmp_path):
    quads = np.array([[[5, 5], [50, 5], [50, 9], [5, 9]]], float)
    record = SimpleNamespace(
        path=tmp_path / "gone.jpg", caption="gone.jpg  TD3  P<UTO  L898", quads=None
    )
    sample = SimpleNamespace(
        image=picture(), kind="visa", type="MRVA", lines=["V<"], line_quads=quads
    )
    empty = SimpleNamespace(image=picture(), file_name="x.jpg", quads=quads[:0])
    browser = widgets.sample_browser([record, sample, empty], count=3)
    static = browser.figure()
    titles = [ax.get_title(loc="left") for ax in static.axes]
    assert titles[0].startswith("cannot be read: no such file")
    assert titles[1:] == ["visa  MRVA  V<", "x.jpg"]
    assert [len(ax.patches) for ax in static.axes] == [0, 1, 0]
    browser.select("td3 l898")
    assert browser.current is record
    assert widgets.sample_browser([]).figure().png()


def test_own_drawing_and_number_of_pictures():
    drawn = []
    browser = widgets.sample_browser(
        list(range(100)), lambda item, ax: drawn.append(item), describe=str, count=5
    )
    browser.figure()
    assert drawn == [0, 24, 49, 74, 99]
    browser.select("42")
    browser.current_figure()
    assert drawn[-1] == 42
