"""In half precision coordinates from 512 on are multiples of 4: boxes must not go through it."""

import torch

from sightbook.detection.models.config import DetectorConfig
from sightbook.detection.models.rcnn import new_detector

BOX = [601.3, 500.7, 633.1, 535.2]


def test_true_boxes_reach_the_second_stage_as_they_are(monkeypatch):
    torch.manual_seed(0)
    detector = new_detector(DetectorConfig("fasterrcnn_mobilenet", ("a",), size=640)).train()
    heads = detector.net.roi_heads
    choose, seen = heads.select_training_samples, []

    def watch(proposals, targets):
        chosen = choose(proposals, targets)
        seen.extend([chosen[0][0][-1].tolist(), chosen[3][0].dtype])  # true boxes are put last
        return chosen

    monkeypatch.setattr(heads, "select_training_samples", watch)
    target = {"boxes": torch.tensor([BOX]), "labels": torch.tensor([1])}
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector([torch.rand(3, 640, 640)], [target])
    assert seen == [torch.tensor(BOX).tolist(), torch.float32]
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_found_boxes_are_not_rounded():
    torch.manual_seed(0)
    detector = new_detector(DetectorConfig("fasterrcnn_mobilenet", ("a",), size=640)).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        boxes = detector([torch.rand(3, 640, 640)])[0]["boxes"]
    assert boxes.dtype == torch.float32
    far = boxes[(boxes > 512) & (boxes < 640)]
    assert len(far) and (far % 4 != 0).any()
