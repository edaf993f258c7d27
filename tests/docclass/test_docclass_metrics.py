"""Pair and search metrics: by hand, ties, families, and slow twins of the fast code."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightbook.docclass.metrics import (
    auroc,
    operating_points,
    roc,
    threshold_at,
    verification,
)
from sightbook.docclass.search_metrics import (
    Search,
    calibrate,
    false_identifications,
    identification,
    open_set,
    realised,
    search,
    share,
)

SCORES = st.lists(st.integers(-20, 20).map(lambda n: n / 20), min_size=1, max_size=40)


def floats(*values):
    return np.array(values, np.float32)


def on_a_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def clouds(types, views, noise, seed=0, dim=16):
    """Views scattered round a centre for each type."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(types), views)
    centres = rng.normal(size=(types, dim))
    return centres, centres[labels] + noise * rng.normal(size=(len(labels), dim)), labels


def found(scores, labels, families=None, types=None):
    scores = np.asarray(scores, np.float32)
    types = np.arange(scores.shape[1]) if types is None else np.asarray(types)
    classes = max(int(types.max()), max(labels)) + 1
    families = np.arange(classes) if families is None else np.asarray(families)
    return Search(scores, types, np.asarray(labels), families)


# --- thresholds ------------------------------------------------------------------------------


def test_operating_points_by_hand():
    impostor, genuine = floats(0.1, 0.2, 0.3, 0.4), floats(0.15, 0.3, 0.35, 0.9)
    half, quarter, none = operating_points(genuine, impostor, [0.5, 0.25, 0.1])
    assert (half.fpr, half.tpr) == (0.5, 0.75)
    assert half.threshold == pytest.approx(0.2) and half.threshold > np.float32(0.2)
    assert (quarter.fpr, quarter.tpr) == (0.25, 0.5), "0.3 is rejected on both sides"
    assert (none.fpr, none.tpr) == (0.0, 0.25), "above every impostor"
    assert [p.reachable for p in (half, quarter, none)] == [True, True, False]


def test_never_the_nearest_rate_where_impostors_tie():
    # Three of ten share one score: 30 % is the nearest rate to 20 %, but it is above it.
    impostor = floats(*[0.0] * 7, *[0.5] * 3)
    (point,) = operating_points(floats(0.5, 0.6), impostor, [0.2])
    assert (point.fpr, point.tpr) == (0.0, 0.5)
    (point,) = operating_points(floats(0.5, 0.6), impostor, [0.3])
    assert (point.fpr, point.tpr) == (0.3, 1.0)


def test_a_rate_of_one_accepts_everything():
    assert threshold_at(floats(-1, 0, 1), 1.0) == -1


@pytest.mark.parametrize(("target", "n"), [(0.3, 10), (0.29, 100), (0.07, 100), (0.1, 30)])
def test_decimals_lose_no_impostor_to_rounding(target, n):
    (point,) = operating_points(floats(2), np.arange(n, dtype=np.float32), [target])
    assert point.fpr == round(target * n) / n


@given(SCORES, SCORES, st.floats(0.001, 0.999))
def test_the_threshold_is_the_smallest_that_keeps_the_rate(genuine, impostor, target):
    (point,) = operating_points(floats(*genuine), floats(*impostor), [target])
    accepted = [score for score in floats(*impostor) if score >= point.threshold]
    assert point.fpr == len(accepted) / len(impostor) <= target
    lower = np.nextafter(np.float32(point.threshold), np.float32(-9))
    more = sum(score >= lower for score in floats(*impostor))
    assert more / len(impostor) > target
    assert point.tpr == sum(score >= point.threshold for score in floats(*genuine)) / len(genuine)


@given(SCORES, SCORES)
def test_auroc_is_the_chance_that_genuine_is_above(genuine, impostor):
    wins = [(g > i) + (g == i) / 2 for g in genuine for i in impostor]
    expected = sum(wins) / len(wins)
    assert auroc(floats(*genuine), np.sort(floats(*impostor))) == pytest.approx(expected)


def test_roc_by_hand():
    fpr, tpr = roc(floats(0.1, 0.7), floats(0.0, 0.2, 0.6, 0.8))
    np.testing.assert_allclose(fpr, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(tpr, [0.0, 0.5, 0.5, 1.0])


# --- pairs -----------------------------------------------------------------------------------


def test_pairs_by_hand():
    # Two types of two views each: genuine pairs 10 and 20 degrees apart, impostors 60 to 90.
    views = on_a_circle(0, 10, 70, 90)
    result = verification(views, np.array([0, 0, 1, 1]), ["a", "b"], fprs=[0.25], bootstrap=0)
    assert (result.n_genuine, result.n_impostor, result.families) == (2, 4, 2)
    assert result.auroc == 1.0
    (point,) = result.points
    assert point.threshold == pytest.approx(math.cos(math.radians(70)), abs=1e-6)
    assert (point.fpr, point.tpr) == (0.25, 1.0)
    assert math.isnan(point.low)
    assert result.genuine.sum() == 2 and result.impostor.sum() == 4


def test_types_of_one_family_are_neither_genuine_nor_impostor():
    views, labels = on_a_circle(0, 1, 2, 3, 90, 91), np.array([0, 0, 1, 1, 2, 2])
    apart = verification(views, labels, ["a", "b", "c"], bootstrap=0)
    together = verification(views, labels, ["a", "a", "c"], bootstrap=0)
    assert (apart.n_genuine, apart.n_impostor) == (3, 12)
    assert (together.n_genuine, together.n_impostor) == (3, 8)
    assert apart.at(1e-2).tpr < together.at(1e-2).tpr == 1.0, "the twin cost genuine pairs"


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_equals_a_plain_loop_over_all_pairs(seed):
    rng = np.random.default_rng(seed)
    families = [str(name) for name in rng.integers(0, 4, 6)]
    labels = rng.integers(0, 6, 24)
    views = rng.normal(size=(24, 3))
    genuine, impostor = [], []
    for a, b in itertools.combinations(range(24), 2):
        cosine = views[a] @ views[b] / np.linalg.norm(views[a]) / np.linalg.norm(views[b])
        if labels[a] == labels[b]:
            genuine.append(cosine)
        elif families[labels[a]] != families[labels[b]]:
            impostor.append(cosine)
    if not genuine or not impostor:
        return
    result = verification(views, labels, families, fprs=[0.1], bootstrap=0)
    (expected,) = operating_points(floats(*genuine), floats(*impostor), [0.1])
    assert (result.n_genuine, result.n_impostor) == (len(genuine), len(impostor))
    assert result.points[0].tpr == pytest.approx(expected.tpr, abs=1 / len(genuine))
    assert result.points[0].threshold == pytest.approx(expected.threshold, abs=1e-5)
    assert result.auroc == pytest.approx(
        auroc(floats(*genuine), np.sort(floats(*impostor))), abs=1e-4
    )


def test_the_bootstrap_equals_resampling_pair_by_pair():
    _, views, labels = clouds(types=12, views=4, noise=1.3)
    names = [str(number) for number in range(12)]
    resamples, target = 200, 0.05
    result = verification(views, labels, names, [target], resamples, seed=3)
    unit = views / np.linalg.norm(views, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores = np.sum(unit[first] * unit[second], axis=1)
    same = labels[first] == labels[second]
    # Families are numbered by their names' order, "10" before "2".
    place = np.argsort(np.argsort(names))
    draws = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=resamples)
    rates = []
    for drawn in draws:
        weight = drawn[place]
        impostor = weight[labels[first]] * weight[labels[second]] * ~same
        genuine = weight[labels[first]] * same
        order = np.argsort(-scores)
        passed = np.cumsum(impostor[order]) <= target * impostor.sum()
        rates.append(genuine[order][passed].sum() / genuine.sum())
    low, high = np.percentile(rates, [2.5, 97.5])
    (point,) = result.points
    assert low < point.tpr < high
    assert (point.low, point.high) == pytest.approx((low, high), abs=0.03)


def test_intervals_narrow_with_more_types_not_with_more_views():
    widths = {}
    for types, views in ((10, 4), (10, 16), (160, 4)):
        _, rows, labels = clouds(types, views, noise=1.0)
        result = verification(rows, labels, [str(n) for n in range(types)], [1e-1])
        widths[types, views] = result.points[0].high - result.points[0].low
    assert widths[160, 4] < 0.5 * widths[10, 4]
    assert widths[10, 16] > 0.5 * widths[10, 4]


def test_repeats_itself():
    _, views, labels = clouds(types=8, views=3, noise=1.0)
    names = [str(number) for number in range(8)]
    first, again = (verification(views, labels, names).points for _ in range(2))
    assert first == again


def test_says_why_a_set_cannot_be_judged():
    views = on_a_circle(0, 10, 20)
    with pytest.raises(ValueError, match="0 impostor pairs"):
        verification(views, np.array([0, 0, 1]), ["a", "a"])
    with pytest.raises(ValueError, match="0 genuine"):
        verification(views, np.array([0, 1, 2]), ["a", "b", "c"])
    with pytest.raises(ValueError, match="not finite"):
        verification(views * np.nan, np.array([0, 0, 1]), ["a", "b"])
    with pytest.raises(KeyError, match="1e-05"):
        result = verification(views, np.array([0, 0, 1]), ["a", "b"], [0.5], bootstrap=0)
        result.at(1e-5)


# --- searches --------------------------------------------------------------------------------


def test_a_type_scores_by_its_best_template():
    # Type 5 has templates at 0 and 90 degrees, type 2 one at 40.
    result = search(
        on_a_circle(80, 30), np.array([5, 2]), on_a_circle(0, 40, 90), np.array([5, 2, 5]), "abcdef"
    )
    assert result.types.tolist() == [2, 5]
    degrees = np.degrees(np.arccos(result.scores))
    np.testing.assert_allclose(degrees, [[40, 10], [10, 30]], atol=0.01)
    assert result.answers.tolist() == [5, 2]


def test_an_empty_registry_is_an_error():
    with pytest.raises(ValueError, match="nothing is registered"):
        search(on_a_circle(0), np.array([0]), np.zeros((0, 2)), np.array([], int), ["a"])


def test_top1_counts_the_family_apart():
    scores = [[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.1, 0.9, 0.2], [0.3, 0.2, 0.1]]
    result = identification(found(scores, [0, 1, 1, 2], families=[0, 0, 1]))
    assert (result.top1["hits"], result.top1["n"], result.top1["value"]) == (2, 4, 0.5)
    assert result.family["hits"] == 3, "the second was taken for its twin"
    assert result.wilson == pytest.approx((0.15, 0.85), abs=0.001)


def test_a_share_by_families():
    hits = np.array([True] * 50 + [False] * 50)
    # Two families, each all right or all wrong: a resample has 0, 1/2 or all of them right.
    few = share(hits, np.repeat([0, 1], 50))
    assert (few["low"], few["high"]) == (0, 1)
    many = share(hits, np.arange(100))
    assert 0.35 < many["low"] < 0.45 and 0.55 < many["high"] < 0.65


def test_calibration_by_hand():
    # Each probe's best among the other families: 0.5, 0.4, 0.3 and (its twin left out) 0.2.
    scores = [[0.9, 0.1, 0.5], [0.4, 0.9, 0.3], [0.3, 0.2, 0.1], [0.2, 0.1, 0.9]]
    probes = found(scores, [0, 1, 2, 2], families=[0, 1, 2])
    chosen = calibrate(probes, 0.25)
    assert chosen.value == pytest.approx(0.4) and chosen.value > np.float32(0.4)
    assert (chosen.classes, chosen.views, chosen.reachable) == (3, 4, True)
    assert chosen.low <= chosen.value <= chosen.high
    kin = found(scores, [0, 1, 2, 2], families=[0, 1, 0])
    np.testing.assert_allclose(kin.impostors, [0.1, 0.4, 0.2, 0.1])
    assert not calibrate(probes, 0.2).reachable
    with pytest.raises(ValueError, match="two families"):
        calibrate(found(scores, [0, 1, 2, 2], families=[0, 0, 0]), 0.1)


def test_what_a_threshold_does():
    scores = [[0.9, 0.1, 0.6], [0.8, 0.7, 0.3], [0.3, 0.2, 0.9], [0.6, 0.1, 0.2]]
    result = realised(found(scores, [0, 1, 1, 0], families=[0, 0, 1]), threshold=0.65)
    parts = (result.right, result.same_family, result.wrong, result.rejected)
    assert [part["hits"] for part in parts] == [
        1, 1, 1, 1,
    ]  # fmt: skip
    # As unknowns: 0.6, 0.3, 0.9 and 0.2.
    assert result.false_identification["hits"] == 1


def test_more_registered_types_let_more_strangers_in():
    # The probe's own type is the first; one of the three others reaches 0.5.
    probe = found([[0.9, 0.6, 0.1, 0.2]], [0])
    assert false_identifications(probe, 0.5, [1, 2, 3, 99]) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert false_identifications(probe, 0.7, [1, 3]) == [0, 0]


def test_expected_false_identifications_are_those_of_random_registries():
    centres, views, labels = clouds(types=20, views=4, noise=1.5, dim=6)
    result = search(views, labels, centres, np.arange(20), [str(n) for n in range(20)])
    limit = float(np.quantile(result.impostors, 0.8))
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(400):
        for row, label in enumerate(labels):
            others = rng.permutation(np.delete(np.arange(20), label))[:5]
            seen.append(result.scores[row, others].max() >= limit)
    (expected,) = false_identifications(result, limit, [5])
    assert expected == pytest.approx(np.mean(seen), abs=0.01)


def test_open_set_of_separate_types_is_perfect_and_of_noise_is_not():
    names = [str(number) for number in range(30)]
    centres, views, labels = clouds(types=30, views=4, noise=0.05)
    clear = open_set(search(views, labels, centres, np.arange(30), names))
    assert [point.tpr for point in clear.points] == [1.0, 1.0, 1.0]
    assert (clear.types, clear.unknown, clear.draws) == (15, 60, 10)
    assert [point.reachable for point in clear.points] == [True, False, False]
    centres, views, labels = clouds(types=30, views=4, noise=2.0)
    noisy = open_set(search(views, labels, centres, np.arange(30), names))
    assert all(point.fpr <= point.target for point in noisy.points)
    first, second, _ = noisy.points
    assert 0 < second.tpr < first.tpr < 0.9
    assert first.low < first.tpr < first.high
    assert np.all(np.diff(noisy.dir) >= 0), "a higher false alarm rate finds more"


def test_open_set_needs_accepted_and_right():
    # Two types: whichever is registered, its own view scores 0.4 and the other's 0.6.
    result = open_set(found([[0.4, 0.6], [0.6, 0.4]], [0, 1]), fars=[0.9, 0.1], bootstrap=20)
    assert [point.tpr for point in result.points] == [0.0, 0.0]
    assert open_set(found([[0.6, 0.4], [0.4, 0.6]], [0, 1]), bootstrap=20).points[0].tpr == 1.0
    with pytest.raises(ValueError, match="two families"):
        open_set(found([[0.6, 0.4]], [0], families=[0, 0]))


def test_kin_are_never_unknown():
    # Types 0 and 1 are twins and would be taken for each other at any threshold.
    scores = np.full((4, 4), 0.1)
    scores[:2, :2] = 0.9
    scores[2, 2] = scores[3, 3] = 0.9
    result = open_set(found(scores, [0, 1, 2, 3], families=[0, 0, 1, 2]), fars=[0.01], bootstrap=0)
    assert result.points[0].threshold < 0.2, "no unknown view scored 0.9"


def test_open_set_counts_no_wrong_answer_however_high():
    scores = np.zeros((4, 4)) - np.eye(4)  # every type but its own is nearer
    result = open_set(found(scores, [0, 1, 2, 3]), fars=[0.99], bootstrap=20)
    assert result.points[0].tpr == 0.0 and result.dir.max() == 0.0
