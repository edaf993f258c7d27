"""Whole pages for Donut: geometry, targets, questions, unreadable pictures."""

import re

import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped, TooManySkipped
from sightbook.data.validation import DataError
from sightbook.donut.dataset.folder import Record
from sightbook.donut.page.data import PageDataset, collate_pages, page_items, prepare_page

SIZE = {"height": 40, "width": 60}


class Characters:
    """A tokenizer of tags and single characters, with the face of a transformers tokenizer."""

    eos_token_id, pad_token_id, unk_token_id = 0, 1, 2

    def __init__(self):
        self.known = {}

    def __call__(self, text, add_special_tokens=True):
        assert not add_special_tokens
        pieces = re.findall(r"</?[a-z_]+/?>|.", text, re.DOTALL)
        ids = [2 if p == "€" else self.known.setdefault(p, len(self.known) + 3) for p in pieces]
        return {"input_ids": ids}

    def text(self, ids):
        names = {number: piece for piece, number in self.known.items()}
        return "".join({0: "<end>", -100: "."}.get(number) or names[number] for number in ids)


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        Image.new("RGB", (120, 80), (40 * number + 20, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def dataset(folder, truths, **options):
    records = [
        Record(folder / f"{number}.png", gt, {}, f"{number}.png")
        for number, gt in enumerate(truths)
    ]
    options = {"size": SIZE, "task_token": "<s_donut>", "max_length": 100} | options
    return PageDataset(records, Characters(), **options)


def test_page_is_fitted_and_padded_alike():
    tall = np.full((160, 80, 3), 255, np.uint8)
    pixels = prepare_page(tall, SIZE)
    assert pixels.shape == (3, 40, 60)
    assert pixels.dtype == np.float32
    # 160 x 80 becomes 40 x 20: white columns 20 to 39 between black ones.
    assert (pixels[:, :, 20:40] == 1).all()
    assert (pixels[:, :, :20] == -1).all()
    assert (pixels[:, :, 40:] == -1).all()
    other = prepare_page(tall, SIZE, mean=(0.25, 0, 0), std=(0.25, 1, 0.5))
    np.testing.assert_allclose(other[:, 20, 30], [3, 1, 2], rtol=1e-6)
    np.testing.assert_allclose(other[:, 20, 0], [-1, 0, 0], atol=1e-6)


def test_long_axis_is_aligned_clockwise():
    tall = np.zeros((60, 40, 3), np.uint8)
    tall[0, 0] = 255  # the upper left corner goes to the upper right
    turned = prepare_page(tall, SIZE, align_long_axis=True)
    assert turned[0, 0, -1] == 1
    assert (turned == 1).sum() == 3
    wide = prepare_page(np.rot90(tall), SIZE, align_long_axis=True)
    assert wide[0, -1, 0] == 1, "already as long as the input is: left alone"


def test_targets_of_a_page(folder):
    data = dataset(folder, [[{"mrz": {"type": "TD3", "lines": ["P<", "L8"]}}], [{"mrz": None}]])
    item = data[0]
    text = "<s_mrz><s_type>TD</s_type><s_lines>P<<sep/>L</s_lines></s_mrz>"
    tokens = data.tokenizer.text
    written = tokens(item["decoder_input_ids"]).replace("3", "").replace("8", "")
    assert written == "<s_donut>" + text
    assert tokens(item["labels"]) == tokens(item["decoder_input_ids"])[9:] + "<end>"
    assert tokens(data[1]["labels"]) == "<s_mrz></s_mrz><end>"
    assert data.report.problems == []


def test_question_is_the_prompt_and_not_learned(folder):
    truths = [
        {"answer": "Anna", "question": "Who?"},
        {"answer": "1974", "question": "When?"},
        {"answer": "A. Maria", "question": "Who?"},
    ]
    data = dataset(folder, [truths], task_token="<s_docvqa>")
    assert [(item.question, len(item.answers)) for item in data.items] == [
        ("Who?", 2),
        ("When?", 1),
    ]
    tokens = data.tokenizer.text
    item = data[0]
    assert tokens(item["decoder_input_ids"]) == (
        "<s_docvqa><s_question>Who?</s_question><s_answer>Anna</s_answer>"
    )
    # start tag, four characters, end tag: six positions whose successor is part of the prompt
    assert tokens(item["labels"]) == "......" + "." + "Anna</s_answer><end>"


def test_one_of_several_answers_is_drawn_each_epoch(folder):
    truths = [{"answer": answer, "question": "Who?"} for answer in ("A", "B", "C")]
    data, twin = (dataset(folder, [truths], training=True, seed=4) for _ in range(2))

    def answers(dataset):
        drawn = []
        for epoch in range(30):
            dataset.set_epoch(epoch)
            drawn.append(dataset.tokenizer.text(dataset[0]["labels"])[7])
        return drawn

    drawn = answers(data)
    assert set(drawn) == {"A", "B", "C"}
    assert answers(twin) == drawn
    still = dataset(folder, [truths])
    assert set(answers(still)) == {"A"}


def test_classes_are_single_tokens(folder):
    data = dataset(folder, [[{"class": "invoice"}]], categories=["invoice"])
    assert data.tokenizer.text(data[0]["labels"]) == "<s_class><invoice/></s_class><end>"


def test_unreadable_page_is_replaced_by_the_next(folder):
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:70])
    skipped = Skipped(max_bad=2)
    data = dataset(folder, [[{"text": str(n)}] for n in range(5)], skipped=skipped)
    assert [data[index]["index"] for index in range(5)] == [0, 3, 3, 3, 4]
    assert data.tokenizer.text(data[1]["labels"]) == "<s_text>3</s_text><end>"
    assert sorted(name for name, _ in skipped) == ["1.png", "2.png"]
    (folder / "4.png").unlink()
    with pytest.raises(TooManySkipped, match=r"4\.png: no such file"):
        data[4]
    for number in range(5):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 5 pictures"):
        dataset(folder, [[{"text": "x"}]] * 5)[0]


def test_labels_are_checked_when_the_set_is_built(folder):
    data = dataset(folder, [[{"text": "12345678"}], [{"text": "5€"}]], max_length=8)
    assert [(problem.kind, problem.where) for problem in data.report.problems] == [
        ("target too long", "0.png"),
        ("characters unknown to the tokenizer", "1.png"),
    ]
    assert len(data[0]["labels"]) == 8
    with pytest.raises(DataError, match=r"1\.png: .*</s_x>"):
        dataset(folder, [[{"text": "fine"}], [{"text": "a </s_x> b"}]])
    with pytest.raises(DataError, match="no records"):
        dataset(folder, [])


def test_training_draws_do_not_depend_on_order(folder):
    def drawn(order):
        data = dataset(
            folder,
            [[{"text": "x"}]] * 5,
            training=True,
            size={"height": 40, "width": 90},
            augment=lambda image, rng: image + np.uint8(rng.integers(0, 50)),
        )
        data.set_epoch(3)
        return {index: data[index]["pixel_values"] for index in order}

    first, second = drawn(range(5)), drawn([4, 2, 0, 1, 3])
    assert all(np.array_equal(first[index], second[index]) for index in range(5))
    assert not np.array_equal(first[0], dataset(folder, [[{"text": "x"}]])[0]["pixel_values"])


def test_collate_pads_sequences(folder):
    torch = pytest.importorskip("torch")
    data = dataset(folder, [[{"text": "abc"}], [{"text": "abcdef"}]])
    batch = collate_pages([data[0], data[1]], pad_token_id=1)
    assert batch["pixel_values"].shape == (2, 3, 40, 60)
    assert batch["labels"].shape == batch["decoder_input_ids"].shape == (2, 9)
    assert batch["labels"][0, -3:].tolist() == [-100] * 3
    assert batch["decoder_input_ids"][0, -3:].tolist() == [1] * 3
    assert batch["decoder_attention_mask"].sum(1).tolist() == [6, 9]
    assert batch["index"].tolist() == [0, 1]
    assert batch["labels"].dtype == torch.int64


def test_items_of_ordinary_records_are_one_each(folder):
    record = Record(folder / "0.png", [{"a": "1"}, {"a": "2"}])
    (item,) = page_items([record])
    assert (len(item.answers), item.question) == (2, None)
