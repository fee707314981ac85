from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.base.errors import UserError
from tilth.base.events import Journal, read_journal, rewind_journal
from tilth.base.expression import Condition
from tilth.base.files import NO_ROOM, ContentHashes, atomic_file, fingerprint, names_full, strict_json, write_text
from tilth.base.keyed import Permutation, uniform
from tilth.base.pool import map_units
from tilth.base.progress import Progress, byte_size, duration


@pytest.mark.parametrize("number", NO_ROOM)
def test_a_full_disk_is_an_error_that_names_the_file(number, tmp_path):
    """As an OSError, which a run may survive, through the pickle of a worker process too."""

    def write():
        with atomic_file(tmp_path / "a.bin") as aside, names_full(tmp_path / "a.bin"):
            aside.write_bytes(b"a part")
            raise OSError(number, "wrote a part")

    with pytest.raises(OSError, match="wrote a part") as caught:
        write()
    there = pickle.loads(pickle.dumps(caught.value))
    assert (there.errno, there.filename) == (number, str(tmp_path / "a.bin"))
    assert not list(tmp_path.iterdir())


@given(st.integers(1, 700), st.integers(0, 5))
def test_a_permutation_is_one(size, key):
    assert sorted(Permutation(size, "k", key)[i] for i in range(size)) == list(range(size))


def test_permutations_differ_by_key_and_reach_far_without_memory():
    first, second = (Permutation(1000, seed) for seed in (1, 2))
    assert [first[i] for i in range(20)] != [second[i] for i in range(20)]
    assert 0 <= Permutation(10**12, 3)[10**12 - 1] < 10**12


def test_uniform_is_uniform():
    values = [uniform("seed", i) for i in range(4000)]
    assert 0 <= min(values) < 0.01
    assert 0.99 < max(values) < 1
    assert abs(np.mean(values) - 0.5) < 0.02


def test_a_file_is_whole_or_absent(tmp_path):
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), atomic_file(target) as aside:
        aside.write_text(f"half {1 / 0}")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_has_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "weights") as aside:
            os.close(os.open(aside, os.O_CREAT | os.O_WRONLY, 0o600))  # as some libraries do
        os.umask(0o027)
        write_text(tmp_path / "shut", "")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("weights", "shut")] == [0o644, 0o640]
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "unwritten"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["shut", "weights"]


def test_times_and_sizes_as_people_say_them():
    assert [duration(s) for s in (75, 100, 3599, 9570, 90_000)] == [
        "75 s",
        "1.7 min",
        "60.0 min",
        "2 h 39 min",
        "25 h 0 min",
    ]
    assert [byte_size(b) for b in (640, 1500, 12.3e6, 2e12)] == ["640 B", "1.5 kB", "12.3 MB", "2.0 TB"]


@pytest.mark.parametrize(
    ("unit", "shown"), [("B", "x: 30.0 MB/40.0 MB (75 %), "), ("doc", "x: 30.0M/40.0M (75 %) doc, ")]
)
def test_a_line_of_progress(unit, shown, capsys):
    with Progress("x", 40e6, unit) as bar:
        bar.started = bar._shown = time.monotonic() - 20
        bar.add(30e6)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith(shown)
    assert ("MB/s" in line) == (unit == "B")


def test_a_torn_journal_loses_the_torn_line_only(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    for step in range(5):
        journal.append({"step": step})
    journal.close()
    with (tmp_path / "j.jsonl").open("ab") as out:
        out.write(b'{"step": 5')
    assert [r["step"] for r in read_journal(tmp_path / "j.jsonl")] == [0, 1, 2, 3, 4]
    journal = Journal(tmp_path / "j.jsonl")
    journal.append({"step": 6})
    assert [r["step"] for r in read_journal(tmp_path / "j.jsonl")] == [0, 1, 2, 3, 4, 6]
    rewind_journal(tmp_path / "j.jsonl", lambda record: record["step"] < 3)
    assert [r["step"] for r in read_journal(tmp_path / "j.jsonl")] == [0, 1, 2]


def test_content_hashes_read_a_file_once(tmp_path):
    (tmp_path / "a").write_text("text")
    hashes = ContentHashes(tmp_path / "cache.json")
    first = hashes.of(tmp_path / "a")
    assert hashes.bytes_read == 4
    hashes.save()
    again = ContentHashes(tmp_path / "cache.json")
    assert (again.of(tmp_path / "a"), again.bytes_read) == (first, 0)
    (tmp_path / "a").write_text("other")
    assert again.of(tmp_path / "a") != first


def test_strict_json_has_no_word_for_what_is_not_finite():
    value = {"a": [float("nan"), (-float("inf"), np.float64("inf"))], "Infinity": "NaN -Infinity", "b": 1.5, "c": True}
    told = strict_json(value)
    assert told == '{"a": [null, [null, null]], "Infinity": "NaN -Infinity", "b": 1.5, "c": true}'


def test_fingerprints_know_no_order():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


COLUMNS = {
    "domain": np.array(["law", "code", "law"], dtype=object),
    "tokens": np.array([1, 20, 300]),
    "signal.words": np.array([1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("domain == 'law' and tokens > 10", [False, False, True]),
        ("not (domain == 'law') or 0 < tokens <= 1", [True, True, False]),
        ("domain in ['code', 'web'] or signal.words >= 3", [False, True, True]),
        ("True", [True, True, True]),
        ("tokens > -5", [True, True, True]),
    ],
)
def test_conditions(text, expected):
    assert Condition(text)(COLUMNS).tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tokns > 1", "no column 'tokns' .did you mean 'tokens'"),
        ("domain ==", "not a condition"),
        ("tokens + 1 > 2", "not allowed"),
        ("tokens.real", "no column 'tokens.real'"),
        ("domain < 3", "cannot be compared"),
        ("tokens > 'a'", "cannot be compared"),
        ("domain == 3", "cannot be compared: a string and a number"),
        ("tokens != 'a'", "a string and a number"),
        ("tokens in [1, 'a']", "a string and a number"),
        ("domain not in ['law', 3]", "a string and a number"),
    ],
)
def test_conditions_refuse_what_they_do_not_know(text, message):
    with pytest.raises(UserError, match=message):
        Condition(text)(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        *("open('x')", "tokens > len(domain)", "open('x').read == 1", "tokens[0]", "lambda: 1", "(x := 1)"),
        *("tokens is 3", "domain is not None", "tokens + 1 > 2", "[t for t in tokens]", "f'{tokens}' == 1"),
        *("domain == 'law' or 'web'", "'law'", "3", "not 'law'"),
        *("domain in 'law'", "'law' in domain", "domain == ['law']", "domain in [tokens]"),
    ],
)
def test_conditions_are_checked_when_they_are_built(text):
    with pytest.raises(UserError, match="not allowed here"):
        Condition(text)


def test_a_condition_without_columns_has_the_right_length():
    assert Condition("True")({}, 3).tolist() == [True] * 3
    assert Condition(" 1 < 2\n")({}, 2).tolist() == [True] * 2
    assert Condition("signal.words > 1 and domain == 'x'").names == ["domain", "signal.words"]


def square(value: int) -> int:
    return value * value


def test_many_workers_give_the_serial_result():
    units = list(range(20))
    assert list(map_units(square, units, 2)) == list(map_units(square, units, 1)) == [(i, i * i) for i in units]


def fail_at_three(value: int) -> int:
    if value == 3:
        raise UserError("three")
    return value


def sleep_or_die(value: int, done: Path | None = None) -> int:
    if value == 0:
        return value
    if value < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    if done:
        (done / str(value)).touch()
    return value


@pytest.mark.parametrize("leave", [KeyboardInterrupt, GeneratorExit])
def test_leaving_ends_the_workers_at_once(leave, tmp_path):
    results = map_units(partial(sleep_or_die, done=tmp_path), [0, 1, 2, 3], 2)
    assert next(results) == (0, 0)
    with pytest.raises(leave):
        results.throw(leave)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_is_named():
    with pytest.raises(UserError, match=r"killed at one of: (0, )?-5.*lower compute\.workers"):
        list(map_units(sleep_or_die, [0, -5, 0], 2))  # the first 0 may have been done, its result still unread


def test_a_workers_error_reaches_the_caller():
    with pytest.raises(UserError, match="three"):
        list(map_units(fail_at_three, list(range(5)), 2))
