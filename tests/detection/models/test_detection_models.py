"""Detectors by name: losses, answers, the first stage, anchors, files and beginnings."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from sightbook.defects.params import TrainDefects
from sightbook.detection.models.anchors import Anchors, anchors_from, best_overlap
from sightbook.detection.models.config import DetectorConfig
from sightbook.detection.models.rcnn import (
    anchor_levels,
    fill,
    load_detector,
    load_pretrained,
    new_detector,
    start_from,
)
from sightbook.headstamps.params import TrainHeadstamps
from sightbook.params import ParameterError
from sightbook.training.weights import save_weights

SMALL = [
    ("fasterrcnn_mobilenet", 0),
    ("maskrcnn_mobilenet", 4),
    ("dfine_nano", 0),
    ("dfine_nano", 8),
]


def config(name="fasterrcnn_mobilenet", labels=("a", "b"), **more):
    return DetectorConfig(name, labels, **({"size": 96} | more))


def built(*args, seed=0, **more):
    torch.manual_seed(seed)
    return new_detector(config(*args, **more))


def picture(height=72, width=96, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def target(*boxes, size=(72, 96)):
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.full((len(boxes),), 2),
        "masks": masks,
    }


@pytest.mark.parametrize(("name", "finest"), SMALL)
def test_every_model_learns_and_answers_in_one_form(name, finest):
    detector = built(name, finest=finest)
    images = [picture(), picture(seed=1)]
    both = detector(images, [target((10, 10, 60, 60)), target()])
    clean = detector(images, [target(), target()])
    for losses in (both, clean):
        assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    sum(both.values()).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
    detector.eval()
    with torch.inference_mode():
        (found,) = detector([picture(50, 70)])
    count = len(found["scores"])
    assert 0 < count <= 100
    assert found["boxes"].shape == (count, 4)
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"] <= torch.tensor([70.0, 50, 70, 50]) + 1e-3).all()
    assert set(found["labels"].tolist()) <= {1, 2}
    assert (found["scores"].diff() <= 0).all()
    assert ("masks" in found) == detector.config.has_masks
    if detector.config.has_masks:
        assert found["masks"].shape == (count, 1, 50, 70)


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet", "dfine_nano"])
def test_boxes_are_in_the_pixels_of_the_picture_given(name):
    # Four times as many pixels of the same content: the network sees the same.
    detector = built(name).eval()
    small = picture(96, 96)
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    with torch.inference_mode():
        one, two = detector([small])[0], detector([large])[0]
    best = min(len(one["boxes"]), 5)
    far = (two["boxes"][:, None] - 2 * one["boxes"][None, :best]).abs().amax(2).amin(0)
    assert (far < 8).all()


def test_training_takes_parts_of_pictures_as_they_are():
    transform = built(size=96).net.transform
    parts, boxes = transform([picture(48, 64), picture(240, 320)], [target((4, 4, 20, 20))] * 2)
    assert parts.image_sizes == [(48, 64), (72, 96)]
    assert boxes[0]["boxes"].tolist() == [[4, 4, 20, 20]]
    assert boxes[1]["boxes"].flatten().tolist() == pytest.approx([1.2, 1.2, 6, 6], abs=0.1)
    transform.eval()
    assert transform([picture(48, 64)])[0].image_sizes == [(72, 96)]


def test_a_narrower_pyramid_is_a_smaller_model(tmp_path):
    def size(detector):
        return sum(p.numel() for p in detector.parameters())

    narrow = built("maskrcnn_mobilenet", channels=32)
    assert size(narrow) < 0.8 * size(built("maskrcnn_mobilenet"))
    save_weights(narrow, tmp_path / "narrow.safetensors")
    assert load_detector(tmp_path / "narrow.safetensors").config.channels == 32


def test_an_answer_of_dfine_does_not_depend_on_the_batch():
    detector = built("dfine_nano").eval()
    with torch.inference_mode():
        alone = detector([picture(50, 96)])[0]
        beside = detector([picture(50, 96), picture(96, 60, seed=1)])[0]
    assert torch.allclose(alone["scores"], beside["scores"], atol=1e-4)


def test_the_first_stage_is_wired_to_the_proposal_network():
    first = {"nms_iou_threshold": 0.4, "nms_score_threshold": 0.2, "max_proposals": 7}
    rpn = built(first_stage=first).net.rpn
    assert (rpn.nms_thresh, rpn.score_thresh) == (0.4, 0.2)
    assert rpn.train().post_nms_top_n() == 7
    assert rpn.eval().post_nms_top_n() == 7
    big = built("fasterrcnn_mobilenet_v3_large_320_fpn", first_stage=first).net.rpn
    assert (big.nms_thresh, big.score_thresh, big.post_nms_top_n()) == (0.4, 0.2, 7)


def test_no_more_proposals_than_asked_for_reach_the_second_stage():
    seen = []
    for most in (7, 40):
        detector = built(first_stage={"max_proposals": most}).eval()
        detector.net.roi_heads.register_forward_pre_hook(
            lambda module, given: seen.append(len(given[1][0]))
        )
        detector([picture()])
    assert seen[0] == 7 < seen[1] <= 40


def test_torchvisions_names_of_the_first_stage_mean_the_same():
    usual = {"rpn_nms_thresh": 0.4, "rpn_post_nms_top_n": 7, "loss_objectness": 2.0}
    assert TrainDefects.parse({"first_stage": usual}).first_stage == {
        "nms_iou_threshold": 0.4,
        "max_proposals": 7,
        "objectness_loss_weight": 2.0,
    }
    both = {"rpn_nms_thresh": 0.4, "nms_iou_threshold": 0.5}
    with pytest.raises(ParameterError, match="are the same, give one"):
        TrainDefects.parse({"first_stage": both})


def test_losses_of_the_first_stage_are_weighted():
    losses = []
    for weights in (
        {},
        {"localization_loss_weight": 3.0, "objectness_loss_weight": 0.5},
    ):
        detector = built(first_stage=weights)
        torch.manual_seed(1)
        losses.append(detector([picture()], [target((10, 10, 60, 60))]))
    plain, weighted = losses
    assert weighted["loss_rpn_box_reg"].item() == pytest.approx(
        3 * plain["loss_rpn_box_reg"].item()
    )
    assert weighted["loss_objectness"].item() == pytest.approx(
        0.5 * plain["loss_objectness"].item()
    )
    assert weighted["loss_classifier"].item() == pytest.approx(plain["loss_classifier"].item())


def test_samples_of_both_stages_are_as_many_as_asked_for():
    net = built(box_batch_size_per_image=33, rpn_batch_size_per_image=44).net
    assert net.roi_heads.fg_bg_sampler.batch_size_per_image == 33
    assert net.rpn.fg_bg_sampler.batch_size_per_image == 44


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"first_stage": {"stride": 8}}, "given by the backbone"),
        ({"first_stage": {"nms_treshold": 0.5}}, "none of nms_iou_threshold"),
        ({"first_stage": {"nms_iou_threshold": 1.5}}, "expected 0 to 1"),
        ({"model": "dfine_nano", "first_stage": {"max_proposals": 9}}, "no region proposal"),
        ({"model": "dfine_nano", "anchors": "data"}, "without anchors"),
        ({"model": "fasterrcnn_resnet50_fpn_v2", "finest": 4}, "leaves no choice"),
        ({"finest": 16}, "has 8 or 4"),
        ({"model": "dfine_nano", "channels": 64}, "leaves no choice"),
        ({"crop": 288}, "at most size 256"),
        ({"crop": 128, "mosaic": 0.5}, "mosaic 0"),
        ({"folds": 5}, "of the pictures of 'data'"),
        ({"data": "x", "folds": 1}, "2 and more"),
        ({"scale_min": 2.0}, "above scale_max"),
        ({"size": 250}, "multiple of 32"),
        ({"version": "261120120000"}, "needs the usecase"),
    ],
)
def test_impossible_parameters_are_refused_with_a_reason(given, said):
    with pytest.raises(ParameterError, match=said):
        TrainDefects.parse(given)


def test_headstamps_cannot_be_mirrored():
    with pytest.raises(ParameterError, match="flip"):
        TrainHeadstamps.parse({"flip": "horizontal"})


def test_parameters_need_no_torch():
    code = "import sys, sightbook.detection.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(ParameterError, match="choose of fasterrcnn_mobilenet"):
        new_detector(config("yolo"))


def test_a_file_gives_the_same_detector_back(tmp_path):
    detector = built(
        "maskrcnn_mobilenet",
        anchor_sizes=((9.0, 12.0),) * 4,
        anchor_ratios=(0.8, 1.0, 1.2),
        first_stage={"max_proposals": 20},
    ).eval()
    save_weights(detector, tmp_path / "detector.safetensors")
    again = load_detector(tmp_path / "detector.safetensors")
    assert again.config == detector.config
    assert not again.training
    with torch.inference_mode():
        one, two = detector([picture()])[0], again([picture()])[0]
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_training_goes_on_from_another_detector(tmp_path, capsys):
    old = built(labels=("a", "b"), seed=1)
    save_weights(old, tmp_path / "old.safetensors")
    same = built(labels=("a", "b"), seed=2)
    start_from(same, tmp_path / "old.safetensors")
    assert all(torch.equal(v, same.state_dict()[k]) for k, v in old.state_dict().items())
    assert "nothing starts anew" in capsys.readouterr().out
    # as many classes, but others: what tells them apart must not be taken over
    for labels in (("b", "a"), ("a",)):
        new = built(labels=labels, seed=2)
        before = new.net.roi_heads.box_predictor.cls_score.weight.clone()
        start_from(new, tmp_path / "old.safetensors")
        assert torch.equal(new.net.roi_heads.box_predictor.cls_score.weight, before)
        name = "net.backbone.fpn.layer_blocks.0.0.weight"
        assert torch.equal(new.state_dict()[name], old.state_dict()[name])
        assert "box_predictor" in capsys.readouterr().out


def test_the_weights_of_another_model_are_refused(tmp_path):
    save_weights(built(), tmp_path / "old.safetensors")
    with pytest.raises(ParameterError, match="set model to that"):
        start_from(built("maskrcnn_mobilenet"), tmp_path / "old.safetensors")
    with pytest.raises(ParameterError, match="another model"):
        fill(built(), built("dfine_nano").state_dict())


def test_pretrained_never_falls_back_to_scratch(monkeypatch):
    def offline(*args, **options):
        raise OSError("no network")

    detector = built()
    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ParameterError, match=r"cannot be had here \(no network\)"):
        load_pretrained(detector)


def test_pretrained_weights_reach_the_backbone(monkeypatch, capsys):
    detector, other = built(seed=1), built(seed=2)
    monkeypatch.setattr("timm.create_model", lambda *args, **options: other.net.backbone.body)
    load_pretrained(detector)
    published = other.backbone.body.state_dict()
    assert all(torch.equal(detector.backbone.body.state_dict()[k], v) for k, v in published.items())
    assert "nothing starts anew" in capsys.readouterr().out


# ------------------------------------------------------------------ anchors


def test_overlaps_with_the_best_anchor():
    anchors = Anchors(((10.0,), (40.0,)), (1.0, 4.0))
    sides = np.array([(10, 10), (20, 10), (5, 20), (40, 20), (400, 400)], float)
    # ratio 4 of size 10 is 5 wide and 20 high
    expected = [1, 0.5, 1, 0.5, 1600 / 160000]
    assert best_overlap(sides, anchors) == pytest.approx(expected)


def test_anchors_from_the_data_suit_it_better():
    rng = np.random.default_rng(0)
    widths = np.exp(rng.normal(3, 0.4, 500))
    sides = np.stack([widths, widths * np.exp(rng.normal(-1, 0.3, 500))], 1)
    usual = anchor_levels(config())
    own = anchors_from(sides, usual, (1.0, 1.0))
    assert [len(level) for level in own.sizes] == [len(level) for level in usual]
    flat = [size for level in own.sizes for size in level]
    assert flat == sorted(flat)
    before = np.median(best_overlap(sides, Anchors(usual, (0.5, 1.0, 2.0))))
    after = np.median(best_overlap(sides, own))
    assert after > before + 0.1
    # none so small that the places of a coarse map would leave gaps
    assert all(
        size >= least / 2
        for level, levels in zip(own.sizes, usual, strict=True)
        for size, least in zip(level, levels, strict=True)
    )


def test_levels_that_share_their_sizes_go_on_sharing():
    usual = anchor_levels(config("fasterrcnn_mobilenet_v3_large_320_fpn"))
    own = anchors_from(np.full((9, 2), 30.0), usual, (0.5, 2.0))
    assert len(own.sizes) == 3 and len(set(own.sizes)) == 1
    assert own.ratios == (1.0, 1.0, 1.0)
    assert 15 <= min(own.sizes[0]) < 20 and 50 < max(own.sizes[0]) <= 60


def test_there_have_to_be_boxes():
    with pytest.raises(ValueError, match="no boxes"):
        anchors_from(np.zeros((0, 2)), ((8.0,),), (1.0, 1.0))


def test_anchors_reach_the_proposal_network():
    own = config(anchor_sizes=((9.0, 12.0),) * 4, anchor_ratios=(0.7, 1.0, 1.4))
    generator = new_detector(own).net.rpn.anchor_generator
    assert generator.sizes == ((9.0, 12.0),) * 4
    assert generator.aspect_ratios == ((0.7, 1.0, 1.4),) * 4
    with pytest.raises(ParameterError, match="at each place"):
        new_detector(
            config("fasterrcnn_mobilenet_v3_large_320_fpn", anchor_sizes=((9.0, 12.0),) * 3)
        )
