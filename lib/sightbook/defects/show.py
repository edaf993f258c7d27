"""What `03_evaluate_defects` shows of the decision "defect or clean?", and the images behind."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D

from sightbook.detection.labels.annotations import Annotations
from sightbook.detection.metrics.image import SHARES, Decision, OperatingPoint
from sightbook.detection.metrics.scoring import Found
from sightbook.detection.metrics.show import (
    NAMED,
    OUTCOMES,
    Load,
    draw_boxes,
    image_axes,
    inner_legend,
    load_image,
    share_axes,
    show_record,
)
from sightbook.figures.plots import bars
from sightbook.figures.style import MUTED, PALETTE, WRONG, Plot, empty_plot, rgb, style_axes
from sightbook.metrics.bootstrap import intervals_of, values_of


def decision_shares(decision: Decision) -> Plot:
    """Precision, recall, accuracy, specificity and F1 of the answer "defect or clean?"."""
    known = {name: decision.figures[name] for name in SHARES}
    known = {name: made for name, made in known.items() if made["value"] is not None}
    if not known:
        return empty_plot("no images")
    c = decision.counts
    return bars(
        values_of(known),
        intervals=intervals_of(known),
        counts={name: made["n"] for name, made in known.items()},
        title=f"images at eval_conf {decision.eval_conf:.3g}: "
        f"TP {c.TP}, FP {c.FP}, FN {c.FN}, TN {c.TN}",
    )


def roc(decision: Decision, point: OperatingPoint | None = None) -> Plot:
    """Recall over false alarms for every `eval_conf`, and how the images' scores lie.

    Args:
        decision: its own `eval_conf` is marked.
        point: an operating point to be marked too.
    """
    plot = Plot(11, 4.0)
    left, right = plot.add_subplot(1, 2, 1), plot.add_subplot(1, 2, 2)
    curve, scores = decision.roc, decision.scores
    area = curve.area["value"]
    style_axes(left, "defective images found" + ("" if area is None else f", AUROC {area:.3f}"))
    marks = [(decision.eval_conf, "eval_conf", WRONG)]
    if point is not None:
        marks.append((point.eval_conf, f"for recall {point.required_recall:g}:", PALETTE[1]))
    if np.isfinite(curve.recall).all() and np.isfinite(curve.false_alarms).all():
        left.plot(
            curve.false_alarms, curve.recall, color=PALETTE[0], lw=1.8, drawstyle="steps-post"
        )
        for confidence, name, color in marks:
            place = int(np.count_nonzero(curve.eval_conf >= confidence)) - 1
            spot = (curve.false_alarms[place], curve.recall[place])
            left.plot(*spot, "o", color=color, ms=7, label=f"{name} {confidence:.3g}")
        inner_legend(left)
    else:
        text = "needs defective and clean images"
        left.text(0.5, 0.5, text, ha="center", color=MUTED, transform=left.transAxes)
    share_axes(left, "clean images called defective", "defective images called so")
    style_axes(right, "score of each image's most confident detection", grid="y")
    edges = np.linspace(0, 1, 21).tolist()
    for is_so, name, color in ((True, "defective", PALETTE[4]), (False, "clean", PALETTE[2])):
        mine = scores.scores[scores.defective == is_so]
        label = f"{name} (n={len(mine):,})"
        right.hist(
            mine, edges, color=(*rgb(color), 0.35), ec=color, histtype="stepfilled", label=label
        )
    for confidence, _, color in marks:
        right.axvline(confidence, color=color, lw=1.4, ls="--")
    right.set_xlabel("score", color=MUTED, fontsize=9)
    right.set_ylabel("images", color=MUTED, fontsize=9)
    inner_legend(right)
    return plot


def wrong_decisions(
    decision: Decision,
    truth: Annotations,
    found: Found,
    count: int = 6,
    *,
    columns: int = 3,
    load: Load = load_image,
) -> Plot:
    """Images called wrongly, the clearest mistakes first: truth dashed, detections drawn through.

    Detections below `eval_conf` are drawn too where they reach half of it: so near was the miss.
    """
    records = {record.name: record for record in truth.records}
    rows = [row for row in decision.image_table() if row["outcome"] in ("FP", "FN")][:count]
    if not rows:
        return empty_plot("every image was called rightly")
    names = {"FP": "false alarm", "FN": "defect not called"}
    plot, axes = image_axes([records[row["image"]] for row in rows], columns)
    for ax, row in zip(axes, rows, strict=True):
        record = records[row["image"]]
        title = f"{names[row['outcome']]}, score {row['score']:.2f}: {record.name}"
        show_record(ax, record, title, load, columns)
        # Without names: they would hide what the smallest ones look like.
        draw_boxes(ax, record.boxes, OUTCOMES["missed"], named=False, dashed=True)
        near = [b for b in found[record.name] if (b.score or 0.0) >= decision.eval_conf / 2]
        near.sort(key=lambda box: -(box.score or 0.0))
        draw_boxes(ax, near[:NAMED], OUTCOMES["false"])
        draw_boxes(ax, near[NAMED:], OUTCOMES["false"], named=False)
    handles = [
        Line2D([], [], color=OUTCOMES["missed"], lw=2, ls="--", label="truth"),
        Line2D([], [], color=OUTCOMES["false"], lw=2, label="detected"),
    ]
    plot.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return plot
