"""Training the page pipeline: folders of every task, from scratch and from another's checkpoint."""

import json

import numpy as np
import pytest

from sightbook.donut.dataset.folder import Record, write_folder
from sightbook.donut.dataset.write import Sample
from sightbook.donut.params import TrainDonut
from sightbook.params import ParameterError, repository_root
from sightbook.runs.run import open_run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sightbook.donut.page import train as page  # noqa: E402

COLORS = ((250, 30, 30), (30, 250, 30), (30, 30, 250), (240, 240, 40))
RECEIPTS = [
    {
        "menu": [{"nm": "Tea", "price": f"{n}.50"}, {"nm": "Cake"}],
        "total": {"total_price": str(n * 7)},
    }
    for n in range(4)
]


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTBOOK_OUTPUTS", str(tmp_path / "outputs"))


def picture(number):
    image = np.full((64, 64, 3), COLORS[number % 4], np.uint8)
    image[12 * number % 64 :][:10] = 255
    return image


def write(folder, truths, splits=("train", "validation")):
    for split in splits:
        samples = [
            (f"{n}.png", Sample(picture(n), gt if isinstance(gt, list) else [gt]))
            for n, gt in enumerate(truths)
        ]
        write_folder(folder, split, samples)
    return folder


def parameters(folder, **changes):
    defaults = {
        "pipeline": "page",
        "data": str(folder),
        "image_height": 64,
        "image_width": 64,
        "max_length": 96,
        "epochs": 1,
        "batch_size": 4,
        "workers": 0,
        "read_samples": 0,
        "precision": "32",
    }
    return TrainDonut(**defaults | changes)


def trained(params, name="test"):
    with open_run("donut", name, params, stage="train") as run:
        metrics = page.train_page(params, run)
        run.finish(metrics)
    return run, metrics


def small_donut(folder):
    """A checkpoint as donut-base comes: unigram tokenizer without a bare 1, unpositioned Swin."""
    pieces = ["▁Tea", "▁Cake", "▁1", "▁", *"ABCDEFGTaeklorst.<023456789"]
    named = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = transformers.XLMRobertaTokenizer(
        vocab=[*named, *((piece, -float(n)) for n, piece in enumerate(pieces, 1))]
    )
    swin = transformers.DonutSwinConfig(
        image_size=[128, 64],
        patch_size=4,
        embed_dim=16,
        depths=[1, 1],
        num_heads=[1, 2],
        window_size=4,
    )
    bart = transformers.MBartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        decoder_ffn_dim=64,
        decoder_attention_heads=2,
        max_position_embeddings=100,
        scale_embedding=True,
    )
    torch.manual_seed(5)
    model = transformers.VisionEncoderDecoderModel(
        encoder=transformers.DonutSwinModel(swin), decoder=transformers.MBartForCausalLM(bart)
    )
    images = transformers.DonutImageProcessor(
        size={"height": 128, "width": 64}, image_mean=[0.4] * 3, image_std=[0.3] * 3
    )
    page.save_page(model, transformers.DonutProcessor(images, tokenizer), folder)
    return model


def test_one_batch_is_learned_by_heart_and_the_run_can_be_built_upon(tmp_path, capsys):
    data = write(tmp_path / "data", RECEIPTS)
    rows = (data / "train" / "metadata.jsonl").read_text()
    (data / "train" / "metadata.jsonl").write_text(rows * 16)  # 16 steps an epoch
    params = parameters(data, epochs=3, learning_rate=3e-3, beta2=0.98, read_samples=4)
    run, metrics = trained(params, "first")
    losses = [row["train/loss"] for row in run.history() if "train/loss" in row]
    assert losses[0] > 3
    assert metrics["train/loss"] < losses[0] / 15
    assert metrics["validation/token_accuracy"] > 0.97
    assert metrics["validation/tree_accuracy"] > 0.9
    assert metrics["validation/field_f1"] > 0.8
    assert (metrics["pages"], metrics["validation_pages"]) == (64, 4)
    assert "<s_donut>" in capsys.readouterr().out

    model, processor = page.load_page(run.path / "page")
    assert metrics["tokens"] == len(processor.tokenizer) == model.decoder.config.vocab_size
    assert processor.image_processor.size["width"] == 64
    again, _ = page.build_page(
        parameters(data, init="first"),
        page.read_notation([Record(data / "train" / "0.png", [{"new": "ü"}])]),
    )
    old = model.decoder.model.decoder.embed_tokens.weight
    new = again.decoder.model.decoder.embed_tokens.weight
    assert torch.equal(new[: len(old)], old)
    assert len(new) == len(old) + 3, "two tags and a character more"


def test_classes_are_tokens_and_unreadable_pictures_are_counted(tmp_path, capsys):
    truths = [{"class": name} for name in ("invoice", "letter", "invoice", "news article")]
    data = write(tmp_path / "data", truths)
    (data / "train" / "1.png").write_bytes(b"")
    run, metrics = trained(parameters(data, read_samples=2))
    assert metrics["skipped"] == 1
    assert json.loads((run.path / "skipped.jsonl").read_text())["name"] == "1.png"
    assert "1.png" in capsys.readouterr().out
    assert 0 <= metrics["validation/exact"] <= 1
    assert np.isfinite(metrics["validation/loss"])
    _, processor = page.load_page(run.path / "page")
    text = "<s_rvlcdip><s_class><invoice/></s_class>"
    assert len(processor.tokenizer.tokenize(text)) == 4
    assert "<news article/>" not in processor.tokenizer.get_added_vocab()


def test_question_answering_trains_on_answers_only(tmp_path):
    asked = [
        [
            {"question": "Which colour?", "answer": "red"},
            {"question": "Which colour?", "answer": "crimson"},
            {"question": "How many?", "answer": str(number)},
        ]
        for number in range(2)
    ]
    run, metrics = trained(parameters(write(tmp_path / "data", asked), read_samples=3))
    assert metrics["pages"] == 4, "two questions on each of two pictures"
    assert np.isfinite(metrics["validation/loss"])
    assert 0 <= metrics["validation/tree_accuracy"] < 1
    model, processor = page.load_page(run.path / "page")
    start = processor.tokenizer.convert_ids_to_tokens(
        model.generation_config.decoder_start_token_id
    )
    assert start == "<s_docvqa>"


def test_right_answers_count_whatever_the_prompt(tmp_path):
    class Told:
        """Knows the colour, but not how many there are."""

        def generate(self, decoder_input_ids, **options):
            prompts.append(tokenizer.decode(decoder_input_ids[0]))
            answer = "red" if "colour" in prompts[-1] else "9"
            ids = tokenizer(f"{answer}</s_answer></s>", add_special_tokens=False).input_ids
            return torch.cat([decoder_input_ids, torch.tensor([ids])], dim=1)

    prompts = []
    truth = [
        {"question": "colour?", "answer": "crimson"},
        {"question": "colour?", "answer": "red"},
        {"question": "How many are there?", "answer": "4"},
    ]
    data = write(tmp_path / "data", [truth])
    records = [Record(data / "train" / "0.png", truth)]
    notation = page.read_notation(records)
    tokenizer = page.tokens.character_tokenizer(page.PRINTABLE)
    page.tokens.add_tokens(tokenizer, tokens=[*notation.tokens, notation.task_token])
    pages = page.PageDataset(
        records,
        tokenizer,
        size={"height": 64, "width": 64},
        task_token=notation.task_token,
        max_length=96,
    )
    task = page.PageTask(torch.nn.Identity(), tokenizer, pages, 2)
    task.model.generate = Told().generate
    task._read(page.collate_pages([pages[0], pages[1]], tokenizer.pad_token_id))
    assert sorted(prompts) == [
        f"<s_docvqa><s_question>{question}</s_question><s_answer>"
        for question in ("How many are there?", "colour?")
    ]
    assert task.answers.accuracies[0] == 1
    assert (task.answers.exact, task.answers.right, task.answers.wrong) == (1, [1, 0], [0, 2])


def test_fine_tuning_a_checkpoint_keeps_its_weights_and_mends_its_tokenizer(tmp_path):
    source = small_donut(tmp_path / "donut")
    truths = [{"mrz": {"type": "TD3", "lines": ["A1<<B2", "11<<<0"]}}, {"mrz": None}]
    data = write(tmp_path / "data", truths)
    params = parameters(
        data,
        init=str(tmp_path / "donut"),
        image_width=96,
        learning_rate=1e-6,
        align_long_axis=True,
        read_samples=2,
    )
    run, metrics = trained(params)
    assert metrics["validation/exact_zone"] == 0
    assert metrics["validation/cer"] > 0
    assert trained(params, "twin")[1] == metrics
    model, processor = page.load_page(run.path / "page")
    old, new = source.state_dict(), model.state_dict()
    for name in ("encoder.embeddings.patch_embeddings.projection.weight", "decoder.lm_head.weight"):
        kept = new[name][: len(old[name])]
        assert torch.allclose(kept, old[name], atol=1e-4), name
    assert len(model.decoder.lm_head.weight) == len(processor.tokenizer) == metrics["tokens"]
    for text in ("A1<<B2", "L898902C36UTO7408122F1204159ZE184226B<<<<<10", "1", "K" * 9):
        assert page.tokens.survives(processor.tokenizer, text)
    images = processor.image_processor
    assert dict(images.size) == {"height": 64, "width": 96}
    assert images.do_align_long_axis
    assert list(images.image_mean) == [0.4] * 3


def test_only_unknown_characters_are_added_where_there_are_no_zones(tmp_path):
    small_donut(tmp_path / "donut")
    data = write(tmp_path / "data", [{"nm": "Tea A1"}, {"nm": "1 Cake"}])
    records = [Record(data / "train" / "0.png", [{"nm": text}]) for text in ("Tea A1", "1 Cake")]
    notation = page.read_notation(records)
    model, processor = page.build_page(parameters(data, init=str(tmp_path / "donut")), notation)
    added = set(processor.tokenizer.get_added_vocab())
    assert {"1", "<s_nm>", "</s_nm>", "<sep/>", "<s_donut>"} <= added
    assert "A" not in added
    assert processor.tokenizer.tokenize("Tea") == ["▁Tea"]
    assert all(part.training for part in model.modules()), "or dropout would never be on"


def test_texts_that_a_tokenizer_changes_are_told(tmp_path):
    small_donut(tmp_path / "donut")
    tokenizer = transformers.DonutProcessor.from_pretrained(tmp_path / "donut").tokenizer
    assert page.changed_texts(tokenizer, {"Tea Cake", "0<<<2", "B1", "Tea  A"}) == {
        "B1": "B<unk>",
        "Tea  A": "Tea A",
    }


def test_what_cannot_be_loaded_is_said_in_one_sentence(tmp_path, monkeypatch):
    data = write(tmp_path / "data", RECEIPTS[:2])
    notation = page.read_notation([Record(data / "train" / "0.png", [RECEIPTS[0]])])

    def start(**changes):
        return page.build_page(parameters(data, **changes), notation)

    with pytest.raises(
        ParameterError, match=r"there is no run, folder or file 'nowhere'.*hub name"
    ):
        start(init="nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ParameterError, match="empty"):
        start(init=str(tmp_path / "empty"))
    assert page.page_source("someone/donut-receipts") == "someone/donut-receipts"
    assert page.page_source("pretrained") == "naver-clova-ix/donut-base"
    small_donut(tmp_path / "donut")
    with pytest.raises(ParameterError, match="max_length 200"):
        start(init=str(tmp_path / "donut"), max_length=200)
    with pytest.raises(ParameterError, match=r"max_length 20 cuts 2 of 2 answers .*tokens"):
        trained(parameters(data, max_length=20))
    with pytest.raises(ParameterError, match="0 to validate on"):
        bare = page.Documents({"train": [Record(data, [{}])]}, {})
        monkeypatch.setattr(page, "training_documents", lambda params: bare)
        trained(parameters(data), "empty")


def test_notation_is_read_off_the_data():
    def notation(*truths, task="auto"):
        return page.read_notation([Record("0.png", list(gt)) for gt in truths], task)

    receipts = notation([RECEIPTS[1]], [RECEIPTS[2]])
    assert receipts.task_token == "<s_donut>"
    assert {"<sep/>", "<s_menu>", "</s_total_price>"} < set(receipts.tokens)
    assert "14" in receipts.texts
    assert not receipts.zones
    assert notation([RECEIPTS[1]], task="cord").task_token == "<s_cord-v2>"
    assert notation([RECEIPTS[1]], task="<s_mine>").task_token == "<s_mine>"
    classes = notation([{"class": "letter"}], [{"class": 3}])
    assert (classes.task_token, classes.categories) == ("<s_rvlcdip>", ["3", "letter"])
    assert notation([{"class": "a", "page": "1"}]).categories == []
    asked = notation([{"question": "Who?", "answer": "I", "questionId": 12}])
    assert asked.task_token == "<s_docvqa>"
    assert "<s_questionId>" not in asked.tokens
    with pytest.raises(ParameterError, match="not every truth in the data is one class"):
        notation([RECEIPTS[1]], task="classification")
    with pytest.raises(ParameterError, match="a question and its answer"):
        notation([{"question": "Who?", "answer": "I"}], [{"a": "b"}], task="question_answering")
    assert notation([{"mrz": {"type": "TD3", "lines": ["P<"]}}]).zones


def test_task_is_checked_before_anything_runs():
    for task in ("auto", "classification", "<s_receipts>"):
        assert TrainDonut(task=task).task == task
    with pytest.raises(ParameterError, match="cannot be 'sorting': expected auto, parsing"):
        TrainDonut.parse({"task": "sorting"})


@pytest.mark.parametrize("name", ["page", "page_pretrained"])
def test_named_experiments_are_of_the_page_road(name):
    params = TrainDonut.from_yaml(repository_root() / "params" / "donut" / f"{name}.yaml")
    assert params.pipeline == "page"
