"""Whole synthetic documents: the same everywhere, quads on the ink, fields as in the zone."""

import hashlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sightbook.donut.mrz import build as mrz
from sightbook.donut.synth.details import Sheet, mark_specimen
from sightbook.donut.synth.documents import KINDS, DocumentSample, render_document
from sightbook.synth.lettering import TextLayer

SIZE = (640, 480)
CELL = 8  # pixels of a character in a straightened line


@pytest.fixture(scope="module")
def samples() -> list[DocumentSample]:
    return [render_document(5, index, SIZE) for index in range(60)]


@pytest.fixture(scope="module")
def zoned(samples: list[DocumentSample]) -> list[DocumentSample]:
    return [sample for sample in samples if sample.lines]


def straighten(image: np.ndarray, quad: np.ndarray, cells: int, height: int) -> np.ndarray:
    """The inside of ``quad`` as a grey picture, CELL pixels a character wide."""
    width = cells * CELL
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.warpPerspective(grey, matrix, (width, height)).astype(np.float64)


def digest(sample: DocumentSample) -> str:
    data = sample.image.tobytes() + sample.line_quads.tobytes() + "".join(sample.lines).encode()
    return hashlib.sha256(data).hexdigest()


def test_a_sample_is_the_same_whatever_was_rendered_before(samples: list[DocumentSample]) -> None:
    again = render_document(5, 7, SIZE)
    assert digest(again) == digest(samples[7])
    assert digest(render_document(6, 7, SIZE)) != digest(again)
    assert digest(render_document(5, 8, SIZE)) != digest(again)


def test_a_sample_is_the_same_in_another_process(samples: list[DocumentSample]) -> None:
    code = (
        "import hashlib; from sightbook.donut.synth.documents import render_document as r;"
        "s = r(5, 11, (640, 480));"
        "d = s.image.tobytes() + s.line_quads.tobytes() + ''.join(s.lines).encode();"
        "print(hashlib.sha256(d).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(samples[11])


def test_pictures_have_the_size_asked_for(samples: list[DocumentSample]) -> None:
    assert {sample.image.shape for sample in samples} == {(480, 640, 3)}
    assert {sample.image.dtype for sample in samples} == {np.dtype(np.uint8)}
    assert render_document(5, 0, (333, 501)).image.shape == (501, 333, 3)


def test_another_size_shows_the_same_document_in_the_same_place() -> None:
    small = render_document(5, 3, SIZE)
    large = render_document(5, 3, (1280, 960))
    assert small.lines and small.lines == large.lines
    assert small.identity_fields == large.identity_fields
    np.testing.assert_allclose((large.line_quads + 0.5) / 2 - 0.5, small.line_quads, atol=1.5)


def test_lines_and_quads_fit_their_type(zoned: list[DocumentSample]) -> None:
    for sample in zoned:
        assert sample.type is not None
        shape = mrz.FORMATS[sample.type]
        assert [len(line) for line in sample.lines] == [shape.columns] * shape.rows
        assert set("".join(sample.lines)) <= set(mrz.ALPHABET)
        assert sample.line_quads.shape == (shape.rows, 4, 2)
        assert sample.line_quads.dtype == np.float32


def test_the_whole_zone_lies_in_the_picture(zoned: list[DocumentSample]) -> None:
    for sample in zoned:
        assert sample.line_quads.min() >= 0
        assert (sample.line_quads <= np.array(SIZE) - 1).all()


def test_zone_widths_span_the_range_readers_meet(zoned: list[DocumentSample]) -> None:
    widths = [np.linalg.norm(sample.line_quads[0, 1] - sample.line_quads[0, 0]) for sample in zoned]
    assert min(widths) >= 0.2 * SIZE[0]
    assert min(widths) < 0.3 * SIZE[0]
    assert max(widths) > 0.8 * SIZE[0]


def test_line_quads_hold_the_ink(zoned: list[DocumentSample]) -> None:
    """Strokes make a line uneven along its length; the gap between two lines is even."""
    good = 0
    for sample in zoned:
        first, second = sample.line_quads[:2]
        gap = np.stack([first[3], first[2], second[1], second[0]])
        # The middle of the gap: blur carries some ink over a quad's edges.
        gap = np.stack([gap[0] * 0.7 + gap[3] * 0.3, gap[1] * 0.7 + gap[2] * 0.3,
                        gap[1] * 0.3 + gap[2] * 0.7, gap[0] * 0.3 + gap[3] * 0.7])  # fmt: skip
        cells = len(sample.lines[0])
        line = straighten(sample.image, first, cells, 12)
        between = straighten(sample.image, gap, cells, 12)
        darker = line.mean() < between.mean()
        uneven = np.abs(np.diff(line)).mean() > 1.3 * np.abs(np.diff(between)).mean()
        good += darker and uneven
    assert good >= 0.9 * len(zoned), f"{good} of {len(zoned)}"


def test_characters_stand_in_equal_cells_of_the_quad(zoned: list[DocumentSample]) -> None:
    """Ink is thicker in the middle of the cells than at their borders, at both ends of a line."""
    good = 0
    for sample in zoned:
        cells = len(sample.lines[0])
        line = straighten(sample.image, sample.line_quads[0], cells, 12)
        both_ends = np.concatenate([line[:, : 6 * CELL], line[:, -6 * CELL :]], axis=1)
        cell = both_ends.reshape(12, 12, CELL).mean(axis=(0, 1))
        good += cell[2:6].mean() < min(cell[0], cell[-1])
    assert good >= 0.9 * len(zoned), f"{good} of {len(zoned)}"


def test_quads_follow_the_reading_order_at_every_rotation(zoned: list[DocumentSample]) -> None:
    quarters = set()
    for sample in zoned:
        top_left, top_right, _, bottom_left = sample.line_quads[0]
        along, down = top_right - top_left, bottom_left - top_left
        assert along[0] * down[1] - along[1] * down[0] > 0  # not mirrored
        following = sample.line_quads[1].mean(axis=0) - sample.line_quads[0].mean(axis=0)
        assert following @ down > 0  # the second line is below the first
        turn = np.degrees(np.arctan2(along[1], along[0])) - sample.rotation_degrees
        assert abs((turn + 180) % 360 - 180) < 15  # perspective bends a little
        quarters.add(round(sample.rotation_degrees / 90) % 4)
    assert quarters == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["id_front", "other"])
def test_kinds_without_a_zone_have_no_lines(kind: str) -> None:
    for index in range(4):
        sample = render_document(2, index, (320, 240), kind)
        assert sample.kind == kind
        assert sample.lines == [] and sample.type is None
        assert sample.line_quads.shape == (0, 4, 2)


def test_about_one_picture_in_eight_has_no_zone() -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    assert KINDS["id_front"] + KINDS["other"] == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("kind", "types"),
    [("passport", {"TD3"}), ("id_back", {"TD1", "TD2"}), ("visa", {"MRVA", "MRVB"})],
)
def test_fields_agree_with_the_zone(kind: str, types: set[str]) -> None:
    regular = 0
    seen = set()
    for index in range(20):
        sample = render_document(3, index, (320, 240), kind)
        seen.add(sample.type)
        if sample.note:
            continue
        regular += 1
        zone = mrz.parse(sample.lines, sample.type).fields
        printed = sample.identity_fields
        name = mrz.transliterate(printed["surname"].split(" / ")[-1]).replace("<", " ").strip()
        assert name.startswith(zone["surname"] or "")
        assert printed["document_number"].upper() == zone["document_number"]
        assert printed["state"].upper() == zone["issuing_state"]
        assert printed["nationality"].upper() == zone["nationality"]
        for key in ("birth_date", "expiry_date"):
            numbers = {int(number) % 100 for number in re.findall(r"\d+", printed[key])}
            assert int(str(zone[key])[:2]) in numbers  # the year
            if "<" not in str(zone[key]):
                assert int(str(zone[key])[4:]) in numbers  # the day
    assert seen == types
    assert regular >= 10


def test_the_specimen_mark_stays_in_its_box() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        image = np.full((300, 500, 3), 255, np.uint8)
        sheet = Sheet(image, 4.0, TextLayer(1, 1), TextLayer(1, 1))
        mark_specimen(rng, sheet, (10.0, 5.0, 110.0, 50.0))
        inked = np.argwhere((image < 250).any(axis=2))
        assert len(inked) > 100
        assert inked.min(axis=0)[0] >= 5 * 4 - 1 and inked.min(axis=0)[1] >= 10 * 4 - 1
        assert inked.max(axis=0)[0] <= 50 * 4 + 1 and inked.max(axis=0)[1] <= 110 * 4 + 1


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'licence'.*passport"):
        render_document(0, 0, SIZE, "licence")
