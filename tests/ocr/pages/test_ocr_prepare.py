"""Making and importing data sets of pages, and what the notebook shows of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import TooManySkipped
from sightbook.data.validation import DataError
from sightbook.ocr import show_data
from sightbook.ocr.pages.hiertext import write_hiertext
from sightbook.ocr.pages.page import PageBuilder, Word, rectangle
from sightbook.ocr.pages.prepare import prepare
from sightbook.ocr.pages.read import read_dataset
from sightbook.ocr.params import PrepareOcr
from sightbook.params import ParameterError


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def funsd(folder, count=12, bad=()):
    for number in range(count):
        image = folder / "images" / f"{number:02d}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((60, 200), 255, np.uint8)
        pixels[10:20, 10 : 20 + number] = 0
        Image.fromarray(pixels).save(image)
        if number in bad:
            image.write_bytes(image.read_bytes()[:-30])
        words = [{"box": [10, 10, 60, 20], "text": f"Nº{number}"}]
        words.append({"box": [70, 10, 260, 20], "text": "far"})
        path = folder / "annotations" / f"{number:02d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"form": [{"words": words}]}))
    return folder


def importing(path, **changes):
    return PrepareOcr(**{"name": "x", "source": "auto", "path": str(path), **changes})


def ids(splits):
    return {name: [page.image_id for page in pages] for name, pages in splits.items()}


# ------------------------------------------------------------------ drawn


def test_drawn_pages_hold_typefaces_back_and_are_not_drawn_twice():
    params = PrepareOcr(name="x", pages=4, validation=0.3, test=0.2, workers=0)
    made = prepare(params)
    assert made.report.ok, made.report.text()
    assert [(row["split"], row["pages"]) for row in made.table()] == [
        ("train", 2),
        ("validation", 1),
        ("test", 1),
    ]
    assert all("-t" in page.image_id for page in made.splits["train"])
    held_back = made.splits["validation"] + made.splits["test"]
    assert all("-v" in page.image_id for page in held_back)
    assert sum(1 for page in made.pages for _ in page.words()) > 50
    image = made.splits["train"][0].image
    stamp = image.stat().st_mtime_ns
    again = prepare(params)
    assert image.stat().st_mtime_ns == stamp
    assert again.fingerprint() == made.fingerprint() and ids(again.splits) == ids(made.splits)
    image.unlink()
    assert prepare(params).fingerprint() == made.fingerprint()
    with pytest.raises(DataError, match="seed: 7 -> 8"):
        prepare(params.model_copy(update={"seed": 8}))


# ------------------------------------------------------------------ imported


def test_a_source_becomes_hiertext_with_recorded_splits(tmp_path):
    made = prepare(importing(funsd(tmp_path / "quelle")))
    assert sorted(file.name for file in made.folder.iterdir()) == [
        "annotations.jsonl",
        "images",
        "origin.json",
        "splits.json",
    ]
    document = json.loads((made.folder / "annotations.jsonl").read_text())
    assert [page["image_id"] for page in document["annotations"]] == [f"{n:02d}" for n in range(12)]
    assert document["annotations"][0]["paragraphs"][0]["lines"][0]["text"] == "Nº0 far"
    assert (made.folder / "images" / "03.png").read_bytes() == (
        tmp_path / "quelle" / "images" / "03.png"
    ).read_bytes()
    assert sum(len(pages) for pages in made.splits.values()) == 12
    assert all(made.splits.values())
    again = read_dataset(made.folder)
    assert ids(again.splits({"train": 1.0})) == ids(made.splits)
    assert not again.report.problems, "what was written is sound"


def test_problems_of_the_source_and_characters_are_reported(tmp_path):
    made = prepare(importing(funsd(tmp_path / "quelle", 3)))
    found = {problem.kind: problem.message for problem in made.report.problems}
    assert found.keys() == {"polygon outside the page", "text outside the alphabet"}
    assert "3 lines have characters it lacks: 'º' x 3" in found["text outside the alphabet"]
    assert made.missing == {"º": 3} and made.report.checked == 3
    latin = prepare(importing(tmp_path / "quelle", name="y", alphabet="latin"))
    assert not latin.missing


def test_pictures_damaged_at_their_end_are_left_out(tmp_path):
    source = funsd(tmp_path / "quelle", 5, bad=(1, 3))
    made = prepare(importing(source))
    assert [page.image_id for page in made.pages] == ["00", "02", "04"]
    assert "cut short" in made.skipped.text() and len(made.skipped) == 2
    with pytest.raises(TooManySkipped):
        prepare(importing(source, name="y", max_bad=1))


def test_importing_again_copies_nothing_and_other_settings_are_refused(tmp_path):
    source = funsd(tmp_path / "quelle", 4)
    made = prepare(importing(source))
    image = made.folder / "images" / "00.png"
    stamp = image.stat().st_mtime_ns
    again = prepare(importing(source, validation=0.5, test=0.0))
    assert image.stat().st_mtime_ns == stamp
    assert again.splits["test"] == [] and again.fingerprint() == made.fingerprint()
    with pytest.raises(DataError, match="max_pages: 0 -> 2"):
        prepare(importing(source, max_pages=2))
    assert len(prepare(importing(source, name="y", max_pages=2)).pages) == 2


def test_splits_that_a_source_names_are_kept_and_names_made_safe(tmp_path):
    pages = {}
    for split, names in (("train", ["a b/c.png", "a:b_c"]), ("test", ["t"])):
        for name in names:
            builder = PageBuilder(name, 40, 30)
            builder.add([[Word(rectangle(2, 2, 30, 12), name)]])
            pages.setdefault(split, []).append(builder.page())
            file = tmp_path / "q" / split / (name if "." in name else f"{name}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (40, 30), len(name) * 20).save(file)
        write_hiertext(pages[split], tmp_path / "q" / f"{split}.jsonl.gz")
    made = prepare(importing(tmp_path / "q", validation=0.5, test=0.0))
    assert ids(made.splits) == {"train": ["a_b_c", "a_b_c_2"], "validation": [], "test": ["t"]}
    assert [page.text() for page in made.splits["train"]] == ["a b/c.png", "a:b_c"]


def test_words_can_be_cut_out_of_lines(tmp_path):
    Image.new("L", (100, 20), 255).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("two words")
    without = prepare(importing(tmp_path, source="lines", name="y"))
    assert list(without.pages[0].words()) == []
    made = prepare(importing(tmp_path, source="lines", cut_words=True))
    assert [word.text for word in made.pages[0].words()] == ["two", "words"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"source": "funsd"}, "parameter 'path' must name it"),
        ({"alphabet": "klingon"}, "neither a preset"),
        ({"source": "word"}, "'icdar'"),
        ({"validation": 0.5, "test": 0.5}, "leave no pages to train on"),
    ],
)
def test_impossible_parameters_are_refused_in_a_sentence(changes, message):
    with pytest.raises(ParameterError, match=message):
        prepare(PrepareOcr.parse({"name": "x", **changes}))


# ------------------------------------------------------------------ shown


def test_outlines_are_drawn_on_the_page_in_their_colours(tmp_path):
    made = prepare(importing(funsd(tmp_path / "quelle", 3)))
    page = made.pages[0]
    image = show_data.drawn(page)
    assert image.shape == (60, 200, 3)
    for (y, x), colour in (((10, 35), show_data.WORD), ((10, 65), show_data.LINE)):
        assert np.abs(image[y, x].astype(int) - colour).max() < 40
    words = [replace(word, legible=False) for word in page.words()]
    builder = PageBuilder("a", 200, 60, page.image)
    builder.add([words])
    edge = show_data.drawn(builder.page())[10, 35].astype(int)
    assert np.abs(edge - show_data.ILLEGIBLE).max() < 40
    gone = show_data.drawn(page.with_image(tmp_path / "gone.png"))
    assert gone.shape[0] >= 60, "a missing picture is said, not raised"


def test_every_figure_has_something_to_show_also_for_nothing(tmp_path):
    made = prepare(importing(funsd(tmp_path / "quelle", 3)))
    empty = [page.with_image(tmp_path / "gone.png") for page in made.pages]
    for pages in (made.pages, empty, []):
        browser = show_data.pages(pages)
        assert browser.figure().png()[:4] == b"\x89PNG"
        assert show_data.crops(pages).png()[:4] == b"\x89PNG"
        assert show_data.word_heights(pages).png()[:4] == b"\x89PNG"
    browser = show_data.pages(made.pages)
    browser.select("Nº1")
    assert [page.image_id for page in (browser.items[i] for i in browser.selected)] == ["01"]
    assert show_data.characters([]) == []
    kinds = {row["kind"]: row["characters"] for row in show_data.characters(made.pages)}
    assert kinds == {"letter": 12, "digit": 3, "blank": 3, "letter beyond ASCII": 3}
