import pytest

torch = pytest.importorskip("torch")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from transformers import PreTrainedTokenizerFast, VisionEncoderDecoderModel  # noqa: E402

from sightbook.donut.mrz.build import ALPHABET  # noqa: E402
from sightbook.donut.page import tokens  # noqa: E402
from sightbook.donut.zone.decoder import to_text  # noqa: E402
from sightbook.donut.zone.model import LineReader, ReaderConfig, build_page_model, new_reader  # noqa: E402

LITTLE = {
    "channels": (4, 8, 16),
    "columns": 1,
    "hidden_size": 32,
    "decoder_ffn_dim": 32,
    "decoder_heads": 2,
}


def little_reader(seed=0, **changes):
    torch.manual_seed(seed)
    return new_reader("conv", "tiny", **{**LITTLE, **changes})


@pytest.mark.parametrize("encoder", ["conv", "swin"])
def test_reader_shapes_and_both_losses_train_every_weight(encoder):
    torch.manual_seed(0)
    changes = LITTLE if encoder == "conv" else {"hidden_size": 64}
    reader = new_reader(encoder, "tiny", **changes)
    labels = reader.config.labels(["AB<<1", "Z"])
    output = reader(torch.rand(2, 1, 32, 96) * 2 - 1, torch.tensor([96, 40]), labels)
    assert output.logits.shape == (2, 6, 40)
    assert output.ctc_log_probs.shape == (2, 24, 38)
    assert output.ctc_lengths.tolist() == [24, 10]
    assert output.ctc_log_probs.exp().sum(-1).allclose(torch.ones(2, 24), atol=1e-5)
    sum(output.losses.values()).backward()
    idle = [
        n for n, p in reader.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert idle == []


def test_labels_by_hand():
    config = ReaderConfig()
    assert (config.bos, config.eos, config.pad, config.blank) == (37, 38, 39, 37)
    assert config.labels(["0A<", "Z"]).tolist() == [[0, 10, 36, 38], [35, 38, -100, -100]]


@pytest.mark.parametrize("text", ["a", "Ä", "A" * 64])
def test_labels_refuse(text):
    with pytest.raises(ValueError):
        ReaderConfig().labels([text])


def test_reader_without_labels_gives_ctc_only():
    output = little_reader()(torch.zeros(1, 1, 32, 64))
    assert output.losses == {}
    assert output.logits is None
    assert output.ctc_log_probs.shape == (1, 16, 38)


def test_a_text_longer_than_the_frames_does_not_break_the_loss():
    reader = little_reader()
    output = reader(torch.zeros(1, 1, 32, 16), labels=reader.config.labels(["A" * 40]))
    assert output.losses["ctc"].item() == 0
    assert output.losses["decoder"].isfinite()


def test_frames_beyond_a_lines_width_do_not_count():
    reader = little_reader().eval()
    image = torch.rand(1, 1, 32, 128) * 2 - 1
    labels = reader.config.labels(["AB"])
    with torch.no_grad():
        short = reader(image, torch.tensor([64]), labels).losses["ctc"]
        whole = reader(image, torch.tensor([128]), labels).losses["ctc"]
    assert short != pytest.approx(whole.item())


def test_reader_rejects_other_heights_and_unknown_names():
    with pytest.raises(ValueError, match="grey lines"):
        little_reader()(torch.zeros(1, 1, 48, 64))
    with pytest.raises(ValueError, match="'huge'"):
        new_reader("conv", "huge")
    with pytest.raises(ValueError, match="'vit'"):
        new_reader("vit", "tiny")


def test_attention_starts_near_the_diagonal():
    torch.manual_seed(0)
    reader = new_reader("conv", "tiny").eval()
    ids = torch.randint(0, 37, (1, 40))
    with torch.no_grad():
        output = reader.model(
            torch.zeros(1, 1, 32, 704), decoder_input_ids=ids, output_attentions=True
        )
    weights = output.cross_attentions[0][0].mean(0)  # [40 tokens, 88 columns]
    expected = torch.arange(40) * 2.0
    error = (weights.argmax(1) - expected).abs()
    assert error.median() <= 2


def test_one_reader_learns_one_line():
    reader = little_reader()
    optimizer = torch.optim.AdamW(reader.parameters(), 5e-3)
    image = torch.rand(1, 1, 32, 64) * 2 - 1
    labels = reader.config.labels(["K<7"])
    for _ in range(60):
        loss = sum(reader(image, labels=labels).losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reader.train()  # one picture: the batch's own statistics are the ones it learnt with
    ids = reader.model.generate(image, max_length=8)[0].tolist()
    assert ids == [37, 20, 36, 7, 38]


def test_weights_travel_by_state_dict():
    config = little_reader().config
    one, other = LineReader(config).eval(), LineReader(config).eval()
    other.load_state_dict(one.state_dict())
    image = torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        assert torch.equal(one(image).ctc_log_probs, other(image).ctc_log_probs)


# ------------------------------------------------------------------ tokenizers

FIELDS = ["<s_mrz>", "</s_mrz>", "<sep/>"]


@pytest.fixture
def letters():
    tokenizer = tokens.character_tokenizer(ALPHABET)
    tokens.add_tokens(tokenizer, tokens=FIELDS, characters=ALPHABET)
    return tokenizer


@pytest.mark.parametrize("character", list(ALPHABET))
def test_every_character_comes_back(letters, character):
    for text in (character, character * 9, f"A{character}1{character}<"):
        assert tokens.survives(letters, text)
        assert len(letters(text).input_ids) == len(text)


def test_fields_and_filler_runs_come_back(letters):
    text = "<s_mrz>P<UTO<<S<<<<<<sep/>1<S<</s_mrz>"
    assert tokens.survives(letters, text)
    pieces = letters.convert_ids_to_tokens(letters("<s_mrz><<").input_ids)
    assert pieces == ["<s_mrz>", "<", "<"]
    assert to_text(letters(text).input_ids, tokens.facts(letters)) == text


def test_characters_given_twice():
    with pytest.raises(ValueError, match=r"\['A'\]"):
        tokens.character_tokenizer("ABA")


@pytest.fixture
def running_text():
    """Like donut-base's: words with a mark for the space before them, and no bare 1."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", "\u2581A", "A", "B", "0", "AB", "<"]
    core = Tokenizer(models.Unigram([(p, -1.0 - i) for i, p in enumerate(pieces)], unk_id=3))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def test_missing_characters_are_added_to_a_foreign_tokenizer(running_text):
    assert not tokens.survives(running_text, "A1")
    added = tokens.add_tokens(running_text, characters="AB01<")
    assert added >= 1
    for text in ("A1", "1A", "<<<1<", "AB", "BA10"):
        assert tokens.survives(running_text, text), text
        assert to_text(running_text(text).input_ids, tokens.facts(running_text)) == text


# ------------------------------------------------------------------ page model

PAGE = {"height": 64, "width": 96, "max_length": 24}


@pytest.fixture(scope="module")
def page():
    torch.manual_seed(0)
    return build_page_model(**PAGE, new_tokens=FIELDS, task_token="<s_donut>")


def test_page_model_reads_its_canvas(page):
    model, processor = page
    import numpy as np

    picture = np.full((50, 200, 3), 255, np.uint8)
    pixels = processor(images=picture, return_tensors="pt").pixel_values
    assert pixels.shape == (1, 3, 64, 96)
    start = processor.tokenizer.convert_tokens_to_ids("<s_donut>")
    ids = model.eval().generate(pixels)
    assert ids[0, 0] == start
    assert ids.shape[1] <= 24
    assert model.config.decoder.vocab_size == len(processor.tokenizer)


def test_page_encoder_knows_places(page):
    model, _ = page
    with torch.no_grad():
        grid = model.encoder.eval()(torch.zeros(1, 3, 64, 96)).last_hidden_state[0]
    assert grid.shape == (4 * 6, 192)
    # a blank page: without positions all places look alike
    assert len(torch.unique(grid.round(decimals=3), dim=0)) == 24


def test_page_model_survives_its_folder(page, tmp_path):
    model, processor = page
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, other = build_page_model(
        tmp_path, **{**PAGE, "max_length": 20}, new_tokens=["<s_new>"], task_token="<s_donut>"
    )
    assert isinstance(again, VisionEncoderDecoderModel)
    assert len(other.tokenizer) == len(processor.tokenizer) + 1
    assert again.config.decoder.vocab_size == len(other.tokenizer)
    assert again.generation_config.max_length == 20
    image = torch.rand(1, 3, 64, 96)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        one = model.eval()(image, decoder_input_ids=ids).logits
        two = again.eval()(image, decoder_input_ids=ids).logits
    known = len(processor.tokenizer)
    assert one.allclose(two[..., :known], atol=1e-5)
    size = other.image_processor.size
    assert (size["height"], size["width"]) == (64, 96)
    with pytest.raises(ValueError, match="24 positions"):
        build_page_model(tmp_path, **{**PAGE, "max_length": 25})
    with pytest.raises(ValueError, match="window"):
        build_page_model(tmp_path, height=32, width=96, max_length=20)


def test_page_model_refuses():
    with pytest.raises(ValueError, match="'giant'"):
        build_page_model(size="giant", **PAGE)
    with pytest.raises(ValueError, match="at least 16 px"):
        build_page_model(height=8, width=96, max_length=8)


@pytest.mark.parametrize("encoder", ["conv", "swin"])
def test_reader_is_a_transformers_model_that_saves_and_loads(encoder, tmp_path):
    torch.manual_seed(0)
    changes = LITTLE if encoder == "conv" else {"hidden_size": 64}
    reader = new_reader(encoder, "tiny", **changes)
    image = torch.rand(2, 1, 32, 64) * 2 - 1
    reader(image)  # running statistics that are not the initial ones
    reader.model.save_pretrained(tmp_path)
    again = VisionEncoderDecoderModel.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[37, 1, 2], [37, 3, 4]])
    with torch.no_grad():
        one = reader.model.eval()(image, decoder_input_ids=ids).logits
        assert one.allclose(again(image, decoder_input_ids=ids).logits, atol=1e-5)
    assert again.generation_config.eos_token_id == 38
