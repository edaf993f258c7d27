"""Figures show what they are given: numbers, intervals, wrong characters."""

import io
import json
import re

import numpy as np
from PIL import Image

from sightbook.figures import plots
from sightbook.figures.style import WRONG

TD3 = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


def picture(width=120, height=80):
    return np.full((height, width, 3), 220, np.uint8)


def rendered(plot):
    """The figure as pixels; fails if it cannot be drawn."""
    return np.asarray(Image.open(io.BytesIO(plot.png())).convert("RGB"))


def texts(plot):
    found = [text.get_text() for ax in plot.axes for text in ax.texts]
    return found + [ax.get_title(loc="left") for ax in plot.axes]


def test_figures_show_themselves_without_pyplot():
    plot = plots.image_grid([picture(), picture(60, 90)], ["first", "second"])
    assert plot._repr_png_().startswith(b"\x89PNG")
    assert [ax.get_title(loc="left") for ax in plot.axes] == ["first", "second"]


def test_quads_lie_where_they_belong():
    quads = np.array([[[10, 20], [90, 25], [88, 35], [8, 30]]], float)
    plot = plots.draw_quads(picture(), quads, ["line 1"], title="a page")
    (patch,) = plot.axes[0].patches
    np.testing.assert_allclose(patch.get_xy()[:4], quads[0])
    assert "line 1" in texts(plot)
    assert len(plots.draw_quads(picture(), np.zeros((0, 4, 2))).axes[0].patches) == 0


def test_curves_have_a_panel_per_metric_and_a_line_per_side(tmp_path):
    rows = [
        {"step": step, "time": 9.0, "train/loss": 1 / (step + 1), "train/lr": 0.1}
        for step in range(5)
    ]
    rows += [
        {"step": 4, "epoch": 1, "validation/loss": 0.5, "validation/cer": None, "note": "text"}
    ]
    plot = plots.curves(rows)
    panels = {ax.get_title(loc="left"): ax for ax in plot.axes}
    assert list(panels) == ["loss", "lr"]
    lines = {line.get_label(): line for line in panels["loss"].lines}
    assert set(lines) == {"train", "validation"}
    np.testing.assert_allclose(lines["train"].get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for source in (tmp_path, tmp_path / "metrics.jsonl"):
        assert len(plots.curves(source, names=["loss"]).axes) == 1
    assert plots.curves([]).axes == []


def test_what_is_logged_once_is_shown_if_asked_for():
    rows = [{"step": step, "train/loss": 1.0, "seconds": 2.0} for step in (1, 2)]
    rows.append({"step": 2, "validation/cer": 0.5})
    assert plots.curve_names(rows) == ["loss"]
    assert [ax.get_title(loc="left") for ax in plots.curves(rows).axes] == ["loss"]
    assert len(plots.curves(rows, names=["cer"]).axes) == 1
    assert plots.curves(rows, names=["map"]).axes == []


def test_a_side_keeps_its_colour_whatever_is_shown():
    rows = [{"step": step, "train/loss": 1.0, "validation/loss": 2.0} for step in (1, 2)]
    rows += [{"step": step, "validation/cer": 0.5} for step in (1, 2)]
    both, alone = plots.curves(rows, names=["loss"]), plots.curves(rows, names=["cer"])
    colors = {line.get_label(): line.get_color() for line in both.axes[0].lines}
    assert colors["train"] != colors["validation"]
    assert alone.axes[0].lines[0].get_color() == colors["validation"]


def test_a_figure_as_svg_repeats_and_keeps_its_ids_apart():
    made = [plots.histogram([1, 2, 2], name="px").svg(name) for name in ("a b", "a b", "c")]
    assert made[0].startswith("<svg") and made[0] == made[1]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in made]
    assert ids[0] and not ids[0] & ids[2]
    used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', made[0]))
    assert used and used <= ids[0]


def test_many_steps_are_smoothed_without_lag():
    steps = np.arange(600)
    rows = [{"step": int(step), "train/loss": float(1000 - step)} for step in steps]
    faint, smooth = plots.curves(rows).axes[0].lines
    np.testing.assert_allclose(faint.get_ydata(), 1000 - steps)
    np.testing.assert_allclose(smooth.get_ydata(), 1000 - steps)


def test_bars_say_value_and_n():
    plot = plots.bars(
        {"exact zone": 0.62}, intervals={"exact zone": (0.5, 0.7)}, counts={"exact zone": 120}
    )
    assert "62.0%  (n=120)" in texts(plot)
    assert any("3.5" in text for text in texts(plots.bars({"ms": 3.5}, percent=False)))
    rendered(plot)


def test_accuracy_against_counts_every_sample_once():
    values = [1, 2, 3, 10, 20, 30, np.nan]
    hits = [True, True, False, False, False, False, True]
    plot = plots.accuracy_against(values, hits, name="width, px", bins=[0, 5, 30])
    ticks = [tick.get_text() for tick in plot.axes[0].get_xticklabels()]
    assert ticks == ["0–5\nn=3", "5–30\nn=3"]
    points = plot.axes[0].lines[-1]
    np.testing.assert_allclose(points.get_ydata(), [2 / 3, 0])
    by_number = plots.accuracy_against(range(100), [True] * 100, name="width", bins=4)
    assert sum(int(t.get_text().split("=")[1]) for t in by_number.axes[0].get_xticklabels()) == 100
    rendered(plots.accuracy_against([5, 5, 5], [True, False, True], name="one value only"))
    rendered(plots.accuracy_against([], [], name="nothing"))


def test_confusion_shows_errors_only():
    counts = {("0", "O"): 7, ("O", "0"): 2, ("A", "A"): 999, ("", "<"): 3}
    plot = plots.confusion(counts, title="characters")
    labels = [tick.get_text() for tick in plot.axes[0].get_yticklabels()]
    assert labels == ["nothing", "0", "<", "O"]
    assert sorted(text.get_text() for text in plot.axes[0].texts) == ["2", "3", "7"]
    assert "(3 rarer ones not shown)" in texts(plots.confusion(counts, top=2))[-1]
    assert plots.confusion({("A", "A"): 5}).axes == []


def test_histogram_counts_all():
    plot = plots.histogram({"a": [1, 2, 2, np.nan], "b": [3.0]}, name="width, px", bins=4)
    legend = [text.get_text() for text in plot.axes[0].get_legend().get_texts()]
    assert legend == ["a (n=3, median 2)", "b (n=1, median 3)"]
    rendered(plots.histogram([], name="nothing"))


def test_alignment():
    assert plots.align("ABC1", "AC1X") == [
        ("A", "A"),
        ("B", ""),
        ("C", "C"),
        ("1", "1"),
        ("", "X"),
    ]
    assert plots.align("", "A") == [("", "A")]
    assert plots.align("P<<", "PK<") == [("P", "P"), ("<", "K"), ("<", "<")]


def strings(plot, color):
    return [
        text.get_text().strip()
        for ax in plot.axes
        for text in ax.texts
        if text.get_color() == color
    ]


def test_wrong_characters_stand_in_red():
    read = [TD3[0], TD3[1].replace("L8", "LB", 1)]
    plot = plots.reading_comparison(picture(), TD3, read, title="a.jpg")
    assert strings(plot, WRONG) == ["B"]
    assert strings(plots.reading_comparison(picture(), TD3, TD3), WRONG) == []
    missing = plots.reading_comparison(picture(), TD3, [TD3[0]])
    assert strings(missing, WRONG) == ["·" * 44]
    unknown = plots.reading_comparison(picture(), None, TD3)
    assert strings(unknown, WRONG) == []
    assert any(TD3[0] in text for text in texts(unknown))
    assert rendered(plot).std() > 0


def test_worst_cases_come_first_and_bad_pictures_do_no_harm(tmp_path):
    cases = [
        plots.Case(f"{n}.jpg", picture(), ["ABC"], ["ABX"], error=n / 10, note=f"CER {n}0 %")
        for n in range(5)
    ]
    cases.append(plots.Case("gone.jpg", tmp_path / "gone.jpg", ["ABC"], [], error=9))
    plot = plots.worst_cases(cases, count=3)
    titles = [title for title in texts(plot) if ".jpg" in title]
    assert titles == ["gone.jpg", "4.jpg   CER 40 %", "3.jpg   CER 30 %"]
    assert plots.worst_cases([]).axes == []
