"""Evaluation: which types it is on, what it says of them, and what it writes into the model."""

import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from sightbook.data.images import Skipped
from sightbook.docclass import evaluate, evaluation_sets, show
from sightbook.docclass.evaluate import MODEL, PIXELS
from sightbook.docclass.evaluation_sets import (
    CALIBRATION_SEED,
    FACTOR_PROBES,
    TEST_SEED,
    factor_views,
    registered,
)
from sightbook.docclass.hard_cases import hardest, robustness
from sightbook.docclass.params import EvaluateDocclass, TrainDocclass
from sightbook.docclass.search_metrics import search
from sightbook.docclass.store import STORE_SIDE, Store, join
from sightbook.docclass.synth.views import FACTORS, plain_pixels
from sightbook.inference import onnx
from sightbook.params import ParameterError
from sightbook.runs.files import plain


def drawn(seed, index, side=STORE_SIDE):
    """A template of its own: coloured rectangles."""
    rng = np.random.default_rng([seed, index])
    image = np.full((side, side, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(7):
        (left, top), (width, height) = rng.integers(0, side - 8, 2), rng.integers(6, side // 2, 2)
        image[top : top + height, left : left + width] = rng.integers(0, 255, 3)
    return image


def made_store(count, seed, first=0):
    pixels = np.stack([drawn(seed, index) for index in range(first, first + count)])
    names = [f"made/{seed}-{index}" for index in range(first, first + count)]
    aspects = np.full(count, 1.5, np.float32)
    return Store(pixels, aspects, np.arange(count), names, list(names), list(names))


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Generated types that cost nothing, few views of factors."""
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(evaluation_sets, "synthetic_store", made_store)
    monkeypatch.setattr(evaluation_sets, "FACTOR_PROBES", 12)


def a_run(path, **params):
    path.mkdir(parents=True, exist_ok=True)
    (path / "params.yaml").write_text(TrainDocclass(**params).to_yaml())
    return path


def a_folder(path, count, seed=5):
    path.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(drawn(seed, index)).save(path / f"type {index:02}.png")
    return path


def colours(images):
    """A stub of a model, other than the pixel floor: 4x4 pixels, not centred, not normalised."""
    small = [cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(images), -1).astype(np.float32)


def params(**changes):
    return EvaluateDocclass(**{"templates": 12, "views": 4, "level": "easy", "fpr": 0.1, **changes})


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_sets, "synthetic_store", made_store)
        patch.setattr(evaluation_sets, "FACTOR_PROBES", 12)
        run = a_run(tmp_path_factory.mktemp("run"))
        return evaluate.evaluate(params(worst=5), run, colours)


# --- which types -----------------------------------------------------------------------------


def test_generated_types_to_calibrate_to_test_and_to_train_differ(tmp_path):
    sets = evaluation_sets.evaluation_sets(params(seed=3), a_run(tmp_path), Skipped(0))
    assert sets.source == "generated"
    assert sets.test.names[0] == f"made/{3 + TEST_SEED}-0"
    assert sets.calibration.names[0] == f"made/{3 + CALIBRATION_SEED}-0"
    with pytest.raises(ParameterError, match="were trained on"):
        trained = a_run(tmp_path, seed=3 + TEST_SEED)
        evaluation_sets.evaluation_sets(params(seed=3), trained, Skipped(0))


def test_what_was_trained_on_is_not_tested(tmp_path):
    folder = a_folder(tmp_path / "own", 40)
    run = a_run(tmp_path / "run", data=str(folder), calibration=0.3, test=0.4, seed=1)
    sets = evaluation_sets.evaluation_sets(params(), run, Skipped(0))
    found = evaluation_sets.pool(
        folder, fractions={"train": 0.3, "calibration": 0.3, "test": 0.4}, salt="1", max_bad=0
    )
    split = {part: {c.name for c in found.of(part)} for part in ("train", "calibration", "test")}
    assert set(sets.test.names) == split["test"]
    calibration = {name for name in sets.calibration.names if not name.startswith("made/")}
    assert calibration == split["calibration"]
    assert len(sets.calibration.names) == len(calibration) + 12, "generated ones beside them"
    assert not split["train"] & {*sets.test.names, *calibration}
    by_name = evaluation_sets.evaluation_sets(params(data=str(folder)), run, Skipped(0))
    assert by_name.test.names == sets.test.names, "named or not, it is the folder trained on"


def test_of_a_new_folder_all_but_the_calibration_is_tested(tmp_path):
    folder = a_folder(tmp_path / "new", 30, seed=9)
    sets = evaluation_sets.evaluation_sets(params(data=str(folder)), a_run(tmp_path), Skipped(0))
    own = [name for name in sets.calibration.names if not name.startswith("made/")]
    assert own and len(own) + len(sets.test.names) == 30
    assert not set(own) & set(sets.test.names)


def test_a_broken_template_is_named_and_left_out(tmp_path):
    folder = a_folder(tmp_path / "new", 20, seed=9)
    (folder / "broken.png").write_bytes(b"no picture")
    skipped = Skipped(1)
    sets = evaluation_sets.evaluation_sets(params(data=str(folder)), a_run(tmp_path), skipped)
    assert [name.rpartition("/")[2] for name, _ in skipped] == ["broken.png"]
    assert "broken" not in sets.test.names


def test_a_folder_that_is_gone_is_replaced_aloud(tmp_path, capsys):
    run = a_run(tmp_path, data=str(tmp_path / "gone"))
    sets = evaluation_sets.evaluation_sets(params(), run, Skipped(0))
    assert sets.source == "generated"
    assert "gone" in capsys.readouterr().out


def test_too_few_types(tmp_path):
    folder = a_folder(tmp_path / "own", 6)
    run = a_run(tmp_path / "run", data=str(folder), calibration=0.2, test=0.01)
    with pytest.raises(ParameterError, match="at least 4 families"):
        evaluation_sets.evaluation_sets(params(), run, Skipped(0))


def test_one_clean_template_a_type():
    store = made_store(3, 1)
    two = join([store, made_store(1, 2)])
    two = Store(two.pixels, two.aspects, np.array([0, 1, 2, 1]), store.names, store.names, [""] * 4)
    pictures, labels = registered(two)
    assert pictures.shape == (3, 128, 128, 3) and labels.tolist() == [0, 1, 2]
    colour = pictures[1].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(colour, store.pixels[1].reshape(-1, 3).mean(axis=0), atol=3)


def test_factor_views_repeat_and_spread(monkeypatch):
    monkeypatch.setattr(evaluation_sets, "FACTOR_PROBES", FACTOR_PROBES)
    store = made_store(7, 1)
    views, labels = factor_views(store, "noise", 20, seed=1)
    again, _ = factor_views(store, "noise", 20, seed=1)
    np.testing.assert_array_equal(views, again)
    assert len(views) <= FACTOR_PROBES
    assert np.bincount(labels).tolist() == [FACTOR_PROBES // 7] * 7
    monkeypatch.setattr(evaluation_sets, "FACTOR_PROBES", 4)
    assert factor_views(store, "noise", 20, seed=1)[1].tolist() == [0, 2, 4, 6]


# --- figures ---------------------------------------------------------------------------------


def test_model_and_pixels_are_measured_alike(result):
    ours, floor = result.figures[MODEL], result.figures[PIXELS]
    assert ours.verification.n_genuine == floor.verification.n_genuine == 12 * 6
    assert ours.verification.n_impostor == 48 * 47 // 2 - 72
    assert ours.identification.top1["n"] == 48 and ours.identification.types == 12
    assert ours.identification.top1["value"] > 0.9, "blocks of colour under easy views"
    assert ours.verification.points != floor.verification.points
    assert ours.threshold.value != floor.threshold.value
    assert (ours.threshold.classes, ours.threshold.views, ours.threshold.target) == (12, 48, 0.1)


def test_the_rate_at_all_types_is_the_realised_one(result):
    for figures in result.figures.values():
        largest = max(figures.by_size)
        assert largest == 11, "all but the probe's own"
        assert figures.by_size[largest] == pytest.approx(
            figures.realised.false_identification["value"]
        )
        rates = list(figures.by_size.values())
        assert rates == sorted(rates)


def test_outcomes_add_up(result):
    done = result.figures[MODEL].realised
    assert sum(
        s["value"] for s in (done.right, done.same_family, done.wrong, done.rejected)
    ) == pytest.approx(1)


def test_metrics_are_json_with_the_floor_beside_every_figure(result):
    written = json.loads(json.dumps(plain(result.metrics), allow_nan=False))
    assert written["sets"]["test"]["types"] == 12
    for name in ("model", "plain_pixels"):
        assert [p["target"] for p in written[name]["verification"]["points"]] == [
            1e-1, 1e-2, 1e-3, 1e-4, 1e-5,
        ]  # fmt: skip
        assert 0 <= written[name]["identification"]["top1"]["value"] <= 1
    assert written["model"].keys() == written["plain_pixels"].keys()
    assert written["threshold"] == written["model"]["threshold"]
    amounts = sum(len(values) for values in FACTORS.values())
    assert len(written["robustness"]) == 2 * amounts


def test_the_table_marks_what_the_set_is_too_small_for(result):
    names = [row["figure"] for row in result.table()]
    assert "TPR at FPR 1e-3" in names and "TPR at FPR 1e-4 (too few pairs)" in names
    assert "DIR at FAR 1e-1" in names and "DIR at FAR 1e-2 (too few views)" in names
    assert all(row[PIXELS] and row[MODEL] and row["n"] for row in result.table())


def test_extremes_are_worse_than_nothing_done(result):
    for name in (MODEL, PIXELS):
        for factor in ("turn", "crop", "margin"):
            mine = [p for p in result.robustness if (p.embedding, p.factor) == (name, factor)]
            assert mine[0].top1["value"] == 1.0 and mine[0].tpr == 1.0, "amount 0 is the template"
            assert mine[-1].top1["value"] < 0.7
            assert [p.amount for p in mine] == list(FACTORS[factor])


def test_the_same_again(result, tmp_path):
    again = evaluate.evaluate(params(worst=5), a_run(tmp_path), colours)
    assert plain(again.metrics) == plain(result.metrics)


def test_robustness_uses_families():
    # Types 0 and 1 are the same picture: at no amount can one be right more than by luck.
    base = made_store(4, 1)
    pixels = base.pixels.copy()
    pixels[1] = pixels[0]
    store = Store(
        pixels, base.aspects, base.classes, base.names, ["a", "a", "b", "c"], base.sources
    )
    (clean,) = [
        p
        for p in robustness({MODEL: plain_pixels}, store, 0)
        if (p.factor, p.amount) == ("blur", 0)
    ]
    assert clean.tpr == 1.0, "the twin is no impostor"
    assert clean.top1["value"] == 0.75


def test_hardest_confusions():
    store = made_store(4, 1)
    views = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    gallery = np.eye(4)
    probes = np.array(
        [
            [0.9, 0.1, 0, 0],  # clear
            [0.3, 0.7, 0, 0],  # type 0 taken for 1: the worst
            [0.6, 0.5, 0, 0],  # type 1 taken for 0: the same pair again
            [0, 0, 0.6, 0.5],  # right, hardly
            [0, 0.2, 0, 0.9],
        ]
    )
    labels = np.array([0, 0, 1, 2, 3])
    found = search(probes, labels, gallery, np.arange(4), store.families)
    cases = hardest(found, views, store, 3)
    assert [(c.type, c.other, c.wrong) for c in cases] == [
        (store.names[0], store.names[1], True),
        (store.names[2], store.names[3], False),
        (store.names[3], store.names[1], False),
    ]
    assert cases[0].probe[0, 0, 0] == 1
    assert cases[0].other_score > cases[0].own_score
    twins = Store(store.pixels, store.aspects, store.classes, store.names, list("aabc"), [""] * 4)
    found = search(probes, labels, gallery, np.arange(4), twins.families)
    assert hardest(found, views, twins, 1)[0].type == store.names[2], "kin are no confusion"


# --- what is written and shown ---------------------------------------------------------------


def test_the_threshold_goes_into_the_model(tmp_path, monkeypatch):
    import torch

    run = a_run(tmp_path)
    file = run / "model.onnx"
    net = torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten())
    example = (torch.zeros(1, 3, 128, 128),)
    axes = {"img": {0: "batch"}, "feats": {0: "batch"}}
    kept = {"line": "docclass", "weights": "abc"}
    onnx.export(net, example, file, ["img"], ["feats"], axes, metadata=kept)

    class Reader:
        def __init__(self, path):
            self.session = onnx.session(path)

        def embed(self, images):
            pictures = np.stack(list(images)).transpose(0, 3, 1, 2).astype(np.float32) / 255
            return self.session.run(["feats"], {"img": pictures})[0]

    stubs = {"exporting": {"ensure_package": lambda run: run}, "predict": {"Predictor": Reader}}
    for name, contents in stubs.items():
        stub = SimpleNamespace(**contents)
        monkeypatch.setitem(sys.modules, f"sightbook.docclass.{name}", stub)
    outcome = evaluate.run_evaluation(params(fpr=0.05), run)
    written = onnx.read_metadata(file)
    assert written == {**kept, "threshold": outcome.threshold.to_dict()}
    assert written["threshold"]["target"] == 0.05
    assert written["threshold"]["low"] <= written["threshold"]["value"]


@pytest.mark.parametrize(
    "name", ["roc", "scores", "threshold", "embedding_map", "confusions", "robustness"]
)
def test_every_picture_is_drawn(result, name):
    plot = getattr(show, name)(result)
    assert plot.axes and plot.png().startswith(b"\x89PNG")


def test_curves_show_the_figures(result):
    pairs, found = show.roc(result).axes
    lines = {line.get_label().split(",")[0]: line for line in pairs.lines}
    area = f"{result.figures[MODEL].verification.auroc:.4f}"
    assert area in lines["model"].get_label()
    np.testing.assert_array_equal(
        lines["model"].get_ydata(), result.figures[MODEL].verification.roc_tpr
    )
    assert {"model", "plain pixels"} <= {line.get_label() for line in found.lines}


def test_the_plane_keeps_what_spreads_the_groups():
    rng = np.random.default_rng(0)
    centres = np.array([[5, 0, 0, 0], [-5, 0, 0, 0], [0, 0, 3, 0], [0, 0, -3, 0]])
    rows = [centre + 0.1 * rng.normal(size=(6, 4)) for centre in centres]
    points, held = show.plane(rows)
    assert held > 0.99
    gap = np.linalg.norm(points[0].mean(axis=0) - points[1].mean(axis=0))
    assert gap == pytest.approx(10, abs=0.3)
