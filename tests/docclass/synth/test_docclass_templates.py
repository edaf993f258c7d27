"""Generated templates: the same everywhere, each a type of its own, in the format of the line."""

import numpy as np
import pytest

from sightbook.data.images import Skipped, open_image
from sightbook.data.validation import Report
from sightbook.docclass.data import read_classes
from sightbook.docclass.synth.templates import KINDS, render_template, write_templates
from sightbook.docclass.synth.views import plain_pixels


def test_a_template_follows_from_seed_and_index():
    one, again = render_template(3, 11, 200), render_template(3, 11, 200)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.kind == again.kind
    for other in (render_template(3, 12, 200), render_template(4, 11, 200)):
        assert other.image.shape != one.image.shape or not np.array_equal(other.image, one.image)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_at_the_size_asked_for(kind):
    for index in range(6):
        sample = render_template(0, index, 160, kind)
        assert sample.kind == kind
        assert sample.image.dtype == np.uint8
        assert max(sample.image.shape[:2]) == 160
        assert min(sample.image.shape[:2]) >= 32
        assert sample.image.std() > 4  # there is something on it


def test_all_kinds_come_up_by_chance_cards_most():
    kinds = [render_template(1, index, 64).kind for index in range(150)]
    assert set(kinds) == set(KINDS)
    assert max(set(kinds), key=kinds.count) == "card"


def test_types_differ_from_one_another():
    small = np.stack([
        np.asarray(render_template(2, index, 96, "card").image[:32, :32]) for index in range(60)
    ])  # fmt: skip
    near = plain_pixels(small)
    same = (near @ near.T > 0.999) & ~np.eye(60, dtype=bool)
    # Two plain cards may look alike in a corner, not many.
    assert same.sum() / 2 <= 3


def test_a_folder_is_written_whole_whatever_the_workers_and_goes_on(tmp_path):
    alone = write_templates(tmp_path / "alone", 5, seed=9, long_side=96)
    stamp = (alone / "000002.png").stat().st_mtime_ns
    (alone / "000004.png").unlink()
    write_templates(alone, 5, seed=9, long_side=96)
    assert (alone / "000002.png").stat().st_mtime_ns == stamp
    several = write_templates(tmp_path / "several", 5, seed=9, long_side=96, workers=2)
    classes = read_classes(several, report=Report(), skipped=Skipped(0))
    assert [item.name for item in classes] == [f"{index:06d}" for index in range(5)]
    for index in range(5):
        drawn = render_template(9, index, 96).image
        for folder in (alone, several):
            np.testing.assert_array_equal(open_image(folder / f"{index:06d}.png"), drawn)


def test_impossible_wishes_are_refused():
    with pytest.raises(ValueError, match="long_side is 10"):
        render_template(0, 0, 10)
    with pytest.raises(ValueError, match="kind is 'cheque', expected one of card"):
        render_template(0, 0, 96, "cheque")
