"""Reading pages with the exported files: token by token what transformers' `generate` writes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sightbook.data.images import ImageError
from sightbook.donut.dataset.write import Sample, write_folder
from sightbook.donut.page.data import prepare_page
from sightbook.donut.page.predict import PagePredictor, PageReading, zone_lines
from sightbook.donut.page.sequences import prompt
from sightbook.donut.params import TrainDonut
from sightbook.runs.run import RunError, open_run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from test_donut_page_train import small_donut  # noqa: E402

from sightbook.donut.page import train as page  # noqa: E402

ZONES = [
    "P<UTOERIKSSON<<ANNA<<<\nL898902C36UTO<<<<<<<10",
    "I<UTOSTEVENSON<<P<<<<<\nD23145890<UTO<<<<<<<<2",
]


def picture(number):
    image = np.full((64, 64, 3), (40, 200)[number % 2], np.uint8)
    image[20 + 20 * (number % 2) :][:8] = (250, 0, 100)
    return image


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned two zones by heart, as bare text, and its export."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTBOOK_OUTPUTS", str(folder / "outputs"))
        for split in ("train", "validation"):
            write_folder(
                folder / "data",
                split,
                [
                    (f"{n}.png", Sample(picture(n), [{"text_sequence": zone}]))
                    for n, zone in enumerate(ZONES)
                ],
            )
        file = folder / "data" / "train" / "metadata.jsonl"
        file.write_text(file.read_text() * 35)
        params = TrainDonut(
            pipeline="page",
            data=str(folder / "data"),
            image_height=64,
            image_width=64,
            max_length=60,
            epochs=3,
            batch_size=2,
            learning_rate=3e-3,
            beta2=0.98,
            workers=0,
            read_samples=0,
            precision="32",
        )
        with open_run("donut", "zones", params, stage="train") as opened:
            opened.finish(page.train_page(params, opened))
        page.export_page(opened.path / "page", metadata={"run": "zones"})
        yield opened.path


@pytest.fixture(scope="module")
def predictor(run):
    return PagePredictor(run, threads=1)


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """An untrained model for question answering with a unigram tokenizer, and its export."""
    folder = tmp_path_factory.mktemp("asking")
    small_donut(folder / "donut")
    model, processor = page.build_page_model(
        folder / "donut",
        height=64,
        width=64,
        max_length=40,
        new_tokens=["<s_question>", "</s_question>", "<s_answer>", "</s_answer>"],
        characters="1",
        task_token="<s_docvqa>",
    )
    with torch.no_grad():
        model.decoder.model.decoder.embed_tokens.weight *= 8  # or it says the same to everything
    page.save_page(model.eval(), processor, folder / "page")
    page.export_page(folder / "page", folder / "exported")
    return folder


def generated(folder, image, text, **options):
    """What transformers writes after a prompt, token by token, its end left out."""
    model, processor = page.load_page(folder)
    size = dict(processor.image_processor.size)
    pixels = prepare_page(image, size, **page.preprocessing(processor))
    start = processor.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    ids = model.generate(
        pixel_values=torch.from_numpy(pixels)[None],
        decoder_input_ids=start,
        do_sample=False,
        bad_words_ids=[[processor.tokenizer.unk_token_id]],
        **options,
    )[0, start.shape[1] :].tolist()
    end = processor.tokenizer.eos_token_id
    return processor.tokenizer.convert_ids_to_tokens(ids[: ids.index(end)] if end in ids else ids)


def test_bare_zones_come_back_as_they_were_learned(predictor):
    for number, zone in enumerate(ZONES):
        reading = predictor.predict(picture(number))
        assert reading.json == {"text_sequence": zone}
        assert reading.text == "".join(reading.tokens) == zone
        assert reading.ended
        (field,) = reading.fields
        assert (field.path, field.text) == ("", zone)
        assert 0.2 < reading.confidence <= field.confidence <= 1
        assert field.confidence == pytest.approx(np.prod(reading.token_confidences))


def test_tokens_are_those_of_generate(run, predictor):
    noise = np.random.default_rng(3).integers(0, 256, (90, 50, 3), np.uint8)
    images = [picture(0), picture(1), noise, noise // 2, 255 - picture(0)]
    together = predictor.read_many(images)
    for image, reading in zip(images, together, strict=True):
        assert reading.tokens == generated(run / "page", image, "<s_donut>", num_beams=1)
    assert [reading.text for reading in together[:2]] == ZONES  # each has its own picture's
    assert predictor.read_many([]) == []


def test_questions_are_prompts_of_the_same_tokens(asking):
    predictor = PagePredictor(asking / "exported", threads=1)
    answers = set()
    for number, question in enumerate(("Tea or Cake", "A1<<B0", "Cake 1")):
        reading = predictor.predict(picture(number), question)
        text = prompt("<s_docvqa>", question)
        assert reading.tokens == generated(asking / "page", picture(number), text, num_beams=1)
        assert reading.text.startswith("<s_question>")
        assert reading.json["question"] == question
        assert not any(question in field.text for field in reading.fields)
        answers.add(reading.text)
        shorter = predictor.predict(picture(number), question, max_length=30)
        assert reading.tokens[: len(shorter.tokens)] == shorter.tokens
    assert len(answers) == 3
    best = predictor.predict(picture(0), "Cake", beams=3, max_length=24)
    assert (
        best.confidence >= predictor.predict(picture(0), "Cake", max_length=24).confidence * 0.999
    )


def test_the_unknown_token_is_never_written(asking):
    first = PagePredictor(asking / "exported", threads=1).predict(picture(0), "Tea").tokens[0]
    predictor = PagePredictor(asking / "exported", threads=1)
    predictor.facts["unknown"] = predictor.facts["tokens"].index(first)
    assert first not in predictor.predict(picture(0), "Tea").tokens


def test_fields_have_paths_and_confidences():
    from sightbook.donut.page.predict import _fields
    from sightbook.donut.zone.decoder import Text

    names = ["<s_donut>", "<s_a>", "</s_a>", "<s_b>", "</s_b>", "<sep/>", "<news/>", "x", "<", " "]
    facts = {"tokens": names, "plain": [0, 1, 2, 3, 4, 5, 6], "space": ""}
    # <s_a><s_b>x<</s_b><sep/><s_b> x</s_b></s_a></s_b><news/>
    ids = [1, 3, 7, 8, 4, 5, 3, 9, 7, 4, 2, 4, 6]
    chances = np.full(len(ids), 0.5)
    chances[[2, 3]] = (0.9, 0.8)
    found = list(_fields([0], Text(ids, np.log(chances), 0.0, True), facts))
    assert [(field.path, field.text) for field in found] == [
        ("a.b", "x<"),
        ("a.b", "x"),
        ("", "news"),
    ]
    assert [field.confidence for field in found] == pytest.approx([0.72, 0.25, 0.5])


def test_zone_of_an_answer():
    assert zone_lines({"mrz": {"type": "TD1", "lines": ["A", "B", "C"]}}) == ["A", "B", "C"]
    assert zone_lines({"mrz": {"lines": "A"}}) == ["A"]
    for nothing in (
        {"mrz": ""},
        {"mrz": {"lines": ""}},
        {},
        [{"mrz": None}],
        {"mrz": {"lines": [{}]}},
    ):
        assert zone_lines(nothing) == []


def test_reading_is_ready_for_json(predictor):
    reading = predictor.predict(picture(0))
    assert isinstance(reading, PageReading)
    found = json.loads(json.dumps(reading.to_dict()))
    assert found["json"] == {"text_sequence": ZONES[0]}
    assert set(found) == {"json", "text", "fields", "confidence", "ended", "seconds"}


def test_what_cannot_be_read_is_said(predictor, run, tmp_path):
    with pytest.raises(ImageError, match=r"expected uint8 \[H, W, 3\]"):
        predictor.predict(np.zeros((40, 40, 3)))
    with pytest.raises(ImageError, match="no pixels"):
        predictor.predict(np.zeros((0, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="answers no questions"):
        predictor.predict(picture(0), "Who?")
    with pytest.raises(RunError, match="no run"):
        PagePredictor(tmp_path / "nowhere")
    from sightbook.inference import onnx

    for name in ("model.onnx", "decoder.onnx"):
        (tmp_path / name).write_bytes((run / "page" / name).read_bytes())
    facts = onnx.read_metadata(tmp_path / "decoder.onnx")
    assert facts["run"] == "zones"
    facts.pop("tokens")
    onnx.write_metadata(tmp_path / "decoder.onnx", facts)
    with pytest.raises(ValueError, match="exported without tokens"):
        PagePredictor(tmp_path)
    onnx.write_metadata(tmp_path / "decoder.onnx", {**facts, "pipeline": "zone"})
    with pytest.raises(ValueError, match="not pages"):
        PagePredictor(tmp_path)


def test_two_files_are_enough_and_torch_is_not_imported(asking):
    code = (
        "import sys, numpy as np\n"
        "from sightbook.donut.page.predict import PagePredictor\n"
        "reading = PagePredictor(sys.argv[1]).predict(np.zeros((50, 50, 3), np.uint8), 'Tea')\n"
        "print(reading.json['question'])\n"
        "print(sorted({'torch', 'transformers', 'lightning'} & sys.modules.keys()))\n"
    )
    folder = asking / "exported"
    assert sorted(file.name for file in folder.iterdir()) == ["decoder.onnx", "model.onnx"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["Tea", "[]"], done.stderr
