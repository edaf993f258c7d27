import hashlib

import cv2
import numpy as np
import pytest

from sightbook.defects.synth import surfaces
from sightbook.defects.synth.board_defects import LABELS, break_board
from sightbook.defects.synth.fields import bank
from sightbook.defects.synth.potholes import Hole, dig
from sightbook.defects.synth.surfaces import KINDS, render_surface, write_surfaces
from sightbook.defects.synth.views import flat_view, road_view
from sightbook.headstamps.synth import photographs

DEEP = Hole(0.6, (0.0, 0.0, 0.0), 0.8, 0.3, 0.1, 0.0, 1.0, 0.3, 1.0)


@pytest.fixture(scope="module")
def samples():
    """A few pictures of every kind, small enough to be quick."""
    return {
        kind: [render_surface(5, i, kind=kind, size=(400, 320), clean_share=0.0) for i in range(10)]
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_a_function_of_seed_index_and_kind(kind):
    first = render_surface(3, 7, kind=kind, size=(320, 240))
    again = render_surface(3, 7, kind=kind, size=(320, 240))
    assert np.array_equal(first.image, again.image)
    assert first.record == again.record
    assert first.image.shape == (240, 320, 3)
    assert first.image.dtype == np.uint8
    for other in (render_surface(3, 8, kind=kind, size=(320, 240)),
                  render_surface(4, 7, kind=kind, size=(320, 240))):  # fmt: skip
        assert not np.array_equal(first.image, other.image)
        assert first.record.name != other.record.name


@pytest.mark.parametrize("kind", KINDS)
def test_usual_size(kind):
    sample = render_surface(0, 0, kind=kind)
    assert sample.image.shape[1::-1] == KINDS[kind].size
    assert (sample.record.width, sample.record.height) == KINDS[kind].size


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_lie_inside_and_bear_known_names(samples, kind):
    boxes = [(s.record, box) for s in samples[kind] for box in s.record.boxes]
    assert len(boxes) >= 8
    for record, box in boxes:
        x0, y0, x1, y1 = box.xyxy
        assert 0 <= x0 < x1 <= record.width
        assert 0 <= y0 < y1 <= record.height
        assert box.label in KINDS[kind].labels
        assert all(isinstance(v, float) for v in box.xyxy)
        for polygon in box.polygons:
            assert polygon.dtype == np.float32
            assert len(polygon) >= 3
            # half a line's width around a crack may stick out by a pixel
            assert (polygon >= np.array([x0, y0]) - 1.01).all()
            assert (polygon <= np.array([x1, y1]) + 1.01).all()


@pytest.mark.parametrize("kind", KINDS)
def test_share_of_clean_pictures(kind):
    def drawn(share):
        return [
            render_surface(1, i, kind=kind, size=(200, 160), clean_share=share) for i in range(6)
        ]

    assert [s.record.boxes for s in drawn(1.0)] == [()] * 6
    always, mixed = drawn(0.0), drawn(0.5)
    spared = [not np.array_equal(a.image, m.image) for a, m in zip(always, mixed, strict=True)]
    # a picture that is damaged at one share is the same at a lower one
    assert 1 <= sum(spared) <= 5
    assert all(not m.record.boxes for m, clean in zip(mixed, spared, strict=True) if clean)
    assert sum(bool(s.record.boxes) for s in always) >= 5


def test_every_fault_of_boards_is_drawn():
    found = {
        box.label
        for i in range(12)
        for box in render_surface(2, i, kind="board", clean_share=0).record.boxes
    }
    assert found == set(LABELS)


def test_boards_are_black_and_white(samples):
    for sample in samples["board"]:
        grey = sample.image[..., 0]
        assert (sample.image == grey[..., None]).all()
        assert ((grey < 60) | (grey > 195)).mean() > 0.97


def _plates():
    """A board of two wide plates, 40 pixels apart, and a trace of 12."""
    copper = np.zeros((400, 400), np.uint8)
    copper[40:140, 40:360] = 255
    copper[180:280, 40:360] = 255
    copper[330:342, 20:380] = 255
    return copper


@pytest.fixture(scope="module")
def faults():
    """Faults drawn one at a time into the plates: label -> (broken board, box)."""
    plates, found = _plates(), {label: [] for label in LABELS}
    for seed in range(120):
        broken, boxes = break_board(np.random.default_rng(seed), plates, 1)
        for box in boxes:
            found[box.label].append((broken, box))
    assert all(len(cases) >= 4 for cases in found.values()), {k: len(v) for k, v in found.items()}
    return found


def _parts(mask):
    return cv2.connectedComponentsWithStats(mask)


def test_faults_change_only_what_their_boxes_hold(faults):
    plates = _plates()
    for broken, box in (case for cases in faults.values() for case in cases):
        ys, xs = np.nonzero(broken != plates)
        x0, y0, x1, y1 = box.xyxy
        assert len(xs) >= 8
        assert x0 <= xs.min() and xs.max() < x1
        assert y0 <= ys.min() and ys.max() < y1
        # DeepPCB's boxes leave about ten pixels round the fault
        assert 6 <= xs.min() - x0 <= 14 or x0 == 0
        assert 6 <= y1 - 1 - ys.max() <= 14 or y1 == 400


def test_copper_is_only_taken_by_three_faults_and_only_added_by_three(faults):
    plates = _plates()
    for label, cases in faults.items():
        for broken, _ in cases:
            if label in ("short", "spur", "copper"):
                assert (broken >= plates).all()
            else:
                assert (broken <= plates).all()


def test_shorts_join_and_the_others_do_not(faults):
    before = _parts(_plates())[0]
    joined = [_parts(broken)[0] for broken, _ in faults["short"]]
    assert all(n <= before for n in joined)
    assert sum(n < before for n in joined) >= 0.7 * len(joined)
    for broken, _ in faults["spur"]:
        assert _parts(broken)[0] == before
    for broken, _ in faults["copper"]:
        assert _parts(broken)[0] == before + 1


def test_cuts_part_a_conductor_and_bites_leave_it_whole(faults):
    before = _parts(_plates())[0]
    for broken, _ in faults["open"]:
        assert _parts(broken)[0] > before
    for broken, _ in faults["mousebite"]:
        # crumbs may stay in a ragged bite, but no piece of the conductor comes off
        areas = _parts(broken)[2][1:, cv2.CC_STAT_AREA]
        assert (areas > 60).sum() == before - 1


def test_pin_holes_are_surrounded_by_copper(faults):
    for broken, box in faults["pin-hole"]:
        x0, y0, x1, y1 = map(int, box.xyxy)
        part = cv2.bitwise_not(broken)
        number, names, stats, _ = _parts(part)
        inside = {int(n) for n in np.unique(names[y0:y1, x0:x1])} - {0}
        assert any(stats[n, cv2.CC_STAT_AREA] < 400 for n in inside)
        assert number > _parts(cv2.bitwise_not(_plates()))[0]


def test_broken_boards_leave_their_template_alone():
    plates = _plates()
    break_board(np.random.default_rng(0), plates, 6)
    assert np.array_equal(plates, _plates())


def test_boards_without_copper_or_without_bare_board_break_without_error():
    for level in (0, 255):
        copper = np.full((200, 200), level, np.uint8)
        _, boxes = break_board(np.random.default_rng(1), copper, 8)
        wanted = "copper" if level == 0 else "pin-hole"
        assert {box.label for box in boxes} <= {wanted}


def test_views_project_what_they_show():
    """Pixel -> place on the ground -> pixel, on straight and bent roads and on flat surfaces."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        for view in (road_view(rng, (640, 400)), flat_view(rng, (640, 400), (1.0, 3.0))):
            for x, y in ((100, 399), (500, 200), (320, 120)):
                back = view.pixels(np.array([view.place(x, y)]))[0]
                # flat rows count from the bottom edge, as the plane's z does
                assert np.allclose(back, (x, y), atol=0.05), (seed, back)


def test_roads_shrink_with_distance_as_a_pinhole_shows_them():
    view = road_view(np.random.default_rng(2), (640, 400))
    near, far = view.scales(390)[0], view.scales(195)[0]
    expected = (390 - view.horizon) / (195 - view.horizon)
    assert near / far == pytest.approx(expected, rel=1e-3)
    assert view.scales(390)[1] / view.scales(195)[1] == pytest.approx(expected**2, rel=1e-3)


def test_a_hole_is_dark_at_the_rim_towards_the_light():
    """Light from the top: the upper half of a hole is darker than the lower one."""
    differences = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        view = flat_view(rng, (300, 240), (2.0, 2.0))
        canvas = np.full((240, 300, 3), 130, np.float32)
        outlines = dig(canvas, view, rng, (150.0, 120.0), 120.0, 90.0, (0.0, -1.0), DEEP)
        assert outlines
        points = np.concatenate(outlines)
        top, bottom = points[:, 1].min(), points[:, 1].max()
        middle = int((top + bottom) / 2)
        grey = canvas[..., 0]
        upper, lower = grey[int(top) : middle], grey[middle : int(bottom)]
        differences.append((130 - upper).clip(0).mean() - (130 - lower).clip(0).mean())
        assert grey[:10].min() == 130, "far from the hole nothing changes"
    assert np.mean(differences) > 3


def test_what_is_labelled_can_be_seen():
    """A hole that hardly changes the picture is neither drawn nor labelled."""
    faint = Hole(1.0, (0.0, 0.0, 0.0), 0.01, 0.01, 0.01, 0.0, 1.0, 0.3, 0.5)
    rng = np.random.default_rng(0)
    view = flat_view(rng, (300, 240), (2.0, 2.0))
    canvas = np.full((240, 300, 3), 130, np.float32)
    assert dig(canvas, view, rng, (150.0, 120.0), 80.0, 60.0, (0.0, -1.0), faint) == ()
    assert (canvas == 130).all()


def test_noise_tiles_and_is_standard():
    for kind in ("grain", "rough", "cloud"):
        noise = bank(kind)
        assert noise.mean() == pytest.approx(0, abs=1e-3)
        assert noise.std() == pytest.approx(1, abs=1e-3)
        seam = np.abs(noise[:, 0] - noise[:, -1]).mean()
        inner = np.abs(noise[:, 500] - noise[:, 501]).mean()
        assert seam == pytest.approx(inner, rel=0.25)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"kind": "raod"}, "raod.*road, asphalt"),
        ({"size": (100, 400)}, "100x400.*160x160"),
        ({"clean_share": 20}, "clean_share: 20"),
    ],
)
def test_wrong_arguments_say_what_is_right(how, said):
    with pytest.raises(ValueError, match=said):
        render_surface(0, 0, **how)


def test_written_pictures_are_the_drawn_ones_for_any_number_of_workers(tmp_path):
    how = {"kind": "road", "size": (200, 160)}
    alone = write_surfaces(tmp_path / "one", 3, 9, 1, **how)
    beside = write_surfaces(tmp_path / "two", 3, 9, 2, **how)

    def digests(found):
        return [hashlib.sha256(r.image.read_bytes()).hexdigest() for r in found.records]

    assert digests(alone) == digests(beside)
    assert alone.labels == ("pothole",)
    assert alone.folder == tmp_path / "one"
    for index, (record, other) in enumerate(zip(alone.records, beside.records, strict=True)):
        drawn = render_surface(9, index, **how)
        assert record.boxes == other.boxes == drawn.record.boxes
        assert record.image == tmp_path / "one" / "images" / record.name
        assert np.array_equal(cv2.imread(str(record.image))[..., ::-1], drawn.image)
    assert len({record.group for record in alone.records}) == 3


@pytest.mark.parametrize("line", ["defects", "headstamps"])
def test_writing_that_was_cut_off_goes_on_and_ends_the_same(tmp_path, monkeypatch, line):
    room, render = {
        "defects": (surfaces, "render_surface"),
        "headstamps": (photographs, "render_headstamps"),
    }[line]
    drawn = []
    sound = getattr(room, render)

    def stopped(seed, index, **how):
        drawn.append(index)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return sound(seed, index, **how)

    def draw(folder):
        if line == "defects":
            return write_surfaces(folder, 4, 9, 1, kind="plate", size=(200, 160))
        return photographs.write_headstamps(folder, 4, 9, 1, size=160)

    whole = draw(tmp_path / "whole")
    monkeypatch.setattr(room, render, stopped)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "cut")
    again = draw(tmp_path / "cut")
    assert drawn == [0, 1, 2, 2, 3]
    for one, two in zip(whole.records, again.records, strict=True):
        assert one.image.read_bytes() == two.image.read_bytes()
        assert (one.name, one.boxes, one.group) == (two.name, two.boxes, two.group)
        assert one.attributes == two.attributes
    assert [file.name for file in (tmp_path / "cut").iterdir()] == ["images"]


def test_a_negative_count_is_refused(tmp_path):
    with pytest.raises(ValueError, match="-1 pictures"):
        write_surfaces(tmp_path, -1, 0)
