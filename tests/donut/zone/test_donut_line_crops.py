"""What the reader trains on."""

import numpy as np
import pytest

from sightbook.donut.zone.line_crops import (
    CollateLines,
    LineCrops,
    MixedZones,
    SyntheticZones,
    shake,
)
from sightbook.donut.zone.model import ReaderConfig


class Marked:
    """Zones whose text tells where they come from."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def zone(self, index, epoch):
        quads = np.float32([[[10, 10], [200, 10], [200, 20], [10, 20]]] * 2)
        quads[1] += (0, 25)
        return np.full((60, 220), 128, np.uint8), quads, ["DOCUMENT", str(index)]


def test_items_are_the_same_whoever_reads_them_and_new_every_epoch():
    crops = LineCrops(SyntheticZones(4, seed=9, epochs=2), seed=9)
    first = crops[2]
    again = LineCrops(SyntheticZones(4, seed=9, epochs=2), seed=9)[2]
    np.testing.assert_array_equal(first["lines"], again["lines"])
    assert first["texts"] == again["texts"]
    crops.set_epoch(1)
    assert crops[2]["texts"] != first["texts"]


def test_difficulty_rises_over_the_curriculum(monkeypatch):
    import sightbook.donut.zone.line_crops as room

    seen = []

    def fake(seed, index, difficulty):
        seen.append((index, difficulty))
        raise StopIteration

    monkeypatch.setattr(room, "render_zone", fake)
    zones = SyntheticZones(10, seed=0, epochs=4, curriculum=0.5)
    for epoch, index in ((0, 0), (0, 5), (1, 0), (2, 0), (3, 9)):
        with pytest.raises(StopIteration):
            zones.zone(index, epoch)
    # 40 zones in all, full difficulty from the 20th
    assert seen == [(0, 0.0), (5, 0.25), (10, 0.5), (20, 1.0), (39, 1.0)]


def test_shaken_corners_stay_near_and_differ():
    quads = np.float32([[[0, 0], [400, 0], [400, 10], [0, 10]]] * 3)
    quads[1] += (0, 25)
    quads[2] += (0, 50)
    moved = np.stack([shake(quads, np.random.default_rng(i)) for i in range(200)])
    offsets = moved - quads
    # along the line about 1 % of its length (half a character), across it a tenth of the capitals
    assert 2 < offsets[..., 0].std() < 7 and np.abs(offsets[..., 0]).max() < 30
    assert 0.5 < offsets[..., 1].std() < 2 and np.abs(offsets[..., 1]).max() < 7


def test_mixing_takes_the_share_from_documents():
    stream = SyntheticZones(400, seed=1)
    stream.zone = lambda index, epoch: (None, None, ["STREAM"])
    mixed = MixedZones(stream, Marked(7), 0.25, seed=1)
    texts = [mixed.zone(index, 0)[2][0] for index in range(400)]
    assert len(mixed) == 400
    assert 70 < texts.count("DOCUMENT") < 130
    assert [mixed.zone(index, 0)[2][0] for index in range(400)] == texts
    assert [mixed.zone(index, 1)[2][0] for index in range(400)] != texts


def test_no_documents_no_mixing():
    stream = SyntheticZones(5, seed=1)
    stream.zone = lambda index, epoch: (None, None, ["STREAM"])
    assert MixedZones(stream, Marked(0), 1.0, seed=1).zone(0, 0)[2] == ["STREAM"]


def test_a_batch_has_one_row_a_line():
    config = ReaderConfig.named("tiny")
    crops = LineCrops(SyntheticZones(6, seed=2), seed=2)
    items = [crops[index] for index in range(6)]
    batch = CollateLines(config)(items)
    texts = [text for item in items for text in item["texts"]]
    assert batch["texts"] == texts and batch["counts"] == [len(i["texts"]) for i in items]
    assert batch["pixel_values"].shape == (len(texts), 1, 32, 736)
    assert batch["pixel_values"].abs().max() <= 1
    row = batch["labels"][0]
    kept = row[row >= 0].tolist()
    assert kept[-1] == config.eos
    assert "".join(config.characters[i] for i in kept[:-1]) == texts[0]
