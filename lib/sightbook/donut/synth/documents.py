"""Whole invented documents as photographed, scanned and copied, to train the zone finder.

Every design is invented and every document bears a SPECIMEN mark outside its zone: the pictures
serve to train readers, nothing else. Sample ``index`` of ``seed`` is a function of these two
numbers and the size, on every machine and in every process.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from sightbook.donut.synth import scenes, wording
from sightbook.donut.synth.designs import draw_design
from sightbook.donut.synth.people import Identity, MrzText, random_identity, random_lines
from sightbook.donut.synth.plans import plan_design

KINDS: dict[str, float] = {
    "passport": 0.42, "id_back": 0.31, "visa": 0.15, "id_front": 0.05, "other": 0.07,
}  # fmt: skip
"""Kinds of documents and how often each is drawn; "id_front" and "other" have no zone."""

_STYLES: dict[str, float] = {"photo": 0.58, "scan": 0.18, "copy": 0.08, "full": 0.16}
_STREAM = 0xD0C  # keeps these samples apart from those of other generators with the same seed


@dataclass(frozen=True)
class DocumentSample:
    """One picture of a document.

    Attributes:
        image: uint8 RGB [H, W, 3].
        kind: "passport", "id_front", "id_back", "visa" or "other"; TD2 cards, many of which bear
            portrait and zone on the same side, count as "id_back".
        lines: text of the zone, top to bottom; empty where there is no zone.
        type: "TD1", "TD2", "TD3", "MRVA", "MRVB", or None.
        line_quads: float32 [n, 4, 2], corners (x, y) of each line in reading order of the text:
            top left, top right, bottom right, bottom left of the written line, cap top to
            baseline, first to last character cell.
        identity_fields: the values printed outside the zone by label key; empty for "other".
        rotation_degrees: clockwise turn of the reading direction, 0 <= r < 360.
        note: what is unusual about the zone, as ``people.MrzText.note`` has it.
    """

    image: npt.NDArray[np.uint8]
    kind: str
    lines: list[str]
    type: str | None
    line_quads: npt.NDArray[np.float32]
    identity_fields: dict[str, str]
    rotation_degrees: float
    note: str


def render_document(
    seed: int, index: int, size: tuple[int, int] = (1280, 960), kind: str | None = None
) -> DocumentSample:
    """Render sample ``index`` of ``seed``.

    Args:
        seed: non-negative.
        index: non-negative.
        size: width and height of the picture in pixels; the cost falls with it. The same sample
            at another size shows the same document in the same place.
        kind: one of ``KINDS``; drawn by their shares if None.

    Raises:
        ValueError: for a kind that is none of ``KINDS``.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not known; expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, index, _STREAM])
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = kind or drawn
    text = _zone_text(rng, kind)
    identity = text.identity if text else random_identity(rng, "TD1")
    fields = {} if kind == "other" else printed_fields(rng, identity)
    lines = text.lines if text else []
    plan = plan_design(rng, kind, text.type if text else None, lines)
    style = str(rng.choice(list(_STYLES), p=list(_STYLES.values())))
    placement = scenes.place(rng, plan, size, style)
    scale = scenes.sheet_scale(placement, plan, size)
    sheet, quads = draw_design(rng, plan, lines, fields, scale)
    image = scenes.compose(rng, sheet, scale, plan, placement, size, style)
    return DocumentSample(
        image=image,
        kind=kind,
        lines=lines,
        type=text.type if text else None,
        line_quads=scenes.to_image(placement, scale, quads),
        identity_fields=fields,
        rotation_degrees=placement.rotation,
        note=text.note if text else "",
    )


def _zone_text(rng: np.random.Generator, kind: str) -> MrzText | None:
    if kind == "passport":
        return random_lines(rng, "TD3")
    if kind == "id_back":
        return random_lines(rng, "TD1" if rng.random() < 0.66 else "TD2")
    if kind == "visa":
        return random_lines(rng, "MRVA" if rng.random() < 0.5 else "MRVB")
    return None


def printed_fields(rng: np.random.Generator, identity: Identity) -> dict[str, str]:
    """What a document prints of an identity outside its zone.

    Args:
        rng: source of what the zone does not say (height, address) and of the manner of writing.
        identity: the bearer.

    Returns:
        Values by label key of ``wording.LABELS``, and "sex_code" (M, F or X).
    """
    style = int(rng.integers(7))
    capitals = rng.random() < 0.7
    surname, given = identity.surname, identity.given_names
    if identity.surname_native != surname and rng.random() < 0.6:
        surname = f"{identity.surname_native} / {surname}"
        given = f"{identity.given_names_native} / {given}" if given else ""
    place = identity.birth_place
    office = ("Ministry of", "Office", "Stadt", "Préfecture de")[rng.integers(4)]
    street = f"{wording.place_name(rng)} {rng.integers(1, 200)}, {wording.digits(rng, 5)} {place}"
    values = {
        "type": identity.document_code,
        "state": identity.issuing_state,
        "document_number": identity.document_number,
        "surname": surname,
        "given_names": given,
        "nationality": identity.nationality,
        "birth_date": _birth_date(identity, style),
        "sex": identity.sex,
        "birth_place": place,
        "issue_date": _written(identity.issue_date, style),
        "expiry_date": _written(identity.expiry_date, style),
        "authority": f"{office} {wording.place_name(rng)}",
        "personal_number": identity.optional_data.replace("<", " ").strip(),
        "height": f"{rng.integers(150, 200)} cm",
        "eyes": ("Brown", "Blue", "Green", "Grey")[rng.integers(4)],
        "address": street,
    }
    if capitals:
        values = {key: value.upper() for key, value in values.items()}
    return {**values, "sex_code": identity.sex}


def _written(day: date, style: int) -> str:
    return wording.written_date(day.year, day.month, day.day, style)


def _birth_date(identity: Identity, style: int) -> str:
    """The date of birth, without the parts that the zone does not know."""
    known = identity.birth_date_mrz.rstrip("<")
    if len(known) == 6:
        return _written(identity.birth_date, style)
    year = str(identity.birth_date.year)
    return year if len(known) < 4 else f"{wording.MONTHS[identity.birth_date.month - 1]} {year}"
