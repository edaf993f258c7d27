"""Scores of JSON predictions as Donut's authors define them.

Tree-edit-distance accuracy and field F1 (Kim et al. 2022, section 4.1): both sides are normalised
(keys ordered by length then alphabet, values to lists of stripped text, empty ones dropped), then
compared as trees, or as the set of their fields. The distance is Zhang and Shasha's (1989).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Node:
    """A node of an ordered tree: a key, or a leaf that holds text."""

    label: str
    leaf: bool = False
    children: tuple[Node, ...] = field(default=())


def normalise(value: Any) -> Any:
    """JSON as both scores see it: objects of lists, leaves as lists of stripped text."""
    if isinstance(value, dict):
        kept = {}
        for key in sorted(value, key=lambda key: (len(key), key)):
            inside = normalise(value[key])
            if inside:
                kept[key] = inside if isinstance(inside, list) else [inside]
        return kept
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, dict) for item in value):
            return [inside for item in value if (inside := normalise(item))]
        texts = [str(item).strip() for item in value if isinstance(item, (str, int, float))]
        return [text for text in texts if text]
    text = "" if value is None else str(value).strip()
    return [text] if text else []


def flatten(value: Any) -> list[tuple[str, str]]:
    """Fields of a normalised value: dotted path of keys and text, list items under one path."""
    fields: list[tuple[str, str]] = []

    def walk(inside: Any, path: str) -> None:
        if isinstance(inside, dict):
            for key, item in inside.items():
                walk(item, f"{path}.{key}" if path else key)
        elif isinstance(inside, list):
            for item in inside:
                walk(item, path)
        else:
            fields.append((path, inside))

    walk(value, "")
    return fields


def tree(value: Any, label: str = "<root>") -> Node:
    """A normalised value as a tree; objects in a list hang from ``<subtree>`` nodes."""
    if isinstance(value, dict):
        return Node(label, children=tuple(tree(item, key) for key, item in value.items()))
    return Node(
        label,
        children=tuple(
            tree(item, "<subtree>") if isinstance(item, dict) else Node(item, leaf=True)
            for item in value
        ),
    )


def _size(node: Node) -> int:
    return len(node.label) if node.leaf else 1


def _change(old: Node, new: Node) -> int:
    if old.leaf and new.leaf:
        return Levenshtein.distance(old.label, new.label)
    if old.leaf or new.leaf:
        return 1 + _size(old if old.leaf else new)
    return int(old.label != new.label)


@dataclass
class _Postorder:
    """A tree's nodes in postorder, the leftmost leaf under each, and the key roots."""

    nodes: list[Node] = field(default_factory=list)
    leftmost: list[int] = field(default_factory=list)

    def add(self, node: Node) -> int:
        first = [self.add(child) for child in node.children]
        self.nodes.append(node)
        self.leftmost.append(first[0] if first else len(self.nodes) - 1)
        return self.leftmost[-1]

    def key_roots(self) -> list[int]:
        return sorted({left: index for index, left in enumerate(self.leftmost)}.values())


def tree_edit_distance(
    old: Node,
    new: Node,
    size: Callable[[Node], int] = _size,
    change: Callable[[Node, Node], int] = _change,
) -> int:
    """Cheapest way to turn one ordered tree into another (Zhang and Shasha 1989).

    By default inserting or removing a key costs 1 and a leaf its number of characters, changing a
    key costs 1 and a leaf the Levenshtein distance of its text.
    """
    a, b = _Postorder(), _Postorder()
    a.add(old)
    b.add(new)
    distances = [[0] * len(b.nodes) for _ in a.nodes]
    for i in a.key_roots():
        for j in b.key_roots():
            _forest(a, b, i, j, distances, size, change)
    return distances[-1][-1]


def _forest(
    a: _Postorder,
    b: _Postorder,
    i: int,
    j: int,
    distances: list[list[int]],
    size: Callable[[Node], int],
    change: Callable[[Node, Node], int],
) -> None:
    """Fills the distances between all subtrees on the leftmost paths under two key roots."""
    left_a, left_b = a.leftmost[i], b.leftmost[j]
    rows, columns = i - left_a + 2, j - left_b + 2
    table = [[0] * columns for _ in range(rows)]
    for x in range(1, rows):
        table[x][0] = table[x - 1][0] + size(a.nodes[left_a + x - 1])
    for y in range(1, columns):
        table[0][y] = table[0][y - 1] + size(b.nodes[left_b + y - 1])
    for x in range(1, rows):
        for y in range(1, columns):
            at, bt = left_a + x - 1, left_b + y - 1
            best = min(
                table[x - 1][y] + size(a.nodes[at]),
                table[x][y - 1] + size(b.nodes[bt]),
            )
            if a.leftmost[at] == left_a and b.leftmost[bt] == left_b:
                best = min(best, table[x - 1][y - 1] + change(a.nodes[at], b.nodes[bt]))
                distances[at][bt] = best
            else:
                beside = table[a.leftmost[at] - left_a][b.leftmost[bt] - left_b]
                best = min(best, beside + distances[at][bt])
            table[x][y] = best


def tree_accuracy(truth: Any, predicted: Any) -> float:
    """Donut's accuracy: 1 - distance(predicted, truth) / distance(nothing, truth), at least 0.

    A truth that is empty itself scores 1 where the prediction is empty, else 0.
    """
    goal = tree(normalise(truth))
    distance = tree_edit_distance(tree(normalise(predicted)), goal)
    nothing = tree_edit_distance(tree({}), goal)
    if nothing == 0:
        return float(distance == 0)
    return max(0.0, 1.0 - distance / nothing)


def field_matches(truth: Any, predicted: Any) -> tuple[int, int]:
    """Fields found right, and fields missing or wrong, each side counted, for Donut's F1."""
    wanted = Counter(flatten(normalise(truth)))
    got = Counter(flatten(normalise(predicted)))
    right = sum((wanted & got).values())
    return right, sum(wanted.values()) + sum(got.values()) - 2 * right
