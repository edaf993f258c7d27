"""One CSV across runs, to compare them in a spreadsheet: one row a run, the oldest first.

Evaluation tags the run with what it was made from (``run.record(tags=run_tags(...).to_dict())``)
and leaves, in ``metrics.json``, ``boxes`` (`BoxEvaluation.metrics`) and ``images``
(`Decision.metrics`). `mAP` is COCO's AP over the IoU thresholds 0.50 to 0.95; `AP50` has
a column of its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sightbook.data.validation import Report
from sightbook.runs.files import read_json, write_atomic
from sightbook.runs.run import list_runs, read_metrics

COLUMNS = (
    "usecase",
    "run",
    "date",
    "description",
    "base_model",
    "steps",
    "train_set",
    "test_set",
    "mAP",
    "AP50",
    "eval_conf",
    "images",
    "TP",
    "FP",
    "FN",
    "TN",
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "F1",
)
"""Columns of the summary, in this order."""

_COMPARED = (
    *("run", "date", "description", "base_model", "steps", "train_set", "test_set", "mAP"),
    *("AP50", "TP", "FP", "FN", "TN", "precision", "recall", "specificity"),
)

_OF_BOXES = {"mAP": "AP", "AP50": "AP50"}
_OF_IMAGES = COLUMNS[COLUMNS.index("eval_conf") :]


@dataclass(frozen=True)
class RunTags:
    """What a run was made from, in the words of those who compare runs.

    Attributes:
        usecase: what is looked for ("pothole"), as in the names of versioned CSVs.
        description: what was tried, in a few words.
        train_set: file or version that was trained on.
        test_set: file or version that was evaluated on.
        base_model: name of the model, and of the weights that it began with.
        steps: optimiser steps.
    """

    usecase: str = ""
    description: str = ""
    train_set: str = ""
    test_set: str = ""
    base_model: str = ""
    steps: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for ``run.json``; what is not known is left out and hides no earlier stage's."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


def run_tags(run: Path, *, test_set: str, description: str = "") -> RunTags:
    """Tags of a trained run, by its own parameters and steps.

    Args:
        run: its folder.
        test_set: what it was evaluated on.
        description: what was tried, in a few words.
    """
    params = yaml.safe_load((run / "params.yaml").read_text(encoding="utf-8"))
    drawn = " ".join(["generated", params.get("kind", "")]).strip()
    data, usecase = str(params.get("data", "")), str(params.get("usecase", ""))
    train_set = drawn
    if data != "synthetic":
        train_set = Path(data).name + (f" {params.get('version', '')}" if usecase else "")
        train_set += f" and {drawn}" if params.get("own_share", 1) < 1 else ""
    steps = [int(row["step"]) for row in read_metrics(run) if "step" in row]
    return RunTags(
        usecase=usecase,
        description=description,
        train_set=train_set,
        test_set=test_set,
        base_model=f"{params.get('model')}, {params.get('init')}",
        steps=max(steps, default=None),
    )


def compared(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as narrow as a page: the columns to compare runs by that any of them fills."""
    filled = [name for name in _COMPARED if any(row.get(name, "") != "" for row in rows)]
    return [{name: row.get(name, "") for name in filled} for row in rows]


def summary_row(run: Path) -> dict[str, Any]:
    """A run's row with all of :data:`COLUMNS`; empty texts where the run does not say.

    Raises:
        ValueError: a file of the run is damaged; says which.
        OSError: it holds no ``run.json``.
    """
    record = read_json(run / "run.json")
    metrics = read_json(run / "metrics.json") if (run / "metrics.json").is_file() else {}
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    for facts in (record, *record.get("stages", {}).values()):
        row |= {name: v for name, v in facts.get("tags", {}).items() if name in COLUMNS}
    row |= {"run": record.get("run", run.name), "date": _minute(record.get("created"))}
    # A run that was opened by the evaluation itself keeps its figures at the top.
    evaluated = metrics.get("evaluate", metrics)
    boxes, images = evaluated.get("boxes", {}), evaluated.get("images", {})
    row |= {name: _value(boxes.get(key)) for name, key in _OF_BOXES.items()}
    row |= {name: _value(images.get(name)) for name in _OF_IMAGES}
    return row


def summarize_runs(line: str, *, usecase: str = "", report: Report) -> list[dict[str, Any]]:
    """Rows of a line's runs, the oldest first, ready for `tables.Table`.

    Args:
        line: ``defects`` or ``headstamps``.
        usecase: only runs tagged so; all by default.
        report: a run that cannot be read is reported there and left out.
    """
    rows = []
    for run in list_runs(line):
        report.checked += 1
        try:
            row = summary_row(run)
        except (ValueError, OSError, AttributeError) as error:
            report.warning("unreadable run", run, f"left out of the summary: {error}")
            continue
        if usecase in ("", row["usecase"]):
            rows.append(row)
    return rows


def write_summary(file: str | Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as CSV with a header of :data:`COLUMNS`, atomically; figures in full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(file, text.getvalue())
    return Path(file)


def _minute(created: Any) -> str:
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M")
    except (TypeError, ValueError):
        return ""


def _value(figure: Any) -> Any:
    """The bare value of a figure; an empty text for none."""
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    return "" if value is None else value
