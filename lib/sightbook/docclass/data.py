"""Folders of templates: one picture is one class, a sub-folder's pictures are one class together.

Which classes are one artwork (`families`) and which split they belong to is worked out from the
pictures, or read from `classes.json` where `01_prepare_docclass` has written it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sightbook.data.images import ImageError, Skipped, content_hash, image_files, open_image
from sightbook.data.validation import DataError, Report, split_by_hash
from sightbook.docclass import families
from sightbook.docclass.families import FamilyLink, Signature, find_families, signature
from sightbook.runs.files import read_json, write_json
from sightbook.runs.run import outputs_root

CLASSES_FILE = "classes.json"
SPLITS_FILE = "splits.json"
"""In a run's folder: content hash of each picture it was given -> train, calibration or test."""

MIN_SIDE = 16
"""Smaller templates, in pixels, hold nothing to recognise them by."""

FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.6, "calibration": 0.2, "test": 0.2})

_SIGNATURE_SIDE = 256


@dataclass(frozen=True)
class TemplateClass:
    """A document type: its name and its templates.

    Attributes:
        name: path below the folder, without suffix, ``/`` between its parts.
        files: its pictures.
        family: artwork family; empty where it was not looked for.
        split: train, calibration or test; empty where there is none.
    """

    name: str
    files: tuple[Path, ...]
    family: str = ""
    split: str = ""


@dataclass(frozen=True)
class Pool:
    """The classes of a folder with families and splits.

    Attributes:
        folder: where they are.
        classes: in natural order.
        links: pairs of classes found to be one artwork, the strongest first.
        report: problems of the folder.
        skipped: pictures that cannot be used.
        hashes: content hash of each file, by its path below the folder.
    """

    folder: Path
    classes: list[TemplateClass]
    links: list[FamilyLink]
    report: Report
    skipped: Skipped
    hashes: Mapping[str, str] = field(default_factory=dict)

    def of(self, split: str) -> list[TemplateClass]:
        """Classes of a split."""
        return [item for item in self.classes if item.split == split]

    def splits(self) -> dict[str, str]:
        """Content hash of each picture -> its split."""
        return {
            self.hashes[_below(self.folder, file)]: item.split
            for item in self.classes
            for file in item.files
        }

    def holds(self, item: TemplateClass, hashes: Collection[str]) -> bool:
        """Whether any picture of a class has one of these content hashes."""
        return any(self.hashes[_below(self.folder, file)] in hashes for file in item.files)

    def as_recorded(self, splits: Mapping[str, str]) -> Pool:
        """The same pool with the splits that a run recorded; pictures it does not know keep theirs.

        A class of which any picture was trained on counts as trained on.
        """
        classes = []
        for item in self.classes:
            hashes = [self.hashes[_below(self.folder, file)] for file in item.files]
            known = {splits[value] for value in hashes if value in splits}
            order = [name for name in ("train", "calibration", "test") if name in known]
            classes.append(replace(item, split=order[0]) if order else item)
        return replace(self, classes=classes)

    def families(self) -> dict[str, list[TemplateClass]]:
        """Classes by family, families of several classes first, the largest first."""
        found: dict[str, list[TemplateClass]] = {}
        for item in self.classes:
            found.setdefault(item.family, []).append(item)
        return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def read_classes(folder: str | Path, *, report: Report, skipped: Skipped) -> list[TemplateClass]:
    """List the classes of a folder; pictures are opened, but not kept.

    Args:
        folder: of pictures and sub-folders; a sub-folder's own sub-folders belong to its class.
        report: takes classes of the same name, which are left out but for the first.
        skipped: takes pictures that cannot be read or are smaller than `MIN_SIDE`.

    Raises:
        DataError: there is no such folder.
    """
    files = []
    for file in _files(folder):
        try:
            _check(file)
        except ImageError as error:
            skipped.add(error.path, error.reason)
        else:
            files.append(file)
    return _grouped(Path(folder), files, report)


def pool(
    folder: str | Path,
    *,
    fractions: Mapping[str, float] = FRACTIONS,
    salt: str = "",
    max_bad: int = 20,
) -> Pool:
    """Read a folder of templates, find its artwork families and split it.

    Splits follow from the pictures' contents, not from their names. With a `classes.json` whose
    hashes fit the files, families and splits are taken from it and `fractions` and `salt` are not
    looked at; files that it does not know are an error, since they might stand on both sides.

    Args:
        folder: in the format of this module.
        fractions: share of each split.
        salt: another one draws other splits.
        max_bad: pictures that may be unusable.

    Raises:
        DataError: no such folder, no usable picture, or a `classes.json` that does not fit.
        TooManySkipped: more than `max_bad` pictures cannot be used.
    """
    folder = Path(folder)
    report, skipped = Report(), Skipped(max_bad)
    facts = _facts(folder)
    for name, reason in facts["skipped"].items():
        skipped.add(folder / name, reason)
    classes = _grouped(folder, [folder / name for name in facts["hashes"]], report)
    report.checked = len(classes)
    if not classes:
        raise DataError(f"{folder}: no picture in it can be used as a template")
    hashes: dict[str, str] = facts["hashes"]
    written = folder / CLASSES_FILE
    if written.is_file():
        classes, links = _from_file(written, classes, hashes)
    else:
        links = [FamilyLink(**link) for link in facts["links"]]
        classes = [replace(item, family=facts["families"][item.name]) for item in classes]
        first = {item.name: min(hashes[_below(folder, f)] for f in item.files) for item in classes}
        # A family goes by its smallest hash: names may change, contents decide.
        family: dict[str, str] = {}
        for item in classes:
            family[item.family] = min(family.get(item.family, first[item.name]), first[item.name])
        splits = split_by_hash(
            classes,
            fractions,
            salt,
            key=lambda item: first[item.name],
            group=lambda item: family[item.family],
        )
        place = {item.name: name for name, part in splits.items() for item in part}
        classes = [replace(item, split=place[item.name]) for item in classes]
    return Pool(folder, classes, links, report, skipped, hashes)


def write_classes(found: Pool, origin: Mapping[str, Any]) -> Path:
    """Write a pool's families and splits as `classes.json` into its folder.

    Args:
        found: the pool.
        origin: how the folder was made; kept with it.
    """
    rows = [
        {
            "name": item.name,
            "files": {
                _below(found.folder, f): found.hashes[_below(found.folder, f)] for f in item.files
            },
            "family": item.family,
            "split": item.split,
        }
        for item in found.classes
    ]
    path = found.folder / CLASSES_FILE
    links = [asdict(link) for link in found.links]
    write_json(path, {"origin": dict(origin), "classes": rows, "links": links})
    return path


def class_name(folder: Path, file: Path) -> str:
    """Class of a file: its first folder below `folder`, or its own name without suffix."""
    parts = file.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else Path(parts[0]).stem


def _below(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def _files(folder: str | Path) -> list[Path]:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; expected one of template pictures")
    return image_files(folder)


def _check(file: Path) -> Signature:
    image = open_image(file, at_least=_SIGNATURE_SIDE)
    if min(image.shape[:2]) < MIN_SIDE:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ImageError(file, f"is {size} pixels, a template needs {MIN_SIDE} a side or more")
    return signature(image)


def _grouped(folder: Path, files: Sequence[Path], report: Report) -> list[TemplateClass]:
    """Classes of usable files; of two with one name (`a.jpg`, `a.png`, `a/`) the first is kept."""
    members: dict[str, dict[str, list[Path]]] = {}
    for file in files:
        name = class_name(folder, file)
        # A sub-folder is one place, each picture directly in the folder is one of its own.
        place = name + "/" if file.parent != folder else file.name
        members.setdefault(name, {}).setdefault(place, []).append(file)
    classes = []
    for name, places in members.items():
        (first, kept), *others = places.items()
        for other, _ in others:
            report.error(
                "two templates of one name",
                folder / other,
                f"gives the class {name!r}, which {first} has already; rename one, or put pictures "
                "of one class into a sub-folder",
            )
        classes.append(TemplateClass(name, tuple(kept)))
    return classes


def _facts(folder: Path) -> dict[str, Any]:
    """What takes opening every picture: hashes, families, links, and what cannot be used.

    Kept under `outputs/data/docclass/.cache`, until a file's name, size or time changes.
    """
    files = _files(folder)
    digest = hashlib.sha256(Path(families.__file__).read_bytes())
    digest.update(str(folder.resolve()).encode())
    for file in files:
        state = file.stat()
        digest.update(f"\0{_below(folder, file)}\0{state.st_size}\0{state.st_mtime_ns}".encode())
    cache = outputs_root() / "data" / "docclass" / ".cache" / f"pool-{digest.hexdigest()[:16]}.json"
    if cache.is_file():
        return dict(read_json(cache))
    signatures, names = [], []
    hashes: dict[str, str] = {}
    unusable: dict[str, str] = {}
    for file in files:
        try:
            signatures.append(_check(file))
        except ImageError as error:
            unusable[_below(folder, file)] = error.reason
            continue
        hashes[_below(folder, file)] = content_hash(file)
        names.append(class_name(folder, file))
    found, links = find_families(signatures, names)
    facts = {
        "hashes": hashes,
        "families": dict(zip(names, found, strict=True)),
        "links": [asdict(link) for link in links],
        "skipped": unusable,
    }
    write_json(cache, facts)
    return facts


def _from_file(
    path: Path, classes: Sequence[TemplateClass], hashes: Mapping[str, str]
) -> tuple[list[TemplateClass], list[FamilyLink]]:
    """Families and splits as `classes.json` has them.

    Raises:
        DataError: it cannot be read, or files were added or changed since.
    """
    try:
        written = read_json(path)
        rows = {row["name"]: row for row in written["classes"]}
        links = [FamilyLink(**link) for link in written["links"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not as 01_prepare_docclass writes it ({error})") from error
    folder = path.parent
    known = {name: value for row in rows.values() for name, value in row["files"].items()}
    strange = [
        name
        for item in classes
        for name in (_below(folder, file) for file in item.files)
        if known.get(name) != hashes[name]
    ]
    if strange:
        shown = ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")
        raise DataError(
            f"{path}: {len(strange)} templates were added or changed since it was written "
            f"({shown}); run 01_prepare_docclass again, or delete the file"
        )
    return [
        replace(item, family=rows[item.name]["family"], split=rows[item.name]["split"])
        for item in classes
    ], links
