import numpy as np
import onnx as library
import pytest

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    DonutSwinConfig,
    DonutSwinModel,
    MBartConfig,
    MBartForCausalLM,
    VisionEncoderDecoderModel,
)

from sightbook.donut.page import tokens  # noqa: E402
from sightbook.donut.zone.decoder import Decoder, encode, greedy, to_text  # noqa: E402
from sightbook.donut.zone.graphs import export_page_model, export_reader  # noqa: E402
from sightbook.donut.zone.model import build_page_model, new_reader  # noqa: E402
from sightbook.inference import onnx  # noqa: E402


def liven(model, seed=0):
    """Spread the weights of the decoder, so that an untrained model writes varied texts."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.decoder.named_parameters():
            if "embed_tokens" in name:
                # small, or with tied weights every token's likeliest follower is itself
                weight.normal_(std=0.05)
            elif weight.ndim == 2:
                weight.normal_(std=0.5)
        for name, buffer in model.encoder.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(torch.rand_like(buffer) * 0.2)
    return model.eval()


@pytest.fixture(scope="module", params=["conv", "swin"])
def reader(request):
    torch.manual_seed(1)
    little = {"decoder_ffn_dim": 32, "decoder_heads": 2, "columns": 1, "max_length": 32}
    shape = {"hidden_size": 64} if request.param == "swin" else {"hidden_size": 48}
    if request.param == "conv":
        shape["channels"] = (4, 8, 16)
    reader = new_reader(request.param, "tiny", **shape, **little)
    liven(reader.model)
    return reader.eval()


@pytest.fixture(scope="module")
def files(reader, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    return export_reader(reader, folder, {"run": "r1", "width": 128})


def open_files(files):
    encoder, decoder = (onnx.session(path, threads=1) for path in files)
    return encoder, Decoder(decoder)


def generated(model, pixels, max_length):
    with torch.no_grad():
        ids = model.generate(pixels, max_length=max_length, num_beams=1, do_sample=False)
    return ids[:, 1:].tolist()


def until_end(ids, eos):
    return ids[: ids.index(eos)] if eos in ids else ids


def test_reader_greedy_is_token_exact(reader, files):
    encoder, decoder = open_files(files)
    torch.manual_seed(2)
    pixels = torch.rand(4, 1, 32, 128) * 2 - 1
    expected = generated(reader.model, pixels, 32)
    found = greedy(decoder, encode(encoder, pixels.numpy()))
    texts = [until_end(ids, decoder.eos) for ids in expected]
    assert [text.ids for text in found] == texts
    assert len({token for text in texts for token in text}) > 5, "too dull to prove anything"


def test_reader_ctc_and_other_widths(reader, files):
    encoder, _ = open_files(files)
    widths = (128, 208) if reader.config.encoder == "conv" else (128,)
    for width in widths:
        pixels = torch.rand(3, 1, 32, width) * 2 - 1
        encoded = encode(encoder, pixels.numpy())
        with torch.no_grad():
            expected = reader(pixels).ctc_log_probs
        assert onnx.parity([encoded.ctc_log_probs], [expected])["max_abs"] < 1e-4
        assert encoded.ctc_log_probs.shape == (3, width // 4, 38)


def test_cache_in_pieces_equals_one_pass(reader, files):
    encoder, decoder = open_files(files)
    pixels = torch.rand(2, 1, 32, 128)
    encoded = encode(encoder, pixels.numpy())
    ids = torch.randint(0, 37, (2, 12))
    with torch.no_grad():
        logits = reader.model(pixel_values=pixels, decoder_input_ids=ids).logits
    whole = logits.log_softmax(-1).numpy()
    past, parts = decoder.empty(2), []
    for piece in (ids[:, :1], ids[:, 1:6], ids[:, 6:7], ids[:, 7:]):
        scores, past = decoder.step(piece.numpy(), past, encoded)
        parts.append(scores)
    assert np.concatenate(parts, axis=1) == pytest.approx(whole, abs=1e-3)


def test_metadata_is_enough_to_decode(reader, files):
    for path, part in zip(files, ("encoder", "decoder"), strict=True):
        facts = onnx.read_metadata(path)
        assert facts["part"] == part
        assert facts["run"] == "r1"
        assert facts["characters"] == reader.config.characters
        assert (facts["blank"], facts["eos"], facts["vocabulary"]) == (37, 38, 40)


def test_files_hold_everything_once(reader, files):
    for path in files:
        model = library.load(str(path), load_external_data=False)
        assert all(not tensor.external_data for tensor in model.graph.initializer)
    decoder = library.load(str(files[1]))
    width = reader.config.hidden_size
    tables = [t.name for t in decoder.graph.initializer if sorted(t.dims) == [40, width]]
    assert len(tables) == 1
    assert [p.name for p in sorted(files[0].parent.iterdir())] == ["decoder.onnx", "model.onnx"]
    kinds = {n.op_type for n in library.load(str(files[0])).graph.node}
    assert "BatchNormalization" not in kinds


def test_int8_decoder_reads_nearly_alike(files, tmp_path):
    quick = onnx.quantize_dynamic(files[1], tmp_path / "decoder.int8.onnx")
    assert onnx.file_size(quick) < 0.7 * onnx.file_size(files[1])
    encoder, exact = open_files(files)
    encoded = encode(encoder, np.random.default_rng(0).random((1, 1, 32, 128), np.float32))
    ids = np.arange(12)[None]
    one, _ = exact.step(ids, exact.empty(1), encoded)
    two, _ = Decoder(onnx.session(quick, 1)).step(ids, exact.empty(1), encoded)
    assert 0 < np.abs(one - two).mean() < 0.1 * np.abs(one).mean()


def test_export_restores_training_mode(tmp_path):
    reader = new_reader(
        "conv", "tiny", channels=(4, 4, 8), hidden_size=16, decoder_heads=2, columns=1
    )
    reader.train()
    export_reader(reader, tmp_path / "new" / "folder")
    assert reader.training
    assert reader.model.encoder.training


def test_page_model_greedy_is_token_exact(tmp_path):
    torch.manual_seed(0)
    fields = ["<s_mrz>", "</s_mrz>"]
    model, processor = build_page_model(
        height=64, width=96, max_length=24, new_tokens=fields, task_token="<s_donut>"
    )
    liven(model)
    paths = export_page_model(
        model, tmp_path, height=64, width=96, metadata=tokens.facts(processor.tokenizer)
    )
    encoder, decoder = open_files(paths)
    pixels = torch.rand(3, 3, 64, 96) * 2 - 1
    expected = [until_end(ids, decoder.eos) for ids in generated(model, pixels, 24)]
    found = [text.ids for text in greedy(decoder, encode(encoder, pixels.numpy()))]
    assert found == expected
    assert len({token for ids in found for token in ids}) > 3
    facts = onnx.read_metadata(paths[0])
    written = [to_text(ids, facts) for ids in found]
    assert written == processor.tokenizer.batch_decode(found, clean_up_tokenization_spaces=False)


def test_any_donut_with_untied_output_and_projection(tmp_path):
    """As donut-base in kind: the library's own Swin, another width, its own output layer."""
    torch.manual_seed(3)
    encoder = DonutSwinModel(
        DonutSwinConfig(
            image_size=[64, 64], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
        )
    )
    config = MBartConfig(
        vocab_size=30,
        d_model=24,
        decoder_layers=3,
        encoder_layers=3,
        decoder_ffn_dim=32,
        decoder_attention_heads=4,
        encoder_attention_heads=4,
        max_position_embeddings=20,
        scale_embedding=True,
        tie_word_embeddings=False,
        forced_eos_token_id=None,
    )
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=MBartForCausalLM(config))
    assert not model.decoder.lm_head.weight.equal(model.decoder.get_input_embeddings().weight)
    for target in (model.config, model.generation_config):
        target.decoder_start_token_id, target.pad_token_id = 0, 1
        target.eos_token_id = 2
    model.generation_config.max_length = 20
    liven(model)
    encoder_session, decoder = open_files(export_page_model(model, tmp_path, height=64, width=64))
    pixels = torch.rand(3, 3, 64, 64)
    expected = [until_end(ids, 2) for ids in generated(model, pixels, 20)]
    found = greedy(decoder, encode(encoder_session, pixels.numpy()))
    assert [text.ids for text in found] == expected
    assert len({token for ids in expected for token in ids}) > 3


def test_decoder_needs_an_exported_decoder(files):
    with pytest.raises(ValueError, match="metadata lacks"):
        Decoder(onnx.session(files[1]), {"layers": 2})
