"""Training of the zone pipeline: what it leaves behind, and that a kill changes nothing."""

import json
import signal

import numpy as np
import pytest
import torch

from killed_runs import train_in_process
from sightbook.donut.dataset.folder import Record
from sightbook.donut.dataset.images import Documents
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone import train
from sightbook.donut.zone.finder import Finder
from sightbook.params import ParameterError
from sightbook.runs.run import RunError
from sightbook.training.weights import read_weights

SMALL = {
    "samples": 8,
    "epochs": 2,
    "batch_size": 2,
    "documents": 10,
    "finder_epochs": 1,
    "validation_samples": 4,
    "workers": 1,
    "checkpoint_steps": 2,
    "precision": "32",
    "ema_decay": 0.9,
}


def run_script(folder, name, kill_at):
    return train_in_process(
        folder,
        "donut",
        train="sightbook.donut.zone.train.train",
        task="sightbook.donut.zone.task.ReaderTask",
        params="sightbook.donut.params.TrainDonut",
        given={"run": name, **SMALL},
        kill_at=kill_at,
    )


def test_killed_in_mid_epoch_it_ends_where_the_undisturbed_run_ends(tmp_path):
    whole = run_script(tmp_path, "whole", -1)
    assert whole.returncode == 0, whole.stderr[-2000:]
    # 4 steps an epoch: step 6 lies in the middle of the second
    killed = run_script(tmp_path, "killed", 6)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "donut" / "killed" / "reader.safetensors").exists()
    again = run_script(tmp_path, "killed", -1)
    assert again.returncode == 0, again.stderr[-2000:]
    folders = [tmp_path / "donut" / name for name in ("whole", "killed")]
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    assert metrics[0] == metrics[1]
    assert metrics[0]["validation/cer"] >= 0 and "finder/validation/zone_iou" in metrics[0]
    weights = [read_weights(folder / "reader.safetensors").tensors for folder in folders]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for folder in folders:
        record = json.loads((folder / "run.json").read_text())
        assert record["status"] == "finished" and record["dataset"]["sha256"]
        assert (folder / "finder.safetensors").is_file()


def params_for(tmp_path, **changes):
    return TrainDonut(**{**SMALL, "run": str(tmp_path / "run"), **changes})


def test_weights_never_fall_back_in_silence(tmp_path):
    with pytest.raises(ParameterError, match="no pretrained weights for the zone pipeline"):
        train.build_reader(params_for(tmp_path, init="pretrained"))
    with pytest.raises(RunError, match="nosuchrun"):
        train.build_reader(params_for(tmp_path, init="nosuchrun"))


def test_a_finder_needs_corners_to_train_on(tmp_path):
    bare = Record(tmp_path / "x.png", [{"mrz": {"type": "TD3", "lines": ["A" * 44] * 2}}])
    params = params_for(tmp_path, data=str(tmp_path))
    dataset = Documents({"train": [bare], "validation": [bare]}, {})
    with pytest.raises(ParameterError, match="use finder: reference"):
        train.training_zones(params, dataset)


def test_documents_without_corners_are_located_once(tmp_path, monkeypatch):
    import cv2

    lines = ["A" * 44, "B" * 44]
    cv2.imwrite(str(tmp_path / "x.png"), np.full((60, 80), 200, np.uint8))
    truth = [{"mrz": {"type": "TD3", "lines": lines}}]
    records = [Record(tmp_path / "x.png", truth), Record(tmp_path / "gone.png", truth)]
    quads = np.arange(16, dtype=np.float32).reshape(2, 4, 2)
    calls = []

    def find(image, maps):
        from sightbook.donut.zone.geometry import Zone

        calls.append(image.shape)
        return [Zone(quads, 0.9)]

    monkeypatch.setattr(train, "find_zones", find)
    for _ in range(2):
        located = train.locate_lines({"train": records}, Finder("tiny"), tmp_path)
        np.testing.assert_array_equal(located["train"][0].quads, quads)
        assert located["train"][1].quads is None
    assert calls == [(60, 80)]
