"""Figures and their intervals: by hand, against the records that ship, and with fixed draws."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightbook.metrics.bootstrap import (
    divide,
    figure,
    format_figure,
    format_interval,
    intervals_of,
    percentile_interval,
    ratio_of_sums,
    resample,
    share,
    values_of,
)
from sightbook.metrics.intervals import wilson
from sightbook.params import repository_root

SHIPPED = repository_root() / "outputs" / "reference"
PLAIN = [[1, 2, 2, 0, 0, 2, 0, 2, 1, 1, 1, 0], [0, 0, 1, 1, 1, 5, 1, 1, 2, 0, 0, 0]]
NAMELESS = [[1, 0, 2, 3, 1, 1, 1, 2, 0, 1, 0, 0], [0, 2, 0, 2, 1, 0, 1, 0, 3, 1, 0, 2]]
NAMED = [[1, 0, 1, 0, 0, 2, 2, 3, 1, 1, 0, 0], [2, 1, 1, 1, 0, 1, 1, 0, 2, 1, 0, 2]]
RATIO = {
    "value": 0.12643678160919541,
    "n": 174,
    "low": 0.06567711115067355,
    "high": 0.17500288018433177,
}
NOTHING = {"value": None, "n": 0, "low": None, "high": None}


def shipped(line: str) -> dict:
    return json.loads((SHIPPED / line / "metrics.json").read_text())["evaluate"]


# ------------------------------------------------------------------ resampling


@given(st.integers(2, 60), st.integers(0, 20), st.integers(0, 2**32))
def test_a_resample_draws_as_many_as_there_are(n, resamples, seed):
    draws = resample(n, resamples, seed)
    assert draws.shape == (resamples, n)
    assert (draws.sum(1) == n).all() and (draws >= 0).all()


def test_units_are_drawn_as_a_whole():
    draws = resample(["north", "north", "south", ""], 50)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, 0] != draws[:, 2]).any() and (draws[:, 2] != draws[:, 3]).any()
    assert (draws[:, [0, 2, 3]].sum(1) == 3).all()
    numbered = resample(np.array([7, 7, 30, 4]), 50)
    assert (numbered[:, 0] == numbered[:, 1]).all()
    # in the order of their numbers: 4, 7, 30
    np.testing.assert_array_equal(numbered[:, [3, 0, 2]], resample(3, 50))


@pytest.mark.parametrize("units", [0, 1, [], ["one"] * 3, [""], np.array([5, 5])])
def test_fewer_than_two_units_say_nothing(units):
    draws = resample(units, 50)
    assert draws.shape == (0, units if isinstance(units, int) else len(units))


def test_draws_stay_what_they_were():
    """Those behind the intervals of the records that ship."""
    assert resample(12, 2, 7).tolist() == PLAIN
    assert resample([""] * 12, 2).tolist() == NAMELESS
    some = ["", "b", "a", "b", "", "", "c", "", "", "", "", ""]
    assert resample(some, 2).tolist() == NAMED
    # nameless samples take the same draws in another order
    np.testing.assert_array_equal(np.sort(resample([""] * 12, 5)), np.sort(resample(12, 5)))
    np.testing.assert_array_equal(resample([""] * 10, 5), resample(10, 5))


# ------------------------------------------------------------------ figures


def test_the_middle_95_percent():
    assert percentile_interval(np.arange(1001)) == (25, 975)
    assert percentile_interval([3.0, np.nan, 3.0, np.inf]) == (3, 3)
    assert np.isnan(percentile_interval([])).all()
    assert np.isnan(percentile_interval([np.nan])).all()


def test_a_figure_of_resamples():
    assert figure(0.5, 9, np.linspace(0, 1, 1001)) == {
        "value": 0.5, "n": 9, "low": pytest.approx(0.025), "high": pytest.approx(0.975),
    }  # fmt: skip
    assert figure(0.5, 9) == {"value": 0.5, "n": 9, "low": None, "high": None}
    assert figure(np.nan, 0, [0.1, 0.2]) == NOTHING
    assert json.loads(json.dumps(figure(np.float32(0.5), 9)))["value"] == 0.5


def test_a_share_has_wilsons_interval():
    low, high = wilson(9, 10)
    assert share(9, 10) == {"value": 0.9, "n": 10, "low": low, "high": high}
    assert share(0, 0) == {"value": None, "n": 0, "low": 0, "high": 1}


def test_ratio_of_sums_and_its_bootstrap():
    made = ratio_of_sums([1, 0, 3], [10, 10, 20])
    assert (made["value"], made["n"]) == (0.1, 40)
    assert 0 <= made["low"] < 0.1 < made["high"] <= 0.15  # every sample alone: 0 to 0.15
    assert made == ratio_of_sums([1, 0, 3], [10, 10, 20])
    same = ratio_of_sums([1, 1], [10, 10])
    assert same["low"] == same["high"] == pytest.approx(0.1)
    assert ratio_of_sums([], []) == ratio_of_sums([0, 0], [0, 0]) == NOTHING
    assert ratio_of_sums([1], [4]) == {"value": 0.25, "n": 4, "low": None, "high": None}


def test_an_interval_covers_the_true_ratio_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        letters = rng.integers(20, 80, 60)
        made = ratio_of_sums(rng.binomial(letters, 0.1), letters, resamples=200, seed=trial)
        covered += made["low"] <= 0.1 <= made["high"]
    assert 0.88 <= covered / 200 <= 0.99


def test_units_that_agree_within_widen_an_interval():
    hits, ones = [1] * 20 + [0] * 20, [1] * 40
    alone = ratio_of_sums(hits, ones)
    together = ratio_of_sums(hits, ones, [f"road {k // 10}" for k in range(40)])
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_sequences_that_do_not_belong_together():
    with pytest.raises(ValueError, match="2 numerators, 1 denominators and no units"):
        ratio_of_sums([1, 2], [3])
    with pytest.raises(ValueError, match="2 denominators and 1 units"):
        ratio_of_sums([1, 2], [3, 4], ["a"])


def test_dividing_by_nothing():
    found = divide(np.array([1.0, 2.0]), np.array([2.0, 0.0]))
    assert found[0] == 0.5 and np.isnan(found[1])
    assert divide(np.array([2.0]), np.array([0.0]), 1.0).tolist() == [1]


def test_figures_as_text_and_as_bare_numbers():
    wide, lone = figure(0.5, 9, [0.25, 0.75]), figure(0.625, 1)
    wide |= {"low": 0.25, "high": 0.75}
    assert [format_figure(f) for f in (wide, lone, NOTHING)] == [
        "0.500 (0.250 to 0.750)", "0.625", "–",
    ]  # fmt: skip
    assert [format_interval(f) for f in (wide, lone)] == ["0.250 to 0.750", "–"]
    some = {"a": wide, "b": lone, "c": NOTHING}
    assert values_of(some) == {"a": 0.5, "b": 0.625}
    assert intervals_of(some) == {"a": (0.25, 0.75)}


# ------------------------------------------------------------------ the records that ship


def test_ratios_of_twelve_documents_stay_what_they_were():
    errors = [1, 0, 3, 2, 0, 5, 1, 0, 0, 2, 7, 1]
    letters = [10, 10, 20, 15, 8, 30, 12, 9, 11, 14, 25, 10]
    assert ratio_of_sums(errors, letters) == pytest.approx(RATIO, rel=1e-12)


@pytest.mark.parametrize(
    "block", ["reading", "reading_along_true_outlines", "reading_without_the_table"]
)
def test_intervals_of_the_shipped_headstamps(block):
    """Their record holds each object's figures, so all that is drawn can be drawn again."""
    kept = shipped("headstamps")[block]
    objects = [kept["objects"][name] for name in sorted(kept["objects"])]

    def counts(name):
        return [round((o[name]["value"] or 0) * o[name]["n"]) for o in objects]

    def numbers(name):
        return [o[name]["n"] for o in objects]

    sums = {name: (counts(name), numbers(name)) for name in
            ("token_precision", "token_recall", "CER", "exact", "direction", "found")}  # fmt: skip
    hits, true, read = counts("token_recall"), numbers("token_recall"), numbers("token_precision")
    both = [a + b for a, b in zip(true, read, strict=True)]
    sums["token_F1"] = [2 * n for n in hits], both
    sums["object_token_F1"] = [o["token_F1"]["value"] for o in objects], [1] * len(objects)
    for name, (top, bottom) in sums.items():
        made = ratio_of_sums(top, bottom, list(kept["objects"]), resamples=200)
        for key in ("value", "low", "high"):
            assert made[key] == pytest.approx(kept[name][key], rel=1e-12), f"{name}, {key}"


def test_shares_of_the_shipped_records():
    donut = shipped("donut")
    shares = {k: v for k, v in donut["reading"].items() if k.startswith("field/")}
    shares |= {k: donut["reading"][k] for k in ("exact_zone", "checks_ok", "valid_but_wrong")}
    shares |= {k: donut["finding"][k] for k in ("zone_recall", "lines_located", "false_zones")}
    for name, kept in shares.items():
        made = share(round(kept["value"] * kept["n"]), kept["n"])
        assert made == pytest.approx(kept, rel=1e-12), name
    found = shipped("docclass")["model"]["identification"]
    made = wilson(found["top1"]["hits"], found["top1"]["n"])
    assert made == pytest.approx(found["wilson"], rel=1e-12)
    for use_case in ("pcb", "potholes"):
        record = shipped(f"defects/{use_case}")
        point, images = record["operating_point"], record["images"]
        bounds = wilson(images["TP"], images["TP"] + images["FN"])
        kept = (point["recall_low"], point["recall_high"])
        assert bounds == pytest.approx(kept, rel=1e-12), use_case
