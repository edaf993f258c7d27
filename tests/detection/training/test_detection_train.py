"""Training of both detection lines: learning, exact resume, negatives, folds, leavings."""

import hashlib
import json
import os

import numpy as np
import pytest
import torch

from detection.spots import write_spots
from killed_runs import train_in_process
from sightbook.data.images import save_image
from sightbook.data.validation import DataError
from sightbook.defects import train as defects_train
from sightbook.defects.params import TrainDefects
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.labels.coco import write_coco
from sightbook.detection.models.config import DetectorConfig
from sightbook.detection.models.rcnn import load_detector, new_detector
from sightbook.detection.training import train
from sightbook.detection.training.sets import DetectionSets
from sightbook.headstamps import train as headstamps_train
from sightbook.headstamps.params import TrainHeadstamps
from sightbook.params import ParameterError
from sightbook.runs.run import open_run
from sightbook.training.weights import save_weights

SMALL = {
    "size": 96,
    "batch_size": 2,
    "epochs": 2,
    "validation": 0.25,
    "scale_min": 0.9,
    "scale_max": 1.1,
    "photometric": 0.0,
    "workers": 0,
    "precision": "32",
}


def run_training(name, **given):
    params = TrainDefects(run=name, **SMALL | given)
    run = open_run("defects", name, params, stage="train")
    run.finish(defects_train.train(params, run))
    return run


def sets_of(tmp_path, **given):
    params = TrainDefects(run="sets", **SMALL | given)
    return defects_train.training_images(params)


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Twelve pictures of four roads, every fourth picture clean."""
    folder = tmp_path_factory.mktemp("spots")
    write_spots(folder, 12)
    return folder


# ------------------------------------------------------------------ learning and its records


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A run long enough to find bright spots, with what epochs leave behind."""
    folder = tmp_path_factory.mktemp("learnt")
    write_spots(folder / "data", 24, groups=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTBOOK_OUTPUTS", str(folder))
        run = run_training(
            "learnt", data=str(folder / "data"), epochs=5, learning_rate=3e-3, epoch_dumps=2
        )
    return run.path


def test_it_learns_to_find_bright_spots(learnt):
    metrics = json.loads((learnt / "metrics.json").read_text())
    assert metrics["validation/AP50"] > 0.8
    losses = [row["train/loss"] for row in rows(learnt) if "epoch" in row]
    assert len(losses) == 5
    assert losses[-1] < 0.5 * losses[0]


def test_the_run_keeps_its_detector_and_what_it_was_held_back_from(learnt):
    detector = load_detector(learnt / train.WEIGHTS)
    assert detector.config.labels == ("spot",)
    assert detector.config.size == 96
    splits = json.loads((learnt / "splits.json").read_text())
    assert len(splits) == 24
    assert set(splits.values()) == {"train", "validation"}
    record = json.loads((learnt / "run.json").read_text())
    counts = record["images"]
    assert counts["train"] + counts["validation"] == 24
    assert counts["train_clean"] + counts["validation_clean"] == 6
    assert record["classes"] == ["spot"]


def test_every_epoch_leaves_behind_what_was_asked_for(learnt):
    folder = learnt / "epochs"
    names = {file.name for file in folder.iterdir()}
    expected = {"loss.txt"}
    for epoch in range(1, 6):
        expected |= {f"predictions_{epoch}.txt", f"checkpoint_{epoch}.ckpt"}
        expected |= {f"p_{epoch}_0.png", f"p_{epoch}_1.png"}
    assert names == expected
    steps = [row for row in rows(learnt) if "train/loss" in row and "epoch" not in row]
    lines = (folder / "loss.txt").read_text().splitlines()
    assert lines[0] == "epoch step loss"
    last = lines[-1].split()
    assert (last[0], int(last[1])) == ("5", steps[-1]["step"])
    assert float(last[2]) == pytest.approx(steps[-1]["train/loss"], rel=1e-4)
    assert [line.split()[0] for line in lines[1:]] == sorted(line.split()[0] for line in lines[1:])


def test_predictions_of_an_epoch_are_of_all_validation_pictures(learnt):
    seen = json.loads((learnt / "epochs" / "predictions_5.txt").read_text())
    splits = json.loads((learnt / "splits.json").read_text())
    assert len(seen) == list(splits.values()).count("validation")
    assert [row["image_id"] for row in seen] == list(range(len(seen)))
    best = [max(row["detections"], key=lambda d: d["score"]) for row in seen if row["detections"]]
    assert all(one["label"] == "spot" and len(one["box"]) == 4 for one in best)


def test_an_epochs_checkpoint_holds_all_that_training_goes_on_from(learnt):
    kept = torch.load(learnt / "epochs" / "checkpoint_2.ckpt", weights_only=True)
    assert {"state_dict", "optimizer_states", "lr_schedulers"} <= set(kept)
    steps = [row for row in rows(learnt) if "train/loss" in row and "epoch" not in row]
    assert kept["global_step"] == steps[-1]["step"] // 5 * 2


# ------------------------------------------------------------------ exact resume


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path, outputs):
    write_spots(tmp_path / "data", 8)
    given = SMALL | {
        "data": str(tmp_path / "data"),
        "checkpoint_steps": 1,
        "mosaic": 0.3,
        "epoch_dumps": 1,
    }

    def start(name, kill_at=-1):
        return train_in_process(
            outputs,
            "defects",
            train="sightbook.defects.train.train",
            task="sightbook.detection.training.train.DetectionTask",
            params="sightbook.defects.params.TrainDefects",
            given=given | {"run": name},
            kill_at=kill_at,
        )

    whole = start("whole")
    assert whole.returncode == 0, whole.stderr
    assert start("cut", kill_at=4).returncode == -9  # in the second epoch
    assert not (outputs / "defects" / "cut" / train.WEIGHTS).exists()
    again = start("cut")
    assert again.returncode == 0, again.stderr
    assert "goes on at epoch 2" in again.stdout
    one, two = (outputs / "defects" / name for name in ("whole", "cut"))
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (one, two)]
    assert metrics[0] == metrics[1]
    weights = [load_detector(run / train.WEIGHTS).state_dict() for run in (one, two)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    for name in ("loss.txt", "predictions_1.txt", "predictions_2.txt"):
        assert (one / "epochs" / name).read_text() == (two / "epochs" / name).read_text()


# ------------------------------------------------------------------ what it is trained on


def test_clean_pictures_are_in_every_epoch_and_in_validation(spots, tmp_path):
    sets = sets_of(tmp_path, data=str(spots), copy_paste=1.0)
    clean = sum(not record.boxes for record in sets.train.records)
    assert clean == sets.counts["train_clean"] > 0
    assert sets.counts["validation_clean"] == sum(not r.boxes for r in sets.truth.records)
    for epoch in range(3):
        sets.train.set_epoch(epoch)
        seen = sum(not len(sets.train.example(k).boxes) for k in range(len(sets.train)))
        assert seen == clean


def test_drawn_pictures_are_clean_as_often_as_asked(tmp_path):
    sets = sets_of(tmp_path, synthetic_images=40, validation_images=20, clean=0.5, size=128)
    clean = sum(not len(sets.train.example(k).boxes) for k in range(40))
    assert 10 <= clean <= 30
    assert 4 <= sets.counts["validation_clean"] <= 16


def test_validation_is_never_varied(spots, tmp_path):
    wild = {"photometric": 1.0, "mosaic": 1.0, "copy_paste": 1.0, "scale_max": 2.0}
    sets = sets_of(tmp_path, data=str(spots), **wild)
    records = sets.truth.records
    for epoch in range(2):
        sets.train.set_epoch(epoch)
        for index, record in enumerate(records):
            item = sets.validation[index]
            assert item["index"] == index
            ground = 20 + int(record.name.removesuffix(".png"))
            pixels = item["image"].numpy()
            assert pixels.shape == (3, record.height, record.width)
            expected = np.full((record.height, record.width), ground)
            for box in record.boxes:
                x0, y0, x1, y1 = map(int, box.xyxy)
                expected[y0:y1, x0:x1] = 200
            assert (pixels == expected).all()


def test_drawn_validation_pictures_are_not_trained_on(tmp_path):
    sets = sets_of(tmp_path, synthetic_images=6, validation_images=6, size=128)
    held = {sets.validation.image(index).tobytes() for index in range(6)}
    drawn = {sets.train.draw(index)[0].tobytes() for index in range(6)}
    assert len(held | drawn) == 12


def test_groups_stay_on_one_side(spots, tmp_path):
    sets = sets_of(tmp_path, data=str(spots))
    trained = {record.group for record in sets.train.records}
    assert trained.isdisjoint(record.group for record in sets.truth.records)
    assert len(sets.train.records) + len(sets.truth.records) == 12


@pytest.mark.parametrize(
    ("line", "params", "attributes", "outlines", "said"),
    [
        (headstamps_train, TrainHeadstamps, {}, False, r"\d+ of \d+ objects have none"),
        (defects_train, TrainDefects, {"text": "RWS"}, True, "text on the objects"),
    ],
)
def test_labels_that_a_model_cannot_learn_are_refused(
    tmp_path, line, params, attributes, outlines, said
):
    write_spots(tmp_path / "data", 8, attributes=attributes, outlines=outlines)
    given = params(run="x", data=str(tmp_path / "data"), **SMALL)
    with pytest.raises(ParameterError, match=said):
        line.training_images(given)


def test_there_must_be_objects_to_train_on(tmp_path):
    records = []
    for number in range(4):
        picture = np.full((96, 128, 3), number, np.uint8)
        file = save_image(tmp_path / "data" / "images" / f"{number}.png", picture)
        records.append(ImageRecord(f"{number}.png", 128, 96, (), file, f"g{number}"))
    clean = Annotations(tuple(records), ("spot",), tmp_path / "data")
    write_coco(clean, tmp_path / "data" / "annotations.json")
    with pytest.raises(ParameterError, match="none with an object"):
        sets_of(tmp_path, data=str(tmp_path / "data"))


def test_drawn_pictures_of_other_classes_are_not_mixed_in(spots, tmp_path):
    with pytest.raises(ParameterError, match="drawn pictures have pit, data has spot"):
        sets_of(tmp_path, data=str(spots), own_share=0.5)


# ------------------------------------------------------------------ cross-validation


def test_folds_give_mean_and_deviation_and_keep_groups_apart(spots, outputs):
    run = run_training("folds", data=str(spots), folds=2, epochs=1)
    metrics = json.loads((run.path / "metrics.json").read_text())
    folds = [metrics[f"fold-{number}/AP50"] for number in (1, 2)]
    assert metrics["validation/AP50"] == pytest.approx(np.mean(folds))
    assert metrics["deviation/AP50"] == pytest.approx(np.std(folds, ddof=1))
    assert 0 <= metrics["pooled/AP50"] <= 1
    held = []
    for number in (1, 2):
        folder = run.path / f"fold-{number}"
        splits = json.loads((folder / "splits.json").read_text())
        held.append({key for key, split in splits.items() if split == "validation"})
        assert len(splits) == 12
        found = json.loads((folder / train.PREDICTIONS_FILE).read_text())
        assert len(found) == len(held[-1])
        assert load_detector(folder / train.WEIGHTS).config.labels == ("spot",)
    # each picture is held back once
    assert held[0].isdisjoint(held[1])
    assert len(held[0] | held[1]) == 12


def test_every_picture_is_hashed_once(spots, monkeypatch):
    files = [*spots.rglob("*.png"), *spots.rglob("*.jpg")]
    for file in files:
        os.utime(file, (1e9, 1e9))  # written long ago, as a user's are
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: hashed.append(file.name) or real(file, kind)
    )
    params = TrainDefects(run="once", data=str(spots), **SMALL)
    run = open_run("defects", "once", params, stage="train")
    sets = defects_train.training_images(params)
    task = train.DetectionTask(train.build_detector(params, sets), sets)
    defects_train.train(params, run, task, sets)
    assert sorted(hashed) == sorted(map(str, files))
    assert json.loads((run.path / "run.json").read_text())["dataset"]["files"] == len(files)


def test_more_folds_than_groups_are_refused(spots):
    with pytest.raises((DataError, ParameterError), match="4 groups"):
        run_training("folds", data=str(spots), folds=5)


# ------------------------------------------------------------------ the model it starts from


def test_parameters_reach_the_model(spots, tmp_path):
    first = {"nms_iou_threshold": 0.55, "max_proposals": 30, "objectness_loss_weight": 2.0}
    given = {"first_stage": first, "anchors": "data", "finest": 4, "box_batch_size_per_image": 24}
    params = TrainDefects(run="sets", data=str(spots), **SMALL, **given)
    sets = sets_of(tmp_path, data=str(spots), **given)
    detector = train.build_detector(params, sets)
    rpn = detector.net.rpn
    assert (rpn.nms_thresh, rpn.train().post_nms_top_n()) == (0.55, 30)
    assert detector.loss_weights["loss_objectness"] == 2.0
    assert detector.net.roi_heads.fg_bg_sampler.batch_size_per_image == 24
    # spots are 40 x 24 of 128 pixels, the model sees 96
    assert np.median(rpn.anchor_generator.aspect_ratios[0]) == pytest.approx(0.6, abs=0.02)
    sizes = [size for level in rpn.anchor_generator.sizes for size in level]
    assert min(abs(size - 23.2) for size in sizes) < 3


def test_parts_of_the_model_have_rates_of_their_own():
    params = TrainDefects(learning_rate=1e-3, backbone_rate=0.1, head_rate=0.5, weight_decay=0.02)
    detector = new_detector(DetectorConfig("fasterrcnn_mobilenet", ("spot",), size=96))
    empty = DetectionSets(None, None, Annotations((), ("spot",), None), np.zeros((0, 2)), {})
    task = train.DetectionTask(detector, empty)
    task.fit_params = params
    rates, decays = {}, {}
    for group in task.parameter_groups():
        for parameter in group["params"]:
            assert id(parameter) not in rates
            rates[id(parameter)] = group["lr"]
            decays[id(parameter)] = group["weight_decay"]
    assert rates.keys() == {id(p) for p in task.parameters()}
    stage = detector.net.roi_heads
    parts = ((1e-4, detector.backbone), (5e-4, stage.box_predictor), (1e-3, detector.net.rpn))
    for rate, part in parts:
        assert all(rates[id(p)] == pytest.approx(rate) for p in part.parameters())
    assert decays[id(stage.box_predictor.cls_score.weight)] == 0.02
    assert decays[id(stage.box_predictor.cls_score.bias)] == 0


def test_training_goes_on_from_a_run_and_its_anchors(spots, tmp_path, outputs):
    old = new_detector(
        DetectorConfig(
            "fasterrcnn_mobilenet",
            ("spot",),
            size=96,
            channels=64,
            anchor_sizes=((9.0, 12.0), (20.0, 30.0), (40.0, 60.0), (80.0, 90.0)),
            anchor_ratios=(0.7, 1.0, 1.4),
        )
    )
    folder = outputs / "defects" / "earlier"
    folder.mkdir(parents=True)
    save_weights(old, folder / train.WEIGHTS)
    params = TrainDefects(run="sets", data=str(spots), init="earlier", **SMALL)
    detector = train.build_detector(params, sets_of(tmp_path, data=str(spots)))
    assert detector.config.anchor_sizes == old.config.anchor_sizes
    assert detector.config.channels == 64
    own = detector.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in old.state_dict().items())
    with pytest.raises(ParameterError, match="set model to that"):
        train.build_detector(
            TrainDefects(run="sets", data=str(spots), init="earlier", model="dfine_nano", **SMALL),
            sets_of(tmp_path, data=str(spots)),
        )


def test_judging_does_without_clean_pictures_and_without_detections():
    truth = Annotations((ImageRecord("a.png", 50, 50, (Box("spot", (1, 1, 20, 20)),)),), ("spot",))
    assert train.judge(truth, {"a.png": []})["AP50"] == 0
    assert "image_AUROC" not in train.judge(truth, {"a.png": []})
    right = Box("spot", (1, 1, 20, 20), score=0.9)
    assert train.judge(truth, {"a.png": [right]})["AP"] == pytest.approx(1)
    clean = truth.with_records([*truth.records, ImageRecord("b.png", 50, 50)])
    assert train.judge(clean, {"a.png": [right], "b.png": []})["image_AUROC"] == 1


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
