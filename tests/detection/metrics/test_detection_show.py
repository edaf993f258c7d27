import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from detection.detected import box, dataset, random_set, record
from sightbook.data.images import save_image
from sightbook.defects.show import decision_shares, roc, wrong_decisions
from sightbook.detection.labels.annotations import ImageRecord
from sightbook.detection.metrics import show
from sightbook.detection.metrics.coco import evaluate_boxes
from sightbook.detection.metrics.errors import count_errors, find_errors
from sightbook.detection.metrics.image import decide, operating_point
from sightbook.figures.style import Plot

SPOT = (100, 40, 180, 70)


def texts(plot):
    """Every text of a figure, titles, labels, legends and notes."""
    found = []
    for ax in plot.axes:
        found += [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        found += [text.get_text() for text in ax.texts]
        found += [tick.get_text() for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())]
        if ax.get_legend() is not None:
            found += [text.get_text() for text in ax.get_legend().get_texts()]
    found += [text.get_text() for legend in plot.legends for text in legend.get_texts()]
    return found + [text.get_text() for text in plot.texts]


def rectangles(ax):
    return [
        (p.get_x(), p.get_y(), p.get_width(), p.get_height())
        for p in ax.patches
        if isinstance(p, Rectangle)
    ]


@pytest.fixture(scope="module")
def some():
    return random_set(8, images=12)


def test_curves_name_the_classes_with_their_figures(some):
    result = evaluate_boxes(*some, resamples=0)
    plot = show.precision_recall(result)
    ap50 = result.by_class["crack"]["AP50"]
    assert f"crack, AP50 {ap50['value']:.3f} (n={ap50['n']})" in texts(plot)
    confidence, best = result.curves["hole"].best
    plot = show.f1_against_confidence(result)
    assert f"hole, {best:.3f} at {confidence:.2f}" in texts(plot)


def test_boxes_are_drawn_where_they_lie_and_in_the_colour_of_their_fate():
    truth = dataset(record("a", SPOT, (0, 0, 40, 40)), record("b"))
    found = {"a": [box("hole", SPOT, 0.9), box("hole", (200, 200, 240, 290), 0.8)], "b": []}
    errors = find_errors(truth, found, confidence=0.5)
    plot = show.worst_images(errors)
    assert len(plot.axes) == 1  # the clean image has no errors
    ax = plot.axes[0]
    assert ax.get_title(loc="left") == "1 of 2 found, 2 errors: a"
    assert sorted(rectangles(ax)) == [(0, 0, 40, 40), (100, 40, 80, 30), (200, 200, 40, 90)]
    colors = {p.get_x(): to_hex(p.get_edgecolor()) for p in ax.patches}
    assert colors == {
        0: show.OUTCOMES["missed"],
        100: show.OUTCOMES["correct"],
        200: show.OUTCOMES["false"],
    }
    assert "hole 0.90" in texts(plot)


def test_a_wrong_class_is_shown_with_the_right_one():
    truth = dataset(record("a", ("crack", SPOT)), labels=("hole", "crack"))
    errors = find_errors(truth, {"a": [box("hole", SPOT, 0.9)]}, confidence=0.5)
    assert "hole (is crack) 0.90" in texts(show.outcomes(errors))


def test_confusions_and_kinds_of_errors_show_the_counts(some):
    truth, found = some
    errors = find_errors(truth, found, confidence=0.3)
    shown = texts(show.confusion(errors, truth.labels))
    assert {"nothing found", "background", *truth.labels} <= set(shown)
    numbers = texts(show.error_kinds(errors))
    counts = count_errors(errors)
    assert counts["missed"] > 1
    assert {str(n) for n in counts.values()} <= set(numbers) and set(counts) <= set(numbers)


def test_recall_by_size_counts_each_true_box_in_its_group():
    truth = dataset(record("a", (0, 0, 10, 10), (50, 0, 60, 10), (0, 100, 90, 190)))
    found = {"a": [box("hole", (0, 0, 10, 10), 0.9), box("hole", (0, 100, 90, 190), 0.9)]}
    shown = texts(show.recall_by_size(find_errors(truth, found, confidence=0.5)))
    assert {"8–16 px", "64–96 px", "50.0%  (n=2)", "100.0%  (n=1)"} <= set(shown)


def test_the_decision_shows_its_counts_and_both_confidences(some):
    truth, found = some
    decision = decide(truth, found, 0.5, resamples=50)
    c = decision.counts
    title = f"images at eval_conf 0.5: TP {c.TP}, FP {c.FP}, FN {c.FN}, TN {c.TN}"
    assert title in texts(decision_shares(decision))
    point = operating_point(decision.scores, 0.8)
    plot = roc(decision, point)
    assert "eval_conf 0.5" in texts(plot)
    assert f"for recall 0.8: {point.eval_conf:.3g}" in texts(plot)
    # The mark lies where the decision's own counts put it.
    points = [line.get_xydata() for line in plot.axes[0].lines]
    marks = [xy[0].tolist() for xy in points if len(xy) == 1]
    assert marks[0] == pytest.approx([c.FP / (c.FP + c.TN), c.TP / (c.TP + c.FN)])


def test_wrong_decisions_show_the_image_its_truth_and_the_near_miss():
    truth = dataset(record("a.png", SPOT), record("b.png"), record("c.png"))
    found = {"a.png": [box("hole", SPOT, 0.3)], "b.png": [box("hole", SPOT, 0.9)], "c.png": []}
    decision = decide(truth, found, 0.5, resamples=0)
    plot = wrong_decisions(decision, truth, found)
    titles = [ax.get_title(loc="left") for ax in plot.axes]
    assert titles == ["false alarm, score 0.90: b.png", "defect not called, score 0.30: a.png"]
    assert [len(rectangles(ax)) for ax in plot.axes] == [1, 2]


def test_pictures_are_read_upright_and_one_that_cannot_be_read_is_grey(tmp_path):
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, :10] = (200, 10, 10)
    file = save_image(tmp_path / "a.png", pixels)
    assert (show.load_image(ImageRecord("a.png", 40, 30, image=file)) == pixels).all()
    (tmp_path / "torn.png").write_bytes(file.read_bytes()[:40])
    for image in (tmp_path / "torn.png", tmp_path / "none.png", None):
        grey = show.load_image(ImageRecord("x", 40, 30, image=image))
        assert grey.shape == (30, 40, 3) and len(np.unique(grey)) == 1


@pytest.mark.parametrize("truth", [dataset(), dataset(record("clean.png"))])
def test_nothing_to_show_is_said(truth):
    found = {rec.name: [] for rec in truth.records}
    errors = find_errors(truth, found, confidence=0.5)
    result = evaluate_boxes(truth, found)
    decision = decide(truth, found, 0.5)
    plots = [
        show.precision_recall(result),
        show.f1_against_confidence(result),
        show.confusion(errors, truth.labels),
        show.error_kinds(errors),
        show.recall_by_size(errors),
        show.worst_images(errors),
        decision_shares(decision),
        roc(decision),
        wrong_decisions(decision, truth, found),
    ]
    assert all(isinstance(plot, Plot) and plot.png()[:4] == b"\x89PNG" for plot in plots)
    assert "no true boxes" in texts(plots[4])
    assert "no image with an error" in texts(plots[5])
    assert "needs defective and clean images" in texts(plots[7])
    assert "every image was called rightly" in texts(plots[8])


def test_names_stay_in_the_picture_and_only_the_surest_are_told():
    spots = [(30 * k, 0, 30 * k + 20, 20) for k in range(show.NAMED)]
    boxes = [box("hole", spot, 0.9 - 0.01 * k) for k, spot in enumerate([SPOT, *spots])]
    truth = dataset(record("a"))
    plot = show.worst_images(find_errors(truth, {"a": boxes}, confidence=0.1))
    (ax,) = plot.axes
    told = [text.get_text() for text in ax.texts]
    assert len(rectangles(ax)) == len(boxes)
    assert told == [f"hole {0.9 - 0.01 * k:.2f}" for k in range(show.NAMED)]
    plot.canvas.draw()
    frame = ax.get_window_extent()
    for text in ax.texts:
        place = text.get_window_extent()
        assert frame.x0 - 4 <= place.x0
        assert place.x1 <= frame.x1 + 4
        assert place.y1 <= frame.y1 + 4
