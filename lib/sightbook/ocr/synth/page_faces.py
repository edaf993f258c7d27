"""Which typefaces a page is set in: common ones often, odd ones now and then, each by its role."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from sightbook.synth import fonts
from sightbook.synth.lettering import text_ink

Role = Literal["text", "typed", "hand"]
Families = dict[Role, tuple[tuple[fonts.Face, ...], ...]]

# What most print is set in, or what passes for it; other families take turns for the rest.
_COMMON = (
    "liberation", "arimo", "tinos", "nimbus", "freesans", "freeserif", "dejavu", "stix", "gyre",
    "carlito", "caladea", "roboto", "open sans", "lato", "century", "gothic", "bookman",
    "helvetica", "times", "chrom", "computer modern",
)  # fmt: skip
_TYPEWRITER = (
    "courier", "mono ps", "freemono", "cousine", "lmmono", "latin modern mono", "cmtt", "typo",
    "liberation mono", "nimbus mono", "klaver", "typewriter",
)  # fmt: skip
_SCRIPT = (
    "dancing", "kristi", "rufscript", "breip", "isabella", "colier", "humor", "xkcd", "script",
    "hand", "chancery", "comic", "miama", "purisa", "z003",
)  # fmt: skip
_COMMON_SHARE: dict[Role, float] = {"text": 0.7, "typed": 0.85, "hand": 1.0}


@dataclass(frozen=True)
class Cast:
    """The typefaces to choose from, by role: `common` families and `odd` ones."""

    rng: np.random.Generator
    common: Families
    odd: Families

    def has(self, role: Role) -> bool:
        """Whether there is a typeface of a role."""
        return bool(self.common.get(role) or self.odd.get(role))

    def face(self, role: Role, *, plain: float = 0.0) -> fonts.Face:
        """Draw a typeface: first the family, so that large families do not win, then the face.

        Args:
            role: what it is for; `text` serves where there is none for it.
            plain: how often only upright faces of ordinary weight are let in.
        """
        common, odd = self.common.get(role, ()), self.odd.get(role, ())
        if not common and not odd:
            return self.face("text", plain=plain)
        share = _COMMON_SHARE[role]
        use_common = bool(common) and (not odd or self.rng.random() < share)
        families = common if use_common else odd
        family = families[int(self.rng.integers(len(families)))]
        if self.rng.random() < plain:
            family = tuple(face for face in family if _plain(face)) or family
        return family[int(self.rng.integers(len(family)))]


def cast(rng: np.random.Generator, which: str, validation: bool) -> Cast:
    """The typefaces of `fonts.faces`, sorted by role.

    Raises:
        ParameterError: as :func:`sightbook.synth.fonts.faces` does.
    """
    common, odd = _sorted_faces(which, validation)
    return Cast(rng, common, odd)


@cache
def _sorted_faces(
    which: str, validation: bool
) -> tuple[dict[Role, tuple[tuple[fonts.Face, ...], ...]], ...]:
    families: dict[tuple[Role, bool, str], list[fonts.Face]] = defaultdict(list)
    found = fonts.faces(which, validation=validation) or fonts.faces(which)
    for face in found:
        name = f"{face.family} {face.path.stem}".lower()
        if any(part in name for part in _SCRIPT):
            families["hand", True, face.family].append(face)
        elif _monospaced(face):
            families["typed", any(p in name for p in _TYPEWRITER), face.family].append(face)
        else:
            families["text", any(p in name for p in _COMMON), face.family].append(face)
    sides: tuple[dict[Role, list[tuple[fonts.Face, ...]]], ...] = ({}, {})
    for (role, common, _), members in sorted(families.items()):
        sides[0 if common else 1].setdefault(role, []).append(tuple(members))
    return tuple({role: tuple(group) for role, group in side.items()} for side in sides)


def _monospaced(face: fonts.Face) -> bool:
    narrow, wide = (text_ink(c, face.path, fonts.MEASURE).advance for c in "iM")
    return narrow == wide


def _plain(face: fonts.Face) -> bool:
    style = f"{face.style} {face.path.stem}".lower()
    return not any(part in style for part in ("bold", "ital", "obl", "black", "heavy", "thin"))
