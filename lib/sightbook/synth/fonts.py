"""Typefaces: the package's, matplotlib's, the machine's and the user's own.

The `embedded` faces come with matplotlib and with this package, so that what is drawn from them is
the same everywhere. `system` adds what the machine has, a folder adds what the user has; both make
a model better and a data set less portable.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

from sightbook.params import ParameterError, resolve_path

TYPEFACES = Path(__file__).parent / "typefaces"
"""Fonts that come with this package; LICENSES.txt beside them says whose they are."""

MEASURE = 100
"""Size, in pixels, at which a face is measured."""

_SUFFIXES = (".ttf", ".otf", ".ttc", ".pfb")
_ORDINARY = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;-()/&"
# Faces whose letters are not what their characters say, or that nobody sets a page in.
_NOT_FOR_TEXT = (
    "lastresort", "dingbat", "symbol", "emoji", "nonuni", "sizonesym", "siztwosym", "sizthreesym",
    "sizfoursym", "sizfivesym", "cmsy", "cmex", "cmmi", "braille", "barcode", "cursor", "icon",
    "blank", "signwriting", "ornaments", "opensymbol", "keyboard", "display-keys", "initials",
    "outline", "-math", "mathjax", "math-", "dejavumath", "lmmath", "notoserifdisplay",
    "linlibertine_k", "linlibertine_i", "linbiolinum_k", "d050000l", "caps", "lastres",
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A typeface.

    Attributes:
        path: its file.
        family: its family's name; faces of one family never stand on both sides of a split.
        style: such as "Bold Italic".
        characters: what it can draw.
        cap_height: of an H, as a share of the size.
        x_height: of an x, as a share of the size.
    """

    path: Path
    family: str
    style: str
    characters: frozenset[str]
    cap_height: float
    x_height: float

    def covers(self, text: str) -> bool:
        """Whether every character of a text can be drawn; blanks need no ink."""
        return self.characters.issuperset(text.replace(" ", ""))


def faces(which: str = "embedded", *, validation: bool | None = None) -> tuple[Face, ...]:
    """Typefaces to set text in, by name of their file.

    Args:
        which: ``embedded``, ``system`` (these and what the machine has) or a folder of font files
            (these and the embedded ones).
        validation: True for those reserved for validation, False for the others, None for all.
            About one family in six is reserved, by its name alone: a family stays on its side
            whatever else is installed.

    Raises:
        ParameterError: the folder does not exist or holds no font that can be used.
    """
    found = _embedded()
    if which == "system":
        found = _united(found, _system())
    elif which != "embedded":
        folder = resolve_path(which)
        if not folder.is_dir():
            raise ParameterError(
                f"fonts: {folder} is no folder; give one with .ttf or .otf files, "
                "or 'embedded' or 'system'"
            )
        own = _measured(sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES))
        if not own:
            raise ParameterError(f"fonts: {folder} holds no font with Latin letters and digits")
        found = _united(found, own)
    if validation is None:
        return found
    return tuple(face for face in found if reserved(face.family) == validation)


def reserved(family: str) -> bool:
    """Whether a family is kept for validation."""
    name = "".join(c for c in family.lower() if c.isalnum())
    value = 693  # leaves two of the embedded families to validation
    for byte in name.encode():  # FNV-1a: the same on every machine, unlike hash()
        value = (value ^ byte) * 16777619 % 2**32
    return value % 6 == 0


def matplotlib_font(name: str) -> Path:
    """A font file that comes with matplotlib, such as "DejaVuSans.ttf"."""
    return _matplotlib_folder() / name


@lru_cache(maxsize=2048)
def open_font(path: Path, size: float, *, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """Open a font file to draw with.

    Args:
        path: of the file.
        size: of the em, pixels.
        shaped: lays text out with ligatures and kerning by raqm where Pillow has it. By default
            letters are set one by one, by the engine that is in every Pillow: the same text is the
            same picture on every machine.
    """
    engine = None if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(path), size, layout_engine=engine)


@cache
def _matplotlib_folder() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@cache
def _embedded() -> tuple[Face, ...]:
    folders = (_matplotlib_folder(), TYPEFACES)
    return _measured([path for folder in folders for path in sorted(folder.glob("*.[ot]tf"))])


@cache
def _system() -> tuple[Face, ...]:
    from matplotlib import font_manager

    return _measured(sorted(map(Path, font_manager.findSystemFonts())))


def _united(first: tuple[Face, ...], more: tuple[Face, ...]) -> tuple[Face, ...]:
    by_name = {face.path.name: face for face in (*more, *first)}
    return tuple(by_name[name] for name in sorted(by_name))


def _measured(paths: list[Path]) -> tuple[Face, ...]:
    found = (_measure(path) for path in paths)
    return tuple(face for face in found if face is not None)


@cache
def _measure(path: Path) -> Face | None:
    """The face of a file; None where it has no ordinary letters of its own."""
    from fontTools.ttLib import TTFont, TTLibError

    if any(part in path.name.lower() for part in _NOT_FOR_TEXT):
        return None
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it remarks on harmless tables
    try:
        with TTFont(path, fontNumber=0, lazy=True) as file:
            characters = frozenset(map(chr, file.getBestCmap() or ()))
        # Opened for this once: a machine may have thousands, too many to keep.
        font = ImageFont.truetype(str(path), MEASURE, layout_engine=ImageFont.Layout.BASIC)
    except (TTLibError, OSError, KeyError, ValueError, AttributeError):
        return None
    if not characters.issuperset(_ORDINARY):
        return None
    family, style = font.getname()
    heights = [-font.getbbox(letter, anchor="ls")[1] / MEASURE for letter in "Hx"]
    if not (0.3 < heights[0] < 1.2 and 0.15 < heights[1] <= heights[0] * 1.05):
        return None
    return Face(path, family or path.stem, style or "", characters, *heights)
