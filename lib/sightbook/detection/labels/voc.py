"""Pascal VOC: an XML file a picture, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from sightbook.data.images import natural_key
from sightbook.data.validation import Report
from sightbook.detection.labels.checks import SPLIT_NAMES, Draft, DraftBox, Drafts, split_of


def voc_files(folder: Path) -> list[Path]:
    """XML files below a folder that are VOC annotations, in natural order."""
    found = (file for file in folder.rglob("*.xml") if not file.name.startswith("."))
    return sorted((file for file in found if b"<annotation" in file.read_bytes()), key=natural_key)


def read_voc(files: Iterable[Path], base: Path, *, report: Report) -> Drafts:
    """Read VOC files; classes come in alphabetical order.

    Corners count pixels from 1 and belong to the box, so that the box of all pixels of a picture
    w wide goes from 1 to w; here it goes from 0 to w. Objects marked difficult count neither way
    in VOC's own evaluation and become crowds. The splits are those of ``ImageSets/Main``, or of
    the folders.

    Args:
        files: as `voc_files` gives them.
        base: where they lie.
        report: takes files that are no XML and objects that lack something.
    """
    splits = _image_sets(base)
    drafts, labels = [], set()
    for file in files:
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            report.error("wrong XML", file.name, str(error))
            continue
        # tools leave the name of a picture that was renamed later: the file's own name is next
        filename = (root.findtext("filename") or "").strip()
        beside = file.relative_to(base).with_suffix("").as_posix()
        size = _number(root.findtext("size/width")), _number(root.findtext("size/height"))
        draft = Draft(
            tuple(name for name in (filename, beside) if name),
            file,
            size=(size[0], size[1]) if size[0] and size[1] else None,
            split=splits.get(file.stem) or split_of(PurePosixPath(file.relative_to(base))),
        )
        for number, element in enumerate(root.iter("object"), start=1):
            box = _box(element, f"{file.name}: object {number}", report)
            if box is not None:
                draft.boxes.append(box)
                labels.add(box.label)
        drafts.append(draft)
    return Drafts(drafts, sorted(labels))


def _box(element: Element, where: str, report: Report) -> DraftBox | None:
    label = (element.findtext("name") or "").strip()
    corners = [_number(element.findtext(f"bndbox/{side}")) for side in _SIDES]
    if not label:
        report.error("object without class", where, "expected <name>")
        return None
    left, top, right, bottom = corners
    if left is None or top is None or right is None or bottom is None:
        texts = [element.findtext(f"bndbox/{side}") for side in _SIDES]
        report.error("box is no numbers", where, f"{dict(zip(_SIDES, texts, strict=True))}")
        return None
    flags = {
        flag: element.findtext(flag, "0").strip() == "1"
        for flag in ("difficult", "truncated", "occluded")
    }
    return DraftBox(
        label,
        (left - 1, top - 1, right, bottom),
        where=where,
        crowd=flags["difficult"],
        attributes={flag: True for flag, value in flags.items() if value},
    )


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _image_sets(base: Path) -> dict[str, str]:
    """Split of each stem listed in ``ImageSets/Main/{train,val,test}.txt``."""
    splits = {}
    for file in sorted(base.glob("**/ImageSets/Main/*.txt")):
        if file.stem in SPLIT_NAMES:
            for line in file.read_text(encoding="utf-8").splitlines():
                splits[line.strip()] = SPLIT_NAMES[file.stem]
    return splits
