"""Tables as text files: rows by section, comments left out, mistakes refused with their place."""

import pytest

from sightbook.data.text_tables import read_table


def table(tmp_path, text):
    file = tmp_path / "table.txt"
    file.write_text(text, encoding="utf-8")
    return read_table(file)


def test_rows_stand_in_their_sections(tmp_path):
    found = table(tmp_path, "# how\n[one]\n  a b \n\nÄ | c\n# no row\n[two words]\n[three]\nd\n")
    assert found == {"": [], "one": ["a b", "Ä | c"], "two words": [], "three": ["d"]}


def test_a_file_without_sections_is_one(tmp_path):
    assert table(tmp_path, "# how\n\na\nb\n") == {"": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\nx\n[a]\n", r"table\.txt, line 3: section \[a\] stands twice"),
        ("x y\n[a]\n", r"table\.txt: 'x y' stands before the first section"),
    ],
)
def test_mistakes_are_named(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        table(tmp_path, text)
