import itertools

import numpy as np
import pytest

from sightbook.inference import ctc


def log_probs(rng, frames, classes, sharpness=2.0):
    values = rng.normal(0, sharpness, (frames, classes))
    return values - np.logaddexp.reduce(values, 1, keepdims=True)


def merge(path, blank):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def every_text(values, blank):
    """Sum over all paths, and the best path, of every text there is."""
    total, best = {}, {}
    for path in itertools.product(range(values.shape[1]), repeat=len(values)):
        score = sum(values[t, c] for t, c in enumerate(path))
        text = merge(path, blank)
        total[text] = np.logaddexp(total.get(text, -np.inf), score)
        best[text] = max(best.get(text, -np.inf), score)
    return total, best


CASES = [(seed, frames, classes) for seed in range(4) for frames in (1, 3, 5) for classes in (2, 4)]


@pytest.mark.parametrize(("seed", "frames", "classes"), CASES)
def test_scores_and_beams_against_all_paths(seed, frames, classes):
    rng = np.random.default_rng([seed, frames, classes])
    values, blank = log_probs(rng, frames, classes), classes - 1
    total, _ = every_text(values, blank)
    assert ctc.ctc_scores(values, list(total), blank) == pytest.approx(list(total.values()))
    found = ctc.ctc_beam(values, blank, beams=2000, floor=-99, choices=99)
    assert {tuple(t.ids): pytest.approx(t.log_prob) for t in found} == total
    assert [t.log_prob for t in found] == sorted((t.log_prob for t in found), reverse=True)


@pytest.mark.parametrize(("seed", "frames", "classes"), CASES)
def test_exact_length_against_all_paths(seed, frames, classes):
    rng = np.random.default_rng([seed, frames, classes, 1])
    values, blank = log_probs(rng, frames, classes), classes - 1
    _, best = every_text(values, blank)
    for length in range(1, frames + 1):
        allowed = rng.random((length, classes)) < 0.7
        fitting = [
            text
            for text in best
            if len(text) == length and all(allowed[i, c] for i, c in enumerate(text))
        ]
        found = ctc.ctc_exact(values, allowed, blank)
        beams = ctc.ctc_beam(
            values,
            blank,
            beams=2000,
            length=length,
            allowed=lambda prefix, mask=allowed: mask[len(prefix)],
            floor=-99,
            choices=99,
        )
        assert sorted(tuple(text.ids) for text in beams) == sorted(fitting)
        if not fitting:
            assert found is None
            continue
        assert tuple(found.ids) in fitting
        assert found.log_prob == pytest.approx(max(best[text] for text in fitting))
        assert best[tuple(found.ids)] == pytest.approx(found.log_prob)


def one_hot(path, classes, sure=0.9):
    values = np.full((len(path), classes), (1 - sure) / (classes - 1))
    values[np.arange(len(path)), path] = sure
    return np.log(values)


def test_greedy_by_hand():
    # a a _ a b  ->  a a b ; the first a is surest in its second frame
    values = np.log(
        np.array(
            [
                [0.6, 0.2, 0.2],
                [0.9, 0.05, 0.05],
                [0.1, 0.1, 0.8],
                [0.7, 0.1, 0.2],
                [0.2, 0.5, 0.3],
            ]
        )
    )
    ids, sure = ctc.ctc_greedy(values, blank=2)
    assert ids == [0, 0, 1]
    assert sure == pytest.approx([0.9, 0.7, 0.5])
    assert ctc.ctc_greedy(one_hot([2, 2], 3), 2)[0] == []


def test_sum_over_paths_can_beat_the_best_path():
    # best path is "blank blank" (0.36), but "a" has three paths: 0.24 + 0.24 + 0.16
    values = np.log(np.array([[0.4, 0.6], [0.4, 0.6]]))
    assert ctc.ctc_greedy(values, 1)[0] == []
    first, second = ctc.ctc_beam(values, 1)
    assert first.ids == [0]
    assert np.exp(first.log_prob) == pytest.approx(0.64)
    assert np.exp(second.log_prob) == pytest.approx(0.36)


def test_repeats_need_a_blank():
    values = one_hot([0, 0], 2)
    assert ctc.ctc_scores(values, [[0, 0]], 1)[0] <= ctc.NEVER / 2
    assert ctc.ctc_exact(values, np.ones((2, 2), bool), 1) is None
    with pytest.raises(ValueError, match="2 characters do not fit into 2 frames"):
        ctc.ctc_align(values, [0, 0], 1)
    found = ctc.ctc_exact(one_hot([0, 0, 0], 2), np.ones((2, 2), bool), 1)
    assert found.ids == [0, 0]


def test_align_and_distributions():
    values = one_hot([3, 0, 0, 3, 0, 1, 3], 4)
    spans = ctc.ctc_align(values, [0, 0, 1], 3)
    assert spans.tolist() == [[1, 3], [4, 5], [5, 6]]
    places = ctc.ctc_distributions(values, [0, 0, 1], 3)
    assert places.shape == (3, 3)
    assert np.exp(places).sum(1) == pytest.approx(np.ones(3))
    assert places.argmax(1).tolist() == [0, 0, 1]


def test_empty_text_and_no_texts():
    values = one_hot([2, 2], 3)
    assert np.exp(ctc.ctc_scores(values, [[], [0]], 2)[0]) == pytest.approx(0.81)
    assert ctc.ctc_scores(values, [], 2).shape == (0,)
    assert ctc.ctc_distributions(values, [], 2).shape == (0, 2)


def test_longest_line_of_a_zone_stays_exact_under_noise():
    rng = np.random.default_rng(5)
    text = rng.integers(0, 37, 44)
    text[20:] = 36  # fillers, each of which needs its blank
    values = rng.normal(0, 1, (176, 38))
    values[np.arange(44) * 4 + 1, text] += 6
    values[[t for t in range(176) if t % 4 != 1], 37] += 6
    values -= np.logaddexp.reduce(values, 1, keepdims=True)
    found = ctc.ctc_exact(values, np.ones((44, 38), bool), 37)
    assert found.ids == text.tolist()
    assert ctc.ctc_beam(values, 37, length=44)[0].ids == text.tolist()
