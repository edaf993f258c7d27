"""Training of the layout network: samples, splits, learning, exact resume, its records."""

import json

import numpy as np
import pytest
import torch

from sightbook.ocr.layout import train
from sightbook.ocr.layout.data import NOISE, page_words, successors
from sightbook.ocr.layout.model import LayoutModel, load_layout
from sightbook.ocr.pages.page import PageBuilder, Word, rectangle
from sightbook.ocr.params import TrainLayout
from sightbook.params import ParameterError
from sightbook.runs.run import open_run
from sightbook.training.weights import save_weights

SMALL = {
    "pages": 6,
    "samples": 16,
    "max_words": 30,
    "epochs": 2,
    "batch_size": 4,
    "validation_pages": 2,
    "dim": 16,
    "layers": 1,
    "heads": 2,
    "pair": 8,
    "workers": 0,
    "checkpoint_steps": 2,
}


class Cut(Exception):
    """Ends a training where it stands."""


def run_training(name, cut_at=-1):
    """Train as the notebook does; an exception before a step stands for whatever ends a run."""

    def step(self, batch, index):
        if self.trainer.global_step == cut_at:
            raise Cut
        return STEP(self, batch, index)

    params = TrainLayout(run=name, **SMALL)
    run = open_run("ocr", name, params, stage="train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.LayoutTask, "training_step", step)
        run.finish(train.train(params, run))


STEP = train.LayoutTask.training_step


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training undisturbed, and cut off in the second epoch and started again."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTBOOK_OUTPUTS", str(folder))
        run_training("whole")
        with pytest.raises(Cut):
            run_training("cut", cut_at=6)
        assert not (folder / "ocr" / "cut" / "layout.safetensors").exists()
        run_training("cut")
    return folder / "ocr"


def page(paragraphs=3, rows=3, seed=0):
    """A page of paragraphs under one another, of words of random width."""
    rng = np.random.default_rng(seed)
    builder, y = PageBuilder(f"page-{seed}", 400, 600), 10.0
    for _ in range(paragraphs):
        lines = []
        for _ in range(rows):
            x, line = 10.0, []
            for width in rng.uniform(8, 50, 5):
                line.append(Word(rectangle(x, y, x + width, y + 10), "w"))
                x += width + 4
            lines.append(line)
            y += 14
        builder.add(lines)
        y += 16
    return builder.page()


def test_an_interruption_changes_nothing(runs):
    metrics = [json.loads((runs / n / "metrics.json").read_text()) for n in ("whole", "cut")]
    assert metrics[0] == metrics[1]
    one, two = (load_layout(runs / n / "layout.safetensors").state_dict() for n in ("whole", "cut"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_records_its_pages(runs):
    record = json.loads((runs / "whole" / "run.json").read_text())
    assert record["pages"] == {"own": 0, "synthetic": 6, "validation": 2}
    assert record["dataset"]["files"] == 8
    metrics = json.loads((runs / "whole" / "metrics.json").read_text())
    names = ("layout_f1", "line_f1", "paragraph_f1", "order")
    assert all(0 <= metrics[f"validation/{name}"] <= 1 for name in names)


def test_it_learns():
    """A small network on a page's kind, and other pages of that kind: lines, then paragraphs."""
    params = TrainLayout(samples=100_000, max_words=45, augment=0.2)
    data = train.TrainingPages([], [page_words(page(seed=k)) for k in range(8)], params)
    torch.manual_seed(0)
    model = LayoutModel(train.LayoutConfig(dim=32, layers=1, heads=2, pair=16))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    figures = [unseen_figures(model)]
    for start in range(0, 60 * 4, 4):
        batch = train.collate([data[start + k] for k in range(4)])
        loss = train.layout_loss(model(batch["words"], batch["mask"]), batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    figures.append(unseen_figures(model))
    assert figures[0]["line_f1"] < 0.3
    assert figures[1]["line_f1"] > 0.95
    assert figures[1]["paragraph_f1"] > 0.8


def unseen_figures(model):
    task = train.LayoutTask(model)
    task.validation_step(train.collate([page_words(page(seed=k)) for k in (50, 51)]), 0)
    return task._figures.summary()


def test_samples_follow_from_seed_epoch_and_index():
    pages = [page_words(page(seed=k)) for k in range(3)]
    one, two = (train.TrainingPages([], pages, TrainLayout(samples=9)) for _ in range(2))
    two.set_epoch(4)
    assert not np.array_equal(one[2].quads, two[2].quads)
    two.set_epoch(0)
    assert np.array_equal(one[2].quads, two[2].quads)


def test_shares_of_own_and_generated_pages():
    own = [page_words(page(rows=1, seed=0))]
    drawn = [page_words(page(rows=3, seed=k)) for k in range(5)]
    params = TrainLayout(samples=20, own_share=0.25, augment=0, max_words=1000)
    data = train.TrainingPages(own, drawn, params)
    assert sum(len(data[k]) == len(own[0]) for k in range(20)) == 5


def test_padding_and_targets_of_a_batch():
    short, long = page_words(page(1, 1)), page_words(page(1, 2))
    batch = train.collate([short, long])
    assert batch["mask"].sum(1).tolist() == [5, 10]
    assert batch["next"][0].tolist() == [1, 2, 3, 4, -1, -1, -1, -1, -1, -1]
    assert batch["start"].sum(1).tolist() == [1, 2]
    assert batch["same"][0].sum().item() == 25
    assert batch["lines"][0, 5:].tolist() == [NOISE] * 5
    follows = successors(long.lines)
    assert batch["next"][1].tolist() == follows.tolist()


def test_own_pages_are_split_and_recorded(tmp_path):
    from PIL import Image

    from sightbook.ocr.pages.hiertext import write_hiertext

    pages = [page(seed=k) for k in range(12)]
    (tmp_path / "images").mkdir()
    for k, one in enumerate(pages):
        picture = Image.new("L", (one.width, one.height), 20 * k)
        picture.save(tmp_path / "images" / f"{one.image_id}.png")
    write_hiertext(pages, tmp_path / "annotations.jsonl")
    params = TrainLayout(data=str(tmp_path), validation=0.25, pages=2, validation_pages=1)
    sets = train.training_pages(params)
    held = [name for name, split in sets.splits.items() if split == "validation"]
    assert len(sets.splits) == 12
    assert sets.counts == {"own": 12 - len(held), "synthetic": 2, "validation": len(held) + 1}
    assert len(sets.validation) == len(held) + 1
    assert held


def test_going_on_from_another_shape_is_refused(tmp_path):
    save_weights(LayoutModel(train.LayoutConfig(16, 1, 2, 8)), tmp_path / "layout.safetensors")
    params = TrainLayout(init=str(tmp_path), **{k: SMALL[k] for k in ("dim", "heads", "pair")})
    with pytest.raises(ParameterError, match="has layers 1, the parameters ask for 4"):
        train.build_layout(params)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 100, "heads": 8}, "dim 100 is no multiple of heads 8"),
        ({"pages": 0}, "pages 0: data is synthetic"),
    ],
)
def test_impossible_parameters(wrong, message):
    with pytest.raises(ParameterError, match=message):
        TrainLayout.parse(wrong)
