"""Training of recognition and detection: sets, batches, exact resume, what a run leaves behind."""

import json
import signal

import numpy as np
import pytest
import torch

from killed_runs import train_in_process
from sightbook.data.images import Skipped, encode_image
from sightbook.ocr.detection import train as train_detection
from sightbook.ocr.detection.model import load_detection
from sightbook.ocr.pages.hiertext import write_hiertext
from sightbook.ocr.pages.page import Line, PageBuilder, Word, rectangle
from sightbook.ocr.params import TrainDetection, TrainRecognition
from sightbook.ocr.recognition import train as train_recognition
from sightbook.ocr.recognition.alphabet import PRESETS, Encoder
from sightbook.ocr.recognition.data import (
    LineItem,
    MixedLines,
    PageLines,
    SyntheticLines,
    collate_lines,
    line_outline,
    width_buckets,
)
from sightbook.ocr.recognition.model import load_recognizer
from sightbook.ocr.synth.lines import LineSettings
from sightbook.ocr.synth.pages import render_page
from sightbook.params import ParameterError
from sightbook.runs.run import RunError, open_run
from sightbook.training.weights import save_weights

RECOGNITION = {
    "lines": 24, "validation_lines": 6, "epochs": 2, "batch_size": 8, "workers": 0,
    "checkpoint_steps": 2, "precision": "32", "max_chars": 5, "curriculum": 12,
}  # fmt: skip
DETECTION = {
    "pages": 4, "validation_pages": 1, "epochs": 2, "batch_size": 2, "workers": 0,
    "checkpoint_steps": 1, "precision": "32", "crop": 96, "height": 320, "width": 256,
}  # fmt: skip


def run_script(folder, part, name, kill_at, given):
    return train_in_process(
        folder,
        "ocr",
        train=f"sightbook.ocr.train_{part}.train",
        task=f"sightbook.ocr.train_{part}.{part.title()}Task",
        params=f"sightbook.ocr.params.Train{part.title()}",
        given={"run": name, **given},
        kill_at=kill_at,
    )


@pytest.mark.parametrize(
    ("part", "given", "kill_at", "load"),
    [
        ("recognition", RECOGNITION, 4, load_recognizer),
        ("detection", DETECTION, 3, load_detection),
    ],
)
def test_a_kill_changes_nothing(tmp_path, part, given, kill_at, load):
    whole = run_script(tmp_path, part, "whole", -1, given)
    assert whole.returncode == 0, whole.stderr
    assert run_script(tmp_path, part, "killed", kill_at, given).returncode == -signal.SIGKILL
    again = run_script(tmp_path, part, "killed", -1, given)
    assert again.returncode == 0, again.stderr
    assert "goes on at epoch 2" in again.stdout
    folders = [tmp_path / "ocr" / name for name in ("whole", "killed")]
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in folders)
    assert one == two
    first, second = (load(folder / f"{part}.safetensors").state_dict() for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_lines_are_padded_with_black_side_by_side():
    wide = LineItem(np.full((64, 130), 9, np.uint8), np.array([1, 2, 2]), "abb")
    slim = LineItem(np.full((64, 20), 9, np.uint8), np.array([3]), "c")
    batch = collate_lines([wide, slim])
    assert batch.images.shape == (2, 1, 64, 200)
    assert (batch.images[1, ..., 20:] == 0).all() and (batch.images[1, ..., :20] == 9).all()
    assert batch.targets.tolist() == [1, 2, 2, 3]
    assert batch.lengths.tolist() == [3, 1]


def test_batches_hold_every_line_once_and_lines_of_one_width_together():
    data = SyntheticLines(200, 0, LineSettings(max_chars=40))
    batches = width_buckets(data, seed=3)(1, 16)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert {len(batch) for batch in batches} <= {15, 16}
    assert width_buckets(data, seed=3)(1, 16) == batches != width_buckets(data, seed=3)(2, 16)
    spread = np.mean([np.ptp([data.width(1, i) for i in batch]) for batch in batches])
    assert spread < 0.3 * np.ptp([data.width(1, i) for i in range(200)])
    assert len(width_buckets(data, 3, processes=4)(0, 16)) % 4 == 0


def test_drawn_lines_are_new_in_every_epoch_unless_fixed():
    data, fixed = (
        SyntheticLines(4, 0, LineSettings(max_chars=8), fixed=fixed) for fixed in (False, True)
    )
    before = [data[0].text, fixed[0].text]
    data.set_epoch(1)
    fixed.set_epoch(1)
    assert data[0].text != before[0]
    assert fixed[0].text == before[1]


def test_a_curriculum_begins_short_and_clean():
    data = SyntheticLines(4000, 0, LineSettings(max_chars=60), curriculum=4000)
    early = [len(data[i].text) for i in range(40)]
    late = [len(data[i].text) for i in range(3960, 4000)]
    assert max(early) <= 8
    assert max(late) > 40


def labelled(tmp_path, count=3):
    """A folder in HierText form with pages of two lines."""
    (tmp_path / "images").mkdir(parents=True)
    pages = []
    for number in range(count):
        image = np.full((60, 200, 3), 200 + number, np.uint8)
        image[10:20, 20:60] = image[10:20, 70:110] = image[40:50, 20:60] = 0
        (tmp_path / "images" / f"p{number}.png").write_bytes(encode_image(image))
        builder = PageBuilder(f"p{number}", 200, 60)
        words = [Word(rectangle(20, 10, 60, 20), "12"), Word(rectangle(70, 10, 110, 20), "3Ω")]
        builder.add([words, [Word(rectangle(20, 40, 60, 50), "45")]])
        pages.append(builder.page())
    write_hiertext(pages, tmp_path / "annotations.jsonl")
    return tmp_path


def test_lines_of_labelled_pages_are_cut_along_their_words(tmp_path):
    from sightbook.ocr.pages.read import read_dataset

    dataset = read_dataset(labelled(tmp_path))
    lines = PageLines(dataset.pages, Encoder(" 12345"), jitter=False, skipped=Skipped())
    # The line with a character outside the alphabet is left out.
    assert [lines[i].text for i in range(len(lines))] == ["45"] * 3
    assert lines[0].image.shape[0] == 64
    assert (lines[0].image[20:44, 60:200] == 0).all()
    mixed = MixedLines(SyntheticLines(10, 0, LineSettings(alphabet=" 12345")), lines, 1.0, 0)
    assert {mixed[i].text for i in range(10)} == {"45"}


def test_an_outline_follows_the_words_and_shakes():
    line = Line(
        rectangle(0, 0, 100, 30),
        "a b",
        (Word(rectangle(10, 10, 40, 30), "a"), Word(rectangle(50, 0, 90, 30), "b")),
    )
    still, moved = (line_outline(line, np.full(4, value)) for value in (0.2, 1.0))
    assert still.tolist() == [
        [10, 10], [40, 10], [50, 0], [90, 0], [90, 30], [50, 30], [40, 30], [10, 30]
    ]  # fmt: skip
    assert (moved.min(0) == [5, -5]).all() and (moved.max(0) == [95, 35]).all()


def test_data_without_usable_lines_is_refused(tmp_path):
    params = TrainRecognition(data=str(labelled(tmp_path / "data")), alphabet="chars:xyz")
    with pytest.raises(ParameterError, match="gives 0 lines to train"):
        train_recognition.training_lines(params, "xyz")


def test_what_is_handed_in_is_used_and_nothing_is_read_again(tmp_path, monkeypatch):
    data = labelled(tmp_path / "data", 6)
    params = TrainRecognition(
        data=str(data), alphabet="chars: 12345", validation=0.3, **{**RECOGNITION, "epochs": 1}
    )
    run = open_run("ocr", str(tmp_path / "run"), params, stage="train")
    model = train_recognition.build_recognizer(params)
    sets = train_recognition.training_lines(params, model.alphabet)
    (data / "images" / "p0.png").write_bytes(b"")  # found broken later, by the training
    for name in ("read_dataset", "build_recognizer", "fingerprint"):
        monkeypatch.setattr(train_recognition, name, None)
    task = train_recognition.RecognitionTask(model)
    before = model.head.weight.detach().clone()
    train_recognition.train(params, run, task=task, sets=sets)
    assert not torch.equal(model.head.weight, before)
    record = json.loads((run.path / "run.json").read_text())
    assert record["dataset"] == sets.fingerprint
    assert record["lines"] == sets.counts
    assert "p0.png" in (run.path / "skipped.jsonl").read_text()


def test_weights_follow_from_the_seed_whatever_was_drawn_before():
    params = TrainRecognition(size="tiny", seed=3)
    first = train_recognition.build_recognizer(params).head.weight
    torch.rand(5)
    assert torch.equal(train_recognition.build_recognizer(params).head.weight, first)


def test_labelled_pages_are_split_and_counted(tmp_path):
    params = TrainDetection(data=str(labelled(tmp_path / "data", 6)), validation=0.3, pages=5)
    sets = train_detection.training_pages(params)
    assert sets.counts["own"] + sets.counts["validation"] == 6
    assert len(sets.train) == 5
    assert sets.fingerprint["files"] == 6
    assert sets.train[0].images.shape[1:] == (params.crop, params.crop)


def test_going_on_from_another_size_is_refused(tmp_path, monkeypatch):
    from sightbook.ocr.recognition.model import Recognizer, RecognizerConfig

    save_weights(Recognizer(RecognizerConfig("01", "tiny")), tmp_path / "recognition.safetensors")
    params = TrainRecognition(init=str(tmp_path), size="small")
    with pytest.raises(ParameterError, match="is of size tiny"):
        train_recognition.build_recognizer(params)
    grown = train_recognition.build_recognizer(TrainRecognition(init=str(tmp_path), size="tiny"))
    assert grown.config.alphabet == PRESETS["digits"]
    with pytest.raises(RunError):
        train_detection.build_detector(TrainDetection(init=str(tmp_path)))


def test_validation_pages_are_in_reserved_faces():
    train, held = (
        render_page(0, 0, kind="letter", validation=validation) for validation in (False, True)
    )
    assert train.page.text() != held.page.text()
