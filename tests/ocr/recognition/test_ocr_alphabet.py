"""Alphabets: presets, files, normal form, unknown characters, what fine-tuning carries over."""

import pytest
import torch

from sightbook.ocr.recognition.alphabet import (
    PRESETS,
    Encoder,
    after_surgery,
    carried_classes,
    read_alphabet,
)
from sightbook.ocr.recognition.model import (
    Recognizer,
    RecognizerConfig,
    load_recognizer,
    with_alphabet,
)
from sightbook.params import ParameterError
from sightbook.training.weights import save_weights


def test_the_engines_alphabet_is_in_its_order():
    alphabet = read_alphabet("ocrs")
    assert len(alphabet) == 96
    assert alphabet.startswith(" 0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~€ABC")
    assert alphabet.endswith("xyz")


def test_presets_hold_no_character_twice():
    for name, alphabet in PRESETS.items():
        assert len(set(alphabet)) == len(alphabet), name
    assert set("äßÉñøŁž“€") <= set(PRESETS["latin"])
    assert PRESETS["mrz"] == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ<"


def test_an_alphabet_comes_from_a_file_or_from_characters(tmp_path):
    file = tmp_path / "greek.txt"
    file.write_text("αβγ\nδ\r\n", encoding="utf-8")
    assert read_alphabet(str(file)) == "αβγδ"
    assert read_alphabet("chars:XY Z") == "XY Z"


@pytest.mark.parametrize(
    ("given", "says"),
    [("chars:ABA", "'A' comes twice"), ("chars:", "no characters"), ("grek", "neither a preset")],
)
def test_a_wrong_alphabet_says_what_is_wrong(given, says):
    with pytest.raises(ParameterError, match=says):
        read_alphabet(given)


def test_a_decomposed_letter_is_composed_and_look_alikes_are_written():
    encoder = Encoder("éo'\" a.")
    assert encoder.normalise("e\u0301o") == "éo"
    assert encoder.normalise("o’o “a”…") == 'o\'o "a"...'
    assert not encoder.missing


@pytest.mark.parametrize(("unknown", "text"), [("skip", None), ("drop", "ab"), ("replace", "a?b")])
def test_characters_outside_are_counted_and_treated_as_asked(unknown, text):
    encoder = Encoder("ab?", unknown)
    assert encoder.normalise("aΩb") == text
    assert encoder.missing == {"Ω": 1}


def test_classes_begin_at_one_and_come_back():
    encoder = Encoder(" ab")
    assert encoder.encode("ba  b").tolist() == [3, 2, 1, 3]
    assert encoder.decode([3, 0, 2, 1, 3]) == "ba b"


def test_a_replacement_must_be_in_the_alphabet():
    with pytest.raises(ParameterError, match=r"'\?' is not in the alphabet"):
        Encoder("ab", "replace")


def test_a_union_keeps_the_numbers_of_known_characters():
    assert after_surgery("abc", "cxa", "union") == "abcx"
    assert after_surgery("abc", "cxa", "keep") == "abc"
    assert after_surgery("abc", "cxa", "replace") == "cxa"
    assert carried_classes("abc", "cxa") == [(0, 0), (3, 1), (1, 3)]


def test_weights_of_known_characters_are_carried_over():
    torch.manual_seed(0)
    model = Recognizer(RecognizerConfig("abc", "tiny")).eval()
    lines = torch.rand(1, 1, 64, 80) - 0.5
    before = model(lines)[:, 0]
    grown = with_alphabet(model, "cxa").eval()
    after = grown(lines)[:, 0]
    # Differences between carried classes are untouched; x is a stranger that does not win.
    for old, new in [(0, 0), (3, 1), (1, 3)]:
        expected = before[:, old] - before[:, 0]
        assert torch.allclose(after[:, new] - after[:, 0], expected, atol=1e-5)
    assert (after[:, 2] < after[:, [0, 1, 3]].max(1).values).all()
    assert with_alphabet(model, "abc") is model


def test_a_recogniser_comes_back_from_its_file(tmp_path):
    model = Recognizer(RecognizerConfig("01", "tiny")).eval()
    save_weights(model, tmp_path / "recognition.safetensors")
    again = load_recognizer(tmp_path / "recognition.safetensors")
    lines = torch.rand(2, 1, 64, 100) - 0.5
    assert again.config == model.config
    assert torch.equal(again(lines), model(lines))


@pytest.mark.parametrize("width", [10, 50, 150, 333])
def test_frames_are_a_quarter_of_the_width_and_log_probabilities(width):
    model = Recognizer(RecognizerConfig("01", "tiny")).eval()
    log_probs = model(torch.zeros(2, 1, 64, width))
    assert log_probs.shape == (-(-width // 4), 2, 3)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]), atol=1e-5)
