"""Task and data sets of every line can be handed to other processes, and are the same there."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightbook.params import Parameters
from sightbook.runs.run import open_run
from sightbook.training.launch import write_job

Parts = tuple[Any, Parameters, Any, Any]


def recognition() -> Parts:
    from sightbook.ocr.params import TrainRecognition
    from sightbook.ocr.recognition import train as line

    params = TrainRecognition(lines=4, validation_lines=2)
    model = line.build_recognizer(params)
    sets = line.training_lines(params, model.alphabet)
    return line.train, params, line.RecognitionTask(model), sets


def text_detection() -> Parts:
    from sightbook.ocr.detection import train as line
    from sightbook.ocr.params import TrainDetection

    params = TrainDetection(pages=2, validation_pages=1, crop=96)
    sets = line.training_pages(params)
    task = line.DetectionTask(line.build_detector(params), sets.validation, (320, 256))
    return line.train, params, task, sets


def layout() -> Parts:
    from sightbook.ocr.layout import train as line
    from sightbook.ocr.params import TrainLayout

    params = TrainLayout(pages=2, validation_pages=1, samples=4, workers=0, dim=16, heads=2)
    return (
        line.train,
        params,
        line.LayoutTask(line.build_layout(params)),
        line.training_pages(params),
    )


def docclass() -> Parts:
    from sightbook.docclass import train as line
    from sightbook.docclass.params import TrainDocclass

    params = TrainDocclass(templates=2, validation_classes=2, validation_views=2, squeeze=8)
    sets = line.training_templates(params)
    model = line.build_embedder(params)
    head = line.build_head(params, sets.train.classes)
    task = line.EmbeddingTask(model, head, sets.validation.store.families)
    return line.train, params, task, sets


def donut() -> Parts:
    from sightbook.donut.dataset.images import training_documents
    from sightbook.donut.params import TrainDonut
    from sightbook.donut.zone import train as line

    params = TrainDonut(documents=10, samples=8, validation_samples=2)
    sets = line.training_zones(params, training_documents(params))
    reader = line.ReaderTask(line.build_reader(params), params.ctc_weight)
    task = line.ZoneTasks(line.FinderTask(line.build_finder(params)), reader)
    return line.train, params, task, sets


def donut_page() -> Parts:
    from sightbook.donut.dataset.images import training_documents
    from sightbook.donut.page import train as line
    from sightbook.donut.params import TrainDonut
    from sightbook.donut.zone.train import train

    params = TrainDonut(
        pipeline="page", documents=10, validation_samples=2, image_height=96, image_width=128
    )
    dataset = training_documents(params)
    model, processor = line.build_page(params, line.page_notation(params, dataset))
    sets = line.training_pages(params, dataset, processor)
    return train, params, line.PageTask(model, processor.tokenizer, sets.validation, 1), sets


def defects() -> Parts:
    from sightbook.defects import train as line
    from sightbook.defects.params import TrainDefects

    params = TrainDefects(synthetic_images=4, validation_images=4, size=96)
    sets = line.training_images(params)
    return line.train, params, line.DetectionTask(line.build_detector(params, sets), sets), sets


def headstamps() -> Parts:
    from sightbook.headstamps import train as line
    from sightbook.headstamps.params import TrainHeadstamps

    params = TrainHeadstamps(synthetic_images=4, validation_images=4, size=96)
    sets = line.training_images(params)
    return line.train, params, line.DetectionTask(line.build_detector(params, sets), sets), sets


LINES = (recognition, text_detection, layout, docclass, donut, donut_page, defects, headstamps)


@pytest.mark.parametrize("make", LINES, ids=lambda make: make.__name__)
def test_parts_are_the_same_in_another_process(
    make: Callable[[], Parts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    train, params, task, sets = make()
    run = open_run(make.__name__, "run", params, stage="train")
    job = write_job(run.path / "launch" / "job.json", train, params, run, task=task, sets=sets)
    with (job.parent / "parts.pkl").open("rb") as file:
        parts = pickle.load(file)
    assert parts["train"] is train
    state = parts["task"].state_dict()
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    name = "reader_train" if make is donut else "train"
    items = [flat(getattr(each, name)[1]) for each in (sets, parts["sets"])]
    assert len(items[0]) == len(items[1]) > 0
    for one, two in zip(*items, strict=True):
        np.testing.assert_array_equal(one, two)


def flat(item: Any) -> list[Any]:
    """All arrays and values of a sample, whatever it is made of."""
    if isinstance(item, dict):
        return [part for value in item.values() for part in flat(value)]
    if isinstance(item, (list, tuple)):
        return [part for value in item for part in flat(value)]
    if hasattr(item, "__dict__") and not isinstance(item, torch.Tensor):
        return flat(vars(item))
    return [np.asarray(item)]
