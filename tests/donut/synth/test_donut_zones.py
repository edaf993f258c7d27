"""Zone crops: the same on every machine, true to their text and geometry, and of many kinds."""

from collections import Counter

import cv2
import numpy as np
import pytest

from sightbook.donut.mrz import build as mrz
from sightbook.donut.synth import people
from sightbook.donut.synth.people import TYPE_WEIGHTS, random_identity, random_lines
from sightbook.donut.synth.printing import print_lines
from sightbook.donut.synth.zone_fonts import CELL_HEIGHT, CELL_WIDTH, FACES, ZoneFont, atlas
from sightbook.donut.synth.zones import MAX_TILT, render_zone
from sightbook.synth.fonts import TYPEFACES

TD3 = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]


def rng(*words: int) -> np.random.Generator:
    return np.random.default_rng(words)


@pytest.fixture(scope="module")
def texts() -> list[people.MrzText]:
    return [random_lines(rng(1, index)) for index in range(1500)]


# --- text ------------------------------------------------------------------------------------


def test_texts_are_valid_unless_noted(texts: list[people.MrzText]) -> None:
    broken = {"wrong check digit", "national layout", "random text"}
    for text in texts:
        form = mrz.FORMATS[text.type]
        assert [len(line) for line in text.lines] == [form.columns] * form.rows
        assert set("".join(text.lines)) <= set(mrz.ALPHABET)
        parsed = mrz.parse(text.lines, text.type)
        if text.note not in broken:
            assert parsed.valid, (text, parsed.problems)
        elif text.note != "random text":
            assert not parsed.valid, text


def test_texts_say_what_the_identity_says(texts: list[people.MrzText]) -> None:
    for text in texts[:300]:
        if text.note in ("national layout", "random text"):
            continue
        parsed, who = mrz.parse(text.lines, text.type), text.identity
        fields = parsed.fields
        assert fields["document_number"] == who.document_number
        assert fields["issuing_state"] == who.issuing_state
        assert fields["nationality"] == who.nationality
        assert fields["sex"] == (None if who.sex == "X" else who.sex)
        if not parsed.names_truncated:
            assert fields["surname"] == who.surname_plain
            assert (fields["given_names"] or "") == who.given_names_plain


def test_kinds_and_oddities_come_in_their_shares(texts: list[people.MrzText]) -> None:
    types = Counter(text.type for text in texts)
    for name, share in TYPE_WEIGHTS.items():
        assert types[name] / len(texts) == pytest.approx(share, abs=0.04)
    notes = Counter(text.note for text in texts)
    assert notes[""] / len(texts) > 0.8
    assert set(notes) == {
        "", "wrong check digit", "no filler", "long number", "long names", "national layout",
        "random text",
    }  # fmt: skip
    whole = [line for text in texts if text.note == "no filler" for line in text.lines]
    assert sum("<" not in line for line in whole) >= notes["no filler"]
    assert any(text.identity.issuing_state == "D" for text in texts)
    assert any(text.identity.sex == "X" for text in texts)
    assert any("<<" in text.identity.birth_date_mrz for text in texts)
    assert len({text.identity.issuing_state for text in texts}) > 150


def test_characters_are_spread_so_that_no_reader_learns_a_language(
    texts: list[people.MrzText],
) -> None:
    counts = Counter("".join(line for text in texts for line in text.lines))
    total = sum(counts.values()) - counts["<"]
    for character in mrz.ALPHABET[:-1]:
        assert counts[character] / total > 0.003, character


def test_every_name_can_be_written_in_a_zone() -> None:
    for region in people.REGIONS:
        assert all(state in mrz.STATES for state in region.states)
        for names in (*region.surnames, *region.men, *region.women):
            for name in names.split("/"):
                assert mrz.transliterate(name)


def test_identity_dates_are_in_order() -> None:
    for index in range(100):
        who = random_identity(rng(2, index))
        assert who.birth_date < who.issue_date < who.expiry_date
        assert who.birth_date.strftime("%y%m%d")[:2] == who.birth_date_mrz[:2]


# --- print -----------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_every_face_has_every_character(face: str) -> None:
    assert (TYPEFACES / face).is_file()
    cells = atlas(ZoneFont(face), 20.0)
    assert cells.shape == (37, round(CELL_HEIGHT * 20), round(CELL_WIDTH * 20))
    assert len({cell.tobytes() for cell in cells}) == 37
    inked = (cells > 127).mean(axis=(1, 2))
    assert inked.min() > 0.02
    assert inked.max() < 0.4


def test_printed_ink_fills_its_quads_and_nothing_else() -> None:
    for pitch in (7.0, 13.3, 21.0):
        zone = print_lines(rng(3), TD3, pitch, ZoneFont(), wear=0.0)
        assert zone.line_quads.shape == (2, 4, 2)
        inside = np.zeros_like(zone.alpha)
        for quad in zone.line_quads:
            (left, top), (right, base) = quad[0], quad[2]
            assert right - left == pytest.approx(44 * pitch, rel=1e-4)
            grown = np.array([[left, top - 1.5], [right, top - 1.5], [right, base + 1.5],
                              [left, base + 1.5]])  # fmt: skip
            cv2.fillConvexPoly(inside, np.round(grown).astype(np.int32), 1)
            band = zone.alpha[round(top) : round(base) + 1]
            columns = np.flatnonzero((band > 127).any(axis=0))
            # The first and the last character stand in their cells.
            assert left <= columns[0] <= left + pitch
            assert right - pitch <= columns[-1] <= right
        assert zone.alpha[inside == 0].astype(int).sum() < 0.03 * zone.alpha.astype(int).sum()


def test_characters_stand_in_their_cells() -> None:
    line = "I" * 7 + "<" + "I" * 22
    zone = print_lines(rng(4), [line, "<" * 30], 16.0, ZoneFont(), wear=0.0)
    left, _ = zone.line_quads[0, 0]
    top, base = zone.line_quads[0, 0, 1], zone.line_quads[0, 2, 1]
    band = zone.alpha[round(top) : round(base), :].astype(float)
    for column in range(30):
        cell = band[:, round(left + 16 * column) : round(left + 16 * (column + 1))]
        middle = cell.sum(axis=0) @ np.arange(cell.shape[1]) / cell.sum()
        assert middle == pytest.approx(7.5, abs=2.0)


def test_foreign_characters_are_refused() -> None:
    with pytest.raises(ValueError, match="'a'"):
        print_lines(rng(5), ["P<a"], 12.0)


# --- pictures --------------------------------------------------------------------------------


def test_a_sample_is_the_same_whatever_was_drawn_before() -> None:
    first = render_zone(7, 3)
    for index in range(5):
        render_zone(8, index)
    again = render_zone(7, 3)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.line_quads, again.line_quads)
    assert first.lines == again.lines
    assert not np.array_equal(first.image, render_zone(7, 4).image)


def test_samples_are_well_formed() -> None:
    for index in range(60):
        sample = render_zone(11, index)
        form = mrz.FORMATS[sample.type]
        assert sample.image.dtype == np.uint8
        assert sample.image.ndim == 2
        assert [len(line) for line in sample.lines] == [form.columns] * form.rows
        assert sample.line_quads.dtype == np.float32
        assert sample.line_quads.shape == (form.rows, 4, 2)
        height, width = sample.image.shape
        xs, ys = sample.line_quads[..., 0], sample.line_quads[..., 1]
        assert -1 <= xs.min() <= xs.max() <= width
        assert -1 <= ys.min() <= ys.max() <= height
        along = sample.line_quads[:, 1] - sample.line_quads[:, 0]
        angles = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
        assert np.abs(angles).max() < MAX_TILT + 4


def straightened(sample, quad: np.ndarray) -> np.ndarray:
    """The line's own rectangle, 8 px a character, with half a line above and below."""
    columns = len(sample.lines[0])
    size = (8 * columns, 32)
    corners = np.array([[0, 11], [size[0], 11], [size[0], 21], [0, 21]], np.float32) - 0.5
    view = cv2.getPerspectiveTransform(quad, corners)
    return cv2.warpPerspective(sample.image, view, size, borderMode=cv2.BORDER_REPLICATE)


def test_ink_lies_inside_the_quads() -> None:
    inner, outer = [], []
    for index in range(40):
        sample = render_zone(12, index, difficulty=0.3)
        for quad in sample.line_quads:
            line = straightened(sample, quad).astype(float)
            # Vertical strokes make columns differ where there is text, and hardly above it.
            inner.append(np.abs(np.diff(line[13:19], axis=1)).mean())
            outer.append(np.abs(np.diff(line[[7, 8, 23, 24]], axis=1)).mean())
    assert np.median(inner) > 4 * np.median(outer)
    assert np.mean(np.array(inner) > np.array(outer)) > 0.97


def test_letters_and_fillers_stand_where_the_text_says() -> None:
    # Left of the baseline's end a letter with a stem is inked and a "<" is not: order of the text,
    # direction of reading and the corners' order must all be right for this to come out.
    stems, fillers = [], []
    for index in range(60):
        sample = render_zone(13, index, difficulty=0.2)
        for text, quad in zip(sample.lines, sample.line_quads, strict=True):
            line = straightened(sample, quad).astype(float)
            dark, light = np.percentile(line[10:22], (2, 90))
            for column, character in enumerate(text):
                foot = line[18:20, 8 * column : 8 * column + 4].min()
                share = (light - foot) / (light - dark)
                if character in "BDEFHIKLMNPRU":
                    stems.append(share)
                elif character == "<":
                    fillers.append(share)
    assert min(len(stems), len(fillers)) > 500
    assert np.median(stems) > 0.75
    assert np.median(fillers) < 0.5


def test_pictures_are_of_many_kinds() -> None:
    samples = [render_zone(14, index) for index in range(150)]
    pitches = [np.linalg.norm(s.line_quads[0, 1] - s.line_quads[0, 0]) / len(s.lines[0])
               for s in samples]  # fmt: skip
    assert min(pitches) < 7
    assert max(pitches) > 20
    assert {s.type for s in samples} == set(mrz.TYPES)
    assert np.std([s.image.mean() for s in samples]) > 25
    assert np.std([s.image.std() for s in samples]) > 10
    assert len({s.image.shape for s in samples}) > 140


def test_difficulty_is_a_dial() -> None:
    def pitch(sample) -> float:
        quad = sample.line_quads[0]
        return float(np.linalg.norm(quad[1] - quad[0])) / len(sample.lines[0])

    easy = [render_zone(15, index, difficulty=0.0) for index in range(40)]
    assert min(pitch(sample) for sample in easy) > 7  # 12 px, some shrunk again afterwards
    for bad in (-0.1, 1.5):
        with pytest.raises(ValueError, match="difficulty"):
            render_zone(15, 0, difficulty=bad)
