"""Passages, anchors, windows and the join of keys against their plain-Python twins."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reference import text_repeats as twin
from tests.reference.text_search import murmur3
from tests.text.hostile import PIECES, array, text, texts
from tilth.text import Seen, anchors, by_part, split_passages, windows
from tilth.text.passages import UNITS

MARKS = st.lists(
    st.sampled_from([*"ab天。！？｡.!?\"')]}’”〉》」』】） \n\t\u3000", "\n\n", "3.14", "（「"]), max_size=40
).map("".join)
FEW = st.lists(st.sampled_from(["ab", "天", "😀", "é", "\x00", "ba", "地天"]), max_size=60).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(MARKS, text), max_size=4), st.sampled_from(UNITS), st.integers(1, 9))
@example(["", "\n", "。", "a\n\n\nb\n\n", "He said. “So.” (Yes!) 3.14 他说：“好。”走了。\n", " \n x"], "sentence", 1)
@example(["", "\n", "a\n\n\nb\n\n\n \n\nc", "\n\na", "x\n \ny"], "paragraph", 1)
def test_passages_equal_the_twin(items: list[str], unit: str, shortest: int) -> None:
    found = split_passages(array(items, slice_from=1), unit, shortest)
    expected = [
        (row, start, end, murmur3(passage.encode()))
        for row, item in enumerate(items)
        for start, end, passage in twin.passages(item, unit)
        if twin.width(passage) >= shortest
    ]
    spans = zip(found.row.tolist(), found.start.tolist(), found.end.tolist(), strict=True)
    assert [(*span, tuple(key)) for span, key in zip(spans, found.keys.tolist(), strict=True)] == expected


def test_sentences_in_both_languages() -> None:
    item = "他说：“走吧。”于是走了！真的？？好\nMr. Hill paid $3.50. (Why?) Visit tilth.org now! 完"
    assert [passage for _, _, passage in twin.passages(item, "sentence")] == [
        *("他说：“走吧。”", "于是走了！", "真的？？", "好", "Mr.", "Hill paid $3.50.", "(Why?)"),
        *("Visit tilth.org now!", "完"),
    ]
    with pytest.raises(ValueError, match="unit must be one of line, paragraph, sentence"):
        split_passages(array([item]), "word")


def columns(item: str) -> list[int]:
    return [twin.width(item[:i]) for i in range(len(item))]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(FEW, text), max_size=4), st.integers(1, 20))
@example(["a" * 50, "天" * 30, "", "ab" * 20], 8)
def test_equal_windows_have_anchors_of_one_key_at_one_distance(items: list[str], length: int) -> None:
    rows = np.arange(len(items), dtype=np.int64) * 3 + 5
    keys, places = anchors(array(items, slice_from=1), rows, length)
    assert (np.diff(places) > 0).all()
    key_at = dict(zip(places.tolist(), keys[:, 0].tolist(), strict=True))
    found = defaultdict(set)
    for row, item in zip(rows.tolist(), items, strict=True):
        before = columns(item)
        for start, end in twin.windows(item, length):
            here = [(row << 32) + before[at] for at in range(start, end)]
            inside = [place - here[0] for place in here if place in key_at]
            assert inside, "a window without an anchor"
            found[item[start:end]].add(frozenset((at, key_at[here[0] + at]) for at in inside))
    for sets in found.values():  # whatever else is an anchor there, the window's own is one everywhere
        assert frozenset.intersection(*sets)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(FEW, text), max_size=4), st.integers(1, 20), st.integers(1, 3))
def test_windows_of_marked_anchors(items: list[str], length: int, share: int) -> None:
    """With all anchors marked every window is found, with its hash; with some, a part of them."""
    rows = np.arange(len(items), dtype=np.int64) + 2
    _, marks = anchors(array(items), rows, length)
    keys, places = windows(array(items), rows, length, marks)
    expected = [
        ((row << 32) + columns(item)[start], murmur3(item[start:end].encode()))
        for row, item in zip(rows.tolist(), items, strict=True)
        for start, end in twin.windows(item, length)
    ]
    assert list(zip(places.tolist(), map(tuple, keys.tolist()), strict=True)) == expected
    some_keys, some = windows(array(items, slice_from=1), rows, length, marks[::share])
    where = np.searchsorted(places, some)
    assert (places[where] == some).all()
    assert (keys[where] == some_keys).all()


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 40)), max_size=60),
    st.integers(1, 3),
    st.integers(0, 9),
    st.integers(1, 20),
)
def test_seen_chooses_what_stands_too_often(met: list[tuple[int, int, int]], keep: int, apart: int, batch: int) -> None:
    records = [(key, second, row << 32 | at) for at, (key, second, row) in enumerate(met)]
    groups = defaultdict(list)
    for key, second, place in records:
        groups[key, second].append(place)
    first = {pair: places[0] for pair, places in groups.items()}

    def overlaps(key: int, second: int, place: int) -> bool:
        start = first[key, second]
        return place >> 32 == start >> 32 and place - start < apart

    counts: dict[tuple[int, int], int] = defaultdict(int)
    chosen = []
    for key, second, place in records:
        if counts[key, second] >= keep and not overlaps(key, second, place):
            chosen.append(place)
        counts[key, second] += 1
    several = sorted(place for places in groups.values() if len(places) > 1 for place in places)
    table = np.array(records, np.uint64).reshape(-1, 3)
    parts = [table[start : start + batch] for start in range(0, len(table), batch)]
    behind, every = Seen(len(table), keep, apart), Seen(len(table), every=True)
    assert [place for part in parts for place in behind.meet(part).tolist()] == chosen
    assert sorted(place for part in parts for place in every.meet(part).tolist()) == several


def test_seen_has_room_for_so_many() -> None:
    random = np.random.default_rng(1)
    keys = random.integers(0, 2**64, (30_000, 2), np.uint64)
    records = np.column_stack([np.concatenate([keys, keys]), np.arange(60_000, dtype=np.uint64)])
    seen = Seen(60_000)
    assert seen.meet(records).tolist() == list(range(30_000, 60_000))
    with pytest.raises(ValueError, match="1 more"):
        seen.meet(records[:1])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.booleans()), max_size=40),
    st.sampled_from([1, 4, 2**15]),
    st.integers(0, 40),
)
def test_records_by_part(noted: list[tuple[int, int, bool]], parts: int, cut: int) -> None:
    keys = np.array([row[:2] for row in noted], np.uint64).reshape(-1, 2)
    first = np.array([row[2] for row in noted], bool)
    places = np.arange(len(noted))
    batches = [(keys[rows], places[rows], first[rows]) for rows in (slice(0, cut), slice(cut, None))]
    records, starts = by_part(batches, parts)
    part = [(key >> 48) * parts // 2**16 + (0 if early else parts) for key, _, early in noted]
    order = sorted(range(len(noted)), key=lambda row: part[row])
    assert records.tolist() == [[*noted[row][:2], row] for row in order]
    assert starts.tolist() == [sum(p < border for p in part) for border in range(2 * parts + 1)]


@settings(deadline=None, max_examples=50)
@given(texts)
@example(PIECES)
def test_a_length_of_one_wide_character_is_every_character(items: list[str]) -> None:
    rows = np.arange(len(items), dtype=np.int64)
    _, places = anchors(array(items), rows, 1)
    assert len(places) == sum(map(len, items))
