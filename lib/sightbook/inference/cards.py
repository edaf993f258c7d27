"""What cards and files of models of all lines share: a run's records, a card's order, the origin.

Every number on a card is taken from the run folder's own records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import sightbook
from sightbook.figures.tables import Table
from sightbook.inference.export import Exported
from sightbook.runs.files import read_json

_UNTOLD = ("run", "workers", "device")
"""Parameters that a card says in another way, or that do not matter to its reader."""


@dataclass(frozen=True)
class Records:
    """What a run folder says of itself: ``run.json``, ``params.yaml`` and ``metrics.json``."""

    run: dict[str, Any]
    params: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's."""
        return str(self.run["run"])

    @property
    def facts(self) -> dict[str, Any]:
        """What an exported file says of where it is from: run, commit, data, settings, figures."""
        return {
            "version": sightbook.__version__,
            "run": self.name,
            "git": self.run.get("git"),
            "dataset": self.run.get("dataset"),
            "params": self.params,
            "metrics": {name: value for name, value in self.metrics.items() if "/" in name},
        }


def read_records(run: Path) -> Records:
    """Read a run folder; metrics are empty where there are none yet."""
    params = yaml.safe_load((run / "params.yaml").read_text(encoding="utf-8")) or {}
    file = run / "metrics.json"
    return Records(read_json(run / "run.json"), params, read_json(file) if file.is_file() else {})


def card_page(
    title: str,
    purpose: str,
    use: Sequence[str],
    notes: Sequence[str],
    figures: Sequence[str],
    exported: Exported,
    agreement: Sequence[str],
    training: Sequence[str],
) -> str:
    """A card as Markdown.

    Args:
        title: line and run.
        purpose: a paragraph.
        use: command lines.
        notes: lines on inputs, outputs and what to be careful of.
        figures: lines; with those of `agreement` they end in an empty one.
        exported: what was written.
        agreement: lines on how near the files are to PyTorch.
        training: a list.
    """
    lines = [f"# Model card: {title}", "", purpose, "", "## Use", "", "```", *use, "```", ""]
    lines += [*notes, "", "## Figures", "", *figures]
    lines += ["## Export", "", Table(exported.variants).markdown(), ""]
    lines += [*stored_text(exported.parity), *agreement]
    return "\n".join([*lines, "## Training", "", *training]).rstrip() + "\n"


def stored_text(parity: Mapping[str, Any]) -> list[str]:
    """How the weights of the float files are stored, as a paragraph; empty where that is unknown.

    Args:
        parity: by part of the model, see `onnx.with_half_weights`.
    """
    half = {name: part for name, part in parity.items() if part.get("weights") == "fp16"}
    if not half:
        return []
    parts = "" if len(half) == len(parity) else f" ({', '.join(half)})"
    scores = max(part["scores"] for part in half.values())
    return [
        f"Weights are stored as fp16{parts} and computed with in fp32: half the bytes, and no "
        f"score further than {scores:.1e} from PyTorch's.",
        "",
    ]


def format_params(params: dict[str, Any], names: Iterable[str] | None = None) -> list[str]:
    """Parameters as a list: those of `names`, or all that are set."""
    if names is None:
        unset: tuple[Any, ...] = ("", None, {}, [])
        names = [name for name, value in params.items() if name not in _UNTOLD]
        names = [name for name in names if params[name] not in unset]
    return [f"- {name}: {params.get(name)}" for name in names]


def origin(records: Records, no_data: str = "unknown") -> list[str]:
    """How long it took on what machine, from which commit and data.

    Args:
        records: of the run.
        no_data: what to say in place of a fingerprint where there is none.
    """
    hardware = records.run.get("hardware", {})
    git = records.run.get("git") or {}
    return [
        f"- wall-clock time: {records.run.get('seconds', 0) / 60:.0f} minutes",
        f"- machine: {hardware.get('processor')}, {hardware.get('cores')} cores; GPUs: "
        f"{', '.join(map(str, hardware.get('gpus') or [])) or 'none'}",
        f"- commit: {git.get('commit', 'unknown')}{' (changed)' if git.get('dirty') else ''}",
        f"- data fingerprint: {(records.run.get('dataset') or {}).get('sha256', no_data)}",
    ]


def format_validation(metrics: dict[str, Any]) -> list[str]:
    """Validation figures of training as a list."""
    kept = {name: value for name, value in metrics.items() if name.startswith("validation/")}
    return [f"- {name}: {value:.4f}" for name, value in kept.items()]
