"""Samples drawn in processes: the same for any number of them, resumable, errors with names."""

import json
import os
import signal
import sys
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from sightbook.data.draw_parallel import draw_parallel, draw_resumable, whole_rows


def noise(seed, index):
    return np.random.default_rng((seed, index)).random(3).tolist()


def fails_at(bad, index):
    if index == bad:
        raise ValueError("no such sample")
    return index


def dies_at(bad, index):
    if index == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def write(folder, bad, index):
    """A sample with a file, as generators have it."""
    if index == bad:
        raise KeyboardInterrupt
    (folder / f"{index}.txt").write_text(str(noise(1, index)))
    with (folder.parent / "calls").open("a") as calls:
        calls.write(f"{index}\n")
    return {"name": f"{index}.txt", "values": tuple(noise(1, index))}


def calls(folder):
    return [int(line) for line in (folder / "calls").read_text().split()]


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_samples_are_the_same_and_in_order_for_any_number_of_processes():
    alone = list(draw_parallel(partial(noise, 7), range(25)))
    assert alone == [noise(7, index) for index in range(25)]
    assert list(draw_parallel(partial(noise, 7), range(25), 3)) == alone


def test_few_samples_are_drawn_here():
    here = os.getpid()
    assert set(draw_parallel(pid, range(9), 2, least=10)) == {here}
    assert here not in set(draw_parallel(pid, range(10), 2, least=10))
    assert list(draw_parallel(pid, range(1), 4)) == [here]
    assert list(draw_parallel(pid, [], 4)) == []


def pid(index):
    return os.getpid()


def test_samples_are_taken_only_as_they_are_needed():
    taken = []

    def endless():
        for index in count():
            taken.append(index)
            yield index

    for workers in (0, 2):
        taken.clear()
        assert list(islice(draw_parallel(partial(noise, 1), endless(), workers), 3)) == [
            noise(1, index) for index in range(3)
        ]
        assert len(taken) <= 12


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_keeps_its_type_and_names_its_sample(workers):
    drawn = []
    with pytest.raises(ValueError, match="no such sample") as caught:
        for index in draw_parallel(partial(fails_at, 5), range(20), workers):
            drawn.append(index)
    assert drawn == [0, 1, 2, 3, 4]
    assert caught.value.__notes__ == ["while sample 5 was drawn"]


def test_samples_have_the_names_that_they_are_given():
    with pytest.raises(ValueError) as caught:
        list(draw_parallel(partial(fails_at, 1), range(3), name=lambda index: f"{index:03d}.png"))
    assert caught.value.__notes__ == ["while sample 001.png was drawn"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_process_is_reported_with_what_it_drew():
    with pytest.raises(RuntimeError, match=r"killed, at sample \d or soon after.*memory"):
        list(draw_parallel(partial(dies_at, 4), range(9), 2))


def test_a_cut_off_series_goes_on_and_ends_with_the_same_files(tmp_path):
    origin, samples = {"seed": 1, "size": (3, 4)}, range(6)
    whole, cut = tmp_path / "a" / "whole", tmp_path / "b" / "cut"
    for folder in (whole, cut):
        folder.mkdir(parents=True)
    rows = draw_resumable(partial(write, whole, None), samples, whole / "log", origin=origin)
    with pytest.raises(KeyboardInterrupt):
        draw_resumable(partial(write, cut, 4), samples, cut / "log", origin=origin)
    with (cut / "log").open("ab") as journal:
        journal.write(b'{"name": "4.t')  # torn in the middle of a row
    again = draw_resumable(
        partial(write, cut, None), samples, cut / "log", origin=origin, workers=2
    )
    assert sorted(calls(cut.parent)) == list(samples)  # each drawn once
    assert again == rows == [{"name": f"{i}.txt", "values": noise(1, i)} for i in samples]
    assert contents(cut) == contents(whole)
    draw_resumable(partial(write, cut, None), samples, cut / "log", origin=origin)
    assert len(calls(cut.parent)) == len(samples)


def test_a_series_of_another_origin_is_drawn_anew(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in (1, 2):
        draw_resumable(
            partial(write, folder, None), range(3), folder / "log", origin={"seed": seed}
        )
    assert calls(tmp_path) == [0, 1, 2, 0, 1, 2]
    rows = whole_rows(folder / "log")
    assert rows[0] == {"origin": {"seed": 2}} and len(rows) == 4


def test_a_shorter_or_longer_series_shares_what_is_drawn(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    draw = partial(draw_resumable, partial(write, folder, None), origin={})
    four = draw(range(4), folder / "log")
    assert draw(range(2), folder / "log") == four[:2]
    assert draw(range(6), folder / "log")[:4] == four
    assert calls(tmp_path) == list(range(6))


def test_whole_rows_cuts_off_a_torn_line_and_keeps_one_without_its_newline(tmp_path):
    file = tmp_path / "rows.jsonl"
    assert whole_rows(file) == []
    file.write_text('{"a": 1}\n{"a": ')
    assert whole_rows(file) == [{"a": 1}]
    assert file.read_text() == '{"a": 1}\n'
    file.write_text('{"a": 1}\n{"a": 2}')
    assert whole_rows(file) == [{"a": 1}, {"a": 2}]
    assert file.read_text().endswith("}\n")
    file.write_text("{")
    assert whole_rows(file) == [] and Path(file).read_bytes() == b""
    file.write_text(json.dumps({"é": "ü"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert whole_rows(file) == [{"é": "ü"}]
