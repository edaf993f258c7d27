"""Margin losses, checked against losses computed by hand."""

import math

import pytest
import torch

from sightbook.docclass.heads import SampledCosFace, build_head
from sightbook.docclass.params import TrainDocclass
from sightbook.params import ParameterError

SCALE = 10.0


def unit(degrees):
    angle = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def head(name, margin, classes=2, **others):
    params = TrainDocclass(head=name, margin=margin, scale=SCALE, dim=8, **others)
    made = build_head(params.model_copy(update={"dim": 2}), classes)
    made.set_progress(1.0)
    return made


def cross_entropy(right, wrong):
    return math.log(1 + math.exp(SCALE * (wrong - right)))


def test_cosface_takes_the_margin_off_the_cosine():
    made = head("cosface", 0.3)
    made.loss.W.data = torch.stack([unit([0.0, 90.0])[0], unit([0.0, 90.0])[1]], dim=1)
    found = made(unit([20.0]), torch.tensor([0])).item()
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    assert found == pytest.approx(cross_entropy(cos - 0.3, sin), rel=1e-4)


def test_arcface_adds_the_margin_in_degrees_to_the_angle():
    made = head("arcface", 30.0)
    made.loss.W.data = unit([0.0, 90.0]).t().contiguous()
    found = made(unit([20.0]), torch.tensor([0])).item()
    right, wrong = math.cos(math.radians(50)), math.cos(math.radians(70))
    assert found == pytest.approx(cross_entropy(right, wrong), rel=1e-4)


def test_subcentres_count_by_the_nearest_of_a_class():
    made = head("subcenter_arcface", 30.0, sub_centers=2)
    # Class 0 has centres at 0 and 180 degrees, class 1 at 90 and 270.
    made.loss.W.data = unit([0.0, 180.0, 90.0, 270.0]).t().contiguous()
    near_second = made(unit([160.0]), torch.tensor([0])).item()
    right, wrong = math.cos(math.radians(50)), math.cos(math.radians(70))
    assert near_second == pytest.approx(cross_entropy(right, wrong), rel=1e-4)


def test_sampling_every_class_is_cosface():
    torch.manual_seed(0)
    full = head("cosface", 0.3, classes=5)
    sampled = SampledCosFace(5, 2, sampled=5, margin=0.3, scale=SCALE)
    sampled.centers.data = full.loss.W.data.t().clone()
    embeddings, labels = unit([10.0, 100.0, 200.0]), torch.tensor([4, 0, 4])
    assert sampled(embeddings, labels).item() == pytest.approx(
        full(embeddings, labels).item(), rel=1e-4
    )


def test_a_sample_always_holds_the_batchs_classes_and_trains_only_the_sample():
    torch.manual_seed(0)
    made = SampledCosFace(50, 2, sampled=6, margin=0.3, scale=SCALE)
    labels = torch.tensor([7, 31, 7])
    made(unit([10.0, 100.0, 200.0]), labels).backward()
    moved = made.centers.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    assert len(moved) == 6
    assert {7, 31} <= set(moved)


def test_a_batch_of_more_classes_than_are_sampled_is_refused():
    made = SampledCosFace(50, 2, sampled=2, margin=0.3, scale=SCALE)
    with pytest.raises(ValueError, match="the batch alone holds 3 classes"):
        made(unit([1.0, 2.0, 3.0]), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("name", ["cosface", "sampled_cosface"])
def test_the_margin_grows_with_progress(name):
    made = head(name, 0.3, sampled=2)
    losses = []
    for share in (0.0, 0.5, 1.0):
        made.set_progress(share)
        losses.append(made(unit([20.0, 110.0]), torch.tensor([0, 1])).item())
    assert losses[0] < losses[1] < losses[2]


def test_margins_in_the_wrong_unit_are_refused():
    with pytest.raises(ParameterError, match="takes it off the cosine"):
        TrainDocclass.parse({"head": "cosface", "margin": 28.6})
    with pytest.raises(ParameterError, match="takes degrees"):
        TrainDocclass.parse({"head": "arcface", "margin": 0.3})
