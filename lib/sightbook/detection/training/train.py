"""Training of a detector on pictures that a line hands in, and cross-validation."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightbook.detection.labels.annotations import Annotations, Box, Points
from sightbook.detection.labels.masks import mask_polygons
from sightbook.detection.metrics.coco import coco_numbers, evaluate_boxes
from sightbook.detection.metrics.image import decide, image_scores, operating_point, roc
from sightbook.detection.metrics.scoring import Found
from sightbook.detection.models.anchors import Anchors, anchors_from
from sightbook.detection.models.config import DetectorConfig
from sightbook.detection.models.rcnn import (
    Detector,
    anchor_levels,
    load_detector,
    load_pretrained,
    new_detector,
    start_from,
    use_anchors,
)
from sightbook.detection.params import TrainDetector
from sightbook.detection.training.epoch_dump import dump_epoch
from sightbook.detection.training.loader import collate_images
from sightbook.detection.training.sets import SPLITS_FILE, DetectionSets
from sightbook.inference.models import find_model
from sightbook.runs.files import write_json
from sightbook.runs.run import Run
from sightbook.training.fit import FitResult, fit, load_weights, seed_everything
from sightbook.training.task import Task, evaluating, is_first_process
from sightbook.training.weights import save_weights

WEIGHTS = "detector.safetensors"
PREDICTIONS_FILE = "predictions.json"
FOLDS_FILE = "cross_validation.json"
SKIPPED = "skipped.jsonl"

NUMBERS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR_100")
"""COCO's figures that are told after each epoch, where there are such objects."""


def train_detector(
    params: TrainDetector, run: Run, task: DetectionTask, sets: DetectionSets
) -> dict[str, Any]:
    """Train a detector, or one for each fold; the run folder holds everything afterwards.

    Args:
        params: of a line.
        run: where everything goes.
        task: detector and loss.
        sets: pictures to train and validate on.

    Returns:
        Validation metrics of the best epoch; of folds, see `cross_validate`.
    """
    sets.skipped.keep_in(run.path / SKIPPED)
    if sets.folds:
        return cross_validate(params, run, task, sets.folds)
    if is_first_process():
        run.record(dataset=sets.fingerprint, images=sets.counts, classes=list(sets.labels))
        write_json(run.path / SPLITS_FILE, sets.splits)
    result = train_on(params, run, task, sets)
    if is_first_process():
        save_weights(task.detector, run.path / WEIGHTS)
    return result.metrics


def cross_validate(
    params: TrainDetector, run: Run, task: DetectionTask, parts: Sequence[DetectionSets]
) -> dict[str, Any]:
    """Train a detector for each of `parts`, with another part of the groups held back in each.

    Each starts from the weights of `task`, which is left with those of the first. It is judged as
    its last epoch left it: its best epoch would be chosen on the very pictures that it is judged
    on. Folds lie in ``fold-1`` ... of the run, each with its detector and with
    ``predictions.json``, what it found on the pictures that it was not trained on; the decision on
    images and all intervals are in ``cross_validation.json``.

    Returns:
        For each metric ``validation/...`` the mean over the folds, ``deviation/...`` (of the
        sample), each fold's under ``fold-1/...``, and ``pooled/...`` over all pictures together.
    """
    kept: list[dict[str, float]] = []
    folds: list[tuple[Annotations, dict[str, list[Box]]]] = []
    start = copy.deepcopy(task)
    for number, sets in enumerate(parts, 1):
        folder = run.path / f"fold-{number}"
        folder.mkdir(exist_ok=True)
        print(f"fold {number} of {params.folds}: {sets.counts}", flush=True)
        if number > 1:
            task = copy.deepcopy(start)
            task.validate_on(sets)
            if params.anchors == "data" and isinstance(task.detector, Detector):
                own = data_anchors(params, task.detector.config, sets)
                use_anchors(task.detector, own.sizes, own.ratios)
        result = train_on(params, Run(folder, "train"), task, sets)
        load_weights(task, result.last_checkpoint)
        seen = task.find_all()
        folds.append((sets.truth, seen))
        kept.append(judge(sets.truth, seen))
        if is_first_process():
            save_weights(task.detector, folder / WEIGHTS)
            write_json(folder / SPLITS_FILE, sets.splits)
            write_json(folder / PREDICTIONS_FILE, as_rows(seen))
    records = tuple(record for truth, _ in folds for record in truth.records)
    everything = {name: boxes for _, seen in folds for name, boxes in seen.items()}
    pooled = judge(folds[0][0].with_records(records), everything)
    if is_first_process():
        write_json(run.path / FOLDS_FILE, held_out_report(folds))
    names = [name for name in pooled if all(name in fold for fold in kept)]
    metrics: dict[str, Any] = {}
    for name in names:
        values = [fold[name] for fold in kept]
        metrics[f"validation/{name}"] = float(np.mean(values))
        metrics[f"deviation/{name}"] = float(np.std(values, ddof=1))
    for number, fold in enumerate(kept, 1):
        metrics |= {f"fold-{number}/{name}": fold[name] for name in names}
    return metrics | {f"pooled/{name}": value for name, value in pooled.items()}


def train_on(
    params: TrainDetector, run: Run, task: DetectionTask, sets: DetectionSets
) -> FitResult:
    """Train one detector."""
    task.run = run
    return fit(
        task,
        sets.train,
        sets.validation,
        run,
        params,
        collate=collate_images,
        monitor="validation/AP",
        mode="max",
    )


def build_detector(params: TrainDetector, sets: DetectionSets) -> Detector:
    """The detector that training starts from, as `params.init` says; never a silent fallback.

    New weights are drawn from `params.seed`, whatever was drawn before.

    Args:
        params: of a line.
        sets: have its classes and, with `params.anchors` from data, its anchors.

    Raises:
        ParameterError: weights that cannot be had, or those of another model.
        RunError: no such run, or one without a detector.
    """
    seed_everything(params.seed)
    config = DetectorConfig(
        name=params.model,
        labels=sets.labels,
        size=params.size,
        finest=params.finest,
        first_stage=params.first_stage,
        box_batch_size_per_image=params.box_batch_size_per_image,
        rpn_batch_size_per_image=params.rpn_batch_size_per_image,
    )
    file = None
    if params.init not in ("scratch", "pretrained"):
        file = find_model(params.line, params.init, WEIGHTS)
        old = load_detector(file).config
        config = replace(config, channels=old.channels)
        if params.anchors == "default":  # its proposals are learnt for its anchors
            config = replace(config, anchor_sizes=old.anchor_sizes, anchor_ratios=old.anchor_ratios)
    if params.channels:
        config = replace(config, channels=params.channels)
    if params.anchors == "data":
        own = data_anchors(params, config, sets)
        config = replace(config, anchor_sizes=own.sizes, anchor_ratios=own.ratios)
    detector = new_detector(config)
    if params.init == "pretrained":
        load_pretrained(detector)
    elif file is not None:
        start_from(detector, file)
    return detector


def data_anchors(params: TrainDetector, config: DetectorConfig, sets: DetectionSets) -> Anchors:
    """Anchors for the boxes to train on, as many as the model usually has."""
    return anchors_from(sets.sides, anchor_levels(config), (params.scale_min, params.scale_max))


class DetectionTask(Task):
    """A detector, trained by its own losses and validated by COCO's figures.

    A subclass may weigh or replace the losses in `loss`.
    """

    run: Run | None = None
    """Where an epoch's leavings go; set by `train_on`."""

    def __init__(self, detector: Detector, sets: DetectionSets, epoch_dumps: int = 0) -> None:
        """Take a detector and what to validate it on.

        Args:
            detector: a `Detector`, or a module of your own that takes pictures and targets and
                answers as torchvision's do.
            sets: has the validation pictures.
            epoch_dumps: pictures to draw after each epoch; 0 leaves nothing.
        """
        super().__init__()
        # Convolutions run a good deal faster this way, on a CPU and on a GPU.
        self.detector = detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.epoch_dumps = epoch_dumps
        self.found: dict[str, list[Box]] = {}
        # on batches of clean pictures alone D-FINE does without its denoising queries
        config = getattr(detector, "config", None)
        self.find_unused_parameters = isinstance(config, DetectorConfig) and not config.has_anchors
        self.validate_on(sets)

    def validate_on(self, sets: DetectionSets) -> None:
        """Take other pictures to validate on, and their truth."""
        self.images = sets.validation
        self.truth = sets.truth

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW's groups; backbone and fully connected layers have rates of their own.

        Those layers take thousands of inputs: steps as large as those of a convolution turn their
        outputs over, and most units never fire again.
        """
        assert self.fit_params is not None
        rate, decay = self.fit_params.learning_rate, self.fit_params.weight_decay
        shares = dict.fromkeys(map(id, self.parameters()), 1.0)
        for name, modules in (
            ("backbone_rate", [getattr(self.detector, "backbone", None)]),
            ("head_rate", getattr(self.detector, "box_layers", [])),
        ):
            for module in filter(None, modules):
                share = getattr(self.fit_params, name, 1.0)
                shares |= dict.fromkeys(map(id, module.parameters()), share)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = []
        for share in sorted(set(shares.values()), reverse=True):  # the full rate is told first
            own = [parameter for parameter in trained if shares[id(parameter)] == share]
            groups += [
                {"params": [p for p in own if p.ndim >= 2], "weight_decay": decay},
                {"params": [p for p in own if p.ndim < 2], "weight_decay": 0.0},
            ]
            for group in groups[-2:]:
                group["lr"] = rate * share
        return groups

    def training_step(self, batch: dict[str, list[Any]], batch_idx: int) -> dict[str, Tensor]:
        """The sum of the detector's losses, and each of them."""
        images = [image.float() / 255 for image in batch["image"]]
        losses = self.detector(images, batch["target"])
        parts = {name.removeprefix("loss_"): loss for name, loss in losses.items()}
        return {"loss": self.loss(losses), **parts}

    def loss(self, losses: dict[str, Tensor]) -> Tensor:
        """One loss of the detector's, which are named as torchvision names them."""
        return sum(losses.values(), torch.zeros((), device=self.device))

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self.found = {}

    def validation_step(self, batch: dict[str, list[Any]], batch_idx: int) -> None:
        """Keep what is found until all pictures have been looked at."""
        images = [image.float() / 255 for image in batch["image"]]
        answers = self.detector(images)
        for index, answer in zip(batch["index"], answers, strict=True):
            self.found[self.truth.records[index].name] = boxes_of(answer, self.truth.labels)

    def on_validation_epoch_end(self) -> None:
        """COCO's figures, and how well clean pictures are told from others."""
        for name, value in judge(self.truth, self.found).items():
            self.log(f"validation/{name}", value)

    def on_train_epoch_end(self) -> None:
        """Leave behind what was asked for; the recorder has saved the epoch by now."""
        if self.epoch_dumps and self.run is not None and is_first_process():
            epoch = self.current_epoch + 1
            dump_epoch(self.run, epoch, self.truth, self.found, self.images, self.epoch_dumps)

    def find_all(self) -> dict[str, list[Box]]:
        """What the detector, as it now is, finds on all validation pictures."""
        found = {}
        with evaluating(self.detector):
            for index, record in enumerate(self.truth.records):
                pixels = self.images[index]["image"].to(self.device).float() / 255
                found[record.name] = boxes_of(self.detector([pixels])[0], self.truth.labels)
        return found


def judge(truth: Annotations, found: Found) -> dict[str, float]:
    """COCO's figures as far as there are such objects, and the area under the images' ROC."""
    numbers = coco_numbers(truth, found)
    told = {name: float(numbers[name] or 0.0) for name in NUMBERS if numbers[name] is not None}
    area = roc(image_scores(truth, found)).area["value"]
    return told if area is None else told | {"image_AUROC": area}


def as_rows(found: Mapping[str, list[Box]]) -> dict[str, list[dict[str, Any]]]:
    """Detections for JSON: by picture, as ``sightbook predict`` has them."""
    return {
        name: [{"label": box.label, "score": box.score, "box": list(box.xyxy)} for box in boxes]
        for name, boxes in found.items()
    }


def boxes_of(found: dict[str, Tensor], labels: Sequence[str], masks: bool = False) -> list[Box]:
    """Detections of one picture.

    Args:
        found: the detector's answer.
        labels: classes in order.
        masks: outlines as well, where the detector gives any; it takes a while.
    """
    corners = found["boxes"].float().cpu().tolist()
    numbers = found["labels"].cpu().tolist()
    scores = found["scores"].float().clamp(0, 1).cpu().tolist()
    outlines: list[tuple[Points, ...]] = [()] * len(scores)
    if masks and "masks" in found:
        seen = (found["masks"][:, 0] > 0.5).cpu().numpy()
        outlines = [mask_polygons(mask) for mask in seen]
    return [
        Box(labels[number - 1], (x0, y0, x1, y1), polygons, score=score)
        for (x0, y0, x1, y1), number, score, polygons in zip(
            corners, numbers, scores, outlines, strict=True
        )
    ]


@torch.inference_mode()
def detect(
    detector: Detector, image: NDArray[np.uint8], labels: Sequence[str], masks: bool = False
) -> list[Box]:
    """Detections on a picture (uint8 RGB ``[H, W, 3]``), the surest first.

    Args:
        detector: in evaluation mode.
        image: of any size.
        labels: its classes in order.
        masks: see `boxes_of`.
    """
    device = next(detector.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
    return boxes_of(detector([pixels.float() / 255])[0], labels, masks)


REQUIRED_RECALL = 0.95
"""Share of the defective pictures that the chosen score has to find."""

RESAMPLES = 500


def held_out_report(
    folds: Sequence[tuple[Annotations, Found]],
    required_recall: float = REQUIRED_RECALL,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Figures over all pictures of all folds, each as found by the detector that did not see it.

    Args:
        folds: of each fold the truth and what was found, detections with scores.
        required_recall: see `metrics.image.operating_point`.
        resamples: of the bootstrap over groups (over pictures where there are none).

    Returns:
        For JSON: ``boxes`` (COCO's figures with intervals), ``images`` (the decision, with the
        score of each fold chosen on the others) and ``eval_conf``, those scores in order. Without
        defective or without clean pictures in any fold's others, ``images`` is None.
    """
    records = tuple(record for truth, _ in folds for record in truth.records)
    truth = folds[0][0].with_records(records)
    found = {name: boxes for _, part in folds for name, boxes in part.items()}
    units = [record.group or record.name for record in records]
    report: dict[str, Any] = {
        "image_count": len(records),
        "groups": len(set(units)),
        "folds": len(folds),
        "boxes": evaluate_boxes(truth, found, resamples=resamples, units=units).metrics,
        "images": None,
        "eval_conf": [],
    }
    called: dict[str, list[Any]] = {}
    for number, (own, part) in enumerate(folds):
        others = [pair for k, pair in enumerate(folds) if k != number]
        rest = truth.with_records(record for one, _ in others for record in one.records)
        if not rest.clean() or len(rest.clean()) == len(rest.records):
            return report
        seen = {name: boxes for _, boxes_of in others for name, boxes in boxes_of.items()}
        point = operating_point(image_scores(rest, seen), required_recall)
        report["eval_conf"].append(point.eval_conf)
        # One scale for all folds: 1 where a detection reaches its fold's score.
        for record in own.records:
            called[record.name] = [
                replace(box, score=1.0)
                for box in part[record.name]
                if (box.score or 0.0) >= point.eval_conf
            ]
    answers = decide(truth, called, 0.5, resamples=resamples, units=units).metrics
    answers.pop("eval_conf")
    area = decide(truth, found, 0.5, resamples=resamples, units=units).metrics["AUROC"]
    report["images"] = {
        **answers,
        "required_recall": required_recall,
        "defective": answers["TP"] + answers["FN"],
        "clean": answers["FP"] + answers["TN"],
        "AUROC": area,
    }
    return report
