"""Detection: masks of shrunken words, the loss on hand cases, networks of any size of page."""

import math

import numpy as np
import pytest
import torch

from sightbook.ocr.detection.data import (
    SyntheticPages,
    collate_crops,
    cut_crops,
    shrunken,
    word_masks,
    word_quads,
)
from sightbook.ocr.detection.model import (
    DetectionConfig,
    DetectionModel,
    detection_loss,
    load_detection,
)
from sightbook.ocr.inference.engine import find_words
from sightbook.ocr.pages.page import Line, Page, Paragraph, Word, rectangle
from sightbook.training.weights import save_weights


def box(*sides):
    return rectangle(*sides)[None]


def test_a_large_word_loses_three_pixels_on_each_side():
    assert shrunken(box(10, 20, 70, 40))[0].tolist() == [[13, 23], [67, 23], [67, 37], [13, 37]]


def test_a_ten_pixel_word_keeps_a_core():
    (x0, y0), _, (x1, y1), _ = shrunken(box(0, 0, 4, 10), core=0.5)[0].tolist()
    assert (x0, x1) == (1, 3)  # a quarter of its width on each side
    assert (y0, y1) == (2.5, 7.5)


def test_a_turned_word_shrinks_along_its_own_sides():
    turn = np.array([[0, -1], [1, 0]], np.float32)
    upright = shrunken(box(10, 20, 70, 40))[0] @ turn.T
    assert np.allclose(shrunken(box(10, 20, 70, 40) @ turn.T)[0], upright, atol=1e-5)


def test_what_the_engine_makes_of_a_mask_is_the_word():
    quads = np.concatenate([box(20, 20, 80, 34), box(86, 20, 120, 34), box(20, 60, 50, 70)])
    target, _ = word_masks(quads, np.ones(3, bool), (100, 160))
    found = find_words(target.astype(np.float32), (100, 160))
    assert len(found) == 3
    for quad in quads:
        gaps = np.abs(found.reshape(3, -1)[:, [0, 1, 4, 5]] - quad.ravel()[[0, 1, 4, 5]]).max(1)
        assert gaps.min() <= 1.5


def test_illegible_words_are_not_learnt_but_words_on_them_are():
    quads = np.concatenate([box(10, 10, 60, 40), box(20, 20, 50, 30)])
    target, weight = word_masks(quads, np.array([False, True]), (60, 80))
    assert target[25, 35] == 1 and weight[25, 35] == 1
    assert target[14, 12] == 0 and weight[14, 12] == 0
    assert weight[50, 70] == 1


def test_lines_and_paragraphs_without_words_are_not_learnt():
    word = Word(rectangle(0, 0, 10, 10), "a")
    lines = (Line(rectangle(0, 0, 10, 10), "a", (word,)), Line(rectangle(0, 20, 30, 30), "b c"))
    empty = Paragraph(rectangle(40, 40, 60, 60))
    quads, legible = word_quads(Page("p", 80, 80, (Paragraph(lines[0].vertices, lines), empty)))
    assert legible.tolist() == [True, False, False]
    assert quads[:, 0].tolist() == [[0, 0], [40, 40], [0, 20]]


def test_a_page_without_text_gives_crops_without_words():
    rng = np.random.default_rng(0)
    none = np.zeros((0, 4, 2), np.float32), np.zeros(0, bool)
    crops = cut_crops(rng, np.full((90, 70), 255, np.uint8), *none, 96, 3.0)
    assert crops.images.shape == crops.targets.shape == (1, 96, 96)
    assert not crops.targets.any()
    assert (crops.weights == 1).all()


def test_crops_are_words_at_many_scales_and_the_same_for_a_seed():
    data = SyntheticPages(3, 1, 128, 3.0, "embedded", "")
    one, again = collate_crops([data[0], data[1]]), collate_crops([data[0], data[1]])
    assert torch.equal(one.images, again.images)
    assert one.images.shape == one.targets.shape and one.images.dtype == torch.uint8
    assert set(one.targets.unique().tolist()) == {0, 1}
    data.set_epoch(1)
    assert not torch.equal(collate_crops([data[0]]).images[:1], one.images[:1])


def test_the_loss_of_a_hand_case():
    # One word pixel and three others, all at a probability of a half.
    logits, target = torch.zeros(1, 1, 1, 4), torch.tensor([[[[1.0, 0, 0, 0]]]])
    parts = detection_loss(logits, target, torch.ones_like(target))
    assert parts["dice"].item() == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))
    assert parts["bce"].item() == pytest.approx(math.log(2), rel=1e-5)


def test_only_the_hardest_negatives_count():
    target = torch.zeros(1, 1, 100, 100)
    target[0, 0, 0, :10] = 1  # ten word pixels, so a thousand others
    logits = torch.full_like(target, -20.0)
    logits[0, 0, 0, :10] = 20
    easy = detection_loss(logits, target, torch.ones_like(target))["bce"].item()
    logits[0, 0, 50:60] = 3.0  # a thousand false alarms
    hard = detection_loss(logits, target, torch.ones_like(target))["bce"].item()
    assert easy < 1e-6
    # A thousand of the 1,010 pixels that count are wrong.
    assert hard == pytest.approx(1000 / 1010 * math.log1p(math.exp(3.0)), rel=1e-3)


def test_unlearnt_pixels_cost_nothing():
    target, weight = torch.zeros(1, 1, 40, 40), torch.ones(1, 1, 40, 40)
    logits = torch.full_like(target, -30.0)
    weight[..., 20:] = 0
    clean = detection_loss(logits, target, weight)["loss"].item()
    logits[..., 20:] = 30.0
    assert detection_loss(logits, target, weight)["loss"].item() == pytest.approx(clean)


@pytest.mark.parametrize("shape", [(32, 32), (75, 53), (200, 150)])
def test_pages_of_any_size_keep_their_size(shape):
    model = DetectionModel().eval()
    assert model(torch.zeros(1, 1, *shape)).shape == (1, 1, *shape)


def test_parameters_are_as_many_as_the_sizes_say():
    counts = {
        size: sum(p.numel() for p in DetectionModel(DetectionConfig(size)).parameters())
        for size in ("small", "base")
    }
    assert 0.5e6 < counts["small"] < 0.7e6
    assert 1.4e6 < counts["base"] < 1.8e6


def test_a_detector_comes_back_from_its_file(tmp_path):
    model = DetectionModel().eval()
    save_weights(model, tmp_path / "detection.safetensors")
    page = torch.rand(1, 1, 64, 96) - 0.5
    assert torch.equal(load_detection(tmp_path / "detection.safetensors")(page), model(page))
