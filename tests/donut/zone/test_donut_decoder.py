import itertools
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sightbook.donut.mrz import build as mrz  # noqa: E402
from sightbook.donut.zone.decoder import (  # noqa: E402
    Decoder,
    Encoded,
    beam,
    encode,
    greedy,
    line_mask,
    line_rule,
    score,
    zone_grammar,
)
from sightbook.donut.zone.graphs import export_reader  # noqa: E402
from sightbook.donut.zone.model import new_reader  # noqa: E402
from sightbook.donut.zone.rescoring import rank, read_lines  # noqa: E402
from sightbook.inference import onnx  # noqa: E402
from sightbook.inference.ctc import ctc_greedy, ctc_scores  # noqa: E402

LITTLE = {
    "channels": (4, 8, 16),
    "columns": 1,
    "hidden_size": 32,
    "decoder_ffn_dim": 32,
    "decoder_heads": 2,
}


def exported(folder, **changes):
    torch.manual_seed(4)
    reader = new_reader("conv", "tiny", **LITTLE, **changes).eval()
    with torch.no_grad():
        for weight in reader.model.decoder.parameters():
            if weight.ndim == 2:
                weight.normal_(std=0.4)
    files = export_reader(reader, folder)
    return reader, onnx.session(files[0], 1), Decoder(onnx.session(files[1], 1))


@pytest.fixture(scope="module")
def zone(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("zone"))


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """Two characters: every text up to a length can be tried."""
    return exported(tmp_path_factory.mktemp("letters"), characters="AB", max_length=6)


def pictures(count, width=96):
    return np.random.default_rng(1).uniform(-1, 1, (count, 1, 32, width)).astype(np.float32)


def text_of(ids):
    return "".join(mrz.ALPHABET[i] for i in ids)


def test_beam_equals_trying_everything(letters):
    _, encoder, decoder = letters
    encoded = encode(encoder, pictures(3))
    only_letters = np.array([True, True, False, True, False])  # A, B and the end
    best = beam(decoder, encoded, beams=40, max_length=4, grammar=lambda row, prefix: only_letters)
    for index, found in enumerate(best):
        ended = {tuple(t.ids): t.log_prob for t in found if t.ended}
        every = [ids for n in range(3) for ids in itertools.product((0, 1), repeat=n)]
        judged = score(decoder, encoded.rows([index] * len(every)), every)
        expected = {tuple(t.ids): pytest.approx(t.log_prob, abs=1e-4) for t, _ in judged}
        assert ended == expected
        assert [t.log_prob for t in found] == sorted((t.log_prob for t in found), reverse=True)
        cut = [t for t in found if not t.ended]
        assert {len(t.ids) for t in cut} == {3}
        assert len(cut) == 8


def test_narrow_beam_finds_the_same_best_and_never_worse_than_greedy(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(4))
    one = greedy(decoder, encoded, max_length=12)
    for first, texts in zip(one, beam(decoder, encoded, beams=4, max_length=12), strict=True):
        assert len(texts) == 4
        assert len({tuple(t.ids) for t in texts}) == 4
        assert texts[0].log_prob >= first.log_prob - 1e-4
    singles = [t[0] for t in beam(decoder, encoded, beams=1, max_length=12)]
    assert [t.ids for t in singles] == [t.ids for t in one]


def test_batch_does_not_change_what_is_read(zone):
    _, encoder, decoder = zone
    pixels = pictures(3)
    together = greedy(decoder, encode(encoder, pixels))
    alone = [greedy(decoder, encode(encoder, pixels[i : i + 1]))[0] for i in range(3)]
    assert [t.ids for t in together] == [t.ids for t in alone]
    assert [t.log_prob for t in together] == pytest.approx([t.log_prob for t in alone], abs=1e-3)


def test_greedy_probabilities_are_those_of_teacher_forcing(zone):
    reader, encoder, decoder = zone
    pixels = pictures(2)
    texts = greedy(decoder, encode(encoder, pixels), max_length=10)
    for index, text in enumerate(texts):
        ids = torch.tensor([[37, *text.ids]])
        with torch.no_grad():
            logits = reader.model(
                pixel_values=torch.from_numpy(pixels[index : index + 1]), decoder_input_ids=ids
            ).logits[0]
        expected = logits.log_softmax(-1)[range(len(text.ids)), text.ids].numpy()
        assert text.log_probs == pytest.approx(expected, abs=1e-3)


def test_score_of_texts_of_different_lengths(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(1))
    texts = [[1, 2, 3, 4, 5], [7], []]
    together = score(decoder, encoded.rows([0, 0, 0]), texts)
    for (text, places), ids in zip(together, texts, strict=True):
        ((alone, _),) = score(decoder, encoded, [ids])
        assert text.log_prob == pytest.approx(alone.log_prob, abs=1e-4)
        assert places.shape == (len(ids), 40)
        if ids:
            assert np.exp(places).sum(1) == pytest.approx(np.ones(len(ids)))
            assert text.log_probs == pytest.approx(places[np.arange(len(ids)), ids])
    assert score(decoder, encoded, []) == []


def test_lengths_are_checked(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(1))
    with pytest.raises(ValueError, match="max_length 65"):
        greedy(decoder, encoded, max_length=65)
    with pytest.raises(ValueError, match="max_length 1"):
        beam(decoder, encoded, max_length=1)
    with pytest.raises(ValueError, match="64 positions"):
        score(decoder, encoded, [[0] * 64])
    assert len(greedy(decoder, encoded, max_length=5)[0].ids) <= 4


def test_a_grammar_without_way_out_is_named(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(1))
    nothing = np.zeros(40, bool)
    with pytest.raises(ValueError, match="no token at all"):
        greedy(decoder, encoded, grammar=lambda row, prefix: nothing)


@pytest.mark.parametrize("type", mrz.TYPES)
def test_constrained_reading_obeys_the_standard(zone, type):
    _, encoder, decoder = zone
    form = mrz.FORMATS[type]
    lines = [(type, row) for row in range(form.rows)]
    encoded = encode(encoder, pictures(form.rows))
    grammar = zone_grammar(lines, mrz.ALPHABET, decoder.vocabulary, decoder.eos)
    greedily = [[text] for text in greedy(decoder, encoded, grammar=grammar)]
    by_beam = beam(decoder, encoded, beams=2, grammar=grammar)
    for found in (greedily, by_beam):
        for (_, row), texts in zip(lines, found, strict=True):
            for text in texts:
                spelt = text_of(text.ids)
                assert text.ended
                assert len(spelt) == form.columns
                for column, character in enumerate(spelt):
                    assert character in mrz.allowed(type, row, column, spelt[:column])
    # the random model would not have kept to it by itself
    free = greedy(decoder, encoded)
    assert any(len(text.ids) != form.columns for text in free)
    # states and dates are real ones: nothing is left to complain of but check digits and filler
    problems = mrz.parse([text_of(texts[0].ids) for texts in greedily], type).problems
    fields = {problem.field for problem in problems}
    assert not fields & {"issuing_state", "nationality", "birth_date", "expiry_date"}


def test_line_mask_and_rule():
    mask = line_mask("TD3", 1, mrz.ALPHABET, 40)
    assert mask.shape == (44, 40)
    assert text_of(np.flatnonzero(mask[20])) == "FM<"
    assert not mask[:, 37:].any()
    rule = line_rule("TD3", 0, mrz.ALPHABET, 38)
    prefix = tuple(mrz.ALPHABET.index(c) for c in "P<UT")
    assert text_of(np.flatnonzero(rule(prefix))) == "O"
    assert not rule((36,) * 44).any()
    assert not zone_grammar([("TD3", 0)], mrz.ALPHABET, 40, 38)(0, prefix)[38]


def test_prediction_side_never_imports_torch(zone, tmp_path):
    reader, _, _ = zone
    encoder, decoder = export_reader(reader, tmp_path)
    code = (
        "import sys, numpy as np\n"
        "from sightbook import onnx\n"
        "from sightbook import ctc\n"
        "from sightbook.donut import decoding, mrz, rescoring\n"
        "encoded = decoding.encode(onnx.session(sys.argv[1]), np.zeros((2, 1, 32, 640), 'f4'))\n"
        "decoder = decoding.Decoder(onnx.session(sys.argv[2]))\n"
        "lines = [('MRVB', 0), ('MRVB', 1)]\n"
        "read = rescoring.read_lines(decoder, encoded, mrz.ALPHABET, lines=lines)\n"
        "rescoring.correct_zone('MRVB', read, mrz.ALPHABET)\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'onnx', 'lightning', 'cv2'}\n"
        "assert [len(line[0].text) for line in read] == [36, 36]\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(encoder), str(decoder)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_both_heads_judge_the_candidates_of_both(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(2, width=720))
    lines = [("TD3", 0), ("TD3", 1)]
    for weight in (0.0, 0.3, 1.0):
        read = read_lines(decoder, encoded, mrz.ALPHABET, lines=lines, beams=3, weight=weight)
        for index, readings in enumerate(read):
            assert len(readings) >= 4
            assert len({r.text for r in readings}) == len(readings)
            ids = [[mrz.ALPHABET.index(c) for c in r.text] for r in readings]
            by_ctc = ctc_scores(encoded.ctc_log_probs[index], ids, 37)
            judged = score(decoder, encoded.rows([index] * len(ids)), ids)
            by_decoder = np.array([text.log_prob for text, _ in judged])
            assert [r.ctc for r in readings] == pytest.approx(by_ctc)
            assert [r.decoder for r in readings] == pytest.approx(by_decoder, abs=1e-3)
            mixed = weight * by_ctc + (1 - weight) * by_decoder
            assert [r.log_prob for r in readings] == pytest.approx(mixed, abs=1e-3)
            assert (np.diff(mixed) <= 1e-3).all()
            for reading in readings:
                assert len(reading.text) == 44
                assert np.exp(reading.distributions).sum(1) == pytest.approx(np.ones(44))
                sure = reading.confidences(mrz.ALPHABET)
                assert (sure > 0).all()
                assert (sure <= 1).all()


def test_unconstrained_reading_holds_the_best_path_of_ctc(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(2))
    for index, readings in enumerate(read_lines(decoder, encoded, mrz.ALPHABET, beams=1)):
        best = text_of(ctc_greedy(encoded.ctc_log_probs[index], 37)[0])
        assert best in [reading.text for reading in readings]


def test_a_picture_too_narrow_for_its_type_has_no_reading(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(1, width=96))  # 24 frames for 44 characters
    assert read_lines(decoder, encoded, mrz.ALPHABET, lines=[("TD3", 0)]) == [[]]


def test_rank_counts_repeated_texts_once_and_needs_ctc(zone):
    _, encoder, decoder = zone
    encoded = encode(encoder, pictures(1))
    ranked = rank(["AB", "AB", "Q", ""], decoder, encoded, mrz.ALPHABET)
    assert sorted(r.text for r in ranked) == ["", "AB", "Q"]
    with pytest.raises(ValueError, match="no CTC head"):
        rank(["AB"], decoder, Encoded(encoded.cross, None), mrz.ALPHABET)
