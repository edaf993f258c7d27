"""JSON to token sequence and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightbook.donut.page.sequences import (
    TASK_TOKENS,
    json_to_tokens,
    prompt,
    special_tokens,
    strip_prompt,
    tokens_to_json,
)

ZONE = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
]
RECEIPT = {
    "menu": [
        {"nm": "Tea", "cnt": "2", "price": "3.00"},
        {"nm": "Cake", "sub": [{"nm": "cream"}, {"nm": "nuts"}]},
    ],
    "total": {"total_price": "7.50"},
}
RECEIPT_TOKENS = (
    "<s_menu><s_nm>Tea</s_nm><s_cnt>2</s_cnt><s_price>3.00</s_price><sep/>"
    "<s_nm>Cake</s_nm><s_sub><s_nm>cream</s_nm><sep/><s_nm>nuts</s_nm></s_sub></s_menu>"
    "<s_total><s_total_price>7.50</s_total_price></s_total>"
)


def test_nested_and_listed():
    assert json_to_tokens(RECEIPT) == RECEIPT_TOKENS
    assert tokens_to_json(RECEIPT_TOKENS) == RECEIPT


def test_keys_in_donuts_order():
    assert json_to_tokens({"a": "1", "c": {"d": "2", "e": "3"}}, sort_keys=True) == (
        "<s_c><s_e>3</s_e><s_d>2</s_d></s_c><s_a>1</s_a>"
    )


def test_scalars_become_text():
    assert json_to_tokens({"n": 3, "x": 1.5, "none": None}) == (
        "<s_n>3</s_n><s_x>1.5</s_x><s_none></s_none>"
    )
    assert tokens_to_json("<s_none></s_none>") == {"none": ""}


def test_zones_survive():
    obj = {"mrz": {"type": "TD3", "lines": ZONE}}
    assert tokens_to_json(json_to_tokens(obj)) == obj
    for text in ("<", "<<<<", "P<UTO", "<s", "<s_", "</s_", "<sep", "A<B>C"):
        assert tokens_to_json(json_to_tokens({"mrz": text})) == {"mrz": text}
        assert tokens_to_json(text) == {"text_sequence": text}


def test_text_without_tags():
    assert json_to_tokens({"text_sequence": ZONE[0]}) == ZONE[0]
    assert tokens_to_json("\n".join(ZONE)) == {"text_sequence": "\n".join(ZONE)}
    assert tokens_to_json("") == {"text_sequence": ""}


def test_categories_are_single_tokens():
    written = json_to_tokens({"class": "invoice"}, categories=["invoice", "memo"])
    assert written == "<s_class><invoice/></s_class>"
    assert tokens_to_json(written) == {"class": "invoice"}


@pytest.mark.parametrize(
    "sequence, expected",
    [
        # cut off by the length limit
        ("<s_a>1</s_a><s_b>2<s", {"a": "1", "b": "2<s"}),
        ("<s_a><s_b>1</s_b><s_c>2", {"a": {"b": "1", "c": "2"}}),
        ("<s_a>1<sep/>2", {"a": ["1", "2"]}),
        # an end tag is missing
        ("<s_a>1<s_b>2</s_b>", {"a": "1", "b": "2"}),
        ("<s_a><s_b>1<s_c>2</s_c></s_a><s_d>3</s_d>", {"a": {"b": "1", "c": "2"}, "d": "3"}),
        ("<s_a>1<sep/>2</s_a>", {"a": ["1", "2"]}),
        ("<s_a><s_b>1<sep/><s_b>2</s_b></s_a>", {"a": [{"b": "1"}, {"b": "2"}]}),
        # a start tag is missing, or another end stands there
        ("1</s_a><s_b>2</s_b>", {"text_sequence": "1", "b": "2"}),
        ("<s_a>1</s_b></s_a>", {"a": "1"}),
        # the same key twice
        ("<s_a>1</s_a><s_a>2</s_a><s_a>3</s_a>", {"a": ["1", "2", "3"]}),
        # text beside tags
        ("<s_a>x<s_b>1</s_b>y</s_a>", {"a": {"text_sequence": "xy", "b": "1"}}),
        # objects in a list at the top
        ("<s_a>1</s_a><sep/><s_a>2</s_a>", [{"a": "1"}, {"a": "2"}]),
        ("<s_mrz>P<UTO<<<sep/>L89<<</s_mrz>", {"mrz": ["P<UTO<<", "L89<<"]}),
    ],
)
def test_broken_sequences_keep_what_can_be_kept(sequence, expected):
    assert tokens_to_json(sequence) == expected


@pytest.mark.parametrize(
    "obj, text",
    [
        ({"a b": "1"}, "'a b'"),
        ({"a>": "1"}, "'a>'"),
        ({"": "1"}, "''"),
        ({"a": "x<sep/>y"}, "<sep/>"),
        ({"a": "</s_a>"}, "</s_a>"),
        ({"a": [["1", "2"], "3"]}, "list inside a list"),
    ],
)
def test_what_could_not_be_read_back_is_refused(obj, text):
    with pytest.raises(ValueError, match=text):
        json_to_tokens(obj)


def test_special_tokens():
    assert special_tokens([{"b": [{"a": "1"}]}, {"c": "2"}], ["memo"]) == [
        "<sep/>",
        "<s_a>",
        "</s_a>",
        "<s_b>",
        "</s_b>",
        "<s_c>",
        "</s_c>",
        "<memo/>",
    ]
    assert special_tokens([{"text_sequence": "raw"}]) == ["<sep/>"]


def test_prompt_of_a_question_begins_its_target():
    task = TASK_TOKENS["question_answering"]
    start = prompt(task, "Whose passport?")
    assert start == "<s_docvqa><s_question>Whose passport?</s_question><s_answer>"
    target = task + json_to_tokens({"question": "Whose passport?", "answer": "Anna's"})
    assert target.startswith(start)
    assert tokens_to_json(strip_prompt(target + "</s>", task)) == {
        "question": "Whose passport?",
        "answer": "Anna's",
    }
    assert prompt(TASK_TOKENS["cord"]) == "<s_cord-v2>"


def test_strip_prompt_takes_the_task_token_and_nothing_else():
    zone = "P<UTOERIKSSON<<ANNA<s_x>"
    assert strip_prompt("<s_donut>" + zone, "<s_donut>") == zone
    assert strip_prompt("<s> <s_donut> " + zone + "</s><pad><pad>", "<s_donut>") == zone
    # The token is missing: the first "<...>" would be "<UTOERIKSSON<<ANNA<s_x>".
    assert strip_prompt(zone, "<s_donut>") == zone
    assert strip_prompt("<s_a>1</s_a>", "<s_donut>") == "<s_a>1</s_a>"
    assert strip_prompt("<s_donut><s_donut>", "<s_donut>") == "<s_donut>"


texts = st.text("ABC123<>/ é_s", max_size=12).map(str.strip)
leaves = texts.filter(lambda t: not any(mark in t for mark in ("<s_", "</s", "/>")))
keys = st.text("abcXYZ_-.0", min_size=1, max_size=6).filter(lambda k: k != "text_sequence")


def _values(children):
    objects = st.dictionaries(keys, children, min_size=1, max_size=4)
    items = st.one_of(objects, leaves)
    return st.one_of(objects, st.lists(items, min_size=2, max_size=4))


@given(st.dictionaries(keys, st.recursive(leaves, _values, max_leaves=12), min_size=1, max_size=4))
def test_round_trip(obj):
    assert tokens_to_json(json_to_tokens(obj)) == obj


@given(st.lists(st.sampled_from(["<s_a>", "</s_a>", "<s_b>", "</s_b>", "<sep/>", "<", "P<U", "x"])))
def test_any_sequence_is_read_and_no_text_is_lost(pieces):
    read = tokens_to_json("".join(pieces))
    found = []

    def collect(value):
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        else:
            found.append(value)

    collect(read)
    expected = "".join(piece for piece in pieces if piece in ("<", "P<U", "x"))
    assert sorted("".join(found)) == sorted(expected)


@given(st.text(max_size=40))
def test_any_text_is_read(text):
    assert isinstance(tokens_to_json(text), (dict, list))
