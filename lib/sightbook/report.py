"""``report.html``: one run on one page that opens offline, can be mailed and printed.

Everything is inside the file: styles, curves (SVG), figures and the executed notebooks' pictures
(base64). Nothing is fetched from a network and no script runs.
"""

import base64
import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from sightbook.runs import read_json, read_metrics, status_of, write_atomic

_NOT_METRICS = ("step", "time", "epoch", "seconds", "samples_per_second", "data_wait", "lr")
_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}


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
    """Return the page of a run folder as HTML."""
    run_file = folder / "run.json"
    facts = read_json(run_file) if run_file.is_file() else {}
    metrics_file = folder / "metrics.json"
    metrics = read_json(metrics_file) if metrics_file.is_file() else {}
    sections = [
        ("Results", _metrics(metrics)),
        ("Curves", curves(read_metrics(folder))),
        ("Figures", _figures(folder / "figures")),
        ("Model card", _markdown_file(folder / "model_card.md")),
        ("Parameters", _parameters(folder)),
        ("Provenance", _provenance(facts)),
        *[(f"Notebook {path.stem}", _notebook(path)) for path in sorted(folder.glob("*.ipynb"))],
    ]
    sections = [(title, body) for title, body in sections if body]
    links = " ".join(
        f'<a href="#{_anchor(title)}">{html.escape(title)}</a>' for title, _ in sections
    )
    body = "\n".join(
        f'<section id="{_anchor(title)}"><h2>{html.escape(title)}</h2>\n{content}\n</section>'
        for title, content in sections
    )
    title = " / ".join(filter(None, (facts.get("line"), facts.get("run", folder.name))))
    style = resources.files("sightbook").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}\n{_code_style()}\n</style>\n"
        f"</head>\n<body>\n<header>\n<h1>{html.escape(title)}</h1>\n{_summary(facts)}\n"
        f"<nav>{links}</nav>\n</header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the logged metrics as SVG plots, one per metric.

    ``train/loss`` and ``validation/loss`` share a plot; the horizontal axis is the step.

    Args:
        rows: rows of ``metrics.jsonl``.
    """
    series: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        for name, value in row.items():
            numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name in _NOT_METRICS or not numeric or not math.isfinite(value):
                continue
            split, _, metric = name.rpartition("/")
            points = series.setdefault(metric, {}).setdefault(split or metric, [])
            points.append((row["step"], value))
    plots = [
        _plot(metric, lines)
        for metric, lines in series.items()
        if any(len(points) > 1 for points in lines.values())
    ]
    return f'<div class="plots">{"".join(plots)}</div>' if plots else ""


def _plot(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    import matplotlib
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axes = figure.add_subplot()
    for name, points in lines.items():
        steps, values = zip(*points, strict=True)
        few = len(points) < 30
        axes.plot(steps, values, label=name, linewidth=1.5, marker="o" if few else "", markersize=3)
    heights = [value for points in lines.values() for _, value in points]
    if min(heights) > 0 and max(heights) > 50 * min(heights):
        axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)
    buffer = io.StringIO()
    # text as paths needs no font of the reader's; the salt keeps equal runs' pages equal
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue()
    # ids are global to a page, and matplotlib names the parts of every figure alike
    prefix = re.sub(r"\W", "_", title)
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return f"<figure>{svg[svg.index('<svg') :]}</figure>"


def _summary(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    parts = []
    for stage, record in {facts.get("stage", "run"): facts, **facts.get("stages", {})}.items():
        status = status_of(record)
        took = f" in {_duration(record['seconds'])}" if "seconds" in record else ""
        parts.append(
            f'<span class="badge {html.escape(status)}">{html.escape(stage)} {status}</span>{took}'
        )
    error = "".join(
        f'<p class="error">{html.escape(str(record["error"]))}</p>'
        for record in (facts, *facts.get("stages", {}).values())
        if record.get("error")
    )
    started = html.escape(str(facts.get("created", ""))[:16].replace("T", " "))
    return f"<p>{' &nbsp; '.join(parts)} &nbsp; begun {started} UTC</p>{error}"


def _metrics(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return ""
    own = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    tables = [_stage_metrics(own)] if own else []
    for stage, values in metrics.items():
        if isinstance(values, Mapping):
            tables.append(f"<h3>{html.escape(stage)}</h3>{_stage_metrics(values)}")
    return "".join(tables)


def _stage_metrics(values: Mapping[str, Any]) -> str:
    """A stage's figures in a table; groups of many are folded away below it."""
    rows: dict[str, Any] = {}
    folded = []
    for name, value in values.items():
        opened = _opened({name: value})
        if len(opened) <= _UNFOLDED:
            rows |= opened
        else:
            title = f"{html.escape(_label(name))}: {len(opened)} figures"
            folded.append(f"<details><summary>{title}</summary>{_table(opened)}</details>")
    return _table(rows) + "".join(folded)


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


def _parameters(folder: Path) -> str:
    tables = []
    for path in sorted(folder.glob("params*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        stage = path.stem.removeprefix("params").strip("_")
        heading = f"<h3>{html.escape(stage)}</h3>" if stage else ""
        tables.append(heading + _table(values) if values else "")
    return "".join(tables)


def _provenance(facts: Mapping[str, Any]) -> str:
    shown = ("command", "git", "dataset", "seeds", "started", "ended", "sessions", "peak_memory")
    rows = {name: facts[name] for name in (*shown, "hardware", "python", "host") if facts.get(name)}
    packages = facts.get("packages") or {}
    if packages:
        rows["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    return _table(rows) if rows else ""


def _figures(folder: Path) -> str:
    pictures = [
        f'<figure><img src="{_data_url(path)}" alt="{html.escape(path.stem)}">'
        f"<figcaption>{html.escape(path.stem.replace('_', ' '))}</figcaption></figure>"
        for path in sorted(folder.glob("*"))
        if path.suffix in _IMAGES
    ]
    return f'<div class="figures">{"".join(pictures)}</div>' if pictures else ""


def _data_url(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_IMAGES[path.suffix]};base64,{content}"


def _markdown_file(path: Path) -> str:
    if not path.is_file():
        return ""
    from nbconvert.filters import markdown2html

    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)
    return f'<div class="card">{_offline(markdown2html(text))}</div>'


def _notebook(path: Path) -> str:
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
    return f'<div class="notebook">{_offline(body)}</div>'


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


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td>{_cell(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{html.escape(_label(key))}: {_size(item) if key.endswith('_bytes') else _cell(item)}"
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if value is None:
        return "none"
    return html.escape(str(value))


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
