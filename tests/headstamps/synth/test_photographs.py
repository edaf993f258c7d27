"""Drawn cartridge bases: the same everywhere, and what is said of them is so."""

import itertools
import math

import numpy as np
import pytest

from sightbook.headstamps.synth.layouts import draw_plan
from sightbook.headstamps.synth.letters import Die, Stamp, draw_die, place, strike
from sightbook.headstamps.synth.photographs import LABELS, render_headstamps, render_strip
from sightbook.headstamps.unroll import fit_ellipse


@pytest.fixture(scope="module")
def samples():
    return [render_headstamps(1, index, size=320) for index in range(24)]


@pytest.fixture(scope="module")
def strips():
    return [render_strip(2, index) for index in range(50)]


def test_a_picture_follows_from_seed_and_index_alone():
    one = [render_headstamps(3, index, size=240) for index in (0, 5)]
    two = [render_headstamps(3, index, size=240) for index in (5, 0)][::-1]
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.image, b.image)
        assert a.record == b.record
    assert not np.array_equal(render_headstamps(4, 0, size=240).image, one[0].image)
    first, again = render_strip(3, 1), render_strip(3, 1)
    assert np.array_equal(first.image, again.image) and first.text == again.text


def test_records_fit_their_pictures(samples):
    assert any(not sample.record.boxes for sample in samples)  # clean pictures are data
    shapes = set()
    for sample in samples:
        record = sample.record
        assert sample.image.dtype == np.uint8
        assert sample.image.shape == (record.height, record.width, 3)
        assert max(sample.image.shape) == 320
        shapes.add(sample.image.shape)
        for box in record.boxes:
            assert box.label in LABELS
            x0, y0, x1, y1 = box.xyxy
            assert 0 <= x0 < x1 <= record.width and 0 <= y0 < y1 <= record.height
            points = box.polygons[0]
            assert points.min(0) == pytest.approx([x0, y0])
            assert points.max(0) == pytest.approx([x1, y1])
    assert len(shapes) > 1
    names = [sample.record.name for sample in samples]
    assert len(set(names)) == len(names)


def _pairs(samples):
    """Casings with their primers, or None."""
    for sample in samples:
        boxes = sample.record.boxes
        for number, box in enumerate(boxes):
            if box.label == "casing":
                after = boxes[number + 1] if number + 1 < len(boxes) else None
                yield sample, box, after if after is not None and after.label == "primer" else None


def test_primers_lie_within_their_cases(samples):
    pairs = [(casing, primer) for _, casing, primer in _pairs(samples) if primer is not None]
    assert len(pairs) > 15
    for casing, primer in pairs:
        assert casing.attributes["object_id"] == primer.attributes["object_id"]
        if casing.attributes["truncated"]:
            continue
        ellipse = fit_ellipse(casing.polygons[0])
        radii = np.linalg.norm(ellipse.unit(primer.polygons[0]), axis=1)
        assert radii.min() > 0.2 and radii.max() < 0.65
        # The outline is an ellipse, and cases lean by less than the lettering can bear.
        assert np.linalg.norm(ellipse.unit(casing.polygons[0]), axis=1) == pytest.approx(
            1, abs=0.02
        )
        assert ellipse.b / ellipse.a > 0.5


def test_casings_say_what_is_stamped_on_them(samples):
    seen = set()
    for _, casing, _ in _pairs(samples):
        facts = casing.attributes
        assert facts["text"].split() == facts["tokens"]
        assert " ".join(part["text"] for part in facts["segments"]) == facts["text"]
        assert all(0 <= part["angle"] < 360 for part in facts["segments"])
        seen |= {part["direction"] for part in facts["segments"]}
        assert facts["legibility"] in ("full", "poor")
        small = casing.width < 70
        assert not small or facts["legibility"] == "poor"
    assert {"outward", "inward"} <= seen <= {"outward", "inward", "sideways"}


def test_heads_stand_out_from_what_they_lie_on(samples):
    """The outline is where the picture changes: more than at other places."""
    ratios = []
    for sample, casing, _ in _pairs(samples):
        if casing.attributes["truncated"] or casing.width < 60:
            continue
        grey = sample.image.astype(float).mean(-1)
        ellipse = fit_ellipse(casing.polygons[0])

        def change(share, ellipse=ellipse, grey=grey):
            turns = np.linspace(0, 2 * math.pi, 90)
            unit = np.stack([np.cos(turns), np.sin(turns)], 1)
            at = [
                np.clip(ellipse.points(unit * k).astype(int), 0, np.array(grey.shape)[::-1] - 1)
                for k in (share - 0.06, share + 0.06)
            ]
            inner, outer = (grey[p[:, 1], p[:, 0]] for p in at)
            return np.abs(inner - outer).mean()

        ratios.append(change(1.0) / max(change(1.25), change(0.75), 1.0))
    assert len(ratios) > 8
    assert np.median(ratios) > 1.5


def test_all_directions_and_layouts_occur():
    plans = [draw_plan(np.random.default_rng([7, index])) for index in range(300)]
    turns = {stamp.turn for plan in plans for stamp in plan.stamps}
    assert turns == {0, 180, 90, -90}
    assert {plan.kind for plan in plans} == {"pistol", "rifle", "military", "shotshell", "rimfire"}
    assert {len(plan.stamps) for plan in plans} == {1, 2, 3}
    for plan in plans:
        assert (plan.primer == 0) == (plan.kind == "rimfire")


def test_letters_stay_on_the_ring_and_apart():
    crossing = 0
    for index in range(150):
        rng = np.random.default_rng([8, index])
        plan = draw_plan(rng)
        letters = [place(stamp, plan.die, rng) for stamp in plan.stamps]
        for one in itertools.chain(*letters):
            reach = math.hypot(one.x, one.y)
            # Half a letter inside the rim and outside the primer, whichever way it is turned.
            assert reach + 0.5 * one.height < 1.03
            assert reach - 0.5 * one.height > plan.primer - 0.04
        places = [np.array([(one.x, one.y) for one in each]) for each in letters]
        for a, b in itertools.combinations(range(len(places)), 2):
            gap = np.linalg.norm(places[a][:, None] - places[b][None], axis=-1).min()
            crossing += gap < 0.5 * plan.stamps[a].height * plan.die.aspect
    assert crossing <= 3


def test_letters_stand_where_and_as_they_are_told():
    die, rng = Die(), np.random.default_rng(0)
    out = place(Stamp("AB C", -90, 0, 0.2, 0.7), die, rng)
    assert [one.char for one in out] == ["A", "B", "C"]
    assert out[0].x < out[1].x < out[2].x and all(one.y < -0.5 for one in out)
    # Inward at the bottom reads from left to right too.
    inward = place(Stamp("ABC", 90, 180, 0.2, 0.7), die, rng)
    assert inward[0].x < inward[1].x < inward[2].x and all(one.y > 0.5 for one in inward)
    assert (inward[1].rotation + 180) % 360 == pytest.approx(180, abs=5)
    # Tops clockwise at the left, anti-clockwise at the right: upright as seen, on one line.
    for angle, turn in ((180, 90), (0, -90)):
        side = place(Stamp("16", angle, turn, 0.2, 0.7), die, rng)
        assert side[0].x < side[1].x
        assert side[0].y == pytest.approx(0, abs=1e-6) and side[1].y == pytest.approx(0, abs=1e-6)
        assert (side[0].rotation + 180) % 360 == pytest.approx(180)


@pytest.mark.parametrize("index", range(8))
def test_every_die_leaves_ink_of_the_asked_height(index):
    die = draw_die(np.random.default_rng(index))
    letters = place(Stamp("H", -90, 0, 0.5, 0.5), die, np.random.default_rng(0))
    mask = strike(301, 140.0, letters, die)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tall = rows[-1] - rows[0] + 1
    assert tall == pytest.approx(70, abs=10)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(150 - 70, abs=6)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(150, abs=6)


def test_strips_are_lines_for_a_recogniser(strips):
    assert {strip.turn for strip in strips} >= {0, 180}
    for strip in strips:
        assert strip.image.ndim == 2 and strip.image.dtype == np.uint8
        assert strip.image.shape[0] == 64
        assert strip.text == " ".join(strip.text.split())
        whole = strip.turn in (0, 180)
        assert (strip.image.shape[1] > 250) == whole
    assert np.mean([bool(strip.text) for strip in strips]) > 0.8


def test_strips_say_what_stands_upright_in_them(strips):
    """The same seed draws the same plan first: what it stamps that way is what the strip says."""
    whole = 0
    asked = 0
    for index, strip in enumerate(strips):
        plan = draw_plan(np.random.default_rng([2, index, 0x57A1]))
        upright = [stamp.text for stamp in plan.stamps if stamp.turn == strip.turn]
        assert set(strip.text) <= set(" ".join(upright)) | {" "}
        asked += len(upright)
        whole += sum(text in strip.text for text in upright)
    assert asked > 40
    # Seams at random places cut some.
    assert whole > 0.8 * asked
