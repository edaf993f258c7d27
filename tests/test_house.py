"""The rules of the house: who may import whom, who knows whom, and how full a folder may be."""

import ast
import graphlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import sightbook
from sightbook.lines import LINES

HOUSE = Path(sightbook.__file__).parent

SHARED = {"defects": "detection", "headstamps": "detection"}
"""What two lines stand on; it is a line to all others."""

USED = "sightbook.ocr"
"""The one line that others use, through the names that it gives out itself."""

USERS = ("headstamps", "donut")

MOST = 22
"""Modules in a folder, `__init__` left out."""


TABLES = ("lines.py", "_moved.py")
"""What names the lines, so that nothing else has to."""

ROOMS = sorted(
    path
    for path in HOUSE.rglob("*.py")
    if path.relative_to(HOUSE).parts[0] not in (*LINES, *TABLES)
)

KEYS = (
    *LINES,
    *("mrz", "td1", "td2", "td3", "icao", "passport", "visa"),
    *("docclassifier", "cosface", "arcface"),
    *("hocr", "hiertext", "ocrs", "rten"),
    *("pothole", "potholes", "pcb", "asphalt"),
    *("headstamp", "headstamps", "casing", "casings", "primer", "gazetteer"),
)
"""Words that only one line has a meaning for."""

_WORD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def modules(house):
    """Dotted name -> file."""
    found = {}
    for file in sorted(house.rglob("*.py")):
        parts = file.relative_to(house.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file, names):
    """The modules of the house that a file imports, anywhere in it: in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in names else node.module)
    return found & set(names)


def graph(house):
    names = modules(house)
    return {name: imported(file, names) - {name} for name, file in names.items()}


def circle(imports):
    """A circle of imports as text; empty if there is none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def room(name):
    """The folder or module right under the package that a module belongs to."""
    return ([*name.split("."), ""])[1]


def refused(name, other):
    """Why a module may not import another; empty if it may."""
    here, there = room(name), room(other)
    if here == there or there not in (*LINES, *SHARED.values()) or SHARED.get(here) == there:
        return ""
    if here in USERS and other == USED:
        return ""
    if here in USERS and there == room(USED):
        return f"takes {other} of a line, and not what {USED} gives out"
    kind = "line" if here in LINES else "room"
    return f"is of a {kind} and imports {other}, which is of a line"


def words(text: str) -> set[str]:
    """Words of a text or a name, in lower case; CamelCase and snake_case taken apart."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")
    return {word.lower() for word in _WORD.findall(parts)}


def named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line number and text of every name, import and string of a module, but its docstrings."""
    told = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    for node in ast.walk(tree):
        place = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((place, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((place, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Name):
            yield place, node.id
        elif isinstance(node, ast.Attribute):
            yield place, node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield place, node.arg or ""
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield place, node.name
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
        ):
            yield place, node.value


def known_of_lines(source: str) -> list[str]:
    """What a room's source knows of lines: ``NUMBER: TEXT (WORDS)``."""
    return [
        f"{place}: {text!r} ({', '.join(sorted(words(text) & set(KEYS)))})"
        for place, text in named(ast.parse(source))
        if words(text) & set(KEYS)
    ]


@pytest.fixture(scope="module")
def imports():
    return graph(HOUSE)


def test_nothing_imports_in_a_circle(imports):
    assert circle(imports) == ""


def test_rooms_import_no_line_and_lines_only_what_they_stand_on(imports):
    found = {
        f"{name} {why}"
        for name, others in imports.items()
        for other in others
        if (why := refused(name, other))
    }
    assert found == set()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(HOUSE)))
def test_no_room_knows_a_line(room: Path) -> None:
    assert known_of_lines(room.read_text(encoding="utf-8")) == []


def test_the_rule_sees_imports_keys_and_names_but_no_prose() -> None:
    for source in (
        "from sightbook.donut import mrz",
        "import sightbook.ocr.pages.page",
        "truth['mrz']",
        "def draw_casings(): ...",
        "line == 'defects'",
        "f'outputs/headstamps/{run}'",
        "params.ocr",
        "ExportOcr = 1",
    ):
        assert known_of_lines(source), source
    prose = '"""Such as donut."""\n# ocr\nsource = "apt install tesseract-ocr"'
    assert known_of_lines(prose) == []


def test_no_folder_is_crowded():
    counts = Counter(
        file.parent.relative_to(HOUSE).as_posix()
        for file in modules(HOUSE).values()
        if file.name != "__init__.py"
    )
    crowded = {folder: count for folder, count in counts.items() if count > MOST}
    assert crowded == {}


def test_each_folder_says_what_it_holds():
    folders = {file.parent for file in modules(HOUSE).values()}
    bare = [
        folder.relative_to(HOUSE).as_posix()
        for folder in folders
        if not (folder / "__init__.py").is_file()
        or not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert bare == []


def test_what_breaks_the_rules_is_found(tmp_path):
    house = tmp_path / "sightbook"
    for name, text in {
        "__init__.py": "",
        "ocr/__init__.py": "def __getattr__(name):\n    from sightbook.ocr import predict\n",
        "ocr/predict.py": "",
        "headstamps/__init__.py": "",
        "headstamps/read.py": "from sightbook.ocr import Predictor\nimport sightbook.detection.box",
        "headstamps/show.py": "from sightbook.ocr import predict\n",
        "detection/__init__.py": "",
        "detection/box.py": "def f():\n    from sightbook.detection.crop import g\n",
        "detection/crop.py": "from sightbook.detection import box\n",
        "plots.py": "def f():\n    from sightbook.headstamps.read import g\n",
    }.items():
        file = house / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    imports = graph(house)
    assert circle(imports).count("sightbook.detection.") == 3
    found = [
        (name, other)
        for name, others in imports.items()
        for other in others
        if refused(name, other)
    ]
    assert sorted(found) == [
        ("sightbook.headstamps.show", "sightbook.ocr.predict"),
        ("sightbook.plots", "sightbook.headstamps.read"),
    ]
    assert refused("sightbook.detection.box", "sightbook.defects.params")
    assert refused("sightbook.donut.read", "sightbook.docclass.predict")
