"""Layout: features, a detector's faults, the network's contract, decoding, reading order, files."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from sightbook.inference.onnx import export
from sightbook.ocr.layout import arrange as engine
from sightbook.ocr.layout.arrange import _precedence, reading_order
from sightbook.ocr.layout.data import (
    NOISE,
    PageWords,
    augment,
    crop,
    page_words,
    successors,
    together,
    word_features,
    writing_angles,
)
from sightbook.ocr.layout.metrics import LayoutFigures, concordance
from sightbook.ocr.layout.model import (
    LayoutConfig,
    LayoutModel,
    example_inputs,
    layout_loss,
    load_layout,
)
from sightbook.ocr.pages.page import PageBuilder, Word, rectangle
from sightbook.training.weights import save_weights

SMALL = LayoutConfig(dim=32, layers=2, heads=4, pair=8)


def row(x, y, widths, height=10.0, gap=4.0):
    """Boxes of a line that begins at x, y."""
    boxes = []
    for width in widths:
        boxes.append(rectangle(x, y, x + width, y + height))
        x += width + gap
    return boxes


def block(x, y, rows, spacing=14.0):
    """Lines of words of uneven width under one another."""
    return [row(x, y + spacing * k, [30, 22, 41, 18 + 3 * k]) for k in range(rows)]


def words_of(paragraphs):
    """`PageWords` of paragraphs of lines of boxes."""
    builder = PageBuilder("page", 1000, 1000)
    for lines in paragraphs:
        builder.add([[Word(box, "w") for box in line] for line in lines])
    return page_words(builder.page())


def turned(quads, degrees):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (quads @ turn).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return LayoutModel(SMALL).eval()


# ------------------------------------------------------------------ words


def test_words_of_a_page_keep_their_lines_and_paragraphs():
    words = words_of([[row(0, 0, [30, 20]), row(0, 14, [25])], [row(0, 60, [9])]])
    assert words.lines.tolist() == [0, 0, 1, 2]
    assert words.paragraphs.tolist() == [0, 0, 0, 1]
    assert words.quads[1].tolist() == [[34, 0], [54, 0], [54, 10], [34, 10]]


def test_a_polygon_of_many_points_becomes_its_rectangle():
    builder = PageBuilder("page", 100, 100)
    corners = [[10, 10], [25, 9.9], [40, 10], [40, 20], [25, 20.1], [10, 20]]
    builder.add([[Word(np.array(corners, np.float32), "w")]])
    quad = page_words(builder.page()).quads[0]
    assert np.abs(quad - rectangle(10, 10, 40, 20)).max() < 0.2


def test_features_are_in_word_heights_from_the_middle():
    found = word_features(np.array(row(100, 50, [30, 20, 40])))
    assert np.allclose(found[:, 4], [3, 2, 4])
    assert np.allclose(found[:, 5], 1)
    assert np.allclose(found[:, 2:4], [1, 0])
    # Centres at x 115, 144 and 178.
    assert np.allclose(found[:, 0], [-2.9, 0, 3.4], atol=1e-5)


def test_features_do_not_depend_on_size_and_place_of_the_page():
    quads = words_of([block(0, 0, 3)]).quads
    assert np.allclose(word_features(quads), word_features(quads * 7 + 300), atol=1e-4)


def test_a_full_stop_lies_as_its_line_does():
    """A small square that stands on its corner takes the direction of the words around it."""
    quads = turned(np.array([*row(0, 0, [60, 50, 40]), rectangle(163, 6, 167, 10)]), 6)
    middle = quads[3].mean(0)
    quads[3] = turned(quads[3] - middle, 40) + middle
    assert np.allclose(np.rad2deg(writing_angles(quads)), 6, atol=0.5)


def test_tall_letters_do_not_turn_the_line():
    """An "l" is three times as high as it is wide, and still stands in a line that runs right."""
    quads = np.array(row(0, 0, [40, 3.3, 3.3, 50]), np.float32)
    assert np.allclose(writing_angles(quads), 0, atol=1e-6)
    assert np.allclose(word_features(quads)[1, 4:], [0.33, 1], atol=1e-5)


def test_no_words_have_no_features():
    assert word_features(np.zeros((0, 4, 2), np.float32)).shape == (0, 6)


# ------------------------------------------------------------------ targets and faults


def test_targets_by_hand():
    lines = np.array([0, 0, 1, NOISE, NOISE])
    assert successors(lines).tolist() == [1, -1, -1, -1, -1]
    same = together(np.array([0, 0, 1, NOISE, NOISE])).astype(int)
    assert same.tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_faults_follow_from_the_seed_and_keep_lines_in_order():
    words = words_of([block(0, 0, 6), block(0, 120, 6), block(300, 0, 12)])
    one, two = (augment(words, np.random.default_rng(5), 3.0) for _ in range(2))
    assert np.array_equal(one.quads, two.quads)
    assert np.array_equal(one.lines, two.lines)
    real = one.lines[one.lines != NOISE]
    assert (np.diff(real) >= 0).all()
    assert len(one) != len(words) or (one.lines == NOISE).any()


def test_torn_and_joined_boxes_stay_in_their_line():
    """Over many draws: more boxes and fewer boxes than words occur, none outside its line."""
    words = words_of([[row(0, 0, [40, 30, 50, 20])], [row(0, 2000, [40, 30, 50, 20])]])
    counts = set()
    for seed in range(60):
        found = augment(words, np.random.default_rng(seed), 2.0)
        counts.add(int((found.lines == 0).sum()))
        upper, lower = (found.quads[found.lines == line, :, 1] for line in (0, 1))
        assert upper.max(initial=-np.inf) < lower.min(initial=np.inf)
    assert min(counts) < 4 < max(counts)


def test_no_strength_changes_nothing():
    words = words_of([block(0, 0, 3)])
    assert augment(words, np.random.default_rng(0), 0.0) is words


def test_a_crop_is_a_neighbourhood_in_reading_order():
    words = words_of([block(0, 0, 8), block(600, 0, 8)])
    part = crop(words, np.random.default_rng(1), 12)
    assert len(part) == 12
    assert (np.diff(part.lines) >= 0).all()
    assert len(set(part.paragraphs.tolist())) == 1
    assert crop(words, np.random.default_rng(1), 1000) is words


# ------------------------------------------------------------------ network


def test_words_attend_to_their_own_page_alone(model):
    """Neither other pages of the batch nor padding change a page's scores."""
    page = torch.from_numpy(word_features(words_of([block(0, 0, 2)]).quads))
    other = torch.from_numpy(word_features(words_of([block(0, 0, 3)]).quads))
    count = len(page)
    batch = torch.zeros(2, len(other), 6)
    batch[0, :count], batch[1] = page, other
    mask = torch.ones(2, len(other))
    mask[0, count:] = 0
    with torch.no_grad():
        alone = model(page[None], torch.ones(1, count))
        padded = model(batch, mask)
    assert torch.allclose(alone[0][0], padded[0][0, :count], atol=1e-4)
    assert torch.allclose(alone[1][0], padded[1][0, :count, :count], atol=1e-4)
    assert torch.allclose(alone[2][0], padded[2][0, :count, :count], atol=1e-4)


def test_the_order_of_the_boxes_does_not_matter(model):
    words = torch.from_numpy(word_features(words_of([block(0, 0, 3)]).quads))[None]
    mask = torch.ones(1, words.shape[1])
    order = torch.randperm(words.shape[1], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, mixed = model(words, mask), model(words[:, order], mask)
    assert torch.allclose(plain[0][:, order], mixed[0], atol=1e-4)
    assert torch.allclose(plain[1][:, order][:, :, order], mixed[1], atol=1e-4)


def test_successor_and_line_end_are_one_softmax(model):
    """For words without rival the two probabilities have to add up to one."""
    words = torch.from_numpy(word_features(np.array(row(0, 0, [30, 20]))))[None]
    with torch.no_grad():
        line_ends, next_word, same = model(words, torch.ones(1, 2))
    ends, starts = torch.sigmoid(line_ends[0, 0, 1]), torch.sigmoid(line_ends[0, 1, 0])
    mean = torch.sqrt((1 - ends) * (1 - starts))
    assert torch.allclose(next_word[0, 0, 1].exp(), mean, atol=1e-5)
    assert torch.allclose(same, same.transpose(1, 2))


def test_loss_by_hand():
    """Two words of one line: log 2 where nothing is known, 0 where everything is."""
    batch = {
        "words": torch.tensor([[[0, 0, 1, 0, 3, 1], [4, 0, 1, 0, 3, 1]]], dtype=torch.float),
        "mask": torch.ones(1, 2),
        "next": torch.tensor([[1, -1]]),
        "start": torch.tensor([[1.0, 0.0]]),
        "lines": torch.zeros(1, 2, dtype=torch.long),
        "same": torch.ones(1, 2, 2),
    }
    unknown = torch.full((1, 2, 2), -float(np.log(2)))
    zero = torch.zeros(1, 2, 2)
    loss = layout_loss((zero, unknown, zero), batch)
    assert loss["line_loss"].item() == pytest.approx(np.log(2))
    assert loss["paragraph_loss"].item() == pytest.approx(np.log(2))
    sure = torch.tensor([[[30.0, -30.0], [-30.0, 30.0]]])
    known = torch.tensor([[[-60.0, 0.0], [-60.0, -60.0]]])
    loss = layout_loss((sure, known, torch.full((1, 2, 2), 30.0)), batch)
    assert loss["loss"].item() == pytest.approx(0, abs=1e-6)


def test_weights_read_back_are_the_same(tmp_path, model):
    save_weights(model, tmp_path / "layout.safetensors")
    again = load_layout(tmp_path / "layout.safetensors")
    assert again.config == SMALL
    with torch.no_grad():
        assert torch.equal(model(*example_inputs())[1], again(*example_inputs())[1])


def test_default_size():
    count = sum(weights.numel() for weights in LayoutModel(LayoutConfig()).parameters())
    assert 0.5e6 < count < 1.5e6


# ------------------------------------------------------------------ exported


@pytest.fixture(scope="module")
def model_file(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("layout") / "model.onnx"
    names = list(engine.INPUTS), list(engine.OUTPUTS)
    return export(model, example_inputs(), path, *names, dynamic_axes=engine.DYNAMIC_AXES)


@pytest.mark.parametrize("rows", [1, 5])
def test_the_exported_network_is_the_trained_one(model, model_file, rows):
    words = word_features(words_of([block(0, 0, rows)]).quads)
    found = engine.LayoutModelFile(model_file, threads=1)(words)
    with torch.no_grad():
        wanted = model(torch.from_numpy(words)[None], torch.ones(1, len(words)))
    for one, two in zip(found, wanted, strict=True):
        assert np.abs(one - two[0].numpy()).max() < 1e-3


def test_another_model_is_refused(tmp_path):
    path = export(torch.nn.Linear(2, 2), (torch.ones(1, 2),), tmp_path / "m.onnx", ["x"], ["y"])
    with pytest.raises(ValueError, match=r"m\.onnx has outputs y, a layout model has line_ends"):
        engine.LayoutModelFile(path)


def test_prediction_does_not_import_torch():
    code = "import sys, sightbook.ocr.layout.arrange; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ------------------------------------------------------------------ decoding


def sparse(count, follows, near=(), none=0.0):
    """Scores by hand: {(word, next): log-probability} and {(word, neighbour): logit}."""
    return engine.SparseScores(
        np.full((count, 2), none, np.float32),
        np.array(list(follows), np.int64).reshape(-1, 2),
        np.array(list(follows.values()), np.float32),
        np.array(list(near), np.int64).reshape(-1, 2),
        np.array(list(near.values()) if near else [], np.float32),
    )


def test_links_chain_to_lines():
    scores = sparse(5, {(2, 0): -0.1, (0, 4): -0.2, (1, 3): -0.1})
    assert sorted(engine.decode_lines(scores, 5)) == [[1, 3], [2, 0, 4]]


def test_a_word_has_one_successor_and_one_predecessor():
    scores = sparse(3, {(0, 2): -0.3, (1, 2): -0.1, (1, 0): -0.5})
    assert sorted(engine.decode_lines(scores, 3)) == [[0], [1, 2]]


def test_no_ring_and_no_link_less_likely_than_none():
    ring = sparse(3, {(0, 1): -0.1, (1, 2): -0.2, (2, 0): -0.3})
    assert engine.decode_lines(ring, 3) == [[0, 1, 2]]
    # sigmoid(0): "none" has one half, log -0.69
    assert engine.decode_lines(sparse(2, {(0, 1): -0.7}), 2) == [[0], [1]]
    assert engine.decode_lines(sparse(2, {(0, 1): -0.68}), 2) == [[0, 1]]


def test_one_sure_pair_does_not_join_what_two_others_part():
    near = {(0, 1): 1.0, (1, 2): 3.0, (0, 2): -5.0}
    groups = engine.decode_paragraphs([[0], [1], [2]], sparse(3, {}, near))
    assert sorted(map(sorted, groups)) == [[[0]], [[1], [2]]]
    near[(0, 2)] = 0.0
    groups = engine.decode_paragraphs([[0], [1], [2]], sparse(3, {}, near))
    assert sorted(map(sorted, groups)) == [[[0], [1], [2]]]


def test_rules_read_two_columns_below_a_heading():
    """Heading, then the left column, then the right one; each from its top."""
    left, right = block(0, 60, 4), block(200, 60, 4)
    heading = row(0, 0, [60, 70, 90], height=22, gap=10)
    truth = words_of([[heading], left, right])
    mixed = np.random.default_rng(2).permutation(len(truth))
    found = engine.arrange(truth.quads[mixed])
    back = [[[int(mixed[word]) for word in line] for line in group] for group in found]
    assert back[0] == [[0, 1, 2]]
    assert back[1] == [[3 + 4 * k + i for i in range(4)] for k in range(4)]
    assert back[2] == [[19 + 4 * k + i for i in range(4)] for k in range(4)]


def test_a_wide_paragraph_between_columns_ties_them():
    """Two columns, a paragraph across both, two columns: rows of columns, not one long column."""
    boxes = [(0, 0, 4, 9), (6, 0, 10, 9), (0, 12, 10, 14), (0, 16, 4, 25), (6, 16, 10, 25)]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        shuffled = np.array([boxes[place] for place in order], float)
        found = _precedence(shuffled, columns=True)
        assert [order[place] for place in found] == [0, 1, 2, 3, 4]


def test_cells_are_read_row_by_row():
    """The same two columns of three: entries of one line are a table, of three lines text."""
    cells = [[row(x, y, [30, 20])] for x in (0, 200) for y in (0, 100, 200)]
    texts = [block(x, y, 3) for x in (0, 200) for y in (0, 100, 200)]
    orders = []
    for paragraphs in (cells, texts):
        truth = words_of(paragraphs)
        groups = [
            [np.flatnonzero(truth.lines == line).tolist() for line in np.unique(own)]
            for own in (truth.lines[truth.paragraphs == k] for k in range(6))
        ]
        found = reading_order(groups[::-1], word_features(truth.quads))
        orders.append([groups.index(group) for group in found])
    assert orders == [[0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4, 5]]


def test_reading_survives_a_tilted_page():
    truth = words_of([block(0, 0, 4), block(200, 0, 4)])
    level = engine.arrange(truth.quads)
    assert engine.arrange(turned(truth.quads, 8)) == level
    assert len(level) == 2


def test_every_word_is_read_once_whatever_the_scores_are(model):
    rng = np.random.default_rng(0)
    quads = np.stack([rectangle(x, y, x + 9, y + 5) for x, y in rng.uniform(0, 300, (70, 2))])

    def judge(words):
        with torch.no_grad():
            scores = model(torch.from_numpy(words)[None], torch.ones(1, len(words)))
        return tuple(part[0].numpy() for part in scores)

    for judged in (judge, None):
        found = engine.arrange(quads, judged)
        assert sorted(word for group in found for line in group for word in line) == [*range(70)]


def test_pages_of_no_word_and_of_one():
    assert engine.arrange(np.zeros((0, 4, 2), np.float32)) == []
    assert engine.arrange(rectangle(5, 5, 5, 5)[None]) == [[[0]]]


def test_a_large_page_is_read_as_it_is_whole():
    truth = words_of([block(x, y, 5) for x in (0, 200, 400) for y in (0, 110, 220)])
    assert engine.arrange(truth.quads, max_words=60) == engine.arrange(truth.quads)


def test_each_word_belongs_to_one_part():
    words = word_features(words_of([block(x, 0, 40) for x in (0, 200, 400)]).quads)
    parts = list(engine.parts(words, 50))
    assert sorted(np.concatenate([inside[own] for inside, own in parts]).tolist()) == [*range(480)]
    assert all(len(inside) <= 50 for inside, _ in parts)


# ------------------------------------------------------------------ figures


def test_figures_by_hand():
    """Four words in two lines of one paragraph; found: one line right, the other torn."""
    lines, paragraphs = np.array([0, 0, 1, 1]), np.zeros(4, np.int64)
    figures = LayoutFigures()

    def judge(words):
        ends = np.zeros((4, 2), np.float32)
        following = np.full((4, 4), -9, np.float32)
        following[0, 1] = 0
        return ends, following, np.full((4, 4), 5, np.float32)

    words = word_features(words_of([[row(0, 0, [30, 20]), row(0, 14, [25, 30])]]).quads)
    assert figures.update(words, lines, paragraphs, judge) == [[[0, 1], [2], [3]]]
    # Of three lines found and two true ones, one is right: 2 * 1 / (3 + 2).
    assert figures.summary() == {
        "layout_f1": pytest.approx(0.7),
        "line_f1": pytest.approx(0.4),
        "paragraph_f1": 1.0,
        "order": 1.0,
    }


def test_order_of_pairs():
    assert concordance([0, 1, 2]) == 1
    assert concordance([2, 1, 0]) == 0
    assert concordance([0, 2, 1]) == pytest.approx(2 / 3)
    assert concordance([0]) == 1


def test_noise_is_no_group_to_be_found():
    figures = LayoutFigures()
    quads = np.array(row(0, 0, [30, 20]))
    words = PageWords(quads, np.array([0, NOISE]), np.array([0, NOISE]))

    def judge(features):
        return np.zeros((2, 2)), np.full((2, 2), -9.0), np.full((2, 2), -9.0)

    figures.update(word_features(quads), words.lines, words.paragraphs, judge)
    assert figures.lines.tolist() == [1, 2, 1]
