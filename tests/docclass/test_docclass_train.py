"""Training of the line: balanced views, classes kept apart, exact resume, what it leaves behind."""

import json
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from killed_runs import train_in_process
from sightbook.docclass import train
from sightbook.docclass.model import Embedder, EmbedderConfig, load_embedder
from sightbook.docclass.params import TrainDocclass
from sightbook.docclass.store import Store
from sightbook.params import ParameterError
from sightbook.runs.run import RunError, open_run
from sightbook.training.weights import save_weights

SMALL = {
    "templates": 6,
    "views": 24,
    "epochs": 2,
    "batch_size": 8,
    "validation_classes": 4,
    "validation_views": 3,
    "dim": 16,
    "squeeze": 8,
    "workers": 0,
    "checkpoint_steps": 2,
    "precision": "32",
}


def run_script(folder, name, kill_at):
    return train_in_process(
        folder,
        "docclass",
        train="sightbook.docclass.train.train",
        task="sightbook.docclass.train.EmbeddingTask",
        params="sightbook.docclass.params.TrainDocclass",
        given={"run": name, **SMALL},
        kill_at=kill_at,
    )


def stored(count, first=0):
    pixels = np.zeros((count, 32, 32, 3), np.uint8)
    pixels[:] = (np.arange(first, first + count) * 7 % 256).astype(np.uint8)[:, None, None, None]
    names = [str(index) for index in range(first, first + count)]
    shape = np.full(count, 1.5, np.float32)
    return Store(pixels, shape, np.arange(count), names, list(names), list(names))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training undisturbed, and killed in the second epoch and started again."""
    folder = tmp_path_factory.mktemp("outputs")
    whole = run_script(folder, "whole", -1)
    assert whole.returncode == 0, whole.stderr
    killed = run_script(folder, "killed", 4)
    assert killed.returncode == -signal.SIGKILL
    again = run_script(folder, "killed", -1)
    assert again.returncode == 0, again.stderr
    assert "goes on at epoch 2" in again.stdout
    return folder / "docclass"


def test_a_kill_changes_nothing(runs):
    metrics = [json.loads((runs / n / "metrics.json").read_text()) for n in ("whole", "killed")]
    assert metrics[0] == metrics[1]
    one, two = (
        load_embedder(runs / n / "embedder.safetensors").state_dict() for n in ("whole", "killed")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_records_its_classes_and_data(runs):
    record = json.loads((runs / "whole" / "run.json").read_text())
    assert record["classes"] == {"own": 0, "other": 6, "validation": 4}
    assert record["dataset"]["files"] == 10


def test_metrics_are_of_unseen_classes(runs):
    metrics = json.loads((runs / "whole" / "metrics.json").read_text())
    assert {"validation/tpr_1e-2", "validation/tpr_1e-3", "validation/auroc"} <= set(metrics)
    assert 0 <= metrics["validation/auroc"] <= 1


def test_views_are_balanced_over_classes_and_shares():
    params = TrainDocclass(views=120, own_share=0.25)
    data = train.TrainingViews(stored(3), stored(9, 3), params)
    counts = Counter(data[index]["label"] for index in range(len(data)))
    assert [counts[label] for label in range(3)] == [10, 10, 10]
    assert [counts[label] for label in range(3, 12)] == [10] * 9


def test_views_follow_from_seed_epoch_and_index():
    params = TrainDocclass(views=20)
    one, two = (train.TrainingViews(None, stored(4), params) for _ in range(2))
    two.set_epoch(3)
    two.set_epoch(0)
    assert torch.equal(one[7]["view"], two[7]["view"])
    two.set_epoch(1)
    labels = [[data[i]["label"] for i in range(20)] for data in (one, two)]
    assert labels[0] != labels[1]


def test_turns_are_classes_of_their_own():
    """A template dark above and bright below is told by where the bright side lies."""
    half = stored(1)
    half.pixels[:] = 0
    half.pixels[0, 16:] = 255
    params = TrainDocclass(views=16, turns=True, level="easy", epochs=1)
    data = train.TrainingViews(None, half, params)
    assert data.classes == 4
    brightest: dict[int, Counter] = {}
    for index in range(16):
        view = data[index]["view"].numpy().astype(float)
        sides = [view[80:100, 54:74], view[54:74, 80:100], view[28:48, 54:74], view[54:74, 28:48]]
        side = int(np.argmax([part.mean() for part in sides]))
        brightest.setdefault(data[index]["label"], Counter())[side] += 1
    # A shadow may outweigh a side once, but not the four views of a turn.
    assert {label: seen.most_common(1)[0][0] for label, seen in brightest.items()} == {
        0: 0,
        1: 1,
        2: 2,
        3: 3,
    }


def test_test_classes_are_never_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    rng = np.random.default_rng(0)
    for index in range(12):
        noise = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((120, 80), 0).save(tmp_path / f"{index:02d}.png")
    params = TrainDocclass(data=str(tmp_path), templates=2, validation_classes=2, max_bad=0)
    sets = train.training_templates(params)
    trained, held = (
        {name for name in names if "/" not in name}
        for names in (sets.train.store.names, sets.validation.store.names)
    )
    from sightbook.docclass.data import pool

    shares = {"train": 0.6, "calibration": 0.2, "test": 0.2}
    classes = pool(tmp_path, fractions=shares, salt="0")
    assert trained == {c.name for c in classes.of("train")}
    assert held == {c.name for c in classes.of("calibration")}
    assert classes.of("test")
    assert not (trained | held) & {c.name for c in classes.of("test")}
    # Going on from that run, another seed does not bring its test classes into training.
    run = open_run("docclass", "first", params, stage="train")
    (run.path / "splits.json").write_text(json.dumps(sets.splits))
    (run.path / "embedder.safetensors").touch()
    run.finish({})
    later = params.model_copy(update={"seed": 5, "init": "first"})
    again = train.training_templates(later)
    assert {name for name in again.train.store.names if "/" not in name} == trained
    assert again.splits == sets.splits


def test_extra_classes_are_every_picture_of_a_folder(tmp_path):
    for name in ("x/1.png", "x/2.png", "y/deep/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    params = TrainDocclass(extra=str(tmp_path))
    assert [c.name for c in train.extra_classes(params)] == [
        "extra/x/1.png",
        "extra/x/2.png",
        "extra/y/deep/3.png",
    ]
    assert len(train.extra_classes(params.model_copy(update={"extra_classes": 2}))) == 2
    with pytest.raises(ParameterError, match="no folder with pictures"):
        train.extra_classes(TrainDocclass(extra=str(tmp_path / "nowhere")))


def test_init_takes_the_weights_it_names_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path))
    params = TrainDocclass(dim=16, squeeze=8)
    with pytest.raises(RunError):
        train.build_embedder(params.model_copy(update={"init": "absent"}))
    run = open_run("docclass", "base", params, stage="train")
    kept = Embedder(EmbedderConfig(dim=16, squeeze=8))
    save_weights(kept, run.path / "embedder.safetensors")
    run.finish({})
    started = train.build_embedder(params.model_copy(update={"init": "base"}))
    assert torch.equal(started.embed[0].weight, kept.embed[0].weight)
    assert started.training
    with pytest.raises(ParameterError, match="dim 16, the parameters ask for 32"):
        train.build_embedder(TrainDocclass(init="base", dim=32, squeeze=8))


def test_pretrained_weights_come_from_timm_or_not_at_all(monkeypatch):
    """The real call, with a file made on the spot in place of the hub's."""
    import timm

    made = timm.create_model("lcnet_035", pretrained=False)
    real, asked = timm.create_model, []

    def create(name, pretrained=False, **options):
        asked.append(pretrained)
        model = real(name, pretrained=False, **options)
        if pretrained:
            model.load_state_dict(made.state_dict(), strict=False)
        return model

    monkeypatch.setattr(timm, "create_model", create)
    params = TrainDocclass(backbone="lcnet_035", init="pretrained", dim=16, squeeze=8)
    started = train.build_embedder(params)
    assert asked == [True]
    weights = dict(made.named_parameters())
    assert torch.equal(started.backbone.conv_stem.weight, weights["conv_stem.weight"])

    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ParameterError, match=r"could not be fetched \(no route\)"):
        train.build_embedder(params)


def test_an_unknown_backbone_gets_a_hint():
    with pytest.raises(ParameterError, match="did you mean 'lcnet_050'"):
        Embedder(EmbedderConfig("lcnet_0500"))


def test_embeddings_lie_on_the_unit_sphere_and_know_nothing_of_the_batch():
    model = Embedder(EmbedderConfig(dim=16, squeeze=8)).eval()
    torch.manual_seed(0)
    pictures = torch.rand(5, 3, 128, 128)
    with torch.inference_mode():
        together, alone = model(pictures), model(pictures[2:3])
    assert together.shape == (5, 16)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", ["cosface", "arcface", "subcenter_arcface", "sampled_cosface"])
def test_one_batch_can_be_learnt_by_heart(head):
    torch.manual_seed(0)
    margin = 0.2 if head.endswith("cosface") else 15.0
    params = TrainDocclass(head=head, margin=margin, dim=16, squeeze=8, margin_warmup=0)
    model = Embedder(EmbedderConfig(dim=16, squeeze=8))
    task = train.EmbeddingTask(model, train.build_head(params, 6), [])
    task.head.set_progress(1.0)
    views, labels = torch.randint(0, 256, (12, 64, 64, 3), dtype=torch.uint8), torch.arange(12) % 6
    task.model.embed[0] = torch.nn.Linear(8 * 4, 16, bias=False)  # 64 px: a 2x2 map, faster
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = task.head(task.embed(views), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.15 * losses[0]
