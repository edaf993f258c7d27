"""Export: the graph does what PyTorch does at any size, and the file says what prediction needs."""

import json
import os

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from torchvision.models.detection.roi_heads import paste_masks_in_image

from sightbook.defects.predict import Predictor
from sightbook.detection.inference import export as exporting
from sightbook.detection.inference.export import paired, parity_of
from sightbook.detection.inference.graph import Graph, export_detector
from sightbook.detection.inference.predict import OnnxDetector, mask_outlines
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.models.config import DetectorConfig
from sightbook.detection.models.rcnn import new_detector
from sightbook.inference import onnx
from sightbook.inference.export import ExportModel, export
from sightbook.runs.run import RunError
from sightbook.training.weights import save_weights

LABELS = ("hole", "crack")
SIZES = ((96, 128), (140, 90), (301, 220), (20, 200))


def image_of(seed, size=(96, 128)):
    """Noise with bright rectangles, uint8 RGB, and the rectangles."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 110, (*size, 3)).astype(np.uint8)
    boxes = []
    for _ in range(2):
        x, y = (int(rng.integers(0, side - side // 3)) for side in size[::-1])
        w, h = (int(side * rng.uniform(0.2, 0.33)) for side in size[::-1])
        pixels[y : y + h, x : x + w, int(rng.integers(3))] = 250
        boxes.append((x, y, x + w, y + h))
    return pixels, boxes


def trained(name, steps=2, **settings):
    """A detector whose statistics and weights a few steps moved, with answers that differ.

    So few steps leave all answers alike, and equally certain ones change places with rounding: the
    last layers of the R-CNNs are drawn again, wide enough to tell pictures' parts apart.
    """
    torch.manual_seed(3)
    config = DetectorConfig(name, LABELS, size=128, **settings)
    detector = new_detector(config).train()
    optimizer = torch.optim.AdamW(detector.parameters(), 1e-3)
    for step in range(steps):
        images, targets = [], []
        for number in range(2):
            pixels, boxes = image_of(2 * step + number)
            images.append(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
            target = {"boxes": torch.tensor(boxes).float(), "labels": torch.tensor([1, 2])}
            if config.has_masks:
                target["masks"] = torch.zeros(2, 96, 128, dtype=torch.uint8)
                for mask, (x0, y0, x1, y1) in zip(target["masks"], boxes, strict=True):
                    mask[y0:y1, x0:x1] = 1
            targets.append(target)
        optimizer.zero_grad()
        sum(detector(images, targets).values()).backward()
        optimizer.step()
    if config.has_anchors:
        last = detector.net.roi_heads.box_predictor
        nn.init.normal_(last.cls_score.weight, std=0.2)
        nn.init.zeros_(last.cls_score.bias)
        nn.init.normal_(last.bbox_pred.weight, std=0.02)
        nn.init.normal_(detector.net.rpn.head.cls_logits.weight, std=0.5)
    return detector.eval()


@pytest.fixture(scope="module")
def rcnn():
    return trained("fasterrcnn_mobilenet", max_detections=30, first_stage={"max_proposals": 60})


@pytest.fixture(scope="module")
def rcnn_file(rcnn, tmp_path_factory):
    return export_detector(rcnn, tmp_path_factory.mktemp("rcnn") / "model.onnx", "defects")


@pytest.fixture(scope="module")
def masked():
    return trained("maskrcnn_mobilenet", max_detections=15, first_stage={"max_proposals": 60})


def check_parity(detector, file):
    pictures = [image_of(50 + number, size)[0] for number, size in enumerate(SIZES)]
    parity = parity_of(detector, file, pictures)
    assert parity["inputs"] == 2 * len(SIZES)
    assert parity["detections"] > 20
    assert parity["found_by_both"] == 1.0
    assert parity["boxes_px"] < 0.05
    assert parity["scores"] < 1e-3
    return parity


def test_faster_rcnn_at_many_sizes(rcnn, rcnn_file):
    check_parity(rcnn, rcnn_file)


def test_mask_rcnn_at_many_sizes(masked, tmp_path):
    file = export_detector(masked, tmp_path / "model.onnx", "headstamps")
    parity = check_parity(masked, file)
    assert parity["masks"] < 1e-3
    # the detections are those of the whole detector, and its masks are ours laid on the picture
    pixels, _ = image_of(60)
    inputs = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    with torch.inference_mode():
        whole = masked([inputs])[0]
        boxes, labels, scores, masks = Graph(masked)(inputs)
    torch.testing.assert_close(boxes, whole["boxes"])
    assert torch.equal(labels + 1, whole["labels"])
    torch.testing.assert_close(scores, whole["scores"])
    torch.testing.assert_close(
        paste_masks_in_image(masks[:, None], boxes, (96, 128)), whole["masks"]
    )


def test_outlines_agree_with_masks_laid_on_by_torchvision():
    yy, xx = np.mgrid[:28, :28]
    disc = (1 / (1 + np.exp((np.hypot(xx - 13.5, yy - 13.5) - 11) * 2))).astype(np.float32)
    xyxy = (20.4, 30.7, 101.2, 141.9)
    pasted = paste_masks_in_image(
        torch.from_numpy(disc)[None, None], torch.tensor([xyxy]), (160, 120)
    )[0, 0].numpy()
    (outline,) = mask_outlines(disc, xyxy, 120, 160)
    across, down = np.nonzero(pasted >= 0.5)[::-1]
    expected = [across.min(), down.min(), across.max() + 1, down.max() + 1]
    assert [*outline.min(0), *outline.max(0)] == pytest.approx(expected, abs=2)


def test_dfine_at_many_sizes(tmp_path):
    # all of its answers are compared, or untrained ones that tie would fall out at the end
    dfine = trained("dfine_nano", score_threshold=0.0, max_detections=2000)
    check = export_detector(dfine, tmp_path / "model.onnx", "defects")
    session = onnx.session(check)
    for height, width in SIZES:
        pixels, _ = image_of(70, (height, width))
        inputs = exporting.pixels_of(pixels)
        ours = session.run(None, {"image": inputs})
        with torch.inference_mode():
            theirs = [value.numpy() for value in Graph(dfine)(torch.from_numpy(inputs))]
        assert len(ours[0]) == len(theirs[0]) > 50
        distances = np.abs(ours[0][:, None] - theirs[0][None]).max(2)
        distances[ours[1][:, None] != theirs[1][None]] = np.inf
        assert distances.min(0).max() < 0.05
        assert distances.min(1).max() < 0.05
        np.testing.assert_allclose(np.sort(ours[2]), np.sort(theirs[2]), atol=1e-4)


def test_a_picture_without_detections_gives_empty_arrays(masked, tmp_path):
    empty, full = np.full((70, 90, 3), 128, np.uint8), image_of(60)[0]
    with torch.inference_mode():
        low, high = (
            float(masked([torch.from_numpy(exporting.pixels_of(image))])[0]["scores"].max())
            for image in (empty, full)
        )
    assert low + 0.01 < high
    heads = masked.net.roi_heads
    before, heads.score_thresh = heads.score_thresh, (low + high) / 2
    try:
        file = export_detector(masked, tmp_path / "model.onnx", "headstamps")
    finally:
        heads.score_thresh = before
    values = onnx.session(file).run(None, {"image": exporting.pixels_of(empty)})
    assert [value.shape for value in values] == [(0, 4), (0,), (0,), (0, 28, 28)]
    predictor = OnnxDetector(file, line="headstamps")
    assert predictor.detect(empty) == ()
    assert predictor.detect(full)


def test_exporting_leaves_the_detector_as_it_was(rcnn, tmp_path):
    before = {name: value.clone() for name, value in rcnn.state_dict().items()}
    rcnn.train()
    try:
        export_detector(rcnn, tmp_path / "model.onnx", "defects")
        assert all(module.training for module in rcnn.modules())
    finally:
        rcnn.eval()
    assert all(torch.equal(value, before[name]) for name, value in rcnn.state_dict().items())


# ------------------------------------------------------------------ pairs


def arrays(*rows):
    """Detections given as (label, score, box)."""
    return {
        "labels": np.array([row[0] for row in rows], np.int64),
        "scores": np.array([row[1] for row in rows], np.float32),
        "boxes": np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
    }


def test_pairs_go_by_place_class_and_certainty_not_by_order():
    left, right = (0, 0, 20, 20), (50, 0, 70, 20)
    ours = arrays((0, 0.9, left), (1, 0.9, left), (0, 0.5, right))
    theirs = arrays((0, 0.5, right), (1, 0.9, left), (0, 0.9, left))
    assert sorted(paired(ours, theirs)[0]) == [(0, 2), (1, 1), (2, 0)]
    assert paired(ours, theirs)[1] == 0
    # one lies elsewhere, one is of another class: each is alone on either side
    theirs = arrays((0, 0.5, (55, 0, 75, 20)), (0, 0.9, left), (0, 0.9, left))
    pairs, alone = paired(ours, theirs)
    assert pairs == [(0, 1)]
    assert alone == 4


def test_pairs_leave_out_what_neither_is_certain_of():
    box = (0, 0, 20, 20)
    faint, firm = arrays((0, 0.049, box)), arrays((0, 0.051, box))
    assert paired(faint, faint) == ([], 0)
    assert paired(faint, firm) == ([(0, 0)], 0)
    assert paired(arrays(), firm) == ([], 1)
    assert paired(arrays(), arrays()) == ([], 0)


def test_parity_notices_another_model(rcnn_file):
    other = trained("fasterrcnn_mobilenet", 0, max_detections=30)
    parity = parity_of(other, rcnn_file, [image_of(50)[0]])
    assert parity["found_by_both"] < 0.5


# ------------------------------------------------------------------ a run


@pytest.fixture
def run(rcnn, tmp_path, monkeypatch):
    """A finished run of defects with an evaluation, and pictures to compare on."""
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    folder = tmp_path / "outputs" / "defects" / "small"
    folder.mkdir(parents=True)
    save_weights(rcnn, folder / "detector.safetensors")
    record = {"line": "defects", "run": "small", "stage": "train", "status": "finished"}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "params.yaml").write_text(yaml.safe_dump({"model": "fasterrcnn_mobilenet"}))
    point = {
        "eval_conf": 0.4, "required_recall": 0.95, "recall": 0.96, "specificity": None,
        "precision": 0.5, "reachable": True, "images": 30, "defective": 30,
    }  # fmt: skip
    figure = {"value": 0.625, "n": 40, "low": 0.5, "high": 0.75}
    evaluated = {
        "summary": {"AP50": figure},
        "data": "generated pictures",
        "intervals_over": "images",
        "operating_point": point,
    }
    metrics = {"validation/AP50": 0.5, "evaluate": evaluated}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    records = []
    for number in range(3):
        pixels, boxes = image_of(80 + number)
        file = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(file)
        found = tuple(Box("hole", tuple(map(float, box))) for box in boxes)
        records.append(ImageRecord(file.name, 128, 96, found, image=file))
    (tmp_path / "broken.png").write_bytes(b"nothing")
    records.insert(0, ImageRecord("broken.png", 128, 96, image=tmp_path / "broken.png"))
    known = Annotations(tuple(records), LABELS)
    monkeypatch.setattr("sightbook.defects.export.known_images", lambda *_: known)
    return folder


def test_a_run_becomes_a_file_that_predicts_alone(run):
    params = ExportModel.parse({"line": "defects", "run": "small", "samples": 2, "repeats": 1})
    done = export(params, run)
    assert done.files == [run / "model.onnx"]
    assert done.parity["detection"]["found_by_both"] == 1.0
    assert done.parity["detection"]["inputs"] == 4
    assert [row["variant"] for row in done.variants] == ["float32", "int8"]
    assert done.variants[1]["megabytes"] < done.variants[0]["megabytes"]
    assert all(row["images"] == 3 for row in done.variants)
    json.dumps(done.metrics)
    predictor = Predictor(run / "model.onnx")
    assert predictor.labels == LABELS
    assert predictor.eval_conf == 0.4
    assert predictor.calibrated
    assert predictor.metadata["metrics"] == {"validation/AP50": 0.5}
    assert onnx.read_metadata(run / "int8" / "model.onnx")["labels"] == list(LABELS)
    card = (run / "model_card.md").read_text()
    for told in (
        "# Model card: defects, run small",
        "0.625 (0.500 to 0.750)",
        "defective from 0.400 on",
        "recall 0.960, precision 0.500",
        "| int8 |",
        "Classes: hole, crack",
    ):
        assert told in card


def test_a_file_is_written_anew_only_when_weights_are_newer(run):
    file = exporting.ensure_package(run, "defects")
    first = file.stat().st_mtime_ns
    assert exporting.ensure_package(run, "defects").stat().st_mtime_ns == first
    os.utime(run / "detector.safetensors", (first / 1e9 + 5, first / 1e9 + 5))
    assert exporting.ensure_package(run, "defects").stat().st_mtime_ns != first


def test_a_folder_without_a_detector_is_refused(run, tmp_path):
    (run / "detector.safetensors").unlink()
    with pytest.raises(RunError, match=r"holds no detector\.safetensors"):
        exporting.write_package(run, "defects")
    with pytest.raises(RunError, match=r"holds no detector\.safetensors"):
        exporting.write_package(tmp_path, "defects")
