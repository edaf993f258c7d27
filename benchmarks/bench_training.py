"""Lightning's overhead: `sightbook.training.fit.fit` against a bare PyTorch loop.

The same small convolutional network, the same batches, AdamW, clipping and schedule; run by
hand: ``OMP_NUM_THREADS=1 python benchmarks/bench_training.py``. Rounds alternate, and the fastest
of each counts, because other work on the machine only ever adds time; on a CPU it is the
process's own time that is compared. Also reports how long the training waited for its data with
and without loader processes.
"""

import argparse
import os
import tempfile
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sightbook.runs.run import open_run
from sightbook.training.fit import FitParams, Task, fit, schedule_factor, seed_everything


class ImageFiles(torch.utils.data.Dataset):
    """Grey pictures held in memory; `cost` rounds of blurring stand for decoding."""

    def __init__(self, count: int, side: int, cost: int = 0):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(count, 1, side, side, generator=generator)
        self.labels = torch.randint(10, (count,), generator=generator)
        self.cost = cost

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        picture = self.images[index]
        for _ in range(self.cost):
            picture = nn.functional.avg_pool2d(picture, 3, 1, 1)
        return picture, self.labels[index]


class Classifier(Task):
    def __init__(self, width: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.model = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10)
        )

    def on_train_epoch_start(self) -> None:
        self.started = clock()

    def on_train_batch_end(self, *args: object) -> None:
        self.took = clock() - self.started  # the epoch's checkpoint is not the loop's

    def training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor:
        return cross_entropy(self.model(batch[0]), batch[1])


def clock() -> float:
    """Seconds: of this process's computing, or passed where a GPU computes."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def bare_loop(data: ImageFiles, width: int, params: FitParams) -> float:
    """Seconds of a plain loop over the data, that fetches each loss as `fit` does."""
    seed_everything(params.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = Classifier(width).to(device)
    task.fit_params = params
    loader = torch.utils.data.DataLoader(data, params.batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(
        task.parameter_groups(), lr=params.learning_rate, fused=device.type == "cpu" or None
    )
    total = params.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: schedule_factor(step, total, params.warmup, params.schedule)
    )
    losses = []
    start = clock()
    for _ in range(params.epochs):
        for pictures, labels in loader:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = cross_entropy(task.model(pictures.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(task.parameters(), params.clip_norm)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            if device.type == "cpu":
                float(losses[-1])
    torch.stack(losses).tolist()
    return clock() - start


def with_fit(
    data: ImageFiles, width: int, params: FitParams, name: str
) -> tuple[float, dict[str, float]]:
    """Seconds of the last epoch's steps (`clock`), and its row of the history."""
    seed_everything(params.seed)
    run = open_run("bench", name, params, stage="train", resume=False)
    task = Classifier(width)
    result = fit(task, data, None, run, params, monitor="train/loss")
    run.finish(result.metrics)
    return task.took, result.history[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4096, help="pictures")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    params = FitParams(
        epochs=1, batch_size=options.batch_size, workers=0, checkpoint_seconds=0, precision="auto"
    )
    data = ImageFiles(options.count, options.side)
    steps = -(-options.count // options.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGHTBOOK_OUTPUTS"] = folder
        bare, ours = [], []
        for number in range(options.rounds + 1):  # the first round warms up
            bare.append(bare_loop(data, options.width, params))
            ours.append(with_fit(data, options.width, params, f"overhead{number}")[0])
        slow, fast = min(ours[1:]), min(bare[1:])
        print(
            f"bare loop {1000 * fast / steps:.2f} ms a step, fit {1000 * slow / steps:.2f} ms: "
            f"{(slow - fast) / fast:+.1%} ({1e6 * (slow - fast) / steps:.0f} us a step)"
        )
        costly = ImageFiles(options.count, options.side, cost=8)
        for workers in (0, 1):
            chosen = params.model_copy(update={"workers": workers, "epochs": 2})
            _, row = with_fit(costly, options.width, chosen, f"workers{workers}")
            print(
                f"workers {workers}: {row['seconds']:.2f} s an epoch, "
                f"waiting for data {row['data_wait']:.1%} of it"
            )


if __name__ == "__main__":
    main()
