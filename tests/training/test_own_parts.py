"""A model and a loss written in a notebook's cells: trained here and on two processes, killed in
mid-epoch, gone on with exactly.
"""

import json
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import torch
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from sightbook.ocr.params import TrainRecognition
from sightbook.params import parameters_cell_source
from sightbook.training.weights import read_weights

CELLS = (
    parameters_cell_source(TrainRecognition),
    """
from sightbook.ocr.params import TrainRecognition

params = TrainRecognition.from_namespace(globals())
""",
    """
from torch import nn


class Columns(nn.Module):
    def __init__(self, alphabet):
        super().__init__()
        self.alphabet = alphabet
        self.columns = nn.Conv2d(1, 16, (64, 5), stride=(1, 4), padding=(0, 2))
        self.drop = nn.Dropout(0.2)  # draws random numbers at every step
        self.head = nn.Linear(16, len(alphabet) + 1)

    def forward(self, line_image):
        columns = self.drop(self.columns(line_image)[:, :, 0].relu())
        return nn.functional.log_softmax(self.head(columns.permute(2, 0, 1)), -1)
""",
    """
import os
import signal

from sightbook.ocr.recognition.train import RecognitionTask, train, training_lines

KILLED_AT = int(os.environ["KILLED_AT"])
SHARE = 0.1


class Spread(RecognitionTask):
    def loss(self, log_probs, batch):
        return super().loss(log_probs, batch) - SHARE * log_probs.float().mean()

    def training_step(self, batch, index):
        if self.global_step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = super().training_step(batch, index)
        return {"loss": loss, "tenth": loss / 10}
""",
    """
import torch

from sightbook.training.launch import LaunchError, launch
from sightbook.runs.run import open_run
from sightbook.training.fit import seed_everything

for devices in (2, 1):
    given = params.model_copy(update={"devices": devices})
    run = open_run("ocr", f"{params.run}-{devices}", given, stage="train")
    seed_everything(given.seed)
    model = Columns("0123456789")
    sets = training_lines(given, model.alphabet)
    try:
        metrics = launch(train, given, run, task=Spread(model), sets=sets)
    except LaunchError as error:
        print(str(error).splitlines()[0])
        continue
    torch.save(model.state_dict(), run.path / "model_of_the_cell.pt")
    run.finish(metrics)
""",
)

# Those that the parameters cell does not list are taken by papermill all the same.
GIVEN = {
    "lines": 32, "validation_lines": 6, "epochs": 2, "batch_size": 8, "max_chars": 4,
    "curriculum": 12, "ema_decay": 0.9, "checkpoint_steps": 1, "workers": 0, "precision": "32",
}  # fmt: skip


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [nbformat.v4.new_code_cell(source.strip("\n")) for source in CELLS]
    cells[0].metadata["tags"] = ["parameters"]
    path = tmp_path / "own.ipynb"
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    content = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(content, path)
    return path


def execute(notebook: Path, run: str) -> NotebookNode:
    return papermill.execute_notebook(
        notebook,
        notebook.with_name(f"{run}.ipynb"),
        {**GIVEN, "run": run},
        kernel_name="python3",
        progress_bar=False,
    )


def printed(notebook: NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_own_parts_train_on_every_number_of_processes_and_go_on_after_a_kill(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runs = tmp_path / "outputs" / "ocr"

    monkeypatch.setenv("KILLED_AT", "-1")
    execute(notebook, "whole")
    # Four steps an epoch here, two on two processes: the third is in the middle of either.
    monkeypatch.setenv("KILLED_AT", "3")
    with pytest.raises(DeadKernelError):
        execute(notebook, "killed")
    assert not [*runs.glob("killed-*/metrics.json")]
    assert "was killed by SIGKILL" in printed(nbformat.read(tmp_path / "killed.ipynb", 4))
    monkeypatch.setenv("KILLED_AT", "-1")
    told = printed(execute(notebook, "killed"))
    assert "goes on at epoch 2, batch 2 of 2" in told
    assert "goes on at epoch 1, batch 4 of 4" in told

    for devices in (1, 2):
        whole, killed = runs / f"whole-{devices}", runs / f"killed-{devices}"
        metrics = [read(folder / "metrics.json") for folder in (whole, killed)]
        assert metrics[0] == metrics[1]
        assert metrics[0]["train/tenth"] == pytest.approx(metrics[0]["train/loss"] / 10)
        first, second = (
            read_weights(f / "recognition.safetensors").tensors for f in (whole, killed)
        )
        assert first.keys() == second.keys() >= {"columns.weight", "head.weight"}
        assert all(torch.equal(value, second[name]) for name, value in first.items())
        # and the model of the cell is the trained one, wherever it was trained
        kept = torch.load(whole / "model_of_the_cell.pt", weights_only=True)
        assert all(torch.equal(value, kept[name]) for name, value in first.items())
        assert read(whole / "run.json")["lines"]["validation"] == 6


def read(path: Path) -> Any:
    return json.loads(path.read_text())
