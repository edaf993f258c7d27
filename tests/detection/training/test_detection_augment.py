"""Training pictures: boxes and outlines stay where the pixels are, clean pictures stay clean."""

import pickle

import numpy as np
import pytest

from detection.spots import BRIGHT, outline, spotted, write_spots
from sightbook.data.images import ImageError, Skipped
from sightbook.defects import train as defects_train
from sightbook.defects.params import TrainDefects
from sightbook.detection.labels.annotations import Box, ImageRecord
from sightbook.detection.training import augment
from sightbook.detection.training.augment import Example, example_of, window
from sightbook.detection.training.loader import TrainingImages, Variation, canvas_for
from sightbook.headstamps import train as headstamps_train
from sightbook.headstamps.params import TrainHeadstamps

STILL = Variation((96, 128), (1.0, 1.0), "none", 0.0, 0.0, 0.0)
SCALES = (0.6, 1.6)

DARK = 115
"""Half-way from ground to spots; in blue, what lies around pictures is darker than that."""


def bright(image, box):
    """Share of bright pixels inside a box and how many there are outside of it."""
    seen = image[..., 2] > DARK
    x0, y0, x1, y1 = np.round(box).astype(int).tolist()
    inside = seen[y0:y1, x0:x1]
    return inside.mean(), int(seen.sum() - inside.sum())


def pictures(records, variation=STILL, **more):
    given = {"masks": False, "count": 8, "own_share": 0.5, "seed": 0, "skipped": Skipped(2)}
    draw = more.pop("draw", None)
    return TrainingImages(records, draw, ("spot",), variation, **(given | more))


def test_boxes_are_scaled_to_the_picture_and_crowds_left_out():
    boxes = (
        Box("b", (10, 20, 30, 60), (outline((10, 20, 30, 60)),)),
        Box("a", (0, 0, 100, 100), crowd=True),
    )
    record = ImageRecord("x.png", 200, 100, boxes)
    made = example_of(np.zeros((50, 100, 3), np.uint8), record, ("a", "b"))
    assert made.boxes.tolist() == [[5, 10, 15, 30]]
    assert made.labels.tolist() == [2]
    assert made.outlines[0][0].tolist() == outline((5, 10, 15, 30)).tolist()


def test_what_is_cut_off_too_far_is_not_demanded():
    example = spotted((10, 10, 30, 30), (60, 10, 80, 30))
    # of the first a quarter is left, of the second all
    part = window(example, 25, 0, 90, 90)
    assert part.boxes.tolist() == [[35, 10, 55, 30]]
    # half of the first is left
    part = window(example, 20, 0, 90, 90)
    assert part.boxes.tolist() == [[0, 10, 10, 30], [40, 10, 60, 30]]
    assert part.masks()[0].sum() == 200


def test_the_box_of_a_cut_outline_is_around_what_is_seen_of_it():
    ring = np.array([(20, 0), (40, 20), (20, 40), (0, 20)], np.float32)
    example = Example(
        np.zeros((40, 40, 3), np.uint8),
        np.array([[0, 0, 40, 40]], np.float32),
        np.ones(1, np.int64),
        ((ring,),),
    )
    part = window(example, 0, 10, 40, 10)  # between the top and the widest place
    assert part.boxes[0].tolist() == [0, 0, 40, 10]
    part = window(example, 0, 0, 40, 10)
    assert part.boxes.tolist() == []  # an eighth of it
    part = window(example, 0, 0, 40, 16)
    assert part.boxes[0].tolist() == [4, 0, 36, 16]


@pytest.mark.parametrize("how", ["none", "horizontal", "turns", "all"])
@pytest.mark.parametrize("outlines", [True, False])
def test_boxes_go_with_the_pixels(how, outlines):
    example = spotted((30, 20, 70, 60), outlines=outlines)
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        turned = augment.mirror(example, rng, how)
        made = augment.jitter(turned, rng, (96, 128), SCALES)
        assert made.image.shape == (96, 128, 3)
        for box in made.boxes:
            seen += 1
            share, outside = bright(made.image, box)
            assert share > 0.9 and outside < 120
        if outlines and len(made.boxes):
            assert abs(made.masks().sum() - (made.image[..., 2] > DARK).sum()) < 120
    assert seen > 25


def test_crops_are_mostly_around_an_object_and_boxes_stay_on_their_pixels():
    example = spotted((30, 20, 40, 28), outlines=False)  # in one corner of the picture
    rng = np.random.default_rng(0)
    made = [augment.jitter(example, rng, (96, 128), (1.0, 1.0), crop=48) for _ in range(100)]
    assert {part.image.shape for part in made} == {(48, 48, 3)}
    whole = [part for part in made if len(part.boxes)]
    assert len(whole) > 60  # less than a third of all places would show it
    assert len({tuple(part.boxes[0]) for part in whole}) > 30
    assert all(bright(part.image, part.boxes[0])[0] > 0.7 for part in whole)


def test_a_crop_is_never_larger_than_the_canvas():
    example = spotted((30, 20, 70, 60), outlines=False)
    rng = np.random.default_rng(0)
    made = augment.jitter(example, rng, (96, 128), (0.5, 0.5), crop=112)
    assert made.image.shape == (96, 112, 3)
    assert made.boxes[0, 2] - made.boxes[0, 0] == pytest.approx(
        40 * 0.5 * min(96 / example.image.shape[0], 128 / example.image.shape[1]), rel=0.05
    )


def test_turned_text_stays_text():
    # red, green and blue corners: clockwise, whichever way up
    image = np.zeros((60, 60, 3), np.uint8)
    for number, (y, x) in enumerate([(0, 0), (0, 50), (50, 50)]):
        image[y : y + 10, x : x + 10, number] = 255
    example = Example(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ())

    def clockwise(made):
        corners = [made.image[y, x].argmax() for y, x in ((5, 5), (5, 55), (55, 55), (55, 5))]
        places = [k for k in range(4) if made.image[((5, 5, 55, 55)[k]), (5, 55, 55, 5)[k]].any()]
        order = [corners[k] for k in places]
        return order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])

    assert all(
        clockwise(augment.mirror(example, np.random.default_rng(s), "turns")) for s in range(20)
    )
    assert not all(
        clockwise(augment.mirror(example, np.random.default_rng(s), "all")) for s in range(20)
    )


def test_a_mosaic_keeps_boxes_on_their_pixels():
    four = [spotted((10 * k + 5, 30, 10 * k + 65, 80), outlines=False) for k in range(4)]
    found = 0
    for seed in range(10):
        made = augment.mosaic(four, np.random.default_rng(seed), (160, 192), (0.8, 1.0))
        assert made.image.shape == (160, 192, 3)
        for box in made.boxes:
            found += 1
            assert bright(made.image, box)[0] > 0.9
    assert found > 10


def test_pasted_objects_bring_what_is_inside_them_and_cover_nothing():
    example = spotted((5, 5, 25, 25), size=(200, 100), ground=30)
    other = spotted((60, 40, 100, 80), size=(200, 100), ground=30)
    primer = Example(
        other.image,
        np.concatenate([other.boxes, [[75, 55, 85, 65]]]).astype(np.float32),
        np.array([1, 2]),
        (*other.outlines, (outline((75, 55, 85, 65)),)),
    )
    pasted = 0
    for seed in range(30):
        made = augment.copy_paste(example, primer, np.random.default_rng(seed))
        assert made.boxes[0].tolist() == [5, 5, 25, 25]
        # never a primer without its casing, nor the part of a casing that is around a primer
        assert made.labels.tolist() in ([1], [1, 1, 2])
        assert (made.image[5:25, 5:25] >= 190).mean() > 0.9
        assert all(bright(made.image, box)[0] > 0.9 for box in made.boxes[1:])
        if len(made.boxes) > 1:
            pasted += 1
            shift = made.boxes[1] - primer.boxes[0]
            assert (made.boxes[2] - primer.boxes[1] == shift).all()
    assert pasted > 5
    assert example.image[50, 50, 0] == 30  # it was not written into


def test_light_changes_as_the_generator_says():
    image = spotted((30, 20, 70, 60)).image
    same = [augment.photometric(image, np.random.default_rng(4)) for _ in range(2)]
    assert (same[0] == same[1]).all()
    made = [augment.photometric(image, np.random.default_rng(seed)) for seed in range(12)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in made)
    assert sum((one != image).any() for one in made) > 8


def test_an_epoch_has_each_labelled_picture_once_and_its_clean_ones_clean(tmp_path):
    records = write_spots(tmp_path).records
    wild = Variation((96, 128), (1.0, 1.0), "horizontal", 0.0, 1.0, 0.5)
    data = pictures(records, wild)
    for epoch in range(2):
        data.set_epoch(epoch)
        assert sorted(data.schedule.tolist()) == list(range(8))
        for place, number in enumerate(data.schedule.tolist()):
            if not records[number].boxes:
                item = data[place]
                assert item["target"]["boxes"].shape == (0, 4)
                assert int(item["image"].max()) <= 124  # nothing bright was pasted in


def test_an_item_follows_from_seed_epoch_and_number(tmp_path):
    records = write_spots(tmp_path).records
    wild = Variation((96, 128), SCALES, "all", 0.8, 0.5, 0.5)
    one, two = pictures(records, wild), pictures(records, wild)
    one.set_epoch(3)
    assert (one[5]["image"] != two[5]["image"]).any()
    two.set_epoch(3)
    two[2]
    assert (one[5]["image"] == two[5]["image"]).all()
    assert (one[5]["target"]["boxes"] == two[5]["target"]["boxes"]).all()


def test_masks_come_where_they_are_asked_for(tmp_path):
    records = write_spots(tmp_path).records
    data = pictures(records, masks=True)
    for place, number in enumerate(data.schedule.tolist()):
        target = data[place]["target"]
        assert target["masks"].shape == (len(records[number].boxes), 96, 128)
        assert target["masks"].sum() == 40 * 24 * len(records[number].boxes)


def test_an_unreadable_picture_is_counted_and_replaced(tmp_path):
    records = write_spots(tmp_path).records
    for number in (0, 1):
        records[number].image.write_bytes(records[number].image.read_bytes()[:60])
    skipped = Skipped(5)
    data = pictures(records, skipped=skipped)
    assert all(data[place]["image"].shape == (3, 96, 128) for place in range(8))
    assert len(skipped) == 2
    for record in records:
        record.image.write_bytes(b"")
    with pytest.raises(ImageError, match="none of the pictures"):
        pictures(records, skipped=Skipped(20))[0]


def test_labelled_and_drawn_pictures_are_mixed_in_their_shares(tmp_path):
    records = write_spots(tmp_path).records
    drawn = []

    def draw(index):
        drawn.append(index)
        return np.full((96, 128, 3), BRIGHT, np.uint8), ImageRecord(f"{index}", 128, 96)

    data = pictures(records, draw=draw, count=40, own_share=0.25)
    assert len(data) == 40
    assert (data.schedule >= 0).sum() == 10
    assert set(data.schedule[data.schedule >= 0].tolist()) == set(range(8))
    for epoch in range(2):
        data.set_epoch(epoch)
        for place in range(40):
            data[place]
    assert len(drawn) == len(set(drawn)) == 60  # none comes twice


@pytest.mark.parametrize(
    "generator",
    [
        defects_train.generator(TrainDefects(size=160)),
        headstamps_train.generator(TrainHeadstamps(size=160)),
    ],
    ids=["defects", "headstamps"],
)
def test_the_lines_draw_their_own_pictures(generator):
    draw, labels = generator.seeded(5), generator.labels
    image, record = draw(3)
    assert image.shape == (record.height, record.width, 3)
    assert {box.label for box in record.boxes} <= set(labels)
    assert (draw(3)[0] == image).all()
    assert generator.seeded(6)(3)[0].tobytes() != image.tobytes()
    assert (pickle.loads(pickle.dumps(draw))(3)[0] == image).all()  # other processes draw too


def test_canvases_have_the_pictures_shape():
    lying, upright = (640, 400), (400, 640)
    assert canvas_for([lying, lying], 640, turns=False) == (416, 640)
    assert canvas_for([upright], 640, turns=False) == (640, 416)
    assert canvas_for([lying, upright], 640, turns=False) == (640, 640)
    assert canvas_for([lying], 640, turns=True) == (640, 640)
