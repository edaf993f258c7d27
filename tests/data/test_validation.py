"""Problem reports, fingerprints, splits and leaks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightbook.data.validation import DataError, Report, find_leaks, fingerprint, split_by_hash

THIRDS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_report_holds_all_problems_grouped():
    report = Report(checked=12)
    for number in range(5):
        report.error("missing file", f"metadata.jsonl:{number}", f"{number}.jpg is not there")
    report.warning("small picture", "a.jpg", "20 x 10 pixels")
    assert not report.ok
    with pytest.raises(DataError) as stop:
        report.raise_errors()
    text = str(stop.value)
    assert "12 records checked: 5 errors, 1 warnings" in text
    assert "5  error: missing file" in text
    assert "metadata.jsonl:0: 0.jpg is not there" in text
    assert "... and 2 more" in text
    assert text.index("missing file") < text.index("small picture")
    listed = report.to_dict()
    assert len(listed["problems"]) == 6
    assert listed["counts"] == {"error: missing file": 5, "warning: small picture": 1}


def test_warnings_alone_are_no_error_and_html_is_escaped():
    report = Report()
    report.warning("odd <name>", "<b>.jpg", "a & b")
    report.raise_errors()
    assert report.ok
    html = report._repr_html_()
    assert "&lt;b&gt;.jpg" in html
    assert "<b>.jpg" not in html
    assert "no problems" in Report().text()


def test_fingerprint_sees_name_content_label_but_not_order_or_folder(tmp_path):
    def entries(folder, label="x"):
        (tmp_path / folder).mkdir(exist_ok=True)
        rows = []
        for name in ("a.jpg", "b.jpg"):
            (tmp_path / folder / name).write_bytes(name.encode())
            rows.append((name, tmp_path / folder / name, {"text": label, "n": 1}))
        return rows

    first = fingerprint(entries("one"))
    assert first.files == 2
    assert first.bytes == 10
    assert fingerprint(reversed(entries("two"))) == first
    reordered = [(name, path, {"n": 1, "text": "x"}) for name, path, _ in entries("one")]
    assert fingerprint(reordered) == first
    assert fingerprint(entries("one", "y")).sha256 != first.sha256
    renamed = [(f"sub/{name}", path, label) for name, path, label in entries("one")]
    assert fingerprint(renamed).sha256 != first.sha256
    (tmp_path / "one" / "a.jpg").write_bytes(b"other")
    changed = [
        (name, tmp_path / "one" / name, {"text": "x", "n": 1}) for name in ("a.jpg", "b.jpg")
    ]
    assert fingerprint(changed).sha256 != first.sha256


def test_split_is_near_its_fractions_and_independent_of_order_and_others():
    items = [f"picture {number}" for number in range(4000)]
    splits = split_by_hash(items, THIRDS, "salt")
    sizes = [len(splits[name]) for name in THIRDS]
    assert sum(sizes) == 4000
    # Three standard deviations of a binomial draw: 3 * sqrt(4000 * 0.1 * 0.9) = 57.
    assert abs(sizes[1] - 400) < 57
    assert abs(sizes[2] - 400) < 57
    shuffled = random.Random(1).sample(items, len(items))
    assert {
        name: set(found) for name, found in split_by_hash(shuffled, THIRDS, "salt").items()
    } == {name: set(found) for name, found in splits.items()}
    fewer = split_by_hash(items[:2000], THIRDS, "salt")
    assert set(fewer["test"]) <= set(splits["test"])
    assert split_by_hash(items, THIRDS, "other")["test"] != splits["test"]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 5))), max_size=30),
    st.text(max_size=3),
)
def test_no_content_and_no_group_is_torn_apart(marks, salt):
    items = list(enumerate(marks))
    splits = split_by_hash(
        items, THIRDS, salt, key=lambda item: str(item[1][0]), group=lambda item: item[1][1]
    )
    assert sorted(item for found in splits.values() for item in found) == sorted(items)
    leaks = find_leaks(splits, key=lambda item: str(item[1][0]), group=lambda item: item[1][1])
    assert leaks.ok, leaks.text()


def test_small_sets_leave_no_split_empty():
    for count in range(3, 12):
        splits = split_by_hash([str(number) for number in range(count)], THIRDS)
        assert all(splits.values()), (count, splits)
    assert sum(len(found) for found in split_by_hash(["only"], THIRDS).values()) == 1
    none_to_test = split_by_hash([str(n) for n in range(50)], {"train": 1, "test": 0})
    assert none_to_test["test"] == []
    with pytest.raises(ValueError, match="fractions"):
        split_by_hash(["a"], {"train": 0.0})


def test_leaks_name_both_sides():
    splits = {"train": [("a", 1), ("b", 2)], "test": [("c", 1)], "validation": [("d", 3)]}
    report = find_leaks(splits, key=lambda item: str(item[1]), name=lambda item: f"{item[0]}.jpg")
    (problem,) = report.problems
    assert problem.where == "a.jpg (train)"
    assert "c.jpg (test)" in problem.message
    grouped = find_leaks(splits, key=lambda item: item[0], group=lambda item: item[1] == 2 or None)
    assert grouped.ok
    grouped = find_leaks(splits, key=lambda item: item[0], group=lambda item: item[1])
    assert [problem.kind for problem in grouped.problems] == ["same group in two splits"]
