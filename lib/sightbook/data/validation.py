"""What is checked about a data set before anything is trained on it.

All problems go into one :class:`Report`, so that a user mends them in one pass; a data set has a
:func:`fingerprint` that run records keep; splits are drawn by hash and tested for leaks.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from sightbook.data.images import content_hash
from sightbook.runs.files import write_atomic

Item = TypeVar("Item")
Severity = Literal["error", "warning"]


class DataError(ValueError):
    """A data set that cannot be used as it is; the message lists every problem."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a data set.

    Attributes:
        kind: what sort, in a few words ("missing file"); problems are grouped by it.
        where: file, and line or row where there is one ("metadata.jsonl:17").
        message: the value found and what was expected.
        severity: an error makes the data set unusable; a warning is to be looked at.
    """

    kind: str
    where: str
    message: str
    severity: Severity = "error"


@dataclass
class Report:
    """All problems of a data set, in the order found."""

    problems: list[Problem] = field(default_factory=list)
    checked: int = 0
    """How many records were looked at."""

    def error(self, kind: str, where: str | Path, message: str) -> None:
        """Add a problem that makes the data set unusable."""
        self.problems.append(Problem(kind, str(where), message))

    def warning(self, kind: str, where: str | Path, message: str) -> None:
        """Add a problem to be looked at."""
        self.problems.append(Problem(kind, str(where), message, "warning"))

    def extend(self, other: Report) -> None:
        """Take over another report's problems and count."""
        self.problems.extend(other.problems)
        self.checked += other.checked

    @property
    def ok(self) -> bool:
        """No errors (there may be warnings)."""
        return not any(problem.severity == "error" for problem in self.problems)

    def groups(self) -> dict[tuple[Severity, str], list[Problem]]:
        """Problems by severity and kind, errors first, the most frequent kind first."""
        found: dict[tuple[Severity, str], list[Problem]] = {}
        for problem in self.problems:
            found.setdefault((problem.severity, problem.kind), []).append(problem)
        return dict(sorted(found.items(), key=lambda item: (item[0][0], -len(item[1]))))

    def text(self, examples: int = 3) -> str:
        """Short table: count, kind, and the first examples of each kind."""
        lines = [self._heading()]
        for (severity, kind), problems in self.groups().items():
            lines.append(f"{len(problems):6d}  {severity}: {kind}")
            lines += [f"          {item.where}: {item.message}" for item in problems[:examples]]
            if len(problems) > examples:
                lines.append(f"          ... and {len(problems) - examples} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All problems, ready for JSON."""
        counts = {
            f"{severity}: {kind}": len(found) for (severity, kind), found in self.groups().items()
        }
        return {
            "ok": self.ok,
            "checked": self.checked,
            "counts": counts,
            "problems": [asdict(problem) for problem in self.problems],
        }

    def raise_errors(self) -> None:
        """Raise :class:`DataError` with the table if there is any error."""
        if not self.ok:
            raise DataError(self.text())

    def __str__(self) -> str:
        return self.text()

    def _heading(self) -> str:
        errors = sum(problem.severity == "error" for problem in self.problems)
        warnings = len(self.problems) - errors
        found = f"{errors} errors, {warnings} warnings" if self.problems else "no problems"
        return f"{self.checked:,} records checked: {found}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{severity}</td><td>{html.escape(kind)}</td><td>{len(problems):,}</td>"
            f"<td style='text-align:left'><code>{html.escape(problems[0].where)}</code> "
            f"{html.escape(problems[0].message)}</td></tr>"
            for (severity, kind), problems in self.groups().items()
        )
        heading = f"<b>{html.escape(self._heading())}</b>"
        if not rows:
            return heading
        titles = "".join(f"<th>{title}</th>" for title in ("", "problem", "count", "for example"))
        return f"{heading}<table><tr>{titles}</tr>{rows}</table>"


@dataclass(frozen=True)
class Fingerprint:
    """What a data set was, in one line: the same files and labels give the same hash.

    Attributes:
        sha256: over names, sizes, contents and labels; the order of the entries does not count.
        files: number of entries.
        bytes: size of all files together.
    """

    sha256: str
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def fingerprint(entries: Iterable[tuple[str, Path | bytes | None, Any]]) -> Fingerprint:
    """Hash a data set.

    Args:
        entries: for each picture its name (relative, so that a moved folder stays the same), its
            file or bytes (None where there is only a label, as with generated pictures), and its
            label as anything JSON can hold. A missing file counts as a missing file.
    """
    rows, total = [], 0
    for name, source, label in entries:
        size, content = 0, ""
        if isinstance(source, bytes):
            size, content = len(source), content_hash(source)
        elif source is not None and source.is_file():
            size, content = source.stat().st_size, content_hash(source)
        elif source is not None:
            content = "missing"
        total += size
        label_text = json.dumps(label, sort_keys=True, ensure_ascii=False, default=str)
        rows.append(json.dumps([Path(name).as_posix(), size, content, label_text]))
    digest = hashlib.sha256("\n".join(sorted(rows)).encode())
    return Fingerprint(digest.hexdigest(), len(rows), total)


def keep_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Record how a data set's folder is made, as `origin.json`, or hold it against the record.

    Raises:
        DataError: the folder was made with other settings; says which.
    """
    file = folder / "origin.json"
    text = json.dumps(origin, indent=2, sort_keys=True, default=str) + "\n"
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        old = json.loads(file.read_text(encoding="utf-8"))
        new = json.loads(text)
        differing = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        changes = ", ".join(f"{key}: {old.get(key)} -> {new.get(key)}" for key in differing)
        raise DataError(
            f"{folder} was made differently ({changes}). Choose another name for the data set, or "
            "delete the folder to make it anew"
        )
    write_atomic(file, text)


def split_by_hash(
    items: Sequence[Item],
    fractions: Mapping[str, float],
    salt: str = "",
    *,
    key: Callable[[Item], str] = str,
    group: Callable[[Item], Hashable | None] | None = None,
) -> dict[str, list[Item]]:
    """Draw splits that depend on nothing but the items themselves.

    An item's place follows from the hash of its key, so adding or removing others does not move
    it (but for the rule on empty splits). Items with the same key, or of the same group, or
    linked by a chain of both, stay together.

    Args:
        items: anything; each split keeps their order.
        fractions: split name -> share; scaled to a sum of 1.
        salt: another salt draws another split.
        key: what identifies an item: the hash of its content, so that copies stay together.
        group: what must not be torn apart (person, road, object); None for an item without one.

    Returns:
        One list per split, near the fractions for many items. No split with a share above 0
        stays empty while another can give it something.

    Raises:
        ValueError: fractions that are negative or all 0.
    """
    if not fractions or min(fractions.values()) < 0 or not sum(fractions.values()) > 0:
        raise ValueError(
            f"fractions are {dict(fractions)}, expected shares of 0 or more, not all 0"
        )
    clusters = _clusters([(key(item), group(item) if group else None) for item in items])
    total = sum(fractions.values())
    draws: dict[str, float] = {}
    for name in set(clusters):
        digest = hashlib.sha256(f"{salt}\0{name}".encode()).digest()
        draws[name] = int.from_bytes(digest[:8], "big") / 2**64
    place: dict[str, str] = {}
    wanted = [name for name, share in fractions.items() if share > 0]
    for cluster, draw in draws.items():
        upto = 0.0
        for name in wanted:
            upto += fractions[name] / total
            place[cluster] = name
            if draw < upto:
                break
    _fill_empty(place, draws, wanted)
    splits: dict[str, list[Item]] = {name: [] for name in fractions}
    for item, cluster in zip(items, clusters, strict=True):
        splits[place[cluster]].append(item)
    return splits


def find_leaks(
    splits: Mapping[str, Sequence[Item]],
    *,
    key: Callable[[Item], str],
    group: Callable[[Item], Hashable | None] | None = None,
    name: Callable[[Item], str] = str,
) -> Report:
    """Report every content (by ``key``) and every group that stands in more than one split."""
    report = Report(checked=sum(len(items) for items in splits.values()))
    content: dict[Hashable, dict[str, str]] = {}
    groups: dict[Hashable, dict[str, str]] = {}
    for split, items in splits.items():
        for item in items:
            content.setdefault(key(item), {}).setdefault(split, name(item))
            label = group(item) if group else None
            if label is not None:
                groups.setdefault(label, {}).setdefault(split, name(item))
    for sides in content.values():
        if len(sides) > 1:
            first, *others = (f"{file} ({split})" for split, file in sides.items())
            report.error("same picture in two splits", first, f"is also {', '.join(others)}")
    for label, sides in groups.items():
        if len(sides) > 1:
            files = ", ".join(f"{file} ({split})" for split, file in sides.items())
            report.error("same group in two splits", f"group {label}", f"holds {files}")
    return report


def _clusters(marks: list[tuple[str, Hashable | None]]) -> list[str]:
    """Name the cluster of each item: what shares a key or a group, directly or by a chain."""
    parent: dict[tuple[str, Hashable], tuple[str, Hashable]] = {}

    def root(node: tuple[str, Hashable]) -> tuple[str, Hashable]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    nodes = []
    for key, label in marks:
        node: tuple[str, Hashable] = ("key", key)
        nodes.append(node)
        root(node)
        if label is not None:
            parent[root(node)] = root(("group", label))
    # A cluster is called after its smallest group, or key: that depends on no order.
    names: dict[tuple[str, Hashable], str] = {}
    for node in list(parent):
        top, title = root(node), f"{node[0]}:{node[1]}"
        names[top] = min(names.get(top, title), title)
    return [names[root(node)] for node in nodes]


def _fill_empty(place: dict[str, str], draws: Mapping[str, float], wanted: list[str]) -> None:
    """Give each empty split one cluster of the split that has most, by lowest draw."""
    for name in wanted:
        members: dict[str, list[str]] = {split: [] for split in wanted}
        for cluster, split in place.items():
            members[split].append(cluster)
        richest = max(wanted, key=lambda split: len(members[split]))
        if not members[name] and len(members[richest]) > 1:
            place[min(members[richest], key=lambda cluster: draws[cluster])] = name
