"""Targets, views and loss of the zone finder."""

import numpy as np
import torch

from sightbook.donut.zone import finder
from sightbook.donut.zone import geometry as zone
from sightbook.donut.zone.geometry import BAND, COS, SIN, STRIDE, ZONE
from sightbook.training.weights import save_weights


def two_lines(x=40.0, y=40.0, width=160.0, height=8.0, gap=24.0):
    line = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    return np.stack([line + np.array([x, y]), line + np.array([x, y + gap])]).astype(np.float32)


def test_targets_cover_exactly_what_lies_under_the_lines():
    # lines from x = 40 to 200 and 8 px high, edges on cell borders (pixel centres at whole numbers)
    maps = finder.draw_targets(two_lines(39.5, 39.5), (320, 160))
    assert maps.shape == (4, 40, 80)
    assert maps[BAND].sum() == np.float32(2 * (160 / STRIDE) * (8 / STRIDE))
    assert maps[BAND, 10, 10] == 1 and maps[BAND, 10, 9] == 0 and maps[BAND, 9, 10] == 0
    # the zone reaches from the first line's top to the last one's bottom
    assert maps[ZONE].sum() == np.float32((160 / STRIDE) * (32 / STRIDE))
    assert maps[COS, 12, 20] == 1 and maps[SIN, 12, 20] == 0
    assert maps[COS, 30, 20] == 0


def test_half_covered_cells_count_half():
    maps = finder.draw_targets(two_lines(41.5, 39.5), (320, 160))
    assert abs(maps[BAND, 10, 10] - 0.5) < 0.02


def test_no_zone_no_targets():
    assert not finder.draw_targets(np.zeros((0, 4, 2), np.float32), (64, 64)).any()


def test_views_keep_quads_on_their_ink():
    """Wherever a random view puts the document, its lines lie under the quads."""
    import cv2

    quads = two_lines(200, 300, 300, 16, 44)
    image = np.full((600, 800), 230, np.uint8)
    for quad in quads:
        cv2.fillPoly(image, [quad.round().astype(np.int32)], 20)
    seen = 0
    for index in range(30):
        rng = np.random.default_rng([5, index])
        view, moved = finder.random_view(image, quads, rng, 256)
        assert view.shape == (256, 256) and view.dtype == np.uint8
        middle = moved.mean(1)
        for x, y in middle.round().astype(int):
            if 4 <= x < 252 and 4 <= y < 252:
                assert view[y, x] < 128, index
                seen += 1
    assert seen > 20


def test_views_are_the_same_for_the_same_epoch_and_new_in_the_next():
    class One:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.random.default_rng(0).integers(0, 255, (240, 320), np.uint8), two_lines()

    views = finder.FinderViews(One(), 128, seed=3)
    first = views[0]["view"]
    assert torch.equal(first, views[0]["view"])
    views.set_epoch(1)
    assert not torch.equal(first, views[0]["view"])


def test_loss_is_lowest_for_the_truth():
    targets = torch.from_numpy(finder.draw_targets(two_lines(39.5, 39.5), (320, 160)))[None]
    right = targets.clone()
    for channel in (BAND, ZONE):
        right[:, channel] = torch.where(targets[:, channel] > 0.5, 8.0, -8.0)
    turned = right.clone()
    turned[:, COS] *= -1
    missed = right.clone()
    missed[:, ZONE] = -8.0
    losses = [finder.finder_loss(maps, targets)["loss"].item() for maps in (right, turned, missed)]
    assert losses[0] < 0.05
    # read backwards: squared error 4 on every cell of the zone
    assert abs(losses[1] - losses[0] - 4) < 0.1
    assert losses[2] > 5


def test_network_gives_a_quarter_of_the_resolution_and_travels(tmp_path):
    network = finder.Finder("tiny").eval()
    views = torch.randn(2, 1, 96, 160)
    with torch.no_grad():
        maps = network(views)
    assert maps.shape == (2, 4, 24, 40)
    save_weights(network, tmp_path / "finder.safetensors")
    again = finder.load_finder(tmp_path / "finder.safetensors")
    np.testing.assert_array_equal(finder.as_maps(again)(views.numpy()), maps.numpy())


def test_unknown_size_names_the_sizes():
    import pytest

    with pytest.raises(ValueError, match=r"'huge'.*small.*tiny"):
        finder.Finder("huge")


def test_a_few_steps_find_a_zone():
    """Overfits one view: the network, its loss and the decoding fit together."""
    torch.manual_seed(0)
    quads = two_lines(60, 60, 200, 10, 26)
    rng = np.random.default_rng(0)
    image = rng.integers(180, 255, (192, 320), np.uint8)
    for quad in quads:
        x0, y0, x1, y1 = (*quad[0].astype(int), *quad[2].astype(int))
        image[y0:y1, x0:x1] = rng.integers(0, 90, (y1 - y0, x1 - x0))
    view = torch.from_numpy(zone.normalise(image))[None]
    targets = torch.from_numpy(finder.draw_targets(quads, (320, 192)))[None]
    network = finder.Finder("tiny")
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(60):
        loss = finder.finder_loss(network(view), targets)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    maps = network(view).detach().numpy()[0]
    (found,) = zone.decode_lines(maps)
    assert np.abs(found.quads - quads).max() < 4
