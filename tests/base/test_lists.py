"""Many lists in two arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tilth.base.lists import Lists


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_reads_what_a_loop_reads(lists: list[list[int]], data: st.DataObject) -> None:
    which = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    where, items = Lists.of(lists).read(np.array(which, np.int64))
    assert list(zip(where.tolist(), items.tolist(), strict=True)) == [
        (at, item) for at, number in enumerate(which) for item in lists[number]
    ]


def test_no_lists() -> None:
    where, items = Lists.of([]).read(np.empty(0, np.int64))
    assert len(where) == len(items) == 0
