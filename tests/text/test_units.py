"""Counting units against the plain-Python twin."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings

from tests.reference.text_words import has, units
from tests.text.hostile import array, texts
from tilth.text import unicode, unit_counts


@settings(deadline=None, max_examples=100)
@given(texts)
@example(["", "a_b c", "𠮷野家", "用GPU训练", "e\u0301 ﾊﾝ", "..."])
def test_counts_equal_the_twin(items: list[str]) -> None:
    found = unit_counts(array(items, slice_from=1))
    assert (found.dtype, found.shape) == (np.int64, (len(items), 2))
    for row, item in enumerate(items):
        parts = [unit for unit, _, _ in units(item)]
        assert found[row].tolist() == [len(parts), sum(has(unit[0], unicode.UNIT) for unit in parts)]
