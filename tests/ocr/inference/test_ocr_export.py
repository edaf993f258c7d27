"""Exported files keep the engine's contract and do what the networks do."""

import json
import math

import numpy as np
import onnx
import pytest
import yaml
from level_models import blank_page, draw_word

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightbook.data.images import encode_image  # noqa: E402
from sightbook.inference.export import ExportModel  # noqa: E402
from sightbook.inference.export import export as export_line  # noqa: E402
from sightbook.inference.onnx import read_metadata, session  # noqa: E402
from sightbook.ocr.detection import calibration  # noqa: E402
from sightbook.ocr.detection.model import DetectionModel  # noqa: E402
from sightbook.ocr.inference import engine  # noqa: E402
from sightbook.ocr.inference import export as exporting  # noqa: E402
from sightbook.ocr.inference import graphs as export  # noqa: E402
from sightbook.ocr.layout.arrange import LayoutModelFile  # noqa: E402
from sightbook.ocr.layout.model import LayoutConfig, LayoutModel  # noqa: E402
from sightbook.ocr.pages.hiertext import write_hiertext  # noqa: E402
from sightbook.ocr.pages.page import PageBuilder, Word, rectangle  # noqa: E402
from sightbook.ocr.recognition.alphabet import PRESETS  # noqa: E402
from sightbook.ocr.recognition.model import Recognizer, RecognizerConfig  # noqa: E402
from sightbook.runs.run import RunError  # noqa: E402
from sightbook.training.weights import save_weights  # noqa: E402


def trained(model, *inputs):
    """A network as after training: no weight, bias or running mean is what it began as."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.05 * torch.randn_like(value)
        model.train()
        for _ in range(2):
            model(*inputs)
    return model.eval()


def shapes(values):
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in values
    }


# ------------------------------------------------------------------ recognition


@pytest.fixture(scope="module")
def recogniser():
    model = Recognizer(RecognizerConfig(PRESETS["ocrs"], "tiny"))
    return trained(model, torch.rand(2, 1, 64, 120) - 0.5)


@pytest.fixture(scope="module")
def recogniser_file(recogniser, tmp_path_factory):
    path = tmp_path_factory.mktemp("recognition") / "model.onnx"
    return export.export_recognition(recogniser, path, PRESETS["ocrs"], metadata={"run": "mine"})


def test_the_recognisers_names_and_sizes(recogniser_file):
    graph = onnx.load(str(recogniser_file)).graph
    assert shapes(graph.input) == {"line_image": ["batch", 1, 64, "width"]}
    assert shapes(graph.output) == {"log_probs": ["seq", "batch", 97]}
    types = [value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]]
    assert types == [onnx.TensorProto.FLOAT] * 2


def test_the_recogniser_stays_within_the_engines_operators(recogniser_file):
    found = export.check_operators(recogniser_file)
    assert set(found) <= export.OPERATORS and "GRU" in found


@pytest.mark.parametrize("batch, width", [(1, 50), (3, 150), (20, 100)])
def test_the_recogniser_reads_as_in_pytorch_at_any_size(recogniser, recogniser_file, batch, width):
    pixels = np.random.default_rng(0).random((batch, 1, 64, width), np.float32) - 0.5
    ours = session(recogniser_file).run(None, {"line_image": pixels})[0]
    with torch.inference_mode():
        theirs = recogniser(torch.from_numpy(pixels)).numpy()
    assert ours.shape[1:] == (batch, 97)
    assert np.allclose(ours, theirs, atol=1e-4)
    assert np.allclose(np.exp(ours).sum(-1), 1, atol=1e-4)


def test_the_alphabet_is_in_the_file_and_beside_it(recogniser_file):
    facts = read_metadata(recogniser_file)
    assert facts["alphabet"] == PRESETS["ocrs"] and facts["run"] == "mine"
    assert (facts["line"], facts["task"]) == ("ocr", "recognition")
    beside = recogniser_file.with_name("alphabet.txt").read_text(encoding="utf-8")
    assert beside == PRESETS["ocrs"] + "\n"


def test_the_command_for_the_engine_survives_a_shell():
    import shlex

    parts = shlex.split(export.ocrs_arguments(PRESETS["ocrs"]))
    assert parts[parts.index("--alphabet") + 1] == PRESETS["ocrs"]
    assert parts[0] == "ocrs" and "--rec-model" in parts and "--detect-model" in parts


def test_an_alphabet_of_another_length_is_refused(recogniser, tmp_path):
    with pytest.raises(export.ContractError, match="has 97 classes, an alphabet of 3 characters"):
        export.export_recognition(recogniser, tmp_path / "model.onnx", "abc")


# ------------------------------------------------------------------ detection


class Brightness(nn.Module):
    """Logits: 20 times the grey (0 at a grey of 0.5)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.layer.weight, 20.0)

    def forward(self, image):
        return self.layer(image)


def test_the_detector_has_fixed_height_and_width_and_its_shift(tmp_path):
    path = export.export_detection(Brightness(), tmp_path / "model.onnx", (64, 96), shift=-2.0)
    graph = onnx.load(str(path)).graph
    assert shapes(graph.input) == {"image": ["batch", 1, 64, 96]}
    assert shapes(graph.output) == {"probabilities": ["batch", 1, 64, 96]}
    pixels = np.full((2, 1, 64, 96), 0.1, np.float32)
    answer = session(path).run(None, {"image": pixels})[0]
    assert np.allclose(answer, 0.5)  # sigmoid(20 * 0.1 - 2)
    facts = read_metadata(path)
    assert facts["logit_shift"] == -2.0 and facts["threshold"] == 0.2
    assert facts["input"]["size"] == [64, 96]


@pytest.fixture(scope="module")
def detector():
    return trained(DetectionModel(), torch.rand(2, 1, 64, 64) - 0.5)


@pytest.mark.parametrize("size", [(96, 128), (100, 150)])
def test_the_detector_finds_as_in_pytorch(detector, tmp_path, size):
    path = export.export_detection(detector, tmp_path / "model.onnx", size, shift=0.5)
    assert not detector.training
    assert set(export.check_operators(path)) <= export.OPERATORS
    graph = onnx.load(str(path)).graph
    assert shapes(graph.output) == {"probabilities": ["batch", 1, *size]}
    pixels = np.random.default_rng(0).random((2, 1, *size), np.float32) - 0.5
    ours = session(path).run(None, {"image": pixels})[0]
    with torch.inference_mode():
        theirs = torch.sigmoid(detector(torch.from_numpy(pixels)) + 0.5).numpy()
    assert np.allclose(ours, theirs, atol=1e-4)
    assert np.ptp(ours) > 1e-3


def test_operators_that_the_engine_lacks_are_named(tmp_path):
    class Softplus(Brightness):
        def forward(self, image):
            return nn.functional.softplus(super().forward(image))

    with pytest.raises(export.ContractError, match=r"does not know the operator Softplus"):
        export.export_detection(Softplus(), tmp_path / "model.onnx", (64, 96))


# ------------------------------------------------------------------ calibration


def page_of(*words):
    builder = PageBuilder("p", 200, 100)
    for word in words:
        builder.add([[word if isinstance(word, Word) else Word(rectangle(*word), "a")]])
    return builder.page()


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 0.9])
def test_a_shift_makes_the_engines_threshold_act_as_another(threshold):
    logit = math.log(threshold / (1 - threshold))
    assert calibration.sigmoid(np.float32(logit + calibration.shift_for(threshold))) == (
        pytest.approx(0.2, abs=1e-6)
    )


def test_words_count_once_and_illegible_ones_not_at_all():
    page = page_of(
        (0, 0, 40, 20), (60, 0, 100, 20), Word(rectangle(120, 0, 160, 20), legible=False)
    )
    rects = [(0, 0, 40, 20), (2, 0, 42, 20), (60, 0, 100, 9), (121, 0, 159, 20), (0, 60, 40, 80)]
    counts = calibration.count_words(page, np.stack([rectangle(*row) for row in rects]))
    # the second copy, the half of a word and the stray one are false; the illegible word is let be
    assert (counts.hits, counts.true, counts.found) == (1, 2, 4)
    assert (counts.precision, counts.recall) == (0.25, 0.5)
    assert counts.f == pytest.approx(2 / 6)
    nothing = calibration.count_words(page_of(), np.zeros((0, 4, 2), np.float32))
    assert (nothing.f, nothing.precision, nothing.recall) == (1, 1, 1)
    assert calibration.total([counts, counts]).hits == 2


def test_the_shift_is_the_one_that_finds_words_best():
    # Two words, joined by a bridge of probability a half: only thresholds above it tell them apart.
    logits = np.full((100, 200), -8.0, np.float32)
    logits[30:50, 20:60] = logits[30:50, 70:110] = 8.0
    logits[30:50, 60:70] = 0.05
    truth = page_of((17, 27, 62, 52), (67, 27, 112, 52))
    shift, rows = calibration.best_shift([logits], [truth])
    assert [row["F"] for row in rows] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert shift == pytest.approx(calibration.shift_for(0.6), abs=1e-4)


# ------------------------------------------------------------------ layout


def test_the_layout_judges_as_in_pytorch_for_any_number_of_words(tmp_path):
    model = LayoutModel(LayoutConfig(dim=16, layers=1, heads=2, pair=4)).eval()
    path = export.export_layout(model, tmp_path / "model.onnx", metadata={"run": "mine"})
    assert read_metadata(path)["task"] == "layout"
    judge = LayoutModelFile(path)
    for count in (1, 7):
        words = np.random.default_rng(count).random((count, 6)).astype(np.float32) + 0.1
        with torch.inference_mode():
            theirs = model(torch.from_numpy(words[None]), torch.ones(1, count))
        for ours, other in zip(judge(words), theirs, strict=True):
            assert np.allclose(ours, other[0].numpy(), rtol=1e-4, atol=1e-3)


# ------------------------------------------------------------------ runs


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder without weights, and one drawn page in place of the generator's."""
    image = blank_page(100, 300)
    draw_word(image, 20, 30, "ab")
    draw_word(image, 100, 30, "bab")
    builder = PageBuilder("p", 300, 100)
    words = [Word(rectangle(17, 27, 70, 64), "ab"), Word(rectangle(97, 27, 174, 64), "bab")]
    builder.add([words])
    sample = exporting.Sample(engine.prepare_image(image), builder.page(), True)
    monkeypatch.setattr(exporting, "generated_samples", lambda count: [sample] * count)
    folder = tmp_path / "run"
    folder.mkdir()
    params = {"data": "synthetic", "height": 96, "width": 320}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"run": "run", "seconds": 60}), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"validation/F": 0.5}), encoding="utf-8")
    return folder


PARAMS = ExportModel.parse({"line": "ocr", "samples": 2, "repeats": 1})


def check_made(run, made, task):
    assert made.files[0] == run / "model.onnx"
    facts = read_metadata(made.files[0])
    assert (facts["task"], facts["run"]) == (task, "run")
    assert facts["metrics"] == {"validation/F": 0.5}
    assert made.parity[task]["scores"] <= 1e-3
    card = (run / "model_card.md").read_text(encoding="utf-8")
    assert f"ocr {task}, run run" in card and "validation/F" in card


def test_a_detection_run_is_exported_with_its_calibration(run, detector):
    save_weights(detector, run / "detection.safetensors")
    made = export_line(PARAMS, run)
    check_made(run, made, "detection")
    kept = json.loads((run / "calibration.json").read_text(encoding="utf-8"))
    facts = read_metadata(made.files[0])
    assert kept["shift"] == facts["logit_shift"] == made.speed["logit_shift"]
    assert len(kept["tried"]) == len(calibration.THRESHOLDS)
    assert facts["input"]["size"] == [96, 320]
    assert made.parity["detection"]["same_words"] == 1
    assert 0 <= made.variants[0]["F generated"] <= 1


def test_a_recognition_run_is_exported(run):
    model = Recognizer(RecognizerConfig(" ab", "tiny"))
    save_weights(trained(model, torch.rand(2, 1, 64, 120) - 0.5), run / "recognition.safetensors")
    made = export_line(PARAMS, run)
    check_made(run, made, "recognition")
    assert made.parity["recognition"]["same_texts"] == 1
    assert made.variants[0]["lines"] == 2
    assert "--alphabet ' ab'" in (run / "model_card.md").read_text(encoding="utf-8")


def test_a_layout_run_is_exported(run):
    save_weights(
        LayoutModel(LayoutConfig(dim=16, layers=1, heads=2, pair=4)), run / "layout.safetensors"
    )
    made = export_line(PARAMS, run)
    check_made(run, made, "layout")
    assert made.parity["layout"]["same_layout"] == 1


def test_a_folder_of_several_is_exported_as_a_whole(run):
    for task in ("layout", "recognition"):
        (run / task).mkdir()
        for name in ("params.yaml", "run.json", "metrics.json"):
            (run / task / name).write_bytes((run / name).read_bytes())
    save_weights(
        LayoutModel(LayoutConfig(dim=16, layers=1, heads=2, pair=4)),
        run / "layout" / "layout.safetensors",
    )
    save_weights(
        Recognizer(RecognizerConfig(" ab", "tiny")), run / "recognition" / "recognition.safetensors"
    )
    made = export_line(PARAMS, run)
    assert set(made.parity) == {"layout", "recognition"}
    assert (run / "layout" / "model.onnx").is_file() and (run / "model_card.md").is_file()


def test_a_folder_without_weights_is_no_run_to_export(run):
    with pytest.raises(RunError, match=r"holds none of detection\.safetensors"):
        export_line(PARAMS, run)


def test_pages_that_the_export_is_given_are_spread_over_the_folder(tmp_path):
    (tmp_path / "images").mkdir()
    pages = []
    for number in range(5):
        image = np.full((20, 40, 3), 40 * number, np.uint8)
        (tmp_path / "images" / f"p{number}.png").write_bytes(encode_image(image))
        builder = PageBuilder(f"p{number}", 40, 20)
        builder.add([[Word(rectangle(2, 2, 30, 12), "a")]])
        pages.append(builder.page())
    write_hiertext(pages, tmp_path / "annotations.jsonl")
    samples = exporting.given_samples(
        ExportModel.parse({"line": "ocr", "data": str(tmp_path), "samples": 3})
    )
    assert [sample.page.image_id for sample in samples] == ["p0", "p2", "p4"]
    assert not any(sample.generated for sample in samples)
