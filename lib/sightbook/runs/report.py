"""``report.html``: one run on one page that opens offline, can be mailed and printed.

Everything is inside the file: styles, curves (SVG), figures and the executed notebooks' pictures
(base64). Nothing is fetched from a network and no script runs.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from sightbook.figures.plots import curve_names, curves
from sightbook.runs.run import read_json, read_metrics, status_of, write_atomic

_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}

Rows = list[tuple[str, str]]
"""Name and value of each row of a table, as text."""

Table = dict[str, Any]
"""``title``, ``rows``, and ``folded``: rows by the title that they are folded away under."""

_UNFOLDED = 16
"""Figures of one group that are shown at once."""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder (or any folder of executed notebooks).

    Returns:
        The page's path.
    """
    path = folder / "report.html"
    write_atomic(path, render(folder))
    return path


def landmarks(folder: Path) -> list[tuple[str, Path]]:
    """Return (what, path) of the things in a run folder that a visitor should open first."""
    places = (
        ("report", "report.html"),
        ("model", "model.onnx"),
        ("card", "model_card.md"),
        ("examples", "examples"),
        ("figures", "figures"),
    )
    return [(what, folder / name) for what, name in places if (folder / name).exists()]


def render(folder: Path) -> str:
    """Return the page of a run folder as HTML; its layout is ``report.html`` beside this file."""
    run_file = folder / "run.json"
    facts = read_json(run_file) if run_file.is_file() else {}
    metrics_file = folder / "metrics.json"
    metrics = read_json(metrics_file) if metrics_file.is_file() else {}
    # what each section shows, and which of the template's macros shows it
    sections = [
        ("Results", "tables", _results(metrics)),
        ("Curves", "plots", _curves(read_metrics(folder))),
        ("Figures", "pictures", _figures(folder / "figures")),
        ("Model card", "card", _card(folder / "model_card.md")),
        ("Parameters", "tables", _parameters(folder)),
        ("Provenance", "tables", _provenance(facts)),
        *[
            (f"Notebook {path.stem}", "notebook", _notebook(path))
            for path in sorted(folder.glob("*.ipynb"))
        ],
    ]
    records = {facts.get("stage", "run"): facts, **facts.get("stages", {})} if facts else {}
    return (
        _templates()
        .get_template("report.html")
        .render(
            title=" / ".join(filter(None, (facts.get("line"), facts.get("run", folder.name)))),
            sections=[
                {"title": title, "anchor": _anchor(title), "kind": kind, "content": content}
                for title, kind, content in sections
                if content
            ],
            stages=[
                {
                    "name": stage,
                    "status": status_of(record),
                    "took": _duration(record["seconds"]) if "seconds" in record else "",
                    "error": record.get("error"),
                }
                for stage, record in records.items()
            ],
            begun=str(facts.get("created", ""))[:16].replace("T", " "),
            code_style=Markup(_code_style()),
        )
    )


def _templates() -> Environment:
    """Templates that lie beside this file; whatever is not marked as HTML is escaped."""

    def source(name: str) -> str:
        return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

    return Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _results(metrics: Mapping[str, Any]) -> list[Table]:
    """The figures of the training, and those of each stage after it."""
    own = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    stages = {"": own} | {k: v for k, v in metrics.items() if isinstance(v, Mapping)}
    return [table for stage, values in stages.items() if (table := _stage(stage, values))]


def _stage(title: str, values: Mapping[str, Any]) -> Table | None:
    """A stage's figures; groups of many are folded away below the others."""
    rows: dict[str, Any] = {}
    folded: dict[str, Rows] = {}
    for name, value in values.items():
        opened = _opened({name: value})
        if len(opened) <= _UNFOLDED:
            rows |= opened
        else:
            folded[f"{_label(name)}: {len(opened)} figures"] = _rows(opened)
    return {"title": title, "rows": _rows(rows), "folded": folded} if rows or folded else None


def _opened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested metrics with a row for each figure; one with an interval becomes a sentence."""
    rows: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and {"value", "n", "low", "high"} <= value.keys():
            if value["value"] is not None:
                interval = ""  # as of a single sample, which has none
                if value["low"] is not None:
                    interval = f"95 %: {value['low']:.4g} to {value['high']:.4g}; "
                rows[name] = f"{value['value']:.4g} ({interval}n = {value['n']})"
        elif isinstance(value, Mapping):
            rows |= {f"{name}: {inner}": shown for inner, shown in _opened(value).items()}
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            rows |= {f"{name} {i}": dict(entry) for i, entry in enumerate(value, start=1)}
        else:
            rows[name] = value
    return rows


def _curves(rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    return [Markup(curves(rows, names=[name]).svg(name)) for name in curve_names(rows)]


def _parameters(folder: Path) -> list[Table]:
    tables: list[Table] = []
    for path in sorted(folder.glob("params*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        stage = path.stem.removeprefix("params").strip("_")
        if values:
            tables.append({"title": stage, "rows": _rows(values), "folded": {}})
    return tables


def _provenance(facts: Mapping[str, Any]) -> list[Table]:
    shown = ("command", "git", "dataset", "seeds", "started", "ended", "sessions", "peak_memory")
    rows = {name: facts[name] for name in (*shown, "hardware", "python", "host") if facts.get(name)}
    packages = facts.get("packages") or {}
    if packages:
        rows["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    return [{"title": "", "rows": _rows(rows), "folded": {}}] if rows else []


def _figures(folder: Path) -> list[dict[str, str]]:
    return [
        {"name": path.stem.replace("_", " "), "url": _data_url(path)}
        for path in sorted(folder.glob("*"))
        if path.suffix in _IMAGES
    ]


def _data_url(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_IMAGES[path.suffix]};base64,{content}"


def _card(path: Path) -> Markup | None:
    if not path.is_file():
        return None
    from nbconvert.filters import markdown2html

    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)
    return Markup(_offline(markdown2html(text)))


def _notebook(path: Path) -> Markup:
    import nbformat
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.exclude_input_prompt = True
    config.HTMLExporter.exclude_output_prompt = True
    config.HTMLExporter.exclude_anchor_links = True
    config.HTMLExporter.embed_images = True
    config.NbConvertBase.display_data_priority = [
        "text/html",
        "image/svg+xml",
        "image/png",
        "image/jpeg",
        "text/markdown",
        "text/plain",
    ]
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _needs_script(output)]
    exporter = HTMLExporter(config=config, template_name="basic")
    # nbconvert resolves linked pictures against the notebook's folder
    resources_ = {"metadata": {"path": str(path.parent)}}
    body, _ = exporter.from_notebook_node(notebook, resources=resources_)
    return Markup(_offline(body))


def _needs_script(output: Mapping[str, Any]) -> bool:
    """Whether an output is nothing but a widget or a script: its static twin is shown instead."""
    kinds = set(output.get("data", {}))
    scripts = {kind for kind in kinds if "widget-view" in kind or "javascript" in kind}
    return bool(scripts) and kinds <= scripts | {"text/plain"}


def _offline(body: str) -> str:
    """Take out what would run or be fetched: scripts, frames, pictures from elsewhere."""
    body = re.sub(r"<(script|iframe|object|embed)\b.*?(</\1>|/>)", "", body, flags=re.S | re.I)
    body = re.sub(r'<a class="anchor-link".*?</a>', "", body)
    body = re.sub(r"<link\b[^>]*>", "", body, flags=re.I)
    body = re.sub(r"@import[^;]*;", "", body)
    return re.sub(r'(<(?:img|source|video)\b[^>]*?)\ssrc="(?!data:)[^"]*"', r"\1", body, flags=re.I)


def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="friendly").get_style_defs(".highlight")


def _rows(values: Mapping[str, Any]) -> Rows:
    return [(str(name), _cell(value)) for name, value in values.items()]


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_label(key)}: {_size(item) if key.endswith('_bytes') else _cell(item)}"
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "none" if value is None else str(value)


def _label(key: str) -> str:
    return key.removesuffix("_bytes").replace("_", " ")


def _size(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
